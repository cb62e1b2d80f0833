"""``completion`` and ``man``: what a shell and a reader get from the same command tree."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import click
from click.shell_completion import get_completion_class

from qsuite_console import __version__
from qsuite_console.cli import output
from qsuite_console.cli.lazy import examples

PROGRAM: Final = "qsuite-console"
SHELLS: Final = ("bash", "zsh", "fish")
_BOTH: Final = {"bash": "qsuite", "zsh": "qsuite", "fish": "--command qsuite"}  # the short name, for each shell
_NAMED: Final = {
    "bash": (f"_completion {PROGRAM}",),
    "zsh": (f"#compdef {PROGRAM}", f"_completion {PROGRAM}"),
    "fish": (f"--command {PROGRAM}",),
}
_VARIABLE: Final = "_QSUITE_CONSOLE_COMPLETE"


@click.command(
    epilog=examples(
        'eval "$(qsuite-console completion bash)"                 in ~/.bashrc',
        "qsuite-console completion fish > ~/.config/fish/completions/qsuite-console.fish",
    )
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}", ctx)
    script = found(ctx.find_root().command, {}, PROGRAM, _VARIABLE).source()
    for here in _NAMED[shell]:
        script = script.replace(here, here.replace(PROGRAM, f"{PROGRAM} {_BOTH[shell]}"))
    output.block(script)


@click.command(epilog=examples("qsuite-console man > qsuite-console.1", "qsuite-console man | man -l -"))
@click.pass_context
def man(ctx: click.Context) -> None:
    """Print the manual page in roff."""
    root = ctx.find_root()
    output.block("\n".join(_page(root)))


def _page(root: click.Context) -> Iterator[str]:
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    yield f'.TH QSUITE-CONSOLE 1 "{day}" "qsuite-console {__version__}"'
    yield ".SH NAME"
    summary = importlib.metadata.metadata(PROGRAM)["Summary"]
    yield f"qsuite\\-console \\- {_roff(summary)}"
    yield ".SH SYNOPSIS"
    yield f"\\fB{_roff(PROGRAM)}\\fR [options] [command] [arguments]"
    yield ".SH DESCRIPTION"
    yield from _text(root.command.help or "")
    yield ".SH OPTIONS"
    yield from _options(root)
    yield ".SH COMMANDS"
    yield from _commands(root, PROGRAM)
    yield ".SH EXIT STATUS"
    for code, meaning in (
        ("0", "succeeded"),
        ("1", "failed"),
        ("2", "wrong usage or configuration"),
        ("70", "an unexpected failure; the log has its traceback"),
        ("130", "cancelled with Ctrl-C"),
        ("143", "ended by SIGTERM after running jobs saved their checkpoints"),
    ):
        yield f".TP\n.B {code}\n{meaning}"
    yield ".SH SEE ALSO"
    yield "The settings, keys and architecture are described under docs/ of the distribution."


def _commands(parent: click.Context, path: str) -> Iterator[str]:
    group = parent.command
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        if command is None:
            continue
        with click.Context(command, info_name=name, parent=parent) as ctx:
            arguments = " ".join(
                param.make_metavar(ctx) for param in command.params if isinstance(param, click.Argument)
            )
            yield f".SS {_roff(f'{path} {name} {arguments}'.strip())}"
            yield from _text(command.help or "")
            yield from _options(ctx)
            yield from _commands(ctx, f"{path} {name}")


def _options(ctx: click.Context) -> Iterator[str]:
    for param in ctx.command.params:
        record = param.get_help_record(ctx)
        if record is not None:
            yield f".TP\n.B {_roff(record[0])}\n{_roff(record[1]) or '-'}"


def _text(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.replace("\b", "").strip().split("\n\n")):
        if number:
            yield ".PP"
        yield _roff(" ".join(paragraph.split()))


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped
