"""The exchange calendar as the platform keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

import asyncpg

from qsuite_console.config.settings import TableSettings
from qsuite_console.db.queries import load
from qsuite_console.db.schema import quote_table
from qsuite_console.model.market import Session

EXCHANGE: Final = "XNYS"


async def read_sessions(connection: asyncpg.Connection, tables: TableSettings, start: date, end: date) -> list[Session]:
    """Return the stored sessions from ``start`` to ``end``, both included; empty without a calendar table."""
    if await connection.fetchval("SELECT to_regclass($1) IS NULL", quote_table(tables.calendar)):
        return []
    sql = load("calendar_read").replace("{{calendar}}", quote_table(tables.calendar))
    return [
        Session(
            day=row["session_date"],
            open_at=row["open_at"],
            close_at=row["close_at"],
            is_early_close=row["early_close"],
        )
        for row in await connection.fetch(sql, EXCHANGE, start, end)
    ]


async def write_sessions(connection: asyncpg.Connection, tables: TableSettings, sessions: Sequence[Session]) -> None:
    """Store sessions; those that are there and differ are corrected. Does nothing without a calendar table."""
    if await connection.fetchval("SELECT to_regclass($1) IS NULL", quote_table(tables.calendar)):
        return
    await connection.execute(
        load("calendar_write").replace("{{calendar}}", quote_table(tables.calendar)),
        EXCHANGE,
        [session.day for session in sessions],
        [session.open_at for session in sessions],
        [session.close_at for session in sessions],
        [session.is_early_close for session in sessions],
    )
