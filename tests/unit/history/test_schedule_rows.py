"""Schedules in the history: an older file gets their tables, a firing is one transaction, old runs are forgotten."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from fakes.jobs import new_job, opened
from fakes.scheduling import START, schedule
from qsuite_console.history.migrations import HISTORY_STEPS, migrate
from qsuite_console.history.store import SqliteStore
from qsuite_console.model.errors import Conflict, NotFound
from qsuite_console.model.firing import Firing
from qsuite_console.model.jobs import JobQuery, JobState, Outcome
from qsuite_console.model.runs import Ending
from qsuite_console.model.schedules import Overlap, RunOutcome

MINUTE = timedelta(minutes=1)


def firing(planned: datetime, *, revision: int = 1, overlap: Overlap = Overlap.SKIP) -> Firing:
    job = new_job(origin="schedule tick", created_at=planned, run_at=planned)
    return Firing(schedule_id=1, revision=revision, planned_at=planned, overlap=overlap, job=job, dedupe_key="same")


async def end(store: SqliteStore, job_id: int, at: datetime, outcome: Outcome = Outcome.SUCCEEDED) -> None:
    claim = await store.claim_one(job_id, owner="me", now=at)
    assert claim is not None
    await store.finish(job_id, claim.number, Ending(outcome=outcome, error="broke"), owner="me", now=at)


def test_a_history_of_before_gets_the_tables(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    before = [step for step in HISTORY_STEPS if step[0] < "0003"]
    connection = sqlite3.connect(path, isolation_level=None)
    assert migrate(connection, "history", before) == 2
    connection.close()
    with opened(tmp_path):
        pass
    with sqlite3.connect(path) as after:
        (tables,) = after.execute("SELECT count(*) FROM sqlite_master WHERE name LIKE 'schedule%'").fetchone()
    assert tables >= 3


async def test_a_plan_is_dealt_with_once_and_what_its_job_became_comes_back(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        await store.schedules.save(schedule())
        first = await store.schedules.fire(firing(START + MINUTE), now=START + MINUTE)
        assert first is not None
        assert first.inserted is not None
        assert await store.schedules.fire(firing(START + MINUTE), now=START + MINUTE) is None
        assert await store.schedules.fire(firing(START), now=START + MINUTE) is None
        assert await store.schedules.live() == {1: first.inserted.job.id}
        await end(store, first.inserted.job.id, START + MINUTE)
        [run] = await store.schedules.runs(1, 10)
        assert (run.outcome, run.finished_at, run.job_id) == (RunOutcome.SUCCEEDED, START + MINUTE, 1)
        assert await store.schedules.live() == {}
        [stored] = await store.schedules.all()
        assert stored.handled_until == START + MINUTE


async def test_a_retried_job_of_a_schedule_is_under_way_again(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        await store.schedules.save(schedule())
        await store.schedules.fire(firing(START + MINUTE), now=START + MINUTE)
        await end(store, 1, START + MINUTE, Outcome.FAILED)
        [failed] = await store.schedules.runs(1, 10)
        assert (failed.outcome, failed.note) == (RunOutcome.FAILED, "broke")
        await store.requeue(1, now=START + 2 * MINUTE)
        [again] = await store.schedules.runs(1, 10)
        assert (again.outcome, again.finished_at) == (RunOutcome.STARTED, None)
        skipped = await store.schedules.fire(firing(START + 2 * MINUTE), now=START + 2 * MINUTE)
        assert skipped is not None
        assert skipped.run.outcome is RunOutcome.SKIPPED


async def test_a_changed_or_deleted_schedule_makes_nothing_any_more(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        saved = await store.schedules.save(schedule())
        with pytest.raises(Conflict, match="there is a schedule tick already"):
            await store.schedules.save(schedule())
        changed = await store.schedules.save(msgspec.structs.replace(saved, note="x"))
        with pytest.raises(Conflict, match="changed meanwhile"):
            await store.schedules.save(saved)
        assert await store.schedules.fire(firing(START + MINUTE), now=START + MINUTE) is None
        assert await store.schedules.fire(firing(START + MINUTE, revision=2), now=START + MINUTE) is not None
        assert await store.schedules.delete(changed.id)
        assert not await store.schedules.delete(changed.id)
        assert await store.schedules.runs(1, 10) == []
        with pytest.raises(NotFound):
            await store.schedules.save(changed)
        assert (await store.detail(1)).job.origin == "schedule tick"


async def test_routine_is_left_out_where_asked_and_forgotten_after_its_runs(tmp_path: Path) -> None:
    """Three days of a schedule of every minute, beside what a person started and what failed."""
    now = datetime.now(UTC).replace(microsecond=0)
    started = now - timedelta(days=3)
    with opened(tmp_path) as store:
        await store.schedules.save(schedule(handled_until=started))
        await store.insert(new_job(title="by hand", created_at=started), dedupe_key=None)
        await end(store, 1, started)
        await store.schedules.fire(firing(started + MINUTE), now=started)
        await end(store, 2, started + MINUTE, Outcome.FAILED)
        await store.schedules.fire(firing(started + 2 * MINUTE), now=started)
        await end(store, 3, started + 2 * MINUTE)
        with sqlite3.connect(tmp_path / "history.sqlite") as connection:  # more of the last one, without its price
            columns = [row[1] for row in connection.execute("PRAGMA table_info(jobs)")][1:]
            shifted = ", ".join(f"{c} + n * 60000000" if c.endswith("_at") and c != "run_at" else c for c in columns)
            series = "WITH RECURSIVE more(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < 4200)"
            connection.execute(
                f"{series} INSERT INTO jobs ({', '.join(columns)}) SELECT {shifted} FROM jobs, more WHERE id = 3"
            )
            connection.execute(
                "INSERT INTO schedule_runs SELECT 1, finished_at, finished_at, state, 'plan', id, '', 1, finished_at"
                " FROM jobs WHERE id > 3"
            )
        page = await store.jobs(JobQuery(routine=False, limit=10))
        assert [job.id for job in page.jobs] == [2, 1]
        assert page.next_before is None
        found = await store.jobs(JobQuery(states=(JobState.SUCCEEDED,), routine=False))
        assert [job.id for job in found.jobs] == [1]
        assert len((await store.jobs(JobQuery(limit=1000))).jobs) == 1000
        gone = await store.prune(now=now)
        assert 1200 < gone < 1500, "of the first day"
        kept = {job.id for job in (await store.jobs(JobQuery(kinds=("task",), limit=1000))).jobs}
        assert len(await store.schedules.runs(1, 10_000)) > 2000
        assert {1, 2} <= {job.id for job in (await store.jobs(JobQuery(routine=False))).jobs}
        assert min(kept) > 3
