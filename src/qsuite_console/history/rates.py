"""How often something was done in the last hour, as rows, so that a restart forgets no call."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from qsuite_console.history.rows import stamp
from qsuite_console.history.writer import Transaction, Writer

SCHEMA: Final = (
    "CREATE TABLE call_rates (subject TEXT NOT NULL, at INTEGER NOT NULL)",
    "CREATE INDEX call_rates_subject ON call_rates (subject, at)",
    "CREATE INDEX call_rates_at ON call_rates (at)",
)


class RateBook:
    """Takes the right to do something once more; exact, since one thread writes."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def take(self, subject: str, *, limit: int, window_s: float, now: datetime) -> float:
        """Return 0 and count it, or the seconds until it may be done again; raises HistoryUnavailable."""
        at, span = stamp(now), round(window_s * 1_000_000)

        def work(transaction: Transaction) -> float:
            connection = transaction.connection
            connection.execute("DELETE FROM call_rates WHERE at <= ? OR at > ?", (at - span, at + span))
            times = connection.execute(
                "SELECT at FROM call_rates WHERE subject = ? ORDER BY at DESC LIMIT ?", (subject, limit)
            ).fetchall()
            if len(times) >= limit:
                return max(0.001, float(times[-1][0] + span - at) / 1_000_000)
            connection.execute("INSERT INTO call_rates VALUES (?, ?)", (subject, at))
            return 0.0

        return await self._writer.run(work, lane="calls")
