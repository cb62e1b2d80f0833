"""The language of filters and derived columns: what it computes, what it refuses, and that it stays small."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from qsuite_console.workers.stream.expressions import FUNCTIONS, Scope, compile_node
from qsuite_console.workers.stream.syntax import BadExpression, parse, split_list
from qsuite_console.workers.stream.values import Kind, RowProblem, caster, kind_of, parse_type, write_value

AT = datetime(2025, 3, 9, 6, 30, tzinfo=UTC)
COLUMNS = {
    "a": (0, Kind.INTEGER),
    "b": (1, Kind.NUMBER),
    "c": (2, Kind.TEXT),
    "t": (3, Kind.INSTANT),
    "f": (4, Kind.FLOAT),
    "n": (5, Kind.NUMBER),
    "yes": (6, Kind.BOOLEAN),
    "Odd Name": (7, Kind.INTEGER),
}
ROW = (3, Decimal("1.10"), "x_y%", AT, 1.5, None, True, 9)


def value(text: str) -> Any:
    return compile_node(parse(text), Scope(COLUMNS)).run(ROW)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1 + 2 * 3 - 4", 3),
        ("(1 + 2) * -a", -9),
        ("a * b", Decimal("3.30")),
        ("0.1 + 0.2", Decimal("0.3")),
        ("7 / 2", Decimal("3.5")),
        ("round(2 / 3, 4)", Decimal("0.6667")),
        ("-7 % 3", -1),
        ("f * 2", 3.0),
        ("floor(-b)", -2),
        ("ceil(b)", 2),
        ("12345678901234567890.123456789 * 98765432109876543210.987654321",
         Decimal("1219326311370217952261850327336229233322.374638011112635269")),
        ("c || '-' || a", "x_y%-3"),
        ("'it''s'", "it's"),
        ("upper(c) = 'X_Y%'", True),
        ("c like 'x\\_%'", False),
        ("c like 'x%%'", True),
        ("c like '__y_'", True),
        ("c like 'y%'", False),
        ("c like '%y%'", True),
        ("substr('abcdef', 2, 3)", "bcd"),
        ("replace(c, '_', '--')", "x--y%"),
        ("length(trim('  ab '))", 2),
        ("starts_with(c, 'x_') and contains(c, 'y')", True),
        ("t >= '2025-03-09' and t < '2025-03-09T07:00:00Z'", True),
        ("date(t) = '2025-03-09'", True),
        ("date(t)", date(2025, 3, 9)),
        ("coalesce(n, b, 0)", Decimal("1.10")),
        ("greatest(a, 7, n)", 7),
        ("least(a, 7)", 3),
        ("nullif(a, 3)", None),
        ("if(a > 2, 'big', 'small')", "big"),
        ("if(n > 2, 'big', 'small')", "small"),
        ('"Odd Name" + 1', 10),
        ("A + 1", 4),
        ("concat(a, n, c)", "3x_y%"),
        ("not yes or a between_ 1", BadExpression),
        ("a in (1, 2, 3)", True),
        ("a not in (1, 2)", True),
        ("n in (1, 2)", None),
        ("a in (1, null)", None),
        ("n = n", None),
        ("n is null and a is not null", True),
        ("not (n > 1)", None),
        ("n > 1 or true", True),
        ("n > 1 and false", False),
        ("n || 'x'", None),
        ("null", None),
    ],
)  # fmt: skip
def test_what_it_computes(text: str, wanted: Any) -> None:
    if wanted is BadExpression:
        with pytest.raises(BadExpression):
            value(text)
        return
    found = value(text)
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a = 'x'", "do not go together"),
        ("a and yes", "and takes true or false"),
        ("c + 1", "takes a floating-point number, not text"),
        ("zz", "there is no column zz; known are a, b"),
        ("eval(1)", "there is no function eval; known are abs"),
        ("__import__('os')", "there is no function __import__"),
        ("round(b, 1, 2)", "takes 1 or more arguments"),
        ("1 +", "ends too early"),
        ("(1", "ends too early, expected )"),
        ("1 2", "unexpected '2' at character 3"),
        ("a ; b", "can't read '; b' at character 3"),
        ("t > c", "do not go together"),
        ("t > 'yesterday'", "'yesterday' is not a time"),
        ("c like c", "takes a pattern in quotes"),
        ("(" * 60 + "1" + ")" * 60, "nested more than 40 deep"),
        ("+".join(["1"] * 300), "more than 400 words and signs"),
        ("'a\0b'", "holds a NUL character"),
        ("'" + "x" * 5000 + "'", "longer than 4,000 characters"),
    ],
)
def test_what_it_refuses_and_why(text: str, why: str) -> None:
    with pytest.raises(BadExpression) as caught:
        value(text)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a / 0", "division by zero"),
        ("a % (a - 3)", "division by zero"),
        ("b % 0", "division by zero"),
        ("f / 0", "division by zero"),
        ("1e60 * 1e60 + 0.1", "needs more than 80 digits"),
        ("round(b, 99)", "0 to 38 digits"),
    ],
)
def test_a_row_that_cannot_be_computed_says_why(text: str, why: str) -> None:
    with pytest.raises(RowProblem) as caught:
        value(text)
    assert why in str(caught.value)


def test_a_text_can_not_be_made_to_grow_without_end() -> None:
    grown = "c"
    for _ in range(5):
        grown = f"replace({grown}, 'x', '{'x' * 60}')"
    with pytest.raises(RowProblem, match="grows too long"):
        value(grown)
    with pytest.raises(RowProblem, match="too large"):
        value("*".join(["99999999999999999999"] * 20))


def test_every_function_is_known_by_its_name() -> None:
    assert {"abs", "round", "coalesce", "substr", "if", "date"} <= set(FUNCTIONS)
    assert not {"and", "negative", "eval"} & set(FUNCTIONS)


def test_a_list_is_parted_outside_of_quotes_and_parentheses() -> None:
    assert split_list("a=f(1, 2), b='x,y'; c=\"p;q\"") == ["a=f(1, 2)", "b='x,y'", 'c="p;q"']


@pytest.mark.parametrize(
    ("kind", "given", "wanted", "found"),
    [
        (Kind.TEXT, " 12 ", "integer", "12"),
        (Kind.TEXT, "1.005", "numeric(6,2)", "1.01"),
        (Kind.NUMBER, Decimal("12.0"), "smallint", "12"),
        (Kind.FLOAT, 0.1, "numeric", "0.1"),
        (Kind.NUMBER, Decimal("0.1"), "double precision", "0.1"),
        (Kind.TEXT, "Yes", "boolean", "t"),
        (Kind.INSTANT, AT, "timestamp", "2025-03-09 06:30:00"),
        (Kind.TEXT, "2025-03-09T01:30:00-05:00", "timestamptz", "2025-03-09 06:30:00+00:00"),
        (Kind.INSTANT, AT, "date", "2025-03-09"),
        (Kind.INTEGER, 5, "varchar(3)", "5"),
        (Kind.INTEGER, None, "text", None),
    ],
)
def test_casts(kind: Kind, given: Any, wanted: str, found: str | None) -> None:
    assert write_value(caster(kind, parse_type(wanted))(given)) == found


@pytest.mark.parametrize(
    ("kind", "given", "wanted"),
    [
        (Kind.TEXT, "1.5", "integer"),
        (Kind.TEXT, "abc", "numeric"),
        (Kind.TEXT, "NaN", "numeric"),
        (Kind.INTEGER, 40_000, "smallint"),
        (Kind.NUMBER, Decimal("1000"), "numeric(5,2)"),
        (Kind.TEXT, "maybe", "boolean"),
        (Kind.TEXT, "long", "varchar(3)"),
        (Kind.TEXT, "31.12.2025", "date"),
    ],
)
def test_a_value_that_does_not_fit_is_named(kind: Kind, given: Any, wanted: str) -> None:
    with pytest.raises(RowProblem, match="can't be cast to"):
        caster(kind, parse_type(wanted))(given)


@pytest.mark.parametrize("text", ["int[]", "money", "numeric(5,9)", "varchar(1,2)", "text; drop", "numeric(99999,2)"])
def test_only_known_types_are_cast_to(text: str) -> None:
    with pytest.raises(ValueError, match="known are smallint"):
        parse_type(text)


def test_a_date_is_no_number() -> None:
    with pytest.raises(ValueError, match="can't be cast"):
        caster(Kind.DATE, parse_type("integer"))
    assert kind_of(parse_type("numeric(5,2)")) is Kind.NUMBER
