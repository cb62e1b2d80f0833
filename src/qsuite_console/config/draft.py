"""The values gathered while settings are loaded, each with its origin, and everything that was refused on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from qsuite_console.config.catalogue import CATALOGUE
from qsuite_console.config.schema import SCHEMA, did_you_mean
from qsuite_console.config.settings import QUEUES
from qsuite_console.config.tomlfile import Key, TomlFile
from qsuite_console.config.values import BadValue, convert
from qsuite_console.model.text import clean


@dataclass(slots=True)
class Draft:
    """Values gathered so far; the later one of a key wins."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    environ: Mapping[str, str] = field(default_factory=dict)

    def put(self, key: str, raw: Any, origin: str, *, is_text: bool) -> None:
        """Convert and keep a value, or note why not."""
        try:
            value = convert(raw, SCHEMA[key], CATALOGUE[key], is_text=is_text)
        except BadValue as error:
            self.problems.append(f"{origin}: {key}: {clean(error)}")
            return
        self.values[key] = value
        self.origins[key] = origin

    def put_table(self, key: str, raw: Any, file: TomlFile, base: Key) -> None:
        """Convert and keep a table of named values; each bad one is noted with its own line."""
        if not isinstance(raw, Mapping):
            self.problems.append(f"{place_of(file, base)}: {key}: expected a table of named values")
            return
        known = QUEUES if key == "engine.queues" else None
        values: dict[str, Any] = {name: slots for name, (slots, _) in QUEUES.items()} if known else {}
        for name, each in raw.items():
            place = f"{place_of(file, (*base, name))}: {key}.{clean(name)}"
            if known and name not in known:
                self.problems.append(f"{place}: unknown queue{did_you_mean(name, known)}")
                continue
            try:
                values[name] = convert(each, get_args(SCHEMA[key])[1], CATALOGUE[key], is_text=False)
            except BadValue as error:
                self.problems.append(f"{place}: {clean(error)}")
        self.values[key] = values
        self.origins[key] = place_of(file, base)

    def unknown(self, file: TomlFile, key: Key, known: Iterable[str]) -> None:
        """Refuse a key nobody knows, and say which one may have been meant."""
        place = place_of(file, key)
        self.problems.append(f"{place}: {clean('.'.join(key))}: unknown key{did_you_mean(key[-1], known)}")


def place_of(file: TomlFile, key: Key) -> str:
    """Return where a key stands: "FILE:12"."""
    return f"{file.path}:{file.line(key)}"
