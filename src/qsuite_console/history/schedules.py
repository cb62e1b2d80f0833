"""Writing schedules. A plan is dealt with in one transaction: its run, the job it makes and the mark up to where plans
are handled, so that whatever is killed when, each plan is dealt with exactly once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from qsuite_console.history import transitions
from qsuite_console.history.rows import stamp, to_json
from qsuite_console.history.schedule_rows import COLUMNS, Read, ScheduleReader, run_of
from qsuite_console.history.schema import LIVE_STATES
from qsuite_console.history.writer import Transaction, Writer
from qsuite_console.model.errors import Conflict, NotFound
from qsuite_console.model.firing import MOST_WAITING, Fired, Firing
from qsuite_console.model.runs import AuditEntry
from qsuite_console.model.schedules import Overlap, RunOutcome, Schedule, ScheduleRun


class ScheduleBook(ScheduleReader):
    """Implements ``engine.schedule_ports.ScheduleStore`` on the history's writer."""

    def __init__(self, read: Read, writer: Writer) -> None:
        super().__init__(read)
        self._writer = writer

    async def save(self, schedule: Schedule, *, entry: AuditEntry | None = None) -> Schedule:
        """Store a new schedule or the next revision of one; raises Conflict for a name or revision that is taken."""

        def work(transaction: Transaction) -> Schedule:
            saved = _insert(transaction, schedule) if not schedule.id else _update(transaction, schedule)
            if entry is not None:
                transitions.keep(transaction, entry)
            return saved

        return await self._writer.run(work)

    async def delete(self, schedule_id: int) -> bool:
        """Remove a schedule with its runs; its jobs stay."""
        return await self._writer.run(
            lambda t: bool(t.connection.execute("DELETE FROM schedules WHERE id = ?", (schedule_id,)).rowcount),
            is_essential=True,
        )

    async def seed(self, schedules: Sequence[Schedule]) -> Sequence[Schedule]:
        """Store those that were never offered before; one whose name the operator has taken only counts as offered."""

        def work(transaction: Transaction) -> Sequence[Schedule]:
            added: list[Schedule] = []
            for schedule in schedules:
                offered = transaction.connection.execute(
                    "INSERT INTO schedule_offers VALUES (?) ON CONFLICT DO NOTHING", (schedule.name,)
                ).rowcount
                if offered and not _known(transaction, schedule.name):
                    added.append(_insert(transaction, schedule))
            return added

        return await self._writer.run(work)

    async def fire(self, firing: Firing, *, now: datetime) -> Fired | None:
        """Deal with a plan exactly once; None: it had been, or the schedule is gone or was changed."""
        return await self._writer.run(lambda t: _fire(t, firing, now), lane="schedules")

    async def start_waiting(self, firing: Firing, *, now: datetime) -> Fired | None:
        """Make the job of the oldest plan that waits; None: none does, or the job before it is not over."""
        return await self._writer.run(lambda t: _start_waiting(t, firing, now), lane="schedules")

    async def move(self, schedule_id: int, handled_until: datetime) -> None:
        """Set the mark up to where plans are handled."""
        await self._writer.run(lambda t: _mark(t, schedule_id, stamp(handled_until)))


def _known(transaction: Transaction, name: str) -> bool:
    return bool(transaction.connection.execute("SELECT 1 FROM schedules WHERE name = ?", (name,)).fetchone())


def _insert(transaction: Transaction, schedule: Schedule) -> Schedule:
    if _known(transaction, schedule.name):
        raise Conflict(f"there is a schedule {schedule.name} already", hint="edit it, or choose another name")
    assert schedule.handled_until is not None
    values = (schedule.name, 1, stamp(schedule.handled_until), to_json(schedule))
    (number,) = transaction.connection.execute(
        "INSERT INTO schedules (name, revision, handled_until, body) VALUES (?, ?, ?, ?) RETURNING id", values
    ).fetchone()
    return msgspec.structs.replace(schedule, id=number, revision=1)


