"""Making, changing and removing schedules, and running one now. Looked at first, in plain words, like any change.

What would start work (saving, enabling, running) counts as a change of the target where its jobs do: refused on a
read-only one, and on production it wants the target's name, which is kept with the schedule as the confirmation of its
jobs. A schedule of jobs that only read, and pausing and deleting, which only stop work, are always allowed.
"""

from __future__ import annotations

import difflib
import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final
from zoneinfo import ZoneInfo

import msgspec

from qsuite_console.engine.cron_words import clock, place, words
from qsuite_console.engine.occurrences import following, frequency
from qsuite_console.engine.ports import OperationKind
from qsuite_console.engine.scheduler import Scheduler
from qsuite_console.engine.timing import LONGEST_S, read_span, read_timing
from qsuite_console.model.errors import Conflict, ConsoleError, InvalidParameters, NotFound
from qsuite_console.model.operations import Outcome, Proposal
from qsuite_console.model.schedules import NAME, Missed, Overlap, Schedule, Timing, length, parameters_of
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.engine.gate import Gate
    from qsuite_console.workers import Services

Name = Annotated[
    str,
    msgspec.Meta(
        max_length=80,
        title="Name",
        description="small letters, digits, - . _, at most 60",
        examples=["warm-prices"],
    ),
]
_MISSED: Final = {
    Missed.SKIP: "a run that could not start in time is skipped",
    Missed.ONCE: "however many runs were missed, one makes up for them",
    Missed.ALL: "every missed run is made up, one after the other, at most 100",
}
_OVERLAP: Final = {
    Overlap.SKIP: "a plan is skipped while the job before it is not over",
    Overlap.QUEUE: "a plan waits for the job before it to end",
    Overlap.CANCEL: "a plan cancels the job before it and then runs",
}


class NameParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which schedule."""

    name: Name


class SaveParameters(NameParameters, frozen=True, kw_only=True):
    """A schedule as it is typed; exactly one of cron, every and once says when."""

    name: Name = ""  # empty as it is typed first: every problem of a form is named at once
    kind: Annotated[str, msgspec.Meta(title="Kind of job", max_length=80, examples=["warm.prices"])] = ""
    parameters: Annotated[
        str, msgspec.Meta(title="Parameters", description='of the job: name=value … or JSON like {"symbols": "AAPL"}')
    ] = ""
    cron: Annotated[
        str,
        msgspec.Meta(
            title="Cron",
            description="minute hour day month weekday, a sixth field is the second, or @daily",
            examples=["25 9 * * mon-fri"],
        ),
    ] = ""
    every: Annotated[str, msgspec.Meta(title="Every", description="an interval, 1 s to 24 h", examples=["5 min"])] = ""
    once: Annotated[
        str, msgspec.Meta(title="Once", description="one time, in the zone", examples=["2026-11-30 09:25"])
    ] = ""
    zone: Annotated[str, msgspec.Meta(title="Time zone", max_length=60, examples=["America/New_York"])] = "UTC"
    missed: Annotated[Missed, msgspec.Meta(title="Missed runs", description="skip, once or all")] = Missed.SKIP
    grace: Annotated[str, msgspec.Meta(title="Grace", description="a run that late is still on time")] = "60 s"
    overlap: Annotated[Overlap, msgspec.Meta(title="Overlap", description="while the job before is not over")] = (
        Overlap.SKIP
    )
    jitter: Annotated[str, msgspec.Meta(title="Jitter", description="start up to this much later")] = "0 s"
    note: Annotated[str, msgspec.Meta(title="Note", description="what it is for", max_length=200)] = ""
    enabled: Annotated[bool, msgspec.Meta(title="Enabled", description="no: saved, but paused")] = True
    revision: Annotated[
        int, msgspec.Meta(title="Revision", description="of the schedule that is edited; 0 makes a new one", ge=0)
    ] = 0


class _Operation:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._clock = services.clock

    @property
    def _scheduler(self) -> Scheduler:
        if self._services.schedules is None:
            raise ConsoleError("there are no schedules here", hint="an engine has them")
        return self._services.schedules

    @property
    def _gate(self) -> Gate:
        return self._scheduler.core.around.gate

    def _changing(self, kind: str) -> str:
        """Return "vacuum jobs" for a kind that changes the target's data, or may since it is not known; else ""."""
        worker = self._scheduler.core.workers.get(kind.strip())
        is_reading = worker is not None and not worker.kind.changes_data
        return "" if is_reading else f"{clean(kind, 60)} jobs".strip()

    def _confirmed(self, kind: str) -> str:
        """Return what is kept as the confirmation of a schedule's jobs: what the gate has just wanted for it."""
        return self._gate.typed(changes_target=bool(self._changing(kind)))

    def _next(self, schedule: Schedule, now: datetime) -> str:
        at = following(schedule.timing, now)
        return "it has no time to come" if at is None else f"next {_time(at, schedule.timing.zone)}"


