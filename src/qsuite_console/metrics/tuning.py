"""The question of the settings pane: the advisor's findings on PostgreSQL's settings beside what is set and waits.

The same rules as in ``analyze``, over the few answers they need, so that the pane costs the server next to nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from qsuite_console.cache.errors import CacheError
from qsuite_console.db.panels import Look
from qsuite_console.db.settings import NAMES, ServerFacts, Setting, setting_of
from qsuite_console.engine.parameters import decode
from qsuite_console.metrics.advice.postgres import settings_findings, shown
from qsuite_console.metrics.machine import MachineParameters, is_here, machine_of, parse_memory, taken_by
from qsuite_console.model.advice import Effect, Finding, Severity
from qsuite_console.model.text import clean
from qsuite_console.model.tuning import SettingLine, Tuning

if TYPE_CHECKING:
    from qsuite_console.workers import Services

_QUESTIONS: Final[Mapping[str, str]] = {
    "advice_size": "size of the database",
    "advice_extensions": "extensions",
    "advice_memory": "huge pages",
    "advice_partitions": "partitions",
}
_ORDER: Final = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2}
_CACHE_S: Final = 1.0


class SettingsParameters(MachineParameters, frozen=True, kw_only=True):
    """What can't be seen from here about the database's host."""


class SettingsProbe:
    """Answers ``database.settings``; keeps its last look at the WAL for the rate of the next."""

    name = "database.settings"
    timeout_s = 6.0

    def __init__(self, services: Services) -> None:
        self._services = services
        self._before: Mapping[str, Any] | None = None

    async def ask(self, parameters: Mapping[str, Any]) -> Tuning:
        """Return the settings worth a look; raises DatabaseError, InvalidParameters."""
        wanted: SettingsParameters = decode(SettingsParameters, parameters)
        parse_memory(wanted.memory)
        services = self._services
        look = services.panels.begin(self.timeout_s - 1.0)
        facts = await self._facts(look)
        is_local = is_here(facts) and not services.settings.database.pgbouncer
        reserved = taken_by(services.cache, await self._cache_info()) if is_local and not wanted.memory else 0
        machine, profile = await asyncio.to_thread(machine_of, wanted, facts, is_local=is_local, reserved=reserved)
        if profile is None:
            look.note(
                "memory and cores of the database's host",
                "it is another host than this one, so no sizes were computed",
                "analyze --memory 16GB --cores 4 computes them",
            )
        if is_local and "data_directory" not in facts.settings:
            grant = f"GRANT pg_monitor TO {look.panels.rights.role}"
            look.note("what kind of disk the data is on", "the role may not see data_directory; ssd is assumed", grant)
        findings = tuple(settings_findings(facts, profile))
        rows = await look.rows("tuning_lines", list(NAMES))
        return Tuning(
            at=look.at,
            cost_ms=look.cost_ms,
            machine=machine,
            lines=tuple(_lines(rows, findings)),
            other=tuple(finding for finding in findings if finding.subject not in {row["name"] for row in rows}),
            unread=look.unread,
        )

    async def _facts(self, look: Look) -> ServerFacts:
        server = (await look.rows("advice_server"))[0]
        settings = await look.rows("advice_settings", list(NAMES))
        after = (await look.rows("advice_counters"))[0]
        before, self._before = self._before or after, after
        sessions = (await look.rows("advice_sessions"))[0]
        rows = {}
        for name, what in _QUESTIONS.items():
            answer = await look.try_rows(what, name)
            if answer is not None:
                rows[name] = answer
        return ServerFacts(
            server=server,
            settings={row["name"]: setting_of(row) for row in settings},
            before=before,
            after=after,
            sessions=sessions,
            rows=rows,
        )

    async def _cache_info(self) -> Mapping[str, Any] | None:
        """Return what a Redis beside PostgreSQL says of its memory, None where none answers."""
        if not self._services.cache.is_configured:
            return None
        try:
            async with asyncio.timeout(_CACHE_S):
                return await self._services.cache.info("memory")
        except (CacheError, TimeoutError):
            return None


def _lines(rows: Sequence[Mapping[str, Any]], findings: Sequence[Finding]) -> Iterator[SettingLine]:
    """Yield what is advised, worst first, then what waits for a restart, then what ALTER SYSTEM set."""
    advised = {finding.subject: finding for finding in reversed(findings)}  # the first rule about a setting stands
    lines = [_line(row, advised.get(row["name"])) for row in rows]
    known = [line for line in lines if line.finding is not None or line.is_pending or line.is_ours]
    yield from sorted(known, key=_rank)


def _rank(line: SettingLine) -> tuple[int, bool, str]:
    return (_ORDER[line.finding.severity] if line.finding is not None else 3, not line.is_pending, line.name)


def _line(row: Mapping[str, Any], finding: Finding | None) -> SettingLine:
    setting: Setting = setting_of(row)
    return SettingLine(
        name=row["name"],
        value=clean(shown(setting), 200),
        source=clean(row["source"], 40),
        help=clean(row["short_desc"] or "", 200),
        default=clean(shown(replace(setting, setting=row["boot_val"])) if row["boot_val"] else "", 100),
        effect=Effect.RESTART if setting.needs_restart else Effect.RELOAD,
        # The server says so too of what its command line overrides, which no restart changes.
        is_pending=row["pending_restart"] and row["source"] != "command line",
        is_ours=row["is_ours"],
        finding=finding,
    )
