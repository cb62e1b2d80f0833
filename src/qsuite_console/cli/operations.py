"""Operations as flags need them, read from the class without making one, an engine or a connection."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, cast

from qsuite_console import operations
from qsuite_console.engine.parameters import describe
from qsuite_console.model.errors import NotFound
from qsuite_console.model.operations import OperationInfo

if TYPE_CHECKING:
    from qsuite_console.engine.ports import Operation


def known_operations() -> tuple[str, ...]:
    """Return the name of every operation."""
    return tuple(sorted(operations.REGISTRY))


@cache
def find_operation(name: str) -> OperationInfo:
    """Return one operation's own description; raises NotFound."""
    path = operations.REGISTRY.get(name)
    if path is None:
        raise NotFound(f"there is no operation {name!r}", hint=f"known: {', '.join(known_operations())}")
    module, _, attribute = path.partition(":")
    kind = cast("type[Operation]", getattr(importlib.import_module(module), attribute)).kind
    return OperationInfo(
        name=kind.name,
        title=kind.title,
        help=kind.help,
        parameters=describe(kind.parameters),
        changes_target=kind.changes_target,
        timeout_s=kind.timeout_s,
    )
