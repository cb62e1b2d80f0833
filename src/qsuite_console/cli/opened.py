"""A target as a console has it open: with an engine of its own, attached to another's, or only looked at.

Its screens hold ``relay``, so that what is behind it can change while they are shown.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

from qsuite_console.attach import RemoteControl
from qsuite_console.attach.relay import Relay
from qsuite_console.cli.connect import once_free, running_engine
from qsuite_console.cli.invocation import Invocation
from qsuite_console.engine.control import Control
from qsuite_console.engine.ports import Claiming
from qsuite_console.headless.http import Interface
from qsuite_console.headless.journal import journaled
from qsuite_console.model.errors import EngineGone
from qsuite_console.runtime import Runtime, open_runtime

ORIGIN: Final = "console"
WHEN_ENDED: Final = ":foreground runs it in this console"


@dataclass(slots=True)
class Opened:
    """``runtime`` is None where the engine is another process's; ``is_looking``: there is none to ask."""

    name: str
    invocation: Invocation
    relay: Relay
    runtime: Runtime | None
    stack: ExitStack = field(default_factory=ExitStack)
    note: str = ""  # what the operator should know of how it was opened
    is_looking: bool = False
    warning: str = ""  # what the screen shows of it at first

    @property
    def control(self) -> Control:
        """Return what screens hold."""
        return self.relay

    def request_stop(self) -> None:
        """Begin to drain; callable from a signal handler."""
        if self.runtime is not None:
            self.runtime.engine.request_stop()

    def close(self) -> None:
        """Let the engine go: one of ours drains, another's goes on."""
        stack, self.stack, self.runtime = self.stack, ExitStack(), None
        stack.close()

    def run_here(self) -> None:
        """Open an engine in this process and lead to it; raises HistoryOwned while another process has the history."""
        runtime = once_free(self.invocation, lambda: own_engine(self.invocation, self.stack))
        self.runtime, self.is_looking = runtime, False
        self.relay.lead_to(runtime.control)

    def attach(self) -> None:
        """Lead to the engine of another process; raises EngineGone when none answers."""
        remote = attached(self.invocation, self.stack)
        if remote is None:
            raise EngineGone(f"no engine answers on {self.invocation.paths.socket}", hint=WHEN_ENDED)
        self.is_looking = False
        self.relay.lead_to(remote)


def own_engine(invocation: Invocation, stack: ExitStack) -> Runtime:
    """Open an engine that runs all jobs and serves the socket, closed with the stack."""
    settings, paths = invocation.loaded.settings, invocation.paths
    interface = Interface.of(settings, paths.socket, origin=ORIGIN, is_screen=True)
    return stack.enter_context(
        open_runtime(
            settings,
            paths,
            claim=Claiming.ALL,
            origin=ORIGIN,
            extra_services=[interface.serve, journaled],
            requests=interface.costs.view,
        )
    )


def attached(invocation: Invocation, stack: ExitStack) -> RemoteControl | None:
    """Attach to the target's running engine, closed with the stack; None when none answers.

    A target that is read-only here is so whatever the engine was told.
    """
    target = invocation.loaded.settings.target
    return running_engine(
        invocation,
        stack,
        read_only=target.read_only,
        target=target.name if target.read_only else "",
        when_ended="" if invocation.engine is not None else WHEN_ENDED,
    )
