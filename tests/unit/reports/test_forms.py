"""Charts, text, CSV and JSON of documents: figures are where they belong, nothing from outside acts."""

from __future__ import annotations

import csv
import io
import math
from datetime import UTC, datetime
from decimal import Decimal
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.reporting import document, squeezed, table
from qsuite_console.reports import axes, charts, export, text
from qsuite_console.reports.document import (
    Advice,
    Bar,
    BarChart,
    Block,
    Cell,
    Column,
    Curve,
    Document,
    Fact,
    Facts,
    Gauge,
    Gauges,
    HeatCell,
    HeatMap,
    Limit,
    LineChart,
    Notice,
    Table,
    Text,
    cell,
)

HOSTILE = "<script>alert(1)</script>&\"'"
START = datetime(2026, 3, 28, tzinfo=UTC).timestamp()


def lines(values: list[float | None], limits: tuple[Limit, ...] = ()) -> LineChart:
    points = tuple((START + 60 * at, value) for at, value in enumerate(values))
    curves = (Curve(label=HOSTILE, points=points), Curve(label="b", points=points))
    end = START + 60 * len(values)
    return LineChart(title=HOSTILE, unit="%", curves=curves, start=START, end=end, limits=limits)


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_ticks_enclose_what_they_measure_and_are_few(low: float, width: float) -> None:
    marks, slack = axes.ticks(low, low + width), 1e-6 * (abs(low) + width)
    assert marks[0] <= low + slack
    assert marks[-1] >= low + width - slack
    assert 2 <= len(marks) <= 9


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize("hours", [0.2, 1, 7, 26, 24 * 9, 24 * 60, 24 * 400])
def test_times_are_in_the_window_grow_and_are_few(zone: str, hours: float) -> None:
    found = axes.times(START, START + 3600 * hours, zone)  # over the day on which Berlin's clocks go forward
    seconds = [at for at, _ in found]
    assert seconds == sorted(set(seconds))
    assert all(START <= at <= START + 3600 * hours for at in seconds)
    assert 1 <= len(found) <= 9


def test_a_line_chart_has_axis_unit_limits_and_breaks_at_gaps() -> None:
    svg = charts.draw_lines(lines([10, 20, None, 30, 40], limits=(Limit(label="warns", value=35.0),)))
    root = ElementTree.fromstring(svg)
    assert len(root.findall(".//{*}polyline")) == 4  # two curves, each broken once
    words = [element.text for element in root.iter() if element.text]
    assert "warns 35 %" in words
    assert {"0", "10", "20", "30", "40"} <= set(words)
    assert "UTC" in words
    assert "<script" not in svg


@pytest.mark.parametrize("values", [[], [None, None], [0.0], [5.0, 5.0], [-3.0, 2.0], [1e12, 1e-9]])
def test_any_values_give_a_picture(values: list[float | None]) -> None:
    ElementTree.fromstring(charts.draw_lines(lines(values)))


def test_bars_and_maps_are_drawn_with_signs_and_escaped() -> None:
    bars = BarChart(title=HOSTILE, unit="jobs", bars=(Bar(label=HOSTILE, parts=((3, "good"), (1, "bad"))),))
    words = [element.text for element in ElementTree.fromstring(charts.draw_bars(bars)).iter() if element.text]
    assert "4 jobs" in words
    heat = HeatMap(
        title="m",
        columns=("2025-12", "2026-01"),
        rows=((HOSTILE, (HeatCell("●", "good"), HeatCell("○", "bad"))),),
        legend=(("●", "good", "complete"),),
    )
    words = [element.text for element in ElementTree.fromstring(charts.draw_map(heat)).iter() if element.text]
    assert {"●", "○", "complete", "2026"} <= set(words)
    for empty in (BarChart(title="", unit="", bars=()), HeatMap(title="", columns=(), rows=())):
        ElementTree.fromstring(charts.draw_bars(empty) if isinstance(empty, BarChart) else charts.draw_map(empty))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1234567, "1,234,567"),
        (Decimal("293.10"), "293.10"),
        (Decimal("53.0707099632696645"), "53.0707"),
        (Decimal("0.00001234"), "0.00001234"),
        (Decimal("42131328"), "42,131,328"),
        (None, "–"),
        (True, "yes"),
        (0.5, "0.5"),
    ],
)
def test_numbers_are_written_for_people(value: object, shown: str) -> None:
    assert cell(value).text == shown


@pytest.mark.parametrize(
    "field", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "|x", "%0A"]
)
def test_no_spreadsheet_takes_a_field_for_a_formula(field: str) -> None:
    assert export.harmless(field).startswith("'")


@pytest.mark.parametrize("field", ["-5", "+3.5", "-1.5e-7", "AAPL", "a=b", ""])
def test_what_is_harmless_stays_as_it_is(field: str) -> None:
    assert export.harmless(field) == field


def test_csv_of_one_table_is_plain_and_of_several_has_titles() -> None:
    one = document(table([["=HYPERLINK(1)", -5, 1.5], [HOSTILE, None, 2]], 3))
    rows = list(csv.reader(io.StringIO(b"".join(export.as_csv(one)).decode())))
    assert rows == [["column 0", "column 1", "column 2"], ["'=HYPERLINK(1)", "-5", "1.5"], [HOSTILE, "", "2"]]
    two = document(table([[1]], 1), table([[2]], 1))
    rows = list(csv.reader(io.StringIO(b"".join(export.as_csv(two)).decode())))
    assert rows == [["# Rows"], ["column 0"], ["1"], [], ["# Rows"], ["column 0"], ["2"]]


def test_json_comes_back_as_the_same_document() -> None:
    made = document(*every_block())
    assert msgspec.json.decode(export.as_json(made), type=Document) == made


def every_block() -> tuple[Block, ...]:
    return (
        Table(
            title="T", columns=(Column(title="a", is_number=True), Column(title="b", is_wide=True)),
            rows=((cell(1), Cell("", None, "", (1.0, 2.0, 1.5))),), total=9, note="some",
        ),
        Facts(facts=(Fact("label", "value"),)),
        Text(paragraphs=("words " * 60,)),
        Notice(title="heed", lines=("this",)),
        Gauges(gauges=(Gauge(label="all", value=None), Gauge(label="cache", value=80.0))),
        Advice(title="do", severity="critical", facts=(Fact("rule", "R"),), code="ALTER SYSTEM\nSET x = 1;"),
        lines([1.0, None, 3.0]),
        BarChart(title="bars", unit="s", bars=(Bar(label="x", parts=((2, ""),)),)),
        HeatMap(title="map", columns=("2026-01",), rows=(("AAPL", (HeatCell("●", "good"),)),)),
    )  # fmt: skip


def test_a_preview_says_everything_within_its_width() -> None:
    said = text.write(document(*every_block(), notes=("half is missing",)), 80)
    whole = "\n".join(said)
    for word in ("Test report", "half is missing", "first 1 of 9", "ALTER SYSTEM", "80", "●", "heed", "label", "▁"):
        assert word in whole
    assert max(len(line) for line in said) <= 100
    assert squeezed("words " * 60) in squeezed(whole)


def test_a_cell_holds_no_control_character() -> None:
    assert "\x1b" not in cell("a\x1b[31m\u202eb").text
    assert not math.isnan(float(cell(2.5).value or 0))
