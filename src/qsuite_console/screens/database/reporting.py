"""What the panes of flows share: a few lines of facts above, one a subject, then what they are made of as a table."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Generic, TypeVar

import msgspec
from textual.content import Content

from qsuite_console.model.text import clean
from qsuite_console.screens.listing import Listing
from qsuite_console.widgets import looks
from qsuite_console.widgets.cells import fit

A = TypeVar("A", bound=msgspec.Struct)
E = TypeVar("E")
_LABEL = 12
_ROOMY = 16  # lines of a pane below which only the most urgent facts are shown
_FEW = 2
_URGENCY = {"error": 0, "warn": 1, "ok": 2, "dim": 2, "text": 2}
_GLYPHS = {"ok": "●", "warn": "▲", "error": "✖", "dim": "◌", "text": " "}


class Report(Listing[A, E], Generic[A, E]):
    """A listing with several lines above it; subclasses yield them from ``facts``."""

    DEFAULT_CSS = """
    Report .listing--head { height: auto; max-height: 8; padding: 0 1 1 1; color: $foreground; }
    Report .listing--head.-tight { padding: 0 1; }
    """

    def facts(self, answer: A, now: datetime) -> Iterable[tuple[str, str, str]]:
        """Yield (tone, label, text) of each line above the table."""
        raise NotImplementedError

    def _say(self, answer: A, now: datetime) -> None:
        width = self.size.width - 2
        facts = list(self.facts(answer, now))
        if self.size.height < _ROOMY:
            facts = sorted(facts, key=lambda fact: _URGENCY[fact[0]])[:_FEW]
        self._head.set_class(self.size.height < _ROOMY, "-tight")
        head = Content("\n").join(_line(*fact, width) for fact in facts)
        entry = self.table.entry
        lines = [] if entry is None else [self.sentence(*one) for one in self.foot(entry, now)]
        foot = Content("\n").join(lines)
        if (head, foot) != self._said:
            self._said = (head, foot)
            self._head.update(head)
            self._foot.update(foot)


def _line(tone: str, label: str, text: str, width: int) -> Content:
    """Return one line; what does not fit is left out between two dots, the end first."""
    room = max(10, width - _LABEL - 3)
    parts = clean(text, 400).split(" · ")
    while len(parts) > 1 and len(" · ".join(parts)) > room:
        parts.pop()
    told = fit(" · ".join(parts), room, is_right=False).rstrip()
    return Content.assemble((f"{_GLYPHS[tone]} ", looks.TONES[tone]), (f"{label:<{_LABEL}}", "$dim"), " ", told)
