"""What Celery's transport (kombu) keeps in Redis, told by the names of its keys; messages themselves are never read.

A queue is a list per priority, ``{queue}`` and ``{queue}\\x06\\x16{step}``; ``_kombu.binding.*`` name the queues,
``unacked`` holds what workers have taken, ``unacked_index`` since when.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from qsuite_console.cache.errors import CacheError
from qsuite_console.cache.panels import Look

BINDING: Final = b"_kombu.binding"
RESULT: Final = b"celery-task-meta-"
STEP: Final = b"\x06\x16"  # kombu's separator between a queue's name and its priority
STEPS: Final = range(10)
UNACKED: Final = (b"unacked", b"unacked_index", b"unacked_mutex")
_MOST_BINDINGS: Final = 100
_INTERNAL: Final = (b".pidbox", b"celeryev", b"reply.")  # broadcasts and replies: nobody waits for those


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFacts:
    """``waiting`` messages in all queues, ``in_flight`` taken but not done, the oldest of them since ``oldest_s``."""

    waiting: int
    in_flight: int
    oldest_s: float | None
    takers: int | None  # clients that wait for messages; None: may not be asked


def use_of(key: bytes, queues: frozenset[bytes]) -> str:
    """Return what a key is for: "broker", "results" or "cache"."""
    if key.startswith(b"_kombu.") or key in UNACKED or key.partition(STEP)[0] in queues:
        return "broker"
    return "results" if key.startswith(RESULT) else "cache"


async def use_at(look: Look, key: bytes) -> str:
    """Return what one key is for, without knowing all queues: a queue has a binding, mostly of its own name."""
    queue = key.partition(STEP)[0]
    bound = (await look.many([("EXISTS", BINDING + b"." + queue)]))[0]
    return use_of(key, frozenset({queue}) if bound == 1 else frozenset())


async def read_queues(look: Look, names: Iterable[bytes]) -> frozenset[bytes]:
    """Return the queues that the bindings among ``names`` lead to; raises CacheError when the server is gone."""
    bindings = [name for name in names if name.startswith(BINDING)][:_MOST_BINDINGS]
    answers = await look.many([("SSCAN", name, "0", "COUNT", 200) for name in bindings])
    found = (member for answer in answers if not isinstance(answer, CacheError) for member in answer[1])
    return frozenset(member.rpartition(STEP)[2] for member in found)


async def read_broker(look: Look, queues: frozenset[bytes]) -> BrokerFacts | None:
    """Return what waits and what is under way, by the server's clock; None where the user may not ask."""
    served = sorted(queue for queue in queues if not is_internal(queue))
    lists = [name for queue in served for name in (queue, *(queue + STEP + str(step).encode() for step in STEPS))]
    depths = await look.many([("LLEN", name) for name in lists])
    oldest, taken, clock = await look.many(
        [("ZRANGE", "unacked_index", 0, 0, "WITHSCORES"), ("HLEN", "unacked"), ("TIME",)]
    )
    refused = next((one for one in (*depths, oldest, taken, clock) if isinstance(one, CacheError)), None)
    if refused is not None:
        look.miss("the broker's queues", refused)
        return None
    now = int(clock[0]) + int(clock[1]) / 1e6
    clients = await look.allowed("who takes messages", "CLIENT", "LIST")
    return BrokerFacts(
        waiting=sum(depths),
        in_flight=taken,
        oldest_s=max(0.0, now - float(oldest[1])) if len(oldest) == 2 else None,
        takers=None if clients is None else _takers(clients.splitlines()),
    )


def _takers(clients: Sequence[bytes]) -> int:
    return sum(b" cmd=brpop" in line or b" cmd=blpop" in line for line in clients)


def is_internal(queue: bytes) -> bool:
    """Return whether a queue carries Celery's own broadcasts, events or replies."""
    return any(part in queue for part in _INTERNAL)
