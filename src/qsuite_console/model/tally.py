"""How many questions one piece of work puts to the database, counted where they leave, known where the work began.

The count travels with the task (and the tasks it starts), so nothing between a request and a driver has to hand it on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final


class Tally:
    """A count that grows while the work goes on."""

    __slots__ = ("queries",)

    def __init__(self) -> None:
        self.queries = 0


_current: Final[ContextVar[Tally | None]] = ContextVar("tally", default=None)


@contextmanager
def counting() -> Iterator[Tally]:
    """Yield a tally of the queries that the block, and the tasks it starts, send to PostgreSQL."""
    tally = Tally()
    token = _current.set(tally)
    try:
        yield tally
    finally:
        _current.reset(token)


def note_query() -> None:
    """Add one query to the tally of the present work, if anybody counts."""
    tally = _current.get()
    if tally is not None:
        tally.queries += 1
