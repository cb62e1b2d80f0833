"""``doctor``: every check in one list, worst news said plainly, each with what to do."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from qsuite_console.cli import output
from qsuite_console.cli.checks import Finding, Verdict, fail, local, ok, warn
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.jobs import json_option
from qsuite_console.cli.kinds import KindBroken, find_kind, known_kinds
from qsuite_console.cli.lazy import examples
from qsuite_console.config.loading import ConfigurationProblem, Loaded
from qsuite_console.config.settings import Settings
from qsuite_console.engine import plugins
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.errors import ConsoleError, HistoryMissing
from qsuite_console.model.text import clean
from qsuite_console.paths import Paths
from qsuite_console.workers import REGISTRY, Services


@click.command(epilog=examples("qsuite-console doctor", "qsuite-console --target prod doctor --json"))
@json_option
@click.pass_obj
def doctor(invocation: Invocation, *, is_json: bool) -> int:
    """Check everything the console depends on and say what to do.

    Exit codes: 0 nothing failed (there may be warnings), 1 something must be put right.
    """
    findings = examine(invocation)
    has_failed = any(finding.verdict is Verdict.FAIL for finding in findings)
    if is_json:
        output.document({"ok": not has_failed, "checks": [dataclasses.asdict(finding) for finding in findings]})
    else:
        print_findings(findings)
        worst = "something must be put right" if has_failed else "nothing stands in the way"
        output.note(f"{len(findings)} checks: {worst}")
    return 1 if has_failed else 0


def examine(invocation: Invocation) -> list[Finding]:
    """Return every finding; a broken configuration is one of them and ends the list."""
    findings = [local.python(), local.sqlite(), *local.directories(invocation.base)]
    findings += [local.terminal(invocation.environ), local.pdf(), local.sandbox()]
    try:
        loaded = invocation.loaded
    except ConfigurationProblem as error:
        todo = f"correct it; {invocation.base.config_file} is read, then the environment"
        return [*findings, *kinds(), *(fail("configuration", problem, todo) for problem in error.problems)]
    findings += kinds(loaded.settings, invocation.paths)
    findings += _configuration(loaded, invocation.paths)
    findings += _commands(loaded)
    findings += _endpoints(loaded)
    findings += tokens(loaded)
    findings += _interface(loaded.settings)
    findings.append(_engine(invocation.paths))
    return [*findings, *asyncio.run(_services(loaded.settings))]


def kinds(settings: Settings | None = None, paths: Paths | None = None) -> list[Finding]:
    """Check that every kind of job can be loaded, and made as an engine does it where another package brings it."""
    found, broken = [], []
    foreign = set(plugins.names()) - set(REGISTRY)
    services = _services_of(settings, paths) if foreign and settings is not None and paths is not None else None
    for name in known_kinds():
        try:
            kind = find_kind(name)
            if services is not None and name in foreign:
                plugins.make(name, services)
            found.append(kind.name)
        except (KindBroken, plugins.PluginBroken) as error:
            broken.append(warn("job kinds", error.message, error.hint))
    if services is not None:
        services.renderer.close()
    broken += [warn("job kinds", line, "rename it, or uninstall that package") for line in plugins.unused(REGISTRY)]
    return [ok("job kinds", ", ".join(found)), *broken]


def _services_of(settings: Settings, paths: Paths) -> Services:
    """Return what workers are made with. Nothing of it is opened: connections would be on first use."""
    from qsuite_console.runtime.outside import Outside

    return Outside(settings, paths, SystemClock(), None, is_reading=True).services


def print_findings(findings: Sequence[Finding]) -> None:
    """Print one line a finding, and below it what to do."""
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        output.line(f"{finding.verdict:<4}  {finding.name.ljust(width)}  {finding.what}")
        if finding.todo:
            output.line(f"{'':<4}  {'':<{width}}  -> {finding.todo}")


def _configuration(loaded: Loaded, paths: Paths) -> list[Finding]:
    file = paths.config_file
    findings = [warn("configuration", warning, f"chmod 600 {file}") for warning in loaded.warnings]
    if findings:
        return findings
    given = sum(origin != "default" for origin in loaded.origins.values())
    what = f"{file}" if file.exists() else f"no file at {file}"
    return [ok("configuration", f"{what}, {given} settings given, target {loaded.settings.target.name}")]


def _commands(loaded: Loaded) -> list[Finding]:
    """Check that each declared program could be run now."""
    names = [name for name in loaded.settings.commands if name not in loaded.unready]
    findings = [ok("commands", ", ".join(names))] if names else []
    for name, why in loaded.unready.items():
        where = loaded.origins[f"commands.{name}"]
        findings.append(
            warn("commands", f"{name} can't be run: {clean(why, 300)}", f"correct it in {clean(where, 300)}")
        )
    return findings


def _endpoints(loaded: Loaded) -> list[Finding]:
    """Check that everybody who is to be told could be told now; nothing is sent."""
    settings = loaded.settings
    if not (settings.webhooks or settings.notify):
        return []
    from qsuite_console.notify.carriers import carriers
    from qsuite_console.providers.outgoing import OutgoingClient

    ways, good, findings = carriers(OutgoingClient(), settings.smtp), [], []
    for section, found in (("webhooks", settings.webhooks), ("notify", settings.notify)):
        for name, endpoint in found.items():
            why = ways[endpoint.way].problem(endpoint)
            where = clean(loaded.origins[f"{section}.{name}"], 300)
            if why:
                findings.append(warn("who is told", f"{name} can't be told: {clean(why, 300)}", f"correct it: {where}"))
            else:
                good.append(name)
    if good:
        findings.insert(0, ok("who is told", f"{', '.join(good)}; qsuite-console webhooks test NAME sends a test"))
    return findings


def tokens(loaded: Loaded) -> list[Finding]:
    """Check that the HTTP interface can be asked where it is to listen, and that every token can be used."""
    settings = loaded.settings
    if not (settings.api.listen or settings.tokens):
        return []
    from qsuite_console.config.api import ADVICE
    from qsuite_console.headless.door import TokenBook

    book, findings = TokenBook(settings.tokens), []
    for name, why in book.problems.items():
        where = clean(loaded.origins[f"tokens.{name}"], 300)
        findings.append(warn("HTTP interface", f"nobody can use the token {name}: {clean(why, 300)}", f"see {where}"))
    for name, token in settings.tokens.items():
        path = Path(token.path)
        if token.path and path.exists() and path.stat().st_mode & 0o007:
            findings.append(warn("HTTP interface", f"anyone can read the token {name}", f"chmod 600 {path}"))
    where = clean(settings.api.listen, 100)
    if where and not book.usable:
        todo = f"declare [tokens.NAME]; {ADVICE}"
        return [*findings, fail("HTTP interface", f"it is to listen on {where}, but nobody could come in", todo)]
    holders = ", ".join(f"{name} ({settings.tokens[name].scope})" for name in book.usable)
    if not where:
        unused = f"tokens of {holders or 'nobody'}, but it listens on no address"
        return [*findings, warn("HTTP interface", unused, 'set api.listen = "127.0.0.1:8765"')]
    return [ok("HTTP interface", f"{where} for {holders}"), *findings]


def _interface(settings: Settings) -> list[Finding]:
    if not settings.interface.keymap and settings.interface.theme.startswith("qsuite-"):
        return []
    keymaps: Any = importlib.import_module("qsuite_console.keymaps")
    themes: Any = importlib.import_module("qsuite_console.themes")
    problems = list(keymaps.validate(settings.interface.keymap).problems)
    findings = [warn("keys", problem, "correct [interface.keymap]; see docs/keys.md") for problem in problems]
    if themes.find(settings.interface.theme) is None:
        known = ", ".join(themes.short_names())
        findings.append(warn("theme", f"no theme {settings.interface.theme!r}", f"choose one of {known}"))
    return findings or [ok("keys and theme", "good")]


def _engine(paths: Paths) -> Finding:
    from qsuite_console.attach import find_engine
    from qsuite_console.history.reader import open_reader

    info = find_engine(paths)
    if info is not None:
        if info.problems:
            return warn("engine", f"{info.owner} is in trouble: {'; '.join(info.problems)}", f"see {paths.log_file}")
        return ok("engine", f"{info.owner} answers ({info.origin or 'console'} {info.version})")
    try:
        open_reader(paths.history).close()
    except HistoryMissing:
        return ok("engine", "none runs; no history yet")
    except ConsoleError as error:
        return fail("history", error.message, error.hint)
    return ok("engine", f"none runs; the history {paths.history} can be read")


async def _services(settings: Settings) -> list[Finding]:
    from qsuite_console.cli.checks import services
    from qsuite_console.cli.checks.handing import handing

    groups = await asyncio.gather(
        services.database(settings.database, settings.tables),
        services.pooler(settings),
        services.cache(settings.cache),
        handing(settings),
        services.provider(settings.provider),
    )
    return [finding for group in groups for finding in group]
