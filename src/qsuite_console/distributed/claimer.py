"""The working side: runs that were claimed from the table are done here, and all they say is written to their rows.

One task speaks for all runs of the process: every second it asks what is wished of them and says what is new, every
five it renews their leases. A run that the table no longer grants us, or whose lease has passed by our own clock
(the process was stopped, the server away), is given up: cancelled, and nothing it still says is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from qsuite_console.db.errors import DatabaseError
from qsuite_console.db.runs import RunBook
from qsuite_console.engine import parameters
from qsuite_console.engine.ports import Ending, Worker
from qsuite_console.engine.solo import Solo
from qsuite_console.engine.state import TargetView
from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import Conflict
from qsuite_console.model.handing import Run, Wishes
from qsuite_console.model.jobs import LogLine, Outcome, Progress

TICK_S: Final = 1.0
BEAT_S: Final = 5.0
LINES_WAITING: Final = 5000
_RETRY_S: Final = (0.2, 1.0, 2.0, 5.0)
_TRIES: Final = 60  # to tell an ending: five minutes
log = logging.getLogger(__name__)


class Claimer:
    """One per process, used on one loop; ``attending`` must be entered while runs are executed."""

    def __init__(
        self,
        book: RunBook,
        workers: Mapping[str, Worker],
        *,
        owner: str,
        target: TargetView,
        clock: Clock,
        dice: random.Random | None = None,
    ) -> None:
        self.book = book
        self.workers = workers
        self.owner = owner
        self._target = target
        self.clock = clock
        self._dice = dice or random.Random()
        self._held: dict[str, _Held] = {}
        self._woken = asyncio.Event()
        self._beat_s = min(BEAT_S, book.lease_s / 6)

    @property
    def active(self) -> int:
        """Return how many runs are being done."""
        return len(self._held)

    @asynccontextmanager
    async def attending(self, *, listens: bool = True) -> AsyncIterator[None]:
        """Speak for the runs until the block ends; ``listens``: hear wishes at once, by a connection of its own."""
        tasks = [asyncio.create_task(self._attend(), name="runs-attend")]
        if listens:
            tasks.append(asyncio.create_task(self.book.listen(self.hear), name="runs-listen"))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def hear(self, word: str) -> None:
        """Take in a word of the table's: a wish is looked at now."""
        if word in ("wish", "open"):
            self._woken.set()

    async def execute(self, run: Run) -> Ending | None:
        """Do a claimed run and write how it ended; None where it was given up. Raises nothing that its worker does."""
        held = _Held(run, self, self.clock.monotonic())
        solo = Solo(
            run.claim,
            self.workers.get(run.claim.job.kind),
            held,
            target=self._target,
            clock=self.clock,
            dice=self._dice,
        )
        held.solo = solo
        self._held[run.token] = held
        try:
            ending = self._refusal(run) or await solo.run()
            return ending if await self._end(held, ending) else None
        finally:
            self._held.pop(run.token, None)

    def _refusal(self, run: Run) -> Ending | None:
        """Return the ending of a run that nobody should have handed out: what it names is not on this machine."""
        job = run.claim.job
        worker = self.workers.get(job.kind)
        if worker is None or not parameters.needs_host(worker.kind, job.parameters):
            return None
        return Ending(outcome=Outcome.FAILED, error=f"{job.kind} needs the machine of its console: it is not done here")

    def drain(self, patience_s: float) -> None:
        """Ask all runs to end at a safe point, as this process ends."""
        for held in self._held.values():
            if held.solo is not None:
                held.solo.drain(patience_s)

    def press(self) -> None:
        """Stop waiting for safe points."""
        for held in self._held.values():
            if held.solo is not None:
                held.solo.press()

    async def _end(self, held: _Held, ending: Ending) -> bool:
        """Write the last lines and the ending, with patience while the server is away; say whether it was taken."""
        held.is_ending = True
        for delay_s in itertools.islice(itertools.chain(_RETRY_S, itertools.repeat(_RETRY_S[-1])), _TRIES):
            if held.is_lost:
                break
            try:
                await held.flush()
                if await self.book.finish(held.run.token, self._dated(ending), owner=self.owner):
                    return True
                break
            except DatabaseError as error:
                if not error.is_transient:
                    log.error("the end of %s can't be told: %s", held.name, error.message)
                    return False
                await asyncio.sleep(delay_s)
        log.warning("%s was given up meanwhile: what came of it here does not count", held.name)
        return False

    def _dated(self, ending: Ending) -> Ending:
        """Say in how many seconds it is tried again: our clock may be another than that of its console."""
        if ending.retry_at is None:
            return ending
        wait_s = (ending.retry_at - self.clock.now()).total_seconds()
        return msgspec.structs.replace(ending, retry_in_s=max(0.0, wait_s))

    async def _attend(self) -> None:
        renewed, is_away = self.clock.monotonic(), False
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(TICK_S, self._beat_s)):
                    await self._woken.wait()
            self._woken.clear()
            now = self.clock.monotonic()
            self._give_up_late(now)
            if not self._held:
                continue
            is_due = now - renewed >= self._beat_s
            try:
                await self._speak(is_due, now)
            except DatabaseError as error:
                if not is_away:
                    log.warning("nothing can be said of %d runs: %s", len(self._held), error.message)
                is_away = True
            except Exception:
                log.exception("speaking for runs failed and goes on")
            else:
                renewed, is_away = now if is_due else renewed, False

    def _give_up_late(self, now: float) -> None:
        for held in self._held.values():
            if now - held.renewed_at > self.book.lease_s:
                held.give_up("its lease passed while nothing could be said")

    async def _speak(self, is_due: bool, now: float) -> None:
        for held in tuple(self._held.values()):
            await held.flush()
        said: dict[str, Progress | None] = {}
        asked: list[str] = []
        for token, held in self._held.items():
            news = None if held.solo is None else held.solo.news()
            if news is not None or is_due:
                said[token] = news
            else:
                asked.append(token)
        answers: dict[str, Wishes] = {}
        if said:
            beaten = await self.book.beat(said, owner=self.owner)
            answers |= beaten
            for token in beaten:
                if token in self._held:
                    self._held[token].renewed_at = now
        if asked:
            answers |= await self.book.wishes(asked, owner=self.owner)
        for token in (*said, *asked):
            current = self._held.get(token)
            if current is not None:
                current.heed(answers.get(token))


