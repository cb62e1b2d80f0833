"""Tables: how big, how dead, how long since a vacuum, how they are read; partitions are summed up and can be opened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

from textual import work
from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.model.objects import Table, TableDetail, Tables
from qsuite_console.screens.database.vacuuming import vacuum
from qsuite_console.screens.listing import Listing, ago, glyph, labelled, share, since
from qsuite_console.screens.operating import operate
from qsuite_console.widgets import figures
from qsuite_console.widgets.live_table import Cell, Column, Key, Row

_LATE: Final = 3.0  # dead rows as a multiple of what starts autovacuum
_FEW: Final = 1000  # dead rows that are nobody's trouble
_BIG: Final = 100 * 1024**2  # bloat below which the estimate is no reason to act
_BLOATED: Final = 0.3
_SEEN: Final = 10_000  # rows from which missing statistics matter
_OLD: Final = 1.5  # age as a multiple of what forces a vacuum
_SOON_S: Final = 1.5
_SOURCE: Final = "by the planner's statistics"


class TablesPane(Listing[Tables, Table]):
    """The tables of the database with what vacuum did for them."""

    NAME = "tables"
    TITLE = "Tables"
    PROBE = "database.tables"
    KIND = Tables
    PERIOD_S = 10.0
    EMPTY = "This database has no table\nqsuite-console db init makes the platform's"
    FILTER = "part of a table's name"
    SCOPE = "tables"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("tables")
    BINDING_GROUP_TITLE = commands.SCOPES["tables"]
    ORDERS: ClassVar[Mapping[str, str]] = {
        "size": "by size",
        "due": "by need of a vacuum",
        "dead": "by dead rows",
        "vacuum": "by time since a vacuum",
        "rows": "by rows",
        "scans": "by rows read in full scans",
        "age": "by age of transaction ids",
    }
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("glyph", "", 1, keep=90),
        Column("name", "Table", 24, is_flexible=True, keep=100),
        Column("size", "Size", 9, is_right=True, keep=85),
        Column("heap", "Heap", 9, is_right=True, keep=20, at_least=118),
        Column("index", "Indexes", 9, is_right=True, keep=21, at_least=108),
        Column("toast", "TOAST", 9, is_right=True, keep=15, at_least=134),
        Column("rows", "Rows", 6, is_right=True, keep=80),
        Column("dead", "Dead", 6, is_right=True, keep=75),
        Column("share", "Dead %", 6, is_right=True, keep=70),
        Column("bloat", "Bloat", 6, is_right=True, keep=50),
        Column("vacuum", "Vacuum", 6, is_right=True, keep=65),
        Column("analyze", "Analyze", 7, is_right=True, keep=30, at_least=100),
        Column("indexed", "Idx %", 6, is_right=True, keep=40, at_least=96),
        Column("scans", "Seq", 6, is_right=True, keep=25, at_least=112),
        Column("age", "XID age", 7, is_right=True, keep=10, at_least=126),
    )

    def __init__(self) -> None:
        super().__init__()
        self._opened: tuple[int, ...] = ()

    def parameters(self) -> Mapping[str, Any]:
        """Return order, filter and which roots are opened."""
        return {"order": self.order, "text": self.text, "expand": list(self._opened)}

    def entries(self, answer: Tables) -> Mapping[Key, Table]:
        """Return the tables, parts under their roots."""
        return {table.oid: table for table in answer.tables}

    def has_nothing(self, answer: Tables) -> bool:
        """Return whether the database has no table at all."""
        return not answer.tables and not self.text

    def head(self, answer: Tables, now: datetime) -> str:
        """Return how many there are, in which order, and how many stay out."""
        shown = sum(table.parent is None for table in answer.tables)
        more = answer.total - shown
        number = figures.plural(answer.total, "table")
        size = sum(table.bytes for table in answer.tables if table.parent is None)
        hidden = f" · {figures.count(more)} more: / finds them" if more > 0 else f" · {figures.size(size)}"
        counted = since(answer.since, now, answer.started_at)
        return f"{number} {self.ORDERS.get(answer.order, '')}{hidden} · counters {counted}"

    def row(self, table: Table) -> Row:
        """Return one line."""
        now = self.paned.now
        vacuumed = ago(table.vacuumed_at, now, never="never" if table.dead or table.live else "—")
        bloat = table.bloat_share
        return {
            "glyph": glyph(verdict(table, self._freeze_age)[0]),
            "name": self._label(table),
            "size": ("" if table.is_sized else "~") + figures.size(table.bytes),
            "heap": figures.size(table.heap_bytes),
            "index": figures.size(table.index_bytes),
            "toast": figures.size(table.toast_bytes),
            "rows": figures.short(max(table.live, table.est_rows)),
            "dead": figures.short(table.dead),
            "share": Cell(share(table.dead_share), "warn" if _is_late(table) else ""),
            "bloat": figures.DASH if bloat is None else Cell(f"≈{share(bloat)}", "warn" if _is_bloated(table) else ""),
            "vacuum": vacuumed,
            "analyze": ago(table.analyzed_at, now, never="never" if table.live else "—"),
            "indexed": share(table.index_share),
            "scans": figures.short(table.seq_scans),
            "age": figures.short(table.xid_age),
        }

    def _label(self, table: Table) -> str:
        if table.parent is not None:
            return f"  └ {table.name.removeprefix('public.')}"
        if table.kind != "p" and table.parts <= 1:
            return table.name.removeprefix("public.")
        mark = "▾" if table.oid in self._opened else "▸"
        return f"{mark} {table.name.removeprefix('public.')} ({figures.plural(table.parts, 'part')})"

    @property
    def _freeze_age(self) -> int:
        return 200_000_000 if self.answer is None else self.answer.freeze_max_age

    def foot(self, table: Table, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield what is wrong with it, then its sizes and how it is read."""
        tone, words = verdict(table, self._freeze_age)
        yield tone, f"{table.name}: {words}"
        parts = [f"heap {figures.size(table.heap_bytes)}", f"TOAST {figures.size(table.toast_bytes)}",
                 f"{figures.plural(table.indexes, 'index', 'indexes')} {figures.size(table.index_bytes)}"]  # fmt: skip
        if not table.is_sized:
            parts.append("estimated from page counts")
        if table.bloat_bytes is not None:
            parts.append(f"bloat ≈{figures.size(table.bloat_bytes)} {_SOURCE}")
        yield "dim", " · ".join(parts)
        hidden = self.answer.parts_hidden.get(str(table.oid)) if self.answer is not None else None
        if hidden:
            yield "dim", f"{figures.plural(hidden, 'smaller part')} not listed: / finds them by name"

    # keys

    def holds(self, condition: str) -> bool:
        """Return whether a command's ``when`` is true now."""
        entry = self.table.entry
        if condition == "parts":
            return entry is not None and (entry.parent is not None or entry.kind == "p" or entry.parts > 1)
        return super().holds(condition)

    def action_expand(self) -> None:
        """Open or close the parts of the table under the cursor."""
        entry = self.table.entry
        if entry is None:
            return
        root = entry.oid if entry.parent is None else entry.parent
        if root in self._opened:
            self._opened = tuple(oid for oid in self._opened if oid != root)
        else:
            self._opened = (*self._opened[-19:], root)
        self.filtered()

    def on_live_table_opened(self) -> None:
        """Show columns, indexes and options."""
        self._open_detail()

    @work(exclusive=True, group="table")
    async def _open_detail(self) -> None:
        entry = self.table.entry
        if entry is None:
            return
        answer = await self.paned.attempt(self.paned.control.ask("database.table", {"table": entry.oid}))
        if not isinstance(answer, TableDetail):
            return
        if not answer.name:
            self.paned.tell(f"{entry.name} is gone")
            return
        await self.read(answer.name, detail(answer, self.paned.now))

    @work(exclusive=True, group="table")
    async def action_vacuum(self, mode: str) -> None:
        """Vacuum or analyze the table under the cursor as a job, after asking."""
        entry = self.table.entry
        if entry is not None and await vacuum(self.paned, entry.name, mode):
            self.set_timer(_SOON_S, self.reload)  # most are done by then

    @work(exclusive=True, group="table")
    async def action_reset(self) -> None:
        """Forget the counters of the table under the cursor, after asking."""
        entry = self.table.entry
        if entry is not None and await operate(
            self.paned, "database.reset-statistics", {"what": "table", "name": entry.name}
        ):
            self.reload()


