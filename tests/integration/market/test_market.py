"""Every question about the market against a plain-Python computation on the same rows of a real PostgreSQL."""

from __future__ import annotations

import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import asyncpg
import pytest

from qsuite_console.config.settings import TableSettings
from qsuite_console.db.market import Fold, MarketReader, Side
from qsuite_console.model import calendar
from qsuite_console.model.market import Position
from qsuite_console.sandbox import seed
from qsuite_console.sandbox.market import Market

NOW = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)  # a Friday, in the session
ANCHOR = date(2026, 11, 20)
MARKET = Market(symbols=25, seed=42)
SESSION = calendar.sessions(ANCHOR, ANCHOR)[0]
OLDER = calendar.sessions(date(2026, 10, 1), date(2026, 11, 19))


@pytest.fixture
async def reader(database_dsn: str) -> AsyncIterator[MarketReader]:
    connection = await asyncpg.connect(database_dsn)
    await seed.seed(connection, MARKET, seed.SeedOptions(anchor=ANCHOR), now=NOW + timedelta(hours=6))
    # Earlier sessions of minute bars for every third symbol: the others have daily bars only.
    await connection.execute(
        """INSERT INTO market_data_marketdata
           SELECT t.id, s.close_at - n * interval '7 minutes', 50 + t.id, 52 + t.id, 49 + t.id,
                  50 + t.id + abs(hashint8(t.id * 1000 + n + (s.session_date - date '2020-01-01')) % 100) / 100.0,
                  100 + n
             FROM market_data_ticker t, market_calendar s, generate_series(1, 5) n
            WHERE t.id % 3 = 0 AND s.session_date BETWEEN $1 AND $2""",
        OLDER[0].day,
        OLDER[-1].day,
    )
    yield MarketReader(connection, TableSettings(), connection.get_server_version().major)
    await connection.close()


async def minutes(reader: MarketReader) -> dict[str, list[asyncpg.Record]]:
    """Every minute bar, by symbol, oldest first."""
    found: dict[str, list[asyncpg.Record]] = defaultdict(list)
    for row in await reader.connection.fetch(
        """SELECT t.symbol, m.* FROM market_data_marketdata m JOIN market_data_ticker t ON t.id = m.ticker_id
            ORDER BY m."timestamp" """
    ):
        found[row["symbol"]].append(row)
    return found


async def days(reader: MarketReader) -> dict[str, dict[datetime, Decimal]]:
    """Daily closes by symbol and label."""
    found: dict[str, dict[datetime, Decimal]] = defaultdict(dict)
    for row in await reader.connection.fetch("SELECT * FROM price_ticks WHERE timeframe = '1Day'"):
        found[row["symbol"]][row["timestamp"]] = row["close"]
    return found


async def test_latest_prices(reader: MarketReader) -> None:
    bars = await minutes(reader)
    wanted = [*sorted(bars)[:20], "NOSUCH"]
    assert await reader.latest_prices(wanted) == {
        s: (bars[s][-1]["close"], bars[s][-1]["timestamp"]) for s in wanted[:-1]
    }


def previous_close(bars: Sequence[Any], daily: dict[datetime, Decimal]) -> Decimal | None:
    if bars[-1]["timestamp"] < SESSION.open_at:
        return None
    earlier: list[Decimal] = [bar["close"] for bar in bars if bar["timestamp"] < SESSION.open_at]
    if earlier:
        return earlier[-1]
    midnight = calendar.midnight(ANCHOR)
    recent = [at for at in daily if midnight - timedelta(days=7) <= at < midnight]
    return daily[max(recent)] if recent else None


async def test_price_changes_trends_and_movers(reader: MarketReader) -> None:
    every, daily = await minutes(reader), await days(reader)
    known = {symbol: [bar for bar in bars if bar["timestamp"] <= NOW] for symbol, bars in every.items()}
    symbols = sorted(known)
    quotes = await reader.quotes([*symbols, "NOSUCH"], SESSION, NOW, trend=12)
    assert quotes.pop().price is None
    changes: dict[str, Decimal] = {}
    for symbol, quote in zip(symbols, quotes, strict=True):
        bars = known[symbol]
        before = previous_close(bars, daily[symbol])
        assert (quote.symbol, quote.price, quote.priced_at) == (symbol, bars[-1]["close"], bars[-1]["timestamp"])
        assert quote.previous_close == before, symbol
        assert quote.trend == tuple(float(bar["close"]) for bar in every[symbol][-12:])
        if before is not None:
            changes[symbol] = bars[-1]["close"] / before - 1
            assert quote.change == changes[symbol]
    assert len(changes) > 15
    assert len(set(changes.values())) > 10
    gainers = sorted(changes, key=lambda s: (-round(changes[s], 15), s))
    assert await reader.movers("", SESSION, NOW, is_rising=True, limit=8) == gainers[:8]
    losers = sorted(changes, key=lambda s: (round(changes[s], 15), s))
    assert await reader.movers("", SESSION, NOW, is_rising=False, limit=8) == losers[:8]


