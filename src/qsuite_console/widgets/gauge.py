"""How much of a limited thing is left, as a bar and as numbers; it warns before the thing is used up."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget

from qsuite_console.model.health import Level
from qsuite_console.widgets import figures, looks

LOW = 0.1  # of the limit left


class Gauge(Widget):
    """One line: label, bar, remaining of limit, when it is full again."""

    DEFAULT_CSS = """
    Gauge { height: 1; width: 1fr; }
    """

    def __init__(self, label: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._label = label
        self._values: tuple[float | None, float | None, float | None] = (None, None, None)

    def show(self, remaining: float | None, limit: float | None, reset_s: float | None = None) -> None:
        """Show ``remaining`` of ``limit``, filled up again in ``reset_s`` seconds; None is not known."""
        if (remaining, limit, reset_s) != self._values:
            self._values = (remaining, limit, reset_s)
            self.refresh()

    def render(self) -> Content:
        """Draw the line; the bar takes what the words leave."""
        return gauge_line(self._label, *self._values, width=self.size.width)


def gauge_line(
    label: str, remaining: float | None, limit: float | None, reset_s: float | None = None, *, width: int
) -> Content:
    """Return label, bar and figures in ``width`` cells: "rate limit ━━━━━──── 164 of 200 left, full in 22 s"."""
    if remaining is None or not limit or limit <= 0:
        return Content.assemble((f"{label} ", "$dim"), (figures.DASH, "$dim"), (" not told yet", "$dim"))
    share = max(0.0, min(1.0, remaining / limit))
    look = looks.LEVELS[Level.OK if share > LOW else Level.WARNING]
    tone = looks.TONES["run" if share > LOW else "warn"]
    numbers = Content.assemble(
        ("" if share > LOW else f"{look.glyph} ", tone),
        (figures.count(remaining), "bold $foreground"),
        (f" of {figures.count(limit)} left", "$dim"),
        (
            f", full in {figures.duration(round(reset_s))}"
            if reset_s is not None and reset_s >= 0.5 and share < 1
            else "",
            "$dim",
        ),
    )
    room = width - len(label) - numbers.cell_length - 2
    if room < 4:
        return Content.assemble((f"{label} ", "$dim"), numbers)
    done, left = figures.bar(share, min(room, 40))
    return Content.assemble((f"{label} ", "$dim"), (done, tone), (left, "$track"), " ", numbers)
