"""The costliest statements: which of them takes the time, whether it is the calls or the call, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

from textual import work
from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.model.activity import Explained
from qsuite_console.model.statements import Counters, Statement, Statements, StatementText
from qsuite_console.screens.listing import Listing, glyph, labelled, milliseconds, share, since
from qsuite_console.screens.operating import operate
from qsuite_console.widgets import figures
from qsuite_console.widgets.live_table import Column, Key, Row

_HEAVY: Final = 0.25  # share of all time from which a statement is worth a look
_COLD: Final = 0.9  # hit rate below which a statement that reads much is told apart
_MUCH: Final = 1000.0  # pages


class StatementsPane(Listing[Statements, Statement]):
    """pg_stat_statements, since its statistics began or over the last half minute."""

    NAME = "statements"
    TITLE = "Statements"
    PROBE = "database.statements"
    KIND = Statements
    PERIOD_S = 5.0
    EMPTY = "No statement has been counted yet"
    FILTER = "words of the statement or its role"
    SCOPE = "statements"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("statements")
    BINDING_GROUP_TITLE = commands.SCOPES["statements"]
    ORDERS: ClassVar[Mapping[str, str]] = {
        "time": "by time in all",
        "mean": "by time of a call",
        "calls": "by calls",
        "rows": "by rows",
        "reads": "by pages read",
        "temp": "by temporary files",
        "wal": "by WAL",
    }
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("glyph", "", 1, keep=90),
        Column("share", "Share", 6, is_right=True, keep=80),
        Column("time", "Time", 8, is_right=True, keep=85),
        Column("mean", "Mean", 8, is_right=True, keep=84),
        Column("calls", "Calls", 6, is_right=True, keep=83),
        Column("rate", "Calls/s", 7, is_right=True, keep=20, at_least=96),
        Column("rows", "Rows", 6, is_right=True, keep=30, at_least=96),
        Column("hit", "Hit", 6, is_right=True, keep=60),
        Column("reads", "Read", 8, is_right=True, keep=25, at_least=110),
        Column("temp", "Temp", 8, is_right=True, keep=24, at_least=120),
        Column("wal", "WAL", 8, is_right=True, keep=23, at_least=130),
        Column("role", "Role", 12, keep=10, at_least=150),
        Column("query", "Statement", 20, is_flexible=True, keep=100),
    )

    def __init__(self) -> None:
        super().__init__()
        self._is_recent = False

    def parameters(self) -> Mapping[str, Any]:
        """Return order, window and filter."""
        return {"order": self.order, "recent": self._is_recent, "text": self.text}

    def entries(self, answer: Statements) -> Mapping[Key, Statement]:
        """Return the statements by their keys."""
        return {statement.key: statement for statement in answer.statements}

    def has_nothing(self, answer: Statements) -> bool:
        """Return whether none could be read or none was counted."""
        return not answer.statements and not self.text and not answer.is_recent

    def head(self, answer: Statements, now: datetime) -> str:
        """Return how many, over which time, and whether the server had to forget some."""
        shown = len(answer.statements)
        number = figures.plural(answer.total, "statement")
        if shown < answer.total:
            number = f"{shown} of {number}"
        order = self.ORDERS.get(answer.order, "")
        seconds = f"{answer.interval_s:.0f} s" if answer.interval_s else "seconds (looking)"
        window = f"last {seconds}" if answer.is_recent else f"all, {since(answer.since, now)}"
        lost = f" · {figures.count(answer.evicted)} evicted" if answer.evicted else ""
        return f"{number} {order} · {window}{lost} · t: {'all' if answer.is_recent else 'recent'}"

    def _counted(self, statement: Statement) -> Counters:
        recent = self.answer is not None and self.answer.is_recent
        return statement.recent or Counters() if recent else statement.all

    @property
    def _block(self) -> int:
        return 8192 if self.answer is None else self.answer.block_size

    def row(self, statement: Statement) -> Row:
        """Return one line."""
        counted, recent = self._counted(statement), statement.recent
        interval = None if self.answer is None else self.answer.interval_s
        is_recent = self.answer is not None and self.answer.is_recent
        part = statement.recent_share if is_recent else statement.share
        return {
            "glyph": glyph(_tone(counted, part)),
            "share": share(part),
            "time": milliseconds(counted.total_ms),
            "mean": milliseconds(counted.mean_ms),
            "calls": figures.short(counted.calls),
            "rate": figures.DASH if recent is None or not interval else figures.rate(recent.calls / interval),
            "rows": figures.short(counted.rows),
            "hit": share(counted.hit_share),
            "reads": figures.size(counted.read * self._block),
            "temp": figures.size(counted.temp * self._block),
            "wal": figures.size(counted.wal),
            "role": statement.role,
            "query": statement.query,
        }

    def foot(self, statement: Statement, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield the statement at length and what stands out."""
        yield "text", statement.query
        counted = self._counted(statement)
        yield "dim", " · ".join(_facts(counted, statement, self._block))

    # keys

    def action_window(self) -> None:
        """Change between all that was counted and the last half minute."""
        self._is_recent = not self._is_recent
        self.table.action_edge(0)
        self.filtered()

    def on_live_table_opened(self) -> None:
        """Show the whole statement."""
        self._open_detail()

    @work(exclusive=True, group="statement")
    async def _open_detail(self) -> None:
        found = await self._whole()
        if found is not None and found.statement is not None:
            await self.read("Statement", detail(found, self.paned.now))

    async def _whole(self) -> StatementText | None:
        """Return the statement under the cursor with its whole text; tells why there is none."""
        statement = self.table.entry
        if statement is None:
            return None
        answer = await self.paned.attempt(self.paned.control.ask("database.statement", {"key": statement.key}))
        if not isinstance(answer, StatementText):
            return None
        if answer.statement is None:
            self.paned.tell("The server has forgotten this statement since")
        return answer

    @work(exclusive=True, group="statement")
    async def action_explain(self) -> None:
        """Show the plan the server would choose, without running the statement."""
        found = await self._whole()
        if found is None or found.statement is None:
            return
        if not found.statement.query_id:
            self.paned.tell("The text of this statement may not be seen: the role lacks pg_read_all_stats")
            return
        if found.is_cut:
            self.paned.tell("This statement is too long to be explained from here")
            return
        answer = await self.paned.attempt(self.paned.control.ask("database.explain", {"query": found.text}))
        if isinstance(answer, Explained):
            await self.read("Plan", explained(answer))

    @work(exclusive=True, group="statement")
    async def action_reset(self) -> None:
        """Forget what was counted, after asking."""
        if await operate(self.paned, "database.reset-statistics", {"what": "statements"}):
            self.reload()


