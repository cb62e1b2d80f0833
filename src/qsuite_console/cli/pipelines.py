"""``pipelines``: what the Pipelines screen shows, as verbs; from the running engine, else from the platform itself."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from qsuite_console.cli import output
from qsuite_console.cli.connect import is_of, running_engine
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.jobs import json_option
from qsuite_console.cli.lazy import ListedGroup, examples
from qsuite_console.model.advice import Unread
from qsuite_console.model.errors import ConsoleError, InvalidParameters, NotFound
from qsuite_console.model.pipelines import STATUSES, Pipelines, Runs, RunStatistics, RunTasks, is_suspect, took_s

if TYPE_CHECKING:
    from qsuite_console.config.settings import Settings
    from qsuite_console.db.panels import PanelReader

_UNITS: Final = {"m": 60.0, "h": 3600.0, "d": 86_400.0}
_FLAGS: Final = {"window_s": "--since", "text": "--pipeline"}


class Since(click.ParamType[float]):
    """30m, 24h, 7d as seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds; refuses what is no length of time."""
        found = re.fullmatch(r"(\d{1,6})([mhd])", str(value).strip())
        if found is None or not int(found[1]):
            self.fail(f"{value!r} is no time like 30m, 24h or 7d", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


def _since(function: Any) -> Any:
    return click.option(
        "--since", "window_s", type=Since(), default="24h", show_default=True, metavar="TIME", help="How far back."
    )(function)


_status = click.option("--status", type=click.Choice(STATUSES), help="Only these.")


@click.group(
    cls=ListedGroup,
    invoke_without_command=True,
    epilog=examples(
        "qsuite-console pipelines",
        "qsuite-console pipelines list --status failed --since 7d --json",
        "qsuite-console pipelines runs --pipeline bars-001 --status failed",
        "qsuite-console pipelines show 4711",
    ),
)
@json_option
@click.pass_context
def pipelines(ctx: click.Context, /, *, is_json: bool) -> None:
    """List the platform's pipelines with their last runs and how their runs went; their runs; the tasks of a run."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_, is_json=is_json)


@pipelines.command("list", epilog=examples("qsuite-console pipelines list --status failed --json"))
@click.option("--text", default="", metavar="WORDS", help="Only with these words in the name.")
@_status
@_since
@click.option("--limit", type=click.IntRange(1, 5000), default=1000, show_default=True, help="Pipelines at most.")
@json_option
@click.pass_obj
def list_(invocation: Invocation, /, *, is_json: bool, **wanted: Any) -> None:
    """List pipelines by name: the last run, and how the runs of the time looked back over went."""
    answer = _ask(invocation, "pipelines.list", Pipelines, wanted)
    if is_json:
        output.document(answer)
        return
    _say_unread(answer.unread)
    if answer.unread and not answer.pipelines:
        raise ConsoleError("the pipelines can't be read", hint="the lines above say why")
    if not answer.pipelines:
        output.note("no pipeline")
        return
    output.table(
        ("id", "pipeline", "last run", "made", "took", "runs", "running", "failed", "success", "mean"),
        [
            (
                each.id,
                each.name if each.status in ("active", "") else f"{each.name} ({each.status})",
                "never ran"
                if each.last is None
                else f"{each.last.status}, stuck?"
                if is_suspect(each.last, each.statistics, answer.at)
                else each.last.status,
                "" if each.last is None else output.instant(each.last.created_at),
                "" if each.last is None else _duration(took_s(each.last, answer.at)),
                each.statistics.total,
                each.statistics.running,
                each.statistics.failed,
                _share(each.statistics),
                _duration(each.statistics.mean_s),
            )
            for each in answer.pipelines
        ],
        flexible=1,
    )
    _say_statistics(answer.statistics)
    if answer.active is not None:
        output.note(f"now: {answer.active.running} running, {answer.active.pending} pending")
    if answer.total > len(answer.pipelines):
        output.note(f"{answer.total - len(answer.pipelines)} more: add --limit or --text")


