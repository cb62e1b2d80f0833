"""Deliveries as rows: kept before anything is sent, so that a killed engine forgets nobody.

The id of a notice is unique, so that the same fact noticed twice is told once. Whoever takes one up moves its next try
into the future first: what was under way when the process died is tried again later, with the same id.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from qsuite_console.history.rows import COLUMNS, job_of, moment, stamp
from qsuite_console.history.watches import WatchBook
from qsuite_console.history.writer import Transaction, Writer
from qsuite_console.model.deliveries import (
    Delivery,
    DeliveryDetail,
    DeliveryPage,
    DeliveryQuery,
    DeliveryState,
    DeliveryTry,
    MissedRun,
    Notice,
)
from qsuite_console.model.errors import NotFound
from qsuite_console.model.jobs import Job

KEPT: Final = 20_000
KEPT_US: Final = 30 * 86_400 * 1_000_000
LIMIT: Final = 1000
_STEP: Final = 1000
T = TypeVar("T")
Read = Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]]

SCHEMA: Final = (
    """CREATE TABLE deliveries (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        target TEXT NOT NULL,
        endpoint TEXT NOT NULL,
        event TEXT NOT NULL,
        subject TEXT NOT NULL,
        body TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'dead')),
        created_at INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        next_at INTEGER,
        tried_at INTEGER,
        status INTEGER,
        error TEXT NOT NULL DEFAULT '',
        latency_ms REAL,
        CHECK ((next_at IS NOT NULL) = (state = 'waiting'))
    )""",
    "CREATE INDEX deliveries_due ON deliveries (target, endpoint, next_at) WHERE state = 'waiting'",
    "CREATE INDEX deliveries_endpoint ON deliveries (target, endpoint, state, number)",
    """CREATE TABLE delivery_tries (
        delivery INTEGER NOT NULL,
        try INTEGER NOT NULL,
        at INTEGER NOT NULL,
        status INTEGER,
        error TEXT NOT NULL,
        latency_ms REAL,
        PRIMARY KEY (delivery, try)
    ) WITHOUT ROWID""",
    """CREATE TABLE endpoints (
        target TEXT NOT NULL,
        name TEXT NOT NULL,
        disabled_at INTEGER NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (target, name)
    ) WITHOUT ROWID""",
    "CREATE TABLE notice_marks (target TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TRIGGER deliveries_forgotten AFTER DELETE ON deliveries BEGIN
        DELETE FROM delivery_tries WHERE delivery = old.number;
    END""",
)
_FIELDS: Final = (
    "number, id, endpoint, event, subject, state, created_at, attempts, next_at, tried_at, status, error, latency_ms"
)


def _delivery(row: Sequence[Any], body: str = "") -> Delivery:
    return Delivery(
        number=row[0],
        id=row[1],
        endpoint=row[2],
        event=row[3],
        subject=row[4],
        state=DeliveryState(row[5]),
        created_at=moment(row[6]),
        attempts=row[7],
        next_at=None if row[8] is None else moment(row[8]),
        tried_at=None if row[9] is None else moment(row[9]),
        status=row[10],
        error=row[11],
        latency_ms=row[12],
        body=body,
    )


