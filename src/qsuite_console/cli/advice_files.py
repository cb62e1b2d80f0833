"""An analysis as a file: JSON for programs, Markdown for people, SQL to look through and run.

The file is made beside its place with mode 0600 and then moved there, so that a reader never sees half of it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from qsuite_console.cli.analyze import bar, machine_line, plain_formula
from qsuite_console.model.advice import Analysis, Effect, Finding
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.text import clean


def write(path: Path, found: Analysis, *, is_forced: bool) -> None:
    """Write ``found`` in the format of the suffix; raises ConsoleError when it exists or can't be written."""
    text = _FORMATS[path.suffix.lower()](found)
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            if is_forced:
                Path(temporary).replace(path)
            else:
                os.link(temporary, path)  # unlike a move it fails when somebody made the file meanwhile
        finally:
            Path(temporary).unlink(missing_ok=True)
    except FileExistsError as error:
        raise ConsoleError(f"{path} exists", hint="name another file, or overwrite it with --force") from error
    except OSError as error:
        raise ConsoleError(
            f"{path} can't be written: {error.strerror}", hint="name a file in a directory of yours"
        ) from error


def as_json(found: Analysis) -> str:
    """Return the whole analysis as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"


def as_sql(found: Analysis) -> str:
    """Return the settings of PostgreSQL as statements to run; every other fix stands in comments."""
    return "\n".join(_sql(found)) + "\n"


def as_markdown(found: Analysis) -> str:
    """Return a report for people."""
    return "\n".join(_markdown(found)) + "\n"


def _sql(found: Analysis) -> Iterator[str]:
    yield from _comment(f"qsuite-console analyze, {found.at:%Y-%m-%d %H:%M} UTC, {found.target}: {found.database}")
    yield from _comment(f"sized for {machine_line(found)}")
    yield from _comment("ALTER SYSTEM needs a superuser and no transaction around it: psql -f, without -1.")
    yield ""
    settings = [one for one in found.findings if one.part == "postgresql" and one.fix.startswith("ALTER SYSTEM ")]
    for finding in settings:
        yield from _described(finding)
        yield finding.fix
        yield ""
    if settings:
        yield "SELECT pg_reload_conf();"
        waiting = [finding.subject for finding in settings if finding.effect is Effect.RESTART]
        if waiting:
            yield from _comment(f"restart the server for: {', '.join(waiting)}")
        yield ""
    for finding in found.findings:
        if finding not in settings:
            yield from _described(finding)
            if finding.fix:
                yield from _comment(f"{finding.part}: {finding.fix}")
            yield ""


def _described(finding: Finding) -> Iterator[str]:
    yield from _comment(f"{finding.severity} {finding.id} {finding.subject}: {finding.title}")
    yield from _comment(f"found: {'; '.join(f'{one.name} {one.text}' for one in finding.evidence)}")
    yield from _comment(f"rule: {finding.formula}")
    if finding.advice:
        yield from _comment(f"note: {finding.advice}")


def _comment(text: str) -> Iterator[str]:
    # One line whatever a name holds: a line break in it would end the comment and begin a statement.
    yield f"-- {clean(text)}"


def _markdown(found: Analysis) -> Iterator[str]:
    yield f"# Analysis of {_plain(found.target)}"
    yield ""
    yield f"{found.at:%Y-%m-%d %H:%M} UTC, rates over {found.interval_s:g} s. Sized for {_plain(machine_line(found))}."
    yield ""
    yield "| score | | | reasons |"
    yield "|---|---:|---|---|"
    for score in found.scores:
        value = "unknown" if score.value is None else f"{score.value:.0f}"
        plain = [plain_formula(component) for component in score.components]
        yield f"| {score.area} | {value} | `{bar(score.value)}` | {_plain('; '.join((*score.reasons, *plain)))} |"
    yield ""
    yield "| figure | value | unit | score |"
    yield "|---|---:|---|---:|"
    for one in found.measures:
        value = _plain(one.why) if one.value is None else f"{one.value:,.2f}"
        yield f"| {one.area}: {one.title} | {value} | {one.unit} | {'' if one.score is None else f'{one.score:.0f}'} |"
    for finding in found.findings:
        yield from _section(finding)
    if found.heavy:
        yield from ("", "## Heavy operations", "", "| kind | name | figures |", "|---|---|---|")
        for heavy in found.heavy:
            figures = ", ".join(f"{name} {value:,.0f}" for name, value in heavy.figures.items())
            yield f"| {heavy.kind} | {_plain(heavy.name)} | {figures} |"
    if found.unread:
        yield from ("", "## Could not be read", "")
        for unread in found.unread:
            yield f"- {_plain(unread.what)}: {_plain(unread.why)}{f' ({_plain(unread.hint)})' if unread.hint else ''}"


def _section(finding: Finding) -> Iterator[str]:
    yield ""
    yield f"## {finding.severity}: {_plain(finding.title)}{f' ({_plain(finding.subject)})' if finding.subject else ''}"
    yield ""
    yield f"- rule: {finding.id}, {_plain(finding.formula)}"
    yield f"- found: {_plain('; '.join(f'{one.name} {one.text}' for one in finding.evidence))}"
    if finding.recommended:
        yield f"- change: {f'{_plain(finding.current)} to ' if finding.current else ''}{_plain(finding.recommended)}"
    if finding.advice:
        yield f"- note: {_plain(finding.advice)}"
    if finding.fix:
        yield f"- {'takes effect after a ' + finding.effect if finding.effect is not Effect.NONE else 'at once'}:"
        yield ""
        yield f"      {clean(finding.fix)}"


def _plain(text: str) -> str:
    """Return text that no Markdown reader takes for markup or for a cell's end."""
    cleaned = clean(text).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{letter}" if letter in "\\`*_[]|#" else letter for letter in cleaned)


_FORMATS: Final[Mapping[str, Callable[[Analysis], str]]] = {".json": as_json, ".md": as_markdown, ".sql": as_sql}
SUFFIXES: Final = tuple(_FORMATS)
