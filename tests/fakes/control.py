"""A Control without an engine: scripted, deterministic, on a clock that stands still until it is moved.

``demo()`` is the platform that screen tests and the pictures of the documentation show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from fakes.activity import activity_answers
from fakes.backfilling import backfill_kind, demo_coverage, demo_plan
from fakes.details import demo_detail
from fakes.market import market_answers
from fakes.platform import NOW, QUEUES, alerts, history_jobs, readings, running_jobs, waiting_jobs
from fakes.system import system_answers
from qsuite_console.engine.state import ConsoleState, TargetView, reduce
from qsuite_console.model.errors import Conflict, ConsoleError, NotFound, ReadOnly, Unconfirmed
from qsuite_console.model.events import AnyEvent, JobChanged, JobDeleted, JobProgressed, Sampled
from qsuite_console.model.health import Alert, Reading, Snapshot
from qsuite_console.model.jobs import (
    LIVE,
    TERMINAL,
    ActionResult,
    Job,
    JobAction,
    JobDetail,
    JobPage,
    JobQuery,
    JobState,
    LogLine,
    QueueView,
    Receipt,
    Statistics,
    Submission,
)
from qsuite_console.model.kinds import FieldProblem, KindInfo, Plan
from qsuite_console.model.operations import OperationInfo, Outcome, Proposal

RING = 1000


class FixedClock:
    """Stands still; ``advance`` moves it."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds


