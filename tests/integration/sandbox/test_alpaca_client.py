"""The provider's own public client works against the sample exchange, unchanged."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime

import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.enums import Adjustment
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.requests import (
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockSnapshotRequest,
)
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import AssetClass, AssetStatus
from alpaca.trading.requests import GetAssetsRequest, GetCalendarRequest


def _data(server, secret=None):
    options = server.options
    return StockHistoricalDataClient(options.key_id, secret or options.secret_key, url_override=server.data_url)


def _trading(server):
    return TradingClient(server.options.key_id, server.options.secret_key, url_override=server.data_url)


async def test_bars_of_many_symbols_over_many_pages(exchange):
    server = await exchange(symbols=60)
    symbols = [i.symbol for i in server.market.instruments if i.listed is None and i.delisted is None][:45]
    request = StockBarsRequest(
        symbol_or_symbols=symbols,
        timeframe=TimeFrame.Day,
        start=datetime(2025, 1, 2, tzinfo=UTC),
        end=datetime(2025, 12, 31, 23, tzinfo=UTC),
        adjustment=Adjustment.ALL,
    )
    found = await asyncio.to_thread(_data(server).get_stock_bars, request)
    assert sorted(found.data) == sorted(symbols)
    assert {len(bars) for bars in found.data.values()} == {250}
    first = found.data["AAPL"][0]
    assert first.timestamp == datetime(2025, 1, 2, 5, tzinfo=UTC)
    assert first.low <= first.open <= first.high
    assert first.trade_count > 0
    assert [record.bars for record in server.requests.bars()] == [10_000, 1250]


async def test_minute_bars_and_longer_timeframes(exchange):
    server = await exchange()
    day = {"start": datetime(2026, 7, 6, 13, 30, tzinfo=UTC), "end": datetime(2026, 7, 6, 20, tzinfo=UTC)}
    for timeframe, count in ((TimeFrame.Minute, 390), (TimeFrame(5, TimeFrameUnit.Minute), 78), (TimeFrame.Hour, 6)):
        request = StockBarsRequest(symbol_or_symbols="MSFT", timeframe=timeframe, **day)
        found = await asyncio.to_thread(_data(server).get_stock_bars, request)
        assert len(found["MSFT"]) == count


async def test_latest_values(exchange):
    server = await exchange()
    client, names = _data(server), ["AAPL", "TSLA"]
    trades = await asyncio.to_thread(client.get_stock_latest_trade, StockLatestTradeRequest(symbol_or_symbols=names))
    quotes = await asyncio.to_thread(client.get_stock_latest_quote, StockLatestQuoteRequest(symbol_or_symbols=names))
    bars = await asyncio.to_thread(client.get_stock_latest_bar, StockLatestBarRequest(symbol_or_symbols=names))
    shots = await asyncio.to_thread(client.get_stock_snapshot, StockSnapshotRequest(symbol_or_symbols=names))
    for name in names:
        assert quotes[name].bid_price < trades[name].price < quotes[name].ask_price
        assert bars[name].close == trades[name].price == shots[name].minute_bar.close
        assert shots[name].daily_bar.timestamp > shots[name].previous_daily_bar.timestamp


async def test_the_trading_client(exchange):
    server = await exchange(symbols=40)
    client = _trading(server)
    request = GetAssetsRequest(status=AssetStatus.ACTIVE, asset_class=AssetClass.US_EQUITY)
    assets = await asyncio.to_thread(client.get_all_assets, request)
    gone = {i.symbol for i in server.market.instruments if i.delisted}
    assert {a.symbol for a in assets} == {i.symbol for i in server.market.instruments} - gone
    one = await asyncio.to_thread(client.get_asset, "AAPL")
    assert (one.symbol, one.tradable) == ("AAPL", True)
    assert (await asyncio.to_thread(client.get_asset, one.id)).symbol == "AAPL"
    days = GetCalendarRequest(start=date(2026, 11, 23), end=date(2026, 11, 30))
    sessions = await asyncio.to_thread(client.get_calendar, days)
    assert [(s.date.day, s.close.hour) for s in sessions] == [(23, 16), (24, 16), (25, 16), (27, 13), (30, 16)]
    clock = await asyncio.to_thread(client.get_clock)
    assert clock.next_close > clock.timestamp
    assert clock.next_open > clock.timestamp
    account = await asyncio.to_thread(client.get_account)
    assert account.status.value == "ACTIVE"


async def test_refusals_reach_the_client(exchange):
    server = await exchange()
    request = StockBarsRequest(
        symbol_or_symbols="BAD1", timeframe=TimeFrame.Day, start=datetime(2025, 1, 2, tzinfo=UTC)
    )
    with pytest.raises(APIError, match="invalid symbol: BAD1"):
        await asyncio.to_thread(_data(server).get_stock_bars, request)
    with pytest.raises(APIError, match="forbidden") as refused:
        await asyncio.to_thread(_data(server, "wrong").get_stock_bars, request)
    assert refused.value.status_code == 403
