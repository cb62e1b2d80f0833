"""``run KIND``: one job in the foreground. Its flags are made from the kind's own parameters.

Where an engine runs for this history the job is handed to it and followed; else an engine is opened here that runs
nothing but this job, and serves the socket so that other processes see and steer it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import click
import msgspec

from qsuite_console.cli import declared, flags, output
from qsuite_console.cli.confirming import typed_name
from qsuite_console.cli.foreground import ORIGIN, Foreground, plan_of
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.jobs import result_rows
from qsuite_console.cli.kinds import KindBroken, find_kind, known_kinds
from qsuite_console.cli.lazy import NamedGroup, examples
from qsuite_console.cli.plans import print_plan
from qsuite_console.cli.signals import Signals
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.jobs import TERMINAL, JobDetail, JobState, Submission
from qsuite_console.model.kinds import KindInfo
from qsuite_console.model.text import clean

CANCELLED: Final = 130
_CODES: Final = {JobState.SUCCEEDED: 0, JobState.CANCELLED: CANCELLED}


def _names() -> tuple[str, ...]:
    return tuple(sorted({*known_kinds(), declared.GENERIC, *declared.kind_names()}))


def _made(name: str) -> click.Command:
    return declared.generic(_run_kind) if name == declared.GENERIC else command_for(_found(name))


def _found(name: str) -> KindInfo:
    return find_kind(name) if name in known_kinds() else declared.find_command(name)


def _purpose(name: str) -> str:
    if name == declared.GENERIC:
        return declared.PURPOSE
    try:
        kind = _found(name)
    except KindBroken:
        return "can't be loaded; qsuite-console doctor says why"
    return kind.description or kind.title


@click.command(
    cls=NamedGroup,
    heading="Kinds",
    names=_names,
    make=_made,
    purpose=_purpose,
    epilog=examples(
        "qsuite-console run backfill --symbols AAPL,MSFT --start 2025-01-02 --end 2025-12-31 --dry-run",
        "qsuite-console run backfill --symbols all --timeframe 1Day --start 2025-01-02 --json",
        "qsuite-console run backfill --help",
    ),
)
def run() -> None:
    """Run one job in the foreground.

    Exit codes: 0 succeeded, 1 failed, 2 usage, 130 cancelled, 143 interrupted by SIGTERM. Ctrl-C cancels and keeps the
    checkpoint; a second Ctrl-C leaves at once. The same command again resumes an interrupted or paused job.
    """


def command_for(kind: KindInfo) -> click.Command:
    """Return ``run KIND`` with the kind's parameters as flags."""

    def callback(**given: Any) -> int:
        return _run_kind(kind, flags.given(kind.parameters, given), given)

    params: list[click.Parameter] = [flags.option(spec) for spec in kind.parameters]
    params += [
        click.Option(
            ["own_dry_run", "--dry-run"], is_flag=True, help="Print the plan and do nothing.", hidden=not kind.can_plan
        ),
        click.Option(["own_queue", "--queue"], metavar="NAME", help=f"Queue to run in.  [default: {kind.queue}]"),
        click.Option(
            ["own_priority", "--priority"],
            type=click.IntRange(0, 9),
            help=f"0 (last) to 9 (first).  [default: {kind.priority}]",
        ),
        click.Option(["own_profiling", "--profiling"], is_flag=True, help="Say in its log where its time went."),
        click.Option(
            ["own_confirm", "--confirm"],
            metavar="NAME",
            default="",
            help="Confirm by the target's name; production wants it.",
            hidden=not kind.changes_data,
        ),
        click.Option(
            ["own_tell", "--tell"],
            multiple=True,
            metavar="NAME",
            help="Tell this webhook, program or e-mail of the configuration how it ended; may be repeated.",
        ),
        click.Option(["own_json", "--json"], is_flag=True, help="Print the result as JSON on stdout."),
    ]
    line = f"qsuite-console run {kind.name} {flags.sample(kind.parameters)}".rstrip()
    return click.Command(
        kind.name,
        callback=callback,
        params=params,
        help=kind.description or kind.title,
        short_help=kind.title,
        epilog=examples(*([f"{line} --dry-run"] if kind.can_plan else []), line, f"{line} --json"),
    )


def _run_kind(kind: KindInfo, parameters: Mapping[str, Any], given: Mapping[str, Any]) -> int:
    options = Options(
        kind=kind,
        parameters=dict(parameters),
        is_json=given["own_json"],
        is_dry=given["own_dry_run"],
        queue=given["own_queue"],
        priority=given["own_priority"],
        confirmation=given["own_confirm"],
        tell=given.get("own_tell", ()),
    )
    options.is_profiled = given.get("own_profiling", False)
    return run_one(click.get_current_context().obj, options)


