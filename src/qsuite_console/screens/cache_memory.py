"""Where Redis' memory is, how well it serves, what it keeps; and how a few figures went in the last half hour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.content import Content

from qsuite_console import commands
from qsuite_console.model.cache import MemoryPanel
from qsuite_console.model.series import Series
from qsuite_console.screens import cache_views
from qsuite_console.screens.panes import Pane
from qsuite_console.screens.questions import Question
from qsuite_console.widgets import frames
from qsuite_console.widgets.plot import Plot
from qsuite_console.widgets.series_plot import between_limits, first_measured, measured_window
from qsuite_console.widgets.text_view import TextView

CURVES: Final = {
    "redis.memory": "Memory",
    "redis.hit_rate": "Hit rate",
    "redis.ops": "Commands",
    "redis.evictions": "Evictions",
}
WINDOW_S: Final = 1800
_POINTS: Final = 200


class Facts(TextView):
    """Lines whose breaks depend on the width: drawn anew when that is known or changes."""

    def on_resize(self) -> None:
        """Have the pane draw again."""
        self.query_ancestor(MemoryPane).refresh_pane()


class MemoryPane(Pane[MemoryPanel]):
    """Three texts above, two curves below; in a narrow terminal one."""

    NAME, TITLE, PROBE, KIND = "memory", "Memory", "cache.memory", MemoryPanel
    SCOPE = "memory"
    BINDINGS: ClassVar[list[BindingType]] = commands.bindings("memory")
    BINDING_GROUP_TITLE = commands.SCOPES["memory"]
    DEFAULT_CSS = """
    MemoryPane .cache--upper { height: 12; }
    MemoryPane .cache--upper TextView { width: 1fr; height: 1fr; }
    MemoryPane.-broad .cache--upper { height: 15; }
    MemoryPane .cache--lower { height: 1fr; min-height: 5; }
    MemoryPane Plot { width: 1fr; height: 1fr; }
    MemoryPane #memory-curve-1 { display: none; }
    MemoryPane #memory-kept { display: none; }
    MemoryPane.-broad #memory-curve-1, MemoryPane.-broad #memory-kept { display: block; }
    MemoryPane.-kept #memory-kept { display: block; }
    MemoryPane.-kept #memory-curve-0 { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._memory, self._traffic, self._kept = (
            Facts(id=f"memory-{name}", classes="panel") for name in ("figures", "traffic", "kept")
        )
        self._plots = [Plot(id=f"memory-curve-{index}", empty="Nothing recorded yet") for index in (0, 1)]
        for one in self._plots:
            one.add_class("panel")
        self._series: Question[Series] = Question("metrics.series", Series, 5.0)
        self._first = 0

    def compose_pane(self) -> ComposeResult:
        """Figures above, curves below."""
        with Horizontal(classes="cache--upper"):
            yield self._memory
            yield self._traffic
        with Horizontal(classes="cache--lower"):
            yield self._kept
            yield from self._plots

    def on_resize(self) -> None:
        """Show more where there is room."""
        self.set_class(self.size.width >= 100, "-broad")

    def further(self) -> Iterable[tuple[Question[Any], Mapping[str, Any]]]:
        """Yield the question about the curves."""
        yield self._series, {"names": list(CURVES), "window_s": WINDOW_S, "points": _POINTS, "marks": False}

    def show_answer(self, answer: MemoryPanel, now: datetime) -> None:
        """Show the figures and the curves."""
        self._memory.border_title = Content(f"Memory · {answer.server}")
        self._memory.show(lambda width: cache_views.memory_lines(answer, width))
        self._traffic.border_title = Content(cache_views.traffic_title(answer))
        self._traffic.show(lambda width: cache_views.traffic_lines(answer, width))
        self._kept.border_title = Content("Kept and copied")
        self._kept.show(lambda width: cache_views.keeping_lines(answer, width, now))
        series = self._series.answer
        known = {} if series is None else {line.name: line for line in series.lines}
        names = list(CURVES)
        for index, plot in enumerate(self._plots):
            name = names[(self._first + index) % len(names)]
            line = known.get(name)
            first = first_measured([line]) if line is not None else None
            if series is None or line is None or first is None:
                frames.title(plot, Content(CURVES[name]))
                plot.show(())
                continue
            frames.title(plot, Content(f"{CURVES[name]}, {measured_window([line], series)}"))
            plot.show(between_limits(line, first, series.end, CURVES[name].lower()), unit=line.unit)

    def action_curve(self) -> None:
        """Show the next curve; in a narrow terminal what is kept has its turn."""
        is_broad = self.has_class("-broad")
        if not is_broad and self._first == len(CURVES) - 1 and not self.has_class("-kept"):
            self.add_class("-kept")
        else:
            self.remove_class("-kept")
            self._first = (self._first + 1) % len(CURVES)
        self.refresh_pane()
