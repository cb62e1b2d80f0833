"""How much waits in Celery's queues on Redis, whoever's workers they are: three pipelines a sample, no message read.

Queues are found by kombu's bindings. Those are looked for by SCAN, a step with every sample and many with the first,
so that a broker that shares its database with a large cache costs it no more than one step either.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from qsuite_console.cache.broker import BINDING, STEP, is_internal
from qsuite_console.cache.celery_wire import Channels
from qsuite_console.cache.errors import CacheError
from qsuite_console.cache.panels import Command, Look, Panel

STEPS: Final = range(10)
DEFAULT: Final = b"celery"
MOST_QUEUES: Final = 200
_MOST_BINDINGS: Final = 200
_SCAN: Final = 1000  # keys a step looks at
_FIRST_S: Final = 0.2  # for the first walk


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """Messages waiting in one queue, of each priority step."""

    name: str
    steps: tuple[int, ...]

    @property
    def waiting(self) -> int:
        """Return the messages of all steps."""
        return sum(self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSample:
    """One look. ``in_flight``: taken and not acknowledged, the oldest since ``oldest_s`` by the server's clock."""

    at: float  # monotonic seconds
    queues: tuple[Depth, ...]
    in_flight: int
    oldest_s: float | None
    is_whole: bool  # all keys were looked at for bindings at least once
    cost_ms: float
    left_out: int = 0  # queues beyond MOST_QUEUES

    @property
    def waiting(self) -> int:
        """Return the messages of all queues."""
        return sum(queue.waiting for queue in self.queues)


class QueueReader:
    """Remembers which queues there are between samples."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._bindings: set[bytes] = set()
        self._walked: set[bytes] = set()
        self._cursor = b"0"
        self._is_whole = False
        self._bound: set[bytes] = set()
        self._told: set[bytes] = set()

    @property
    def is_bound(self) -> bool:
        """Return whether any queue of Celery's is there."""
        return bool(self._bound | self._told)

    def learn(self, names: Iterable[str]) -> None:
        """Take queues that workers say they consume."""
        self._told = {name.encode() for name in names if name}

    async def read(self, panel: Panel) -> BrokerSample:
        """Return what waits and what is under way; raises CacheError."""
        look = Look(panel)
        bindings = sorted(self._bindings)[:_MOST_BINDINGS]
        key = self._channels.key
        first = await look.many([("TIME",), self._step(), *(("SSCAN", name, "0", "COUNT", 200) for name in bindings)])
        _check(*first[:2])
        await self._find(look, first[1], bindings, first[2:])
        names = self._names()
        lists = [key(list_of(name, step)) for name in names for step in STEPS]
        lengths = await self._lengths(look, [key("unacked"), *lists])
        in_flight, counts = lengths[0], lengths[1:]
        oldest = await look.ask("ZRANGE", key("unacked_index"), 0, 0, "WITHSCORES") if in_flight else []
        depths = {name: tuple(counts[len(STEPS) * at :][: len(STEPS)]) for at, name in enumerate(names)}
        served, now = self._bound | self._told, int(first[0][0]) + int(first[0][1]) / 1e6
        return BrokerSample(
            at=time.monotonic(),
            queues=tuple(
                Depth(name=name.decode("utf-8", "replace"), steps=steps)
                for name, steps in sorted(depths.items())
                if name in served or any(steps)
            ),
            in_flight=in_flight,
            oldest_s=max(0.0, now - float(oldest[1])) if isinstance(oldest, list) and len(oldest) == 2 else None,
            is_whole=self._is_whole,
            cost_ms=look.cost_ms,
            left_out=max(0, len(served) - MOST_QUEUES),
        )

    async def _find(self, look: Look, step: Any, bindings: Sequence[bytes], members: Sequence[Any]) -> None:
        """Take a step of the walk, and the members of the bindings that were known before and are known now."""
        self._walk(step)
        if not self._is_whole and self._cursor != b"0":
            await self._hurry(look)
        if new := sorted(self._bindings - set(bindings))[:_MOST_BINDINGS]:
            members = [*members, *await look.many([("SSCAN", name, "0", "COUNT", 200) for name in new])]
        self._bind(members)

    @staticmethod
    async def _lengths(look: Look, names: Sequence[bytes]) -> list[int]:
        """Return the length of each list, and of the hash that comes first.

        Only those that exist are asked for it: each question about a key that doesn't would count as a miss in the
        server's hit rate, for everybody who watches that. MEMORY USAGE, which counts as nothing, tells which do.
        """
        there = await look.many([("MEMORY", "USAGE", name, "SAMPLES", 1) for name in names])
        asked = [at for at, one in enumerate(there) if one is not None]  # a refusal tells nothing: ask
        answers = await look.many([("LLEN" if at else "HLEN", names[at]) for at in asked])
        _check(*answers)
        found = dict(zip(asked, answers, strict=True))
        return [_count(found.get(at, 0)) for at in range(len(names))]

    def _names(self) -> list[bytes]:
        return sorted(self._bound | self._told | {DEFAULT})[:MOST_QUEUES]

    def _step(self) -> Command:
        return ("SCAN", self._cursor, "MATCH", self._channels.key(BINDING + b".*"), "COUNT", _SCAN)

    def _walk(self, answer: Sequence[Any]) -> None:
        """Take one step's keys; at the end of a walk the bindings that are gone are forgotten."""
        self._cursor, found = bytes(answer[0]), answer[1]
        self._walked.update(found)
        self._bindings.update(found)
        if self._cursor == b"0":
            self._bindings, self._walked, self._is_whole = self._walked, set(), True

    async def _hurry(self, look: Look) -> None:
        """Walk on for a moment, the first time: whoever opens the screen wants to see the queues now."""
        until = time.monotonic() + _FIRST_S
        while self._cursor != b"0" and time.monotonic() < until:
            self._walk(await look.ask(*self._step()))

    def _bind(self, answers: Iterable[Any]) -> None:
        """Take the members of the bindings there are: each ends in the name of a queue."""
        members = (one for answer in answers if not isinstance(answer, CacheError) for one in answer[1])
        bound = {member.rpartition(STEP)[2] for member in members}
        self._bound = {name for name in bound if name and not is_internal(name)}


def list_of(queue: bytes, step: int) -> bytes:
    """Return the name of the list that holds a queue's messages of a priority step."""
    return queue if step == 0 else queue + STEP + str(step).encode()


def _check(*answers: Any) -> None:
    """Raise the CacheError of an answer that was refused."""
    for answer in answers:
        if isinstance(answer, CacheError) and not _is_other_type(answer):
            raise answer


def _is_other_type(error: CacheError) -> bool:
    """Tell whether a key of that name is no list at all: nothing of Celery's waits there."""
    return "another type" in error.message


def _count(answer: Any) -> int:
    return 0 if isinstance(answer, CacheError) else int(answer)
