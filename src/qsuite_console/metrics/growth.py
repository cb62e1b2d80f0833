"""What counters grew by over the last so many seconds: for questions asked while somebody looks, at any pace.

Unlike a rate between two samples, it can answer for a short interval (bytes a second) and for a long one (how many
checkpoints) from the same looks. Nothing is ever counted from before the first look, a reset or a restart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_MOST: Final = 1200


@dataclass(frozen=True, slots=True)
class Grown:
    """Growth of each counter within ``seconds``; a counter the server does not have is missing."""

    seconds: float
    counters: Mapping[str, float] = field(default_factory=dict)

    def of(self, name: str) -> float | None:
        """Return a counter's growth, None where it is not known."""
        return self.counters.get(name)

    def rate(self, name: str) -> float | None:
        """Return a counter's growth a second, None where it is not known."""
        grown = self.counters.get(name)
        return None if grown is None or self.seconds <= 0 else grown / self.seconds


class Growth:
    """Keeps looks at a set of counters, at most ``longest_s`` seconds of them by the source's own clock."""

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._epoch: object = None
        self._looks: deque[tuple[float, Mapping[str, float]]] = deque(maxlen=_MOST)

    def add(self, at: float, counters: Mapping[str, float | None], *, epoch: object = None) -> None:
        """Take a look; another ``epoch`` (start, last reset) or a counter that fell starts anew."""
        known = {name: float(value) for name, value in counters.items() if value is not None}
        if self._looks:
            was_at, before = self._looks[-1]
            fell = any(value < before.get(name, value) for name, value in known.items())
            if epoch != self._epoch or at < was_at or fell:
                self._looks.clear()
            elif at == was_at:
                return
        self._epoch = epoch
        self._looks.append((at, known))
        while len(self._looks) > 2 and at - self._looks[1][0] >= self._longest_s:
            self._looks.popleft()

    def over(self, seconds: float) -> Grown | None:
        """Return the growth since the newest look that is at least ``seconds`` old, else the oldest; None of one."""
        if len(self._looks) < 2:
            return None
        now, newest = self._looks[-1]
        base = next((look for look in reversed(self._looks) if now - look[0] >= seconds), self._looks[0])
        grown = {name: value - base[1][name] for name, value in newest.items() if name in base[1]}
        return Grown(now - base[0], grown)
