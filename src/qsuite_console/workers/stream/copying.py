"""One attempt: chunks are read ahead by one, transformed in a thread, taken by the destination, counted and told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from qsuite_console.db.database import Database
from qsuite_console.db.row_reader import Chunk, RowReader
from qsuite_console.engine.ports import JobContext, Permanent
from qsuite_console.workers.stream.program import Made, Rejected
from qsuite_console.workers.stream.sinks import Sink
from qsuite_console.workers.stream.state import CHECK, COPY, FINISH, NAMED, State
from qsuite_console.workers.stream.survey import Reading

if TYPE_CHECKING:
    from qsuite_console.model.clock import Clock


class Copying:
    """Brings the rows of a reading to a sink. ``state`` is where it stands."""

    def __init__(
        self, context: JobContext, reading: Reading, source: Database, clock: Clock, *, is_strict: bool
    ) -> None:
        self.state = State()
        self._context = context
        self._reading = reading
        self._source = source
        self._clock = clock
        self._is_strict = is_strict
        self._began = time.monotonic()

    async def run(self, sink: Sink, state: State) -> State:
        """Copy what is left, make the destination whole and return the state; raises what stands in the way."""
        self.state = state
        if state.phase == COPY:
            self._tell("getting ready")
            kept = await sink.open(state)
            if kept.identity and kept.identity != state.identity:
                raise _changed()
            is_of_use = kept.identity and (kept.phase != COPY or self._reading.is_resumable)
            self.state = kept if is_of_use else state
            if self.state.read:
                self._context.log.info("continuing behind %d rows that are copied", self.state.read)
        if self.state.phase == COPY:
            await self._flow(sink)
            self.state.phase = FINISH
        self._tell("finishing")
        await self._finish(sink)
        return self.state

    async def save(self, state: State) -> None:
        """Keep a state in the job's history."""
        self._clock_in(state)
        await self._context.save(msgspec.to_builtins(state))

    def report(self, state: State, found: list[Rejected]) -> None:
        """Count and log rejected rows; raises Permanent for the first one where none is allowed."""
        if found and self._is_strict:
            raise Permanent(
                f"{found[0].row}: {found[0].reason}",
                hint="correct it, or copy without strict: it is named and left out",
            )
        self._clock_in(state)
        for line in state.reject(found):
            self._context.log.warning("rejected %s", line)
        if found and state.rejected - len(found) < NAMED <= state.rejected:
            self._context.log.warning("more rejected rows are counted, not named")

    async def _finish(self, sink: Sink) -> None:
        if self.state.phase == FINISH:
            await sink.finish(self.state)
            self.state.phase = CHECK
            await self.save(self.state)
        await sink.forget()

    async def _flow(self, sink: Sink) -> None:
        queue: asyncio.Queue[Chunk | BaseException | None] = asyncio.Queue(maxsize=1)
        task = asyncio.create_task(self._produce(self.state.key, queue))
        try:
            while (item := await queue.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                made = await self._make(item)
                await sink.write(item, made, self.state)
                self._tell("copying")
                await self._context.breathe()
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _produce(self, after: Sequence[str], queue: asyncio.Queue[Chunk | BaseException | None]) -> None:
        """Read into the queue; the end is None, and an error is handed on to whoever takes the chunks."""
        try:
            async with self._source.session(f"stream read/{self._context.job_id}") as connection:
                await RowReader(connection, self._reading.selection).read(after, queue.put)
        except Exception as error:
            await queue.put(error)
        else:
            await queue.put(None)

    async def _make(self, chunk: Chunk) -> Made:
        program = self._reading.program
        if program.is_direct and not program.transform.stamp:
            return Made(chunk.data, chunk.rows)
        return await asyncio.to_thread(program.run, chunk.data, chunk.rows, _stamp(self._clock.now()))

    def _clock_in(self, state: State) -> None:
        now = time.monotonic()
        state.elapsed_s += now - self._began
        self._began = now

    def _tell(self, message: str) -> None:
        state = self.state
        total = max(state.estimate, state.read) or None
        self._context.progress(state.read, total, unit="rows", message=message, figures=state.figures())


def _stamp(now: datetime) -> str:
    return now.isoformat(" ")


def _changed() -> Permanent:
    return Permanent(
        "the source's columns, the destination or the transform have changed since this job began",
        hint="submit it anew; what is copied stays",
    )


def checked_state(checkpoint: Any, identity: str) -> State:
    """Return the state of a checkpoint, a new one without any; raises Permanent when it was of another copy."""
    if not checkpoint:
        return State(identity=identity)
    state = msgspec.convert(dict(checkpoint), State)
    if state.identity != identity:
        raise _changed()
    return state
