"""What burns and what burned: look at it, go to its cause, take it, silence it."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.model.alerts import RuleView, Silence
from qsuite_console.model.deliveries import Delivery
from qsuite_console.model.health import Alert
from qsuite_console.model.text import clean
from qsuite_console.screens import causes
from qsuite_console.screens.alerts_panes import PANES, AlertPane
from qsuite_console.screens.deliveries import DeliveriesPane
from qsuite_console.screens.dialogs.silence import SilenceDialog
from qsuite_console.screens.operating import operate
from qsuite_console.screens.panes import Pane, PaneScreen
from qsuite_console.widgets.alert_rows import snippet
from qsuite_console.widgets.live_table import LiveTable


class AlertsScreen(PaneScreen):
    """The panes of the alerts."""

    SCOPE = "alerts"
    SOURCE = ""
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("alerts")
    BINDING_GROUP_TITLE = commands.SCOPES["alerts"]
    PANES: ClassVar[tuple[type[Pane[Any]], ...]] = (*PANES, DeliveriesPane)

    @property
    def selected(self) -> Alert | Silence | RuleView | Delivery | None:
        """Return what is under the cursor."""
        return getattr(self.pane, "selected", None)

    @property
    def subject(self) -> str:
        """Return the rule or source that an action would be about, "" without one."""
        found = self.selected
        if isinstance(found, Silence):
            return found.subject
        if isinstance(found, Delivery):
            return found.subject if found.event.startswith("alert.") else ""
        return "" if found is None else found.id

    def holds(self, condition: str) -> bool:
        """Return whether a command's ``when`` is true now."""
        found = self.selected
        if condition == "alert":
            return isinstance(found, Alert) and found.acknowledged_by is None and isinstance(self.pane, AlertPane)
        if condition == "subject":
            return bool(self.subject)
        if condition == "delivery":
            return isinstance(found, Delivery)
        if condition == "line":
            return found is not None
        if condition == "silenced":
            is_quiet = isinstance(found, Alert) and found.is_burning and found.silenced_until is not None
            return isinstance(found, Silence) or is_quiet
        return super().holds(condition)

    async def on_live_table_opened(self, message: LiveTable.Opened) -> None:
        """Go where the cause is to be seen."""
        if self.subject:
            cause = causes.cause_of(self.subject)
            await self.console.go(cause.place, pane=cause.pane, filter=cause.filter)

    def action_acknowledge(self) -> None:
        """Take the alert under the cursor."""
        self.run_worker(operate(self, "alerts.acknowledge", {"alert": self.subject}))

    def action_silence(self) -> None:
        """Ask for how long, and silence it."""
        self.run_worker(self._silence(self.subject))

    async def _silence(self, subject: str) -> None:
        if not self.may_change():
            return
        choice = await self.app.push_screen_wait(SilenceDialog(subject, self.now, self.console.zone))
        if choice is not None:
            wanted = {"alert": choice.subject, "minutes": choice.minutes, "reason": choice.reason}
            if await operate(self, "alerts.silence", wanted) and self.pane is not None:
                self.pane.reload()

    def action_unsilence(self) -> None:
        """Let it call again."""
        self.run_worker(self._unsilence(self.subject))

    async def _unsilence(self, subject: str) -> None:
        if await operate(self, "alerts.unsilence", {"alert": subject}) and self.pane is not None:
            self.pane.reload()

    def action_redeliver(self) -> None:
        """Deliver what is under the cursor again, with the same id."""
        found = self.selected
        if isinstance(found, Delivery):
            self.run_worker(self._redeliver(found.number))

    async def _redeliver(self, number: int) -> None:
        if await operate(self, "webhooks.redeliver", {"number": number}) and self.pane is not None:
            self.pane.reload()

    def action_copy(self) -> None:
        """Copy the line under the cursor: of a rule what its configuration would say."""
        found = self.selected
        if found is None:
            return
        if isinstance(found, RuleView):
            text = snippet(found)
        elif isinstance(found, Delivery):
            text = f"{found.id}  {found.created_at.isoformat()}  {found.endpoint}  {found.event}  {found.subject}"
        elif isinstance(found, Silence):
            text = f"{found.subject} silenced until {found.until.isoformat()} by {found.by}: {found.reason}"
        else:
            text = f"{found.since.isoformat()}  {found.id}  {found.level}  {found.message}"
        self.console.copy_text(clean(text, 1000, one_line=False))
        self.tell("Copied")
