"""The advisor of settings: what is, what should be and why; applied, taken back or exported from where it is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec
from textual import work
from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.model import advice_text
from qsuite_console.model.advice import Effect, Finding, Machine, Severity
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.tuning import SettingLine, Tuning
from qsuite_console.paths import write_whole
from qsuite_console.screens.database.reporting import Report
from qsuite_console.screens.dialogs.file import FileDialog
from qsuite_console.screens.listing import glyph, labelled
from qsuite_console.screens.operating import operate
from qsuite_console.screens.panes import contains
from qsuite_console.widgets import figures
from qsuite_console.widgets.live_table import Cell, Column, Key, Row

TONES: Final = {Severity.CRITICAL: "error", Severity.WARNING: "warn", Severity.INFO: "dim"}
WORKLOADS: Final = ("mixed", "oltp", "warehouse")
_FIXED: Final = ("command line", "environment variable")  # they win over ALTER SYSTEM
_EFFECTS: Final = {Effect.RELOAD: "reload", Effect.RESTART: "restart", Effect.NONE: ""}
_LEVELS: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    ("all", frozenset()),
    ("critical and warning", frozenset({"critical", "warning"})),
    ("critical", frozenset({"critical"})),
    ("set from here or waiting", frozenset({"set", "pending"})),
)
SUFFIXES: Final = (".sql", ".conf", ".json")


class SettingsPane(Report[Tuning, SettingLine]):
    """Settings that should be changed, that wait for a restart, or that ALTER SYSTEM set."""

    NAME = "settings"
    TITLE = "Settings"
    PROBE = "database.settings"
    KIND = Tuning
    PERIOD_S = 10.0
    FILTER = "part of a setting's name or of what is wrong"
    SCOPE = "settings"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("settings")
    BINDING_GROUP_TITLE = commands.SCOPES["settings"]
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("glyph", "", 1, keep=90),
        Column("severity", "Severity", 8, keep=88),
        Column("name", "Setting", 20, is_flexible=True, keep=100),
        Column("value", "Now", 10, is_right=True, keep=95),
        Column("recommended", "Should be", 12, is_right=True, keep=94),
        Column("effect", "Takes a", 8, keep=80),
        Column("source", "Set by", 20, keep=20, at_least=100),
        Column("rule", "Rule", 4, keep=10, at_least=110),
    )

    def __init__(self) -> None:
        super().__init__()
        self._level = 0
        self._workload = ""

    def parameters(self) -> Mapping[str, Any]:
        """Return what the server is used for, once that was said."""
        return {"workload": self._workload} if self._workload else {}

    def entries(self, answer: Tuning) -> Mapping[Key, SettingLine]:
        """Return the settings of the level and filter."""
        wanted = _LEVELS[self._level][1]
        return {
            line.name: line
            for line in answer.lines
            if (not wanted or state(line) in wanted)
            and contains(self.text, line.name, line.finding.title if line.finding is not None else "", line.help)
        }

    def show_answer(self, answer: Tuning, now: datetime) -> None:
        """Show them; nothing to show is good news, and said so."""
        super().show_answer(answer, now)
        if not self.text:
            level = _LEVELS[self._level][0]
            self.table.empty = (
                "Nothing to change: every setting that is sized is near its formula"
                if self._level == 0
                else f"No setting is {level}\nt shows the others"
            )

    def facts(self, answer: Tuning, now: datetime) -> Iterator[tuple[str, str, str]]:
        """Yield for which machine sizes were computed, and how many of which severity there are."""
        yield "ok" if answer.machine.memory else "dim", "sized for", machine_words(answer.machine)
        count = {one: sum(state(line) == one for line in answer.lines) for one in ("critical", "warning", "info")}
        told = [f"{number} {name}" for name, number in count.items() if number]
        pending = sum(line.is_pending for line in answer.lines)
        told += [f"{pending} waiting for a restart"] if pending else []
        tone = "error" if count["critical"] else "warn" if count["warning"] or pending else "ok"
        shown = "" if self._level == 0 else f" · shown: {_LEVELS[self._level][0]}"
        yield tone, "advice", (" · ".join(told) or "nothing to change") + shown
        for finding in answer.other:
            yield TONES[finding.severity], finding.id, f"{finding.title} · {finding.fix or finding.advice}"

    def row(self, line: SettingLine) -> Row:
        """Return one line."""
        found, tone = line.finding, tone_of(line)
        return {
            "glyph": glyph(tone),
            "severity": Cell(state(line), tone if tone != "dim" else ""),
            "name": line.name,
            "value": line.value or "(empty)",
            "recommended": found.recommended if found is not None and found.recommended else figures.DASH,
            "effect": "restart!" if line.is_pending else _EFFECTS[line.effect],
            "source": "ALTER SYSTEM" if line.is_ours else line.source,
            "rule": found.id if found is not None else "",
        }

    def foot(self, line: SettingLine, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield what is wrong, by which formula, and what was measured."""
        found = line.finding
        if line.is_pending:
            yield "warn", f"{line.name}: another value is written and counts after the next restart"
        if found is None:
            if not line.is_pending:
                yield "ok", f"{line.name}: set by ALTER SYSTEM, no rule objects; Z takes it back"
            yield "dim", line.help
            return
        yield tone_of(line), f"{found.title}: {found.formula}"
        if told := " · ".join(f"{one.name} {one.text}" for one in found.evidence if one.name != line.name):
            yield "dim", told
        if found.advice:
            yield "dim", found.advice

    # keys

    def holds(self, condition: str) -> bool:
        """Return whether a command's ``when`` is true now."""
        line = self.table.entry
        if condition == "advised":
            return line is not None and bool(applied(line))
        if condition == "set":
            return line is not None and (line.is_ours or line.is_pending)
        return super().holds(condition)

    def action_level(self) -> None:
        """Show the next severity only."""
        self._level = (self._level + 1) % len(_LEVELS)
        self.table.action_edge(0)
        self.filtered()

    def action_workload(self) -> None:
        """Size for another use."""
        now = self.answer.machine.workload if self.answer is not None else WORKLOADS[0]
        self._workload = WORKLOADS[(WORKLOADS.index(now) + 1) % len(WORKLOADS)]
        self.ask_due()
        self.paned.tell(f"Sized for {self._workload}")

    @work(exclusive=True, group="setting")
    async def action_apply(self) -> None:
        """Apply what is recommended, after asking."""
        line = self.table.entry
        if line is None or not applied(line):
            return
        wanted = {"name": line.name, "value": applied(line)}
        if await operate(self.paned, "database.apply-setting", wanted):
            self.reload()

    @work(exclusive=True, group="setting")
    async def action_take_back(self) -> None:
        """Take back what ALTER SYSTEM set, after asking."""
        line = self.table.entry
        if line is not None and await operate(self.paned, "database.reset-setting", {"name": line.name}):
            self.reload()

    @work(exclusive=True, group="setting")
    async def action_export(self) -> None:
        """Write the advice to a file of the operator's choice."""
        answer = self.answer
        if answer is None:
            return
        target = self.paned.state.target.name or "postgresql"
        number = figures.plural(len(findings_of(answer)), "finding")
        what = f"{number}; .sql runs in psql, .conf is for postgresql.conf, .json for programs"
        dialog = FileDialog(
            "Export the settings advice",
            what,
            f"settings-{_plain(target)}.sql",
            lambda path, is_forced: export(path, answer, target, is_forced=is_forced),
        )
        written = await self.app.push_screen_wait(dialog)
        if written is not None:
            self.paned.tell(f"Written to {written.path}")

    def on_live_table_opened(self) -> None:
        """Show finding, formula, evidence and fix."""
        self._open_detail()

    @work(exclusive=True, group="setting-detail")
    async def _open_detail(self) -> None:
        if (line := self.table.entry) is not None:
            await self.read(line.name, detail(line))


