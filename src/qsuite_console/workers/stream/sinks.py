"""What every destination of rows promises, and the one that is a table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec

from qsuite_console.db.row_reader import Chunk
from qsuite_console.db.row_writer import RowWriter
from qsuite_console.model.copytext import rows_of
from qsuite_console.workers.stream.program import Made, Program, Rejected
from qsuite_console.workers.stream.state import COPY, State

Save = Callable[[State], Awaitable[None]]
Report = Callable[[State, list[Rejected]], None]  # counts rejected rows; raises where none is allowed


class Sink(Protocol):
    """Takes chunks one after the other. What ``write`` took is kept when it returns or comes again by its key."""

    async def open(self, state: State) -> State:
        """Get ready to go on from ``state``, or from what was kept with the rows; returns where that is."""
        ...

    async def write(self, chunk: Chunk, made: Made, state: State) -> None:
        """Take what became of a chunk, and count it in ``state``."""
        ...

    async def finish(self, state: State) -> None:
        """Make the destination whole; may be called again after a kill."""
        ...

    async def forget(self) -> None:
        """Drop what was kept to go on from: the copy is complete, and the job's history says so."""
        ...

    def result(self) -> Mapping[str, Any]:
        """Return what the result tells of the destination."""
        ...


def advance(state: State, chunk: Chunk, made: Made) -> None:
    """Count a chunk and note where the next one begins."""
    state.count(chunk.rows, len(chunk.data), made)
    state.key = list(chunk.key)


class TableSink:
    """A table of the target: rows and place in one transaction.

    ``save`` keeps a state in the job's history, where the role may keep none beside the table. ``is_one``: all of it is
    one transaction.
    """

    def __init__(
        self, writer: RowWriter, program: Program, report: Report, save: Save, *, is_kept: bool, is_one: bool
    ) -> None:
        self._writer = writer
        self._program = program
        self._report = report
        self._save = save
        self._is_kept = is_kept
        self._is_one = is_one

    async def open(self, state: State) -> State:
        """Return the state that was committed with the newest rows."""
        text = await self._writer.open(keeps=self._is_kept)
        kept = msgspec.json.decode(text, type=State) if text else state
        if self._is_one and kept.phase == COPY:
            await self._writer.begin()
        return kept

    async def write(self, chunk: Chunk, made: Made, state: State) -> None:
        """Commit rows and place together."""
        async with self._writer.chunk():
            written = await self._writer.write(made.data, made.rows)
            refused = [Rejected(self._name(row.line), row.reason) for row in written.refused]
            advance(state, chunk, made)
            state.created += written.created
            state.updated += written.updated
            state.unchanged += written.unchanged
            self._report(state, made.rejected + refused)
            if not self._is_one:
                await self._writer.keep(msgspec.json.encode(state).decode())
        if not self._is_kept and not self._is_one:
            await self._save(state)

    async def finish(self, state: State) -> None:
        """Commit what is one transaction, and with it that it is done."""
        await self._writer.keep(msgspec.json.encode(state).decode())
        await self._writer.commit()

    async def forget(self) -> None:
        """Remove the place beside the table."""
        await self._writer.forget()

    def result(self) -> Mapping[str, Any]:
        """Return nothing more."""
        return {}

    def _name(self, line: bytes) -> str:
        """Return what a line of the destination is known by: the key's columns there, or the first ones."""
        (row,) = rows_of(line)
        return self._program.name_of_output(row)
