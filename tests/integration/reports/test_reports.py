"""Reports from real servers: what a PDF says is what the database holds; nothing to say is said; nobody waits."""

from __future__ import annotations

import asyncio
import csv
import dataclasses
import io
import json
import stat
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from fakes.backfill import FakeContext, make_settings, open_services
from fakes.reporting import squeezed, text_of
from qsuite_console import workers
from qsuite_console.config.settings import EngineSettings, ReportSettings, Settings
from qsuite_console.db.errors import DatabaseError
from qsuite_console.engine.ports import Claiming
from qsuite_console.history.store import SqliteStore, open_store
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.errors import ConsoleError, InvalidParameters
from qsuite_console.model.jobs import TERMINAL, Job, JobState, Outcome, Submission
from qsuite_console.model.reports import ReportList, ReportPreview
from qsuite_console.model.runs import Ending
from qsuite_console.model.wire import pack_answer, unpack_answer
from qsuite_console.paths import Paths, resolve
from qsuite_console.reports.storage import Storage
from qsuite_console.runtime import open_runtime
from qsuite_console.sandbox import seed
from qsuite_console.sandbox.market import Market
from qsuite_console.workers.report import ReportWorker
from qsuite_console.workers.report.parameters import ReportParameters

ANCHOR = date(2026, 11, 20)
NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
NOWHERE = {
    "APCA_API_DATA_URL": "http://127.0.0.1:1",
    "APCA_API_BASE_URL": "http://127.0.0.1:1",
    "APCA_API_KEY_ID": "K",
    "APCA_API_SECRET_KEY": "S",
}


class Sunday(SystemClock):
    """A day without trading."""

    def now(self) -> datetime:
        return NOW


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return resolve(str(tmp_path / "home")).ensure()


@pytest.fixture
def store(paths: Paths) -> Iterator[SqliteStore]:
    found = open_store(paths.history, settings=EngineSettings(), clock=Sunday())
    yield found
    found.close()


@pytest.fixture
async def platform(database_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_dsn)
    await seed.seed(connection, Market(symbols=8, seed=42), seed.SeedOptions(anchor=ANCHOR), now=NOW)
    yield connection
    await connection.close()


@pytest.fixture
async def services(
    database_dsn: str, valkey_url: str, paths: Paths, store: SqliteStore
) -> AsyncIterator[workers.Services]:
    settings = make_settings(database_dsn, NOWHERE, redis=valkey_url)
    async with open_services(settings, Sunday()) as made:
        whole = dataclasses.replace(made, paths=paths, books=store)
        yield whole
        whole.renderer.close()


async def report(services: workers.Services, job_id: int = 7, **given: Any) -> tuple[dict[str, Any], bytes]:
    context = FakeContext(job_id)
    result = dict(await ReportWorker(services).run(context, ReportParameters(**given)))
    said = [words["message"] for _, _, words in context.said]
    assert said[0].startswith("gathering: ")
    assert [done for done, _, _ in context.said] == sorted(done for done, _, _ in context.said)
    assert context.said[-1][0] == context.said[-1][1], "the last step is the whole"
    made = Path(result["path"]).read_bytes()
    assert len(made) == result["bytes"]
    assert stat.S_IMODE(Path(result["path"]).stat().st_mode) == 0o600
    return result, made


def price(value: Any) -> str:
    """How a report writes a price, made here once more from the number."""
    text = f"{value:,.4f}".rstrip("0")
    return text + "0" * max(0, 2 - len(text.partition(".")[2]))


async def test_the_market_report_says_what_the_database_holds(
    platform: asyncpg.Connection, services: workers.Services
) -> None:
    result, pdf = await report(services, name="market", most=4, months=4, zone="UTC")
    said = text_of(pdf)
    assert result["pages"] >= 3
    last = await platform.fetch(
        "SELECT DISTINCT ON (t.symbol) t.symbol, m.close FROM market_data_marketdata m"
        " JOIN market_data_ticker t ON t.id = m.ticker_id WHERE t.is_active"
        ' ORDER BY t.symbol, m."timestamp" DESC LIMIT 4'
    )
    assert len(last) == 4
    for row in last:
        assert squeezed(f"{row['symbol']}{price(row['close'])}") in said
    days = await platform.fetch(
        "SELECT DISTINCT ON (symbol) symbol, open, high, low, close, volume FROM price_ticks"
        ' WHERE timeframe = $1 AND symbol = ANY($2) ORDER BY symbol, "timestamp" DESC',
        "1Day",
        [row["symbol"] for row in last],
    )
    assert days
    for row in days:
        figures = "".join(price(row[name]) for name in ("open", "high", "low", "close"))
        assert squeezed(f"{figures}{row['volume']:,.0f}") in said, row["symbol"]
    for symbol in (row["symbol"] for row in last):
        stored = await platform.fetchval(
            "SELECT count(*) FROM price_ticks WHERE symbol = $1 AND timeframe = '1Day'"
            " AND \"timestamp\" >= '2026-08-01' AND \"timestamp\" < '2026-12-01'",
            symbol,
        )
        assert f"{symbol}{stored}" in said
    for word in ("Marketreport", "UTC(UTC+00:00)", "4of8activesymbols", "2026-11-2110:00to2026-11-2210:00(1d)"):
        assert word in said


