"""PostgreSQL's settings as the advisor sees them: what is, what should be and why, and what waits for a restart."""

from __future__ import annotations

from datetime import datetime

import msgspec

from qsuite_console.model.advice import Effect, Finding, Machine, Unread


class SettingLine(msgspec.Struct, frozen=True, kw_only=True):
    """One setting: advised, waiting for a restart, or set by ALTER SYSTEM. ``value`` is as SHOW prints it."""

    name: str
    value: str
    source: str  # "default", "configuration file", "command line", …
    help: str = ""
    default: str = ""  # the compiled one, as the server stores it
    effect: Effect = Effect.RELOAD
    is_pending: bool = False  # written, and counts after the next restart
    is_ours: bool = False  # stands in postgresql.auto.conf: ALTER SYSTEM RESET takes it back
    finding: Finding | None = None


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``database.settings``: worst first, then what waits for a restart, then what was set."""

    at: datetime
    cost_ms: float
    machine: Machine
    lines: tuple[SettingLine, ...] = ()
    other: tuple[Finding, ...] = ()  # about PostgreSQL's settings, but with no setting to change
    unread: tuple[Unread, ...] = ()