class Save(_Operation):
    """Makes a schedule, or changes one."""

    kind = OperationKind(
        name="schedules.save",
        title="Save schedule",
        help="Make a schedule, or change one: which job, when, what happens to runs that are missed or overlap.",
        parameters=SaveParameters,
    )

    def changing(self, parameters: SaveParameters) -> str:
        """Return which jobs would change the target, if they would."""
        return self._changing(parameters.kind)

    async def propose(self, parameters: SaveParameters) -> Proposal:
        """Say in plain words what would be saved; raises InvalidParameters naming every field that is refused."""
        schedule = self._made(parameters)
        is_new = not schedule.id
        return Proposal(
            operation=self.kind.name,
            title=f"{'Make' if is_new else 'Change'} the schedule {schedule.name}?",
            lines=(
                f"{schedule.kind}: {words(schedule.timing)}",
                self._next(schedule, self._clock.now()) if schedule.is_enabled else "paused: nothing runs yet",
                f"{_MISSED[schedule.missed]} (grace {length(schedule.grace_s)})",
                _OVERLAP[schedule.overlap],
            ),
            do="make it" if is_new else "change it",
            parameters=msgspec.to_builtins(parameters),
        )

    async def perform(self, parameters: SaveParameters) -> Outcome:
        """Save it; raises Conflict where it was made or changed meanwhile."""
        made = self._made(parameters)
        saved = await self._scheduler.store.save(msgspec.structs.replace(made, confirmed=self._confirmed(made.kind)))
        self._scheduler.adopt(saved)
        told = self._next(saved, self._clock.now()) if saved.is_enabled else "paused"
        return Outcome(
            operation=self.kind.name,
            is_done=True,
            message=f"{saved.name}: {words(saved.timing)}, {told}",
            figures={"name": saved.name, "revision": saved.revision},
        )

    def _made(self, given: SaveParameters) -> Schedule:
        """Return the schedule these make; every refusal names its field."""
        now = self._clock.now()
        known = self._scheduler.entries.get(given.name)
        before = None if known is None else known.schedule
        if before is not None and not given.revision:
            raise Conflict(f"there is a schedule {given.name} already", hint="edit it, or choose another name")
        if before is None and given.revision:
            raise Conflict(f"the schedule {given.name} is gone", hint="make a new one")
        if before is not None and before.revision != given.revision:
            raise Conflict(f"the schedule {given.name} was changed meanwhile", hint="look again, then repeat it")
        problems: dict[str, str] = {}

        def tried(read: Any, *arguments: Any) -> Any:
            try:
                return read(*arguments)
            except InvalidParameters as error:
                problems.update(error.problems)
                return None

        if not re.fullmatch(NAME, given.name):
            problems["name"] = "small letters, digits, - . _, at most 60; begins with a letter or a digit"
        if not given.kind.strip():
            problems["kind"] = "is required, for example warm.prices"
        timing = tried(read_timing, given.cron, given.every, given.once, given.zone, now)
        grace_s = tried(read_span, "grace", given.grace)
        jitter_s = tried(_read_jitter, given.jitter, timing, now)
        chosen = tried(parameters_of, given.parameters)
        if given.kind.strip() and chosen is not None:
            tried(
                self._check_job, Schedule(name=given.name, kind=given.kind.strip(), parameters=chosen, timing=Timing())
            )
        if problems:
            raise InvalidParameters(problems)
        schedule = Schedule(
            id=0 if before is None else before.id,
            name=given.name,
            kind=given.kind.strip(),
            parameters=chosen,
            timing=timing,
            missed=given.missed,
            grace_s=grace_s,
            overlap=given.overlap,
            jitter_s=jitter_s,
            is_enabled=given.enabled,
            note=clean(given.note, 200),
            revision=given.revision or 1,
            created_at=now if before is None else before.created_at,
            changed_at=now,
            handled_until=now,
        )
        if before is not None and before.is_enabled and given.enabled and before.timing == timing:
            return msgspec.structs.replace(schedule, handled_until=before.handled_until)
        return schedule

    def _check_job(self, schedule: Schedule) -> None:
        """Refuse a job that could not be made, naming the parameters' own problems."""
        try:
            self._scheduler.job_of(msgspec.structs.replace(schedule, confirmed=self._confirmed(schedule.kind)))
        except InvalidParameters as error:
            raise InvalidParameters({"parameters": str(error)}) from error
        except NotFound as error:
            near = difflib.get_close_matches(schedule.kind, self._scheduler.core.workers, n=1, cutoff=0.4)
            told = f"did you mean {near[0]}?" if near else error.hint
            raise InvalidParameters({"kind": f"{error.message}; {told}"}) from error


