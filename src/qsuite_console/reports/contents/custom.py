"""The report "custom": the rows of one query as a table, for the built-in page or a template of the operator's own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from qsuite_console.reports.document import Column, Document, Fact, Section, Table, Text, cell
from qsuite_console.reports.frame import Frame


def build(
    frame: Frame,
    columns: Sequence[str],
    are_numbers: Sequence[bool],
    rows: Sequence[Sequence[Any]],
    *,
    query: str,
    has_more: bool,
    asked_at: datetime,
) -> Document:
    """Return the report; a query without rows gives one that says so."""
    notes = []
    if has_more:
        notes.append(f"the query has more rows; these are the first {len(rows):,}")
    if not rows:
        notes.append("the query has no rows")
    table = Table(
        title="Rows of the query",
        columns=tuple(
            Column(title=name, is_number=is_number) for name, is_number in zip(columns, are_numbers, strict=True)
        ),
        rows=tuple(
            tuple(cell(frame.local(v) if isinstance(v, datetime) and v.tzinfo else v) for v in row) for row in rows
        ),
        total=len(rows),
        empty="the query has no rows",
    )
    sections = [Section(id="data", title="Data", blocks=(table,))]
    if query:
        sections.append(Section(id="query", title="Query", blocks=(Text(paragraphs=(query,)),)))
    return frame.document(
        "Report",
        sections,
        subtitle=f"{len(rows):,} rows, {len(columns)} columns",
        newest=asked_at,
        coverage=f"{len(rows):,} rows{', the first of more' if has_more else ', all there are'}",
        notes=notes,
        highlights=(Fact("rows", f"{len(rows):,}"),),
    )
