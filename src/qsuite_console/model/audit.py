"""Who did what, from where, with what result: the audit as it is read."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from qsuite_console.model.advice import Unread
from qsuite_console.model.runs import ASKED

VERDICTS: Final = (ASKED, "done", "not done", "refused", "failed", "timed out", "unknown")


class AuditLine(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt. ``result`` begins with the verdict for whatever was refused or is an operation's."""

    number: int
    at: datetime
    who: str  # user@host
    origin: str  # console, cli, http, schedule; "" is not told
    action: str  # jobs.submit, queues.set, database.cancel
    subject: str
    result: str

    @property
    def verdict(self) -> str:
        """Return one of VERDICTS; what says none was done."""
        first = self.result.partition(":")[0]
        return first if first in VERDICTS else "done"

    @property
    def words(self) -> str:
        """Return the result without its verdict."""
        first, _, rest = self.result.partition(":")
        return rest.strip() if first in VERDICTS else self.result


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """Entries, newest first. ``next_before``: the number to ask below for the rest, None for no more."""

    at: datetime
    lines: tuple[AuditLine, ...] = ()
    next_before: int | None = None
    unread: tuple[Unread, ...] = ()
    cost_ms: float = 0.0


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which entries: newest first, below ``before``, not older than ``since``, with every word of ``text``."""

    since: datetime | None = None
    before: int | None = None
    text: str = ""
    limit: int = 100
