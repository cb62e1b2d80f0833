"""The report "market": prices, volatility, volume and what of the history is stored, for chosen symbols."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from qsuite_console.model.market import Bars, CellState, CoverageCell, CoverageMap, Quote, Volatility, Watch
from qsuite_console.reports.document import (
    Bar,
    BarChart,
    Block,
    Cell,
    Column,
    Curve,
    Document,
    Fact,
    HeatCell,
    HeatMap,
    LineChart,
    Notice,
    Section,
    Table,
    Tone,
    cell,
)
from qsuite_console.reports.frame import Frame

CHARTED: Final = 6  # symbols whose prices are drawn
MAPPED: Final = 54  # symbols of one map of coverage
_CENT: Final = Decimal("0.0001")
SIGNS: Final[dict[str, tuple[str, Tone]]] = {
    CellState.COMPLETE: ("●", "good"),
    CellState.PARTIAL: ("◐", "warn"),
    CellState.GAP: ("○", "bad"),
    CellState.RUNNING: ("▸", ""),
    CellState.FAILED: ("✕", "bad"),
    CellState.NONE: ("·", "faint"),
}
LEGEND: Final[tuple[tuple[str, Tone, str], ...]] = (
    ("●", "good", "complete"),
    ("◐", "warn", "partial"),
    ("○", "bad", "missing"),
    ("·", "faint", "nothing expected"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was read. ``days``: daily bars of the symbols; volatilities in the order of the quotes."""

    watch: Watch
    volatilities: tuple[Volatility, ...] = ()
    days: tuple[Bars, ...] = ()
    coverage: CoverageMap | None = None
    problems: tuple[str, ...] = ()


def build(frame: Frame, found: Found, *, most_rows: int) -> Document:
    """Return the report; without symbols or bars it says so."""
    quotes = found.watch.quotes
    priced = [quote for quote in quotes if quote.price is not None]
    notes = list(found.problems)
    if not quotes:
        notes.append("no active symbol fits what was asked for")
    elif len(priced) < len(quotes):
        notes.append(f"{len(quotes) - len(priced)} of {len(quotes)} symbols have no bar at all")
    if found.watch.cache_problem:
        notes.append(f"prices of the cache: {found.watch.cache_problem}")
    changes = [(quote.change, quote) for quote in priced if quote.change is not None]
    best = max(changes, key=lambda pair: pair[0], default=None)
    worst = min(changes, key=lambda pair: pair[0], default=None)
    sections = [
        _prices(frame, found.watch, most_rows),
        _days(frame, found.days),
        _volatility(found.volatilities),
        _volume(frame, found.volatilities, most_rows),
        coverage_section(found.coverage),
    ]
    return frame.document(
        "Market report",
        sections,
        subtitle=f"{len(quotes):,} of {found.watch.symbols_total:,} active symbols",
        newest=max((quote.priced_at for quote in priced if quote.priced_at), default=None),
        coverage=_coverage(found.coverage, len(priced), len(quotes)),
        notes=notes,
        highlights=tuple(_highlights(best, worst, found.volatilities)),
    )


def _highlights(
    best: tuple[Decimal, Quote] | None, worst: tuple[Decimal, Quote] | None, found: Sequence[Volatility]
) -> Iterator[Fact]:
    if best is not None:
        yield Fact("best since the close before", f"{best[1].symbol} {_percent(best[0])}", _tone(best[0]))
    if worst is not None and worst is not best:
        yield Fact("worst since the close before", f"{worst[1].symbol} {_percent(worst[0])}", _tone(worst[0]))
    known = [(one.volatility, one.symbol) for one in found if one.volatility is not None]
    if known:
        value, symbol = max(known)
        yield Fact("highest volatility of a year", f"{symbol} {100 * value:.1f} %")


def _coverage(found: CoverageMap | None, priced: int, total: int) -> str:
    text = f"{priced:,} of {total:,} symbols priced"
    share = share_of(found)
    return text if share is None or found is None else f"{text}; {share:.1f} % of the {found.timeframe} history stored"


def share_of(found: CoverageMap | None) -> float | None:
    """Return how much of what is expected is there, in percent; None where nothing is expected."""
    cells = [each for row in (found.rows if found is not None else ()) for each in row.cells]
    expected = sum(each.expected for each in cells if each.state is not CellState.NONE)
    present = sum(each.present for each in cells if each.state is not CellState.NONE)
    return 100 * present / expected if expected else None


