"""``db``: the platform's tables. Only ``init`` changes anything, and only by adding what is missing."""

from __future__ import annotations

import asyncio

import click

from qsuite_console.cli import output
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.jobs import json_option
from qsuite_console.cli.lazy import ListedGroup, examples
from qsuite_console.config.settings import Settings
from qsuite_console.model.errors import ReadOnly

_BUDGET_S = 60.0


@click.group(
    cls=ListedGroup, epilog=examples("qsuite-console db init", "qsuite-console --target staging db init --json")
)
def db() -> None:
    """Create the platform's missing tables."""


@db.command(epilog=examples("qsuite-console db init"))
@json_option
@click.pass_obj
def init(invocation: Invocation, *, is_json: bool) -> None:
    """Create the tables that are missing; those that exist are adopted and not touched.

    Safe to repeat and to run from several machines at once (it holds an advisory lock).
    """
    settings = invocation.loaded.settings
    if settings.target.read_only:
        raise ReadOnly(
            f"target {settings.target.name} is read-only", hint="leave out --read-only, or change the target"
        )
    invocation.start_log()
    created, adopted, where = asyncio.run(_create(settings))
    if is_json:
        output.document({"database": where, "created": created, "adopted": adopted})
        return
    for verb, names in (("created", created), ("adopted", adopted)):
        for name in names:
            output.line(f"{verb}  {name}")
    if created:
        output.note(f"{len(created)} tables created in {where}")
    else:
        output.note(f"nothing was missing in {where}")


async def _create(settings: Settings) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    from qsuite_console.db import queries
    from qsuite_console.db.database import Database
    from qsuite_console.db.schema import create_schema

    tables = settings.tables
    named = [tables.tickers, tables.market_data, tables.price_ticks, tables.calendar, tables.coverage]
    database = Database(settings.database)
    try:
        async with database.session("db-init", _BUDGET_S) as connection:
            before = await connection.fetch(queries.load("doctor_tables"), named)
            created = await create_schema(connection, tables)
    finally:
        await database.close()
    adopted = tuple(row["name"] for row in before if row["is_present"] and row["name"] not in created)
    return created, adopted, database.where
