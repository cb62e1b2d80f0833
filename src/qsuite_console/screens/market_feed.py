"""What the market screen asks about: the list, and four panels about the symbol under its cursor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from qsuite_console.model.market import Bars, Depth, Positions, Volatility, Watch
from qsuite_console.screens.base import ConsoleScreen
from qsuite_console.screens.questions import QUIET_S, Feed, Question

LOOK_S: Final = 0.2  # between looks at what is due and what grew stale
RETRY_S: Final = 1.0  # after a failure: a server that is back is shown within two seconds
_SLACK_S: Final = 0.3


class MarketFeed(Feed):
    """The questions of the market screen; moving the cursor asks only about the symbol it stays on."""

    def __init__(self, screen: ConsoleScreen, on_answer: Callable[[Question[Any]], None]) -> None:
        super().__init__(screen, on_answer)
        self.watch = Question("market.watch", Watch, 2.0, slack_s=_SLACK_S, retry_s=RETRY_S)
        self.chart = Question("market.bars", Bars, 2.0, slack_s=_SLACK_S, retry_s=RETRY_S)
        self.depth = Question("market.depth", Depth, 2.0, slack_s=_SLACK_S, retry_s=RETRY_S)
        self.positions = Question("market.positions", Positions, 10.0, slack_s=_SLACK_S, retry_s=RETRY_S, is_kept=True)
        self.volatility = Question(
            "market.volatility", Volatility, 30.0, slack_s=_SLACK_S, retry_s=RETRY_S, is_kept=True
        )

    @property
    def every(self) -> tuple[Question[Any], ...]:
        """Return the list's question, then the panels'."""
        return self.watch, self.chart, self.depth, self.positions, self.volatility

    def put(self, question: Question[Any], parameters: Mapping[str, Any], *, is_kept: bool = False) -> None:
        """Ask if the subject is new or it is time to; a new one only when the cursor has come to rest."""
        is_new = question.asked_at is None or parameters != question.parameters
        is_moving = is_new and self.watch.answer is not None
        self.ask(question, parameters, is_kept=is_kept, quiet_s=QUIET_S if is_moving else 0.0)

    def again(self) -> None:
        """Let everything be asked again at once."""
        for question in self.every:
            question.again()
