"""Partitions made ahead of the rows, strays moved where they belong, old months detached or dropped.

To make a partition that is there, to move rows that have been moved or to remove what is gone changes nothing: a run
may be cut and repeated. What is removed is counted and named before it goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from qsuite_console.db import partition_care as care
from qsuite_console.db.partition_care import Part, Root
from qsuite_console.engine.ports import JobContext, JobKind, Permanent
from qsuite_console.model import units
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.kinds import Plan, PlanLine
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    import asyncpg

    from qsuite_console.workers import Services

ALL: Final = "all"
BUDGET_S: Final = 30.0
_NAMED: Final = 6


class PartitionsParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which tables, and how far ahead."""

    table: Annotated[
        str, msgspec.Meta(title="Table", description="a partitioned table, or all of them", examples=["price_ticks"])
    ] = ALL
    months_ahead: Annotated[
        int, msgspec.Meta(title="Months ahead", description="months after this one to be ready", ge=0, le=120)
    ] = 3
    move_strays: Annotated[
        bool,
        msgspec.Meta(
            title="Move strays",
            description="move rows of the default partition into their months; the table is locked meanwhile",
        ),
    ] = False


class RetentionParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a table."""

    table: Annotated[
        str, msgspec.Meta(title="Table", description="a partitioned table", min_length=1, examples=["price_ticks"])
    ]
    keep_months: Annotated[
        int,
        msgspec.Meta(
            title="Keep", description="whole months kept besides the present one", ge=1, le=1200, examples=[24]
        ),
    ]
    removal: Annotated[
        Literal["detach", "drop"],
        msgspec.Meta(title="Removal", description="detach: the rows stay in a table of their own; drop: they are gone"),
    ] = "detach"


class Partitions:
    """``partitions``: no insert ever misses its month."""

    kind = JobKind(
        name="partitions",
        title="Partitions",
        description="Create monthly partitions ahead; report or move rows that strayed into a default partition.",
        parameters=PartitionsParameters,
        queue="maintenance",
        soft_limit_s=3600.0,
        hard_limit_s=3660.0,
    )

    def __init__(self, services: Services) -> None:
        self._services = services

    def title(self, parameters: PartitionsParameters) -> str:
        """Return the line by which people recognise the job."""
        which = "every partitioned table" if parameters.table == ALL else clean(parameters.table, 80)
        return f"partitions of {which}, {parameters.months_ahead} months ahead"

    async def plan(self, parameters: PartitionsParameters) -> Plan:
        """Return the partitions that are missing and the rows that strayed. Raises InvalidParameters, DatabaseError."""
        lines, warnings, total, strayed = [], [], 0, 0
        async with self._services.database.session("partitions plan", BUDGET_S) as connection:
            for root in await _roots(connection, parameters.table):
                missing, strays, foreign = await _survey(connection, root, self._now, parameters.months_ahead)
                if foreign:
                    warnings.append(foreign)
                    continue
                total += len(missing)
                strayed += sum(strays.values())
                lines.append(PlanLine(label=root.table, value=_months(missing) or "nothing missing"))
                if strays:
                    warnings.append(_stray_line(root, strays, is_moved=parameters.move_strays))
                if not root.may and (missing or strays):
                    warnings.append(f"{root.table}: the role may not change it; run this as its owner")
        figures = {"missing": total, "strays": strayed}
        is_noop = not total and not (strayed and parameters.move_strays)
        return Plan(
            kind=self.kind.name,
            title=self.title(parameters),
            lines=tuple(lines),
            warnings=tuple(warnings),
            figures=figures,
            is_noop=is_noop,
        )

    async def run(self, context: JobContext, parameters: PartitionsParameters) -> Mapping[str, Any]:
        """Make what is missing in every table; raises Retryable while locks or the database stand in the way."""
        tables: list[dict[str, Any]] = []
        async with self._services.database.session(f"partitions/{context.job_id}") as connection:
            roots = await _roots(connection, parameters.table)
            for number, root in enumerate(roots, start=1):
                await context.breathe()
                done = await self._one(context, connection, root, parameters)
                tables.append(done)
                context.progress(number, len(roots), unit="tables", message=root.table)
        for line in (warning for table in tables for warning in table["warnings"]):
            context.log.warning("%s", line)
        return {
            "tables": tables,
            "created": sum(len(table["created"]) for table in tables),
            "moved": sum(table["moved"] for table in tables),
            "strays": sum(table["strays"] for table in tables),
        }

    async def _one(
        self, context: JobContext, connection: asyncpg.Connection, root: Root, parameters: PartitionsParameters
    ) -> dict[str, Any]:
        missing, strays, foreign = await _survey(connection, root, self._now, parameters.months_ahead)
        created: list[str] = []
        warnings: list[str] = [foreign] if foreign else []
        moved = 0
        if not foreign and not root.may and (missing or strays):
            warnings.append(f"{root.table}: the role may not change it; run this as its owner")
        elif not foreign:
            if strays and parameters.move_strays:
                moved = await care.move_strays(connection, root, sorted(strays))
                context.log.info("%s: %d rows moved from the default partition to %s", root.table, moved, list(strays))
                missing, strays, _ = await _survey(connection, root, self._now, parameters.months_ahead)
            for month in missing:
                name, why = await care.create_month(connection, root, month)
                if name:
                    created.append(name)
                    context.log.info("%s made", name)
                else:
                    warnings.append(f"{root.table}: {why}")
            if strays:
                warnings.append(_stray_line(root, strays, is_moved=False))
        return {
            "table": root.table,
            "created": created,
            "moved": moved,
            "strays": sum(strays.values()),
            "warnings": warnings,
        }

    @property
    def _now(self) -> datetime:
        return self._services.clock.now()


class Retention:
    """``retention``: months past their time are detached or dropped, never rows one by one."""

    kind = JobKind(
        name="retention",
        title="Retention",
        description="Detach or drop the monthly partitions of a table that are older than what is kept.",
        parameters=RetentionParameters,
        queue="maintenance",
        soft_limit_s=3600.0,
        hard_limit_s=3660.0,
    )

    def __init__(self, services: Services) -> None:
        self._services = services

    def title(self, parameters: RetentionParameters) -> str:
        """Return the line by which people recognise the job."""
        return f"{parameters.removal} what {clean(parameters.table, 80)} holds beyond {parameters.keep_months} months"

    async def plan(self, parameters: RetentionParameters) -> Plan:
        """Return each partition that would go, with its rows. Raises InvalidParameters, DatabaseError."""
        async with self._services.database.session("partitions plan", BUDGET_S) as connection:
            root = (await _roots(connection, parameters.table))[0]
            old = await self._old(connection, root, parameters)
        lines = [
            PlanLine(label=part.name, value=f"about {units.count(part.rows)} rows", note=f"{part.low:%Y-%m}")
            for part in old
        ]
        fate = "their rows are gone for good" if parameters.removal == "drop" else "each stays as a table of its own"
        count = "1 partition is" if len(old) == 1 else f"{len(old)} partitions are"
        warnings = [f"{count} {_done(parameters)}: {fate}"] if old else []
        if old and not root.may:
            warnings.append(f"{root.table}: the role may not change it; run this as its owner")
        figures = {"partitions": [part.name for part in old], "rows": sum(part.rows for part in old)}
        title = self.title(parameters)
        return Plan(
            kind=self.kind.name,
            title=title,
            lines=tuple(lines),
            warnings=tuple(warnings),
            figures=figures,
            is_noop=not old,
        )

    async def run(self, context: JobContext, parameters: RetentionParameters) -> Mapping[str, Any]:
        """Remove them, oldest first, each counted before it goes."""
        kept = dict(context.checkpoint or {})
        removed: list[dict[str, Any]] = list(kept.get("removed") or [])
        async with self._services.database.session(f"retention/{context.job_id}") as connection:
            root = (await _roots(connection, parameters.table))[0]
            old = await self._old(connection, root, parameters)
            if old and not root.may:
                raise Permanent(f"{root.table}: the role may not change it", hint="run this as the table's owner")
            going = kept.get("going")
            if going and going["partition"] not in {part.name for part in old}:
                removed.append(going)  # it went, and the attempt was cut before it could say so
            for number, part in enumerate(old, start=1):
                await context.breathe()
                rows = await care.count_rows(connection, part)
                entry = {"partition": part.name, "month": f"{part.low:%Y-%m}", "rows": rows}
                await context.save({"removed": removed, "going": entry})
                await care.remove_part(connection, root, part, is_dropped=parameters.removal == "drop")
                removed.append(entry)
                await self._services.answers.bars_changed()
                await context.save({"removed": removed})
                context.log.info("%s %s with %d rows", part.name, _done(parameters), rows)
                context.progress(number, len(old), unit="partitions", message=part.name)
        return {
            "table": root.table,
            "removal": parameters.removal,
            "removed": removed,
            "rows": sum(each["rows"] for each in removed),
        }

    async def _old(self, connection: asyncpg.Connection, root: Root, parameters: RetentionParameters) -> list[Part]:
        limit = care.next_month(self._services.clock.now(), -parameters.keep_months)
        parts = await care.read_parts(connection, root)
        return [part for part in parts if part.is_month and part.high is not None and part.high <= limit]


async def _survey(
    connection: asyncpg.Connection, root: Root, now: datetime, ahead: int
) -> tuple[list[date], dict[date, int], str]:
    """Return (months missing, strays by month, why the table is left as it is)."""
    parts = await care.read_parts(connection, root)
    odd = next((part for part in parts if not part.is_month), None)
    if odd is not None:
        return [], {}, f"{root.table} is left as it is: {odd.name} is no whole UTC month"
    return care.missing_months(parts, now, ahead), await care.count_strays(connection, root), ""


async def _roots(connection: asyncpg.Connection, table: str) -> list[Root]:
    """Return the tables meant; raises InvalidParameters for one that is not partitioned by time."""
    roots, wanted = await care.read_roots(connection), table.strip()
    if wanted == ALL:
        return roots
    found = [root for root in roots if wanted in (root.table, root.name)]
    if not found:
        known = ", ".join(root.table for root in roots) or "none"
        raise InvalidParameters(
            {"table": f"{clean(wanted, 80)} is not partitioned by a range of time; there are: {clean(known, 300)}"}
        )
    return found[:1]


def _stray_line(root: Root, strays: Mapping[date, int], *, is_moved: bool) -> str:
    count, months = sum(strays.values()), _months(list(strays))
    what = "are moved; the table is locked meanwhile" if is_moved else "keep partitions of their months from being made"
    return f"{root.table}: {units.count(count)} rows of {months} in the default partition {what}"


def _months(months: Sequence[date]) -> str:
    text = ", ".join(f"{month:%Y-%m}" for month in months[:_NAMED])
    return f"{text} and {len(months) - _NAMED} more" if len(months) > _NAMED else text


def _done(parameters: RetentionParameters) -> str:
    return "dropped" if parameters.removal == "drop" else "detached"
