"""The backfill as the customer accepts it: minimal requests, a second run that does nothing, ten kills survived."""

from __future__ import annotations

import contextlib
import json
import math
import random
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from acceptance.product import YEAR, Console, Exchange, Platform

KEYS = {
    "symbols",
    "requests",
    "rows_expected",
    "rows_written",
    "rows_present",
    "quarantined",
    "http_429",
    "rows_per_s",
    "symbols_per_s",
    "verified",
}


@pytest.fixture(scope="module", autouse=True)
def lost(sandbox: Console) -> Iterator[subprocess.Popen[str]]:
    """A run whose database is away: it gives up after most of a minute, while the other tests here go on."""
    with tempfile.TemporaryDirectory(prefix="qsuite-") as home:
        console = sandbox.with_environment(
            Path(home), DATABASE_URL="postgresql://qsuite:hidden-word@127.0.0.1:1/platform"
        )
        process = console.start("run", "backfill", "--symbols", "AAPL", *YEAR)
        yield process
        if process.poll() is None:
            process.kill()
            process.communicate()


def symbols_of(platform: Platform) -> list[str]:
    return [row["symbol"] for row in platform.fetch("SELECT symbol FROM market_data_ticker ORDER BY symbol")]


def test_a_year_of_days_takes_the_fewest_requests_and_the_second_run_none(
    console: Console, platform: Platform, exchange: Exchange
) -> None:
    mark = exchange.mark()
    answer = console.json("run", "backfill", "--symbols", "all", *YEAR)
    assert (answer["kind"], answer["state"], answer["error"]) == ("backfill", "succeeded", None)
    result = answer["result"]
    assert result.keys() >= KEYS
    asked = exchange.bar_requests(mark)
    symbols = symbols_of(platform)
    truth = exchange.truth(symbols, "1Day", "2025-01-02", "2025-12-31")
    minimum = sum(
        max(1, math.ceil(sum(key[0] in set(record["query"]["symbols"].split(",")) for key in truth) / 10_000))
        for record in asked
        if "page_token" not in record["query"]
    )
    assert len(asked) == result["requests"] <= 1.02 * minimum
    assert minimum <= math.ceil(len(truth) / 10_000) + 1
    assert [record["status"] for record in asked if record["status"] != 200] == []
    assert (result["http_429"], result["quarantined"], result["verified"]) == (0, 0, True)
    assert result["rows_expected"] == result["rows_written"] == result["rows_present"] == len(truth)
    assert platform.year() == truth

    mark = exchange.mark()
    again = console.json("run", "backfill", "--symbols", "all", *YEAR)["result"]
    assert (again["rows_written"], again["requests"], again["verified"]) == (0, 0, True)
    assert again["rows_present"] == len(truth)
    assert exchange.bar_requests(mark) == []


def test_ten_kills_lose_nothing_and_fetch_no_stored_page_again(
    console: Console, platform: Platform, exchange: Exchange
) -> None:
    chance = random.Random(20261122)
    truth = exchange.truth(symbols_of(platform), "1Day", "2025-01-02", "2025-12-31")
    # Small batches at a slow pace make many pages, so that the kills fall between them.
    command = ("run", "backfill", "--symbols", "all", *YEAR, "--profile", "baseline", "--json")
    kills, stored = 0, set[tuple[str, str]]()
    while kills < 10 or len(stored) < len(truth):
        mark = exchange.mark()
        process = console.start(*command)
        if kills < 10:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.9, 2.0))
            process.kill()
        output, errors = process.communicate(timeout=120)
        assert process.returncode in (0, -signal.SIGKILL), errors
        kills += process.returncode != 0
        for page in exchange.bar_requests(mark):
            assert page["status"] != 200 or not exchange.bars(page) & stored, f"fetched again: {page['query']}"
        rows = platform.year()
        assert rows.keys() >= stored
        assert all(truth[key] == row for key, row in rows.items())
        stored = set(rows)
        if process.returncode == 0:
            result = json.loads(output)["result"]
            assert (result["verified"], result["rows_present"], rows) == (True, len(truth), truth)
            if kills < 10:  # it was too quick: once more from nothing
                platform.execute("TRUNCATE price_ticks, backfill_coverage")
                stored = set()


def test_a_failing_provider_with_a_tight_limit_is_waited_for(
    start_sandbox: Callable[..., Console], short_directory: Path
) -> None:
    sandbox = start_sandbox("--symbols", "200", "--sessions", "1", "--fail-rate", "0.2", "--rate-limit", "60")
    console = sandbox.with_environment(short_directory)
    exchange, platform = Exchange(console.environment), Platform(console.environment["DATABASE_URL"])
    mark = exchange.mark()
    answer = console.json("run", "backfill", "--symbols", "all", *YEAR, timeout=170)
    result = answer["result"]
    assert (answer["state"], result["verified"]) == ("succeeded", True)
    asked = exchange.bar_requests(mark)
    assert any(record["fault"] for record in asked), "the exchange planted no fault"
    assert sum(record["status"] == 429 for record in asked) == result["http_429"] <= 0.05 * len(asked)
    assert len(platform.year()) == result["rows_present"] == result["rows_expected"] > 40_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--symbols", 'AAPL,NOSUCH,"BAD SYMBOL"', "--start", "2030-01-01"], ["BAD SYMBOL", "2030-01-01"]),
        (["--symbols", "AAPL", "--start", "2025-13-01"], ["start", "2025-13-01"]),
        (["--symbols", "AAPL", "--start", "2025-06-01", "--end", "2025-01-01"], ["start", "end"]),
        (["--symbols", "AAPL", "--start", "2025-01-02", "--table", "nosuch"], ["nosuch"]),
        (["--symbols", "AAPL", "--start", "2025-01-02", "--timeframe", "2Fortnight"], ["2Fortnight"]),
        (["--simbols", "AAPL"], ["--simbols"]),
    ],
)
def test_bad_input_is_refused_in_a_line_before_anything_is_asked(
    console: Console, exchange: Exchange, arguments: list[str], words: list[str]
) -> None:
    mark = exchange.mark()
    done = console.run("run", "backfill", *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) <= 4, done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert exchange.bar_requests(mark) == []


def one_line(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_an_unknown_symbol_is_reported_and_the_others_are_loaded(console: Console, platform: Platform) -> None:
    result = console.json("run", "backfill", "--symbols", "AAPL,NOSUCH", *YEAR)["result"]
    assert "NOSUCH" in json.dumps(result)
    assert {symbol for symbol, _ in platform.year()} == {"AAPL"}


def test_an_unreachable_database_is_one_clear_line(lost: subprocess.Popen[str]) -> None:
    output, errors = lost.communicate(timeout=120)
    line = one_line(subprocess.CompletedProcess(lost.args, lost.returncode, output, errors), 1)
    assert "127.0.0.1:1" in line
    assert "hidden-word" not in output + errors


def test_a_wrong_key_is_one_clear_line(console: Console, short_directory: Path) -> None:
    locked = console.with_environment(short_directory, APCA_API_SECRET_KEY="wrong-word")
    done = locked.run("run", "backfill", "--symbols", "AAPL", *YEAR)
    line = one_line(done, 1)
    assert "key" in line.lower()
    assert "wrong-word" not in done.stdout + done.stderr