def _prices(frame: Frame, watch: Watch, most_rows: int) -> Section:
    table = Table(
        title=f"Newest prices; session opened {frame.moment(watch.session_open, seconds=False)}",
        columns=(
            Column(title="symbol"),
            Column(title="price", is_number=True),
            Column(title="change", is_number=True),
            Column(title="close before", is_number=True),
            Column(title="bar of"),
            Column(title="cache", is_number=True),
            Column(title="recent minutes"),
        ),
        rows=tuple(_quote(frame, quote) for quote in watch.quotes[:most_rows]),
        total=len(watch.quotes),
        note="Change: since the close before the session. Cache: what Redis holds of the same symbol.",
        empty="no active symbol fits what was asked for",
    )
    return Section(id="prices", title="Prices", blocks=(table,))


def _quote(frame: Frame, quote: Quote) -> tuple[Cell, ...]:
    change = quote.change
    differs = quote.cached is not None and quote.price is not None and quote.cached != quote.price
    return (
        cell(quote.symbol),
        cell(quote.price),
        cell(None) if change is None else Cell(_percent(change), str(change.quantize(_CENT)), _tone(change)),
        cell(quote.previous_close),
        cell(quote.priced_at, frame.moment(quote.priced_at, seconds=False)) if quote.priced_at else cell(None),
        cell(quote.cached, tone="warn" if differs else ""),
        Cell("", " ".join(f"{value:g}" for value in quote.trend), "", quote.trend)
        if len(quote.trend) > 1
        else cell(None),
    )


def _days(frame: Frame, days: Sequence[Bars]) -> Section:
    blocks: list[Block] = []
    drawn = [one for one in days if len(one.bars) > 1][:CHARTED]
    if drawn:
        start = min(one.bars[0].at.timestamp() for one in drawn)
        end = max(one.bars[-1].at.timestamp() for one in drawn)
        blocks.append(
            LineChart(
                title="Daily closes, each symbol's first day shown as 100",
                unit="first day = 100",
                curves=tuple(
                    Curve(
                        label=one.symbol,
                        points=tuple((bar.at.timestamp(), _indexed(bar.close, one.bars[0].close)) for bar in one.bars),
                    )
                    for one in drawn
                ),
                start=start,
                end=end,
                zone=frame.zone,
                has_zero=False,
            )
        )
    table = Table(
        title="Last daily bar",
        columns=(
            Column(title="symbol"),
            Column(title="day"),
            *(Column(title=name, is_number=True) for name in ("open", "high", "low", "close", "volume")),
            Column(title="days", is_number=True),
        ),
        rows=tuple(_day(one) for one in days if one.bars),
        total=sum(bool(one.bars) for one in days),
        empty="no daily bars are stored of these symbols",
    )
    return Section(id="days", title="Days", blocks=(*blocks, table))


def _day(one: Bars) -> tuple[Cell, ...]:
    bar = one.bars[-1]
    values = (bar.open, bar.high, bar.low, bar.close)
    return (
        cell(one.symbol),
        cell(bar.at.date()),
        *map(cell, values),
        cell(bar.volume, f"{bar.volume:,.0f}"),
        cell(len(one.bars)),
    )


def _indexed(close: Decimal, first: Decimal) -> float | None:
    return float(close / first * 100) if first else None


def _volatility(found: Sequence[Volatility]) -> Section:
    known = sorted(((one.volatility, one) for one in found if one.volatility is not None), key=lambda pair: -pair[0])
    blocks: list[Block] = []
    if known:
        bars = tuple(
            Bar(label=one.symbol, parts=((100 * value, ""),), text=f"{100 * value:.1f} %") for value, one in known[:20]
        )
        blocks.append(BarChart(title="Volatility of a year", unit="%", bars=bars))
    columns = (
        Column(title="symbol"),
        Column(title="volatility", unit="% a year", is_number=True),
        Column(title="mean return", unit="% a year", is_number=True),
        Column(title="worst day", unit="%", is_number=True),
        Column(title="best day", unit="%", is_number=True),
        Column(title="returns", is_number=True),
    )
    blocks.append(
        Table(
            title="Log returns between closes",
            columns=columns,
            rows=tuple(_returns(one) for one in found),
            total=len(found),
            note="Fewer than ten returns give no figure.",
            empty="of no symbol are there enough closes",
        )
    )
    return Section(id="volatility", title="Volatility", blocks=tuple(blocks))