async def test_a_symbol_that_has_not_traded_since_the_open_has_no_change(reader: MarketReader) -> None:
    symbol = next(iter(await minutes(reader)))
    before_open = SESSION.open_at + timedelta(days=3)
    later = calendar.sessions(before_open.date(), before_open.date())[0]
    (quote,) = await reader.quotes([symbol], later, later.open_at + timedelta(hours=1), trend=0)
    assert quote.price is not None
    assert (quote.previous_close, quote.change, quote.trend) == (None, None, ())
    assert symbol not in await reader.movers("", later, later.open_at, is_rising=True, limit=100)


async def test_bars_and_their_buckets(reader: MarketReader) -> None:
    every, daily = await minutes(reader), await days(reader)
    for symbol in sorted(every)[:8]:
        bars = every[symbol]
        assert [(b.at, b.close, b.volume) for b in await reader.bars(symbol, 30)] == [
            (b["timestamp"], b["close"], b["volume"]) for b in bars[-30:]
        ]
        expected = []
        for start, group in itertools.groupby(
            bars[-5 * 12 :], key=lambda b: int(b["timestamp"].timestamp()) // 300 * 300
        ):
            rows = list(group)
            expected.append(
                (start, rows[0]["open"], max(r["high"] for r in rows), min(r["low"] for r in rows), rows[-1]["close"],
                 sum(r["volume"] for r in rows))
            )  # fmt: skip
        found = await reader.bars(symbol, 12, minutes=5)
        assert [(b.at.timestamp(), b.open, b.high, b.low, b.close, b.volume) for b in found] == expected[-12:]
        closes = sorted(daily[symbol].items())[-20:]
        assert [(b.at, b.close) for b in await reader.daily_bars(symbol, 20)] == closes


