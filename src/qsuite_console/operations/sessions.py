"""Cancel a session's statement, or end the session: a signal to a process, so it must still be the same one.

A pid is given to another session as soon as it is free. What is proposed carries the start of the backend (and of the
statement), and the statement that signals compares them itself; one look and a signal later would be too late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from qsuite_console.db.activity import is_own, read_blocking, session_of
from qsuite_console.db.errors import DatabaseError
from qsuite_console.db.panels import Look, PanelReader
from qsuite_console.engine.ports import OperationKind
from qsuite_console.model.activity import Session
from qsuite_console.model.blocking import Graph, Member
from qsuite_console.model.errors import Conflict, ConsoleError, NotFound
from qsuite_console.model.operations import Outcome, Proposal
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.workers import Services

_BUDGET_S: Final = 4.0
_PATIENCE_S: Final = 1.0  # how long the end of what was signalled is waited for
_POLL_S: Final = 0.05
_QUERY_SHOWN: Final = 400
Pid = Annotated[int, msgspec.Meta(ge=1, description="the server's process number of the session", examples=[4711])]
Start = Annotated[
    datetime,
    msgspec.Meta(
        description="when the session began, as pg_stat_activity has it", examples=["2025-01-31T09:30:00.123456Z"]
    ),
]
Statement = Annotated[
    datetime, msgspec.Meta(description="when the statement began: one that began later is left alone")
]


class CancelParameters(msgspec.Struct, frozen=True, kw_only=True):
    """The session, and the statement meant where that is known."""

    pid: Pid
    backend_start: Start
    query_start: Statement | None = None


class TerminateParameters(msgspec.Struct, frozen=True, kw_only=True):
    """The session."""

    pid: Pid
    backend_start: Start


class Cancel:
    """``database.cancel``: the statement ends with an error, the session lives on."""

    kind = OperationKind(
        name="database.cancel",
        title="Cancel query",
        help="Stop the statement a session is running; its transaction is rolled back, the session stays.",
        parameters=CancelParameters,
    )

    def __init__(self, services: Services) -> None:
        self._panels = services.panels

    async def propose(self, parameters: CancelParameters) -> Proposal:
        """Say what would be stopped and who it frees; raises Conflict for a session that runs nothing."""
        look = self._panels.begin(_BUDGET_S)
        session, row = await _target(look, parameters)
        if session.state != "active":
            raise Conflict(
                f"pid {session.pid} runs no statement: it is {session.state or 'not active'}",
                hint="there is nothing to cancel; terminating ends the session and its transaction",
            )
        lost = f" and its transaction of {_span(session.transaction_s)} is rolled back" if row["has_written"] else ""
        return Proposal(
            operation=self.kind.name,
            title=f"Cancel the statement of pid {session.pid}?",
            lines=(*_described(session), f"Its statement ends with an error{lost}; the session stays."
                   f"{await _freed(look, session.pid)}"),
            do="cancel it",
            parameters={
                "pid": session.pid, "backend_start": session.backend_start, "query_start": row["query_start"],
            },
        )  # fmt: skip

    async def perform(self, parameters: CancelParameters) -> Outcome:
        """Signal it if it is still that statement, and wait for its end; raises Conflict when it is not."""
        panels, pid, start = self._panels, parameters.pid, parameters.backend_start
        began = parameters.query_start
        if began is None:
            began = await _running_since(panels, parameters)
        await _signal(panels, parameters, "session_cancel", pid, start, began, panels.application)

        def is_over(now: Mapping[str, Any] | None) -> bool:
            return now is None or now["state"] != "active" or now["query_start"] != began

        ended, waited_s = await _ended(panels, parameters, is_over)
        return _outcome(self.kind.name, pid, "its statement was cancelled", ended, waited_s)


class Terminate:
    """``database.terminate``: the session ends, its client loses the connection."""

    kind = OperationKind(
        name="database.terminate",
        title="Terminate session",
        help="End a session: its transaction is rolled back and its client loses the connection.",
        parameters=TerminateParameters,
    )

    def __init__(self, services: Services) -> None:
        self._panels = services.panels

    async def propose(self, parameters: TerminateParameters) -> Proposal:
        """Say which session would end, what is lost and who it frees."""
        look = self._panels.begin(_BUDGET_S)
        session, row = await _target(look, parameters)
        lost = "it has no transaction open"
        if session.transaction_s is not None:
            what = "what it has written since then is lost" if row["has_written"] else "it has written nothing"
            lost = f"its transaction of {_span(session.transaction_s)} is rolled back, {what}"
        return Proposal(
            operation=self.kind.name,
            title=f"Terminate the session of pid {session.pid}?",
            lines=(*_described(session), f"Its client loses the connection; {lost}.{await _freed(look, session.pid)}"),
            do="terminate it",
            parameters={"pid": session.pid, "backend_start": session.backend_start},
        )

    async def perform(self, parameters: TerminateParameters) -> Outcome:
        """Signal it if it is still that session, and wait for its end; raises Conflict when it is not."""
        panels, pid, start = self._panels, parameters.pid, parameters.backend_start
        await _signal(panels, parameters, "session_terminate", pid, start, panels.application)
        ended, waited_s = await _ended(panels, parameters, lambda now: now is None)
        return _outcome(self.kind.name, pid, "the session has ended", ended, waited_s)


Wanted = CancelParameters | TerminateParameters


async def _target(look: Look, wanted: Wanted) -> tuple[Session, Mapping[str, Any]]:
    """Return the session that is meant; raises NotFound, or Conflict when it must not be touched."""
    await look.panels.look(look.left_s)
    rows = await look.rows("session_target", wanted.pid)
    if not rows:
        raise NotFound(f"pid {wanted.pid} has ended already", hint="look again: the list is a moment old")
    row, role = rows[0], look.panels.rights.role
    session = session_of(row, look.panels.application)
    if session.is_hidden:
        raise Conflict(
            f"the role {role} may not see when pid {wanted.pid} began, so it can't be told from a later session",
            hint=f"GRANT pg_monitor TO {role}",
        )
    if session.backend_start != wanted.backend_start:
        raise Conflict(f"pid {wanted.pid} is another session now", hint="the one meant has ended; look again")
    if row["is_this"] or is_own(row["application"], look.panels.application):
        raise Conflict(
            f"pid {wanted.pid} is a session of a console ({session.application})",
            hint="cancel the job it works for on the Jobs screen",
        )
    if session.leader is not None and session.leader != session.pid:
        raise Conflict(f"pid {wanted.pid} is a parallel worker", hint=f"act on its leader, pid {session.leader}")
    if row["may_signal"] is False:
        raise ConsoleError(
            f"the role {role} may not signal sessions of {session.user}",
            hint="only a superuser may" if row["is_superuser"] else f"GRANT pg_signal_backend TO {role}",
        )
    return session, row


async def _signal(panels: PanelReader, wanted: Wanted, query: str, *arguments: Any) -> None:
    rows = await panels.rows(query, *arguments, budget_s=_BUDGET_S)
    if rows and rows[0]["is_signalled"]:
        return
    found = await panels.rows("session_target", wanted.pid, budget_s=_BUDGET_S)
    if not found or rows:
        raise Conflict(f"nothing was done: pid {wanted.pid} has ended meanwhile")
    if found[0]["backend_start"] != wanted.backend_start:
        raise Conflict(
            f"nothing was done: pid {wanted.pid} is another session now", hint="the one meant has ended; look again"
        )
    if found[0]["is_this"] or is_own(found[0]["application"], panels.application):
        raise Conflict(f"nothing was done: pid {wanted.pid} is a session of a console")
    raise Conflict(f"nothing was done: pid {wanted.pid} runs another statement now, or none", hint="look at it again")


async def _running_since(panels: PanelReader, wanted: Wanted) -> datetime | None:
    rows = await panels.rows("session_now", wanted.pid, wanted.backend_start, budget_s=_BUDGET_S)
    started: datetime | None = rows[0]["query_start"] if rows else None
    return started


async def _ended(panels: PanelReader, wanted: Wanted, is_over: Any) -> tuple[bool | None, float]:
    """Return whether it is over and after how many seconds; None when the server doesn't say."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        try:
            rows = await panels.rows("session_now", wanted.pid, wanted.backend_start, budget_s=_PATIENCE_S)
        except DatabaseError:
            return None, loop.time() - began
        waited_s = loop.time() - began
        if is_over(rows[0] if rows else None):
            return True, waited_s
        if waited_s >= _PATIENCE_S:
            return False, waited_s
        await asyncio.sleep(_POLL_S)


