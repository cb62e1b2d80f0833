"""Vacuum from a list: what it is about and what it costs is said first, then it is a job like any other."""

from __future__ import annotations

from typing import Final

from qsuite_console.model.errors import ReadOnly
from qsuite_console.model.jobs import Submission
from qsuite_console.screens import acting
from qsuite_console.screens.base import ConsoleScreen
from qsuite_console.screens.dialogs.confirm import ConfirmDialog

_WORDS: Final = {"vacuum_analyze": "Vacuum", "analyze": "Analyze"}
_MEANS: Final = {
    "vacuum_analyze": (
        "Reads the pages that hold dead rows and all indexes; queries and writes go on, DDL on it waits.",
        "Space is free for new rows afterwards; the file only shrinks where its end became empty.",
    ),
    "analyze": ("Reads a sample of its pages; queries, writes and most DDL go on.",),
}


async def vacuum(screen: ConsoleScreen, table: str, mode: str) -> bool:
    """Plan, ask and submit; tells the job's number. Must run in a worker of the screen: it waits for the answer."""
    target = screen.state.target
    if target.is_read_only:
        screen.tell_error(ReadOnly(f"the target {target.name} is read-only", hint="vacuum changes it"))
        return False
    parameters = {"table": table, "mode": mode}
    plan = await screen.attempt(screen.control.plan("vacuum", parameters))
    if plan is None:
        return False
    facts = [f"{line.label:<13} {line.value}" + (f"  ({line.note})" if line.note else "") for line in plan.lines]
    lines = [*facts, "", *_MEANS[mode], *plan.warnings]
    typed = acting.name_to_type(screen)
    if not await screen.agrees(ConfirmDialog(f"{_WORDS[mode]} {table}?", lines, do="start the job", typed=typed)):
        return False
    submission = Submission(kind="vacuum", parameters=parameters, origin=acting.ORIGIN, confirmation=typed)
    receipt = await screen.attempt(screen.control.submit(submission))
    if receipt is not None:
        does = "is at it already" if receipt.joined else f"will {mode.replace('_', ' and ')} {table}"
        screen.tell(f"Job {receipt.job_id} {does}  (:job {receipt.job_id})")
    return receipt is not None
