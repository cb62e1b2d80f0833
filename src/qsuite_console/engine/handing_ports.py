"""What the engine needs of those who do its jobs elsewhere: a queue with an executor keeps its slots, its history and
its screens here, and only the work itself is done by another process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from qsuite_console.engine.ports import Claim, Ending, JobKind
from qsuite_console.model.jobs import Job, LogLine, Progress


class Following(Protocol):
    """One attempt as its executor sees it: what to do, what is wished of it, and where to mirror what is heard."""

    claim: Claim
    kind: JobKind
    wished: asyncio.Event  # set by each new wish; whoever waits for it clears it

    @property
    def is_cancel_wished(self) -> bool:
        """Say whether it shall end now."""
        ...

    @property
    def is_pause_wished(self) -> bool:
        """Say whether it shall end at its next safe point."""
        ...

    def show(self, progress: Progress) -> None:
        """Make its progress known."""
        ...

    def say(self, message: str, level: str = "INFO") -> None:
        """Add a line of the engine's own to its log."""
        ...

    def log(self, lines: Sequence[LogLine]) -> None:
        """Add lines of its worker to its log; the job and attempt they name are replaced by ours."""
        ...

    async def save(self, checkpoint: Mapping[str, Any]) -> None:
        """Make its newest checkpoint durable in the history."""
        ...


@dataclass(frozen=True, slots=True)
class NotOut:
    """Nobody else has an attempt in hand: it is done here, on from ``checkpoint`` where others got further."""

    checkpoint: dict[str, Any] | None = None


class Executor(Protocol):
    """Has the jobs of a queue done by others."""

    @property
    def execution(self) -> str:
        """Return who does them: "nodes", "celery"."""
        ...

    @property
    def in_flight(self) -> int:
        """Return how many of them may be in their hands at once: the queue's slots in this engine."""
        ...

    def drop(self, job: Job) -> None:
        """End the run of a job that is over by another's word, where there still is one; never waits."""
        ...

    async def run(self, following: Following) -> Ending | NotOut:
        """Hand an attempt out, or join its run that is under way, and return how it ended, or that it is done here.

        Passing trouble is waited out. Cancelled, it lets go: the run goes on, and the job's next attempt joins it.
        """
        ...
