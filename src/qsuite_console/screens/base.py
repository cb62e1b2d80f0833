"""What every screen of the console is: a status bar, a body, the keys; fed with states and facts, ticked by the clock.

A screen overrides ``compose_body``, ``show`` (the whole state), ``follow`` (facts since the last time) and ``tick``.
"""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.widgets import Static

from qsuite_console import commands
from qsuite_console.engine.control import Control
from qsuite_console.engine.state import ConsoleState
from qsuite_console.model.errors import ConsoleError, ReadOnly
from qsuite_console.model.events import AnyEvent
from qsuite_console.model.text import clean
from qsuite_console.screens import acting
from qsuite_console.screens.leaving import Dialog, Page
from qsuite_console.widgets.key_bar import KeyBar
from qsuite_console.widgets.status_bar import StatusBar

if TYPE_CHECKING:
    from qsuite_console.app import ConsoleApp

T = TypeVar("T")


class ConsoleScreen(Page[None]):
    """Base of the main screens and of the pages pushed over them."""

    SCOPE: ClassVar[str] = ""
    HORIZONTAL_BREAKPOINTS = [
        (0, "-slim"),
        (70, "-narrow"),
        (100, "-normal"),
        (160, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (20, "-short"), (32, "-tall"), (50, "-high")]

    @property
    def console(self) -> ConsoleApp:
        """Return the app, by its type."""
        return cast("ConsoleApp", self.app)

    @property
    def control(self) -> Control:
        """Return the way to the engine."""
        return self.console.control

    @property
    def state(self) -> ConsoleState:
        """Return the newest state the app has shown."""
        return self.console.state

    @property
    def now(self) -> datetime:
        """Return the time, by the console's clock."""
        return self.console.clock.now()

    def compose(self) -> ComposeResult:
        """Frame the body."""
        yield StatusBar(self.console.zone)
        yield Static("", id="trouble", markup=False)
        yield from self.compose_body()
        yield KeyBar()

    def compose_body(self) -> ComposeResult:
        """Yield what is between the bars."""
        yield from ()

    def on_mount(self) -> None:
        """Show what is known at once."""
        self.news(self.state, (), is_whole=True)
        self.pulse()

    def on_screen_resume(self) -> None:
        """Catch up with what happened while another screen was shown."""
        self.news(self.state, (), is_whole=True)
        self.pulse()

    def news(self, state: ConsoleState, events: tuple[AnyEvent, ...], *, is_whole: bool) -> None:
        """Take a new state; called by the app, at most ten times a second."""
        bar = self.query_one_optional(StatusBar)
        if bar is None:  # not composed yet: on_mount shows it
            return
        with self.app.batch_update():
            bar.state = state
            trouble = self.query_one("#trouble", Static)
            if trouble.display != bool(state.trouble) or state.trouble:
                trouble.display = bool(state.trouble)
                trouble.update(f" ✖ {clean(state.trouble, 300)}")
            self.show(state)
            self.follow(events, is_whole=is_whole)

    def pulse(self) -> None:
        """Take the time; called by the app every second while the screen is shown."""
        bar = self.query_one_optional(StatusBar)
        if bar is not None:
            now = self.now
            with self.app.batch_update():
                bar.tick(now)
                self.tick(now)

    def show(self, state: ConsoleState) -> None:
        """Render the state; repaint only what differs."""

    def follow(self, events: tuple[AnyEvent, ...], *, is_whole: bool) -> None:
        """Take the facts since the last time; ``is_whole``: some are missing, read anew."""

    def tick(self, now: datetime) -> None:
        """Move what depends on the time: ages, remaining times."""

    def holds(self, condition: str) -> bool:
        """Return whether a command's ``when`` is true now."""
        return True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim the keys whose condition doesn't hold."""
        condition = commands.condition(self.SCOPE, action, parameters)
        if not condition or self.holds(condition):
            return True
        # Pause and resume share a key: it belongs to pause while neither is possible.
        is_shadowed = condition == "resume" or (condition == "pause" and self.holds("resume"))
        return False if is_shadowed else None

    def action_back(self) -> None:
        """Leave one layer; a main screen has none."""
        if len(self.app.screen_stack) > 1:
            self.dismiss()

    def action_top(self) -> None:
        """Go to the top of what has the focus (g g)."""
        focused = self.focused
        edge = getattr(focused, "action_edge", None)
        if callable(edge):
            edge(0)
        elif focused is not None:
            focused.scroll_home(animate=False)

    def neighbour_of(self, job_id: int, by: int) -> int | None:
        """Return the job ``by`` lines below another one in the list shown; None beyond its ends or without a list."""
        return None

    def may_change(self) -> bool:
        """Tell at once where nothing may be changed from here, before a person is asked anything for it."""
        why, _, hint = self.state.forbids.partition("\n")
        if why:
            self.tell_error(ReadOnly(why, hint=hint))
        return not why

    async def agrees(self, question: Dialog[bool], *, is_change: bool = True) -> bool:
        """Ask and return the answer; False at once while another question is open, since nobody saw this one.

        ``is_change``: yes changes something of the platform or its jobs. Must run in a worker: it waits.
        """
        if self.app.screen is not self or (is_change and not self.may_change()):
            return False
        answer = await self.app.push_screen_wait(question)
        return bool(answer)

    async def take(self, command: commands.Command, argument: str) -> None:
        """Do a command that was typed with something after it: job numbers, a filter."""
        if command.usage.startswith("ID"):
            await acting.typed(self, command.verb, commands.job_ids(argument))

    async def turn_to(self, pane: str, text: str = "") -> None:
        """Show a part of the screen, by its name, with a filter; screens without panes take only the filter."""
        if text:
            await self.take(commands.BY_ID[f"go.{self.SCOPE}"], text)

    async def attempt(self, asking: Awaitable[T]) -> T | None:
        """Await an answer of Control; tell the operator what went wrong and return None."""
        try:
            return await asking
        except ConsoleError as error:
            self.tell_error(error)
            return None

    def tell_error(self, error: ConsoleError) -> None:
        """Show why something was refused, and what to do."""
        text = clean(error.message, 300) + (f"\n{clean(error.hint, 300)}" if error.hint else "")
        self.notify(text, severity="error", markup=False, timeout=8)

    def tell(self, text: str) -> None:
        """Show the result of the operator's own action."""
        self.notify(clean(text, 300), markup=False, timeout=4)
