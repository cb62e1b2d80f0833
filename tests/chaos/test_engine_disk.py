"""The disk fills, the file breaks, the directory is not ours: one clear line each, and nothing lost."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fakes.jobs import SETTINGS, Doing, Number, new_job, nothing, opened, reaches, running, until
from qsuite_console.engine.ports import JobContext
from qsuite_console.history.lock import describe_owner
from qsuite_console.history.reader import open_reader
from qsuite_console.history.store import SqliteStore, open_store
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.errors import HistoryOwned, HistoryUnavailable
from qsuite_console.model.jobs import JobQuery, JobState, Submission

TESTS = Path(__file__).parents[1]


def fill(store: SqliteStore, is_full: bool) -> None:
    """Let SQLite believe the disk has no page left (or again has): the same SQLITE_FULL as a full disk's."""
    connection = store._writer._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages if is_full else 1_000_000}")


async def test_a_full_disk_stops_claiming_keeps_results_and_is_survived(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def work(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        while not go.is_set():
            await asyncio.sleep(0.01)
        await context.save({"pad": os.urandom(200_000).hex()})  # larger than any free page left
        return {"n": parameters.n, "pad": os.urandom(200_000).hex()}

    with running(tmp_path, Doing(work), Doing(nothing, "other", queue="ai")) as engine:
        control = engine.control
        jobs = [(await control.submit(Submission(kind="task", parameters={"n": n}))).job_id for n in range(2)]
        for job_id in jobs:
            await reaches(control, job_id, JobState.RUNNING)
        await on_writer(engine, lambda: fill(engine._store, True))
        go.set()
        await until(lambda: control.state.trouble)
        assert "disk is full" in control.state.trouble
        with pytest.raises(HistoryUnavailable, match="can't grow: the disk is full"):
            await control.submit(Submission(kind="other"))
        assert len((await control.jobs(JobQuery(states=(JobState.RUNNING,)))).jobs) == 2  # reading still works
        gc.collect()
        gc.freeze()  # a look through all that the tests before have left is no busy loop
        try:
            spent, began = time.process_time(), time.monotonic()
            await asyncio.sleep(0.5)
            share = (time.process_time() - spent) / (time.monotonic() - began)
        finally:
            gc.unfreeze()
        assert share < 0.8, "a busy loop while the disk is full"
        await on_writer(engine, lambda: fill(engine._store, False))
        await until(lambda: not control.state.trouble, 15)
        for job_id in jobs:
            done = await reaches(control, job_id, JobState.SUCCEEDED)
            assert (done.attempt, done.tries) == (1, 1)
        after = await control.submit(Submission(kind="other"))
        await reaches(control, after.job_id, JobState.SUCCEEDED)


async def test_an_engine_stopped_while_the_disk_is_full_leaves_its_job_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qsuite_console.engine.engine.LAST_WAIT_S", 0.2)
    go = asyncio.Event()

    async def work(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        await context.save({"page": 1})
        while not go.is_set():
            await asyncio.sleep(0.01)
        return {"pad": os.urandom(500_000).hex()}

    with running(tmp_path, Doing(work)) as engine:
        job_id = (await engine.control.submit(Submission(kind="task"))).job_id
        await until(lambda: engine.control.state.running and engine.control._core.attempts[job_id]._context.checkpoint)
        await on_writer(engine, lambda: fill(engine._store, True))
        go.set()
        await until(lambda: engine.control.state.trouble)
        await asyncio.to_thread(engine.stop, 0.1)
        await until(engine.finished.is_set)
    with running(tmp_path, Doing(work)) as engine:
        await reaches(engine.control, job_id, JobState.SUCCEEDED)
        detail = await engine.control.job(job_id)
        assert (detail.job.rescues, [attempt.error for attempt in detail.attempts]) == (1, ["its process died", None])


async def on_writer(engine: Any, work: Any) -> None:
    """Do something between two transactions of the writer."""
    connection_idle = asyncio.Event()
    await engine._store._writer.run(lambda transaction: connection_idle.set(), is_essential=True)
    while engine._store._writer._connection.in_transaction:
        await asyncio.sleep(0.001)
    work()


def test_a_file_size_limit_gives_one_clear_line_and_leaves_a_whole_file(tmp_path: Path) -> None:
    script = """
import asyncio, resource, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from fakes.jobs import *
from qsuite_console.model.errors import HistoryUnavailable

async def main(store):
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    kept = 0
    try:
        for n in range(5000):
            await store.insert(new_job(parameters={"pad": "x" * 5000}), dedupe_key=None)
            kept += 1
    except HistoryUnavailable as error:
        print(kept, error.message, "|", error.hint)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await store.probe()
    await store.insert(new_job(), dedupe_key=None)

with opened(Path(sys.argv[1])) as store:
    asyncio.run(main(store))
"""
    command = [sys.executable, "-c", script, str(tmp_path), str(TESTS)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    kept, _, line = ended.stdout.partition(" ")
    assert line.startswith(("the disk refuses the history", "the history"))
    assert "|" in line
    connection = sqlite3.connect(tmp_path / "history.sqlite")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (int(kept) + 1,)
    connection.close()


async def test_a_damaged_history_is_kept_aside_and_said(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    with opened(tmp_path) as store:
        for _ in range(200):
            await store.insert(new_job(parameters={"pad": "x" * 1000}), dedupe_key=None)
    with path.open("r+b") as file:
        file.seek(4096 * 8)
        file.write(os.urandom(4096 * 4))
    with running(tmp_path, Doing(nothing)) as engine:
        assert "damaged" in engine.control.state.trouble
        receipt = await engine.control.submit(Submission(kind="task"))
        await reaches(engine.control, receipt.job_id, JobState.SUCCEEDED)
    assert len(list(tmp_path.glob("history.sqlite.corrupt-*"))) == 1
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "history.sqlite").write_bytes(b"not a database at all" * 500)
    with opened(tmp_path / "other") as store:
        assert "not a database" in store.warnings[0]


async def test_a_garbled_write_ahead_log_opens_at_its_last_whole_commit(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for directory in (first, second):
        directory.mkdir()
    with opened(first) as store:
        for _ in range(50):
            await store.insert(new_job(), dedupe_key=None)
        for name in ("history.sqlite", "history.sqlite-wal"):
            (second / name).write_bytes((first / name).read_bytes())
    log = second / "history.sqlite-wal"
    log.write_bytes(log.read_bytes()[:-4096] + os.urandom(4096))
    with opened(second) as store:
        kept = (await store.counts())["queued"]
        assert 40 <= kept < 50
        assert store.warnings == ()


def test_a_second_process_is_told_who_owns_the_history(tmp_path: Path) -> None:
    script = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from fakes.jobs import opened
with opened(Path(sys.argv[1])):
    print("open", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", script, str(tmp_path), str(TESTS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(HistoryOwned, match=f"in use by pid {other.pid} on ") as refused, opened(tmp_path):
            pass
        assert refused.value.owner == describe_owner(tmp_path / "history.sqlite")
        reader = open_reader(tmp_path / "history.sqlite")
        assert asyncio.run(reader.counts())["queued"] == 0
        reader.close()
        other.communicate("")
    with opened(tmp_path):
        pass


def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    previous = os.umask(0o022)
    try:
        with opened(tmp_path):
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(previous)
    assert set(modes.values()) == {0o600}, modes
    assert "history.sqlite-wal" in modes


def test_a_place_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(HistoryUnavailable, match="can't be made"):
        open_store(blocked / "state" / "history.sqlite", settings=SETTINGS, clock=SystemClock())
    with pytest.raises(HistoryUnavailable, match="there is no history"):
        open_reader(tmp_path / "history.sqlite")
