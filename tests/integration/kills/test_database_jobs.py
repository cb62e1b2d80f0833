"""Each job on the database loses its server, or the cache, in the middle; it comes back, goes on and ends right."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fakes import ingesting
from integration.kills.killing import Kills, Victim, result_of
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import ProviderSettings, TableSettings
from qsuite_console.db.index_catalogue import CATALOGUE
from qsuite_console.model.jobs import JobAction, JobDetail
from qsuite_console.sandbox.exchange.server import Exchange

RECORDS = 16_000
SYMBOLS = ingesting.symbols(3)
MONTHS = (
    "SELECT pg_get_expr(c.relpartbound, c.oid) AS bound FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
    "WHERE i.inhparent = '{}'::regclass AND pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT' ORDER BY 1"
)


async def know(kills: Kills, symbols: list[str]) -> None:
    await kills.execute(*(f"INSERT INTO market_data_ticker (symbol) VALUES ('{symbol}')" for symbol in symbols))


async def finish(kills: Kills, job: int, victim: Victim = "postgres") -> JobDetail:
    """Bring the server back and return the job: without PostgreSQL an attempt fails, without Valkey these go on."""
    if victim == "postgres":
        await kills.start(victim)
    detail = await kills.end(job)
    if victim == "valkey":
        await kills.start(victim)
    outcomes = {str(attempt.outcome) for attempt in detail.attempts}
    assert outcomes == ({"succeeded"} if victim == "valkey" else {"retry", "succeeded"})
    return detail


def months(first: datetime, count: int) -> list[datetime]:
    index = first.year * 12 + first.month - 1
    return [datetime((index + n) // 12, (index + n) % 12 + 1, 1, tzinfo=UTC) for n in range(count)]


@pytest.mark.parametrize("victim", ["postgres", "valkey"])
async def test_partitions(kills: Kills, victim: Victim) -> None:
    async with kills.holding("LOCK TABLE task_runs_partitioned IN SHARE MODE"):
        job = await kills.submit("partitions", months_ahead=9)
        await kills.until_held(job, lambda job: job.progress.done == 1)
        await kills.kill(victim)
    await finish(kills, job, victim)
    wanted = months(datetime.now(UTC), 11)
    bounds = sorted(
        f"FOR VALUES FROM ('{low:%Y-%m-%d} 00:00:00+00') TO ('{high:%Y-%m-%d} 00:00:00+00')"
        for low, high in pairwise(wanted)
    )
    for table in ("price_ticks", "task_runs_partitioned"):
        assert [row["bound"] for row in await kills.rows(MONTHS.format(table))] == bounds


@pytest.mark.parametrize(("removal", "victim"), [("detach", "postgres"), ("drop", "postgres"), ("drop", "valkey")])
async def test_retention(kills: Kills, removal: str, victim: Victim) -> None:
    old = months(datetime.now(UTC) - timedelta(days=900), 4)
    for low, high in pairwise(old):
        await kills.execute(
            f"CREATE TABLE price_ticks_p{low:%Y%m} PARTITION OF price_ticks FOR VALUES FROM ('{low}') TO ('{high}')",
            'INSERT INTO price_ticks (symbol, timeframe, "timestamp", open, high, low, close, volume) '
            f"SELECT 'S', '1Min', '{low}'::timestamptz + n * interval '1 minute', 1, 1, 1, 1, 1 "
            f"FROM generate_series(1, {low.month * 10}) n",
        )
    names = [f"price_ticks_p{low:%Y%m}" for low in old[:3]]
    async with kills.holding(f"LOCK TABLE {names[1]} IN ACCESS SHARE MODE"):
        job = await kills.submit("retention", table="price_ticks", keep_months=12, removal=removal)
        await kills.until_held(job, lambda job: job.progress.done == 1)
        await kills.kill(victim)
    result = result_of(await finish(kills, job, victim))
    assert [(each["partition"], each["rows"]) for each in result["removed"]] == [
        (name, low.month * 10) for name, low in zip(names, old, strict=False)
    ]
    assert await kills.value("SELECT count(*) FROM price_ticks") == 0
    left = await kills.value("SELECT count(to_regclass(n)) FROM unnest($1::text[]) n", names)
    assert left == (3 if removal == "detach" else 0)


@pytest.mark.parametrize("victim", ["postgres", "valkey"])
async def test_indexes(kills: Kills, victim: Victim) -> None:
    wanted = sorted(one.name(TableSettings()) for one in CATALOGUE)
    await kills.execute(*(f"DROP INDEX {name}" for name in wanted))
    await kills.execute(
        "INSERT INTO auth_user (username) VALUES ('u')",
        "INSERT INTO market_data_ticker (symbol) VALUES ('S')",
        "INSERT INTO execution_engine_order (created_by_id, ticker_id, side, order_type, status, quantity, price) "
        "SELECT 1, 1, 'BUY', 'LIMIT', 'PENDING', 10, 1 + n % 50 FROM generate_series(1, 2000) n",
    )
    invalid = "SELECT count(*) FROM pg_index WHERE NOT (indisvalid AND indisready AND indislive)"
    async with kills.holding("UPDATE execution_engine_order SET quantity = 11 WHERE id = 1"):
        job = await kills.submit("indexes")
        await kills.until_held(job, lambda job: "waiting for writers" in job.progress.message)
        assert await kills.value(invalid) > 0, "this is the middle of a build"
        await kills.kill(victim)
    result = result_of(await finish(kills, job, victim))
    assert sorted(each["index"] for each in result["details"]) == wanted
    assert await kills.value(invalid) == 0
    present = "SELECT count(*) FROM pg_class WHERE relname = ANY ($1::text[]) AND relkind IN ('i', 'I')"
    assert await kills.value(present, wanted) == len(wanted)
    assert await kills.value("SELECT count(*) FROM pg_class WHERE relname ~ '_cc(new|old)'") == 0


@pytest.mark.parametrize("victim", ["postgres", "valkey"])
async def test_vacuum(kills: Kills, victim: Victim) -> None:
    parts = [f"price_ticks_p{low:%Y%m}" for low in months(datetime.now(UTC), 2)]
    for part, low in zip(parts, months(datetime.now(UTC), 2), strict=True):
        await kills.execute(
            'INSERT INTO price_ticks (symbol, timeframe, "timestamp", open, high, low, close, volume) '
            f"SELECT 'S', '1Min', '{low}'::timestamptz + n * interval '1 minute', 1, 1, 1, 1, 1 "
            "FROM generate_series(1, 5000) n",
            f"DELETE FROM {part}",
        )
    sizes = "SELECT pg_relation_size(n::regclass) AS bytes FROM unnest($1::text[]) n"
    assert all(row["bytes"] > 100_000 for row in await kills.rows(sizes, parts))
    async with kills.holding(f"LOCK TABLE {parts[1]} IN SHARE UPDATE EXCLUSIVE MODE"):
        job = await kills.submit("vacuum", table="price_ticks", mode="vacuum")
        await kills.until_held(job, lambda job: parts[1] in job.progress.message)
        await kills.kill(victim)
    result = result_of(await finish(kills, job, victim))
    assert {row["bytes"] for row in await kills.rows(sizes, parts)} == {0}, "dead rows are gone, and their pages"
    done = {each["table"].rpartition(".")[2]: each for each in result["details"]}
    assert [done[part]["dead_before"] for part in parts] == [5000, 5000], "what it was like before is not forgotten"


async def place_orders(kills: Kills, count: int) -> None:
    await kills.execute(
        "INSERT INTO auth_user (username) VALUES ('ann')",
        "INSERT INTO market_data_ticker (id, symbol) VALUES (1, 'AAA'), (2, 'BBB')",
        "INSERT INTO market_data_marketdata VALUES (1, now(), 10, 11, 9, 10.123456, 5), (2, now(), 20, 21, 19, 20, 5)",
        "INSERT INTO execution_engine_order (created_by_id, ticker_id, side, order_type, status, quantity) "
        "SELECT 1, 1 + n % 2, CASE WHEN n % 3 = 0 THEN 'SELL' ELSE 'BUY' END, 'MARKET', 'PENDING', 1 + n % 97 "
        f"FROM generate_series(1, {count}) n",
    )


async def check_orders(kills: Kills, count: int, result: Any) -> None:
    """Compare each execution with what is computed here, and the result's sums with theirs."""
    prices = {(1, "BUY"): "10.124468", (1, "SELL"): "10.122444", (2, "BUY"): "20.002", (2, "SELL"): "19.998"}
    rows = await kills.rows(
        "SELECT o.id, o.ticker_id, o.side, o.status, o.quantity AS wanted, o.filled_quantity, o.avg_fill_price, "
        "e.quantity, e.price, e.commission FROM execution_engine_order o "
        "LEFT JOIN execution_engine_execution e ON e.order_id = o.id ORDER BY o.id"
    )
    assert len(rows) == len({row["id"] for row in rows}) == count, "each is filled exactly once"
    for row in rows:
        assert row["status"] == "FILLED"
        assert row["wanted"] == row["quantity"] == row["filled_quantity"] == 1 + row["id"] % 97
        assert row["price"] == row["avg_fill_price"] == Decimal(prices[row["ticker_id"], row["side"]])
        assert row["commission"] == row["quantity"] * Decimal("0.005")
    assert (result["orders"], result["filled"]) == (count, count)
    for name, value in (
        ("quantity", sum(row["quantity"] for row in rows)),
        ("notional", sum(row["quantity"] * row["price"] for row in rows)),
        ("commission", sum(row["commission"] for row in rows)),
    ):
        assert Decimal(result[name]) == value


