"""The market at a glance: a watch list, and of the symbol under the cursor candles, depth, positions, volatility.

Prices of the database and of the cache stand side by side with their ages. Only what is seen is asked for, every two
seconds, one question at a time of each kind; what is not answered in time stays, dim and with its age.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Final

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Static

from qsuite_console import commands
from qsuite_console.screens import market_panels
from qsuite_console.screens.base import ConsoleScreen
from qsuite_console.screens.market_feed import LOOK_S, MarketFeed
from qsuite_console.screens.market_panels import ORDERS, VIEWS, Tabs
from qsuite_console.screens.questions import Question
from qsuite_console.screens.standing import Kind, Standing, standing
from qsuite_console.widgets.candles import Candles
from qsuite_console.widgets.filter_bar import FilterBar
from qsuite_console.widgets.status_bar import reading_of
from qsuite_console.widgets.text_view import TextView
from qsuite_console.widgets.watch_list import WatchList

WIDE, TALL = 100, 32  # from this size on everything is shown
LIMIT: Final = 500  # symbols of the list; the filter leads to the others
TIMEFRAMES: Final = ("1Min", "5Min", "15Min", "1Hour", "1Day")
_STEP: Final = 20  # candles by which a chart asks for more, so that a resize seldom asks anew


class MarketScreen(ConsoleScreen):
    """List and panels; in a small terminal one at a time."""

    SCOPE = "market"
    CSS_PATH = "market.tcss"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("market")
    BINDING_GROUP_TITLE = commands.SCOPES["market"]
    AUTO_FOCUS = "#watch"

    def __init__(self) -> None:
        super().__init__()
        self._view = VIEWS[0]
        self._text, self._order, self._timeframe = "", "symbol", "1Min"
        self._feed = MarketFeed(self, self._take)
        self._table = WatchList(id="watch", classes="panel")
        self._chart = Candles(id="chart", classes="panel")
        self._tabs = Tabs("", id="tabs", markup=False)
        self._note = Static("", id="note", markup=False)
        self._standings: tuple[Standing, ...] = ()
        self._panels = {name: TextView(id=name, classes="panel") for name in VIEWS[2:]}

    def compose_body(self) -> ComposeResult:
        """Yield the list and the panels; the style sheet decides which are seen."""
        yield self._tabs
        yield self._note
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield self._table
                yield self._panels["positions"]
            with Vertical(id="right"):
                yield self._chart
                with Horizontal(id="books"):
                    yield self._panels["depth"]
                    yield self._panels["volatility"]
        yield FilterBar("symbols that begin with…", id="filter")

    def on_mount(self) -> None:
        """Show the list first."""
        self._chart.zone = self.console.zone
        self.set_class(True, f"-view-{self._view}")
        super().on_mount()
        self.set_interval(LOOK_S, self._look)

    def on_resize(self, event: events.Resize) -> None:
        """Show everything where it fits."""
        self.set_class(event.size.width < WIDE or event.size.height < TALL, "-single")
        self.call_after_refresh(self._refresh_all)

    @property
    def is_single(self) -> bool:
        """Return whether one panel is shown at a time."""
        return self.has_class("-single")

    def tick(self, now: datetime) -> None:
        """Ask what is due, and let what is shown grow old."""
        self._refresh_all()

    def _look(self) -> None:
        """Ask what is due, and say at once what has become stale; ages wait for the tick."""
        if self not in self.app.screen_stack:
            return
        self._ask_all()
        if [each.kind for each in self._stand()] != [each.kind for each in self._standings]:
            self._refresh_all()

    def _stand(self) -> tuple[Standing, ...]:
        """Return how the answers stand, in the order of VIEWS; the sampler's word is taken where it is newer."""
        reading = reading_of(self.state, "postgresql")
        states = tuple(standing(question, reading, self.now) for question in self._feed.every)
        if self._table.quote is None and self._feed.chart.answer is None:
            return states[0], *market_panels.of_none(states[0], states[1:])
        return states

    def _ask_all(self) -> None:
        feed, symbol = self._feed, self._table.current
        feed.put(feed.watch, {"text": self._text, "limit": LIMIT, "order": self._order}, is_kept=True)
        if symbol is None:
            return
        limit = min(500, -(-self._chart.capacity // _STEP) * _STEP)
        chart = {"symbol": symbol, "timeframe": self._timeframe, "limit": limit}
        wanted: tuple[tuple[str, Question[Any], dict[str, Any]], ...] = (
            ("chart", feed.chart, chart),
            ("depth", feed.depth, {"symbol": symbol}),
            ("positions", feed.positions, {"symbol": symbol}),
            ("volatility", feed.volatility, {"symbol": symbol}),
        )
        for name, question, parameters in wanted:
            if not self.is_single or self._view == name:
                feed.put(question, parameters)

    def _take(self, question: Question[Any]) -> None:
        """Show an answer, or that there is none."""
        watch = self._feed.watch
        if question is watch and watch.answer is not None and not watch.problem:
            self._table.take(watch.answer.quotes)
        self._refresh_all()

    def _refresh_all(self) -> None:
        """Ask what is due and bring every panel up to date; what looks the same is not painted again."""
        if not all(widget.is_mounted for widget in (self._tabs, self._note, self._table, self._chart)):
            return  # a verb may come first: the first look shows what it asked for
        self._ask_all()
        feed, now, quote = self._feed, self.now, self._table.quote
        self._standings = self._stand()
        watch, chart, *books = self._standings
        with self.app.batch_update():
            market_panels.show_note(self._note, watch, feed.watch)
            self._table.draw(now, is_stale=watch.kind is Kind.STALE)
            market_panels.show_watch(self._table, feed.watch, watch, self._text, self._order, now)
            market_panels.show_chart(self._chart, feed.chart, chart, quote, self._timeframe, now)
            for name, question, state in zip(VIEWS[2:], feed.every[2:], books, strict=True):
                market_panels.show_panel(self._panels[name], question, state, quote, self.console.zone)
            self._tabs.show(self._view)

    # moving

    def _go(self, view: str) -> None:
        self.remove_class(f"-view-{self._view}")
        self.add_class(f"-view-{view}")
        self._view = view
        self.query_one(f"#{view}", Widget).focus()
        self._refresh_all()

    def action_step(self, by: int) -> None:
        """Show or focus the next or previous panel."""
        self._go(VIEWS[(VIEWS.index(self._view) + by) % len(VIEWS)])

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Know which panel the operator is in."""
        name = str(event.widget.id)
        if name in VIEWS and name != self._view and not self.is_single:
            self.remove_class(f"-view-{self._view}")
            self.add_class(f"-view-{name}")
            self._view = name

    def on_live_table_opened(self) -> None:
        """Look at the symbol's chart."""
        self._go("chart")

    def on_live_table_moved(self) -> None:
        """Show the panels of the symbol under the cursor."""
        self._refresh_all()

    def action_back(self) -> None:
        """Go back to the list, then drop the filter."""
        if self._view != "watch":
            self._go("watch")
        elif self._text:
            self._use_filter("")

    def action_timeframe(self) -> None:
        """Draw candles of the next timeframe."""
        self._timeframe = TIMEFRAMES[(TIMEFRAMES.index(self._timeframe) + 1) % len(TIMEFRAMES)]
        if self.is_single and self._view != "chart":
            self._go("chart")
        self._refresh_all()

    def action_order(self) -> None:
        """Order the list by symbol, or by what moved most."""
        names = list(ORDERS)
        self._order = names[(names.index(self._order) + 1) % len(names)]
        self._go("watch")
        self._table.action_edge(0)

    def action_reload(self) -> None:
        """Ask for everything again now."""
        self._feed.again()
        self._refresh_all()

    # filter

    def action_filter(self) -> None:
        """Edit the filter."""
        self._go("watch")
        self.query_one(FilterBar).open(self._text)

    async def take(self, command: commands.Command, argument: str) -> None:
        """Use what was typed after :market as the filter."""
        if command.id == "go.market":
            self._use_filter(argument)
        else:
            await super().take(command, argument)

    def on_filter_bar_changed(self, message: FilterBar.Changed) -> None:
        """Filter while it is typed."""
        self._use_filter(message.text)

    def on_filter_bar_closed(self, message: FilterBar.Closed) -> None:
        """Go back to the list."""
        self._use_filter(message.text)
        self._table.focus()

    def _use_filter(self, text: str) -> None:
        self._text = text.strip().upper()[:40]
        self._refresh_all()
