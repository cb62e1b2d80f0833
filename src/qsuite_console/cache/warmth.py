"""What of the keys that the platform expects is in the cache, and how old it is: by bounded questions, many keys each.

Presence is counted by the server (EXISTS with hundreds of names); ages are read of a few hundred values, never more
than the beginning of one.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from qsuite_console.cache.errors import CacheError
from qsuite_console.cache.panels import Look
from qsuite_console.cache.prices import instant_of

CHUNK: Final = 500  # names in one question: well under a millisecond of the server's time
READ: Final = 200  # values whose age is read
_CHUNKS: Final = 3  # parts of the keys that are looked through for them
_BEGINNING: Final = 4096  # bytes of a value


@dataclass(frozen=True, slots=True)
class Presence:
    """How many keys are there, and the youngest and oldest instant of the values that were ``read``."""

    present: int
    read: int = 0
    newest: datetime | None = None
    oldest: datetime | None = None


async def read_presence(look: Look, names: Sequence[str]) -> Presence:
    """Count the names that exist and read the ages of some values; raises CacheError, also where it is refused."""
    chunks = [names[first : first + CHUNK] for first in range(0, len(names), CHUNK)]
    counts: list[int] = []
    for chunk in chunks:
        count = await look.ask("EXISTS", *chunk)
        counts.append(count)
        # the server has looked up each name; the panel's own book-keeping has noted one hit or one miss
        look.panel.lookups.add(hits=count - (count > 0), misses=len(chunk) - count - (count == 0))
    filled = [chunk for chunk, count in zip(chunks, counts, strict=True) if count]
    instants: list[datetime] = []
    for chunk in random.sample(filled, min(_CHUNKS, len(filled))):
        instants += await _instants(look, chunk)
        if len(instants) >= READ:
            break
    return Presence(
        present=sum(counts),
        read=len(instants),
        newest=max(instants, default=None),
        oldest=min(instants, default=None),
    )


async def _instants(look: Look, names: Sequence[str]) -> list[datetime]:
    chosen = random.sample(names, len(names))
    found: list[datetime] = []
    for first in range(0, len(chosen), READ // 2):
        part = chosen[first : first + READ // 2]
        answers = await look.many([("GETRANGE", name, 0, _BEGINNING - 1) for name in part])
        absent = sum(answer == b"" for answer in answers)
        look.panel.lookups.add(hits=-absent, misses=absent)
        for answer in answers:
            if isinstance(answer, CacheError):
                continue  # another type, or not ours to read: it has no age that is known here
            at = instant_of(answer)
            if at is not None:
                found.append(at)
        if len(found) >= READ:
            break
    return found
