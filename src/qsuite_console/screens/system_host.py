"""The machine in one look: every core, memory by what it is used for, swap, load, and who had to wait for what."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content

from qsuite_console.model.health import Level
from qsuite_console.model.series import Series
from qsuite_console.model.system import HostView, Memory, Pressure, Shares
from qsuite_console.screens.panes import Pane, Question
from qsuite_console.widgets import figures, frames, looks
from qsuite_console.widgets.series_plot import SeriesPlot
from qsuite_console.widgets.status_bar import reading_of
from qsuite_console.widgets.text_view import TextView

LABEL: Final = 11
WINDOW_S: Final = 1800.0
_CORE_CELLS: Final = 22
_CORE_ROWS: Final = 8
_UNIT: Final = re.compile(r"(?<=\d) (?=%|[KMGT]?i?B)")


class HostPane(Pane[HostView]):
    """Figures, and the curves of processor and memory where there is room."""

    NAME, TITLE, PROBE, KIND = "host", "Host", "system.host", HostView

    def __init__(self) -> None:
        super().__init__()
        self._figures = TextView(id="figures", classes="panel figures")
        self._plots = (
            SeriesPlot("CPU", ("host.cpu",), id="curve-cpu"),
            SeriesPlot("Memory in use", ("host.memory",), id="curve-memory"),
        )
        self._plots[1].add_class("-second")
        self._series = Question("metrics.series", Series, 5.0, slack_s=0.3)

    def compose_pane(self) -> ComposeResult:
        """Figures above, curves below."""
        yield self._figures
        with Container(classes="curves"):
            yield from self._plots

    def further(self) -> Iterable[tuple[Question[Any], Mapping[str, Any]]]:
        """Ask for the curves where they are seen."""
        if any(plot.region for plot in self._plots):
            names = [name for plot in self._plots for name in plot.names]
            yield self._series, {"names": names, "window_s": WINDOW_S, "marks": False}

    def show_answer(self, answer: HostView, now: datetime) -> None:
        """Write the figures and draw the curves."""
        for plot in self._plots:
            plot.zone = self.paned.console.zone
            plot.show_series(self._series.answer, problem=self._series.problem)
        frames.title(self._figures, Content("This machine"))
        frames.caption(self._figures, Content(f"rates over {answer.interval_s:.1f} s"))
        reading = reading_of(self.paned.state, "host")
        levels = {} if reading is None else {f.name: f.level for f in (reading.headline, *reading.figures)}
        self._figures.show(lambda width: host_lines(answer, width, now, levels))


def host_lines(answer: HostView, width: int, now: datetime, levels: Mapping[str, Level]) -> Content:
    """Return the machine in lines of ``width`` cells; ``levels`` are those of the sampler's figures."""
    lines = [
        *_line("Processor", _cpu_words(answer), width, levels.get("cpu")),
        *core_lines(answer.cores, width),
        *(_line("Load", _load_words(answer), width) if answer.load is not None else []),
        Content(""),
        *_memory_lines(answer.memory, width, levels.get("memory")),
        *_line("Swap", _swap_words(answer), width),
    ]
    if answer.pressures:
        lines += [Content(""), *_pressure_lines(answer.pressures, width)]
    if answer.booted_at is not None:
        up = (now - answer.booted_at).total_seconds()
        lines += [Content(""), *_line("Running", figures.duration(up), width)]
    return Content("\n").join(line.truncate(width, ellipsis=True) for line in lines)


def _line(label: str, words: str, width: int, level: Level | None = None) -> list[Content]:
    """Return a labelled fact; what does not fit goes on under itself."""
    look = looks.LEVELS[level] if level in (Level.WARNING, Level.CRITICAL) else None
    mark = f"{look.glyph} {look.word} " if look is not None else ""
    whole = _UNIT.sub("\u00a0", mark + words)  # a number is not torn from its unit
    parts = [part.replace("\u00a0", " ") for part in textwrap.wrap(whole, max(20, width - LABEL))] or [""]
    tone = looks.TONES[look.tone] if look is not None else ""
    first = Content.assemble((f"{label:<{LABEL}}", "$dim"), (mark, tone), (parts[0][len(mark) :], "$foreground"))
    return [first, *(Content.styled(f"{'':{LABEL}}{part}", "$foreground") for part in parts[1:])]


