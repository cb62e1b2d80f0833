"""What a report says, typed and without any form: every format is made from it, and it alone crosses to the renderer.

Text is clean of control characters when it gets here (``cell`` sees to it); escaping is the business of each format.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Final, Literal

import msgspec

from qsuite_console.model.text import clean

Tone = Literal["", "good", "warn", "bad", "faint"]
_LONGEST: Final = 1000  # characters of a cell


class Cell(msgspec.Struct, frozen=True, array_like=True):
    """One field of a table: as people read it, and as programs do (None: the text is all there is).

    ``curve``: values that are drawn small, where there is room to draw.
    """

    text: str
    value: float | int | str | None = None
    tone: Tone = ""
    curve: tuple[float, ...] = ()


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column; numbers stand to the right, a wide one takes what room the others leave."""

    title: str
    unit: str = ""
    is_number: bool = False
    is_wide: bool = False


class Table(msgspec.Struct, frozen=True, kw_only=True, tag="table"):
    """Rows under a heading. ``total``: how many there are of which these are the first; ``empty``: said if none."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...] = ()
    total: int = 0
    note: str = ""
    empty: str = "nothing to show"


class Fact(msgspec.Struct, frozen=True, array_like=True):
    """A labelled value."""

    label: str
    value: str
    tone: Tone = ""


class Facts(msgspec.Struct, frozen=True, kw_only=True, tag="facts"):
    """Labelled values side by side."""

    facts: tuple[Fact, ...]
    title: str = ""


class Text(msgspec.Struct, frozen=True, kw_only=True, tag="text"):
    """Paragraphs."""

    paragraphs: tuple[str, ...]


class Notice(msgspec.Struct, frozen=True, kw_only=True, tag="notice"):
    """Something to be heeded: nothing was found, something could not be read."""

    title: str
    lines: tuple[str, ...] = ()
    tone: Tone = "warn"


class Gauge(msgspec.Struct, frozen=True, kw_only=True):
    """A score of 0 to 100; None where too little is known."""

    label: str
    value: float | None = None
    note: str = ""


class Gauges(msgspec.Struct, frozen=True, kw_only=True, tag="gauges"):
    """Scores side by side."""

    gauges: tuple[Gauge, ...]


class Advice(msgspec.Struct, frozen=True, kw_only=True, tag="advice"):
    """One finding: what, how bad, the evidence, and what to run."""

    title: str
    severity: str
    facts: tuple[Fact, ...] = ()
    code: str = ""


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a chart: (seconds since 1970, value); a value of None breaks it."""

    label: str
    points: tuple[tuple[float, float | None], ...] = ()


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold drawn across a chart."""

    label: str
    value: float
    tone: Tone = "warn"


class LineChart(msgspec.Struct, frozen=True, kw_only=True, tag="lines"):
    """Figures over time on one axis of ``unit``; ``zone`` is that of the time axis."""

    title: str
    unit: str
    curves: tuple[Curve, ...]
    start: float
    end: float
    zone: str = "UTC"
    limits: tuple[Limit, ...] = ()
    note: str = ""
    has_zero: bool = True  # the axis begins at zero
    is_hollow: bool = False  # nothing was measured


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One bar: its parts from left to right, each with its tone."""

    label: str
    parts: tuple[tuple[float, Tone], ...]
    text: str = ""


class BarChart(msgspec.Struct, frozen=True, kw_only=True, tag="bars"):
    """Amounts beside each other, in ``unit``."""

    title: str
    unit: str
    bars: tuple[Bar, ...]
    legend: tuple[tuple[str, Tone], ...] = ()
    note: str = ""


class HeatCell(msgspec.Struct, frozen=True, array_like=True):
    """One cell: a sign that tells the state without colour, its tone, and what it stands for."""

    sign: str
    tone: Tone = ""
    title: str = ""


class HeatMap(msgspec.Struct, frozen=True, kw_only=True, tag="map"):
    """Rows of states under columns: which months of which symbols are there."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[HeatCell, ...]], ...]
    unit: str = ""
    legend: tuple[tuple[str, Tone, str], ...] = ()
    note: str = ""


Block = Table | Facts | Text | Notice | Gauges | Advice | LineChart | BarChart | HeatMap


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A chapter; ``id`` is the anchor that the contents point to."""

    id: str
    title: str
    blocks: tuple[Block, ...] = ()
    intro: str = ""


class Cover(msgspec.Struct, frozen=True, kw_only=True):
    """What the first page says, so that the rest can be judged by it."""

    title: str
    subtitle: str = ""
    target: str = ""
    word: str = ""
    window: str = ""
    zone: str = ""
    made: str = ""
    age: str = ""  # of the newest data in it
    coverage: str = ""
    origin: str = ""
    notes: tuple[str, ...] = ()  # why it is not all it could be
    highlights: tuple[Fact, ...] = ()  # what a reader in a hurry should know


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A whole report."""

    name: str
    created_at: dt.datetime
    cover: Cover
    sections: tuple[Section, ...] = ()
    is_partial: bool = False

    @property
    def tables(self) -> tuple[Table, ...]:
        """Return every table, in order."""
        return tuple(block for section in self.sections for block in section.blocks if isinstance(block, Table))


def cell(value: object, text: str = "", tone: Tone = "") -> Cell:
    """Return a field from any value: its own text unless one is given; None is a dash."""
    if value is None:
        return Cell(text or "–", None, tone or "faint")
    if isinstance(value, bool):
        return Cell(text or ("yes" if value else "no"), text or ("yes" if value else "no"), tone)
    if isinstance(value, int | float):
        return Cell(text or _number(value), value, tone)
    if isinstance(value, Decimal):
        return Cell(text or _decimal(value), str(value), tone)
    if isinstance(value, dt.datetime):
        return Cell(text or f"{value:%Y-%m-%d %H:%M:%S}", value.isoformat(), tone)
    if isinstance(value, dt.date):
        return Cell(text or value.isoformat(), value.isoformat(), tone)
    return Cell(clean(text or value, _LONGEST), clean(value, _LONGEST) if text else None, tone)


def _number(value: float) -> str:
    if isinstance(value, int) or value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4g}"


def _decimal(value: Decimal) -> str:
    """Return a price or an amount: whole as it is, else with at least two decimals and no more than tell something."""
    if not value.is_finite() or (value == value.to_integral_value() and value.as_tuple().exponent == 0):
        return f"{value:,f}" if value.is_finite() else str(value)
    whole, _, decimals = f"{value:,.{4 if abs(value) >= 1 else 8}f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"
