"""Many keys written at once: packed into a few large requests, so that the cost is the payload's and not the driver's.

A key that is refused does not keep the others from being written. Lives are spread by a tenth, so that what was warmed
together does not expire together.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from redis.exceptions import ResponseError

from qsuite_console.cache.client import Cache
from qsuite_console.cache.connections import Replies
from qsuite_console.model.text import clean

BATCH: Final = 500  # commands a request: other clients are served between two of them
JITTER: Final = 0.1
_PART: Final = 250
_LIVES: Final = 97  # different lives: enough to spread, few enough to cost nothing
_BATCH_BYTES: Final = 4 * 1024 * 1024
_BATCH_S: Final = 5.0
_REASONS: Final = 5  # refused keys that are named


@dataclass(slots=True)
class Written:
    """What came of a write. ``refused`` are the first few keys with the server's reason; ``failed`` counts them all."""

    keys: int = 0
    size: int = 0  # bytes of values
    failed: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


async def write_keys(
    cache: Cache, entries: Sequence[tuple[str, bytes]], *, life_s: float, dice: random.Random | None = None
) -> Written:
    """Set every (key, value) with a life of about ``life_s`` seconds; raises CacheError when the connection fails."""
    written = Written()
    dice = dice or random.Random()
    async with cache.guard() as client:
        pool: Any = client.connection_pool  # the driver's signature is untyped
        connection = await pool.get_connection()
        is_clean = False
        try:
            for batch in _batches(entries):
                await _write(connection, batch, life_s, dice, written)
            is_clean = True
        finally:
            if not is_clean:  # replies may still be under way: nobody may read them as the answers to other commands
                await connection.disconnect(nowait=True)
            await pool.release(connection)
    return written


async def _write(
    connection: Replies,
    batch: Sequence[tuple[str, bytes]],
    life_s: float,
    dice: random.Random,
    written: Written,
) -> None:
    async with asyncio.timeout(_BATCH_S):
        lives = _lives(life_s, dice)
        for first in range(0, len(batch), _PART):  # the server works on one part while the next is packed
            await connection.send_packed_command([_pack(batch[first : first + _PART], lives)], check_health=False)
        answers = await connection.replies(len(batch))  # the whole batch has one time limit
    for (key, value), answer in zip(batch, answers, strict=True):
        if isinstance(answer, ResponseError):
            written.failed += 1
            if len(written.refused) < _REASONS:
                written.refused.append((key, _reason(answer)))
        else:
            written.keys += 1
            written.size += len(value)


def _lives(life_s: float, dice: random.Random) -> Iterator[bytes]:
    """Yield lives in milliseconds, spread around ``life_s``, ready to be sent."""
    drawn = [b"%d" % max(1, round(1000 * life_s * (1 + JITTER * dice.uniform(-1, 1)))) for _ in range(_LIVES)]
    return itertools.cycle(drawn)


def _pack(entries: Sequence[tuple[str, bytes]], lives: Iterator[bytes]) -> bytes:
    return b"".join(
        [
            b"*5\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$2\r\nPX\r\n$%d\r\n%b\r\n"
            % (len(name), name, len(value), value, len(life), life)
            for name, value, life in (
                (key.encode("utf-8", "surrogateescape"), value, life)
                for (key, value), life in zip(entries, lives, strict=False)
            )
        ]
    )


def _batches(entries: Sequence[tuple[str, bytes]]) -> Iterator[Sequence[tuple[str, bytes]]]:
    first, size = 0, 0
    for index, (_, value) in enumerate(entries):
        size += len(value)
        if index - first == BATCH or (size > _BATCH_BYTES and index > first):
            yield entries[first:index]
            first, size = index, len(value)
    if first < len(entries):
        yield entries[first:]


def _reason(error: ResponseError) -> str:
    """Return the first words of the reply: "OOM command not allowed …" speaks of the server, not of the value."""
    return clean(str(error), 120)
