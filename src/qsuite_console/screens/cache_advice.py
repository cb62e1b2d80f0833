"""What to change in Redis, worst first, with its evidence; a setting is applied from here, behind the gate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import ClassVar, Final

from textual import work
from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.model.advice import Finding, Severity
from qsuite_console.model.cache import CacheAdvice
from qsuite_console.screens.cache_listing import CacheListing
from qsuite_console.screens.listing import glyph, labelled
from qsuite_console.screens.operating import operate
from qsuite_console.screens.panes import contains
from qsuite_console.widgets.live_table import Cell, Column, Key, Row

_TONES: Final = {Severity.CRITICAL: "error", Severity.WARNING: "warn", Severity.INFO: "dim"}
_APPLIED: Final = "CONFIG SET "


class AdvicePane(CacheListing[CacheAdvice, Finding]):
    """The findings on this server; broker and cache are told apart by the names of their keys."""

    NAME, TITLE, PROBE, KIND = "advice", "Advice", "cache.advice", CacheAdvice
    PERIOD_S = 30.0
    EMPTY = "Nothing to change"
    FILTER = "words of the finding or the setting"
    SCOPE = "redis-advice"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("redis-advice")
    BINDING_GROUP_TITLE = commands.SCOPES["redis-advice"]
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("glyph", "", 1, keep=100),
        Column("severity", "Severity", 8, keep=90),
        Column("id", "Rule", 5, keep=40, at_least=90),
        Column("title", "Finding", 30, is_flexible=True, keep=100),
        Column("subject", "Setting", 24, keep=50, at_least=100),
        Column("change", "Now → better", 26, keep=60, narrow=20),
    )

    def all_entries(self, answer: CacheAdvice) -> Mapping[Key, Finding]:
        """Return the findings by rule and subject."""
        return {f"{finding.id} {finding.subject}": finding for finding in answer.findings}

    def matches(self, entry: Finding) -> bool:
        """Return whether the filter's words are in it."""
        return contains(self.text, entry.id, entry.title, entry.subject, entry.severity)

    def has_nothing(self, answer: CacheAdvice) -> bool:
        """Return whether all is well."""
        return not answer.findings

    def head(self, answer: CacheAdvice, now: datetime) -> str:
        """Return how many findings there are and what the server is used for."""
        return f"{self.counted(answer, 'finding')}, worst first · it holds {answer.use}"

    def row(self, entry: Finding) -> Row:
        """Return one line."""
        change = f"{entry.current or '(empty)'} → {entry.recommended}" if entry.recommended else ""
        tone = _TONES[entry.severity]
        return {
            "glyph": glyph(tone),
            "severity": Cell(entry.severity.value, tone),
            "id": Cell(entry.id, "dim"),
            "title": entry.title,
            "subject": Cell(entry.subject, "dim"),
            "change": change,
        }

    def foot(self, entry: Finding, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield evidence, rule and what to do."""
        evidence = " · ".join(f"{one.name} {one.text}" for one in entry.evidence)
        yield _TONES[entry.severity], evidence
        yield "dim", f"rule: {entry.formula}"
        fix = f"{entry.fix}, lost at a restart without CONFIG REWRITE" if entry.fix else ""
        yield "text", " · ".join(part for part in (fix, entry.advice) if part)

    def full(self, entry: Finding) -> tuple[str, str]:
        """Return everything about a finding."""
        return f"{entry.id} {entry.title}", _text(entry)

    def holds(self, condition: str) -> bool:
        """Return whether a command's ``when`` is true now."""
        entry = self.table.entry
        return entry is not None and _is_setting(entry) if condition == "fix" else super().holds(condition)

    def action_copy(self) -> None:
        """Copy the finding."""
        if (entry := self.table.entry) is not None:
            self.copy(f"{entry.id} {entry.title}\n{_text(entry)}", f"finding {entry.id}")

    @work(exclusive=True, group="operate")
    async def action_apply(self) -> None:
        """Apply the setting, after asking."""
        entry = self.table.entry
        if entry is not None and _is_setting(entry):
            parameters = {"name": entry.subject, "value": entry.recommended}
            if await operate(self.paned, "cache.apply-setting", parameters):
                self.reload()


def _is_setting(finding: Finding) -> bool:
    return finding.fix.startswith(_APPLIED) and bool(finding.subject)


def _text(finding: Finding) -> str:
    return labelled(
        (
            ("severity", finding.severity.value),
            *((one.name, one.text) for one in finding.evidence),
            ("rule", finding.formula),
            ("now", finding.current),
            ("better", finding.recommended),
            ("fix", finding.fix),
            ("advice", finding.advice),
        )
    )
