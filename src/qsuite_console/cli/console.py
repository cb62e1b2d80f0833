"""The two ways to stay: the console's screen, and the engine without one. Each imports only what it is made of."""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from qsuite_console.cli import output
from qsuite_console.cli.connect import once_free
from qsuite_console.cli.invocation import Invocation
from qsuite_console.engine.control import Control
from qsuite_console.engine.ports import Claiming
from qsuite_console.headless.http import Interface
from qsuite_console.runtime import open_runtime

if TYPE_CHECKING:
    from qsuite_console.cli.hosting import Host
    from qsuite_console.cli.opened import Opened


def screen(
    invocation: Invocation, *, on_ready: Callable[[Control], None] | None = None, only_attach: bool = False
) -> int:
    """Open the console and return its exit code; ``on_ready`` is called once the engine runs in this process.

    ``only_attach``: on an engine that runs already, else raises EngineGone. Each target is shown by an app of its own,
    so that nothing of one is ever seen on another.
    """
    from qsuite_console import terminal
    from qsuite_console.app import ConsoleApp
    from qsuite_console.cli.hosting import Host
    from qsuite_console.cli.targets import Switchboard, attach_target, open_target
    from qsuite_console.messages import Leaving

    terminal.require_terminal(os.environ, sys.__stdin__, sys.__stderr__)
    invocation.start_log()
    opened = attach_target(invocation) if only_attach else open_target(invocation, may_look=True)
    if opened.note:
        output.note(opened.note)
    board = Switchboard(opened)
    is_stopped = threading.Event()
    interface = invocation.loaded.settings.interface
    greeting, is_hurried = opened.warning, False
    try:
        if opened.runtime is not None and on_ready is not None:
            on_ready(opened.control)
        while True:
            host = Host(opened)
            app = ConsoleApp(opened.control, interface=interface, targets=board, host=host, greeting=greeting)
            code = terminal.run(app, on_stop=partial(_stop, opened, is_stopped), mouse=invocation.has_mouse)
            following = board.take() if app.return_value is Leaving.SWITCH and not is_stopped.is_set() else None
            if following is None:
                break
            board.retire(opened)
            greeting = following.warning or following.note or f"Now on {following.name}"
            interface = dataclasses.replace(following.invocation.loaded.settings.interface, theme=app.theme)
            opened = following
        is_hurried = app.return_value is Leaving.NOW
        if is_hurried and opened.runtime is not None:
            opened.runtime.grace_s = 0.0
        if app.return_value is Leaving.DRAIN and opened.control.state.running:
            output.note(f"letting {len(opened.control.state.running)} jobs save their work …")
        if app.return_value is Leaving.BACKGROUND:
            _leave_running(host)
        return code
    finally:
        opened.close()
        if board.is_closing and not is_hurried:
            output.note("letting the jobs of the targets you left save their work …")
        board.finish(is_hurried=is_hurried)


def _stop(opened: Opened, is_stopped: threading.Event) -> None:
    is_stopped.set()
    opened.request_stop()


def _leave_running(host: Host) -> None:
    output.note("letting the jobs save their work; they go on in the background …")
    moved = host.leave_running()
    output.note(f"{moved.owner} runs the engine in the background")
    output.note("qsuite-console attach opens a console on it, qsuite-console stop ends it")


def headless(
    invocation: Invocation, *, on_ready: Callable[[Control], None] | None = None, origin: str = "headless"
) -> int:
    """Run the engine until SIGTERM, drain, and return the exit code; ``origin`` is what it says it is."""
    from qsuite_console.headless.service import serve

    invocation.start_log(on_stderr=True)
    settings = invocation.loaded.settings
    interface = Interface.of(settings, invocation.paths.socket, origin=origin)
    with ExitStack() as stack:
        opening = partial(
            open_runtime,
            settings,
            invocation.paths,
            claim=Claiming.ALL,
            origin=origin,
            extra_services=[interface.serve],
            is_node=True,
            requests=interface.costs.view,
        )
        runtime = once_free(invocation, lambda: stack.enter_context(opening()))
        if on_ready is not None:
            on_ready(runtime.control)
        return serve(runtime)
