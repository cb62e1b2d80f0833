"""PostgreSQL's simple protocol, as far as PgBouncer's admin console speaks it: asyncpg's extended one it refuses.

Logins: trust, clear text, MD5 and SCRAM-SHA-256. Pure functions over bytes; the connection is in ``db.pooler``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

PROTOCOL: Final = 196_608
SSL_REQUEST: Final = struct.pack("!ii", 8, 80_877_103)
_MECHANISM: Final = "SCRAM-SHA-256"
Row = Mapping[str, str | None]


class WireError(Exception):
    """The other end said something this protocol doesn't have, or a login it can't do."""


def message(kind: bytes, body: bytes) -> bytes:
    """Return one message; ``kind`` is empty for the first of a connection."""
    return kind + struct.pack("!i", len(body) + 4) + body


def startup(user: str, database: str, application: str) -> bytes:
    """Return the message that opens a session."""
    pairs = (("user", user), ("database", database), ("application_name", application))
    body = b"".join(name.encode() + b"\0" + value.encode() + b"\0" for name, value in pairs)
    return message(b"", struct.pack("!i", PROTOCOL) + body + b"\0")


def query(text: str) -> bytes:
    """Return a simple query."""
    return message(b"Q", text.encode() + b"\0")


def refusal(body: bytes) -> tuple[str, str]:
    """Return SQLSTATE and message of an ErrorResponse."""
    fields = {part[:1]: part[1:] for part in body.decode("utf-8", "replace").split("\0") if part}
    return fields.get("C", ""), fields.get("M", "no message")


def columns(body: bytes) -> list[str]:
    """Return the names of a RowDescription."""
    (count,) = struct.unpack_from("!h", body)
    names, at = [], 2
    for _ in range(count):
        end = body.index(b"\0", at)
        names.append(body[at:end].decode("utf-8", "replace"))
        at = end + 19  # the name's end, then table, column, type, length, modifier and format
    return names


def values(body: bytes) -> list[str | None]:
    """Return the texts of a DataRow."""
    (count,) = struct.unpack_from("!h", body)
    found: list[str | None] = []
    at = 2
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, at)
        at += 4
        if length < 0:
            found.append(None)
            continue
        found.append(body[at : at + length].decode("utf-8", "replace"))
        at += length
    return found


@dataclass(slots=True)
class Login:
    """Answers the server's authentication requests, one after the other."""

    user: str
    password: str
    _nonce: str = field(default_factory=lambda: base64.b64encode(os.urandom(18)).decode())
    _expected: bytes = b""

    def answer(self, body: bytes) -> bytes:
        """Return what to send, b"" for nothing; raises WireError."""
        (code,) = struct.unpack_from("!i", body)
        rest = body[4:]
        if code == 0:
            return b""
        if code == 3:
            return message(b"p", self.password.encode() + b"\0")
        if code == 5:
            inner = hashlib.md5(self.password.encode() + self.user.encode()).hexdigest()
            return message(b"p", b"md5" + hashlib.md5(inner.encode() + rest[:4]).hexdigest().encode() + b"\0")
        if code == 10:
            return self._first(rest)
        if code == 11:
            return self._final(rest.decode())
        if code == 12:
            return self._verified(rest.decode())
        raise WireError(f"it wants a login of kind {code}")

    def _first(self, mechanisms: bytes) -> bytes:
        if _MECHANISM.encode() not in mechanisms.split(b"\0"):
            raise WireError("it offers no SCRAM-SHA-256")
        first = f"n,,{self._bare()}".encode()
        return message(b"p", _MECHANISM.encode() + b"\0" + struct.pack("!i", len(first)) + first)

    def _bare(self) -> str:
        return f"n=,r={self._nonce}"  # the user's name is that of the start-up message

    def _final(self, challenge: str) -> bytes:
        """Prove the password (RFC 5802, section 3)."""
        said = dict(part.split("=", 1) for part in challenge.split(","))
        if not said.get("r", "").startswith(self._nonce) or int(said["i"]) > 10_000_000:
            raise WireError("its SCRAM challenge is not for us")
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(said["s"]), int(said["i"]))
        without_proof = f"c=biws,r={said['r']}"
        signed = ",".join((self._bare(), challenge, without_proof)).encode()
        key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True))).decode()
        self._expected = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
        return message(b"p", f"{without_proof},p={proof}".encode())

    def _verified(self, answer: str) -> bytes:
        told = base64.b64decode(answer.partition("v=")[2].partition(",")[0])
        if not self._expected or not hmac.compare_digest(told, self._expected):
            raise WireError("it does not know the password either: is this the right server?")
        return b""
