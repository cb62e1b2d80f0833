"""The market as lines: watch list, depth, positions, volatility. Pure: no widget, no clock of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Final

from textual.content import Content

from qsuite_console.model.market import Depth, Level, Position, Positions, Quote, Volatility
from qsuite_console.model.text import clean
from qsuite_console.widgets import braille, figures, looks
from qsuite_console.widgets.cells import Cell, Column, Row, fit

FRESH_S: Final = 15.0  # a cached price is renewed more often than that
APART: Final = Decimal("0.01")  # part of the price by which cache and database may differ
TREND: Final = 24  # closes of a trend

_WITH_COST: Final = 40  # cells of a panel with room for the cost of positions
_WITH_GAIN: Final = 50  # and for what each has realised
LONG: Final = 70  # cells of a list with room for a longer trend

COLUMNS: Final = (
    Column("look", "", 1, keep=9),
    Column("symbol", "SYMBOL", 8, keep=9, narrow=6),
    Column("price", "PRICE", 10, is_right=True, keep=8, narrow=8),
    Column("change", "CHANGE", 8, is_right=True, keep=8, narrow=7),
    Column("trend", "TREND", 8, is_flexible=True, keep=5, below=LONG),
    Column("trend_long", "TREND", 20, is_flexible=True, keep=5, at_least=LONG),
    Column("cache", "CACHE", 5, is_right=True, keep=7),
    Column("database", "DB", 4, is_right=True, keep=6),
)


def price(value: Decimal | float | None) -> str:
    """Return a price with two decimals, small ones with more."""
    if value is None:
        return figures.DASH
    number = float(value)
    return f"{number:,.2f}" if abs(number) >= 1 or number == 0 else f"{number:.6f}"


def quantity(value: Decimal) -> str:
    """Return an amount, with decimals only if it has any."""
    return f"{value:,.0f}" if value == value.to_integral_value() else f"{value:,.4f}".rstrip("0")


def change(value: Decimal | float | None) -> tuple[str, str]:
    """Return a signed percentage and its tone."""
    if value is None:
        return figures.DASH, "dim"
    shown = f"{100 * float(value):+.2f}%"
    return shown, "dim" if float(shown[:-1]) == 0 else "ok" if value > 0 else "error"


def age_of(at: datetime | None, now: datetime) -> float | None:
    """Return the seconds since ``at``; never negative."""
    return None if at is None else max(0.0, (now - at).total_seconds())


def freshness(quote: Quote, now: datetime) -> looks.Look:
    """Return how far the two prices can be trusted: ages of the cached one, and whether they agree."""
    if quote.price is None and quote.cached is None:
        return looks.Look("·", "no price", "dim")
    if quote.cached is None:
        return looks.Look("·", "not cached", "dim")
    age = age_of(quote.cached_at, now)
    if age is not None and age > FRESH_S:
        return looks.Look("◌", f"cache {figures.age(age)} old", "warn")
    if quote.price and abs(quote.cached / quote.price - 1) > APART:
        return looks.Look("▲", "cache and database differ", "warn")
    return looks.Look("●", "cached", "ok")


def watch_row(quote: Quote, now: datetime, *, is_stale: bool) -> Row:
    """Return a line of the watch list; everything in it is dim while it is old."""
    look, (moved, tone) = freshness(quote, now), change(quote.change)
    tone_of_trend = "dim" if is_stale else "run"
    return {
        "look": Cell("◌", "dim") if is_stale else Cell(look.glyph, look.tone),
        "symbol": Cell(quote.symbol, "dim" if is_stale else "bold"),
        "price": Cell(price(quote.price), "dim" if is_stale else ""),
        "change": Cell(moved, "dim" if is_stale else tone),
        "trend": Cell(braille.rows(quote.trend, 8, 1)[0] if quote.trend else "", tone_of_trend),
        "trend_long": Cell(braille.rows(quote.trend, 20, 1)[0] if quote.trend else "", tone_of_trend),
        "cache": Cell(figures.age(age_of(quote.cached_at, now)), "dim" if look.tone != "warn" or is_stale else "warn"),
        "database": Cell(figures.age(age_of(quote.priced_at, now)), "dim"),
    }


def cache_words(quotes: Sequence[Quote], now: datetime) -> str:
    """Return how many of the cached prices can be trusted, with the marks of the list: ``cache ● 4 fresh ◌ 2 old``."""
    counts = Counter(freshness(quote, now).glyph for quote in quotes)
    words = (("●", "fresh"), ("▲", "differ"), ("◌", "old"))
    found = [f"{glyph} {counts[glyph]:,} {word}" for glyph, word in words if counts[glyph]]
    return f"cache {' '.join(found) or 'empty'}"


def headline(quote: Quote, now: datetime) -> Content:
    """Return symbol, price, change, and what the cache says."""
    look, (moved, tone) = freshness(quote, now), change(quote.change)
    cached = f" · cache {price(quote.cached)}" if quote.cached is not None else ""
    return Content.assemble(
        (clean(quote.symbol, 40), "bold $foreground"),
        (f" {price(quote.price)} ", "$foreground"),
        (moved, looks.TONES[tone]),
        (cached, "$dim"),
        (f" {look.glyph} {look.word}" if look.tone == "warn" else "", looks.TONES[look.tone]),
    )


def depth_lines(depth: Depth, width: int) -> Content:
    """Return ten levels a side, best first, with bars of the resting quantity beside them."""
    if not depth.bids and not depth.asks:
        return Content.styled("No resting limit order of the platform", "$dim")
    half = (width - 3) // 2
    largest = max(level.quantity for level in (*depth.bids, *depth.asks))
    lines = [Content.styled(f"{'BID':>{half}}   {'ASK':<{half}}", "$dim")]
    for index in range(max(len(depth.bids), len(depth.asks))):
        bid, ask = _at(depth.bids, index), _at(depth.asks, index)
        left, right = _side(bid, half, largest, is_bid=True), _side(ask, half, largest, is_bid=False)
        lines.append(
            Content.assemble(
                (left[0], "$track"),
                (left[1], "$dim"),
                (left[2], "$success"),
                (" │ ", "$track"),
                (right[2], "$error"),
                (right[1], "$dim"),
                (right[0], "$track"),
            )
        )
    if depth.is_crossed:
        lines.append(Content.styled("▲ crossed: a bid is not below the best ask", "$warning"))
    elif depth.bids and depth.asks:
        best, worst = depth.bids[0].price, depth.asks[0].price
        spread = worst - best
        lines.append(Content.styled(f"spread {quantity(spread)} · {100 * float(spread / worst):.2f}%", "$dim"))
    return Content("\n").join(lines)


def _at(levels: Sequence[Level], index: int) -> Level | None:
    return levels[index] if index < len(levels) else None


def _side(level: Level | None, width: int, largest: Decimal, *, is_bid: bool) -> tuple[str, str, str]:
    """Return bar, quantity and price of a level, together ``width`` cells; the bar grows away from the price."""
    if level is None:
        return " " * width, "", ""
    shown, amount = price(level.price), figures.short(float(level.quantity))
    amount = f"{amount:>5} " if is_bid else f" {amount:<5}"
    room = max(0, width - len(shown) - len(amount))
    bar = "━" * round(max(0, room - 1) * float(level.quantity / largest))
    beside = f"{bar} ".rjust(room) if is_bid else f" {bar}".ljust(room)
    return beside[:room], amount, shown


def position_lines(found: Positions, last: Decimal | None, width: int) -> Content:
    """Return the largest open positions with what they would gain at the last price."""
    if not found.open_total:
        return Content.styled("No open position", "$dim")
    has_cost, has_gain = width >= _WITH_COST, width >= _WITH_GAIN
    name = max(8, width - (27 if has_cost else 17) - (10 if has_gain else 0))
    sums = Content.assemble(
        ("long ", "$dim"),
        (quantity(found.long), "$success"),
        ("  short ", "$dim"),
        (quantity(found.short), "$error"),
    )
    realised = Content.assemble(
        ("realised ", "$dim"), (f"{found.realised:+,.0f}", looks.TONES["ok" if found.realised >= 0 else "error"])
    )
    cost, gain = f" {'AVG COST':>9}" if has_cost else "", f" {'REALISED':>9}" if has_gain else ""
    lines = [Content("  ").join([sums, realised])] if has_cost else [sums, realised]
    lines.append(Content.styled(f"{'OWNER':<{name}} {'NET':>7}{cost} {'OPEN P/L':>8}{gain}", "$dim"))
    lines += [_position(position, last, name, has_cost=has_cost, has_gain=has_gain) for position in found.positions]
    more = found.open_total - len(found.positions)
    if more > 0:
        lines.append(Content.styled(f"and {figures.count(more)} smaller ones", "$dim"))
    return Content("\n").join(lines)


def _position(position: Position, last: Decimal | None, name: int, *, has_cost: bool, has_gain: bool) -> Content:
    owner = clean(position.owner, 200)
    gain = None if last is None else position.net * (last - position.average_cost)
    return Content.assemble(
        (f"{fit(owner, name, is_right=False)} ", "$foreground"),
        (f"{_short(position.net):>7}", looks.TONES["ok" if position.net > 0 else "error"]),
        (f" {price(position.average_cost):>9}" if has_cost else "", "$foreground"),
        (f" {figures.DASH if gain is None else _gain(gain):>8}", _tone(gain)),
        (f" {_gain(position.realised):>9}" if has_gain else "", _tone(position.realised)),
    )


def _gain(value: Decimal) -> str:
    """Return a gain with its sign, in at most eight cells."""
    shown = _short(round(value))
    return f"+{shown}" if round(value) > 0 else shown


def _tone(value: Decimal | None) -> str:
    return looks.TONES["dim" if not value else "ok" if value > 0 else "error"]


def _short(value: Decimal | int) -> str:
    """Return an amount in at most seven cells."""
    exact = quantity(Decimal(value))
    return exact if len(exact) <= 7 else figures.short(float(value))


def volatility_lines(found: Volatility, width: int, zone: tzinfo | None) -> Content:
    """Return the annualised figures, and the volume by hour as bars, newest first."""
    is_wide = width >= _WITH_COST
    lines = _figures_of(found, is_wide=is_wide)
    if not found.hours:
        return Content("\n").join([*lines, Content.styled("No volume in the last 24 h and session", "$dim")])
    lines.append(Content.styled(f"volume by hour · {clean(found.window, 40)}", "$dim"))
    largest = max(hour.volume for hour in found.hours)
    for hour in found.hours:
        amount, average = figures.short(float(hour.volume)), price(hour.vwap)
        room = max(4, width - (27 if is_wide else 13))
        bar = "━" * (round(room * float(hour.volume / largest)) if largest else 0)
        at = hour.hour.astimezone(zone).strftime("%H:%M")
        lines.append(
            Content.assemble(
                (f"{at} ", "$dim"), (f"{bar:<{room}} ", "$primary"), (f"{amount:>6}", "$foreground"),
                (f" vwap {average:>8}" if is_wide else "", "$dim"),
            )
        )  # fmt: skip
    return Content("\n").join(lines)


def _figures_of(found: Volatility, *, is_wide: bool) -> list[Content]:
    """Return volatility and return a year, best and worst day; one figure a line where there is little room."""
    if found.volatility is None:
        return [Content.styled(f"{figures.plural(found.returns, 'return')}: too few for a volatility (10)", "$dim")]
    gain, best, worst = change(found.log_return), change(found.best), change(found.worst)
    volatility = Content.assemble(
        ("volatility ", "$dim"),
        (f"{100 * found.volatility:.1f}%", "bold $foreground"),
        ("" if is_wide else " a year", "$dim"),
    )
    mean = Content.assemble(("return ", "$dim"), (gain[0], looks.TONES[gain[1]]), (" a year", "$dim"))
    days = Content.assemble(
        ("days: best " if is_wide else "best ", "$dim"),
        (best[0], looks.TONES[best[1]]),
        ("  worst " if is_wide else " worst ", "$dim"),
        (worst[0], looks.TONES[worst[1]]),
        (f"  of {found.returns}" if is_wide else "", "$dim"),
    )
    if is_wide:
        return [Content("  ").join([volatility, mean]), days]
    return [volatility, mean, days, Content.styled(f"of {figures.plural(found.returns, 'day')}", "$dim")]
