"""Rows of the activity and progress queries as values of the model; the way sessions are told apart is decided here.

Text comes from clients and is made harmless on the way; queries keep their lines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from qsuite_console.db.panels import Look
from qsuite_console.model.activity import (
    PREPARED,
    Activity,
    Blocking,
    Edge,
    Lock,
    Prepared,
    Session,
    SessionDetail,
    Task,
    Tasks,
    Wait,
)
from qsuite_console.model.text import clean

LISTED_CHARACTERS: Final = 400  # of a query in a list
WHOLE_CHARACTERS: Final = 100_000
WAITERS_MOST: Final = 200
HOLDERS_MOST: Final = 50  # of one waiter; who holds the lock comes before who stands in its queue
LOCKS_MOST: Final = 200
_PASSWORD: Final = re.compile(r"(\bpassword\s*=?\s*)E?'(?:[^']|'')*(?:'|$)", re.IGNORECASE)
Row = Mapping[str, Any]


async def read_activity(look: Look, *, limit: int) -> Activity:
    """Return the sessions, the most pressing first; raises DatabaseError."""
    server = await look.panels.look(look.left_s)
    limits = (await look.rows("activity_limits"))[0]
    rows = await look.rows("activity_sessions", None, LISTED_CHARACTERS, limit)
    sessions = tuple(session_of(row, look.panels.application) for row in rows)
    _note_hidden(look, sessions)
    if not limits["is_tracked"]:
        fix = "ALTER SYSTEM SET track_activities = on"
        look.note("what sessions do", "track_activities is off on this server", fix)
    return Activity(
        at=look.at,
        sessions=sessions,
        total=rows[0]["total"] if rows else 0,
        usable=limits["usable"],
        database=server.database,
        role=server.rights.role,
        unread=look.unread,
        cost_ms=look.cost_ms,
    )


async def read_session(look: Look, pid: int) -> SessionDetail:
    """Return one backend with all there is to see of it; raises DatabaseError."""
    await look.panels.look(look.left_s)
    rows = await look.rows("activity_sessions", [pid], WHOLE_CHARACTERS, 1)
    sessions = tuple(session_of(row, look.panels.application) for row in rows)
    _note_hidden(look, sessions)
    locks = await look.try_rows("its locks", "activity_locks", pid, LOCKS_MOST) if rows else ()
    around = await look.try_rows("who waits for whom", "activity_neighbours", pid) if rows else ()
    return SessionDetail(
        at=look.at,
        session=sessions[0] if sessions else None,
        locks=tuple(lock_of(row) for row in locks or ()),
        locks_total=locks[0]["total"] if locks else 0,
        waits_for=tuple(around[0]["waits_for"]) if around else (),
        blocks=tuple(around[0]["blocks"]) if around else (),
        unread=look.unread,
        cost_ms=look.cost_ms,
    )


async def read_blocking(look: Look) -> Blocking:
    """Return who waits for whom now; the looks without waiters are the caller's to count. Raises DatabaseError."""
    deadlock_s = (await look.rows("blocking_settings"))[0]["deadlock_s"]
    rows = await look.rows("blocking_waits", WAITERS_MOST)
    edges, waits = _edges(rows), dict[int, Wait]()
    for row in rows:
        holders = len({*row["holders"]} - {row["pid"]})
        waits.setdefault(row["pid"], Wait(pid=row["pid"], lock=lock_of(row), holders=holders))
    prepared: list[Prepared] = []
    if any(edge.holder == PREPARED for edge in edges):
        held = await look.try_rows("prepared transactions", "blocking_prepared")
        edges, prepared = _with_prepared(edges, held or ())
    pids = sorted({pid for edge in edges for pid in (edge.waiter, edge.holder)} - {PREPARED})
    sessions: tuple[Session, ...] = ()
    if pids:
        found = await look.rows("activity_sessions", pids, LISTED_CHARACTERS, len(pids))
        sessions = tuple(session_of(row, look.panels.application) for row in found)
        _note_hidden(look, sessions)
    return Blocking(
        at=look.at,
        edges=tuple(edges),
        waits=tuple(waits.values()),
        sessions=sessions,
        prepared=tuple(prepared),
        waiters=rows[0]["waiters"] if rows else 0,
        deadlock_s=deadlock_s,
        unread=look.unread,
        cost_ms=look.cost_ms,
    )


async def read_tasks(look: Look) -> Tasks:
    """Return the long commands that report how far they are; raises DatabaseError."""
    server = await look.panels.look(look.left_s)
    rows = await look.rows("progress_tasks")
    tasks = tuple(_task_of(row, look.panels.application) for row in rows)
    hidden = sum(task.is_hidden for task in tasks)
    if hidden:
        what = "1 command of another role" if hidden == 1 else f"{hidden} commands of other roles"
        look.note(what, "the role may not see them", _grant(look))
    if server.version < 14:
        look.note("COPY", f"PostgreSQL {server.version} does not report it; 14 and later do")
    return Tasks(at=look.at, tasks=tasks, unread=look.unread, cost_ms=look.cost_ms)