@pipelines.command("runs", epilog=examples("qsuite-console pipelines runs --pipeline bars-001 --since 7d --json"))
@click.option("--pipeline", "text", default="", metavar="NAME", help="Of this one, or of all with these words in it.")
@_status
@_since
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Runs a page.")
@click.option("--older", default="", metavar="PAGE", help="The page below (see older of the last one).")
@click.option("--newer", default="", metavar="PAGE", help="The page above (see newer of the last one).")
@json_option
@click.pass_obj
def runs(invocation: Invocation, /, *, is_json: bool, **wanted: Any) -> None:
    """List runs, newest first, a page at a time."""
    answer = _ask(invocation, "pipelines.runs", Runs, wanted)
    if is_json:
        output.document(answer)
        return
    _say_unread(answer.unread)
    if answer.unread and not answer.runs:
        raise ConsoleError("the runs can't be read", hint="the lines above say why")
    if not answer.runs:
        output.note("no run")
        return
    output.table(
        ("run", "pipeline", "status", "made", "took", "error"),
        [
            (
                run.id,
                run.pipeline or run.pipeline_id,
                run.status,
                output.instant(run.created_at),
                _duration(took_s(run, answer.at)),
                run.error,
            )
            for run in answer.runs
        ],
        flexible=5,
    )
    _say_statistics(answer.statistics)
    if answer.older:
        output.note(f"older: add --older '{answer.older}'")
    if answer.newer:
        output.note(f"newer: add --newer '{answer.newer}'")


@pipelines.command("show", epilog=examples("qsuite-console pipelines show 4711 --json"))
@click.argument("run", type=click.IntRange(1), metavar="RUN")
@json_option
@click.pass_obj
def show(invocation: Invocation, /, *, run: int, is_json: bool) -> None:
    """Show a run with its tasks, those that failed first."""
    answer = _ask(invocation, "pipelines.run", RunTasks, {"run": run})
    if answer.run is None and not answer.unread:
        raise NotFound(f"there is no run {run}", hint="qsuite-console pipelines runs")
    if is_json:
        output.document(answer)
        return
    _say_unread(answer.unread)
    if answer.run is None:
        raise ConsoleError("the run can't be read", hint="the lines above say why")
    found = answer.run
    output.pairs(
        [
            ("run", f"{found.id} of {found.pipeline or found.pipeline_id}"),
            ("status", "running, stuck?" if is_suspect(found, answer.usual, answer.at) else found.status),
            ("made", output.instant(found.created_at)),
            ("took", _duration(took_s(found, answer.at)) or "not begun"),
            *([("error", found.error)] if found.error else []),
        ]
    )
    output.table(
        ("task", "status", "try", "took", "rows", "error"),
        [
            (task.name, task.status, task.attempt, _duration(took_s(task, answer.at)), task.rows, task.error)
            for task in answer.tasks
        ],
        flexible=5,
    )


@dataclass(frozen=True, slots=True)
class _Sources:
    """What the questions need where no engine answers them."""

    panels: PanelReader
    settings: Settings


def _ask(invocation: Invocation, probe: str, kind: type[Any], wanted: Mapping[str, Any]) -> Any:
    """Ask the engine that runs here, if it works on this target; else look from this process."""
    asked = {name: value for name, value in wanted.items() if value is not None}
    try:
        with ExitStack() as stack:
            engine = running_engine(invocation, stack)
            if engine is not None and is_of(invocation, engine):
                answer: msgspec.Struct = asyncio.run(engine.ask(probe, asked))
                assert isinstance(answer, kind)
                return answer
        return asyncio.run(_look(invocation.loaded.settings, probe, asked))
    except InvalidParameters as error:
        problems = {_FLAGS.get(name, f"--{name}"): why for name, why in error.problems.items()}
        raise InvalidParameters(problems, hint=error.hint) from error


async def _look(settings: Settings, probe: str, asked: Mapping[str, Any]) -> Any:
    from qsuite_console.db.panels import PanelReader
    from qsuite_console.metrics.pipelines import ListProbe, RunProbe, RunsProbe
    from qsuite_console.model.clock import SystemClock

    panels = PanelReader(settings.database, SystemClock())
    sources = _Sources(panels, settings)
    try:
        found = {each.name: each for each in (ListProbe(sources), RunsProbe(sources), RunProbe(sources))}
        return await found[probe].ask(asked)
    finally:
        await panels.close()


def _say_unread(unread: Sequence[Unread]) -> None:
    for each in unread:
        output.warning(f"can't read {each.what}: {each.why}{f' ({each.hint})' if each.hint else ''}")


def _say_statistics(own: RunStatistics | None) -> None:
    if own is None:
        return
    counts = f"{own.total} runs: {own.failed} failed, {own.success} success, {own.cancelled} cancelled"
    share = f" ({_share(own)})" if own.success_share is not None else ""
    times = f"; mean {_duration(own.mean_s)}, p95 {_duration(own.p95_s)}" if own.mean_s is not None else ""
    output.note(f"{counts}, {own.running} running, {own.pending} pending{share}{times}")


def _share(own: RunStatistics) -> str:
    return "" if own.success_share is None else f"{100 * own.success_share:.1f} %"


def _duration(seconds: float | None) -> str:
    return "" if seconds is None else output.duration(seconds)
