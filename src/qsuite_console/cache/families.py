"""Families of keys: names that begin alike, counted in a bounded sample and scaled up to the whole database.

Sizes, types and lives come from a random few of each family, so that a million keys cost no more than ten thousand.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

from qsuite_console.cache.broker import read_queues, use_of
from qsuite_console.cache.keyspace import measure, shown, walk
from qsuite_console.cache.panels import Look
from qsuite_console.model.cache import TTL_ENDS, TTL_LABELS, Family, FamilyPanel, Key
from qsuite_console.model.clock import Clock
from qsuite_console.model.keys import escape

MOST: Final = 40  # families told apart; the rest is one line
EACH: Final = 50  # keys of a family that are measured
_HEAD: Final = 60
_TOKEN: Final = re.compile(rb"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|(?<![0-9A-Za-z])[0-9a-fA-F]{16,}")
_DIGITS: Final = re.compile(rb"[0-9]+")


def family_of(name: bytes) -> str:
    """Return the family of a name: up to the first colon behind a letter; digits are #, tokens are *.

    "price:AAPL" is of "price:*", ":1:price:AAPL" of ":#:price:*", "session-<uuid>" of "session-*".
    """
    parts = name.split(b":")
    head = next((index for index, part in enumerate(parts) if re.search(rb"[A-Za-z]", part)), len(parts) - 1)
    start = b":".join(parts[: head + 1])[:_HEAD]
    text = escape(_DIGITS.sub(b"#", _TOKEN.sub(b"*", start)))
    return f"{text}:*" if head < len(parts) - 1 else text


async def read_families(look: Look, clock: Clock) -> FamilyPanel:
    """Return the families of this database; bounded in time and in work, whatever its size; raises CacheError."""
    total = int(await look.ask("DBSIZE"))
    walked = await walk(look)
    queues = await read_queues(look, walked.names)
    members: dict[tuple[str, str], list[bytes]] = defaultdict(list)
    for name in walked.names:
        members[family_of(name), use_of(name, queues)].append(name)
    ranked = sorted(members, key=lambda which: (-len(members[which]), which))
    kept, rest = ranked[:MOST], ranked[MOST:]
    if rest:
        members["", "cache"] = [name for which in rest for name in members[which]]
        kept.append(("", "cache"))
    seen = len(walked.names)
    scale = 1.0 if walked.is_over else max(1.0, total / max(1, seen))
    families = []
    for which in kept:
        chosen = random.sample(members[which], min(EACH, len(members[which])))
        families.append(_family(which, members[which], await measure(look, chosen), scale))
    families.sort(key=lambda one: (-(one.size or 0), -one.keys, one.name))
    return FamilyPanel(
        at=clock.now(),
        total=total,
        seen=seen,
        is_whole=walked.is_over,
        seconds=walked.seconds,
        measured=sum(one.measured for one in families),
        families=tuple(families),
        ttl=_mean(families),
        unread=tuple(look.unread),
        cost_ms=look.cost_ms,
    )


def _family(which: tuple[str, str], names: Sequence[bytes], keys: Sequence[Key], scale: float) -> Family:
    sizes = [key.size for key in keys if key.size is not None]
    keys_in_all = len(names) * scale
    histogram = _histogram(keys)
    return Family(
        name=which[0],
        use=which[1],
        seen=len(names),
        keys=keys_in_all,
        measured=len(keys),
        size=sum(sizes) / len(sizes) * keys_in_all if sizes else None,
        types=dict(Counter(key.type for key in keys if key.type)),
        ageless=histogram[0] if histogram else None,
        ttl=histogram,
        example=shown(names[0]),
    )


def _histogram(keys: Sequence[Key]) -> tuple[float, ...]:
    """Return the share of keys in each class of TTL_LABELS; nothing where no life is known."""
    lives = [key.ttl_s for key in keys if key.is_lasting is not None]
    counts = [0] * len(TTL_LABELS)
    for life in lives:
        counts[0 if life is None else 1 + sum(life > end for end in TTL_ENDS)] += 1
    return tuple(count / len(lives) for count in counts) if lives else ()


def _mean(families: Sequence[Family]) -> tuple[float, ...]:
    """Return the shares of all keys: each family weighs as much as it has keys."""
    known = [one for one in families if one.ttl]
    weight = sum(one.keys for one in known)
    if not weight:
        return ()
    return tuple(sum(one.ttl[index] * one.keys for one in known) / weight for index in range(len(TTL_LABELS)))
