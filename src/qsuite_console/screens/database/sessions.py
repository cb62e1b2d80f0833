"""What the panes about sessions share: the page of one session over the list, its plan, and the two signals.

A session is named by its pid and its start from the moment it is seen: whatever is done to it is done to that one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, Generic, NamedTuple, TypeVar

import msgspec
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content

from qsuite_console import commands
from qsuite_console.model.activity import Explained, Lock, Session, SessionDetail
from qsuite_console.model.errors import Conflict
from qsuite_console.model.text import clean
from qsuite_console.screens.database.statements import explained
from qsuite_console.screens.listing import Listing
from qsuite_console.screens.operating import operate
from qsuite_console.screens.panes import Question
from qsuite_console.widgets import figures, text_view
from qsuite_console.widgets.text_view import TextView

A = TypeVar("A", bound=msgspec.Struct)
E = TypeVar("E")
_STATES: Final = {
    "idle in transaction": "idle tx",
    "idle in transaction (aborted)": "aborted",
    "fastpath function call": "fastpath",
}
_LOCKS_SHOWN: Final = 60
_COMMENT: Final = re.compile(r"^\s*--[^\n]*\n", re.MULTILINE)


class Subject(NamedTuple):
    """Whom a key is about. ``pid`` 0 is a prepared transaction, which has no process."""

    pid: int
    backend_start: datetime | None = None
    query: str = ""
    gid: str = ""


class SessionListing(Listing[A, E], Generic[A, E]):
    """A list whose rows are about sessions. Subclasses say which one an entry is about."""

    SCOPE = "sessions"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("sessions")
    BINDING_GROUP_TITLE = commands.SCOPES["sessions"]
    DEFAULT_CSS = """
    SessionListing .session--page { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._detail: Question[SessionDetail] = Question(
            "database.session", SessionDetail, self.PERIOD_S, slack_s=0.3, retry_s=1.0
        )
        self._opened: Subject | None = None
        self._page = TextView(id=f"{self.NAME}-page", classes="panel session--page")

    # to override

    def subject_of(self, entry: E) -> Subject:
        """Return whom an entry is about."""
        raise NotImplementedError

    # the page of one session

    def compose_pane(self) -> ComposeResult:
        """The list, and the page that takes its place."""
        yield from super().compose_pane()
        yield self._page

    @property
    def subject(self) -> Subject | None:
        """Return the session whose page is open, or the one under the cursor."""
        if self._opened is not None:
            return self._opened
        entry = self.table.entry
        return None if entry is None else self.subject_of(entry)

    def further(self) -> Iterable[tuple[Question[Any], Mapping[str, Any]]]:
        """Yield the question about the session whose page is open."""
        if self._opened is not None:
            yield self._detail, {"pid": self._opened.pid}

    def ask_due(self) -> None:
        """Ask for the list, and for the page over it."""
        super().ask_due()
        for question, parameters in self.further():
            self.paned.feed.ask(question, parameters)

    def show_answer(self, answer: A, now: datetime) -> None:
        """Show the list, or the page over it."""
        if self._opened is None:
            super().show_answer(answer, now)
        else:
            self._show_page(self._opened)

    def on_live_table_opened(self) -> None:
        """Show the page of the session under the cursor."""
        subject = self.subject
        if subject is not None and subject.pid:
            self._open(subject)

    def _open(self, subject: Subject | None) -> None:
        self._opened = subject
        for widget in (self._head, self.table, self._foot):
            widget.display = subject is None
        self._page.display = subject is not None
        self.ask_due()
        self.refresh_pane()
        (self.table if subject is None else self._page).focus()
        self.refresh_pane()
        self.screen.refresh_bindings()

    def back(self) -> bool:
        """Leave the page."""
        if self._opened is None:
            return False
        self._open(None)
        return True

    def filtered(self) -> None:
        """A filter is about the list."""
        if self._opened is not None:
            self._open(None)
        super().filtered()

    def _show_page(self, subject: Subject) -> None:
        page, question = self._page, self._detail
        page.border_title = Content(f"pid {subject.pid}")
        page.border_subtitle = Content("Esc back to the list")
        answer = question.answer
        if answer is not None:
            page.show(lambda width: Content("\n").join(page_lines(answer, subject, width)))
        elif question.problem:
            told = [Content.styled(f"✖ {question.problem}", "$error"), Content.styled(question.hint, "$dim")]
            page.show(Content("\n").join(told))
        else:
            page.show(Content.styled("Loading…", "$dim"))

    # keys

    def holds(self, condition: str) -> bool:
        """Return whether a command's ``when`` is true now."""
        if condition == "session":
            return self.subject is not None
        return self._opened is None and len(self.ORDERS) > 1 if condition == "list" else super().holds(condition)

    def action_copy(self) -> None:
        """Copy the statement, with the session's number before it."""
        subject, answer = self.subject, self._detail.answer
        if subject is None:
            return
        if subject.gid:
            quoted = subject.gid.replace("'", "''")
            self.paned.console.copy_text(f"ROLLBACK PREPARED '{quoted}';")
            self.paned.tell("Copied the statement that rolls it back")
            return
        whole = answer.session.query if self._opened is not None and answer and answer.session else subject.query
        self.paned.console.copy_text(f"-- pid {subject.pid}\n{whole}")
        self.paned.tell(f"Copied the statement of pid {subject.pid}")

    @work(exclusive=True, group="explain")
    async def action_explain(self) -> None:
        """Show the plan of its statement; nothing is run."""
        subject = self.subject
        if subject is None or self._has_no_process(subject):
            return
        answer = await self.paned.attempt(self.paned.control.ask("database.explain", {"pid": subject.pid}))
        if isinstance(answer, Explained):
            await self.read(f"Plan of pid {subject.pid}", explained(answer))

    @work(exclusive=True, group="signal")
    async def action_cancel(self) -> None:
        """Cancel its statement, after asking."""
        await self._signal("database.cancel")

    @work(exclusive=True, group="signal")
    async def action_terminate(self) -> None:
        """End the session, after asking."""
        await self._signal("database.terminate")

    async def _signal(self, operation: str) -> None:
        subject = self.subject
        if subject is None or self._has_no_process(subject):
            return
        if subject.backend_start is None:
            why = f"the console's role may not see when pid {subject.pid} began, so it might be another one by then"
            self.paned.tell_error(Conflict(why, hint="GRANT pg_monitor TO the role"))
            return
        parameters = {"pid": subject.pid, "backend_start": subject.backend_start.isoformat()}
        if await operate(self.paned, operation, parameters):
            self.reload()

    def _has_no_process(self, subject: Subject) -> bool:
        if subject.pid:
            return False
        name = clean(subject.gid, 60) or "unknown"
        why = f"prepared transaction {name} has no session"
        self.paned.tell_error(Conflict(why, hint="its owner ends it: ROLLBACK PREPARED; y copies the statement"))
        return True


def subject_of(session: Session) -> Subject:
    """Return whom a key is about."""
    return Subject(session.pid, session.backend_start, session.query)


def state_word(session: Session) -> str:
    """Return the state in one short word: active, idle, idle tx, aborted, hidden."""
    if session.is_hidden:
        return "hidden"
    return _STATES.get(session.state, session.state) or figures.DASH


def state_tone(session: Session) -> str:
    """Return the tone of a session: waiting for a lock and aborted warn, idle ones step back."""
    if session.wait_type == "Lock" or session.state == "idle in transaction (aborted)":
        return "warn"
    if session.is_hidden or session.state in ("idle", ""):
        return "dim"
    return "warn" if session.is_in_transaction and (session.transaction_s or 0) >= 60 else "ok"


def who(session: Session) -> str:
    """Return whose session it is: the application, or what kind of process."""
    if session.leader is not None and session.leader != session.pid:
        return f"worker of {session.leader}"
    if session.kind == "autovacuum worker":
        return "autovacuum"
    return session.application or (session.kind if session.is_worker else "")


def one_line(query: str) -> str:
    """Return a statement in one line, without lines that are only a comment."""
    return " ".join(_COMMENT.sub("", query).split())


def page_lines(detail: SessionDetail, subject: Subject, width: int) -> list[Content]:
    """Return everything about one session as lines of ``width`` cells."""
    session = detail.session
    if session is None or (subject.backend_start is not None and session.backend_start != subject.backend_start):
        lines = [Content.styled("This session has ended.", "bold")]
        if session is not None:
            lines.append(Content(f"Its number {subject.pid} belongs to another session now."))
        return [*lines, Content(""), Content("Its last known statement:"), *_text(subject.query)]
    facts = text_view.pairs(_facts(detail, session), width=width)
    shown = "hidden from the console's role" if session.is_hidden else session.query or "none yet"
    cut = [Content.styled("… the rest is longer than is shown here", "$dim")] if session.is_cut else []
    return [
        *facts,
        Content(""),
        Content.styled("Statement" if session.state == "active" else "Last statement", "bold"),
        *_text(shown),
        *cut,
        Content(""),
        Content.styled(f"Locks ({detail.locks_total})", "bold"),
        *(_lock(lock) for lock in detail.locks[:_LOCKS_SHOWN]),
        *_more(detail.locks_total - min(len(detail.locks), _LOCKS_SHOWN)),
    ]


def _text(query: str) -> list[Content]:
    return [Content(line) for line in clean(query, 100_000, one_line=False).split("\n")]


def _more(number: int) -> list[Content]:
    return [Content.styled(f"and {number} more", "$dim")] if number > 0 else []


def _lock(lock: Lock) -> Content:
    if lock.is_granted:
        return Content.assemble(("holds ", "$dim"), f"{lock.mode:<26} {lock.subject}")
    waited = f" for {figures.duration(lock.waited_s)}" if lock.waited_s is not None else ""
    return Content.assemble(("▲ wants ", "$warning"), f"{lock.mode} on {lock.subject}{waited}")


def _facts(detail: SessionDetail, session: Session) -> Iterator[tuple[str, str, str]]:
    """Yield label, value and style of what is known."""
    process = session.kind if session.is_worker else ""
    yield "session", f"pid {session.pid}" + (" · of a console" if session.is_own else ""), ""
    if process:
        yield "process", process + (f" of pid {session.leader}" if session.leader else ""), ""
    yield "user", f"{session.user or figures.DASH} in database {session.database or figures.DASH}", ""
    yield "application", " from ".join(part for part in (session.application, session.client) if part), ""
    if session.is_hidden:
        yield "state", "hidden from the console's role", "$dim"
    else:
        yield "state", f"{session.state or 'a process of the server'}{_for(session.state_s)}", ""
        yield "waits", session.wait or "for nothing", "$warning" if session.wait_type == "Lock" else ""
        yield (
            "statement",
            f"began {figures.ago(session.query_s)}" if session.query_s is not None else "none",
            "",
        )
        yield (
            "transaction",
            (
                f"open for {figures.duration(session.transaction_s)}"
                if session.transaction_s is not None
                else "none open"
            ),
            "",
        )
    if detail.waits_for:
        yield "waits for", _pids(detail.waits_for), "$warning"
    if detail.blocks:
        yield "blocks", _pids(detail.blocks), "$warning"


def _for(seconds: float | None) -> str:
    return "" if seconds is None else f" for {figures.duration(seconds)}"


def _pids(pids: Iterable[int]) -> str:
    return ", ".join(f"pid {pid}" if pid else "a prepared transaction" for pid in pids)
