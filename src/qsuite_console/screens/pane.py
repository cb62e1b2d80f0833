"""One tab of a screen: what shows the answer of its probe, and a frame that is the same everywhere.

That an answer loads, is empty, stale, refused or can't be read in part, and what it costs, is shown by the frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar, cast

import msgspec
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from qsuite_console import commands
from qsuite_console.engine.state import ConsoleState
from qsuite_console.model.text import clean
from qsuite_console.screens.questions import Question
from qsuite_console.screens.standing import Kind, Standing, blank, info, note, standing
from qsuite_console.widgets.status_bar import reading_of

if TYPE_CHECKING:
    from qsuite_console.screens.panes import PaneScreen

A = TypeVar("A", bound=msgspec.Struct)
FILTER_SHOWN: Final = 24  # characters of a filter beside the tabs
RETRY_S: Final = 1.0  # after a failure: a server that is back is shown within two seconds


def contains(text: str, *fields: object) -> bool:
    """Return whether every word of a filter is somewhere in the fields, whatever the case."""
    there = " ".join(str(field) for field in fields).lower()
    return all(word in there for word in text.lower().split())


class Pane(Vertical, Generic[A]):
    """One tab. Subclasses name their probe and override ``compose_pane`` and ``show_answer``.

    ``KIND`` is the struct the probe answers with; its fields ``unread`` and ``cost_ms``, where it has them, are shown
    by the frame. A pane without a probe shows the console's state: it overrides ``show_state``.
    """

    NAME: ClassVar[str] = ""  # as it is typed after the screen's verb
    TITLE: ClassVar[str] = ""
    PROBE: ClassVar[str] = ""
    KIND: ClassVar[type[msgspec.Struct]] = msgspec.Struct
    PERIOD_S: ClassVar[float] = 2.0
    EMPTY: ClassVar[str] = "Nothing here"
    FILTER: ClassVar[str] = ""  # what a filter is about ("words of the query"); "" has no filter
    SOURCE: ClassVar[str] = ""  # the reading whose silence makes it stale; "" is the screen's
    SCOPE: ClassVar[str] = ""  # of keys of its own

    DEFAULT_CSS = """
    Pane { height: 1fr; width: 1fr; }
    Pane > .pane--note { height: auto; max-height: 5; padding: 0 1; display: none; }
    Pane > .pane--blank { height: 1fr; width: 1fr; padding: 1 2; content-align: center middle; text-align: center; }
    Pane > .pane--content { height: 1fr; width: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__(id=self.NAME)
        self.question: Question[A] = Question(
            self.PROBE, cast("type[A]", self.KIND), self.PERIOD_S, slack_s=0.3, retry_s=RETRY_S
        )
        self.text = ""  # the filter
        self._note, self._blank = Static(classes="pane--note"), Static(classes="pane--blank")
        self._content = Vertical(classes="pane--content")
        self._shown: tuple[Content, Content | None] | None = None

    # to override

    def parameters(self) -> Mapping[str, Any]:
        """Return what the probe is asked about; another subject than last time is asked about at once."""
        return {}

    def compose_pane(self) -> ComposeResult:
        """Yield what shows the answer."""
        yield from ()

    def show_answer(self, answer: A, now: datetime) -> None:
        """Show an answer: a new one, or the same a second later or in another size; repaint only what differs."""

    def show_state(self, state: ConsoleState, now: datetime) -> None:
        """Show what the console knows without asking; called for each new state and every second."""

    def has_nothing(self, answer: A) -> bool:
        """Return whether there is nothing to show: ``EMPTY``, or what could not be read, stands there instead."""
        return False

    def further(self) -> Iterable[tuple[Question[Any], Mapping[str, Any]]]:
        """Yield questions beside the pane's own that are asked while it is seen; answers lead to ``show_answer``."""
        yield from ()

    def filtered(self) -> None:
        """Take another filter; ``text`` is the new one."""
        self.ask_due()
        self.refresh_pane()

    def holds(self, condition: str) -> bool:
        """Return whether a command's ``when`` is true now."""
        return True

    def back(self) -> bool:
        """Leave a layer of the pane's own (a detail); False: there is none."""
        return False

    # the frame

    @property
    def paned(self) -> PaneScreen:
        """Return the screen, by its type."""
        return cast("PaneScreen", self.screen)

    @property
    def answer(self) -> A | None:
        """Return the newest answer."""
        return self.question.answer

    def compose(self) -> ComposeResult:
        """Note, then content or what stands in its place."""
        yield self._note
        yield self._blank
        with self._content:
            yield from self.compose_pane()

    def on_mount(self) -> None:
        """Show at once what is known."""
        self.refresh_pane()

    def on_resize(self) -> None:
        """Draw again in the new size."""
        self.call_after_refresh(self.refresh_pane)

    def standing(self, now: datetime) -> Standing:
        """Return how the answer stands."""
        if not self.PROBE:
            return Standing(Kind.FRESH)
        source = self.SOURCE or self.paned.SOURCE
        return standing(self.question, reading_of(self.paned.state, source), now)

    def info(self, now: datetime) -> Content:
        """Return the filter that is in force, cost and age, for the end of the tab line."""
        told = info(self.standing(now), getattr(self.answer, "cost_ms", None)) if self.PROBE else Content("")
        if not self.text:
            return told
        return Content.assemble((f"/{clean(self.text, FILTER_SHOWN)}", "$primary bold"), "  " if told else "", told)

    def ask_due(self) -> None:
        """Ask what it is time to ask."""
        if self.PROBE:
            self.paned.feed.ask(self.question, self.parameters())
        for question, parameters in self.further():
            self.paned.feed.ask(question, parameters)

    def reload(self) -> None:
        """Ask everything again now."""
        for question in (self.question, *(question for question, _ in self.further())):
            question.again()
        self.ask_due()

    def refresh_pane(self) -> None:
        """Bring everything up to date."""
        if not self.is_mounted:
            return
        now = self.paned.now
        self.refresh_note(now)
        if not self.PROBE:
            self.show_state(self.paned.state, now)
        elif self._content.display and self.answer is not None:
            self.show_answer(self.answer, now)

    def refresh_note(self, now: datetime) -> None:
        """Say how the answer stands; repaints only when that differs."""
        state, answer = self.standing(now), self.answer
        unread = getattr(answer, "unread", ())
        is_blank = bool(self.PROBE) and (answer is None or self.has_nothing(answer))
        over = note(state, () if is_blank else unread)
        inside = blank(Standing(Kind.FRESH) if answer is not None else state, unread, self.EMPTY) if is_blank else None
        if (over, inside) == self._shown:
            return
        self._shown = (over, inside)
        self._note.display = bool(over.plain)
        self._note.update(over)
        self._blank.display, self._content.display = is_blank, not is_blank
        if inside is not None:
            self._blank.update(inside)

    @property
    def parts(self) -> list[Widget]:
        """Return what can have the focus, in order."""
        return [widget for widget in self._content.query("*") if widget.focusable and widget.region]

    def focus_first(self) -> None:
        """Give the focus to the first part."""
        parts = self.parts
        if parts and self.display and self.screen.focused not in parts:
            parts[0].focus()

    def on_live_table_moved(self) -> None:
        """Dim and light the keys that depend on the row."""
        self.screen.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim the keys whose condition doesn't hold."""
        condition = commands.condition(self.SCOPE, action, parameters) if self.SCOPE else ""
        return True if not condition or self.holds(condition) else None