@pytest.mark.parametrize("victim", ["postgres", "valkey"])
async def test_orders(kills: Kills, victim: Victim) -> None:
    await place_orders(kills, 1_800)
    async with kills.gate("execution_engine_execution", "NEW.order_id = 1200"):
        job = await kills.submit("orders.settle")
        await kills.until_held(job, lambda job: job.progress.done == 1_000)
        await kills.kill(victim)
    if victim == "postgres":
        await kills.start("postgres")
        await kills.execute("DROP TRIGGER IF EXISTS gate ON execution_engine_execution")
    detail = await kills.end(job)
    if victim == "valkey":
        await kills.start("valkey")
    assert len(detail.attempts) == (1 if victim == "valkey" else 2)
    await check_orders(kills, 1_800, result_of(detail))


async def check_bars(kills: Kills) -> None:
    """Compare the table with the good lines of the file."""
    rows = await kills.rows(
        'SELECT symbol, "timestamp", open, high, low, close, volume FROM price_ticks ORDER BY symbol, "timestamp"'
    )
    wanted = []
    for line, reason in ingesting.lines(RECORDS, SYMBOLS, 100):
        if not reason:
            symbol, stamp, *numbers = line.strip().split(",")
            wanted.append((symbol, datetime.fromisoformat(stamp), *(Decimal(number) for number in numbers)))
    assert [tuple(row.values()) for row in rows] == wanted


