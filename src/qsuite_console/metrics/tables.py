"""What tables hold and how vacuum keeps up with them; the listing stays cheap however many there are.

Up to a few hundred relations all sizes are measured. Beyond, the planner's page counts decide who is listed, and only
what is listed is measured; what is locked exclusively keeps its estimate, so that a panel never waits for a lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec.structs import replace

from qsuite_console.db.errors import DatabaseBusy
from qsuite_console.db.panels import Look, Rows
from qsuite_console.engine.parameters import decode
from qsuite_console.model.objects import ColumnFacts, IndexFacts, Table, TableDetail, Tables
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.workers import Services

MEASURED: Final = 500  # relations up to which every size is asked for
_PARTS, _COLUMNS = 100, 300
_COPIED: Final = (
    "parts",
    "indexes",
    "is_sized",
    "heap_bytes",
    "toast_bytes",
    "index_bytes",
    "est_rows",
    "live",
    "dead",
    "modified",
    "trigger",
    "of_trigger",
    "is_vacuumed",
    "seq_scans",
    "seq_rows",
    "idx_scans",
    "vacuumed_at",
    "analyzed_at",
    "xid_age",
    "mxid_age",
)
Order = Literal["size", "dead", "due", "rows", "scans", "age", "vacuum"]


class TablesParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which tables: the first by ``order`` whose name has ``text`` in it; ``expand`` lists the parts of these roots."""

    order: Order = "size"
    text: Annotated[str, msgspec.Meta(max_length=80)] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 200
    expand: tuple[int, ...] = ()


class TableParameters(msgspec.Struct, frozen=True, kw_only=True):
    """One table by its oid."""

    table: Annotated[int, msgspec.Meta(ge=1, le=4_294_967_295)]


class TablesProbe:
    """Answers ``database.tables``."""

    name = "database.tables"
    timeout_s = 6.0

    def __init__(self, services: Services) -> None:
        self._panels = services.panels

    async def ask(self, parameters: Mapping[str, Any]) -> Tables:
        """Return the tables; raises DatabaseError, InvalidParameters."""
        wanted: TablesParameters = decode(TablesParameters, parameters)
        look = self._panels.begin(self.timeout_s - 0.5)
        settings = (await look.rows("tables_settings"))[0]
        is_measured = (await look.rows("tables_count"))[0]["relations"] <= MEASURED
        rows = await self._rows(look, wanted, is_measured=is_measured)
        tables = [table_of(row) for row in rows]
        if not is_measured:
            tables = await self._measured(look, tables)
        tables = await self._bloated(look, tables)
        return Tables(
            at=look.at,
            order=wanted.order,
            text=wanted.text,
            tables=tuple(tables),
            total=rows[0]["tables"] if rows else 0,
            parts_hidden=_hidden(tables),
            since=settings["since"],
            started_at=settings["started_at"],
            freeze_max_age=settings["freeze_max_age"],
            cost_ms=look.cost_ms,
            unread=look.unread,
        )

    async def _rows(self, look: Look, wanted: TablesParameters, *, is_measured: bool) -> Rows:
        text, expand = wanted.text.strip(), list(wanted.expand)
        try:
            return await look.rows("tables_list", text, wanted.order, wanted.limit, is_measured, expand, _PARTS)
        except DatabaseBusy as error:
            if not is_measured or not error.sqlstate:
                raise
        look.note("sizes", "a table was locked just now", "they follow from the planner's page counts meanwhile")
        return await look.rows("tables_list", text, wanted.order, wanted.limit, False, expand, _PARTS)

    async def _measured(self, look: Look, tables: Sequence[Table]) -> list[Table]:
        """Return the tables with the sizes of those roots that could be measured."""
        roots = [table.oid for table in tables if table.parent is None]
        rows = await look.try_rows("exact sizes", "tables_sizes", roots)
        sizes = {row["oid"]: row for row in rows or ()}
        return [
            table
            if table.parent is not None or table.oid not in sizes
            else replace(
                table,
                is_sized=True,
                **{name: sizes[table.oid][name] for name in ("heap_bytes", "toast_bytes", "index_bytes")},
            )
            for table in tables
        ]

    async def _bloated(self, look: Look, tables: Sequence[Table]) -> list[Table]:
        """Return the tables with the estimated waste of those that have statistics the role may see."""
        single = [table.oid for table in tables if table.kind != "p" and table.parts == 1]
        rows = await look.try_rows("bloat", "tables_bloat", single)
        wasted = {row["oid"]: row["wasted"] for row in rows or ()}
        return [replace(t, bloat_bytes=wasted[t.oid]) if t.oid in wasted else t for t in tables]


