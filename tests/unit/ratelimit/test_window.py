"""The limiter against simulated providers: fixed windows and token buckets, each with whole-second headers."""

from __future__ import annotations

import asyncio
import heapq
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from qsuite_console.engine.ratelimit import RateLimiter, Window
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.quota import Quota


@dataclass
class FixedWindow:
    limit: int
    window_s: float = 60.0
    phase_s: float = 0.37  # windows need not begin on whole seconds
    used: dict[int, int] = field(default_factory=dict)

    def answer(self, now: float) -> tuple[int, Quota]:
        index = int((now - self.phase_s) // self.window_s)
        self.used[index] = self.used.get(index, 0) + 1
        reset = (index + 1) * self.window_s + self.phase_s
        status = 200 if self.used[index] <= self.limit else 429
        return status, _quota(self.limit, max(0, self.limit - self.used[index]), int(reset), now)


@dataclass
class Bucket:
    limit: int
    left: float = 0.0
    since: float = 0.0

    def answer(self, now: float) -> tuple[int, Quota]:
        self.left = min(self.limit, self.left + (now - self.since) * self.limit / 60)
        self.since = now
        status = 200 if self.left >= 1 else 429
        if status == 200:
            self.left -= 1
        reset = now + (1 - self.left % 1) * 60 / self.limit
        return status, _quota(self.limit, int(self.left), math.floor(reset), now)


def _quota(limit: int, remaining: int, reset: int, now: float) -> Quota:
    date = int(now)  # the Date header is truncated to the second
    return Quota(limit=limit, remaining=remaining, reset_epoch=float(reset), reset_s=float(max(0, reset - date)))


def simulate(
    window: Window, server: FixedWindow | Bucket, requests: int, latency_s: float, start: float = 1000.0
) -> tuple[list[int], float]:
    """Send as fast as the window allows with any number in flight; return the statuses and the seconds it took."""
    now, statuses = start, []
    flying: list[tuple[float, int, int, Quota]] = []
    sent = 0
    while len(statuses) < requests:
        wait_s = window.take(now) if sent < requests else math.inf
        if wait_s == 0:
            status, quota = server.answer(now + latency_s / 2)
            heapq.heappush(flying, (now + latency_s, sent, status, quota))
            sent += 1
            continue
        next_answer = flying[0][0] if flying else math.inf
        if next_answer <= now + wait_s:
            now, _, status, quota = heapq.heappop(flying)
            window.settle(now, status, quota)
            statuses.append(status)
        else:
            now += max(wait_s, 0.001)
    return statuses, now - start


@pytest.mark.parametrize("latency_s", [0.02, 0.3, 2.5])
@pytest.mark.parametrize("limit", [3, 60, 200])
def test_fixed_window_is_used_up_without_one_429(limit: int, latency_s: float) -> None:
    statuses, seconds = simulate(Window(200), FixedWindow(limit), limit * 4, latency_s)
    assert statuses.count(429) == 0
    assert seconds < 5 * 60  # four windows of requests, and one more for beginning inside one


@pytest.mark.parametrize("limit", [60, 200])
def test_bucket_is_followed_without_one_429(limit: int) -> None:
    statuses, seconds = simulate(Window(200), Bucket(limit, left=limit, since=1000.0), limit * 3, 0.1)
    assert statuses.count(429) == 0
    assert seconds < 4 * 60


def test_the_first_request_goes_alone() -> None:
    window = Window(200)
    assert window.take(0.0) == 0
    assert window.take(0.0) > 0
    window.settle(0.1, 200, Quota(limit=200, remaining=199, reset_epoch=50, reset_s=50))
    assert [window.take(0.1) for _ in range(199)] == [0.0] * 199
    assert window.take(0.1) == pytest.approx(51.0, abs=0.2)


def test_requests_in_flight_are_taken_off_what_is_reported() -> None:
    window = Window(10)
    window.take(0.0)
    window.settle(0.0, 200, Quota(limit=10, remaining=9, reset_epoch=60, reset_s=60))
    for _ in range(4):
        assert window.take(1.0) == 0
    window.settle(2.0, 200, Quota(limit=10, remaining=8, reset_epoch=60, reset_s=58))
    assert window.available == 5  # 8 reported, 3 still in flight


def test_a_late_answer_never_raises_the_quota() -> None:
    window = Window(10)
    window.take(0.0)
    window.settle(0.0, 200, Quota(limit=10, remaining=9, reset_epoch=60, reset_s=60))
    window.take(1.0)
    window.take(1.0)
    window.settle(2.0, 200, Quota(limit=10, remaining=3, reset_epoch=60, reset_s=58))
    window.settle(2.1, 200, Quota(limit=10, remaining=8, reset_epoch=60, reset_s=58))
    assert window.available == 2


def test_429_waits_for_retry_after_before_reset_and_halves_the_pace() -> None:
    window = Window(60)
    window.take(0.0)
    pause = window.settle(0.0, 429, Quota(remaining=0, reset_epoch=30, reset_s=30, retry_after_s=7))
    assert pause == 7
    assert window.take(6.9) == pytest.approx(0.1)
    assert window.pace == 0.5
    for number in range(10):
        window.start(100.0 + number)
        window.settle(100.5 + number, 200, Quota(limit=60, remaining=50, reset_epoch=160, reset_s=60))
    assert window.pace == 1.0


def test_without_headers_the_configured_limit_is_paced() -> None:
    window = Window(60)
    assert window.take(0.0) == 0
    window.settle(0.2, 200, Quota())
    sent, now = 0, 0.2
    while now < 60.2:
        wait_s = window.take(now)
        if wait_s == 0:
            sent += 1
            window.settle(now, 200, Quota())
        now += wait_s or 0.0
    assert sent <= 60


class _Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


class _Shared:
    def __init__(self) -> None:
        self.is_down = False
        self.taken = 0
        self.settled: list[tuple[str, float]] = []

    async def take(self, limit: int) -> tuple[str, float]:
        if self.is_down:
            raise ConsoleError("redis is away")
        self.taken += 1
        return f"t{self.taken}", 0.0

    async def settle(self, ticket: str, quota: Quota, pause_s: float) -> None:
        if self.is_down:
            raise ConsoleError("redis is away")
        self.settled.append((ticket, pause_s))


async def test_the_shared_quota_decides_and_its_loss_is_said_once() -> None:
    notes: list[str] = []
    shared = _Shared()
    limiter = RateLimiter(200, _Clock(), shared=shared, on_note=notes.append)
    permit = await limiter.admit()
    await limiter.settle(permit, 200, Quota(limit=200, remaining=150, reset_epoch=60, reset_s=60))
    assert shared.settled == [("t1", 0.0)]
    assert limiter.is_shared
    shared.is_down = True
    for _ in range(3):
        permit = await limiter.admit()
        await limiter.settle(permit, 200, Quota(limit=200, remaining=149, reset_epoch=60, reset_s=60))
    assert not limiter.is_shared
    assert notes == ["the rate limit is kept by this process alone: redis is away"]
    assert limiter.counts.requests == 4


async def test_admit_wakes_when_an_answer_brings_room() -> None:
    limiter = RateLimiter(200, _Clock())
    first = await limiter.admit()
    second = asyncio.create_task(limiter.admit())
    await asyncio.sleep(0)
    assert not second.done()
    await limiter.settle(first, 200, Quota(limit=200, remaining=10, reset_epoch=60, reset_s=60))
    permit = await asyncio.wait_for(second, 1.0)
    assert permit.waited_s < 1.0


async def test_a_429_is_counted() -> None:
    limiter = RateLimiter(200, _Clock(), random_s=lambda: 0.0)
    permit = await limiter.admit()
    assert await limiter.settle(permit, 429, Quota(retry_after_s=3)) == 3
    assert limiter.counts.refused == 1
