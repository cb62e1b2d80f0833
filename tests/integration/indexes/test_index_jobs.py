"""Index jobs that are cut, refused, repeated or meet partitions: what is left on the server is what is judged."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from fakes.backfill import FakeContext
from fakes.failing import fails_for_good, fails_for_now
from integration.indexes.index_scene import (
    BOOK,
    execute,
    names,
    of,
    open_transaction,
    rows,
    run,
    until,
    worker,
)
from qsuite_console.config.settings import TableSettings
from qsuite_console.db import maintenance
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.sandbox import servers

ORDERS = "execution_engine_order"
FILL = (
    "INSERT INTO auth_user (username) VALUES ('u')",
    "INSERT INTO market_data_ticker (symbol) VALUES ('S')",
    f"INSERT INTO {ORDERS} (created_by_id, ticker_id, side, order_type, status, quantity, price) "
    "SELECT 1, 1, 'BUY', 'LIMIT', 'PENDING', 10, 1 + n % 50 FROM generate_series(1, 2000) n",
)
WRITES = f"UPDATE {ORDERS} SET quantity = quantity WHERE id = 1"


async def is_invalid(dsn: str, name: str) -> bool:
    return name in await names(dsn, broken=True)


async def backend(dsn: str, word: str) -> int:
    found = await rows(
        dsn,
        "SELECT pid FROM pg_stat_activity WHERE query LIKE '/* %' AND query LIKE $1 AND state = 'active' "
        "AND pid <> pg_backend_pid()",
        f"%{word}%",
    )
    return int(found[0]["pid"]) if found else 0


async def test_a_build_cancelled_while_it_waits_leaves_nothing_and_the_next_one_ends(database_dsn: str) -> None:
    dsn = database_dsn
    await execute(dsn, *FILL, f"DROP INDEX {BOOK}")
    context = FakeContext()
    async with worker(dsn) as indexes:
        async with open_transaction(dsn, WRITES):
            running = asyncio.create_task(run(indexes, of("build", BOOK), context))

            async def is_seen() -> bool:
                return running.done() or any("waiting for writers" in said["message"] for _, _, said in context.said)

            await until(is_seen, "it tells whom it waits for")
            assert not running.done()
            message = next(said["message"] for _, _, said in context.said if "waiting for writers" in said["message"])
            assert "pid " in message
            assert await is_invalid(dsn, BOOK)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert await backend(dsn, "INDEX") == 0, "nothing of it goes on"
        result = await run(indexes, of("build", BOOK), FakeContext(checkpoint=context.checkpoint))
    assert await names(dsn, broken=True) == set()
    assert [each["does"] for each in result["details"]] == ["built"]
    assert BOOK in await names(dsn)


async def test_a_lock_that_is_not_given_is_tried_again_later(database_dsn: str) -> None:
    dsn = database_dsn
    await execute(dsn, *FILL, f"DROP INDEX {BOOK}")
    async with worker(dsn) as indexes:
        async with open_transaction(dsn, WRITES):
            with fails_for_now("a lock stood in the way"):
                await run(indexes, of("build", BOOK, lock_timeout_s=0.2))
        await run(indexes, of("build", BOOK, lock_timeout_s=0.2))
    assert await names(dsn, broken=True) == set()
    assert BOOK in await names(dsn)


async def test_an_index_that_another_session_builds_is_left_to_it(database_dsn: str) -> None:
    dsn = database_dsn
    await execute(dsn, *FILL, f"DROP INDEX {BOOK}")
    async with worker(dsn) as indexes:
        async with open_transaction(dsn, WRITES):
            statement = f"CREATE INDEX CONCURRENTLY {BOOK} ON {ORDERS} (ticker_id, side, price) "
            statement += "INCLUDE (quantity, filled_quantity) WHERE status IN ('PENDING', 'PARTIALLY_FILLED') "
            other = asyncio.create_task(execute(dsn, statement + "AND order_type = 'LIMIT'"))
            await until(lambda: is_invalid(dsn, BOOK), "the other one has begun")
            states = {one.name: one.state for one in await indexes.reader.standings()}
            assert states[BOOK] == "building"
            with fails_for_now("another session builds"):
                await run(indexes, of("build", BOOK))
            repair = await indexes.plan(of("repair"))
            assert repair.is_noop
            assert "is being built by another session" in repair.warnings[0]
        await other
        assert (await run(indexes, of("build", BOOK)))["present"] == 1


@pytest.mark.parametrize("action", ["build", "rebuild"])
async def test_after_a_kill_of_the_backend_no_broken_index_is_left_by_the_next_run(action: str) -> None:
    directory = Path(tempfile.mkdtemp(prefix="qsuite-indexes-"))
    directory.chmod(0o711)
    server = servers.start_postgres(directory, password=servers.make_password(), settings=["autovacuum=off"])
    try:
        dsn = server.url
        await execute(dsn, f"CREATE TABLE {ORDERS} (id bigint PRIMARY KEY, ticker_id bigint, side text, price numeric, "
                           "quantity numeric, filled_quantity numeric, status text, order_type text, "
                           "created_by_id bigint, created_at timestamptz)",
                      f"INSERT INTO {ORDERS} (id, ticker_id) SELECT n, n FROM generate_series(1, 1000) n")  # fmt: skip
        context = FakeContext()
        async with worker(dsn) as indexes:
            if action == "rebuild":
                await run(indexes, of("build", BOOK))
            async with open_transaction(dsn, f"UPDATE {ORDERS} SET side = 'BUY' WHERE id = 1"):
                running = asyncio.create_task(run(indexes, of(action, BOOK), context))
                broken = BOOK if action == "build" else f"{BOOK}_ccnew"
                await until(lambda: is_invalid(dsn, broken), "it is in the middle")
                pid = await backend(dsn, "INDEX")
                assert pid
                os.kill(pid, signal.SIGKILL)
                with fails_for_now():
                    await running
            await until(lambda: is_up(dsn), "the server came back by itself")
            assert await names(dsn, broken=True) == {broken}, "this is what a kill leaves"
            states = {one.name: one.state for one in await indexes.reader.standings()}
            assert states[BOOK] == ("invalid" if action == "build" else "present")
            result = await run(indexes, of(action, BOOK), FakeContext(checkpoint=context.checkpoint))
            assert await names(dsn, broken=True) == set()
            assert {BOOK} <= await names(dsn)
            assert len(await names(dsn)) == 2
            assert [each["index"] for each in result["details"]] == [BOOK]
    finally:
        server.stop()
        shutil.rmtree(directory)


async def is_up(dsn: str) -> bool:
    try:
        return bool(await rows(dsn, "SELECT 1 AS one"))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False


async def break_index(dsn: str, name: str) -> None:
    """Let a unique index over equal values fail: what it leaves is invalid for good."""
    await execute(dsn, "CREATE TABLE IF NOT EXISTS twins (a int)", "INSERT INTO twins VALUES (1), (1)")
    with pytest.raises(asyncpg.UniqueViolationError, match="could not create unique index"):
        await execute(dsn, f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON twins (a)")


async def test_repair_finds_what_is_broken_and_says_what_it_can_not_mend(empty_database_dsn: str) -> None:
    dsn = empty_database_dsn
    await break_index(dsn, "broken")
    async with worker(dsn) as indexes:
        plan = await indexes.plan(of("repair"))
        assert plan.figures["indexes"] == ["broken"]
        with fails_for_good("could not create unique index"):
            await run(indexes, of("repair"))
        assert await names(dsn, broken=True) == {"broken"}, "no second one beside it"
        await execute(dsn, "DELETE FROM twins WHERE ctid = '(0,1)'")
        result = await run(indexes, of("repair"))
        assert [(each["index"], each["does"]) for each in result["details"]] == [("broken", "repaired")]
        assert await names(dsn, broken=True) == set()
        assert (await indexes.plan(of("repair"))).is_noop
        assert (await run(indexes, of("repair")))["indexes"] == 0


async def test_what_a_rebuild_left_is_dropped_by_repair(empty_database_dsn: str) -> None:
    dsn = empty_database_dsn
    await break_index(dsn, "some_ccnew")
    async with worker(dsn) as indexes:
        result = await run(indexes, of("repair"))
    assert [each["does"] for each in result["details"]] == ["dropped"]
    assert await names(dsn) == set()


async def test_what_backs_a_constraint_is_never_dropped(database_dsn: str) -> None:
    dsn = database_dsn
    await execute(
        dsn, "CREATE TABLE parent (a int NOT NULL)", "CREATE UNIQUE INDEX parent_a ON parent (a)",
        "CREATE TABLE child (a int REFERENCES parent (a))", "CREATE TABLE named (a int NOT NULL)",
        "CREATE UNIQUE INDEX named_a ON named (a)", "ALTER TABLE named REPLICA IDENTITY USING INDEX named_a",
    )  # fmt: skip
    before = await names(dsn)
    async with worker(dsn) as indexes:
        for name, reason in (
            ("market_data_marketdata_pkey", "stands behind the constraint market_data_marketdata_pkey"),
            ("market_data_ticker_symbol_key", "stands behind the constraint"),
            ("parent_a", "stands behind the constraint child_a_fkey"),
            ("named_a", "is the replica identity"),
            ("task_runs_partitioned_default_pipeline_run_id_idx", "is a part of a partitioned index"),
        ):
            with pytest.raises(InvalidParameters, match=reason):
                await indexes.plan(of("drop", name))
            with fails_for_good(reason):
                await run(indexes, of("drop", name))
        assert await names(dsn) == before
        with pytest.raises(InvalidParameters, match="name the index to drop"):
            await indexes.plan(of("drop"))
        with pytest.raises(InvalidParameters, match="there is no index"):
            await indexes.plan(of("drop", 'no "such" (index'))


async def test_a_drop_frees_its_bytes_and_an_interrupted_one_is_finished(database_dsn: str) -> None:
    dsn = database_dsn
    await execute(dsn, *FILL)
    size = (await rows(dsn, "SELECT pg_relation_size($1::text::regclass) AS bytes", BOOK))[0]["bytes"]
    context = FakeContext()
    async with worker(dsn) as indexes:
        plan = await indexes.plan(of("drop", f"public.{BOOK}"))
        assert plan.lines[0].value == f"{BOOK} on {ORDERS}"
        result = await run(indexes, of("drop", BOOK), context)
        again = await run(indexes, of("drop", BOOK), FakeContext(checkpoint=context.checkpoint))
    assert (result["bytes_before"], result["bytes_after"]) == (size, 0)
    assert again["details"] == result["details"], "what is gone is done"
    assert BOOK not in await names(dsn)


async def test_a_rebuild_takes_the_air_out_and_needs_a_name(database_dsn: str) -> None:
    dsn = database_dsn
    await execute(dsn, *FILL, *[f"UPDATE {ORDERS} SET price = price + 1"] * 4, f"DELETE FROM {ORDERS} WHERE id > 50")
    async with worker(dsn) as indexes:
        with pytest.raises(InvalidParameters, match="name the index to rebuild"):
            await indexes.plan(of("rebuild"))
        one = await run(indexes, of("rebuild", BOOK))
        every = await run(indexes, of("rebuild", table=ORDERS))
    assert 0 < one["bytes_after"] < one["bytes_before"]
    assert {each["index"] for each in every["details"]} >= {BOOK, f"{ORDERS}_pkey", f"{ORDERS}_user_idx"}
    assert await names(dsn, broken=True) == set()


PARTED = (
    "CREATE TABLE task_runs_partitioned_p1 PARTITION OF task_runs_partitioned "
    "FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-02-01 00:00+00')",
    "CREATE TABLE task_runs_partitioned_p2 PARTITION OF task_runs_partitioned "
    "FOR VALUES FROM ('2026-02-01 00:00+00') TO ('2026-03-01 00:00+00') PARTITION BY RANGE (created_at)",
    "CREATE TABLE task_runs_partitioned_p2a PARTITION OF task_runs_partitioned_p2 "
    "FOR VALUES FROM ('2026-02-01 00:00+00') TO ('2026-02-10 00:00+00')",
)
RUN_IDX = "task_runs_partitioned_run_idx"


async def test_a_partitioned_table_is_built_part_by_part_and_goes_on_where_it_was_cut(database_dsn: str) -> None:
    dsn = database_dsn
    await execute(dsn, *PARTED, f"DROP INDEX {RUN_IDX}")
    context = FakeContext()
    async with worker(dsn) as indexes:
        async with open_transaction(dsn, "LOCK TABLE task_runs_partitioned_p2a IN ROW EXCLUSIVE MODE"):
            with fails_for_now():
                await run(indexes, of("build", RUN_IDX, lock_timeout_s=0.2), context)
        assert await names(dsn, broken=True) >= {RUN_IDX}, "begun, not ended"
        states = {one.name: one.state for one in await indexes.reader.standings()}
        assert states[RUN_IDX] == "invalid"
        result = await run(indexes, of("build", RUN_IDX), FakeContext(checkpoint=context.checkpoint))
        assert [each["index"] for each in result["details"]] == [RUN_IDX]
        assert await names(dsn, broken=True) == set()
        count = "SELECT count(*) AS n FROM pg_partition_tree($1::text::regclass)"
        parts = await rows(dsn, count, "task_runs_partitioned")
        assert await rows(dsn, count, RUN_IDX) == parts, "every part has its own"
        assert parts[0]["n"] > 4
        assert (await run(indexes, of("build", RUN_IDX)))["present"] == 1
        rebuilt = await run(indexes, of("rebuild", RUN_IDX))
        assert rebuilt["details"][0]["bytes_after"] > 0
        plan = await indexes.plan(of("drop", RUN_IDX))
        assert "for a moment" in plan.lines[0].note
        await run(indexes, of("drop", RUN_IDX))
    assert not [name for name in await names(dsn) if name.endswith("run_idx") and "partitioned" in name]


async def test_repair_finishes_a_partitioned_index(database_dsn: str) -> None:
    dsn = database_dsn
    await execute(
        dsn, *PARTED, "CREATE INDEX by_task ON ONLY task_runs_partitioned (task_name) WHERE status = 'failed'"
    )
    async with worker(dsn) as indexes:
        result = await run(indexes, of("repair"))
    assert [each["index"] for each in result["details"]] == ["by_task"]
    assert await names(dsn, broken=True) == set()


async def test_a_role_that_does_not_own_the_table_is_told_so(database_dsn: str) -> None:
    dsn = database_dsn
    parts = urlsplit(dsn)
    name = f"visitor_{parts.path.strip('/')}"
    await execute(dsn, f"DROP INDEX {BOOK}", f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    try:
        async with worker(urlunsplit(parts._replace(netloc=f"{name}:x@{parts.hostname}:{parts.port}"))) as indexes:
            for wanted in (of("build"), of("rebuild", f"{ORDERS}_user_idx"), of("drop", f"{ORDERS}_user_idx")):
                with pytest.raises(InvalidParameters, match=f"does not own public.{ORDERS}"):
                    await indexes.plan(wanted)
    finally:
        await execute(dsn, f"DROP ROLE {name}")


async def test_other_names_and_schemas_of_tables_are_followed(empty_database_dsn: str) -> None:
    dsn = empty_database_dsn
    await execute(
        dsn, 'CREATE SCHEMA "Odd one"', 'CREATE TABLE "Odd one"."my bars" (ticker_id bigint, "timestamp" timestamptz)',
        'INSERT INTO "Odd one"."my bars" SELECT 1, now() FROM generate_series(1, 10)',
    )  # fmt: skip
    async with worker(dsn, TableSettings(market_data="Odd one.my bars")) as indexes:
        result: Any = await run(indexes, of("build"))
        states = {one.name: one.state for one in await indexes.reader.standings()}
    assert [each["index"] for each in result["details"]] == ["my bars_ts_brin"]
    assert states["my bars_ts_brin"] == "present"
    assert states[BOOK] == "no table"


async def test_behind_a_pooler_nothing_is_set_and_it_is_built_all_the_same(database_dsn: str) -> None:
    dsn = database_dsn
    await execute(dsn, f"DROP INDEX {BOOK}")
    async with worker(dsn, pgbouncer=True) as indexes:
        plan = await indexes.plan(of("build", BOOK))
        assert any("through PgBouncer no timeout can be set" in line for line in plan.warnings)
        result = await run(indexes, of("build", BOOK))
    assert result["indexes"] == 1
    assert BOOK in await names(dsn)


async def test_progress_is_what_the_server_tells_of_the_build(
    database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "_POLL_S", 0.005)
    dsn = database_dsn
    await execute(
        dsn, *FILL[:2], f"DROP INDEX {BOOK}", "SET max_parallel_maintenance_workers = 0",
        f"INSERT INTO {ORDERS} (created_by_id, ticker_id, side, order_type, status, quantity, price) "
        "SELECT 1, 1, 'BUY', 'LIMIT', 'PENDING', 10, 1 + n % 50 FROM generate_series(1, 150000) n", f"ANALYZE {ORDERS}",
    )  # fmt: skip
    context = FakeContext()
    async with worker(dsn) as indexes:
        await run(indexes, of("build", BOOK), context)
    phases = [said["figures"]["phase"] for _, _, said in context.said]
    assert any(phase.startswith("building index") for phase in phases), phases
    assert any(phase.startswith("index validation") for phase in phases), phases
    shares = [done / total for done, total, _ in context.said if total]
    assert shares == sorted(shares), "it never goes back"
    assert len({share for share in shares if 0 < share < 1}) > 2, "and is told on the way"
    assert shares[-1] == 1
    assert any(" %" in said["message"] and BOOK in said["message"] for _, _, said in context.said)
