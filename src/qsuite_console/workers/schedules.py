"""The schedules every history is offered once: the platform's everyday jobs, as rows the operator edits or deletes.

They run where nothing can be harmed; elsewhere they are there, paused, until somebody enables them. One that was
deleted or edited is never offered again, whatever a later version brings here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from qsuite_console.model.schedules import Missed, Schedule, Timing

_EVERYDAY: Final = (
    Schedule(
        name="warm-prices",
        kind="warm.prices",
        timing=Timing(every_s=30),
        grace_s=15,
        note="keeps the newest price of every symbol in the cache",
    ),
    Schedule(
        name="warm-market-data",
        kind="warm.market-data",
        timing=Timing(every_s=300),
        grace_s=120,
        jitter_s=10,
        note="keeps the newest bar of popular symbols in the cache",
    ),
    Schedule(
        name="warm-positions",
        kind="warm.positions",
        timing=Timing(every_s=600),
        grace_s=300,
        jitter_s=10,
        note="keeps the positions of active users in the cache",
    ),
)
_UPKEEP: Final = (
    Schedule(
        name="partitions-ahead",
        kind="partitions",
        timing=Timing(cron="5 0 * * *"),
        missed=Missed.ONCE,
        note="makes the partitions of the coming months before a row needs them",
    ),
    Schedule(
        name="cache-cleanup",
        kind="cache.cleanup",
        timing=Timing(cron="30 3 * * *"),
        jitter_s=300,
        note="gives keys that never expire a life",
    ),
    Schedule(
        name="console-cleanup",
        kind="cleanup",
        timing=Timing(cron="45 3 * * *"),
        missed=Missed.ONCE,
        jitter_s=300,
        note="removes the console's own old results and files",
    ),
)


def defaults(*, is_sandbox: bool) -> Callable[[datetime], Sequence[Schedule]]:
    """Return what gives the schedules as of an instant: the everyday ones run in the sandbox, all else is paused."""

    def made(now: datetime) -> Sequence[Schedule]:
        return [
            msgspec.structs.replace(
                schedule,
                is_enabled=is_sandbox and schedule in _EVERYDAY,
                created_at=now,
                changed_at=now,
                handled_until=now,
            )
            for schedule in (*_EVERYDAY, *_UPKEEP)
        ]

    return made
