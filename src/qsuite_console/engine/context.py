"""What a running worker touches of the engine: its log, its progress, its checkpoint, and the wish that it stop."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from qsuite_console.engine.around import Channel, Patience
from qsuite_console.engine.joblog import JOB_LOGGER
from qsuite_console.engine.ports import Claim, Facts
from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import HistoryUnavailable
from qsuite_console.model.jobs import Progress
from qsuite_console.model.text import clean

RATE_MEMORY_S: Final = 5.0  # time constant of the moving rate
RATE_STEP_S: Final = 0.2
YIELD_S: Final = 0.005


@dataclass(slots=True)
class _Said:
    """The arguments of the newest ``progress`` call, as they came."""

    done: float
    total: float | None
    unit: str
    message: str
    figures: Mapping[str, float | str]


class Pace:
    """Rate as an exponentially weighted mean over ~5 s, and the time left by it."""

    def __init__(self) -> None:
        self._at: float | None = None
        self._done = 0.0
        self._unit = ""
        self.rate: float | None = None

    def measure(self, done: float, unit: str, at: float) -> None:
        """Take a reading at monotonic second ``at``; going backwards or changing unit starts afresh."""
        if self._at is None or done < self._done or unit != self._unit:
            self._at, self._done, self._unit, self.rate = at, done, unit, None
            return
        elapsed = at - self._at
        if elapsed < RATE_STEP_S:
            return
        instant = (done - self._done) / elapsed
        weight = 1.0 - math.exp(-elapsed / RATE_MEMORY_S)
        self.rate = instant if self.rate is None else self.rate + weight * (instant - self.rate)
        self._at, self._done = at, done

    def left_s(self, done: float, total: float | None) -> float | None:
        """Return the seconds left, None where rate or total are unknown."""
        if total is None or not self.rate:
            return None
        return max(0.0, (total - done) / self.rate)


class RunContext:
    """Implements ``ports.JobContext`` for one attempt; used on the engine's loop, ``progress`` from any thread."""

    def __init__(self, claim: Claim, *, store: Facts, bus: Channel, clock: Clock, trouble: Patience) -> None:
        self._claim = claim
        self._store = store
        self._bus = bus
        self._clock = clock
        self._trouble = trouble
        self._checkpoint = claim.checkpoint
        self._said: _Said | None = None
        self._pace = Pace()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._yielded_at = clock.monotonic()
        self._over = asyncio.Event()
        self.is_stop_wished = False
        self.on_safe_point: Callable[[], None] = lambda: None
        extra = {"job_id": claim.job.id, "correlation_id": claim.job.correlation_id}
        self._log = logging.LoggerAdapter(logging.getLogger(f"{JOB_LOGGER}.{claim.job.kind}"), extra)

    @property
    def job_id(self) -> int:
        """Return the job's id."""
        return self._claim.job.id

    @property
    def attempt(self) -> int:
        """Return this attempt's number, 1 for the first."""
        return self._claim.number

    @property
    def correlation_id(self) -> str:
        """Return the id that ties logs, queries and requests of this job together."""
        return self._claim.job.correlation_id

    @property
    def origin(self) -> str:
        """Return who asked for the job."""
        return self._claim.job.origin

    @property
    def checkpoint(self) -> Mapping[str, Any] | None:
        """Return the last saved checkpoint of this job, from whichever attempt."""
        return self._checkpoint

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """Return the logger of this job."""
        return self._log

    def progress(
        self,
        done: float,
        total: float | None = None,
        *,
        unit: str = "",
        message: str = "",
        figures: Mapping[str, float | str] | None = None,
    ) -> None:
        """Note how far it is; only the newest of a tenth of a second is ever shown."""
        self._said = _Said(done, total, unit, message, dict(figures) if figures else {})
        if threading.get_ident() == self._thread:
            self._touch()
        else:
            self._loop.call_soon_threadsafe(self._touch)

    async def save(self, checkpoint: Mapping[str, Any]) -> None:
        """Make a checkpoint durable; while the disk is full this waits for room. Raises Conflict when replaced."""
        while True:
            try:
                await self._store.save_checkpoint(self.job_id, self.attempt, checkpoint)
            except HistoryUnavailable as error:
                self._trouble.report(error)
                await self._trouble.wait_well()
                continue
            self._checkpoint = dict(checkpoint)
            return

    async def breathe(self) -> None:
        """Let others run, and stop here if a pause or a shutdown waits for a safe point."""
        if self.is_stop_wished:
            self.on_safe_point()  # cancels the attempt's main task, whichever of its tasks breathes here
            await self._over.wait()
            raise asyncio.CancelledError
        now = self._clock.monotonic()
        if now - self._yielded_at >= YIELD_S:
            await asyncio.sleep(0)
            self._yielded_at = self._clock.monotonic()

    def measured(self) -> Progress:
        """Return the newest progress with rate and time left."""
        said = self._said
        if said is None:
            return self._claim.job.progress
        self._pace.measure(said.done, said.unit, self._clock.monotonic())
        total, before = said.total, self._claim.job.progress
        if total is None and not said.done and before.fraction is not None:
            return msgspec.structs.replace(  # it is only getting ready to go on from there
                before,
                message=clean(said.message, 200),
                rate=None,
                eta_s=None,
                figures=dict(said.figures),
                updated_at=self._clock.now(),
            )
        return Progress(
            fraction=min(1.0, max(0.0, said.done / total)) if total else None,
            done=said.done,
            total=total,
            unit=said.unit,
            message=clean(said.message, 200),
            rate=self._pace.rate,
            eta_s=self._pace.left_s(said.done, total),
            figures=dict(said.figures),
            updated_at=self._clock.now(),
        )

    def close(self) -> None:
        """End the attempt's view: nothing it still says is shown."""
        self._over.set()
        self._bus.settle_progress(self.job_id)

    def _touch(self) -> None:
        if not self._over.is_set():
            self._bus.progress(self.job_id, self._publish)

    def _publish(self) -> Progress:
        progress = self.measured()
        self._store.note_progress(self.job_id, progress)
        return progress
