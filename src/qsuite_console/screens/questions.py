"""Questions that are asked again while their answers can be seen, one at a time of each kind.

What was answered last stays until the next answer, with its age and with the reason why there is none newer.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

import msgspec
from textual.worker import Worker

from qsuite_console.model.errors import ConsoleError
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
    parameters: Mapping[str, Any] | None = None  # None: there is nothing to ask about yet
    answer: A | None = None
    problem: str = ""
    hint: str = ""
    asked_at: datetime | None = None
    answered_at: datetime | None = None
    is_waiting: bool = False
    slack_s: float = 0.5  # how much sooner than the period it may be asked again, for owners that look once a second
    retry_s: float | None = None  # after a failure; None: the period
    is_kept: bool = False  # its probe keeps answers for a while and takes ``fresh``, for an operator who reloads
    is_fresh: bool = False  # the next answer must be a new one

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
        if self.parameters is None or self.is_waiting:
            return False
        period_s = self.period_s if not self.problem or self.retry_s is None else min(self.period_s, self.retry_s)
        return self.asked_at is None or (now - self.asked_at).total_seconds() > period_s - self.slack_s

    def again(self) -> None:
        """Let it be asked again at once, and computed anew where its answers are kept."""
        self.asked_at, self.is_waiting, self.is_fresh = None, False, self.is_kept

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
    """Puts a screen's questions; ``on_answer`` is called after each answer and each failure."""

    def __init__(self, screen: ConsoleScreen, on_answer: Callable[[Question[Any]], None]) -> None:
        self._screen = screen
        self._on_answer = on_answer

    def ask(
        self, question: Question[Any], parameters: Mapping[str, Any], *, is_kept: bool = False, quiet_s: float = 0.0
    ) -> None:
        """Ask if the subject is new or it is time to; ``is_kept`` shows the last answer until the next one.

        ``quiet_s`` waits before asking: a subject that changes meanwhile costs no question.
        """
        question.about(parameters, is_kept=is_kept)
        now = self._screen.now
        if question.is_due(now):
            question.asked_at, question.is_waiting = now, True
            # made when it starts: it may be given up before
            reading: Callable[[], Coroutine[None, None, None]] = functools.partial(self._read, question, quiet_s)
            group = f"{question.probe} {id(question)}"
            _: Worker[None] = self._screen.run_worker(reading, group=group, exclusive=True)

    async def _read(self, question: Question[Any], quiet_s: float) -> None:
        """Take the answer, unless another subject was asked about meanwhile."""
        parameters = question.parameters
        assert parameters is not None
        await asyncio.sleep(quiet_s)
        asked = {**parameters, "fresh": True} if question.is_fresh else parameters
        question.is_fresh = False
        try:
            answer = await self._screen.control.ask(question.probe, asked)
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
