"""A document as plain text: what the command line prints and a terminal shows before anybody opens the file."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from qsuite_console.reports.document import (
    Advice,
    BarChart,
    Block,
    Document,
    Facts,
    Gauges,
    HeatMap,
    LineChart,
    Notice,
    Section,
    Table,
    Text,
)

WIDTH: Final = 76  # what a dialog has room for on a terminal of 80
_ROWS: Final = 40  # of a table: a preview is no copy
_WIDEST: Final = 44
_BAR: Final = 30


def write(document: Document, width: int = WIDTH) -> list[str]:
    """Return the lines of a preview, none longer than ``width`` but for what can't be broken."""
    return [line.rstrip() for line in _document(document, width)]


def _document(document: Document, width: int) -> Iterator[str]:
    cover = document.cover
    yield cover.title
    yield "=" * min(width, len(cover.title))
    if cover.subtitle:
        yield cover.subtitle
    yield ""
    target = f"{cover.target} {cover.word}".strip()
    pairs = [("target", target), ("window", cover.window), ("time zone", cover.zone), ("data age", cover.age)]
    pairs += [("coverage", cover.coverage), ("made", cover.made), ("asked by", cover.origin)]
    yield from _pairs([pair for pair in pairs if pair[1]], width)
    if cover.highlights:
        yield ""
        yield from _pairs([(fact.label, fact.value) for fact in cover.highlights], width)
    if cover.notes:
        yield ""
        yield "This report is not complete:"
        for note in cover.notes:
            yield from _wrapped(note, width, "  - ")
    for number, section in enumerate(document.sections, 1):
        yield from _section(number, section, width)


def _section(number: int, section: Section, width: int) -> Iterator[str]:
    title = f"{number}  {section.title}"
    yield ""
    yield title
    yield "-" * min(width, len(title))
    if section.intro:
        yield from _wrapped(section.intro, width)
    for block in section.blocks:
        yield ""
        yield from _block(block, width)


def _block(block: Block, width: int) -> Iterator[str]:
    if isinstance(block, Table):
        yield from _table(block, width)
    elif isinstance(block, Facts):
        yield from _pairs([(fact.label, fact.value) for fact in block.facts], width)
    elif isinstance(block, Text):
        for paragraph in block.paragraphs:
            yield from _wrapped(paragraph, width)
    elif isinstance(block, Notice):
        yield f"* {block.title}"
        for line in block.lines:
            yield from _wrapped(line, width, "    ")
    elif isinstance(block, Gauges):
        for gauge in block.gauges:
            value = "  ?" if gauge.value is None else f"{gauge.value:3.0f}"
            yield f"{gauge.label:<10} {value} {_bar((gauge.value or 0) / 100)}  {gauge.note}"
    elif isinstance(block, Advice):
        yield f"{block.severity}: {block.title}"
        yield from (f"    {line}" for line in _pairs([(fact.label, fact.value) for fact in block.facts], width - 4))
        yield from (f"    {line}" for line in block.code.splitlines())
    else:
        yield from _picture(block)


def _picture(chart: LineChart | BarChart | HeatMap) -> Iterator[str]:
    yield f"{chart.title}{f', in {chart.unit}' if isinstance(chart, LineChart | BarChart) and chart.unit else ''}"
    if isinstance(chart, BarChart):
        most = max((sum(value for value, _ in bar.parts) for bar in chart.bars), default=0.0)
        names = max((len(bar.label) for bar in chart.bars), default=0)
        for bar in chart.bars:
            total = sum(value for value, _ in bar.parts)
            yield f"  {bar.label:<{names}} {_bar(total / most if most else 0)} {bar.text or f'{total:,.6g}'}"
    elif isinstance(chart, HeatMap):
        names = max((len(name) for name, _ in chart.rows), default=0)
        if chart.columns:
            yield f"  {'':<{names}} {chart.columns[0]} to {chart.columns[-1]}"
        for name, cells in chart.rows[:_ROWS]:
            yield f"  {name:<{names}} {''.join(each.sign for each in cells)}"
        yield "  " + "   ".join(f"{sign} {label}" for sign, _, label in chart.legend)
    else:
        for curve in chart.curves:
            values = [value for _, value in curve.points if value is not None]
            if values:
                yield (
                    f"  {curve.label}: {min(values):,.6g} to {max(values):,.6g}, last {values[-1]:,.6g}"
                    f"  {_spark(values)}"
                )
            else:
                yield f"  {curve.label}: nothing was measured"


def _table(table: Table, width: int) -> Iterator[str]:
    more = f" (first {len(table.rows):,} of {table.total:,})" if table.total > len(table.rows) else ""
    yield f"{table.title}{more}"
    if not table.rows:
        yield f"  {table.empty}"
        return
    heads = [f"{column.title} {column.unit}".strip() for column in table.columns]
    shown = [[_spark(cell.curve) if cell.curve else cell.text for cell in row] for row in table.rows[:_ROWS]]
    widths = [
        min(_WIDEST, max(len(text) for text in (head, *(row[at] for row in shown)))) for at, head in enumerate(heads)
    ]
    spare = width - 2 - sum(widths) - 2 * (len(widths) - 1)
    longest = max(range(len(widths)), key=lambda at: (table.columns[at].is_wide, widths[at]))
    full = max(len(text) for text in (heads[longest], *(row[longest] for row in shown)))
    widths[longest] = max(8, min(full, widths[longest] + spare))
    for texts in (heads, *shown):
        fields = (
            f"{_cut(text, size):>{size}}" if column.is_number else f"{_cut(text, size):<{size}}"
            for text, size, column in zip(texts, widths, table.columns, strict=True)
        )
        yield f"  {'  '.join(fields)}"
    if len(table.rows) > _ROWS:
        yield f"  … and {len(table.rows) - _ROWS:,} more rows in the file"
    if table.note:
        yield from _wrapped(table.note, width, "  ")


def _pairs(pairs: list[tuple[str, str]], width: int) -> Iterator[str]:
    size = max((len(label) for label, _ in pairs), default=0)
    for label, value in pairs:
        first, *rest = textwrap.wrap(value, max(20, width - size - 2)) or [""]
        yield f"{label:<{size}}  {first}"
        yield from (f"{'':<{size}}  {line}" for line in rest)


def _wrapped(text: str, width: int, lead: str = "") -> Iterator[str]:
    yield from textwrap.wrap(text, width, initial_indent=lead, subsequent_indent=" " * len(lead)) or [""]


def _bar(share: float) -> str:
    filled = round(max(0.0, min(1.0, share)) * _BAR)
    return f"{'█' * filled}{'░' * (_BAR - filled)}"


def _spark(values: tuple[float, ...] | list[float], most: int = 24) -> str:
    size = -(-len(values) // most)
    some = [max(values[at : at + size]) for at in range(0, len(values), size)]
    low, high = min(some), max(some)
    span = (high - low) or 1.0
    return "".join("▁▂▃▄▅▆▇█"[min(7, int(8 * (value - low) / span))] for value in some)


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else f"{text[: size - 1]}…"