async def test_depth_counts_levels_and_what_is_left_of_partly_filled_orders(reader: MarketReader) -> None:
    rows = await reader.connection.fetch(
        "SELECT t.symbol, o.* FROM execution_engine_order o JOIN market_data_ticker t ON t.id = o.ticker_id"
    )
    books: dict[tuple[str, str], dict[Decimal, list[Decimal]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["status"] in ("PENDING", "PARTIALLY_FILLED") and row["order_type"] == "LIMIT":
            books[row["symbol"], row["side"]][row["price"]].append(row["quantity"] - row["filled_quantity"])
    assert any(row["status"] == "PARTIALLY_FILLED" and row["order_type"] == "LIMIT" for row in rows)
    for symbol in sorted({symbol for symbol, _ in books}):
        depth = await reader.depth(symbol)
        for levels, side, is_falling in ((depth.bids, "BUY", True), (depth.asks, "SELL", False)):
            best = sorted(books[symbol, side].items(), reverse=is_falling)[:10]
            assert [(x.price, x.quantity, x.orders) for x in levels] == [(p, sum(q), len(q)) for p, q in best]
    assert max(len(prices) for prices in books.values()) > 10


def exact(fills: Sequence[tuple[str, Decimal, Decimal]]) -> tuple[Fraction, Fraction, Fraction]:
    """Net, average cost and realised gain in exact fractions: each share bought or sold is one lot of the average."""
    net = cost = realised = Fraction(0)  # cost: signed amount paid for what is held
    for side, quantity, price in fills:
        left, paid = Fraction(quantity), Fraction(price)
        sign = 1 if side == "BUY" else -1
        if net * sign < 0:
            closed = min(left, abs(net))
            share = cost * closed / abs(net)
            realised += -sign * closed * paid - share
            cost -= share
            net += sign * closed
            left -= closed
        net += sign * left
        cost += sign * left * paid
    return net, cost / net if net else Fraction(0), realised


async def test_positions_by_symbol_and_by_user(reader: MarketReader) -> None:
    by_symbol: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    by_user: dict[int, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for row in await reader.connection.fetch(
        """SELECT t.symbol, o.created_by_id, o.side, e.* FROM execution_engine_execution e
             JOIN execution_engine_order o ON o.id = e.order_id JOIN market_data_ticker t ON t.id = o.ticker_id
            ORDER BY e.executed_at, e.id"""
    ):
        fill = (row["side"], row["quantity"], row["price"])
        by_symbol[row["symbol"]][str(row["created_by_id"])].append(fill)
        by_user[row["created_by_id"]][row["symbol"]].append(fill)
    shorts = 0
    busy = sorted(by_user, key=lambda user: -sum(map(len, by_user[user].values())))[:5]
    async with reader.connection.transaction(readonly=True):
        found: dict[str | int, list[Position]] = {
            symbol: await reader.positions_in(symbol) for symbol in sorted(by_symbol)[:8]
        }
        found |= {user: await reader.positions_of(user) for user in busy}
    for subject, positions in found.items():
        expected = by_symbol[subject] if isinstance(subject, str) else by_user[subject]
        assert {p.owner for p in positions} == set(expected)
        for position in positions:
            net, average, realised = exact(expected[position.owner])
            assert Fraction(position.net) == net
            assert abs(Fraction(position.average_cost) - average) <= Fraction(1, 1_999_999)
            assert abs(Fraction(position.realised) - realised) <= Fraction(1, 1_999_999)
            shorts += net < 0
    assert shorts > 10


@pytest.mark.parametrize(
    ("fills", "expected"),
    [
        ("B100@10 S100@20 B100@30", (100, 30, 1000)),
        ("B100@10 S150@12", (-50, 12, 200)),
        ("S10@5 B4@4", (-6, 5, 4)),
        ("B1@1 B1@1 B1@1 S3@1", (0, 0, 0)),
        ("S50@10 B80@8", (30, 8, 100)),
        ("B3@10 B1@20", (4, "12.5", 0)),
    ],
)
def test_average_cost_follows_the_order_of_fills(fills: str, expected: tuple[Any, Any, Any]) -> None:
    fold, plain = Fold(), []
    for text in fills.split():
        quantity, price = map(Decimal, text[1:].split("@"))
        side: Side = "BUY" if text[0] == "B" else "SELL"
        fold.add(side, quantity, price)
        plain.append((side, quantity, price))
    position = fold.position("x")
    assert (position.net, position.average_cost, position.realised) == tuple(map(Decimal, expected))
    assert exact(plain) == tuple(map(Fraction, expected))


async def test_volume_by_hour(reader: MarketReader) -> None:
    start, end = NOW - timedelta(hours=24), NOW
    sums: dict[tuple[datetime, str], list[Any]] = defaultdict(list)
    for symbol, bars in (await minutes(reader)).items():
        for bar in bars:
            if start <= bar["timestamp"] < end:
                sums[bar["timestamp"].replace(minute=0, second=0, microsecond=0), symbol].append(bar)
    every = await reader.volume_by_hour(start, end)
    assert len(every) == len(sums) > 50
    for hour in every:
        bars = sums[hour.hour, hour.symbol]
        volume = sum(bar["volume"] for bar in bars)
        worth = sum(Fraction(bar["high"] + bar["low"] + bar["close"]) / 3 * Fraction(bar["volume"]) for bar in bars)
        assert (hour.volume, hour.bars) == (volume, len(bars))
        assert hour.vwap is not None
        assert abs(Fraction(hour.vwap) - worth / Fraction(volume)) < Fraction(1, 10**9)
    symbol = every[0].symbol
    alone = await reader.volume_by_hour(start, end, symbol)
    assert [(h.hour, h.volume, h.bars) for h in alone] == [
        (h.hour, h.volume, h.bars) for h in every if h.symbol == symbol
    ]


async def test_volatility(reader: MarketReader) -> None:
    every, daily = await minutes(reader), await days(reader)
    sessions = calendar.sessions(date(2026, 10, 5), ANCHOR)
    checked = 0
    for symbol in sorted(every)[:12]:
        closes = []
        for session in sessions:
            within = [b["close"] for b in every[symbol] if session.open_at <= b["timestamp"] < session.close_at]
            close = daily[symbol].get(calendar.midnight(session.day), within[-1] if within else None)
            closes += [] if close is None else [float(close)]
        returns = [math.log(b / a) for a, b in itertools.pairwise(closes)]
        found = await reader.volatility(symbol, sessions, 252)
        assert found.returns == len(returns)
        assert found.worst == pytest.approx(math.exp(min(returns)) - 1)
        assert found.best == pytest.approx(math.exp(max(returns)) - 1)
        if len(returns) >= 10:
            checked += 1
            assert found.volatility == pytest.approx(statistics.stdev(returns) * math.sqrt(252))
            assert found.log_return == pytest.approx(statistics.mean(returns) * 252)
    assert checked > 8
    few = await reader.volatility(sorted(every)[0], sessions[-8:], 252)
    assert (few.volatility, few.log_return) == (None, None)
    assert few.returns == 7
