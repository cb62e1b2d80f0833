"""``[queues.NAME]``: how many of a queue's jobs run at once, and who does them; ``[runs]``: the table between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from qsuite_console.config.outgoing import BadDeclaration, check_keys
from qsuite_console.model.handing import Execution

MOST: Final = 1000
IN_FLIGHT: Final = 32
_KEYS: Final = ("slots", "execution", "in_flight")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePlan:
    """One queue. ``slots`` of None are those of ``engine.queues``."""

    name: str
    slots: int | None = None  # of its jobs at once in this process
    execution: Execution = Execution.LOCAL
    in_flight: int = IN_FLIGHT  # of its jobs in the hands of others at once


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """The table by which jobs pass from one process to another."""

    table: str = "qsuite.job_run"
    lease_s: float = 30.0  # silence after which a run is given to another
    keep_days: float = 7.0


def declare_queue(name: str, body: Any, _: Mapping[str, str]) -> QueuePlan:
    """Return ``[queues.NAME]``; raises BadDeclaration."""
    check_keys(body, _KEYS)
    execution = body.get("execution", Execution.LOCAL)
    if execution not in tuple(Execution):
        raise BadDeclaration(("execution",), f"must be one of {', '.join(Execution)}")
    return QueuePlan(
        name=name,
        slots=_count(body, "slots", 0) if "slots" in body else None,
        execution=Execution(execution),
        in_flight=_count(body, "in_flight", 1) if "in_flight" in body else IN_FLIGHT,
    )


def shown(plan: QueuePlan) -> Mapping[str, Any]:
    """Return what ``config show`` says of one."""
    slots = {} if plan.slots is None else {"slots": plan.slots}
    away = {} if plan.execution is Execution.LOCAL else {"in_flight": plan.in_flight}
    return {**slots, "execution": str(plan.execution), **away}


def _count(body: Mapping[str, Any], key: str, least: int) -> int:
    value = body[key]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST:
        raise BadDeclaration((key,), f"must be a whole number, {least} to {MOST}")
    return value