def _tone(counted: Counters, part: float | None) -> str:
    hit = counted.hit_share
    if part is not None and part >= _HEAVY:
        return "warn"
    return "warn" if counted.temp > _MUCH or (hit is not None and hit < _COLD and counted.read > _MUCH) else "ok"


def _facts(counted: Counters, statement: Statement, block: int) -> Iterable[str]:
    yield f"role {statement.role}"
    yield f"slowest call {milliseconds(statement.max_ms)}"
    if counted.calls:
        yield f"{figures.short(counted.rows / counted.calls)} rows a call"
    if counted.total_ms and counted.io_ms:
        yield f"{share(min(1.0, counted.io_ms / counted.total_ms))} of the time in I/O"
    if counted.temp:
        yield f"▲ {figures.size(counted.temp * block)} of temporary files"
    if counted.jit_ms:
        yield f"{milliseconds(counted.jit_ms)} in JIT"
    if not statement.is_top_level:
        yield "inside a function"


def detail(found: StatementText, now: datetime) -> str:
    """Return a statement with all its figures, as plain text."""
    statement = found.statement
    assert statement is not None
    columns = [("all", statement.all)]
    if statement.recent is not None and found.interval_s:
        columns.append((f"last {found.interval_s:.0f} s", statement.recent))
    lines = [f"{'':<22}" + "".join(f"{name:>16}" for name, _ in columns)]
    for label, show in _LINES:
        lines.append(f"{label:<22}" + "".join(f"{show(counted, found.block_size):>16}" for _, counted in columns))
    about = labelled(
        (
            ("role", statement.role),
            ("slowest call", milliseconds(statement.max_ms)),
            ("share of all time", share(statement.share)),
            ("counted", since(found.since, now)),
            ("query id", statement.query_id),
        )
    )
    cut = "\n… the rest is longer than is shown here" if found.is_cut else ""
    return "\n".join(lines) + f"\n\n{about}\n\n{found.text}{cut}"


_LINES: Final[tuple[tuple[str, Callable[[Counters, int], str]], ...]] = (
    ("calls", lambda c, _: figures.count(c.calls)),
    ("time", lambda c, _: milliseconds(c.total_ms)),
    ("time of a call", lambda c, _: milliseconds(c.mean_ms)),
    ("time in planning", lambda c, _: milliseconds(c.plan_ms or None)),
    ("time in I/O", lambda c, _: milliseconds(c.io_ms or None)),
    ("time in JIT", lambda c, _: milliseconds(c.jit_ms or None)),
    ("rows", lambda c, _: figures.count(c.rows)),
    ("pages found in memory", lambda c, block: figures.size(c.hit * block)),
    ("pages read", lambda c, block: figures.size(c.read * block)),
    ("hit rate", lambda c, _: share(c.hit_share)),
    ("temporary files", lambda c, block: figures.size(c.temp * block)),
    ("WAL", lambda c, _: figures.size(c.wal)),
)


def explained(answer: Explained) -> str:
    """Return a plan, or why there is none, as plain text."""
    if answer.refusal:
        return f"No plan: {answer.refusal}" + (f"\n{answer.hint}" if answer.hint else "") + f"\n\n{answer.query}"
    notes = "".join(f"{note}\n" for note in answer.notes)
    return f"{notes}\n" * bool(notes) + "\n".join(answer.plan) + f"\n\n{answer.query}"
