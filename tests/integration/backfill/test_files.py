"""Bars from local files against a real PostgreSQL: exact, streamed, resumable, and patient with bad records."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import asyncpg
import psutil
import pyarrow
import pyarrow.parquet
import pytest

from fakes.backfill import FakeContext, changed, make_settings, open_services, run
from fakes.failing import fails_for_good
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.providers import files
from qsuite_console.workers import Services
from qsuite_console.workers.backfill import BackfillParameters, BackfillWorker
from qsuite_console.workers.backfill.coverage import CoverageProbe

HEADER = "symbol,timestamp,open,high,low,close,volume,trade_count,vwap\n"
DAYS = BackfillParameters(source="file", start=date(2025, 1, 1), end=date(2025, 12, 31))
MINUTES = changed(DAYS, timeframe="1Min")
NOWHERE = {
    "APCA_API_DATA_URL": "http://127.0.0.1:1",
    "APCA_API_BASE_URL": "http://127.0.0.1:1",
    "APCA_API_KEY_ID": "",
    "APCA_API_SECRET_KEY": "",
}
SHOWN = 'SELECT * FROM price_ticks ORDER BY symbol, timeframe, "timestamp"'


@pytest.fixture
async def services(database_dsn: str) -> AsyncIterator[Services]:
    async with open_services(make_settings(database_dsn, NOWHERE)) as opened:
        yield opened


def minute_lines(count: int, symbol: str = "AAPL") -> Iterator[str]:
    at = datetime(2025, 2, 3, 14, 30, tzinfo=UTC)
    for number in range(count):
        moment = (at + timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
        yield f"{symbol},{moment},100.{number % 100:02d},101.5,99.25,100.5,{1000 + number},12,100.3\n"


def write(path: Path, *lines: str, header: str = HEADER) -> Path:
    path.write_text(header + "".join(lines), "utf-8")
    return path


async def reasons(connection: asyncpg.Connection) -> list[str]:
    return [row["reason"] for row in await connection.fetch("SELECT reason FROM qsuite_console.quarantine ORDER BY id")]


async def test_csv_is_stored_to_the_last_digit_and_again_is_a_noop(
    services: Services, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    path = write(
        tmp_path / "bars.csv",
        "AAPL,2025-01-02T05:00:00Z,100.123456,101.5,99.000001,100.10,1234,12,100.3333339\n",
        "aapl,2025-01-03,100,101,99,100,1e3,,\n",
        "MSFT,2025-07-01T00:00:00-04:00,200,201,199,200,10.5,3,\n",
        'BTC/USD,2025-01-04,"93000.25",94000,92000,93500.5,2.5,9,\n',
        "MSFT,2024-12-31,200,201,199,200,10,3,200\n",
    )
    parameters = changed(DAYS, path=str(path))
    plan = await BackfillWorker(services).plan(parameters)
    context = FakeContext()
    first = await run(services, parameters, context)
    again = await run(services, parameters)
    rows = await connection.fetch(SHOWN)
    assert [(row["symbol"], row["timestamp"].isoformat()) for row in rows] == [
        ("AAPL", "2025-01-02T05:00:00+00:00"),
        ("AAPL", "2025-01-03T05:00:00+00:00"),
        ("BTC/USD", "2025-01-04T00:00:00+00:00"),
        ("MSFT", "2025-07-01T04:00:00+00:00"),
    ]
    assert await connection.fetchval("SELECT DISTINCT source FROM price_ticks") == "file"
    assert (rows[0]["open"], rows[0]["low"]) == (Decimal("100.123456"), Decimal("99.000001"))
    assert rows[0]["vwap"] == Decimal("100.333334")
    assert [row["volume"] for row in rows] == [1234, 1000, 2, 10]  # 2.5 and 10.5: half to even
    assert (rows[1]["trade_count"], rows[1]["vwap"]) == (None, None)
    assert (first["rows_written"], first["rows_present"], first["rows_filtered"]) == (4, 4, 1)
    assert (again["rows_written"], again["rows_present"], again["quarantined"]) == (0, 4, 0)
    assert first["verified"]
    assert again["verified"]
    assert plan.figures["files"] == 1
    assert any("rounded half to even" in line for line in (*plan.warnings, *first["warnings"]))
    assert context.said[-1][0] == path.stat().st_size
    assert not await connection.fetchval("SELECT count(*) FROM qsuite_console.backfill_chain")


BAD = {
    "AAPL,2025-01-02,100,101,99,,10,1,1": "missing field close",
    "AAPL,2025-01-02,NaN,101,99,100,10,1,1": "open is not a number",
    "AAPL,2025-01-02,100,98,99,100,10,1,1": "high < low",
    "AAPL,2025-01-02,102,101,99,100,10,1,1": "open outside low to high",
    "AAPL,2025-01-02,100,101,99,100,-1,1,1": "negative volume",
    "AAPL,2025-01-02,100,101,0,100,10,1,1": "a price is not positive",
    "AAPL,yesterday,100,101,99,100,10,1,1": "the timestamp can't be read",
    "AAPL,2025-01-02T12:00:00,100,101,99,100,10,1,1": "the timestamp has no zone",
    "AAPL,2025-01-02T14:30:00Z,100,101,99,100,10,1,1": "the timestamp is not New York's midnight",
    "A B,2025-01-02,100,101,99,100,10,1,1": "not a symbol",
    "AAPL,2025-01-02,100,101,99,100,10": "7 fields instead of 9",
    "AAPL,2025-01-02,100.1234567,101,99,100.5,10,1,1": "open has more than the 6 decimals that the table keeps",
    'AAPL,2025-01-02,"100,101,99,100,10,1,1': "a quote is not closed, or stands within a field",
    "AAPL,2025-01-02,100,101,99,100,10,1.5,1": "bad trade count",
    "AAPL,2025-01-02,1_0,101,99,100,10,1,1": "open is not a number",
    "AAPL,2025-01-02,1e70,1e80,99,100,10,1,1": "open is not a number",
    "AAPL,2035-01-02,100,101,99,100,10,1,1": "the timestamp is in the future",
}


async def test_bad_records_are_named_with_line_and_reason_and_stop_nothing(
    services: Services, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    good = [f"MSFT,2025-03-{day:02d},100,101,99,100,10,1,1\n" for day in range(3, 3 + len(BAD))]
    lines = [line for pair in zip(BAD, good, strict=True) for line in (pair[0] + "\n", pair[1])]
    path = write(tmp_path / "bars.csv", *lines, good[0].replace("100,101", "100.5,101"))
    result = await run(services, changed(DAYS, path=str(path), end=None))
    expected = [f"{reason} (bars.csv:{2 * number})" for number, reason in enumerate(BAD.values(), 1)]
    assert sorted(await reasons(connection)) == sorted(
        [*expected, f"duplicate: line {len(lines) + 2} has the same symbol and time (bars.csv:3)"]
    )
    assert result["quarantined"] == len(BAD) + 1
    assert result["rows_present"] == len(good)
    assert result["verified"]
    assert await connection.fetchval('SELECT open FROM price_ticks ORDER BY "timestamp" LIMIT 1') == Decimal("100.5")


async def test_hostile_csv_costs_only_its_bad_lines(
    services: Services, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    path = tmp_path / "hostile.csv"
    row = b"AAPL,2025-01-%02d,100,101,99,100,10,1,1\r\n"
    body = [
        b"\xef\xbb\xbf" + b' "x", Symbol ,TIMESTAMP,open,high,low,close,volume\r\n'.replace(b' "x",', b"x,"),
        b"1," + row.replace(b",1,1\r\n", b"\r\n") % 2,
        b"1,AA\0PL,2025-01-03,100,101,99,100,10\r\n",
        b"\r\n",
        b"1,\xff\xfe,2025-01-03,100,101,99,100,10\r\n",
        b"1," + b"A" * 3_000_000 + b"\r\n",
        b'"1","AAPL","2025-01-06","100","101","99","100","10"\r\n',
        b'1,"=cmd|x",2025-01-06,100,101,99,100,10\r\n',
        b"1,AAPL,2025-01-07\t\\N,100,101,99,100,10\r\n",
        b"1," + row.replace(b",1,1\r\n", b"") % 8,
    ]
    path.write_bytes(b"".join(body))
    result = await run(services, changed(DAYS, path=str(path)))
    days = [row["at"].day for row in await connection.fetch('SELECT "timestamp" AS at FROM price_ticks ORDER BY 1')]
    assert days == [2, 6, 8]
    assert await reasons(connection) == [
        "the line holds a NUL character (hostile.csv:3)",
        "the line is not UTF-8 (hostile.csv:5)",
        "the line is longer than 65,536 bytes (hostile.csv:6)",
        "not a symbol (hostile.csv:8)",
        "the timestamp can't be read (hostile.csv:9)",
    ]
    assert (result["rows_present"], result["quarantined"]) == (3, 5)


async def test_json_lines_with_long_and_short_names(
    services: Services, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    long = {"symbol": "AAPL", "timestamp": "2025-01-02", "open": 100, "high": 101, "low": 99, "close": 100, "volume": 5}
    lines = [
        json.dumps(long),
        '{"S":"AAPL","t":"2025-01-03T05:00:00Z","o":100.123456,"h":101.000001,"l":99,"c":100,"v":7,"n":3,"vw":100.1}',
        '{"s":"AAPL","t":"2025-01-06","o":100.100000000000000001,"h":101,"l":99,"c":100,"v":7}',
        '{"symbol":"AAPL","t":"2025-01-07","o":"100.25","h":101,"l":99,"c":100,"v":7}',
        "[1,2]",
        "{broken",
        '{"symbol":"AAPL","t":"2025-01-08","o":null,"h":101,"l":99,"c":true,"v":7}',
        '{"symbol":"AAPL","t":"2025-01-08","o":100,"h":101,"l":99,"c":true,"v":7}',
    ]
    path = tmp_path / "bars.jsonl"
    path.write_text("\n".join(lines))
    result = await run(services, changed(DAYS, path=str(path)))
    rows = await connection.fetch(SHOWN)
    assert [row["open"] for row in rows] == [100, Decimal("100.123456"), Decimal("100.25")]
    assert await reasons(connection) == [
        "open has more than the 6 decimals that the table keeps (bars.jsonl:3)",
        "the line is not a JSON object (bars.jsonl:5)",
        "the line is not JSON (bars.jsonl:6)",
        "missing field open (bars.jsonl:7)",
        "close is not a number (bars.jsonl:8)",
    ]
    assert result["verified"]


async def test_parquet_goes_on_in_the_middle_and_keeps_decimals(
    services: Services, connection: asyncpg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 2_500
    at = [datetime(2025, 2, 3, 14, 30, tzinfo=UTC) + timedelta(minutes=n) for n in range(count)]
    prices = pyarrow.array([Decimal("100.123456")] * count, pyarrow.decimal128(18, 6))
    table = pyarrow.table(
        {
            "symbol": ["AAPL"] * count,
            "timestamp": pyarrow.array(at, pyarrow.timestamp("ns", tz="UTC")),
            **{name: prices for name in ("open", "high", "low", "close")},
            "volume": [1.0] * count,
            "other": [b"x"] * count,
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "bars.parquet", row_group_size=700)
    monkeypatch.setattr(files, "CHUNK_RECORDS", 300)
    parameters = changed(MINUTES, path=str(tmp_path))
    await interrupt(services, parameters, after=4)
    stored = await connection.fetchval("SELECT count(*) FROM price_ticks")
    assert 0 < stored < count
    result = await run(services, parameters)
    assert result["rows_written"] == count - stored
    assert result["rows_read"] == result["rows_present"] == count
    assert await connection.fetchval("SELECT DISTINCT open FROM price_ticks") == Decimal("100.123456")


async def test_parquet_without_its_extra_is_a_clear_error(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bars.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(InvalidParameters, match="Parquet, which needs pyarrow") as caught:
        await BackfillWorker(services).plan(changed(DAYS, path=str(tmp_path / "bars.parquet")))
    assert "qsuite-console[parquet]" in caught.value.hint


class Stop(Exception):
    pass


async def interrupt(services: Services, parameters: BackfillParameters, *, after: int) -> None:
    """Run until ``after`` pages are committed, then end as a killed process would: without any cleaning up."""
    context = FakeContext()

    def stop() -> None:
        if context.breaths >= after:
            raise Stop

    context.on_breathe = stop
    with pytest.raises(Stop):
        await run(services, parameters, context)


async def test_an_interrupted_run_goes_on_behind_its_last_commit(
    services: Services, connection: asyncpg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "CHUNK_RECORDS", 500)
    bad = "AAPL,2025-02-03T14:30:00Z,bad,101,99,100,1,1,1\n"
    write(tmp_path / "1.csv", *minute_lines(1_700), bad)
    write(tmp_path / "2.csv", bad, *minute_lines(1_300, "MSFT"))
    parameters = changed(MINUTES, path=str(tmp_path / "*.csv"))
    read: list[tuple[str, int]] = []
    whole = files.CsvBars.chunks

    def watched(self: files.CsvBars, offset: int, number: int) -> Iterator[files.Chunk]:
        read.append((self._path.name, number))
        return whole(self, offset, number)

    monkeypatch.setattr(files.CsvBars, "chunks", watched)
    seen = 0
    starts: list[tuple[str, int]] = []
    for pages in (2, 2, 1):
        stored = seen
        while stored == seen:  # the end may come before the commit: then once more, from the same place
            read.clear()
            await interrupt(services, parameters, after=pages)
            stored = await connection.fetchval("SELECT count(*) FROM price_ticks")
        seen = stored
        starts.append(read[0])
    result = await run(services, parameters)
    assert starts == [("1.csv", 0), ("1.csv", 1_001), ("1.csv", 1_702)]
    assert result["rows_written"] == 3_000 - seen
    assert result["rows_read"] == result["rows_present"] == 3_000
    assert result["verified"]
    ledger = await connection.fetch("SELECT symbol, timeframe, sum(bars) AS bars FROM backfill_coverage GROUP BY 1, 2")
    assert {(row["symbol"], row["timeframe"]): row["bars"] for row in ledger} == {
        ("AAPL", "1Min|file"): 1_700,
        ("MSFT", "1Min|file"): 1_300,
    }
    assert len(await reasons(connection)) == 2


async def test_a_file_that_changed_is_read_from_its_beginning(
    services: Services, connection: asyncpg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "CHUNK_RECORDS", 100)
    lines = list(minute_lines(400))
    parameters = changed(MINUTES, path=str(write(tmp_path / "bars.csv", *lines)))
    await interrupt(services, parameters, after=2)
    write(tmp_path / "bars.csv", *(line.replace("99.25", "98.75") for line in lines))
    result = await run(services, parameters)
    assert result["rows_present"] == 400
    assert await connection.fetchval("SELECT count(*) FROM price_ticks WHERE low = 98.75") == 400


async def test_two_hundred_thousand_rows_take_constant_memory(
    services: Services, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    path = tmp_path / "big.csv"
    with path.open("w") as stream:
        stream.write(HEADER)
        for number in range(20):
            stream.writelines(minute_lines(10_000, f"S{number:02d}"))
    parameters = changed(MINUTES, path=str(path))
    context, resident = FakeContext(), []
    context.on_breathe = lambda: resident.append(psutil.Process().memory_info().rss)
    result = await run(services, parameters, context)
    assert result["rows_written"] == result["rows_present"] == 200_000
    assert result["verified"]
    assert len(resident) >= 21
    assert max(resident) - resident[3] < 32 * 2**20  # the records of the whole file would take 200 MB


async def test_rows_that_are_there_are_compared_and_the_provider_is_still_asked(
    services: Services, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    await connection.execute(
        'INSERT INTO price_ticks (symbol, timeframe, "timestamp", open, high, low, close, volume) VALUES'
        " ('AAPL', '1Day', '2025-01-02 05:00+00', 100, 101, 99, 100, 10),"
        " ('AAPL', '1Day', '2025-01-03 05:00+00', 1, 1, 1, 1, 1)"
    )
    lines = [f"AAPL,2025-01-{day:02d},100,101,99,100,10\n" for day in (7, 6, 3, 2)]
    path = write(tmp_path / "bars.csv", *lines, header="symbol,timestamp,open,high,low,close,volume\n")
    result = await run(services, changed(DAYS, path=str(path)))
    assert (result["rows_written"], result["rows_present"]) == (3, 4)
    sources = await connection.fetch('SELECT source FROM price_ticks ORDER BY "timestamp"')
    assert [row["source"] for row in sources] == ["alpaca", "file", "file", "file"]  # the first was right before
    found = await CoverageProbe(services).ask({"start": "2025-01", "end": "2025-01"})
    ((cell,),) = [row.cells for row in found.rows if row.symbol == "AAPL"]
    assert (cell.present, cell.expected, cell.state.value) == (4, 20, "partial")


async def test_the_platform_s_table_takes_known_tickers_and_names_the_others(
    services: Services, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    await connection.execute("INSERT INTO market_data_ticker (symbol) VALUES ('AAPL'), ('IBM')")
    path = write(tmp_path / "bars.csv", *minute_lines(50), *minute_lines(30, "MSFT"), *minute_lines(20, "IBM"))
    parameters = changed(MINUTES, path=str(path), table="market_data_marketdata")
    result = await run(services, parameters)
    only = await run(services, changed(parameters, symbols="IBM"))
    assert (result["rows_written"], result["rows_of_unknown_symbols"]) == (70, 30)
    assert result["skipped_symbols"] == ["MSFT"]
    assert (only["rows_read"], only["rows_written"], only["rows_filtered"]) == (20, 0, 80)
    assert await connection.fetchval("SELECT count(*) FROM market_data_marketdata") == 70


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.csv", None, "No such file"),
        ("bars.txt", "x", "no known format"),
        ("bars.csv", "", "lacks the columns symbol, timestamp"),
        ("bars.csv", "symbol,timestamp,open,high,low,close\n", "lacks the column volume"),
        ("bars.csv", "symbol,timestamp,open,high,low,close,volume,open\n", "names the column open twice"),
        ("bars.csv", b"\xff\xd8\xff\xe0", "it is not CSV text"),
        ("bars.parquet", "PAR1", "can't be read as Parquet"),
    ],
)
async def test_a_file_that_can_t_hold_bars_is_refused_before_anything_is_read(
    services: Services, tmp_path: Path, name: str, content: str | bytes | None, words: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InvalidParameters, match=words) as caught:
        await BackfillWorker(services).plan(changed(DAYS, path=str(path)))
    assert list(caught.value.problems) == ["path"]
    with fails_for_good(words):
        await run(services, changed(DAYS, path=str(path)))
