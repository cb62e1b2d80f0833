"""Signatures, byte for byte, as others compute them."""

from __future__ import annotations

import base64

import pytest

from qsuite_console.providers.signing import BadSecret, secret_of, signed_headers

# the example of the Standard Webhooks specification and of its libraries
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
IDENTIFIER, AT = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_published_vector() -> None:
    headers = signed_headers([secret_of(SECRET)], IDENTIFIER, AT, BODY)
    assert headers == {
        "webhook-id": IDENTIFIER,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
        "X-Webhook-Signature": f"t=1614265330,v1={base64.b64decode(SIGNATURE.removeprefix('v1,')).hex()}",
    }


def test_two_secrets_give_two_signatures() -> None:
    other = base64.b64encode(bytes(range(32))).decode()
    headers = signed_headers([secret_of(other), secret_of(SECRET)], IDENTIFIER, AT, BODY)
    first, second = headers["webhook-signature"].split(" ")
    assert second == SIGNATURE
    assert first != second
    assert headers["X-Webhook-Signature"].count("v1=") == 2


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_!!", "canary-1", base64.b64encode(b"x" * 23).decode(), "A" * 100]
)
def test_what_is_no_secret(text: str) -> None:
    with pytest.raises(BadSecret) as caught:
        secret_of(text)
    assert len(text) < 8 or text not in str(caught.value)