class _Held:
    """One run in our hands; keeps what its attempt says (``engine.solo.Keeper``)."""

    def __init__(self, run: Run, claimer: Claimer, now: float) -> None:
        self.run = run
        self.solo: Solo | None = None
        self.is_lost = False
        self.is_ending = False
        self.renewed_at = now
        self._claimer = claimer
        self._lines: list[LogLine] = []
        self._flushing = asyncio.Lock()

    @property
    def name(self) -> str:
        """Return the run as logs name it."""
        return f"job {self.run.claim.job.id} ({self.run.claim.job.kind}), attempt {self.run.claim.number}"

    async def save(self, checkpoint: Mapping[str, Any]) -> None:
        """Write a checkpoint to the row; raises Conflict for a run that was given up."""
        if self.is_lost:
            raise Conflict("the run was given up: its checkpoint is refused")
        claimer = self._claimer
        now = claimer.clock.monotonic()
        await claimer.book.save(self.run.token, checkpoint, owner=claimer.owner)
        self.renewed_at = now

    def say(self, lines: Sequence[LogLine]) -> None:
        """Keep lines until they are written."""
        self._lines.extend(lines)
        del self._lines[:-LINES_WAITING]

    async def flush(self) -> None:
        """Write the lines that wait."""
        async with self._flushing:
            lines = self._lines
            if lines and not self.is_lost:
                self._lines = []
                try:
                    await self._claimer.book.say(self.run.token, lines, owner=self._claimer.owner)
                except DatabaseError:
                    self._lines = [*lines, *self._lines]
                    raise

    def heed(self, wishes: Wishes | None) -> None:
        """Pass a wish on; None is the word that the run is no longer ours."""
        if self.solo is None or self.is_ending:
            return  # what it says last is taken or refused by itself
        if wishes is None:
            self.give_up("its console has given it to another")
        elif wishes.cancel:
            self.solo.cancel()
        elif wishes.pause:
            self.solo.pause()

    def give_up(self, why: str) -> None:
        """Cancel the attempt; nothing it says counts from now on."""
        if self.solo is not None and not self.is_lost and not self.is_ending:
            self.is_lost = True
            log.warning("%s is stopped: %s", self.name, why)
            self.solo.cancel()
