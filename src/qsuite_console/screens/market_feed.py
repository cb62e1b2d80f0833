"""Questions that are asked again while their answers can be seen, one at a time of each kind.

What was answered last stays until the next answer, with its age and with the reason why there is none newer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

import msgspec

from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.market import Bars, Depth, Positions, Volatility, Watch
from qsuite_console.model.text import clean
from qsuite_console.screens.base import ConsoleScreen

A = TypeVar("A", bound=msgspec.Struct)
QUIET_S: Final = 0.15  # of moving or typing, before a new subject is asked about
PATIENCE: Final = 3.0  # periods without an answer after which the last one is old


@dataclass(slots=True)
class Question(Generic[A]):
    """``answer`` is about ``parameters``; another subject forgets it, a failure does not."""

    probe: str
    kind: type[A]
    period_s: float
    parameters: Mapping[str, Any] = field(default_factory=dict)
    answer: A | None = None
    problem: str = ""
    hint: str = ""
    asked_at: datetime | None = None
    answered_at: datetime | None = None
    is_waiting: bool = False

    def about(self, parameters: Mapping[str, Any], *, is_kept: bool = False) -> bool:
        """Change the subject; returns whether it is another one. ``is_kept``: the answer is shown until the next."""
        if parameters == self.parameters:
            return False
        self.parameters, self.asked_at, self.is_waiting = dict(parameters), None, False
        self.problem = self.hint = ""
        if not is_kept:
            self.answer = self.answered_at = None
        return True

    def is_due(self, now: datetime) -> bool:
        """Return whether it is time to ask (again); never while an answer is awaited."""
        if not self.parameters or self.is_waiting:
            return False
        return self.asked_at is None or (now - self.asked_at).total_seconds() > self.period_s - 0.5

    def age_s(self, now: datetime) -> float | None:
        """Return the seconds since the last answer."""
        return None if self.answered_at is None else max(0.0, (now - self.answered_at).total_seconds())

    def is_stale(self, now: datetime) -> bool:
        """Return whether the last answer is too old to be shown with confidence."""
        age = self.age_s(now)
        return age is not None and age > PATIENCE * self.period_s

    def waiting_s(self, now: datetime) -> float:
        """Return for how long the first answer has been awaited."""
        return 0.0 if self.asked_at is None else max(0.0, (now - self.asked_at).total_seconds())


class Feed:
    """The questions of the market screen; ``on_answer`` is called after each answer and each failure."""

    def __init__(self, screen: ConsoleScreen, on_answer: Callable[[Question[Any]], None]) -> None:
        self._screen = screen
        self._on_answer = on_answer
        self.watch = Question("market.watch", Watch, 2.0)
        self.chart = Question("market.bars", Bars, 2.0)
        self.depth = Question("market.depth", Depth, 2.0)
        self.positions = Question("market.positions", Positions, 10.0)
        self.volatility = Question("market.volatility", Volatility, 30.0)

    def ask(self, question: Question[Any], parameters: Mapping[str, Any], *, is_kept: bool = False) -> None:
        """Ask if the subject is new or it is time to; ``is_kept`` shows the last answer until the next one."""
        question.about(parameters, is_kept=is_kept)
        now = self._screen.now
        if question.is_due(now):
            is_moving = question.asked_at is None and self.watch.answer is not None
            question.asked_at, question.is_waiting = now, True
            reading = self._read(question, QUIET_S if is_moving else 0.0)
            self._screen.run_worker(reading, group=question.probe, exclusive=True)

    async def _read(self, question: Question[Any], quiet_s: float) -> None:
        """Take the answer, unless another subject was asked about meanwhile."""
        parameters = question.parameters
        await asyncio.sleep(quiet_s)
        try:
            answer = await self._screen.control.ask(question.probe, parameters)
        except ConsoleError as error:
            if question.parameters is parameters:
                question.problem, question.hint = clean(error.message, 200), clean(error.hint, 200)
                question.is_waiting = False
                self._on_answer(question)
            return
        if question.parameters is parameters and isinstance(answer, question.kind):
            question.answer, question.answered_at = answer, self._screen.now
            question.problem, question.is_waiting = "", False
            self._on_answer(question)

    def again(self) -> None:
        """Let everything be asked again at once."""
        for question in (self.watch, self.chart, self.depth, self.positions, self.volatility):
            question.asked_at, question.is_waiting = None, False
