"""``sandbox``: the console on embedded servers and sample data, or the same servers detached for other programs.

Its console's files lie inside the sandbox's directory, so that trying things never touches a real history.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import shlex
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from qsuite_console import paths
from qsuite_console.cli import output
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.jobs import json_option
from qsuite_console.cli.lazy import ListedGroup, examples
from qsuite_console.config.catalogue import CATALOGUE
from qsuite_console.model.errors import UsageProblem
from qsuite_console.sandbox.lifecycle import Sandbox, SandboxOptions

if TYPE_CHECKING:
    from qsuite_console.engine.control import Control

F = TypeVar("F", bound=Callable[..., Any])
HOME: Final = "console"
ORIGIN: Final = "sandbox"
_SETTINGS: Final = {entry.env: key for key, entry in CATALOGUE.items() if entry.env}

dir_option = click.option("--dir", "directory", metavar="DIR", help="Directory of the sandbox.")


def _start_options(function: F) -> F:
    for option in reversed(
        (
            dir_option,
            click.option("--fresh", is_flag=True, help="Start over: remove what an earlier one has left."),
            click.option(
                "--symbols", type=click.IntRange(1, 5000), default=500, show_default=True, help="Listed symbols."
            ),
            click.option(
                "--sessions", type=click.IntRange(1, 250), default=26, show_default=True, help="Days of minute bars."
            ),
            click.option("--no-traffic", is_flag=True, help="No synthetic orders and fills."),
            click.option(
                "--latency-ms", type=click.FloatRange(0, 60_000), default=0.0, help="The exchange answers that late."
            ),
            click.option(
                "--fail-rate", type=click.FloatRange(0, 1), default=0.0, help="Share of its answers that are failures."
            ),
            click.option(
                "--rate-limit",
                type=click.IntRange(1, 1_000_000),
                default=200,
                show_default=True,
                help="Its requests a minute.",
            ),
        )
    ):
        function = option(function)
    return function


@click.group(
    cls=ListedGroup,
    invoke_without_command=True,
    epilog=examples(
        "qsuite-console sandbox                        open the console on it; quitting stops it",
        "qsuite-console sandbox --headless --fresh     start over, without a screen",
        "qsuite-console sandbox start --dir D --symbols 200",
        'set -a && eval "$(qsuite-console sandbox env --dir D)"',
        "qsuite-console sandbox stop --dir D",
    ),
)
@_start_options
@click.option("--headless", is_flag=True, help="Run the engine on it without a screen.")
@click.pass_context
def sandbox(ctx: click.Context, /, **flags: Any) -> int | None:
    """Try everything on real servers with sample data: PostgreSQL, Valkey, an exchange and traffic.

    Without a command the console opens on it and stops it when it quits.
    """
    invocation: Invocation = ctx.obj
    if invocation.target:
        raise click.UsageError("--target and the sandbox exclude each other", ctx)
    if ctx.invoked_subcommand is not None:
        given = [
            param.opts[0]
            for param in ctx.command.params
            if param.name and ctx.get_parameter_source(param.name) is click.core.ParameterSource.COMMANDLINE
        ]
        if given:
            raise click.UsageError(f"put {given[0]} behind {ctx.invoked_subcommand}", ctx)
        return None
    return _open(invocation, flags)


@sandbox.command(epilog=examples("qsuite-console sandbox start --dir D --symbols 200 --fail-rate 0.2 --rate-limit 60"))
@_start_options
@json_option
@click.pass_obj
def start(invocation: Invocation, /, **flags: Any) -> None:
    """Start the servers detached; other programs use them with ``sandbox env``."""
    found = Sandbox(_directory(invocation, flags["directory"]), _options(flags, is_detached=True), output.note)
    environment = found.start()
    _clear_sockets(invocation, found)
    if flags["is_json"]:
        output.document(
            {
                "directory": str(found.directory),
                "is_new": found.is_new,
                "was_running": found.is_shared,
                "names": [*environment],
            }
        )
        return
    output.line(f"the sandbox runs in {found.directory}")
    output.note(f'use it: set -a && eval "$(qsuite-console sandbox env --dir {shlex.quote(str(found.directory))})"')


@sandbox.command(epilog=examples("qsuite-console sandbox stop --dir D"))
@dir_option
@json_option
@click.pass_obj
def stop(invocation: Invocation, *, directory: str | None, is_json: bool) -> None:
    """Stop the servers, and whatever a killed console has left; the data stays."""
    found = Sandbox(_directory(invocation, directory))
    was_running = found.stop()
    _clear_sockets(invocation, found)
    if is_json:
        output.document({"directory": str(found.directory), "stopped": was_running})
    else:
        output.line(
            f"stopped the sandbox in {found.directory}" if was_running else f"nothing runs in {found.directory}"
        )


@sandbox.command(epilog=examples("qsuite-console sandbox status --json"))
@dir_option
@json_option
@click.pass_obj
def status(invocation: Invocation, *, directory: str | None, is_json: bool) -> int:
    """Say what runs; exit 0 when it does, 1 when it doesn't."""
    found = Sandbox(_directory(invocation, directory)).status()
    if is_json:
        output.document(found)
        return 0 if found.is_running else 1
    output.line(f"{found.directory}: {'runs' if found.is_running else 'does not run'}")
    if found.servers:
        output.table(
            ("server", "pid", "port", "state", "up", "on disk"),
            [
                (
                    s.name,
                    s.pid,
                    s.port,
                    "runs" if s.is_alive else "ended",
                    output.duration(s.uptime_s),
                    _size(s.data_bytes),
                )
                for s in found.servers
            ],
        )
    return 0 if found.is_running else 1


