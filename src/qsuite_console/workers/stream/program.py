"""A transform bound to the columns of a source: checked before the first row, then run over chunks, row by row.

Where no value is looked at, chunks pass as bytes. A row that can't be computed is rejected with its key and the reason;
the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from qsuite_console.db.relation import Column
from qsuite_console.model.copytext import lines_of, rows_of
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.text import clean
from qsuite_console.workers.stream.algebra import Compiled
from qsuite_console.workers.stream.expressions import Scope, compile_node
from qsuite_console.workers.stream.syntax import BadExpression, parse
from qsuite_console.workers.stream.transform import Transform
from qsuite_console.workers.stream.values import (
    Kind,
    RowProblem,
    caster,
    column_of,
    kind_of,
    parse_type,
    read_value,
    write_value,
)

_SHOWN: Final = 120


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that can't be taken: what it is known by, and why."""

    row: str
    reason: str


@dataclass(slots=True)
class Made:
    """What became of a chunk: lines for the destination, and the rows that did not get there."""

    data: bytes
    rows: int
    filtered: int = 0
    dropped: int = 0
    rejected: list[Rejected] = field(default_factory=list)


@dataclass(slots=True)
class _Output:
    """A column of the destination: a place in the row, read and cast where it must be."""

    column: Column
    place: int = -1
    derived: Compiled | None = None
    cast: Callable[[Any], Any] | None = None
    kind: Kind = Kind.TEXT
    is_wanted: bool = False  # not NULL, or the row is dropped


