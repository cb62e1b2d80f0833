"""What would put a platform in shape, as numbered steps: each a job or an operation that exists, with its evidence.

A step that is not safe is shown with the reason and left to a person; whoever performs the rest goes through Control.
"""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import Any

import msgspec

from qsuite_console.model.advice import Score, Unread


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do. Either ``kind`` (a job) or ``operation`` is named, with its ``parameters``."""

    number: int = 0
    title: str  # "vacuum and analyze public.orders"
    subject: str  # what it changes: a table, an index, keys, a setting
    evidence: tuple[str, ...] = ()  # figures: "dead rows 12,300"
    consequence: str = ""
    rule: str = ""  # of the analysis: "PG12"
    kind: str = ""
    operation: str = ""
    parameters: dict[str, Any] = {}
    is_safe: bool = True
    why_not: str = ""  # why it is left to a person

    @property
    def command(self) -> str:
        """Return the command line that does just this."""
        verb = f"run {self.kind}" if self.kind else f"act {self.operation}"
        words = [word for name, value in self.parameters.items() for word in _flag(name, value)]
        return " ".join(["qsuite-console", verb, *words])


class Optimization(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``optimize``. ``others``: findings that no job or safe setting can put right."""

    at: datetime
    target: str
    scores: tuple[Score, ...] = ()
    steps: tuple[Step, ...] = ()
    others: int = 0
    unread: tuple[Unread, ...] = ()

    @property
    def safe(self) -> tuple[Step, ...]:
        """Return the steps that may be done without looking at each."""
        return tuple(step for step in self.steps if step.is_safe)

    @property
    def left(self) -> tuple[Step, ...]:
        """Return the steps that are left to a person."""
        return tuple(step for step in self.steps if not step.is_safe)


def numbered(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the steps counted from 1, the safe ones first."""
    ordered = sorted(steps, key=lambda step: not step.is_safe)
    return tuple(msgspec.structs.replace(step, number=number) for number, step in enumerate(ordered, start=1))


def score_of(scores: tuple[Score, ...], area: str = "overall") -> float | None:
    """Return one area's score, None where it is not known."""
    return next((score.value for score in scores if score.area == area), None)


def _flag(name: str, value: Any) -> list[str]:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", shlex.quote(str(value))]
