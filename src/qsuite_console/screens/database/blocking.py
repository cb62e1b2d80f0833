"""Who waits for whom, as a tree: at the top the root, which is what to act on; below it those behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import ClassVar, Final

from qsuite_console.model.activity import Blocking, Session
from qsuite_console.model.blocking import Member, Node, tree
from qsuite_console.screens.database.sessions import SessionListing, Subject, one_line, state_word, subject_of, who
from qsuite_console.widgets import figures
from qsuite_console.widgets.live_table import Cell, Column, Key, Row

DEEPEST: Final = 4  # levels drawn as branches: the name must stay in sight


class BlockingPane(SessionListing[Blocking, Node]):
    """The tree; made anew of each answer."""

    NAME = "blocking"
    TITLE = "Blocking"
    PROBE = "database.blocking"
    KIND = Blocking
    PERIOD_S = 2.0
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("role", "", 8, keep=100),
        Column("session", "SESSION", 30, narrow=24, keep=100),
        Column("waits", "WAITS", 8, is_right=True, keep=95),
        Column("transaction", "TRANS", 8, is_right=True, keep=85),
        Column("state", "STATE", 8, keep=80),
        Column("user", "USER", 12, keep=20, at_least=130),
        Column("lock", "WAITS FOR", 28, keep=60, at_least=100),
        Column("query", "STATEMENT", 14, is_flexible=True, keep=100),
    )

    def __init__(self) -> None:
        super().__init__()
        self._made: tuple[Blocking, tuple[Node, ...]] | None = None

    def subject_of(self, entry: Node) -> Subject:
        """Return the session of a line, or the prepared transaction."""
        if entry.session is not None:
            return subject_of(entry.session)
        return Subject(entry.member.pid, gid=entry.member.gid)

    def nodes(self, answer: Blocking) -> tuple[Node, ...]:
        """Return the lines of an answer, made once."""
        if self._made is None or self._made[0] is not answer:
            self._made = (answer, tree(answer))
        return self._made[1]

    def show_answer(self, answer: Blocking, now: datetime) -> None:
        """Show the tree, or since when nobody waits."""
        super().show_answer(answer, now)
        self.table.empty = nobody(answer, now)
        self._foot.display = bool(answer.edges) and self._opened is None

    def entries(self, answer: Blocking) -> Mapping[Key, Node]:
        """Return the lines from top to bottom."""
        return {_key(node): node for node in self.nodes(answer)}

    def head(self, answer: Blocking, now: datetime) -> str:
        """Return how many wait, behind whom, and how long the longest."""
        nodes = self.nodes(answer)
        if not nodes:
            return "Nobody waits for a lock"
        roots = [node for node in nodes if node.is_root]
        waits = [wait.lock.waited_s for wait in answer.waits if wait.lock.waited_s is not None]
        parts = [f"{figures.plural(answer.waiters, 'session waits', 'sessions wait')} for a lock"]
        if roots:
            names = ", ".join(_name(node.member) for node in roots[:3]) + (" …" if len(roots) > 3 else "")
            parts.append(f"{figures.plural(len(roots), 'root')}: {names}")
        if any(node.is_cycle for node in nodes):
            parts.append("a deadlock is being resolved")
        if waits:
            parts.append(f"longest wait {figures.duration(max(waits))}")
        return " · ".join(parts)

    def row(self, node: Node) -> Row:
        """Return one line."""
        session = node.session
        plain = "dim" if node.is_repeat else ""
        age = session.transaction_s if session is not None else node.prepared.age_s if node.prepared else None
        return {
            "role": _role(node),
            "session": Cell(_guide(node) + _named(node), "bold" if node.is_root else plain),
            "waits": Cell(_waited(node), plain),
            "transaction": Cell(figures.duration(age), plain),
            "state": Cell(_state(node), plain),
            "user": Cell(session.user if session is not None else node.prepared.owner if node.prepared else "", plain),
            "lock": Cell(_wanted(node), plain),
            "query": Cell(_statement(session, node), plain),
        }

    def foot(self, node: Node, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield what its place in the tree means, and its statement."""
        yield from _meaning(node, self.answer)
        if node.session is not None and node.session.query:
            yield "text", one_line(node.session.query)


