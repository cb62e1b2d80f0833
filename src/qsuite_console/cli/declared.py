"""The commands of the configuration as ``run`` knows them: each a kind of its own, and all under ``run command``.

A configuration that can't be read hides them from lists, so that ``run --help`` always works; a command that is named
has what is wrong told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.kinds import describe_kind
from qsuite_console.cli.lazy import examples
from qsuite_console.config.commands import KIND_PREFIX, Command
from qsuite_console.config.loading import ConfigurationProblem
from qsuite_console.model.errors import NotFound, UsageProblem
from qsuite_console.model.kinds import KindInfo
from qsuite_console.model.text import clean

GENERIC: Final = "command"
PURPOSE: Final = "Run a program that the configuration declares; each of them is listed here as command.NAME too."
Run = Callable[[KindInfo, Mapping[str, str], Mapping[str, Any]], int]


def commands() -> Mapping[str, Command]:
    """Return the commands that are declared; raises ConfigurationProblem."""
    context = click.get_current_context(silent=True)
    invocation = context.find_object(Invocation) if context is not None else None
    return invocation.loaded.settings.commands if invocation is not None else {}


def kind_names() -> tuple[str, ...]:
    """Return the kinds of the declared commands, none where the configuration can't be read."""
    try:
        return tuple(sorted(command.kind for command in commands().values()))
    except ConfigurationProblem:
        return ()


def find_command(name: str) -> KindInfo:
    """Return the description of a command by its name or kind; raises NotFound and ConfigurationProblem."""
    from qsuite_console.workers.command.worker import CommandWorker

    known = commands()
    command = known.get(name.removeprefix(KIND_PREFIX))
    if command is None:
        names = ", ".join(known)
        hint = f"declared: {names}" if names else "declare it in the configuration as [commands.NAME]"
        raise NotFound(f"no command is named {clean(name.removeprefix(KIND_PREFIX), 60)!r}", hint=hint)
    return describe_kind(CommandWorker(command))


def generic(run: Run) -> click.Command:
    """Return ``run command --name NAME --param KEY=VALUE``; ``run`` takes kind, parameters and the other flags."""

    def callback(name: str, params: tuple[str, ...], **flags: Any) -> int:
        return run(find_command(name), _pairs(params), flags)

    options: list[click.Parameter] = [
        click.Option(["name", "--name"], required=True, metavar="NAME", help="Which of the declared commands."),
        click.Option(
            ["params", "--param"], multiple=True, metavar="KEY=VALUE", help="A parameter of it; once for each."
        ),
        click.Option(["own_dry_run", "--dry-run"], is_flag=True, help="Print what would be run and do nothing."),
        click.Option(["own_queue", "--queue"], metavar="NAME", help="Queue to run in."),
        click.Option(["own_priority", "--priority"], type=click.IntRange(0, 9), help="0 (last) to 9 (first)."),
        click.Option(
            ["own_confirm", "--confirm"],
            metavar="NAME",
            default="",
            help="Confirm by the target's name; production wants it.",
        ),
        click.Option(["own_json", "--json"], is_flag=True, help="Print the result as JSON on stdout."),
    ]
    return click.Command(
        GENERIC,
        callback=callback,
        params=options,
        help="Run a program that the configuration declares as [commands.NAME]. No shell is involved.",
        short_help="Run a declared program",
        epilog=examples(
            "qsuite-console run command --name backup --param path=/backup/today.dump --dry-run",
            "qsuite-console run command --name backup --param path=/backup/today.dump --json",
        ),
    )


def _pairs(params: tuple[str, ...]) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in params:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageProblem(f"{clean(pair, 60)!r} is no KEY=VALUE", hint="--param path=/backup/today.dump")
        values[key.replace("-", "_")] = value
    return values
