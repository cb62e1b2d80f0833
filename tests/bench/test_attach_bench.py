"""Two consoles attached to an engine in another process: how late each sees a change, and how far they are apart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.service.test_processes import Other
from qsuite_console.attach import RemoteControl
from qsuite_console.bridge import INTERVAL_S, Bridge
from qsuite_console.messages import StateChanged

CHANGES = 200
LATEST_S = 0.25


class Console:
    """What an attached console's screen does ten times a second, and when it first saw each size of a queue."""

    def __init__(self, control: RemoteControl) -> None:
        self.seen: dict[int, float] = {}
        self._bridge = Bridge(control, self._take)

    def _take(self, message: StateChanged) -> None:
        for queue in message.state.queues:
            if queue.name == "general":
                self.seen.setdefault(queue.concurrency, time.monotonic())

    async def look(self, after_s: float) -> None:
        await asyncio.sleep(after_s)  # two people's screens do not look in step
        while True:
            self._bridge.poll()
            await asyncio.sleep(INTERVAL_S)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Other]:
    found = Other(tmp_path)
    yield found
    found.process.terminate()
    found.wait()
    assert found.process.stderr is not None
    found.process.stderr.close()


@pytest.mark.timeout(300)
async def test_two_attached_consoles_see_the_same_within_a_quarter_second(other: Other) -> None:
    with RemoteControl(other.paths.socket) as first, RemoteControl(other.paths.socket) as second:
        consoles = [Console(first), Console(second)]
        steps = (0.0, INTERVAL_S / 2)
        looking = [asyncio.create_task(each.look(step)) for each, step in zip(consoles, steps, strict=True)]
        late, apart = list[float](), list[float]()
        for number in range(100, 100 + CHANGES):
            began = time.monotonic()
            await first.set_queue("general", concurrency=number)
            async with asyncio.timeout(10):
                while any(number not in console.seen for console in consoles):
                    await asyncio.sleep(0.003)
            times = [console.seen[number] for console in consoles]
            late.append(max(times) - began)
            apart.append(abs(times[0] - times[1]))
            await asyncio.sleep(0.037 * (number % 7))  # at any moment of their looks
        for task in looking:
            task.cancel()
    worst, median = sorted(late)[int(0.99 * CHANGES)], sorted(late)[CHANGES // 2]
    between = sorted(apart)[int(0.99 * CHANGES)]
    print(f"\nafter a change: median {1000 * median:.0f} ms, p99 {1000 * worst:.0f} ms until both have drawn from it")
    print(f"between the two: p99 {1000 * between:.0f} ms")
    assert between <= LATEST_S