async def test_an_unknown_symbol_is_said_and_the_others_reported(
    platform: asyncpg.Connection, services: workers.Services
) -> None:
    known = await platform.fetchval("SELECT min(symbol) FROM market_data_ticker WHERE is_active")
    result, made = await report(services, name="market", format="json", symbols=f"{known.lower()},NOPE")
    assert result["is_partial"]
    cover = json.loads(made)["cover"]
    assert "NOPE is no active symbol of the platform" in cover["notes"]
    assert cover["subtitle"] == "1 of 2 active symbols"


async def test_an_empty_platform_gives_reports_that_say_so(services: workers.Services) -> None:
    for name, words in (
        ("market", "no active symbol fits what was asked for"),
        ("jobs", "no job was made in this window"),
        ("backfill", "holds no 1Day bar in these months"),
    ):
        form = "pdf" if name == "market" else "html"  # the same page; drawn once
        result, made = await report(services, name=name, format=form)
        said = text_of(made) if form == "pdf" else squeezed(made.decode())
        assert result["is_partial"], name
        assert squeezed("This report is not complete") in said
        assert squeezed(words) in said
    result, made = await report(services, name="custom", format="html", query="SELECT 1 AS n WHERE false")
    assert b"the query has no rows" in made


async def test_a_platform_that_is_down_is_said(store: SqliteStore, paths: Paths) -> None:
    async with open_services(
        make_settings("postgresql://x@127.0.0.1:1/x", NOWHERE, redis="redis://127.0.0.1:1")
    ) as made:
        services = dataclasses.replace(made, paths=paths, books=store)
        result, html = await report(services, name="performance", format="html", hours=1)
        services.renderer.close()
        assert result["is_partial"]
        assert b"database: PostgreSQL at 127.0.0.1:1/x" in html
        assert b"cache: " in html
        with pytest.raises(DatabaseError) as caught:
            await report(services, name="market", format="json")
        assert caught.value.is_transient, "the job is tried again"


async def test_the_performance_report_has_scores_findings_and_figures(
    platform: asyncpg.Connection, services: workers.Services
) -> None:
    _, made = await report(services, name="performance", format="json")
    found = json.loads(made)
    blocks = [block for section in found["sections"] for block in section["blocks"]]
    gauges = next(block for block in blocks if block["type"] == "gauges")["gauges"]
    assert [gauge["label"] for gauge in gauges] == ["database", "cache", "system", "overall"]
    analysis: Any = await services.probe("analyze").ask({"detailed": True})
    advised = {block["title"] for block in blocks if block["type"] == "advice"}
    assert {one.title for one in analysis.findings if one.id.startswith("PG")} <= {
        title.partition(" (")[0] if " (" in title else title for title in advised
    } | advised
    assert any("nothing is recorded here" in note for note in found["cover"]["notes"])


async def test_the_job_report_counts_as_the_history_does(services: workers.Services, store: SqliteStore) -> None:
    for number in range(9):
        await run_job(store, number, Outcome.FAILED if number % 3 == 0 else Outcome.SUCCEEDED)
    result, pdf = await report(services, name="jobs", hours=48)
    said = text_of(pdf)
    assert not result["is_partial"]
    counts = await store.counts()
    assert (counts["succeeded"], counts["failed"]) == (6, 3)
    assert "9jobs,9ofthemended" in said
    assert "task63006" in said.replace("66.7%", "6") or squeezed("task 6 3 0 0 66.7 %") in said
    assert said.count("itbroke") == 3
    _, made = await report(services, name="jobs", hours=48, format="csv", job_id=8)
    rows = list(csv.reader(io.StringIO(made.decode())))
    heading = rows.index(["kind", "succeeded", "failed", "retried", "cancelled", "success"])
    assert rows[heading + 1][:5] == ["task", "6", "3", "0", "0"]


