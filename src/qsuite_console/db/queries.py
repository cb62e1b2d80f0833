"""Named SQL from the ``.sql`` files beside this module: ``-- @name x @pg 13-18`` opens a query, the next one ends it.

Several entries with one name are variants; the one whose version range holds the server's major version is taken.
``-- @part x @pg 13-15`` opens text that queries share: it stands wherever a line says ``-- @use x``, in its variant for
the server. So a query is written once, and what differs between versions or queries is all that is written twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Final

DIRECTORY: Final = "sql"
_HEADER: Final = re.compile(
    r"^--\s*@(?P<kind>name|part)\s+(?P<name>[a-z][a-z0-9_]*)(?:\s+@pg\s+(?P<low>\d+)-(?P<high>\d+))?\s*$"
)
_USE: Final = re.compile(r"^[ \t]*--\s*@use\s+(?P<name>[a-z][a-z0-9_]*)[ \t]*$", re.MULTILINE)
_PART: Final = "@"  # before the name of a part in the catalogue, so that no query can be called like it
_ANY: Final = (0, 999)


@dataclass(frozen=True, slots=True)
class Variant:
    """One text of a query and the server versions it is for (major, inclusive)."""

    low: int
    high: int
    text: str


def load(name: str, version: int | None = None) -> str:
    """Return the SQL called ``name`` for a server of major ``version`` (None: the newest variant); KeyError if none."""
    return _USE.sub(lambda use: load(_PART + use["name"], version), _variant(name, version))


def _variant(name: str, version: int | None) -> str:
    variants = _catalogue().get(name)
    if not variants:
        raise KeyError(f"no {'part' if name.startswith(_PART) else 'query'} is named {name.removeprefix(_PART)!r}")
    if version is None:
        return max(variants, key=lambda variant: variant.high).text
    for variant in variants:
        if variant.low <= version <= variant.high:
            return variant.text
    newest = max(variants, key=lambda variant: variant.high)
    if version > newest.high:
        return newest.text  # a server newer than this program: its views have only ever grown
    raise KeyError(f"query {name!r} has no variant for PostgreSQL {version}")


def names() -> tuple[str, ...]:
    """Return every query's name, sorted."""
    return tuple(sorted(name for name in _catalogue() if not name.startswith(_PART)))


def parse(text: str) -> dict[str, list[Variant]]:
    """Split a file's text into queries, and parts under ``@name``; what stands before the first header is ignored."""
    found: dict[str, list[Variant]] = {}
    current: tuple[str, int, int] | None = None
    body: list[str] = []

    def close() -> None:
        if current is not None:
            sql = "\n".join(body).strip().rstrip(";").strip()
            found.setdefault(current[0], []).append(Variant(current[1], current[2], sql))

    for line in text.splitlines():
        header = _HEADER.match(line)
        if header is None:
            body.append(line)
            continue
        close()
        low, high = (int(header["low"]), int(header["high"])) if header["low"] else _ANY
        current, body = (_PART * (header["kind"] == "part") + header["name"], low, high), []
    close()
    return found


@lru_cache(maxsize=1)
def _catalogue() -> dict[str, tuple[Variant, ...]]:
    merged: dict[str, tuple[Variant, ...]] = {}
    for file in sorted((resources.files(__package__) / DIRECTORY).iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".sql"):
            for name, variants in parse(file.read_text("utf-8")).items():
                merged[name] = (*merged.get(name, ()), *variants)
    return merged