@pytest.mark.parametrize("victim", ["postgres", "valkey"])
async def test_ingest(kills: Kills, tmp_path: Path, victim: Victim) -> None:
    await know(kills, SYMBOLS)
    path = tmp_path / "bars.csv"
    bad = ingesting.write(path, RECORDS, SYMBOLS)
    at = (ingesting.BEGIN + timedelta(minutes=4_000)).isoformat()
    condition = f"NEW.symbol = '{SYMBOLS[2]}' AND NEW.\"timestamp\" = '{at}'"
    async with kills.gate("price_ticks", condition):
        job = await kills.submit("ingest", path=str(path))
        await kills.until_held(job)
        await kills.kill(victim)
    if victim == "postgres":
        await kills.start("postgres")
    else:
        await kills.until_failed_once(job)
        await kills.control.act(JobAction.PAUSE, [job])
        await kills.start("valkey")
        for symbol in (*SYMBOLS, "OTHER"):
            assert await kills.valkey("SET", f"price:{symbol}", "old") == b"+OK"
        await kills.control.act(JobAction.RESUME, [job])
    detail = await kills.end(job)
    assert len(detail.attempts) > 1
    result = result_of(detail)
    assert (result["records"], result["rejected"]) == (RECORDS, len(bad))
    assert result["created"] + result["skipped"] == RECORDS - len(bad)
    await check_bars(kills)
    if victim == "valkey":
        assert await kills.valkey("EXISTS", f"price:{SYMBOLS[2]}") == b":0", "written after the kill"
        assert await kills.valkey("EXISTS", "price:OTHER") == b":1"


@pytest.mark.parametrize("victim", ["postgres", "valkey"])
async def test_backfill(
    start_kills: Callable[..., Awaitable[Kills]], exchange: Callable[..., Awaitable[Exchange]], victim: Victim
) -> None:
    server = await exchange(symbols=6)
    environment = server.environment
    kills = await start_kills(
        provider=ProviderSettings(
            data_url=environment["APCA_API_DATA_URL"],
            trading_url=environment["APCA_API_BASE_URL"],
            key_id=Secret(environment["APCA_API_KEY_ID"]),
            secret_key=Secret(environment["APCA_API_SECRET_KEY"]),
            rate_limit=100_000,
        )
    )
    symbols = sorted(server._stocks._market.by_symbol)
    await know(kills, symbols)
    asked = {"symbols": "all", "timeframe": "1Min", "start": "2025-03-03", "end": "2025-03-14"}
    table = (
        "SELECT count(*) AS bars, md5(string_agg(t::text, E'\\n')) AS sum FROM (SELECT symbol, \"timestamp\", open, "
        "high, low, close, volume FROM price_ticks ORDER BY 1, 2) t"
    )
    undisturbed = await kills.end(await kills.submit("backfill", **asked))
    (wanted,) = await kills.rows(table)
    assert wanted["bars"] == result_of(undisturbed)["rows_present"] > 10_000
    await kills.execute("TRUNCATE price_ticks, backfill_coverage")
    condition = f"NEW.symbol = '{symbols[-1]}' AND NEW.\"timestamp\" = '2025-03-12 15:00+00'"
    async with kills.gate("price_ticks", condition):
        job = await kills.submit("backfill", **asked)
        await kills.until_held(job)
        await kills.kill(victim)
    if victim == "postgres":
        await kills.start(victim)
    detail = await kills.end(job)
    if victim == "valkey":
        await kills.start(victim)
    else:
        assert any("a page waits" in line.message for line in detail.logs), "within its attempt: the page is not lost"
    assert await kills.rows(table) == [wanted]
    assert result_of(detail)["verified"]
