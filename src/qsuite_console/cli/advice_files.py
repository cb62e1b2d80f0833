"""An analysis as a file: JSON for programs, Markdown for people, SQL or lines of postgresql.conf to look through."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from qsuite_console.cli.analyze import bar, machine_line, plain_formula
from qsuite_console.model import advice_text
from qsuite_console.model.advice import Analysis, Effect, Finding
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.text import clean
from qsuite_console.paths import write_whole


def write(path: Path, found: Analysis, *, is_forced: bool) -> None:
    """Write ``found`` in the format of the suffix; raises ConsoleError when it exists or can't be written."""
    text = _FORMATS[path.suffix.lower()](found)
    try:
        write_whole(path, text, is_forced=is_forced)
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
    return "\n".join(advice_text.sql(found.findings, _heading(found))) + "\n"


def as_conf(found: Analysis) -> str:
    """Return the settings of PostgreSQL as lines of postgresql.conf; every other fix stands in comments."""
    return "\n".join(advice_text.conf(found.findings, _heading(found))) + "\n"


def as_markdown(found: Analysis) -> str:
    """Return a report for people."""
    return "\n".join(_markdown(found)) + "\n"


def _heading(found: Analysis) -> tuple[str, str]:
    return (
        f"qsuite-console analyze, {found.at:%Y-%m-%d %H:%M} UTC, {found.target}: {found.database}",
        f"sized for {machine_line(found)}",
    )


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


_FORMATS: Final[Mapping[str, Callable[[Analysis], str]]] = {
    ".json": as_json,
    ".md": as_markdown,
    ".sql": as_sql,
    ".conf": as_conf,
}
SUFFIXES: Final = tuple(_FORMATS)
