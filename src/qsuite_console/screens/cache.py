"""Redis from the operator's side: what it holds, how well it serves, who uses it, and the jobs that change that."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType

from qsuite_console import commands
from qsuite_console.engine.state import ConsoleState
from qsuite_console.model.events import AnyEvent
from qsuite_console.model.text import clean
from qsuite_console.screens import cache_jobs
from qsuite_console.screens.backfill_form import receipt_line
from qsuite_console.screens.cache_advice import AdvicePane
from qsuite_console.screens.cache_families import FamiliesPane
from qsuite_console.screens.cache_jobs import CacheJobs
from qsuite_console.screens.cache_keys import KeysPane
from qsuite_console.screens.cache_memory import MemoryPane
from qsuite_console.screens.cache_own import AnswersPane
from qsuite_console.screens.cache_use import ClientsPane, CommandsPane, SlowlogPane
from qsuite_console.screens.dialogs.invalidate import InvalidateDialog
from qsuite_console.screens.panes import Pane, PaneScreen


class CacheScreen(PaneScreen):
    """The panes of the cache, and under them what its jobs are about."""

    SCOPE = "cache"
    SOURCE = "redis"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("cache")
    BINDING_GROUP_TITLE = commands.SCOPES["cache"]
    PANES: ClassVar[tuple[type[Pane[Any]], ...]] = (
        MemoryPane,
        FamiliesPane,
        KeysPane,
        SlowlogPane,
        ClientsPane,
        CommandsPane,
        AdvicePane,
        AnswersPane,
    )

    def __init__(self) -> None:
        super().__init__()
        self._jobs = CacheJobs()

    def compose_body(self) -> ComposeResult:
        """Yield the panes, then the line of jobs."""
        yield from super().compose_body()
        yield self._jobs

    def show(self, state: ConsoleState) -> None:
        """Follow the jobs too."""
        super().show(state)
        self._jobs.show(state.running, self.now)

    def follow(self, events: tuple[AnyEvent, ...], *, is_whole: bool) -> None:
        """Read the pane again when a job that was started here has changed what it shows."""
        if self._jobs.follow(events) and self.pane is not None:
            self.pane.reload()
        self._jobs.show(self.state.running, self.now)

    def tick(self, now: datetime) -> None:
        """Let ages grow, and what came of jobs go."""
        super().tick(now)
        self._jobs.show(self.state.running, now)

    def holds(self, condition: str) -> bool:
        """Return whether a command's ``when`` is true now."""
        return bool(self._jobs.shown) if condition == "job" else super().holds(condition)

    async def run_job(self, kind: str, parameters: Mapping[str, Any], **asking: str) -> None:
        """Start a job on the cache and follow it here; ``asking`` as ``cache_jobs.start``. Must run in a worker."""
        receipt = await cache_jobs.start(self, kind, parameters, **asking)
        if receipt is not None:
            self._jobs.tell_of(receipt.job_id)
            if receipt.joined:
                self.tell(receipt_line(receipt))
            detail = await self.attempt(self.control.job(receipt.job_id))
            if detail is not None:  # it may have ended before it was watched
                self._jobs.learn(detail.job)
                self._jobs.show(self.state.running, self.now)
                self.refresh_bindings()

    @work(exclusive=True, group="operate")
    async def action_invalidate(self) -> None:
        """Ask which keys are to go, count them, ask again, and start the job."""
        by, value = self.pane.doomed() if isinstance(self.pane, FamiliesPane | KeysPane) else ("symbol", "")
        if self.app.screen is not self or not self.may_change():
            return
        chosen = await self.app.push_screen_wait(InvalidateDialog(by, value))
        if chosen is not None:
            by, value = chosen
            question = f"Remove every cached key of the {by} {clean(value, 60)}?"
            if by == "pattern":
                question = f"Remove every cached key that matches {clean(value, 60)}?"
            await self.run_job(
                cache_jobs.INVALIDATE,
                {"by": by, "value": value},
                question=question,
                consequence="Whoever reads one of them next has it loaded from the database again.",
                do="remove them",
            )

    def action_job(self) -> None:
        """Open the page of the job that the line tells of."""
        if self._jobs.shown:
            self.console.open_page("job", self._jobs.shown[0])
