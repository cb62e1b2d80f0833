"""The exchange's rate limit: a fixed window or a bucket that refills, with the provider's three headers.

The provider's texts disagree on which it is, so a client has to work with both.
"""

from __future__ import annotations

import math
from collections.abc import Callable


class RateLimit:
    """Counts requests of one host and key. ``now`` gives seconds since the epoch."""

    def __init__(self, limit: int, window_s: float, *, is_bucket: bool, now: Callable[[], float]) -> None:
        self.limit = limit
        self._window_s = window_s
        self._is_bucket = is_bucket
        self._now = now
        self._left = float(limit)
        self._since = now() if is_bucket else now() // window_s * window_s

    def take(self) -> bool:
        """Use one request up; tell whether there was one left."""
        self._refill()
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def headers(self) -> dict[str, str]:
        """Return limit, remaining and the UNIX second at which the remaining number changes."""
        if not self._is_bucket:
            reset = self._since + self._window_s
        elif self._left >= self.limit:
            reset = self._now()
        else:
            reset = self._now() + (1 - self._left % 1) * self._window_s / self.limit
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(int(self._left)),
            "X-RateLimit-Reset": str(math.ceil(reset)),
        }

    def _refill(self) -> None:
        now = self._now()
        if self._is_bucket:
            self._left = min(self.limit, self._left + (now - self._since) * self.limit / self._window_s)
            self._since = now
        elif now >= self._since + self._window_s:
            self._left = float(self.limit)
            self._since = now // self._window_s * self._window_s