class Options:
    """What one ``run`` was asked to do."""

    def __init__(
        self,
        *,
        kind: KindInfo,
        parameters: dict[str, Any],
        is_json: bool = False,
        is_dry: bool = False,
        queue: str | None = None,
        priority: int | None = None,
        confirmation: str = "",
        tell: tuple[str, ...] = (),
    ) -> None:
        self.kind = kind
        self.parameters = parameters
        self.is_json = is_json
        self.is_dry = is_dry
        self.queue = queue
        self.priority = priority
        self.confirmation = confirmation
        self.tell = tell
        self.is_profiled = False
        self.show: Callable[[dict[str, Any]], None] | None = None  # prints the result of a success in its own way
        self.take: Callable[[dict[str, Any]], None] | None = None  # gets the result of a success, printed or not


def run_one(invocation: Invocation, options: Options) -> int:
    """Run or plan one job and return the exit code."""
    invocation.start_log()
    try:
        return _run_one(invocation, options)
    except InvalidParameters as error:
        named = {spec.name: flags.flag_of(spec) for spec in options.kind.parameters}
        problems = {named.get(name, name): clean(why) for name, why in error.problems.items()}
        raise InvalidParameters(
            problems, hint=error.hint or f"qsuite-console run {options.kind.name} --help"
        ) from error


def _run_one(invocation: Invocation, options: Options) -> int:
    submission = Submission(
        kind=options.kind.name,
        parameters=options.parameters,
        queue=options.queue,
        priority=options.priority,
        origin=ORIGIN,
        profile=options.is_profiled,
    )
    if options.is_dry:
        plan = plan_of(invocation, submission)
        if options.is_json:
            output.document(plan)
        else:
            print_plan(plan)
        return 0
    name = options.confirmation
    if options.kind.changes_data:
        what = f"to run {options.kind.name}"
        name = typed_name(invocation, name, what, instead=", or --dry-run to see the plan")
    submission = msgspec.structs.replace(submission, confirmation=name)
    with Signals().installed() as signals:
        foreground = Foreground(invocation, submission, options.kind, signals, tell=options.tell)
        detail = foreground.to_the_end()
        if detail is not None and detail.job.state in TERMINAL and not signals.leaving:
            return _print_end(detail, options)
        return _print_left(foreground.job_id, detail, signals, options)


def _print_end(detail: JobDetail, options: Options) -> int:
    job, is_json = detail.job, options.is_json
    duration_s = round(sum(attempt.run_s or 0.0 for attempt in detail.attempts), 3)
    if is_json:
        output.document(_answer(job.id, job.kind, job.state, duration_s, detail.result, job.error))
    elif detail.result and options.show is not None and job.state is JobState.SUCCEEDED:
        options.show(detail.result)
    elif detail.result:
        output.pairs(result_rows(detail.result))
    if options.take is not None and detail.result and job.state is JobState.SUCCEEDED:
        options.take(detail.result)
    if job.state is JobState.FAILED:
        output.error(
            f"job {job.id} failed: {job.error or job.reason or 'no reason given'}", f"qsuite-console jobs show {job.id}"
        )
    elif job.state is JobState.CANCELLED:
        output.note(f"job {job.id} cancelled; its checkpoint is kept: qsuite-console jobs retry {job.id}")
    elif not is_json:
        output.note(f"job {job.id} succeeded in {output.duration(duration_s)}")
    if options.is_profiled:
        output.note(f"where its time went is at the end of its log: qsuite-console jobs logs {job.id}")
    return _CODES.get(job.state, 1)


def _print_left(job_id: int, detail: JobDetail | None, signals: Signals, options: Options) -> int:
    """Say what became of a job whose command was asked to leave; ``detail`` is None where another engine has it."""
    if detail is not None:
        state: str = detail.job.state
        result, error = detail.result, detail.job.error
        output.note(f"job {job_id} is {state}; the same command resumes it from its checkpoint")
    else:
        state, result, error = JobState.RUNNING, None, None
        output.note(f"left job {job_id} to the engine that runs it: qsuite-console jobs show {job_id}")
    if options.is_json:
        output.document(_answer(job_id, options.kind.name, state, None, result, error))
    return signals.exit_code


def _answer(
    job_id: int, kind: str, state: str, duration_s: float | None, result: dict[str, Any] | None, error: str | None
) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "kind": kind,
        "state": state,
        "duration_s": duration_s,
        "result": result,
        "error": error,
    }
