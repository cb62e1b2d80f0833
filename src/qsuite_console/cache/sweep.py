"""Walks over every key of a database in steps too small to be felt, to remove some or to give them a life.

SCAN promises each key that was there all the time at least once, whatever happens meanwhile; a walk that is cut is
begun again, since a restarted server orders its keys anew.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from qsuite_console.cache.broker import BINDING, STEP, UNACKED
from qsuite_console.cache.client import Cache
from qsuite_console.cache.keys import FAMILIES, KeyFamily

COUNT: Final = 500  # names the server walks over for one step: well under a millisecond of its time
_SEPARATORS: Final = rb":,"
_PREFIX: Final = re.compile(rb"^:\d+:")  # what Django's cache puts before its keys: ":1:"
_GLOB: Final = re.compile(rb"([\\*?\[\]^-])")


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of a walk found; ``walked`` counts the names seen or, with a pattern, walked over (about)."""

    names: Sequence[bytes]
    walked: int


async def walk_keys(cache: Cache, pattern: bytes = b"") -> AsyncIterator[Step]:
    """Yield every name that matches the glob ``pattern``, step by step; raises CacheError."""
    cursor = 0
    while True:
        async with cache.guard() as client:
            cursor, found = await client.scan(cursor, match=pattern or None, count=COUNT)
        names = [name for name in found if isinstance(name, bytes)]  # this client decodes nothing
        yield Step(names, COUNT if pattern else len(names))
        if cursor == 0:
            return


async def remove(cache: Cache, names: Sequence[bytes]) -> int:
    """Unlink keys, their memory freed in the background; returns how many there were. Raises CacheError."""
    if not names:
        return 0
    async with cache.guard() as client:
        return int(await client.unlink(*names))


@dataclass(frozen=True, slots=True)
class Brokers:
    """The queues of every Celery broker in this database: they bear any name, so only kombu's bindings tell them.

    Bindings outlive an empty queue, whose list does not exist; so what a message creates a moment later is known too.
    """

    queues: frozenset[bytes]

    def own(self, name: bytes) -> bool:
        """Return whether a key is a broker's, whatever prefix its keys have."""
        return b"_kombu." in name or name.endswith(UNACKED) or name.partition(STEP)[0] in self.queues


async def find_brokers(cache: Cache, *, until: float | None = None) -> Brokers:
    """Return the brokers, found by a walk that may end early at ``until`` (monotonic); raises CacheError."""
    found: set[bytes] = set()
    async for step in walk_keys(cache, b"*" + BINDING + b"*"):
        for name in step.names:
            async with cache.guard() as client:
                members = await client.smembers(name)
            prefix = name.partition(BINDING)[0]
            found |= {prefix + member.rpartition(STEP)[2] for member in members if isinstance(member, bytes)}
        if until is not None and time.monotonic() > until:
            break
    return Brokers(frozenset(found))


async def count_keys(cache: Cache) -> int:
    """Return how many keys the database holds; raises CacheError."""
    async with cache.guard() as client:
        return int(await client.dbsize())


async def give_life(cache: Cache, names: Sequence[bytes], life_s: int) -> int:
    """Give each key a life of ``life_s`` seconds unless it has one by now; returns how many took it."""
    if not names:
        return 0
    async with cache.guard() as client:
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.expire(name, life_s, nx=True)
        return sum(bool(answer) for answer in await pipeline.execute())


async def without_life(cache: Cache, names: Sequence[bytes]) -> list[bytes]:
    """Return those that never expire; raises CacheError."""
    if not names:
        return []
    async with cache.guard() as client:
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.pttl(name)
        answers = await pipeline.execute()
    return [name for name, life in zip(names, answers, strict=True) if life == -1]


def family_of(name: bytes) -> KeyFamily | None:
    """Return the known family a key belongs to, with or without Django's prefix."""
    bare = _PREFIX.sub(b"", name, count=1)
    return next((family for family in FAMILIES.values() if bare.startswith(family.prefix.encode())), None)


def glob_of(text: str) -> bytes:
    """Return the pattern that matches exactly the names containing ``text``."""
    return b"*" + _GLOB.sub(rb"\\\1", text.encode("utf-8", "surrogateescape")) + b"*"


def speaks_of(name: bytes, subject: bytes) -> bool:
    """Return whether ``subject`` is a whole part of a name: AAPL of "ohlcv:AAPL:1Min" and "latest_prices:A,AAPL"."""
    return subject in re.split(rb"[" + _SEPARATORS + rb"]", name)


def is_of_user(name: bytes, user: bytes) -> bool:
    """Return whether a key belongs to a user: in a family of users, so that "price:7" is no key of user 7."""
    family = family_of(name)
    return family is not None and family.subject == "user" and name.endswith(b":" + user)
