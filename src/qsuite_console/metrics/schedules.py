"""The questions front ends ask about schedules: the list, one in depth, and what a timing that is being typed means."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import msgspec

from qsuite_console.engine.cron import parse
from qsuite_console.engine.cron_words import clock, place, words
from qsuite_console.engine.occurrences import collisions, frequency, next_change, occurrences
from qsuite_console.engine.scheduler import Entry, Scheduler
from qsuite_console.engine.timing import read_timing
from qsuite_console.model.errors import ConsoleError, InvalidParameters, Unconfirmed, UsageProblem
from qsuite_console.model.schedules import (
    Explanation,
    ScheduleDetail,
    ScheduleList,
    ScheduleRun,
    ScheduleView,
    Timing,
)

if TYPE_CHECKING:
    from qsuite_console.workers import Services

RUNS: Final = 50
_SOON: Final = timedelta(days=1)


class _Probe:
    timeout_s = 5.0

    def __init__(self, services: Services) -> None:
        self._services = services
        self._clock = services.clock

    @property
    def _scheduler(self) -> Scheduler:
        if self._services.schedules is None:
            raise ConsoleError("there are no schedules here", hint="an engine has them")
        return self._services.schedules

    def _view(self, entry: Entry, last: Mapping[int, ScheduleRun], live: Mapping[int, int]) -> ScheduleView:
        schedule = entry.schedule
        return ScheduleView(
            schedule=schedule,
            words=_words(schedule.timing),
            next_at=entry.next_at,
            starts_at=entry.due_at,
            last=last.get(schedule.id),
            job_id=live.get(schedule.id),
            problem=self._problem(entry),
        )

    def _problem(self, entry: Entry) -> str:
        """Return why a schedule's job could not be made as things stand; not confirmed counts only once enabled."""
        try:
            self._scheduler.job_of(entry.schedule)
        except Unconfirmed:
            return "not confirmed for production: enable it again" if entry.schedule.is_enabled else ""
        except ConsoleError as error:
            return error.message
        return ""

    def _others(self, name: str) -> list[tuple[str, Timing]]:
        entries = self._scheduler.entries.items()
        return [(other, entry.schedule.timing) for other, entry in entries if entry.next_at and other != name]


class ListProbe(_Probe):
    """Every schedule with its next and its last run."""

    name = "schedules.list"

    async def ask(self, parameters: Mapping[str, Any]) -> ScheduleList:
        """Return them by name."""
        started = time.perf_counter()
        scheduler = self._scheduler
        last, live = await scheduler.store.last_runs(), await scheduler.store.live()
        entries = sorted(scheduler.entries.items())
        return ScheduleList(
            at=self._clock.now(),
            schedules=tuple(self._view(entry, last, live) for _, entry in entries),
            is_running=scheduler.is_running,
            cost_ms=(time.perf_counter() - started) * 1000,
        )


class DetailProbe(_Probe):
    """One schedule: what is to come and what was."""

    name = "schedules.detail"

    async def ask(self, parameters: Mapping[str, Any]) -> ScheduleDetail:
        """Return it; parameters are its name and ``most``, how many plans to come. Raises NotFound."""
        started = time.perf_counter()
        scheduler, now = self._scheduler, self._clock.now()
        entry = scheduler.find(str(parameters.get("name", "")))
        schedule = entry.schedule
        store = scheduler.store
        last, live = await store.last_runs(), await store.live()
        most = _most(parameters)
        return ScheduleDetail(
            at=now,
            view=self._view(entry, last, live),
            upcoming=occurrences(schedule.timing, now, most=most),
            frequency=frequency(schedule.timing, now),
            collisions=collisions(schedule.timing, self._others(schedule.name), now),
            notes=notes(schedule.timing, now),
            runs=tuple(await store.runs(schedule.id, RUNS)),
            cost_ms=(time.perf_counter() - started) * 1000,
        )


class ExplainProbe(_Probe):
    """What a timing means, also while it is being typed."""

    name = "schedules.explain"

    async def ask(self, parameters: Mapping[str, Any]) -> Explanation:
        """Return words, plans and problems; parameters are cron, every, once and zone, name to leave itself out."""
        started = time.perf_counter()
        now = self._clock.now()
        given = {key: str(parameters.get(key) or "") for key in ("cron", "every", "once", "zone", "name")}
        try:
            timing = read_timing(given["cron"], given["every"], given["once"], given["zone"], now)
        except InvalidParameters as error:
            return Explanation(at=now, problems=error.problems)
        return Explanation(
            at=now,
            words=words(timing),
            timing=timing,
            upcoming=occurrences(timing, now, most=_most(parameters)),
            frequency=frequency(timing, now),
            collisions=collisions(timing, self._others(given["name"]), now),
            notes=notes(timing, now),
            cost_ms=(time.perf_counter() - started) * 1000,
        )


def notes(timing: Timing, now: datetime) -> tuple[str, ...]:
    """Return what one should know of a timing: what the next change of its zone's clocks does to it."""
    if not timing.cron:
        return ()
    change = next_change(timing.zone, now)
    if change is None:
        return ()
    at, by = change
    parsed = parse(timing.cron)
    local = at.astimezone(ZoneInfo(timing.zone))
    minutes = round(abs(by).total_seconds() / 60)
    told = f"the clocks go {'forward' if by > timedelta() else 'back'} {minutes} min on {local.day} {local:%b %Y}"
    if parsed.is_hourly:
        return (f"{told}: it keeps pace with real time",)
    around = occurrences(timing, at - _SOON, end=at + _SOON, most=200).times
    if by > timedelta():
        is_hit = at in around and not _shows(parsed, local.replace(tzinfo=None))
        what = f"what falls into the gap runs at {clock(local)} {place(timing.zone)}"
    else:
        is_hit = any(time.astimezone(ZoneInfo(timing.zone)).replace(fold=1).utcoffset() !=
                     time.astimezone(ZoneInfo(timing.zone)).utcoffset() for time in around)  # fmt: skip
        what = "a time that comes twice runs the first time only"
    return (f"{told}: {what}",) if is_hit else ()


def _shows(parsed: Any, wall: datetime) -> bool:
    return wall.hour in parsed.hours and wall.minute in parsed.minutes


def _words(timing: Timing) -> str:
    try:
        return words(timing)
    except ConsoleError as error:
        return error.message


def _most(parameters: Mapping[str, Any]) -> int:
    try:
        most = msgspec.convert(parameters.get("most", 5), int, strict=False)
    except msgspec.ValidationError as error:
        raise UsageProblem("how many plans: a number from 1 to 1000") from error
    if not 1 <= most <= 1000:
        raise UsageProblem("how many plans: a number from 1 to 1000")
    return most
