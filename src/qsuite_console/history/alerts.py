"""Alerts and silences as rows: an alert is its target, its rule and when it began; burning ones have no end yet.

The number of rows is bounded by pruning, so a search may look at all of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from qsuite_console.history.rows import moment, stamp, to_json
from qsuite_console.history.writer import Transaction
from qsuite_console.model.alerts import AlertPage, AlertQuery, Silence
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.health import Alert

LIMIT: Final = 1000
KEPT: Final = 10_000  # alerts of all targets
KEPT_US: Final = 90 * 86_400 * 1_000_000
_NEWEST: Final = (1 << 63) - 1
_alert: Final = msgspec.json.Decoder(Alert).decode

SCHEMA: Final = (
    """CREATE TABLE alerts (
        target TEXT NOT NULL,
        since INTEGER NOT NULL,
        rule TEXT NOT NULL,
        cleared_at INTEGER,
        body TEXT NOT NULL,
        PRIMARY KEY (target, since, rule)
    ) WITHOUT ROWID""",
    "CREATE INDEX alerts_burning ON alerts (target, rule) WHERE cleared_at IS NULL",
    """CREATE TABLE silences (
        target TEXT NOT NULL,
        subject TEXT NOT NULL,
        since INTEGER NOT NULL,
        until INTEGER NOT NULL,
        by TEXT NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (target, subject)
    ) WITHOUT ROWID""",
)


def keep(transaction: Transaction, target: str, alerts: Iterable[Alert]) -> None:
    """Keep alerts as they are now, new or known."""
    transaction.connection.executemany(
        "INSERT INTO alerts VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET cleared_at = excluded.cleared_at,"
        " body = excluded.body",
        [
            (target, stamp(a.since), a.id, None if a.cleared_at is None else stamp(a.cleared_at), to_json(a))
            for a in alerts
        ],
    )


def keep_silences(transaction: Transaction, target: str, silences: Iterable[Silence]) -> None:
    """Replace the silences of a target."""
    connection = transaction.connection
    connection.execute("DELETE FROM silences WHERE target = ?", (target,))
    connection.executemany(
        "INSERT INTO silences VALUES (?, ?, ?, ?, ?, ?)",
        [(target, s.subject, stamp(s.since), stamp(s.until), s.by, s.reason) for s in silences],
    )


def drop(transaction: Transaction, at: int) -> None:
    """Forget alerts that ended long ago, and the oldest beyond the number that is kept."""
    transaction.connection.execute("DELETE FROM alerts WHERE cleared_at < ?", (at - KEPT_US,))
    transaction.connection.execute(
        "DELETE FROM alerts WHERE cleared_at IS NOT NULL AND since <"
        " (SELECT since FROM alerts ORDER BY since DESC LIMIT 1 OFFSET ?)",
        (KEPT,),
    )


def droppable(connection: sqlite3.Connection, at: int) -> int:
    """Return how many alerts ``drop`` would forget."""
    (count,) = connection.execute(
        "SELECT count(*) FROM alerts WHERE cleared_at < ?1 OR (cleared_at IS NOT NULL AND since <"
        " (SELECT since FROM alerts ORDER BY since DESC LIMIT 1 OFFSET ?2))",
        (at - KEPT_US, KEPT),
    ).fetchone()
    return int(count)


def page(connection: sqlite3.Connection, target: str, query: AlertQuery) -> AlertPage:
    """Return one page, newest first; raises InvalidParameters for a ``before`` that is none."""
    limit = max(1, min(query.limit, LIMIT))
    since, rule = _cursor(query.before)
    conditions, values = ["target = ?", "(since, rule) < (?, ?)"], list[object]([target, since, rule])
    if query.burning is not None:
        conditions.append(f"cleared_at IS {'' if query.burning else 'NOT '}NULL")
    if query.text.strip():
        pattern = query.text.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        conditions.append("body LIKE ? ESCAPE '\\'")
        values.append(f"%{pattern}%")
    rows = connection.execute(
        f"SELECT body, since, rule FROM alerts WHERE {' AND '.join(conditions)} ORDER BY since DESC, rule DESC LIMIT ?",
        (*values, limit + 1),
    ).fetchall()
    more = rows[limit - 1][1:] if len(rows) > limit else None
    return AlertPage(
        alerts=tuple(_alert(row[0]) for row in rows[:limit]),
        next_before="" if more is None else f"{more[0]}:{more[1]}",
    )


def between(connection: sqlite3.Connection, target: str, start: datetime, end: datetime) -> Sequence[Alert]:
    """Return the newest alerts that burned at some time in [start, end], oldest first."""
    rows = connection.execute(
        "SELECT body FROM alerts WHERE target = ? AND since <= ? AND (cleared_at IS NULL OR cleared_at >= ?)"
        " ORDER BY since DESC LIMIT 200",
        (target, stamp(end), stamp(start)),
    ).fetchall()
    return [_alert(row[0]) for row in reversed(rows)]


def silences(connection: sqlite3.Connection, target: str) -> Sequence[Silence]:
    """Return the silences of a target, also those that are over."""
    rows = connection.execute(
        "SELECT subject, since, until, by, reason FROM silences WHERE target = ? ORDER BY until, subject", (target,)
    ).fetchall()
    return [
        Silence(subject=subject, since=moment(since), until=moment(until), by=by, reason=reason)
        for subject, since, until, by, reason in rows
    ]


def _cursor(text: str) -> tuple[int, str]:
    if not text:
        return _NEWEST, ""
    since, _, rule = text.partition(":")
    if not (since.isdigit() and len(since) <= 18):
        raise InvalidParameters({"before": f"{text[:40]!r} is not the end of a page"}, hint="use next_before")
    return int(since), rule
