"""What is done to rows on their way, as declared: in a file (TOML or JSON), in parameters, or both; parameters win.

In this order: filter, derive, cast, drop incomplete rows, rename, stamp. Expressions name columns as the source does.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.text import clean
from qsuite_console.workers.stream.syntax import split_list

STAMP: Final = "processed_at"
_LARGEST: Final = 1_000_000  # bytes of a file that is declared by hand


class Transform(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A declared transform. ``columns``: which of the source's and derived ones are kept, empty for all."""

    columns: tuple[str, ...] = ()
    filter: str = ""
    derive: dict[str, str] = {}
    cast: dict[str, str] = {}
    rename: dict[str, str] = {}
    drop_incomplete: bool | tuple[str, ...] = False
    processed_at: bool | str = False

    @property
    def stamp(self) -> str:
        """Return the column that gets the time, "" for none."""
        return self.processed_at if isinstance(self.processed_at, str) else STAMP if self.processed_at else ""

    @property
    def reads_values(self) -> bool:
        """Return whether rows must be looked into, rather than handed on as they are."""
        return bool(self.filter or self.derive or self.cast or self.drop_incomplete)

    def named(self, column: str) -> str:
        """Return what a column is called in the destination."""
        return self.rename.get(column, column)


def read_pairs(text: str) -> dict[str, str]:
    """Return ``a=b, c=d`` as a mapping; raises ValueError for what is no pair."""
    found: dict[str, str] = {}
    for part in split_list(text):
        name, sign, value = part.partition("=")
        name, value = name.strip().strip('"'), value.strip()
        if not sign or not name or not value:
            raise ValueError(f"{clean(part, 60)!r} is not of the form name=value")
        if name in found:
            raise ValueError(f"{clean(name, 60)} is named twice")
        found[name] = value
    return found


def read_names(text: str) -> tuple[str, ...]:
    """Return ``a, b`` as names."""
    return tuple(part.strip('"') for part in split_list(text))


def load_transform(path: str) -> Transform:
    """Read a transform from a file; blocks. Raises InvalidParameters."""
    file = Path(path)
    try:
        if file.stat().st_size > _LARGEST:
            raise InvalidParameters({"transform": f"{clean(path, 200)} is larger than {_LARGEST:,} bytes"})
        text = file.read_bytes().decode("utf-8")
    except OSError as error:
        raise InvalidParameters({"transform": f"{clean(path, 200)} can't be read: {error.strerror}"}) from error
    except UnicodeDecodeError as error:
        raise InvalidParameters({"transform": f"{clean(path, 200)} is not UTF-8 text"}) from error
    try:
        values = json.loads(text) if file.suffix.lower() == ".json" else tomllib.loads(text)
        return msgspec.convert(values, Transform)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise InvalidParameters(
            {"transform": f"{clean(file.name, 100)}: {clean(error, 200)}"},
            hint="known are columns, filter, [derive], [cast], [rename], drop_incomplete, processed_at",
        ) from error


def merge(file: Transform, given: Mapping[str, Any]) -> Transform:
    """Return the transform of a file with what parameters state instead; empty values state nothing."""
    changes = {name: value for name, value in given.items() if value}
    for name in ("derive", "cast", "rename"):
        if name in changes:
            changes[name] = {**getattr(file, name), **changes[name]}
    return msgspec.structs.replace(file, **changes)