def _update(transaction: Transaction, schedule: Schedule) -> Schedule:
    assert schedule.handled_until is not None
    values = (stamp(schedule.handled_until), to_json(schedule), schedule.id, schedule.revision)
    done = transaction.connection.execute(
        "UPDATE schedules SET revision = revision + 1, handled_until = ?, body = ? WHERE id = ? AND revision = ?",
        values,
    ).rowcount
    if not done and not _known(transaction, schedule.name):
        raise NotFound(f"there is no schedule {schedule.name}", hint="`schedules list` shows what there is")
    if not done:
        raise Conflict(f"the schedule {schedule.name} was changed meanwhile", hint="look again, then repeat it")
    if not schedule.is_enabled:
        for planned in _waiting(transaction, schedule.id):
            _settle(transaction, schedule.id, planned, RunOutcome.SKIPPED, "the schedule was paused")
    return msgspec.structs.replace(schedule, revision=schedule.revision + 1)


def _mark(transaction: Transaction, schedule_id: int, at: int) -> None:
    transaction.connection.execute("UPDATE schedules SET handled_until = ? WHERE id = ?", (at, schedule_id))


def _fire(transaction: Transaction, firing: Firing, now: datetime) -> Fired | None:
    connection = transaction.connection
    row = connection.execute(
        "SELECT revision, handled_until FROM schedules WHERE id = ?", (firing.schedule_id,)
    ).fetchone()
    planned = stamp(firing.planned_at)
    if row is None or row[0] != firing.revision:
        return None
    is_plan = firing.trigger != "by hand"
    if is_plan and planned <= row[1]:
        return None
    is_known = connection.execute(
        "SELECT 1 FROM schedule_runs WHERE schedule_id = ? AND planned_at = ?", (firing.schedule_id, planned)
    ).fetchone()
    if is_plan:
        _mark(transaction, firing.schedule_id, planned)
    if is_known and is_plan:  # the clock was set back: this plan was dealt with when it came first
        return None
    fired = _dealt_with(transaction, firing, now)
    if is_plan or fired.inserted is not None:
        _keep(transaction, fired.run)
    return _noted(transaction, firing, fired)


def _dealt_with(transaction: Transaction, firing: Firing, now: datetime) -> Fired:
    """Make the job, or say why not; writes nothing of the run itself."""
    run = ScheduleRun(
        schedule_id=firing.schedule_id,
        planned_at=firing.planned_at,
        at=now,
        outcome=firing.outcome,
        trigger=firing.trigger,
        note=firing.why,
        covers=firing.covers,
    )
    if firing.job is None:
        return Fired(run=run)
    replace = msgspec.structs.replace
    own, before = _before(transaction, firing)
    waiting = _waiting(transaction, firing.schedule_id)
    if firing.overlap is Overlap.CANCEL and (own or before is None):
        for planned in waiting:
            _settle(transaction, firing.schedule_id, planned, RunOutcome.SKIPPED, "a newer plan took its place")
        waiting = []
    if before is None and not waiting:
        inserted = transitions.insert(transaction, firing.job, firing.dedupe_key, now, joins=False)
        return Fired(
            run=replace(run, outcome=RunOutcome.STARTED, job_id=inserted.job.id, note=firing.why), inserted=inserted
        )
    said = f"{len(waiting)} plans wait already"
    if before is not None:
        said = f"job {before} was not over" if own else f"job {before} does the same"
    if firing.overlap is Overlap.SKIP or (firing.overlap is Overlap.CANCEL and not own):
        return Fired(run=replace(run, outcome=RunOutcome.SKIPPED, note=said), before=before)
    if len(waiting) >= MOST_WAITING:
        note = f"{len(waiting)} plans wait already"
        return Fired(run=replace(run, outcome=RunOutcome.SKIPPED, note=note), before=before)
    note = "for the plans before it" if before is None else f"for job {before}"
    return Fired(run=replace(run, outcome=RunOutcome.WAITING, note=note), before=before)


