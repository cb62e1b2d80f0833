"""From anywhere: hand the engine over to the background (``&``, ``:background``), or run it here (``:foreground``).

The screen stays as it is while the engine moves: it says so, and goes on with the engine that answers then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, cast

import msgspec
from textual import work

from qsuite_console.messages import Leaving
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.jobs import JobState
from qsuite_console.model.text import clean
from qsuite_console.screens.base import ConsoleScreen
from qsuite_console.screens.dialogs.confirm import ConfirmDialog
from qsuite_console.screens.dialogs.quit import QuitDialog
from qsuite_console.screens.keystrokes import Keystrokes
from qsuite_console.widgets import figures

if TYPE_CHECKING:
    from qsuite_console.app import ConsoleApp

_NOWHERE: Final = "the engine of this console stays where it is"


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """An engine has moved: who runs it now, and how many jobs ran before and go on from their checkpoints."""

    owner: str
    jobs: int = 0


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """The engine that is not here: its owner, "" where none answers; ``why`` it can't be taken over, "" when it can."""

    owner: str = ""
    why: str = ""


class EngineHost(Protocol):
    """Where this console's engine runs; implemented where it is opened."""

    @property
    def obstacle(self) -> str:
        """Why the engine can't be handed over, "" when it can."""
        ...

    async def elsewhere(self) -> Elsewhere:
        """Return who runs the engine that is not here."""
        ...

    async def hand_over(self) -> Moved:
        """Drain here, go on in the background and attach to it; raises ConsoleError."""
        ...

    async def take_over(self) -> Moved:
        """End the background engine and go on here; raises ConsoleError."""
        ...


class Moving(Keystrokes):
    """Part of the console's app. ``host`` None: this console's engine can't be moved."""

    host: EngineHost | None = None
    _is_moving = False

    @work
    async def action_background(self) -> None:
        """Ask, and hand the engine over."""
        await self.move("app.background")

    @work
    async def action_foreground(self) -> None:
        """Ask, and run the engine in this console."""
        await self.move("app.foreground")

    async def move(self, command_id: str) -> None:
        """Do ``:background`` or ``:foreground``; must run in a worker."""
        screen = self.screen
        if not isinstance(screen, ConsoleScreen):
            return
        if self.host is None or self._is_moving:
            screen.tell("The engine is just moving" if self._is_moving else _NOWHERE.capitalize())
            return
        self._is_moving = True
        try:
            if command_id == "app.background":
                await self._hand_over(screen, self.host)
            else:
                await self._take_over(screen, self.host)
        except ConsoleError as error:
            self._tell(ConsoleError(f"The engine was not moved: {error.message}", hint=error.hint))
        finally:
            self._is_moving = False

    async def _hand_over(self, screen: ConsoleScreen, host: EngineHost) -> None:
        if host.obstacle:
            screen.tell(host.obstacle[:1].upper() + host.obstacle[1:])
            return
        lines = [
            *_jobs_here(screen),
            "A process of its own runs the engine; this console attaches to it.",
            "It stays when this terminal goes; end it with qsuite-console stop.",
        ]
        if await screen.agrees(ConfirmDialog("Go on in the background?", lines, do="hand over"), is_change=False):
            moved = await host.hand_over()
            self._tell(f"{clean(moved.owner, 60)} runs the engine now{_resumed(moved)}")

    async def _take_over(self, screen: ConsoleScreen, host: EngineHost) -> None:
        if not screen.state.is_attached and not host.obstacle:
            screen.tell("The engine runs in this console already")
            return
        found = await host.elsewhere()
        if found.why:
            screen.tell(found.why[:1].upper() + found.why[1:])
            return
        lines = ["No engine answers. This console runs it from then on: its jobs end when the console does."]
        if found.owner:
            owner = clean(found.owner, 60)
            lines = [f"{owner} ends; other consoles lose it and attach to this one.", "Running jobs save their work."]
        if await screen.agrees(
            ConfirmDialog("Run the engine in this console?", lines, do="run it here"), is_change=False
        ):
            moved = await host.take_over()
            self._tell(f"This console runs the engine now{_resumed(moved)}")

    def _tell(self, told: str | ConsoleError) -> None:
        """Tell on whichever screen is shown by now."""
        screen = next((each for each in reversed(self.screen_stack) if isinstance(each, ConsoleScreen)), None)
        if screen is not None:
            screen.tell_error(told) if isinstance(told, ConsoleError) else screen.tell(told)

    async def action_quit(self) -> None:
        """Quit; asks first while jobs run in this process."""
        if isinstance(self.screen, QuitDialog):
            return
        state = cast("ConsoleApp", self).state
        number = len(state.running)
        if state.is_attached or not number:
            self.exit(Leaving.LEFT)
            return

        def leave(leaving: Leaving | None) -> None:
            if leaving is not None:
                self.exit(leaving)

        self.push_screen(QuitDialog(number, can_go_on=self.host is not None and not self.host.obstacle), leave)


def _jobs_here(screen: ConsoleScreen) -> list[str]:
    running = screen.state.counts.get(JobState.RUNNING, 0)
    if not running:
        return []
    save = figures.plural(running, "job saves its work and goes", "jobs save their work and go")
    return [f"{save} on there from the checkpoint."]


def _resumed(moved: Moved) -> str:
    if not moved.jobs:
        return ""
    return f"; {figures.plural(moved.jobs, 'job goes', 'jobs go')} on from the checkpoint"
