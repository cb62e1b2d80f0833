"""Records of bars as files and callers bring them, and the same by column: what is judged by column costs a quarter.

A record is made of a line only where somebody looks at it closely. Columns hold texts, whatever the source: only what
reads as a plain number or instant there is judged by column, so nothing is lost of types by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final

REQUIRED: Final = ("symbol", "timestamp", "open", "high", "low", "close", "volume")
OPTIONAL: Final = ("trade_count", "vwap")
SHORT: Final[Mapping[str, str]] = {
    "s": "symbol",
    "S": "symbol",
    "t": "timestamp",
    "o": "open",
    "h": "high",
    "l": "low",
    "c": "close",
    "v": "volume",
    "n": "trade_count",
    "vw": "vwap",
}
_USUAL: Final = itemgetter(*REQUIRED)


@dataclass(slots=True)  # not frozen: made a million times, and that would double its cost
class Record:
    """One record: values by long name, or the reason why there are none. ``number`` is its line, or row from 1."""

    number: int
    values: Mapping[str, Any]
    raw: str
    problem: str = ""


@dataclass(slots=True)
class Columns:
    """Fields by long name, for the records at ``places``; those at ``odd`` are no usual records."""

    places: Sequence[int] = ()
    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    odd: list[int] = field(default_factory=list)


class Lines:
    """Lines of a text file as a sequence of records. ``broken`` are those, by place, that are no text at all."""

    def __init__(
        self,
        numbers: Sequence[int],
        texts: Sequence[str],
        broken: Mapping[int, Record],
        parse: Callable[[int, str], Record],
        split: Callable[[Sequence[str]], Columns],
    ) -> None:
        self._numbers, self._texts, self._broken = numbers, texts, broken
        self._parse, self._split = parse, split

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, place: int) -> Record:
        broken = self._broken.get(place)
        return self._parse(self._numbers[place], self._texts[place]) if broken is None else broken

    def __iter__(self) -> Iterator[Record]:
        return (self[place] for place in range(len(self)))

    def numbers(self, places: Iterable[int]) -> list[int]:
        """Return the numbers of the lines at ``places``."""
        numbers = self._numbers
        return [numbers[place] for place in places]

    def columns(self, low: int, high: int) -> Columns:
        """Return the records at places [low, high) by column, counted from ``low``; a broken one is odd."""
        return self._split(self._texts[low:high])


class Rows:
    """Rows of a table as a sequence of records. ``read`` returns one by its place, ``columns`` those at [low, high)."""

    def __init__(
        self, first: int, count: int, read: Callable[[int], Mapping[str, Any]], columns: Callable[[int, int], Columns]
    ) -> None:
        self._first, self._count, self._read = first, count, read
        self.columns = columns

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int) -> Record:
        return Record(self._first + place, self._read(place), "")

    def __iter__(self) -> Iterator[Record]:
        return (self[place] for place in range(self._count))

    def numbers(self, places: Iterable[int]) -> list[int]:
        """Return the numbers of the rows at ``places``."""
        return [self._first + place for place in places]


Records = list[Record] | Lines | Rows


@dataclass(slots=True)
class Chunk:
    """Records in a row, and where the next one begins (byte offset and number of the last line)."""

    records: Records = field(default_factory=list)
    offset: int = 0
    number: int = 0


def by_column(rows: Sequence[Sequence[str] | None], names: Sequence[str]) -> Columns:
    """Return rows of texts by column; None, or a row of another length than ``names``, is odd."""
    width = len(names)
    places = [place for place, row in enumerate(rows) if row is not None and len(row) == width]
    usual = rows if len(places) == len(rows) else [rows[place] for place in places]
    odd = [] if usual is rows else sorted({*range(len(rows))}.difference(places))
    columns = list(zip(*usual, strict=True)) if places else [()] * width
    return Columns(places, dict(zip(names, columns, strict=True)), odd)


def columns_of(records: Sequence[Record]) -> Columns:
    """Return records of values by column; what isn't text is written as text, but for a symbol that is none."""
    rows: list[Sequence[str] | None] = []
    has_more = any(name in record.values for record in records[:1] for name in OPTIONAL)
    for record in records:
        try:
            values = _USUAL(record.values)
        except KeyError:
            rows.append(None)
            continue
        row = tuple(map(str, values)) if type(values[0]) is str and not record.problem else None
        if row is not None and has_more:
            more = map(record.values.get, OPTIONAL)
            row = (*row, *("" if value is None else str(value) for value in more))
        elif row is not None and any(name in record.values for name in OPTIONAL):
            row = None
        rows.append(row)
    return by_column(rows, (*REQUIRED, *OPTIONAL) if has_more else REQUIRED)
