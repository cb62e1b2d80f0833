"""Kinds of jobs as flags need them, read from the worker's class without making a worker or an engine."""

from __future__ import annotations

import importlib
from functools import cache
from typing import cast

from qsuite_console import workers
from qsuite_console.config.settings import QUEUES
from qsuite_console.engine import plugins
from qsuite_console.engine.parameters import describe
from qsuite_console.engine.plugins import PluginBroken
from qsuite_console.engine.ports import Worker
from qsuite_console.model.errors import ConsoleError, NotFound
from qsuite_console.model.kinds import KindInfo
from qsuite_console.model.text import clean


@cache
def known_kinds() -> tuple[str, ...]:
    """Return the name of every kind, also those of other packages."""
    return tuple(workers.kinds())


class KindBroken(ConsoleError):
    """A kind is known, but its worker can't be loaded or described."""


def find_kind(name: str) -> KindInfo:
    """Return one kind's own description; raises NotFound, or KindBroken for a plug-in that can't be loaded."""
    if name not in known_kinds():
        raise NotFound(f"no kind of job is named {name!r}", hint=f"known: {', '.join(known_kinds())}")
    try:
        return describe_kind(_worker_class(name))
    except PluginBroken as error:
        raise KindBroken(error.message, hint=error.hint) from error
    except Exception as error:  # whatever another package's module does when it is imported
        raise KindBroken(
            f"the worker of {name} can't be loaded: {type(error).__name__}: {clean(error, 200)}",
            hint="correct or uninstall the package that brings it",
        ) from error


def describe_kind(worker: Worker | type[Worker]) -> KindInfo:
    """Return a worker's kind as front ends see it, from the worker or its class."""
    kind = worker.kind
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
        can_plan=hasattr(worker, "plan"),
        changes_data=kind.changes_data,
    )


def _worker_class(name: str) -> type[Worker]:
    path = workers.REGISTRY.get(name)
    if path is not None:
        module, _, attribute = path.partition(":")
        return cast("type[Worker]", getattr(importlib.import_module(module), attribute))
    return plugins.find(name)
