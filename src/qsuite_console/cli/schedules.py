"""``schedules``: which jobs make themselves and when; from the running engine, else in the history it left.

Every change goes the way of ``act``: looked at, asked on a terminal, confirmed by name on production, audited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import click

from qsuite_console.cli import output
from qsuite_console.cli.act import Request, perform
from qsuite_console.cli.connect import changing, running_engine
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.jobs import json_option
from qsuite_console.cli.lazy import ListedGroup, examples
from qsuite_console.cli.operations import find_operation
from qsuite_console.engine.cron_words import place
from qsuite_console.engine.timing import span_of
from qsuite_console.history.reader import open_reader
from qsuite_console.metrics.schedules import Answers
from qsuite_console.model.errors import HistoryMissing, InvalidParameters
from qsuite_console.model.schedules import (
    Explanation,
    ScheduleDetail,
    ScheduleList,
    ScheduleRun,
    ScheduleView,
    Timing,
    fields_of,
    length,
    written,
)

_RUNS: Final = 10  # of the newest that are shown
F = TypeVar("F", bound=Callable[..., Any])
_SURE: Final = (
    click.option("--dry-run", "is_dry", is_flag=True, help="Say what it would do and do nothing."),
    click.option("--yes", "-y", "is_sure", is_flag=True, help="Do it without asking."),
    click.option("--confirm", "name_given", metavar="TARGET", default="", help="Confirm by the target's name."),
    json_option,
)
_WHEN: Final = (
    click.option("--cron", metavar="EXPRESSION", help="Minute hour day month weekday, a sixth is the second; @daily."),
    click.option("--every", metavar="TIME", help="An interval like '30 s' or '5 min', 1 s to 24 h."),
    click.option("--once", metavar="TIME", help="One time like '2026-11-30 09:25', in the zone."),
    click.option("--zone", metavar="ZONE", help="Time zone of the wall clock, as America/New_York.  [default: UTC]"),
)
_WHAT: Final = (
    click.option("--missed", type=click.Choice(["skip", "once", "all"]), help="Runs missed while nothing ran."),
    click.option("--grace", metavar="TIME", help="A run that late is still on time.  [default: 60 s]"),
    click.option("--overlap", type=click.Choice(["skip", "queue", "cancel-previous"]), help="While the last one runs."),
    click.option("--jitter", metavar="TIME", help="Start up to this much later, the same way for the same plan."),
    click.option("--note", metavar="TEXT", help="What it is for."),
    click.option("--parameters", metavar="TEXT", help="Of the job: name=value … or JSON."),
)


def _with(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


@click.group(
    cls=ListedGroup,
    invoke_without_command=True,
    epilog=examples(
        "qsuite-console schedules",
        "qsuite-console schedules explain '25 9 * * mon-fri' --zone America/New_York",
        "qsuite-console schedules add morning warm.prices --cron '25 9 * * mon-fri' --zone America/New_York",
        "qsuite-console schedules add report vacuum --parameters table=orders --every '6 h' --missed once",
        "qsuite-console schedules disable warm-prices",
    ),
)
@json_option
@click.pass_context
def schedules(ctx: click.Context, *, is_json: bool) -> None:
    """List, make, change, pause and explain the jobs that make themselves."""
    if ctx.invoked_subcommand is None:
        _list(ctx.obj, is_json=is_json)


@schedules.command("list", epilog=examples("qsuite-console schedules list --json"))
@json_option
@click.pass_obj
def list_(invocation: Invocation, *, is_json: bool) -> None:
    """List schedules with what they mean, their next and their last run."""
    _list(invocation, is_json=is_json)


@schedules.command(
    epilog=examples(
        "qsuite-console schedules add night vacuum --parameters table=all --cron '30 2 * * *' --missed once --yes",
        "qsuite-console schedules add quick warm.prices --every '10 s' --dry-run",
    )
)
@click.argument("name")
@click.argument("kind")
@_with(*_WHEN, *_WHAT)
@click.option("--paused", "is_paused", is_flag=True, help="Make it, but paused.")
@_with(*_SURE)
@click.pass_obj
def add(invocation: Invocation, /, name: str, kind: str, **given: Any) -> int:
    """Make a schedule NAME that makes jobs of KIND; one of --cron, --every and --once says when."""
    fields = {"name": name, "kind": kind, "enabled": not given["is_paused"], **_typed(given)}
    return _perform(invocation, "schedules.save", fields, given)


@schedules.command(
    epilog=examples(
        "qsuite-console schedules edit warm-prices --every '1 min' --yes",
        "qsuite-console schedules edit night --zone Europe/Berlin --missed all --dry-run",
    )
)
@click.argument("name")
@_with(*_WHEN, *_WHAT)
@_with(*_SURE)
@click.pass_obj
def edit(invocation: Invocation, /, name: str, **given: Any) -> int:
    """Change a schedule: what is not given stays as it is; a new time replaces the one it has."""
    schedule = _detail(invocation, name, 1).view.schedule
    changes = _typed(given)
    kept = fields_of(schedule)
    if {"cron", "every", "once"} & set(changes):
        kept |= {"cron": "", "every": "", "once": ""}
    return _perform(invocation, "schedules.save", {**kept, **changes}, given)


@schedules.command(epilog=examples("qsuite-console --target prod schedules enable night --confirm prod"))
@click.argument("name")
@_with(*_SURE)
@click.pass_obj
def enable(invocation: Invocation, /, name: str, **given: Any) -> int:
    """Let a paused schedule plan again, from now on; on production this confirms its jobs."""
    return _perform(invocation, "schedules.enable", {"name": name}, given)


@schedules.command(epilog=examples("qsuite-console schedules disable warm-prices"))
@click.argument("name")
@_with(*_SURE)
@click.pass_obj
def disable(invocation: Invocation, /, name: str, **given: Any) -> int:
    """Pause a schedule: it makes no jobs until it is enabled; a job it has made runs on."""
    return _perform(invocation, "schedules.pause", {"name": name}, given)


@schedules.command(epilog=examples("qsuite-console schedules remove night --yes"))
@click.argument("name")
@_with(*_SURE)
@click.pass_obj
def remove(invocation: Invocation, /, name: str, **given: Any) -> int:
    """Delete a schedule with the list of its runs; jobs it has made stay."""
    return _perform(invocation, "schedules.delete", {"name": name}, given)


@schedules.command(epilog=examples("qsuite-console schedules run warm-prices --yes"))
@click.argument("name")
@_with(*_SURE)
@click.pass_obj
def run(invocation: Invocation, /, name: str, **given: Any) -> int:
    """Make a schedule's job now, beside its plans; without an engine it starts when one does."""
    return _perform(invocation, "schedules.run", {"name": name}, given)


