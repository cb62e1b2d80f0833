"""``optimize``: what would put the platform in shape as a plan, then, when asked for, the same jobs anybody can start.

Without ``--auto`` nothing is touched: at a terminal the plan may be said yes to, elsewhere it is only shown.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack
from typing import Any, Final

import click

from qsuite_console.cli import output
from qsuite_console.cli.confirming import can_ask
from qsuite_console.cli.connect import any_engine
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.jobs import json_option
from qsuite_console.cli.lazy import examples
from qsuite_console.cli.performing import Performer, confirmed, print_summary
from qsuite_console.engine.ports import Claiming
from qsuite_console.model.advice import Analysis, Score
from qsuite_console.model.errors import ConsoleError, InvalidParameters
from qsuite_console.model.optimizing import Optimization, Step, score_of

ORIGIN: Final = "cli"
_AREAS: Final = ("overall", "database", "cache", "system")


@click.command(
    epilog=examples(
        "qsuite-console optimize                         the plan; at a terminal it asks, elsewhere nothing is done",
        "qsuite-console optimize --auto                  do what is safe, one job after the other",
        "qsuite-console --target prod optimize --auto --confirm prod",
        "qsuite-console optimize --json | jq -r '.steps[] | select(.is_safe | not) | .why_not'",
    )
)
@click.option("--auto", "is_auto", is_flag=True, help="Do the safe steps without asking.")
@click.option("--confirm", metavar="NAME", default="", help="Confirm by the target's name; production wants it.")
@click.option(
    "--interval",
    "interval_s",
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Rates are taken over this.",
)
@json_option
@click.pass_obj
def optimize(invocation: Invocation, /, *, is_auto: bool, confirm: str, interval_s: float, is_json: bool) -> int:
    """Say what would put the platform in shape, and why; do what is safe when told to.

    Looks for tables that wait for vacuum or statistics, broken and missing recommended indexes, partitions that are
    not made yet, cached keys that never expire, families of the cache that are cold, safe settings, and what the
    console itself has kept long enough. Each step is a job or an operation that can be started alone, too.

    Exit codes: 0 shown, or all safe steps done; 1 a step failed or was refused; 2 usage; 130 interrupted.
    """
    invocation.start_log()
    found = _ask(invocation, interval_s)
    if not is_json:
        print_plan(found)
    if not found.safe or not (is_auto or (not is_json and _agrees(invocation, found))):
        if is_json:
            output.document(_document(found))
        elif found.safe:
            output.note(f"nothing was changed; --auto does {_which(found.safe)}")
        return 0
    performer = Performer(invocation, confirmation=confirmed(invocation, confirm, "the safe steps"))
    done = performer.perform(found.safe)
    after = _scores(invocation, interval_s)
    if is_json:
        output.document({**_document(found), "performed": done, "scores_after": after})
    else:
        print_summary(done)
        _print_scores(found.scores, after)
    return performer.exit_code


def print_plan(found: Optimization) -> None:
    """Write the steps with evidence, consequence and command."""
    output.line(f"{found.target}: {_scores_line(found.scores)}")
    for step in found.safe:
        _print_step(step)
    if found.left:
        output.line()
        output.line("left to you:")
    for step in found.left:
        _print_step(step)
    output.line()
    if not found.steps:
        output.line("nothing is to be done")
    if found.others:
        what = "finding needs" if found.others == 1 else "findings need"
        output.line(f"{found.others} more {what} a person: qsuite-console analyze")
    for unread in found.unread:
        hint = f" ({unread.hint})" if unread.hint else ""
        output.warning(f"{unread.what} could not be read: {unread.why}{hint}")


def _print_step(step: Step) -> None:
    output.line()
    rule = f"  [{step.rule}]" if step.rule else ""
    output.line(f"{step.number:>2}  {step.title}{rule}")
    output.line(f"    found  {'; '.join(step.evidence)}")
    if step.why_not:
        output.line(f"    yours  {step.why_not}")
    output.line(f"    then   {step.consequence}")
    output.line(f"    runs   {step.command}")


def _agrees(invocation: Invocation, found: Optimization) -> bool:
    if not can_ask() or os.environ.get("CI") or invocation.loaded.settings.target.read_only:
        return False
    return click.confirm(f"Do {_which(found.safe)} now?", default=False, err=True)


def _which(steps: tuple[Step, ...]) -> str:
    return f"step {steps[0].number}" if len(steps) == 1 else f"steps {steps[0].number} to {steps[-1].number}"


def _ask(invocation: Invocation, interval_s: float) -> Optimization:
    try:
        with ExitStack() as stack:
            control = any_engine(invocation, stack, claim=Claiming.NONE, origin=ORIGIN)
            answer = asyncio.run(control.ask("optimize", {"interval_s": interval_s}))
    except InvalidParameters as error:
        problems = {f"--{name.removesuffix('_s')}": why for name, why in error.problems.items()}
        raise InvalidParameters(problems, hint=error.hint) from error
    assert isinstance(answer, Optimization)
    return answer


def _scores(invocation: Invocation, interval_s: float) -> tuple[Score, ...]:
    """Return the scores after the work; a look that fails takes nothing from what was done."""
    try:
        with ExitStack() as stack:
            control = any_engine(invocation, stack, claim=Claiming.NONE, origin=ORIGIN)
            answer = asyncio.run(control.ask("analyze", {"interval_s": interval_s}))
    except ConsoleError as error:
        output.warning(f"the scores afterwards could not be read: {error.message}")
        return ()
    assert isinstance(answer, Analysis)
    return answer.scores


def _scores_line(scores: tuple[Score, ...]) -> str:
    return ", ".join(f"{area} {_number(score_of(scores, area))}" for area in _AREAS)


def _print_scores(before: tuple[Score, ...], after: tuple[Score, ...]) -> None:
    if after:
        told = [f"{area} {_number(score_of(before, area))} -> {_number(score_of(after, area))}" for area in _AREAS]
        output.line(f"score: {', '.join(told)}")


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0f}"


def _document(found: Optimization) -> dict[str, Any]:
    return {
        "at": found.at,
        "target": found.target,
        "scores": found.scores,
        "steps": [{**_builtin(step), "command": step.command} for step in found.steps],
        "others": found.others,
        "unread": found.unread,
        "performed": None,
        "scores_after": None,
    }


def _builtin(step: Step) -> dict[str, Any]:
    import msgspec

    return dict(msgspec.to_builtins(step))
