"""Advisory locks: who changes what nobody else may change meanwhile. Gone with the connection, also after a kill."""

from __future__ import annotations

import hashlib

import asyncpg

from qsuite_console.db.queries import load


def lock_key(*parts: str) -> int:
    """Return the 64-bit key for what ``parts`` name together."""
    digest = hashlib.sha256("\x1f".join(("qsuite-console", *parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


async def try_lock(connection: asyncpg.Connection, key: int) -> str | None:
    """Take the lock for this connection and return None, or return who holds it."""
    if await connection.fetchval("SELECT pg_try_advisory_lock($1)", key):
        return None
    row = await connection.fetchrow(load("advisory_holder"), key)
    if row is None:
        return "another session"
    return f"{row['application_name'] or 'a session'} (pid {row['pid']} from {row['client']})"
