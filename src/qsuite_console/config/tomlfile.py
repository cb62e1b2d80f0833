"""A TOML file with the line of every key, which ``tomllib`` doesn't keep: a refused value must say where it stands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

Key = tuple[str, ...]
_POSITION: Final = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$")


class TomlError(ValueError):
    """The file isn't TOML; ``line`` counts from 1, 0 when it isn't known."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class TomlFile:
    """The parsed values and where each key was written."""

    path: Path
    values: Mapping[str, Any]
    lines: Mapping[Key, int] = field(default_factory=dict)

    def line(self, key: Key) -> int:
        """Return the line of ``key``, or of the nearest enclosing table."""
        while key:
            if key in self.lines:
                return self.lines[key]
            key = key[:-1]
        return 1


def read(path: Path) -> TomlFile:
    """Parse the file; raises TomlError for text that isn't TOML and OSError for a file that can't be read."""
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise TomlError("is not UTF-8 text", 0) from error
    return parse(text, path)


def parse(text: str, path: Path) -> TomlFile:
    """Parse TOML text that came from ``path``."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _POSITION.search(str(error))
        line = int(match[1]) if match and match[1] else text.count("\n") + 1
        raise TomlError(_POSITION.sub("", str(error)), line) from error
    return TomlFile(path, values, dict(_locate(text)))


def _locate(text: str) -> Iterator[tuple[Key, int]]:
    """Yield each key with its line. A statement ends where the lines gathered so far are TOML by themselves."""
    table: Key = ()
    gathered = ""
    first = 1
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        first = first if gathered else number
        gathered += line
        try:
            values = tomllib.loads(gathered)
        except tomllib.TOMLDecodeError:
            continue
        is_header = gathered.lstrip().startswith("[")
        keys = list(_keys(values))
        if is_header and keys:
            table = keys[-1]
            yield table, first
        else:
            for key in keys:
                yield table + key, first
        gathered = ""


def _keys(values: Any) -> Iterator[Key]:
    if isinstance(values, list):
        values = values[-1] if values else {}
    if not isinstance(values, dict):
        return
    for name, value in values.items():
        yield (name,)
        for rest in _keys(value):
            yield (name, *rest)
