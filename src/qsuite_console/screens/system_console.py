"""The console itself: what its process uses, how promptly engine and screen answer, what its own questions cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content

from qsuite_console.model.series import Series
from qsuite_console.model.system import ProcessView, QuestionCost
from qsuite_console.model.text import clean
from qsuite_console.screens.panes import Pane, Question
from qsuite_console.widgets import figures, frames
from qsuite_console.widgets.entry_table import EntryTable
from qsuite_console.widgets.live_table import Cell, Column, Row
from qsuite_console.widgets.series_plot import SeriesPlot
from qsuite_console.widgets.status_bar import reading_of
from qsuite_console.widgets.text_view import TextView, pairs

WINDOW_S: Final = 1800.0
_COLUMNS: Final = (
    Column("name", "QUESTION", 20, is_flexible=True, keep=100),
    Column("asked", "ASKED", 7, is_right=True, keep=50),
    Column("failed", "FAILED", 6, is_right=True, keep=40),
    Column("last", "LAST", 9, is_right=True, keep=80),
    Column("mean", "MEAN", 9, is_right=True, keep=70),
    Column("worst", "WORST", 9, is_right=True, keep=60),
    Column("total", "IN ALL", 9, is_right=True, keep=30),
)


class ConsolePane(Pane[ProcessView]):
    """Figures, the costs of questions, the engine's lag over time."""

    NAME, TITLE, PROBE, KIND = "console", "Console", "system.console", ProcessView

    def __init__(self) -> None:
        super().__init__()
        self._figures = TextView(id="own", classes="panel figures")
        self._table = EntryTable[QuestionCost](_COLUMNS, cost_row, id="questions", empty="None yet", opens=False)
        self._plot = SeriesPlot("Engine lag", ("jobs.loop_lag",), id="curve-lag")
        self._series = Question("metrics.series", Series, 5.0, slack_s=0.3)

    def compose_pane(self) -> ComposeResult:
        """Figures, list, curve."""
        yield self._figures
        yield self._table
        with Container(classes="curves"):
            yield self._plot

    def further(self) -> Iterable[tuple[Question[Any], Mapping[str, Any]]]:
        """Ask for the curve where it is seen."""
        if self._plot.region:
            yield self._series, {"names": list(self._plot.names), "window_s": WINDOW_S, "marks": False}

    def show_answer(self, answer: ProcessView, now: datetime) -> None:
        """Write, fill and draw."""
        self._plot.zone = self.paned.console.zone
        self._plot.show_series(self._series.answer, problem=self._series.problem)
        frames.title(self._figures, Content(f"Engine's process {answer.pid}"))
        frames.caption(self._figures, Content(f"rates over {answer.interval_s:.1f} s"))
        reading = reading_of(self.paned.state, "jobs")
        told = {f.name: f.text for f in reading.figures} if reading is not None else {}
        lag = told.get("loop_lag", "not measured yet")
        screen_s = self.paned.console.lag.worst_s
        self._figures.show(lambda width: Content("\n").join(own_lines(answer, now, lag, screen_s, width)))
        frames.title(self._table, Content("How long the console's own questions took"))
        frames.caption(self._table, Content("longest in all first · since the engine's start"))
        self._table.show({cost.name: cost for cost in answer.questions})


def own_lines(answer: ProcessView, now: datetime, engine_lag: str, screen_lag_s: float, width: int) -> list[Content]:
    """Return the process in lines of ``width`` cells."""
    up = None if answer.started_at is None else (now - answer.started_at).total_seconds()
    cpu = "measuring" if answer.cpu is None else f"{answer.cpu:.1f} % of one core"
    limit = f" of {answer.files_limit:,} it may open" if answer.files_limit is not None else ""
    files = "not told here" if answer.files is None else f"{answer.files:,}{limit}"
    peers = ", ".join(f"{number} to {clean(peer, 60)}" for peer, number in answer.connections.items())
    biggest = ", ".join(f"{clean(one.name, 40)} {figures.size(one.size)}" for one in answer.history[:4])
    total = sum(one.size for one in answer.history)
    entries = (
        ("processor", cpu, "$foreground"),
        ("memory", f"{figures.size(answer.memory)} resident", "$foreground"),
        ("threads", f"{answer.threads}", "$foreground"),
        ("open files", files, "$foreground"),
        ("engine lag", f"{engine_lag}, the longest of the last sample", "$foreground"),
        ("screen lag", f"{figures.duration(screen_lag_s)}, the longest of the last minute", "$foreground"),
        ("connections", peers or "none", "$foreground"),
        ("files kept", f"{figures.size(total)}: {biggest}" if biggest else "none", "$foreground"),
        ("running", f"{figures.duration(up)}, on Python {clean(answer.python, 20)}", "$foreground"),
    )
    return pairs(entries, width=width)


def cost_row(cost: QuestionCost) -> Row:
    """Return what one kind of question cost as a row."""
    mean = cost.total_ms / cost.asked if cost.asked else None
    return {
        "name": cost.name,
        "asked": figures.count(cost.asked),
        "failed": Cell(figures.count(cost.failed), "warn" if cost.failed else "dim"),
        "last": milliseconds(cost.last_ms),
        "mean": milliseconds(mean),
        "worst": Cell(milliseconds(cost.worst_ms), "dim"),
        "total": Cell(milliseconds(cost.total_ms), "dim"),
    }


def milliseconds(value: float | None) -> str:
    """Return a short time: 0.4 ms, 14 ms, 1.2 s."""
    return figures.DASH if value is None else figures.duration(value / 1000) if value >= 10 else f"{value:.1f} ms"
