"""TimescaleDB: hypertables with their chunks and compression, continuous aggregates, background jobs and errors."""

from __future__ import annotations

from datetime import datetime

import msgspec

from qsuite_console.model.advice import Unread


class Hypertable(msgspec.Struct, frozen=True, kw_only=True):
    """One hypertable; ``partial`` chunks are compressed but were written to since: they want recompression."""

    name: str
    time_column: str = ""
    chunk_s: float | None = None  # seconds a chunk spans
    chunks: int = 0
    compressed: int = 0
    partial: int | None = None
    bytes: int | None = None
    rows: int | None = None  # estimated
    oldest: datetime | None = None
    newest: datetime | None = None
    compressed_until: datetime | None = None
    is_compressing: bool = False
    before_bytes: int | None = None  # of the compressed chunks, before and after
    after_bytes: int | None = None

    @property
    def ratio(self) -> float | None:
        """Return how many times smaller the compressed chunks became."""
        return self.before_bytes / self.after_bytes if self.before_bytes and self.after_bytes else None


class Aggregate(msgspec.Struct, frozen=True, kw_only=True):
    """A continuous aggregate; without a policy nothing refreshes it."""

    name: str
    source: str
    is_materialized_only: bool
    policies: int = 0
    every_s: float | None = None
    refreshed_s_ago: float | None = None
    outcome: str = ""


class TimescaleJob(msgspec.Struct, frozen=True, kw_only=True):
    """A background job of TimescaleDB: a policy or one of the user's own."""

    id: int
    procedure: str
    hypertable: str = ""
    every_s: float | None = None
    is_scheduled: bool = True
    state: str = ""  # "Scheduled", "Running", "Paused"
    outcome: str = ""  # of the last run: "Success", "Failed"; "" it never ran
    started_s_ago: float | None = None
    succeeded_s_ago: float | None = None
    took_s: float | None = None
    next_s: float | None = None
    runs: int = 0
    failures: int = 0


class JobError(msgspec.Struct, frozen=True, kw_only=True):
    """One failed run of the last 24 hours."""

    id: int
    procedure: str
    ended_s_ago: float
    code: str  # SQLSTATE
    message: str


class Timescale(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``database.timescale``; ``version`` is "" where the extension isn't in this database.

    ``license`` is "apache" or "timescale": the former has no compression, no aggregates and no policies.
    """

    at: datetime
    cost_ms: float
    version: str = ""
    license: str = ""
    hypertables: tuple[Hypertable, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    jobs: tuple[TimescaleJob, ...] = ()
    errors: tuple[JobError, ...] = ()
    unread: tuple[Unread, ...] = ()
