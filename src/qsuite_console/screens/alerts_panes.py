"""The panes of the Alerts screen: what burns, what burned, what is silenced, the rules in force.

Under each list stands the line under the cursor in full; of an alert also its value over time with its limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content

from qsuite_console.engine.state import ConsoleState
from qsuite_console.model.alerts import AlertPage, RuleList, RuleView, Silence, SilenceList
from qsuite_console.model.health import Alert, Figure
from qsuite_console.model.series import Series
from qsuite_console.screens.panes import Pane, Question, contains
from qsuite_console.widgets import alert_rows, figures, frames
from qsuite_console.widgets.entry_table import EntryTable
from qsuite_console.widgets.live_table import Key, Row
from qsuite_console.widgets.plot import Plot
from qsuite_console.widgets.series_plot import between_limits
from qsuite_console.widgets.status_bar import reading_of
from qsuite_console.widgets.text_view import TextView

PAGE: Final = 200
_BEFORE_S: Final = 600.0  # of a curve, before its alert fired
_LEAST_S: Final = 900.0
_MOST_S: Final = 7 * 86_400.0
_AFTER_S: Final = 300.0
_STEP_S: Final = 60.0  # by which the window grows while an alert burns: another window is another question


class AlertPane(Pane[AlertPage]):
    """A list of alerts over the facts and the curve of the one under the cursor."""

    KIND = AlertPage
    FILTER = "words of the message, the source, the level, who took it"
    DEFAULT_CSS = """
    AlertPane EntryTable { height: 1fr; min-height: 4; }
    AlertPane .alerts--lower { height: 50%; min-height: 9; max-height: 18; }
    AlertPane TextView { width: 44%; }
    AlertPane Plot { width: 1fr; height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.table = EntryTable[Alert](alert_rows.ALERT_COLUMNS, self._row, id=f"{self.NAME}-alerts")
        self._facts = TextView(id=f"{self.NAME}-facts", classes="panel")
        self._plot = Plot(id=f"{self.NAME}-plot", empty="Nothing recorded of that time")
        self._plot.add_class("panel")
        self._series: Question[Series] = Question("metrics.series", Series, 5.0)

    def compose_pane(self) -> ComposeResult:
        """List above, facts and curve below."""
        yield self.table
        with Horizontal(classes="alerts--lower"):
            yield self._facts
            yield self._plot

    @property
    def selected(self) -> Alert | None:
        """Return the alert under the cursor."""
        return self.table.entry

    def further(self) -> Iterable[tuple[Question[Any], Mapping[str, Any]]]:
        """Yield the curve of the alert under the cursor."""
        alert = self.selected
        if alert is not None:
            yield self._series, window(alert, self.paned.now)

    def on_live_table_moved(self) -> None:
        """Show another one in full."""
        super().on_live_table_moved()
        self.ask_due()
        self._show_selected(self.paned.now)

    def _row(self, alert: Alert) -> Row:
        return alert_rows.alert_row(alert, self.paned.now, self.paned.console.zone)

    def show_alerts(self, alerts: Iterable[Alert], now: datetime) -> None:
        """Show these alerts, in this order."""
        self.table.show({key_of(alert): alert for alert in alerts})
        self._show_selected(now)

    def _show_selected(self, now: datetime) -> None:
        alert = self.selected
        if alert is None:
            self._facts.show(Content.styled("No alert is selected", "$dim"))
            self._plot.show(())
            return
        newest = newest_of(self.paned.state, alert.id)
        zone = self.paned.console.zone
        self._facts.show(lambda width: alert_rows.alert_facts(alert, newest, now, zone, width))
        answer = self._series.answer
        line = answer.lines[0] if answer is not None and answer.lines else None
        if line is not None and line.name == alert.id and answer is not None:
            self._plot.show(between_limits(line, answer.start, answer.end), unit=line.unit)
            frames.caption(self._plot, Content(f"{line.title}"[:60]))
        elif not self._series.is_waiting:
            self._plot.show(())


class OpenPane(AlertPane):
    """What burns, loud or quiet, then what ended lately; straight from the console's state."""

    NAME, TITLE = "open", "Open"

    def show_state(self, state: ConsoleState, now: datetime) -> None:
        """Show the state's alerts that match the filter."""
        alerts = state.snapshot.alerts
        found = [alert for alert in alerts if matches(alert, self.text)]
        is_measured = state.snapshot.at is not None
        nothing = "Nothing burns, and nothing burned lately" if is_measured else "Nothing has been measured yet"
        self.table.empty = f"No alert matches “{self.text}”" if alerts and self.text else nothing
        self.show_alerts(found, now)


class HistoryPane(AlertPane):
    """Everything that burned, newest first; older pages are read as the cursor nears the end."""

    NAME, TITLE, PROBE, PERIOD_S = "history", "History", "alerts.history", 5.0
    EMPTY = "No alert has burned here yet"

    def __init__(self) -> None:
        super().__init__()
        self._older: Question[AlertPage] = Question("alerts.history", AlertPage, 1e9)
        self._pages: dict[str, AlertPage] = {}  # where a page begins -> the page
        self._before = ""

    def parameters(self) -> Mapping[str, Any]:
        """Return what the newest page is asked with."""
        return {"text": self.text, "limit": PAGE}

    def further(self) -> Iterable[tuple[Question[Any], Mapping[str, Any]]]:
        """Yield the next older page, when it is wanted."""
        yield from super().further()
        if self._before:
            yield self._older, {"text": self.text, "limit": PAGE, "before": self._before}

    def filtered(self) -> None:
        """Begin again at the newest page."""
        self._pages, self._before = {}, ""
        super().filtered()

    def on_live_table_tail_reached(self) -> None:
        """Read the next older page."""
        last = list(self._pages.values())[-1] if self._pages else self.answer
        if last is not None and last.next_before and self._before not in ("", *self._pages):
            return  # one is being read
        if last is not None and last.next_before:
            self._before = last.next_before
            self.ask_due()

    def has_nothing(self, answer: AlertPage) -> bool:
        """Return whether nothing ever burned; a filter without a match keeps its list."""
        return not answer.alerts and not self.text

    def show_answer(self, answer: AlertPage, now: datetime) -> None:
        """Show the newest page and the older ones that were read."""
        if self._before and self._older.answer is not None and not self._older.is_waiting:
            self._pages[self._before] = self._older.answer
        self.table.empty = f"No alert matches “{self.text}”"
        pages = (answer, *self._pages.values())
        self.show_alerts((alert for page in pages for alert in page.alerts), now)
        is_all = not pages[-1].next_before
        number = len(self.table.keys)
        frames.caption(self.table, Content(f"{figures.plural(number, 'alert')}{'' if is_all else ', older below'}"))


class SilencesPane(Pane[SilenceList]):
    """What is quiet, until when and why."""

    NAME, TITLE, PROBE, KIND = "silences", "Silences", "alerts.silences", SilenceList
    FILTER = "words of what is silenced, by whom, why"
    EMPTY = "Nothing is silenced · s on an open alert keeps it quiet for a while"

    def __init__(self) -> None:
        super().__init__()
        self.table = EntryTable[Silence](alert_rows.SILENCE_COLUMNS, self._row, id="silenced")

    def compose_pane(self) -> ComposeResult:
        """Only a list."""
        yield self.table

    @property
    def selected(self) -> Silence | None:
        """Return the silence under the cursor."""
        return self.table.entry

    def _row(self, silence: Silence) -> Row:
        return alert_rows.silence_row(silence, self.paned.now, self.paned.console.zone)

    def has_nothing(self, answer: SilenceList) -> bool:
        """Return whether nothing is silenced."""
        return not answer.silences

    def show_answer(self, answer: SilenceList, now: datetime) -> None:
        """Show those that match the filter and are not over."""
        self.table.empty = f"No silence matches “{self.text}”"
        self.table.show(
            {
                one.subject: one
                for one in answer.silences
                if one.until > now and contains(self.text, one.subject, one.by, one.reason)
            }
        )


class RulesPane(Pane[RuleList]):
    """The thresholds in force, with what they compare now."""

    NAME, TITLE, PROBE, KIND = "rules", "Rules", "alerts.rules", RuleList
    FILTER = "words of a rule"
    DEFAULT_CSS = """
    RulesPane EntryTable { height: 1fr; min-height: 4; }
    RulesPane TextView { height: 10; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.table = EntryTable[RuleView](alert_rows.RULE_COLUMNS, alert_rows.rule_row, id="rule-list")
        self._facts = TextView(id="rule-facts", classes="panel")

    def compose_pane(self) -> ComposeResult:
        """List above, one rule in full below."""
        yield self.table
        yield self._facts

    @property
    def selected(self) -> RuleView | None:
        """Return the rule under the cursor."""
        return self.table.entry

    def on_live_table_moved(self) -> None:
        """Show another one in full."""
        super().on_live_table_moved()
        self._show_selected()

    def show_answer(self, answer: RuleList, now: datetime) -> None:
        """Show those that match the filter."""
        self.table.empty = f"No rule matches “{self.text}”"
        self.table.show(
            {rule.id: rule for rule in answer.rules if contains(self.text, rule.id, rule.title, rule.about)}
        )
        changed = sum(bool(rule.changed) for rule in answer.rules)
        frames.caption(self.table, Content(f"{len(answer.rules)} rules, {changed} changed (*)"))
        self._show_selected()

    def _show_selected(self) -> None:
        rule = self.selected
        self._facts.show(Content("") if rule is None else lambda width: alert_rows.rule_facts(rule, width))


def key_of(alert: Alert) -> Key:
    """Return what tells alerts apart: the rule and when it fired."""
    return f"{alert.id} {alert.since.isoformat()}"


def matches(alert: Alert, text: str) -> bool:
    """Return whether an alert matches a filter, as it is shown."""
    word = alert_rows.look_of(alert).word
    return contains(text, alert.id, alert.level, word, alert.message, alert.acknowledged_by or "")


def newest_of(state: ConsoleState, rule_id: str) -> Figure | None:
    """Return the figure a rule is about, as it was measured last."""
    source, _, name = rule_id.partition(".")
    reading = reading_of(state, source)
    if reading is None:
        return None
    return next((one for one in (reading.headline, *reading.figures) if one.name == name), None)


def window(alert: Alert, now: datetime) -> Mapping[str, Any]:
    """Return what the curve around an alert is asked with: from before it fired to after it cleared."""
    end = now if alert.cleared_at is None else min(now, alert.cleared_at + timedelta(seconds=_AFTER_S))
    wanted_s = max(_LEAST_S, (end - alert.since).total_seconds() + _BEFORE_S)
    parameters: dict[str, Any] = {
        "names": [alert.id],
        "window_s": min(_MOST_S, -(-wanted_s // _STEP_S) * _STEP_S),
        "points": 200,
        "marks": False,
    }
    is_over = alert.cleared_at is not None and end < now
    return parameters | {"end": end.isoformat()} if is_over else parameters


PANES: Final[tuple[type[Pane[Any]], ...]] = (OpenPane, HistoryPane, SilencesPane, RulesPane)
