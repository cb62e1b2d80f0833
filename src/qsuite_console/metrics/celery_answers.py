"""Workers' answers to Celery's inspection commands become what is shown: read with care, since anybody may answer.

Arguments of tasks come with them and are not taken up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from qsuite_console.model.celery import CeleryTask
from qsuite_console.model.text import clean

MOST_TASKS: Final = 5000
DEFAULT_VISIBILITY_S: Final = 3600.0
_KIB: Final = 1024
_MOST_NAMES: Final = 1000


def text(value: object, most: int = 200) -> str:
    """Return a text from an answer, harmless; "" of anything else."""
    return clean(value, most) if isinstance(value, str) else ""


def number(value: object) -> float | None:
    """Return a number from an answer, None of anything else."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def whole(value: object) -> int | None:
    """Return a whole number from an answer, None of anything else."""
    found = number(value)
    return None if found is None else int(found)


def names(value: object) -> tuple[str, ...] | None:
    """Return the names in a list of texts, or of objects with a name; None of anything else."""
    if not isinstance(value, list):
        return None
    found = (one.get("name") if isinstance(one, dict) else one for one in value[:_MOST_NAMES])
    return tuple(sorted({text(name) for name in found if isinstance(name, str) and name}))


def tasks(state: str, worker: str, value: object) -> list[CeleryTask]:
    """Return the tasks of one worker's answer to ``active``, ``reserved`` or ``scheduled``."""
    if not isinstance(value, list):
        return []
    found = []
    for one in value[:MOST_TASKS]:
        entry = one if isinstance(one, dict) else {}
        request = entry.get("request") if state == "scheduled" else entry
        if isinstance(request, dict):
            found.append(_task(state, worker, request, entry.get("eta")))
    return found


def pool_of(stats: Mapping[str, Any]) -> tuple[str, int | None]:
    """Return (kind of pool, tasks at once) from ``stats``."""
    pool = stats.get("pool")
    if not isinstance(pool, dict):
        return "", None
    kind = text(pool.get("implementation")).partition(":")[0].rpartition(".")[2]
    return kind, whole(pool.get("max-concurrency"))


def memory_of(stats: Mapping[str, Any]) -> int | None:
    """Return the most memory a worker's main process had, in bytes."""
    usage = stats.get("rusage")
    largest = whole(usage.get("maxrss")) if isinstance(usage, dict) else None
    return None if largest is None else largest * _KIB


def totals_of(stats: Mapping[str, Any]) -> dict[str, int]:
    """Return how many of each task a worker took since it started."""
    found = stats.get("total")
    if not isinstance(found, dict):
        return {}
    return {text(name): int(count) for name, count in found.items() if number(count) is not None}


def visibility_of(stats: Iterable[object]) -> float | None:
    """Return the shortest visibility timeout that workers' brokers are set to, None when none told of itself."""
    found = []
    for one in stats:
        broker = one.get("broker") if isinstance(one, dict) else None
        options = broker.get("transport_options") if isinstance(broker, dict) else None
        if isinstance(options, dict):
            found.append(number(options.get("visibility_timeout")) or DEFAULT_VISIBILITY_S)
    return min(found, default=None)


def _task(state: str, worker: str, request: Mapping[str, Any], eta: object) -> CeleryTask:
    delivery = request.get("delivery_info")
    delivery = delivery if isinstance(delivery, dict) else {}
    started = number(request.get("time_start"))
    return CeleryTask(
        id=text(request.get("id")),
        name=text(request.get("name")),
        state=state,
        worker=worker,
        queue=text(delivery.get("routing_key")),
        priority=whole(delivery.get("priority")),
        started_at=_instant(started),
        eta=_moment(eta),
        pid=whole(request.get("worker_pid")),
        is_redelivered=delivery.get("redelivered") is True,
    )


def _instant(seconds: float | None) -> datetime | None:
    try:
        return None if not seconds else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _moment(said: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(said) if isinstance(said, str) else None
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found
