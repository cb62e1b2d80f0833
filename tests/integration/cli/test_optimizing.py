"""``optimize`` and ``cleanup``: the plan is right and touches nothing; then the same jobs anybody can start do it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
from redis import Redis

from integration.cli.conftest import Console

TABLE = 'public."wo""rn t"'
INDEX = "execution_engine_order_book_idx"
QUICK = ("--interval", "0.2")


@pytest.fixture
def cache(valkey_url: str) -> Iterator[Redis]:
    """The cache, empty, with one key that never expires and one that does."""
    client = Redis.from_url(valkey_url)
    client.flushdb()
    client.set("price:ZZZ", "1")
    client.set("price:YYY", "1", ex=900)
    yield client
    client.flushdb()
    client.close()


async def wear(dsn: str) -> str:
    """Make dead rows, drop a recommended index and the last partition; return that partition's name."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"CREATE TABLE {TABLE} (a int) WITH (autovacuum_enabled = false)")
        await connection.execute(f"INSERT INTO {TABLE} SELECT generate_series(1, 20000)")
        await connection.execute(f"DELETE FROM {TABLE} WHERE a <= 8000")
        await connection.execute(
            "WITH t AS (INSERT INTO market_data_ticker (symbol, is_active) VALUES ('AAPL', true) RETURNING id)"
            " INSERT INTO market_data_marketdata SELECT id, date_trunc('minute', now()), 1, 1, 1, 1, 1 FROM t"
        )
        await connection.execute(f"DROP INDEX IF EXISTS {INDEX}")
        last = await connection.fetchval(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = 'price_ticks'::regclass AND c.relname ~ '[0-9]$' ORDER BY 1 DESC LIMIT 1"
        )
        await connection.execute(f'DROP TABLE "{last}"')
    finally:
        await connection.close()
    return str(last)


async def look(dsn: str, partition: str) -> tuple[bool, bool, int]:
    """Return whether index and partition are there, and the table's dead rows."""
    connection = await asyncpg.connect(dsn)
    try:
        row = await connection.fetchrow(
            "SELECT to_regclass($1) IS NOT NULL, to_regclass($2) IS NOT NULL,"
            " pg_stat_get_dead_tuples($3::regclass::oid)",
            f"public.{INDEX}", f"public.{partition}", TABLE,
        )  # fmt: skip
        assert row is not None
        return row[0], row[1], row[2]
    finally:
        await connection.close()


@pytest.fixture
def worn(console: Console, database_dsn: str, valkey_url: str, cache: Redis) -> str:
    console.environ |= {"DATABASE_URL": database_dsn, "REDIS_URL": valkey_url}
    return asyncio.run(wear(database_dsn))


def kinds(document: Any) -> set[str]:
    return {step["kind"] or step["operation"] for step in document["steps"] if step["is_safe"]}


def test_the_plan_names_object_evidence_and_job_and_touches_nothing(
    console: Console, worn: str, database_dsn: str, cache: Redis
) -> None:
    document = console.json("optimize", *QUICK)
    assert {"vacuum", "indexes", "partitions", "cache.cleanup", "warm.prices"} <= kinds(document)
    assert document["performed"] is None
    (step,) = [step for step in document["steps"] if step["kind"] == "vacuum" and step["subject"] == TABLE]
    assert step["parameters"] == {"table": TABLE, "mode": "vacuum_analyze"}
    assert any(text.startswith("dead rows 8,000") for text in step["evidence"])
    shown = console.run("optimize", *QUICK)
    assert shown.returncode == 0
    assert 'qsuite-console run vacuum --table \'public."wo""rn t"\' --mode vacuum_analyze' in shown.stdout
    assert f"build the index {INDEX}" in shown.stdout
    assert "--auto does steps 1 to" in shown.stderr
    assert asyncio.run(look(database_dsn, worn)) == (False, False, 8000)
    assert (cache.ttl("price:ZZZ"), cache.exists("price:AAPL")) == (-1, 0)
    assert console.peek() == []


def test_auto_does_the_safe_steps_as_jobs_and_a_second_time_there_is_nothing_left(
    console: Console, worn: str, database_dsn: str, cache: Redis
) -> None:
    document = console.json("optimize", "--auto", *QUICK)
    performed = document["performed"]
    assert [one["state"] for one in performed] == ["done"] * len(performed), performed
    index, partition, dead = asyncio.run(look(database_dsn, worn))
    assert (index, partition, dead) == (True, True, 0)
    assert 0 < cache.ttl("price:ZZZ") <= 3600
    assert cache.exists("price:AAPL")
    assert {"overall", "database", "cache"} <= {score["area"] for score in document["scores_after"]}
    jobs = console.peek()
    assert {(job.origin, job.state.value) for job in jobs} == {("cli", "succeeded")}
    assert [one["job_id"] for one in performed if one["job_id"]] == sorted(job.id for job in jobs)
    again = console.json("optimize", *QUICK)
    assert not kinds(again) & {"vacuum", "indexes", "partitions", "cache.cleanup"}, again["steps"]


