"""The question of the TimescaleDB pane, answered from the extension's own views; nothing where it is not installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from qsuite_console.db.panels import Look
from qsuite_console.engine.parameters import decode
from qsuite_console.model.text import clean
from qsuite_console.model.timescale import Aggregate, Hypertable, JobError, Timescale, TimescaleJob

if TYPE_CHECKING:
    from qsuite_console.workers import Services

EXTENSION = "timescaledb"


class TimescaleParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to choose."""


class TimescaleProbe:
    """Answers ``database.timescale``."""

    name = "database.timescale"
    timeout_s = 5.0

    def __init__(self, services: Services) -> None:
        self._services = services

    async def ask(self, parameters: Mapping[str, Any]) -> Timescale:
        """Return what TimescaleDB holds and does; raises DatabaseError, InvalidParameters."""
        decode(TimescaleParameters, parameters)
        look = self._services.panels.begin(self.timeout_s - 0.5)
        rows = await look.rows("timescale_extension")
        if not rows:
            return Timescale(at=look.at, cost_ms=look.cost_ms)
        license_name = rows[0]["license"]
        is_whole = license_name != "apache"
        schema = look.panels.schema_of(EXTENSION) or await self._schema(look)
        return Timescale(
            version=rows[0]["version"],
            license=license_name,
            hypertables=await _hypertables(look, schema, is_whole=is_whole),
            aggregates=await _aggregates(look) if is_whole else (),
            jobs=await _jobs(look),
            errors=await _errors(look),
            at=look.at,
            cost_ms=look.cost_ms,
            unread=look.unread,
        )

    async def _schema(self, look: Look) -> str:
        """Return where the extension lives, when it was created after the server was last looked at."""
        rows = await look.rows("advice_extensions")
        name = next(str(row["schema"]) for row in rows if row["name"] == EXTENSION)
        return '"' + name.replace('"', '""') + '"'


async def _hypertables(look: Look, schema: str, *, is_whole: bool) -> tuple[Hypertable, ...]:
    tables = await look.try_rows("hypertables", "timescale_hypertables", schema=schema) or ()
    chunks = _named(await look.try_rows("chunks", "timescale_chunks"))
    compression: Mapping[str, Mapping[str, Any]] = {}
    partial: Mapping[str, Mapping[str, Any]] = {}
    if is_whole and any(row["is_compressing"] for row in tables):
        compression = _named(await look.try_rows("compression", "timescale_compression", schema=schema))
        partial = _named(await look.try_rows("partly compressed chunks", "timescale_partial"))
    found = []
    for row in tables:
        own, packed = chunks.get(row["name"], {}), compression.get(row["name"], {})
        found.append(
            Hypertable(
                name=clean(row["name"], 130),
                time_column=clean(row["time_column"] or "", 63),
                chunk_s=row["chunk_s"],
                chunks=own.get("chunks", 0),
                compressed=own.get("compressed", 0),
                partial=partial.get(row["name"], {}).get("partial"),
                bytes=row["bytes"],
                rows=row["rows"],
                oldest=own.get("oldest"),
                newest=own.get("newest"),
                compressed_until=own.get("compressed_until"),
                is_compressing=row["is_compressing"],
                before_bytes=packed.get("before_bytes"),
                after_bytes=packed.get("after_bytes"),
            )
        )
    return tuple(found)


async def _aggregates(look: Look) -> tuple[Aggregate, ...]:
    rows = await look.try_rows("continuous aggregates", "timescale_aggregates") or ()
    return tuple(
        Aggregate(
            name=clean(row["name"], 130),
            source=clean(row["source"], 130),
            is_materialized_only=row["materialized_only"],
            policies=row["policies"],
            every_s=row["every_s"],
            refreshed_s_ago=row["refreshed_s_ago"],
            outcome=clean(row["outcome"], 40),
        )
        for row in rows
    )


async def _jobs(look: Look) -> tuple[TimescaleJob, ...]:
    rows = await look.try_rows("background jobs", "timescale_jobs") or ()
    return tuple(
        TimescaleJob(
            id=row["id"],
            procedure=clean(row["procedure"], 63),
            hypertable=clean(row["hypertable"], 130),
            every_s=row["every_s"],
            is_scheduled=row["is_scheduled"],
            state=clean(row["state"], 40),
            outcome=clean(row["outcome"], 40),
            started_s_ago=row["started_s_ago"],
            succeeded_s_ago=row["succeeded_s_ago"],
            took_s=row["took_s"],
            next_s=row["next_s"],
            runs=row["runs"],
            failures=row["failures"],
        )
        for row in rows
    )


async def _errors(look: Look) -> tuple[JobError, ...]:
    rows = await look.try_rows("errors of background jobs", "timescale_errors") or ()
    return tuple(
        JobError(
            id=row["id"],
            procedure=clean(row["procedure"], 63),
            ended_s_ago=row["ended_s_ago"],
            code=clean(row["code"], 10),
            message=clean(row["message"], 400),
        )
        for row in rows
    )


def _named(rows: Any) -> Mapping[str, Mapping[str, Any]]:
    return {row["name"]: row for row in rows or ()}
