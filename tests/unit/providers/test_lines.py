"""Lines of files: what is judged by column is judged as line by line, whatever is between; numbers and offsets fit."""

from __future__ import annotations

import json
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from qsuite_console.providers import files
from qsuite_console.providers.files import find_files
from qsuite_console.providers.judging import Judge
from qsuite_console.providers.records import Columns, Lines
from qsuite_console.providers.usual import Usual

COLUMNS = ("symbol", "timeframe", "timestamp", "open", "high", "low", "close", "volume", "trade_count", "vwap")
SCALES = {"open": 6, "high": 6, "low": 6, "close": 6, "volume": 0, "vwap": 6}
HEADER = "symbol,timestamp,open,high,low,close,volume"
ODD = (
    b"", b"   ", b"\t", b"a,b", b",,,,,,", b'AAPL,"2025-03-03T15:00:00Z",1,2,1,2,3', b'"AAPL,2025', b"A\0APL,1",
    b"AAPL,2025-03-03T15:00:00Z,\xff,2,1,2,3", b"AAPL,2025-03-03T15:00:00Z,1,2,1,2,3,4", b'"', b"\x0b", b"\xc2\x85",
    b"AAPL,2025-03-03T15:00:00Z,1,2,1,2,\xd9\xa3", b"null", b"[]", b"{}", b'{"s":1}', b"x" * 70_000, b"y" * 140_000,
)  # fmt: skip


def judge(timeframe: str = "1Min") -> Judge:
    return Judge(
        timeframe, (date(1900, 1, 1), None), COLUMNS, SCALES, owners={"AAPL": "AAPL", "BTC/USD": 8, "MSFT": 9},
        symbols=None, now=datetime(2026, 1, 2, 12, 30, tzinfo=UTC), rejects_unknown=True,
    )  # fmt: skip


def bar(dice: random.Random) -> dict[str, Any]:
    if dice.random() < 0.5:
        at = f"2025-04-{dice.randint(1, 30):02d}T{dice.randint(0, 23):02d}:{dice.randint(0, 59):02d}:00Z"
        rest = {"open": 1, "high": dice.choice((2, 2.5)), "low": 1, "close": 1.5, "volume": dice.randint(0, 9999)}
        return {"symbol": dice.choice(("AAPL", "MSFT")), "timestamp": at, **rest}
    low = dice.choice((0, 1, 100, 99.5, 99.123456, 99.1234567))
    found: dict[str, Any] = {
        "symbol": dice.choice(("AAPL", "AAPL", "MSFT", "BTC/USD", "GHOST", " aapl ", "", "A B")),
        "timestamp": dice.choice(
            (
                f"2025-03-{dice.randint(1, 31):02d}T{dice.randint(0, 24):02d}:{dice.randint(0, 59):02d}:00Z",
                f"2026-01-02T{dice.randint(11, 13)}:{dice.randint(0, 59):02d}:00Z",
                f"2025-03-03T15:00:{dice.choice(('00', '30'))}Z",
                f"2025-03-03 15:{dice.randint(0, 59):02d}:00+01:00",
                "2025-03-03T15:00:00",
                "2025-03-03",
                "2025-03-03T15:00:00z",
            )
        ),
        "open": low + dice.choice((0, 1, 1, 1.5, -1)),
        "high": low + dice.choice((2, 2, 2, 2.25, 0)),
        "low": low,
        "close": low + dice.choice((0, 0.5, 2, 3)),
        "volume": dice.choice((0, 10, 10, 123456, -1, 2.0, 2.5, "007", "1e3", 10**19)),
    }
    if dice.random() < 0.1:
        found[dice.choice(list(found))] = dice.choice((None, "", True, "NaN", "x"))
    return found


def text_of(found: dict[str, Any]) -> bytes:
    return ",".join("" if value is None else str(value) for value in found.values()).encode()


def csv_line(dice: random.Random) -> bytes:
    return dice.choice(ODD) if dice.random() < 0.03 else text_of(bar(dice))


