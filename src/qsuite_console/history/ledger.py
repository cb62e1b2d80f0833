"""The part of the store that keeps books rather than jobs: the audit, what operators set, and what has burned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from qsuite_console.history import alerts, transitions
from qsuite_console.history.reader import HistoryReader
from qsuite_console.history.writer import Transaction, Writer
from qsuite_console.model.alerts import Silence
from qsuite_console.model.health import Alert
from qsuite_console.model.runs import AuditEntry


class LedgerWriter(HistoryReader):
    """The books' half of ``SqliteStore``."""

    def __init__(self, path: Path, writer: Writer, *, slots: Mapping[str, int]) -> None:
        super().__init__(path, slots=slots)
        self._writer = writer

    async def audit(self, entry: AuditEntry, *, is_essential: bool = False) -> int:
        """Keep who asked for what, and return its number."""
        lane = "" if is_essential else "audit"
        return await self._writer.run(lambda t: transitions.keep(t, entry), is_essential=is_essential, lane=lane)

    async def conclude(self, number: int, result: str) -> None:
        """Replace the result of an entry of the audit."""
        await self._writer.run(lambda t: transitions.conclude(t, number, result), is_essential=True)

    async def save_queue(
        self, name: str, *, concurrency: int, is_paused: bool, entry: AuditEntry | None = None
    ) -> None:
        """Keep an operator's setting of a queue over restarts, with its audit."""

        def work(transaction: Transaction) -> None:
            transaction.connection.execute(
                "INSERT OR REPLACE INTO queues VALUES (?, ?, ?)", (name, concurrency, int(is_paused))
            )
            if entry is not None:
                transitions.keep(transaction, entry)

        await self._writer.run(work)

    async def keep_alerts(self, target: str, found: Sequence[Alert], silences: Sequence[Silence] | None) -> None:
        """Keep alerts as they are now, and, unless None, replace the target's silences."""

        def work(transaction: Transaction) -> None:
            alerts.keep(transaction, target, found)
            if silences is not None:
                alerts.keep_silences(transaction, target, silences)

        await self._writer.run(work, lane="alerts")
