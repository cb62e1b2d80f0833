"""Whether the destination equals the source, told at the end: rows and a checksum that knows no order, on both sides.

Only where values travel as they are; a transform makes other values, of which only the number is compared.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from qsuite_console.db.database import Database
from qsuite_console.db.relation import Column, Relation
from qsuite_console.db.row_check import Digest, count_of, digest_of
from qsuite_console.workers.stream.csv_sink import CsvSink
from qsuite_console.workers.stream.state import State
from qsuite_console.workers.stream.survey import Reading, Writing


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found; ``is_equal`` is None where it can't be told."""

    is_equal: bool | None
    text: str
    source: int | None = None
    destination: int | None = None

    def result(self) -> dict[str, Any]:
        """Return what the result tells."""
        return {
            "verified": self.is_equal,
            "verification": self.text,
            "source_rows": self.source,
            "destination_rows": self.destination,
        }


UNASKED = Verdict(None, "not asked for")


async def verify_table(source: Database, target: Database, reading: Reading, writing: Writing, state: State) -> Verdict:
    """Compare a table with what it was filled from; raises DatabaseError."""
    table, columns = writing.intake.table, _without_stamp(reading, writing)
    if not reading.program.is_direct:
        destination = await _count(target, table)
        return _by_count(state, destination, state.was_empty)
    chosen = reading.program.columns
    left, right = await asyncio.gather(
        _digest(source, reading.relation, chosen, columns), _digest(target, table, columns, columns)
    )
    if left == right:
        return _equal(left)
    if not state.was_empty:
        text = f"{right.rows:,} rows there, {left.rows:,} in the source: the destination held rows before"
        return Verdict(None, text, left.rows, right.rows)
    return _different(left, right, state)


async def verify_csv(source: Database, reading: Reading, sink: CsvSink, state: State) -> Verdict:
    """Read a file back and compare it with what it was filled from; raises DatabaseError, OutputProblem."""
    outputs = reading.program.outputs
    numbers = [place for place, column in enumerate(outputs) if column.base == "numeric"]
    ignored = 1 if reading.program.transform.stamp else 0
    if not reading.program.is_direct:
        return _by_count(state, (await sink.digest(numbers, ignored)).rows, True)
    chosen = reading.program.columns
    left, right = await asyncio.gather(_digest(source, reading.relation, chosen, chosen), sink.digest(numbers, ignored))
    return _equal(left) if left == right else _different(left, right, state)


async def verify_count(source: Database, reading: Reading, rows: int, state: State) -> Verdict:
    """Compare the rows of a file whose parts were compared value by value as they were made."""
    if not reading.program.is_direct:
        return _by_count(state, rows, True)
    count = await _count(source, reading.relation)
    if count == rows:
        return Verdict(True, f"destination equals source: {rows:,} rows, each part read back and compared", count, rows)
    return _different(Digest(count, 0), Digest(rows, 0), state)


def _without_stamp(reading: Reading, writing: Writing) -> tuple[Column, ...]:
    return writing.intake.columns[: len(reading.program.outputs)]


async def _digest(
    database: Database, relation: Relation, columns: tuple[Column, ...], targets: tuple[Column, ...]
) -> Digest:
    async with database.session("stream verify") as connection:
        return await digest_of(connection, relation, columns, targets)


async def _count(database: Database, relation: Relation) -> int:
    async with database.session("stream verify") as connection:
        return await count_of(connection, relation)


def _equal(digest: Digest) -> Verdict:
    shown = f"{digest.total & (1 << 64) - 1:016x}"
    return Verdict(True, f"destination equals source: {digest.rows:,} rows, checksum {shown}", digest.rows, digest.rows)


def _different(left: Digest, right: Digest, state: State) -> Verdict:
    text = f"destination differs: {right.rows:,} rows, {left.rows:,} in the source"
    if state.rejected:
        text += f"; {state.rejected:,} were rejected"
    elif left.rows == right.rows:
        text += ", other values; was the source changed, or are digits rounded there?"
    else:
        text += "; was the source changed meanwhile?"
    return Verdict(False, text, left.rows, right.rows)


def _by_count(state: State, destination: int, was_empty: bool) -> Verdict:
    if not was_empty:
        return Verdict(None, "values are made on the way and the destination held rows before", None, destination)
    is_equal = destination == state.created
    text = f"{destination:,} rows there, {state.created:,} were written; values are made on the way"
    return Verdict(is_equal, text, None, destination)