async def test_the_backfill_report_finds_a_row_that_was_taken_away(
    platform: asyncpg.Connection, services: workers.Services
) -> None:
    symbol = await platform.fetchval("SELECT min(symbol) FROM price_ticks WHERE timeframe = '1Day'")
    before = json.loads((await report(services, name="backfill", format="json", months=4))[1])
    row = await platform.fetchrow(
        'DELETE FROM price_ticks WHERE (symbol, timeframe, "timestamp") = (SELECT symbol, timeframe, "timestamp"'
        " FROM price_ticks WHERE symbol = $1 AND timeframe = '1Day' ORDER BY \"timestamp\" DESC LIMIT 1) RETURNING *",
        symbol,
    )
    assert row is not None
    _, pdf = await report(services, name="backfill", months=4)
    said = text_of(pdf)
    total = await platform.fetchval("SELECT count(*) FROM price_ticks WHERE timeframe = '1Day'")
    facts = {label: value for label, value, _ in before["cover"]["highlights"]}
    assert f"{total:,}rowscounted" in said
    assert int(facts["rows counted"].replace(",", "")) == total + 1
    missing = int(facts["fetched rows that are missing"]) + 1
    assert "Notverified" in said
    assert f"missing:{missing}row" in said


async def test_a_query_of_ones_own_is_reported_to_the_last_digit(
    platform: asyncpg.Connection, services: workers.Services
) -> None:
    query = (
        "SELECT symbol, count(*) AS bars, max(close) AS highest, now() AS at FROM price_ticks GROUP BY 1 ORDER BY 1;"
    )
    result, pdf = await report(services, name="custom", query=query, title="Bars by symbol")
    rows = await platform.fetch("SELECT symbol, count(*) AS bars, max(close) AS highest FROM price_ticks GROUP BY 1")
    said = text_of(pdf)
    assert rows
    for row in rows:
        assert squeezed(f"{row['symbol']}{row['bars']:,}{price(row['highest'])}") in said
    assert "Barsbysymbol" in said
    assert not result["is_partial"]
    result, made = await report(
        services, name="custom", query="SELECT generate_series(1, 50) AS n", rows=10, format="csv"
    )
    assert made.decode().split() == ["n", *map(str, range(1, 11))]
    assert result["is_partial"], "there were more rows"