def state(line: SettingLine) -> str:
    """Return the word of a line: its severity, "pending", or "set" where nothing is wrong with it."""
    if line.finding is not None:
        return line.finding.severity.value
    return "pending" if line.is_pending else "set"


def tone_of(line: SettingLine) -> str:
    """Return the tone of a line."""
    if line.finding is not None:
        return TONES[line.finding.severity]
    return "warn" if line.is_pending else "ok"


def applied(line: SettingLine) -> str:
    """Return the value that applying sets, "" where ALTER SYSTEM can't do it."""
    found = line.finding
    if found is None or line.source in _FIXED or not advice_text.is_setting(found):
        return ""
    return found.recommended


def machine_words(machine: Machine) -> str:
    """Return what sizes were computed from; a guess is marked as one."""
    parts = (
        ("memory", figures.size(machine.memory) if machine.memory else "memory unknown"),
        ("cores", figures.plural(machine.cores, "core") if machine.cores else "cores unknown"),
        ("connections", f"{machine.connections} connections" if machine.connections else "connections unknown"),
        ("storage", machine.storage),
        ("workload", machine.workload),
    )
    told = []
    for name, text in parts:
        origin = machine.origins.get(name, "given")
        told.append(f"{text} ({origin})" if origin == "assumed" else text)
    return " · ".join(told)


def findings_of(answer: Tuning) -> tuple[Finding, ...]:
    """Return every finding, worst first."""
    return (*(line.finding for line in answer.lines if line.finding is not None), *answer.other)


def export(path: Path, answer: Tuning, target: str, *, is_forced: bool) -> None:
    """Write the advice in the format of the suffix; raises ConsoleError when that can't be done."""
    heading = (
        f"qsuite-console, settings advice, {answer.at:%Y-%m-%d %H:%M} UTC, {target}",
        f"sized for {machine_words(answer.machine)}",
    )
    found = findings_of(answer)
    if path.suffix == ".json":
        text = msgspec.json.format(msgspec.json.encode(answer), indent=2).decode()
    elif path.suffix == ".sql":
        text = "\n".join(advice_text.sql(found, heading))
    elif path.suffix == ".conf":
        text = "\n".join(advice_text.conf(found, heading))
    else:
        raise ConsoleError(f"{path.name or 'nothing'}: end its name with {', '.join(SUFFIXES)}")
    try:
        write_whole(path, text + "\n", is_forced=is_forced)
    except OSError as error:
        raise ConsoleError(f"{path} can't be written: {error.strerror}") from error


def detail(line: SettingLine) -> str:
    """Return everything about a setting, as plain text."""
    found = line.finding
    facts: list[tuple[str, object]] = [
        ("what it is", line.help),
        ("now", line.value),
        ("set by", "ALTER SYSTEM" if line.is_ours else line.source),
        ("default", line.default),
        ("a change takes a", _EFFECTS[line.effect]),
        ("waiting", "another value counts after the next restart" if line.is_pending else ""),
    ]
    if found is None:
        return labelled(facts)
    facts += [("should be", found.recommended), ("severity", found.severity.value), ("rule", found.id)]
    parts = [found.title, labelled(facts), "FORMULA\n" + found.formula]
    parts.append("EVIDENCE\n" + labelled([(one.name, one.text) for one in found.evidence]))
    parts += ["NOTE\n" + found.advice] if found.advice else []
    parts += ["FIX (a applies it)\n" + found.fix] if applied(line) else ["FIX\n" + found.fix] if found.fix else []
    return "\n\n".join(parts)


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)[:60]
