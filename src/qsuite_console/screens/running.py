"""Any kind of job from anywhere (``:run``): choose it, fill in its parameters, see its plan, start it.

Made of the kinds' own words, so that a program declared in the configuration or a worker of another package needs no
screen to be run by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from qsuite_console.model.errors import InvalidParameters, ReadOnly, UsageProblem
from qsuite_console.model.jobs import Submission
from qsuite_console.model.kinds import KindInfo, Plan
from qsuite_console.model.operations import OperationInfo
from qsuite_console.screens import acting
from qsuite_console.screens.dialogs.confirm import ConfirmDialog
from qsuite_console.screens.dialogs.operation import OperationDialog, ParameterDialog
from qsuite_console.screens.typing_in import parse_pairs

if TYPE_CHECKING:
    from qsuite_console.screens.base import ConsoleScreen

DECLARED: Final = "command."  # kinds made of the configuration are called by their own name too


async def run_job(screen: ConsoleScreen, argument: str = "") -> bool:
    """Start the job of ``NAME KEY=VALUE…``, or one that is chosen and filled in here; returns whether it was started.

    Must run in a worker of the screen: it waits for answers.
    """
    kinds = await screen.attempt(screen.control.kinds())
    if not kinds:
        return False
    if argument.strip():
        try:
            kind, parameters = parse_run(argument, kinds)
        except UsageProblem as problem:
            screen.tell_error(problem)
            return False
        missing = [spec for spec in kind.parameters if spec.is_required and spec.name not in parameters]
        return await (fill_in(screen, kind) if missing and not parameters else start(screen, kind, parameters))
    if not screen.may_change():
        return False
    infos = [described(kind) for kind in kinds]
    chosen = await screen.app.push_screen_wait(OperationDialog(infos, title="Run a job"))
    return chosen is not None and await fill_in(screen, kinds[infos.index(chosen)])


async def fill_in(screen: ConsoleScreen, kind: KindInfo) -> bool:
    """Ask for a kind's parameters, then for the start."""
    if not screen.may_change():
        return False
    if not kind.parameters:
        return await start(screen, kind, {})
    dialog = ParameterDialog(described(kind))
    while (parameters := await screen.app.push_screen_wait(dialog)) is not None:
        problems = await screen.attempt(screen.control.check(kind.name, parameters))
        if problems is None:
            return False
        if not problems:
            return await start(screen, kind, parameters)
        first = problems[0]
        label = next((spec.label for spec in kind.parameters if spec.name == first.field), "")
        what = f"{label}: {first.message}" if label else first.message
        dialog = ParameterDialog(described(kind), values=parameters, problem=what, field=first.field)
    return False


async def start(screen: ConsoleScreen, kind: KindInfo, parameters: Mapping[str, Any]) -> bool:
    """Say what the job would do, ask, start it."""
    control, target = screen.control, screen.state.target
    if not screen.may_change():
        return False
    if kind.changes_data and target.is_read_only:
        screen.tell_error(ReadOnly(f"the target {target.name} is read-only", hint=f"{kind.name} would change data"))
        return False
    problems = await screen.attempt(control.check(kind.name, parameters))
    if problems is None:
        return False
    if problems:
        screen.tell_error(InvalidParameters({each.field: each.message for each in problems}))
        return False
    plan: Plan | None = None
    if kind.can_plan:
        plan = await screen.attempt(control.plan(kind.name, parameters))
        if plan is None:
            return False
    typed = acting.name_to_type(screen) if kind.changes_data else ""
    dialog = ConfirmDialog(f"Run {kind.name}?", _lines(kind, plan, parameters), do="start the job", typed=typed)
    if not await screen.agrees(dialog):
        return False
    submission = Submission(kind=kind.name, parameters=dict(parameters), origin=acting.ORIGIN, confirmation=typed)
    receipt = await screen.attempt(control.submit(submission))
    if receipt is not None:
        does = "is at it already" if receipt.joined else "runs it"
        screen.tell(f"Job {receipt.job_id} {does}  (:job {receipt.job_id})")
    return receipt is not None


def described(kind: KindInfo) -> OperationInfo:
    """Return a kind in the words of the dialogs."""
    return OperationInfo(
        name=kind.name,
        title=kind.title,
        help=kind.description or kind.title,
        parameters=kind.parameters,
        changes_target=kind.changes_data,
        timeout_s=kind.soft_limit_s,
    )


def parse_run(argument: str, kinds: Sequence[KindInfo]) -> tuple[KindInfo, dict[str, str]]:
    """Return kind and parameters of "backup path=/x"; raises UsageProblem in words that can be shown."""
    known = {kind.name.removeprefix(DECLARED): kind for kind in reversed(kinds)} | {kind.name: kind for kind in kinds}
    specs = {name: kind.parameters for name, kind in known.items()}
    name, parameters = parse_pairs(argument, specs, verb="run", what="kind of job")
    return known[name], parameters


def _lines(kind: KindInfo, plan: Plan | None, parameters: Mapping[str, Any]) -> list[str]:
    if plan is None:
        given = [f"{name:<13} {value}" for name, value in parameters.items()]
        return [kind.description or kind.title, *given]
    width = max((len(line.label) for line in plan.lines), default=0)
    facts = [f"{line.label:<{width}} {line.value}" + (f"  ({line.note})" if line.note else "") for line in plan.lines]
    nothing = ["", "There is nothing to do."] if plan.is_noop else []
    return [plan.title, *facts, *nothing, *([""] if plan.warnings else []), *plan.warnings]