@pytest.mark.parametrize(
    "query",
    [
        "WITH gone AS (DELETE FROM price_ticks RETURNING 1) SELECT count(*) FROM gone",
        "SELECT 1; DROP TABLE price_ticks",
        "SELECT nextval(pg_get_serial_sequence('market_data_ticker', 'id'))",
        "SELECT set_config('transaction_read_only', 'off', true)",
        "SELECT * FROM no_such_table",
        "SELECT 1 / 0",
    ],
)
async def test_a_query_that_would_write_or_fails_changes_nothing(
    platform: asyncpg.Connection, services: workers.Services, query: str
) -> None:
    before = await platform.fetchval("SELECT count(*) FROM price_ticks")
    with pytest.raises(DatabaseError) as caught:
        await report(services, name="custom", query=query, format="json")
    assert not caught.value.is_transient or "read-only" in caught.value.message.lower()
    assert "\n" not in caught.value.message
    assert await platform.fetchval("SELECT count(*) FROM price_ticks") == before


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": "custom"}, "query"),
        ({"name": "custom", "query": "DELETE FROM price_ticks"}, "query"),
        ({"name": "custom", "query": "/* SELECT */ UPDATE x SET y = 1"}, "query"),
        ({"name": "jobs", "query": "SELECT 1"}, "query"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"format": "csv", "template": "x.html"}, "template"),
        ({"format": "html", "tagged": True}, "tagged"),
        ({"name": "jobs", "symbols": "AAPL"}, "symbols"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_field(given: dict[str, Any], field: str) -> None:
    settings = Settings()
    async with open_services(settings) as services:
        worker = ReportWorker(services)
        assert list(worker.check(ReportParameters(**given))) == [field]
        with pytest.raises(InvalidParameters):
            await worker.plan(ReportParameters(**given))


async def test_a_report_beyond_its_size_or_room_is_refused(services: workers.Services, paths: Paths) -> None:
    small = dataclasses.replace(
        services, settings=dataclasses.replace(services.settings, reports=ReportSettings(max_mb=1, total_mb=2))
    )
    wide = "SELECT repeat(md5(n::text), 30) AS words FROM generate_series(1, 2000) n"
    with pytest.raises(ConsoleError, match="larger than 1 MiB"):
        await report(small, name="custom", query=wide, rows=2000, format="csv")
    assert Storage(paths).reports() == []
    (paths.data / "reports").mkdir(exist_ok=True)
    (paths.data / "reports" / "other").write_bytes(bytes(3 << 20))
    with pytest.raises(ConsoleError, match=r"the reports take 3 MiB of 2 MiB"):
        await report(small, name="custom", query="SELECT 1", format="csv")


async def test_reports_are_listed_and_previewed_over_the_socket(
    platform: asyncpg.Connection, services: workers.Services
) -> None:
    result, _ = await report(services, name="market", format="html", most=2)
    found = await services.probe("reports.list").ask({})
    assert isinstance(found, ReportList)
    assert [each.file for each in found.reports] == [result["file"]]
    assert found.reports[0].expires_at == NOW + timedelta(days=7)
    preview = await services.probe("reports.preview").ask({"file": result["file"]})
    assert isinstance(preview, ReportPreview)
    assert preview.lines[0] == "Market report"
    for answer in (found, preview):
        assert unpack_answer(pack_answer(answer)) == answer


async def test_nobody_waits_while_ten_reports_are_made(database_dsn: str, tmp_path: Path) -> None:
    settings = make_settings(database_dsn, NOWHERE)
    with open_runtime(settings, resolve(str(tmp_path)), claim=Claiming.ALL, origin="test") as runtime:
        runtime.grace_s = 0.0
        burners = [subprocess.Popen(["nice", "-n", "10", sys.executable, "-c", "while True: pass"]) for _ in range(2)]
        try:
            busy = await lag(runtime.engine)
        finally:
            for burner in burners:
                burner.kill()
                burner.wait()
        query = "SELECT n, md5(n::text) AS words, n * 1.5 AS half FROM generate_series(1, 120) n"
        took, ids = [], []
        for number in range(10):
            asked = {"name": "custom", "query": query, "title": f"number {number}"}
            began = time.perf_counter()
            receipt = await runtime.control.submit(Submission(kind="report", parameters=asked))
            took.append(1000 * (time.perf_counter() - began))
            ids.append(receipt.job_id)
            assert receipt.estimated_s
        assert statistics.median(took) < 500, "ten times what it may take on a machine of its own"
        while_made = await lag(runtime.engine)
        until = time.monotonic() + 170
        states: list[JobState] = []
        while not states or not TERMINAL.issuperset(states):
            assert time.monotonic() < until
            await asyncio.sleep(0.1)
            states = [(await runtime.control.job(number)).job.state for number in ids]
        assert states == [JobState.SUCCEEDED] * 10
        sys.stdout.write(f"\nsubmit ms: {sorted(took)}; lag p99 ms: {busy:.1f} burning, {while_made:.1f} rendering\n")
        assert while_made < 3 * busy + 30, "rendering costs the engine no more than any other process does"


async def lag(engine: Any, samples: int = 300) -> float:
    """Return the 99th percentile of how late the engine's loop wakes up, in ms."""

    async def measure() -> list[float]:
        found = []
        for _ in range(samples):
            began = time.perf_counter()
            await asyncio.sleep(0.005)
            found.append(1000 * (time.perf_counter() - began) - 5)
        return found

    return float(statistics.quantiles(await asyncio.wrap_future(engine.call(measure())), n=100)[-1])


async def run_job(store: SqliteStore, number: int, outcome: Outcome) -> None:
    job = Job(
        id=0, kind="task", title=f"task {number}", queue="general", priority=5, state=JobState.QUEUED, parameters={},
        created_at=NOW - timedelta(hours=1), run_at=NOW - timedelta(hours=1), max_attempts=1,
        correlation_id=f"c{number}", origin="test",
    )  # fmt: skip
    at = NOW - timedelta(minutes=30)
    made = (await store.insert(job, dedupe_key=None)).job
    assert await store.claim_one(made.id, owner="me", now=at)
    ending = Ending(outcome=outcome, error="it broke" if outcome is Outcome.FAILED else None, run_s=1.5 + number)
    await store.finish(made.id, 1, ending, owner="me", now=at + timedelta(seconds=number))
