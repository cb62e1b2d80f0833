"""Rows on their way: COPY text and CSV back and forth, transforms bound to columns, and what fits into what."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from qsuite_console.db.relation import Column, is_unsure, literal, misfit
from qsuite_console.db.row_check import digest_rows
from qsuite_console.model.copytext import fields_of, lines_of, rows_of, value_of
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.workers.stream.csv_text import csv_of, header_of, read_csv
from qsuite_console.workers.stream.parameters import FileParameters, StreamParameters, check
from qsuite_console.workers.stream.program import Program
from qsuite_console.workers.stream.transform import Transform, load_transform, merge, read_pairs

HOSTILE = some.text(alphabet=some.sampled_from(list("a\"\\N,\n\r\t ='\u00e9\u4e2d\U0001f600")), max_size=6)
VALUES = some.none() | HOSTILE
ROWS = some.integers(1, 4).flatmap(lambda width: some.lists(some.lists(VALUES, min_size=width, max_size=width)))


@given(ROWS)
def test_copy_text_and_csv_lose_nothing(rows: list[list[str | None]]) -> None:
    lines = lines_of(rows)
    assert rows_of(lines) == rows
    assert lines.count(b"\n") == len(rows)
    if rows:
        assert [value_of(field) for field in fields_of(lines.split(b"\n")[0])] == rows[0]
    assert list(read_csv(io.BytesIO(csv_of(lines)))) == rows


def test_csv_tells_null_from_an_empty_text() -> None:
    assert csv_of(lines_of([[None, "", "=1+1", "a,b", 'say "x"']])) == b',"",=1+1,"a,b","say ""x"""\n'
    assert header_of(["a", 'b"c', "d,e"]) == b'a,"b""c","d,e"\n'


def test_the_order_of_rows_does_not_count_but_each_of_them_does() -> None:
    rows = [["1.50", None, "a"], ["2", "", "b"]]
    one = digest_rows(rows, [0])
    assert one == digest_rows(reversed(rows), [0]) == digest_rows([["1.5", None, "a"], ["2.00", "", "b"]], [0])
    for other in (
        [["1.50", "", "a"], ["2", "", "b"]],
        rows[:1],
        [*rows, rows[0]],
        [["1.5", None, "ab"], ["2", "", ""]],
    ):
        assert digest_rows(other, [0]) != one


NUMBER = Column(name="price", type="numeric(20,8)", base="numeric", modifier=(20 << 16 | 8) + 4)
SOURCE = (
    Column(name="id", type="bigint", base="int8", modifier=-1),
    NUMBER,
    Column(name="note", type="text", base="text", modifier=-1),
)


def program(key: tuple[str, ...] = ("id",), **declared: object) -> Program:
    return Program(merge(Transform(), declared), SOURCE, key)


def made(program: Program, rows: list[list[str | None]]) -> list[list[str | None]]:
    return rows_of(program.run(lines_of(rows), len(rows), "2025-01-02 03:04:05+00:00").data)


def test_rows_pass_as_they_are_where_no_value_is_looked_at() -> None:
    direct = program(rename={"note": "remark"}, processed_at=True)
    assert direct.is_direct
    assert [column.name for column in direct.outputs] == ["id", "price", "remark"]
    assert made(direct, [["1", "2.50", "a\nb"]]) == [["1", "2.50", "a\nb", "2025-01-02 03:04:05+00:00"]]
    assert program().run(b"1\t2\t3\n", 1, "").data == b"1\t2\t3\n"


def test_filter_derive_cast_drop_and_rename_in_this_order() -> None:
    whole = program(
        filter="id > 1",
        derive={"double": "price * 2", "tag": "note || '!'"},
        cast={"price": "numeric(10,1)"},
        rename={"double": "twice"},
        drop_incomplete=True,
    )
    rows: list[list[str | None]] = [["1", "1", "a"], ["2", "1.25", "b"], ["3", None, "c"], ["4", "1", None]]
    done = whole.run(lines_of(rows), 4, "")
    assert rows_of(done.data) == [["2", "1.3", "b", "2.50", "b!"]]
    assert (done.filtered, done.dropped, done.rejected) == (1, 2, [])
    assert [column.name for column in whole.outputs] == ["id", "price", "note", "twice", "tag"]


