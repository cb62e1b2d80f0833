"""Telling somebody of one job, and sending or removing a report: allowed on a read-only target too, since nothing of
the platform changes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from qsuite_console.config.notices import Way
from qsuite_console.engine.ports import OperationKind
from qsuite_console.model import units
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.jobs import TERMINAL
from qsuite_console.model.operations import Outcome, Proposal
from qsuite_console.model.reports import ReportInfo
from qsuite_console.model.text import clean
from qsuite_console.notify.probes import where_of
from qsuite_console.operations.webhooks import EndpointParameters, Notifying
from qsuite_console.reports.storage import Storage

if TYPE_CHECKING:
    from qsuite_console.workers import Services


class JobEndpointParameters(EndpointParameters, frozen=True, kw_only=True):
    """Which job, and who is to know of its end."""

    job: Annotated[int, msgspec.Meta(ge=1, title="Job", description="its number", examples=[412])]


_WAYS: Final = {Way.COMMAND: "program"}
File = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=200,
        title="Report",
        description="name of its file, the beginning of it, or last",
        examples=["last"],
    ),
]


class ReportParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which report."""

    file: File


class SendParameters(EndpointParameters, frozen=True, kw_only=True):
    """Which report, and to whom."""

    file: File


class Tell(Notifying):
    """Tells an endpoint of one job's end."""

    kind = OperationKind(
        name="jobs.tell",
        title="Tell of job",
        help="Tell a webhook, program or e-mail of the end of one job, whatever else it is told of.",
        parameters=JobEndpointParameters,
        changes_target=False,
        timeout_s=30.0,
    )

    async def propose(self, parameters: JobEndpointParameters) -> Proposal:
        """Name the job and who would know; raises NotFound."""
        endpoint = self._courier.find(parameters.endpoint)
        job = await self._courier.book.watches.job(parameters.job)
        problem = await asyncio.to_thread(self._courier.problem, endpoint)
        when = f"It is {job.state} already: told at once." if job.state in TERMINAL else "Told when it has ended."
        lines = (clean(job.title, 200), when, *([problem] if problem else []))
        return self._proposal(f"Tell {endpoint.name} of job {job.id}?", lines, "tell it", parameters)

    async def perform(self, parameters: JobEndpointParameters) -> Outcome:
        """Keep it, or tell it now; raises NotFound, Conflict for an endpoint that is told nothing."""
        job, number = await self._courier.tell(parameters.job, parameters.endpoint)
        name = parameters.endpoint.strip()
        if number is not None:
            return await self._followed(number)
        return Outcome(
            operation=self.kind.name,
            is_done=True,
            message=f"{name} is told when job {job.id} has ended",
            figures={"job": job.id, "endpoint": name},
        )


class Untell(Notifying):
    """Takes that back."""

    kind = OperationKind(
        name="jobs.untell",
        title="Do not tell of job",
        help="Take back that somebody is told of the end of one job; what they are told of anyhow stays.",
        parameters=JobEndpointParameters,
        changes_target=False,
    )

    async def propose(self, parameters: JobEndpointParameters) -> Proposal:
        """Name the job and who would not know."""
        title = f"Do not tell {parameters.endpoint} of job {parameters.job}?"
        return self._proposal(title, (), "leave it", parameters)

    async def perform(self, parameters: JobEndpointParameters) -> Outcome:
        """Forget it."""
        name = parameters.endpoint.strip()
        was = await self._courier.book.watches.drop(parameters.job, name)
        said = "is not told of just this job any more" if was else "was not to be told of just this job"
        return Outcome(operation=self.kind.name, is_done=was, message=f"{name} {said}: job {parameters.job}")


class SendReport(Notifying):
    """Sends a report's file."""

    kind = OperationKind(
        name="reports.send",
        title="Send report",
        help="Send a report to a webhook, a program or by e-mail, with its file; tried again until it has arrived.",
        parameters=SendParameters,
        changes_target=False,
        timeout_s=30.0,
    )

    async def propose(self, parameters: SendParameters) -> Proposal:
        """Name what would go where; raises NotFound, Conflict for a file that is too large."""
        endpoint = self._courier.find(parameters.endpoint)
        report = await asyncio.to_thread(self._courier.enclosures.report, parameters.file)
        problem = await asyncio.to_thread(self._courier.problem, endpoint)
        lines = (
            *_lines(report),
            f"to {endpoint.name} by {_WAYS.get(endpoint.way, endpoint.way)}: {clean(where_of(endpoint), 200)}",
            *([problem] if problem else []),
        )
        given = msgspec.structs.replace(parameters, file=report.file)
        return self._proposal(f"Send {report.file} to {endpoint.name}?", lines, "send it", given, asks=True)

    async def perform(self, parameters: SendParameters) -> Outcome:
        """Send it and tell how the first try went; raises NotFound, Conflict."""
        return await self._followed(await self._courier.enclose(parameters.file, parameters.endpoint, is_again=True))


class RemoveReport:
    """Removes a report's file."""

    kind = OperationKind(
        name="reports.remove",
        title="Remove report",
        help="Remove a report's file for good; the job that made it stays.",
        parameters=ReportParameters,
        changes_target=False,
    )

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def _storage(self) -> Storage:
        if self._services.paths is None:
            raise ConsoleError("no reports are kept here", hint="a console or a headless engine keeps them")
        return Storage(self._services.paths)

    async def propose(self, parameters: ReportParameters) -> Proposal:
        """Name what would go; raises NotFound."""
        report = await asyncio.to_thread(self._storage.find, parameters.file)
        return Proposal(
            operation=self.kind.name,
            title=f"Remove {report.file}?",
            lines=(*_lines(report), "The file is gone for good; another one can be made."),
            do="remove it",
            parameters={"file": report.file},
        )

    async def perform(self, parameters: ReportParameters) -> Outcome:
        """Remove it; raises NotFound where it is gone already, ConsoleError where the disk refuses."""
        storage = self._storage
        report = await asyncio.to_thread(storage.find, parameters.file)
        try:
            freed = await asyncio.to_thread(storage.remove, report.file)
        except OSError as error:
            raise ConsoleError(f"{report.path} can't be removed: {error.strerror}", hint="check its owner") from error
        return Outcome(
            operation=self.kind.name,
            is_done=True,
            message=f"removed {report.file}, {units.size(freed)}",
            figures={"file": report.file, "bytes": freed},
        )


def _lines(report: ReportInfo) -> tuple[str, ...]:
    pages = f"{report.pages} pages, " if report.pages > 1 else ""
    part = ("It is not complete: its first page says what is missing.",) if report.is_partial else ()
    return (f"{clean(report.title, 120)} · {clean(report.window, 120)}", f"{pages}{units.size(report.bytes)}", *part)
