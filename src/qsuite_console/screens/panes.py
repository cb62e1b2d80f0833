"""Screens made of panes: tabs, one pane at a time, and of each pane what is the same everywhere.

A pane asks its probe while it is seen and shows the answer; that it loads, is empty, stale, refused or can't be read in
part, and what it costs, is shown by the frame here. Panes are made when they are first looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, Generic, TypeVar, cast

import msgspec
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from qsuite_console import commands
from qsuite_console.engine.state import ConsoleState
from qsuite_console.model.errors import UsageProblem
from qsuite_console.model.text import clean
from qsuite_console.screens.base import ConsoleScreen
from qsuite_console.screens.questions import Feed, Question
from qsuite_console.screens.standing import Kind, Standing, blank, info, note, standing
from qsuite_console.widgets.filter_bar import FilterBar
from qsuite_console.widgets.status_bar import reading_of
from qsuite_console.widgets.tab_line import TabLine

__all__ = ["Feed", "Pane", "PaneScreen", "Question", "contains"]

A = TypeVar("A", bound=msgspec.Struct)
LOOK_S: Final = 0.2  # between looks at what is due and what grew stale
RETRY_S: Final = 1.0  # after a failure: a server that is back is shown within two seconds
FILTER_MOST: Final = 80


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
        """Return cost and age, for the end of the tab line."""
        if not self.PROBE:
            return Content("")
        return info(self.standing(now), getattr(self.answer, "cost_ms", None))

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


class PaneScreen(ConsoleScreen):
    """A screen whose body is one of ``PANES``; subclasses name them, and the reading they depend on."""

    PANES: ClassVar[tuple[type[Pane[Any]], ...]] = ()
    SOURCE: ClassVar[str] = ""
    AUTO_FOCUS = ""  # the pane gives the focus to its first part, once it has something to show

    def __init__(self) -> None:
        super().__init__()
        self.feed = Feed(self, self._take_answer)
        self._names = [pane.NAME for pane in self.PANES]
        self._current = 0
        self._left_out: frozenset[str] = frozenset()
        self._tabs = TabLine([pane.TITLE for pane in self.PANES], id="tabs")
        self._body = Vertical(id="panes")

    def compose_body(self) -> ComposeResult:
        """Tabs, the pane, the filter."""
        yield self._tabs
        with self._body:
            if self.PANES:
                yield self.PANES[0]()
        yield FilterBar("", id="filter")

    def on_mount(self) -> None:
        """Look five times a second for what is due; keys go to what came with an answer as soon as it has its place."""
        super().on_mount()
        self.screen_layout_refresh_signal.subscribe(self, self._laid_out)
        self.set_interval(LOOK_S, self._look)
        self.call_after_refresh(self._look)

    @property
    def pane(self) -> Pane[Any] | None:
        """Return the pane that is seen."""
        return self._pane(self._current)

    def _pane(self, index: int) -> Pane[Any] | None:
        return self._body.query_one_optional(f"#{self._names[index]}", Pane) if self._names else None

    # news

    def _look(self) -> None:
        pane = self.pane
        if pane is None or self not in self.app.screen_stack:
            return
        now = self.now
        pane.ask_due()
        with self.app.batch_update():
            pane.refresh_note(now)
            self._tabs.show(self._current, pane.info(now))

    def _laid_out(self, screen: Screen[object]) -> None:
        pane = self.pane
        if self.focused is None and pane is not None:
            pane.focus_first()

    def _take_answer(self, question: Question[Any]) -> None:
        pane = self.pane
        if pane is not None:
            with self.app.batch_update():
                pane.refresh_pane()
                self._tabs.show(self._current, pane.info(self.now))
            self.refresh_bindings()

    def show(self, state: ConsoleState) -> None:
        """Give the state to the pane that shows it."""
        if (pane := self.pane) is not None and not pane.PROBE:
            pane.refresh_pane()

    def tick(self, now: datetime) -> None:
        """Let ages grow."""
        if (pane := self.pane) is not None:
            pane.refresh_pane()
            self._tabs.show(self._current, pane.info(now))

    # going to a pane

    async def _open(self, index: int) -> None:
        if not self._names:
            return
        if self._pane(index) is None:
            await self._body.mount(self.PANES[index]())
        self._current = index
        for number in range(len(self._names)):
            if (pane := self._pane(number)) is not None:
                pane.display = number == index
        self.set_focus(None)
        self._look()
        if (pane := self.pane) is not None:
            pane.refresh_pane()
            pane.call_after_refresh(pane.focus_first)
        self.refresh_bindings()

    async def turn_to(self, pane: str, text: str = "") -> None:
        """Show a pane by its name with a filter; an unknown one stays on the one that is seen."""
        if pane in self._names:
            await self._open(self._names.index(pane))
        self._use_filter(text)

    async def take(self, command: commands.Command, argument: str) -> None:
        """Go where ``:database activity postgres`` leads: a pane's name, or its beginning, then a filter."""
        if command.id != f"go.{self.SCOPE}":
            await super().take(command, argument)
            return
        name, _, text = argument.partition(" ")
        found = [known for known in self._names if known.startswith(name.lower())]
        if not found:
            names = ", ".join(self._names)
            self.tell_error(UsageProblem(f"{command.title} has no pane {clean(name, 40)!r}", hint=f"known: {names}"))
            return
        await self.turn_to(found[0], text.strip())

    def leave_out(self, names: Iterable[str]) -> None:
        """Keep panes out of the tab line that have nothing to show here; typed, they still open and say why."""
        if (left_out := frozenset(names)) == self._left_out:
            return
        self._left_out = left_out
        self._tabs.leave_out(frozenset(self._names.index(name) for name in self._left_out))

    async def on_tab_line_chosen(self, message: TabLine.Chosen) -> None:
        """Show the pane whose tab was clicked."""
        await self._open(message.index)

    async def action_step(self, by: int) -> None:
        """Show the next or previous pane."""
        here = [index for index, name in enumerate(self._names) if name not in self._left_out or index == self._current]
        if here:
            await self._open(here[(here.index(self._current) + by) % len(here)])

    def action_part(self) -> None:
        """Focus the next part of the pane."""
        parts = self.pane.parts if self.pane is not None else []
        if parts:
            here = parts.index(self.focused) if self.focused in parts else -1
            parts[(here + 1) % len(parts)].focus()

    def action_reload(self) -> None:
        """Read the pane again now."""
        if self.pane is not None:
            self.pane.reload()
            self.tell(f"Reading {self.pane.TITLE.lower()} again")

    def action_back(self) -> None:
        """Leave a layer of the pane, then drop the filter, then the page."""
        pane = self.pane
        if pane is not None and pane.back():
            return
        if pane is not None and pane.text:
            self._use_filter("")
        else:
            super().action_back()

    def holds(self, condition: str) -> bool:
        """Return whether a command's ``when`` is true now."""
        pane = self.pane
        if condition == "filter":
            return pane is not None and bool(pane.FILTER)
        if condition == "panes":
            return len(self._names) > 1
        if condition == "parts":
            return pane is not None and len(pane.parts) > 1
        return super().holds(condition)

    # filter

    def action_filter(self) -> None:
        """Edit the filter."""
        if self.pane is not None:
            self.query_one(FilterBar).open(self.pane.text, placeholder=self.pane.FILTER)

    def on_filter_bar_changed(self, message: FilterBar.Changed) -> None:
        """Filter while it is typed."""
        self._use_filter(message.text)

    def on_filter_bar_closed(self, message: FilterBar.Closed) -> None:
        """Go back to the pane."""
        self._use_filter(message.text)
        if self.pane is not None:
            self.set_focus(None)
            self.pane.focus_first()

    def _use_filter(self, text: str) -> None:
        pane, text = self.pane, text.strip()[:FILTER_MOST]
        if pane is not None and text != pane.text and (pane.FILTER or not text):
            pane.text = text
            pane.filtered()
