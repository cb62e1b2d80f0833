"""Indexes: the broken, the redundant, the unused, and where one seems to be missing; the reasons stand below."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from textual import work
from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.model.objects import Index, Indexes, Missing, Wanted
from qsuite_console.screens.database.submitting import submit
from qsuite_console.screens.listing import Listing, ago, glyph, labelled, since
from qsuite_console.screens.operating import operate
from qsuite_console.widgets import figures
from qsuite_console.widgets.live_table import Cell, Column, Key, Row

Entry = Index | Missing | Wanted
_TELLING: Final = timedelta(days=7)  # of counting, before a lack of scans means anything
_BIG: Final = 10 * 1024**2  # below that an index costs little
_SOON_S: Final = 2.0
_MEANS: Final[Mapping[str, tuple[str, ...]]] = {
    "repair": ("Makes it anew, or drops it if it is only what a rebuild left.",),
    "drop": ("To have it back it must be built again.",),
}


class IndexesPane(Listing[Indexes, Entry]):
    """The indexes of the database, the troubled first."""

    NAME = "indexes"
    TITLE = "Indexes"
    PROBE = "database.indexes"
    KIND = Indexes
    PERIOD_S = 15.0
    EMPTY = "This database has no index"
    FILTER = "part of the name of an index or its table"
    SCOPE = "indexes"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("indexes")
    BINDING_GROUP_TITLE = commands.SCOPES["indexes"]
    ORDERS: ClassVar[Mapping[str, str]] = {
        "trouble": "by trouble",
        "size": "by size",
        "scans": "by scans",
        "idle": "least used first",
        "writes": "by writes to its table",
    }
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("glyph", "", 1, keep=90),
        Column("name", "Index", 24, is_flexible=True, keep=100),
        Column("relation", "Table", 26, keep=30, at_least=140),
        Column("verdict", "Verdict", 20, keep=88, narrow=18),
        Column("size", "Size", 9, is_right=True, keep=85),
        Column("scans", "Scans", 6, is_right=True, keep=80),
        Column("used", "Used", 6, is_right=True, keep=40, at_least=96),
        Column("writes", "Writes", 6, is_right=True, keep=35),
        Column("method", "Method", 7, keep=10, at_least=130),
    )

    def __init__(self) -> None:
        super().__init__()
        self._is_troubled = False

    def parameters(self) -> Mapping[str, Any]:
        """Return order, filter and whether only the troubled are wanted."""
        return {"order": self.order, "text": self.text, "troubled": self._is_troubled}

    def entries(self, answer: Indexes) -> Mapping[Key, Entry]:
        """Return broken ones first, then what is missing, then the others, where trouble is the order."""
        listed: dict[Key, Entry] = {index.oid: index for index in answer.indexes}
        missing: dict[Key, Entry] = {f"wanted {one.name}": one for one in answer.wanted if is_lacking(one)}
        missing |= {f"{one.kind} {one.oid} {one.subject}": one for one in answer.missing}
        if answer.order != "trouble":
            return {**listed, **missing}
        broken = {key: one for key, one in listed.items() if isinstance(one, Index) and "invalid" in one.verdicts}
        return {**broken, **missing, **listed}

    def has_nothing(self, answer: Indexes) -> bool:
        """Return whether there is no index and no suspicion."""
        return not answer.indexes and not answer.missing and not self.text and not self._is_troubled

    def head(self, answer: Indexes, now: datetime) -> str:
        """Return how many, in which order, since when scans are counted."""
        more = answer.total - len(answer.indexes)
        what = "troubled index" if self._is_troubled else "index"
        number = figures.plural(answer.total, what, f"{what}es")
        hidden = f" · {figures.count(more)} more: / finds them" if more > 0 else ""
        lacking = sum(is_lacking(one) for one in answer.wanted)
        hidden += f" · {lacking} of {len(answer.wanted)} recommended missing" if lacking else ""
        suspects = f" · {answer.missing_total} may be missing" if answer.missing_total else ""
        place = "of this standby" if answer.is_standby else "here, not on standbys"
        counted = f"scans {place} {since(answer.since, now, answer.started_at)}"
        return f"{number} {self.ORDERS.get(answer.order, '')}{hidden}{suspects} · {counted}"

    def row(self, entry: Entry) -> Row:
        """Return one line."""
        if isinstance(entry, Wanted):
            verdict = Cell("missing" if entry.state == "missing" else "name taken", "warn")
            return {"glyph": glyph("warn"), "name": entry.name, "relation": entry.relation.removeprefix("public."),
                    "verdict": verdict, "size": figures.DASH, "scans": figures.DASH, "used": figures.DASH,
                    "writes": figures.DASH}  # fmt: skip
        if isinstance(entry, Missing):
            name = entry.relation.removeprefix("public.")
            verdict = Cell(f"missing? {entry.kind}", "warn")
            return {"glyph": glyph("warn"), "name": name, "relation": name, "verdict": verdict, "size": figures.DASH,
                    "scans": figures.DASH, "used": figures.DASH, "writes": figures.DASH}  # fmt: skip
        tone = _tone(entry, self.answer, self.paned.now)
        parts = f" ({figures.plural(entry.parts, 'part')})" if entry.parts > 1 else ""
        used = ago(entry.scanned_at, self.paned.now, never=figures.DASH)
        return {
            "glyph": glyph(tone),
            "name": entry.name.removeprefix("public.") + parts,
            "relation": entry.relation.removeprefix("public."),
            "verdict": Cell(", ".join(entry.verdicts) or _role(entry), tone if entry.verdicts else "dim"),
            "size": ("" if entry.is_sized else "~") + figures.size(entry.bytes),
            "scans": figures.short(entry.scans),
            "used": used,
            "writes": figures.short(entry.writes),
            "method": entry.method,
        }

    def foot(self, entry: Entry, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield why it stands there and how it is made."""
        if isinstance(entry, Wanted):
            yield "warn", f"{entry.relation}: recommended, {lack(entry)}; {entry.why}"
            yield "dim", entry.statement
            return
        if isinstance(entry, Missing):
            yield "warn", f"{entry.relation}: {', '.join(entry.evidence)}"
            yield "dim", entry.fix or entry.subject
            return
        answer = self.answer
        found = list(reasons(entry, answer, now))
        yield found[0][0], f"{entry.relation}: {found[0][1]}"
        yield from found[1:]
        yield from (("dim", f"recommended: {one.why}") for one in serving(entry, answer))
        yield "dim", entry.definition

    # keys

    def action_troubled(self) -> None:
        """List only those with a verdict, or all again."""
        self._is_troubled = not self._is_troubled
        self.table.action_edge(0)
        self.filtered()
        self.paned.tell("Only indexes in trouble" if self._is_troubled else "All indexes")

    def on_live_table_opened(self) -> None:
        """Show what there is to know of it, with the statement that mends it."""
        self._open_detail()

    @work(exclusive=True, group="index")
    async def _open_detail(self) -> None:
        entry = self.table.entry
        if entry is not None and self.answer is not None:
            name = entry.relation if isinstance(entry, Missing) else entry.name
            await self.read(name, detail(entry, self.answer, self.paned.now))

    def holds(self, condition: str) -> bool:
        """Return whether a command's ``when`` is true now."""
        entry = self.table.entry
        if condition == "recommended":
            return isinstance(entry, Wanted) and entry.state == "missing"
        if condition == "index":
            return isinstance(entry, Index) and "building" not in entry.verdicts
        if condition == "droppable":
            return isinstance(entry, Index) and not (entry.is_constraint or entry.is_primary)
        return super().holds(condition)

    @work(exclusive=True, group="index")
    async def action_care(self, action: str) -> None:
        """Build, rebuild or drop what is under the cursor as a job, after asking."""
        entry = self.table.entry
        if entry is None or isinstance(entry, Missing):
            return
        if action == "rebuild" and isinstance(entry, Index) and "invalid" in entry.verdicts:
            action = "repair"
        title, will = f"{action.capitalize()} {entry.name}?", f"will {action} {entry.name}"
        parameters = {"action": action, "which": entry.name}
        if await submit(self.paned, "indexes", parameters, title=title, means=_MEANS.get(action, ()), will=will):
            self.set_timer(_SOON_S, self.reload)  # many are done by then

    @work(exclusive=True, group="index")
    async def action_reset(self) -> None:
        """Forget the counters of the database, after asking."""
        if await operate(self.paned, "database.reset-statistics", {"what": "database"}):
            self.reload()