def _cpu_words(answer: HostView) -> str:
    number = figures.plural(len(answer.cores), "core") if answer.cores else ""
    limit = f", this container may use {answer.core_limit:g}" if answer.core_limit is not None else ""
    if answer.cpu is None:
        return number + limit
    cpu = answer.cpu
    parts = f"user {cpu.user:.0f} %, system {cpu.system:.0f} %, disk wait {cpu.iowait:.0f} %"
    steal = f", stolen {cpu.steal:.0f} %" if cpu.steal >= 0.5 else ""
    return f"{cpu.busy:.0f} % busy of {number}{limit}: {parts}{steal}"


def core_lines(cores: tuple[Shares, ...], width: int) -> list[Content]:
    """Return a bar for each core, side by side; of very many, the busiest."""
    columns = max(1, (width - LABEL) // (_CORE_CELLS + 2))
    shown = list(enumerate(cores))
    most = columns * _CORE_ROWS
    if len(shown) > most:
        shown = sorted(sorted(shown, key=lambda one: -one[1].busy)[: most - 1])
    cells = [_core(index, core) for index, core in shown]
    rows = [cells[at : at + columns] for at in range(0, len(cells), columns)]
    lines = [Content.assemble(" " * LABEL, Content("  ").join(row)) for row in rows]
    if len(shown) < len(cores):
        lines.append(Content.styled(f"{'':{LABEL}}the busiest {len(shown)} of {len(cores)} cores", "$dim"))
    return lines


def _core(index: int, core: Shares) -> Content:
    done, rest = figures.bar(core.busy / 100, _CORE_CELLS - 10)
    return Content.assemble(
        (f"{index:>3} ", "$dim"), (done, "$primary"), (rest, "$track"), (f"{core.busy:>4.0f} %", "$foreground")
    )


def _load_words(answer: HostView) -> str:
    assert answer.load is not None
    one, five, fifteen = answer.load
    cores = len(answer.cores)
    each = f": {one / cores:.2f} a core" if cores else ""
    return f"{one:.2f} in 1 min, {five:.2f} in 5, {fifteen:.2f} in 15{each}"


def _memory_lines(memory: Memory, width: int, level: Level | None) -> list[Content]:
    total = memory.total or 1
    share = 100.0 * memory.used / total
    words = f"{figures.size(memory.used)} of {figures.size(memory.total)} used, {share:.0f} %"
    lines = _line("Memory", f"{words}; {figures.size(memory.available)} available", width, level)
    room = max(10, min(60, width - LABEL - 2))
    used = min(room, round(room * memory.used / total))
    cached = min(room - used, round(room * min(memory.cached or 0, memory.available) / total))
    lines.append(
        Content.assemble(
            " " * LABEL,
            ("━" * used, "$primary"),
            ("╍" * cached, "$dim"),
            ("─" * (room - used - cached), "$track"),
        )
    )
    parts = (
        (("free", memory.free), ("cached", memory.cached), ("buffers", memory.buffers)),
        (("shared", memory.shared), ("to be written", memory.dirty)),
    )
    for row in parts:
        told = ", ".join(f"{name} {figures.size(value)}" for name, value in row if value is not None)
        if told:
            lines += _line("", told, width)
    if memory.limit is not None:
        lines += _line("", f"this container may use {figures.size(memory.limit)}", width)
    return lines


def _swap_words(answer: HostView) -> str:
    swap = answer.swap
    if swap is None:
        return "not told here"
    if not swap.total:
        return "none: this machine has no swap"
    moved = ""
    if swap.in_rate is not None and swap.out_rate is not None:
        moved = f"; {figures.size(swap.in_rate)}/s in, {figures.size(swap.out_rate)}/s out"
    return f"{figures.size(swap.used)} of {figures.size(swap.total)} used{moved}"


def _pressure_lines(pressures: tuple[Pressure, ...], width: int) -> list[Content]:
    rows: list[tuple[str, tuple[str, ...]]] = [("time in which tasks waited for…", ("10 s", "1 min", "5 min"))]
    for one in pressures:
        rows.append((f"{one.resource:<7} some", tuple(f"{value:.1f} %" for value in one.some)))
        if one.full is not None and any(one.full):
            rows.append((f"{one.resource:<7} all", tuple(f"{value:.1f} %" for value in one.full)))
    room = 31 if width >= LABEL + 31 + 24 else 14
    rows[0] = (rows[0][0] if room == 31 else "tasks waited", rows[0][1])
    texts = [f"{name:<{room}}" + "".join(f"{value:>8}" for value in values) for name, values in rows]
    return [
        Content.assemble((f"{'Pressure' if number == 0 else '':<{LABEL}}", "$dim"), (text, "$foreground"))
        for number, text in enumerate(texts)
    ]
