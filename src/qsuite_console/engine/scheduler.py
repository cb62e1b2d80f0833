"""The loop that makes jobs when their time comes: it sleeps until the next plan, and deals with each plan exactly once.

What is due is decided by the wall clock against a mark that is kept with each plan (``handled_until``), never by
counting sleeps: a clock that jumps, a laptop that slept and a process that was killed are the same to it, plans that
passed. One schedule that fails never holds up the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from qsuite_console.engine import actions
from qsuite_console.engine.core import Core
from qsuite_console.engine.gate import Gate
from qsuite_console.engine.intake import Intake
from qsuite_console.engine.occurrences import count, following, jittered, latest
from qsuite_console.engine.schedule_ports import Fired, Firing, ScheduleStore
from qsuite_console.model.errors import Conflict, ConsoleError, HistoryUnavailable, NotFound
from qsuite_console.model.jobs import SCHEDULED, Job, JobAction, Submission
from qsuite_console.model.runs import AuditEntry
from qsuite_console.model.schedules import MOST_MADE_UP, Missed, Overlap, RunOutcome, Schedule, ScheduleRun

LONGEST_SLEEP_S: Final = 30.0  # a wall clock that jumps is noticed within this
LATER_S: Final = 60.0  # before a schedule whose handling failed is tried again
SET_BACK: Final = timedelta(hours=1)  # a mark further ahead than this: the clock was wrong, plans begin anew
COUNTED: Final = 10_000  # missed plans counted one by one
_STEP: Final = timedelta(microseconds=1)
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Entry:
    """A schedule and its next plan."""

    schedule: Schedule
    next_at: datetime | None = None  # planned
    due_at: datetime | None = None  # with its jitter
    refused: str = ""  # what the last plan was refused for: told once, not at every plan
    not_before: float = 0.0  # monotonic: after a failure

    def plan(self) -> None:
        """Find the next plan."""
        schedule = self.schedule
        self.next_at = self.due_at = None
        if schedule.is_enabled and schedule.handled_until is not None:
            self.next_at = following(schedule.timing, schedule.handled_until)
        if self.next_at is not None:
            self.due_at = jittered(schedule, self.next_at)


class Scheduler:
    """One per engine. Made beside it, bound to it at its start; everything is called on the engine's loop."""

    def __init__(self, store: ScheduleStore, defaults: Callable[[datetime], Sequence[Schedule]]) -> None:
        """``defaults``: schedules that every history is offered once, as of an instant."""
        self.store = store
        self.is_running = False
        self._defaults = defaults
        self._core: Core | None = None
        self._intake: Intake | None = None
        self._entries: dict[int, Entry] = {}
        self._waiting: set[int] = set()
        self._changed = asyncio.Event()
        self._errands: set[asyncio.Task[object]] = set()

    async def bind(self, core: Core, intake: Intake) -> None:
        """Read the schedules and serve this engine. A history that refuses writes gets its defaults another time."""
        self._core, self._intake = core, intake
        try:
            await self.store.seed(self._defaults(core.clock.now()))
        except HistoryUnavailable as error:
            core.trouble.report(error)
        self._entries = {schedule.id: Entry(schedule) for schedule in await self.store.all()}
        self._waiting = set(await self.store.waiting())
        for entry in self._entries.values():
            replan(entry)
        core.watchers.append(self._ended)

    @property
    def core(self) -> Core:
        """Return the engine's inside; raises ConsoleError where there is none yet."""
        if self._core is None:
            raise ConsoleError("the engine is not running", hint="start it first")
        return self._core

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Return what is planned, by name."""
        return {entry.schedule.name: entry for entry in self._entries.values()}

    def find(self, name: str) -> Entry:
        """Return the entry of a name; raises NotFound."""
        found = self.entries.get(name.strip())
        if found is None:
            known = ", ".join(sorted(self.entries)) or "none"
            raise NotFound(f"there is no schedule {name.strip()[:60]}", hint=f"known are {known}")
        return found

    def adopt(self, schedule: Schedule) -> None:
        """Go on with a schedule as it was just saved."""
        entry = self._entries.setdefault(schedule.id, Entry(schedule))
        entry.schedule, entry.refused, entry.not_before = schedule, "", 0.0
        replan(entry)
        self._changed.set()

    def drop(self, schedule_id: int) -> None:
        """Forget a schedule that was deleted."""
        self._entries.pop(schedule_id, None)
        self._waiting.discard(schedule_id)

    def job_of(self, schedule: Schedule) -> tuple[Job, str]:
        """Return the job a schedule would make now and its key; raises what keeps it from it."""
        assert self._intake is not None
        return self._intake.job(
            Submission(
                kind=schedule.kind,
                parameters=schedule.parameters,
                origin=f"{SCHEDULED}{schedule.name}",
                confirmation=schedule.confirmed,
            )
        )

    async def step(self) -> None:
        """Deal with what is due, then sleep until the next plan or a change."""
        self.is_running = True
        self._changed.clear()
        if not self.core.is_draining:
            await self.deal()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._wait_s()):
                await self._changed.wait()

    async def deal(self) -> None:
        """Deal with all that is due by the clock, and with plans whose wait is over."""
        for entry in self._due(self.core.clock.now()):
            await self._guarded(entry)
        for schedule_id in tuple(self._waiting):
            await self._release(schedule_id)

    def _due(self, now: datetime) -> list[Entry]:
        monotonic = self.core.clock.monotonic()
        due = [
            (entry.due_at, entry)
            for entry in self._entries.values()
            if entry.due_at is not None and entry.due_at <= now and entry.not_before <= monotonic
        ]
        for entry in self._entries.values():
            mark = entry.schedule.handled_until
            if entry.schedule.is_enabled and mark is not None and mark > now + SET_BACK:
                due.append((now, entry))
        return [entry for _, entry in sorted(due, key=lambda pair: pair[0])]

    def _wait_s(self) -> float:
        core = self.core
        if core.is_draining:
            return LONGEST_SLEEP_S
        now, monotonic = core.clock.now(), core.clock.monotonic()
        waits = [
            max((entry.due_at - now).total_seconds(), entry.not_before - monotonic)
            for entry in self._entries.values()
            if entry.due_at is not None
        ]
        return max(0.0, min([LONGEST_SLEEP_S, *waits]))

    async def _guarded(self, entry: Entry) -> None:
        """Deal with one schedule; its failure is logged and tried again later, and stops no other."""
        try:
            await self._deal(entry)
        except HistoryUnavailable:
            raise
        except Exception:
            log.exception("schedule %s failed and is tried again in %g s", entry.schedule.name, LATER_S)
            entry.not_before = self.core.clock.monotonic() + LATER_S

    async def _deal(self, entry: Entry) -> None:
        """Deal with every plan of a schedule that is due, by its policy for those that were missed."""
        schedule, now = entry.schedule, self.core.clock.now()
        mark = schedule.handled_until
        assert mark is not None
        if mark > now + SET_BACK:
            log.warning("the clock was set back: schedule %s, planned up to %s, begins anew", schedule.name, mark)
            await self.store.move(schedule.id, now)
            self._handled(entry, now)
            return
        plans = plans_due(schedule, mark, now)
        if not plans:
            replan(entry)
            return
        newest = plans[-1]
        is_late = (now - jittered(schedule, newest)).total_seconds() > schedule.grace_s
        if schedule.missed is Missed.ALL and (len(plans) > 1 or is_late):
            await self._make_up_all(entry, plans, mark)
        elif schedule.missed is Missed.SKIP and is_late:
            await self._miss(entry, mark, newest, "nothing ran it in time")
        else:
            if len(plans) > 1:
                why = "nothing ran it in time"
                await self._miss(entry, mark, plans[-2], f"{why}; one run makes up" if is_late else why)
            await self._run(entry, newest, "made up" if is_late else "plan", schedule.overlap)

    async def _make_up_all(self, entry: Entry, plans: Sequence[datetime], mark: datetime) -> None:
        """Run every missed plan, one after the other; of more than are made up, the newest."""
        if len(plans) > MOST_MADE_UP:
            await self._miss(entry, mark, plans[0], f"only the newest {MOST_MADE_UP} are made up")
            plans = plans[1:]
        for plan in plans:
            await self._run(entry, plan, "made up", Overlap.QUEUE)

    async def _miss(self, entry: Entry, mark: datetime, newest: datetime, why: str) -> None:
        """Keep that the plans up to ``newest`` are not run: as one row, however many they are."""
        schedule = entry.schedule
        missed, has_more = count(schedule.timing, mark, newest, COUNTED)
        firing = Firing(
            schedule_id=schedule.id,
            revision=schedule.revision,
            planned_at=newest,
            outcome=RunOutcome.MISSED,
            why=f"{why}; more than {COUNTED:,} plans" if has_more else why,
            covers=max(1, missed),
        )
        await self.store.fire(firing, now=self.core.clock.now())
        log.warning("schedule %s missed %d plans up to %s: %s", schedule.name, missed, newest, why)
        self._handled(entry, newest)

    async def run_now(self, entry: Entry) -> Fired:
        """Make the job at once, beside the plans; raises what keeps it from it, and Conflict for one not over."""
        self.job_of(entry.schedule)
        fired = await self._fire(entry, self.core.clock.now(), "by hand", Overlap.SKIP)
        if fired is None:
            raise Conflict(f"the schedule {entry.schedule.name} was changed meanwhile", hint="look again")
        if fired.inserted is None:
            raise Conflict(f"{entry.schedule.name} is not run: {fired.run.note}", hint="follow or cancel that job")
        return fired

    async def _run(self, entry: Entry, planned: datetime, trigger: str, overlap: Overlap) -> None:
        await self._fire(entry, planned, trigger, overlap)
        self._handled(entry, planned)

    async def _fire(self, entry: Entry, planned: datetime, trigger: str, overlap: Overlap) -> Fired | None:
        core, schedule = self.core, entry.schedule
        firing = self._firing(entry, planned, trigger, overlap)
        fired = await self.store.fire(firing, now=core.clock.now())
        if fired is None:
            return None
        self._publish(fired)
        if fired.run.outcome is RunOutcome.WAITING:
            self._waiting.add(schedule.id)
            if overlap is Overlap.CANCEL and fired.before is not None:
                self._cancel(schedule, fired.before)
        return fired

    def _firing(self, entry: Entry, planned: datetime, trigger: str, overlap: Overlap) -> Firing:
        """Return the firing of a plan with its job, or with why there is none."""
        schedule = entry.schedule
        job: Job | None = None
        key = why = ""
        try:
            job, key = self.job_of(schedule)
        except ConsoleError as error:
            why = error.message
        is_news, entry.refused = why != entry.refused, why
        gate = self.core.around.gate

        def note(run: ScheduleRun) -> AuditEntry | None:
            return audit_of(gate, schedule, run, job) if is_news or run.outcome is not RunOutcome.REFUSED else None

        return Firing(
            schedule_id=schedule.id,
            revision=schedule.revision,
            planned_at=planned,
            overlap=overlap,
            trigger=trigger,
            job=job,
            dedupe_key=key,
            outcome=RunOutcome.REFUSED,
            why=why,
            note=note,
        )

    async def _release(self, schedule_id: int) -> None:
        """Make the job of the oldest plan that waits, if the job before it is over."""
        entry = self._entries.get(schedule_id)
        if entry is None:
            self._waiting.discard(schedule_id)
            return
        firing = self._firing(entry, self.core.clock.now(), "plan", Overlap.QUEUE)
        fired = await self.store.start_waiting(firing, now=self.core.clock.now())
        if fired is not None:
            self._publish(fired)
        elif schedule_id not in await self.store.waiting():
            self._waiting.discard(schedule_id)

    def _publish(self, fired: Fired) -> None:
        """Make the job of a firing known, now that it is durable."""
        if fired.inserted is not None:
            job = fired.inserted.job
            self.core.dispatcher.want(job.id, job.queue)
            self.core.changed(job, None)

    def _cancel(self, schedule: Schedule, job_id: int) -> None:
        """Ask the job before to stop, beside the loop: the answer may take a while."""
        asked = actions.act(self.core, JobAction.CANCEL, [job_id], f"{SCHEDULED}{schedule.name}")
        task: asyncio.Task[object] = asyncio.create_task(asked, name=f"cancel-{job_id}")
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    def _handled(self, entry: Entry, until: datetime) -> None:
        entry.schedule = msgspec.structs.replace(entry.schedule, handled_until=until)
        entry.not_before = 0.0
        replan(entry)

    def _ended(self, _: Job) -> None:
        """Look again when a job is over: a plan may wait for it."""
        if self._waiting:
            self._changed.set()


def replan(entry: Entry) -> None:
    """Find the next plan of an entry; none for one that can't be read any more."""
    try:
        entry.plan()
    except ConsoleError as error:  # an expression or a zone that an older version took
        entry.next_at = entry.due_at = None
        log.warning("schedule %s is not planned: %s", entry.schedule.name, error.message)


def plans_due(schedule: Schedule, mark: datetime, now: datetime) -> list[datetime]:
    """Return the newest plans after the mark whose start has come, ascending; two are enough but to make up all."""
    most = MOST_MADE_UP + 1 if schedule.missed is Missed.ALL else 2
    plans: list[datetime] = []
    plan = latest(schedule.timing, mark, now)
    while plan is not None and len(plans) < most:
        if jittered(schedule, plan) <= now:
            plans.append(plan)
        plan = latest(schedule.timing, mark, plan - _STEP)
    return plans[::-1]


def audit_of(gate: Gate, schedule: Schedule, run: ScheduleRun, job: Job | None) -> AuditEntry | None:
    """Return what the audit keeps of a run: jobs that are made, and the first refusal of a row of them."""
    if run.outcome not in (RunOutcome.STARTED, RunOutcome.REFUSED):
        return None
    subject = schedule.kind if job is None else f"{schedule.kind}: {job.title}"
    result = f"refused: {run.note}" if run.job_id is None else f"job {run.job_id}"
    return gate.entry(f"{SCHEDULED}{schedule.name}", "jobs.submit", subject, result)
