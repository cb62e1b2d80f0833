"""A request becomes a job: its kind known, its parameters typed and checked, the gate asked. The same for whoever asks,
a person, a socket or a schedule. Nothing here waits, so that it may run on the caller's loop.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from qsuite_console.config.settings import QUEUES
from qsuite_console.engine import parameters
from qsuite_console.engine.core import Core
from qsuite_console.engine.ports import Checker, Estimator, JobKind, Worker
from qsuite_console.model.errors import InvalidParameters, NotFound, UsageProblem
from qsuite_console.model.instants import stated
from qsuite_console.model.jobs import Job, JobState, Submission
from qsuite_console.model.text import clean

DEFAULT_PRIORITY: Final = 5


def dedupe_key(kind: str, decoded: msgspec.Struct) -> str:
    """Return what two jobs share that do the same: the kind and the decoded parameters, in any order or spelling."""
    text = msgspec.json.encode([kind, msgspec.to_builtins(decoded)], order="deterministic")
    return hashlib.sha256(text).hexdigest()[:32]


class Intake:
    """One per engine."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._estimators = {name: worker for name, worker in core.workers.items() if isinstance(worker, Estimator)}
        self._checkers = {name: worker for name, worker in core.workers.items() if isinstance(worker, Checker)}

    def worker(self, kind: str) -> Worker:
        """Return who does a kind of job; raises NotFound."""
        worker = self._core.workers.get(kind)
        if worker is None:
            known = ", ".join(sorted(self._core.workers)) or "none"
            raise NotFound(f"there is no kind of job {clean(kind, 60)}", hint=f"known are {known}")
        return worker

    def decode(self, worker: Worker, given: Mapping[str, Any]) -> msgspec.Struct:
        """Return the typed parameters; raises InvalidParameters naming every field that is refused."""
        decoded = parameters.decode(worker.kind.parameters, given)
        checker = self._checkers.get(worker.kind.name)  # a look-up: isinstance of a Protocol costs 0.1 ms each time
        if checker is not None and (problems := dict(checker.check(decoded))):
            raise InvalidParameters(problems)
        return decoded

    def estimate_s(self, job: Job) -> float | None:
        """Return how long a job will take from its start to its end, None where its kind can't tell."""
        estimator = self._estimators.get(job.kind)
        if estimator is None:
            return None
        return estimator.estimate_s(parameters.decode(self.worker(job.kind).kind.parameters, job.parameters))

    def job(self, submission: Submission) -> tuple[Job, str]:
        """Return the job of a submission and the key of those that do the same; raises what keeps it from being."""
        core = self._core
        worker = self.worker(submission.kind)
        kind = worker.kind
        decoded = self.decode(worker, submission.parameters)
        gate = core.around.gate
        gate.check_start(kind.name, changes_data=kind.changes_data)
        gate.check_confirmation(kind.name, submission.confirmation, changes_target=kind.changes_data)
        queue = core.dispatcher.queue(submission.queue or kind.queue).name
        now = core.clock.now()
        run_at = now if submission.run_at is None else max(now, stated(submission.run_at, "run_at"))
        job = Job(
            id=0,
            kind=kind.name,
            title=clean(worker.title(decoded), 200),
            queue=queue,
            priority=priority_of(submission.priority, kind, queue),
            state=JobState.SCHEDULED if run_at > now else JobState.QUEUED,
            parameters=msgspec.to_builtins(decoded),
            created_at=now,
            run_at=run_at,
            max_attempts=kind.max_attempts,
            correlation_id=clean(submission.correlation_id or uuid.uuid4().hex, 64),
            origin=clean(submission.origin, 80),
        )
        return job, dedupe_key(kind.name, decoded)


def priority_of(asked: int | None, kind: JobKind, queue: str) -> int:
    """Return the priority asked for, else the kind's, else the queue's; raises UsageProblem for one out of range."""
    if asked is not None and not 0 <= asked <= 9:
        raise UsageProblem(f"{asked} is no priority", hint="0 (last) to 9 (first)")
    chosen = asked if asked is not None else kind.priority
    return QUEUES.get(queue, (0, DEFAULT_PRIORITY))[1] if chosen is None else chosen
