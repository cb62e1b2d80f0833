"""What settings there are, by their keys: the type of each, read off the dataclasses, and the values of a Settings."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, get_origin, get_type_hints
from urllib.parse import unquote, urlsplit

from qsuite_console.config import api, commands, notices, queues, rules
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import Settings

THRESHOLDS: Final = "thresholds"
COMMANDS: Final = "commands"
# Tables of tables, each with a name of its own, and what ``config show`` says of one.
_SHOWN: Final[Mapping[str, Callable[[Any], Any]]] = {
    THRESHOLDS: lambda rule: {each: getattr(rule, each) for each in rules.FIELDS},
    COMMANDS: commands.shown,
    "queues": queues.shown,
    "secrets": lambda secret: {"value": f"env:{secret.variable}", "hosts": list(secret.hosts)},
    "webhooks": notices.shown,
    "notify": notices.shown,
    "tokens": api.shown,
}
NAMED: Final = tuple(_SHOWN)
OTHERS: Final = "others"


def walk(settings: Settings) -> Iterator[tuple[str, Any]]:
    """Yield (key, value) of every setting: ("database.pool_max", 10); of a named one its fields."""
    for item in dataclasses.fields(settings):
        value = getattr(settings, item.name)
        if item.name in NAMED:
            for name, named in value.items():
                yield f"{item.name}.{name}", dict(_SHOWN[item.name](named))
        elif item.name == OTHERS:
            continue  # stated in their own targets
        elif dataclasses.is_dataclass(value):
            for inner in dataclasses.fields(value):
                yield f"{item.name}.{inner.name}", getattr(value, inner.name)
        else:
            yield item.name, value


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean X?" for the known name nearest to ``name``, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def is_table(key: str) -> bool:
    """Return whether the setting is itself a table of named values."""
    origin = get_origin(SCHEMA[key])
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _schema() -> Mapping[str, Any]:
    schema: dict[str, Any] = {}
    for name, kind in get_type_hints(Settings).items():
        if name in (*NAMED, OTHERS):
            continue  # rows of a table of their own, not settings of a section
        if dataclasses.is_dataclass(kind):
            schema |= {f"{name}.{inner}": wanted for inner, wanted in get_type_hints(kind).items()}
        else:
            schema[name] = kind
    return MappingProxyType(schema)


SCHEMA: Final = _schema()


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Return every secret the settings hold, and the passwords within URLs, for the log filter that masks them."""
    stated = [value for _, value in walk(settings) if isinstance(value, Secret)]
    given = [value for command in settings.commands.values() for value in command.secrets.values()]
    given += [database.dsn for database in settings.others.values()]
    given += [named.value for named in settings.secrets.values()]
    given += [token.value for token in settings.tokens.values()]
    for endpoint in (*settings.webhooks.values(), *settings.notify.values()):
        given += [endpoint.url, *(each.value for each in endpoint.secret)]
    whole = [value.reveal() for value in (*stated, *given) if value]
    within = [urlsplit(value).password or "" for value in whole if "://" in value]
    return tuple(dict.fromkeys(each for secret in (*whole, *within) for each in (secret, unquote(secret)) if each))
