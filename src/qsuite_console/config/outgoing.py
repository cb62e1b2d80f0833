"""``[outgoing]`` and ``[secrets.NAME]``: where requests may lead that somebody addresses, and what may be sent along.

A secret is bound to its hosts here, by the operator: whoever asks for a call can name it, but not take it elsewhere.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from qsuite_console.config.secrets import Secret

REFERENCE: Final = "env:"
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_HOST: Final = re.compile(r"[a-z0-9_:]([a-z0-9_:.-]{0,251}[a-z0-9_])?")
PORTS: Final = frozenset({80, 443, 8080, 8443})
_PORTED: Final = re.compile(r"(\[[^\]]*\]|[^:\[\]]*):([0-9]{1,5})")
SECRET_KEYS: Final = ("value", "hosts")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingSettings:
    """The guard of outgoing requests and their rate."""

    allow: str = ""  # "10.0.0.0/8, broker.internal:8443": what lies inside and may be reached all the same
    ports: str = "80, 443, 8080, 8443"
    calls_per_hour: int = 100  # of one address (host and path) and user


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """A host name or network that may be reached although it lies inside."""

    host: str = ""
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None = None
    port: int | None = None  # None: any


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSecret:
    """A secret of the environment under the name by which calls refer to it."""

    name: str
    variable: str
    hosts: tuple[str, ...]
    value: Secret = field(default_factory=lambda: Secret(""))


class BadDeclaration(ValueError):
    """Why a declaration is refused: the path of the key within it, and the reason in words that follow it."""

    def __init__(self, key: tuple[str, ...], message: str, known: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.key = key
        self.known = known  # what an unknown key may have been meant for


def parse_allowances(text: str) -> tuple[Allowance, ...]:
    """Return "10.0.0.0/8, broker.internal:8443" as allowances; raises ValueError naming the part that is none."""
    return tuple(_allowance(part.strip()) for part in text.split(",") if part.strip())


def parse_ports(text: str) -> frozenset[int]:
    """Return "80, 443" as numbers; raises ValueError naming the part that is none."""
    return frozenset(_port(part.strip()) for part in text.split(","))


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65_536):
        raise ValueError(f"{text[:40]!r} is no port, 1 to 65535")
    return int(text)


def _allowance(part: str) -> Allowance:
    body, port = part, None
    if found := _PORTED.fullmatch(part):
        body, port = found[1], _port(found[2])
    if body.startswith("[") and body.endswith("]"):
        body = body[1:-1]
    try:
        return Allowance(network=ipaddress.ip_network(body), port=port)
    except ValueError:
        host = body.lower().rstrip(".")
        is_name = _HOST.fullmatch(host) and ":" not in host and not host.rpartition(".")[2].isdigit()
        if not is_name:
            raise ValueError(f"{part[:60]!r} is no host, address or network") from None
        return Allowance(host=host, port=port)


def declare_secret(name: str, body: Any, environ: Mapping[str, str]) -> NamedSecret:
    """Return ``[secrets.NAME]``; raises BadDeclaration, never quoting a value."""
    check_name(name)
    check_keys(body, SECRET_KEYS)
    hosts = body.get("hosts")
    if not isinstance(hosts, list) or not hosts or not all(isinstance(h, str) and _HOST.fullmatch(h) for h in hosts):
        raise BadDeclaration(("hosts",), 'must list the hosts it may be sent to, ["api.example.com"]')
    variable = variable_of(body.get("value"), "value")
    return NamedSecret(
        name=name, variable=variable, hosts=tuple(hosts), value=Secret(environ.get(variable, "").strip())
    )


def check_name(name: str) -> None:
    """Raise BadDeclaration for a name nothing may have."""
    if not _NAME.fullmatch(name):
        raise BadDeclaration((), "its name must be small letters, digits, _ and -, at most 40")


def check_keys(body: Any, known: tuple[str, ...]) -> None:
    """Raise BadDeclaration unless it is a table of keys that are known."""
    if not isinstance(body, Mapping):
        raise BadDeclaration((), "write it as a table")
    for key in body:
        if key not in known:
            raise BadDeclaration((str(key),), "unknown key", known)


def variable_of(raw: Any, key: str) -> str:
    """Return NAME of "env:NAME"; raises BadDeclaration for anything else: a secret does not belong in the file."""
    text = raw.removeprefix(REFERENCE) if isinstance(raw, str) and raw.startswith(REFERENCE) else ""
    if not _VARIABLE.fullmatch(text):
        raise BadDeclaration((key,), 'must be "env:NAME", the variable that holds the secret')
    return text
