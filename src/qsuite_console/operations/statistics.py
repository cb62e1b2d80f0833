"""Let PostgreSQL count anew. What is lost can't be brought back, so since when it was counted is said first.

The instant at which the counting began is part of what is confirmed: where somebody else has reset it meanwhile, there
is nothing left to do.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from qsuite_console.db import queries
from qsuite_console.engine.ports import OperationKind
from qsuite_console.model import units
from qsuite_console.model.errors import Conflict, ConsoleError, InvalidParameters, NotFound
from qsuite_console.model.operations import Outcome, Proposal
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    import asyncpg

    from qsuite_console.workers import Services

_BUDGET_S: Final = 8.0
_EXTENSION: Final = "pg_stat_statements"
_SAME_S: Final = 0.001  # JSON keeps microseconds, not every client does
What = Literal["statements", "database", "table", "wal", "io", "checkpoints", "archiver"]
# what -> its name, what of it is lost, and the consequence
_SUBJECTS: Final[dict[str, tuple[str, str, str]]] = {
    "statements": (
        "statements of the whole server",
        "counters of {amount} statements, of all databases",
        "The statements pane and the advisor begin anew; nothing runs differently.",
    ),
    "database": (
        "all tables and indexes of this database",
        "scans of {amount} indexes, row counters and vacuum times of every table",
        "Autovacuum forgets which rows are dead and comes too late until it has counted anew: vacuum what needs it "
        "first. No index counts as unused for the next weeks.",
    ),
    "table": (
        "the table {name}",
        "its row counters, {amount} dead rows among them, its scans and vacuum times",
        "Autovacuum forgets which of its rows are dead and comes too late until it has counted anew.",
    ),
    "wal": ("WAL", "the sum of {size} of WAL", "Rates go on after the next look."),
    "io": ("I/O by kind of process", "{amount} reads and writes", "Rates go on after the next look."),
    "checkpoints": ("checkpoints", "{amount} checkpoints", "The advisor can't judge max_wal_size for some hours."),
    "archiver": ("the WAL archiver", "{amount} archived or failed files", "The last failure is forgotten too."),
}


class ResetParameters(msgspec.Struct, frozen=True, kw_only=True):
    """``since``: when the counting began, as proposed; another instant by then is a conflict."""

    what: Annotated[What, msgspec.Meta(description="which statistics to count anew")]
    name: Annotated[str, msgspec.Meta(max_length=200, description="the table, for what: table")] = ""
    since: Annotated[datetime | None, msgspec.Meta(description="refuse when they were reset after this")] = None


class StatisticsRefused(ConsoleError):
    """The role may not reset these statistics, or the server has none."""


class ResetStatistics:
    """``database.reset-statistics``."""

    kind = OperationKind(
        name="database.reset-statistics",
        title="Reset statistics",
        help="Let the server count statements, tables, WAL, I/O, checkpoints or the archiver anew; the old is lost.",
        parameters=ResetParameters,
    )

    def __init__(self, services: Services) -> None:
        self._database = services.database
        self._clock = services.clock

    async def propose(self, parameters: ResetParameters) -> Proposal:
        """Say what is lost and since when it was counted; raises StatisticsRefused, NotFound, InvalidParameters."""
        async with self._database.session("statistics", _BUDGET_S) as connection:
            found = await self._look(connection, parameters)
        since: datetime | None = found["since"]
        amount = found["amount"] or 0.0
        name, lost, consequence = _SUBJECTS[parameters.what]
        table = clean(parameters.name, 120)
        counted = "since the server's data directory was made, or since its last crash"
        if since is not None:
            age = units.age((self._clock.now() - since).total_seconds())
            counted = f"since {since:%Y-%m-%d %H:%M} UTC, {age} ago"
        title = f"Reset the statistics of {name.format(name=table)}?"
        lines = (
            f"Lost for good: {lost.format(amount=units.count(amount), size=units.size(amount))}, counted {counted}.",
            consequence,
        )
        handed: dict[str, Any] = {"what": parameters.what, "name": parameters.name, "since": since}
        return Proposal(operation=self.kind.name, title=title, lines=lines, do="reset them", parameters=handed)

    async def perform(self, parameters: ResetParameters) -> Outcome:
        """Reset them; raises Conflict when they were reset since."""
        arguments = [parameters.name] if parameters.what == "table" else []
        async with self._database.session("statistics", _BUDGET_S) as connection:
            found = await self._look(connection, parameters)
            since: datetime | None = found["since"]
            if parameters.since is not None and not _is_same(parameters.since, since):
                raise Conflict("these statistics were reset meanwhile: nothing was done", hint="look at them again")
            await connection.fetchval(await self._sql(connection, f"reset_{parameters.what}"), *arguments)
        name = _SUBJECTS[parameters.what][0].format(name=clean(parameters.name, 120))
        figures = {"what": parameters.what, "since": since.isoformat() if since is not None else None}
        message = f"The statistics of {name} are counted anew"
        return Outcome(operation=self.kind.name, is_done=True, message=message, figures=figures)

    async def _look(self, connection: asyncpg.Connection, parameters: ResetParameters) -> asyncpg.Record:
        what = parameters.what
        if what == "table" and not parameters.name.strip():
            raise InvalidParameters({"name": "name the table"})
        arguments = [parameters.name] if what == "table" else []
        found = await connection.fetchrow(await self._sql(connection, f"reset_{what}_look"), *arguments)
        if found is None:
            raise NotFound(f"there is no table {clean(parameters.name, 120)!r}", hint="the tables pane lists them")
        if not found["may"]:
            raise StatisticsRefused(
                f"the console's role may not reset the statistics of {_SUBJECTS[what][0].format(name=parameters.name)}",
                hint="a superuser may, or: GRANT EXECUTE ON the reset function to it",
            )
        return found

    async def _sql(self, connection: asyncpg.Connection, name: str) -> str:
        version = connection.get_server_version().major
        try:
            sql = queries.load(name, version)
        except KeyError as error:
            raise StatisticsRefused(
                f"PostgreSQL {version} does not keep these statistics", hint="choose others"
            ) from error
        if "{schema}" not in sql:
            return sql
        schema = await connection.fetchval(
            "SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
            " WHERE e.extname = $1",
            _EXTENSION,
        )
        if schema is None:
            raise StatisticsRefused(
                f"the extension {_EXTENSION} is not created in this database",
                hint="nothing is counted, nothing to reset",
            )
        return sql.replace("{schema}", schema)


def _is_same(one: datetime, other: datetime | None) -> bool:
    return other is not None and abs((one - other).total_seconds()) < _SAME_S