def verdict(table: Table, freeze_age: int) -> tuple[str, str]:
    """Return the worst there is to say of a table, with its tone."""
    if table.xid_age is not None and table.xid_age > _OLD * freeze_age:
        return "error", f"{figures.short(table.xid_age)} transactions old: freeze it (:run vacuum, freeze on)"
    if not table.is_vacuumed:
        return "error", "autovacuum is off for it: dead rows pile up until somebody vacuums"
    if _is_late(table):
        return "warn", f"vacuum is late: dead rows are {table.of_trigger:.1f} times what starts autovacuum"
    if _is_bloated(table):
        return "warn", f"about {share(table.bloat_share)} of it is empty space"
    if table.analyzed_at is None and table.live > _SEEN:
        return "warn", "never analyzed: the planner guesses"
    if table.of_trigger >= 1:
        return "ok", "due: autovacuum will come by"
    return "ok", "well kept"


def _is_late(table: Table) -> bool:
    return table.of_trigger > _LATE and table.dead > _FEW


def _is_bloated(table: Table) -> bool:
    waste = table.bloat_share
    return waste is not None and waste > _BLOATED and (table.bloat_bytes or 0) > _BIG


def detail(found: TableDetail, now: datetime) -> str:
    """Return a table with its columns, indexes and options, as plain text."""
    kinds = {"r": "table", "p": "partitioned table", "m": "materialised view"}
    last = {name: f"{figures.age((now - at).total_seconds())} ago" for name, at in found.last.items()}
    by = f"{found.vacuums[0]} by hand, {found.vacuums[1]} by autovacuum"
    analyzed = f"{found.analyzes[0]} by hand, {found.analyzes[1]} by autovacuum"
    hot = found.hot_updated / found.updated if found.updated else None
    written = f"{figures.short(found.inserted)} inserted, {figures.short(found.updated)} updated"
    written += f" ({share(hot)} HOT), {figures.short(found.deleted)} deleted"
    facts = labelled(
        (
            ("kind", kinds.get(found.kind, found.kind) + (", unlogged" if found.persistence == "u" else "")),
            ("owner", found.owner),
            ("partitioned by", found.partition_key),
            ("bounds", found.bound),
            ("options", ", ".join(found.options) or "the server's defaults"),
            ("written", f"{written}; counters {since(found.since, now)}"),
            ("hit rate", share(found.hit_share)),
            (
                "vacuums",
                by + "".join(f"; last {name} {last[name]}" for name in ("vacuum", "autovacuum") if name in last),
            ),
            ("analyzes", analyzed + "".join(f"; last {n} {last[n]}" for n in ("analyze", "autoanalyze") if n in last)),
        )
    )
    return "\n\n".join((facts, _columns(found), _indexes(found), *_constraints(found)))


