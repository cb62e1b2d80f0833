"""``analyze``: scores with reasons and findings with evidence and fix, as text, JSON or a file."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import click

from qsuite_console.cli import output
from qsuite_console.cli.connect import is_of, running_engine
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.jobs import json_option
from qsuite_console.cli.lazy import examples
from qsuite_console.config.settings import Settings
from qsuite_console.model.advice import Analysis, Component, Finding, Score
from qsuite_console.model.errors import ConsoleError, InvalidParameters, UsageProblem

_BAR: Final = 20
_REASONS: Final = 3  # of each score, unless --detailed


@click.command(
    epilog=examples(
        "qsuite-console analyze",
        "qsuite-console analyze --detailed --export advice.md",
        "qsuite-console analyze --workload oltp --export settings.sql",
        "qsuite-console analyze --memory 16GB --cores 4 --storage ssd      the database is on another host",
        "qsuite-console analyze --json | jq '.scores[] | {area, value}'",
    )
)
@click.option("--detailed", is_flag=True, help="Also each figure, the costliest statements and the biggest tables.")
@click.option(
    "--memory", default="", metavar="SIZE", help="Memory PostgreSQL may use, as 16GB; found out on this host."
)
@click.option("--cores", default=0, type=click.IntRange(0), help="Cores of PostgreSQL's host; found out on this host.")
@click.option("--storage", type=click.Choice(["ssd", "hdd"]), help="What PostgreSQL's data lies on.")
@click.option(
    "--workload",
    type=click.Choice(["oltp", "mixed", "warehouse"]),
    help="What PostgreSQL is used for; mixed unless told.",
)
@click.option(
    "--connections", default=0, type=click.IntRange(0), help="Connections to size for; max_connections unless told."
)
@click.option(
    "--interval", "interval_s", default=2.0, show_default=True, metavar="SECONDS", help="Rates are taken over this."
)
@click.option("--export", metavar="FILE", help="Write a .json, .md, .sql (settings as ALTER SYSTEM) or .conf file.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
@json_option
@click.pass_obj
def analyze(invocation: Invocation, /, *, export: str | None, force: bool, is_json: bool, **wanted: Any) -> None:
    """Score database, cache and system, and say what to change, with evidence and fix.

    Only reads. Nothing is changed: the file written with --export is for you to look through and run.
    """
    target = _checked(export, is_forced=force)
    found = _ask(invocation, {name: value for name, value in wanted.items() if value is not None})
    if target is not None:
        from qsuite_console.cli.advice_files import write

        write(target, found, is_forced=force)
    if is_json:
        output.document(found)
    else:
        _print(found, is_detailed=wanted["detailed"])
    if target is not None:
        output.note(f"written to {target}")


def _checked(export: str | None, *, is_forced: bool) -> Path | None:
    """Refuse a file that can't be written before minutes are spent on its contents."""
    if export is None:
        return None
    from qsuite_console.cli.advice_files import SUFFIXES

    path = Path(export).expanduser()
    if path.suffix.lower() not in SUFFIXES:
        raise UsageProblem(f"{export}: no such format", hint=f"end its name with {', '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise UsageProblem(f"{path.parent}: there is no such directory", hint="make it first")
    if path.is_dir():
        raise UsageProblem(f"{path} is a directory", hint="name a file")
    if path.exists() and not is_forced:
        raise ConsoleError(f"{path} exists", hint="name another file, or overwrite it with --force")
    return path


def _ask(invocation: Invocation, wanted: dict[str, Any]) -> Analysis:
    """Ask the engine that runs here, whose connections may be known to it only; else look from this process.

    A target that was named is looked at from here unless the engine works on it.
    """
    try:
        with ExitStack() as stack:
            engine = running_engine(invocation, stack)
            if engine is not None and is_of(invocation, engine):
                answer = asyncio.run(engine.ask("analyze", wanted))
                assert isinstance(answer, Analysis)
                return answer
        return asyncio.run(_look(invocation.loaded.settings, wanted))
    except InvalidParameters as error:
        problems = {f"--{name.removesuffix('_s')}": why for name, why in error.problems.items()}
        raise InvalidParameters(problems, hint=error.hint) from error


async def _look(settings: Settings, wanted: dict[str, Any]) -> Analysis:
    from qsuite_console.cache.client import Cache
    from qsuite_console.db.database import Database
    from qsuite_console.metrics.analysis import analyze as look
    from qsuite_console.model.clock import SystemClock

    database, cache = Database(settings.database), Cache(settings.cache)
    try:
        return await look(settings, database, cache, SystemClock(), wanted)
    finally:
        await database.close()
        await cache.close()


def _print(found: Analysis, *, is_detailed: bool) -> None:
    output.pairs(
        [
            ("target", found.target),
            ("database", found.database or "not configured"),
            ("cache", found.cache or "not configured"),
            ("interval", output.duration(found.interval_s)),
            ("sized for", machine_line(found)),
        ]
    )
    output.line()
    for score in found.scores:
        _print_score(score, is_detailed=is_detailed)
    if is_detailed:
        _print_details(found)
    output.line()
    if not found.findings:
        output.line("nothing to change")
    for finding in found.findings:
        _print_finding(finding)
    if found.unread:
        output.line()
        output.line("could not be read:")
    for unread in found.unread:
        output.line(f"  {unread.what}: {unread.why}{f' ({unread.hint})' if unread.hint else ''}")


def bar(value: float | None) -> str:
    """Return a score as a bar of characters that every terminal has."""
    filled = 0 if value is None else round(value / 100 * _BAR)
    return "[" + "#" * filled + "." * (_BAR - filled) + "]"


def plain_formula(component: Component) -> str:
    """Return a guide's formula and what it gives."""
    value = "not measured" if component.value is None else f"{component.value:.0f}"
    return f"{component.title}: {value} = {component.formula}"


def machine_line(found: Analysis) -> str:
    """Return what sizes were computed for, and what of it was assumed."""
    from qsuite_console.metrics import units

    machine = found.machine
    parts = (
        ("memory", units.size(machine.memory) if machine.memory else "memory unknown"),
        ("cores", f"{machine.cores} cores" if machine.cores else "cores unknown"),
        ("connections", f"{machine.connections} connections" if machine.connections else "connections unknown"),
        ("storage", machine.storage),
        ("workload", machine.workload),
    )
    return ", ".join(
        f"{text} ({machine.origins[name]})" if machine.origins.get(name, "given") != "given" else text
        for name, text in parts
    )


def _print_score(score: Score, *, is_detailed: bool) -> None:
    value = "  ?" if score.value is None else f"{score.value:3.0f}"
    output.line(f"{score.area:<9} {value} {bar(score.value)}")
    reasons = score.reasons if is_detailed else score.reasons[:_REASONS]
    for reason in reasons:
        output.line(f"          {reason}")
    if len(score.reasons) > len(reasons):
        output.line(f"          and {len(score.reasons) - len(reasons)} more: --detailed")
    if is_detailed:
        for component in score.components:
            output.line(f"          {plain_formula(component)}")


def _print_details(found: Analysis) -> None:
    output.line()
    output.table(
        ("figure", "value", "unit", "score", "weight"),
        [
            (
                f"{one.area}: {one.title}",
                one.why if one.value is None else f"{one.value:,.2f}",
                one.unit,
                "" if one.score is None else f"{one.score:.0f}",
                f"{one.weight:g}",
            )
            for one in found.measures
        ],
    )
    for kind, title in (("statement", "costliest statements"), ("table", "biggest tables")):
        rows = [one for one in found.heavy if one.kind == kind]
        if rows:
            output.line()
            output.table(
                (*rows[0].figures, title),
                [(*(output.number(value) for value in one.figures.values()), one.name) for one in rows],
                flexible=len(rows[0].figures),
            )


def _print_finding(finding: Finding) -> None:
    subject = f" ({finding.subject})" if finding.subject else ""
    output.line(f"{finding.severity}: {finding.title}{subject} [{finding.id}]")
    output.line(f"    found:  {'; '.join(f'{one.name} {one.text}' for one in finding.evidence)}")
    output.line(f"    rule:   {finding.formula}")
    if finding.recommended:
        output.line(f"    change: {f'{finding.current} -> ' if finding.current else ''}{finding.recommended}")
    if finding.fix:
        effect = "" if finding.effect == "none" else f"   ({finding.effect})"
        output.line(f"    fix:    {finding.fix}{effect}")
    if finding.advice:
        output.line(f"    note:   {finding.advice}")
