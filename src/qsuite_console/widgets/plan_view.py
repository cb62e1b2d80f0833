"""What a job would do, before it does it: figures in columns, warnings below, and how fresh all that is."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget

from qsuite_console.model.kinds import Plan
from qsuite_console.model.text import clean

_GAP = 2


class PlanView(Widget):
    """Shows a plan, that one is being made, why there is none, or what is missing for one."""

    DEFAULT_CSS = """
    PlanView { height: auto; min-height: 1; width: 1fr; padding: 0 1; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._plan: Plan | None = None
        self._error = ""
        self._waiting = ""
        self._since_s: float | None = None

    @property
    def plan(self) -> Plan | None:
        """Return the plan shown, if it is that of the present parameters."""
        return self._plan if self._since_s is None and not self._error else None

    def show(self, plan: Plan) -> None:
        """Show a plan."""
        self._plan, self._error, self._waiting, self._since_s = plan, "", "", None
        self.refresh(layout=True)

    def fail(self, message: str) -> None:
        """Show why there is no plan."""
        self._plan, self._error, self._waiting, self._since_s = None, message, "", None
        self.refresh(layout=True)

    def ask(self, message: str) -> None:
        """Show what the operator has to do first."""
        self._plan, self._error, self._waiting, self._since_s = None, "", message, None
        self.refresh(layout=True)

    def wait(self, since_s: float) -> None:
        """Show that a plan is being made for ``since_s`` seconds; the old one stays, marked."""
        if self._since_s is None or int(since_s) != int(self._since_s):
            self._since_s, self._waiting = since_s, ""
            self.refresh(layout=True)
        self._since_s = since_s

    def render(self) -> Content:
        """Draw what is known."""
        width = max(10, self.content_size.width or self.size.width)
        lines: list[Content] = []
        if self._since_s is not None:
            seconds = int(self._since_s)
            lines.append(Content.styled("◌ planning…" + (f" {seconds} s" if seconds else ""), "$primary"))
        if self._error:
            head, _, hint = self._error.partition("\n")
            lines += _wrap(Content.assemble(("✖ ", "$error"), (clean(head, 400), "$error")), width)
            lines += _wrap(Content.styled(clean(hint, 400), "$dim"), width) if hint else []
        elif self._waiting:
            lines += _wrap(Content.styled(clean(self._waiting, 300), "$dim"), width)
        if self._plan is not None:
            lines += plan_lines(self._plan, width, is_old=self._since_s is not None)
        return Content("\n").join(lines) if lines else Content("")


def plan_lines(plan: Plan, width: int, *, is_old: bool = False) -> list[Content]:
    """Return the plan as lines of ``width`` cells: label, value, note; then the warnings."""
    tone = "$dim" if is_old else "bold $foreground"
    labels = max((len(clean(line.label, 20)) for line in plan.lines), default=0)
    values = max((len(clean(line.value, 30)) for line in plan.lines if len(line.value) <= 14), default=0)
    shown: list[Content] = []
    if plan.is_noop:
        shown.append(Content.assemble(("✔ ", "$success"), ("nothing to fetch: all of it is stored", "$success")))
    for line in plan.lines:
        label, value, note = clean(line.label, 20), clean(line.value, 60), clean(line.note, 120)
        text = Content.assemble((f"{label:<{labels}}", "$dim"), " " * _GAP, (f"{value:>{values}}", tone))
        shown.append(text.truncate(width, ellipsis=True))
        if note and text.cell_length + _GAP + len(note) <= width:
            shown[-1] = Content.assemble(text, " " * _GAP, (note, "$dim"))
        elif note:
            parts = _wrap(Content.styled(note, "$dim"), width - 2)
            shown += [Content.assemble("  ", part) for part in parts]
    for warning in plan.warnings:
        shown += _wrap(Content.assemble(("▲ ", "$warning"), (clean(warning, 300), "$foreground")), width)
    return shown


def _wrap(content: Content, width: int) -> list[Content]:
    return list(content.wrap(width))