class Program:
    """Made of a transform and a source's columns; raises InvalidParameters naming what is wrong.

    ``columns`` is what is read, in this order; ``outputs`` what comes out, the stamp last.
    """

    def __init__(self, transform: Transform, source: Sequence[Column], key: Sequence[str]) -> None:
        self.transform = transform
        self._key = tuple(key)
        self._problems: dict[str, str] = {}
        self._known = {column.name: column for column in source}
        derived = set(transform.derive)
        chosen = transform.columns or tuple(self._known)
        kept = (*chosen, *(name for name in transform.derive if name not in chosen))
        self._unknown("columns", kept, {*self._known, *derived})
        self._unknown("cast", transform.cast, kept)
        self._unknown("rename", transform.rename, kept)
        direct = [name for name in kept if name in self._known and name not in derived]
        is_all = transform.filter or derived
        read = [*direct, *(name for name in self._known if name not in direct and (is_all or name in self._key))]
        self.columns = tuple(self._known[name] for name in read)
        self._places = {name: place for place, name in enumerate(read)}
        self._scope = Scope({name: (place, kind_of(self._known[name])) for name, place in self._places.items()})
        self._used: set[int] = set()
        self._filter = self._condition(transform.filter) if transform.filter else None
        self._outputs = [self._output(name) for name in kept if name in self._known or name in derived]
        self._drop()
        self._check_names()
        if self._problems:
            raise InvalidParameters(self._problems)
        self._reads = sorted(self._used)
        self._kinds = [kind_of(column) for column in self.columns]
        self.is_direct = not transform.reads_values and [o.column.name for o in self._outputs] == [
            transform.named(name) for name in read
        ]

    @property
    def outputs(self) -> tuple[Column, ...]:
        """Return the columns of the destination, without the stamp."""
        return tuple(output.column for output in self._outputs)

    def places_of_key(self) -> tuple[tuple[str, int], ...]:
        """Return the columns of the key in what is read."""
        return tuple((name, self._places[name]) for name in self._key if name in self._places)

    def run(self, data: bytes, rows: int, stamp: str) -> Made:
        """Return what becomes of whole lines; ``stamp`` is the text of the time. Takes a while: call it in a thread."""
        if self.is_direct:
            tail = f"\t{stamp}\n".encode()
            return Made(data.replace(b"\n", tail) if self.transform.stamp else data, rows)
        made = Made(b"", 0)
        out: list[list[str | None]] = []
        end: list[str | None] = [stamp] if self.transform.stamp else []
        for row in rows_of(data):
            try:
                found = self._row(row, made)
            except RowProblem as error:
                made.rejected.append(Rejected(self.name_of(row), str(error)))
                continue
            if found is not None:
                out.append(found + end if end else found)
        made.data, made.rows = lines_of(out), len(out)
        return made

    def name_of(self, row: Sequence[str | None]) -> str:
        """Return what a row is known by: its key, or its first columns."""
        places = self.places_of_key() or tuple((column.name, place) for place, column in enumerate(self.columns[:3]))
        shown = (f"{name}={'NULL' if row[place] is None else row[place]}" for name, place in places)
        return clean(", ".join(shown), _SHOWN)

    def name_of_output(self, row: Sequence[str | None]) -> str:
        """Return what a row of the destination is known by."""
        names = [output.column.name for output in self._outputs]
        wanted = [self.transform.named(name) for name in self._key]
        places = [(name, names.index(name)) for name in wanted if name in names]
        shown = (
            f"{name}={'NULL' if row[place] is None else row[place]}"
            for name, place in places or list(zip(names[:3], range(3), strict=False))
        )
        return clean(", ".join(shown), _SHOWN)

    def _row(self, row: list[str | None], made: Made) -> list[str | None] | None:
        values: list[Any] = list(row)
        for place in self._reads:
            text = row[place]
            if text is not None:
                values[place] = self._read(place, text)
        if self._filter is not None and self._filter(values) is not True:
            made.filtered += 1
            return None
        found: list[str | None] = []
        for output in self._outputs:
            if output.derived is None and output.cast is None:
                value: Any = row[output.place]
            else:
                value = self._value(output, values)
            if value is None and output.is_wanted:
                made.dropped += 1
                return None
            found.append(value)
        return found

    def _read(self, place: int, text: str) -> Any:
        try:
            return read_value(self._kinds[place], text)
        except RowProblem as error:
            raise RowProblem(f"{self.columns[place].name}: {error}") from None

    def _value(self, output: _Output, values: Sequence[Any]) -> str | None:
        try:
            value = values[output.place] if output.derived is None else output.derived.run(values)
            if output.cast is not None:
                value = output.cast(value)
        except RowProblem as error:
            raise RowProblem(f"{output.column.name}: {error}") from None
        except (ValueError, ArithmeticError, TypeError) as error:
            raise RowProblem(f"{output.column.name}: {clean(error, 80) or type(error).__name__}") from None
        return write_value(value)

    def _condition(self, text: str) -> Callable[[Sequence[Any]], Any] | None:
        made = self._compile("filter", text)
        if made is not None and made.kind not in (Kind.BOOLEAN, Kind.NOTHING):
            self._problems["filter"] = f"is {made.kind}, not a condition: compare it with something"
        return None if made is None else made.run

    def _compile(self, where: str, text: str) -> Compiled | None:
        noted = _Noting(self._scope, self._used)
        try:
            return compile_node(parse(text), noted)
        except BadExpression as error:
            self._problems[where] = f"{clean(text, 60)}: {error}"
            return None

    def _output(self, name: str) -> _Output:
        transform = self.transform
        if name in transform.derive:
            derived = self._compile("derive", transform.derive[name])
            kind = Kind.TEXT if derived is None else derived.kind
            output = _Output(column_of(transform.named(name), kind), derived=derived, kind=kind)
        else:
            source, place = self._known[name], self._places[name]
            column = Column(name=transform.named(name), type=source.type, base=source.base, modifier=source.modifier)
            output = _Output(column, place=place, kind=kind_of(source))
        if name in transform.cast:
            self._cast(name, output)
        return output

    def _cast(self, name: str, output: _Output) -> None:
        try:
            wanted = parse_type(self.transform.cast[name])
            output.cast = caster(output.kind, wanted)
        except ValueError as error:
            self._problems["cast"] = f"{clean(name, 60)}: {error}"
            return
        if output.derived is None:
            self._used.add(output.place)
        output.column = Column(name=output.column.name, type=wanted.type, base=wanted.base, modifier=wanted.modifier)

    def _drop(self) -> None:
        asked = self.transform.drop_incomplete
        names = {output.column.name for output in self._outputs}
        wanted = names if asked is True else {self.transform.named(name) for name in asked or ()}
        self._unknown("drop_incomplete", wanted, names)
        for output in self._outputs:
            output.is_wanted = output.column.name in wanted

    def _unknown(self, where: str, names: Any, known: Any) -> None:
        strange = [name for name in names if name not in known]
        if strange:
            shown = clean(", ".join(known), 300)
            self._problems[where] = f"there is no column {clean(', '.join(strange), 100)}; known are {shown}"

    def _check_names(self) -> None:
        names = [output.column.name for output in self._outputs] + ([self.transform.stamp] * bool(self.transform.stamp))
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            self._problems["rename"] = f"two columns would be named {clean(', '.join(twice), 100)}"


class _Noting(Scope):
    """Notes which places are used, so that only those are read as values."""

    def __init__(self, scope: Scope, used: set[int]) -> None:
        super().__init__(scope.columns)
        self._used = used

    def find(self, name: str) -> tuple[int, Kind]:
        """Return a column and note it."""
        place, kind = super().find(name)
        self._used.add(place)
        return place, kind
