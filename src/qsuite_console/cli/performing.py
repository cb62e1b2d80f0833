"""A plan of several steps done one after the other, as ``optimize`` and ``cleanup`` do: through the same Control.

Each step is the job or operation that anybody can start alone; the gate decides about each. A step that fails keeps
none of the others from being done; Ctrl-C ends the job it hits and leaves the rest.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import msgspec

from qsuite_console.cli import output
from qsuite_console.cli.confirming import typed_name
from qsuite_console.cli.connect import ORIGIN, changing
from qsuite_console.cli.foreground import Foreground
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.kinds import find_kind
from qsuite_console.cli.signals import Signals
from qsuite_console.engine.control import Control
from qsuite_console.model.errors import Conflict, ConsoleError, ReadOnly
from qsuite_console.model.jobs import JobState, Submission
from qsuite_console.model.operations import Outcome
from qsuite_console.model.optimizing import Step
from qsuite_console.model.text import clean

DONE: Final = "done"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"
CANCELLED: Final = 130


class Performed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one step: done, failed or skipped, and why. ``job_id`` None: it was no job, or none was made."""

    number: int
    title: str
    state: str
    message: str = ""
    job_id: int | None = None
    duration_s: float = 0.0


class Performer:
    """Does steps in order; ``exit_code`` is what the command ends with."""

    def __init__(self, invocation: Invocation, *, confirmation: str = "") -> None:
        self._invocation = invocation
        self._confirmation = confirmation
        self._signals = Signals()
        self.done: list[Performed] = []

    @property
    def exit_code(self) -> int:
        """Return 0 when everything was done, 1 when a step failed, 130 or 128 + signal when it was interrupted."""
        if self._signals.leaving:
            return self._signals.exit_code
        if self._signals.cancel:
            return CANCELLED
        return 1 if any(one.state == FAILED for one in self.done) else 0

    def perform(self, steps: Sequence[Step]) -> list[Performed]:
        """Do the steps; returns what became of each."""
        with self._signals.installed():
            for step in steps:
                started = time.monotonic()
                output.note(f"{step.number}/{steps[-1].number} {step.title}")
                one = self._one(step)
                self.done.append(msgspec.structs.replace(one, duration_s=round(time.monotonic() - started, 3)))
        return self.done

    def _one(self, step: Step) -> Performed:
        if self._signals.cancel or self._signals.leaving:
            return _ended(step, SKIPPED, "it was interrupted before")
        try:
            return self._job(step) if step.kind else self._operation(step)
        except Conflict as error:  # somebody else was faster, or it is as it should be by now
            return _ended(step, SKIPPED, error.message)
        except ConsoleError as error:
            return _ended(step, FAILED, f"{error.message}{f' ({error.hint})' if error.hint else ''}")

    def _job(self, step: Step) -> Performed:
        submission = Submission(
            kind=step.kind, parameters=step.parameters, origin=ORIGIN, confirmation=self._confirmation
        )
        foreground = Foreground(self._invocation, submission, find_kind(step.kind), self._signals)
        detail = foreground.to_the_end()
        if detail is None:
            return _ended(step, SKIPPED, f"job {foreground.job_id} was left to the engine that runs it")
        job = detail.job
        if job.state is JobState.SUCCEEDED:
            return msgspec.structs.replace(_ended(step, DONE), job_id=job.id)
        why = job.error or job.reason or f"job {job.id} is {job.state}"
        state = SKIPPED if job.state is not JobState.FAILED else FAILED
        return msgspec.structs.replace(_ended(step, state, why), job_id=job.id)

    def _operation(self, step: Step) -> Performed:
        async def change(control: Control) -> Outcome:
            proposal = await control.propose(step.operation, step.parameters, origin=ORIGIN)
            return await control.perform(
                step.operation, proposal.parameters, confirmation=self._confirmation, origin=ORIGIN
            )

        outcome = changing(self._invocation, change, starts_work=True)
        return _ended(step, DONE if outcome.is_done else FAILED, outcome.message)


def confirmed(invocation: Invocation, given: str, what: str, *, changes_data: bool = True) -> str:
    """Return the confirmation for the steps; raises ReadOnly on a read-only target, UsageProblem as ``typed_name``."""
    target = invocation.loaded.settings.target
    if not changes_data:
        return given
    if target.read_only:
        raise ReadOnly(
            f"the target {clean(target.name, 60)} is read-only: {what} would change it",
            hint="set target.read_only = false for it, or choose another target",
        )
    return typed_name(invocation, given, f"for {what}")


def print_summary(done: Sequence[Performed]) -> None:
    """Write what became of each step, and the counts."""
    output.table(
        ("step", "state", "took", "job", "what", "note"),
        [
            (
                one.number,
                one.state,
                output.duration(one.duration_s) if one.state != SKIPPED else "",
                one.job_id or "",
                one.title,
                one.message,
            )
            for one in done
        ],
        flexible=5,
    )
    counts = [(state, sum(one.state == state for one in done)) for state in (DONE, FAILED, SKIPPED)]
    output.line(", ".join(f"{count} {state}" for state, count in counts if count or state == DONE))


def _ended(step: Step, state: str, message: str = "") -> Performed:
    return Performed(number=step.number, title=step.title, state=state, message=clean(message, 300))
