"""The console's app: modes, theme, keys, quitting. It knows no job, database or HTTP: screens do.

Everything a person can do is in the table of ``commands``; everything that is known comes through ``bridge``.
"""

from __future__ import annotations

import gc
import importlib
import os
from collections.abc import Callable
from datetime import tzinfo
from typing import ClassVar, Final

from textual import work
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.driver import Driver
from textual.reactive import reactive
from textual.screen import ModalScreen, Screen

from qsuite_console import commands, keymaps, themes
from qsuite_console.bridge import INTERVAL_S, Bridge
from qsuite_console.config.settings import InterfaceSettings
from qsuite_console.engine.control import Control
from qsuite_console.engine.state import ConsoleState
from qsuite_console.messages import StateChanged
from qsuite_console.model.clock import Clock, SystemClock
from qsuite_console.model.text import clean
from qsuite_console.screens.base import ConsoleScreen
from qsuite_console.screens.bell import Bell
from qsuite_console.screens.changing import VERBS, Changing
from qsuite_console.screens.dialogs.command_line import CommandLine
from qsuite_console.screens.dialogs.go import GoDialog
from qsuite_console.screens.dialogs.target import Targets
from qsuite_console.screens.help import HelpScreen, help_groups
from qsuite_console.screens.leaving import Palette
from qsuite_console.screens.moving import EngineHost
from qsuite_console.screens.palette import ChangeProvider, JobProvider, TableProvider

SETTLED_S: Final = 3.0  # after which what a start or a new screen has brought stays


def _loader(target: str) -> Callable[..., Screen[None]]:
    def load(*arguments: object) -> Screen[None]:
        module, _, name = target.partition(":")
        screen: Screen[None] = getattr(importlib.import_module(module), name)(*arguments)
        return screen

    return load