class DeliveryReader:
    """Looks at the deliveries of a target, also beside the engine of another process."""

    def __init__(self, read: Read) -> None:
        self._ask = read

    async def page(self, target: str, query: DeliveryQuery) -> DeliveryPage:
        """Return a page, newest first; raises HistoryUnavailable."""

        def read(connection: sqlite3.Connection) -> DeliveryPage:
            limit = max(1, min(query.limit, LIMIT))
            conditions, values = ["target = ?"], list[Any]([target])
            for column, value in (("endpoint", query.endpoint), ("state", query.state and query.state.value)):
                if value:
                    conditions.append(f"{column} = ?")
                    values.append(value)
            if query.before is not None:
                conditions.append("number < ?")
                values.append(query.before)
            if text := query.text.strip():
                conditions.append("instr(lower(endpoint || ' ' || event || ' ' || subject || ' ' || error), ?) > 0")
                values.append(text.lower())
            rows = connection.execute(
                f"SELECT {_FIELDS} FROM deliveries WHERE {' AND '.join(conditions)} ORDER BY number DESC LIMIT ?",
                (*values, limit + 1),
            ).fetchall()
            more = rows[limit - 1][0] if len(rows) > limit else None
            return DeliveryPage(deliveries=tuple(_delivery(row) for row in rows[:limit]), next_before=more)

        return await self._read(read)

    async def detail(self, target: str, number: int) -> DeliveryDetail:
        """Return one with its tries; raises NotFound."""

        def read(connection: sqlite3.Connection) -> DeliveryDetail:
            row = connection.execute(
                f"SELECT {_FIELDS}, body FROM deliveries WHERE target = ? AND number = ?", (target, number)
            ).fetchone()
            if row is None:
                raise NotFound(f"there is no delivery {number}", hint="qsuite-console webhooks log lists them")
            tries = connection.execute(
                "SELECT at, status, error, latency_ms FROM delivery_tries WHERE delivery = ? ORDER BY try", (number,)
            ).fetchall()
            return DeliveryDetail(
                delivery=_delivery(row[:-1], row[-1]),
                tries=tuple(DeliveryTry(at=moment(a), status=s, error=e, latency_ms=ms) for a, s, e, ms in tries),
            )

        return await self._read(read)

    async def tallies(self, target: str) -> Mapping[str, tuple[int, int, int, datetime | None]]:
        """Return endpoint -> (waiting, delivered, dead, when one was delivered last)."""

        def read(connection: sqlite3.Connection) -> Mapping[str, tuple[int, int, int, datetime | None]]:
            rows = connection.execute(
                "SELECT endpoint, sum(state = 'waiting'), sum(state = 'delivered'), sum(state = 'dead'),"
                " max(CASE WHEN state = 'delivered' THEN tried_at END) FROM deliveries WHERE target = ?"
                " GROUP BY endpoint",
                (target,),
            ).fetchall()
            return {name: (w, d, x, None if at is None else moment(at)) for name, w, d, x, at in rows}

        return await self._read(read)

    async def failing(self, target: str) -> Mapping[str, str]:
        """Return endpoint -> why its newest try failed; an endpoint whose newest try arrived is not among them."""

        def read(connection: sqlite3.Connection) -> Mapping[str, str]:
            rows = connection.execute(  # SQLite: other columns beside max() are those of its row
                "SELECT endpoint, state, error, max(tried_at) FROM deliveries WHERE target = ? AND tried_at IS NOT NULL"
                " GROUP BY endpoint",
                (target,),
            ).fetchall()
            return {name: error for name, state, error, _ in rows if state != "delivered" and error}

        return await self._read(read)

    async def disabled(self, target: str) -> Mapping[str, tuple[datetime, str]]:
        """Return endpoint -> (since when it is told nothing any more, why)."""

        def read(connection: sqlite3.Connection) -> Mapping[str, tuple[datetime, str]]:
            rows = connection.execute("SELECT name, disabled_at, reason FROM endpoints WHERE target = ?", (target,))
            return {name: (moment(at), why) for name, at, why in rows.fetchall()}

        return await self._read(read)

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        found: T = await self._ask(query)
        return found


