"""From anywhere: run a job (``:run``), change the platform (``:act``), see who did (``:audit``), go to another one
(``:target``). Half of the app, so that neither the app nor a screen has a rule of its own about any of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from textual import work
from textual.screen import ModalScreen

from qsuite_console.messages import Leaving
from qsuite_console.model.errors import ConsoleError, UsageProblem
from qsuite_console.model.jobs import JobState
from qsuite_console.model.kinds import KindInfo
from qsuite_console.model.operations import OperationInfo
from qsuite_console.model.text import clean
from qsuite_console.screens import running
from qsuite_console.screens.base import ConsoleScreen
from qsuite_console.screens.dialogs.confirm import ConfirmDialog
from qsuite_console.screens.dialogs.operation import OperationDialog, ParameterDialog
from qsuite_console.screens.dialogs.target import TargetChoice, TargetDialog, Targets
from qsuite_console.screens.moving import Moving
from qsuite_console.screens.operating import operate
from qsuite_console.screens.typing_in import parse_pairs
from qsuite_console.widgets import figures

if TYPE_CHECKING:
    from qsuite_console.app import ConsoleApp

_MOVES: Final = frozenset({"app.background", "app.foreground"})
VERBS: Final = frozenset({"app.act", "app.run", "app.target", "app.audit"}) | _MOVES


class Changing(Moving):
    """Base of the console's app. ``targets`` None: there is no other target than this."""

    targets: Targets | None = None
    _is_switching = False

    # operations

    @work
    async def action_act(self) -> None:
        """Choose an operation, say what it is about, and do it."""
        await self.change("app.act", "")

    @work
    async def action_run(self) -> None:
        """Choose a kind of job, fill it in and start it."""
        await self.change("app.run", "")

    @work
    async def start_kind(self, kind: KindInfo) -> None:
        """Ask for a kind's parameters and start it; for the palette."""
        screen = self.screen
        if isinstance(screen, ConsoleScreen):
            await running.fill_in(screen, kind)

    @work
    async def start_operation(self, operation: OperationInfo) -> None:
        """Ask for an operation's parameters and do it; for the palette."""
        await self._fill_in(operation)

    async def change(self, command_id: str, argument: str) -> None:
        """Do ``:act``, ``:target`` or ``:audit`` with what was typed after it; must run in a worker."""
        if command_id == "app.audit":
            await cast("ConsoleApp", self).go("system", pane="audit", filter=argument.strip())
            return
        if command_id in _MOVES:
            await self.move(command_id)
            return
        screen = self.screen
        if not isinstance(screen, ConsoleScreen):
            return
        if command_id == "app.run":
            await running.run_job(screen, argument)
            return
        if command_id == "app.target":
            await self._switch(screen, argument.strip())
            return
        operations = await screen.attempt(screen.control.operations())
        if operations is None:
            return
        if argument.strip():
            try:
                name, parameters = parse_act(argument, operations)
            except UsageProblem as problem:
                screen.tell_error(problem)
            else:
                await operate(screen, name, parameters)
            return
        if not operations:
            screen.tell("Nothing can be changed from here")
            return
        chosen = await self.push_screen_wait(OperationDialog(operations)) if screen.may_change() else None
        if chosen is not None:
            await self._fill_in(chosen)

    def action_optimize(self) -> None:
        """Show what would put the platform in shape."""
        if not isinstance(self.screen, ModalScreen) and getattr(self.screen, "SCOPE", "") != "optimize":
            cast("ConsoleApp", self).open_page("optimize", None)

    async def action_audit(self) -> None:
        """Show who did what."""
        await self.change("app.audit", "")

    async def _fill_in(self, operation: OperationInfo) -> None:
        parameters: dict[str, Any] | None = {}
        if operation.parameters:
            parameters = await self.push_screen_wait(ParameterDialog(operation))
        screen = self.screen
        if parameters is not None and isinstance(screen, ConsoleScreen):
            await operate(screen, operation.name, parameters)

    # targets

    @work
    async def action_target(self) -> None:
        """Show the targets and switch to the one that is chosen."""
        if not isinstance(self.screen, ModalScreen):
            await self.change("app.target", "")

    async def _switch(self, screen: ConsoleScreen, name: str) -> None:
        if self.targets is None or self._is_switching:
            screen.tell("The target is just being switched" if self._is_switching else "There is only this target")
            return
        self._is_switching = True
        try:
            choices = await self.targets.choices()
            if not name:
                chosen: str | None = await self.push_screen_wait(TargetDialog(choices))
                name = chosen or ""
            if name and await self._may_leave(screen, name, choices):
                screen.tell(f"Opening {clean(name, 60)} …")
                await self.targets.prepare(name)
                self.exit(Leaving.SWITCH)
        except ConsoleError as error:
            here = clean(screen.state.target.name, 60)
            hint = f"{error.hint}; still on {here}" if error.hint else f"still on {here}"
            screen.tell_error(ConsoleError(f"{clean(name, 60)} can't be opened: {error.message}", hint=hint))
        finally:
            self._is_switching = False

    async def _may_leave(self, screen: ConsoleScreen, name: str, choices: Sequence[TargetChoice]) -> bool:
        """Ask while jobs run in this process: they stop with this target and go on when it is opened again."""
        state = screen.state
        known = {choice.view.name for choice in choices}
        running = state.counts.get(JobState.RUNNING, 0)
        if state.is_attached or not running or name == state.target.name or name not in known:
            return True  # nothing stops, or the refusal is told by whoever opens it
        here = clean(state.target.name, 60)
        lines = [
            f"{figures.plural(running, 'job is', 'jobs are')} running on {here}.",
            "They save their work and stop; they go on when it is opened again.",
            f"Nothing of {here} runs on {clean(name, 60)}.",
        ]
        return await screen.agrees(
            ConfirmDialog(f"Leave {here} for {clean(name, 60)}?", lines, do="switch"), is_change=False
        )


def parse_act(argument: str, operations: Sequence[OperationInfo]) -> tuple[str, dict[str, str]]:
    """Return operation and parameters of "database.cancel pid=4711"; raises UsageProblem in words that can be shown."""
    known = {operation.name: operation.parameters for operation in operations}
    return parse_pairs(argument, known, verb="act", what="operation")
