"""Any sequence of what can happen to jobs, crashes and restarts included, against a model small enough to be right."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fakes.jobs import new_job
from qsuite_console.config.settings import EngineSettings
from qsuite_console.engine.lifecycle import ACTIONS, may_follow
from qsuite_console.history.store import SqliteStore, open_store
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.errors import Conflict
from qsuite_console.model.jobs import LIVE, TERMINAL, Job, JobAction, JobState, Outcome
from qsuite_console.model.runs import Claim, Ending, Start

T = TypeVar("T")
FAST = EngineSettings(durability="normal")  # the order of facts is tested here, not the disk
MAX_RESCUES = 2
ENDINGS = [Outcome.SUCCEEDED, Outcome.FAILED, Outcome.RETRY, Outcome.PAUSED, Outcome.INTERRUPTED, Outcome.CANCELLED]


@dataclass
class Known:
    """What the model knows of one job."""

    state: JobState
    key: str
    attempt: int = 0
    rescues: int = 0
    is_cancel_requested: bool = False
    checkpoint: int | None = None
    owner: str = ""


class Jobs(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="qsuite-model-"))
        self.loop = asyncio.new_event_loop()
        self.known: dict[int, Known] = {}
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.lives = 0
        self.store = self.open()

    def open(self) -> SqliteStore:
        self.lives += 1
        self.owner = f"owner {self.lives}"
        return open_store(self.directory / "history.sqlite", settings=FAST, clock=SystemClock())

    def teardown(self) -> None:
        self.store.close()
        self.loop.close()
        shutil.rmtree(self.directory)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        self.now += timedelta(milliseconds=1)
        return self.loop.run_until_complete(work)

    def moved(self, job: Job) -> None:
        """Take over a state the store reports, if the state machine allows it."""
        known = self.known[job.id]
        assert known.state is job.state or may_follow(known.state, job.state), f"{known.state} -> {job.state}"
        known.state = job.state

    def pick(self, data: st.DataObject, *states: JobState) -> int:
        return data.draw(st.sampled_from(sorted(i for i, k in self.known.items() if k.state in states)))

    def has(self, *states: JobState) -> bool:
        return any(known.state in states for known in self.known.values())

    @rule(key=st.sampled_from("abcd"), later=st.booleans(), starts=st.booleans())
    def submit(self, key: str, later: bool, starts: bool) -> None:
        run_at = self.now + timedelta(hours=1) if later else self.now
        state = JobState.SCHEDULED if later else JobState.QUEUED
        start = Start(owner=self.owner) if starts else None
        inserted = self.do(
            self.store.insert(new_job(state=state, run_at=run_at), dedupe_key=key, now=self.now, start=start)
        )
        job = inserted.job
        twin = [i for i, k in self.known.items() if k.key == key and k.state in LIVE]
        assert inserted.is_joined == bool(twin)
        if inserted.is_joined:
            assert (job.id, inserted.previous, inserted.claim) == (twin[0], self.known[job.id].state, None)
            if inserted.previous is JobState.PAUSED:
                self.moved(job)
            assert job.state is self.known[job.id].state is not JobState.PAUSED
            return
        assert (job.id in self.known, inserted.previous) == (False, None)
        self.known[job.id] = Known(state=job.state, key=key)
        if starts:
            self.granted([] if inserted.claim is None else [inserted.claim], 1)

    @rule(slots=st.integers(1, 3))
    def claim(self, slots: int) -> None:
        self.granted(self.do(self.store.claim({"general": slots}, owner=self.owner, now=self.now)), slots)

    def granted(self, claims: Sequence[Claim], slots: int) -> None:
        eligible = sorted(i for i, k in self.known.items() if k.state in (JobState.QUEUED, JobState.INTERRUPTED))
        assert [claim.job.id for claim in claims] == eligible[:slots]
        for claim in claims:
            known = self.known[claim.job.id]
            assert claim.number == known.attempt + 1
            assert (claim.checkpoint or {}).get("at") == known.checkpoint
            assert claim.previous is known.state
            known.attempt, known.owner = claim.number, self.owner
            self.moved(claim.job)

    @precondition(lambda self: self.has(JobState.RUNNING))
    @rule(data=st.data(), outcome=st.sampled_from(ENDINGS))
    def finish(self, data: st.DataObject, outcome: Outcome) -> None:
        job_id = self.pick(data, JobState.RUNNING)
        known = self.known[job_id]
        ending = Ending(outcome=outcome, retry_at=self.now + timedelta(hours=1) if outcome is Outcome.RETRY else None)
        job = self.do(self.store.finish(job_id, known.attempt, ending, owner=self.owner, now=self.now))
        if known.is_cancel_requested and outcome is not Outcome.SUCCEEDED:
            assert job.state is JobState.CANCELLED
        self.moved(job)
        if job.state is JobState.SUCCEEDED:
            known.checkpoint = None

    @precondition(lambda self: any(k.attempt > 0 for k in self.known.values()))
    @rule(data=st.data(), back=st.integers(1, 3))
    def finish_late(self, data: st.DataObject, back: int) -> None:
        job_id = data.draw(st.sampled_from(sorted(i for i, k in self.known.items() if k.attempt > 0)))
        ending = Ending(outcome=Outcome.HARD_TIMEOUT)
        try:
            self.do(
                self.store.finish(job_id, self.known[job_id].attempt - back, ending, owner="someone else", now=self.now)
            )
        except Conflict:
            return
        raise AssertionError("an ending of a stale attempt was accepted")

    @precondition(lambda self: self.has(JobState.RUNNING))
    @rule(data=st.data(), at=st.integers(0, 99))
    def checkpoint(self, data: st.DataObject, at: int) -> None:
        job_id = self.pick(data, JobState.RUNNING)
        self.do(self.store.save_checkpoint(job_id, self.known[job_id].attempt, {"at": at}))
        self.known[job_id].checkpoint = at

    @precondition(lambda self: bool(self.known))
    @rule(
        data=st.data(), action=st.sampled_from([JobAction.CANCEL, JobAction.PAUSE, JobAction.RESUME, JobAction.RETRY])
    )
    def act(self, data: st.DataObject, action: JobAction) -> None:
        job_id = self.pick(data, *JobState)
        known = self.known[job_id]
        allowed = known.state in ACTIONS[action]
        if action is JobAction.PAUSE:
            allowed = allowed and known.state is not JobState.RUNNING  # the running one is paused by its own ending
        if action is JobAction.RETRY:
            allowed = allowed and not any(k.key == known.key and k.state in LIVE for k in self.known.values())
        operation = {
            JobAction.CANCEL: self.store.request_cancel,
            JobAction.PAUSE: self.store.hold,
            JobAction.RESUME: self.store.release,
            JobAction.RETRY: self.store.requeue,
        }[action]
        try:
            change = self.do(operation(job_id, now=self.now))
        except Conflict:
            assert not allowed, f"{action} of a {known.state} job was refused"
            return
        assert allowed, f"{action} of a {known.state} job was accepted"
        assert change.previous is known.state
        job = change.job
        known.is_cancel_requested = job.cancel_requested
        known.rescues = job.rescues
        self.moved(job)

    @rule(hours=st.integers(0, 2))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        jobs, _ = self.do(self.store.due(now=self.now))
        for job in jobs:
            assert self.known[job.id].state is JobState.SCHEDULED
            self.moved(job)

    @rule()
    def crash(self) -> None:
        """The process dies; the next one rescues at once, and the dead one's word counts no more."""
        self.store.close()
        self.store = self.open()
        left = {i for i, k in self.known.items() if k.state is JobState.RUNNING}
        rescued = self.do(self.store.rescue(owner=self.owner, now=self.now, max_rescues=MAX_RESCUES))
        assert {job.id for job in rescued} == left
        for job in rescued:
            known = self.known[job.id]
            known.rescues += 1
            assert job.rescues == known.rescues
            if known.is_cancel_requested:
                assert job.state is JobState.CANCELLED
            else:
                assert job.state is (JobState.FAILED if known.rescues > MAX_RESCUES else JobState.INTERRUPTED)
            self.moved(job)

    @precondition(lambda self: self.has(*TERMINAL))
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        job_id = self.pick(data, *JobState)
        gone = self.do(self.store.delete([job_id]))
        assert bool(gone) == (self.known[job_id].state in TERMINAL)
        if gone:
            del self.known[job_id]

    @invariant()
    def counts_are_exact(self) -> None:
        counts = self.do(self.store.counts())
        expected = Counter(known.state.value for known in self.known.values())
        assert {state: number for state, number in counts.items() if number} == dict(expected)


TestJobs = Jobs.TestCase
TestJobs.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
