"""Operations, an audit and other targets, as tests and pictures show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from fakes.control import FakeControl, demo
from fakes.platform import NOW
from qsuite_console.engine.state import TargetView
from qsuite_console.model.audit import AuditLine, AuditPage
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.kinds import ParameterSpec
from qsuite_console.model.operations import OperationInfo, Proposal
from qsuite_console.screens.dialogs.target import TargetChoice

PRODUCTION = TargetView(name="eu1", word="PRODUCTION", colour="error", database="db.eu1:5432/market", cache="eu1:6379")
STAGING = TargetView(
    name="staging", word="STAGING", colour="warning", is_read_only=True, database="staging:5432/market"
)
OPERATIONS = (
    OperationInfo(name="cache.reset-slowlog", title="Empty slow log", help="Forget all entries of Redis' slow log."),
    OperationInfo(
        name="database.terminate",
        title="Terminate session",
        help="End a session: its transaction is rolled back and its client loses the connection.",
        parameters=(
            ParameterSpec(
                name="pid", type="integer", label="Pid", help="the server's process number", is_required=True
            ),
            ParameterSpec(name="why", type="text", label="Why", placeholder="blocks the backfill"),
        ),
    ),
)


class FakeTargets:
    """Three platforms; ``failures`` says why one can't be opened."""

    def __init__(self, current: TargetView) -> None:
        self.views = (current, *(view for view in (PRODUCTION, STAGING) if view.name != current.name))
        self.problems = {"lab": "/etc/q.toml:12: targets.lab.database.pool_min: larger than pool_max"}
        self.failures: dict[str, ConsoleError] = {}
        self.prepared: list[str] = []

    async def choices(self) -> Sequence[TargetChoice]:
        views = (*self.views, TargetView(name="lab"))
        return tuple(
            TargetChoice(view=view, is_current=not number, problem=self.problems.get(view.name, ""))
            for number, view in enumerate(views)
        )

    async def prepare(self, name: str) -> None:
        self.prepared.append(name)
        if name in self.failures:
            raise self.failures[name]


def terminating(parameters: Mapping[str, Any]) -> Proposal:
    return Proposal(
        operation="database.terminate",
        title=f"Terminate the session of pid {parameters['pid']}?",
        lines=(
            f"pid {parameters['pid']} · etl · market · nightly-load",
            "idle in transaction: transaction 41 m 12 s",
            "query: UPDATE positions SET quantity = quantity + $1 WHERE trader = $2",
            "Its client loses the connection; what it has written since then is lost. It frees 4 sessions behind it.",
        ),
        do="terminate it",
        parameters={"pid": int(parameters["pid"]), "backend_start": "2026-11-22T05:20:59Z"},
    )


def audited(parameters: Mapping[str, Any]) -> AuditPage:
    rows = (
        (
            "done",
            "console",
            "database.terminate",
            "pid 4711, backend_start 2026-11-22T05:20:59Z",
            "the session has ended",
        ),
        ("refused", "console", "database.terminate", "pid 4711", "pid 4711 is another session now"),
        ("timed out", "cli", "cache.delete-key", "key quotes:AAPL", "Delete key did not end within 10 s"),
        ("refused", "http", "jobs.submit", "backfill", "the target eu1 is production and its name was not typed"),
        ("", "cli", "queues.set", "general", "8 slots, open"),
        ("unknown", "console", "database.apply-setting", "name work_mem, value 64MB", "asked, then its process died"),
    )
    words = str(parameters.get("text", "")).lower().split()
    lines = tuple(
        AuditLine(
            number=len(rows) - number,
            at=NOW - timedelta(minutes=7 * number, seconds=3),
            who="ada@ops-1" if number % 2 else "grace@ops-1",
            origin=origin,
            action=action,
            subject=subject,
            result=f"{verdict}: {text}" if verdict else text,
        )
        for number, (verdict, origin, action, subject, text) in enumerate(rows)
    )
    found = tuple(line for line in lines if all(word in f"{line}".lower() for word in words))
    return AuditPage(at=NOW, lines=found, cost_ms=0.4)


def changing(target: TargetView | None = None) -> FakeControl:
    """The demonstration with operations and an audit."""
    control = demo(target=target)
    if target is not None:
        control.set_state(is_read_only=target.is_read_only)
    control.operation_infos = OPERATIONS
    control.proposals["database.terminate"] = terminating
    control.proposals["cache.reset-slowlog"] = lambda _: Proposal(
        operation="cache.reset-slowlog",
        title="Empty the slow log?",
        lines=("128 entries are forgotten.",),
        do="empty it",
    )
    control.answers["audit"] = audited
    return control
