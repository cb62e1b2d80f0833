"""What a table is made of: columns that know when to leave, cells that are harmless and as wide as they should be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from qsuite_console.model.text import clean

GAP = 2
NARROW = 96  # cells below which a table has no room for all it could say
VITAL = 100  # columns that are kept by this or more never leave: the flexible one gives way


@dataclass(frozen=True, slots=True)
class Column:
    """A column; those with a low ``keep`` go first where the line is too short, a flexible one takes what is left."""

    key: str
    title: str
    width: int
    is_right: bool = False
    is_flexible: bool = False
    keep: int = 0
    narrow: int | None = None  # width in a table of less than NARROW cells
    at_least: int = 0  # only in tables of so many cells
    below: int = 10_000  # only in tables of fewer cells


@dataclass(frozen=True, slots=True)
class Cell:
    """Text with a tone: ok, warn, error, run, dim, accent, bold or "" for plain."""

    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Meter:
    """A progress bar with its percentage, as wide as its column."""

    fraction: float | None
    tone: str = "run"


Content = Cell | Meter | str
Row = Mapping[str, Content]


def fit(text: str, width: int, *, is_right: bool) -> str:
    """Return ``text`` made harmless and exactly ``width`` cells wide; what is cut ends in an ellipsis."""
    text = clean(text, 400)
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, max(0, width - 1)) + "…" if width else ""
    return " " * (width - length) + text if is_right else text + " " * (width - length)


def gap_after(width: int) -> int:
    """Return the blank cells after a column: glyphs stand close to what they are about."""
    return 1 if width == 1 else GAP
