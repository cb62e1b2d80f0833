"""A CSV file: appended to beside its place, cut back to the last checkpoint when it goes on, named at the end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any

from qsuite_console.db.row_check import Digest, digest_rows
from qsuite_console.db.row_reader import Chunk
from qsuite_console.workers.stream.csv_text import csv_of, header_of, read_csv
from qsuite_console.workers.stream.files import Place, guarded
from qsuite_console.workers.stream.program import Made
from qsuite_console.workers.stream.sinks import Report, Save, advance
from qsuite_console.workers.stream.state import State


class CsvSink:
    """One file; ``names`` is its header."""

    def __init__(self, place: Place, names: Sequence[str], report: Report, save: Save) -> None:
        self._place = place
        self._names = names
        self._report = report
        self._save = save

    async def open(self, state: State) -> State:
        """Cut off what was written behind the state, or begin anew where the file is gone."""

        def cut() -> bool:
            part = self._place.part
            is_whole = state.size > 0 and part.exists() and part.stat().st_size >= state.size
            if is_whole:
                os.truncate(part, state.size)
            elif state.size == 0:
                part.write_bytes(header_of(self._names))
            return is_whole

        if not await asyncio.to_thread(guarded, self._place.part, cut) and state.size:
            fresh = State(identity=state.identity, estimate=state.estimate)
            return await self.open(fresh)
        if not state.size:
            state.size = len(header_of(self._names))
        return state

    async def write(self, chunk: Chunk, made: Made, state: State) -> None:
        """Append and make it durable, then the checkpoint."""

        def append() -> int:
            with self._place.part.open("ab") as file:
                file.write(csv_of(made.data))
                file.flush()
                os.fdatasync(file.fileno())
                return file.tell()

        if made.rows:
            state.size = await asyncio.to_thread(guarded, self._place.part, append)
        advance(state, chunk, made)
        state.created += made.rows
        self._report(state, made.rejected)
        if chunk.key:
            await self._save(state)

    async def finish(self, state: State) -> None:
        """Give the file its name, unless that was done before a kill."""

        def put() -> None:
            if self._place.part.exists():
                self._place.put(self._place.part)

        await asyncio.to_thread(guarded, self._place.path, put)

    async def digest(self, numbers: Sequence[int], ignored: int) -> Digest:
        """Return the digest of the file's rows without their last ``ignored`` values."""

        def read() -> Digest:
            with self._place.path.open("rb") as file:
                rows = read_csv(file)
                next(rows)
                return digest_rows((row[: len(row) - ignored] for row in rows), numbers)

        return await asyncio.to_thread(guarded, self._place.path, read)

    async def forget(self) -> None:
        """Do nothing: the file is what was kept."""

    def result(self) -> Mapping[str, Any]:
        """Return the file and its size."""
        return {"file": str(self._place.path), "file_bytes": self._place.path.stat().st_size}
