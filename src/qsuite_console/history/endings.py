"""How attempts end in the history: by their owner's word, or by the next owner finding a dead one's jobs.

The fence: an ending counts only for (job, running, attempt number, owner). The same ending told twice is accepted
once, so that an engine unsure whether a failed commit reached the disk may simply tell it again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from qsuite_console.history.rows import COLUMNS, Row, job_of, pack, progress_text, stamp
from qsuite_console.history.writer import Transaction
from qsuite_console.model.errors import Conflict, NotFound
from qsuite_console.model.jobs import TERMINAL, Job, JobState, Outcome
from qsuite_console.model.runs import ASKED, Ending

DIED: Final = "its process died"
DIED_ALONE: Final = "the engine died; the work goes on elsewhere"
UNTOLD: Final = f"unknown: asked, then {DIED}; look at the target before repeating it"
_MARKED: Final = "state, attempt, owner, cancel_requested, started_at, wait_us, kind, queue"
_SPARING: Final = frozenset({Outcome.PAUSED, Outcome.INTERRUPTED})  # endings that use no attempt up


def _next_state(ending: Ending, is_cancel_requested: bool) -> JobState:
    if ending.outcome is Outcome.SUCCEEDED:
        return JobState.SUCCEEDED
    if is_cancel_requested or ending.outcome is Outcome.CANCELLED:
        return JobState.CANCELLED
    if ending.outcome is Outcome.PAUSED:
        return JobState.PAUSED
    if ending.outcome is Outcome.INTERRUPTED:
        return JobState.INTERRUPTED
    return JobState.FAILED if ending.retry_at is None else JobState.SCHEDULED


def finish(
    transaction: Transaction, job_id: int, number: int, ending: Ending, owner: str, now: datetime, expires: datetime
) -> Job:
    """End attempt ``number``; raises Conflict if it is no longer the running one of this owner."""
    connection = transaction.connection
    row = connection.execute(f"SELECT {_MARKED} FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise NotFound(f"there is no job {job_id}")
    state, attempt, holder, is_cancel_requested, started, wait_us, kind, queue = row
    if (state, attempt, holder) != (JobState.RUNNING.value, number, owner):
        return _told_before(transaction, job_id, number, ending, owner)
    at = stamp(now)
    target = _next_state(ending, bool(is_cancel_requested))
    _record(transaction, row, job_id, ending, at)
    if ending.result is not None and target is JobState.SUCCEEDED:
        connection.execute(
            "INSERT OR REPLACE INTO results VALUES (?, ?, ?)", (job_id, pack(ending.result), stamp(expires))
        )
    if target is JobState.SUCCEEDED:
        connection.execute("DELETE FROM checkpoints WHERE job_id = ?", (job_id,))
    transaction.figures.busy(started, at)
    if ending.outcome not in _SPARING:
        transaction.figures.ran(at, kind, queue, wait_us, round(ending.run_s * 1e6))
    if target in TERMINAL or target is JobState.SCHEDULED:
        transaction.figures.ended(at, kind, queue, "retried" if target is JobState.SCHEDULED else target.value)
    run_at = at if target is JobState.INTERRUPTED else None
    if target is JobState.SCHEDULED and ending.retry_at is not None:
        run_at = stamp(ending.retry_at)
    values = (
        target.value,
        run_at,
        at if target in TERMINAL else None,
        1 if ending.outcome in _SPARING else 0,
        progress_text(ending.progress),
        ending.error,
        ending.reason,
        job_id,
    )
    rows = connection.execute(
        "UPDATE jobs SET state = ?, run_at = coalesce(?, run_at), finished_at = ?, tries = max(0, tries - ?),"
        f" progress = ?, error = ?, reason = ?, owner = NULL WHERE id = ? RETURNING {COLUMNS}",
        values,
    ).fetchall()
    return job_of(rows[0])


def _record(transaction: Transaction, marked: Row, job_id: int, ending: Ending, at: int) -> None:
    _, number, owner, _, started, wait_us, _, _ = marked
    transaction.connection.execute(
        "INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            job_id,
            number,
            started,
            at,
            ending.outcome.value,
            ending.error,
            wait_us,
            round(ending.run_s * 1e6),
            round(ending.cpu_s * 1e6),
            ending.memory_delta,
            owner,
        ),
    )


def _told_before(transaction: Transaction, job_id: int, number: int, ending: Ending, owner: str) -> Job:
    known = transaction.connection.execute(
        "SELECT outcome, owner FROM attempts WHERE job_id = ? AND number = ?", (job_id, number)
    ).fetchone()
    if known != (ending.outcome.value, owner):
        raise Conflict(f"attempt {number} of job {job_id} is over: what it reports is refused")
    row = transaction.connection.execute(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (job_id,)).fetchone()
    return job_of(row)


def rescue(transaction: Transaction, owner: str, now: datetime, max_rescues: int) -> list[Job]:
    """Take over every running job of another (dead) owner; how long those attempts ran is unknown.

    A job that was handed out did not die with its engine.
    """
    connection = transaction.connection
    found = connection.execute(
        "SELECT id, attempt, started_at, wait_us, owner, kind, queue, rescues, cancel_requested,"
        " handed_out FROM jobs"
        " WHERE state = 'running' AND owner <> ? ORDER BY id",
        (owner,),
    ).fetchall()
    at = stamp(now)
    rescued: list[Job] = []
    for job_id, number, started, wait_us, holder, kind, queue, rescues, is_cancel_requested, is_away in found:
        connection.execute(
            "INSERT OR REPLACE INTO attempts (job_id, number, started_at, finished_at, outcome, error, wait_us, owner)"
            " VALUES (?, ?, ?, ?, 'interrupted', ?, ?, ?)",
            (job_id, number, started, at, DIED_ALONE if is_away else DIED, wait_us, holder),
        )
        state, error, reason = JobState.INTERRUPTED, None, DIED_ALONE if is_away else DIED
        if is_cancel_requested:
            state, reason = JobState.CANCELLED, f"cancelled while it ran; {DIED}"
        elif rescues >= max_rescues and not is_away:
            state, error = JobState.FAILED, f"{DIED} {rescues + 1} times while this job ran: it is not tried again"
        if state in TERMINAL:
            transaction.figures.ended(at, kind, queue, state.value)
        (row,) = connection.execute(
            "UPDATE jobs SET state = ?, run_at = ?, finished_at = ?, tries = max(0, tries - 1), rescues = rescues + ?,"
            f" error = ?, reason = ?, owner = NULL WHERE id = ? RETURNING {COLUMNS}",
            (state.value, at, at if state in TERMINAL else None, 0 if is_away else 1, error, reason, job_id),
        ).fetchall()
        rescued.append(job_of(row))
    connection.execute("UPDATE audit SET result = ? WHERE result = ?", (UNTOLD, ASKED))
    return rescued
