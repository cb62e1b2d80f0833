"""Obeys a provider's rate limit as its answers state it; works for fixed windows and token buckets alike.

The window only ever trusts the smaller of what the provider reported and what was sent since, lets a single request
probe when nothing is known (first request, after a reset), and paces itself for a while after a 429 (AIMD).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.quota import Quota

RESET_MARGIN_S: Final = 1.0  # X-RateLimit-Reset and Date are whole seconds: either may be early by almost one
PROBE_LIMIT_S: Final = 60.0  # a probe that never settles is forgotten after this
_RECHECK_S: Final = 0.25
_SLOWEST: Final = 1 / 16
_RECOVERY: Final = 0.05
_TOO_MANY: Final = 429


class Window:
    """What may be sent now. Pure: every method takes the monotonic time in seconds."""

    def __init__(self, limit: int) -> None:
        self.limit = max(1, limit)
        self.available: int | None = None  # None: the provider has not said yet
        self.reset_at = 0.0
        self.blocked_until = 0.0
        self.in_flight = 0
        self.pace = 1.0  # share of the limit that is used after a 429
        self._epoch = 0.0  # the reset as the provider wrote it: identifies the window
        self._is_blind = False  # answers carry no quota
        self._probe_until = 0.0
        self._next_slot = 0.0

    def hold_s(self, now: float) -> float:
        """Return the seconds for which nothing may be sent because of a 429 or the pace; 0 when free."""
        return max(0.0, self.blocked_until - now, self._next_slot - now)

    def quota_s(self, now: float) -> float:
        """Return the seconds until the quota has room; 0 when it has some, taking nothing."""
        if self._is_blind:
            return 0.0
        if self.available is None or (self.available <= 0 and now >= self.reset_at):
            return _RECHECK_S if now < self._probe_until else 0.0
        return 0.0 if self.available > 0 else self.reset_at - now

    def take(self, now: float) -> float:
        """Take the right to send one request: 0, or the seconds to wait before asking again."""
        wait_s = max(self.hold_s(now), self.quota_s(now))
        if wait_s > 0:
            return wait_s
        if not self._is_blind:
            if self.available is None or self.available <= 0:
                self._probe_until = now + PROBE_LIMIT_S
            else:
                self.available -= 1
        self.start(now)
        return 0.0

    def start(self, now: float) -> None:
        """Count one request as sent (its right came from here or from the shared quota)."""
        self.in_flight += 1
        self._next_slot = now + self._spacing_s()

    def settle(self, now: float, status: int | None, quota: Quota, jitter_s: float = 0.0) -> float:
        """Take in an answer (``status`` None: none came); return the seconds nothing may be sent after a 429."""
        self.in_flight = max(0, self.in_flight - 1)
        self._probe_until = 0.0
        if quota.limit is not None and quota.limit > 0:
            self.limit = quota.limit
        if quota.remaining is not None:
            self._learn(now, quota)
        elif status is not None and self.available is None:
            self._is_blind = True
        if status != _TOO_MANY:
            if status is not None:
                self.pace = min(1.0, self.pace + _RECOVERY)
            return 0.0
        self.pace = max(_SLOWEST, self.pace / 2)
        pause_s = _pause_after_refusal(quota) + jitter_s
        if self.available is not None:
            self.available, self.reset_at = 0, now + pause_s  # then one request probes
        self.blocked_until = max(self.blocked_until, now + pause_s)
        return pause_s

    def _learn(self, now: float, quota: Quota) -> None:
        # Requests in flight may or may not be counted in ``remaining`` already: take them off to be safe.
        known = max(0, (quota.remaining or 0) - self.in_flight)
        epoch = quota.reset_epoch or 0.0
        self._is_blind = False
        if self.available is None or epoch > self._epoch or (now >= self.reset_at and epoch == self._epoch):
            self.available, self._epoch = known, epoch
            self.reset_at = now + max(0.0, quota.reset_s or 0.0) + RESET_MARGIN_S
        elif epoch == self._epoch:
            self.available = min(self.available, known)

    def _spacing_s(self) -> float:
        return 60.0 / (self.limit * self.pace) if self._is_blind or self.pace < 1.0 else 0.0


def _pause_after_refusal(quota: Quota) -> float:
    if quota.retry_after_s is not None:
        return max(0.0, quota.retry_after_s)
    if quota.reset_s is not None:
        return max(0.0, quota.reset_s) + RESET_MARGIN_S
    return 60.0


class SharedQuota(Protocol):
    """A quota kept outside this process for all that use one key; raises ConsoleError when it can't be reached."""

    async def take(self, limit: int) -> tuple[str, float]:
        """Return (ticket, 0) when one request may go, else ("", seconds to wait)."""
        ...

    async def settle(self, ticket: str, quota: Quota, pause_s: float) -> None:
        """Take in the answer to the ticket's request."""
        ...


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to send one request; give it back with ``settle`` whatever happens."""

    waited_s: float
    ticket: str = ""


@dataclass(slots=True)
class LimitCounts:
    """Running totals for the gauge."""

    requests: int = 0
    refused: int = 0  # 429s
    waited_s: float = 0.0


class RateLimiter:
    """One per provider key and process, shared by all jobs on the engine's loop."""

    def __init__(
        self,
        limit: int,
        clock: Clock,
        *,
        shared: SharedQuota | None = None,
        on_note: Callable[[str], None] = lambda _: None,
        random_s: Callable[[], float] = random.random,
    ) -> None:
        self.window = Window(limit)
        self.counts = LimitCounts()
        self._clock = clock
        self._shared = shared
        self._is_shared_down = False
        self._shared_retry_at = 0.0
        self._note = on_note
        self._random = random_s
        self._settled = asyncio.Event()

    @property
    def is_shared(self) -> bool:
        """Return whether the quota is being shared with other processes right now."""
        return self._shared is not None and not self._is_shared_down

    async def admit(self) -> Permit:
        """Wait until one more request may be sent, and count it."""
        started = self._clock.monotonic()
        while True:
            now = self._clock.monotonic()
            wait_s, ticket = self.window.hold_s(now), ""
            if wait_s <= 0:
                wait_s, ticket = await self._take()
            if wait_s <= 0:
                waited_s = self._clock.monotonic() - started
                self.counts.requests += 1
                self.counts.waited_s += waited_s
                return Permit(waited_s, ticket)
            self._settled.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._settled.wait()
            except TimeoutError:
                continue

    async def settle(self, permit: Permit, status: int | None, quota: Quota) -> float:
        """Take in the answer to an admitted request; return the pause that a 429 asked for, else 0."""
        pause_s = self.window.settle(self._clock.monotonic(), status, quota, self._random() * 0.5)
        if status == _TOO_MANY:
            self.counts.refused += 1
        self._settled.set()
        if permit.ticket and self._shared is not None:
            try:
                await self._shared.settle(permit.ticket, quota, pause_s)
            except ConsoleError as error:
                self._lose(error)
        return pause_s

    async def _take(self) -> tuple[float, str]:
        now = self._clock.monotonic()
        if self._shared is not None and now >= self._shared_retry_at:
            try:
                ticket, wait_s = await self._shared.take(self.window.limit)
            except ConsoleError as error:
                self._lose(error)
            else:
                if self._is_shared_down:
                    self._is_shared_down = False
                    self._note("the rate limit is shared with other processes again")
                if wait_s <= 0:
                    self.window.start(self._clock.monotonic())
                return wait_s, ticket
        return self.window.take(self._clock.monotonic()), ""

    def _lose(self, error: ConsoleError) -> None:
        self._shared_retry_at = self._clock.monotonic() + 5.0
        if not self._is_shared_down:
            self._is_shared_down = True
            self._note(f"the rate limit is kept by this process alone: {error}")
