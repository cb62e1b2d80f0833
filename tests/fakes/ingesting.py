"""Files of bars with a known number of bad records of ten kinds, written line by line at any length."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

HEADER = "symbol,timestamp,open,high,low,close,volume\n"
BEGIN = datetime(2025, 3, 3, tzinfo=UTC)
FAULTS = (
    ("{s},{t},100,101,99,,\n", "missing fields close, volume"),
    ("{s},{t},abc,101,99,100,10\n", "open is not a number"),
    ("{s},{t},100,98,99,100,10\n", "high < low"),
    ("{s},{t},102,101,99,100,10\n", "open outside low to high"),
    ("{s},{t},100,101,0,100,10\n", "a price is not positive"),
    ("{s},{t},100,101,99,100,-5\n", "negative volume"),
    ("{s},yesterday,100,101,99,100,10\n", "the timestamp can't be read"),
    ("{s},2035-01-02T15:00:00Z,100,101,99,100,10\n", "the timestamp is in the future"),
    ("{s},{t},100,101,99\n", "5 fields instead of 7"),
    ("GHOST,{t},100,101,99,100,10\n", "unknown symbol GHOST"),
)


def symbols(count: int) -> list[str]:
    return [f"S{number:03d}" for number in range(count)]


def lines(records: int, of: list[str], every: int) -> Iterator[tuple[str, str]]:
    """Yield (line, reason); each ``every``-th record is bad, the kinds in turn; the reason of a good one is ""."""
    each = -(-records // len(of))
    for number in range(records):
        symbol, minute = of[number // each], number % each
        stamp = (BEGIN + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")
        if number % every == every - 1:
            form, reason = FAULTS[number // every % len(FAULTS)]
            yield form.format(s=symbol, t=stamp), reason
        else:
            base = 5000 + (number * 37) % 15_000
            yield (
                f"{symbol},{stamp},{base / 100},{(base + 40) / 100},{(base - 30) / 100},{(base + 7) / 100},"
                f"{100 + number % 977}\n",
                "",
            )


def write(path: Path, records: int, of: list[str], every: int = 100) -> dict[int, str]:
    """Write the file and return line -> reason of its bad records; the first record is line 2."""
    bad: dict[int, str] = {}
    with path.open("w") as file:
        file.write(HEADER)
        for number, (line, reason) in enumerate(lines(records, of, every), start=2):
            file.write(line)
            if reason:
                bad[number] = reason
    return bad
