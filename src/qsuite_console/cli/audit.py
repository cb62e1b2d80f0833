"""``audit``: who did what, from where, with what result; read beside whoever owns the history, or asked elsewhere."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import msgspec

from qsuite_console.cli import output
from qsuite_console.cli.connect import running_engine
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.jobs import json_option
from qsuite_console.cli.lazy import examples
from qsuite_console.cli.status import parse_window
from qsuite_console.history.audit import AuditProbe
from qsuite_console.history.reader import open_reader
from qsuite_console.model.audit import AuditPage
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.errors import HistoryMissing, UsageProblem


@click.command(
    epilog=examples(
        "qsuite-console audit --since 24h",
        "qsuite-console audit --text database.terminate --limit 20",
        "qsuite-console audit --since 2026-11-01 --json",
    )
)
@click.option("--since", metavar="TIME", help="Not older: 15m, 24h, 7d, or 2026-11-22, or 2026-11-22T09:30.")
@click.option("--text", default="", metavar="WORDS", help="Only with these words: who, where, what or result.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Entries a page.")
@click.option("--before", type=int, metavar="N", help="The page below this entry (see next_before of the last page).")
@json_option
@click.pass_obj
def audit(
    invocation: Invocation, *, since: str | None, text: str, limit: int, before: int | None, is_json: bool
) -> None:
    """Print who did what, from where, with what result, newest first."""
    query = {"since": parse_since(since) if since else None, "text": text, "limit": limit, "before": before}
    page = _elsewhere(invocation, query) or _beside(invocation, query)
    output.document(page) if is_json else _print(page)


def _elsewhere(invocation: Invocation, query: dict[str, Any]) -> AuditPage | None:
    """Return what the engine of another machine says, None where the history is on this one."""
    if invocation.engine is None:
        return None
    with ExitStack() as stack:
        engine = running_engine(invocation, stack)
        assert engine is not None  # else it has raised
        asked = {name: msgspec.to_builtins(value) for name, value in query.items() if value is not None}
        answer = asyncio.run(engine.ask(AuditProbe.name, asked))
        assert isinstance(answer, AuditPage)
        return answer


def _beside(invocation: Invocation, query: dict[str, Any]) -> AuditPage:
    try:
        with closing(open_reader(invocation.paths.history)) as reader:
            return asyncio.run(AuditProbe(reader, SystemClock()).ask(query))
    except HistoryMissing:
        return AuditPage(at=datetime.now(UTC))


def parse_since(text: str) -> datetime:
    """Return the instant of "24h" before now, or of a date or time of the machine's own zone."""
    try:
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except ValueError:
        pass
    try:
        return datetime.now(UTC) - timedelta(seconds=parse_window(text))
    except UsageProblem:
        raise UsageProblem(
            f"{text!r} is no time", hint="for example 15m, 24h, 7d, 2026-11-22 or 2026-11-22T09:30"
        ) from None


def _print(page: AuditPage) -> None:
    if not page.lines:
        output.note("nothing in the audit")
        return
    output.table(
        ("entry", "at", "who", "from", "what", "subject", "verdict", "result"),
        [
            (e.number, output.instant(e.at), e.who, e.origin, e.action, e.subject, e.verdict, e.words)
            for e in page.lines
        ],
        flexible=5,
    )
    if page.next_before is not None:
        output.note(f"more: add --before {page.next_before}")
