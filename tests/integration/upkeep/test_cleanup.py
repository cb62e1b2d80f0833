"""``cleanup``: what the history and the console's directories have kept for long enough goes, nothing else."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fakes.backfill import FakeContext, open_services
from qsuite_console.config.settings import EngineSettings, Settings
from qsuite_console.history.store import SqliteStore, open_store
from qsuite_console.model.clock import Clock
from qsuite_console.model.jobs import Job, JobState, Outcome
from qsuite_console.model.runs import Ending
from qsuite_console.paths import Paths, resolve
from qsuite_console.workers import Services
from qsuite_console.workers.cleanup import Cleanup, CleanupParameters

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LATER = timedelta(days=8)


class Standing(Clock):
    """A clock that is set."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return resolve(str(tmp_path / "home")).ensure()


@pytest.fixture
def store(paths: Paths) -> Iterator[SqliteStore]:
    found = open_store(paths.history, settings=EngineSettings(), clock=Standing(NOW))
    yield found
    found.close()


@asynccontextmanager
async def opened(paths: Paths, store: SqliteStore, at: datetime) -> AsyncIterator[Services]:
    async with open_services(Settings(), Standing(at)) as services:
        yield dataclasses.replace(services, paths=paths, books=store)


def job_of(number: int, **parameters: str) -> Job:
    return Job(
        id=0, kind="task", title="t", queue="general", priority=5, state=JobState.QUEUED, parameters=dict(parameters),
        created_at=NOW, run_at=NOW, max_attempts=1, correlation_id=f"c{number}", origin="test",
    )  # fmt: skip


async def ended(store: SqliteStore, number: int) -> int:
    job = (await store.insert(job_of(number), dedupe_key=None)).job
    assert await store.claim_one(job.id, owner="me", now=NOW)
    ending = Ending(outcome=Outcome.SUCCEEDED, result={"n": number, "text": "x" * 100})
    await store.finish(job.id, 1, ending, owner="me", now=NOW)
    return job.id


def write(path: Path, at: datetime, text: str = "1234567890") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (at.timestamp(), at.timestamp()))
    return path


async def test_the_plan_counts_what_a_run_removes_and_touches_nothing(paths: Paths, store: SqliteStore) -> None:
    ids = [await ended(store, number) for number in range(3)]
    old = [
        write(paths.state / "rejects" / "ingest-4.jsonl", NOW),
        write(paths.log / "console.log.5", NOW),
        write(paths.state / "history.sqlite.corrupt-20261101T000000", NOW),
        write(paths.config / ".config.toml.ab12_xyz", NOW),
    ]
    kept = [
        write(paths.state / "rejects" / "ingest-5.jsonl", NOW + LATER),
        write(paths.log / "console.log", NOW),
        write(paths.config / "config.toml", NOW),
        write(paths.config / ".config.toml.mine", NOW),
        write(paths.state / "target", NOW),
    ]
    async with opened(paths, store, NOW + LATER) as services:
        worker = Cleanup(services)
        plan = await worker.plan(CleanupParameters())
        assert (plan.figures["results"], plan.figures["files"], plan.figures["file_bytes"]) == (3, 4, 40)
        assert plan.figures["result_bytes"] > 300
        assert not plan.is_noop
        assert all(path.exists() for path in old)
        assert (await store.detail(ids[0])).result is not None
        result = await worker.run(FakeContext(), CleanupParameters())
        assert (result["results"], result["files"], result["file_bytes"], result["kept"]) == (3, 4, 40, [])
        assert not any(path.exists() for path in old)
        assert all(path.exists() for path in kept)
        assert (await store.detail(ids[0])).result is None
        again = await worker.plan(CleanupParameters())
        assert again.is_noop, again
        assert (await worker.run(FakeContext(), CleanupParameters()))["files"] == 0


async def test_old_jobs_go_with_their_number_named(paths: Paths, store: SqliteStore) -> None:
    await ended(store, 1)
    at = NOW + timedelta(days=EngineSettings().history_max_age_days + 1)
    async with opened(paths, store, at) as services:
        plan = await Cleanup(services).plan(CleanupParameters(files=False))
        assert (plan.figures["jobs"], plan.figures["files"]) == (1, 0)
        assert (await Cleanup(services).run(FakeContext(), CleanupParameters(files=False)))["jobs"] == 1


async def test_input_that_a_job_will_still_read_stays(paths: Paths, store: SqliteStore) -> None:
    wanted = write(paths.state / "spool" / "stdin-1.csv", NOW)
    unwanted = write(paths.state / "spool" / "stdin-2.csv", NOW)
    await store.insert(job_of(1, path=str(wanted)), dedupe_key=None)
    async with opened(paths, store, NOW + LATER) as services:
        result = await Cleanup(services).run(FakeContext(), CleanupParameters())
    assert (result["files"], wanted.exists(), unwanted.exists()) == (1, True, False)


async def test_links_and_what_cannot_be_removed_are_left(paths: Paths, store: SqliteStore, tmp_path: Path) -> None:
    precious = write(tmp_path / "precious", NOW)
    link = paths.state / "spool" / "stdin-3.csv"
    link.parent.mkdir()
    link.symlink_to(precious)
    async with opened(paths, store, NOW + LATER) as services:
        assert (await Cleanup(services).run(FakeContext(), CleanupParameters(keep_days=0)))["files"] == 0
    assert link.is_symlink()
    assert precious.exists()
