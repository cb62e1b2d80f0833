"""How an answer stands: awaited, fresh, stale, refused; decided once for every pane, in words that need no thinking.

An answer is stale as soon as the next one is overdue. Panes that ask seldom take the word of the sampler, which asks
their source every two seconds, so that a server that stops is seen within three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from textual.content import Content

from qsuite_console.model.advice import Unread
from qsuite_console.model.health import Reading
from qsuite_console.model.text import clean
from qsuite_console.screens.questions import Question
from qsuite_console.widgets import figures, looks

FRESH_S: Final = 2.6  # with five looks a second: an answer that is missing shows within three seconds
SOON_S: Final = 2.0
_UNREAD_LINES: Final = 3


class Kind(StrEnum):
    """What an operator can make of a pane."""

    LOADING = "loading"
    FRESH = "fresh"
    STALE = "stale"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Standing:
    """``age_s`` is that of what is shown; ``why`` and ``hint`` tell why there is nothing newer."""

    kind: Kind
    age_s: float = 0.0
    why: str = ""
    hint: str = ""

    @property
    def headline(self) -> str:
        """Return the stale line: "◌ stale 12 s: PostgreSQL did not answer within 0.9 s"."""
        why = f": {self.why}" if self.why else ""
        return f"{looks.STALE.glyph} stale {figures.whole(self.age_s)}{why}"


def standing(question: Question[Any], reading: Reading | None, now: datetime) -> Standing:
    """Return how a question's answer stands; ``reading`` is the sampler's newest of the same source."""
    age_s = question.age_s(now)
    if age_s is None or question.answer is None:
        if question.problem:
            return Standing(Kind.FAILED, question.waiting_s(now), question.problem, question.hint)
        return Standing(Kind.LOADING, question.waiting_s(now))
    is_overdue = age_s > _fresh_s(question.period_s)
    is_silent = reading is not None and looks.is_stale(reading, now) and age_s > FRESH_S
    if not (question.problem or is_overdue or is_silent):
        return Standing(Kind.FRESH, age_s)
    silence = clean(reading.error, 200) if reading is not None and reading.error else ""
    return Standing(Kind.STALE, age_s, question.problem or silence or "no newer answer yet", question.hint)


def _fresh_s(period_s: float) -> float:
    """Return the age from which the next answer is overdue; seldom asked questions may take longer."""
    return FRESH_S if period_s <= SOON_S else period_s * 1.25 + 2.0


def info(state: Standing, cost_ms: float | None) -> Content:
    """Return what stands beside the tabs: "14 ms · 2 s ago"; stale in a glyph, a word and a colour."""
    if state.kind is Kind.LOADING:
        return Content.styled("loading", "$dim")
    if state.kind is Kind.FAILED:
        return Content.styled(f"{looks.FAILED_SOURCE.glyph} no answer", "$error")
    age = figures.whole(state.age_s)
    if state.kind is Kind.STALE:
        return Content.styled(f"{looks.STALE.glyph} stale {age}", "$warning")
    cost = f"{cost_text(cost_ms)} · " if cost_ms is not None else ""
    return Content.styled(f"{cost}{'now' if state.age_s < 1 else f'{age} ago'}", "$dim")


def cost_text(cost_ms: float) -> str:
    """Return what an answer cost the server: 0.4 ms, 14 ms, 1.2 s."""
    if cost_ms >= 1000:
        return f"{cost_ms / 1000:.1f} s"
    return f"{cost_ms:.0f} ms" if cost_ms >= 10 else f"{cost_ms:.1f} ms"


def blank(state: Standing, unread: Sequence[Unread], empty: str) -> Content:
    """Return what stands in place of the figures while there are none: why, and what to do."""
    if state.kind is Kind.LOADING:
        waited = int(state.age_s)
        return Content.styled(f"Loading… {waited} s" if waited else "Loading…", "$dim")
    if state.kind is Kind.FAILED:
        lines = (f"{looks.FAILED_SOURCE.glyph} {state.why}", state.hint, "It is read again by itself; r reads it now.")
        return Content("\n").join(
            Content.styled(line, "$error" if index == 0 else "$dim") for index, line in enumerate(lines) if line
        )
    if unread:
        return Content("\n\n").join(_unread(entry, separator="\n") for entry in unread)
    return Content.styled(empty, "$dim")


def note(state: Standing, unread: Sequence[Unread]) -> Content:
    """Return the lines above the figures: how old they are, and what is missing among them; empty when all is well."""
    lines: list[Content] = []
    if state.kind is Kind.STALE:
        hint = f"  {state.hint}" if state.hint else ""
        lines.append(Content.assemble((state.headline, "$warning"), (hint, "$dim")))
    lines.extend(_unread(entry) for entry in unread[:_UNREAD_LINES])
    if len(unread) > _UNREAD_LINES:
        names = ", ".join(clean(entry.what, 40) for entry in unread[_UNREAD_LINES:])
        lines.append(Content.styled(f"⊘ also not read: {names}", "$dim"))
    return Content("\n").join(lines)


def _unread(entry: Unread, *, separator: str = "  ") -> Content:
    hint = f"{separator}{clean(entry.hint, 200)}" if entry.hint else ""
    return Content.assemble(
        ("⊘ ", "$warning"), f"can't read {clean(entry.what, 80)}: {clean(entry.why, 200)}", (hint, "$dim")
    )
