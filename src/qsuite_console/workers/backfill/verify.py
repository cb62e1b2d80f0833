"""After the run: does the table hold what the provider had? Counted anew, not taken from the run's own figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from qsuite_console.db import bars, ledger
from qsuite_console.db.ledger import Deficit

if TYPE_CHECKING:
    from qsuite_console.db.bars import Destination
    from qsuite_console.db.database import Database

_LISTED: Final = 50


@dataclass(frozen=True, slots=True)
class Verification:
    """Rows present in the range, and the fetched periods that hold fewer rows than were fetched."""

    rows_present: int
    deficits: tuple[Deficit, ...]
    empty_symbols: tuple[str, ...]  # not one bar in the range: the provider has none
    restored: tuple[Deficit, ...] = ()  # had lost rows before; they were asked for once more

    @property
    def rows_missing(self) -> int:
        """Return how many fetched rows are not there."""
        return sum(deficit.fetched - deficit.present for deficit in self.deficits)


def listed(deficits: Sequence[Deficit]) -> list[dict[str, Any]]:
    """Return the first deficits as plain values."""
    return [
        {
            "symbol": item.symbol,
            "from": item.low.isoformat(),
            "to": item.high.isoformat(),
            "fetched": item.fetched,
            "present": item.present,
        }
        for item in deficits[:_LISTED]
    ]


async def verify(
    database: Database,
    destination: Destination,
    coverage: str,
    names: tuple[str, str],
    symbols: Sequence[str],
    period: tuple[datetime, datetime],
) -> Verification:
    """Count rows per symbol and compare with the ledger; ``names`` as for ``ledger.find_deficits``."""
    async with database.session("backfill verify") as connection:
        counts = await bars.count_rows(connection, destination, names[0], symbols, period)
        deficits = await ledger.find_deficits(connection, destination, coverage, names, symbols, period)
    empty = tuple(symbol for symbol in symbols if not counts.get(symbol))
    return Verification(sum(counts.values()), tuple(deficits), empty)