def _columns(found: TableDetail) -> str:
    width = max((len(column.name) for column in found.columns), default=4)
    kinds = max((len(column.type) for column in found.columns), default=4)
    lines = [f"{'COLUMN':<{width}}  {'TYPE':<{kinds}}  {'NULLS':>6}  {'DISTINCT':>8}  WIDTH"]
    for column in found.columns:
        nulls = "never" if column.is_required else share(column.null_share)
        distinct = figures.DASH if column.distinct is None else _distinct(column.distinct)
        size = figures.DASH if column.width is None else f"{column.width} B"
        default = f"  default {column.default}" if column.default else ""
        lines.append(f"{column.name:<{width}}  {column.type:<{kinds}}  {nulls:>6}  {distinct:>8}  {size:>5}{default}")
    if found.columns_hidden:
        lines.append(f"and {found.columns_hidden} more")
    return "\n".join(lines)


def _distinct(value: float) -> str:
    """Return pg_stats' n_distinct in words: -1 is unique, -0.5 half as many values as rows."""
    if value >= 0:
        return figures.short(value)
    return "unique" if value == -1 else f"{share(-value)} of rows".replace(" %", "%")


def _indexes(found: TableDetail) -> str:
    if not found.indexes:
        return "no index"
    lines = ["INDEXES"]
    for index in found.indexes:
        broken = "" if index.is_valid else "  ✖ invalid"
        lines.append(f"{index.name}  {figures.size(index.bytes)}, {figures.plural(index.scans, 'scan')}{broken}")
        lines.append(f"    {index.definition}")
    return "\n".join(lines)


def _constraints(found: TableDetail) -> Iterable[str]:
    if found.constraints:
        yield "CONSTRAINTS\n" + "\n".join(found.constraints)
