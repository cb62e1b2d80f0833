"""SIGKILL at random moments: nothing acknowledged is lost, nothing completed runs again, what ran goes on."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fakes.jobs import Doing, Number, opened, running, until
from fakes.stopwatch import Stopwatch
from qsuite_console.engine.ports import JobContext
from qsuite_console.history.reader import open_reader
from qsuite_console.model.jobs import JobState, Outcome

ROUNDS = 6
PROGRAM = Path(__file__).with_name("engine_program.py")


def told(directory: Path) -> list[list[str]]:
    path = directory / "told.log"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def run_and_kill(directory: Path, first: int, dice: random.Random) -> None:
    ready = sum(words[0] == "ready" for words in told(directory))
    program = subprocess.Popen([sys.executable, str(PROGRAM), str(directory), str(first)])
    try:
        deadline = time.monotonic() + 60
        while sum(words[0] == "ready" for words in told(directory)) == ready:
            assert program.poll() is None, "the engine did not start"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(dice.uniform(0.05, 0.6))  # the moment of death is the experiment
    finally:
        os.kill(program.pid, signal.SIGKILL)
        program.wait()


async def test_nothing_acknowledged_is_lost_and_nothing_completed_runs_again(tmp_path: Path) -> None:
    dice = random.Random(20261122)
    running_at_kill = 0
    for round_number in range(ROUNDS):
        run_and_kill(tmp_path, round_number * 1_000_000, dice)
        connection = sqlite3.connect(tmp_path / "history.sqlite")
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (alive,) = connection.execute("SELECT count(*) FROM jobs WHERE state = 'running'").fetchone()
        running_at_kill += alive
        connection.close()
    assert running_at_kill > 0

    begun: list[tuple[int, int, int]] = []

    async def work(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        begun.append((context.job_id, context.attempt, int((context.checkpoint or {}).get("step", 0))))
        return {"steps": 5}

    lines = told(tmp_path)
    succeeded_before = finished_in(tmp_path)
    with running(tmp_path, Doing(work)) as engine:
        counts = engine.control.state

        async def is_done() -> bool:
            found = await engine.control._core.store.counts()
            return all(found[state] == 0 for state in ("queued", "running", "interrupted", "scheduled"))

        await until(is_done, 60)
        assert counts.owner
    check_story(tmp_path, lines, begun, succeeded_before)
    again = {job_id for job_id, attempt, _ in begun if attempt > 1}
    attempts = sum(words[0] == "begin" for words in lines) + len(begun)
    jobs = len(finished_in(tmp_path))
    assert attempts - jobs <= running_at_kill, "more was run again than had been running at a kill"
    assert again


def finished_in(directory: Path) -> set[int]:
    connection = sqlite3.connect(directory / "history.sqlite")
    found = {row[0] for row in connection.execute("SELECT id FROM jobs WHERE state = 'succeeded'")}
    connection.close()
    return found


def check_story(
    directory: Path, lines: list[list[str]], begun: list[tuple[int, int, int]], succeeded_before: set[int]
) -> None:
    """Compare what the killed engines had been told with what the history knows in the end."""
    submitted = {int(words[1]): int(words[2]) for words in lines if words[0] == "submitted"}
    assert len(submitted) == sum(words[0] == "submitted" for words in lines), "an id was given twice"
    finished = finished_in(directory)
    assert submitted.keys() <= finished, "an acknowledged job is missing"
    assert not succeeded_before & {job_id for job_id, _, _ in begun}, "a completed job ran again"
    saved: dict[int, int] = defaultdict(int)
    for words in lines:
        if words[0] == "begin":
            assert int(words[3]) >= saved[int(words[1])], "an acknowledged checkpoint was lost"
        elif words[0] == "saved":
            saved[int(words[1])] = int(words[2])
    for job_id, _, step in begun:
        assert step >= saved[job_id]
    connection = sqlite3.connect(directory / "history.sqlite")
    endings = connection.execute("SELECT job_id, group_concat(outcome) FROM attempts GROUP BY job_id").fetchall()
    connection.close()
    for _, outcomes in endings:
        assert outcomes.split(",").count("succeeded") == 1


async def test_a_rescued_job_knows_why_and_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    run_and_kill(tmp_path, 0, random.Random(1))
    reader = open_reader(tmp_path / "history.sqlite")  # looking comes before, and instead of, any repair
    assert (await reader.counts())["running"] > 0
    reader.close()
    seen: dict[int, tuple[int, Any]] = {}

    async def work(context: JobContext, parameters: Number) -> Mapping[str, Any]:
        seen[context.job_id] = (context.attempt, context.checkpoint)
        return {}

    connection = sqlite3.connect(tmp_path / "history.sqlite")
    left = dict(connection.execute("SELECT id, attempt FROM jobs WHERE state = 'running'").fetchall())
    connection.close()
    assert left
    with Stopwatch() as taken, running(tmp_path, Doing(work)) as engine:
        await until(lambda: left.keys() <= seen.keys())
        assert taken.seconds < 10
        for job_id, attempt in left.items():
            assert seen[job_id][0] == attempt + 1
            first = (await engine.control.job(job_id)).attempts[attempt - 1]
            assert (first.outcome, first.error) == (Outcome.INTERRUPTED, "its process died")
            rescued = (await engine.control.job(job_id)).job
            assert (rescued.rescues, rescued.tries) == (1, 1)


async def test_rescues_run_out_for_a_job_that_kills_its_process(tmp_path: Path) -> None:
    script = (
        "import os, sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path\n"
        "import asyncio, time\nfrom fakes.jobs import *\n"
        "from qsuite_console.model.jobs import Submission\n"
        "async def work(context, parameters): os.kill(os.getpid(), 9)\n"
        "with running(Path(sys.argv[1]), Doing(work), settings=EngineSettings(max_rescues=1)) as engine:\n"
        "    asyncio.run(engine.control.submit(Submission(kind='task'))); time.sleep(30)\n"
    )
    for _ in range(2):
        ended = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path), str(Path(__file__).parents[1])], check=False
        )
        assert ended.returncode == -signal.SIGKILL
    with opened(tmp_path) as store:
        (given_up,) = await store.rescue(owner="me", now=datetime.now(UTC), max_rescues=1)
        assert (given_up.state, given_up.rescues) == (JobState.FAILED, 2)
        assert "died 2 times" in (given_up.error or "")
