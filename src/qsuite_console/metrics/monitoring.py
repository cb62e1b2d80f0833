"""What is watched beyond the newest snapshot: the recorder, the alerts and the scores of one runtime.

The sampler fills it; probes and operations read it through ``Services.monitoring``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from qsuite_console.metrics.alerts import AlertBook
from qsuite_console.metrics.recorder import Recorder
from qsuite_console.metrics.thresholds import RULES, Rule
from qsuite_console.model.alerts import AlertPage, AlertQuery, Silence
from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.health import Alert, Reading
from qsuite_console.model.jobs import JobPage, JobQuery

if TYPE_CHECKING:
    from qsuite_console.metrics.score_keeper import ScoreKeeper
    from qsuite_console.workers import Services


@dataclass(slots=True, kw_only=True)
class Monitoring:
    """One per runtime; used on the engine's loop."""

    recorder: Recorder
    book: AlertBook
    jobs: Callable[[JobQuery], Awaitable[JobPage]]
    scores: ScoreKeeper | None = None  # None: nothing is scored
    readings: Sequence[Reading] = ()  # of the newest snapshot

    @property
    def rules(self) -> Mapping[str, Rule]:
        """Return the rules in force, the disabled ones among them."""
        return self.book.rules

    async def alerts_between(self, start: datetime, end: datetime) -> Sequence[Alert]:
        """Return the alerts that burned at some time in [start, end], oldest first; raises HistoryUnavailable."""
        return await self.book.between(start, end)


def monitoring_of(services: Services) -> Monitoring:
    """Return what is watched; raises ConsoleError where nothing is."""
    if services.monitoring is None:
        raise ConsoleError("nothing is watched here", hint="an engine that samples has alerts and figures over time")
    return services.monitoring


class _Unkept:
    """A store of alerts that keeps nothing, where there is no history."""

    async def keep_alerts(self, target: str, found: Sequence[Alert], silences: Sequence[Silence] | None) -> None:
        """Keep nothing."""

    async def alert_page(self, target: str, query: AlertQuery) -> AlertPage:
        """Return an empty page."""
        return AlertPage()

    async def alerts_between(self, target: str, start: datetime, end: datetime) -> Sequence[Alert]:
        """Return none."""
        return ()

    async def silences(self, target: str) -> Sequence[Silence]:
        """Return none."""
        return ()


def unkept(clock: Clock) -> Monitoring:
    """Return a monitoring with the default rules that forgets everything with its process."""

    async def no_jobs(query: JobQuery) -> JobPage:
        return JobPage(jobs=())

    return Monitoring(
        recorder=Recorder(None, problem="nothing is recorded here"),
        book=AlertBook(RULES, _Unkept(), "", clock),
        jobs=no_jobs,
    )
