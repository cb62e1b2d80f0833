"""Bodies and answers of the HTTP interface that are its own: what a program sends for a schedule, a batch of bars, a
report, and what it is told of a job in short. All else crosses as the structs of its subject.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

from qsuite_console.model.jobs import JobState
from qsuite_console.model.schedules import Missed, Overlap
from qsuite_console.model.timeframes import Timeframe

Text = Annotated[str, msgspec.Meta(max_length=200)]


class ChangeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What any change may say: ``confirmation``, the target's name, wanted on production; and who asks."""

    confirmation: Text = ""
    origin: Text = ""


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A job in short. ``progress`` is a percentage, None while the total is unknown."""

    task_id: int
    status: JobState
    progress: float | None = None
    message: str = ""
    estimated_remaining: float | None = None  # seconds; None: not known, or not running
    kind: str = ""
    title: str = ""
    attempt: int = 0
    done: float = 0
    total: float | None = None
    unit: str = ""
    rate: float | None = None  # units a second
    error: str | None = None
    is_over: bool = False
    is_cancelling: bool = False
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    updated_at: datetime | None = None  # of the progress


class ScheduleRequest(ChangeRequest, frozen=True, kw_only=True):
    """A new schedule, or all of one that is replaced; exactly one of cron, every and once says when."""

    kind: Text
    name: Text = ""  # of a new one; of one that is replaced the path's
    parameters: dict[str, Any] = {}
    cron: Text = ""
    every: Text = ""  # "5 min"
    once: Text = ""  # "2026-11-30 09:25", in the zone
    zone: Text = "UTC"
    missed: Missed = Missed.SKIP
    grace: Text = "60 s"
    overlap: Overlap = Overlap.SKIP
    jitter: Text = "0 s"
    note: Text = ""
    enabled: bool = True
    revision: Annotated[int, msgspec.Meta(ge=0)] = 0  # of one that is replaced, as it was read; 0: whatever it is


class ScheduleChange(ChangeRequest, frozen=True, kw_only=True, omit_defaults=True):
    """What changes of a schedule; all that is left out stays. A new time replaces the one it has."""

    kind: Text | msgspec.UnsetType = msgspec.UNSET
    parameters: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    cron: Text | msgspec.UnsetType = msgspec.UNSET
    every: Text | msgspec.UnsetType = msgspec.UNSET
    once: Text | msgspec.UnsetType = msgspec.UNSET
    zone: Text | msgspec.UnsetType = msgspec.UNSET
    missed: Missed | msgspec.UnsetType = msgspec.UNSET
    grace: Text | msgspec.UnsetType = msgspec.UNSET
    overlap: Overlap | msgspec.UnsetType = msgspec.UNSET
    jitter: Text | msgspec.UnsetType = msgspec.UNSET
    note: Text | msgspec.UnsetType = msgspec.UNSET
    enabled: bool | msgspec.UnsetType = msgspec.UNSET
    revision: Annotated[int, msgspec.Meta(ge=0)] = 0


class TimingRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A timing to be explained; ``name`` leaves a schedule itself out of the collisions. ``most`` plans to come."""

    cron: Text = ""
    every: Text = ""
    once: Text = ""
    zone: Text = "UTC"
    name: Text = ""
    most: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 5


class SilenceRequest(ChangeRequest, frozen=True, kw_only=True):
    """For how long an alert is quiet, and why."""

    minutes: Annotated[float, msgspec.Meta(gt=0, le=43_200)] = 60.0
    reason: Text = ""


class BarsRequest(ChangeRequest, frozen=True, kw_only=True):
    """A batch of bars: each record an object of symbol, timestamp, open, high, low, close, volume."""

    records: tuple[Any, ...]
    timeframe: Timeframe = "1Min"
    table: Text = ""  # empty: market_data_marketdata for 1Min, price_ticks for others
    strict: bool = False  # one bad record refuses all
    create_symbols: bool = False


class BarError(msgspec.Struct, frozen=True, kw_only=True):
    """A record that was not stored, numbered from 1, and why."""

    record: int
    symbol: str = ""
    reason: str = ""


class BarsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch. ``skipped`` were there already, as they were sent."""

    table: str
    timeframe: str
    records: int = 0
    created: int = 0
    updated: int = 0
    skipped: int = 0
    rejected: int = 0
    errors: tuple[BarError, ...] = ()
    unknown_symbols: dict[str, int] = {}
    symbols_created: tuple[str, ...] = ()
    keys_invalidated: int = 0
    duration_s: float = 0.0
    records_per_s: float = 0.0
    warnings: tuple[str, ...] = ()


class ReportRequest(ChangeRequest, frozen=True, kw_only=True):
    """A report to be made; ``parameters`` are the others of the kind ``report``."""

    name: Text = "performance"
    format: Text = "pdf"
    parameters: dict[str, Any] = {}


class SendRequest(ChangeRequest, frozen=True, kw_only=True):
    """Who is to be told: a webhook, or somebody told by a program or e-mail."""

    endpoint: Text