def is_lacking(one: Wanted) -> bool:
    """Return whether a recommended index stands in the list for itself; a broken one is there as an index."""
    return one.state in ("missing", "different")


def serving(index: Index, answer: Indexes | None) -> list[Wanted]:
    """Return the recommended indexes that this one is, or stands in for."""
    wanted = () if answer is None else answer.wanted
    return [one for one in wanted if one.existing_oid == index.oid and one.state == "present"]


def lack(one: Wanted) -> str:
    """Return how a recommended index is lacking."""
    return "missing" if one.state == "missing" else f"but {one.existing} has its name and does something else"


def _tone(index: Index, answer: Indexes | None, now: datetime) -> str:
    """Return how bad it is; to be unused for a short time, or small, is no trouble yet."""
    if "invalid" in index.verdicts:
        return "error"
    if any(verdict not in ("unused", "building") for verdict in index.verdicts):
        return "warn"
    if "unused" not in index.verdicts:
        return "ok"
    counted = None if answer is None else answer.since or answer.started_at
    is_telling = counted is not None and now - counted >= _TELLING and index.bytes >= _BIG
    return "warn" if is_telling else "dim"


def _role(index: Index) -> str:
    if index.is_primary:
        return "primary key"
    if index.is_constraint:
        return "constraint"
    return "unique" if index.is_unique else "used"


