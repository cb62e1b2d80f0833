"""Ingest: good records are there to the last digit, bad ones named, nothing twice, caches told, cuts survived."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from fakes import ingesting
from fakes.backfill import FakeContext, make_settings, open_services
from fakes.failing import fails_for_good, fails_for_now
from qsuite_console.db.errors import DatabaseError
from qsuite_console.engine.ports import Retryable
from qsuite_console.engine.retry import is_permanent
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.paths import resolve
from qsuite_console.workers import Services
from qsuite_console.workers.ingest import IngestParameters, IngestWorker
from qsuite_console.workers.ingest.api import ingest_records

NOWHERE = {
    "APCA_API_DATA_URL": "http://127.0.0.1:1",
    "APCA_API_BASE_URL": "http://127.0.0.1:1",
    "APCA_API_KEY_ID": "K",
    "APCA_API_SECRET_KEY": "S",
}
SYMBOLS = ingesting.symbols(3)
ROW = "{},2025-03-03T15:{:02d}:00Z,100,101,99,100.5,10\n"


@pytest.fixture
async def connection(database_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database_dsn)
    await opened.execute("INSERT INTO market_data_ticker (symbol) SELECT unnest($1::text[])", SYMBOLS)
    yield opened
    await opened.close()


@pytest.fixture
async def services(database_dsn: str, connection: asyncpg.Connection, tmp_path: Path) -> AsyncIterator[Services]:
    async with open_services(make_settings(database_dsn, NOWHERE)) as opened:
        yield replace(opened, paths=resolve(str(tmp_path / "home")).ensure())


async def run(services: Services, path: Path, context: FakeContext | None = None, **given: Any) -> dict[str, Any]:
    parameters = IngestParameters(path=str(path), **given)
    return dict(await IngestWorker(services).run(context or FakeContext(), parameters))


def text(tmp_path: Path, *rows: str, name: str = "bars.csv") -> Path:
    path = tmp_path / name
    path.write_text(ingesting.HEADER + "".join(rows))
    return path


async def total(connection: asyncpg.Connection) -> int:
    return int(await connection.fetchval("SELECT count(*) FROM price_ticks"))


async def test_every_bad_record_is_named_and_every_good_one_stored(
    services: Services, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    path = tmp_path / "bars.csv"
    bad = ingesting.write(path, 12_000, SYMBOLS, every=50)
    assert len(bad) == 240
    first = await run(services, path)
    named = [json.loads(line) for line in Path(first["rejects_file"]).read_text().splitlines()]
    assert {one["record"]: one["reason"] for one in named} == {
        line: reason.removesuffix(" GHOST") for line, reason in bad.items()
    }
    assert Path(first["rejects_file"]).stat().st_mode & 0o777 == 0o600
    assert first["rejected_first"] == [f"Record {line}: {reason}" for line, reason in list(bad.items())[:20]]
    assert len(first["rejected_reasons"]) == len(ingesting.FAULTS)
    assert (first["records"], first["created"], first["rejected"]) == (12_000, 11_760, 240)
    assert first["unknown_symbols"] == {"GHOST": 24}
    assert await total(connection) == 11_760
    again = await run(services, path, FakeContext(2))
    assert (again["created"], again["updated"], again["skipped"], again["rejected"]) == (0, 0, 11_760, 240)
    assert again["records_per_s"] > 0


async def test_created_updated_and_unchanged_are_told_apart(
    services: Services, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    await run(services, text(tmp_path, *(ROW.format("S000", minute) for minute in range(10))))
    rows = [ROW.format("S000", minute) for minute in range(12)]
    rows[3] = rows[3].replace("100.5", "100.123456")
    result = await run(services, text(tmp_path, *rows), FakeContext(2))
    assert (result["created"], result["updated"], result["skipped"]) == (2, 1, 9)
    close = "SELECT close FROM price_ticks WHERE \"timestamp\" = '2025-03-03T15:03:00Z'"
    assert await connection.fetchval(close) == Decimal("100.123456")


async def test_strict_writes_nothing_when_one_record_is_bad(
    services: Services, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    path = tmp_path / "bars.csv"
    ingesting.write(path, 12_000, SYMBOLS, every=11_000)
    with fails_for_good(r"1 of 12,000 records are bad, nothing was written: Record 11001: missing"):
        await run(services, path, strict=True)
    assert await total(connection) == 0
    ingesting.write(path, 12_000, SYMBOLS, every=13_000)
    assert (await run(services, path, strict=True))["created"] == 12_000


async def test_strict_takes_back_what_it_wrote_when_the_table_refuses_a_row(
    services: Services, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    await connection.execute("ALTER TABLE price_ticks ADD CONSTRAINT modest CHECK (volume < 2000)")
    path = tmp_path / "bars.csv"
    ingesting.write(path, 6_000, SYMBOLS, every=10_000)
    lines = path.read_text().splitlines()
    lines[5_500] = lines[5_500].rpartition(",")[0] + ",5000"
    path.write_text("\n".join(lines) + "\n")
    with fails_for_good(r"Record 5501: the table refuses it\: modest"):
        await run(services, path, strict=True)
    assert await total(connection) == 0
    result = await run(services, path, FakeContext(2))
    assert result["rejected_first"] == ["Record 5501: the table refuses it: modest"]
    assert (result["created"], await total(connection)) == (5_999, 5_999)


async def test_unknown_symbols_become_tickers_where_that_is_asked_for(
    services: Services, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    path = text(tmp_path, ROW.format("NEW", 1), ROW.format("S000", 1), ROW.format("BTC/USD", 1))
    plain = await run(services, path)
    assert plain["unknown_symbols"] == {"NEW": 1, "BTC/USD": 1}
    assert plain["rejected_first"] == ["Record 2: unknown symbol NEW", "Record 4: unknown symbol BTC/USD"]
    for number, table in enumerate(("price_ticks", "market_data_marketdata"), start=2):
        result = await run(services, path, FakeContext(number), table=table, create_symbols=True, strict=number == 2)
        assert result["created"] == (2 if table == "price_ticks" else 3)
        assert result["rejected"] == 0
    classes = await connection.fetch("SELECT asset_class FROM market_data_ticker WHERE symbol IN ('NEW', 'BTC/USD')")
    assert sorted(row["asset_class"] for row in classes) == ["crypto", "us_equity"]


async def test_a_run_that_is_cut_goes_on_and_counts_each_record_once(
    services: Services, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    path, context = tmp_path / "bars.csv", FakeContext()
    bad = ingesting.write(path, 17_000, SYMBOLS, every=100)

    def cut() -> None:
        if context.breaths in (1, 2):
            raise ConnectionResetError("cut")

    context.on_breathe = cut
    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            await run(services, path, context)
    result = await run(services, path, context)
    good = 17_000 - len(bad)
    assert (result["records"], result["created"], result["rejected"]) == (17_000, good, len(bad))
    assert await total(connection) == good
    assert len(Path(result["rejects_file"]).read_text().splitlines()) == len(bad)


async def test_a_server_that_cuts_every_connection_costs_attempts_at_most_and_no_record(
    services: Services, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    path, context = tmp_path / "bars.csv", FakeContext()
    bad = ingesting.write(path, 40_000, SYMBOLS, every=100)
    cuts: list[asyncio.Task[Any]] = []
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    def cut() -> None:
        if len(cuts) < 4:  # lands within the chunk that is stored next
            cuts.append(asyncio.create_task(connection.execute(kill)))

    context.on_breathe = cut
    result, failures = None, 0
    while result is None:
        try:
            result = await run(services, path, context)
        except (Retryable, DatabaseError) as error:
            failures += not is_permanent(error)
            context.attempt += 1
    await asyncio.gather(*cuts)
    good = 40_000 - len(bad)
    assert failures <= len(cuts) == 4
    assert (result["records"], result["rejected"]) == (40_000, len(bad))
    assert result["created"] + result["skipped"] == good
    assert await total(connection) == good


async def test_cached_prices_of_changed_symbols_go_and_others_stay(
    database_dsn: str, valkey_url: str, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    redis = Redis.from_url(valkey_url)
    names = [f"{family}:{symbol}" for family in ("price", "market_data") for symbol in SYMBOLS]
    async with open_services(make_settings(database_dsn, NOWHERE, redis=valkey_url)) as services:
        await redis.mset(dict.fromkeys([*names, "order_book:S000"], "x"))
        result = await run(services, text(tmp_path, ROW.format("S000", 1), ROW.format("S001", 1)))
        assert result["keys_invalidated"] == 4
        left = {key.decode() for key in await redis.keys("*")}
        assert left == {"price:S002", "market_data:S002", "order_book:S000"}
        await redis.mset(dict.fromkeys(names, "x"))
        again = await run(services, text(tmp_path, ROW.format("S000", 1)), FakeContext(2))
        assert (again["keys_invalidated"], await redis.exists("price:S000")) == (0, 1)
    await redis.aclose()


async def test_rows_are_stored_while_the_cache_is_away_and_the_job_comes_back_for_it(
    database_dsn: str, valkey_url: str, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    path, context = text(tmp_path, ROW.format("S000", 1)), FakeContext()
    async with open_services(make_settings(database_dsn, NOWHERE, redis="redis://127.0.0.1:1/0")) as services:
        with fails_for_now():
            await run(services, path, context)
    assert await total(connection) == 1
    redis = Redis.from_url(valkey_url)
    await redis.set("price:S000", "old")
    async with open_services(make_settings(database_dsn, NOWHERE, redis=valkey_url)) as services:
        result = await run(services, path, context)
    assert (result["created"], result["keys_invalidated"]) == (1, 1)
    await redis.aclose()


async def test_json_lines_parquet_and_several_files(
    services: Services, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = [
        {"symbol": "S001", "timestamp": f"2025-03-03T15:{minute:02d}:00Z", "open": 1.5, "high": 2, "low": 1, "close": 2}
        for minute in range(20)
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row | {"volume": 7}) + "\n" for row in rows) + '{"s":"S1"}\n')
    columns = {name: [row[name] for row in rows] for name in rows[0]} | {"volume": [7] * 19 + [None]}
    columns["symbol"] = ["S002"] * 20
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "b.parquet")
    result = await run(services, tmp_path)
    assert (result["files"], result["created"]) == (2, 39)
    assert result["rejected_first"] == [
        "a.jsonl: Record 21: missing fields timestamp, open, high, low, close, volume",
        "b.parquet: Record 20: missing field volume",
    ]


async def test_records_from_python(database_dsn: str, connection: asyncpg.Connection) -> None:
    def records() -> Iterator[dict[str, Any]]:
        for minute in range(30):
            stamp = f"2025-03-03T15:{minute:02d}:00Z"
            yield {"symbol": "S000", "timestamp": stamp, "open": 1, "high": 2, "low": 1, "close": "1.25", "volume": 3}
        yield {"symbol": "S000", "timestamp": "2025-03-03T16:00:00Z", "open": 1, "high": 2, "low": 1}

    result = await ingest_records(records(), database_url=database_dsn)
    assert (result["created"], result["rejected_first"]) == (30, ["Record 31: missing fields close, volume"])
    assert (await ingest_records(records(), database_url=database_dsn))["created"] == 0
    with fails_for_good("1 of 31 records are bad"):
        await ingest_records(records(), database_url=database_dsn, strict=True)
    with pytest.raises(InvalidParameters, match="1Min bars only"):
        await ingest_records([], database_url=database_dsn, table="market_data", timeframe="1Day")


async def test_a_file_without_the_columns_is_refused_before_anything_is_written(
    services: Services, tmp_path: Path
) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("symbol,timestamp,open\nA,2025-03-03T15:00:00Z,1\n")
    with pytest.raises(InvalidParameters, match="lacks the columns high, low, close, volume"):
        await IngestWorker(services).plan(IngestParameters(path=str(path)))
    plan = await IngestWorker(services).plan(IngestParameters(path=str(text(tmp_path, ROW.format("S000", 1)))))
    assert plan.figures["files"] == 1
    assert not plan.is_noop