class Enable(_Operation):
    """Lets a paused schedule plan again."""

    kind = OperationKind(
        name="schedules.enable",
        title="Enable schedule",
        help="Let a paused schedule plan again, from now on: what it missed while paused is not made up.",
        parameters=NameParameters,
    )

    def changing(self, parameters: NameParameters) -> str:
        """Return which jobs change the target, if they do."""
        return self._changing(self._scheduler.find(parameters.name).schedule.kind)

    async def propose(self, parameters: NameParameters) -> Proposal:
        """Say when it would run next."""
        schedule = self._scheduler.find(parameters.name).schedule
        return Proposal(
            operation=self.kind.name,
            title=f"Enable the schedule {schedule.name}?",
            lines=(f"{schedule.kind}: {words(schedule.timing)}", self._next(schedule, self._clock.now())),
            do="enable it",
            parameters=msgspec.to_builtins(parameters),
            asks=False,
        )

    async def perform(self, parameters: NameParameters) -> Outcome:
        """Enable it; on production this is its confirmation."""
        schedule = self._scheduler.find(parameters.name).schedule
        now = self._clock.now()
        confirmed = self._confirmed(schedule.kind)
        if schedule.is_enabled and schedule.confirmed == confirmed:
            return Outcome(operation=self.kind.name, is_done=False, message=f"{schedule.name} is enabled already")
        saved = await self._scheduler.store.save(
            msgspec.structs.replace(schedule, is_enabled=True, confirmed=confirmed, changed_at=now, handled_until=now)
        )
        self._scheduler.adopt(saved)
        return Outcome(
            operation=self.kind.name, is_done=True, message=f"{saved.name} is enabled, {self._next(saved, now)}"
        )


class Pause(_Operation):
    """Keeps a schedule from planning until it is enabled again."""

    kind = OperationKind(
        name="schedules.pause",
        title="Pause schedule",
        help="Keep a schedule from making jobs until it is enabled again; a job it has made runs on.",
        parameters=NameParameters,
        changes_target=False,
    )

    async def propose(self, parameters: NameParameters) -> Proposal:
        """Name it."""
        schedule = self._scheduler.find(parameters.name).schedule
        return Proposal(
            operation=self.kind.name,
            title=f"Pause the schedule {schedule.name}?",
            lines=("It makes no more jobs until it is enabled; what it misses meanwhile is not made up.",),
            do="pause it",
            parameters=msgspec.to_builtins(parameters),
            asks=False,
        )

    async def perform(self, parameters: NameParameters) -> Outcome:
        """Pause it; plans that wait for a job are skipped."""
        schedule = self._scheduler.find(parameters.name).schedule
        if not schedule.is_enabled:
            return Outcome(operation=self.kind.name, is_done=False, message=f"{schedule.name} is paused already")
        paused = msgspec.structs.replace(schedule, is_enabled=False, confirmed="", changed_at=self._clock.now())
        saved = await self._scheduler.store.save(paused)
        self._scheduler.adopt(saved)
        return Outcome(operation=self.kind.name, is_done=True, message=f"{saved.name} is paused")


