"""Market data: newest prices, candles, and batches of bars that a program brings."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import msgspec

from qsuite_console.headless.routes.changing import perform
from qsuite_console.headless.table import Api, Call, Query, Route
from qsuite_console.model.access import Scope
from qsuite_console.model.errors import UsageProblem
from qsuite_console.model.market import Bars, LatestPrices
from qsuite_console.model.requests import BarsAnswer, BarsRequest
from qsuite_console.model.text import clean

MOST_SYMBOLS: Final = 500
MOST_CANDLES: Final = 1000
MOST_BARS: Final = 10_000
_bars: Final = msgspec.json.Decoder(BarsRequest, float_hook=Decimal)  # prices stay as they were written


class Said(StrEnum):
    """Whose price is wanted."""

    ANY = "any"
    CACHE = "cache"
    DATABASE = "database"


class Candle(StrEnum):
    """How long a candle is."""

    MINUTE = "1Min"
    MINUTES_5 = "5Min"
    MINUTES_15 = "15Min"
    HOUR = "1Hour"
    DAY = "1Day"


async def _prices(api: Api, call: Call) -> Any:
    asked = {"symbols": list(call.query["symbols"]), "source": str(call.query["source"]), "fresh": call.query["fresh"]}
    return await api.control.ask("market.prices", asked)


async def _ohlcv(api: Api, call: Call) -> Any:
    query = call.query
    asked = {"symbol": query["symbol"], "timeframe": str(query["timeframe"]), "limit": query["limit"]}
    return await api.control.ask("market.bars", asked)


async def _store(api: Api, call: Call) -> BarsAnswer:
    try:
        asked = _bars.decode(call.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageProblem(f"the request's body is refused: {clean(error, 300)}", hint="send JSON") from None
    if len(asked.records) > MOST_BARS:
        raise UsageProblem(
            f"at most {MOST_BARS:,} bars at a time, {len(asked.records):,} were sent", hint="send them in batches"
        )
    given = {name: getattr(asked, name) for name in ("records", "timeframe", "table", "strict", "create_symbols")}
    outcome = await perform(api, call, "bars.store", given, asked)
    return msgspec.convert(outcome.figures, BarsAnswer)


ROUTES: Final = (
    Route(
        "GET",
        "/prices/latest",
        _prices,
        "the newest price of each symbol, from the cache or else the database",
        answers=LatestPrices,
        queries=(
            Query("symbols", is_list=True, is_required=True, max_items=MOST_SYMBOLS, max_length=40, help="AAPL,MSFT"),
            Query("source", Said, Said.ANY, help="only what the cache or the database says"),
            Query("fresh", bool, False, help="true: not an answer that was kept for a second"),
        ),
        is_for_own=True,
    ),
    Route(
        "GET",
        "/ohlcv",
        _ohlcv,
        "the newest candles of a symbol, oldest first",
        answers=Bars,
        queries=(
            Query("symbol", is_required=True, max_length=40, help="AAPL"),
            Query("limit", int, 60, 1, MOST_CANDLES, "candles at most"),
            Query("timeframe", Candle, Candle.MINUTE, help="length of a candle"),
        ),
        is_for_own=True,
    ),
    Route(
        "POST",
        "/bars",
        _store,
        f"store a batch of at most {MOST_BARS:,} bars; each bad one is named",
        scope=Scope.OPERATE,
        takes=BarsRequest,
        answers=BarsAnswer,
        is_for_own=True,
    ),
)
