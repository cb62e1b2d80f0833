"""An urgent job starts at once, however many others wait, run or are being submitted."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fakes.jobs import Doing, Number, running, until
from qsuite_console.engine.engine import Engine
from qsuite_console.engine.ports import JobContext
from qsuite_console.model.jobs import Submission

FLOOD = 10_000
TRIES = 20
SHARE = 1 / 30  # of what the common job in the middle waits
ROUNDS = 3
MEMORY = Path("/dev/shm")


def waited_for_a_processor() -> float:
    """Seconds that the threads of this process have been ready to run while others had the processors (Linux)."""
    waited = 0
    for path in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # a thread that has ended meanwhile
            waited += int(path.read_text().split()[1])
    return waited / 1e9


@dataclass
class Worst:
    """Of twenty tries, in seconds: as a clock sees it, and without what the machine's other programs took."""

    delay: float = 0.0
    own: float = 0.0

    def __str__(self) -> str:
        return f"{self.delay * 1000:.0f} ms ({max(0.0, self.own) * 1000:.0f} of its own)"


class Flooded:
    """An engine with a flood of jobs of ``general`` and a clock on those of ``execution``."""

    def __init__(self) -> None:
        self.runs: Counter[int] = Counter()
        self.started: dict[int, float] = {}
        self.asked = 0.0
        self.waits: list[float] = []

    async def common(self, context: JobContext, parameters: Number) -> Mapping[str, Any]:
        self.runs[parameters.n] += 1
        self.waits.append(time.perf_counter() - self.asked)
        return {}

    async def urgent(self, context: JobContext, parameters: Number) -> Mapping[str, Any]:
        self.started[parameters.n] = time.perf_counter()
        return {}

    async def worst(self, engine: Engine, first: int) -> Worst:
        """The longest of the tries from asking for an urgent job to its first line running."""
        worst = Worst()
        for n in range(first, first + TRIES):
            await asyncio.sleep(0.02)
            asked, waited = time.perf_counter(), waited_for_a_processor()
            await engine.control.submit(Submission(kind="urgent", parameters={"n": n}))
            await until(lambda n=n: n in self.started)
            delay = self.started[n] - asked
            worst.delay = max(worst.delay, delay)
            worst.own = max(worst.own, delay - (waited_for_a_processor() - waited))
        return worst


async def measure(directory: Path) -> tuple[Worst, Worst, float]:
    """Return the worst delay while the flood is submitted, the worst while it waits and runs, and the wait in seconds
    of the flood's job in the middle; every job of it runs once.
    """
    flooded = Flooded()
    urgent = Doing(flooded.urgent, "urgent", queue="execution")
    with running(directory, Doing(flooded.common), urgent) as engine:
        control = engine.control
        flooded.asked = time.perf_counter()
        flood = [
            asyncio.create_task(control.submit(Submission(kind="task", parameters={"n": n}))) for n in range(FLOOD)
        ]
        await until(lambda: control.state.counts["queued"] > 200)
        submitting = await flooded.worst(engine, 0)
        assert not all(task.done() for task in flood), "the flood was in before the urgent jobs came"
        receipts = await asyncio.gather(*flood)
        assert len({receipt.job_id for receipt in receipts}) == FLOOD
        waiting = await flooded.worst(engine, TRIES)
        assert control.state.counts["queued"] > 1000, "the flood was over before the urgent jobs came"
        await until(lambda: control.state.counts["succeeded"] == FLOOD + 2 * TRIES, timeout_s=90)
        assert (await control._core.store.counts())["succeeded"] == FLOOD + 2 * TRIES
    assert set(flooded.runs.values()) == {1}
    assert len(flooded.runs) == FLOOD
    return submitting, waiting, statistics.median(flooded.waits)


@contextmanager
def place(round_number: int, disk: Path) -> Iterator[Path]:
    """Give each round a fresh directory: on the disk, and for the last round in memory where there is such a place."""
    if round_number == ROUNDS - 1 and MEMORY.is_dir():
        with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
            yield Path(directory)
    else:
        directory = disk / str(round_number)
        directory.mkdir()
        yield directory


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_an_urgent_job_passes_a_flood_of_ten_thousand_others(tmp_path: Path) -> None:
    """The worst of 20 tries waits at most a thirtieth of what the flood's job in the middle does, both while the 10,000
    come and while they run.

    What delays a start is either the engine (long transactions, a choked loop, unfair turns), which happens in every
    round, or the machine. So one good round of three is the proof. Where other programs take the processors, the time
    this process's threads stood ready without one is told by the kernel and does not count. Where they stall the disk
    with their syncs, the last round keeps the history in memory: the same code without a shared disk. Durability and
    running once are asserted in every round.
    """
    seen = []
    for round_number in range(ROUNDS):
        with place(round_number, tmp_path) as directory:
            submitting, waiting, middle = await measure(directory)
        seen.append(f"{submitting}/{waiting} of {middle:.2f} s")
        if all(min(worst.delay, worst.own) <= middle * SHARE for worst in (submitting, waiting)):
            print(f"worst of {TRIES} while submitting/running, by round: {', '.join(seen)}")
            return
    pytest.fail(f"worst of {TRIES} while submitting/running, by round: {', '.join(seen)}; {SHARE:.1%} allowed")
