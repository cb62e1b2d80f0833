"""The shared run table: what a console has handed to other processes, and what they say of it.

A row is one attempt of one job. Whoever claims it owns it until its lease runs out; every later word names the row's
token and its owner, so that a process that was stopped, cut off or replaced changes nothing when it wakes up. The
leases are judged by the server's clock alone. NOTIFY only makes things quick: whoever listens also looks by itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import msgspec

from qsuite_console.db.run_table import RunTable
from qsuite_console.model.errors import Conflict
from qsuite_console.model.handing import Message, Run, RunNews, RunState, Wishes
from qsuite_console.model.jobs import Job, LogLine, Outcome, Progress
from qsuite_console.model.runs import Claim, Ending

LINES_KEPT: Final = 2000  # of one run
CHECKPOINT_LIMIT: Final = 4 << 20  # bytes of JSON
_BUDGET_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Put:
    """What became of a run that was handed out. ``is_adopted``: it was under way, or done, already."""

    run: Run
    is_adopted: bool


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a job's runs. ``run``: under way, or done and unheard; otherwise nobody has it any more."""

    run: Run | None = None
    token: str = ""  # of the newest run, "" where there is none
    rescues: int = 0  # owners that died with it
    checkpoint: dict[str, Any] | None = None  # where it got to, as far as its console has not taken it in


