"""One attempt outside of an engine: another process has claimed a run and does it as the engine would have.

Limits, safe points, cancellation and the way it ends are the engine's own (``runner``); only what it says goes to
whoever keeps the run's facts instead of the history.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from qsuite_console.engine.joblog import JobLogHandler
from qsuite_console.engine.metering import Meter
from qsuite_console.engine.ports import Claim, Ending, Worker
from qsuite_console.engine.runner import PAUSE_PATIENCE_S, Attempt, Wish
from qsuite_console.engine.state import TargetView
from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import HistoryUnavailable, ReadOnly
from qsuite_console.model.jobs import LogLine, Progress


class Keeper(Protocol):
    """Keeps what one attempt says."""

    async def save(self, checkpoint: Mapping[str, Any]) -> None:
        """Make a checkpoint durable; raises Conflict for an attempt that was replaced."""
        ...

    def say(self, lines: Sequence[LogLine]) -> None:
        """Take lines of its log; never waits."""
        ...


class Solo:
    """One claim being worked on, on the loop that called ``run``."""

    def __init__(
        self,
        claim: Claim,
        worker: Worker | None,
        keeper: Keeper,
        *,
        target: TargetView,
        clock: Clock,
        dice: random.Random,
    ) -> None:
        self._says = _Says(keeper, target)
        self._logs = JobLogHandler()
        self._attempt = Attempt(
            claim,
            worker,
            _Apart(
                store=self._says,
                bus=self._says,
                clock=clock,
                trouble=self._says,
                gate=self._says,
                meter=Meter(),
                logs=self._logs,
                dice=dice,
            ),
        )

    async def run(self) -> Ending:
        """Work and return how it ended; never raises for anything the worker does."""
        self._logs.install()
        try:
            return await self._attempt.run()
        finally:
            self._logs.remove()

    def news(self) -> Progress | None:
        """Return the newest progress, None where there is none since it was last asked for."""
        measure, self._says.measure = self._says.measure, None
        return None if measure is None else measure()

    def cancel(self) -> None:
        """Ask it to end now."""
        self._attempt.ask(Wish.CANCEL)

    def pause(self) -> None:
        """Ask it to end at its next safe point, within two seconds."""
        self._attempt.ask(Wish.PAUSE, PAUSE_PATIENCE_S)

    def drain(self, patience_s: float) -> None:
        """Ask it to end at its next safe point, as this process ends; at the latest after ``patience_s``."""
        self._attempt.ask(Wish.DRAIN, patience_s)

    def press(self) -> None:
        """Stop waiting for a safe point."""
        self._attempt.press()


class _Says:
    """Store, bus, gate and patience of one attempt, as far as it touches them."""

    def __init__(self, keeper: Keeper, target: TargetView) -> None:
        self.measure: Callable[[], Progress] | None = None
        self._keeper = keeper
        self._target = target

    async def save_checkpoint(self, job_id: int, number: int, checkpoint: Mapping[str, Any]) -> None:
        await self._keeper.save(checkpoint)

    def note_progress(self, job_id: int, progress: Progress) -> None:
        """What is measured is handed on by whoever asked for the news."""

    def note_logs(self, lines: Sequence[LogLine]) -> None:
        self._keeper.say(lines)

    def progress(self, job_id: int, measure: Callable[[], Progress]) -> None:
        self.measure = measure

    def settle_progress(self, job_id: int) -> None:
        self.measure = None

    def report(self, error: HistoryUnavailable) -> None:
        """There is no history here that could refuse."""

    async def wait_well(self) -> None:
        return

    def check_start(self, kind: str, *, changes_data: bool) -> None:
        if changes_data and self._target.is_read_only:
            raise ReadOnly(
                f"this process reaches the target {self._target.name} read-only: {kind} would change data",
                hint="let a node or worker with target.read_only = false serve its queue",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Apart:
    """Implements ``runner.Around``."""

    store: _Says
    bus: _Says
    clock: Clock
    trouble: _Says
    gate: _Says
    meter: Meter
    logs: JobLogHandler
    dice: random.Random