def test_a_row_that_can_not_be_taken_is_named_by_its_key_and_the_others_go_on() -> None:
    strict = program(cast={"note": "integer"})
    done = strict.run(lines_of([["7", "1", "5"], ["8", "1", "five"], ["9", "1", None]]), 3, "")
    assert rows_of(done.data) == [["7", "1", "5"], ["9", "1", None]]
    assert [(bad.row, bad.reason) for bad in done.rejected] == [("id=8", "note: 'five' can't be cast to integer")]
    bad = program(key=(), filter="price > 0").run(b"1\tx\ty\n", 1, "").rejected[0]
    assert (bad.row, bad.reason) == ("id=1, price=x, note=y", "price: 'x' is not a number")


def test_the_key_is_read_where_it_is_not_kept() -> None:
    narrow = program(columns=("note",))
    assert [column.name for column in narrow.columns] == ["note", "id"]
    assert made(narrow, [["a", "1"]]) == [["a"]]


@pytest.mark.parametrize(
    ("declared", "field", "why"),
    [
        ({"filter": "id + 1"}, "filter", "is a whole number, not a condition"),
        ({"filter": "nope > 1"}, "filter", "there is no column nope; known are id, price, note"),
        ({"derive": {"x": "id +"}}, "derive", "ends too early"),
        ({"cast": {"nope": "text"}}, "cast", "there is no column nope"),
        ({"cast": {"id": "money"}}, "cast", "'money' is no type"),
        ({"rename": {"nope": "x"}}, "rename", "there is no column nope"),
        ({"rename": {"id": "note"}}, "rename", "two columns would be named note"),
        ({"columns": ("id", "nope")}, "columns", "there is no column nope"),
        ({"drop_incomplete": ("nope",)}, "drop_incomplete", "there is no column nope"),
    ],
)
def test_a_transform_that_does_not_fit_is_refused_before_the_first_row(
    declared: dict[str, object], field: str, why: str
) -> None:
    with pytest.raises(InvalidParameters) as caught:
        program(**declared)
    assert why in caught.value.problems[field]


def test_a_transform_comes_from_a_file_and_flags_beat_it(tmp_path: Path) -> None:
    toml, other = tmp_path / "t.toml", tmp_path / "t.json"
    toml.write_text('filter = "id > 1"\ndrop_incomplete = ["note"]\nprocessed_at = "seen"\n[rename]\nid = "n"\n')
    other.write_text(json.dumps({"filter": "id > 1", "drop_incomplete": ["note"], "processed_at": "seen",
                                 "rename": {"id": "n"}}))  # fmt: skip
    found = load_transform(str(toml))
    assert found == load_transform(str(other))
    assert found.stamp == "seen"
    changed = merge(found, {"filter": "id > 5", "rename": {"note": "m"}, "cast": {}, "processed_at": False})
    assert (changed.filter, changed.rename, changed.stamp) == ("id > 5", {"id": "n", "note": "m"}, "seen")


