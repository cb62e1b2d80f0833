"""Findings on PostgreSQL's settings as lines for a file: statements to run, or lines of postgresql.conf. Pure.

Whatever a name or a value holds, it never leaves the comment or the quotes it stands in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from qsuite_console.model.advice import Effect, Finding
from qsuite_console.model.text import clean

_PLAIN: Final = re.compile(r"-?\d+(\.\d+)?([kMGT]?B|ms|us|s|min|h|d)?|on|off|[a-z][a-z0-9_]*")


def is_setting(finding: Finding) -> bool:
    """Tell whether a finding's fix sets one setting of PostgreSQL."""
    return finding.part == "postgresql" and finding.fix.startswith("ALTER SYSTEM ")


def sql(findings: Sequence[Finding], heading: Sequence[str]) -> Iterator[str]:
    """Yield statements that set what is advised and reload; every other fix stands in comments."""
    yield from (comment(line, "--") for line in heading)
    yield comment("ALTER SYSTEM needs a superuser and no transaction around it: psql -f, without -1.", "--")
    yield ""
    settings = [one for one in findings if is_setting(one)]
    for finding in settings:
        yield from described(finding, "--")
        yield finding.fix
        yield ""
    if settings:
        yield "SELECT pg_reload_conf();"
        waiting = [finding.subject for finding in settings if finding.effect is Effect.RESTART]
        if waiting:
            yield comment(f"restart the server for: {', '.join(waiting)}", "--")
        yield ""
    yield from _others(findings, "--")


def conf(findings: Sequence[Finding], heading: Sequence[str]) -> Iterator[str]:
    """Yield lines to include in postgresql.conf; every other fix stands in comments."""
    yield from (comment(line, "#") for line in heading)
    yield comment("Put it into postgresql.conf with include, then reload; lines marked so need a restart.", "#")
    yield ""
    for finding in findings:
        if is_setting(finding):
            yield from described(finding, "#")
            mark = "   # restart" if finding.effect is Effect.RESTART else ""
            yield f"{finding.subject} = {_quoted(finding)}{mark}"
            yield ""
    yield from _others(findings, "#")


def described(finding: Finding, mark: str) -> Iterator[str]:
    """Yield what was found and why, as comments."""
    yield comment(f"{finding.severity} {finding.id} {finding.subject}: {finding.title}", mark)
    yield comment(f"found: {'; '.join(f'{one.name} {one.text}' for one in finding.evidence)}", mark)
    yield comment(f"rule: {finding.formula}", mark)
    if finding.advice:
        yield comment(f"note: {finding.advice}", mark)


def comment(text: str, mark: str) -> str:
    """Return one line whatever the text holds: a line break in it would end the comment and begin a statement."""
    return f"{mark} {clean(text)}"


def _others(findings: Sequence[Finding], mark: str) -> Iterator[str]:
    for finding in findings:
        if not is_setting(finding):
            yield from described(finding, mark)
            if finding.fix:
                yield comment(f"{finding.part}: {finding.fix}", mark)
            yield ""


def _quoted(finding: Finding) -> str:
    """Return a value as postgresql.conf takes it; a list is one string there."""
    value = clean(finding.recommended)
    if "," in value or not _PLAIN.fullmatch(value):
        return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
    return value
