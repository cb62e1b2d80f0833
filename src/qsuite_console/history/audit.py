"""Reading the audit, and the question front ends put about it. A search looks at a bounded stretch of entries and says
where to go on, so that it costs the same however much was done.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from qsuite_console.history.rows import Row, moment, stamp
from qsuite_console.model.audit import AuditLine, AuditPage, AuditQuery
from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import UsageProblem

if TYPE_CHECKING:
    from qsuite_console.history.reader import HistoryReader

LIMIT: Final = 1000
SEARCHED: Final = 20_000  # entries looked at by one search
_NEWEST: Final = (1 << 63) - 1
_COLUMNS: Final = "id, at, who, origin, action, subject, result"


def page(connection: sqlite3.Connection, query: AuditQuery) -> tuple[tuple[AuditLine, ...], int | None]:
    """Return the entries, newest first, and the number to ask below for the rest."""
    limit = max(1, min(query.limit, LIMIT))
    words = query.text.lower().split()
    since = 0 if query.since is None else stamp(query.since)
    before = _NEWEST if query.before is None else query.before
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM audit WHERE id < ? AND id >= (SELECT max(id) FROM audit WHERE id < ?) - ?"
        " AND at >= ? ORDER BY id DESC",
        (before, before, SEARCHED, since),
    )
    found: list[AuditLine] = []
    for row in rows:
        if all(word in " ".join(map(str, row[2:])).lower() for word in words):
            if len(found) == limit:
                rows.close()
                return tuple(found), found[-1].number
            found.append(_line(row))
    rows.close()
    return tuple(found), _rest(connection, before, since)


def _rest(connection: sqlite3.Connection, before: int, since: int) -> int | None:
    """Return where a search that came to the end of its stretch goes on."""
    (top,) = connection.execute("SELECT max(id) FROM audit WHERE id < ?", (before,)).fetchone()
    if top is None:
        return None
    reached = int(top) - SEARCHED
    (older,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM audit WHERE id < ? AND at >= ?)", (reached, since)
    ).fetchone()
    return reached if older else None


def _line(row: Row) -> AuditLine:
    number, at, who, origin, action, subject, result = row
    return AuditLine(
        number=number, at=moment(at), who=who, origin=origin, action=action, subject=subject, result=result
    )


class AuditProbe:
    """Answers who did what from where with what result."""

    name = "audit"
    timeout_s = 5.0

    def __init__(self, reader: HistoryReader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock

    async def ask(self, parameters: Mapping[str, Any]) -> AuditPage:
        """Return a page of the audit; ``parameters`` are the fields of AuditQuery."""
        try:
            query = msgspec.convert(dict(parameters), AuditQuery, strict=False)
        except msgspec.ValidationError as error:
            raise UsageProblem(
                f"the question about the audit is refused: {error}",
                hint=f"it takes {', '.join(AuditQuery.__struct_fields__)}",
            ) from error
        started = time.perf_counter()
        lines, rest = await self._reader.audited(query)
        cost_ms = (time.perf_counter() - started) * 1000
        return AuditPage(at=self._clock.now(), lines=lines, next_before=rest, cost_ms=cost_ms)
