"""Everything a tile is made of: each figure with its limits, the trend in full, the cause when it has no answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from qsuite_console.model.health import Figure, Reading
from qsuite_console.model.text import clean
from qsuite_console.screens.leaving import Dialog
from qsuite_console.widgets import braille, figures, looks
from qsuite_console.widgets.tile import limits, span, trend

WIDTH = 64
Source = Callable[[], tuple[Reading | None, datetime]]


class ReadingDialog(Dialog[None]):
    """Shows one reading, live."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "leave", "Back"),
        Binding("j", "scroll(1)", "Down", show=False),
        Binding("k", "scroll(-1)", "Up", show=False),
    ]
    DEFAULT_CSS = """
    ReadingDialog { align: center middle; }
    ReadingDialog > VerticalScroll { width: 72; height: auto; scrollbar-size-vertical: 1; }
    """

    def __init__(self, source: str, title: str, read: Source) -> None:
        super().__init__()
        self._source = source
        self._title = title
        self._read = read

    def compose(self) -> ComposeResult:
        """One text, updated every second."""
        with VerticalScroll(classes="dialog") as box:
            box.border_title = Content(clean(self._title, 40))
            box.border_subtitle = "Esc back"
            yield Static(self._content(), id="figures")

    def on_mount(self) -> None:
        """Keep it current."""
        self.set_interval(1.0, lambda: self.query_one("#figures", Static).update(self._content()))

    def _content(self) -> Content:
        reading, now = self._read()
        if reading is None:
            return Content.styled(
                f"{self._title} has not been measured yet: the sampler starts with the engine.", "$dim"
            )
        look = looks.of_reading(reading, now)
        age = looks.age_of(reading, now)
        lines = [
            Content.assemble(
                (f"{look.glyph} {look.word}", f"bold {looks.TONES[look.tone]}"),
                (f"    sampled {figures.age(age)} ago, every {reading.interval_s:g} s", "$dim")
                if age is not None
                else ("    never measured", "$dim"),
            )
        ]
        if reading.error:
            lines.append(Content.styled(clean(reading.error, 300), "$error"))
        if len(braille.finite(reading.history)) > 1:
            title = f"{reading.headline.label}, last {span(len(reading.history) * reading.interval_s)}"
            lines += [Content(""), Content.styled(clean(title, 80), "$dim")]
            lines += trend(reading.history, WIDTH, 5, reading.headline.unit, "$primary")
        lines += [Content(""), *(self._line(f) for f in (reading.headline, *reading.figures))]
        return Content("\n").join(lines)

    @staticmethod
    def _line(figure: Figure) -> Content:
        look = looks.LEVELS[figure.level]
        label, text = clean(figure.label, 24), clean(figure.text, 20)
        return Content.assemble(
            (f"{look.glyph} ", looks.TONES[look.tone]),
            (f"{label:<22}", "$dim"),
            (f"{text:>18}", "bold $foreground"),
            (f"    {limits(figure.limit)}", "$dim"),
        )

    def action_leave(self) -> None:
        """Go back."""
        self.dismiss(None)

    def action_scroll(self, lines: int) -> None:
        """Scroll by lines."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)
