"""The two lines over a job's page: what it is, and how far; and the strip of its pages."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from qsuite_console.model.jobs import TERMINAL, Job
from qsuite_console.model.text import clean
from qsuite_console.widgets import figures, job_rows, looks


class JobHeader(Widget):
    """State, id and title; bar, percentage, rate and remaining time."""

    DEFAULT_CSS = """
    JobHeader { height: 2; padding: 0 1; background: $background; }
    """

    job: reactive[Job | None] = reactive(None)

    def render(self) -> Content:
        """Two lines as wide as the widget."""
        width, job = self.content_size.width, self.job
        if job is None:
            return Content.styled("Loading…", "$dim")
        look = job_rows.look_of(job)
        title = Content.assemble(
            (f"{look.glyph} {look.word}", f"bold {looks.TONES[look.tone]}"),
            (f"  #{job.id}  ", "$dim"),
            (clean(job.title, 400), "bold $foreground"),
        )
        return Content("\n").join([title.truncate(width, ellipsis=True), self._progress(job, look, width)])

    @staticmethod
    def _progress(job: Job, look: looks.Look, width: int) -> Content:
        progress = job.progress
        parts = []
        if progress.done:
            total = f" of {figures.count(progress.total)}" if progress.total else ""
            parts.append(f"{figures.count(progress.done)}{total} {progress.unit}".strip())
        if progress.rate and job.state == "running":
            parts.append(figures.rate(progress.rate, progress.unit if len(progress.unit) <= 5 else ""))
        if progress.eta_s is not None and job.state == "running":
            parts.append(f"{figures.countdown(progress.eta_s)} left")
        message = clean(job.error or ("" if job.state in TERMINAL else progress.message), 300)
        if progress.fraction is None:
            return Content.styled(" · ".join([*parts, message] if message else parts), "$dim").truncate(
                width, ellipsis=True
            )
        text = "  ".join(parts)
        size = max(10, min(48, width - len(text) - 10 - min(20, len(message))))
        done, rest = figures.bar(progress.fraction, size)
        line = Content.assemble(
            (done, looks.TONES[look.tone]), (rest, "$track"), (f" {figures.percent(progress.fraction):>4}", "bold"),
            f"  {text}", (f"  {message}", "$error" if job.error and job.state == "failed" else "$dim"),
        )  # fmt: skip
        return line.truncate(width, ellipsis=True)


class Tabs(Widget):
    """A strip of names with one of them in front; it has no focus, the screen's keys move it."""

    DEFAULT_CSS = """
    Tabs { height: 1; padding: 0 1; background: $background; }
    """

    active: reactive[int] = reactive(0)

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._names = tuple(names)

    def render(self) -> Content:
        """The one in front is set off by more than colour."""
        parts = [
            Content.styled(
                f"▸ {name}" if i == self.active else f"  {name}", "bold $primary" if i == self.active else "$dim"
            )
            for i, name in enumerate(self._names)
        ]
        return Content("  ").join(parts)
