"""Words and figures of a load from files: plan, gauge and result, under the names that a fetched backfill uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from qsuite_console.model.kinds import Plan, PlanLine
from qsuite_console.model.text import clean
from qsuite_console.workers.backfill.describe import duration, title
from qsuite_console.workers.backfill.verify import Verification, listed

if TYPE_CHECKING:
    from qsuite_console.workers.backfill.file_reader import FileReader
    from qsuite_console.workers.backfill.file_source import Look
    from qsuite_console.workers.backfill.parameters import BackfillParameters
    from qsuite_console.workers.backfill.pipeline import Totals

_LISTED: Final = 100
_BYTES_A_ROW: Final = 75
_ROWS_A_SECOND: Final = 25_000


def describe_plan(parameters: BackfillParameters, look: Look) -> Plan:
    """Return files and sizes; rows are estimated from the size, since counting them would read everything."""
    size = sum(entry.size for entry in look.files)
    place = look.progress.place
    left = max(0, size - sum(entry.size for entry in look.files[: place.file]) - place.offset)
    rows = left // _BYTES_A_ROW
    seconds = rows / _ROWS_A_SECOND
    names = clean(", ".join(entry.path.name for entry in look.files[:3]), 120)
    end = "the newest" if parameters.end is None else parameters.end.isoformat()
    warnings = list(look.warnings)
    if look.progress.pages:
        warnings.append(f"an interrupted run is continued behind its first {size - left:,} bytes")
    chosen = "all in the files" if look.symbols is None else f"{len(look.symbols):,}"
    lines = (
        PlanLine(label="files", value=f"{len(look.files):,}", note=names + (" …" if len(look.files) > 3 else "")),
        PlanLine(label="bytes", value=f"{left:,}", note="still to be read" if left < size else ""),
        PlanLine(label="symbols", value=chosen),
        PlanLine(label="days", value=f"{parameters.start} to {end}", note="other days are left out"),
        PlanLine(label="rows", value=f"about {rows:,}", note="by the size; rows that are there are compared"),
        PlanLine(label="time", value=duration(seconds)),
        PlanLine(label="table", value=look.destination.table),
    )
    figures: dict[str, Any] = {
        "table": look.destination.table,
        "timeframe": parameters.timeframe,
        "start": parameters.start.isoformat(),
        "end": parameters.end.isoformat() if parameters.end else None,
        "files": len(look.files),
        "bytes": left,
        "requests": 0,
        "rows_expected": rows,
        "estimated_s": round(seconds, 1),
    }
    return Plan(
        kind="backfill",
        title=title(parameters),
        lines=lines,
        warnings=tuple(warnings),
        figures=figures,
        is_noop=left == 0,
    )


def plan_line(look: Look) -> str:
    """Return the plan as the log's first line: ``reading 3 files, 1,204,311 bytes, into price_ticks``."""
    files = "1 file" if len(look.files) == 1 else f"{len(look.files):,} files"
    return f"reading {files}, {sum(entry.size for entry in look.files):,} bytes, into {look.destination.table}"


def gauge(totals: Totals, reader: FileReader) -> dict[str, float | str]:
    """Return the figures of a running load."""
    return {
        "phase": "fetch",
        "requests": 0,
        "requests_total": 0,
        "rows": totals.rows_fetched,
        "rows_per_s": round(totals.rows_fetched / totals.fetch_s) if totals.fetch_s > 0 else 0,
        "symbols_done": len(reader.progress.symbols),
        "symbols_total": len(reader.progress.symbols),
        "http_429": 0,
        "retries": totals.retries,
        "quarantined": totals.quarantined,
        "bytes": reader.counts.bytes,
        "filtered": reader.progress.place.filtered,
    }


def describe_result(
    totals: Totals, look: Look, reader: FileReader, checked: Verification | None, durations: Mapping[str, float]
) -> dict[str, Any]:
    """Return the job's result; ``checked`` is None where not one row was stored."""
    progress, place = reader.progress, reader.progress.place
    present = 0 if checked is None else checked.rows_present
    unknown = sorted(place.unknown)
    fetch_s = durations["fetch_s"]
    return {
        "table": look.destination.table,
        "files": len(look.files),
        "symbols": len(progress.symbols),
        "symbols_fetched": len(progress.symbols),
        "requests": 0,
        "rows_read": progress.rows,
        "rows_expected": present + (0 if checked is None else checked.rows_missing),
        "rows_written": totals.rows_written,
        "rows_present": present,
        "rows_filtered": place.filtered,
        "rows_of_unknown_symbols": sum(place.unknown.values()),
        "quarantined": totals.quarantined,
        "http_429": 0,
        "http_429_share": 0.0,
        "retries": totals.retries,
        "bytes": sum(entry.size for entry in look.files),
        "waited_s": 0.0,
        "rows_per_s": round(totals.rows_fetched / fetch_s) if fetch_s > 0 and totals.rows_fetched else 0,
        "symbols_per_s": round(len(progress.symbols) / fetch_s, 1) if fetch_s > 0 else 0.0,
        "verified": checked is None or not checked.deficits,
        "missing": [] if checked is None else listed(checked.deficits),
        "unknown_symbols": [],
        "invalid_symbols": [],
        "skipped_symbols": unknown[:_LISTED],
        "symbols_without_bars": [],
        "rate_limit_shared": False,
        "warnings": [*look.warnings, *reader.warnings],
        **{name: round(seconds, 3) for name, seconds in durations.items()},
    }
