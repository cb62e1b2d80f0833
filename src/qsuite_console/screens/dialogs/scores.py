"""Why the platform scores what it scores: reasons, plain formulas, and below 80 what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from qsuite_console.engine.control import Control
from qsuite_console.model.advice import Analysis, Finding, Score, Severity
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.text import clean
from qsuite_console.screens.leaving import Dialog
from qsuite_console.widgets import looks, strips

PARTS: Final = {"database": ("postgresql", "pgbouncer"), "cache": ("redis",), "system": ()}
MOST: Final = 6
HOST: Final = {  # no setting of a server helps here: where to look, and what to take away
    "system.cpu": "System, pane processes names what computes; fewer slots of a queue make our own jobs slower",
    "system.memory": "System, pane processes names what takes the memory; less shared_buffers or maxmemory helps",
    "system.load": "more runs or waits than there are cores: System, panes processes and disks",
    "system.iowait": "System, pane disks names the busy one; a smaller backfill profile writes less",
    "system.swap_in": "memory is short: give the servers less, or the host more",
}
_TONES: Final = {Severity.CRITICAL: "$error", Severity.WARNING: "$warning", Severity.INFO: "$dim"}
_GLYPHS: Final = {Severity.CRITICAL: "✖", Severity.WARNING: "▲", Severity.INFO: "·"}


class ScoreDialog(Dialog[None]):
    """Shows the scores, live, with the recommendations of the last full look."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "leave", "Back"),
        Binding("j,down", "scroll(1)", "Down", show=False),
        Binding("k,up", "scroll(-1)", "Up", show=False),
    ]
    DEFAULT_CSS = """
    ScoreDialog { align: center middle; }
    ScoreDialog > VerticalScroll { width: 78; height: auto; scrollbar-size-vertical: 1; }
    """

    def __init__(self, control: Control, scores: Callable[[], Sequence[Score]]) -> None:
        super().__init__()
        self._control = control
        self._scores = scores
        self._analysis: Analysis | None = None
        self._problem = ""

    def compose(self) -> ComposeResult:
        """One text."""
        with VerticalScroll(classes="dialog") as box:
            box.border_title = "Scores"
            box.border_subtitle = "Esc back"
            yield Static(self._content(), id="scores")

    def on_mount(self) -> None:
        """Keep it current, and ask for what to do."""
        self.set_interval(1.0, self._draw)
        self.run_worker(self._ask())

    async def _ask(self) -> None:
        try:
            answer = await self._control.ask("scores.explain", {})
        except ConsoleError as error:
            self._problem = error.message
        else:
            self._analysis = answer if isinstance(answer, Analysis) else None
        self._draw()

    def _draw(self) -> None:
        self.query_one("#scores", Static).update(self._content())

    def _content(self) -> Content:
        scores = self._scores()
        if not scores:
            return Content.styled("Nothing is scored yet: the first look at the platform takes a few seconds.", "$dim")
        lines: list[Content] = []
        for score in scores:
            lines += [*self._area(score), Content("")]
        lines.append(
            Content.styled("Only what is measured counts; the worst figure caps its area at 25 above itself.", "$dim")
        )
        return Content("\n").join(lines)

    def _area(self, score: Score) -> Iterator[Content]:
        look = strips.look_of(score)
        tone = looks.TONES[look.tone]
        known = f"{score.known * 100:.0f} % of what counts was measured" if 0 < score.known < 0.995 else ""
        yield Content.assemble(
            (f"{look.glyph} {score.area:<9}", f"bold {tone}"),
            (f"{strips.value_text(score):>4}", f"bold {tone}"),
            (f"   {known}", "$dim"),
        )
        for reason in score.reasons:
            yield Content.assemble("    ", clean(reason, 120))
        for one in score.components:
            value = "not known" if one.value is None else f"{one.value:g}"
            yield Content.styled(f"    {clean(one.title, 30)}: {value} = {clean(one.formula, 120)}", "$dim")
        if score.value is not None and score.value < strips.GOOD:
            yield from self._advice(score.area)

    def _advice(self, area: str) -> Iterator[Content]:
        if self._problem:
            yield Content.styled(f"    what to do is not known: {clean(self._problem, 160)}", "$dim")
        for measure in self._analysis.measures if self._analysis is not None and area == "system" else ():
            if measure.id in HOST and measure.score is not None and measure.score < strips.GOOD:
                yield Content.assemble(
                    "    ", ("▲ ", "$warning"), (f"{clean(measure.title, 60)}: ", "bold"), HOST[measure.id]
                )
        found = recommendations(self._analysis, area)
        for finding in found[:MOST]:
            tone = _TONES[finding.severity]
            where = f" {clean(finding.subject, 40)}" if finding.subject else ""
            yield Content.assemble(
                (f"    {_GLYPHS[finding.severity]} ", tone), (f"{clean(finding.title, 100)}{where}", "bold")
            )
            evidence = ", ".join(f"{one.name} {one.text}" for one in finding.evidence[:3])
            if evidence:
                yield Content.styled(f"      because {clean(evidence, 160)}", "$dim")
            fix = finding.fix or finding.advice
            if fix:
                yield Content.assemble("      ", (clean(fix, 200), "$accent"))
        if len(found) > MOST:
            yield Content.styled(f"    and {len(found) - MOST} more: qsuite-console analyze", "$dim")

    def action_leave(self) -> None:
        """Go back."""
        self.dismiss(None)

    def action_scroll(self, lines: int) -> None:
        """Scroll by lines."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)


def recommendations(analysis: Analysis | None, area: str) -> list[Finding]:
    """Return what would raise the score of an area, worst first; hints of no weight only if nothing else is known."""
    if analysis is None:
        return []
    own = [finding for finding in analysis.findings if finding.part in PARTS.get(area, ())]
    weighty = [finding for finding in own if finding.severity is not Severity.INFO]
    return weighty or own
