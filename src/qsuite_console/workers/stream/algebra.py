"""What operators do, and the rules of kinds: checked once, before the first row. NULL means unknown, as in SQL.

Whole numbers and numerics are exact; a division has 38 digits. A row that can't be computed is a problem of that row.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal, Inexact
from typing import Any, Final

from qsuite_console.workers.stream.syntax import BadExpression
from qsuite_console.workers.stream.values import ARITHMETIC, Kind, RowProblem, divide, read_value

NUMBERS: Final = (Kind.INTEGER, Kind.NUMBER, Kind.FLOAT)
_MOMENTS: Final = (Kind.DATE, Kind.TIMESTAMP, Kind.INSTANT)
_LARGEST: Final = 10**200  # whole numbers stay below
Evaluate = Callable[[Sequence[Any]], Any]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A function of a row's values and the kind of what it returns; ``constant`` is a literal's own value."""

    kind: Kind
    run: Evaluate
    constant: Any = None


def strict(parts: Sequence[Compiled], do: Callable[..., Any]) -> Evaluate:
    """Return a function that is NULL where any argument is."""
    if len(parts) == 1:
        only = parts[0].run

        def one(row: Sequence[Any]) -> Any:
            value = only(row)
            return None if value is None else do(value)

        return one
    if len(parts) == 2:
        first, second = parts[0].run, parts[1].run

        def two(row: Sequence[Any]) -> Any:
            left, right = first(row), second(row)
            return None if left is None or right is None else do(left, right)

        return two
    runs = [part.run for part in parts]

    def many(row: Sequence[Any]) -> Any:
        values = [run(row) for run in runs]
        return None if None in values else do(*values)

    return many


def need(function: str, parts: Sequence[Compiled], *kinds: Kind) -> None:
    """Raise BadExpression where an argument is of none of these kinds."""
    for part in parts:
        if part.kind not in (*kinds, Kind.NOTHING):
            raise BadExpression(f"{function} takes {kinds[-1]}, not {part.kind}")


def together(parts: Sequence[Compiled]) -> Kind:
    """Return the kind that all of them can be; raises BadExpression."""
    kinds = {part.kind for part in parts} - {Kind.NOTHING}
    if len(kinds) <= 1:
        return next(iter(kinds), Kind.NOTHING)
    if kinds <= set(NUMBERS):
        return Kind.FLOAT if Kind.FLOAT in kinds else Kind.NUMBER
    raise BadExpression(f"{' and '.join(sorted(kinds))} do not go together; cast one of them")


def aligned(parts: Sequence[Compiled]) -> list[Compiled]:
    """Let texts beside a date or time be read as one, and numbers beside a floating-point number as such."""
    kinds = {part.kind for part in parts} - {Kind.NOTHING}
    moments = [kind for kind in _MOMENTS if kind in kinds]
    if len(moments) == 1 and kinds <= {moments[0], Kind.TEXT}:
        return [_as_moment(part, moments[0]) if part.kind is Kind.TEXT else part for part in parts]
    if Kind.FLOAT in kinds and kinds <= set(NUMBERS):
        return [_as_float(part) if part.kind in NUMBERS else part for part in parts]
    return list(parts)


def _as_moment(part: Compiled, kind: Kind) -> Compiled:
    if not isinstance(part.constant, str):
        raise BadExpression(f"text and {kind} do not go together; cast one of them")
    try:
        value = read_value(kind, part.constant.strip())
    except RowProblem as error:
        raise BadExpression(str(error)) from None
    if kind is Kind.INSTANT and value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return Compiled(kind, lambda row: value, value)


def _as_float(part: Compiled) -> Compiled:
    return part if part.kind is Kind.FLOAT else Compiled(Kind.FLOAT, strict([part], float))


