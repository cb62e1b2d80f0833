"""Values of rows between PostgreSQL's text and Python's types, and casts; nothing is rounded unasked."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from enum import StrEnum
from typing import Any, Final

from qsuite_console.db.relation import Column
from qsuite_console.model.text import clean

DIGITS: Final = 80  # two numbers of 38 digits multiply exactly; a division ends there
EXACT: Final = Context(prec=DIGITS, rounding=ROUND_HALF_UP, traps=[InvalidOperation, DivisionByZero, Overflow])
ARITHMETIC: Final = Context(prec=DIGITS, traps=[InvalidOperation, DivisionByZero, Overflow, Inexact])
_DIVIDED: Final = Context(prec=38, rounding=ROUND_HALF_UP, traps=[InvalidOperation, DivisionByZero, Overflow])
_TYPE: Final = re.compile(
    r"([a-z][a-z0-9 ]*?)\s*(?:\(\s*(\d{1,4})\s*(?:,\s*(\d{1,4})\s*)?\))?( with(?:out)? time zone)?"
)
_RANGES: Final = {"int2": 15, "int4": 31, "int8": 63}
_SHORTENED: Final = 40


class Kind(StrEnum):
    """What a value is to the language."""

    INTEGER = "a whole number"
    NUMBER = "a number"
    FLOAT = "a floating-point number"
    TEXT = "text"
    BOOLEAN = "true or false"
    DATE = "a date"
    TIMESTAMP = "a time without zone"
    INSTANT = "a time"
    NOTHING = "NULL"


class RowProblem(Exception):
    """Why one row can't be taken."""


_KINDS: Final = {
    "int2": Kind.INTEGER, "int4": Kind.INTEGER, "int8": Kind.INTEGER, "oid": Kind.INTEGER, "numeric": Kind.NUMBER,
    "float4": Kind.FLOAT, "float8": Kind.FLOAT, "bool": Kind.BOOLEAN, "date": Kind.DATE, "timestamp": Kind.TIMESTAMP,
    "timestamptz": Kind.INSTANT,
}  # fmt: skip
_BASES: Final = {
    Kind.INTEGER: ("bigint", "int8"), Kind.NUMBER: ("numeric", "numeric"), Kind.FLOAT: ("double precision", "float8"),
    Kind.TEXT: ("text", "text"), Kind.BOOLEAN: ("boolean", "bool"), Kind.DATE: ("date", "date"),
    Kind.TIMESTAMP: ("timestamp without time zone", "timestamp"), Kind.NOTHING: ("text", "text"),
    Kind.INSTANT: ("timestamp with time zone", "timestamptz"),
}  # fmt: skip
_NAMES: Final = {
    "smallint": "int2", "int2": "int2", "integer": "int4", "int": "int4", "int4": "int4", "bigint": "int8",
    "int8": "int8", "numeric": "numeric", "decimal": "numeric", "real": "float4", "float4": "float4",
    "double precision": "float8", "float8": "float8", "float": "float8", "text": "text", "varchar": "varchar",
    "character varying": "varchar", "boolean": "bool", "bool": "bool", "date": "date", "timestamp": "timestamp",
    "timestamptz": "timestamptz", "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
}  # fmt: skip
TYPES: Final = "smallint, integer, bigint, numeric(p,s), real, double precision, text, varchar(n), boolean, date, " \
    "timestamp, timestamptz"  # fmt: skip


def kind_of(column: Column) -> Kind:
    """Return what a column's values are; types the language does not know are text."""
    return _KINDS.get(column.base, Kind.TEXT)


def column_of(name: str, kind: Kind) -> Column:
    """Return a derived column."""
    shown, base = _BASES[kind]
    return Column(name=name, type=shown, base=base)


def read_value(kind: Kind, text: str) -> Any:
    """Return PostgreSQL's text of a value as Python's; raises RowProblem."""
    try:
        return _READERS[kind](text)
    except (ValueError, ArithmeticError):
        raise RowProblem(f"{clean(text, _SHORTENED)!r} is not {kind}") from None


