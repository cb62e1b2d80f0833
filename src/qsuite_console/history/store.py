"""The durable store: a lock, one writer, one telemetry thread, one reader; this module only joins them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from qsuite_console.config.settings import EngineSettings
from qsuite_console.history import endings, pruning, queries, transitions
from qsuite_console.history.ballast import Ballast
from qsuite_console.history.deliveries import DeliveryBook
from qsuite_console.history.files import open_for_writing, telemetry_path
from qsuite_console.history.ledger import LedgerWriter
from qsuite_console.history.lock import HistoryLock
from qsuite_console.history.migrations import HISTORY_STEPS, TELEMETRY_STEPS
from qsuite_console.history.mounts import network_type
from qsuite_console.history.rates import RateBook
from qsuite_console.history.rows import moment, pack
from qsuite_console.history.schedules import ScheduleBook
from qsuite_console.history.telemetry import Telemetry
from qsuite_console.history.writer import Transaction, Writer
from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import HistoryUnavailable
from qsuite_console.model.jobs import Job, LogLine, Progress
from qsuite_console.model.runs import Change, Claim, Ending, Inserted, Note, Prunable, Start

CHECKPOINT_LIMIT: Final = 4 << 20  # bytes of JSON, packed


class SqliteStore(LedgerWriter):
    """Implements ``engine.ports.Store``. Made by ``open_store``; ``close`` lets the next owner in."""

    def __init__(
        self, path: Path, lock: HistoryLock, writer: Writer, telemetry: Telemetry, settings: EngineSettings
    ) -> None:
        super().__init__(path, writer, slots=settings.queues)
        self._lock = lock
        self._notes = telemetry
        self._settings = settings
        self.warnings: Sequence[str] = ()
        self.schedules: ScheduleBook = ScheduleBook(self._ask, writer)
        self.deliveries: DeliveryBook = DeliveryBook(self._ask, writer)
        self.rates = RateBook(writer)

    async def insert(
        self,
        job: Job,
        *,
        dedupe_key: str | None,
        now: datetime | None = None,
        joins: bool = True,
        start: Start | None = None,
        note: Note | None = None,
    ) -> Inserted:
        """Store a new job, or join the live one of that key; raises Conflict for one unless it ``joins``."""
        at = now or job.created_at

        def work(transaction: Transaction) -> Inserted:
            inserted = transitions.insert(transaction, job, dedupe_key, at, joins=joins)
            transitions.noted(transaction, inserted, note)
            if start is None or inserted.is_joined:
                return inserted
            return structs.replace(inserted, claim=transitions.claim_after(transaction, inserted.job, start, at))

        return await self._writer.run(work, lane=f"queue {job.queue}")

    async def claim(self, queues: Mapping[str, int], *, owner: str, now: datetime) -> Sequence[Claim]:
        """Move up to ``queues[name]`` eligible jobs of each queue to running, by priority then age."""
        return await self._writer.run(lambda t: transitions.claim(t, queues, owner, now))

    async def claim_one(self, job_id: int, *, owner: str, now: datetime) -> Claim | None:
        """Move just this job to running, if it is eligible."""
        return await self._writer.run(lambda t: transitions.claim_one(t, job_id, owner, now))

    async def finish(self, job_id: int, number: int, ending: Ending, *, owner: str, now: datetime) -> Job:
        """End attempt ``number``; raises Conflict if it is no longer the running one of this owner."""
        expires = now + timedelta(seconds=self._settings.result_ttl_s)
        return await self._writer.run(
            lambda t: endings.finish(t, job_id, number, ending, owner, now, expires), is_essential=True
        )

    async def save_checkpoint(self, job_id: int, number: int, checkpoint: Mapping[str, Any]) -> None:
        """Keep the newest checkpoint; raises Conflict for an attempt that was replaced."""
        blob = pack(checkpoint)
        if len(blob) > CHECKPOINT_LIMIT:
            raise ValueError(
                f"the checkpoint of job {job_id} is {len(blob):,} bytes packed; {CHECKPOINT_LIMIT:,} are kept"
            )
        await self._writer.run(lambda t: transitions.save_checkpoint(t, job_id, number, blob), is_essential=True)

    async def hand_out(self, job_id: int, number: int, *, is_out: bool = True) -> None:
        """Note that others may get an attempt, or that none has it; raises Conflict for one that was replaced."""
        await self._writer.run(lambda t: transitions.hand_out(t, job_id, number, is_out=is_out), is_essential=True)

    async def request_cancel(self, job_id: int, *, now: datetime, note: Note | None = None) -> Change:
        """Persist the wish; a job that is not running becomes cancelled at once."""
        return await self._writer.run(
            lambda t: transitions.noted(t, transitions.request_cancel(t, job_id, now), note), is_essential=True
        )

    async def hold(self, job_id: int, *, now: datetime, note: Note | None = None) -> Change:
        """Pause a job that is not running."""
        return await self._writer.run(
            lambda t: transitions.noted(t, transitions.hold(t, job_id), note), is_essential=True
        )

    async def release(self, job_id: int, *, now: datetime, note: Note | None = None) -> Change:
        """Resume a paused job: back to queued, checkpoint kept."""
        return await self._writer.run(lambda t: transitions.noted(t, transitions.release(t, job_id, now), note))

    async def requeue(self, job_id: int, *, now: datetime, note: Note | None = None) -> Change:
        """Retry a failed or cancelled job: queued, with a fresh set of attempts, checkpoint kept."""
        return await self._writer.run(lambda t: transitions.noted(t, transitions.requeue(t, job_id, now), note))

    async def delete(self, job_ids: Sequence[int], *, note: Note | None = None) -> Sequence[Job]:
        """Remove finished jobs with all they own; returns those that went, as they were."""
        gone = await self._writer.run(lambda t: transitions.delete(t, job_ids, note), is_essential=True)
        self._notes.forget([job.id for job in gone])
        return gone

    async def recount(self) -> tuple[Mapping[str, int], Mapping[str, tuple[int, int]]]:
        """Return counts per state and depths per queue, in the order of writes: after those that were asked before."""
        return await self._writer.run(
            lambda t: (queries.counts(t.connection), queries.queue_depths(t.connection)), is_essential=True
        )

    async def rescue(self, *, owner: str, now: datetime, max_rescues: int) -> Sequence[Job]:
        """Take over every running job of another (dead) owner: interrupted, or failed after too many rescues."""
        return await self._writer.run(lambda t: endings.rescue(t, owner, now, max_rescues), is_essential=True)

    async def due(self, *, now: datetime) -> tuple[Sequence[Job], datetime | None]:
        """Move scheduled jobs whose time has come to queued; return them and the next instant to look again."""
        jobs, next_run = await self._writer.run(lambda t: transitions.due(t, now))
        return jobs, None if next_run is None else moment(next_run)

    async def probe(self) -> None:
        """Try whether the history takes writes (again); raises HistoryUnavailable while it does not."""
        await self._writer.probe()

    def note_progress(self, job_id: int, progress: Progress) -> None:
        """Keep the newest progress, coalesced; never waits."""
        self._notes.note_progress(job_id, progress)

    def note_logs(self, lines: Sequence[LogLine]) -> None:
        """Append log lines, coalesced; never waits."""
        self._notes.note_logs(lines)

    async def prune(self, *, now: datetime) -> int:
        """Drop expired results and jobs past age and count, in steps of a thousand; returns how many jobs went."""
        return await pruning.prune(self._writer, self._notes, self._settings, now)

    async def prunable(self, *, now: datetime) -> Prunable:
        """Return what ``prune`` would forget; only reads."""
        return await self._read(lambda: pruning.prunable(self._jobs_file(), self._settings, now))

    def close(self) -> None:
        """Write what waits, fold the log into the file and let the next owner in."""
        super().close()
        self._notes.close()
        self._writer.close()
        self._lock.release()

    def _settle(self) -> None:
        self._notes.flush()


def open_store(path: Path, *, settings: EngineSettings, clock: Clock) -> SqliteStore:
    """Own the history at ``path``; raises HistoryOwned while another does, HistoryUnavailable if it can't."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HistoryUnavailable(
            f"the history directory {path.parent} can't be made: {error.strerror}",
            hint="check the owner and permissions, or set QSUITE_CONSOLE_HOME",
        ) from error
    if kind := network_type(path.parent):
        raise HistoryUnavailable(
            f"the history directory {path.parent} is on a network filesystem ({kind}), where no history is safe",
            hint="set QSUITE_CONSOLE_HOME to a directory on a local disk",
        )
    lock = HistoryLock(path, now=clock.now())
    try:
        jobs, jobs_warning = open_for_writing(
            path, durability=settings.durability, name="history", steps=HISTORY_STEPS, now=clock.now()
        )
        notes, notes_warning = open_for_writing(
            telemetry_path(path), durability="normal", name="telemetry", steps=TELEMETRY_STEPS, now=clock.now()
        )
    except BaseException:
        lock.release()
        raise
    ballast = Ballast(path.with_name(path.name + ".reserve"))
    warnings = [warning for warning in (jobs_warning, notes_warning) if warning]
    try:
        ballast.restore()
    except HistoryUnavailable as error:
        warnings.append(error.message)
    store = SqliteStore(path, lock, Writer(jobs, str(path), ballast), Telemetry(notes), settings)
    store.warnings = tuple(warnings)
    return store
