"""A job from a list: what it is about and what it costs is said first, then it is a job like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qsuite_console.model.errors import ReadOnly
from qsuite_console.model.jobs import Submission
from qsuite_console.screens import acting
from qsuite_console.screens.base import ConsoleScreen
from qsuite_console.screens.dialogs.confirm import ConfirmDialog


async def submit(
    screen: ConsoleScreen, kind: str, parameters: Mapping[str, Any], *, title: str, means: Sequence[str], will: str
) -> bool:
    """Plan, ask and submit; tells the job's number. Must run in a worker of the screen: it waits for the answer.

    ``means`` says what it means for others, ``will`` what the job does, as it follows its number.
    """
    target = screen.state.target
    if not screen.may_change():
        return False
    if target.is_read_only:
        screen.tell_error(ReadOnly(f"the target {target.name} is read-only", hint=f"{kind} changes it"))
        return False
    plan = await screen.attempt(screen.control.plan(kind, parameters))
    if plan is None:
        return False
    if plan.is_noop and plan.warnings:
        screen.tell(plan.warnings[0])
        return False
    facts = [f"{line.label:<13} {line.value}" + (f"  ({line.note})" if line.note else "") for line in plan.lines]
    typed = acting.name_to_type(screen)
    costs = [*means, *plan.warnings]
    dialog = ConfirmDialog(title, [*facts, *([""] if costs else []), *costs], do="start the job", typed=typed)
    if not await screen.agrees(dialog):
        return False
    submission = Submission(kind=kind, parameters=dict(parameters), origin=acting.ORIGIN, confirmation=typed)
    receipt = await screen.attempt(screen.control.submit(submission))
    if receipt is not None:
        does = "is at it already" if receipt.joined else will
        screen.tell(f"Job {receipt.job_id} {does}  (:job {receipt.job_id})")
    return receipt is not None