def write_value(value: Any) -> str | None:
    """Return a value as PostgreSQL reads it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return repr(value) if isinstance(value, float) else str(value)


def divide(left: Any, right: Any) -> Decimal:
    """Return a quotient of 38 digits; raises RowProblem for a division by zero."""
    if not right:
        raise RowProblem("division by zero")
    return _DIVIDED.divide(Decimal(left), Decimal(right))


def parse_type(text: str) -> Column:
    """Return the type of a cast as a column without a name; raises ValueError."""
    match = _TYPE.fullmatch(" ".join(text.lower().split()))
    base = _NAMES.get(f"{match[1]}{match[4] or ''}", "") if match else ""
    if match is None or not base:
        raise ValueError(f"{clean(text, 40)!r} is no type that can be cast to; known are {TYPES}")
    first, second = (int(each) if each else None for each in (match[2], match[3]))
    if first is None:
        return Column(name="", type=" ".join(text.lower().split()), base=base, modifier=-1)
    if base == "numeric" and 1 <= first <= 1000 and (second or 0) <= first:
        return Column(name="", type=f"numeric({first},{second or 0})", base=base,
                      modifier=(first << 16 | (second or 0)) + 4)  # fmt: skip
    if base == "varchar" and second is None and first:
        return Column(name="", type=f"varchar({first})", base=base, modifier=first + 4)
    raise ValueError(f"{clean(text, 40)!r} takes no such figures; known are {TYPES}")


def caster(source: Kind, target: Column) -> Callable[[Any], Any]:
    """Return what makes a value of ``source`` one of ``target`` or raises RowProblem; raises ValueError."""
    wanted = kind_of(target)
    make = _casts().get(wanted)
    if make is None or (source, wanted) in _SENSELESS:
        raise ValueError(f"{source} can't be cast to {target.type}")
    limit = _limit(target)

    def cast(value: Any) -> Any:
        if value is None:
            return None
        try:
            return limit(make(value))
        except (ValueError, ArithmeticError, TypeError):
            raise RowProblem(f"{clean(write_value(value), _SHORTENED)!r} can't be cast to {target.type}") from None

    return cast


_MOMENTS: Final = (Kind.DATE, Kind.TIMESTAMP, Kind.INSTANT)
_SENSELESS: Final = frozenset(
    [(moment, other) for moment in _MOMENTS for other in (Kind.INTEGER, Kind.NUMBER, Kind.FLOAT, Kind.BOOLEAN)]
    + [(other, moment) for moment in _MOMENTS for other in (Kind.INTEGER, Kind.NUMBER, Kind.FLOAT, Kind.BOOLEAN)]
)


def _casts() -> dict[Kind, Callable[[Any], Any]]:
    return {
        Kind.INTEGER: _to_integer, Kind.NUMBER: _to_number, Kind.FLOAT: _to_float, Kind.TEXT: write_value,
        Kind.BOOLEAN: _to_boolean, Kind.DATE: _to_date, Kind.TIMESTAMP: _to_timestamp, Kind.INSTANT: _to_instant,
    }  # fmt: skip


def _limit(target: Column) -> Callable[[Any], Any]:
    """Return what holds a value to the type's own limits."""
    if target.base in _RANGES:
        bound = 1 << _RANGES[target.base]

        def within(value: int) -> int:
            if not -bound <= value < bound:
                raise ValueError("too large")
            return value

        return within
    scale, precision = target.scale, target.precision
    if scale is not None and precision is not None:
        step, top = Decimal(1).scaleb(-scale), Decimal(10) ** (precision - scale)

        def rounded(value: Decimal) -> Decimal:
            found = value.quantize(step, context=EXACT)
            if abs(found) >= top:
                raise ValueError("too large")
            return found

        return rounded
    if target.base == "varchar" and (target.modifier or -1) > 4:
        length = (target.modifier or 0) - 4

        def short(value: str) -> str:
            if len(value) > length:
                raise ValueError("too long")
            return value

        return short
    return lambda value: value


def _to_integer(value: Any) -> int:
    """Return a whole number; a fraction is refused rather than rounded."""
    number = value if isinstance(value, int) else _to_number(value)
    if number != int(number):
        raise ValueError("a fraction")
    return int(number)


def _to_number(value: Any) -> Decimal:
    number = (
        Decimal(repr(value))
        if isinstance(value, float)
        else Decimal(value.strip() if isinstance(value, str) else value)
    )
    if not number.is_finite():
        raise ValueError("not finite")
    return number


def _to_float(value: Any) -> float:
    number = float(value)
    if math.isinf(number) and not isinstance(value, float):
        raise ValueError("too large")
    return number


def _to_boolean(value: Any) -> bool:
    if isinstance(value, str):
        word = value.strip().lower()
        if word not in _WORDS:
            raise ValueError("neither")
        return _WORDS[word]
    return bool(value)


_WORDS: Final = {
    "t": True, "true": True, "yes": True, "on": True, "1": True,
    "f": False, "false": False, "no": False, "off": False, "0": False,
}  # fmt: skip


def _to_date(value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else date.fromisoformat(value.strip())


def _to_timestamp(value: Any) -> datetime:
    found = _moment(value)
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found


def _to_instant(value: Any) -> datetime:
    found = _moment(value)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001  # the callers give it its zone
    return datetime.fromisoformat(value.strip())


_READERS: Final[dict[Kind, Callable[[str], Any]]] = {
    Kind.INTEGER: int, Kind.NUMBER: Decimal, Kind.FLOAT: float, Kind.TEXT: str, Kind.BOOLEAN: lambda text: text == "t",
    Kind.DATE: date.fromisoformat, Kind.TIMESTAMP: datetime.fromisoformat, Kind.INSTANT: datetime.fromisoformat,
}  # fmt: skip