@pytest.mark.parametrize(
    ("text", "why"),
    [("filter = [", "t.toml: "), ("filters = 'x'", "unknown field `filters`"), ("filter = 1", "Expected `str`")],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "t.toml"
    path.write_text(text)
    with pytest.raises(InvalidParameters, match=why.replace("`", ".")):
        load_transform(str(path))
    with pytest.raises(InvalidParameters, match="can't be read: No such file"):
        load_transform(str(tmp_path / "none.toml"))


def test_pairs_are_read_from_one_line() -> None:
    assert read_pairs('a=f(1, 2); "Odd b"=x') == {"a": "f(1, 2)", "Odd b": "x"}
    with pytest.raises(ValueError, match="not of the form"):
        read_pairs("a")
    with pytest.raises(ValueError, match="named twice"):
        read_pairs("a=1,a=2")


@pytest.mark.parametrize(
    ("parameters", "field", "why"),
    [
        (StreamParameters(to="x"), "table", "name a table, or write a query"),
        (StreamParameters(to="x", table="a", query="SELECT 1"), "query", "not both"),
        (StreamParameters(to="x", table="a", derive="b=1+"), "derive", "ends too early"),
        (StreamParameters(to="x", table="a", cast="b=money"), "cast", "no type"),
        (StreamParameters(to="x", table="a", rename="b"), "rename", "not of the form"),
        (StreamParameters(to="x", table="a", filter="(("), "filter", "ends too early"),
        (FileParameters(to="x.txt", table="a"), "to", "neither in .csv nor in .parquet"),
        (FileParameters(to="x\0.csv", table="a"), "to", "NUL"),
    ],
)
def test_parameters_are_checked_while_they_are_typed(
    parameters: StreamParameters | FileParameters, field: str, why: str
) -> None:
    assert why in check(parameters)[field]


def column(kind: str, base: str, modifier: int | None = -1) -> Column:
    return Column(name="c", type=kind, base=base, modifier=modifier)


def numeric(precision: int, scale: int) -> Column:
    return column(f"numeric({precision},{scale})", "numeric", (precision << 16 | scale) + 4)


PLAIN = column("numeric", "numeric")


@pytest.mark.parametrize(
    ("source", "target", "fits"),
    [
        (column("integer", "int4"), column("bigint", "int8"), True),
        (column("bigint", "int8"), column("integer", "int4"), True),  # single values are too large, and named
        (column("bigint", "int8"), column("double precision", "float8"), False),
        (column("integer", "int4"), PLAIN, True),
        (PLAIN, column("integer", "int4"), False),
        (PLAIN, numeric(20, 8), False),
        (numeric(20, 8), PLAIN, True),
        (numeric(20, 8), numeric(20, 8), True),
        (numeric(20, 8), numeric(20, 4), False),
        (numeric(20, 4), numeric(20, 8), True),
        (numeric(20, 8), column("double precision", "float8"), False),
        (column("real", "float4"), column("double precision", "float8"), True),
        (column("double precision", "float8"), column("real", "float4"), False),
        (column("double precision", "float8"), numeric(20, 8), False),
        (column("timestamp", "timestamp"), column("timestamptz", "timestamptz"), False),
        (column("timestamptz", "timestamptz"), column("timestamptz(3)", "timestamptz", 3), False),
        (column("date", "date"), column("timestamptz", "timestamptz"), True),
        (column("jsonb", "jsonb"), column("json", "json"), True),
        (column("text[]", "_text"), column("text[]", "_text"), True),
        (column("integer[]", "_int4"), column("text[]", "_text"), False),
        (column("mood", ""), column("mood", ""), True),
        (column("mood", ""), column("text", "text"), True),
        (column("text", "text"), column("mood", ""), True),
        (column("text", "text"), column("integer", "int4"), False),
        (column("uuid", "uuid"), column("varchar(40)", "varchar", 44), True),
    ],
)
def test_what_fits_into_what_exactly(source: Column, target: Column, fits: bool) -> None:
    assert (misfit(source, target) == "") is fits


def test_a_query_that_tells_no_digits_is_unsure() -> None:
    unknown = column("numeric", "numeric", None)
    assert misfit(unknown, numeric(20, 8)) == ""
    assert is_unsure(unknown, numeric(20, 8))
    assert not is_unsure(unknown, PLAIN)
    assert (NUMBER.precision, NUMBER.scale) == (20, 8)


@pytest.mark.parametrize(
    ("value", "sql"), [("it's", "'it''s'"), ("a\\b'c", "E'a\\\\b''c'"), ("", "''"), ("$1; --", "'$1; --'")]
)
def test_values_are_quoted(value: str, sql: str) -> None:
    assert literal(value) == sql