def nobody(answer: Blocking, now: datetime) -> str:
    """Return since when nobody has been found waiting, and how often it was looked."""
    if answer.clear_since is None or answer.looks <= 1:
        return "Nobody waits for a lock\nThis is the first look; it is looked at again every 2 s while this is shown"
    since = figures.duration(max(0.0, (now - answer.clear_since).total_seconds()))
    return f"Nobody waits for a lock\nand nobody has in the last {since}: {answer.looks} looks, one every 2 s"


def _key(node: Node) -> str:
    again = f" under {node.parent.pid} {node.parent.gid}" if node.is_repeat and node.parent is not None else ""
    return f"{node.member.pid} {node.member.gid}{again}"


def _name(member: Member) -> str:
    if not member.is_prepared:
        return f"pid {member.pid}"
    return f"prepared transaction {member.gid or '(not to be named)'}"


def _guide(node: Node) -> str:
    """Return the branches before a line; far down, a number stands for those above."""
    if not node.lasts:
        return ""
    if node.depth > DEEPEST:
        return f"{'   ' * (DEEPEST - 2)}⋯{node.depth} " + ("└─ " if node.lasts[-1] else "├─ ")
    return "".join("   " if last else "│  " for last in node.lasts[:-1]) + ("└─ " if node.lasts[-1] else "├─ ")


def _named(node: Node) -> str:
    if node.member.is_prepared:
        return f"prepared {node.member.gid}"
    name = who(node.session) if node.session is not None else ""
    return f"{node.member.pid} {name}".rstrip()


def _role(node: Node) -> Cell:
    if node.is_repeat:
        return Cell("see above", "dim")
    if node.is_root:
        return Cell("◆ ROOT", "error")
    return Cell("↻ cycle", "error") if node.is_cycle else Cell("▲ waits", "warn")


def _waited(node: Node) -> str:
    if node.wait is None:
        return figures.DASH
    if node.wait.lock.waited_s is not None:
        return figures.duration(node.wait.lock.waited_s)
    if node.session is not None and node.session.query_s is not None:
        return f"≤{figures.duration(node.session.query_s)}"  # before 14 the server tells only when the statement began
    return figures.DASH


def _state(node: Node) -> str:
    if node.member.is_prepared:
        return "prepared"
    return "ended" if node.session is None else state_word(node.session)


def _wanted(node: Node) -> str:
    if node.wait is None:
        return f"nobody; frees {node.frees}" if node.frees else "nobody"
    return f"{node.wait.lock.subject} ({node.wait.lock.mode.removesuffix('Lock')})"


def _statement(session: Session | None, node: Node) -> str:
    if session is None:
        return figures.DASH
    if session.is_hidden:
        return "not shown to the console's role"
    return one_line(session.query) or figures.DASH


def _meaning(node: Node, answer: Blocking | None) -> Iterable[tuple[str, str]]:
    """Yield what to know before acting on it."""
    if node.is_repeat:
        yield "dim", f"{_name(node.member)} also waits for {_name(node.parent) if node.parent else 'somebody'}"
        return
    if node.is_root:
        yield "error", f"root: {_behind(node)}{_advice(node)}"
        return
    if node.is_cycle:
        seconds = figures.duration(answer.deadlock_s if answer is not None else None)
        yield "error", f"it waits for itself over others: the server ends one of them after {seconds} of waiting"
    others = [_name(member) for member in node.also]
    hidden = (node.wait.holders if node.wait is not None else 0) - len(others) - 1
    more = f" and {hidden} more" if hidden > 0 else ""
    also = f"; it also waits for {', '.join(others[:4])}{more}" if others else ""
    lock = f"wants {node.wait.lock.mode} on {node.wait.lock.subject}" if node.wait is not None else "waits"
    yield "warn", f"{lock}{also}{f'; {_behind(node)}' if node.behind else ''}"


def _behind(node: Node) -> str:
    waiting = figures.plural(node.behind, "session waits", "sessions wait")
    if node.frees == node.behind:
        return f"{waiting} behind it"
    return f"{waiting} behind it, {node.frees} of them for it alone"


def _advice(node: Node) -> str:
    """Return what can be done about a root."""
    session = node.session
    if node.member.is_prepared:
        return "; it is prepared and waits for COMMIT PREPARED or ROLLBACK PREPARED (y copies that)"
    if session is None:
        return "; its session has just ended"
    if session.is_hidden:
        return "; what it does is hidden from the console's role"
    if session.is_in_transaction:
        idle = figures.duration(session.state_s)
        return f"; idle in its transaction for {idle}: only its client can go on, K ends the session"
    return "; C cancels its statement, K ends the session"
