"""The provider's own public client works against the sample exchange, unchanged."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime

import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.enums import Adjustment
from alpaca.data.historical import CryptoHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.requests import (
    CryptoBarsRequest,
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


async def test_crypto_trades_round_the_clock_with_fractional_volumes(exchange):
    server = await exchange()
    options = server.options
    client = CryptoHistoricalDataClient(options.key_id, options.secret_key, url_override=server.data_url)

    async def fetch(timeframe, end):
        span = {"start": datetime(2025, 3, 8, tzinfo=UTC), "end": end}
        request = CryptoBarsRequest(symbol_or_symbols=["BTC/USD", "DOGE/USD"], timeframe=timeframe, **span)
        return (await asyncio.to_thread(client.get_crypto_bars, request)).data

    minutes = await fetch(TimeFrame.Minute, datetime(2025, 3, 8, 23, 59, tzinfo=UTC))
    days = await fetch(TimeFrame.Day, datetime(2025, 3, 14, tzinfo=UTC))
    hours = await fetch(TimeFrame(4, TimeFrameUnit.Hour), datetime(2025, 3, 8, 23, 59, tzinfo=UTC))
    for symbol in ("BTC/USD", "DOGE/USD"):
        whole, parts = days[symbol][0], minutes[symbol]
        assert [bar.timestamp.hour for bar in days[symbol]] == [0] * 7  # weekends too
        assert (len(parts), len(hours[symbol])) == (1440, 6)
        assert (parts[0].open, parts[-1].close) == (whole.open, whole.close)
        assert max(bar.high for bar in parts) == whole.high
        assert round(sum(bar.volume for bar in parts), 4) == whole.volume
        assert any(bar.volume % 1 for bar in parts)
    assert days["DOGE/USD"][0].close < 1
    request = GetAssetsRequest(asset_class=AssetClass.CRYPTO)
    assets = await asyncio.to_thread(_trading(server).get_all_assets, request)
    assert {"BTC/USD", "ETH/USD", "SOL/USD"} <= {asset.symbol for asset in assets}
    bad = CryptoBarsRequest(symbol_or_symbols="BTCUSD", timeframe=TimeFrame.Day)
    with pytest.raises(APIError, match="invalid symbol: BTCUSD"):
        await asyncio.to_thread(client.get_crypto_bars, bad)
