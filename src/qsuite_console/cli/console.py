"""The two ways to stay: the console's screen, and the engine without one. Each imports only what it is made of."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack

from qsuite_console.cli import output
from qsuite_console.cli.connect import running_engine
from qsuite_console.cli.invocation import Invocation
from qsuite_console.engine.control import Control
from qsuite_console.engine.ports import Claiming
from qsuite_console.headless.http import socket_service
from qsuite_console.model.errors import HistoryOwned
from qsuite_console.runtime import Runtime, open_observer, open_runtime

ORIGIN = "console"


def screen(invocation: Invocation, *, on_ready: Callable[[Control], None] | None = None) -> int:
    """Open the console and return its exit code; ``on_ready`` is called once the engine runs in this process."""
    from qsuite_console import terminal
    from qsuite_console.app import ConsoleApp
    from qsuite_console.messages import Leaving

    terminal.require_terminal(os.environ, sys.__stdin__, sys.__stderr__)
    invocation.start_log()
    settings = invocation.loaded.settings
    with ExitStack() as stack:
        control, runtime = _open(invocation, stack)
        if runtime is not None and on_ready is not None:
            on_ready(control)
        app = ConsoleApp(control, interface=settings.interface)
        request_stop = runtime.engine.request_stop if runtime is not None else _nothing
        code = terminal.run(app, on_stop=request_stop, mouse=invocation.has_mouse)
        if runtime is not None and app.return_value is Leaving.NOW:
            runtime.grace_s = 0.0
        if runtime is not None and app.return_value is Leaving.DRAIN and control.state.running:
            output.note(f"letting {len(control.state.running)} jobs save their work …")
    return code


def headless(invocation: Invocation, *, on_ready: Callable[[Control], None] | None = None) -> int:
    """Run the engine until SIGTERM, drain, and return the exit code."""
    from qsuite_console.headless.service import serve

    invocation.start_log(on_stderr=True)
    settings = invocation.loaded.settings
    services = [socket_service(invocation.paths.socket, origin="headless")]
    with open_runtime(
        settings, invocation.paths, claim=Claiming.ALL, origin="headless", extra_services=services
    ) as runtime:
        if on_ready is not None:
            on_ready(runtime.control)
        return serve(runtime)


def _open(invocation: Invocation, stack: ExitStack) -> tuple[Control, Runtime | None]:
    settings, paths = invocation.loaded.settings, invocation.paths
    services = [socket_service(paths.socket, origin=ORIGIN)]
    try:
        runtime = stack.enter_context(
            open_runtime(settings, paths, claim=Claiming.ALL, origin=ORIGIN, extra_services=services)
        )
        return runtime.control, runtime
    except HistoryOwned as error:
        remote = running_engine(invocation, stack, read_only=True)
        if remote is not None:
            output.note(f"{error.owner or 'another process'} runs the engine of this history; attached read-only")
            return remote, None
        output.note(f"{error.owner or 'another process'} owns this history and doesn't answer; looking only")
        return stack.enter_context(open_observer(settings, paths, owner=error.owner)), None


def _nothing() -> None:
    """Nothing to stop: the engine is another process's."""
