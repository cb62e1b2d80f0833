"""Answers kept for a moment: who asks the same within it gets the same bytes, and many who ask at once wait for one."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from qsuite_console.headless.answers import tag_of

MOST: Final = 256
MOST_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Kept:
    """One answer as it goes out."""

    body: bytes
    tag: str
    until: float


class KeptAnswers:
    """Bounded in number and bytes; used on the engine's loop. What fails is not kept."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: OrderedDict[object, Kept] = OrderedDict()
        self._bytes = 0
        self._making: dict[object, asyncio.Task[Kept]] = {}

    async def get(self, key: object, for_s: float, make: Callable[[], Awaitable[bytes]]) -> tuple[Kept, bool]:
        """Return the answer, and whether it was there already; ``make`` is called once for all who wait for it."""
        found = self._kept.get(key)
        if found is not None and self._clock() < found.until:
            self._kept.move_to_end(key)
            return found, True
        making = self._making.get(key)
        is_first = making is None
        if making is None:
            making = self._making[key] = asyncio.create_task(self._make(key, for_s, make))
            making.add_done_callback(_look)
        return await asyncio.shield(making), not is_first

    async def _make(self, key: object, for_s: float, make: Callable[[], Awaitable[bytes]]) -> Kept:
        try:
            body = await make()
            kept = Kept(body, tag_of(body), self._clock() + for_s)
            self._put(key, kept)
            return kept
        finally:
            del self._making[key]

    def _put(self, key: object, kept: Kept) -> None:
        before = self._kept.pop(key, None)
        self._bytes += len(kept.body) - (len(before.body) if before is not None else 0)
        self._kept[key] = kept
        while len(self._kept) > MOST or self._bytes > MOST_BYTES:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= len(dropped.body)


def _look(task: asyncio.Task[Kept]) -> None:
    """Take note of a failure that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