class ConsoleApp(Changing):
    """Opens on the overview; ends with how the operator left."""

    TITLE = "qsuite-console"
    SCOPE = "app"
    CSS_PATH = ["screens/base.tcss"]
    MODES: ClassVar[dict[str, str | Callable[[], Screen[None]]]] = {
        place.name: _loader(place.target) for place in commands.PLACES
    }
    DEFAULT_MODE = commands.PLACES[0].name
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("app")
    BINDING_GROUP_TITLE = commands.SCOPES["app"]
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {
        TableProvider,
        JobProvider,
        ChangeProvider,
    }

    state: reactive[ConsoleState] = reactive(ConsoleState, repaint=False)

    def __init__(
        self,
        control: Control,
        *,
        interface: InterfaceSettings | None = None,
        clock: Clock | None = None,
        zone: tzinfo | None = None,
        driver_class: type[Driver] | None = None,
        targets: Targets | None = None,
        host: EngineHost | None = None,
        greeting: str = "",
    ) -> None:
        super().__init__(driver_class=driver_class)
        self.control = control
        self.targets = targets
        self.host = host
        self._greeting = greeting
        self.clock = clock or SystemClock()
        self.zone = zone
        self._interface = interface or InterfaceSettings()
        self._last_place = ""
        self._kept: set[str] = set()  # places whose objects the collector passes over
        self._bridge = Bridge(control, self.post_message)
        self.lag = self._bridge.lag
        self._alarm = Bell(self._interface.bell)
        self._alarm.rings(control.state.snapshot)
        self.set_reactive(ConsoleApp.state, control.state)
        for theme in themes.THEMES:
            self.register_theme(theme)
        for name in list(self.available_themes):
            if not name.startswith(themes.PREFIX):
                self.unregister_theme(name)
        self.theme = themes.choose(
            self._interface.theme, is_colourless="NO_COLOR" in os.environ, colours=self.console.color_system or ""
        )

    def on_mount(self) -> None:
        """Bind the operator's keys and start looking at the engine."""
        keymap = keymaps.validate(self._interface.keymap)
        self.set_keymap(dict(keymap.keys))
        for problem in keymap.problems:
            self.notify(clean(problem), severity="warning", markup=False, timeout=10)
        if self._greeting:
            self.notify(clean(self._greeting, 300), markup=False, timeout=6)
        self.set_interval(INTERVAL_S, self._bridge.poll)
        self.set_interval(1.0, self._pulse)
        self._keep_what_stays(self.current_mode)

    def _keep_what_stays(self, place: str) -> None:
        """Let the garbage collector pass over modules and screens from now on; once for each place.

        A full collection of all of them takes 90 ms, in which no key is answered and the engine stands still as well.
        """
        if place not in self._kept:
            self._kept.add(place)
            self.set_timer(SETTLED_S, gc.freeze)

    def on_state_changed(self, message: StateChanged) -> None:
        """Give the news to every screen that can be seen: the current one, and those under a dialog."""
        if not self.is_running:
            return
        self.state = message.state
        if self._alarm.rings(message.state.snapshot):
            self.bell()
        for screen in self.screen_stack:
            if isinstance(screen, ConsoleScreen):
                screen.news(message.state, message.events, is_whole=message.is_whole)

    def _pulse(self) -> None:
        if not self.is_running:  # it closes: timers go on while widgets are taken out of the screens one by one
            return
        for screen in self.screen_stack:
            if isinstance(screen, ConsoleScreen):
                screen.pulse()

    # going places

    async def action_go(self, name: str) -> None:
        """Show a main screen; pages pushed over it stay where they were."""
        if name != self.current_mode:
            self._last_place = self.current_mode
        await self.switch_mode(name)
        self._keep_what_stays(name)

    async def go(self, place: str, *, pane: str = "", filter: str = "") -> None:
        """Show a pane of a main screen, with a filter; pages over it are left, so that it is really seen."""
        await self.action_go(place)
        while len(self.screen_stack) > 1:
            await self.pop_screen()
        if isinstance(self.screen, ConsoleScreen):
            await self.screen.turn_to(pane, filter)

    async def action_neighbour(self, by: int) -> None:
        """Show the main screen before or after this one."""
        names = [place.name for place in commands.PLACES]
        await self.action_go(names[(names.index(self.current_mode) + by) % len(names)])

    async def action_last(self) -> None:
        """Show the main screen that was in front before."""
        if self._last_place:
            await self.action_go(self._last_place)
        else:
            self.notify("This is the first screen you are on", markup=False, timeout=3)

    def open_page(self, name: str, subject: object) -> None:
        """Push a page of the table over the current screen."""
        self.push_screen(_loader(commands.PAGES[name])(subject))

    def action_prefix(self) -> None:
        """Wait for the letter after g."""
        if not self._is_asking:
            self.push_screen(GoDialog(), self._follow_prefix)

    @property
    def _is_asking(self) -> bool:
        return isinstance(self.screen, ModalScreen)  # a key that was pressed before it appeared opens no second one

    async def _follow_prefix(self, chosen: str | None) -> None:
        if chosen == GoDialog.TOP and isinstance(self.screen, ConsoleScreen):
            self.screen.action_top()
        elif chosen is not None:
            await self.action_go(chosen)

    def action_command_line(self) -> None:
        """Ask for a command and do it."""
        if not self._is_asking:
            self.push_screen(CommandLine(), self._follow_command_line)

    def _follow_command_line(self, invocation: commands.Invocation | None) -> None:
        if invocation is not None:
            self.run_command(*invocation)

    def action_command_palette(self) -> None:
        """Find something by its name."""
        if not self._is_asking:
            self.push_screen(Palette(id="--command-palette"))

    @work
    async def run_command(self, command: commands.Command, argument: str) -> None:
        """Do what was picked from the palette."""
        await self.invoke(commands.Invocation(command, argument))

    async def invoke(self, invocation: commands.Invocation) -> None:
        """Do what was typed or picked from the palette, on the screen in front."""
        command, argument = invocation
        if command.id.startswith("go."):
            await self.action_go(command.id.removeprefix("go."))
        elif command.id == "app.theme" and argument:
            self._use_theme(argument)
            return
        elif command.id in VERBS:
            await self.change(command.id, argument)
            return
        elif not argument and command.action:
            await self.do(command)
            return
        if argument and isinstance(self.screen, ConsoleScreen):
            await self.screen.take(command, argument)

    async def do(self, command: commands.Command) -> None:
        """Run a command's action on the innermost node of its scope: the focused widget, its parents, the app."""
        screen = self.screen
        for node in [*(screen.focused or screen).ancestors_with_self, self]:
            if getattr(node, "SCOPE", None) == command.scope:
                name, _, rest = command.action.partition("(")
                if node.check_action(name, tuple(p.strip("' ") for p in rest.rstrip(")").split(",") if p)) is True:
                    await self.run_action(command.action, default_namespace=node)
                else:
                    self.notify(f"{command.title} is not possible here and now", severity="warning", markup=False)
                return
        scope = commands.SCOPES[command.scope]
        self.notify(f"{command.title} works on: {scope}", severity="warning", markup=False)

    def get_key_display(self, binding: Binding) -> str:
        """Write keys as people do: Enter, Ctrl+P, ?."""
        return binding.key_display or commands.spoken(binding.key)

    def action_help(self) -> None:
        """Show the keys that work here and now."""
        if not self._is_asking:
            self.push_screen(HelpScreen(help_groups(self.screen)))

    # looks

    def action_next_theme(self) -> None:
        """Use the next theme."""
        names = list(themes.short_names())
        here = names.index(self.theme.removeprefix(themes.PREFIX))
        self._use_theme(names[(here + 1) % len(names)])

    def _use_theme(self, name: str) -> None:
        full = themes.find(name.strip())
        if full is None:
            known = ", ".join(themes.short_names())
            self.notify(f"no theme {clean(name, 40)}: {known}", severity="error", markup=False)
            return
        self.theme = full

    # leaving

    async def action_back(self) -> None:
        """Leave one layer; on a main screen there is none to leave."""
        if isinstance(self.screen, ConsoleScreen):
            self.screen.action_back()

    async def action_leave(self) -> None:
        """Go back from a page, or quit from a main screen."""
        if len(self.screen_stack) > 1:
            await self.action_back()
        else:
            await self.action_quit()
