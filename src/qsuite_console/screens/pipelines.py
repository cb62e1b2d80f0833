"""The platform's pipelines: which ran last and how, their runs page by page, the tasks of a run.

Enter leads from a pipeline to its runs and from a run to its tasks, Esc back the same way. The filter is the server's
business: words of a pipeline's name, and ``status:failed``, which ``s`` types.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, TypeVar, cast

import msgspec
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import Static

from qsuite_console import commands
from qsuite_console.model.pipelines import STATUSES, Pipeline, Pipelines, Run, Runs, RunTasks, is_suspect
from qsuite_console.model.text import clean
from qsuite_console.screens.listing import Listing
from qsuite_console.screens.panes import Pane, PaneScreen, Question
from qsuite_console.widgets import figures, run_rows
from qsuite_console.widgets.live_table import Column, Key, Row
from qsuite_console.widgets.text_view import TextView

A = TypeVar("A", bound=msgspec.Struct)
E = TypeVar("E")
PAGE: Final = 100
WINDOWS: Final[Mapping[float, str]] = {
    3600.0: "hour",
    86_400.0: "24 h",
    7 * 86_400.0: "7 days",
    30 * 86_400.0: "30 days",
}
_WORD: Final = "status:"
_ORDER: Final = ("failed", "running", "pending", "success", "cancelled")


def parted(text: str) -> tuple[str, str]:
    """Return words and status of a filter: "bars status:fail" is ("bars", "failed"); what is no status stays one."""
    words, status = [], ""
    for word in text.split():
        if word.lower().startswith(_WORD):
            asked = word[len(_WORD) :].lower()
            status = next((known for known in STATUSES if asked and known.startswith(asked)), asked)
        else:
            words.append(word)
    return " ".join(words), status


class RunsListing(Listing[A, E]):
    """What both panes share: a window of time, a line of figures under the head."""

    PERIOD_S = 10.0
    DEFAULT_CSS = """
    RunsListing .pipelines--figures { height: auto; max-height: 2; padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._figures = Static("", classes="pipelines--figures", markup=False)
        self._told = Content("")

    @property
    def window_s(self) -> float:
        """Return how far the screen looks back."""
        return cast("PipelinesScreen", self.paned).window_s

    @property
    def window(self) -> str:
        """Return how far the screen looks back, in words."""
        return WINDOWS[self.window_s]

    def compose_pane(self) -> ComposeResult:
        """Yield the head, the figures, the list and a few lines about its row."""
        yield self._head
        yield self._figures
        yield self.table
        yield self._foot

    @property
    def room(self) -> int:
        """Return the cells of a line of figures."""
        return max(20, self.app.size.width - 2)  # the pane itself has no size before its first layout

    def tell_figures(self, content: Content) -> None:
        """Show the line of figures; repaints only what differs."""
        if content != self._told:
            self._told = content
            self._figures.update(content)

    def nothing(self, what: str) -> str:
        """Return what an empty list says: for which filter, and how to see more."""
        words, status = parted(self.text)
        of = f" of {clean(words, 40)!r}" if words else ""
        drop = "Esc drops the filter · " if self.text else ""
        return f"No {f'{status} ' if status else ''}{what}{of}\n{drop}t looks further back"


class PipelinesPane(RunsListing[Pipelines, Pipeline]):
    """Every pipeline with its last run and what became of the others."""

    NAME, TITLE, PROBE, KIND = "pipelines", "Pipelines", "pipelines.list", Pipelines
    EMPTY = "The platform has no pipeline"
    FILTER = "words of a pipeline's name, status:failed for its last run"
    SCOPE = "pipeline-list"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("pipeline-list")
    BINDING_GROUP_TITLE = commands.SCOPES["pipeline-list"]
    COLUMNS: ClassVar[tuple[Column, ...]] = run_rows.PIPELINE_COLUMNS

    def parameters(self) -> Mapping[str, Any]:
        """Return the filter and the window."""
        words, status = parted(self.text)
        return {"text": words, "status": status, "window_s": self.window_s}

    def has_nothing(self, answer: Pipelines) -> bool:
        """Return whether the platform has none; a filter without a match keeps its list."""
        return not answer.pipelines and not self.text

    def entries(self, answer: Pipelines) -> Mapping[Key, Pipeline]:
        """Return the pipelines, those that failed or hang first, then those at work."""
        now = self.paned.now
        ordered = sorted(answer.pipelines, key=lambda each: run_rows.urgency(each, now))  # stable: by name otherwise
        return {pipeline.id: pipeline for pipeline in ordered}

    def row(self, entry: Pipeline) -> Row:
        """Return one line."""
        return run_rows.pipeline_row(entry, self.paned.now)

    def head(self, answer: Pipelines, now: datetime) -> str:
        """Return how many there are, and over which time the figures are."""
        shown = len(answer.pipelines)
        of = f" of {answer.total:,}: / finds the others" if answer.total > shown else ""
        last = f", last run {answer.status}" if answer.status else ""
        return f"{figures.plural(shown, 'pipeline')}{of}{last}, failed ones first · all runs of the last {self.window}:"

    def foot(self, entry: Pipeline, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield what the last run died of, or that it goes on for too long."""
        last = entry.last
        if last is None:
            yield "dim", f"{entry.name} has never run"
            return
        if is_suspect(last, entry.statistics, now):
            usual = figures.duration(entry.statistics.p95_s) if entry.statistics.p95_s is not None else "10 minutes"
            yield "warn", f"run {last.id} goes on; 19 of 20 end within {usual}: its worker may have died"
        elif last.error:
            yield "error", f"run {last.id}: {last.error}"
        yield "dim", f"Enter lists the runs of {entry.name}"

    def show_answer(self, answer: Pipelines, now: datetime) -> None:
        """Show list and figures."""
        super().show_answer(answer, now)
        self.table.empty = self.nothing("pipeline")
        self.tell_figures(run_rows.summary(answer.statistics, answer.active, now, self.room))

    async def on_live_table_opened(self) -> None:
        """Show the runs of the pipeline under the cursor."""
        if (entry := self.table.entry) is not None:
            await cast("PipelinesScreen", self.paned).drill(entry.name)

    def action_copy(self) -> None:
        """Copy the pipeline's name."""
        if (entry := self.table.entry) is not None:
            self.paned.console.copy_text(entry.name)
            self.paned.tell("Copied")


class RunsPane(RunsListing[Runs, Run]):
    """Runs, newest first, a page at a time; over them the tasks of the run that is open."""

    NAME, TITLE, PROBE, KIND = "runs", "Runs", "pipelines.runs", Runs
    EMPTY = "No run"
    FILTER = "a pipeline's name or words of it, status:failed"
    SCOPE = "pipeline-runs"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("pipeline-runs")
    BINDING_GROUP_TITLE = commands.SCOPES["pipeline-runs"]
    COLUMNS: ClassVar[tuple[Column, ...]] = run_rows.RUN_COLUMNS
    DEFAULT_CSS = """
    RunsPane #run-tasks { display: none; }
    RunsPane.-open #run-tasks { display: block; }
    RunsPane.-open .listing--head, RunsPane.-open .listing--foot, RunsPane.-open #runs-table,
    RunsPane.-open .pipelines--figures { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.drilled_from: str | None = None  # the filter of the list of pipelines that led here
        self._pages: list[str] = []  # where each page after the first begins
        self._subject: tuple[object, ...] = ()
        self._tasks: Question[RunTasks] = Question("pipelines.run", RunTasks, 2.0, slack_s=0.3, retry_s=1.0)
        self._opened: Run | None = None
        self._page = TextView(id="run-tasks", classes="panel")

    def compose_pane(self) -> ComposeResult:
        """Yield the list, and the open run over it."""
        yield from super().compose_pane()
        yield self._page

    def parameters(self) -> Mapping[str, Any]:
        """Return filter, window and page; another filter or window begins at the newest page."""
        words, status = parted(self.text)
        if (subject := (words, status, self.window_s)) != self._subject:
            self._subject, self._pages = subject, []
        asked = {"text": words, "status": status, "window_s": self.window_s, "limit": PAGE}
        return {**asked, "older": self._pages[-1]} if self._pages else asked

    def further(self) -> Iterable[tuple[Question[Any], Mapping[str, Any]]]:
        """Yield the question about the open run."""
        if self._opened is not None:
            yield self._tasks, {"run": self._opened.id}

    def ask_due(self) -> None:
        """Ask for the list, and for the run over it."""
        super().ask_due()
        for question, parameters in self.further():
            self.paned.feed.ask(question, parameters)

    def has_nothing(self, answer: Runs) -> bool:
        """Return whether nothing can be read; an empty window keeps its list, which says how to see more."""
        return bool(answer.unread) and not answer.runs

    def entries(self, answer: Runs) -> Mapping[Key, Run]:
        """Return the runs by number."""
        return {run.id: run for run in answer.runs}

    def row(self, entry: Run) -> Row:
        """Return one line."""
        return run_rows.run_row(entry, self._usual(entry), self.paned.now, self.paned.console.zone)

    def _usual(self, run: Run) -> Any:
        """Return how runs of this one's pipeline go; of several together nothing can be said."""
        answer = self.answer
        return answer.statistics if answer is not None and answer.pipeline == run.pipeline_id else None

    def head(self, answer: Runs, now: datetime) -> str:
        """Return whose runs, which page, over which time."""
        status = f"{answer.status} " if answer.status else ""
        number = figures.plural(len(answer.runs), f"{status}run")
        of = f" of {answer.name}" if answer.name else " of all pipelines"
        page = f"page {len(self._pages) + 1}, " if self._pages or answer.older else ""
        end = "" if answer.older or not self._pages else " (the last)"
        return f"{page}{number}{of}{end} · all of the last {self.window}:"

    def foot(self, entry: Run, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield the error in full, or that the run goes on for too long."""
        if entry.error:
            yield "error", entry.error
        elif is_suspect(entry, self._usual(entry), now):
            yield "warn", "it runs for longer than 19 of 20 runs three times over: its worker may have died"
        yield "dim", f"Enter shows the tasks of run {entry.id}"

    def show_answer(self, answer: Runs, now: datetime) -> None:
        """Show the page, or the run over it."""
        if self._opened is not None:
            self._show_run(now)
            return
        super().show_answer(answer, now)
        self.table.empty = self.nothing("run")
        self.tell_figures(run_rows.summary(answer.statistics, None, now, self.room))

    def filtered(self) -> None:
        """Take another filter: Esc drops it, whatever led here."""
        self.drilled_from = None
        super().filtered()

    # pages

    def holds(self, condition: str) -> bool:
        """Return whether a command's ``when`` is true now."""
        if condition == "older":
            return self._opened is None and self.answer is not None and bool(self.answer.older)
        if condition == "newer":
            return self._opened is None and bool(self._pages)
        if condition == "row" and self._opened is not None:
            return True
        return super().holds(condition)

    def action_older(self) -> None:
        """Show the next page."""
        if self.answer is not None and self.answer.older and self._opened is None:
            self._pages.append(self.answer.older)
            self._turn()

    def action_newer(self) -> None:
        """Show the page before."""
        if self._pages and self._opened is None:
            self._pages.pop()
            self._turn()

    def _turn(self) -> None:
        self.table.action_edge(0)
        self.ask_due()
        self.screen.refresh_bindings()

    # one run

    def on_live_table_opened(self) -> None:
        """Show the tasks of the run under the cursor."""
        self._open(self.table.entry)

    def _open(self, run: Run | None) -> None:
        self._opened = run
        self.set_class(run is not None, "-open")
        if run is not None:
            self._page.show(Content.styled("Loading…", "$dim"))
            self._page.border_title = Content(f"run {run.id} of {clean(run.pipeline, 60)}")
            self._page.scroll_home(animate=False)
        self.ask_due()
        self.refresh_pane()
        self.call_after_refresh((self.table if run is None else self._page).focus)
        self.screen.refresh_bindings()

    def _show_run(self, now: datetime) -> None:
        question = self._tasks
        if question.problem and question.answer is None:
            lines = [Content.styled(f"✖ {question.problem}", "$error"), Content.styled(question.hint, "$dim")]
            self._page.show(Content("\n").join(lines))
        elif question.answer is not None:
            answer = question.answer
            zone = self.paned.console.zone
            notes = [
                Content.assemble(("⊘ ", "$warning"), f"can't read {each.what}: {each.why}", (f"  {each.hint}", "$dim"))
                for each in answer.unread
            ]
            self._page.show(lambda width: Content("\n\n").join([run_rows.tasks_text(answer, now, zone, width), *notes]))

    def back(self) -> bool:
        """Leave the open run, then the runs for the pipeline they belong to."""
        if self._opened is not None:
            self._open(None)
            return True
        if self.drilled_from is not None:
            text, self.drilled_from = self.drilled_from, None
            self.run_worker(self.paned.turn_to(PipelinesPane.NAME, text))
            return True
        return False

    def action_copy(self) -> None:
        """Copy the run with its error."""
        run = self._opened or self.table.entry
        if run is not None:
            text = f"run {run.id} of {run.pipeline}: {run.status}, made {run.created_at.isoformat()}"
            self.paned.console.copy_text(clean(f"{text}: {run.error}" if run.error else text, 2000))
            self.paned.tell("Copied")


class PipelinesScreen(PaneScreen):
    """Pipelines and their runs, over one window of time."""

    SCOPE = "pipelines"
    SOURCE = "postgresql"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("pipelines")
    BINDING_GROUP_TITLE = commands.SCOPES["pipelines"]
    PANES: ClassVar[tuple[type[Pane[Any]], ...]] = (PipelinesPane, RunsPane)

    def __init__(self) -> None:
        super().__init__()
        self.window_s = 86_400.0

    async def drill(self, name: str) -> None:
        """Show the runs of a pipeline; Esc leads back to where this came from."""
        before = self.pane.text if self.pane is not None else ""
        status = parted(before)[1]
        await self.turn_to(RunsPane.NAME, f"{name} {_WORD}{status}" if status else name)
        if isinstance(pane := self.pane, RunsPane):
            pane.drilled_from = before

    async def action_step(self, by: int) -> None:
        """Show the next or previous pane; who goes by tabs does not come back by Esc."""
        if isinstance(pane := self.pane, RunsPane):
            pane.drilled_from = None
        await super().action_step(by)

    def action_window(self) -> None:
        """Look back over another time."""
        known = list(WINDOWS)
        self.window_s = known[(known.index(self.window_s) + 1) % len(known)]
        if (pane := self.pane) is not None:
            drilled = pane.drilled_from if isinstance(pane, RunsPane) else None
            pane.filtered()
            if isinstance(pane, RunsPane):
                pane.drilled_from = drilled
        self.tell(f"The last {WINDOWS[self.window_s]}")

    async def action_status(self) -> None:
        """Show only the next status, after the last one all again."""
        pane = self.pane
        if pane is None:
            return
        words, status = parted(pane.text)
        known = ("", *_ORDER)
        after = known[(known.index(status) + 1) % len(known)] if status in known else ""
        text = " ".join(part for part in (words, f"{_WORD}{after}" if after else "") if part)
        drilled = pane.drilled_from if isinstance(pane, RunsPane) else None
        await self.turn_to(pane.NAME, text)
        if isinstance(pane, RunsPane):
            pane.drilled_from = drilled
