"""``attach`` and ``stop``: the console on an engine that runs already, and the end of one that has no screen."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Final

import click

from qsuite_console.cli import output
from qsuite_console.cli.engine_address import read_token
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.jobs import json_option
from qsuite_console.cli.lazy import examples
from qsuite_console.model.errors import Conflict, EngineGone, UsageProblem

TOKEN_VARIABLE: Final = "QSUITE_CONSOLE_ENGINE_TOKEN"


@click.command(
    epilog=examples(
        "qsuite-console attach                                   the engine that runs here",
        "qsuite-console attach prod                              that of [targets.prod], here or at its engine_url",
        "qsuite-console attach http://127.0.0.1:8765 --token-file ~/.config/qsuite.token",
        "ssh -N -L 8765:127.0.0.1:8765 ops.example.org &         an engine of another machine, safely",
    )
)
@click.argument("where", metavar="[TARGET|URL]", default="")
@click.option("--token-file", metavar="FILE", help=f"Token for a URL; else the variable {TOKEN_VARIABLE}.")
@click.pass_obj
def attach(invocation: Invocation, *, where: str, token_file: str | None) -> int:
    """Open the console on an engine that runs already. It goes on when this console is left or lost.

    Several consoles may be attached at once. After a restart of the engine they go on by themselves.
    """
    from qsuite_console.cli.console import screen

    return screen(_leading_to(invocation, where, token_file), only_attach=True)


@click.command(epilog=examples("qsuite-console stop", "qsuite-console --target prod stop"))
@click.option("--wait", "wait_s", type=click.FloatRange(1, 3600), default=60.0, show_default=True, help="Seconds.")
@json_option
@click.pass_obj
def stop(invocation: Invocation, *, wait_s: float, is_json: bool) -> None:
    """End the engine of this machine that runs without a screen, once its jobs have saved their work.

    They go on from their checkpoints with the next engine. A console is not ended; quit it there.
    """
    from qsuite_console.attach import find_engine
    from qsuite_console.cli import background

    if invocation.engine is not None:
        raise Conflict(f"the engine answers on {invocation.engine.where}", hint="end it there")
    info = find_engine(invocation.paths)
    if info is None:
        raise EngineGone(f"no engine answers on {invocation.paths.socket}", hint="qsuite-console status")
    if info.origin not in ("headless", background.ORIGIN):
        raise Conflict(
            f"{info.owner} is no engine without a screen ({info.origin})", hint="quit it where it was started"
        )
    background.stop(info, wait_s=wait_s)
    if is_json:
        output.document({"stopped": info.pid})
    else:
        output.note(f"{info.owner} has saved the work of its jobs and ended")


def _leading_to(invocation: Invocation, where: str, token_file: str | None) -> Invocation:
    """Return the invocation of a target's name, or of a URL with its token."""
    if "://" not in where and not where.startswith("unix:"):
        if token_file:
            raise UsageProblem("--token-file goes with a URL", hint="state a target's token as target.engine_token")
        return dataclasses.replace(invocation, target=where) if where else invocation
    if token_file:
        file = Path(token_file).expanduser().absolute()
        read_token(file)  # what is wrong with it is told now
        token = f"file:{file}"  # and read anew when it was replaced
    else:
        token = invocation.environ.get(TOKEN_VARIABLE, "").strip()
    # What was typed beats the target's own, as a pair: a token is sent to nobody it was not stated for.
    fixed = {**invocation.fixed, "target.engine_url": where, "target.engine_token": token}
    return dataclasses.replace(invocation, fixed=fixed, fixed_by="command line")
