"""The engine's events as readers of a stream get them: named, placed, encoded once, and chosen by a wish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final

from qsuite_console.model.events import (
    AlertChanged,
    EngineTrouble,
    JobChanged,
    JobDeleted,
    JobProgressed,
    QueuesChanged,
    Sampled,
)
from qsuite_console.model.jobs import Job

STATE: Final = "state"
GAP: Final = "gap"  # to readers of one job: look at it anew


class EventName(StrEnum):
    """What a stream calls the engine's events."""

    JOB = "job"
    DELETED = "deleted"
    PROGRESS = "progress"
    QUEUES = "queues"
    SAMPLE = "sample"
    ALERT = "alert"
    TROUBLE = "trouble"


NAMES: Final[dict[type, EventName]] = {
    JobChanged: EventName.JOB,
    JobDeleted: EventName.DELETED,
    JobProgressed: EventName.PROGRESS,
    QueuesChanged: EventName.QUEUES,
    Sampled: EventName.SAMPLE,
    AlertChanged: EventName.ALERT,
    EngineTrouble: EventName.TROUBLE,
}


@dataclass(frozen=True)
class Fact:
    """One event as every reader gets it; ``job_id`` is 0 where it is about no single job."""

    place: str  # "<engine>.<sequence>"
    name: str
    data: bytes
    job_id: int = 0
    origin: str = ""  # who made that job, "" where unknown
    job: Job | None = None

    @cached_property
    def text(self) -> str:
        """Return the message of a WebSocket."""
        return f'{{"id":"{self.place}","event":"{self.name}","data":{self.data.decode()}}}'


def sse(name: str, data: bytes, place: str) -> bytes:
    """Return one server-sent event; JSON has no raw line break, so that one ``data`` line holds it."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (place.encode(), name.encode(), data)


class Batch:
    """Facts of one moment."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        self.facts = tuple(facts)
        self.size = sum(len(fact.data) for fact in facts)

    @cached_property
    def sse(self) -> bytes:
        """Return them as server-sent events, made once."""
        return b"".join(sse(fact.name, fact.data, fact.place) for fact in self.facts)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a reader wants: everything, one job, or (``origin``) the jobs of one caller; ``names`` of events, or all."""

    job_id: int = 0
    origin: str = ""
    names: frozenset[str] = frozenset()

    def takes(self, fact: Fact) -> bool:
        """Tell whether the reader gets ``fact``."""
        if self.names and fact.name not in self.names and fact.name != STATE:
            return False
        if self.job_id:
            return fact.job_id == self.job_id
        return not self.origin or fact.origin == self.origin
