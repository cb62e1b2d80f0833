"""What happens in the engine, handed to any number of readers at their own pace.

A reader's place is a number, so one that comes back goes on without a gap where the engine still has what it missed,
and gets the whole state where not. Each fact is encoded once for all readers of the same wish, who share the bytes. A
reader that does not keep up is let go as soon as what waits for it passes a limit: it never holds up the engine, the
others, or memory. Everything runs on the engine's loop, and costs nothing while nobody reads.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec

from qsuite_console.engine.control import Control
from qsuite_console.engine.state import ConsoleState
from qsuite_console.headless.facts import GAP, NAMES, STATE, Batch, Fact, Wish
from qsuite_console.headless.tally import Tally
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.events import SUPERSEDING, AnyEvent, JobChanged, JobDeleted, JobProgressed
from qsuite_console.model.health import Snapshot
from qsuite_console.model.jobs import Job, LogLine

TICK_S: Final = 0.05
MAX_READERS: Final = 256
MAX_WAITING: Final = 512  # batches that may wait for one reader: 25 s of a busy engine
MAX_WAITING_BYTES: Final = 4 * 1024 * 1024
LINES_S: Final = 0.25  # how old a look at a job's log may be
_ORIGINS: Final = 20_000
_encoder: Final = msgspec.json.Encoder()
_log: Final = logging.getLogger(__name__)


class Reader:
    """What waits for one reader. ``let_go`` is called where it is dropped while it waits for its peer."""

    def __init__(self, wish: Wish, let_go: Callable[[], None]) -> None:
        self.wish = wish
        self.is_over = False
        self.is_dropped = False
        self._let_go = let_go
        self._batches: deque[Batch] = deque()
        self._waiting = 0
        self._arrived = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Return the bytes that wait."""
        return self._waiting

    def offer(self, batch: Batch) -> None:
        """Add a batch, or drop the reader where too much waits already."""
        if self.is_over:
            return
        is_full = len(self._batches) >= MAX_WAITING or self._waiting + batch.size > MAX_WAITING_BYTES
        if self._batches and is_full:
            self.drop()
            return
        self._batches.append(batch)
        self._waiting += batch.size
        self._arrived.set()

    async def next(self, patience_s: float) -> Batch | None:
        """Return the next batch; None where none came in time, or none will (``is_over``)."""
        if not self._batches and not self.is_over:
            self._arrived.clear()
            try:
                async with asyncio.timeout(patience_s):
                    await self._arrived.wait()
            except TimeoutError:
                return None
        if not self._batches:
            return None
        batch = self._batches.popleft()
        self._waiting -= batch.size
        return batch

    def drop(self) -> None:
        """Give the reader up."""
        if not self.is_over:
            self.is_dropped = True
            self._batches.clear()
            self._waiting = 0
            self.close()
            self._let_go()

    def close(self) -> None:
        """Say that nothing more comes."""
        self.is_over = True
        self._arrived.set()


