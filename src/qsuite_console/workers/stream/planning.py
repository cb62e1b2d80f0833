"""The plan of a copy as people read it."""

from __future__ import annotations

from typing import Any

from qsuite_console.db.row_reader import CHUNK_BYTES, CHUNK_ROWS
from qsuite_console.model import units
from qsuite_console.model.kinds import Plan, PlanLine
from qsuite_console.model.text import clean
from qsuite_console.workers.stream.files import Place
from qsuite_console.workers.stream.parameters import SourceParameters
from qsuite_console.workers.stream.parquet_sink import type_of
from qsuite_console.workers.stream.survey import Reading, Writing

_NAMED = 12


def describe(kind: str, title: str, reading: Reading, lines: list[PlanLine], figures: dict[str, Any]) -> Plan:
    """Return the plan with what every copy says of its source; ``lines`` speak of the destination."""
    relation, program, key = reading.relation, reading.program, reading.selection.key
    rows = relation.rows
    source = [
        PlanLine(label="source", value=relation.name, note="" if relation.is_table else "read only, one SELECT"),
        PlanLine(label="rows", value="unknown" if rows is None else f"about {units.count(rows)}",
                 note="by the planner's statistics"),
        PlanLine(label="columns", value=units.count(len(program.outputs)), note=_names(reading)),
        PlanLine(
            label="read by",
            value=", ".join(key) or "one statement",
            note="pages behind the last key; goes on there after a stop" if key else "one snapshot; begun anew after a "
            "stop",
        ),
        PlanLine(label="transform", value=_transform(program.transform)),
    ]  # fmt: skip
    chunk = PlanLine(label="chunks", value=f"{units.size(CHUNK_BYTES)} or {units.count(CHUNK_ROWS)} rows at most")
    warnings = list(reading.warnings)
    if not key and not relation.is_table:
        warnings.append("the query has no key: name columns that are unique (key) to let the copy resume")
    return Plan(
        kind=kind,
        title=title,
        lines=(*source, *lines, chunk),
        warnings=tuple(warnings),
        figures={"rows": rows, "key": list(key), "columns": [column.name for column in program.outputs], **figures},
    )


def of_table(reading: Reading, writing: Writing) -> list[PlanLine]:
    """Return what is said of a table."""
    intake = writing.intake
    if intake.key:
        method, note = f"upsert by {', '.join(intake.key)}", "rows that are the same are left alone"
    elif writing.is_one:
        method, note = "append in one transaction", "all rows at the end, or none: a copy that stops begins anew"
    else:
        method, note = "append", "no unique key there: the same copy again adds the rows again"
    if writing.is_one:
        place = "none before its end, which is kept with the rows"
    elif writing.is_kept:
        place = "kept with the rows, in qsuite_console.stream"
    elif not reading.is_resumable:
        place = "none: begun anew, which changes no row that is there"
    else:
        place = "kept in the console's history; a stop repeats at most one chunk"
    state = "empty" if writing.was_empty else "holds rows"
    return [
        PlanLine(label="destination", value=intake.table.name, note=state),
        PlanLine(label="method", value=method, note=note),
        PlanLine(label="place", value=place),
    ]


def of_file(place: Place, reading: Reading, *, is_parquet: bool) -> list[PlanLine]:
    """Return what is said of a file."""
    lines = [
        PlanLine(label="destination", value=clean(place.path, 300), note=f"{units.size(place.free())} free there"),
        PlanLine(label="method", value="Parquet, zstd" if is_parquet else "CSV",
                 note="in parts, named when it is whole" if is_parquet else "NULL is empty, an empty text is \"\"; "
                 "named when it is whole"),
    ]  # fmt: skip
    if is_parquet:
        texts = [c.name for c in reading.program.outputs if c.base == "numeric" and type_of(c) == "string"]
        if texts:
            lines.append(
                PlanLine(label="as text", value=", ".join(texts[:_NAMED]), note="numeric without limits: cast it")
            )
    return lines


def title_of(parameters: SourceParameters, to: str) -> str:
    """Return the line by which people recognise the job."""
    what = clean(parameters.table.strip(), 60) or clean(" ".join(parameters.query.split()), 50)
    where = f" of {clean(parameters.source, 40)}" if parameters.source else ""
    return f"{what}{where} to {clean(to, 80)}"


def _names(reading: Reading) -> str:
    names = [column.name for column in reading.program.outputs]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return clean(", ".join(names[:_NAMED]) + more, 300)


def _transform(transform: Any) -> str:
    parts = []
    if transform.filter:
        parts.append(f"filter {clean(transform.filter, 80)}")
    parts += [f"{name} = {clean(text, 60)}" for name, text in list(transform.derive.items())[:_NAMED]]
    parts += [f"cast {name} to {text}" for name, text in list(transform.cast.items())[:_NAMED]]
    parts += [f"{name} becomes {text}" for name, text in list(transform.rename.items())[:_NAMED]]
    if transform.drop_incomplete:
        parts.append("incomplete rows are dropped")
    if transform.stamp:
        parts.append(f"{transform.stamp} is added")
    return "; ".join(parts) or "none"
