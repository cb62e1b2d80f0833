"""The named functions of expressions."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from functools import reduce
from typing import Any, Final

from qsuite_console.workers.stream.algebra import NUMBERS, Compiled, aligned, need, strict, together
from qsuite_console.workers.stream.syntax import BadExpression
from qsuite_console.workers.stream.values import EXACT, Kind, RowProblem, write_value

_LONGEST: Final = 1_000_000  # characters a value may grow to


def of_number(function: str, parts: list[Compiled]) -> Compiled:
    """Return abs, round, floor, ceil or a sign."""
    need(function, parts, *NUMBERS)
    kind = parts[0].kind
    if function == "negative":
        return Compiled(kind, strict(parts, operator.neg))
    if function == "abs":
        return Compiled(kind, strict(parts, abs))
    if kind is Kind.FLOAT:
        raise BadExpression(f"{function} takes a number; cast a floating-point number to numeric first")
    if function == "round":
        if len(parts) == 2:
            need(function, parts[1:], Kind.INTEGER)
        return Compiled(Kind.NUMBER, strict(parts, _round))
    way = {"floor": ROUND_FLOOR, "ceil": ROUND_CEILING}[function]
    return Compiled(Kind.INTEGER, strict(parts, lambda value: _whole(value, way)))


def _whole(value: Any, way: str) -> int:
    if not Decimal(value).is_finite():
        raise RowProblem("a number is not finite")
    return int(Decimal(value).to_integral_value(way))


def _round(value: Any, digits: int = 0) -> Decimal:
    if not 0 <= digits <= 38:
        raise RowProblem("a number is rounded to 0 to 38 digits")
    try:
        return Decimal(value).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP, context=EXACT)
    except ArithmeticError:
        raise RowProblem("a number can't be rounded") from None


def of_text(function: str, parts: list[Compiled]) -> Compiled:
    """Return what looks into a text or rewrites it."""
    need(function, parts, Kind.TEXT)
    do: dict[str, Callable[..., Any]] = {
        "upper": str.upper, "lower": str.lower, "trim": lambda text: text.strip(" "), "length": len,
        "starts_with": str.startswith, "contains": operator.contains, "replace": _replace,
    }  # fmt: skip
    kind = {"length": Kind.INTEGER, "starts_with": Kind.BOOLEAN, "contains": Kind.BOOLEAN}.get(function, Kind.TEXT)
    return Compiled(kind, strict(parts, do[function]))


def _replace(text: str, old: str, new: str) -> str:
    if not old:
        return text
    if len(text) + text.count(old) * (len(new) - len(old)) > _LONGEST:
        raise RowProblem("a text grows too long")
    return text.replace(old, new)


def substr(function: str, parts: list[Compiled]) -> Compiled:
    """Return substr(text, begin, length), counted from 1."""
    need(function, parts[:1], Kind.TEXT)
    need(function, parts[1:], Kind.INTEGER)

    def cut(text: str, begin: int, length: int = _LONGEST) -> str:
        if length < 0:
            raise RowProblem("substr takes no negative length")
        return text[max(0, begin - 1) : max(0, begin - 1 + length)]

    return Compiled(Kind.TEXT, strict(parts, cut))


def concat(function: str, parts: list[Compiled]) -> Compiled:
    """Return the texts of values one behind the other; NULL is nothing."""
    runs = [part.run for part in parts]

    def run(row: Sequence[Any]) -> str:
        found = "".join([write_value(value) or "" for value in (each(row) for each in runs)])
        if len(found) > _LONGEST:
            raise RowProblem("a text grows too long")
        return found

    return Compiled(Kind.TEXT, run)


def joined(function: str, parts: list[Compiled]) -> Compiled:
    """Return ||, which is NULL where either side is."""
    chained = concat(function, parts).run
    runs = [part.run for part in parts]
    return Compiled(Kind.TEXT, lambda row: None if None in [run(row) for run in runs] else chained(row))


def coalesce(function: str, parts: list[Compiled]) -> Compiled:
    """Return the first value that is not NULL."""
    parts = aligned(parts)
    kind, runs = together(parts), [part.run for part in parts]

    def run(row: Sequence[Any]) -> Any:
        return next((value for value in (each(row) for each in runs) if value is not None), None)

    return Compiled(kind, run)


def extreme(function: str, parts: list[Compiled]) -> Compiled:
    """Return greatest or least; NULL is left out."""
    parts = aligned(parts)
    kind, runs = together(parts), [part.run for part in parts]
    choose = max if function == "greatest" else min

    def run(row: Sequence[Any]) -> Any:
        values = [value for value in (each(row) for each in runs) if value is not None]
        return reduce(choose, values) if values else None

    return Compiled(kind, run)


def nullif(function: str, parts: list[Compiled]) -> Compiled:
    """Return nullif."""
    both = aligned(parts)
    together(both)
    first, second = both[0].run, both[1].run

    def run(row: Sequence[Any]) -> Any:
        value = first(row)
        return None if value == second(row) else value

    return Compiled(both[0].kind, run)


def choice(function: str, parts: list[Compiled]) -> Compiled:
    """Return if(condition, then, else)."""
    need(function, parts[:1], Kind.BOOLEAN)
    ways = aligned(parts[1:])
    kind, condition, then, other = together(ways), parts[0].run, ways[0].run, ways[1].run
    return Compiled(kind, lambda row: then(row) if condition(row) else other(row))


def date_of(function: str, parts: list[Compiled]) -> Compiled:
    """Return the UTC day of a time."""
    need(function, parts, Kind.DATE, Kind.TIMESTAMP, Kind.INSTANT)

    def run(value: date) -> date:
        return value.astimezone(UTC).date() if isinstance(value, datetime) and value.tzinfo else _day(value)

    return Compiled(Kind.DATE, strict(parts, run))


def _day(value: date) -> date:
    return value.date() if isinstance(value, datetime) else value
