"""Signatures of webhooks: HMAC-SHA256 over id, timestamp and body, so that none of them can be changed or replayed.

After the Standard Webhooks specification 1.0.0 (https://www.standardwebhooks.com), headers ``webhook-id``,
``webhook-timestamp`` and ``webhook-signature``; ``X-Webhook-Signature`` says the same as "t=TIMESTAMP,v1=HEX". One
signature for each valid secret.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

PREFIX: Final = "whsec_"
SHORTEST, LONGEST = 24, 64  # bytes of a secret
WANTED: Final = f"a secret is {PREFIX} and the base64 of {SHORTEST} to {LONGEST} bytes"


class BadSecret(ValueError):
    """Why a text is no secret; never quotes it."""


def secret_of(text: str) -> bytes:
    """Return the bytes of "whsec_BASE64"; raises BadSecret."""
    try:
        found = base64.b64decode(text.strip().removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise BadSecret(WANTED) from None
    if not SHORTEST <= len(found) <= LONGEST:
        raise BadSecret(f"{WANTED}; this one has {len(found)}")
    return found


def digest(secret: bytes, identifier: str, timestamp: int, body: bytes) -> bytes:
    """Return the signature of one delivery, 32 bytes; ``timestamp`` in seconds since 1970."""
    return hmac.new(secret, f"{identifier}.{timestamp}.".encode() + body, hashlib.sha256).digest()


def signed_headers(secrets: Sequence[bytes], identifier: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """Return the headers that a receiver verifies a delivery by, with one or any of the secrets."""
    digests = [digest(secret, identifier, timestamp, body) for secret in secrets]
    return {
        "webhook-id": identifier,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(one).decode()}" for one in digests),
        "X-Webhook-Signature": ",".join((f"t={timestamp}", *(f"v1={one.hex()}" for one in digests))),
    }