def _start_waiting(transaction: Transaction, firing: Firing, now: datetime) -> Fired | None:
    waiting = _waiting(transaction, firing.schedule_id)
    if not waiting:
        return None
    planned = waiting[0]
    if firing.job is None:
        _settle(transaction, firing.schedule_id, planned, firing.outcome, firing.why)
        return _noted(transaction, firing, Fired(run=_run(transaction, firing.schedule_id, planned)))
    if _before(transaction, firing)[1] is not None:
        return None
    inserted = transitions.insert(transaction, firing.job, firing.dedupe_key, now, joins=False)
    transaction.connection.execute(
        "UPDATE schedule_runs SET outcome = 'started', job_id = ?, at = ?, note = ''"
        " WHERE schedule_id = ? AND planned_at = ?",
        (inserted.job.id, stamp(now), firing.schedule_id, planned),
    )
    fired = Fired(run=_run(transaction, firing.schedule_id, planned), inserted=inserted)
    return _noted(transaction, firing, fired)


def _noted(transaction: Transaction, firing: Firing, fired: Fired) -> Fired:
    entry = None if firing.note is None else firing.note(fired.run)
    if entry is not None:
        transitions.keep(transaction, entry)
    return fired


def _before(transaction: Transaction, firing: Firing) -> tuple[bool, int | None]:
    """Return the job that is not over: (True, the schedule's own) or (False, another's that does the same)."""
    (own,) = transaction.connection.execute(
        "SELECT max(job_id) FROM schedule_runs JOIN jobs ON jobs.id = job_id"
        f" WHERE schedule_id = ? AND outcome IN ('started', 'waiting') AND {LIVE_STATES}",
        (firing.schedule_id,),
    ).fetchone()
    if own is not None:
        return True, own
    twin = transaction.connection.execute(
        f"SELECT id FROM jobs WHERE dedupe_key = ? AND {LIVE_STATES}", (firing.dedupe_key,)
    ).fetchone()
    return False, None if twin is None else twin[0]


def _waiting(transaction: Transaction, schedule_id: int) -> list[int]:
    rows = transaction.connection.execute(
        "SELECT planned_at FROM schedule_runs WHERE schedule_id = ? AND outcome IN ('started', 'waiting')"
        " AND outcome = 'waiting' ORDER BY planned_at",
        (schedule_id,),
    ).fetchall()
    return [row[0] for row in rows]


def _settle(transaction: Transaction, schedule_id: int, planned: int, outcome: RunOutcome, note: str) -> None:
    transaction.connection.execute(
        "UPDATE schedule_runs SET outcome = ?, note = ? WHERE schedule_id = ? AND planned_at = ?",
        (outcome.value, note, schedule_id, planned),
    )


def _run(transaction: Transaction, schedule_id: int, planned: int) -> ScheduleRun:
    row = transaction.connection.execute(
        f"SELECT {COLUMNS} FROM schedule_runs WHERE schedule_id = ? AND planned_at = ?", (schedule_id, planned)
    ).fetchone()
    return run_of(row)


def _keep(transaction: Transaction, run: ScheduleRun) -> None:
    """Write a run; one without a job that says the same as the newest is counted with it instead.

    ``at`` stays when it began, so that who tells others of it tells them once.
    """
    connection = transaction.connection
    if run.job_id is None and run.outcome is not RunOutcome.WAITING:
        newest = connection.execute(
            "SELECT planned_at, outcome, note FROM schedule_runs WHERE schedule_id = ?"
            " ORDER BY planned_at DESC LIMIT 1",
            (run.schedule_id,),
        ).fetchone()
        planned = stamp(run.planned_at)
        if newest is not None and newest[1:] == (run.outcome.value, run.note) and newest[0] < planned:
            connection.execute(
                "UPDATE schedule_runs SET planned_at = ?, covers = covers + ? WHERE schedule_id = ? AND planned_at = ?",
                (planned, run.covers, run.schedule_id, newest[0]),
            )
            return
    values = (
        run.schedule_id, stamp(run.planned_at), stamp(run.at), run.outcome.value, run.trigger, run.job_id, run.note,
        run.covers, None,
    )  # fmt: skip
    connection.execute(f"INSERT INTO schedule_runs ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