def _outcome(operation: str, pid: int, done: str, ended: bool | None, waited_s: float) -> Outcome:
    lines: tuple[str, ...] = ()
    if ended:
        message = f"pid {pid}: {done}"
    elif ended is None:
        message = f"pid {pid}: the signal was sent; the server does not say what became of it"
    else:
        message = f"pid {pid}: the signal was sent, but after {_span(waited_s)} it has not ended yet"
        lines = ("It may be rolling back, or be in a place where it can't be interrupted; look again.",)
    figures = {"pid": pid, "is_ended": ended, "waited_s": round(waited_s, 3)}
    return Outcome(operation=operation, is_done=True, message=message, lines=lines, figures=figures)


def _described(session: Session) -> tuple[str, ...]:
    """Return who it is, what it does and since when, and its statement."""
    who = session.user or "a process of the server"
    where = " · ".join(part for part in (session.database, session.application, session.client) if part)
    state = [f"{session.state or 'no state'} for {_span(session.state_s)}"]
    if session.is_worker:
        state.insert(0, session.kind)
    if session.wait_type == "Lock":
        state.append(f"waits for {session.wait}")
    if session.transaction_s is not None:
        state.append(f"transaction open for {_span(session.transaction_s)}")
    query = " ".join(session.query.split())
    return (
        f"pid {session.pid} · {who}{f' · {where}' if where else ''}",
        " · ".join(state),
        f"query: {clean(query, _QUERY_SHOWN) or 'none'}",
    )


async def _freed(look: Look, pid: int) -> str:
    """Return who waits behind a session and who of them goes on without it, as a sentence to append."""
    try:
        graph = Graph((await read_blocking(look)).edges)
    except DatabaseError as error:
        return f" Who waits behind it can't be told: {error.message}."
    behind, frees = len(graph.behind(Member(pid))), len(graph.frees(Member(pid)))
    if not behind:
        return " Nobody waits behind it."
    sessions = "1 session that waits" if behind == 1 else f"{behind} sessions that wait"
    if frees == behind:
        return f" It frees the {sessions} behind it."
    return f" It frees {frees} of the {sessions} behind it; the others wait for somebody else too."


def _span(seconds: float | None) -> str:
    """Return an age: "0.4 s", "3 m 4 s", "2 h 5 m"."""
    if seconds is None:
        return "unknown age"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} m"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"
