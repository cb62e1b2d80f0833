"""The pane of what others were told: every delivery with how it stands, and the one under the cursor with its tries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from textual.app import ComposeResult
from textual.content import Content

from qsuite_console.model.deliveries import Delivery, DeliveryDetail, DeliveryPage, DeliveryState
from qsuite_console.model.text import clean
from qsuite_console.screens.panes import Pane, Question
from qsuite_console.widgets import delivery_rows, figures, frames
from qsuite_console.widgets.entry_table import EntryTable
from qsuite_console.widgets.live_table import Row
from qsuite_console.widgets.text_view import TextView

PAGE: Final = 200


class DeliveriesPane(Pane[DeliveryPage]):
    """The log of deliveries, newest first."""

    NAME, TITLE, PROBE, KIND = "deliveries", "Deliveries", "webhooks.log", DeliveryPage
    FILTER = "words of who is told, the event, what it is about, the error"
    EMPTY = "Nobody was told of anything yet · [webhooks.NAME] and [notify.NAME] say who is"
    DEFAULT_CSS = """
    DeliveriesPane EntryTable { height: 1fr; min-height: 4; }
    DeliveriesPane TextView { height: 50%; min-height: 8; max-height: 16; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.table = EntryTable[Delivery](delivery_rows.COLUMNS, self._row, id="delivery-list", opens=False)
        self._facts = TextView(id="delivery-facts", classes="panel")
        self._detail: Question[DeliveryDetail] = Question("webhooks.delivery", DeliveryDetail, 2.0)

    def compose_pane(self) -> ComposeResult:
        """List above, one delivery in full below."""
        yield self.table
        yield self._facts

    @property
    def selected(self) -> Delivery | None:
        """Return the delivery under the cursor."""
        return self.table.entry

    def parameters(self) -> Mapping[str, Any]:
        """Return what the log is asked with."""
        return {"text": self.text, "limit": PAGE}

    def further(self) -> Iterable[tuple[Question[Any], Mapping[str, Any]]]:
        """Yield the tries of the delivery under the cursor."""
        found = self.selected
        if found is not None:
            yield self._detail, {"number": found.number}

    def on_live_table_moved(self) -> None:
        """Show another one in full."""
        super().on_live_table_moved()
        self.ask_due()
        self._show_selected(self.paned.now)

    def has_nothing(self, answer: DeliveryPage) -> bool:
        """Return whether nobody was told of anything; a filter without a match keeps its list."""
        return not answer.deliveries and not self.text

    def show_answer(self, answer: DeliveryPage, now: datetime) -> None:
        """Show the newest deliveries."""
        self.table.empty = f"No delivery matches “{self.text}”"
        self.table.show({f"{one.number}": one for one in answer.deliveries})
        dead = sum(one.state is DeliveryState.DEAD for one in answer.deliveries)
        older = ", older ones: webhooks log" if answer.next_before is not None else ""
        said = figures.plural(len(answer.deliveries), "delivery", "deliveries")
        failing = delivery_rows.failing(answer.deliveries)
        names = f"nothing arrives at {clean(', '.join(failing), 40)} now · " if failing and not self.text else ""
        frames.caption(self.table, Content.assemble((names, "$error"), f"{said}, {dead} given up{older}"))
        self._show_selected(now)

    def _row(self, one: Delivery) -> Row:
        return delivery_rows.delivery_row(one, self.paned.now, self.paned.console.zone)

    def _show_selected(self, now: datetime) -> None:
        found = self.selected
        if found is None:
            self._facts.show(Content.styled("No delivery is selected", "$dim"))
            return
        zone, detail = self.paned.console.zone, self._detail.answer
        self._facts.show(lambda width: delivery_rows.delivery_facts(found, detail, now, zone, width))
