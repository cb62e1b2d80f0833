"""What an attempt touches of its surroundings: an engine's, or what stands in for one in another process."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

from qsuite_console.engine.joblog import JobLogHandler
from qsuite_console.engine.metering import Meter
from qsuite_console.engine.ports import Facts
from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import HistoryUnavailable
from qsuite_console.model.jobs import Progress


class Channel(Protocol):
    """Where progress is made known."""

    def progress(self, job_id: int, measure: Callable[[], Progress]) -> None:
        """Ask ``measure`` for a job's newest progress soon and make it known."""
        ...

    def settle_progress(self, job_id: int) -> None:
        """Drop progress that waits for a job which has ended: its ending carries the last one."""
        ...


class Patience(Protocol):
    """What to do while facts can't be kept."""

    def report(self, error: HistoryUnavailable) -> None:
        """Note a refused write."""
        ...

    async def wait_well(self) -> None:
        """Return once facts are kept again."""
        ...


class Permission(Protocol):
    """Who may refuse a start."""

    def check_start(self, kind: str, *, changes_data: bool) -> None:
        """Raise ReadOnly where a job of this kind may not run."""
        ...


class Around(Protocol):
    """All of it."""

    @property
    def store(self) -> Facts:
        """Return where its facts are kept."""
        ...

    @property
    def bus(self) -> Channel:
        """Return where its progress is made known."""
        ...

    @property
    def clock(self) -> Clock:
        """Return the owner of time."""
        ...

    @property
    def trouble(self) -> Patience:
        """Return what to do while facts can't be kept."""
        ...

    @property
    def gate(self) -> Permission:
        """Return who may refuse its start."""
        ...

    @property
    def meter(self) -> Meter:
        """Return what measures its cost."""
        ...

    @property
    def logs(self) -> JobLogHandler:
        """Return who collects its log."""
        ...

    @property
    def dice(self) -> random.Random:
        """Return the random source of its delays."""
        ...
