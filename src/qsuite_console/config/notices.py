"""``[webhooks.NAME]``, ``[notify.NAME]`` and ``[smtp]``: who is told of jobs, alerts and schedules, and how.

Secrets are references: "env:NAME" is read when the configuration is, "file:/path" anew for every delivery, so that a
secret can be changed without a restart. Two of them are valid at once while one replaces the other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import urlsplit

from qsuite_console.config.outgoing import BadDeclaration, check_keys, check_name, variable_of
from qsuite_console.config.secrets import Secret

ENV: Final = "env:"
FILE: Final = "file:"
EVENTS: Final = (
    "job.succeeded",
    "job.failed",
    "job.cancelled",
    "alert.fired",
    "alert.cleared",
    "schedule.missed",
)
LEVELS: Final = ("warning", "critical")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")


class Way(StrEnum):
    """How an endpoint is told."""

    WEBHOOK = "webhook"
    COMMAND = "command"
    EMAIL = "e-mail"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpSettings:
    """The mail server that alerts go out by."""

    host: str = ""
    port: int = 587
    security: str = "starttls"  # "starttls", "tls", "none"
    user: str = ""
    password: Secret = field(default_factory=lambda: Secret(""))
    sender: str = ""  # "" is qsuite-console@ this host


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningSecret:
    """One valid secret of a webhook: a value, or the file that holds it."""

    reference: str
    value: Secret = field(default_factory=lambda: Secret(""))
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Somebody who is told, how, and of what."""

    name: str
    way: Way
    url: Secret = field(default_factory=lambda: Secret(""))
    url_reference: str = ""  # as the file states it, where that is no secret or a name of one
    secret: tuple[SigningSecret, ...] = ()
    command: tuple[str, ...] = ()
    email: tuple[str, ...] = ()
    events: tuple[str, ...] = ("job.failed", "alert.fired", "alert.cleared", "schedule.missed")
    kinds: tuple[str, ...] = ("*",)  # of jobs
    schedules: tuple[str, ...] = ("*",)  # for jobs and misses of these schedules; "*" is any job
    alerts: tuple[str, ...] = ("*",)
    levels: tuple[str, ...] = LEVELS
    timeout_s: float = 15.0
    enabled: bool = True

    def wants_job(self, event: str, kind: str, schedule: str) -> bool:
        """Tell whether it is told of the end of a job; ``schedule`` is "" where none started it."""
        is_of = "*" in self.schedules or _any(schedule, self.schedules)
        return is_of and event in self.events and _any(kind, self.kinds)

    def wants_alert(self, event: str, alert: str, level: str) -> bool:
        """Tell whether it is told of a change of an alert."""
        return event in self.events and level in self.levels and _any(alert, self.alerts)

    def wants_schedule(self, event: str, schedule: str) -> bool:
        """Tell whether it is told of a schedule."""
        return event in self.events and _any(schedule, self.schedules)


