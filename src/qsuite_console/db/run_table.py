"""The table of runs itself: made when it is wanted, found again whatever its name, listened to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import asyncpg

from qsuite_console.db.database import Database
from qsuite_console.db.errors import DatabaseError, DatabaseSchemaMismatch
from qsuite_console.db.locks import lock_key
from qsuite_console.db.queries import load
from qsuite_console.db.schema import quote_table

TABLE: Final = "qsuite.job_run"
LEASE_S: Final = 30.0
CHANNEL: Final = "qsuite_job_run"
_SCHEMA_LOCK: Final = 0x7153_7569_7466  # all who create the console's own tables
_OURS: Final = "qsuite-console runs "
_VERSION: Final = 1
_REOPEN_S: Final = 2.0
log = logging.getLogger(__name__)


class RunTable:
    """One process's way to it. Raises DatabaseError for what the server refuses."""

    def __init__(self, database: Database, table: str = TABLE, *, lease_s: float = LEASE_S) -> None:
        self.table = table
        self.lease_s = lease_s
        self.where = database.where
        self.database = database
        self._names = {
            "{{runs}}": quote_table(table),
            "{{lines}}": quote_table(f"{table}_log"),
            "{{runs.name}}": table.rpartition(".")[2],
        }
        self._is_ready = False
        self._preparing = asyncio.Lock()

    async def prepare(self) -> None:
        """Create the table or bring it up to date, once; raises DatabaseSchemaMismatch for one that is not ours."""
        async with self._preparing:
            if not self._is_ready:
                async with self.database.session("runs: prepare", 30.0) as connection:
                    if await self._version(connection) < _VERSION:
                        await self._migrate(connection)
                self._is_ready = True

    async def look(self) -> bool | None:
        """Return None where the table is there, else whether this role may make it; changes nothing."""
        async with self.database.session("runs: look", 8.0) as connection:
            if await self._version(connection):
                return None
            schema = self.table.rpartition(".")[0]
            return bool(await connection.fetchval(load("runs_may_create"), schema or "public"))

    async def _version(self, connection: asyncpg.Connection) -> int:
        said = await connection.fetchval(load("runs_version"), self._names["{{runs}}"])
        if said is None:
            return 0
        number = str(said).removeprefix(_OURS)
        if not str(said).startswith(_OURS) or not number.isdigit():
            raise DatabaseSchemaMismatch(
                f"the table {self.table} is there and is not the console's run table",
                hint="name another one by runs.table",
            )
        return int(number)

    async def _migrate(self, connection: asyncpg.Connection) -> None:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _SCHEMA_LOCK)
            await connection.execute("SET LOCAL client_min_messages = warning")
            schema = self.table.rpartition(".")[0]
            # Reading the catalogue itself also hears of what others made while this waited for the lock; a function
            # such as to_regnamespace would answer from what the session remembers.
            if schema and await connection.fetchval(load("runs_schema_missing"), schema):
                await connection.execute("CREATE SCHEMA " + quote_table(schema))
            for number in range(await self._version(connection) + 1, _VERSION + 1):
                await connection.execute(self.sql(f"runs_migration_{number}"))

    async def listen(
        self, heard: Callable[[str], None], *, serves: Sequence[str] = (), knows: Sequence[str] = ()
    ) -> None:
        """Call ``heard`` with each word of the others ("put nodes", "wish", "end"), until cancelled.

        ``serves``: queues that this process serves as a node, for as long as its connection lives; ``knows``: kinds of
        jobs it can do. Returns at once behind a pooler that shares connections, where nothing can be listened to.
        """
        if self.database.settings.pgbouncer:
            return
        keys = [*map(self._presence, serves), *map(self._knowledge, knows)]
        while True:
            try:
                await self._listen_once(heard, keys)
            except DatabaseError as error:
                log.debug("not listening to runs: %s", error.message)
            await asyncio.sleep(_REOPEN_S)

    async def _listen_once(self, heard: Callable[[str], None], keys: Sequence[int]) -> None:
        lost = asyncio.Event()

        def on_word(_: object, _pid: int, _channel: str, payload: str) -> None:
            table, _, word = payload.partition(" ")
            if table == self.table:
                heard(word)

        async with self.database.session("runs: listen") as connection:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, on_word)
            for key in keys:
                await connection.execute("SELECT pg_advisory_lock_shared($1)", key)
            heard("open")
            try:
                await lost.wait()
            finally:
                if not connection.is_closed():
                    await connection.remove_listener(CHANNEL, on_word)

    async def nodes(self, queues: Sequence[str]) -> Mapping[str, int] | None:
        """Return how many nodes serve each queue; None behind a pooler, where nodes can't say that they do."""
        return await self._holders({self._presence(queue): queue for queue in queues})

    async def knowing(self, kinds: Sequence[str]) -> Mapping[str, int] | None:
        """Return how many nodes know each kind of job, whatever they serve; None behind a pooler."""
        return await self._holders({self._knowledge(kind): kind for kind in kinds})

    async def _holders(self, keys: Mapping[int, str]) -> Mapping[str, int] | None:
        if self.database.settings.pgbouncer:
            return None
        async with self.database.session("runs: nodes", 8.0) as connection:
            rows = await connection.fetch(load("runs_nodes"), list(keys))
        return dict.fromkeys(keys.values(), 0) | {keys[row["key"]]: row["nodes"] for row in rows}

    def _presence(self, queue: str) -> int:
        return lock_key("node", self.table, queue)

    def _knowledge(self, kind: str) -> int:
        return lock_key("node knows", self.table, kind)

    async def tell(self, connection: asyncpg.Connection, word: str) -> None:
        """Say a word to whoever listens, when the transaction is over."""
        await connection.execute(load("runs_notify"), CHANNEL, f"{self.table} {word}")

    def sql(self, name: str) -> str:
        """Return a named query with the table's own names."""
        text = load(name, self.database.version or None)
        for mark, value in self._names.items():
            text = text.replace(mark, value)
        return text
