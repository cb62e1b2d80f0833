"""The market's questions as front ends ask them: two servers side by side, and either of them gone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec
import pytest

from fakes.backfill import make_settings, open_services
from qsuite_console import workers
from qsuite_console.cache.prices import parse
from qsuite_console.db.errors import DatabaseError
from qsuite_console.metrics import market, prices
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.wire import pack_answer, unpack_answer
from qsuite_console.sandbox import seed
from qsuite_console.sandbox.market import Market

ANCHOR = date(2026, 11, 20)
NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)  # a Sunday
SEEDED = Market(symbols=25, seed=42)
NOWHERE = {
    "APCA_API_DATA_URL": "http://127.0.0.1:1",
    "APCA_API_BASE_URL": "http://127.0.0.1:1",
    "APCA_API_KEY_ID": "K",
    "APCA_API_SECRET_KEY": "S",
}


class Sunday(SystemClock):
    def now(self) -> datetime:
        return NOW


@pytest.fixture
async def services(database_dsn: str, valkey_url: str) -> AsyncIterator[workers.Services]:
    connection = await asyncpg.connect(database_dsn)
    await seed.seed(connection, SEEDED, seed.SeedOptions(anchor=ANCHOR), now=NOW)
    await connection.close()
    async with open_services(make_settings(database_dsn, NOWHERE, redis=valkey_url), Sunday()) as made:
        yield made


async def test_the_watch_list_pages_filters_orders_and_shows_both_servers(services: workers.Services) -> None:
    probe = market.WatchProbe(services)
    first = await probe.ask({"limit": 5})
    assert len(first.quotes) == 5
    assert first.session_open.date() == ANCHOR, "on a Sunday it is Friday's session"
    assert all(quote.change is not None and len(quote.trend) == 24 for quote in first.quotes)
    assert first.cost_s > 0
    second = await probe.ask({"limit": 5, "after": first.quotes[-1].symbol})
    symbols = [quote.symbol for quote in (*first.quotes, *second.quotes)]
    assert symbols == sorted(set(symbols))
    letter = symbols[0][0]
    assert all(quote.symbol.startswith(letter) for quote in (await probe.ask({"text": letter.lower()})).quotes)
    gainers = [q.change for q in (await probe.ask({"order": "gainers", "limit": 25})).quotes]
    losers = [q.change for q in (await probe.ask({"order": "losers", "limit": 25})).quotes]
    assert gainers == sorted(gainers, key=lambda change: -(change or 0))
    assert losers == sorted(losers, key=lambda change: change or 0)

    at = NOW - timedelta(seconds=3)
    async with services.cache.guard() as client:
        await client.set(f"price:{symbols[0]}", json.dumps({"price": "12.3456", "at": at.isoformat()}))
        await client.set(f"price:{symbols[1]}", b"\xff\x00 nonsense")
    fresh = await probe.ask({"limit": 5})
    assert (fresh.quotes[0].cached, fresh.quotes[0].cached_at) == (Decimal("12.3456"), at)
    assert fresh.quotes[1].cached is None
    assert fresh.cache_problem == ""
    assert unpack_answer(pack_answer(fresh)) == fresh, "it crosses the socket unchanged"


async def test_the_panels_of_one_symbol(services: workers.Services) -> None:
    watch = await market.WatchProbe(services).ask({})
    symbol = watch.quotes[0].symbol
    bars = await market.BarsProbe(services).ask({"symbol": symbol.lower(), "timeframe": "15Min", "limit": "20"})
    assert (bars.symbol, len(bars.bars)) == (symbol, 20)
    assert bars.bars[-1].close == watch.quotes[0].price
    assert (await market.BarsProbe(services).ask({"symbol": symbol, "timeframe": "1Day"})).bars
    depth = await market.DepthProbe(services).ask({"symbol": symbol})
    assert depth.bids
    assert depth.asks
    positions = await market.PositionsProbe(services).ask({"symbol": symbol, "limit": 3})
    assert len(positions.positions) == 3
    assert positions.positions[0].owner.startswith("trader")
    assert positions.open_total > 3
    whole = await market.PositionsProbe(services).ask({"symbol": symbol, "limit": 500})
    assert whole.long - whole.short == sum(p.net for p in whole.positions)
    risk = await market.VolatilityProbe(services).ask({"symbol": symbol})
    assert risk.volatility is not None
    assert risk.volatility > 0
    assert (risk.window, bool(risk.hours)) == (f"session {ANCHOR}", True), "the last 24 hours of a Sunday are empty"
    for answer in (bars, depth, positions, risk):
        assert unpack_answer(pack_answer(answer)) == answer


async def test_a_dead_cache_is_named_and_a_dead_database_refused(services: workers.Services, database_dsn: str) -> None:
    dead = make_settings(database_dsn, NOWHERE, redis="redis://127.0.0.1:1/0")
    async with open_services(dead, Sunday()) as half:
        watch = await market.WatchProbe(half).ask({"limit": 3})
    assert len(watch.quotes) == 3
    assert "127.0.0.1:1" in watch.cache_problem
    nowhere = make_settings("postgresql://nobody:secret@127.0.0.1:1/x", NOWHERE)
    async with open_services(nowhere, Sunday()) as none:
        with pytest.raises(DatabaseError) as raised:
            await market.WatchProbe(none).ask({})
    assert "secret" not in str(raised.value)


async def test_a_platform_without_calendar_days_and_users(services: workers.Services) -> None:
    async with services.database.session("test") as connection:
        await connection.execute("DROP TABLE price_ticks, market_calendar; ALTER TABLE auth_user RENAME TO people")
    watch = await market.WatchProbe(services).ask({"limit": 3})
    assert all(quote.price is not None and quote.change is None for quote in watch.quotes)
    symbol = watch.quotes[0].symbol
    assert (await market.BarsProbe(services).ask({"symbol": symbol, "timeframe": "1Day"})).bars == ()
    assert (await market.VolatilityProbe(services).ask({"symbol": symbol})).volatility is None
    positions = await market.PositionsProbe(services).ask({"symbol": symbol})
    assert positions.positions[0].owner.isdigit()


async def test_the_questions_are_registered_and_refuse_what_they_do_not_know(services: workers.Services) -> None:
    known = {name for name in workers.PROBES if name.startswith("market.")}
    answering: tuple[Any, ...] = (
        market.WatchProbe,
        market.BarsProbe,
        market.DepthProbe,
        market.PositionsProbe,
        market.VolatilityProbe,
        prices.PricesProbe,
    )
    assert known == {made.name for made in answering}
    for made in answering:
        probe = made(services)
        assert workers.PROBES[probe.name] == f"{made.__module__}:{made.__name__}"
        with pytest.raises(InvalidParameters):
            await probe.ask({"symbol": "X", "nonsense": 1})
    with pytest.raises(InvalidParameters, match="symbol"):
        await market.PositionsProbe(services).ask({})


@pytest.mark.parametrize(
    ("value", "price", "at"),
    [
        (b'{"price": "1.25", "at": "2026-11-22T10:00:00+00:00"}', "1.25", NOW),
        (b'{"price": 0.1, "timestamp": 1795341600}', "0.1", NOW),
        (b'{"price": 7, "ts": 1795341600000}', "7", NOW),
        (b"3.5", "3.5", None),
        (b'"3.5"', "3.5", None),
        (b'{"price": "1", "at": "yesterday"}', "1", None),
    ],
)
def test_cached_prices_in_their_usual_forms(value: bytes, price: str, at: datetime | None) -> None:
    found = parse(value)
    assert found is not None
    assert (found.price, found.at) == (Decimal(price), at)


@pytest.mark.parametrize(
    "value",
    [b"", b"nonsense", b"[]", b'{"price": null}', b'{"price": "NaN"}', b"true", b"-1", b'"' + b"1" * 5000 + b'"'],
)
def test_what_makes_no_sense_is_no_price(value: bytes) -> None:
    assert parse(value) is None


def test_days_of_what_trades_round_the_clock() -> None:
    days = market.utc_days(NOW, 2)
    assert [day.day for day in days] == [date(2026, 11, 20), date(2026, 11, 21)]
    assert days[-1].close_at == datetime(2026, 11, 22, tzinfo=UTC)
    assert msgspec.structs.asdict(days[0])["open_at"] == datetime(2026, 11, 20, tzinfo=UTC)
