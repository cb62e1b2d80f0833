"""Questions about the platform's pipelines: their texts with the configured tables, and the reasons they are refused.

Conditions are put into a text only where they are wanted and with the status as a literal, so that each gets the index
that is made for it: a generic plan of "all or this one" would read everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg

from qsuite_console.config.settings import TableSettings
from qsuite_console.db import queries
from qsuite_console.db.errors import DatabaseError
from qsuite_console.db.panels import Look, Rows
from qsuite_console.db.schema import quote_table
from qsuite_console.model.pipelines import STATUSES

_TABLES: Final = ("pipelines", "pipeline_runs", "task_runs")
Cursor = tuple[datetime, int]
Ids = Sequence[int] | None  # of pipelines; None is all


class PipelineReader:
    """Asks within one look of the panels' connection; what the platform does not have becomes a note of the look."""

    def __init__(self, look: Look, tables: TableSettings) -> None:
        self._look = look
        self._tables = tables

    async def pipelines(self, patterns: Sequence[str], status: str, limit: int) -> Rows | None:
        """Return pipelines with their newest runs, None where they can't be read; raises DatabaseError."""
        return await self._rows("pipelines", "pipelines_list", list(patterns), status, limit)

    async def statistics(self, start: datetime, end: datetime, ids: Ids = None) -> Rows | None:
        """Return the statistics of each pipeline, and of all with ``pipeline_id`` None; raises DatabaseError."""
        return await self._rows("run statistics", "pipelines_statistics", start, end, ids=ids)

    async def active(self) -> Mapping[str, Any] | None:
        """Return what waits and runs now; raises DatabaseError."""
        rows = await self._rows("what runs now", "pipelines_active")
        return rows[0] if rows else None

    async def runs(
        self,
        window: tuple[datetime, datetime],
        cursor: Cursor,
        limit: int,
        *,
        is_newer: bool,
        ids: Ids,
        status: str,
    ) -> Rows | None:
        """Return the runs below ``cursor``, or above it, newest first; raises DatabaseError."""
        name = "pipelines_runs_newer" if is_newer else "pipelines_runs_older"
        return await self._rows("runs", name, *window, *cursor, limit, ids=ids, status=status)

    async def name_of(self, pipeline: int) -> str:
        """Return a pipeline's name, "" for an unknown one; raises DatabaseError."""
        rows = await self._rows("the pipeline's name", "pipelines_name", pipeline)
        return str(rows[0]["name"]) if rows else ""

    async def named(self, name: str, patterns: Sequence[str], limit: int) -> Rows | None:
        """Return id and name of the pipeline of that name, else of those whose names are like all patterns."""
        rows = await self._rows("pipelines", "pipelines_named", name, list(patterns), limit)
        return rows[:1] if rows and rows[0]["name"] == name else rows

    async def run(self, run: int) -> Rows | None:
        """Return one run, or no row; raises DatabaseError."""
        return await self._rows("the run", "pipelines_run", run)

    async def tasks(self, run: int, limit: int) -> Rows | None:
        """Return the tasks of a run, those that failed first; raises DatabaseError."""
        return await self._rows("its tasks", "pipelines_tasks", run, limit)

    async def _rows(self, what: str, name: str, *arguments: Any, ids: Ids = None, status: str = "") -> Rows | None:
        own: tuple[Any, ...] = () if ids is None else (ids[0] if len(ids) == 1 else list(ids),)
        given, number = (*arguments, *own), len(arguments) + 1
        of = "" if ids is None else f"= ${number}" if len(ids) == 1 else f"= ANY (${number}::bigint[])"
        text = statement(name, self._tables, of=of, status=status)

        async def work(connection: asyncpg.Connection) -> Rows:
            async with connection.transaction(readonly=True):
                await connection.execute(queries.load("pipelines_path"))
                return [dict(row) for row in await connection.fetch(text, *given)]

        try:
            return await self._look.run(work)
        except DatabaseError as error:
            reason = self._reason(error, text)
            if reason is None:
                raise
            self._look.note(what, *reason)
            return None

    def _reason(self, error: DatabaseError, text: str) -> tuple[str, str] | None:
        """Return why the platform does not answer a question and what to do, None where the server is the trouble."""
        role = self._look.panels.rights.role or "the console's role"
        named = [each for each in _TABLES if quote_table(getattr(self._tables, each)) in text]
        tables = ", ".join(getattr(self._tables, each) for each in named)
        settings = ", ".join(f"tables.{each}" for each in named)
        reasons = {
            "42P01": (error.message, f"set {settings} to the platform's own names"),
            "3F000": (error.message, f"set {settings} to the platform's own names"),
            "42703": (error.message, f"{tables} must have the columns of the platform's schema"),
            "42883": (error.message, f"{tables} must have columns of the platform's types"),
            "42501": (error.message, f"GRANT SELECT ON {tables} TO {role}"),
            "55P03": (error.message, "a lock stands in the way just now; it is tried again by itself"),
            "57014": (error.message, "it takes the server too long: choose a shorter window"),
        }
        return reasons.get(error.sqlstate)


def statement(name: str, tables: TableSettings, *, of: str = "", status: str = "") -> str:
    """Return a question's text; ``of`` is what a run's pipeline must be ("= $6"), ``status`` one of STATUSES."""
    text = queries.load(name)
    conditions = f" AND r.pipeline_id {of}" if of else ""
    if status:
        conditions += f" AND r.status = '{STATUSES[STATUSES.index(status)]}'"
    for table in _TABLES:
        text = text.replace(f"{{{{{table}}}}}", quote_table(getattr(tables, table)))
    return text.replace("{{and}}", conditions)
