"""The questions front ends ask about schedules: the list, one in depth, and what a timing that is being typed means."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import msgspec

from qsuite_console.engine.cron import Cron, parse
from qsuite_console.engine.cron_words import clock, place, words
from qsuite_console.engine.occurrences import collisions, frequency, next_change, occurrences
from qsuite_console.engine.schedule_ports import ScheduleReading
from qsuite_console.engine.scheduler import Entry, Scheduler
from qsuite_console.engine.timing import read_timing
from qsuite_console.model.errors import ConsoleError, InvalidParameters, NotFound, Unconfirmed, UsageProblem
from qsuite_console.model.instants import stated
from qsuite_console.model.schedules import (
    Explanation,
    Occurrences,
    Schedule,
    ScheduleDetail,
    ScheduleList,
    ScheduleRun,
    ScheduleView,
    Timing,
)
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.workers import Services

RUNS: Final = 50
PROBES: Final = ("schedules.list", "schedules.detail", "schedules.explain")
Aside = Callable[[Callable[[], dict[str, Any]]], Awaitable[dict[str, Any]]]
_SOON: Final = timedelta(days=1)


async def _at_once(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    return work()


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers, from whatever reads schedules: the engine's own store, or a history that nobody runs."""

    reading: ScheduleReading
    now: datetime
    is_running: bool = False
    aside: Aside = _at_once  # where what takes its time is computed: of many schedules, or of plans far ahead
    problem: Callable[[Schedule], str] = lambda _: ""

    async def ask(self, probe: str, parameters: Mapping[str, Any]) -> ScheduleList | ScheduleDetail | Explanation:
        """Answer one of PROBES."""
        started = time.perf_counter()
        answer: ScheduleList | ScheduleDetail | Explanation
        match probe:
            case "schedules.list":
                answer = await self._list()
            case "schedules.detail":
                answer = await self._detail(parameters)
            case _:
                answer = await self._explain(parameters)
        return msgspec.structs.replace(answer, cost_ms=(time.perf_counter() - started) * 1000)

    async def _list(self) -> ScheduleList:
        last, live = await self.reading.last_runs(), await self.reading.live()
        views = tuple(self._view(schedule, last, live) for schedule in await self.reading.all())
        return ScheduleList(at=self.now, schedules=views, is_running=self.is_running)

    async def _detail(self, parameters: Mapping[str, Any]) -> ScheduleDetail:
        name = str(parameters.get("name", "")).strip()
        schedules = {schedule.name: schedule for schedule in await self.reading.all()}
        if name not in schedules:
            known = ", ".join(schedules) or "none"
            raise NotFound(f"there is no schedule {clean(name, 60)}", hint=f"known are {known}")
        schedule = schedules.pop(name)
        detail = ScheduleDetail(
            at=self.now,
            view=self._view(schedule, await self.reading.last_runs(), await self.reading.live()),
            runs=tuple(await self.reading.runs(schedule.id, RUNS)),
        )
        told = await self._meaning(schedule.timing, schedules.values(), parameters)
        return msgspec.structs.replace(detail, **told)

    async def _explain(self, parameters: Mapping[str, Any]) -> Explanation:
        given = {key: str(parameters.get(key) or "") for key in ("cron", "every", "once", "zone", "name")}
        try:
            timing = read_timing(given["cron"], given["every"], given["once"], given["zone"], self.now)
        except InvalidParameters as error:
            return Explanation(at=self.now, problems=error.problems)
        others = [schedule for schedule in await self.reading.all() if schedule.name != given["name"]]
        explained = Explanation(at=self.now, words=words(timing), timing=timing)
        return msgspec.structs.replace(explained, **await self._meaning(timing, others, parameters))

    async def _meaning(
        self, timing: Timing, others: Iterable[Schedule], parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return what follows from a timing, beside other schedules."""
        planned = [(schedule.name, schedule.timing) for schedule in others if schedule.is_enabled]

        def computed() -> dict[str, Any]:
            return {
                "upcoming": self._upcoming(timing, parameters),
                "frequency": frequency(timing, self.now),
                "collisions": collisions(timing, planned, self.now),
                "notes": notes(timing, self.now),
            }

        return await self.aside(computed)

    def _upcoming(self, timing: Timing, parameters: Mapping[str, Any]) -> Occurrences:
        """Return the plans between ``start`` (now) and ``end``, at most ``most``."""
        start, end = (_instant(name, parameters) for name in ("start", "end"))
        return occurrences(timing, start or self.now, end=end, most=_most(parameters))

    def _view(self, schedule: Schedule, last: Mapping[int, ScheduleRun], live: Mapping[int, int]) -> ScheduleView:
        entry = Entry(schedule)
        try:
            entry.plan()
            told = words(schedule.timing)
        except ConsoleError as error:  # an expression or a zone that an older version took
            told = error.message
        return ScheduleView(
            schedule=schedule,
            words=told,
            next_at=entry.next_at,
            starts_at=entry.due_at,
            last=last.get(schedule.id),
            job_id=live.get(schedule.id),
            problem=self.problem(schedule),
        )


class _Probe:
    name: str
    timeout_s = 5.0

    def __init__(self, services: Services) -> None:
        self._services = services
        self._clock = services.clock

    async def ask(self, parameters: Mapping[str, Any]) -> ScheduleList | ScheduleDetail | Explanation:
        """Answer from the engine's own schedules."""
        scheduler = self._services.schedules
        if scheduler is None:
            raise ConsoleError("there are no schedules here", hint="an engine has them")
        return await Answers(
            scheduler.store,
            self._clock.now(),
            is_running=scheduler.is_running,
            aside=asyncio.to_thread,
            problem=lambda schedule: _problem(scheduler, schedule),
        ).ask(self.name, parameters)


class ListProbe(_Probe):
    """Every schedule with its next and its last run."""

    name = PROBES[0]


class DetailProbe(_Probe):
    """One schedule, by its ``name``: ``most`` plans to come, and what was; raises NotFound."""

    name = PROBES[1]


class ExplainProbe(_Probe):
    """What a timing means, also while it is typed: cron, every, once, zone; ``name`` leaves a schedule itself out."""

    name = PROBES[2]


def _problem(scheduler: Scheduler, schedule: Schedule) -> str:
    """Return why a schedule's job could not be made as things stand; what is paused needs no confirmation yet."""
    try:
        scheduler.job_of(schedule)
    except Unconfirmed:
        return "not confirmed for production: enable it again" if schedule.is_enabled else ""
    except ConsoleError as error:
        return error.message
    return ""


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
        is_hit = any(_is_twice(plan.astimezone(ZoneInfo(timing.zone))) for plan in around)
        what = "a time that comes twice runs the first time only"
    return (f"{told}: {what}",) if is_hit else ()


def _shows(parsed: Cron, wall: datetime) -> bool:
    return wall.hour in parsed.hours and wall.minute in parsed.minutes


def _is_twice(local: datetime) -> bool:
    return local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()


def _most(parameters: Mapping[str, Any]) -> int:
    try:
        most = msgspec.convert(parameters.get("most", 5), int, strict=False)
    except msgspec.ValidationError as error:
        raise UsageProblem("how many plans: a number from 1 to 1000") from error
    if not 1 <= most <= 1000:
        raise UsageProblem("how many plans: a number from 1 to 1000")
    return most


def _instant(name: str, parameters: Mapping[str, Any]) -> datetime | None:
    given = parameters.get(name)
    if not given:
        return None
    try:
        found = msgspec.convert(given, datetime)
    except msgspec.ValidationError as error:
        raise UsageProblem(f"{name} is an instant like 2026-11-30T09:25:00Z") from error
    return stated(found, name)
