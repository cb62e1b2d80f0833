"""Forgets what the console itself has kept for long enough: expired results, old jobs and figures, files left behind.

Nothing of the platform is touched, so it runs on a read-only target too. What is gone is gone: to repeat it, or to be
cut, changes nothing. Cached keys are the business of ``cache.cleanup``.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from qsuite_console.engine.ports import Books, JobContext, JobKind, Prunable
from qsuite_console.model import units
from qsuite_console.model.jobs import LIVE, JobQuery
from qsuite_console.model.kinds import Plan, PlanLine
from qsuite_console.model.text import clean
from qsuite_console.paths import Paths
from qsuite_console.reports.storage import Storage

if TYPE_CHECKING:
    from qsuite_console.workers import Services

DAY_S: Final = 86_400.0
_NAMED: Final = 20  # files that a result names
_HALF_WRITTEN: Final = re.compile(r"\.(config\.toml|target)\.[a-z0-9_]{8}")  # what paths.write_whole leaves when killed
_ROTATED: Final = re.compile(r"console\.log\.\d+")
_ANY: Final = re.compile(r"[^.].*")


class CleanupParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What goes besides expired rows of the history, whose ages the configuration sets."""

    keep_days: Annotated[
        float, msgspec.Meta(title="Keep files", description="days that files are kept", ge=0, le=3650)
    ] = 7.0
    files: Annotated[
        bool,
        msgspec.Meta(
            title="Files",
            description="rejected records, unfinished input, damaged histories, rotated logs, expired reports",
        ),
    ] = True


@dataclass(frozen=True, slots=True)
class _Litter:
    """One sort of files that pile up: where, called how, and what they are."""

    what: str
    directory: Path
    name: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class _File:
    """One file that may go."""

    what: str
    path: Path
    size: int


class Cleanup:
    """``cleanup``."""

    kind = JobKind(
        name="cleanup",
        title="Clean up",
        description="Remove the console's own expired results, old history and files left behind.",
        parameters=CleanupParameters,
        queue="maintenance",
        soft_limit_s=60.0,
        hard_limit_s=90.0,
        changes_data=False,  # the console's own books, not the platform's data
        needs_host=True,
    )

    def __init__(self, services: Services) -> None:
        self._services = services

    def title(self, parameters: CleanupParameters) -> str:
        """Return the line by which people recognise the job."""
        files = f", files older than {_days(parameters.keep_days)}" if parameters.files else ""
        return f"clean up expired results, old history{files}"

    async def plan(self, parameters: CleanupParameters) -> Plan:
        """Return rows and files that would go, with their bytes; reads only."""
        settings, books = self._services.settings.engine, self._services.books
        found = await self._prunable(books)
        files = await self._files(parameters)
        kept = units.span(settings.result_ttl_s)
        lines = [
            PlanLine(
                label="expired results",
                value=units.count(found.results),
                note=f"{units.size(found.result_bytes)}; kept for {kept}",
            ),
            PlanLine(
                label="old jobs",
                value=units.count(found.jobs),
                note=f"over {settings.history_max_age_days} days, or beyond {settings.history_max_jobs:,}",
            ),
            PlanLine(label="old figures", value=units.count(found.figures), note="rows of statistics"),
        ]
        if found.alerts or found.audit:
            lines.append(PlanLine(label="old alerts", value=units.count(found.alerts)))
            lines.append(PlanLine(label="old audit", value=units.count(found.audit), note="entries"))
        if found.free_bytes:
            lines.append(
                PlanLine(label="unused space", value=units.size(found.free_bytes), note="of the history's file")
            )
        for what, those in _by_sort(files):
            lines.append(
                PlanLine(label=what, value=f"{len(those)} files", note=units.size(sum(file.size for file in those)))
            )
        figures = {
            **msgspec.to_builtins(found),
            "files": len(files),
            "file_bytes": sum(file.size for file in files),
        }
        return Plan(
            kind=self.kind.name,
            title=self.title(parameters),
            lines=tuple(lines),
            figures=figures,
            is_noop=not (found.rows or found.free_bytes or files),
        )

    async def run(self, context: JobContext, parameters: CleanupParameters) -> Mapping[str, Any]:
        """Forget and remove; returns what went. A file that can't be removed is named and left."""
        started, books = time.monotonic(), self._services.books
        before = await self._prunable(books)
        context.progress(0, 2, unit="steps", message="history")
        if books is not None:
            await books.prune(now=self._services.clock.now())
        after = await self._prunable(books)
        await context.breathe()
        context.progress(1, 2, unit="steps", message="files")
        removed, kept = await asyncio.to_thread(_remove, await self._files(parameters))
        for path, why in kept:
            context.log.warning("%s stays: %s", path, why)
        context.progress(2, 2, unit="steps", message="done")
        gone = {name: max(0, was - getattr(after, name)) for name, was in msgspec.to_builtins(before).items()}
        context.log.info(
            "%d results, %d jobs and %d files are gone", gone["results"], gone["jobs"], len(removed)
        )  # fmt: skip
        return {
            **gone,
            "files": len(removed),
            "file_bytes": sum(file.size for file in removed),
            "names": [clean(file.path, 300) for file in removed[:_NAMED]],
            "kept": [f"{path}: {why}" for path, why in kept[:_NAMED]],
            "duration_s": round(time.monotonic() - started, 3),
        }

    async def _prunable(self, books: Books | None) -> Prunable:
        return Prunable() if books is None else await books.prunable(now=self._services.clock.now())

    async def _files(self, parameters: CleanupParameters) -> list[_File]:
        """Return the files that may go: old enough, and not named by a job that may still read them."""
        paths, books = self._services.paths, self._services.books
        if paths is None or not parameters.files:
            return []
        before = self._services.clock.now().timestamp() - parameters.keep_days * DAY_S
        found = await asyncio.to_thread(lambda: [*_old(paths, before), *_reports(paths, self._services.clock.now())])
        if not found or books is None:
            return found
        used = await _parameters_of_live_jobs(books)
        return [file for file in found if not any(str(file.path) in text for text in used)]