class FakeControl:
    """Implements Control over lists in memory. ``calls`` records what was asked; ``failures`` makes a call fail."""

    def __init__(self, state: ConsoleState | None = None, jobs: Sequence[Job] = (), clock: FixedClock | None = None):
        self.clock = clock or FixedClock()
        self._state = state or ConsoleState()
        self.all_jobs: dict[int, Job] = {job.id: job for job in jobs}
        self.details: dict[int, JobDetail] = {}
        self.log_lines: dict[int, list[LogLine]] = {}
        self.plans: Callable[[str, Mapping[str, Any]], Plan] = demo_plan
        self.answers: dict[str, Callable[[Mapping[str, Any]], msgspec.Struct]] = {
            "backfill.coverage": demo_coverage,
            **market_answers(self.clock.now),
            **system_answers(self.clock.now),
            **activity_answers(self.clock.now),
        }
        self.kind_infos: tuple[KindInfo, ...] = (backfill_kind(),)
        self.checks: dict[str, Callable[[Mapping[str, Any]], tuple[FieldProblem, ...]]] = {}  # of kinds but backfill
        self.operation_infos: tuple[OperationInfo, ...] = ()
        self.proposals: dict[str, Callable[[Mapping[str, Any]], Proposal]] = {}  # operation -> what it proposes
        self.outcomes: dict[str, Callable[[Mapping[str, Any]], Outcome]] = {}  # "done" where there is none
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.failures: dict[str, ConsoleError] = {}
        self._ring: list[AnyEvent] = []
        self._sequence = 0

    # what the engine would do

    def emit(self, event: AnyEvent) -> None:
        """Let something happen."""
        self._state = reduce(self._state, event)
        if isinstance(event, JobChanged):
            self.all_jobs[event.job.id] = event.job
        elif isinstance(event, JobDeleted):
            self.all_jobs.pop(event.job_id, None)
        elif isinstance(event, JobProgressed) and event.job_id in self.all_jobs:
            job = self.all_jobs[event.job_id]
            self.all_jobs[event.job_id] = msgspec.structs.replace(job, progress=event.progress)
        self._sequence += 1
        self._ring = [*self._ring, event][-RING:]

    def set_state(self, **changes: Any) -> None:
        """Replace parts of the state, as a new snapshot would."""
        self._state = msgspec.structs.replace(self._state, sequence=self._state.sequence + 1, **changes)

    def sample(self, readings: Sequence[Reading], alerts: Sequence[Alert] = ()) -> None:
        """Publish a snapshot."""
        now = self.clock.now()
        self.emit(Sampled(at=now, snapshot=Snapshot(at=now, readings=tuple(readings), alerts=tuple(alerts))))

    def change(self, job_id: int, **changes: Any) -> Job:
        """Move a job to another state."""
        before = self.all_jobs[job_id]
        job = msgspec.structs.replace(before, **changes)
        self.emit(JobChanged(at=self.clock.now(), job=job, previous=before.state))
        return job

    def _asked(self, name: str, *arguments: Any) -> None:
        self.calls.append((name, arguments))
        if name in self.failures:
            raise self.failures[name]

    # Control

    @property
    def state(self) -> ConsoleState:
        return self._state

    def events(self, after: int) -> tuple[int, tuple[AnyEvent, ...]]:
        missing = self._sequence - after
        return self._sequence, tuple(self._ring[-missing:]) if missing > 0 else ()

    async def kinds(self) -> tuple[KindInfo, ...]:
        self._asked("kinds")
        return self.kind_infos

    async def check(self, kind: str, parameters: Mapping[str, Any]) -> tuple[FieldProblem, ...]:
        self._asked("check", kind, dict(parameters))
        if kind in self.checks:
            return self.checks[kind](parameters)
        problems = []
        if not str(parameters.get("symbols", "")).strip() and not str(parameters.get("symbols_file", "")).strip():
            problems.append(FieldProblem(field="symbols", message="name symbols, all, active, or a file"))
        start, end = str(parameters.get("start", "")), str(parameters.get("end", ""))
        for name, text in (("start", start), ("end", end)):
            try:
                date.fromisoformat(text)
            except ValueError:
                if text or name == "start":
                    problems.append(FieldProblem(field=name, message=f"{text!r} is not a date like 2025-01-31"))
        if not problems and end and start > end:
            problems.append(FieldProblem(field="end", message="lies before the start"))
        return tuple(problems)

    async def plan(self, kind: str, parameters: Mapping[str, Any]) -> Plan:
        self._asked("plan", kind, dict(parameters))
        return self.plans(kind, parameters)

    async def submit(self, submission: Submission) -> Receipt:
        self._asked("submit", submission)
        target = self._state.target
        if target.is_production and submission.confirmation != target.name:
            raise Unconfirmed(f"the target {target.name} is production and its name was not typed")
        now = self.clock.now()
        job = Job(
            id=max(self.all_jobs, default=0) + 1,
            kind=submission.kind,
            title=" ".join(
                str(part)
                for part in (
                    submission.kind,
                    submission.parameters.get("symbols", ""),
                    submission.parameters.get("timeframe", ""),
                )
                if part
            ),
            queue=submission.queue or "data_processing",
            priority=submission.priority if submission.priority is not None else 5,
            state=JobState.QUEUED,
            parameters=submission.parameters,
            created_at=now,
            run_at=now,
            correlation_id=submission.correlation_id or "c-new",
            origin=submission.origin,
        )
        self.emit(JobChanged(at=now, job=job))
        return Receipt(job_id=job.id, correlation_id=job.correlation_id)

    async def act(self, action: JobAction, job_ids: Sequence[int], *, origin: str = "") -> tuple[ActionResult, ...]:
        self._asked("act", action, tuple(job_ids), origin)
        return tuple(self._act(action, job_id) for job_id in job_ids)

    def _act(self, action: JobAction, job_id: int) -> ActionResult:
        job = self.all_jobs.get(job_id)
        if job is None:
            return ActionResult(job_id=job_id, is_done=False, message="no such job", refusal="NotFound")
        now = self.clock.now()
        match action:
            case JobAction.CANCEL if job.state in LIVE:
                self.change(job_id, state=JobState.CANCELLED, finished_at=now)
            case JobAction.PAUSE if job.state in LIVE:
                self.change(job_id, state=JobState.PAUSED)
            case JobAction.RESUME if job.state is JobState.PAUSED:
                self.change(job_id, state=JobState.QUEUED)
            case JobAction.RETRY if job.state in (JobState.FAILED, JobState.CANCELLED):
                self.change(job_id, state=JobState.QUEUED, finished_at=None, error=None)
            case JobAction.PROFILE if job.state in LIVE:
                pass
            case JobAction.DELETE if job.state in TERMINAL:
                self.emit(JobDeleted(at=now, job_id=job_id))
            case _:
                return ActionResult(job_id=job_id, is_done=False, message=f"is {job.state}")
        return ActionResult(job_id=job_id, is_done=True, message=action.value)

    async def jobs(self, query: JobQuery) -> JobPage:
        self._asked("jobs", query)
        found = [job for job in sorted(self.all_jobs.values(), key=lambda j: -j.id) if self._matches(job, query)]
        page = tuple(found[: query.limit])
        return JobPage(jobs=page, next_before=page[-1].id if len(found) > len(page) else None)

    @staticmethod
    def _matches(job: Job, query: JobQuery) -> bool:
        text = f"{job.title} {job.kind} {job.error or ''} {job.parameters}".lower()
        return (
            (not query.states or job.state in query.states)
            and (not query.kinds or job.kind in query.kinds)
            and (not query.queues or job.queue in query.queues)
            and (query.routine or not job.is_routine)
            and query.origin in ("", job.origin)
            and (query.before is None or job.id < query.before)
            and query.text.lower() in text
        )

    async def job(self, job_id: int) -> JobDetail:
        self._asked("job", job_id)
        if job_id not in self.all_jobs:
            raise NotFound(f"no job {job_id}", hint="it may have been deleted")
        job = self.all_jobs[job_id]
        known = self.details.get(job_id) or demo_detail(job)
        return msgspec.structs.replace(known, job=job, logs=tuple(self.log_lines.get(job_id, known.logs)))

    async def logs(self, job_id: int, *, after: int = 0, limit: int = 500) -> tuple[LogLine, ...]:
        self._asked("logs", job_id, after)
        lines = self.log_lines.get(job_id)
        if lines is None:
            lines = list(demo_detail(self.all_jobs[job_id]).logs) if job_id in self.all_jobs else []
        return tuple(line for line in lines if line.number > after)[:limit]

    async def set_queue(
        self, name: str, *, is_paused: bool | None = None, concurrency: int | None = None, origin: str = ""
    ) -> QueueView:
        self._asked("set_queue", name, is_paused, concurrency)
        queue = next((q for q in self._state.queues if q.name == name), None)
        if queue is None:
            raise NotFound(f"no queue {name}")
        if concurrency is not None and concurrency < 0:
            raise Conflict("a queue has no negative slots")
        changes: dict[str, Any] = {}
        if is_paused is not None:
            changes["is_paused"] = is_paused
        if concurrency is not None:
            changes["concurrency"] = concurrency
        new = msgspec.structs.replace(queue, **changes)
        self.set_state(queues=tuple(new if q.name == name else q for q in self._state.queues))
        return new

    async def statistics(self, window_s: float) -> Statistics:
        self._asked("statistics", window_s)
        return Statistics(at=self.clock.now(), window_s=window_s)

    async def ask(self, probe: str, parameters: Mapping[str, Any]) -> msgspec.Struct:
        self._asked("ask", probe, dict(parameters))
        if probe not in self.answers:
            raise NotFound(f"no probe {probe}")
        return self.answers[probe](parameters)

    async def operations(self) -> tuple[OperationInfo, ...]:
        return self.operation_infos

    async def propose(self, operation: str, parameters: Mapping[str, Any], *, origin: str = "") -> Proposal:
        self._admit("propose", operation, parameters, origin)
        typed = self._state.target.name if self._state.target.is_production and _changes(self, operation) else ""
        proposed = self.proposals[operation](parameters)
        return msgspec.structs.replace(proposed, typed=typed, parameters=proposed.parameters or dict(parameters))

    async def perform(
        self, operation: str, parameters: Mapping[str, Any], *, confirmation: str = "", origin: str = ""
    ) -> Outcome:
        self._admit("perform", operation, parameters, confirmation, origin)
        target = self._state.target
        if target.is_production and _changes(self, operation) and confirmation != target.name:
            raise Unconfirmed(f"the target {target.name} is production and its name was not typed")
        if operation in self.outcomes:
            return self.outcomes[operation](parameters)
        return Outcome(operation=operation, is_done=True, message=f"{operation} is done")

    def _admit(self, call: str, operation: str, parameters: Mapping[str, Any], *more: Any) -> None:
        self._asked(call, operation, dict(parameters), *more)
        if operation not in self.proposals:
            raise NotFound(f"there is no operation {operation}")
        if self._state.is_read_only and _changes(self, operation):
            raise ReadOnly(f"the target {self._state.target.name} is read-only", hint="choose another target")


