"""The newest lines of an engine's own log, as a screen shows them."""

from __future__ import annotations

from datetime import datetime

import msgspec

from qsuite_console.model.advice import Unread
from qsuite_console.model.jobs import LogLine


class LogTail(msgspec.Struct, frozen=True, kw_only=True):
    """Oldest first; ``job_id`` 0 is nobody's line. ``file`` has them all, "" where none is written."""

    at: datetime
    process: str  # another one counts its lines anew
    file: str
    lines: tuple[LogLine, ...]
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()
