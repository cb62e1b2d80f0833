"""What numeric columns keep: prices are exact or refused; volumes and averages are rounded, and it is said so.

PostgreSQL rounds silently to a column's scale. A price that lost digits would be another price; a volume's fraction
where the platform counts whole units, or the last digits of an average, are no reason to lose the bar.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

import msgspec

from qsuite_console.db.bars import Destination
from qsuite_console.model.decimals import round_to, too_fine
from qsuite_console.providers.bars import Bar

PRICES: Final = ("open", "high", "low", "close")


def rounding_notes(destination: Destination) -> list[str]:
    """Return what people must know about the columns before fractional volumes go into them."""
    scale = destination.scales.get("volume")
    if scale is None:
        return []
    kept = "whole units" if scale <= 0 else f"{scale} decimals"
    return [f"{destination.table}.volume keeps {kept}: fractions are rounded half to even"]


def make_fit(destination: Destination) -> Callable[[Bar], Bar | str]:
    """Return what turns a provider's bar into one that the destination keeps as it is, or into a reason."""
    scales = destination.scales
    of_prices = [(name, scales[name]) for name in PRICES if name in scales]

    def fit(bar: Bar) -> Bar | str:
        for name, scale in of_prices:
            value = getattr(bar, name)
            # A float prints the digits that were sent; round() says in one step whether they fit.
            if value != round(value, scale) if abs(value) < 1e9 else False:
                return too_fine(name, scale)
        if isinstance(bar.volume, float) and abs(bar.volume) < 1e18:  # not for NaN: judged later
            volume = round_to(Decimal(repr(bar.volume)), scales.get("volume"))
            if volume == volume.to_integral_value():
                return msgspec.structs.replace(bar, volume=int(volume))
            return msgspec.structs.replace(bar, volume=float(volume))
        return bar

    return fit
