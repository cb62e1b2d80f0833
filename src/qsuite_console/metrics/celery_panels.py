"""The questions of the Celery screen: queues, workers, what they have, what became of it. They share one watch.

Nothing is asked of workers here that the watch doesn't share; what could not be had joins the answer's ``unread``.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from qsuite_console.engine.parameters import decode
from qsuite_console.metrics import celery_answers, celery_backlog
from qsuite_console.metrics.celery_tally import WINDOW_S, Worker
from qsuite_console.metrics.celery_watch import NOW, NOW_S, SELF, SELF_S, CeleryWatch, watch_of
from qsuite_console.model.advice import Unread
from qsuite_console.model.celery import (
    CeleryEnd,
    CeleryHistory,
    CeleryKinds,
    CeleryQueues,
    CeleryTask,
    CeleryTasks,
    CeleryWorker,
    CeleryWorkers,
    Presence,
)

if TYPE_CHECKING:
    from qsuite_console.workers import Services

_STATES: Final = {"active": 0, "reserved": 1, "scheduled": 2}
_MOST: Final = 1000  # tasks of one answer


class NoParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to choose."""


class TextParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What contains every word of ``text``, whatever the case."""

    text: Annotated[str, msgspec.Meta(max_length=200)] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=2000)] = 500


class _Probe:
    timeout_s = 6.0

    def __init__(self, services: Services) -> None:
        self._services = services
        self._clock = services.clock

    @property
    def _watch(self) -> CeleryWatch:
        return watch_of(self._services)


class QueuesProbe(_Probe):
    """Answers ``celery.queues``."""

    name = "celery.queues"

    async def ask(self, parameters: Mapping[str, Any]) -> CeleryQueues:
        """Return every queue with its messages; raises CacheError."""
        decode(NoParameters, parameters)
        watch, unread = self._watch, list[Unread]()
        sample = await watch.sample()
        answers = await watch.answers(SELF, SELF_S, unread)
        if answers is not None:
            sample = await watch.sample()
        return CeleryQueues(
            at=self._clock.now(),
            where=watch.broker.where,
            queues=tuple(celery_backlog.queues_of(watch, sample)),
            in_flight=sample.in_flight,
            oldest_s=sample.oldest_s,
            visibility_s=watch.visibility_s(),
            is_whole=sample.is_whole,
            left_out=sample.left_out,
            unread=(*watch.unheard, *unread),
            cost_ms=sample.cost_ms,
        )


class WorkersProbe(_Probe):
    """Answers ``celery.workers``."""

    name = "celery.workers"

    async def ask(self, parameters: Mapping[str, Any]) -> CeleryWorkers:
        """Return every worker that is heard or answers; raises CacheError."""
        decode(NoParameters, parameters)
        watch, unread = self._watch, list[Unread]()
        watch.listen()
        now = await watch.answers(NOW, NOW_S, unread)
        own = await watch.answers(SELF, SELF_S, unread)
        told: dict[str, dict[str, Any]] = {}
        for answers in (now, own):
            for method, found in answers.found.items() if answers is not None else ():
                for worker, value in found.items():
                    told.setdefault(worker, {})[method] = value
        names = sorted({*told, *watch.tally.workers})
        at = self._clock.monotonic()
        return CeleryWorkers(
            at=self._clock.now(),
            where=watch.broker.where,
            workers=tuple(_worker(name, watch.tally.workers.get(name), told.get(name, {}), at) for name in names),
            listening=None if now is None else now.heard,
            heard_for_s=watch.tally.covered_s,
            unread=(*watch.unheard, *_once(unread)),
            cost_ms=0.0 if now is None else now.cost_ms,
        )


class TasksProbe(_Probe):
    """Answers ``celery.tasks``."""

    name = "celery.tasks"

    async def ask(self, parameters: Mapping[str, Any]) -> CeleryTasks:
        """Return what workers have now; raises CacheError."""
        wanted, watch, unread = decode(TextParameters, parameters), self._watch, list[Unread]()
        answers = await watch.answers(NOW, NOW_S, unread)
        tasks: list[CeleryTask] = []
        for state, found in answers.found.items() if answers is not None else ():
            for worker, value in found.items():
                tasks += celery_answers.tasks(state, celery_answers.text(worker), value)
        counts = {state: sum(task.state == state for task in tasks) for state in NOW}
        shown = [
            task for task in tasks if _matches(wanted.text, (task.id, task.name, task.worker, task.queue, task.state))
        ]
        first = heapq.nsmallest(min(_MOST, wanted.limit), shown, key=_rank)
        return CeleryTasks(
            at=self._clock.now(),
            where=watch.broker.where,
            tasks=tuple(first),
            left_out=len(shown) - len(first),
            answered=0 if answers is None else max((len(found) for found in answers.found.values()), default=0),
            listening=0 if answers is None else answers.heard,
            unread=tuple(unread),
            cost_ms=0.0 if answers is None else answers.cost_ms,
            **counts,
        )


class KindsProbe(_Probe):
    """Answers ``celery.kinds``."""

    name = "celery.kinds"

    async def ask(self, parameters: Mapping[str, Any]) -> CeleryKinds:
        """Return each name of a task with its rates, times and failures, by events."""
        decode(NoParameters, parameters)
        watch = self._watch
        watch.listen()
        return CeleryKinds(
            at=self._clock.now(),
            where=watch.broker.where,
            window_s=WINDOW_S,
            covered_s=min(WINDOW_S, watch.tally.covered_s),
            kinds=tuple(sorted(watch.tally.kinds(), key=lambda kind: (-kind.ended, kind.name))),
            quiet_workers=watch.tally.quiet(),
            unread=watch.unheard,
        )


class HistoryProbe(_Probe):
    """Answers ``celery.history``."""

    name = "celery.history"

    async def ask(self, parameters: Mapping[str, Any]) -> CeleryHistory:
        """Return the newest ends of tasks, by events."""
        wanted, watch = decode(TextParameters, parameters), self._watch
        watch.listen()
        ends = watch.tally.ends()
        shown = [end for end in ends if _matches(wanted.text, _words(end))]
        return CeleryHistory(
            at=self._clock.now(),
            where=watch.broker.where,
            ends=tuple(shown[: wanted.limit]),
            known=len(ends),
            covered_s=watch.tally.covered_s,
            quiet_workers=watch.tally.quiet(),
            unread=watch.unheard,
        )


def _worker(name: str, heard: Worker | None, told: Mapping[str, Any], now: float) -> CeleryWorker:
    stats = told.get("stats")
    stats = stats if isinstance(stats, dict) else {}
    pool, concurrency = celery_answers.pool_of(stats)
    presence = _presence(heard, now, has_answered=any(method in told for method in NOW))
    beating = heard if presence is Presence.ONLINE else None  # what a heartbeat told is old without the next
    uptime = celery_answers.number(stats.get("uptime"))
    return CeleryWorker(
        name=celery_answers.text(name),
        presence=presence,
        heard_s=None if heard is None else max(0.0, now - heard.heard),
        pid=celery_answers.whole(stats.get("pid")) or (None if heard is None else heard.pid),
        version="" if heard is None else heard.version,
        pool=pool,
        concurrency=concurrency,
        prefetch=celery_answers.whole(stats.get("prefetch_count")),
        active=_length(told.get("active"), None if beating is None else beating.active),
        reserved=_length(told.get("reserved"), None),
        scheduled=_length(told.get("scheduled"), None),
        processed=None if heard is None else heard.processed,
        rate=None if beating is None else beating.rate(now),
        uptime_s=uptime,
        memory=celery_answers.memory_of(stats),
        load=None if beating is None else beating.load,
        ahead_s=None if beating is None else beating.ahead_s,
        queues=celery_answers.names(told.get("active_queues")),
        registered=celery_answers.names(told.get("registered")),
        totals=celery_answers.totals_of(stats),
        has_events=heard is not None and heard.task_told is not None and now - heard.task_told <= WINDOW_S,
    )


def _presence(heard: Worker | None, now: float, *, has_answered: bool) -> Presence:
    if heard is None:
        return Presence.MUTE
    if heard.is_offline:
        return Presence.OFFLINE
    if heard.is_silent(now):
        return Presence.MUTE if has_answered else Presence.SILENT
    return Presence.ONLINE


def _length(answer: object, otherwise: int | None) -> int | None:
    return len(answer) if isinstance(answer, list) else otherwise


def _rank(task: CeleryTask) -> tuple[int, float, str]:
    at = task.started_at or task.eta
    return _STATES.get(task.state, 9), 0.0 if at is None else at.timestamp(), task.id


def _words(end: CeleryEnd) -> tuple[str, ...]:
    return end.id, end.name, end.worker, end.state, end.error


def _matches(text: str, fields: Iterable[str]) -> bool:
    there = " ".join(fields).lower()
    return all(word in there for word in text.lower().split())


def _once(unread: Iterable[Unread]) -> tuple[Unread, ...]:
    return tuple({(one.what, one.why): one for one in unread}.values())
