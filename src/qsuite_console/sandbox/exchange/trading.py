"""The trading host: assets, calendar, clock and the paper account."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from qsuite_console.model import calendar
from qsuite_console.model.market import Session
from qsuite_console.sandbox.crypto import PAIRS, Pair
from qsuite_console.sandbox.exchange.answers import Refusal
from qsuite_console.sandbox.exchange.options import ExchangeOptions
from qsuite_console.sandbox.exchange.query import read_date, refuse_unknown
from qsuite_console.sandbox.market import Market
from qsuite_console.sandbox.universe import Instrument

_SPACE: Final = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
_ASSETS: Final = frozenset({"status", "asset_class", "exchange", "attributes"})


class Trading:
    """Answers about instruments and time."""

    def __init__(self, market: Market, options: ExchangeOptions) -> None:
        self._market = market
        self._options = options

    def assets(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the assets that match the filters."""
        refuse_unknown(query, _ASSETS)
        if query.get("asset_class", "us_equity") == "crypto":
            found = [_pair(pair) for pair in PAIRS]
        else:
            found = [self._asset(i) for i in self._market.instruments]
        if query.get("attributes"):
            return []
        for name, field in (("status", "status"), ("asset_class", "class"), ("exchange", "exchange")):
            if query.get(name):
                found = [asset for asset in found if asset[field] == query[name]]
        return sorted(found, key=lambda asset: str(asset["symbol"]))

    def asset(self, symbol_or_id: str) -> dict[str, Any]:
        """Return one asset; raises Refusal when there is none."""
        for instrument in self._market.instruments:
            if symbol_or_id in {instrument.symbol, _identity(instrument)}:
                return self._asset(instrument)
        raise Refusal(404, f"asset not found for {symbol_or_id}", 40410000)

    def calendar(self, query: Mapping[str, str]) -> list[dict[str, str]]:
        """Return the sessions from start to end, both included; everything known without them."""
        refuse_unknown(query, frozenset({"start", "end", "date_type"}))
        start = read_date("start", query.get("start") or f"{calendar.FIRST_YEAR}-01-01")
        end = read_date("end", query.get("end") or f"{calendar.LAST_YEAR}-12-31")
        found = calendar.sessions(start, end + timedelta(days=7))
        following = [s.day for s in found[1:]]
        return [
            _calendar_row(session, following[i] if i < len(following) else session.day)
            for i, session in enumerate(found)
            if session.day <= end
        ]

    def clock(self) -> dict[str, Any]:
        """Return whether the exchange is open and when that changes."""
        now = self._options.now()
        near = calendar.sessions(now.date() - timedelta(days=1), now.date() + timedelta(days=14))
        is_open = any(s.open_at <= now < s.close_at for s in near)
        return {
            "timestamp": _local(now),
            "is_open": is_open,
            "next_open": _local(min(s.open_at for s in near if s.open_at > now)),
            "next_close": _local(min(s.close_at for s in near if s.close_at > now)),
        }

    def account(self) -> dict[str, Any]:
        """Return a paper account in good standing."""
        money = {"cash": "100000", "buying_power": "200000", "equity": "100000", "portfolio_value": "100000"}
        flags = {"trading_blocked": False, "transfers_blocked": False, "account_blocked": False}
        return {
            "id": str(uuid.uuid5(_SPACE, self._options.key_id)),
            "account_number": "PA0SANDBOX",
            "status": "ACTIVE",
            "crypto_status": "INACTIVE",
            "currency": "USD",
            "created_at": "2024-01-02T15:00:00Z",
            "pattern_day_trader": False,
            "shorting_enabled": True,
            "trade_suspended_by_user": False,
            **money,
            **flags,
        }

    def _asset(self, instrument: Instrument) -> dict[str, Any]:
        today = calendar.trading_day(self._options.now())
        is_gone = instrument.delisted is not None and today >= instrument.delisted
        is_early = instrument.listed is not None and today < instrument.listed
        is_active = not is_gone and not is_early
        return {
            "id": _identity(instrument),
            "class": "us_equity",
            "exchange": instrument.exchange,
            "symbol": instrument.symbol,
            "name": instrument.name,
            "status": "active" if is_active else "inactive",
            "tradable": is_active,
            "marginable": True,
            "shortable": not instrument.is_illiquid,
            "easy_to_borrow": not instrument.is_illiquid,
            "fractionable": True,
            "maintenance_margin_requirement": 30,
            "attributes": [],
        }


def _identity(instrument: Instrument) -> str:
    return str(uuid.uuid5(_SPACE, instrument.symbol))


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid5(_SPACE, pair.symbol)),
        "class": "crypto",
        "exchange": "CRYPTO",
        "symbol": pair.symbol,
        "name": pair.name,
        "status": "active",
        "tradable": True,
        "marginable": False,
        "shortable": False,
        "easy_to_borrow": False,
        "fractionable": True,
        "min_order_size": "0.0001",
        "min_trade_increment": "0.0001",
        "price_increment": "0.01",
        "attributes": [],
    }


def _calendar_row(session: Session, settlement: object) -> dict[str, str]:
    # 09:30 New York is the open, whatever the season: the close follows from the length of the session.
    close = datetime.combine(session.day, datetime.min.time()) + timedelta(hours=9, minutes=30)
    close += session.close_at - session.open_at
    return {
        "date": session.day.isoformat(),
        "open": "09:30",
        "close": close.strftime("%H:%M"),
        "session_open": "0400",
        "session_close": "1700" if session.is_early_close else "2000",
        "settlement_date": str(settlement),
    }


def _local(at: datetime) -> str:
    """Return the instant with New York's offset (of that day's midnight), as the host writes it."""
    offset = calendar.midnight(calendar.trading_day(at)).hour
    return (at.astimezone(UTC) - timedelta(hours=offset)).strftime("%Y-%m-%dT%H:%M:%S.%f") + f"-{offset:02}:00"
