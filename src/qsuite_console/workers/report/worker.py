"""The kind ``report`` as the engine sees it: check, estimate, plan, run.

A report is made anew by every attempt and gets the same name, so that a repetition leaves one file. The engine's loop
only passes things on: documents are built in a thread, pages in another process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qsuite_console.engine.ports import JobContext, JobKind
from qsuite_console.model import units
from qsuite_console.model.errors import ConsoleError, InvalidParameters
from qsuite_console.model.kinds import Plan, PlanLine
from qsuite_console.model.reports import ReportInfo
from qsuite_console.model.text import clean
from qsuite_console.reports import export, text
from qsuite_console.reports.document import Document
from qsuite_console.reports.orders import STEPS, Order, Rendered, Step
from qsuite_console.reports.render import Limits
from qsuite_console.reports.storage import Storage, file_name, too_large
from qsuite_console.workers.report import parameters as rules
from qsuite_console.workers.report.gathering import Gathering, frame_of
from qsuite_console.workers.report.parameters import ReportParameters

if TYPE_CHECKING:
    from qsuite_console.workers import Services

_MIB: Final = 1024 * 1024
_TEMPLATE: Final = 256 * 1024  # bytes of a template at most
# what a run took before anybody measured one here, in seconds
_USUAL: Final[Mapping[str, float]] = {"performance": 5.0, "jobs": 1.0, "market": 3.0, "backfill": 2.0, "custom": 2.0}
_PRINTING_S: Final = 4.0


class ReportWorker:
    """Made once; remembers how long reports took."""

    kind = JobKind(
        name="report",
        title="Report",
        description="Make a report as PDF, HTML, JSON or CSV and keep it for a week; only reads.",
        parameters=ReportParameters,
        queue="generation",
        soft_limit_s=1680.0,
        hard_limit_s=1800.0,
        max_attempts=3,
        changes_data=False,
        needs_host=True,  # reports are kept beside this console's history
    )

    def __init__(self, services: Services) -> None:
        self._services = services
        self._took: dict[tuple[str, str], float] = {}

    def title(self, parameters: ReportParameters) -> str:
        """Return the line by which people recognise the job."""
        return rules.title_of(parameters)

    def check(self, parameters: ReportParameters) -> dict[str, str]:
        """Return field name -> problem; pure."""
        settings = self._services.settings
        return rules.check(parameters, {*settings.webhooks, *settings.notify})

    def estimate_s(self, parameters: ReportParameters) -> float:
        """Return how long it will take, by the last one of its kind or by experience."""
        usual = _USUAL[parameters.name] + (_PRINTING_S if parameters.format == "pdf" else 0.0)
        return round(self._took.get((parameters.name, parameters.format), usual), 1)

    async def plan(self, parameters: ReportParameters) -> Plan:
        """Return what would be made and where it would be kept; reads no data."""
        self._checked(parameters)
        storage, settings = self._storage(), self._services.settings.reports
        taken = await asyncio.to_thread(storage.size)
        estimated_s = self.estimate_s(parameters)
        frame = frame_of(self._services, parameters, zone=rules.zone_of(parameters, self._services.settings), origin="")
        lines = (
            PlanLine(label="report", value=parameters.name, note=f"as {parameters.format}"),
            PlanLine(label="window", value=frame.window, note=frame.zone),
            PlanLine(
                label="ready in about", value=units.span(estimated_s), note=f"at most {settings.time_limit_s:g} s"
            ),
            PlanLine(label="kept in", value=str(storage.directory), note=f"for {settings.keep_days:g} days"),
            *(
                PlanLine(label="sent to", value=name, note="with its file, when it is made")
                for name in rules.recipients_of(parameters)
            ),
            PlanLine(label="room taken", value=units.size(taken), note=f"of {units.size(settings.total_mb * _MIB)}"),
        )
        figures = {"estimated_s": estimated_s, "directory": str(storage.directory), "bytes": taken}
        return Plan(kind=self.kind.name, title=self.title(parameters), lines=lines, figures=figures)

    async def run(self, context: JobContext, parameters: ReportParameters) -> Mapping[str, Any]:
        """Make the report and return path, pages and bytes; raises ConsoleError."""
        self._checked(parameters)
        services, settings, storage = self._services, self._services.settings, self._storage()
        started, clock = time.monotonic(), services.clock
        track = _Track(context, self.estimate_s(parameters))
        template = await asyncio.to_thread(_read_template, parameters.template.strip())
        await asyncio.to_thread(storage.make_room, clock.now(), settings.reports.total_mb * _MIB)
        if parameters.format in ("pdf", "html"):
            services.renderer.warm(parameters.format)  # it gets ready while the data is gathered
        zone = rules.zone_of(parameters, settings)
        frame = frame_of(services, parameters, zone=zone, origin=f"job {context.job_id}")
        gathering = Gathering(services=services, parameters=parameters, frame=frame, tell=track.gathering)
        document = await gathering.document()
        for note in document.cover.notes:
            context.log.warning("%s", note)
        await context.breathe()
        gathered = time.monotonic()
        pieces, rendered = await self._rendered(parameters, document, template, track)
        if rendered.refused_total:
            context.log.warning(
                "%d references to things outside the report were refused: %s",
                rendered.refused_total,
                clean(", ".join(rendered.refused), 300),
            )
        track.keeping()
        done = time.monotonic()
        report = self._info(context, parameters, document, rendered, size=sum(map(len, pieces)))
        preview = await asyncio.to_thread(text.write, document)
        kept = await asyncio.to_thread(storage.keep, report, pieces, preview)
        self._took[parameters.name, parameters.format] = time.monotonic() - started
        context.log.info("%s, %s", kept.path, _extent(kept))
        sent = await self._sent(context, parameters, kept)
        track.done(_extent(kept))
        return {
            "path": kept.path,
            "pages": kept.pages,
            "bytes": kept.bytes,
            "file": kept.file,
            "format": kept.format,
            "title": kept.title,
            "expires_at": kept.expires_at.isoformat(),
            "is_partial": kept.is_partial,
            "sent_to": sent,
            "refused": rendered.refused_total,
            "gather_s": round(gathered - started, 3),
            "render_s": round(done - gathered, 3),
            "peak_bytes": rendered.peak,
        }

    async def _rendered(
        self, parameters: ReportParameters, document: Document, template: str | None, track: _Track
    ) -> tuple[list[bytes], Rendered]:
        """Return the file in pieces and how it was made; raises ConsoleError beyond a limit."""
        settings = self._services.settings.reports
        limit, pieces = settings.max_mb * _MIB, list[bytes]()
        if parameters.format == "json":
            pieces = [await asyncio.to_thread(export.as_json, document)]
        elif parameters.format == "csv":
            pieces = await asyncio.to_thread(lambda: list(export.as_csv(document)))
        if pieces or parameters.format in ("json", "csv"):
            if sum(map(len, pieces)) > limit:
                raise too_large(limit)
            return pieces, Rendered()
        size = 0

        def take(piece: bytes) -> None:
            nonlocal size
            size += len(piece)
            if size > limit:
                raise too_large(limit)
            pieces.append(piece)

        order = Order(
            format=parameters.format,
            document=document,
            template=template,
            is_tagged=parameters.tagged,
            is_archive=parameters.archive,
        )
        limits = Limits(seconds=settings.time_limit_s, memory=settings.memory_mb * _MIB)
        rendered = await self._services.renderer.render(order, limits, write=take, tell=track.rendering)
        return pieces, rendered

    async def _sent(self, context: JobContext, parameters: ReportParameters, kept: ReportInfo) -> list[str]:
        """Put it on its way to everybody it is for; who can't be told costs the others nothing."""
        courier, sent = self._services.courier, list[str]()
        for name in rules.recipients_of(parameters):
            try:
                if courier is None:
                    raise ConsoleError("nobody is told from here", hint="an engine delivers")
                number = await courier.enclose(kept.file, name)
            except ConsoleError as error:
                context.log.warning("it is not sent to %s: %s", name, error.message)
            else:
                context.log.info("it goes to %s as delivery %d", name, number)
                sent.append(name)
        return sent

    def _info(
        self,
        context: JobContext,
        parameters: ReportParameters,
        document: Document,
        rendered: Rendered,
        *,
        size: int,
    ) -> ReportInfo:
        target, made_at = self._services.settings.target.name, document.created_at
        mark = f"{target}\0{context.correlation_id}"
        file = file_name(parameters.name, parameters.format, target=mark, job_id=context.job_id)
        return ReportInfo(
            file=file,
            path="",
            name=parameters.name,
            format=parameters.format,
            title=document.cover.title,
            target=target,
            window=f"{document.cover.window}, {document.cover.zone}",
            created_at=made_at,
            expires_at=made_at + timedelta(days=self._services.settings.reports.keep_days),
            bytes=size,
            pages=rendered.pages,
            job_id=context.job_id,
            is_partial=document.is_partial,
        )

    def _storage(self) -> Storage:
        if self._services.paths is None:
            raise ConsoleError("there is no directory to keep reports in", hint="run it in a console or with `run`")
        return Storage(self._services.paths)

    def _checked(self, parameters: ReportParameters) -> None:
        if problems := self.check(parameters):
            raise InvalidParameters(problems)
        zone = self._services.settings.reports.time_zone.strip()
        if zone and not rules.is_zone(zone):
            raise ConsoleError(
                f"reports.time_zone: {clean(zone, 60)} is no time zone", hint="write it as Europe/Berlin in config.toml"
            )


