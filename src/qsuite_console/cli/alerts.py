"""``alerts``: what burns, or everything that burned; from the running engine, else from the history it left."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import Any

import click

from qsuite_console.cli import output
from qsuite_console.cli.connect import running_engine
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.jobs import json_option
from qsuite_console.cli.lazy import examples
from qsuite_console.history.reader import open_reader
from qsuite_console.model.alerts import AlertPage, AlertQuery
from qsuite_console.model.errors import HistoryMissing
from qsuite_console.model.health import Alert


@click.command(
    epilog=examples(
        "qsuite-console alerts",
        "qsuite-console alerts --all --text redis --json",
        "qsuite-console act alerts.acknowledge --alert host.cpu",
        "qsuite-console act alerts.silence --alert host --minutes 60 --reason 'moving the disk'",
    )
)
@click.option("--all", "is_all", is_flag=True, help="Also those that have cleared, newest first.")
@click.option("--text", default="", metavar="WORDS", help="Only with these words: alert, level or message.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Alerts a page, with --all.")
@click.option("--before", default="", metavar="PAGE", help="The page below (see next_before of the last one).")
@json_option
@click.pass_obj
def alerts(invocation: Invocation, *, is_all: bool, text: str, limit: int, before: str, is_json: bool) -> None:
    """Print the alerts that burn: loud, acknowledged and silenced told apart."""
    page = _ask(invocation, AlertQuery(text=text, limit=limit, before=before, burning=None if is_all else True))
    if not is_all:
        page = AlertPage(alerts=tuple(alert for alert in page.alerts if alert.is_burning), at=page.at)
    output.document(page) if is_json else _print(page, is_all=is_all)


def _ask(invocation: Invocation, query: AlertQuery) -> AlertPage:
    with ExitStack() as stack:
        engine = running_engine(invocation, stack)
        if engine is not None:
            probe, asked = "alerts.open", dict[str, Any](text=query.text)
            if query.burning is None:
                probe, asked = "alerts.history", {"text": query.text, "limit": query.limit, "before": query.before}
            answer = asyncio.run(engine.ask(probe, asked))
            assert isinstance(answer, AlertPage)
            return answer
    output.note("no engine runs: this is what it left; nothing is watched now")
    try:
        with closing(open_reader(invocation.paths.history)) as reader:
            return asyncio.run(reader.alert_page(invocation.loaded.settings.target.name, query))
    except HistoryMissing:
        return AlertPage(at=datetime.now(UTC))


def standing(alert: Alert) -> str:
    """Return how an alert stands, in words: "critical", "warning, acknowledged by ada@desk", "cleared"."""
    if not alert.is_burning:
        return "cleared"
    if alert.silenced_until is not None:
        return f"{alert.level}, silenced until {output.instant(alert.silenced_until)} by {alert.silenced_by}"
    if alert.acknowledged_by is not None:
        return f"{alert.level}, acknowledged by {alert.acknowledged_by}"
    return str(alert.level)


def _print(page: AlertPage, *, is_all: bool) -> None:
    if not page.alerts:
        output.note("no alert has burned" if is_all else "nothing burns")
        return
    now = datetime.now(UTC)
    output.table(
        ("alert", "since", "lasts", "state", "what"),
        [
            (a.id, output.instant(a.since), output.duration(((a.cleared_at or now) - a.since).total_seconds()),
             standing(a), a.message)
            for a in page.alerts
        ],
        flexible=4,
    )  # fmt: skip
    if page.next_before:
        output.note(f"more: add --before {page.next_before}")
