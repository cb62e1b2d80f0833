"""The tile of the platform itself: orders, bars, how fresh the newest bar is while the exchange is open.

The tables are read in the background, no oftener than costs a fiftieth of the time it takes: a sample tells what was
read last, and a reading that hangs shows in the response time.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Final

from qsuite_console.db.application import BOUND, Pulse, PulseReader
from qsuite_console.metrics import units
from qsuite_console.metrics.sources import MEASURING, OwnLoad, Sample, figure, judged
from qsuite_console.model import calendar
from qsuite_console.model.clock import Clock
from qsuite_console.model.health import Figure, Level

PAUSE_S: Final = 4.0
_SHARE: Final = 50.0  # of the time between two readings, one part is spent reading
_WAIT_S: Final = 0.8  # of a sample for an answer
_STALE_S: Final = 1.7  # of waiting, after which what was read before is shown as old
_MINUTE: Final = timedelta(minutes=1)
_FEW_RUNS: Final = 5
_GRACE: Final = timedelta(minutes=5)  # after the opening, before bars must be there


class ApplicationSource:
    """Reads the platform's tables through the console's pool."""

    name = "application"
    title = "Trading"

    def __init__(self, reader: PulseReader, clock: Clock, own: OwnLoad) -> None:
        """``own`` counts our transactions, which are nobody's load."""
        self._reader = reader
        self._clock = clock
        self._own = own
        self._pulse: Pulse | None = None
        self._took_s: float | None = None
        self._began_s = 0.0
        self._not_before = 0.0
        self._reading: asyncio.Task[Pulse] | None = None

    @property
    def unconfigured(self) -> str:
        """Return why there is nothing to read, or ""."""
        return "" if self._reader.is_configured else "not configured: set DATABASE_URL or run init"

    @property
    def headline(self) -> Figure:
        """Return the headline before the first reading."""
        return figure("orders_1m", "orders, last minute", MEASURING, None)

    async def read(self) -> Sample:
        """Return one sample; raises DatabaseError."""
        now = self._clock.monotonic()
        if self._reading is None and now >= self._not_before:
            self._began_s = now
            self._own.transactions += 1
            self._reading = asyncio.create_task(self._reader.read(), name="application")
        if self._reading is not None:
            await asyncio.wait({self._reading}, timeout=_WAIT_S)
            self._take()
        return self._sample(self._clock.now())

    async def close(self) -> None:
        """Give up what is being read."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._reader.close()

    def _take(self) -> None:
        reading, now = self._reading, self._clock.monotonic()
        if reading is None or not reading.done():
            return
        took_s = now - self._began_s
        self._reading = None
        self._not_before = now + max(PAUSE_S, _SHARE * took_s)
        try:
            self._pulse, self._took_s = reading.result(), took_s
        except BaseException:
            self._not_before = now  # a server that is back shall be seen at once
            self._pulse = self._took_s = None
            raise

    def _sample(self, now: datetime) -> Sample:
        waited_s = 0.0 if self._reading is None else self._clock.monotonic() - self._began_s
        response_s = None if self._took_s is None and waited_s < PAUSE_S else max(self._took_s or 0.0, waited_s)
        response = judged(
            "response_time",
            "tables answer in",
            MEASURING if response_s is None else units.span(response_s),
            response_s,
            "application.response_time",
            response_s,
        )
        pulse = self._pulse
        problem = "" if waited_s < _STALE_S else f"the platform's tables have not answered for {units.span(waited_s)}"
        watched = {"application.response_time": response_s}
        if pulse is None:
            return Sample(headline=self.headline, figures=(response,), watched=watched, problem=problem)
        bar, age_s = bar_age(pulse, now)
        minute = pulse.orders_minute
        runs, watched_runs = run_figures(pulse, now)
        text = _counted(minute, pulse, "orders")
        return Sample(
            headline=figure("orders_1m", "orders, last minute", text, minute),
            figures=(
                bar,
                figure("bars_1h", "bars, last hour", _counted(pulse.bars_hour, pulse, "bars"), pulse.bars_hour),
                figure("orders_1h", "orders, last hour", _counted(pulse.orders_hour, pulse, "orders"),
                       pulse.orders_hour),
                figure("pending", "orders pending", _counted(pulse.pending, pulse, "orders", "pending"), pulse.pending),
                *runs,
                response,
            ),
            watched=watched
            | {"application.bar_age": None if problem else age_s}
            | {name: None if problem else value for name, value in watched_runs.items()},
            problem=problem,
        )  # fmt: skip


def bar_age(pulse: Pulse, now: datetime) -> tuple[Figure, float | None]:
    """Return the figure of the newest bar, and its age in seconds as far as it matters.

    A bar is complete a minute after it began. While the exchange is closed, and just after it opened, no age matters.
    """
    rule = "application.bar_age"
    if pulse.newest_bar is None:
        why = next((pulse.unread[name] for name in ("bars", "newest bar") if name in pulse.unread), "there is none")
        return figure("bar_age", "newest bar", why, None), None
    age_s = max(0.0, (now - pulse.newest_bar - _MINUTE).total_seconds())
    text = f"{units.span(age_s)} old"
    session = calendar.session(calendar.trading_day(now))
    is_open = session is not None and session.open_at + _GRACE <= now < session.close_at
    if is_open:
        return judged("bar_age", "newest bar", text, age_s, rule, age_s), age_s
    quiet = Figure(name="bar_age", label="newest bar", text=f"{text}, exchange closed", amount=age_s, level=Level.OK)
    return quiet, 0.0


def run_figures(pulse: Pulse, now: datetime) -> tuple[tuple[Figure, ...], dict[str, float | None]]:
    """Return what is to be said of pipelines, and what is watched of them; nothing where the platform has none.

    A few runs say nothing about the share that fails.
    """
    if pulse.runs_ended is None or pulse.runs_failed is None:
        return (), {}
    failed, ended = pulse.runs_failed, pulse.runs_ended
    percent = 100.0 * failed / ended if ended >= _FEW_RUNS else 0.0
    age_s = 0.0 if pulse.oldest_run is None else max(0.0, (now - pulse.oldest_run).total_seconds())
    working = "none at work" if pulse.oldest_run is None else f"for {units.span(age_s)}"
    shown = f"{units.count(failed)} of {units.count(ended)} ended"
    return (
        judged("runs_failed", "pipeline runs failed, last hour", shown, percent, "application.runs_failed", percent),
        judged("run_age", "oldest pipeline run at work", working, age_s, "application.run_age", age_s),
    ), {"application.runs_failed": percent, "application.run_age": age_s}


def _counted(value: int | None, pulse: Pulse, *reasons: str) -> str:
    if value is None:
        return next((pulse.unread[name] for name in reasons if name in pulse.unread), "not readable")
    return f"{units.count(BOUND)} or more" if value > BOUND else units.count(value)