class Delete(_Operation):
    """Removes a schedule."""

    kind = OperationKind(
        name="schedules.delete",
        title="Delete schedule",
        help="Remove a schedule with the list of its runs; jobs it has made stay.",
        parameters=NameParameters,
        changes_target=False,
    )

    async def propose(self, parameters: NameParameters) -> Proposal:
        """Say what goes and what stays."""
        schedule = self._scheduler.find(parameters.name).schedule
        return Proposal(
            operation=self.kind.name,
            title=f"Delete the schedule {schedule.name}?",
            lines=(
                f"{schedule.kind}: {words(schedule.timing)}",
                "The list of its runs goes with it; jobs it has made stay.",
                "To keep it for later, pause it instead.",
            ),
            do="delete it",
            parameters=msgspec.to_builtins(parameters),
        )

    async def perform(self, parameters: NameParameters) -> Outcome:
        """Delete it."""
        schedule = self._scheduler.find(parameters.name).schedule
        is_done = await self._scheduler.store.delete(schedule.id)
        self._scheduler.drop(schedule.id)
        message = f"{schedule.name} is deleted" if is_done else f"{schedule.name} was gone already"
        return Outcome(operation=self.kind.name, is_done=is_done, message=message)


class Run(_Operation):
    """Makes a schedule's job at once."""

    kind = OperationKind(
        name="schedules.run",
        title="Run schedule now",
        help="Make a schedule's job at once, beside its plans; a paused schedule stays paused.",
        parameters=NameParameters,
    )

    def changing(self, parameters: NameParameters) -> str:
        """Return which jobs change the target, if they do."""
        return self._changing(self._scheduler.find(parameters.name).schedule.kind)

    async def propose(self, parameters: NameParameters) -> Proposal:
        """Say which job would be made; raises what keeps it from it."""
        schedule = self._scheduler.find(parameters.name).schedule
        confirmed = msgspec.structs.replace(schedule, confirmed=self._confirmed(schedule.kind))
        job, _ = self._scheduler.job_of(confirmed)
        return Proposal(
            operation=self.kind.name,
            title=f"Run {schedule.name} now?",
            lines=(f"makes the job: {job.title}", "Its plans go on as before."),
            do="run it",
            parameters=msgspec.to_builtins(parameters),
            asks=False,
        )

    async def perform(self, parameters: NameParameters) -> Outcome:
        """Make its job; raises Conflict while the job before is not over."""
        fired = await self._scheduler.run_now(self._scheduler.find(parameters.name))
        return Outcome(
            operation=self.kind.name,
            is_done=True,
            message=f"{parameters.name} runs: job {fired.run.job_id}",
            figures={"job_id": fired.run.job_id},
        )


def _read_jitter(text: str, timing: Any, now: datetime) -> float:
    jitter_s = read_span("jitter", text, longest_s=LONGEST_S)
    shortest = None if timing is None else frequency(timing, now).shortest_s
    if shortest is not None and jitter_s >= shortest:
        raise InvalidParameters({"jitter": f"must be shorter than the shortest interval, {length(shortest)}"})
    return jitter_s


def _time(at: datetime, zone: str) -> str:
    """Return an instant by the schedule's clock, and in UTC where that differs: "Mon 23 Nov 09:25 New York time"."""
    local = at.astimezone(ZoneInfo(zone))
    told = f"{local:%a %d %b} {clock(local)} {place(zone)}"
    return f"{told} ({clock(at)} UTC)" if local.utcoffset() else told
