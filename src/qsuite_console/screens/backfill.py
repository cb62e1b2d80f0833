"""Plan a backfill, see what is stored, watch what runs: three panels, side by side where there is room.

In a small terminal one of the three is shown at a time; f, m and w choose it, ctrl+t goes round while typing.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Final

from textual import events, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget

from qsuite_console import commands
from qsuite_console.engine.state import ConsoleState
from qsuite_console.model.events import AnyEvent, JobChanged
from qsuite_console.model.jobs import LIVE, Job, JobAction, JobState
from qsuite_console.screens import acting
from qsuite_console.screens.backfill_form import FormPane
from qsuite_console.screens.backfill_map import MapPane
from qsuite_console.screens.backfill_run import KIND, RunPane
from qsuite_console.screens.base import ConsoleScreen
from qsuite_console.widgets.keys import key_of

VIEWS: Final = ("form", "map", "run")
WIDE, TALL = 100, 32  # from this size on all three are shown


class ViewBar(Widget):
    """Which of the three panels is shown."""

    DEFAULT_CSS = """
    ViewBar { height: 1; width: 1fr; padding: 0 1; }
    """
    TITLES: ClassVar[dict[str, str]] = {"form": "Form", "map": "Map", "run": "Run"}

    def __init__(self) -> None:
        super().__init__(id="views")
        self._view = VIEWS[0]
        self._live = 0

    def show(self, view: str, running: int) -> None:
        """Mark the view shown; say how many backfills run."""
        if (view, running) != (self._view, self._live):
            self._view, self._live = view, running
            self.refresh()

    def render(self) -> Content:
        """Draw the three titles."""
        return Content(" ").join([self._title(view) for view in self.TITLES])

    def _title(self, view: str) -> Content:
        title = f"{self.TITLES[view]} ▶ {self._live}" if view == "run" and self._live else self.TITLES[view]
        if view == self._view:
            return Content.styled(f" {title} ", "bold $block-cursor-foreground on $block-cursor-background")
        key = key_of(self, f"backfill.{view}")
        return Content.assemble(" ", (key, "bold $footer-key-foreground"), (f" {title} ", "$dim"))

    def on_click(self, event: events.Click) -> None:
        """Choose with the mouse as well."""
        at = 1
        for view in self.TITLES:
            width = self._title(view).cell_length
            if at <= event.x < at + width and isinstance(self.screen, BackfillScreen):
                self.screen.action_view(view)
                return
            at += width + 1


class BackfillScreen(acting.JobActions, ConsoleScreen):
    """Form and plan, coverage map, live run."""

    SCOPE = "backfill"
    AUTO_FOCUS = ""  # the form takes the focus once it is made; until then nothing that is typed goes anywhere else
    CSS_PATH = "backfill.tcss"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("backfill")
    BINDING_GROUP_TITLE = commands.SCOPES["backfill"]

    def __init__(self) -> None:
        super().__init__()
        self._view = VIEWS[0]
        self._views = ViewBar()
        self._form, self._map, self._run_pane = FormPane(id="form"), MapPane(id="map"), RunPane(id="run")

    def compose_body(self) -> ComposeResult:
        """Three panels; the style sheet decides which are seen."""
        yield self._views
        with Vertical(id="body"):
            with Horizontal(id="top"):
                yield self._form
                yield self._map
            yield self._run_pane

    def on_mount(self) -> None:
        """Show the form first."""
        super().on_mount()
        self._run_pane.load()
        self._show_view()

    def on_resize(self, event: events.Resize) -> None:
        """Show all three where they fit."""
        self.set_class(event.size.width < WIDE or event.size.height < TALL, "-single")

    @property
    def is_single(self) -> bool:
        """Return whether one panel is shown at a time."""
        return self.has_class("-single")

    # news

    def show(self, state: ConsoleState) -> None:
        """Feed the run with the newest progress."""
        run = self._run_pane
        run.take(job for job in state.running if job.kind == KIND)
        self._views.show(self._view, sum(job.state is JobState.RUNNING for job in run.runs))
        self._map.follow(run.jobs)

    def follow(self, events: tuple[AnyEvent, ...], *, is_whole: bool) -> None:
        """Take what started and ended; read the map again when data has changed."""
        run = self._run_pane
        if is_whole:
            run.load()
            return
        changed = [event.job for event in events if isinstance(event, JobChanged) and event.job.kind == KIND]
        if changed:
            run.take(changed)
            self._map.follow(run.jobs)
            if any(job.state not in LIVE for job in changed):
                self._map.load()
                self._form.refresh_plan()

    def tick(self, now: datetime) -> None:
        """Count seconds where something is waited for."""
        self._form.tick()
        self._map.tick()

    def on_form_pane_scoped(self, event: FormPane.Scoped) -> None:
        """Show the coverage of what the form is about."""
        self._map.scope(event.table, event.timeframe)

    def on_form_pane_submitted(self, event: FormPane.Submitted) -> None:
        """Watch what was started."""
        self._run_pane.choose(event.receipt.job_id)
        self.action_view("run")

    def on_map_pane_queued(self, event: MapPane.Queued) -> None:
        """Watch it, without leaving the map."""
        self._run_pane.choose(event.receipt.job_id)

    # views

    def _show_view(self) -> None:
        for view in VIEWS:
            self.set_class(view == self._view, f"-view-{view}")
        running = sum(job.state is JobState.RUNNING for job in self._run_pane.runs)
        self._views.show(self._view, running)

    def action_view(self, view: str) -> None:
        """Show a panel and give it the focus."""
        self._view = view
        self._show_view()
        if view == "map":
            self._map.grid.focus()
        elif view == "run":
            self._run_pane.focus()
        elif (fields := self._form.fields) is not None:
            fields.focus_field()
        self.refresh_bindings()

    def action_next_view(self) -> None:
        """Show the next panel."""
        self.action_view(VIEWS[(VIEWS.index(self._view) + 1) % len(VIEWS)])

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Know which panel the operator is in."""
        inside = next((node.id for node in event.widget.ancestors_with_self if node.id in VIEWS), None)
        if inside is not None and inside != self._view and not self.is_single:
            self._view = inside
            self._show_view()
        self.refresh_bindings()

    def action_back(self) -> None:
        """Clear the map's filter, or go back to the form."""
        if self._view == "map" and self._map.clear_filter():
            return
        if self._view != "form":
            self.action_view("form")

    # acting

    def holds(self, condition: str) -> bool:
        """Return whether a command is possible now."""
        run = self._run_pane
        name, _, view = condition.partition(":")
        match name:
            case "form":
                return self._view == "form"
            case "other":
                return self._view != view
            case "several":
                return len(run.runs) > 1
        return self.can(condition) if condition in acting.ACTIONS else True

    def action_start(self) -> None:
        """Start what the form describes."""
        self._form.start()

    def action_dates(self, steps: int) -> None:
        """Take the next range of dates."""
        self._form.step_dates(steps)

    def action_reload(self) -> None:
        """Read everything anew."""
        form = self._form
        if form.fields is None:
            form.load()
        else:
            form.refresh_plan()
        self._map.load()
        self._run_pane.load()

    def action_next_run(self) -> None:
        """Show the next live backfill."""
        self._run_pane.next_run()

    def selected(self) -> list[Job]:
        """Return the backfill shown."""
        job = self._run_pane.current
        return [job] if job is not None else []

    @work(group="act")
    async def action_act(self, name: str) -> None:
        """Pause, resume or cancel the backfill shown."""
        await acting.act(self, JobAction(name), self.selected())
