"""``[api]`` and ``[tokens.NAME]``: where the engine's HTTP interface listens besides its Unix socket, and who may ask.

A token is a reference, never a value: "env:NAME" is read when the configuration is, "file:/path" whenever the file
changes, so that a token can be replaced without a restart.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from qsuite_console.config.outgoing import BadDeclaration, check_keys, check_name, variable_of
from qsuite_console.config.secrets import Secret
from qsuite_console.model.access import Scope

FILE: Final = "file:"
ENV: Final = "env:"
LEAST: Final = 32  # characters of a token; 32 random bytes in base64 have 44
MOST: Final = 512
ADVICE: Final = "make one with: openssl rand -base64 32"
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")  # what a header carries unchanged
_LISTEN: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?)(:[0-9]{1,5})?")
_ORIGIN: Final = re.compile(r"https?://[^/?#\s@]+")
_KEYS: Final = ("token", "scope", "own_jobs_only")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """The interface over TCP; that on the Unix socket is always there and needs none of this."""

    listen: str = ""  # "127.0.0.1:8765"; "" listens nowhere
    allow_remote: bool = False  # listen on an address that other machines reach
    in_console: bool = False  # also while the engine runs behind a screen
    hosts: str = ""  # further names it may be called by: "console.lan, console.lan:8443"
    origins: str = ""  # web pages that may ask: "https://dash.lan"
    requests_per_minute: int = 6000  # of one token


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A token under a name, and what its holder may do."""

    name: str
    reference: str
    scope: Scope = Scope.READ
    own_jobs_only: bool = False
    value: Secret = field(default_factory=lambda: Secret(""))
    path: str = ""


def parse_listen(text: str) -> tuple[str, int]:
    """Return "127.0.0.1:8765" as (host, port); raises ValueError. Port 0 takes a free one."""
    found = _LISTEN.fullmatch(text)
    if found is None or int(found[2]) > 65_535:
        raise ValueError(f"{text[:60]!r} is no address and port: 127.0.0.1:8765")
    return found[1].strip("[]"), int(found[2])


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches what listens on ``host``."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_hosts(text: str) -> tuple[str, ...]:
    """Return "console.lan, console.lan:8443" in small letters; raises ValueError naming the part that is no host."""
    return _parts(text, _HOST, "host name")


def parse_origins(text: str) -> tuple[str, ...]:
    """Return "https://dash.lan" in small letters; raises ValueError naming the part that is no origin."""
    return _parts(text, _ORIGIN, "origin, https://name")


def _parts(text: str, form: re.Pattern[str], what: str) -> tuple[str, ...]:
    found = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    for part in found:
        if not form.fullmatch(part):
            raise ValueError(f"{part[:60]!r} is no {what}")
    return found


def problem_of(token: str) -> str:
    """Return why a token is none, "" for a good one; never quotes it."""
    if not token:
        return "is empty"
    if not LEAST <= len(token) <= MOST:
        return f"must have {LEAST} to {MOST} characters"
    return "" if _TOKEN.fullmatch(token) else "must be of letters, digits and signs, without spaces"


def declare_token(name: str, body: Any, environ: Mapping[str, str]) -> ApiToken:
    """Return ``[tokens.NAME]``; raises BadDeclaration, never quoting a token."""
    check_name(name)
    check_keys(body, _KEYS)
    scope = body.get("scope", Scope.READ)
    if scope not in tuple(Scope):
        raise BadDeclaration(("scope",), f"must be one of {', '.join(Scope)}")
    own = body.get("own_jobs_only", False)
    if not isinstance(own, bool):
        raise BadDeclaration(("own_jobs_only",), "must be true or false")
    if own and scope == Scope.ADMIN:
        raise BadDeclaration(("own_jobs_only",), "is not for an admin: give it the scope read or operate")
    raw = body.get("token")
    if isinstance(raw, str) and raw.startswith(FILE) and raw.removeprefix(FILE).startswith("/"):
        return ApiToken(name=name, reference=raw, scope=Scope(scope), own_jobs_only=own, path=raw.removeprefix(FILE))
    try:
        variable = variable_of(raw, "token")
    except BadDeclaration:
        raise BadDeclaration(("token",), 'must be "env:NAME" or "file:/path", where the token stands') from None
    value = environ.get(variable, "").strip()
    if value and (why := problem_of(value)):
        raise BadDeclaration(("token",), f"what {variable} holds {why}; {ADVICE}")
    return ApiToken(name=name, reference=f"{ENV}{variable}", scope=Scope(scope), own_jobs_only=own, value=Secret(value))


def shown(token: ApiToken) -> Mapping[str, Any]:
    """Return what ``config show`` says of one: its reference, not itself."""
    return {"token": token.reference, "scope": str(token.scope), "own_jobs_only": token.own_jobs_only}
