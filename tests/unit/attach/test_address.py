"""Where an engine answers: what a URL may be, and that its token is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from qsuite_console.attach import parse
from qsuite_console.config.secrets import Secret
from qsuite_console.model.errors import UsageProblem


@pytest.mark.parametrize(
    ("url", "where", "is_in_the_clear"),
    [
        ("http://127.0.0.1:8765", "http://127.0.0.1:8765", False),
        (" http://localhost:8765/ ", "http://localhost:8765", False),
        ("http://[::1]:8765", "http://[::1]:8765", False),
        ("http://10.0.0.7:8765", "http://10.0.0.7:8765", True),
        ("https://ops.example.org/console/", "https://ops.example.org/console", False),
    ],
)
def test_a_url_is_an_address(url: str, where: str, is_in_the_clear: bool) -> None:
    address = parse(url, Secret("s3cret"))
    assert (address.where, address.base, address.is_in_the_clear) == (where, where, is_in_the_clear)
    assert address.headers == {"Authorization": "Bearer s3cret"}
    assert "s3cret" not in repr(address)


def test_a_socket_may_be_named_as_a_url_and_gets_no_token() -> None:
    address = parse("unix:/run/qsuite/engine.sock", Secret("s3cret"))
    assert address.socket == Path("/run/qsuite/engine.sock")
    assert address.headers == {}
    assert parse("unix:///run/x.sock").socket == Path("/run/x.sock")


@pytest.mark.parametrize(
    "url",
    ["", "prod", "ftp://example.org", "http://", "http://h:99999", "http://h:x", "http://u:p@h", "http://h/?token=1",
     "unix:engine.sock", "http://[::1", "javascript:alert(1)"],
)  # fmt: skip
def test_what_is_no_url_of_an_engine_is_refused(url: str) -> None:
    with pytest.raises(UsageProblem):
        parse(url)
