"""Names, types, sizes and ages of keys, by bounded steps: SCAN in small counts, never KEYS; values are never read.

A pipeline of a few hundred short commands holds the server for well under a millisecond; other clients get their turn
between two of them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from qsuite_console.cache.errors import CacheError, CacheUnauthorized
from qsuite_console.cache.panels import Command, Look
from qsuite_console.model.cache import Key
from qsuite_console.model.keys import escape

COUNT: Final = 500  # names the server walks over for one SCAN
BATCH: Final = 100  # keys measured by one pipeline
LONGEST: Final = 2000  # bytes of a name that is shown whole
SAMPLE: Final = 20_000
SAMPLE_S: Final = 1.0
SIZED: Final = 50_000  # names whose size may be asked to find the biggest
SIZED_S: Final = 1.5
BIGGEST: Final = 200
_MEASURES: Final[tuple[tuple[str, Command, Command], ...]] = (
    ("types of keys", ("TYPE",), ()),
    ("lives of keys", ("PTTL",), ()),
    ("sizes of keys", ("MEMORY", "USAGE"), ("SAMPLES", 5)),
)


@dataclass(frozen=True, slots=True)
class Walk:
    """A piece of the keyspace: distinct names, where to go on (b"0": at the end), and how far the server walked."""

    names: list[bytes]
    cursor: bytes
    looked_at: int
    seconds: float

    @property
    def is_over(self) -> bool:
        """Return whether the server has come round."""
        return self.cursor == b"0"


async def walk(
    look: Look, *, pattern: bytes = b"", cursor: bytes = b"0", wanted: int = SAMPLE, seconds: float = SAMPLE_S
) -> Walk:
    """Return about ``wanted`` names, or fewer after ``seconds``; raises CacheError."""
    began, names, looked_at = time.monotonic(), dict[bytes, None](), 0
    match: Command = ("MATCH", pattern) if pattern else ()
    while True:
        cursor, found = await look.ask("SCAN", cursor, *match, "COUNT", COUNT)
        names.update(dict.fromkeys(found))
        looked_at += COUNT if pattern else len(found)
        spent = time.monotonic() - began
        if cursor == b"0" or len(names) >= wanted or spent > seconds:
            return Walk(list(names), cursor, looked_at, spent)


async def measure(look: Look, names: Sequence[bytes]) -> list[Key]:
    """Return type, TTL and size of those that still exist, in the same order; raises CacheError."""
    found: list[Key] = []
    asked = [*_MEASURES]
    for start in range(0, len(names), BATCH):
        part = names[start : start + BATCH]
        answers = {}
        for question in tuple(asked):
            what, before, after = question
            answers[what] = await look.many([(*before, name, *after) for name in part])
            errors = [one for one in answers[what] if isinstance(one, CacheError)]
            if errors:
                look.miss(what, errors[0])
                if len(errors) == len(part) > 1:
                    asked.remove(question)
        for index, name in enumerate(part):
            kind, life, size = (answers[what][index] if what in answers else None for what, _, _ in _MEASURES)
            if kind == b"none" or life == -2:
                continue
            found.append(
                Key(
                    name=shown(name),
                    is_cut=len(name) > LONGEST,
                    type=kind.decode("ascii", "replace") if isinstance(kind, bytes) else "",
                    ttl_s=life / 1000 if isinstance(life, int) and life >= 0 else None,
                    is_lasting=life == -1 if isinstance(life, int) else None,
                    size=size if isinstance(size, int) else None,
                )
            )
    return found


async def biggest(look: Look, pattern: bytes) -> tuple[list[Key], Walk, int]:
    """Return the biggest of a sample, the walk it was taken from, and how many were sized in random order."""
    walked = await walk(look, pattern=pattern, wanted=SIZED)
    chosen = random.sample(walked.names, len(walked.names))
    sized: list[tuple[int, bytes]] = []
    asked, until = 0, time.monotonic() + SIZED_S
    while asked < len(chosen) and time.monotonic() < until:
        part = chosen[asked : asked + BATCH]
        answers = await look.many([("MEMORY", "USAGE", name, "SAMPLES", 5) for name in part])
        refused = next((one for one in answers if isinstance(one, CacheUnauthorized)), None)
        if refused is not None and all(isinstance(one, CacheError) for one in answers):
            look.miss("sizes of keys", refused)
            return await measure(look, chosen[:BIGGEST]), walked, 0
        asked += len(part)
        sized += [(size, name) for size, name in zip(answers, part, strict=True) if isinstance(size, int)]
    sized.sort(key=lambda one: (-one[0], one[1]))
    keys = await measure(look, [name for _, name in sized[:BIGGEST]])
    return sorted(keys, key=lambda key: -(key.size or 0)), walked, asked


def shown(name: bytes) -> str:
    """Return a name escaped; one that is too long to handle is cut."""
    return escape(name) if len(name) <= LONGEST else f"{escape(name[:60])}… ({len(name):,} bytes)"


def as_pattern(text: str) -> bytes:
    """Return the glob of what was typed: a plain word means keys that contain it."""
    if not text:
        return b""
    is_glob = any(mark in text for mark in "*?[")
    return (text if is_glob else f"*{text}*").encode()