def reasons(index: Index, answer: Indexes | None, now: datetime) -> Iterable[tuple[str, str]]:
    """Yield what speaks for each verdict, with its tone."""
    for word in index.verdicts:
        if word == "invalid":
            yield "error", "invalid: its build failed; it is written to and never read"
        elif word == "building":
            yield "ok", "is being built just now"
        elif word == "unused":
            counted = None if answer is None else answer.since or answer.started_at
            age = "" if counted is None else f" in {figures.age((now - counted).total_seconds())} of counting"
            tone = _tone(index, answer, now)
            early = "; too early to tell" if tone == "dim" and index.bytes >= _BIG else ""
            yield "warn" if tone == "warn" else "dim", f"no scan here{age}{early}; a standby may read it"
        else:
            yield "warn", f"{word}: {index.covered_by} can do the same"
    if not index.verdicts:
        yield "ok", f"{figures.plural(index.scans, 'scan')}, {figures.count(index.entries)} entries read"


def fix(index: Index) -> str:
    """Return the statement that mends it, "" when there is nothing to mend."""
    if index.parts > 1 or "building" in index.verdicts or not index.verdicts:
        return f"DROP INDEX {index.name};" if index.parts > 1 and index.verdicts else ""
    return f"DROP INDEX CONCURRENTLY {index.name};"


def detail(entry: Entry, answer: Indexes, now: datetime) -> str:
    """Return an index, or a suspicion, as plain text."""
    if isinstance(entry, Wanted):
        size = f"{figures.count(entry.rows)} rows, {figures.size(entry.bytes)}"
        facts = labelled((("table", entry.relation), ("holds", size), ("recommended", lack(entry)), ("why", entry.why)))
        return "\n\n".join([facts, "To build it press b, or type:", entry.statement, "It serves:", entry.question])
    if isinstance(entry, Missing):
        kind = "A foreign key without an index" if entry.kind == "foreign key" else "Read from end to end"
        lines = [f"{kind}: {entry.relation}", "", *entry.evidence, "", entry.subject]
        return "\n".join([*lines, "", entry.fix] if entry.fix else lines)
    facts = labelled(
        (
            ("table", entry.relation),
            ("size", figures.size(entry.bytes) + ("" if entry.is_sized else " (from page counts)")),
            ("method", entry.method),
            ("serves as", _role(entry) if entry.is_unique else ""),
            ("parts", entry.parts if entry.parts > 1 else ""),
            ("scans", f"{figures.count(entry.scans)} here, counters {since(answer.since, now, answer.started_at)}"),
            ("last scan", f"{ago(entry.scanned_at, now)} ago" if entry.scanned_at else ""),
            ("entries read", figures.count(entry.entries)),
            ("rows written", f"{figures.count(entry.writes)} inserted or updated in its table"),
        )
    )
    found = [f"{text}" for _, text in reasons(entry, answer, now)]
    found += [f"recommended: {one.why}" for one in serving(entry, answer)]
    mended = fix(entry)
    steps = (
        ["To drop it, after a look at the standbys too (nothing else of the table is touched):", mended]
        if mended
        else []
    )
    return "\n\n".join([facts, "\n".join(found), entry.definition, *(["\n".join(steps)] if steps else [])])
