"""The schema: complete, idempotent, safe against a race, and hands off what exists."""

from __future__ import annotations

import asyncio
from datetime import date

import asyncpg

from qsuite_console.config.settings import TableSettings
from qsuite_console.db import schema

NAMES = {
    "auth_user",
    "market_calendar",
    "market_data_ticker",
    "market_data_marketdata",
    "price_ticks",
    "price_ticks_staging",
    "backfill_coverage",
    "execution_engine_order",
    "execution_engine_execution",
    "pipelines",
    "pipeline_runs",
    "task_runs",
    "task_runs_partitioned",
}


async def test_two_at_once_make_each_table_once(empty_database_dsn):
    connections = [await asyncpg.connect(empty_database_dsn) for _ in range(3)]
    try:
        created = await asyncio.gather(*(schema.create_schema(c, TableSettings()) for c in connections))
        assert sorted(map(len, created)) == [0, 0, len(NAMES)]
        assert {name for names in created for name in names} == NAMES
        rows = await connections[0].fetch("SELECT relname n FROM pg_class WHERE relispartition AND relkind = 'r'")
        assert "price_ticks_default" in {r["n"] for r in rows}
        assert len(rows) == 2 * (1 + 1 + schema.MONTHS_AHEAD)
    finally:
        for connection in connections:
            await connection.close()


async def test_an_existing_platform_is_adopted_untouched(empty_database_dsn):
    connection = await asyncpg.connect(empty_database_dsn)
    try:
        await connection.execute("CREATE TABLE market_data_ticker (id integer PRIMARY KEY, symbol text)")
        await connection.execute("CREATE TABLE price_ticks (whatever text)")
        before = await connection.fetch("SELECT * FROM information_schema.columns WHERE table_name = 'price_ticks'")
        created = await schema.create_schema(connection, TableSettings())
        assert set(created) == NAMES - {"market_data_ticker", "price_ticks"}
        after = await connection.fetch("SELECT * FROM information_schema.columns WHERE table_name = 'price_ticks'")
        assert before == after
        assert await connection.fetchval("SELECT to_regclass('price_ticks_default') IS NULL")
    finally:
        await connection.close()


async def test_names_may_be_qualified_and_strange(empty_database_dsn):
    tables = TableSettings(
        tickers="mk.Tickers", market_data='mk.we"ird bars', price_ticks="ticks.bars", calendar="cal", coverage="mk.c"
    )
    connection = await asyncpg.connect(empty_database_dsn)
    try:
        created = await schema.create_schema(connection, tables)
        assert {'mk.we"ird bars', "mk.Tickers", "ticks.bars", "ticks.bars_staging", "cal", "mk.c"} <= set(created)
        await connection.execute("INSERT INTO mk.\"Tickers\" (symbol) VALUES ('AAPL')")
        await connection.execute('INSERT INTO mk."we""ird bars" VALUES (1, now(), 1, 2, 0.5, 1, 10)')
        await connection.execute("INSERT INTO ticks.bars VALUES ('AAPL', '1Day', now(), 1, 2, 0.5, 1, 10)")
        assert await connection.fetchval("SELECT count(*) FROM ticks.bars_default") == 0
        assert await schema.create_schema(connection, tables) == ()
    finally:
        await connection.close()


async def test_months_are_made_once_whatever_the_time_zone(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    try:
        await connection.execute("SET timezone = 'Pacific/Auckland'")
        made = await schema.ensure_months(connection, "price_ticks", date(2024, 11, 20), date(2025, 2, 1))
        assert made == tuple(f"price_ticks_p{m}" for m in (202411, 202412, 202501, 202502))
        assert await schema.ensure_months(connection, "price_ticks", date(2024, 12, 1), date(2025, 1, 1)) == ()
        await connection.execute("SET timezone = 'UTC'")
        bounds = await connection.fetchval(
            "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'price_ticks_p202412'"
        )
        assert bounds == "FOR VALUES FROM ('2024-12-01 00:00:00+00') TO ('2025-01-01 00:00:00+00')"
    finally:
        await connection.close()