def json_line(names: dict[str, str], dice: random.Random) -> bytes:
    if dice.random() < 0.03:
        return dice.choice(ODD)
    found = {names.get(name, name): value for name, value in bar(dice).items()}
    if dice.random() < 0.5:
        found |= {names.get("trade_count", "trade_count"): dice.choice((1, None, 1.5, "7")), "extra": [1]}
    if dice.random() < 0.5:
        found[names.get("vwap", "vwap")] = dice.choice((1.25, 1, "", 1.23456789))
    return json.dumps(found).encode()


LONG: dict[str, str] = {}
SHORT = {"symbol": "S", "timestamp": "t", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
REST = {**SHORT, "symbol": "s", "trade_count": "n", "vwap": "vw"}


def write(path: Path, form: str, dice: random.Random, count: int, end: bytes) -> None:
    if form == "csv":
        lines = [HEADER.encode(), *(csv_line(dice) for _ in range(count))]
    else:
        names = {"long": LONG, "stream": SHORT, "rest": REST}[form]
        lines = [json_line(names, dice) for _ in range(count)]
    path.write_bytes(end.join(lines) + dice.choice((b"", end)))


def outcomes(path: Path, size: int, timeframe: str) -> list[Any]:
    trained = judge(timeframe)
    found: list[Any] = []
    for chunk in find_files(str(path))[0].open().chunks(0, 0, size):
        page = trained.judge(chunk.records)
        rows = [line.split("\t") for line in page.rows.decode().splitlines()]
        rows = [[*row[:3], *(value if value == "\\N" else float(value) for value in row[3:])] for row in rows]
        bad = [(one.number, one.symbol, one.reason, one.raw) for one in page.rejected]
        found.append((rows, page.numbers, bad, page.unknown, page.spans, page.count, chunk.offset, chunk.number))
    return found


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("form", ["csv", "long", "stream", "rest"])
def test_by_column_as_line_by_line(form: str, end: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(f"{form}{end!r}")
    path = tmp_path / ("bars.csv" if form == "csv" else "bars.jsonl")
    write(path, form, dice, 3_000, end)
    quick = outcomes(path, 700, "1Min")
    assert sum(found[5] for found in quick) > 300
    taken: list[int] = []

    def leave(self: Usual, found: Columns, first: int, keys: Any, rows: Any) -> list[int]:
        taken.append(len(found.places))
        return [first + place for place in sorted([*found.places, *found.odd])]

    monkeypatch.setattr(Usual, "take", leave)
    assert outcomes(path, 700, "1Min") == quick
    assert sum(taken) > 500, "lines are split into columns"


@pytest.mark.parametrize("timeframe", ["1Hour", "1Day"])
def test_other_grids_too(timeframe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, dice = tmp_path / "bars.csv", random.Random(5)
    lines = [
        f"AAPL,2025-0{dice.randint(1, 9)}-03T{dice.choice(('00', '05', '04', '23'))}:{dice.choice(('00', '30'))}:00Z,"
        f"1,2,1,{dice.randint(1, 2)},{number}"
        for number in range(500)
    ]
    path.write_text("\n".join([HEADER, *lines]))
    quick = outcomes(path, 100, timeframe)
    assert sum(found[5] for found in quick) > 10
    monkeypatch.setattr(Usual, "take", lambda self, found, first, keys, rows: [first + place for place in found.places])
    assert outcomes(path, 100, timeframe) == quick


def test_a_chunk_goes_on_where_the_one_before_ended(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    write(path, "csv", random.Random(3), 2_000, b"\n")
    entry = find_files(str(path))[0]
    whole = [
        (record.number, record.raw, record.problem) for chunk in entry.open().chunks(0, 0) for record in chunk.records
    ]
    assert [number for number, _, _ in whole] == sorted({number for number, _, _ in whole})
    parts, offset, number = [], 0, 0
    while True:
        chunk = next(entry.open().chunks(offset, number, 37))
        if (chunk.offset, chunk.number) == (offset, number):
            break
        assert isinstance(chunk.records, Lines)
        parts += [(record.number, record.raw, record.problem) for record in chunk.records]
        offset, number = chunk.offset, chunk.number
    assert parts == whole
    assert number == len(path.read_bytes().split(b"\n")) - path.read_bytes().endswith(b"\n")


def test_what_is_no_text_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    good = b"AAPL,2025-03-03T15:0%d:00Z,1,2,1,2,3"
    lines = [HEADER.encode(), good % 1, b"\xff\xfe", good % 2, b"A\0", b" ", b"z" * 200_000, good % 3]
    path.write_bytes(b"\n".join(lines))
    page = judge().judge(next(find_files(str(path))[0].open().chunks(0, 0)).records)
    assert page.numbers == [2, 4, 8]
    assert [(bad.number, bad.reason) for bad in page.rejected] == [
        (3, "the line is not UTF-8"),
        (5, "the line holds a NUL character"),
        (7, f"the line is longer than {files.LINE_LIMIT:,} bytes"),
    ]


def table(form: str, dice: random.Random) -> Any:
    import pyarrow

    count = 1_500
    begin = datetime(2025, 3, 3, tzinfo=UTC)
    kinds: dict[str, Any] = {"plain": pyarrow.float64(), "exact": pyarrow.decimal128(18, 7), "small": pyarrow.float32()}
    low = [dice.choice((1, 99.5, 99.123456, 99.1234567, 0, None, float("nan"))) for _ in range(count)]
    if form == "exact":
        low = [None if value is None or value != value else Decimal(str(value)) for value in low]

    def above(step: float) -> list[Any]:
        return [None if value is None else value + type(value)(step) for value in low]

    times: list[Any] = [begin + timedelta(minutes=dice.randint(0, 40_000)) for _ in range(count)]
    if form == "small":
        times = [at + timedelta(seconds=dice.choice((0, 0, 0, 30))) for at in times]
    if form == "exact":
        times[7] = begin + timedelta(milliseconds=1)
    zone = {"plain": "UTC", "exact": "America/New_York", "small": "Asia/Kolkata"}[form]
    symbols = pyarrow.array([dice.choice(("AAPL", "MSFT", "GHOST", "", None)) for _ in range(count)])
    return pyarrow.table(
        {
            "symbol": symbols.dictionary_encode() if form == "exact" else symbols,
            "timestamp": pyarrow.array(times, pyarrow.timestamp("us", zone)),
            "open": pyarrow.array(above(1), kinds[form]),
            "high": pyarrow.array(above(2), kinds[form]),
            "low": pyarrow.array(low, kinds[form]),
            "close": pyarrow.array(above(0.5), kinds[form]),
            "volume": pyarrow.array([dice.choice((1, 10**6, -1, None)) for _ in range(count)], pyarrow.int64())
            if form == "plain"
            else pyarrow.array([dice.choice((1.0, 2.5, 1e17, None)) for _ in range(count)]),
            "vwap": pyarrow.array([dice.choice((1.5, None)) for _ in range(count)]),
            "note": ["x"] * count,
        }
    )


@pytest.mark.parametrize("form", ["plain", "exact", "small"])
def test_tables_by_column_as_row_by_row(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet

    path = tmp_path / "bars.parquet"
    pyarrow.parquet.write_table(table(form, random.Random(form)), path, row_group_size=400)
    quick = outcomes(path, 300, "1Min")
    monkeypatch.setattr(Usual, "take", lambda self, found, first, keys, rows: [first + place for place in found.places])
    assert outcomes(path, 300, "1Min") == quick
    assert sum(found[5] for found in quick) > 50


def test_an_instant_that_python_has_no_word_for_is_a_bad_record(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    seconds = [1_741_000_020, 10**13, None]
    columns: dict[str, Any] = {name: [1.0] * 3 for name in ("open", "high", "low", "close", "volume")}
    columns["timestamp"] = pyarrow.array(seconds, pyarrow.timestamp("s", "UTC")).cast(pyarrow.timestamp("ms", "UTC"))
    path = tmp_path / "bars.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"symbol": ["AAPL"] * 3, **columns}), path)
    page = judge().judge(next(find_files(str(path))[0].open().chunks(0, 0)).records)
    assert (page.numbers, [bad.reason for bad in page.rejected]) == ([1], ["missing field timestamp"] * 2)