@schedules.command("next", epilog=examples("qsuite-console schedules next night --count 20"))
@click.argument("name")
@click.option("--count", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many.")
@json_option
@click.pass_obj
def next_(invocation: Invocation, name: str, count: int, *, is_json: bool) -> None:
    """Print when a schedule runs next, by its own clock and by this machine's."""
    detail = _detail(invocation, name, count)
    if is_json:
        output.document(detail.upcoming)
        return
    if not detail.view.schedule.is_enabled:
        output.note(f"{name} is paused: these are the runs it would have")
    print_plans(detail.upcoming.times, detail.view.schedule.timing)


@schedules.command(epilog=examples("qsuite-console schedules show night", "qsuite-console schedules show night --json"))
@click.argument("name")
@json_option
@click.pass_obj
def show(invocation: Invocation, name: str, *, is_json: bool) -> None:
    """Show one schedule with its next runs and what came of the last ones."""
    detail = _detail(invocation, name, 5)
    if is_json:
        output.document(detail)
        return
    _print_detail(detail)
    if detail.runs:
        output.table(
            ("planned", "outcome", "job", "why"),
            [
                (output.instant(run.planned_at), _outcome(run), run.job_id or "", _why(run))
                for run in detail.runs[:_RUNS]
            ],
            flexible=3,
        )


@schedules.command(
    epilog=examples(
        "qsuite-console schedules explain warm-prices",
        "qsuite-console schedules explain '*/5 9-16 * * mon-fri' --zone America/New_York",
        "qsuite-console schedules explain '30 s'",
    )
)
@click.argument("what")
@click.option("--zone", default="UTC", show_default=True, metavar="ZONE", help="For an expression: its time zone.")
@click.option("--count", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many runs to print.")
@json_option
@click.pass_obj
def explain(invocation: Invocation, what: str, zone: str, count: int, *, is_json: bool) -> None:
    """Say in plain words what a schedule, a cron expression or an interval means, and when it comes next."""
    is_interval = span_of(what) is not None
    if not (is_interval or " " in what.strip() or what.startswith("@")):
        detail = _detail(invocation, what, count)
        output.document(detail) if is_json else _print_detail(detail)
        return
    asked = {"every" if is_interval else "cron": what, "zone": zone, "most": count}
    answer = _ask(invocation, "schedules.explain", asked)
    assert isinstance(answer, Explanation)
    if answer.problems:
        raise InvalidParameters(answer.problems)
    output.document(answer) if is_json else _print_meaning(answer)


def _typed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a schedule that were given as flags."""
    names = ("cron", "every", "once", "zone", "missed", "grace", "overlap", "jitter", "note", "parameters")
    return {name: given[name] for name in names if given[name] is not None}


def _perform(invocation: Invocation, operation: str, fields: dict[str, Any], given: Mapping[str, Any]) -> int:
    """Do it; what is wrong with an argument is told under its name, not under that of a flag there is not."""
    try:
        return _performed(invocation, operation, fields, given)
    except InvalidParameters as error:
        arguments = {"--name": "NAME", "--kind": "KIND"}
        problems = {arguments.get(name, name): why for name, why in error.problems.items()}
        raise InvalidParameters(problems, hint=error.hint) from error


def _performed(invocation: Invocation, operation: str, fields: dict[str, Any], given: Mapping[str, Any]) -> int:
    return perform(
        invocation,
        Request(
            operation=find_operation(operation),
            parameters=fields,
            is_sure=given["is_sure"],
            name=given["name_given"],
            is_dry=given["is_dry"],
            is_json=given["is_json"],
            verb=click.get_current_context().command_path,
        ),
    )


def _ask(invocation: Invocation, probe: str, parameters: Mapping[str, Any]) -> Any:
    """Ask the running engine, else the history that was left; one that was never made gets its defaults first."""
    with ExitStack() as stack:
        engine = running_engine(invocation, stack)
        if engine is not None:
            return asyncio.run(engine.ask(probe, parameters))
    try:
        with closing(open_reader(invocation.paths.history)) as reader:
            return asyncio.run(Answers(reader.schedules, datetime.now(UTC)).ask(probe, parameters))
    except HistoryMissing:
        return changing(invocation, lambda control: control.ask(probe, parameters))


def _detail(invocation: Invocation, name: str, most: int) -> ScheduleDetail:
    answer = _ask(invocation, "schedules.detail", {"name": name, "most": most})
    assert isinstance(answer, ScheduleDetail)
    return answer


def _list(invocation: Invocation, *, is_json: bool) -> None:
    answer = _ask(invocation, "schedules.list", {})
    assert isinstance(answer, ScheduleList)
    if is_json:
        output.document(answer)
        return
    if not answer.is_running:
        output.note("no engine runs: nothing happens by these until one does")
    if not answer.schedules:
        output.note("there are no schedules; qsuite-console schedules add --help")
        return
    output.table(
        ("schedule", "job", "state", "next", "last", "when"),
        [
            (v.schedule.name, v.schedule.kind, state_of(v), output.instant(v.next_at), last_of(v), v.words)
            for v in answer.schedules
        ],
        flexible=5,
    )
    for view in answer.schedules:
        if view.problem and view.schedule.is_enabled:
            output.warning(f"{view.schedule.name}: {view.problem}")


def state_of(view: ScheduleView) -> str:
    """Return how a schedule stands, in a word or two."""
    if not view.schedule.is_enabled:
        return "paused"
    if view.job_id is not None:
        return f"runs: job {view.job_id}"
    if view.is_over:
        return "over"
    return "can't run" if view.problem else "waits"


def last_of(view: ScheduleView) -> str:
    """Return what became of the last plan: "succeeded 3m 20s ago"."""
    return "" if view.last is None else f"{view.last.outcome} {output.ago(view.last.newest_at)}"


def _outcome(run: ScheduleRun) -> str:
    return f"{run.outcome} ×{run.covers:,}" if run.covers > 1 else str(run.outcome)


def _why(run: ScheduleRun) -> str:
    return ", ".join(part for part in (run.trigger if run.trigger != "plan" else "", run.note) if part)


def print_plans(times: tuple[datetime, ...], timing: Timing) -> None:
    """Print plans by the schedule's clock, this machine's, and how far off they are."""
    if not times:
        output.note("it has no time to come")
        return
    now, zone = datetime.now(UTC), ZoneInfo(timing.zone)
    shown = "%a %Y-%m-%d %H:%M:%S"
    output.table(
        (place(timing.zone), "here", "in"),
        [
            (
                at.astimezone(zone).strftime(shown),
                output.instant(at),
                output.duration((at - now).total_seconds()),
            )
            for at in times
        ],
    )


def _print_detail(detail: ScheduleDetail) -> None:
    view, schedule = detail.view, detail.view.schedule
    rows: list[tuple[str, object]] = [
        ("schedule", schedule.name),
        ("job", " ".join([schedule.kind, written(schedule.parameters)]).rstrip()),
        ("when", view.words),
        ("expression", schedule.timing.cron),
        ("state", state_of(view)),
        ("last", last_of(view)),
        ("missed", f"{schedule.missed}, grace {length(schedule.grace_s)}"),
        ("overlap", schedule.overlap),
        ("jitter", length(schedule.jitter_s) if schedule.jitter_s else ""),
        ("for", schedule.note),
        ("problem", view.problem),
    ]
    output.pairs([row for row in rows if row[1]])
    _print_rest(detail, schedule.timing)


def _print_meaning(answer: Explanation) -> None:
    output.line(answer.words)
    assert answer.timing is not None
    _print_rest(answer, answer.timing)


def _print_rest(answer: ScheduleDetail | Explanation, timing: Timing) -> None:
    found = answer.frequency
    if found.mean_s is not None and found.shortest_s is not None:
        often = f"{found.per_day:,.0f} a day" if found.per_day >= 1 else f"{found.per_week:,.3g} a week"
        shortest, mean = output.duration(found.shortest_s), output.duration(found.mean_s)
        output.line(f"{often}; intervals of {shortest} at least, {mean} on average")
    for note in answer.notes:
        output.line(note)
    for collision in answer.collisions:
        output.line(
            f"starts together with {collision.name}: {collision.count} time{'s' if collision.count > 1 else ''} within"
            f" {output.duration(collision.within_s)}, first {output.instant(collision.first_at)}"
        )
    print_plans(answer.upcoming.times, timing)
