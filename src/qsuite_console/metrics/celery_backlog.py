"""Of which queue there is something to say: how fast it grows, who takes from it, how long that will take. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from qsuite_console.model.celery import CeleryQueue, CeleryStep

if TYPE_CHECKING:
    from qsuite_console.cache.celery_queues import BrokerSample
    from qsuite_console.metrics.celery_watch import CeleryWatch

FOREVER_S: Final = 86_400.0  # what a queue needs that nobody empties
_CALM: Final = 0.01  # messages a second, below which a queue stands still


def queues_of(watch: CeleryWatch, sample: BrokerSample) -> list[CeleryQueue]:
    """Return the queues of a sample, the fullest first."""
    consumers = watch.consumers()
    found = []
    for depth in sample.queues:
        workers = None if consumers is None else tuple(consumers.get(depth.name, ()))
        growth = watch.growth(depth.name, depth.waiting)
        found.append(
            CeleryQueue(
                name=depth.name,
                waiting=depth.waiting,
                steps=tuple(CeleryStep(priority=step, waiting=n) for step, n in enumerate(depth.steps) if n),
                growth=growth,
                workers=workers,
                drain_s=_drain_s(depth.waiting, growth, None if not workers else watch.pace(workers)),
                is_ours=bool(watch.ours) and depth.name.startswith(watch.ours),
            )
        )
    return sorted(found, key=lambda queue: (-queue.waiting, queue.name))


def backlog_s(queues: Sequence[CeleryQueue]) -> float | None:
    """Return the longest time that a growing queue needs, None where none can be told about.

    Queues that nobody consumes are another matter, ``unconsumed``.
    """
    grown = [queue for queue in queues if queue.growth is not None and queue.workers != ()]
    if not grown:
        return 0.0 if queues and not any(queue.waiting for queue in queues) else None
    longest = 0.0
    for queue in grown:
        if queue.waiting and queue.growth is not None and queue.growth > _CALM:
            longest = max(longest, FOREVER_S if queue.drain_s is None else queue.drain_s)
    return longest


def unconsumed(queues: Sequence[CeleryQueue]) -> int | None:
    """Return how many queues hold messages that nobody takes, None when nobody could be asked."""
    if any(queue.workers is None for queue in queues):
        return None
    return sum(1 for queue in queues if queue.waiting and not queue.workers)


def failure_percent(counts: Mapping[str, int]) -> float | None:
    """Return the failures of what succeeded or failed in percent, None of too few."""
    whole = counts.get("succeeded", 0) + counts.get("failed", 0)
    return 100.0 * counts.get("failed", 0) / whole if whole >= 20 else None


def _drain_s(waiting: int, growth: float | None, pace: float | None) -> float | None:
    """Return how long workers that end ``pace`` tasks a second need; without a pace, by how the queue shrinks."""
    if not waiting:
        return 0.0
    if pace:
        return min(FOREVER_S, waiting / pace)
    if growth is not None and growth < -_CALM:
        return min(FOREVER_S, waiting / -growth)
    return None
