"""The reading of Celery on Redis: what waits, what is under way, who is there, what ends and how well."""

from __future__ import annotations

from typing import Final

from qsuite_console.cache.celery_queues import BrokerSample
from qsuite_console.cache.errors import CacheError
from qsuite_console.metrics import celery_answers, celery_backlog, units
from qsuite_console.metrics.celery_watch import SELF, CeleryWatch
from qsuite_console.metrics.sources import MEASURING, Sample, figure, judged, share
from qsuite_console.model.celery import CeleryQueue
from qsuite_console.model.clock import Clock
from qsuite_console.model.health import Figure

_ASKED_S: Final = 30.0  # between questions to workers while nobody looks


class CelerySource:
    """Reads one broker. Where there is nothing of Celery's on it, there is no reading either."""

    name = "celery"
    title = "Celery"

    def __init__(self, watch: CeleryWatch, clock: Clock) -> None:
        self._watch = watch
        self._clock = clock

    @property
    def unconfigured(self) -> str:
        """Return why there is nothing to read, or ""."""
        return "" if self._watch.broker.cache.is_configured else "not configured: set celery.broker_url or REDIS_URL"

    @property
    def is_absent(self) -> bool:
        """Return whether no queue and no worker was ever seen: the platform has no Celery here."""
        return not self._watch.broker.queues.is_bound and not self._watch.tally.workers

    @property
    def headline(self) -> Figure:
        """Return the headline before the first sample."""
        return figure("waiting", "messages waiting", MEASURING, None)

    async def read(self) -> Sample:
        """Return one sample; raises CacheError where there is a Celery to miss."""
        try:
            sample = await self._watch.sample()
        except CacheError:
            if not self.is_absent:
                raise
            return Sample(headline=self.headline)
        if self.is_absent:
            return Sample(headline=self.headline)
        self._watch.refresh(SELF, _ASKED_S)
        return self._sample(sample, celery_backlog.queues_of(self._watch, sample))

    async def close(self) -> None:
        """Leave the connections to who made them."""

    def _sample(self, sample: BrokerSample, queues: list[CeleryQueue]) -> Sample:
        tally, now = self._watch.tally, self._clock.monotonic()
        there = [one for one in tally.workers.values() if not one.is_offline and not one.is_silent(now)]
        lost = self._watch.lost()
        pace = self._watch.pace([one.name for one in there]) if there else 0.0
        visibility_s = self._watch.visibility_s() or celery_answers.DEFAULT_VISIBILITY_S
        oldest = 0.0 if sample.oldest_s is None else share(sample.oldest_s, visibility_s)
        counts = {state: tally.total(state) for state in ("succeeded", "failed")}
        failures, backlog_s = celery_backlog.failure_percent(counts), celery_backlog.backlog_s(queues)
        unconsumed = celery_backlog.unconsumed(queues)
        age = "none" if sample.oldest_s is None else units.span(sample.oldest_s)
        return Sample(
            headline=figure("waiting", "messages waiting", units.count(sample.waiting), sample.waiting),
            figures=(
                figure("rate", "tasks ended", MEASURING if pace is None else units.rate(pace), pace, "/s"),
                figure("in_flight", "taken by workers", units.count(sample.in_flight), sample.in_flight),
                judged("oldest", "oldest of those", age, sample.oldest_s, "celery.oldest", oldest),
                figure("workers", "workers", units.count(len(there)), len(there)),
                judged(
                    "lost",
                    "workers lost",
                    "being asked" if lost is None else units.count(lost),
                    lost,
                    "celery.lost",
                    lost,
                ),
                judged(
                    "failures",
                    "tasks failed",
                    "few ended" if failures is None else units.percent(failures),
                    failures,
                    "celery.failures",
                    failures,
                ),
                judged(
                    "unconsumed",
                    "queues nobody consumes",
                    "not known" if unconsumed is None else units.count(unconsumed),
                    unconsumed,
                    "celery.unconsumed",
                    unconsumed,
                ),
                judged(
                    "backlog",
                    "work in growing queues",
                    MEASURING if backlog_s is None else _backlog(backlog_s),
                    backlog_s,
                    "celery.backlog",
                    backlog_s,
                ),
            ),
            watched={
                "celery.oldest": oldest,
                "celery.lost": lost,
                "celery.failures": failures,
                "celery.unconsumed": unconsumed,
                "celery.backlog": backlog_s,
            },
        )


def _backlog(seconds: float) -> str:
    if seconds >= celery_backlog.FOREVER_S:
        return "no end in sight"
    return "none" if seconds <= 0 else units.span(seconds)
