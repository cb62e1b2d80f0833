"""Where an engine answers: a Unix socket of this user, or a URL with the token that it wants.

A token is sent to the one engine it was stated for, never further: redirects are not followed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

import aiohttp

from qsuite_console.config.secrets import Secret
from qsuite_console.model.errors import EngineGone, UsageProblem
from qsuite_console.model.text import clean

HINT: Final = "is its process alive?"
_HINT_URL: Final = "for example http://127.0.0.1:8765, https://ops.example.org or unix:/path/to/engine.sock"
_CONNECT_S: Final = 2.0  # to a process of this machine
_FAR_CONNECT_S: Final = 5.0
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Address:
    """``base`` is what paths are appended to; ``socket`` None means TCP. ``renew`` reads the token anew, if it can."""

    where: str  # for people; never holds the token
    base: str
    socket: Path | None = None
    token: Secret = field(default_factory=lambda: Secret(""))
    renew: Callable[[], Secret] | None = field(default=None, compare=False)

    def renewed(self) -> Self | None:
        """Return the address with the token that is stated now, None where that is the same; raises UsageProblem."""
        token = self.token if self.renew is None else self.renew()
        return None if token.reveal() == self.token.reveal() else replace(self, token=token)

    @property
    def headers(self) -> dict[str, str]:
        """Return what every request carries."""
        token = self.token.reveal()
        return {"Authorization": f"Bearer {token}"} if token else {}

    @property
    def connect_s(self) -> float:
        """Return how long connecting may take."""
        return _CONNECT_S if self.socket is not None else _FAR_CONNECT_S

    @property
    def is_in_the_clear(self) -> bool:
        """Return whether the token crosses a network that others may read."""
        parts = urlsplit(self.base)
        return self.socket is None and parts.scheme == "http" and parts.hostname not in _LOOPBACK

    def connector(self) -> aiohttp.BaseConnector:
        """Return the way there; call it on the loop that uses it."""
        if self.socket is not None:
            return aiohttp.UnixConnector(os.fspath(self.socket), limit=64)
        return aiohttp.TCPConnector(limit=64)

    def require(self) -> None:
        """Raise EngineGone for a socket that isn't there or that another user made: it could tell us anything."""
        if self.socket is not None:
            require_own(self.socket)


def of_socket(path: Path) -> Address:
    """Return the address of the engine that answers on a socket of this machine."""
    return Address(where=str(path), base="http://engine", socket=path)


def parse(url: str, token: Secret | None = None) -> Address:
    """Return the address a URL names; raises UsageProblem."""
    shown = clean(url.strip(), 200)
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise UsageProblem(f"{shown} is no URL of an engine: {clean(error, 100)}", hint=_HINT_URL) from None
    if parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc:
        return of_socket(Path(parts.path))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageProblem(f"{shown} is no URL of an engine", hint=_HINT_URL)
    if parts.username is not None or parts.query or parts.fragment:
        raise UsageProblem(
            "a URL of an engine has no user, query or fragment", hint="the token is stated apart: target.engine_token"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    where = f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path.rstrip('/')}"
    return Address(where=where, base=where, token=token or Secret(""))


def require_own(path: Path) -> None:
    """Raise EngineGone unless there is a socket at ``path`` that this user made."""
    try:
        status = path.lstat()
    except OSError as error:
        raise EngineGone(f"no engine answers on {path}", hint=HINT) from error
    if not stat.S_ISSOCK(status.st_mode) or status.st_uid != os.getuid():
        raise EngineGone(f"{path} is not a socket of this user", hint="remove it, or set QSUITE_CONSOLE_HOME")