def arithmetic(function: str, parts: list[Compiled]) -> Compiled:
    """Return + - * / or %."""
    need(function, parts, *NUMBERS)
    parts = aligned(parts)
    kind = together(parts)
    if kind is Kind.FLOAT:
        do = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": _float_divide, "%": _float_rest}[function]
        return Compiled(kind, strict(parts, do))
    if function == "/":
        return Compiled(Kind.NUMBER, strict(parts, divide))
    exact = {"+": ARITHMETIC.add, "-": ARITHMETIC.subtract, "*": ARITHMETIC.multiply, "%": ARITHMETIC.remainder}[
        function
    ]
    whole = {"+": operator.add, "-": operator.sub, "*": operator.mul, "%": _rest}[function]
    if kind is Kind.INTEGER:
        return Compiled(kind, strict(parts, lambda left, right: _bounded(whole(left, right))))
    return Compiled(Kind.NUMBER, strict(parts, lambda left, right: _exactly(exact, Decimal(left), Decimal(right))))


def _bounded(value: int) -> int:
    if not -_LARGEST < value < _LARGEST:
        raise RowProblem("a number grows too large")
    return value


def _exactly(do: Callable[[Decimal, Decimal], Decimal], left: Decimal, right: Decimal) -> Decimal:
    try:
        return do(left, right)
    except Inexact:
        raise RowProblem(f"needs more than {ARITHMETIC.prec} digits") from None
    except ArithmeticError:
        raise RowProblem("division by zero" if not right else "a number can't be computed") from None


def _float_divide(left: float, right: float) -> float:
    if not right:
        raise RowProblem("division by zero")
    return left / right


def _float_rest(left: float, right: float) -> float:
    if not right:
        raise RowProblem("division by zero")
    return left - right * int(left / right)


def _rest(left: int, right: int) -> int:
    if not right:
        raise RowProblem("division by zero")
    found = abs(left) % abs(right)
    return -found if left < 0 else found


def compare(function: str, parts: list[Compiled]) -> Compiled:
    """Return = <> < <= > or >=."""
    parts = aligned(parts)
    kind = together(parts)
    if kind is Kind.BOOLEAN and function not in ("=", "<>"):
        raise BadExpression("truth values are only equal or not")
    do = {"=": operator.eq, "<>": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
          ">=": operator.ge}[function]  # fmt: skip
    return Compiled(Kind.BOOLEAN, strict(parts, do))


def contained(function: str, parts: list[Compiled]) -> Compiled:
    """Return IN."""
    parts = aligned(parts)
    together(parts)
    value, choices = parts[0].run, [part.run for part in parts[1:]]

    def run(row: Sequence[Any]) -> bool | None:
        sought = value(row)
        if sought is None:
            return None
        found = [choice(row) for choice in choices]
        return True if sought in found else (None if None in found else False)

    return Compiled(Kind.BOOLEAN, run)


def like(function: str, parts: list[Compiled]) -> Compiled:
    """Return LIKE with a pattern that is written down."""
    need(function, parts, Kind.TEXT)
    if not isinstance(parts[1].constant, str):
        raise BadExpression("like takes a pattern in quotes")
    first, *middle = [_pattern_of(piece) for piece in parts[1].constant.split("%")]
    last = f".*{middle.pop()}" if middle else ""
    # The leftmost match of each piece is as good as any: none is ever tried twice, whatever the text.
    pattern = re.compile("".join([first, *(f"(?>.*?{piece})" for piece in middle if piece), last]), re.DOTALL)
    return Compiled(Kind.BOOLEAN, strict(parts[:1], lambda text: pattern.fullmatch(text) is not None))


def _pattern_of(piece: str) -> str:
    return "".join("." if letter == "_" else re.escape(letter) for letter in piece)


def both(function: str, parts: list[Compiled]) -> Compiled:
    """Return AND or OR, of three values."""
    need(function, parts, Kind.BOOLEAN)
    first, second = parts[0].run, parts[1].run
    decisive = function == "or"

    def run(row: Sequence[Any]) -> bool | None:
        left = first(row)
        right = None if left is decisive else second(row)
        if decisive in (left, right):
            return decisive
        return None if left is None or right is None else not decisive

    return Compiled(Kind.BOOLEAN, run)


def negation(function: str, parts: list[Compiled]) -> Compiled:
    """Return NOT."""
    need(function, parts, Kind.BOOLEAN)
    return Compiled(Kind.BOOLEAN, strict(parts, operator.not_))


def is_null(function: str, parts: list[Compiled]) -> Compiled:
    """Return IS NULL."""
    value = parts[0].run
    return Compiled(Kind.BOOLEAN, lambda row: value(row) is None)
