"""``status`` and ``stats``: what the Overview shows, as text and JSON."""

from __future__ import annotations

import re
from typing import Final

import click
import msgspec

from qsuite_console.cli import output
from qsuite_console.cli.archive import Reads
from qsuite_console.cli.connect import reading
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.jobs import json_option
from qsuite_console.cli.lazy import examples
from qsuite_console.cli.progress import describe
from qsuite_console.cli.queues import print_queues
from qsuite_console.engine.state import ConsoleState
from qsuite_console.model.errors import UsageProblem
from qsuite_console.model.jobs import KindStatistics, Statistics

_WINDOW: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
_UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_LONGEST_S: Final = 366 * 86_400.0


@click.command(epilog=examples("qsuite-console status", "qsuite-console status --json | jq .counts"))
@json_option
@click.pass_obj
def status(invocation: Invocation, *, is_json: bool) -> None:
    """Say whether it is well: the engine, its jobs and the newest readings."""

    async def ask(control: Reads) -> ConsoleState:
        return control.state

    state = reading(invocation, ask)
    if is_json:
        is_running = bool(state.owner)
        output.document({"is_running": is_running, **msgspec.to_builtins(state, enc_hook=str)})
        return
    engine = f"{state.owner}, since {output.instant(state.started_at)}" if state.owner else "none runs"
    if state.trouble and not state.owner:
        engine = "none answers"
    unseen = "not configured" if state.owner else "watched only while an engine runs; qsuite-console doctor looks now"
    target = f"{state.target.name} {state.target.word}".strip()
    output.pairs(
        [
            ("engine", engine),
            ("trouble", state.trouble or "none"),
            ("target", f"{target}{', read-only' if state.is_read_only else ''}"),
            ("database", state.target.database or unseen),
            ("cache", state.target.cache or unseen),
            ("jobs", ", ".join(f"{count:,} {name}" for name, count in state.counts.items() if count) or "none yet"),
        ]
    )
    for job in state.running:
        output.line(f"  {job.id}  {job.title}: {describe(job)}")
    if state.queues:
        output.line()
        print_queues(state.queues)
    if state.snapshot.readings:
        output.line()
        output.table(
            ("source", "level", "reading", "measured"),
            [(r.title, r.level, r.error or r.headline.text, output.ago(r.sampled_at)) for r in state.snapshot.readings],
        )
    for alert in state.snapshot.alerts:
        output.line(f"{alert.state} {alert.level}: {alert.message} (since {output.instant(alert.since)})")


@click.command(epilog=examples("qsuite-console stats --window 24h", "qsuite-console stats --json"))
@click.option("--window", default="1h", show_default=True, metavar="TIME", help="How far back: 90s, 15m, 24h, 7d.")
@json_option
@click.pass_obj
def stats(invocation: Invocation, *, window: str, is_json: bool) -> None:
    """Print success, failures and durations of each kind and queue over a window."""
    window_s = parse_window(window)
    found = reading(invocation, lambda control: control.statistics(window_s))
    output.document(found) if is_json else _print(found)


def parse_window(text: str) -> float:
    """Return seconds of "90s", "15m", "24h" or "7d"."""
    match = _WINDOW.fullmatch(text.strip().lower())
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 1 <= seconds <= _LONGEST_S:
        raise UsageProblem(f"{text!r} is not a window", hint="for example 90s, 15m, 24h or 7d, at most 366d")
    return seconds


def _print(found: Statistics) -> None:
    busy = "unknown" if found.utilisation is None else f"{found.utilisation * 100:.0f} %"
    output.line(f"last {output.duration(found.window_s)}; slots busy: {busy}")
    for title, rows in (("kind", found.kinds), ("queue", found.queues)):
        output.line()
        if rows:
            output.table(
                (
                    title,
                    "succeeded",
                    "failed",
                    "retried",
                    "cancelled",
                    "wait p50",
                    "p95",
                    "p99",
                    "run p50",
                    "p95",
                    "p99",
                ),
                [_row(row) for row in rows],
            )
        else:
            output.line(f"no {title} finished a job")


def _row(row: KindStatistics) -> tuple[object, ...]:
    waits = (row.wait_p50, row.wait_p95, row.wait_p99)
    runs = (row.run_p50, row.run_p95, row.run_p99)
    return row.name, row.succeeded, row.failed, row.retried, row.cancelled, *map(output.duration, (*waits, *runs))
