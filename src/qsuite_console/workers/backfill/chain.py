"""One request being paged through: where it stands, and what each of its pages proves about coverage.

Nothing is assumed about the order of symbols on a page; within a symbol time only grows, so a page covers each symbol
it holds up to its newest bar, and the last page covers all symbols to the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from qsuite_console.db.bar_writer import PageWrite
from qsuite_console.db.ledger import ChainState, Covered
from qsuite_console.model.markets import Market
from qsuite_console.model.timeframes import is_intraday, step_seconds
from qsuite_console.providers.alpaca import BarsQuery
from qsuite_console.workers.backfill.encode import Encoded
from qsuite_console.workers.backfill.parameters import BackfillParameters
from qsuite_console.workers.backfill.planner import Batch, Period

_INCLUSIVE: Final = timedelta(seconds=1)  # the provider's end is inclusive, ours is not


@dataclass(slots=True)
class Chain:
    """A request and how far its pages are stored."""

    name: str
    symbols: tuple[str, ...]
    low: datetime
    high: datetime
    is_straight: bool
    page_token: str | None = None
    pages: int = 0
    bars: int = 0
    cursors: dict[str, datetime] = field(default_factory=dict)  # symbol -> covered up to here
    last: dict[str, str] = field(default_factory=dict)  # symbol -> newest timestamp stored, canonical

    def query(self, parameters: BackfillParameters, market: Market) -> BarsQuery:
        """Return what to ask the provider; identical for every page."""
        return BarsQuery(
            symbols=self.symbols,
            timeframe=parameters.timeframe,
            start=self.low,
            end=self.high - _INCLUSIVE,
            adjustment=parameters.adjustment if market.has_adjustments else "",
            feed=parameters.feed,
            path=market.path,
        )

    def restart(self, symbols: Sequence[str]) -> None:
        """Begin again with these symbols: the provider refused one, or no longer knows the page token."""
        self.symbols = tuple(symbols)
        self.is_straight = self.is_straight and self.pages == 0
        self.page_token, self.pages, self.bars = None, 0, 0
        self.cursors, self.last = {}, {}

    def accept(self, encoded: Encoded, ends: PeriodEnds) -> PageWrite:
        """Move on by one page and return what it changes in the database."""
        self.page_token = encoded.next_page_token
        self.pages += 1
        self.bars += encoded.count + len(encoded.refused)
        self.last.update(encoded.last)
        is_done = self.page_token is None
        covered: list[Covered] = []
        for symbol in self.symbols if is_done else encoded.last:
            low = self.cursors.get(symbol, self.low)
            high = self.high if is_done else min(self.high, ends.after(encoded.last[symbol]))
            if high > low:
                covered.append(Covered(symbol, low, high, encoded.bars.get(symbol, 0)))
                self.cursors[symbol] = high
        return PageWrite(
            rows=encoded.rows,
            count=encoded.count,
            is_straight=self.is_straight,
            covered=covered,
            chain=None if self.page_token is None else self._state(self.page_token),
            chain_name=self.name,
            refused=encoded.refused,
        )

    def _state(self, token: str) -> ChainState:
        return ChainState(self.name, self.symbols, self.low, self.high, token, self.pages, self.bars, self.is_straight)


class PeriodEnds:
    """Says where the coverage that a bar proves ends: the next grid point, or the next label for days and longer."""

    def __init__(self, timeframe: str, periods: Sequence[Period]) -> None:
        self._step = timedelta(seconds=step_seconds(timeframe))
        self._ends: dict[str, datetime] = {}
        if not is_intraday(timeframe):
            self._ends = {period.at.strftime("%Y-%m-%dT%H:%M:%SZ"): period.high for period in periods}

    def after(self, canonical: str) -> datetime:
        """Return the end of what a bar labelled ``canonical`` covers."""
        known = self._ends.get(canonical)
        return datetime.fromisoformat(canonical) + self._step if known is None else known


def from_batch(batch: Batch) -> Chain:
    """Return a new chain for a planned request."""
    name = f"{batch.low:%Y%m%d}-{batch.high:%Y%m%d}-{batch.symbols[0]}-{batch.symbols[-1]}-{len(batch.symbols)}"
    return Chain(name, batch.symbols, batch.low, batch.high, batch.is_straight)


def from_state(state: ChainState, covered: Mapping[str, Sequence[Covered]]) -> Chain:
    """Return an interrupted chain where it stood; the ledger tells how far each of its symbols is covered."""
    chain = Chain(
        state.chain,
        state.symbols,
        state.low,
        state.high,
        state.is_straight,
        state.page_token,
        state.pages,
        state.bars,
    )
    for symbol in state.symbols:
        for item in covered.get(symbol, ()):
            if item.low <= state.low < item.high:
                chain.cursors[symbol] = min(item.high, state.high)
    return chain