class Hub:
    """One per served engine."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._readers: set[Reader] = set()
        self._newest = 0
        self._origins: dict[int, str] = {}
        self._lines: dict[tuple[int, int], tuple[float, asyncio.Task[tuple[LogLine, ...]]]] = {}
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False
        self.tally = Tally(control)
        self.dropped = 0  # readers that did not keep up, so far

    @property
    def readers(self) -> int:
        """Return how many read."""
        return len(self._readers)

    @property
    def waiting(self) -> int:
        """Return the bytes that wait for all readers, each counted as if it had its own."""
        return sum(reader.waiting for reader in self._readers)

    def place(self) -> str:
        """Return the place of what was handed out last."""
        return f"{self._engine()}.{self._newest}"

    @contextmanager
    def reading(self, wish: Wish, after: str, let_go: Callable[[], None]) -> Iterator[Reader]:
        """Yield a reader that goes on ``after`` a place, or begins with the state; for one job with what comes next.

        Raises ConsoleError where too many read already.
        """
        if len(self._readers) >= MAX_READERS:
            raise ConsoleError(f"{MAX_READERS} streams are open already", hint="end some, or ask again later")
        reader = Reader(wish, let_go)
        self._bring_up_to_date()
        facts = self._missed(wish, after)
        if facts:
            reader.offer(Batch(facts))
        self._readers.add(reader)
        if self._is_closed:
            reader.close()
        elif self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="streams")
        try:
            yield reader
        finally:
            self._readers.discard(reader)
            if reader.is_dropped:
                self.dropped += 1
            reader.close()

    async def lines(self, job_id: int, after: int, *, is_last: bool = False) -> tuple[LogLine, ...]:
        """Return the job's log lines above ``after``: readers share a look a quarter of a second old, not the last."""
        if is_last:
            return await self._look(job_id, after)
        now = asyncio.get_running_loop().time()
        self._lines = {key: kept for key, kept in self._lines.items() if now - kept[0] < LINES_S}
        kept = self._lines.get((job_id, after))
        if kept is None:
            kept = now, asyncio.create_task(self._look(job_id, after))
            kept[1].add_done_callback(_heard)
            self._lines[job_id, after] = kept
        return await asyncio.shield(kept[1])

    async def _look(self, job_id: int, after: int) -> tuple[LogLine, ...]:
        return await self._control.logs(job_id, after=after)

    async def close(self, *_: object) -> None:
        """End every stream, and counting: the engine stops."""
        self._is_closed = True
        await self.tally.close()
        for reader in tuple(self._readers):
            reader.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        said = ""
        while self._readers:
            try:
                self.spread()
                said = ""
            except Exception as error:
                if str(error) != said:
                    _log.exception("handing out what happened failed")
                said = str(error)
            await asyncio.sleep(TICK_S)

    def spread(self) -> None:
        """Hand out what happened since the last time."""
        newest, events = self._control.events(self._newest)
        is_gap = len(events) < newest - self._newest or newest < self._newest
        self._newest = newest
        if not events and not is_gap:
            return
        facts = self._facts(events, newest)
        batches: dict[Wish, Batch | None] = {}
        for reader in tuple(self._readers):
            wish = reader.wish
            if wish not in batches:
                taken = [self._anew(wish)] if is_gap else [fact for fact in facts if wish.takes(fact)]
                batches[wish] = Batch(taken) if taken else None
            batch = batches[wish]
            if batch is not None:
                reader.offer(batch)

    def _bring_up_to_date(self) -> None:
        """Let the first reader not be given what happened while nobody read; others are served first."""
        if self._readers:
            self.spread()
            return
        self._newest, _ = self._control.events(2**53)
        self._origins = {job.id: job.origin for job in self._control.state.running}

    def _missed(self, wish: Wish, after: str) -> list[Fact]:
        """Return what a new reader gets first."""
        state = self._control.state
        sequence = self._sequence_of(after)
        if sequence is not None:
            _, events = self._control.events(sequence)
            if len(events) == self._newest - sequence:
                return [fact for fact in self._facts(events, self._newest) if wish.takes(fact)]
        if wish.job_id:
            return [self._anew(wish)]
        _, events = self._control.events(min(state.sequence, self._newest))
        rest = [fact for fact in self._facts(events, self._newest) if wish.takes(fact)]
        return [self._anew(wish), *rest]

    def _sequence_of(self, after: str) -> int | None:
        engine, _, rest = after.partition(".")
        text = rest.partition(".")[0]
        if engine != self._engine() or not (text.isascii() and text.isdigit() and len(text) < 17):
            return None
        return int(text) if int(text) <= self._newest else None

    def _engine(self) -> str:
        """Return what tells this run of the engine from others: its places mean nothing to another."""
        started = self._control.state.started_at
        return f"{0 if started is None else int(started.timestamp() * 1000):x}"

    def _anew(self, wish: Wish) -> Fact:
        """Return what a reader begins with who knows nothing, or too little."""
        state = self._control.state
        if wish.job_id:
            return Fact(self.place(), GAP, b"{}", wish.job_id)
        if wish.origin:
            state = own(state, wish.origin)
        place = f"{self._engine()}.{min(state.sequence, self._newest)}"
        return Fact(place, STATE, _encoder.encode(state))

    def _facts(self, events: Sequence[AnyEvent], newest: int) -> list[Fact]:
        engine, first = self._engine(), newest - len(events) + 1
        return [self._fact(event, f"{engine}.{first + number}") for number, event in _newest_of(events)]

    def _fact(self, event: AnyEvent, place: str) -> Fact:
        name, data = NAMES[type(event)], _encoder.encode(event)
        if isinstance(event, JobChanged):
            job = event.job
            self._note_origin(job)
            return Fact(place, name, data, job.id, job.origin, job)
        if isinstance(event, JobProgressed | JobDeleted):
            return Fact(place, name, data, event.job_id, self._origins.get(event.job_id, ""))
        return Fact(place, name, data)

    def _note_origin(self, job: Job) -> None:
        self._origins.pop(job.id, None)
        self._origins[job.id] = job.origin
        if len(self._origins) > _ORIGINS:
            del self._origins[next(iter(self._origins))]


def _heard(look: asyncio.Task[tuple[LogLine, ...]]) -> None:
    """Take note of a look that failed after everybody who waited for it had left."""
    if not look.cancelled():
        look.exception()


def own(state: ConsoleState, origin: str) -> ConsoleState:
    """Return what a caller may see of the state who may see no jobs but those of ``origin``."""
    return msgspec.structs.replace(
        state,
        counts={},
        queues=(),
        running=tuple(job for job in state.running if job.origin == origin),
        recent=tuple(job for job in state.recent if job.origin == origin),
        snapshot=Snapshot(),
    )


def _newest_of(events: Sequence[AnyEvent]) -> Iterable[tuple[int, AnyEvent]]:
    """Return the events with their numbers, in order, without those that a later one of them supersedes."""
    seen: set[tuple[type, int]] = set()
    kept: list[tuple[int, AnyEvent]] = []
    for number in range(len(events) - 1, -1, -1):
        event = events[number]
        if isinstance(event, SUPERSEDING):
            key = (type(event), event.job_id if isinstance(event, JobProgressed) else 0)
            if key in seen:
                continue
            seen.add(key)
        kept.append((number, event))
    return reversed(kept)
