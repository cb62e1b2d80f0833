"""Which indexes serve nobody, which are broken, and where one is missing; each verdict with what speaks for it.

An index that was not used is only that: since when scans are counted is part of the answer, and on a primary nobody
knows what the standbys read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from qsuite_console.config.settings import TableSettings
from qsuite_console.db.errors import DatabaseBusy, DatabaseError
from qsuite_console.db.index_care import IndexReader, Standing, question
from qsuite_console.db.panels import Look, Rows
from qsuite_console.engine.parameters import decode
from qsuite_console.model import units
from qsuite_console.model.objects import Index, Indexes, Missing, Wanted
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.workers import Services

MEASURED: Final = 1000  # indexes up to which every size is asked for
_REDUNDANT, _MISSING = 2000, 50
Order = Literal["trouble", "size", "scans", "idle", "writes", "entries"]


class IndexesParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which indexes: the first by ``order`` whose name or table has ``text`` in it."""

    order: Order = "trouble"
    text: Annotated[str, msgspec.Meta(max_length=80)] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 200
    troubled: bool = False  # only those with a verdict


class IndexesProbe:
    """Answers ``database.indexes``."""

    name = "database.indexes"
    timeout_s = 6.0

    def __init__(self, services: Services) -> None:
        self._panels = services.panels
        self._tables = services.settings.tables
        self._reader = IndexReader(services.database, services.panels, self._tables)

    async def ask(self, parameters: Mapping[str, Any]) -> Indexes:
        """Return the indexes; raises DatabaseError, InvalidParameters."""
        wanted: IndexesParameters = decode(IndexesParameters, parameters)
        look = self._panels.begin(self.timeout_s - 0.5)
        since = (await look.rows("statistics_since"))[0]
        redundant = {
            row["oid"]: row for row in await look.try_rows("redundant indexes", "indexes_redundant", _REDUNDANT) or ()
        }
        rows = await self._rows(look, wanted, list(redundant))
        missing = await look.try_rows("missing indexes", "indexes_missing", wanted.text.strip(), _MISSING) or ()
        return Indexes(
            at=look.at,
            order=wanted.order,
            text=wanted.text,
            indexes=tuple(index_of(row, redundant.get(row["oid"])) for row in rows),
            total=rows[0]["indexes"] if rows else 0,
            missing=tuple(missing_of(row) for row in missing),
            missing_total=missing[0]["found"] if missing else 0,
            wanted=await self._wanted(look, wanted.text.strip().lower()),
            since=since["since"],
            started_at=since["started_at"],
            is_standby=since["is_standby"],
            cost_ms=look.cost_ms,
            unread=look.unread,
        )

    async def _wanted(self, look: Look, text: str) -> tuple[Wanted, ...]:
        """Return the recommended indexes of tables that are there; without them the rest is still shown."""
        try:
            async with asyncio.timeout(look.left_s):
                standings = await self._reader.standings()
        except (DatabaseError, TimeoutError) as error:
            why = error.message if isinstance(error, DatabaseError) else "the answer took too long"
            look.note("recommended indexes", why, "they are asked for again by themselves")
            return ()
        found = (wanted_of(one, self._tables) for one in standings if one.home is not None)
        return tuple(one for one in found if text in one.name.lower() or text in one.relation.lower())

    async def _rows(self, look: Look, wanted: IndexesParameters, redundant: list[int]) -> Rows:
        is_measured = (await look.rows("indexes_count"))[0]["indexes"] <= MEASURED
        text, order, limit = wanted.text.strip(), wanted.order, wanted.limit
        try:
            return await look.rows("indexes_list", text, order, limit, is_measured, wanted.troubled, redundant)
        except DatabaseBusy as error:
            if not is_measured or not error.sqlstate:
                raise
        look.note("sizes", "an index was locked just now", "they follow from the planner's page counts meanwhile")
        return await look.rows("indexes_list", text, order, limit, False, wanted.troubled, redundant)


def index_of(row: Mapping[str, Any], redundant: Mapping[str, Any] | None) -> Index:
    """Return a row of ``indexes_list`` with its verdicts, the worst first."""
    verdicts = []
    if row["is_building"]:
        verdicts.append("building")
    elif row["is_invalid"]:
        verdicts.append("invalid")
    if redundant is not None:
        verdicts.append(redundant["why"])
    if row["is_unused"]:
        verdicts.append("unused")
    return Index(
        oid=row["oid"],
        name=row["name"],
        relation=row["relation"],
        method=row["method"],
        parts=row["parts"],
        bytes=row["bytes"],
        is_sized=row["is_sized"],
        scans=row["scans"],
        entries=row["entries"],
        scanned_at=row["scanned_at"],
        writes=row["writes"],
        is_unique=row["is_unique"],
        is_primary=row["is_primary"],
        is_constraint=row["is_constraint"],
        verdicts=tuple(verdicts),
        covered_by="" if redundant is None else redundant["covered_by"],
        definition=clean(row["definition"], 600),
    )


def wanted_of(one: Standing, tables: TableSettings) -> Wanted:
    """Return how a recommended index stands, with what it is for."""
    home, question_of = one.home, question(one.recommended, tables)
    return Wanted(
        name=one.name,
        relation="" if home is None else home.name,
        state=one.state,
        existing="" if one.index is None else f"{one.index.schema}.{one.index.name}",
        existing_oid=0 if one.index is None else one.index.oid,
        why=one.recommended.why,
        question=question_of,
        statement=one.recommended.statement(tables) + ";",
        rows=0 if home is None else home.rows,
        bytes=0 if home is None else home.bytes,
    )


def missing_of(row: Mapping[str, Any]) -> Missing:
    """Return a suspicion with its evidence in words."""
    rows = f"{units.count(row['rows'])} rows"
    if row["kind"] == "foreign key":
        changes = units.count(row["parent_changes"])
        evidence: tuple[str, ...] = (
            rows,
            f"{changes} updates and deletes of {row['parent']}, each reads the whole table",
        )
        fix = f"CREATE INDEX CONCURRENTLY ON {row['relation']} ({row['columns']});"
        return Missing(
            oid=row["oid"], kind=row["kind"], relation=row["relation"], subject=clean(row["definition"], 300),
            rows=row["rows"], evidence=evidence, fix=fix,
        )  # fmt: skip
    evidence = (
        rows,
        f"{units.count(row['scans'])} scans from end to end",
        f"{units.count(row['rows_per_scan'])} rows each",
        f"{units.percent(100 * row['share'])} of all rows read",
    )
    subject = "find its statements in the statements pane and EXPLAIN them"
    return Missing(
        oid=row["oid"], kind=row["kind"], relation=row["relation"], subject=subject, rows=row["rows"], evidence=evidence
    )
