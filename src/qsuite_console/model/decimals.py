"""Decimals against the digits that a column keeps. Pure.

PostgreSQL rounds silently to a column's scale; whoever stores numbers must know before whether any digit is lost.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal


def round_to(value: Decimal, scale: int | None) -> Decimal:
    """Return ``value`` with at most ``scale`` decimals, half to even; untouched where it has no more."""
    if scale is None or not has_more(value, scale):
        return value
    return value.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_EVEN)


def has_more(value: Decimal, scale: int) -> bool:
    """Return whether ``value`` would lose digits with ``scale`` decimals; trailing zeros are none."""
    exponent = value.normalize().as_tuple().exponent
    return isinstance(exponent, int) and -exponent > scale


def too_fine(name: str, scale: int) -> str:
    """Return the reason for which a price is refused."""
    return f"{name} has more than the {scale} decimals that the table keeps"