def _any(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def declare_webhook(name: str, body: Any, environ: Mapping[str, str]) -> Endpoint:
    """Return ``[webhooks.NAME]``; raises BadDeclaration, never quoting a secret."""
    check_name(name)
    check_keys(body, ("url", "secret", *COMMON))
    given = _common(body)
    reference, url = _url(body.get("url"), environ)
    raw = body.get("secret")
    listed = raw if isinstance(raw, list) else [raw]
    if not 1 <= len(listed) <= 2:
        raise BadDeclaration(("secret",), "must be one reference, or two while one replaces the other")
    return Endpoint(
        name=name,
        way=Way.WEBHOOK,
        url=url,
        url_reference=reference,
        secret=tuple(_secret(each, environ) for each in listed),
        **given,
    )


def declare_notice(name: str, body: Any, environ: Mapping[str, str]) -> Endpoint:
    """Return ``[notify.NAME]``; raises BadDeclaration."""
    check_name(name)
    check_keys(body, ("command", "email", *COMMON))
    given = _common(body)
    ways = [key for key in ("command", "email") if key in body]
    if len(ways) != 1:
        raise BadDeclaration((), 'wants one of command = ["/path", "argument"] and email = ["ada@example.com"]')
    given.setdefault("events", ("alert.fired", "alert.cleared"))
    if ways == ["email"]:
        addresses = _texts(body["email"], ("email",))
        if not addresses or not all(_ADDRESS.fullmatch(one) for one in addresses):
            raise BadDeclaration(("email",), 'must list addresses, ["ada@example.com"]')
        return Endpoint(name=name, way=Way.EMAIL, email=addresses, **given)
    program = _texts(body["command"], ("command",))
    if not program or not program[0].startswith("/"):
        raise BadDeclaration(("command",), 'must list an absolute path and arguments, ["/path/of/program", "-v"]')
    return Endpoint(name=name, way=Way.COMMAND, command=program, **given)


def _url(raw: Any, environ: Mapping[str, str]) -> tuple[str, Secret]:
    """Return a URL as it may be shown, and itself: it may be a secret, and is taken for one."""
    if not isinstance(raw, str) or _CONTROL.search(raw):
        raise BadDeclaration(("url",), 'must be a URL in quotes, or "env:NAME" where it is a secret')
    text = environ.get(variable_of(raw, "url"), "").strip() if raw.startswith(ENV) else raw
    if text:
        try:
            parts = urlsplit(text)
            is_good = parts.scheme in ("https", "http") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            is_good = False
        if not is_good or "@" in urlsplit(text).netloc:
            raise BadDeclaration(("url",), "must start with https:// or http://, name a host and no user")
    return (raw if raw.startswith(ENV) else urlsplit(text).hostname or ""), Secret(text)


def _secret(raw: Any, environ: Mapping[str, str]) -> SigningSecret:
    if isinstance(raw, str) and raw.startswith(FILE) and raw.removeprefix(FILE).startswith("/"):
        return SigningSecret(reference=raw, path=raw.removeprefix(FILE))
    try:
        variable = variable_of(raw, "secret")
    except BadDeclaration:
        message = 'must be "env:NAME" or "file:/path", where whsec_ and the base64 of 24 to 64 bytes stands'
        raise BadDeclaration(("secret",), message) from None
    return SigningSecret(reference=f"{ENV}{variable}", value=Secret(environ.get(variable, "").strip()))


def _texts(raw: Any, key: tuple[str, ...]) -> tuple[str, ...]:
    if not isinstance(raw, list) or not all(isinstance(each, str) and not _CONTROL.search(each) for each in raw):
        raise BadDeclaration(key, "must be a list of texts")
    return tuple(raw)


def _events(raw: Any) -> tuple[str, ...]:
    found: list[str] = []
    for pattern in _texts(raw, ("events",)):
        named = [event for event in EVENTS if fnmatchcase(event, pattern)]
        if not named:
            raise BadDeclaration(("events",), f"{pattern[:40]!r} is none of {', '.join(EVENTS)}")
        found += named
    return tuple(dict.fromkeys(found))


def _levels(raw: Any) -> tuple[str, ...]:
    found = _texts(raw, ("levels",))
    if not found or any(level not in LEVELS for level in found):
        raise BadDeclaration(("levels",), f"must list some of {', '.join(LEVELS)}")
    return found


def _patterns(name: str) -> Callable[[Any], tuple[str, ...]]:
    return lambda raw: _texts(raw, (name,))


def _seconds(raw: Any) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw) or not 1 <= raw <= 60:
        raise BadDeclaration(("timeout_s",), "must be seconds, 1 to 60")
    return float(raw)


def _flag(raw: Any) -> bool:
    if not isinstance(raw, bool):
        raise BadDeclaration(("enabled",), "must be true or false")
    return raw


_COMMON: Final[Mapping[str, Callable[[Any], Any]]] = {
    "events": _events,
    "kinds": _patterns("kinds"),
    "schedules": _patterns("schedules"),
    "alerts": _patterns("alerts"),
    "levels": _levels,
    "timeout_s": _seconds,
    "enabled": _flag,
}
COMMON: Final = tuple(_COMMON)


def _common(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: read(body[key]) for key, read in _COMMON.items() if key in body}


def shown(endpoint: Endpoint) -> Mapping[str, Any]:
    """Return what ``config show`` says of one: references instead of secrets."""
    own: dict[str, Any] = {}
    if endpoint.way is Way.WEBHOOK:
        own = {"url": endpoint.url_reference, "secret": [each.reference for each in endpoint.secret]}
    elif endpoint.way is Way.COMMAND:
        own = {"command": list(endpoint.command)}
    else:
        own = {"email": list(endpoint.email)}
    common = {key: getattr(endpoint, key) for key in COMMON}
    return {**own, **{key: list(value) if isinstance(value, tuple) else value for key, value in common.items()}}