def _sorts(paths: Paths) -> Sequence[_Litter]:
    return (
        _Litter("rejected records", paths.state / "rejects", _ANY),
        _Litter("unfinished input", paths.state / "spool", _ANY),
        _Litter("damaged histories", paths.state, re.compile(r".+\.corrupt-\d{8}T\d{6}")),
        _Litter("half-written files", paths.state, _HALF_WRITTEN),
        _Litter("half-written files", paths.config, _HALF_WRITTEN),
        _Litter("rotated logs", paths.log, _ROTATED),
    )


def _old(paths: Paths, before: float) -> Iterator[_File]:
    """Yield regular files last written before an instant in seconds since 1970; links are left alone."""
    for sort in _sorts(paths):
        try:
            entries = sorted(sort.directory.iterdir())
        except OSError:  # not made yet, or not ours to read
            continue
        for path in entries:
            if sort.name.fullmatch(path.name) is None:
                continue
            try:
                found = path.lstat()
            except FileNotFoundError:  # somebody else tidied up
                continue
            if S_ISREG(found.st_mode) and found.st_mtime < before:
                yield _File(sort.what, path, found.st_size)


def _reports(paths: Paths, now: datetime) -> Iterator[_File]:
    """Yield the files of reports that have expired; each says itself when that is."""
    for stored in Storage(paths).expired(now):
        yield _File("expired reports", stored.path, stored.size)


def _remove(files: Sequence[_File]) -> tuple[list[_File], list[tuple[Path, str]]]:
    removed, kept = [], []
    for file in files:
        try:
            file.path.unlink(missing_ok=True)
            removed.append(file)
        except OSError as error:
            kept.append((file.path, error.strerror or str(error)))
    return removed, kept


async def _parameters_of_live_jobs(books: Books) -> list[str]:
    found: list[str] = []
    before: int | None = None
    while True:
        page = await books.jobs(JobQuery(states=tuple(sorted(LIVE)), before=before, limit=1000))
        found += [str(job.parameters) for job in page.jobs]
        before = page.next_before
        if before is None:
            return found


def _by_sort(files: Sequence[_File]) -> Iterator[tuple[str, list[_File]]]:
    for what in dict.fromkeys(file.what for file in files):
        yield what, [file for file in files if file.what == what]


def _days(days: float) -> str:
    return "1 day" if days == 1 else f"{days:g} days"
