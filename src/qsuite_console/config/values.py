"""One raw value, from a file or the environment, made into what the setting's type and catalogue entry allow.

Messages never contain the value of a secret.
"""

from __future__ import annotations

import math
import re
import types
from collections.abc import Callable, Mapping
from typing import Any, Final, Union, get_args, get_origin
from urllib.parse import urlsplit

from qsuite_console.config.api import parse_hosts, parse_listen, parse_origins
from qsuite_console.config.catalogue import IDENTIFIER, Entry
from qsuite_console.config.outgoing import parse_allowances, parse_ports
from qsuite_console.config.secrets import Secret

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_DRIVER: Final = re.compile(r"^(postgres(?:ql)?)\+[a-z0-9_]+(?=://)")


class BadValue(ValueError):
    """Why the value is refused, in words that follow "database.pool_max: "."""


def convert(raw: Any, wanted: Any, entry: Entry, *, is_text: bool) -> Any:
    """Return ``raw`` as ``wanted``; ``is_text`` for the environment and flags, where everything is text."""
    wanted = _without_none(wanted)
    if wanted is bool:
        value: Any = _boolean(raw, is_text)
    elif wanted is int:
        value = _integer(raw, is_text)
    elif wanted is float:
        value = _number(raw, is_text)
    else:
        value = _text(raw)
    if isinstance(value, str):
        _check_text(value, entry)
        return Secret(_plain_scheme(value)) if wanted is Secret else value
    _check_range(value, entry)
    return value


def _without_none(wanted: Any) -> Any:
    if get_origin(wanted) in (Union, types.UnionType):
        return next(each for each in get_args(wanted) if each is not types.NoneType)
    return wanted


def _boolean(raw: Any, is_text: bool) -> bool:
    if isinstance(raw, bool):
        return raw
    word = str(raw).strip().lower()
    if is_text and word in _TRUE | _FALSE:
        return word in _TRUE
    raise BadValue(f"expected true or false, got {_describe(raw)}")


def _integer(raw: Any, is_text: bool) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if is_text and re.fullmatch(r"\s*[+-]?\d{1,18}\s*", str(raw)):
        return int(raw)
    raise BadValue(f"expected a whole number, got {_describe(raw)}")


def _number(raw: Any, is_text: bool) -> float:
    if is_text:
        try:
            raw = float(raw)
        except ValueError:
            raise BadValue(f"expected a number, got {_describe(raw)}") from None
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        raise BadValue(f"expected a number, got {_describe(raw)}")
    return float(raw)


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise BadValue(f"expected text in quotes, got {_describe(raw)}")
    if any(ord(character) < 32 or ord(character) == 127 for character in raw):
        raise BadValue("holds a control character")
    return raw.strip()


def _check_range(value: float, entry: Entry) -> None:
    if entry.minimum is not None and value < entry.minimum:
        raise BadValue(f"{value:g} is too small, the least is {entry.minimum:g}")
    if entry.maximum is not None and value > entry.maximum:
        raise BadValue(f"{value:g} is too large, the most is {entry.maximum:g}")


def _check_text(value: str, entry: Entry) -> None:
    if entry.choices and value not in entry.choices:
        raise BadValue(f"{value!r} is none of {', '.join(entry.choices)}")
    check = _FORMS.get(entry.form)
    if check is not None:
        check(value)


def _describe(raw: Any) -> str:
    if isinstance(raw, str):
        return f"text {raw[:40]!r}"
    if isinstance(raw, Mapping):
        return "a table"
    return "a list" if isinstance(raw, list) else repr(raw)[:40]


def _plain_scheme(value: str) -> str:
    """Return a DSN without the driver suffix that SQLAlchemy and Django put behind its scheme."""
    return _DRIVER.sub(r"\1", value)


def _check_url(value: str, schemes: tuple[str, ...], *, has_host: bool = True) -> None:
    try:
        parts = urlsplit(value)
        port_is_good = parts.port is None or parts.port > 0
    except ValueError:
        raise BadValue(
            "is not a URL (check the port and brackets; escape @ / : # in a password as %40 %2F %3A %23)"
        ) from None
    if parts.scheme not in schemes:
        raise BadValue(f"must start with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if not port_is_good or (has_host and not parts.hostname):
        raise BadValue("names no host")


def _check_dsn(value: str) -> None:
    if value:
        _check_url(_plain_scheme(value), ("postgresql", "postgres"), has_host=False)


def _check_redis(value: str) -> None:
    if value.startswith("unix://"):
        return
    if value:
        _check_url(value, ("redis", "rediss", "unix"))


def _check_http(value: str) -> None:
    _check_url(value, ("https", "http"))
    if "@" in urlsplit(value).netloc:
        raise BadValue("must not hold a user name or password")


def _check_engine(value: str) -> None:
    if value.startswith("unix:"):
        if not value.removeprefix("unix:").startswith("/"):
            raise BadValue("must name the socket by its whole path: unix:/path/to/engine.sock")
    elif value:
        _check_http(value)
        if urlsplit(value).query or urlsplit(value).fragment:
            raise BadValue("must not hold a query or fragment")


def _check_identifier(value: str) -> None:
    if not IDENTIFIER.fullmatch(value):
        raise BadValue("must be a table's name or schema.name: letters, digits and _, at most 63 each")


def _check_prefix(value: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", value):
        raise BadValue("must be 1 to 40 letters, digits, dots, dashes and underscores, a letter or digit first")


def _parsed(parse: Callable[[str], object]) -> Callable[[str], None]:
    """Return a check that refuses what ``parse`` refuses, in its words."""

    def check(value: str) -> None:
        try:
            parse(value)
        except ValueError as error:
            raise BadValue(str(error)) from None

    return check


_FORMS: Final[Mapping[str, Callable[[str], None]]] = {
    "dsn": _check_dsn,
    "redis": _check_redis,
    "engine": _check_engine,
    "http": _check_http,
    "identifier": _check_identifier,
    "prefix": _check_prefix,
    "allowances": _parsed(parse_allowances),
    "ports": _parsed(parse_ports),
    "listen": _parsed(lambda value: parse_listen(value) if value else None),
    "hosts": _parsed(parse_hosts),
    "origins": _parsed(parse_origins),
}