class TableProbe:
    """Answers ``database.table``: one table with its columns, indexes and options."""

    name = "database.table"
    timeout_s = 4.0

    def __init__(self, services: Services) -> None:
        self._panels = services.panels

    async def ask(self, parameters: Mapping[str, Any]) -> TableDetail:
        """Return the table; raises DatabaseError, InvalidParameters."""
        wanted: TableParameters = decode(TableParameters, parameters)
        look = self._panels.begin(self.timeout_s - 0.5)
        rows = await look.rows("table_facts", wanted.table)
        if not rows:
            return TableDetail(at=look.at, cost_ms=look.cost_ms)
        facts = rows[0]
        columns = await look.try_rows("columns", "table_columns", wanted.table, _COLUMNS) or ()
        indexes = await look.try_rows("indexes", "table_indexes", wanted.table) or ()
        constraints = await look.try_rows("constraints", "table_constraints", wanted.table) or ()
        last = ("vacuum", "autovacuum", "analyze", "autoanalyze")
        return TableDetail(
            at=look.at,
            name=facts["name"],
            kind=facts["kind"],
            owner=clean(facts["owner"], 63),
            persistence=facts["persistence"],
            partition_key=clean(facts["partition_key"], 300),
            bound=clean(facts["bound"], 300),
            options=tuple(clean(option, 200) for option in facts["options"]),
            columns=tuple(_column(row) for row in columns),
            columns_hidden=columns[0]["columns"] - len(columns) if columns else 0,
            indexes=tuple(_index(row) for row in indexes),
            constraints=tuple(clean(f"{row['name']}: {row['definition']}", 400) for row in constraints),
            inserted=facts["inserted"],
            updated=facts["updated"],
            hot_updated=facts["hot_updated"],
            deleted=facts["deleted"],
            vacuums=(facts["vacuums"], facts["autovacuums"]),
            analyzes=(facts["analyzes"], facts["autoanalyzes"]),
            last={name: facts[f"last_{name}"] for name in last if facts[f"last_{name}"] is not None},
            hit_share=facts["hit_share"],
            since=facts["since"],
            cost_ms=look.cost_ms,
            unread=look.unread,
        )


def table_of(row: Mapping[str, Any]) -> Table:
    """Return a row of ``tables_list``."""
    return Table(
        oid=row["oid"],
        parent=row["parent"],
        name=row["name"],
        kind=row["kind"],
        **{name: row[name] for name in _COPIED if row[name] is not None},
    )


def _hidden(tables: Sequence[Table]) -> dict[str, int]:
    """Return root -> parts that its listing left out."""
    listed: dict[int, int] = {}
    for table in tables:
        if table.parent is not None:
            listed[table.parent] = listed.get(table.parent, 0) + 1
    own = {table.oid: table.parts - (table.kind != "p") for table in tables if table.oid in listed}
    return {str(oid): own[oid] - number for oid, number in listed.items() if own.get(oid, 0) > number}


def _column(row: Mapping[str, Any]) -> ColumnFacts:
    return ColumnFacts(
        name=clean(row["name"], 63),
        type=clean(row["type"], 80),
        is_required=row["is_required"],
        default=clean(row["default_value"], 120),
        null_share=row["null_share"],
        distinct=row["distinct_values"],
        width=row["width"],
    )


def _index(row: Mapping[str, Any]) -> IndexFacts:
    return IndexFacts(
        name=row["name"],
        definition=clean(row["definition"], 400),
        bytes=row["bytes"],
        scans=row["scans"] or 0.0,
        is_valid=row["is_valid"],
    )