class RunBook(RunTable):
    """One process's hand on the table. Raises DatabaseError for what the server refuses."""

    # ── the console's side ──

    async def put(self, claim: Claim, *, home: str, execution: str) -> Put:
        """Hand one attempt out, or adopt the run of an earlier attempt that is alive or has succeeded unheard.

        A run whose owner is silent is given up here; what it had reached is where the new one begins.
        """
        await self.prepare()
        job = claim.job
        async with self.database.session("runs: put", _BUDGET_S) as connection, connection.transaction():
            left = await self._left(connection, job, home, execution)
            if left.run is not None:
                return Put(left.run, True)
            checkpoint = claim.checkpoint if left.checkpoint is None else left.checkpoint
            new = await connection.fetchrow(
                self.sql("runs_put"),
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
                left.rescues,
                None if checkpoint is None else _json(checkpoint),
            )
            await self.tell(connection, f"put {execution}")
        return Put(_run(new), False)

    async def take_back(self, job: Job, *, home: str) -> Left:
        """Take a job back as far as nobody does it: what was never begun or is late is ended, the rest is left alone.

        Makes no table: where there is none, nothing is left.
        """
        async with self.database.session("runs: take back", _BUDGET_S) as connection, connection.transaction():
            return await self._left(connection, job, home, "") if await self._version(connection) else Left()

    async def _left(self, connection: asyncpg.Connection, job: Job, home: str, execution: str) -> Left:
        """Judge the newest run of a job and hold it for the transaction; one that waits for others is withdrawn."""
        row = await connection.fetchrow(self.sql("runs_last"), home, job.id, job.correlation_id)
        if row is None:
            return Left()
        state, token, rescues = row["state"], row["token"], row["rescues"]
        is_begun = state == RunState.RUNNING
        waits = state == RunState.HANDED_OFF and row["execution"] == execution
        if waits or (is_begun and not row["is_late"]) or row["outcome"] == Outcome.SUCCEEDED:
            return Left(_run(row), token)
        if state in (RunState.HANDED_OFF, RunState.RUNNING):
            await connection.execute(self.sql("runs_expire" if is_begun else "runs_withdraw"), token)
            rescues += int(is_begun)
        elif state == RunState.LOST:
            rescues += 1
        elif row["outcome"] != Outcome.INTERRUPTED:
            rescues = 0
        is_new = row["collected_at"] is None and row["checkpoint"] is not None
        return Left(None, token, rescues, msgspec.json.decode(row["checkpoint"]) if is_new else None)

    async def follow(self, known: Mapping[str, tuple[int, int]]) -> Sequence[RunNews]:
        """Return what is new of runs: token -> (changes, saves) as they were last seen; also those that went silent."""
        tokens = list(known)
        async with self.database.session("runs: follow", _BUDGET_S) as connection:
            rows = await connection.fetch(
                self.sql("runs_follow"), tokens, [known[t][0] for t in tokens], [known[t][1] for t in tokens]
            )
        return [_news(row) for row in rows]

    async def lines(self, run_id: int, after: int, limit: int = 500) -> Sequence[tuple[int, LogLine]]:
        """Return numbered lines of a run's log above ``after``, oldest first; their job and attempt are not set."""
        async with self.database.session("runs: log", _BUDGET_S) as connection:
            rows = await connection.fetch(self.sql("runs_lines"), run_id, after, limit)
        return [
            (row["number"], LogLine(job_id=0, number=0, at=row["at"], level=row["level"], message=row["message"]))
            for row in rows
        ]

    async def wish(self, token: str, *, cancel: bool = False, pause: bool = False) -> bool:
        """Ask a run to end; return whether it had been claimed. One that nobody has begun is taken back."""
        async with self.database.session("runs: wish", _BUDGET_S) as connection:
            if await connection.fetchval(self.sql("runs_withdraw"), token) is not None:
                return False
            await connection.execute(self.sql("runs_wish"), token, cancel, pause)
            await self.tell(connection, "wish")
        return True

    async def withdraw(self, token: str) -> bool:
        """Take back a run that nobody has begun; return whether that was so."""
        async with self.database.session("runs: withdraw", _BUDGET_S) as connection:
            return await connection.fetchval(self.sql("runs_withdraw"), token) is not None

    async def expire(self, token: str) -> bool:
        """Give up a run whose lease is over; return whether it was. From then on its owner changes nothing."""
        async with self.database.session("runs: expire", _BUDGET_S) as connection:
            return await connection.fetchval(self.sql("runs_expire"), token) is not None

    async def give_up(self, token: str) -> bool:
        """Give up a run whatever its owner says; return whether it was under way."""
        async with self.database.session("runs: give up", _BUDGET_S) as connection:
            return await connection.fetchval(self.sql("runs_give_up"), token) is not None

    async def drop(self, home: str, job_id: int, correlation_id: str) -> int:
        """Have the runs of a job that is over end too; return how many were under way."""
        async with self.database.session("runs: drop", _BUDGET_S) as connection:
            rows = await connection.fetch(self.sql("runs_drop"), home, job_id, correlation_id)
            if rows:
                await self.tell(connection, "wish")
        return len(rows)

    async def collected(self, token: str) -> None:
        """Note that all a run said is in the history of its console."""
        async with self.database.session("runs: collected", _BUDGET_S) as connection:
            await connection.execute(self.sql("runs_collected"), token)

    async def unclaimed(self, home: str, tokens: Sequence[str], older_than_s: float, limit: int = 100) -> list[Message]:
        """Return messages of this console's runs that were sent so long ago and that nobody has claimed."""
        async with self.database.session("runs: unclaimed", _BUDGET_S) as connection:
            rows = await connection.fetch(self.sql("runs_unclaimed"), home, list(tokens), older_than_s, limit)
        return [Message(**dict(row)) for row in rows]

    async def sent(self, tokens: Sequence[str]) -> None:
        """Note that messages were sent (again) just now."""
        async with self.database.session("runs: sent", _BUDGET_S) as connection:
            await connection.execute(self.sql("runs_sent"), list(tokens))

    async def prune(self, keep_days: float, limit: int = 1000) -> int:
        """Forget runs that ended longer ago; return how many."""
        async with self.database.session("runs: prune", _BUDGET_S) as connection:
            status = await connection.execute(self.sql("runs_prune"), keep_days, limit)
        return int(status.rpartition(" ")[2])

    # ── the side of those who work ──

    async def claim(
        self, queues: Mapping[str, int], *, kinds: Sequence[str], owner: str, execution: str = "nodes"
    ) -> list[Run]:
        """Take up to ``queues[name]`` runs of each queue, urgent ones first; nobody else gets the same ones."""
        found: list[Run] = []
        async with self.database.session("runs: claim", _BUDGET_S) as connection:
            for name, free in queues.items():
                if free > 0:
                    rows = await connection.fetch(
                        self.sql("runs_claim"), execution, name, free, list(kinds), owner, self.lease_s
                    )
                    found.extend(_run(row) for row in rows)
        return sorted(found, key=lambda run: (-run.claim.job.priority, run.run_id))

    async def claim_sent(self, job_id: int, attempt: int, token: str, *, owner: str) -> Run | None:
        """Take the run a message speaks of; None for a duplicate, and for one that was cancelled or withdrawn."""
        async with self.database.session("runs: claim", _BUDGET_S) as connection:
            row = await connection.fetchrow(self.sql("runs_claim_sent"), job_id, attempt, token, owner, self.lease_s)
        return None if row is None else _run(row)

    async def beat(self, progress: Mapping[str, Progress | None], *, owner: str) -> Mapping[str, Wishes]:
        """Say that runs are alive, with their progress where it is new; those not in the answer are lost to us."""
        said = [None if each is None else _json(each) for each in progress.values()]
        async with self.database.session("runs: beat", _BUDGET_S) as connection:
            rows = await connection.fetch(self.sql("runs_beat"), list(progress), said, owner, self.lease_s)
        return {row["token"]: Wishes(row["cancel_requested"], row["pause_requested"]) for row in rows}

    async def wishes(self, tokens: Sequence[str], *, owner: str) -> Mapping[str, Wishes]:
        """Return what is wished of runs; those not in the answer are lost to us."""
        async with self.database.session("runs: wishes", _BUDGET_S) as connection:
            rows = await connection.fetch(self.sql("runs_wishes"), list(tokens), owner)
        return {row["token"]: Wishes(row["cancel_requested"], row["pause_requested"]) for row in rows}

    async def save(self, token: str, checkpoint: Mapping[str, Any], *, owner: str) -> None:
        """Keep the newest checkpoint of a run; raises Conflict for one that was given up."""
        text = _json(checkpoint)
        if len(text) > CHECKPOINT_LIMIT:
            raise ValueError(f"the checkpoint is {len(text):,} bytes; {CHECKPOINT_LIMIT:,} are kept")
        async with self.database.session("runs: save", _BUDGET_S) as connection:
            if await connection.fetchval(self.sql("runs_save"), token, owner, text, self.lease_s) is None:
                raise Conflict("the run was given up: its checkpoint is refused")

    async def say(self, token: str, lines: Sequence[LogLine], *, owner: str) -> bool:
        """Append to a run's log, of which the newest lines are kept; False for a run that was given up."""
        columns = [line.at for line in lines], [line.level for line in lines], [line.message for line in lines]
        async with self.database.session("runs: log", _BUDGET_S) as connection:
            rows = await connection.fetch(self.sql("runs_say"), token, owner, *columns, LINES_KEPT)
        return bool(rows)

    async def finish(self, token: str, ending: Ending, *, owner: str) -> bool:
        """End a run; False for one that was given up. The same ending may be told again."""
        async with self.database.session("runs: finish", _BUDGET_S) as connection:
            known = await connection.fetchval(
                self.sql("runs_finish"), token, owner, ending.outcome.value, _json(ending)
            )
            await self.tell(connection, "end")
        return known is not None


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
        heard=row["heard"],
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
        ended_s=row["ended_s"],
    )
