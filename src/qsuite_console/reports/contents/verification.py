"""The report "backfill": is what was fetched still there, what is missing of the history, and what the runs did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qsuite_console.model import units
from qsuite_console.model.jobs import Job, JobState
from qsuite_console.model.market import CoverageMap
from qsuite_console.model.text import clean
from qsuite_console.model.verification import Shortfall, Verified
from qsuite_console.reports.contents.market import coverage_section, share_of
from qsuite_console.reports.document import Block, Cell, Column, Document, Fact, Facts, Notice, Section, Table, cell
from qsuite_console.reports.frame import Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was counted, the map of what is stored, and the backfills of the window with their results, newest first."""

    verified: Verified | None
    coverage: CoverageMap | None
    runs: tuple[tuple[Job, Mapping[str, Any] | None], ...] = ()
    problems: tuple[str, ...] = ()


def build(frame: Frame, found: Found, *, most_rows: int) -> Document:
    """Return the report; an empty table or a missing ledger is said plainly."""
    verified, notes = found.verified, list(found.problems)
    if verified is not None:
        if not verified.has_ledger:
            notes.append(
                "there is no ledger of what was fetched: rows are counted, but nothing can be held against them"
            )
        if not verified.rows:
            notes.append(f"{verified.table} holds no {verified.timeframe} bar in these months")
        if verified.symbols_total > len(verified.symbols):
            notes.append(f"the first {len(verified.symbols):,} of {verified.symbols_total:,} symbols were counted")
    if found.coverage is not None and found.coverage.symbols_total > len(found.coverage.rows):
        notes.append(
            f"the first {len(found.coverage.rows):,} of {found.coverage.symbols_total:,} symbols are on the map"
        )
    share = share_of(found.coverage)
    months = found.coverage.months if found.coverage is not None else ()
    window = f"{months[0]} to {months[-1]} ({len(months)} months)" if months else ""
    return frame.document(
        "Backfill verification",
        [
            _verdict(frame, verified),
            _shortfalls(frame, verified, most_rows),
            coverage_section(found.coverage),
            _symbols(verified, most_rows),
            _runs(frame, found.runs, most_rows),
        ],
        subtitle="" if verified is None else f"{verified.timeframe} bars in {verified.table}",
        newest=None if verified is None else verified.at,
        coverage="" if share is None else f"{share:.1f} % of the expected sessions are stored",
        notes=notes,
        highlights=_highlights(verified, share),
        window=window,
    )


def _highlights(verified: Verified | None, share: float | None) -> tuple[Fact, ...]:
    if verified is None:
        return ()
    missing = verified.rows_missing
    return (
        Fact("rows counted", f"{verified.rows:,}"),
        Fact("fetched rows that are missing", f"{missing:,}", "bad" if missing else "good"),
        Fact("of the expected sessions", "–" if share is None else units.percent(share)),
    )


def _verdict(frame: Frame, verified: Verified | None) -> Section:
    blocks: list[Block] = []
    if verified is None:
        blocks.append(Notice(title="Nothing could be counted", tone="bad"))
    elif not verified.has_ledger or not verified.rows:
        blocks.append(Notice(title="There is nothing to verify", lines=("no backfill has stored anything here",)))
    elif verified.rows_missing:
        lines = (
            f"missing: {_many(verified.rows_missing, 'row')} of those fetched, "
            f"in {_many(len(verified.shortfalls), 'period')}",
            "run the backfill again: what is missing is fetched once more",
        )
        blocks.append(Notice(title="Not verified", lines=lines, tone="bad"))
    else:
        blocks.append(Notice(title="Verified: no row that was fetched is missing", tone="good"))
    if verified is not None:
        with_rows = sum(each.rows > 0 for each in verified.symbols)
        facts = (
            Fact("table", verified.table),
            Fact("bars", verified.timeframe),
            Fact(
                "period", f"{frame.moment(verified.low, seconds=False)} to {frame.moment(verified.high, seconds=False)}"
            ),
            Fact(
                "symbols counted", f"{len(verified.symbols):,} of {verified.symbols_total:,}, {with_rows:,} have rows"
            ),
            Fact("rows counted", f"{verified.rows:,}"),
            Fact("counted at", frame.moment(verified.at)),
        )
        blocks.append(Facts(facts=facts))
    return Section(id="verdict", title="Verdict", blocks=tuple(blocks))


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _shortfalls(frame: Frame, verified: Verified | None, most_rows: int) -> Section:
    found: Sequence[Shortfall] = () if verified is None else verified.shortfalls
    table = Table(
        title="Fetched periods that hold fewer rows than were fetched",
        columns=(
            Column(title="symbol"),
            Column(title="from"),
            Column(title="to"),
            Column(title="fetched", is_number=True),
            Column(title="there", is_number=True),
            Column(title="missing", is_number=True),
            Column(title="fetched at"),
        ),
        rows=tuple(
            (
                cell(each.symbol),
                cell(each.low, frame.moment(each.low, seconds=False)),
                cell(each.high, frame.moment(each.high, seconds=False)),
                cell(each.fetched),
                cell(each.present),
                cell(each.fetched - each.present, tone="bad"),
                cell(each.fetched_at, frame.moment(each.fetched_at)) if each.fetched_at else cell(None),
            )
            for each in found[:most_rows]
        ),
        total=len(found),
        empty="none",
    )
    return Section(id="missing", title="Missing rows", blocks=(table,))


def _symbols(verified: Verified | None, most_rows: int) -> Section:
    found = () if verified is None else verified.symbols
    table = Table(
        title="Rows by symbol",
        columns=(
            Column(title="symbol"),
            Column(title="rows", is_number=True),
            Column(title="missing of those fetched", is_number=True),
        ),
        rows=tuple(
            (
                cell(each.symbol),
                cell(each.rows, tone="" if each.rows else "faint"),
                cell(each.missing, tone="bad" if each.missing else ""),
            )
            for each in found[:most_rows]
        ),
        total=len(found),
        empty="the platform has no active symbol",
    )
    return Section(id="symbols", title="Symbols", blocks=(table,))


def _runs(frame: Frame, runs: Sequence[tuple[Job, Mapping[str, Any] | None]], most_rows: int) -> Section:
    table = Table(
        title=f"Backfills made in {frame.window}",
        columns=(
            Column(title="job", is_number=True),
            Column(title="ended"),
            Column(title="state"),
            Column(title="rows written", is_number=True),
            Column(title="verified"),
            Column(title="requests", is_number=True),
            Column(title="answered 429", is_number=True),
            Column(title="title", is_wide=True),
        ),
        rows=tuple(_run(frame, job, result) for job, result in runs[:most_rows]),
        total=len(runs),
        note="A result is kept for a day unless configured otherwise; a dash: it has expired or there is none.",
        empty="no backfill was made in this window",
    )
    return Section(id="runs", title="Runs", blocks=(table,))


def _run(frame: Frame, job: Job, result: Mapping[str, Any] | None) -> tuple[Cell, ...]:
    kept = result or {}
    verified = kept.get("verified")
    return (
        cell(job.id, str(job.id)),
        cell(job.finished_at, frame.moment(job.finished_at)) if job.finished_at else cell(None),
        cell(str(job.state), tone="bad" if job.state is JobState.FAILED else ""),
        cell(kept.get("rows_written")),
        cell(None) if verified is None else cell(bool(verified), tone="good" if verified else "bad"),
        cell(kept.get("requests")),
        cell(kept.get("http_429")),
        cell(clean(job.title, 160)),
    )
