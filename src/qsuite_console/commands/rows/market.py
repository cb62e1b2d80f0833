"""Keys of the market screen."""

from __future__ import annotations

from typing import Final

from qsuite_console.commands.row import Command

SCOPES: Final = {
    "market": "Market",
}

ROWS: Final[tuple[Command, ...]] = (
    Command(id="market.filter", keys="slash", title="Filter", help="Show only symbols that begin with these letters.",
            scope="market", action="filter", is_shown=True),
    Command(id="market.next", keys="tab,right,l", title="Next panel", scope="market", action="step(1)", is_shown=True,
            help="Watch list, chart, depth, positions, volatility."),
    Command(id="market.previous", keys="shift+tab,left,h", title="Previous panel", help="The panel before.",
            scope="market", action="step(-1)"),
    Command(id="market.timeframe", keys="t", title="Timeframe", scope="market", action="timeframe", is_shown=True,
            help="Candles of 1, 5, 15 minutes, an hour, a day."),
    Command(id="market.order", keys="s", title="Sort", help="Order by symbol, gainers first, losers first.",
            scope="market", action="order", is_shown=True),
    Command(id="market.reload", keys="r", title="Reload", help="Read everything again now.", scope="market",
            action="reload"),
)  # fmt: skip
