"""Who is connected and what they do: the pressing ones first, each with its ages, its wait and its statement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

from qsuite_console.model.activity import Activity, Session
from qsuite_console.model.errors import UsageProblem
from qsuite_console.model.text import clean
from qsuite_console.screens.database.sessions import (
    SessionListing,
    Subject,
    one_line,
    state_tone,
    state_word,
    subject_of,
    who,
)
from qsuite_console.screens.listing import glyph
from qsuite_console.widgets import figures, row_filter
from qsuite_console.widgets.filter_bar import FilterBar
from qsuite_console.widgets.live_table import Cell, Column, Key, Row

_FIELDS: Final = ("pid", "user", "db", "app", "client", "state", "wait", "kind", "query")
_LAST: Final = 9
CROWDED: Final = 0.8  # of the connections in use, from which it is said who has most of them


def _pressing(session: Session) -> tuple[int, float]:
    """Return where it stands: who waits for a lock, who works, who holds a transaction, the others, who is idle."""
    if session.wait_type == "Lock":
        rank = 0
    elif session.is_own or (session.is_worker and session.kind != "parallel worker"):
        rank = 3
    else:
        rank = {"active": 1, "idle": _LAST}.get(session.state, 2 if session.is_in_transaction else 4)
    return rank, -(session.transaction_s or session.query_s or 0.0)


_SORTS: Final[Mapping[str, Callable[[Session], Any]]] = {
    "pressing": _pressing,
    "transaction": lambda one: -(one.transaction_s if one.transaction_s is not None else -1.0),
    "statement": lambda one: (one.state != "active", -(one.query_s if one.query_s is not None else -1.0)),
    "user": lambda one: (one.user or "~", one.application, one.pid),
    "client": lambda one: (one.client or "~", one.pid),
    "pid": lambda one: one.pid,
}


class ActivityPane(SessionListing[Activity, Session]):
    """pg_stat_activity, with the console's own sessions and the server's workers told apart."""

    NAME = "activity"
    TITLE = "Activity"
    PROBE = "database.activity"
    KIND = Activity
    PERIOD_S = 2.0
    EMPTY = "Nobody is connected"
    FILTER = "words !not /regex/ pid: user: db: app: client: state: wait: query:"
    ORDERS: ClassVar[Mapping[str, str]] = {
        "pressing": "the pressing first",
        "transaction": "by age of the transaction",
        "statement": "by age of the statement",
        "user": "by user",
        "client": "by client",
        "pid": "by pid",
    }
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("glyph", "", 1, keep=100),
        Column("pid", "PID", 7, is_right=True, keep=100),
        Column("state", "STATE", 8, keep=90),
        Column("query_age", "STMT", 8, is_right=True, keep=80),
        Column("transaction", "TRANS", 8, is_right=True, keep=85),
        Column("wait", "WAITS FOR", 22, narrow=15, keep=70),
        Column("user", "USER", 12, keep=40, at_least=130),
        Column("database", "DATABASE", 12, keep=20, at_least=150),
        Column("who", "APPLICATION", 18, narrow=10, keep=60, below=150),
        Column("who", "APPLICATION", 30, keep=60, at_least=150),
        Column("client", "CLIENT", 20, keep=10, at_least=170),
        Column("query", "STATEMENT", 16, is_flexible=True, keep=100),
    )

    def __init__(self) -> None:
        super().__init__()
        self._filter = row_filter.RowFilter()

    def subject_of(self, entry: Session) -> Subject:
        """Return the session itself."""
        return subject_of(entry)

    def has_nothing(self, answer: Activity) -> bool:
        """Return whether nobody is there."""
        return not answer.sessions

    def entries(self, answer: Activity) -> Mapping[Key, Session]:
        """Return the sessions that match, in the order chosen."""
        wanted = [one for one in answer.sessions if self._filter.matches(fields_of(one))]
        return {one.pid: one for one in sorted(wanted, key=_SORTS[self.order])}

    def filtered(self) -> None:
        """Take another filter; one that can't be understood leaves the list as it is and says why."""
        bar = self.screen.query_one(FilterBar)
        try:
            self._filter = row_filter.parse(self.text, _FIELDS)
        except UsageProblem as problem:
            bar.show_problem(problem.message)
            return
        bar.show_problem("")
        super().filtered()

    def head(self, answer: Activity, now: datetime) -> str:
        """Return how many there are, how many of them do something, and the order."""
        sessions = answer.sessions
        shown, clients = len(self.table.keys), sum(not one.is_worker for one in sessions)
        parts = [f"{shown} of {figures.plural(answer.total, 'session')}" if shown != answer.total
                 else figures.plural(shown, "session")]  # fmt: skip
        for number, word in (
            (sum(one.wait_type == "Lock" for one in sessions), "wait for a lock"),
            (sum(one.state == "active" and one.wait_type != "Lock" and not one.is_own for one in sessions), "active"),
            (sum(one.is_in_transaction for one in sessions), "idle in tx"),
        ):
            if number:
                parts.append(f"{number} {word}")
        parts.append(f"{clients}/{answer.usable} connections")
        if clients >= CROWDED * answer.usable:
            (holder, number), *_ = Counter(who(one) or one.user for one in sessions if not one.is_worker).most_common(1)
            parts.insert(0, f"▲ {number} are {clean(holder, 30)}")
        return " · ".join([*parts, self.ORDERS[self.order]])

    def row(self, session: Session) -> Row:
        """Return one line."""
        tone = "dim" if session.is_own else state_tone(session)
        plain = "dim" if session.is_own or session.state == "idle" or session.is_hidden else ""
        in_transaction = session.transaction_s is not None and session.state != "idle"
        return {
            "glyph": glyph(tone),
            "pid": Cell(str(session.pid), plain),
            "state": Cell(state_word(session), tone if tone != "ok" else ""),
            "query_age": Cell(figures.duration(session.query_s) if session.state == "active" else figures.DASH, plain),
            "transaction": Cell(figures.duration(session.transaction_s) if in_transaction else figures.DASH, plain),
            "wait": Cell(session.wait or figures.DASH, "warn" if session.wait_type == "Lock" else plain),
            "user": Cell(session.user or figures.DASH, plain),
            "database": Cell(session.database or figures.DASH, plain),
            "who": Cell(who(session) or figures.DASH, plain),
            "client": Cell(session.client or figures.DASH, plain),
            "query": Cell(_statement(session), plain or ("" if session.state == "active" else "dim")),
        }

    def foot(self, session: Session, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield the statement at length, and who it is."""
        last = "" if session.state == "active" or session.is_hidden or session.is_worker else "last statement: "
        yield "text", last + _statement(session)
        parts = (f"{session.user}@{session.database}" if session.user else session.kind, who(session), session.client)
        state = "" if session.is_hidden else f"{session.state} for {figures.duration(session.state_s)}"
        own = "a session of the console" if session.is_own else ""
        yield "dim", " · ".join(part for part in (*parts, state, own) if part)


def fields_of(session: Session) -> dict[str, str]:
    """Return what a filter may ask about."""
    return {
        "pid": str(session.pid),
        "user": session.user,
        "db": session.database,
        "app": who(session),
        "client": session.client,
        "state": f"{session.state} {state_word(session)}",
        "wait": session.wait,
        "kind": session.kind,
        "query": session.query,
    }


def _statement(session: Session) -> str:
    if session.is_hidden:
        return "not shown to the console's role"
    return one_line(session.query) or figures.DASH