def _changes(control: FakeControl, operation: str) -> bool:
    return next((info.changes_target for info in control.operation_infos if info.name == operation), True)


def demo(*, target: TargetView | None = None, history: int = 409) -> FakeControl:
    """A working platform: four tiles, three running backfills, a queue behind them, a history, two alerts."""
    clock = FixedClock()
    jobs = (*history_jobs(history), *waiting_jobs(), *running_jobs())
    counts: dict[str, int] = {}
    for each in jobs:
        counts[each.state] = counts.get(each.state, 0) + 1
    finished = sorted((j for j in jobs if j.finished_at), key=lambda j: j.finished_at or NOW, reverse=True)
    state = ConsoleState(
        target=target
        or TargetView(
            name="sandbox", word="SANDBOX", colour="success", database="127.0.0.1:5432/qsuite", cache="127.0.0.1:6379"
        ),
        version="0.1.0",
        started_at=NOW - timedelta(hours=2),
        owner="pid 4711",
        counts=counts,
        queues=QUEUES,
        running=running_jobs(),
        recent=tuple(finished[:50]),
        snapshot=Snapshot(at=NOW, readings=readings(), alerts=alerts()),
        sequence=1,
    )
    return FakeControl(state, jobs, clock)


def empty() -> FakeControl:
    """A console that was just opened for the first time: nothing measured, no job."""
    state = ConsoleState(
        target=TargetView(name="sandbox", word="SANDBOX", colour="success"),
        version="0.1.0",
        owner="pid 4711",
        sequence=1,
    )
    return FakeControl(state)
