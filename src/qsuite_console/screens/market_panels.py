"""What the market screen's panels say of the answers they are given: title, figures, age, or why there are none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any, Final

from textual.content import Content
from textual.widgets import Static

from qsuite_console.model.market import Bar, Depth, Positions, Quote, Volatility, Watch
from qsuite_console.model.text import clean
from qsuite_console.screens.questions import Question
from qsuite_console.screens.standing import Kind, Standing, blank, info, note
from qsuite_console.widgets import figures, market_views
from qsuite_console.widgets.candles import Candles
from qsuite_console.widgets.live_table import LiveTable
from qsuite_console.widgets.text_view import TextView

VIEWS: Final = ("watch", "chart", "depth", "positions", "volatility")
TITLES: Final = {name: name.capitalize() for name in VIEWS}
ORDERS: Final = {"symbol": "by symbol", "gainers": "gainers first", "losers": "losers first"}


class Tabs(Static):
    """Which of the panels is shown, where they don't fit side by side."""

    def show(self, view: str) -> None:
        """Mark the view shown."""
        parts: list[Content] = []
        for name in VIEWS:
            style = "bold $block-cursor-foreground on $block-cursor-background" if name == view else "$dim"
            parts.append(Content.styled(f" {TITLES[name]} ", style))
        self.update(Content(" ").join(parts))


def show_note(static: Static, state: Standing, watch: Question[Watch]) -> None:
    """Say above all panels why there is nothing newer, or no cached price; hidden while all is well."""
    lines = [note(state, ())]
    if watch.answer is not None and watch.answer.cache_problem:
        lines.append(Content.styled(f"✖ no cached prices: {clean(watch.answer.cache_problem, 200)}", "$warning"))
    shown = Content("\n").join(line for line in lines if line.plain)
    static.display = bool(shown.plain)
    static.update(shown)


def show_watch(table: LiveTable, watch: Question[Watch], state: Standing, text: str, order: str, now: datetime) -> None:
    """Say what part of the symbols the list shows, in which order, how old it is, and how fresh the cache."""
    parts, cached = [], ""
    if (answer := watch.answer) is not None:
        shown = f"{figures.count(len(answer.quotes))} of {figures.plural(answer.symbols_total, 'symbol')}"
        parts = [_old(state), shown, ORDERS[order]]
        cached = "no cache" if answer.cache_problem else market_views.cache_words(answer.quotes, now)
    title = f"Watch /{clean(text, 40)}" if text else "Watch"
    table.border_title = Content(" · ".join(part for part in (title, cached) if part))
    table.border_subtitle = Content(" · ".join(part for part in parts if part))
    table.empty = _why_empty(watch, state, text)


def show_chart(
    chart: Candles, question: Question[Any], state: Standing, quote: Quote | None, timeframe: str, now: datetime
) -> None:
    """Draw the candles, with the newest one's figures under them."""
    bars: tuple[Bar, ...] = question.answer.bars if question.answer else ()
    none = "No symbol is chosen" if quote is None else f"No bar of {timeframe}; a backfill fetches them"
    empty = _why_none(state, none)
    chart.show(bars, is_daily=timeframe == "1Day", empty=empty)
    name = Content(f"{timeframe}  ")
    chart.border_title = name if quote is None else Content("").join([name, market_views.headline(quote, now)])
    last = ""
    if bars:
        values = zip("OHLC", (bars[-1].open, bars[-1].high, bars[-1].low, bars[-1].close), strict=True)
        shown = [f"{mark} {market_views.price(value)}" for mark, value in values]
        last = " ".join([*shown, f"V {figures.short(float(bars[-1].volume))}"])
    chart.border_subtitle = Content(" · ".join(part for part in (_old(state), last) if part))


def show_panel(
    view: TextView, question: Question[Any], state: Standing, quote: Quote | None, zone: tzinfo | None
) -> None:
    """Show depth, positions or volatility of a symbol."""
    subject = "" if quote is None else f" · {clean(quote.symbol, 40)}"
    view.border_title = Content(f"{TITLES[str(view.id)]}{subject}")
    view.border_subtitle = Content(_old(state))
    last = None if quote is None else quote.price
    match question.answer:
        case Depth() as depth:
            note = Content.styled("own resting orders", "$dim")
            view.show(lambda width: Content("\n").join([market_views.depth_lines(depth, width), note]))
        case Positions() as positions:
            view.show(lambda width: market_views.position_lines(positions, last, width))
        case Volatility() as volatility:
            view.show(lambda width: market_views.volatility_lines(volatility, width, zone))
        case _:
            view.show(Content.styled(_why_none(state, "No symbol is chosen"), "$dim"))


def _old(state: Standing) -> str:
    """Say that an answer is old; why is said once, above the panels."""
    return info(state, None).plain if state.kind is Kind.STALE else ""


def of_none(watch: Standing, states: Sequence[Standing]) -> tuple[Standing, ...]:
    """Return how the panels stand while no symbol is chosen: as the list does, or with nothing to be read."""
    if watch.kind in (Kind.LOADING, Kind.FAILED):
        return tuple(watch for _ in states)
    return tuple(Standing(Kind.FRESH) for _ in states)


def _why_none(state: Standing, none: str) -> str:
    """Say why there is nothing to show: an error, not read yet, none at all."""
    return blank(state, (), none).plain


def _why_empty(watch: Question[Watch], state: Standing, text: str) -> str:
    if watch.problem or watch.answer is None:
        return _why_none(state, "")
    if text:
        return f"No active symbol begins with “{clean(text, 40)}”\nEsc clears the filter · / edits it"
    return "No symbol to show\nThe table of tickers is empty, or no symbol has traded since the open"
