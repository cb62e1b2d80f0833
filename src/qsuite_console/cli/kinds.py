"""Kinds of jobs as flags need them, read from the worker's class without making a worker or an engine."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from qsuite_console import workers
from qsuite_console.config.settings import QUEUES
from qsuite_console.engine.parameters import describe
from qsuite_console.engine.ports import JobKind, Planner
from qsuite_console.model.errors import NotFound
from qsuite_console.model.kinds import KindInfo


@cache
def known_kinds() -> Mapping[str, str]:
    """Return kind -> "module:Class" of every kind, also those of other packages."""
    return workers.kinds()


def find_kind(name: str) -> KindInfo:
    """Return one kind's own description; raises NotFound."""
    if name not in known_kinds():
        raise NotFound(f"no kind of job is named {name!r}", hint=f"known: {', '.join(known_kinds())}")
    worker = workers.worker_class(name)
    kind: JobKind = worker.kind
    priority = kind.priority if kind.priority is not None else QUEUES.get(kind.queue, (1, 5))[1]
    return KindInfo(
        name=kind.name,
        title=kind.title,
        description=kind.description,
        queue=kind.queue,
        priority=priority,
        soft_limit_s=kind.soft_limit_s,
        hard_limit_s=kind.hard_limit_s,
        max_attempts=kind.max_attempts,
        parameters=describe(kind.parameters),
        can_plan=issubclass(worker, Planner),
        changes_data=kind.changes_data,
    )


def all_kinds() -> tuple[KindInfo, ...]:
    """Return every kind's own description."""
    return tuple(find_kind(name) for name in known_kinds())
