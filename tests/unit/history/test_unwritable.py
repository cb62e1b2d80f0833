"""A history where nothing can be written (mounted read-only, another owner's directory) is still read."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fakes.jobs import new_job, opened
from qsuite_console.history.reader import open_reader
from qsuite_console.model.errors import HistoryUnavailable
from qsuite_console.model.jobs import JobQuery

NOBODY = 65534


def as_nobody(work: Callable[[], Any]) -> Any:
    """Run in a thread to which no file belongs; root's rights over files are a thread's, and so can be given away."""

    def dropped() -> Any:
        if os.geteuid() == 0:
            ctypes.CDLL(None).setfsuid(NOBODY)
        return work()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(dropped).result()


@pytest.fixture
def directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="qsuite-history-test-"))
    path.chmod(0o755)
    yield path
    path.chmod(0o755)
    shutil.rmtree(path)


def close_to_writing(directory: Path) -> None:
    for file in directory.iterdir():
        file.chmod(0o444)
    directory.chmod(0o555)


def titles(path: Path) -> list[str]:
    def read() -> list[str]:
        with open_reader(path) as reader:
            return [job.title for job in asyncio.run(reader.jobs(JobQuery())).jobs]

    found: list[str] = as_nobody(read)
    return found


async def test_it_is_listed_where_nothing_can_be_written(directory: Path) -> None:
    path = directory / "history.sqlite"
    with opened(path.parent) as store:
        await store.insert(new_job(title="first"), dedupe_key=None)
    assert not path.with_name("history.sqlite-wal").exists()
    close_to_writing(directory)
    before = {file.name: file.read_bytes() for file in directory.iterdir()}
    assert await asyncio.to_thread(titles, path) == ["first"]
    assert {file.name: file.read_bytes() for file in directory.iterdir()} == before


async def test_the_log_that_a_killed_engine_left_is_read_with_it(directory: Path) -> None:
    path, moved = directory / "here" / "history.sqlite", directory / "there"
    path.parent.mkdir()
    with opened(path.parent) as store:
        await store.insert(new_job(title="folded"), dedupe_key=None)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    writer.execute("UPDATE jobs SET title = 'only in the log'")
    moved.mkdir()
    for name in ("history.sqlite", "history.sqlite-wal"):
        shutil.copyfile(path.with_name(name), moved / name)
    writer.close()
    close_to_writing(moved)
    assert await asyncio.to_thread(titles, moved / "history.sqlite") == ["only in the log"]
    moved.chmod(0o755)


async def test_one_that_may_not_be_read_is_refused(directory: Path) -> None:
    path = directory / "history.sqlite"
    with opened(path.parent) as store:
        await store.insert(new_job(), dedupe_key=None)
    path.chmod(0o600)
    directory.chmod(0o555)
    if os.geteuid() != 0:
        path.chmod(0)
    with pytest.raises(HistoryUnavailable, match=r"history\.sqlite"):
        await asyncio.to_thread(titles, path)
