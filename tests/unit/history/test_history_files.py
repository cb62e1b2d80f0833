"""The history's files: schema, bounds, reserve, readers beside the writer, and a cost that does not grow."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fakes.jobs import SETTINGS, new_job, opened, until
from qsuite_console.config.settings import EngineSettings
from qsuite_console.history import has_wal_reset_race, sqlite_version
from qsuite_console.history.ballast import Ballast
from qsuite_console.history.figures import Figures, bucket_of, percentile, seconds_of, span_for
from qsuite_console.history.migrations import HISTORY_STEPS
from qsuite_console.history.mounts import network_type
from qsuite_console.history.queries import SEARCHED
from qsuite_console.history.reader import open_reader
from qsuite_console.history.store import SqliteStore
from qsuite_console.history.telemetry import POINTS, TAIL
from qsuite_console.model.errors import HistoryUnavailable
from qsuite_console.model.jobs import JobQuery, JobState, LogLine, Outcome, Progress
from qsuite_console.model.runs import Ending

NOW = datetime.now(UTC)


def test_the_version_and_its_known_race_are_reported() -> None:
    assert sqlite_version() == sqlite3.sqlite_version
    assert [has_wal_reset_race(v) for v in ("3.40.1", "3.44.6", "3.50.7", "3.51.2", "3.51.3", "3.54.1")] == [
        True, False, False, True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("us", [1, 2, 999, 1_000_000, 86_400_000_000])
def test_buckets_are_exact_to_a_tenth(us: int) -> None:
    assert seconds_of(bucket_of(us)) == pytest.approx(us / 1e6, rel=0.1)


def test_percentiles_and_the_resolution_of_windows() -> None:
    assert percentile({}, 0.5) is None
    buckets = {bucket_of(1000): 90.0, bucket_of(1_000_000): 10.0}
    assert percentile(buckets, 0.5) == pytest.approx(0.001, rel=0.1)
    assert percentile(buckets, 0.95) == pytest.approx(1.0, rel=0.1)
    assert [span_for(window) for window in (600, 86_400, 90 * 86_400)] == [60, 3600, 86_400]


def test_busy_time_is_spread_over_the_minutes_it_covered() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute(
        "CREATE TABLE figures (span, start, scope, name, measure, bucket, amount,"
        " PRIMARY KEY (span, start, scope, name, measure, bucket))"
    )
    figures = Figures()
    figures.busy(90_000_000, 200_000_000)
    figures.write(connection)
    assert connection.execute("SELECT start, amount FROM figures WHERE span = 60 ORDER BY start").fetchall() == [
        (60, 30.0), (120, 60.0), (180, 20.0),
    ]  # fmt: skip
    assert connection.execute("SELECT sum(amount) FROM figures WHERE span = 86400").fetchone() == (110.0,)


async def test_a_file_from_the_future_is_refused_and_left_alone(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        await store.insert(new_job(), dedupe_key=None)
    connection = sqlite3.connect(tmp_path / "history.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(HistoryUnavailable, match="written by a newer version"), opened(tmp_path):
        pass
    assert not list(tmp_path.glob("*.corrupt-*"))


async def test_reopening_keeps_everything_and_opens_without_migrating(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        job = (await store.insert(new_job(title="kept"), dedupe_key=None)).job
        store.note_logs([LogLine(job_id=job.id, number=0, at=NOW, level="INFO", message="last words")])
    with opened(tmp_path) as store:
        detail = await store.detail(job.id)
        assert (detail.job.title, [line.message for line in detail.logs]) == ("kept", ["last words"])
    connection = sqlite3.connect(tmp_path / "history.sqlite")
    assert connection.execute("SELECT name FROM _sqlite_migrations").fetchall() == [
        (name,) for name, _ in HISTORY_STEPS
    ]
    assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    connection.close()


async def test_a_reader_follows_the_owner_and_never_writes(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        reader = open_reader(tmp_path / "history.sqlite")
        job = (await store.insert(new_job(), dedupe_key=None)).job
        assert (await reader.detail(job.id)).job == job
        assert (await reader.jobs(JobQuery())).jobs == (job,)
        assert (await reader.counts())["queued"] == 1
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._jobs_file().execute("DELETE FROM jobs")
        reader.close()


async def test_readers_do_not_make_the_log_grow(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        reader = open_reader(tmp_path / "history.sqlite")
        for _ in range(40):
            await asyncio.gather(
                *(store.insert(new_job(parameters={"pad": "x" * 1500}), dedupe_key=None) for _ in range(64))
            )
            await reader.jobs(JobQuery())
        assert (tmp_path / "history.sqlite-wal").stat().st_size < 16 << 20
        reader.close()


async def test_log_tails_and_throughput_are_bounded(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        job = (await store.insert(new_job(), dedupe_key=None)).job
        store.note_logs(
            [LogLine(job_id=job.id, number=0, at=NOW, level="INFO", message=str(n)) for n in range(TAIL + 50)]
        )
        lines = await store.logs(job.id, after=0, limit=5000)
        assert (len(lines), lines[0].number, lines[-1].message) == (TAIL, 51, str(TAIL + 49))
        for second in range(0, POINTS * 2, 2):
            store._notes._write_point(job.id, Progress(done=second, updated_at=NOW + timedelta(seconds=second)))
        store._notes._write_point(job.id, Progress(done=9999, updated_at=NOW + timedelta(hours=1)))
        points = (await store.detail(job.id)).throughput
        assert POINTS // 2 <= len(points) <= POINTS
        assert (points[0].done, points[-1].done) == (0, 9999)


async def test_counts_survive_deleting_and_pruning_keeps_the_newest(tmp_path: Path) -> None:
    settings = EngineSettings(history_max_jobs=10)
    with opened(tmp_path, settings) as store:
        ids = [await ended(store) for _ in range(25)]
        assert await store.prune(now=NOW + timedelta(hours=1)) == 15
        assert [job.id for job in (await store.jobs(JobQuery())).jobs] == ids[:14:-1]
        assert (await store.counts())["succeeded"] == 10
        assert await store.logs(ids[0], after=0, limit=5) == []


async def ended(store: SqliteStore) -> int:
    job = (await store.insert(new_job(), dedupe_key=None)).job
    assert await store.claim_one(job.id, owner="me", now=datetime.now(UTC))
    store.note_logs([LogLine(job_id=job.id, number=0, at=NOW, level="INFO", message="x")])
    ending = Ending(outcome=Outcome.SUCCEEDED, result={"n": 1})
    await store.finish(job.id, 1, ending, owner="me", now=datetime.now(UTC))
    return job.id


async def test_lists_and_claims_cost_the_same_however_long_the_history(tmp_path: Path) -> None:
    """What a page, a claim and a count look at is bounded by an index, not by the number of rows."""
    with opened(tmp_path) as store:
        await store.insert(new_job(), dedupe_key="k")
        plans = {
            "claim": "SELECT id FROM jobs WHERE queue = 'g' AND state IN ('interrupted', 'queued')"
            " ORDER BY priority DESC, id LIMIT 1",
            "due": "SELECT min(run_at) FROM jobs WHERE state = 'scheduled'",
            "failed": "SELECT id FROM jobs WHERE state = 'failed' AND id < 9 ORDER BY id DESC LIMIT 5",
            "kind": "SELECT id FROM jobs WHERE kind = 'k' AND id < 9 ORDER BY id DESC LIMIT 5",
            "key": "SELECT id FROM jobs WHERE dedupe_key = 'k' AND state IN"
            " ('interrupted', 'paused', 'queued', 'running', 'scheduled')",
            "old": "SELECT id FROM jobs WHERE finished_at IS NOT NULL ORDER BY finished_at LIMIT 5",
        }
        reader = store._jobs_file()
        for name, sql in plans.items():
            steps = [row[3] for row in reader.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()]
            assert all("INDEX jobs_" in step for step in steps), (name, steps)


async def test_a_search_looks_at_a_bounded_stretch_and_says_where_to_go_on(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        needle = (await store.insert(new_job(title="needle"), dedupe_key=None)).job
        hay = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {SEARCHED})"
        columns = "kind, title, queue, priority, state, parameters, created_at, run_at, max_attempts, correlation_id"
        await store._writer.run(
            lambda t: t.connection.execute(
                f"{hay} INSERT INTO jobs ({columns}) SELECT 'k', 'hay', 'g', 5, 'queued', '{{}}', 0, 0, 4, '' FROM n"
            )
        )
        began = time.perf_counter()
        page = await store.jobs(JobQuery(text="needle"))
        assert time.perf_counter() - began < 5
        assert page.jobs == ()
        assert page.next_before is not None
        page = await store.jobs(JobQuery(text="needle", before=page.next_before))
        assert ([job.id for job in page.jobs], page.next_before) == ([needle.id], None)


def test_the_reserve_is_taken_given_back_and_taken_again(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "reserve", 1 << 16)
    assert not ballast.release()
    ballast.restore()
    assert (tmp_path / "reserve").stat().st_size == 1 << 16
    assert ballast.release()
    assert not (tmp_path / "reserve").exists()
    with pytest.raises(HistoryUnavailable, match="has no room"):
        Ballast(tmp_path / "nowhere" / "reserve").restore()


async def test_one_bad_operation_does_not_spoil_the_others_of_its_batch(tmp_path: Path) -> None:
    with opened(tmp_path) as store:

        def bad(transaction: object) -> None:
            raise ZeroDivisionError("odd")

        answers = await asyncio.gather(
            store.insert(new_job(), dedupe_key=None),
            store._writer.run(bad),
            store._writer.run(lambda t: t.connection.execute("INSERT INTO jobs (kind) VALUES ('half')")),
            store.insert(new_job(), dedupe_key=None),
            return_exceptions=True,
        )
        assert [type(answer).__name__ for answer in answers] == [
            "Inserted", "ZeroDivisionError", "HistoryUnavailable", "Inserted",
        ]  # fmt: skip
        assert (await store.counts())["queued"] == 2
        assert len((await store.jobs(JobQuery(states=(JobState.QUEUED,)))).jobs) == 2
    assert SETTINGS.durability == "full"


async def test_the_log_is_folded_into_the_file_once_nobody_waits(tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"

    def rows_in_file() -> int:
        copy.write_bytes((tmp_path / "history.sqlite").read_bytes())  # without its log
        connection = sqlite3.connect(copy)
        try:
            return int(connection.execute("SELECT count(*) FROM jobs").fetchone()[0])
        except sqlite3.DatabaseError:
            return 0
        finally:
            connection.close()

    with opened(tmp_path) as store:
        await store.insert(new_job(), dedupe_key=None)
        assert rows_in_file() == 0
        await until(lambda: rows_in_file() == 1)


@pytest.mark.parametrize(
    ("where", "kind"),
    [("/", ""), ("/data/state", "nfs4"), ("/data/local/state", ""), ("/data2", ""), ("/with space/x", "cifs")],
)
def test_a_network_filesystem_is_known_by_its_mount(tmp_path: Path, where: str, kind: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/sda1 / ext4 rw 0 0\nserver:/x /data nfs4 rw 0 0\n/dev/sdb1 /data/local xfs rw 0 0\n"
        "//nas/y /with\\040space cifs rw 0 0\n"
    )
    assert network_type(Path(where), mounts) == kind
    assert network_type(Path(where), tmp_path / "none") == ""


def test_a_history_on_a_network_filesystem_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qsuite_console.history.store.network_type", lambda _: "nfs4")
    with pytest.raises(HistoryUnavailable, match="on a network filesystem \\(nfs4\\)"), opened(tmp_path):
        raise AssertionError("it was opened")
    assert not (tmp_path / "history.sqlite").exists()
