"""TimescaleDB: what failed first, then hypertables with chunks and compression, continuous aggregates and jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import ClassVar, Final

from textual import work

from qsuite_console.model.timescale import Aggregate, Hypertable, Timescale, TimescaleJob
from qsuite_console.screens.database.reporting import Report
from qsuite_console.screens.listing import glyph, labelled
from qsuite_console.screens.panes import contains
from qsuite_console.widgets import figures
from qsuite_console.widgets.live_table import Column, Key, Row

Entry = Hypertable | Aggregate | TimescaleJob
_LATE: Final = 2.0  # times its schedule without a success
_RANK: Final = {"error": 0, "warn": 1, "ok": 2, "dim": 2}


class TimescalePane(Report[Timescale, Entry]):
    """Everything TimescaleDB keeps and does in this database."""

    NAME = "timescale"
    TITLE = "TimescaleDB"
    PROBE = "database.timescale"
    KIND = Timescale
    PERIOD_S = 10.0
    EMPTY = "TimescaleDB is not installed in this database"
    FILTER = "part of a name"
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("glyph", "", 1, keep=90),
        Column("what", "What", 10, keep=80),
        Column("name", "Name", 18, is_flexible=True, keep=100),
        Column("size", "Size", 9, is_right=True, keep=70),
        Column("rows", "Rows", 7, is_right=True, keep=30, at_least=96),
        Column("chunks", "Chunks", 6, is_right=True, keep=60),
        Column("packed", "Compressed", 10, is_right=True, keep=50),
        Column("ratio", "Ratio", 6, is_right=True, keep=40),
        Column("last", "Success", 7, is_right=True, keep=75),
        Column("next", "Next", 6, is_right=True, keep=35, at_least=90),
        Column("runs", "Runs", 6, is_right=True, keep=20, at_least=110),
        Column("failed", "Failed", 6, is_right=True, keep=65, at_least=84),
    )

    def has_nothing(self, answer: Timescale) -> bool:
        """Return whether the extension isn't here."""
        return not answer.version

    def entries(self, answer: Timescale) -> Mapping[Key, Entry]:
        """Return everything, what failed first."""
        found: list[tuple[str, Entry]] = [(f"hypertable {one.name}", one) for one in answer.hypertables]
        found += [(f"aggregate {one.name}", one) for one in answer.aggregates]
        found += [(f"job {one.id} {one.procedure} {one.hypertable}", one) for one in answer.jobs]
        found.sort(key=lambda one: _RANK[verdict(one[1])[0]])
        return {key: one for key, one in found if contains(self.text, key)}

    def facts(self, answer: Timescale, now: datetime) -> Iterator[tuple[str, str, str]]:
        """Yield version and licence, totals, and the newest error."""
        poor = " · no compression, aggregates or policies under it" if answer.license == "apache" else ""
        licence = f" · {answer.license} licence{poor}" if answer.license else ""
        yield "ok", "TimescaleDB", f"{answer.version}{licence}"
        chunks = sum(one.chunks for one in answer.hypertables)
        packed = sum(one.compressed for one in answer.hypertables)
        size = sum(one.bytes or 0 for one in answer.hypertables)
        tables = figures.plural(len(answer.hypertables), "hypertable")
        yield "ok", "holds", f"{tables}, {figures.size(size)} · {chunks} chunks, {packed} compressed"
        if answer.errors:
            first = answer.errors[0]
            number = figures.plural(len(answer.errors), "error")
            yield (
                "error",
                "jobs",
                f"{number} in 24 h; job {first.id} {figures.age(first.ended_s_ago)} ago: {first.message}",
            )
        else:
            yield "ok", "jobs", f"{len(answer.jobs)} · no error in 24 h"

    def row(self, entry: Entry) -> Row:
        """Return one line."""
        mark = glyph(verdict(entry)[0])
        if isinstance(entry, Hypertable):
            return {
                "glyph": mark,
                "what": "hypertable",
                "name": entry.name.removeprefix("public."),
                "size": figures.size(entry.bytes),
                "rows": figures.short(entry.rows),
                "chunks": figures.count(entry.chunks),
                "packed": f"{entry.compressed}" if entry.is_compressing else "off",
                "ratio": f"{entry.ratio:.1f}x" if entry.ratio is not None else figures.DASH,
            }
        if isinstance(entry, Aggregate):
            return {
                "glyph": mark,
                "what": "aggregate",
                "name": entry.name.removeprefix("public."),
                "last": figures.age(entry.refreshed_s_ago) if entry.refreshed_s_ago is not None else "never",
            }
        return {
            "glyph": mark,
            "what": f"job {entry.id}",
            "name": f"{entry.procedure} {entry.hypertable.removeprefix('public.')}".strip(),
            "last": figures.age(entry.succeeded_s_ago) if entry.succeeded_s_ago is not None else "never",
            "next": "due" if (entry.next_s or 0) < 0 else figures.age(entry.next_s),
            "runs": figures.short(entry.runs),
            "failed": figures.short(entry.failures),
        }

    def foot(self, entry: Entry, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield what there is to say of it."""
        yield verdict(entry)
        if isinstance(entry, Hypertable):
            span = "" if entry.chunk_s is None else f"chunks of {figures.age(entry.chunk_s)} by {entry.time_column}"
            reach = (
                ""
                if entry.oldest is None or entry.newest is None
                else f" · {entry.oldest:%Y-%m-%d} to {entry.newest:%Y-%m-%d}"
            )
            yield "dim", f"{span}{reach}"
        elif isinstance(entry, Aggregate):
            kind = "materialised only: newer data is not in it" if entry.is_materialized_only else "with newer data"
            yield "dim", f"of {entry.source}, {kind}"
        else:
            errors = [one for one in self.answer.errors if one.id == entry.id] if self.answer is not None else []
            told = (
                f"last error {figures.age(errors[0].ended_s_ago)} ago: {errors[0].message}"
                if errors
                else "no error in 24 h"
            )
            every = f"every {figures.age(entry.every_s)}, " if entry.every_s else ""
            yield "dim", f"{every}{told}"

    def on_live_table_opened(self) -> None:
        """Show all of it."""
        self._open_detail()

    @work(exclusive=True, group="timescale")
    async def _open_detail(self) -> None:
        entry, answer = self.table.entry, self.answer
        if entry is not None and answer is not None:
            name = entry.procedure if isinstance(entry, TimescaleJob) else entry.name
            await self.read(name, detail(entry, answer))


def verdict(entry: Entry) -> tuple[str, str]:
    """Return the worst there is to say of it, with its tone."""
    if isinstance(entry, Hypertable):
        return _of_table(entry)
    if isinstance(entry, Aggregate):
        return _of_aggregate(entry)
    told = f"{figures.count(entry.failures)} of {figures.plural(entry.runs, 'run')} failed"
    if entry.outcome == "Failed":
        return "error", f"its last run failed; {told}"
    if not entry.is_scheduled:
        return "dim", "switched off: alter_job(…, scheduled => true)"
    return "ok", f"{entry.state.lower() or 'scheduled'}; {told}"


def _of_table(entry: Hypertable) -> tuple[str, str]:
    if entry.partial:
        number = figures.plural(entry.partial, "compressed chunk")
        return "warn", f"{number} written to since: recompress with a compression policy or compress_chunk()"
    if entry.ratio is not None:
        return "ok", f"{entry.compressed} of {entry.chunks} chunks compressed, {entry.ratio:.1f} times smaller"
    packed = "none compressed yet" if entry.is_compressing else "compression is off"
    return "ok", f"{figures.plural(entry.chunks, 'chunk')}, {packed}"


def _of_aggregate(entry: Aggregate) -> tuple[str, str]:
    if not entry.policies:
        return "warn", "nothing refreshes it: add_continuous_aggregate_policy()"
    if entry.outcome == "Failed":
        return "error", "its last refresh failed"
    every = figures.age(entry.every_s)
    if entry.every_s and entry.refreshed_s_ago is not None and entry.refreshed_s_ago > _LATE * entry.every_s:
        return "warn", f"refreshed {figures.age(entry.refreshed_s_ago)} ago, due every {every}"
    return "ok", f"refreshed every {every}"


def detail(entry: Entry, answer: Timescale) -> str:
    """Return everything about it, a fact a line, and a job's errors."""
    facts: list[tuple[str, object]] = [("state", verdict(entry)[1])]
    if isinstance(entry, Hypertable):
        until = "" if entry.compressed_until is None else f"{entry.compressed_until:%Y-%m-%d %H:%M} UTC"
        facts += [
            ("size", figures.size(entry.bytes)),
            ("rows", f"about {figures.count(entry.rows)}" if entry.rows is not None else ""),
            ("time column", entry.time_column),
            ("chunk interval", figures.age(entry.chunk_s)),
            (
                "chunks",
                f"{entry.chunks}, {entry.compressed} compressed, {figures.count(entry.partial)} of them written to",
            ),
            ("compressed until", until),
            ("before, after", f"{figures.size(entry.before_bytes)}, {figures.size(entry.after_bytes)}"),
        ]
        return labelled(facts)
    if isinstance(entry, Aggregate):
        return labelled([*facts, ("of", entry.source), ("policies", entry.policies), ("last outcome", entry.outcome)])
    facts += [
        ("procedure", entry.procedure),
        ("hypertable", entry.hypertable),
        ("every", figures.age(entry.every_s)),
        ("last start", f"{figures.age(entry.started_s_ago)} ago" if entry.started_s_ago is not None else "never"),
        ("took", figures.duration(entry.took_s)),
        ("last success", f"{figures.age(entry.succeeded_s_ago)} ago" if entry.succeeded_s_ago is not None else "never"),
        ("next", f"in {figures.duration(entry.next_s)}" if entry.next_s is not None else "not planned"),
    ]
    errors = [
        f"{figures.age(one.ended_s_ago)} ago  {one.code}  {one.message}" for one in answer.errors if one.id == entry.id
    ]
    return labelled(facts) + ("\n\nERRORS OF 24 HOURS\n" + "\n".join(errors) if errors else "")
