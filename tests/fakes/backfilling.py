"""The demo backfill: its parameters, a plan, a coverage map with every state in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qsuite_console.model.kinds import KindInfo, ParameterSpec, Plan, PlanLine
from qsuite_console.model.market import CellState, CoverageCell, CoverageMap, CoverageRow

_SYMBOLS = ("AAPL", "MSFT", "NVDA", "TSLA", "AMZN", "GOOG", "META", "AMD", "INTC", "NFLX", "JPM", "XOM")


_WHAT = (
    ParameterSpec(
        name="symbols",
        type="text",
        label="Symbols",
        help="AAPL,MSFT, all, or active",
        is_required=True,
        placeholder="AAPL,MSFT | all | active",
    ),
    ParameterSpec(name="symbols_file", type="text", label="Symbols file", help="one symbol a line", default=""),
    ParameterSpec(
        name="timeframe",
        type="choice",
        label="Timeframe",
        default="1Day",
        choices=("1Min", "5Min", "15Min", "30Min", "1Hour", "1Day", "1Week", "1Month"),
    ),
    ParameterSpec(name="start", type="date", label="Start", is_required=True, placeholder="2024-01-02"),
    ParameterSpec(name="end", type="date", label="End", help="the last session by default", placeholder="2026-11-19"),
)
_HOW = (
    ParameterSpec(
        name="table",
        type="choice",
        label="Table",
        default="price_ticks",
        choices=("price_ticks", "market_data_marketdata"),
    ),
    ParameterSpec(
        name="profile",
        type="choice",
        label="Profile",
        default="adaptive",
        choices=(
            "adaptive",
            "baseline",
            "conservative",
            "aggressive",
            "maximum",
            "development",
            "production",
            "high",
        ),
    ),
    ParameterSpec(
        name="feed",
        type="text",
        label="Feed",
        help="empty lets the provider choose",
        default="",
        placeholder="iex | sip",
    ),
    ParameterSpec(
        name="adjustment",
        type="choice",
        label="Adjustment",
        default="raw",
        choices=("raw", "split", "dividend", "all"),
    ),
    ParameterSpec(name="refresh", type="boolean", label="Refresh", help="fetch again what is there", default=False),
)


def backfill_kind() -> KindInfo:
    """The backfill as the worker describes itself."""
    return KindInfo(
        name="backfill",
        title="Backfill",
        description="Fetch missing bars from the provider and store them.",
        queue="data_processing",
        priority=5,
        soft_limit_s=1680,
        hard_limit_s=1800,
        max_attempts=4,
        can_plan=True,
        parameters=(*_WHAT, *_HOW),
    )


def demo_plan(kind: str, parameters: Mapping[str, Any]) -> Plan:
    """A plan with a gap to fill."""
    return Plan(
        kind=kind,
        title=f"backfill {parameters.get('symbols', '')} {parameters.get('timeframe', '1Day')}",
        lines=(
            PlanLine(label="symbols", value="200", note="3 unknown to the provider"),
            PlanLine(label="sessions", value="252", note="2024-01-02 to 2024-12-31"),
            PlanLine(label="already there", value="41,208 rows", note="82 %"),
            PlanLine(label="to fetch", value="9,192 rows", note="2024-03, 2024-08"),
            PlanLine(label="requests", value="26", note="39 symbols a request"),
            PlanLine(label="time", value="about 8 s", note="at 200 requests a minute"),
        ),
        warnings=("NOSUCH, ZZZZ, QQQX are unknown to the provider and will be left out",),
        figures={"symbols": 200, "requests": 26, "rows": 9192, "seconds": 8.0},
    )


def demo_coverage(parameters: Mapping[str, Any]) -> CoverageMap:
    """A map with every state in it; pages by ``after`` like the real one."""
    first, last = (
        int(month[:4]) * 12 + int(month[5:7]) - 1
        for month in (str(parameters.get("start") or "2024-01"), str(parameters.get("end") or "2025-12"))
    )
    months = tuple(f"{number // 12}-{number % 12 + 1:02d}" for number in range(first, last + 1))
    symbols = sorted({*_SYMBOLS, *(f"{a}{b}X" for a in "ABCDEFGH" for b in "ACEGIKM")})
    text = str(parameters.get("text", "")).upper()
    symbols = [s for s in symbols if text in s]
    total = len(symbols)
    after = str(parameters.get("after") or "")
    rest = [s for s in symbols if s > after]
    limit = int(parameters.get("limit") or 200)
    page = rest[:limit]
    return CoverageMap(
        table=str(parameters.get("table", "price_ticks")),
        timeframe=str(parameters.get("timeframe", "1Day")),
        months=months,
        rows=tuple(
            CoverageRow(
                symbol=s, cells=tuple(_cell(symbols.index(s), 24 - len(months) + i, m) for i, m in enumerate(months))
            )
            for s in page
        ),
        symbols_total=total,
        next_after=page[-1] if len(rest) > len(page) else None,
    )


def _cell(symbol: int, index: int, month: str) -> CoverageCell:
    expected = (21, 20, 21, 22, 21, 20, 22, 22, 20, 23, 20, 21)[index % 12]
    pick = (symbol * 7 + index * 3) % 29
    if index < 4 - symbol * 13 % 60:
        return CoverageCell(month=month, state=CellState.NONE)
    if index > 22:
        return CoverageCell(month=month, state=CellState.GAP, expected=expected)
    if 6 <= index <= 7 and symbol % 9 < 3:
        return CoverageCell(month=month, state=CellState.RUNNING, present=expected // 2, expected=expected)
    if pick == 3:
        return CoverageCell(month=month, state=CellState.FAILED, present=2, expected=expected)
    if pick in (5, 11):
        return CoverageCell(month=month, state=CellState.PARTIAL, present=expected - 4, expected=expected)
    if pick == 17:
        return CoverageCell(month=month, state=CellState.GAP, expected=expected)
    return CoverageCell(month=month, state=CellState.COMPLETE, present=expected, expected=expected)
