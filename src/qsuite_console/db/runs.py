"""The shared run table: what a console has handed to other processes, and what they say of it.

A row is one attempt of one job. Whoever claims it owns it until its lease runs out; every later word names the row's
token and its owner, so that a process that was stopped, cut off or replaced changes nothing when it wakes up. The
leases are judged by the server's clock alone. NOTIFY only makes things quick: whoever listens also looks by itself.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import msgspec

from qsuite_console.db.database import Database
from qsuite_console.db.errors import DatabaseError, DatabaseSchemaMismatch
from qsuite_console.db.queries import load
from qsuite_console.db.schema import quote_table
from qsuite_console.model.errors import Conflict
from qsuite_console.model.handing import Message, Run, RunNews, RunState, Wishes
from qsuite_console.model.jobs import Job, LogLine, Outcome, Progress
from qsuite_console.model.runs import Claim, Ending

TABLE: Final = "qsuite.job_run"
LEASE_S: Final = 30.0
LINES_KEPT: Final = 2000  # of one run
CHECKPOINT_LIMIT: Final = 4 << 20  # bytes of JSON
_SCHEMA_LOCK: Final = 0x7153_7569_7466  # all who create the console's own tables
_OURS: Final = "qsuite-console runs "
_VERSION: Final = 1
_BUDGET_S: Final = 10.0
_REOPEN_S: Final = 2.0
CHANNEL: Final = "qsuite_job_run"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Put:
    """What became of a run that was handed out. ``is_adopted``: it was under way, or done, already."""

    run: Run
    is_adopted: bool


class RunBook:
    """One process's hand on the table. Raises DatabaseError for what the server refuses, by ``prepare`` made once."""

    def __init__(self, database: Database, table: str = TABLE, *, lease_s: float = LEASE_S) -> None:
        self.table = table
        self.lease_s = lease_s
        self.where = database.where
        self._database = database
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
                async with self._database.session("runs: prepare", 30.0) as connection:
                    if await self._version(connection) < _VERSION:
                        await self._migrate(connection)
                self._is_ready = True

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
            if schema and await connection.fetchval("SELECT to_regnamespace(quote_ident($1)) IS NULL", schema):
                await connection.execute("CREATE SCHEMA " + quote_table(schema))
            for number in range(await self._version(connection) + 1, _VERSION + 1):
                await connection.execute(self._sql(f"runs_migration_{number}"))

    # ── the console's side ──

    async def put(self, claim: Claim, *, home: str, execution: str) -> Put:
        """Hand one attempt out, or adopt the run of an earlier attempt that is alive or has succeeded unheard.

        A run whose owner is silent is given up here; what it had reached is where the new one begins.
        """
        await self.prepare()
        job = claim.job
        checkpoint, rescues = claim.checkpoint, 0
        async with self._database.session("runs: put", _BUDGET_S) as connection, connection.transaction():
            row = await connection.fetchrow(self._sql("runs_last"), home, job.id, job.correlation_id)
            if row is not None:
                is_live = row["state"] in (RunState.HANDED_OFF, RunState.RUNNING) and row["execution"] == execution
                if (is_live and not row["is_late"]) or row["outcome"] == Outcome.SUCCEEDED:
                    return Put(_run(row), True)
                if row["state"] in (RunState.HANDED_OFF, RunState.RUNNING):
                    is_begun = row["state"] == RunState.RUNNING
                    if is_begun and not row["is_late"]:
                        return Put(_run(row), True)
                    await connection.execute(self._sql("runs_expire" if is_begun else "runs_withdraw"), row["token"])
                    rescues = row["rescues"] + int(is_begun)
                elif row["state"] == RunState.LOST:
                    rescues = row["rescues"] + 1
                elif row["outcome"] == Outcome.INTERRUPTED:
                    rescues = row["rescues"]
                if row["collected_at"] is None and row["checkpoint"] is not None:
                    checkpoint = msgspec.json.decode(row["checkpoint"])
            new = await connection.fetchrow(
                self._sql("runs_put"),
                secrets.token_hex(16),
                home,
                job.id,
                claim.number,
                job.correlation_id,
                execution,
                job.queue,
                job.priority,
                job.kind,
                job.title,
                _json(job.parameters),
                _json(job),
                rescues,
                None if checkpoint is None else _json(checkpoint),
            )
            await self._tell(connection, f"put {execution}")
        return Put(_run(new), False)

    async def follow(self, known: Mapping[str, tuple[int, int]]) -> Sequence[RunNews]:
        """Return what is new of runs: token -> (changes, saves) as they were last seen; also those that went silent."""
        tokens = list(known)
        async with self._database.session("runs: follow", _BUDGET_S) as connection:
            rows = await connection.fetch(
                self._sql("runs_follow"), tokens, [known[t][0] for t in tokens], [known[t][1] for t in tokens]
            )
        return [_news(row) for row in rows]

    async def lines(self, run_id: int, after: int, limit: int = 500) -> Sequence[tuple[int, LogLine]]:
        """Return numbered lines of a run's log above ``after``, oldest first; their job and attempt are not set."""
        async with self._database.session("runs: log", _BUDGET_S) as connection:
            rows = await connection.fetch(self._sql("runs_lines"), run_id, after, limit)
        return [
            (row["number"], LogLine(job_id=0, number=0, at=row["at"], level=row["level"], message=row["message"]))
            for row in rows
        ]

    async def wish(self, token: str, *, cancel: bool = False, pause: bool = False) -> bool:
        """Ask a run to end; return whether it had been claimed. One that nobody has begun is taken back."""
        async with self._database.session("runs: wish", _BUDGET_S) as connection:
            if await connection.fetchval(self._sql("runs_withdraw"), token) is not None:
                return False
            await connection.execute(self._sql("runs_wish"), token, cancel, pause)
            await self._tell(connection, "wish")
        return True

    async def withdraw(self, token: str) -> bool:
        """Take back a run that nobody has begun; return whether that was so."""
        async with self._database.session("runs: withdraw", _BUDGET_S) as connection:
            return await connection.fetchval(self._sql("runs_withdraw"), token) is not None

    async def expire(self, token: str) -> bool:
        """Give up a run whose lease is over; return whether it was. From then on its owner changes nothing."""
        async with self._database.session("runs: expire", _BUDGET_S) as connection:
            return await connection.fetchval(self._sql("runs_expire"), token) is not None

    async def collected(self, token: str) -> None:
        """Note that all a run said is in the history of its console."""
        async with self._database.session("runs: collected", _BUDGET_S) as connection:
            await connection.execute(self._sql("runs_collected"), token)

    async def unclaimed(self, home: str, tokens: Sequence[str], older_than_s: float, limit: int = 100) -> list[Message]:
        """Return messages of this console's runs that were sent so long ago and that nobody has claimed."""
        async with self._database.session("runs: unclaimed", _BUDGET_S) as connection:
            rows = await connection.fetch(self._sql("runs_unclaimed"), home, list(tokens), older_than_s, limit)
        return [Message(**dict(row)) for row in rows]

    async def sent(self, tokens: Sequence[str]) -> None:
        """Note that messages were sent (again) just now."""
        async with self._database.session("runs: sent", _BUDGET_S) as connection:
            await connection.execute(self._sql("runs_sent"), list(tokens))

    async def prune(self, keep_days: float, limit: int = 1000) -> int:
        """Forget runs that ended longer ago; return how many."""
        async with self._database.session("runs: prune", _BUDGET_S) as connection:
            status = await connection.execute(self._sql("runs_prune"), keep_days, limit)
        return int(status.rpartition(" ")[2])

    # ── the side of those who work ──

    async def claim(
        self, queues: Mapping[str, int], *, kinds: Sequence[str], owner: str, execution: str = "nodes"
    ) -> list[Run]:
        """Take up to ``queues[name]`` runs of each queue, urgent ones first; nobody else gets the same ones."""
        found: list[Run] = []
        async with self._database.session("runs: claim", _BUDGET_S) as connection:
            for name, free in queues.items():
                if free > 0:
                    rows = await connection.fetch(
                        self._sql("runs_claim"), execution, name, free, list(kinds), owner, self.lease_s
                    )
                    found.extend(_run(row) for row in rows)
        return sorted(found, key=lambda run: (-run.claim.job.priority, run.run_id))

    async def claim_sent(self, job_id: int, attempt: int, token: str, *, owner: str) -> Run | None:
        """Take the run a message speaks of; None for a duplicate, and for one that was cancelled or withdrawn."""
        async with self._database.session("runs: claim", _BUDGET_S) as connection:
            row = await connection.fetchrow(self._sql("runs_claim_sent"), job_id, attempt, token, owner, self.lease_s)
        return None if row is None else _run(row)

    async def beat(self, progress: Mapping[str, Progress | None], *, owner: str) -> Mapping[str, Wishes]:
        """Say that runs are alive, with their progress where it is new; those not in the answer are lost to us."""
        said = [None if each is None else _json(each) for each in progress.values()]
        async with self._database.session("runs: beat", _BUDGET_S) as connection:
            rows = await connection.fetch(self._sql("runs_beat"), list(progress), said, owner, self.lease_s)
        return {row["token"]: Wishes(row["cancel_requested"], row["pause_requested"]) for row in rows}

    async def wishes(self, tokens: Sequence[str], *, owner: str) -> Mapping[str, Wishes]:
        """Return what is wished of runs; those not in the answer are lost to us."""
        async with self._database.session("runs: wishes", _BUDGET_S) as connection:
            rows = await connection.fetch(self._sql("runs_wishes"), list(tokens), owner)
        return {row["token"]: Wishes(row["cancel_requested"], row["pause_requested"]) for row in rows}

    async def save(self, token: str, checkpoint: Mapping[str, Any], *, owner: str) -> None:
        """Keep the newest checkpoint of a run; raises Conflict for one that was given up."""
        text = _json(checkpoint)
        if len(text) > CHECKPOINT_LIMIT:
            raise ValueError(f"the checkpoint is {len(text):,} bytes; {CHECKPOINT_LIMIT:,} are kept")
        async with self._database.session("runs: save", _BUDGET_S) as connection:
            if await connection.fetchval(self._sql("runs_save"), token, owner, text, self.lease_s) is None:
                raise Conflict("the run was given up: its checkpoint is refused")

    async def say(self, token: str, lines: Sequence[LogLine], *, owner: str) -> bool:
        """Append to a run's log, of which the newest lines are kept; False for a run that was given up."""
        columns = [line.at for line in lines], [line.level for line in lines], [line.message for line in lines]
        async with self._database.session("runs: log", _BUDGET_S) as connection:
            rows = await connection.fetch(self._sql("runs_say"), token, owner, *columns, LINES_KEPT)
        return bool(rows)

    async def finish(self, token: str, ending: Ending, *, owner: str) -> bool:
        """End a run; False for one that was given up. The same ending may be told again."""
        async with self._database.session("runs: finish", _BUDGET_S) as connection:
            known = await connection.fetchval(
                self._sql("runs_finish"), token, owner, ending.outcome.value, _json(ending)
            )
            await self._tell(connection, "end")
        return known is not None

    # ── for both ──

    async def listen(self, heard: Callable[[str], None]) -> None:
        """Call ``heard`` with each word of the others ("put nodes", "wish", "end"), until cancelled.

        Returns at once behind a pooler that shares connections, where nothing can be listened to.
        """
        if self._database.settings.pgbouncer:
            return
        while True:
            try:
                await self._listen_once(heard)
            except DatabaseError as error:
                log.debug("not listening to runs: %s", error.message)
            await asyncio.sleep(_REOPEN_S)

    async def _listen_once(self, heard: Callable[[str], None]) -> None:
        lost = asyncio.Event()

        def on_word(_: object, _pid: int, _channel: str, payload: str) -> None:
            table, _, word = payload.partition(" ")
            if table == self.table:
                heard(word)

        async with self._database.session("runs: listen") as connection:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(CHANNEL, on_word)
            heard("open")
            try:
                await lost.wait()
            finally:
                if not connection.is_closed():
                    await connection.remove_listener(CHANNEL, on_word)

    async def _tell(self, connection: asyncpg.Connection, word: str) -> None:
        await connection.execute(load("runs_notify"), CHANNEL, f"{self.table} {word}")

    def _sql(self, name: str) -> str:
        text = load(name, self._database.version or None)
        for mark, value in self._names.items():
            text = text.replace(mark, value)
        return text


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _run(row: Mapping[str, Any]) -> Run:
    job = msgspec.json.decode(row["job"], type=Job)
    checkpoint = None if row["checkpoint"] is None else msgspec.json.decode(row["checkpoint"])
    return Run(
        run_id=row["run_id"],
        token=row["token"],
        home=row["home"],
        execution=row["execution"],
        state=RunState(row["state"]),
        owner=row["owner"],
        rescues=row["rescues"],
        claim=Claim(job=job, number=row["attempt"], checkpoint=checkpoint),
    )


def _news(row: Mapping[str, Any]) -> RunNews:
    return RunNews(
        token=row["token"],
        run_id=row["run_id"],
        state=RunState(row["state"]),
        owner=row["owner"],
        changes=row["changes"],
        saves=row["saves"],
        lines=row["lines"],
        rescues=row["rescues"],
        is_late=row["is_late"],
        claimed_at=row["claimed_at"],
        progress=None if row["progress"] is None else msgspec.json.decode(row["progress"], type=Progress),
        checkpoint=None if row["checkpoint"] is None else msgspec.json.decode(row["checkpoint"]),
        ending=None if row["ending"] is None else msgspec.json.decode(row["ending"], type=Ending),
    )