def _returns(one: Volatility) -> tuple[Cell, ...]:
    values = (one.volatility, one.log_return, one.worst, one.best)
    return (
        cell(one.symbol),
        *(cell(None) if value is None else cell(value, f"{100 * value:,.2f}") for value in values),
        cell(one.returns),
    )


def _volume(frame: Frame, found: Sequence[Volatility], most_rows: int) -> Section:
    totals = sorted(((sum((h.volume for h in one.hours), Decimal(0)), one) for one in found if one.hours),
                    key=lambda pair: -pair[0])  # fmt: skip
    if not totals:
        return Section(
            id="volume",
            title="Volume",
            blocks=(Notice(title="No volume in the last 24 hours nor in the last session", tone="faint"),),
        )
    windows = sorted({one.window for _, one in totals if one.window})
    bars = tuple(
        Bar(
            label=one.symbol,
            parts=((float(total), ""),),
            text=f"{total:,.0f}{f' in the {one.window}' if len(windows) > 1 else ''}",
        )
        for total, one in totals[:20]
    )
    rows = [
        (
            cell(hour.symbol),
            cell(hour.hour, frame.moment(hour.hour, seconds=False)),
            cell(hour.volume, f"{hour.volume:,.0f}"),
            cell(hour.vwap),
            cell(hour.bars),
        )
        for _, one in totals
        for hour in one.hours
    ]
    table = Table(
        title="By hour, newest first",
        columns=(
            Column(title="symbol"),
            Column(title="hour"),
            Column(title="volume", is_number=True),
            Column(title="mean price by volume", is_number=True),
            Column(title="minutes", is_number=True),
        ),
        rows=tuple(rows[:most_rows]),
        total=len(rows),
    )
    title = f"Volume by symbol, {windows[0]}" if len(windows) == 1 else "Volume by symbol"
    chart = BarChart(title=title, unit="shares", bars=bars)
    return Section(id="volume", title="Volume", blocks=(chart, table))


def coverage_section(found: CoverageMap | None) -> Section:
    """Return the map of what is stored, a row a symbol and a column a month."""
    if found is None or not found.rows:
        notice = Notice(
            title="What is stored could not be told", lines=("no symbol, or no table of bars",), tone="faint"
        )
        return Section(id="coverage", title="Coverage", blocks=(notice,))
    maps = [_map(found, first) for first in range(0, len(found.rows), MAPPED)]
    table = Table(
        title="Sessions stored of those expected",
        columns=(
            Column(title="symbol"),
            Column(title="stored", is_number=True),
            Column(title="expected", is_number=True),
            Column(title="missing", is_number=True),
            Column(title="share", unit="%", is_number=True),
        ),
        rows=tuple(_stored(row.symbol, row.cells) for row in found.rows),
        total=len(found.rows),
    )
    return Section(id="coverage", title="Coverage", blocks=(*maps, table))


def _map(found: CoverageMap, first: int) -> HeatMap:
    """Return the map of as many symbols as fit on a page."""
    rows = found.rows[first : first + MAPPED]
    some = f", {rows[0].symbol} to {rows[-1].symbol}" if len(found.rows) > MAPPED else ""
    return HeatMap(
        title=f"{found.timeframe} bars in {found.table}, by month{some}",
        columns=found.months,
        rows=tuple((row.symbol, tuple(_heat(row.symbol, each) for each in row.cells)) for row in rows),
        legend=LEGEND,
    )


def _heat(symbol: str, each: CoverageCell) -> HeatCell:
    return HeatCell(*SIGNS[each.state], f"{symbol} {each.month}: {each.present} of {each.expected} sessions")


def _stored(symbol: str, cells: Sequence[CoverageCell]) -> tuple[Cell, ...]:
    counted = [each for each in cells if each.state is not CellState.NONE]
    expected, present = sum(each.expected for each in counted), sum(each.present for each in counted)
    missing = expected - present
    share = None if not expected else round(100 * present / expected, 1)
    return (
        cell(symbol),
        cell(present),
        cell(expected),
        cell(missing, tone="bad" if missing else ""),
        cell(share, "" if share is None else f"{share:.1f}"),
    )


def _percent(fraction: Decimal) -> str:
    return f"{100 * fraction:+,.2f} %"


def _tone(fraction: Decimal) -> Tone:
    return "good" if fraction > 0 else "bad" if fraction < 0 else ""