def test_a_running_engine_does_the_work_and_a_failing_step_keeps_no_other_from_it(
    console: Console, worn: str, database_dsn: str, valkey_url: str
) -> None:
    async def spoil() -> None:
        connection = await asyncpg.connect(database_dsn)
        await connection.execute("CREATE TABLE twins (a int); INSERT INTO twins VALUES (1), (1)")
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute("CREATE UNIQUE INDEX CONCURRENTLY twins_a ON twins (a)")
        await connection.close()

    asyncio.run(spoil())
    engine = console.start("--headless")
    info = console.wait_for_engine()
    done = console.run("optimize", "--auto", *QUICK)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"in pid {info.pid}" in done.stderr
    line = next(line for line in done.stdout.splitlines() if "repair the index" in line and "failed" in line)
    assert "equal values" in line
    assert ", 1 failed" in done.stdout
    assert asyncio.run(look(database_dsn, worn))[:2] == (True, True)
    assert "score: overall" in done.stdout
    engine.terminate()
    engine.communicate(timeout=30)


def test_read_only_and_production_are_refused_before_anything_is_done(
    console: Console, worn: str, database_dsn: str
) -> None:
    refused = console.run("--read-only", "optimize", "--auto", *QUICK)
    assert refused.returncode == 1
    assert "is read-only" in refused.stderr
    config = console.home / "config" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text('[target]\nname = "eu1"\nproduction = true\n')
    config.chmod(0o600)
    unasked = console.run("optimize", "--auto", *QUICK)
    assert unasked.returncode == 2
    assert "--confirm eu1" in unasked.stderr
    wrong = console.run("optimize", "--auto", "--confirm", "eu2", *QUICK)
    assert wrong.returncode == 1
    assert "the target is eu1, not eu2" in wrong.stdout + wrong.stderr
    assert asyncio.run(look(database_dsn, worn))[:2] == (False, False)
    confirmed = console.run("optimize", "--auto", "--confirm", "eu1", *QUICK)
    assert confirmed.returncode == 0, confirmed.stdout + confirmed.stderr
    assert asyncio.run(look(database_dsn, worn))[:2] == (True, True)


def test_servers_that_are_away_are_named_and_cost_only_their_own_steps(console: Console, database_dsn: str) -> None:
    console.environ |= {"DATABASE_URL": database_dsn, "REDIS_URL": "redis://127.0.0.1:1/0"}
    done = console.run("optimize", *QUICK)
    assert done.returncode == 0, done.stderr
    assert "could not be read" in done.stderr
    bare = Console(console.home, {name: value for name, value in console.environ.items() if "URL" not in name})
    nothing = bare.run("optimize", *QUICK)
    assert nothing.returncode == 0
    assert "nothing is to be done" in nothing.stdout


def test_cleanup_counts_first_and_then_does_just_that(console: Console, valkey_url: str, cache: Redis) -> None:
    console.environ["REDIS_URL"] = valkey_url
    old = console.home / "state" / "rejects" / "ingest-1.jsonl"
    old.parent.mkdir(parents=True)
    old.write_text("x" * 2048)
    long_ago = time.time() - 30 * 86_400
    os.utime(old, (long_ago, long_ago))
    shown = console.run("cleanup")
    assert shown.returncode == 0
    assert "rejected records" in shown.stdout
    assert "2 KiB" in shown.stdout
    assert "--apply does it" in shown.stderr
    assert old.exists()
    assert cache.ttl("price:ZZZ") == -1
    assert console.peek() == []
    document = console.json("cleanup", "--apply", "--life-s", "600")
    assert [(one["title"].split()[0], one["state"]) for one in document["performed"]] == [
        ("clean", "done"), ("give", "done"),
    ]  # fmt: skip
    assert not old.exists()
    assert 0 < cache.ttl("price:ZZZ") <= 600
    assert console.json("cleanup", "--apply")["performed"] is None
    wrong = console.run("cleanup", "--keep-days", "soon")
    assert (wrong.returncode, "--keep-days" in wrong.stderr) == (2, True)
    cache.set("price:ZZZ", "1")
    refused = console.run("--read-only", "cleanup", "--apply")
    assert (refused.returncode, "is read-only" in refused.stderr) == (1, True)
    assert cache.ttl("price:ZZZ") == -1