class _Track:
    """Turns what happens into steps: each question, each step of the renderer, the file."""

    def __init__(self, context: JobContext, estimated_s: float) -> None:
        self._context = context
        self._asked = 0
        self._figures: dict[str, float | str] = {"estimated_s": estimated_s}

    def gathering(self, words: str) -> None:
        """Say which question is asked."""
        self._asked += 1
        self._tell(self._asked - 1, f"gathering: {words}", "gather")

    def rendering(self, step: Step) -> None:
        """Say which step of the renderer is under way."""
        self._tell(self._asked + step.step, f"rendering: {step.message.lower()}", "render")

    def keeping(self) -> None:
        """Say that the file is written."""
        self._tell(self._asked + STEPS + 1, "writing the file", "keep")

    def done(self, words: str) -> None:
        """Say that it is ready."""
        self._tell(self._asked + STEPS + 2, words, "done")

    def _tell(self, step: int, message: str, phase: str) -> None:
        total = None if phase == "gather" else self._asked + STEPS + 2
        figures = {**self._figures, "phase": phase}
        self._context.progress(step, total, unit="steps", message=message, figures=figures)


def _read_template(path: str) -> str | None:
    if not path:
        return None
    try:
        file = Path(path).expanduser()
        if file.stat().st_size > _TEMPLATE:
            raise ConsoleError(f"the template {path} is larger than {units.size(_TEMPLATE)}", hint="make it smaller")
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConsoleError(
            f"the template {clean(path, 200)} can't be read: {why}", hint="name a file of yours"
        ) from error


def _extent(report: ReportInfo) -> str:
    pages = f"{report.pages} pages, " if report.pages > 1 else "1 page, " if report.pages else ""
    return f"{pages}{units.size(report.bytes)}"
