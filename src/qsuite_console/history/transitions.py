"""Every change of a job as one operation of the writer. Each checks first and writes after, so that a refusal never
leaves half a change in the shared transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from qsuite_console.history.rows import COLUMNS, Row, job_of, stamp, to_json, unpack
from qsuite_console.history.schema import ELIGIBLE, LIVE_STATES
from qsuite_console.history.writer import Transaction
from qsuite_console.model.errors import Conflict, NotFound
from qsuite_console.model.jobs import TERMINAL, Job, JobState
from qsuite_console.model.runs import AuditEntry, Change, Claim, Inserted, Note, Start

_INSERT: Final = (
    "INSERT INTO jobs (kind, title, queue, priority, state, parameters, dedupe_key, created_at, run_at, max_attempts,"
    " reason, correlation_id, origin) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    f" ON CONFLICT DO NOTHING RETURNING {COLUMNS}"
)
_ELIGIBLE: Final = f"SELECT {COLUMNS} FROM jobs WHERE {{which}} AND {ELIGIBLE} ORDER BY priority DESC, id LIMIT ?"
_ELIGIBLE_IN_QUEUE: Final = _ELIGIBLE.format(which="queue = ?")
_ELIGIBLE_ONE: Final = _ELIGIBLE.format(which="id = ?")
_START: Final = (
    "UPDATE jobs SET state = 'running', owner = ?1, attempt = attempt + 1, tries = tries + 1, started_at = ?2,"
    " wait_us = max(0, ?2 - run_at), reason = NULL WHERE id = ?3"
)


def _get(transaction: Transaction, job_id: int) -> Job:
    row = transaction.connection.execute(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise NotFound(f"there is no job {job_id}", hint="`jobs list` shows what there is")
    return job_of(row)


def _change(transaction: Transaction, job: Job, assignments: str, *values: object) -> Change:
    """Apply one UPDATE to a job that is known to exist and return what it became."""
    rows: list[Row] = transaction.connection.execute(
        f"UPDATE jobs SET {assignments} WHERE id = ? RETURNING {COLUMNS}", (*values, job.id)
    ).fetchall()
    return Change(job=job_of(rows[0]), previous=job.state)


def keep(transaction: Transaction, entry: AuditEntry) -> int:
    """Write one row of the audit and return its number."""
    values = (stamp(entry.at), entry.who, entry.origin, entry.action, entry.subject, entry.result)
    written = transaction.connection.execute(
        "INSERT INTO audit (at, who, origin, action, subject, result) VALUES (?, ?, ?, ?, ?, ?)", values
    )
    return int(written.lastrowid or 0)


def conclude(transaction: Transaction, number: int, result: str) -> None:
    """Say of a row of the audit what came of it."""
    transaction.connection.execute("UPDATE audit SET result = ? WHERE id = ?", (result, number))


def noted(transaction: Transaction, change: Change, note: Note | None) -> Change:
    """Write the audit of a change beside the change itself."""
    if note is not None:
        keep(transaction, note(change.job, change.previous))
    return change


def insert(transaction: Transaction, job: Job, dedupe_key: str | None, now: datetime, *, joins: bool) -> Inserted:
    """Store a new job, or join the live one of that key: a paused one goes on. Raises Conflict where not to join."""
    values = (
        job.kind,
        job.title,
        job.queue,
        job.priority,
        job.state.value,
        to_json(job.parameters),
        dedupe_key,
        stamp(job.created_at),
        stamp(job.run_at),
        job.max_attempts,
        job.reason,
        job.correlation_id,
        job.origin,
    )
    rows = transaction.connection.execute(_INSERT, values).fetchall()
    if rows:
        return Inserted(job=job_of(rows[0]), previous=None)
    (row,) = transaction.connection.execute(
        f"SELECT {COLUMNS} FROM jobs WHERE dedupe_key = ? AND {LIVE_STATES}", (dedupe_key,)
    ).fetchall()
    twin = job_of(row)
    if not joins:
        raise Conflict(f"job {twin.id} does the same and is {twin.state.value}", hint=f"follow or cancel job {twin.id}")
    found = twin.state
    if found is JobState.PAUSED:
        twin = release(transaction, twin.id, now).job
    return Inserted(job=twin, previous=found, is_joined=True)


def claim(transaction: Transaction, queues: Mapping[str, int], owner: str, now: datetime) -> list[Claim]:
    """Move up to ``queues[name]`` eligible jobs of each queue to running."""
    claims: list[Claim] = []
    for name, free in queues.items():
        if free > 0:
            rows = transaction.connection.execute(_ELIGIBLE_IN_QUEUE, (name, free)).fetchall()
            claims.extend(_grant(transaction, job_of(row), owner, now) for row in rows)
    return claims


def claim_one(transaction: Transaction, job_id: int, owner: str, now: datetime) -> Claim | None:
    """Move just this job to running, if it is eligible."""
    rows = transaction.connection.execute(_ELIGIBLE_ONE, (job_id, 1)).fetchall()
    return _grant(transaction, job_of(rows[0]), owner, now) if rows else None


def claim_after(transaction: Transaction, job: Job, start: Start, now: datetime) -> Claim | None:
    """Fill the free slot of a queue that a job has just entered."""
    if start.only_it:
        return claim_one(transaction, job.id, start.owner, now)
    return next(iter(claim(transaction, {job.queue: 1}, start.owner, now)), None)


def _grant(transaction: Transaction, job: Job, owner: str, now: datetime) -> Claim:
    transaction.connection.execute(_START, (owner, stamp(now), job.id))
    number = job.attempt + 1
    running = msgspec.structs.replace(
        job, state=JobState.RUNNING, attempt=number, tries=job.tries + 1, started_at=now, reason=None
    )
    saved = checkpoint(transaction, job.id) if number > 1 else None
    return Claim(job=running, number=number, previous=job.state, checkpoint=saved)


def checkpoint(transaction: Transaction, job_id: int) -> dict[str, Any] | None:
    """Return the newest checkpoint of a job."""
    row = transaction.connection.execute("SELECT checkpoint FROM checkpoints WHERE job_id = ?", (job_id,)).fetchone()
    return None if row is None else unpack(row[0])


def save_checkpoint(transaction: Transaction, job_id: int, number: int, blob: bytes) -> None:
    """Keep a packed checkpoint of the running attempt ``number``; raises Conflict for one that was replaced."""
    row = transaction.connection.execute("SELECT state, attempt FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None or row != (JobState.RUNNING.value, number):
        raise Conflict(f"attempt {number} of job {job_id} is over: its checkpoint is refused")
    transaction.connection.execute(
        "INSERT INTO checkpoints VALUES (?1, ?2, ?3)"
        " ON CONFLICT DO UPDATE SET number = excluded.number, checkpoint = excluded.checkpoint",
        (job_id, number, blob),
    )


def hand_out(transaction: Transaction, job_id: int, number: int, *, is_out: bool) -> None:
    """Note that others may get the running attempt ``number``, or none has it; raises Conflict once it is over."""
    changed = transaction.connection.execute(
        "UPDATE jobs SET handed_out = ? WHERE id = ? AND attempt = ? AND state = 'running'", (is_out, job_id, number)
    )
    if not changed.rowcount:
        raise Conflict(f"attempt {number} of job {job_id} is over: it is not handed out")


def request_cancel(transaction: Transaction, job_id: int, now: datetime) -> Change:
    """Persist the wish; a job that is not running becomes cancelled at once."""
    job = _get(transaction, job_id)
    if job.state in TERMINAL:
        raise Conflict(f"job {job_id} has already {_ended(job.state)}")
    if job.state is JobState.RUNNING:
        return _change(transaction, job, "cancel_requested = 1, reason = 'cancel requested'")
    transaction.figures.ended(stamp(now), job.kind, job.queue, "cancelled")
    return _change(
        transaction, job, "state = 'cancelled', cancel_requested = 1, finished_at = ?, reason = NULL", stamp(now)
    )


def hold(transaction: Transaction, job_id: int) -> Change:
    """Pause a job that is not running."""
    job = _get(transaction, job_id)
    if job.state in TERMINAL:
        raise Conflict(f"job {job_id} has already {_ended(job.state)}")
    if job.state is JobState.PAUSED:
        raise Conflict(f"job {job_id} is paused already")
    if job.state is JobState.RUNNING:
        raise Conflict(f"job {job_id} is running: it pauses when its worker reaches a safe point")
    return _change(transaction, job, "state = 'paused', reason = 'held by the operator'")


def release(transaction: Transaction, job_id: int, now: datetime) -> Change:
    """Resume a paused job: queued, or scheduled where its time is still to come."""
    job = _get(transaction, job_id)
    if job.state is not JobState.PAUSED:
        raise Conflict(f"job {job_id} is {job.state.value}, not paused")
    if job.run_at > now:
        return _change(transaction, job, "state = 'scheduled', reason = NULL")
    return _change(transaction, job, "state = 'queued', run_at = ?, reason = NULL", stamp(now))


def requeue(transaction: Transaction, job_id: int, now: datetime) -> Change:
    """Retry a failed or cancelled job with a fresh set of attempts and its last checkpoint."""
    job = _get(transaction, job_id)
    if job.state not in (JobState.FAILED, JobState.CANCELLED):
        raise Conflict(f"job {job_id} is {job.state.value}: only a failed or cancelled job can be retried")
    twin = transaction.connection.execute(
        f"SELECT id FROM jobs WHERE dedupe_key = (SELECT dedupe_key FROM jobs WHERE id = ?) AND {LIVE_STATES}",
        (job_id,),
    ).fetchone()
    if twin is not None:
        raise Conflict(f"job {twin[0]} does the same already", hint=f"follow job {twin[0]} instead")
    assignments = (
        "state = 'queued', run_at = ?, finished_at = NULL, tries = 0, rescues = 0, cancel_requested = 0,"
        " error = NULL, reason = 'retried by hand'"
    )
    return _change(transaction, job, assignments, stamp(now))


def delete(transaction: Transaction, job_ids: Sequence[int], note: Note | None) -> list[Job]:
    """Remove finished jobs with all they own; returns those that went, as they were."""
    gone: list[Job] = []
    for job_id in job_ids:
        rows = transaction.connection.execute(
            f"DELETE FROM jobs WHERE id = ? AND finished_at IS NOT NULL RETURNING {COLUMNS}", (job_id,)
        ).fetchall()
        gone.extend(job_of(row) for row in rows)
    if note is not None:
        for job in gone:
            keep(transaction, note(job, job.state))
    return gone


def due(transaction: Transaction, now: datetime) -> tuple[list[Job], int | None]:
    """Move scheduled jobs whose time has come to queued, at most 500 at a time; return them and the next stamp."""
    rows = transaction.connection.execute(
        "UPDATE jobs SET state = 'queued', reason = NULL WHERE id IN (SELECT id FROM jobs WHERE state = 'scheduled'"
        f" AND run_at <= ? ORDER BY run_at LIMIT 500) RETURNING {COLUMNS}",
        (stamp(now),),
    ).fetchall()
    (next_run,) = transaction.connection.execute("SELECT min(run_at) FROM jobs WHERE state = 'scheduled'").fetchone()
    return sorted((job_of(row) for row in rows), key=lambda job: job.id), next_run


def _ended(state: JobState) -> str:
    return {JobState.CANCELLED: "been cancelled"}.get(state, state.value)