@sandbox.command(epilog=examples('set -a && eval "$(qsuite-console sandbox env --dir D)"'))
@dir_option
@json_option
@click.pass_obj
def env(invocation: Invocation, *, directory: str | None, is_json: bool) -> None:
    """Print the variables that lead to it, quoted for a shell."""
    environment = Sandbox(_directory(invocation, directory)).environment()
    if is_json:
        output.document(environment)
        return
    for name, value in environment.items():
        output.line(f"{name}={shlex.quote(value)}")


def _open(invocation: Invocation, flags: dict[str, Any]) -> int:
    """Start the sandbox, open a front end on it, and stop it however that ended."""
    if not flags["headless"]:
        from qsuite_console import terminal

        terminal.require_terminal(os.environ, sys.__stdin__, sys.__stderr__)
    found = Sandbox(_directory(invocation, flags["directory"]), _options(flags, is_detached=False), output.note)
    loading = threading.Thread(target=_load_front_end, args=(flags["headless"],), daemon=True)
    loading.start()
    try:
        environment = found.start()
        inside = _inside(invocation, found, environment, int(flags["rate_limit"]))
        loading.join()
        from qsuite_console.cli import console

        def on_ready(control: Control) -> None:
            if found.is_new:
                _load_history(control, found.options)

        front_end = console.headless if flags["headless"] else console.screen
        return front_end(inside, on_ready=on_ready)
    finally:
        if found.stop():
            output.note("stopped the sandbox")


def _inside(invocation: Invocation, found: Sandbox, environment: dict[str, str], rate_limit: int) -> Invocation:
    """Return the invocation that leads into the sandbox: its connections, its word, a home inside its directory."""
    home = invocation.home or invocation.environ.get(paths.HOME_VARIABLE)
    if not home:
        home = str(found.directory / HOME)
        if found.is_new:
            shutil.rmtree(home, ignore_errors=True)  # its jobs speak of data that is gone
    fixed = {_SETTINGS[name]: value for name, value in environment.items() if name in _SETTINGS}
    fixed |= {
        "provider.rate_limit": str(rate_limit),
        "target.name": "sandbox",
        "target.engine_url": "",
        "target.word": "SANDBOX",
        "target.colour": "success",
        "target.paper_execution": "true",
    }
    environ = {name: value for name, value in invocation.environ.items() if name != "QSUITE_CONSOLE_TARGET"}
    return dataclasses.replace(invocation, home=home, environ=environ, fixed=fixed)


def _clear_sockets(invocation: Invocation, found: Sandbox) -> None:
    """Remove the engine's socket that a killed console on this sandbox has left; a live engine keeps its own."""
    homes = {invocation.home or invocation.environ.get(paths.HOME_VARIABLE), str(found.directory / HOME)}
    for home in filter(None, homes):
        socket = paths.resolve(home).socket
        if socket.is_socket():
            from qsuite_console.headless.listening import remove_stale

            with contextlib.suppress(OSError):  # another user's, say: whoever opens it next is told
                remove_stale(socket)


def _load_history(control: Control, options: SandboxOptions) -> None:
    """Submit the backfill that completes the minute bars: a visible job, and something to watch."""
    from qsuite_console.model.jobs import Submission
    from qsuite_console.sandbox.seed import SeedOptions, deeper_history

    seed = SeedOptions(sessions=options.sessions)
    asyncio.run(control.submit(Submission(**deeper_history(seed), origin=ORIGIN)))


def _load_front_end(is_headless: bool) -> None:
    import qsuite_console.cli.console

    if not is_headless:
        import qsuite_console.app

        assert qsuite_console.app
    assert qsuite_console.cli.console


def _directory(invocation: Invocation, given: str | None) -> Path:
    if given == "":
        raise UsageProblem("--dir names no directory")
    if given:
        return Path(given).expanduser().absolute()
    return paths.resolve(invocation.home or invocation.environ.get(paths.HOME_VARIABLE)).sandbox


def _options(flags: dict[str, Any], *, is_detached: bool) -> SandboxOptions:
    return SandboxOptions(
        symbols=flags["symbols"],
        sessions=flags["sessions"],
        traffic=not flags["no_traffic"],
        fresh=flags["fresh"],
        latency_ms=flags["latency_ms"],
        fail_rate=flags["fail_rate"],
        rate_limit=flags["rate_limit"],
        detached=is_detached,
    )


def _size(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:,.0f} MB"
