"""Screens made of panes: tabs, one pane at a time, the filter, and who has the keys.

A pane asks its probe while it is seen and shows the answer. Panes are made when they are first looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, Final

from textual.app import ComposeResult
from textual.containers import Vertical

from qsuite_console import commands
from qsuite_console.engine.state import ConsoleState
from qsuite_console.model.errors import UsageProblem
from qsuite_console.model.text import clean
from qsuite_console.screens.base import ConsoleScreen
from qsuite_console.screens.pane import Pane, contains
from qsuite_console.screens.questions import Feed, Question
from qsuite_console.widgets.filter_bar import FilterBar
from qsuite_console.widgets.tab_line import TabLine

__all__ = ["Feed", "Pane", "PaneScreen", "Question", "contains"]

LOOK_S: Final = 0.2  # between looks at what is due and what grew stale
FILTER_MOST: Final = 80


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

    def _laid_out(self, _screen: object) -> None:
        if self.focused is None and (pane := self.pane) is not None:
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
            known = f"known: {', '.join(self._names)}"
            self.tell_error(UsageProblem(f"{command.title} has no pane {clean(name, 40)!r}", hint=known))
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