class DeliveryBook(DeliveryReader):
    """Keeps them; raises HistoryUnavailable where the disk refuses."""

    def __init__(self, read: Read, writer: Writer) -> None:
        super().__init__(read)
        self._writer = writer
        self.watches = WatchBook(read, writer)

    async def add(self, target: str, notices: Sequence[Notice], now: datetime, *, until: datetime | None = None) -> int:
        """Keep what is not known yet, due at once, and return how many that were; ``until`` moves the mark."""

        def work(transaction: Transaction) -> int:
            connection, at, added = transaction.connection, stamp(now), 0
            for one in notices:
                added += connection.execute(
                    "INSERT INTO deliveries (id, target, endpoint, event, subject, body, state, created_at, next_at)"
                    " SELECT ?, ?, ?, ?, ?, ?, 'waiting', ?, ? WHERE ? = '' OR"
                    " EXISTS (SELECT 1 FROM deliveries WHERE id = ?) ON CONFLICT DO NOTHING",
                    (one.id, target, one.endpoint, one.event, one.subject, one.body, at, at, one.follows, one.follows),
                ).rowcount
            if until is not None:
                connection.execute(
                    "INSERT INTO notice_marks VALUES (?, ?) ON CONFLICT DO UPDATE SET until = excluded.until",
                    (target, stamp(until)),
                )
            return added

        return await self._writer.run(work, lane="deliveries")

    async def mark(self, target: str) -> datetime | None:
        """Return up to when everything that happened has been noticed, None before the first time."""

        def read(connection: sqlite3.Connection) -> datetime | None:
            row = connection.execute("SELECT until FROM notice_marks WHERE target = ?", (target,)).fetchone()
            return None if row is None else moment(row[0])

        return await self._read(read)

    async def unknown(self, notices: Sequence[Notice]) -> Sequence[Notice]:
        """Return those that no delivery was made of yet."""

        def read(connection: sqlite3.Connection) -> Sequence[Notice]:
            return [
                one
                for one in notices
                if connection.execute("SELECT 1 FROM deliveries WHERE id = ?", (one.id,)).fetchone() is None
            ]

        return await self._read(read) if notices else ()

    async def ended(self, since: datetime) -> Sequence[Job]:
        """Return the jobs that have ended since, oldest first."""

        def read(connection: sqlite3.Connection) -> Sequence[Job]:
            rows = connection.execute(
                f"SELECT {COLUMNS} FROM jobs WHERE finished_at > ? ORDER BY finished_at", (stamp(since),)
            )
            return [job_of(row) for row in rows.fetchall()]

        return await self._read(read)

    async def missed(self, since: datetime) -> Sequence[MissedRun]:
        """Return the plans of schedules since then that nothing came of, oldest first."""

        def read(connection: sqlite3.Connection) -> Sequence[MissedRun]:
            rows = connection.execute(
                "SELECT s.id, s.name, r.planned_at, r.at, r.outcome, r.note FROM schedule_runs r"
                " JOIN schedules s ON s.id = r.schedule_id WHERE r.at > ? AND r.outcome IN ('missed', 'refused')"
                " ORDER BY r.at",
                (stamp(since),),
            )
            return [
                MissedRun(
                    schedule_id=number, schedule=name, planned_at=moment(planned), at=moment(at), outcome=how, note=why
                )
                for number, name, planned, at, how, why in rows.fetchall()
            ]

        return await self._read(read)

    async def take(
        self, target: str, endpoint: str, *, limit: int, now: datetime, until: datetime
    ) -> Sequence[Delivery]:
        """Take up to ``limit`` due ones, oldest first; if this process dies, they are due again at ``until``."""

        def read(connection: sqlite3.Connection) -> bool:
            query = "SELECT 1 FROM deliveries WHERE target = ? AND endpoint = ? AND state = 'waiting' AND next_at <= ?"
            return connection.execute(f"{query} LIMIT 1", (target, endpoint, stamp(now))).fetchone() is not None

        if not await self._read(read):  # costs no write while nothing is due
            return ()

        def work(transaction: Transaction) -> Sequence[Delivery]:
            rows = transaction.connection.execute(
                f"SELECT {_FIELDS}, body FROM deliveries WHERE target = ? AND state = 'waiting' AND next_at <= ?"
                " AND endpoint = ? ORDER BY next_at, number LIMIT ?",
                (target, stamp(now), endpoint, limit),
            ).fetchall()
            transaction.connection.executemany(
                "UPDATE deliveries SET next_at = ? WHERE number = ?", [(stamp(until), row[0]) for row in rows]
            )
            return [_delivery(row[:-1], row[-1]) for row in rows]

        return await self._writer.run(work, lane="deliveries")

    async def number_of(self, identifier: str) -> int:
        """Return the number of the delivery with an id; raises NotFound."""

        def read(connection: sqlite3.Connection) -> int:
            row = connection.execute("SELECT number FROM deliveries WHERE id = ?", (identifier,)).fetchone()
            if row is None:
                raise NotFound(f"there is no delivery {identifier[:60]}")
            return int(row[0])

        return await self._read(read)

    async def settle(self, number: int, tried: DeliveryTry, *, retry_at: datetime | None, is_done: bool) -> None:
        """Keep how a try ended: delivered, waiting for ``retry_at``, or dead."""
        state = "delivered" if is_done else "dead" if retry_at is None else "waiting"

        def work(transaction: Transaction) -> None:
            connection, at = transaction.connection, stamp(tried.at)
            connection.execute(
                "UPDATE deliveries SET state = ?, next_at = ?, attempts = attempts + 1, tried_at = ?, status = ?,"
                " error = ?, latency_ms = ? WHERE number = ?",
                (
                    state,
                    stamp(retry_at) if state == "waiting" and retry_at is not None else None,
                    at,
                    tried.status,
                    tried.error,
                    tried.latency_ms,
                    number,
                ),
            )
            connection.execute(
                "INSERT INTO delivery_tries SELECT ?1, coalesce(max(try), 0) + 1, ?2, ?3, ?4, ?5 FROM delivery_tries"
                " WHERE delivery = ?1",
                (number, at, tried.status, tried.error, tried.latency_ms),
            )

        await self._writer.run(work, is_essential=True)

    async def redeliver(self, target: str, numbers: Sequence[int], now: datetime) -> int:
        """Try them again from the start of the schedule, with the same ids; returns how many there were."""

        def work(transaction: Transaction) -> int:
            return sum(
                transaction.connection.execute(
                    "UPDATE deliveries SET state = 'waiting', next_at = ?, attempts = 0"
                    " WHERE target = ? AND number = ?",
                    (stamp(now), target, number),
                ).rowcount
                for number in numbers
            )

        return await self._writer.run(work, lane="deliveries")

    async def disable(self, target: str, endpoint: str, reason: str, now: datetime) -> None:
        """Tell an endpoint nothing any more; what waits for it is dead."""

        def work(transaction: Transaction) -> None:
            connection = transaction.connection
            connection.execute(
                "INSERT INTO endpoints VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET disabled_at = excluded.disabled_at, reason = excluded.reason",
                (target, endpoint, stamp(now), reason),
            )
            connection.execute(
                "UPDATE deliveries SET state = 'dead', next_at = NULL, error = ? WHERE target = ? AND endpoint = ?"
                " AND state = 'waiting'",
                (f"not sent: {reason}", target, endpoint),
            )

        await self._writer.run(work, is_essential=True)

    async def enable(self, target: str, endpoint: str) -> bool:
        """Tell it again from now on; returns whether it was disabled."""

        def work(transaction: Transaction) -> bool:
            return bool(
                transaction.connection.execute(
                    "DELETE FROM endpoints WHERE target = ? AND name = ?", (target, endpoint)
                ).rowcount
            )

        return await self._writer.run(work, lane="deliveries")


def drop(transaction: Transaction, at: int) -> int:
    """Forget a thousand that ended long ago or are beyond the number that is kept; returns how many went."""
    return transaction.connection.execute(
        "DELETE FROM deliveries WHERE number IN (SELECT number FROM deliveries WHERE state <> 'waiting' AND"
        " (created_at < ? OR number <= (SELECT max(number) FROM deliveries) - ?) ORDER BY number LIMIT ?)",
        (at - KEPT_US, KEPT, _STEP),
    ).rowcount
