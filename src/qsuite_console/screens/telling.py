"""Telling somebody from any screen: choose among those of the configuration, then the operation asks and does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from qsuite_console.model.deliveries import EndpointList, EndpointView
from qsuite_console.model.jobs import TERMINAL, Job
from qsuite_console.model.reports import ReportInfo
from qsuite_console.screens.dialogs.endpoint import EndpointDialog
from qsuite_console.screens.operating import operate
from qsuite_console.widgets import figures

if TYPE_CHECKING:
    from qsuite_console.screens.base import ConsoleScreen


class Telling:
    """What a screen with one job mixes in: t lets somebody know of its end."""

    def selected(self) -> list[Job]:
        """Return the jobs that an action would be about."""
        raise NotImplementedError

    def action_tell(self) -> None:
        """Choose whom to tell."""
        screen = cast("ConsoleScreen", self)
        for job in self.selected()[:1]:
            screen.run_worker(tell_of_job(screen, job), group="tell", exclusive=True)


async def tell_of_job(screen: ConsoleScreen, job: Job) -> None:
    """Let somebody know of the end of one job, or take that back; waits, so it must run in a worker."""
    when = "it has ended: told at once" if job.state in TERMINAL else "told when it has ended"
    chosen = await _chosen(screen, f"Tell of job {job.id}", f"{job.title}: {when}", "tell it", {"job": job.id})
    if chosen is not None:
        operation = "jobs.untell" if chosen.is_told_of_job else "jobs.tell"
        await operate(screen, operation, {"job": job.id, "endpoint": chosen.name})


async def send_report(screen: ConsoleScreen, report: ReportInfo) -> None:
    """Send a report to somebody; waits, so it must run in a worker."""
    what = f"{report.title}, {report.format}, {figures.size(report.bytes)}"
    chosen = await _chosen(screen, "Send report", what, "choose", {})
    if chosen is not None:
        await operate(screen, "reports.send", {"file": report.file, "endpoint": chosen.name})


async def _chosen(screen: ConsoleScreen, title: str, what: str, do: str, asked: dict[str, Any]) -> EndpointView | None:
    if not screen.may_change():
        return None
    answer = await screen.attempt(screen.control.ask("webhooks.list", asked))
    if not isinstance(answer, EndpointList):
        return None
    if not answer.endpoints:
        screen.tell("Nobody can be told: [webhooks.NAME] and [notify.NAME] in the configuration say who")
        return None
    if screen.app.screen is not screen:  # something was opened meanwhile
        return None
    return await screen.app.push_screen_wait(EndpointDialog(title, what, answer.endpoints, do))
