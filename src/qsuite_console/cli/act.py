"""``act OPERATION``: change the platform at once, from a shell. Flags are made from the operation's own parameters.

What would happen is shown first and asked on a terminal; without one only ``--yes`` does it. On a production target
nothing but the target's name confirms. The gate of the engine decides, here as on every screen.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import click

from qsuite_console.cli import flags, output
from qsuite_console.cli.connect import ORIGIN, changing
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.lazy import NamedGroup, examples
from qsuite_console.cli.operations import find_operation, known_operations
from qsuite_console.engine.control import Control
from qsuite_console.model.errors import InvalidParameters, NotFound, ReadOnly, UsageProblem
from qsuite_console.model.operations import OperationInfo, Outcome, Proposal
from qsuite_console.model.text import clean

F = TypeVar("F", bound=Callable[..., Any])
GONE: Final = 3  # nothing is left to be done: a script need not repeat it


def _purpose(name: str) -> str:
    operation = find_operation(name)
    return operation.help or operation.title


@click.command(
    cls=NamedGroup,
    heading="Operations",
    names=known_operations,
    make=lambda name: command_for(find_operation(name)),
    purpose=_purpose,
    invoke_without_command=True,
    epilog=examples(
        "qsuite-console act                                   list what can be done",
        "qsuite-console act cache.delete-key --key quotes:AAPL --dry-run",
        "qsuite-console act cache.reset-slowlog --yes",
        "qsuite-console --target prod act cache.reset-slowlog --confirm prod",
    ),
)
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
@click.pass_context
def act(ctx: click.Context, *, is_json: bool) -> None:
    """Change the platform at once: cancel a query, apply a setting, delete a key.

    Without an operation they are listed. Exit codes: 0 done, 1 refused, failed or not done, 2 usage, 3 what it should
    change is not there (any more), 130 cancelled. Every attempt and its result is in the audit: qsuite-console audit.
    """
    if ctx.invoked_subcommand is None:
        _list(is_json=is_json)


def command_for(operation: OperationInfo) -> click.Command:
    """Return ``act OPERATION`` with the operation's parameters as flags."""

    def callback(**given: Any) -> int:
        request = Request(
            operation=operation,
            parameters=flags.given(operation.parameters, given),
            is_sure=given["own_yes"],
            name=given["own_confirm"],
            is_dry=given["own_dry_run"],
            is_json=given["own_json"],
        )
        return perform(click.get_current_context().obj, request)

    params: list[click.Parameter] = [flags.option(spec) for spec in operation.parameters]
    params += [
        click.Option(["own_dry_run", "--dry-run"], is_flag=True, help="Say what it would do and do nothing."),
        click.Option(["own_yes", "--yes", "-y"], is_flag=True, help="Do it without asking."),
        click.Option(["own_confirm", "--confirm"], metavar="NAME", default="", help="Confirm by the target's name."),
        click.Option(["own_json", "--json"], is_flag=True, help="Print the outcome as JSON on stdout."),
    ]
    sample = flags.sample(operation.parameters)
    line = f"qsuite-console act {operation.name} {sample}".rstrip()
    return click.Command(
        operation.name,
        callback=callback,
        params=params,
        help=operation.help or operation.title,
        short_help=operation.title,
        epilog=examples(f"{line} --dry-run", f"{line} --yes --json"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one ``act`` was asked to do."""

    operation: OperationInfo
    parameters: dict[str, Any]
    is_sure: bool = False
    name: str = ""
    is_dry: bool = False
    verb: str = ""  # what was typed, where that was not ``act``
    is_json: bool = False


def sure_options(command: F) -> F:
    """Add what every verb takes that performs one operation; the names are those of Request."""
    for option in (
        click.option("--json", "is_json", is_flag=True, help="Print JSON."),
        click.option("--yes", "-y", "is_sure", is_flag=True, help="Do it without asking."),
        click.option("--dry-run", "is_dry", is_flag=True, help="Say what it would do and do nothing."),
    ):
        command = option(command)
    return command


def perform(invocation: Invocation, request: Request) -> int:
    """Propose, ask and perform; returns the exit code."""
    invocation.start_log()
    operation = request.operation
    try:
        proposal = changing(invocation, partial(_propose, invocation, request))
        if request.is_dry:
            _print_proposal(proposal, is_json=request.is_json)
            return 0
        confirmation = _ask(proposal, request)
        if confirmation is None:
            output.note("nothing was changed")
            return 1
        outcome = changing(
            invocation,
            lambda control: control.perform(
                operation.name, proposal.parameters, confirmation=confirmation, origin=ORIGIN
            ),
        )
    except InvalidParameters as error:
        named = {spec.name: flags.flag_of(spec) for spec in operation.parameters}
        problems = {named.get(name, name): clean(why) for name, why in error.problems.items()}
        hint = error.hint or f"{request.verb or f'qsuite-console act {operation.name}'} --help"
        raise InvalidParameters(problems, hint=hint) from error
    except NotFound as error:
        return _print_gone(operation, error, is_json=request.is_json)
    return _print_outcome(outcome, is_json=request.is_json)


async def _propose(invocation: Invocation, request: Request, control: Control) -> Proposal:
    """Look; the other engine may run without our --read-only, and must not change anything for one that has it."""
    operation, target = request.operation, invocation.loaded.settings.target
    if operation.changes_target and target.read_only and not control.state.is_read_only:
        raise ReadOnly(
            f"the target {clean(target.name, 60)} is read-only here: {operation.title.lower()} would change it",
            hint="leave --read-only out, or set target.read_only = false for it",
        )
    return await control.propose(operation.name, request.parameters, origin=ORIGIN)


def _ask(proposal: Proposal, request: Request) -> str | None:
    """Return the confirmation to send, None for a no; raises UsageProblem where nobody can be asked."""
    if request.name or request.is_sure or not (proposal.asks or proposal.typed):
        return request.name  # where a name is wanted and another or none was given, the gate says so
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        wanted = f"--confirm {proposal.typed}" if proposal.typed else "--yes"
        raise UsageProblem(
            f"{clean(proposal.title, 200)} Nobody can be asked: this is no terminal",
            hint=f"add {wanted} to do it, or --dry-run to see what it would do",
        )
    output.note(proposal.title)
    for line in proposal.lines:
        output.note(f"  {line}")
    if proposal.typed:
        answer: str = click.prompt(f"Type {clean(proposal.typed, 60)} to {proposal.do}", default="", err=True)
        return answer.strip() or None
    return "" if click.confirm(f"{proposal.do.capitalize()}?", default=False, err=True) else None


def _print_proposal(proposal: Proposal, *, is_json: bool) -> None:
    if is_json:
        output.document(proposal)
        return
    output.line(proposal.title)
    for line in proposal.lines:
        output.line(f"  {line}".rstrip())
    if proposal.typed:
        output.note(f"production: confirm with --confirm {proposal.typed}")


def _print_outcome(outcome: Outcome, *, is_json: bool) -> int:
    if is_json:
        output.document(outcome)
    else:
        output.line(outcome.message)
        for line in outcome.lines:
            output.line(f"  {line}")
    return 0 if outcome.is_done else 1


def _print_gone(operation: OperationInfo, error: NotFound, *, is_json: bool) -> int:
    if is_json:
        output.document(Outcome(operation=operation.name, is_done=False, message=error.message))
    output.error(f"{operation.title}: {error.message}; nothing was changed", error.hint)
    return GONE


def _list(*, is_json: bool) -> None:
    infos = [find_operation(name) for name in known_operations()]
    if is_json:
        output.document(infos)
        return
    output.table(
        ("operation", "parameters", "what it does"),
        [
            (
                info.name,
                " ".join(
                    flags.flag_of(spec) if spec.is_required else f"[{flags.flag_of(spec)}]" for spec in info.parameters
                ),
                _purpose(info.name),
            )
            for info in infos
        ],
        flexible=2,
    )
