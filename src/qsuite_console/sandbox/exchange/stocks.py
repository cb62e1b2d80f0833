"""The market-data host: bars by page, the latest of everything, snapshots."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, Protocol

import msgspec

from qsuite_console.model import calendar
from qsuite_console.sandbox import timeframes
from qsuite_console.sandbox.exchange.answers import Refusal, unreadable
from qsuite_console.sandbox.exchange.faults import bad_kind, damage
from qsuite_console.sandbox.exchange.options import ExchangeOptions
from qsuite_console.sandbox.exchange.query import (
    LATEST,
    STOCK_RULES,
    BarsQuery,
    Place,
    Rules,
    make_token,
    read_bars,
    read_symbols,
    refuse_unknown,
)
from qsuite_console.sandbox.market import LABEL
from qsuite_console.sandbox.minutes import Bar
from qsuite_console.sandbox.timeframes import Timeframe

_MINUTE: Final = timeframes.Timeframe(1, timeframes.Unit.MINUTE)
_DAY: Final = timeframes.Timeframe(1, timeframes.Unit.DAY)
_TURN: Final = 2000  # bars made before other requests get their turn


class Answer(msgspec.Struct, kw_only=True):
    """A body to send, and what the log says about it."""

    body: Any
    bars: int = 0
    bad_bars: int = 0
    next_page_token: str | None = None


class Listed(Protocol):
    """An instrument as far as this host looks at it."""

    @property
    def delisted(self) -> date | None:
        """Return the first day without trading."""


class BarMarket(Protocol):
    """Where bars come from: shares or crypto pairs."""

    @property
    def by_symbol(self) -> Mapping[str, Listed]:
        """Return the instruments."""

    def bars(
        self, symbol: str, timeframe: Timeframe, first: str, last: str, *, until: datetime, descending: bool = False
    ) -> Iterator[Sequence[Bar]]:
        """Yield pieces of the bars labelled ``first`` to ``last``."""


class Stocks:
    """Answers about the instruments of one market under its rules."""

    def __init__(self, market: BarMarket, options: ExchangeOptions, rules: Rules = STOCK_RULES) -> None:
        self._market = market
        self._options = options
        self._rules = rules
        self._turn = asyncio.Lock()

    async def bars(self, query: Mapping[str, str], symbol: str | None = None) -> Answer:
        """Answer a page of bars, of one symbol when it is in the path; raises Refusal."""
        if symbol is not None and "symbols" in query:
            raise Refusal(400, "unexpected query parameter(s): symbols")
        named = symbol if symbol is not None else query.get("symbols")
        asked = read_bars(query, named, self._options.now(), self._rules)
        if symbol is not None and symbol not in self._market.by_symbol:
            raise unreadable("symbol", symbol)
        async with self._turn:  # side by side all of them would be late
            pages, following = await self._page(asked)
        token = make_token(following, str(asked.timeframe)) if following else None
        sent, bad = self._damaged(pages, str(asked.timeframe))
        count = sum(len(bars) for bars in pages.values())
        if symbol is None:
            body: dict[str, Any] = {"bars": sent, "next_page_token": token}
        else:
            body = {"bars": sent.get(symbol, []), "symbol": symbol, "next_page_token": token}
        return Answer(body=body, bars=count, bad_bars=bad, next_page_token=token)

    def latest(self, query: Mapping[str, str], kind: str, symbol: str | None = None) -> Answer:
        """Answer the latest bar, trade or quote of some symbols; unknown ones are silently absent."""
        refuse_unknown(query, LATEST)
        symbols = read_symbols(symbol if symbol is not None else query.get("symbols"))
        found = {name: self._newest(name, kind) for name in symbols if name in self._market.by_symbol}
        values = {name: value for name, value in found.items() if value is not None}
        if symbol is None:
            return Answer(body={f"{kind}s": values})
        if symbol not in values:
            raise unreadable("symbol", symbol)
        return Answer(body={kind: values[symbol], "symbol": symbol})

    def snapshots(self, query: Mapping[str, str], symbol: str | None = None) -> Answer:
        """Answer the newest of everything for some symbols."""
        refuse_unknown(query, LATEST)
        symbols = read_symbols(symbol if symbol is not None else query.get("symbols"))
        known = {name: self._snapshot(name) for name in symbols if name in self._market.by_symbol}
        found = {name: value for name, value in known.items() if value is not None}
        if symbol is None:
            return Answer(body=found)
        if symbol not in found:
            raise unreadable("symbol", symbol)
        return Answer(body={"symbol": symbol, **found[symbol]})

    async def _page(self, asked: BarsQuery) -> tuple[dict[str, list[Bar]], Place | None]:
        """Return at most ``limit`` bars and the place of the one after them, None when there is none."""
        pages: dict[str, list[Bar]] = {}
        limit, count, made = asked.limit, 0, 0
        if self._options.bad_rate:  # a duplicate must not push the page over the limit
            limit = max(1, limit - int(limit * min(1.0, 2 * self._options.bad_rate)) - 10)
        for symbol in asked.symbols:
            if symbol not in self._market.by_symbol or (asked.place is not None and symbol < asked.place.symbol):
                continue
            first, last = asked.first, asked.last
            if asked.place is not None and symbol == asked.place.symbol:
                first, last = (first, asked.place.label) if asked.descending else (asked.place.label, last)
            pieces = self._market.bars(
                symbol, asked.timeframe, first, last, until=self._options.now(), descending=asked.descending
            )
            for piece in pieces:
                taken = piece[: limit - count]
                if taken:
                    pages.setdefault(symbol, []).extend(taken)
                    count += len(taken)
                if len(taken) < len(piece):
                    return pages, Place(symbol, piece[len(taken)].t)
                made += len(piece) * (asked.timeframe.minutes or 1)
                if made >= _TURN:
                    made = 0
                    await asyncio.sleep(0)
        return pages, None

    def _damaged(self, pages: dict[str, list[Bar]], timeframe: str) -> tuple[dict[str, Sequence[Any]], int]:
        options = self._options
        if not options.bad_rate:
            return dict(pages), 0
        sent: dict[str, Sequence[Any]] = {}
        bad = 0
        for symbol, bars in pages.items():
            kinds = {
                bar.t: kind
                for bar in bars
                if (kind := bad_kind(options.seed, symbol, timeframe, bar.t, options.bad_rate, options.bad_kinds))
            }
            bad += len(kinds)
            sent[symbol] = damage(bars, kinds)
        return sent, bad

    def _newest(self, symbol: str, kind: str) -> Any:
        now = self._options.now()
        bar = self._last_bar(symbol, timeframes.Timeframe(1, timeframes.Unit.MINUTE), now)
        if bar is None or kind == "bar":
            return bar
        at = min(now, _after(bar.t, 60)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        size = 1 + int(bar.v) % 9
        if kind == "trade":
            return {"t": at, "x": "V", "p": bar.c, "s": 10 * size, "c": ["@"], "i": int(bar.v) % 100_000 + 1, "z": "C"}
        bid, ask = round(bar.c - 0.01, 2), round(bar.c + 0.01, 2)
        sizes = {"bs": 100 * size, "as": 100 * (10 - size)}
        return {"t": at, "ax": "V", "ap": ask, "bx": "V", "bp": bid, **sizes, "c": ["R"], "z": "C"}

    def _snapshot(self, symbol: str) -> dict[str, Any] | None:
        now = self._options.now()
        days = self._days_until(symbol, now)
        minute = self._last_bar(symbol, _MINUTE, now)
        if minute is None or not days:
            return None
        return {
            "latestTrade": self._newest(symbol, "trade"),
            "latestQuote": self._newest(symbol, "quote"),
            "minuteBar": minute,
            "dailyBar": days[-1],
            "prevDailyBar": days[-2] if len(days) > 1 else None,
        }

    def _last_bar(self, symbol: str, timeframe: timeframes.Timeframe, now: datetime) -> Bar | None:
        """Return the newest bar of the last two weeks of trading, for a delisted share of its last two."""
        delisted = self._market.by_symbol[symbol].delisted
        end = now if delisted is None else min(now, calendar.midnight(delisted))
        first, last = (end - timedelta(days=14)).strftime(LABEL), end.strftime(LABEL)
        for piece in self._market.bars(symbol, timeframe, first, last, until=now, descending=True):
            if piece:
                return piece[0]
        return None

    def _days_until(self, symbol: str, now: datetime) -> list[Bar]:
        first, last = (now - timedelta(days=14)).strftime(LABEL), now.strftime(LABEL)
        return [bar for piece in self._market.bars(symbol, _DAY, first, last, until=now) for bar in piece]


def _after(label: str, seconds: int) -> datetime:
    return datetime.fromisoformat(label) + timedelta(seconds=seconds)
