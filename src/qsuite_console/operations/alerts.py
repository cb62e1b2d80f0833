"""Taking and silencing alerts: changes of the console's own book, so they are allowed on a read-only target too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from qsuite_console.engine.gate import who
from qsuite_console.engine.ports import OperationKind
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.health import Alert
from qsuite_console.model.operations import Outcome, Proposal
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.metrics.alerts import AlertBook
    from qsuite_console.workers import Services

LONGEST_MINUTES: Final = 30 * 24 * 60
Subject = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=80,
        title="Alert",
        description="an alert, or a source: all of its alerts",
        examples=["postgresql.connections"],
    ),
]


class AlertParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which alert, by its rule ("host.cpu"), or all of a source ("host")."""

    alert: Subject


class SilenceParameters(AlertParameters, frozen=True, kw_only=True):
    """For how long, and why."""

    minutes: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_MINUTES, description="for how many minutes")] = 60.0
    reason: Annotated[str, msgspec.Meta(max_length=200, description="why, for the others")] = ""


class _Operation:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._clock = services.clock

    @property
    def _book(self) -> AlertBook:
        if self._services.monitoring is None:
            raise ConsoleError("nothing is watched here", hint="an engine that samples has alerts")
        return self._services.monitoring.book


class Acknowledge(_Operation):
    """Takes an alert."""

    kind = OperationKind(
        name="alerts.acknowledge",
        title="Acknowledge alert",
        help="Say that you look after an alert: it burns on, quietly, under your name.",
        parameters=AlertParameters,
        changes_target=False,
    )

    async def propose(self, parameters: AlertParameters) -> Proposal:
        """Name what would be taken; raises NotFound where nothing has burned."""
        found = self._book.find(parameters.alert)
        return Proposal(
            operation=self.kind.name,
            title=f"Acknowledge {_named(found)}?",
            lines=tuple(alert.message for alert in found),
            do="acknowledge",
            parameters=msgspec.to_builtins(parameters),
            asks=False,
        )

    async def perform(self, parameters: AlertParameters) -> Outcome:
        """Take it; one that somebody has taken already stays theirs."""
        found = self._book.find(parameters.alert)
        changed = await self._book.acknowledge(parameters.alert, who())
        if not changed:
            by = ", ".join(sorted({clean(alert.acknowledged_by, 60) for alert in found if alert.acknowledged_by}))
            return Outcome(
                operation=self.kind.name, is_done=False, message=f"{_named(found)}: acknowledged already by {by}"
            )
        over = [alert for alert in changed if alert.cleared_at is not None]
        lines = tuple(f"{alert.title} had cleared at {_time(alert.cleared_at)}" for alert in over)
        return Outcome(
            operation=self.kind.name,
            is_done=True,
            message=f"{_named(changed)}: acknowledged",
            lines=lines,
            figures={"alerts": [alert.id for alert in changed]},
        )


class Silence(_Operation):
    """Keeps an alert, or all of a source, quiet for a while."""

    kind = OperationKind(
        name="alerts.silence",
        title="Silence alert",
        help="Keep an alert, or all alerts of a source, quiet for a while; they stay visible.",
        parameters=SilenceParameters,
        changes_target=False,
    )

    async def propose(self, parameters: SilenceParameters) -> Proposal:
        """Name what would be quiet, and for how long; raises NotFound for what is no alert and no source."""
        self._book.check_subject(parameters.alert)
        return Proposal(
            operation=self.kind.name,
            title=f"Silence {clean(parameters.alert, 80)} for {minutes_text(parameters.minutes)}?",
            lines=("It stays visible and is recorded; it does not call for anybody.",),
            do="silence it",
            parameters=msgspec.to_builtins(parameters),
            asks=False,
        )

    async def perform(self, parameters: SilenceParameters) -> Outcome:
        """Silence it from now on."""
        reason = clean(parameters.reason.strip(), 200)
        silence = await self._book.silence(parameters.alert, parameters.minutes, who(), reason)
        return Outcome(
            operation=self.kind.name,
            is_done=True,
            message=f"{silence.subject} is silenced for {minutes_text(parameters.minutes)}",
            figures={"until": silence.until.isoformat(), "subject": silence.subject},
        )


class Unsilence(_Operation):
    """Ends a silence."""

    kind = OperationKind(
        name="alerts.unsilence",
        title="End silence",
        help="Let an alert, or the alerts of a source, call again.",
        parameters=AlertParameters,
        changes_target=False,
    )

    async def propose(self, parameters: AlertParameters) -> Proposal:
        """Name the silences that would end; raises NotFound where there is none."""
        found = [
            one for one in self._book.silences() if parameters.alert == one.subject or one.covers(parameters.alert)
        ]
        if not found:
            self._book.check_subject(parameters.alert)
        return Proposal(
            operation=self.kind.name,
            title=f"End the silence of {clean(parameters.alert, 80)}?",
            lines=tuple(f"{one.subject}, by {one.by}: {one.reason or 'no reason given'}" for one in found),
            do="end it",
            parameters=msgspec.to_builtins(parameters),
            asks=False,
        )

    async def perform(self, parameters: AlertParameters) -> Outcome:
        """End it; raises NotFound where there is none."""
        ended = await self._book.unsilence(parameters.alert)
        names = ", ".join(one.subject for one in ended)
        return Outcome(
            operation=self.kind.name,
            is_done=True,
            message=f"{names}: no longer silenced",
            figures={"subjects": [one.subject for one in ended]},
        )


def minutes_text(minutes: float) -> str:
    """Return how long a silence lasts: 45 s, 15 min, 4 h, 2 d 12 h."""
    if minutes < 1:
        return f"{minutes * 60:.0f} s"
    whole = round(minutes)
    parts = ((whole // 1440, "d"), (whole % 1440 // 60, "h"), (whole % 60, "min"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def _named(alerts: Sequence[Alert]) -> str:
    names: Iterable[str] = (alert.id for alert in alerts)
    return alerts[0].id if len(alerts) == 1 else f"{len(alerts)} alerts ({', '.join(names)})"


def _time(at: datetime | None) -> str:
    return "" if at is None else f"{at:%H:%M:%S} UTC"