def is_own(application: str | None, ours: str) -> bool:
    """Tell whether an application name is that of a console."""
    return application is not None and (application == ours or application.startswith(f"{ours}/"))


def session_of(row: Row, ours: str) -> Session:
    """Return a row of ``activity_sessions`` as a session."""
    return Session(
        pid=row["pid"],
        backend_start=row["backend_start"],
        user=clean(row["user"] or "", 80),
        database=clean(row["database"] or "", 80),
        application=clean(row["application"] or "", 80),
        client=clean(row["client"] or "", 80),
        kind=clean(row["kind"] or "", 40),
        leader=row["leader"],
        state=row["state"] or "",
        wait_type=row["wait_type"] or "",
        wait_event=clean(row["wait_event"] or "", 80),
        query_s=_age(row["query_s"]),
        transaction_s=_age(row["transaction_s"]),
        state_s=_age(row["state_s"]),
        query="" if row["is_hidden"] else statement_text(row["query"]),
        is_cut=bool(row["is_cut"]),
        is_own=is_own(row["application"], ours) or row["is_this"],
        is_hidden=row["is_hidden"],
    )


def statement_text(query: str | None) -> str:
    """Return a statement fit to be shown: harmless, its lines kept, a password in it masked."""
    return clean(_PASSWORD.sub(r"\1'***'", query or ""), WHOLE_CHARACTERS, one_line=False)


def lock_of(row: Row) -> Lock:
    """Return a row of ``pg_locks`` as a lock."""
    return Lock(
        kind=row["kind"],
        mode=row["mode"],
        subject=clean(_subject(row), 160),
        is_granted=row["is_granted"],
        waited_s=_age(row["waited_s"]),
    )


def _subject(row: Row) -> str:
    kind, relation = row["kind"], row["relation"]
    if kind == "tuple":
        return f"row ({row['page']},{row['tuple']}) of {relation}"
    if kind == "page":
        return f"page {row['page']} of {relation}"
    if relation is not None:
        return str(relation) if kind == "relation" else f"{kind} of {relation}"
    if row["transaction"] is not None:
        return f"transaction {row['transaction']}"
    if row["virtualxid"] is not None:
        return f"virtual transaction {row['virtualxid']}"
    if kind == "advisory":
        high, low = row["classid"] or 0, row["objid"] or 0
        return f"advisory lock {high}, {low}" if row["objsubid"] == 2 else f"advisory lock {(high << 32) | low}"
    return f"{kind} {row['class'] or ''} {row['objid'] or ''}".strip()


def _age(seconds: float | None) -> float | None:
    """Return an age that is never negative: what began after the look began is new."""
    return None if seconds is None else max(0.0, seconds)


def _edges(rows: Sequence[Row]) -> list[Edge]:
    """Return each pair once; a session whose parallel workers hold or want the lock waits as one."""
    pairs: dict[tuple[int, int], None] = {}
    for row in rows:
        found = dict.fromkeys(holder for holder in row["holders"] if holder != row["pid"])
        pairs.update({(row["pid"], holder): None for holder in list(found)[:HOLDERS_MOST]})
    return [Edge(waiter=waiter, holder=holder) for waiter, holder in pairs]


def _with_prepared(edges: Sequence[Edge], held: Sequence[Row]) -> tuple[list[Edge], list[Prepared]]:
    """Name the prepared transactions behind edges to pid 0; one that can't be named keeps its pid 0."""
    found: list[Edge] = []
    for edge in edges:
        names = [row["gid"] for row in held if row["pid"] == edge.waiter] if edge.holder == PREPARED else []
        found += [Edge(waiter=edge.waiter, holder=PREPARED, gid=clean(gid, 200)) for gid in names] or [edge]
    prepared = {
        row["gid"]: Prepared(
            gid=clean(row["gid"], 200),
            owner=clean(row["owner"] or "", 80),
            database=clean(row["database"] or "", 80),
            age_s=_age(row["age_s"]),
        )
        for row in held
    }
    return found, list(prepared.values())


def _task_of(row: Row, ours: str) -> Task:
    return Task(
        pid=row["pid"],
        backend_start=row["backend_start"],
        command=row["command"] or "hidden command",
        user=clean(row["user"] or "", 80),
        database=clean(row["database"] or "", 80),
        subject=clean(row["subject"] or "", 160),
        phase=row["phase"] or "",
        done=row["done"] or 0.0,
        total=row["total"] or 0.0,
        unit=row["unit"] or "",
        detail=clean(row["detail"] or "", 160),
        running_s=_age(row["running_s"]),
        is_automatic=row["is_automatic"],
        is_own=is_own(row["application"], ours),
        is_hidden=row["is_hidden"],
    )


def _grant(look: Look) -> str:
    return f"GRANT pg_monitor TO {look.panels.rights.role}"


def _note_hidden(look: Look, sessions: Sequence[Session]) -> None:
    hidden = sum(session.is_hidden for session in sessions)
    if hidden:
        what = "1 session of another role" if hidden == 1 else f"{hidden} sessions of other roles"
        look.note(f"state and query of {what}", "the role may not see them", _grant(look))
