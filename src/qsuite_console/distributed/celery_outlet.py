"""The console's side of the pipe: a message for each run that is handed out, and a guess at which of them were lost.

That a message was lost can't be known: its run is still unclaimed, and fewer messages wait than runs do. Guessing
wrong costs a duplicate, which the claim drops. All that blocks happens on a thread of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from qsuite_console.config.settings import Settings
from qsuite_console.distributed.celery_pipe import BrokerGone, Order, Pipe
from qsuite_console.engine.ports import JobKind
from qsuite_console.model.clock import Clock
from qsuite_console.model.handing import Message, Run
from qsuite_console.model.text import clean

PATIENCE: Final = 8  # times ``resend_s``, doubled each time, for a message that those of other consoles may hide
AWAY_S: Final = 2.0  # after a failure others are refused at once: each would wait as long for the same answer
T = TypeVar("T")
log = logging.getLogger(__name__)


class CeleryOutlet:
    """Implements ``follower.Outlet``; one per engine, used on its loop within ``open``."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.resend_s = settings.celery.resend_s
        self._pipe = Pipe(settings)
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="celery")
        self._seen: dict[str, float] = {}  # token -> monotonic seconds since when it is missed
        self._is_gone = False
        self._away: tuple[float, BrokerGone] | None = None  # until when, and why; written by the thread alone

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Close the connections at the end; the first message opens them."""
        try:
            yield
        finally:
            self._thread.submit(self._pipe.close)
            self._thread.shutdown(wait=False)

    async def send(self, run: Run, kind: JobKind) -> None:
        """Send the message of a run; raises BrokerGone, and UsageProblem where Celery can't be used here."""
        job = run.claim.job
        order = Order(
            job_id=job.id,
            attempt=run.claim.number,
            token=run.token,
            queue=job.queue,
            priority=job.priority,
            limit_s=kind.hard_limit_s or kind.soft_limit_s,
        )
        await self._blocking(self._unless_away, order)
        self._seen.pop(run.token, None)

    async def missing(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return those of the unclaimed runs whose message seems lost; raises BrokerGone."""
        now, wanted = self._clock.monotonic(), Counter(message.queue for message in messages)
        waiting = await self._blocking(self._pipe.waiting, sorted(wanted))
        self._seen = {each.token: self._seen.get(each.token, now) for each in messages}
        lost = {queue for queue, count in wanted.items() if waiting[queue] < count}
        return [each for each in messages if each.queue in lost or self._is_overdue(each, now)]

    def _unless_away(self, order: Order) -> None:
        """Send, on the thread; one that just failed is not tried again for each of many messages."""
        if self._away is not None and self._clock.monotonic() < self._away[0]:
            raise BrokerGone(self._away[1].message, hint=self._away[1].hint)
        try:
            self._pipe.send(order)
        except BrokerGone as error:
            self._away = self._clock.monotonic() + AWAY_S, error
            raise
        self._away = None

    def _is_overdue(self, message: Message, now: float) -> bool:
        return now - self._seen[message.token] > self.resend_s * PATIENCE * (1 << min(message.sends - 1, 10))

    async def _blocking(self, call: Callable[..., T], *arguments: Any) -> T:
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)
        except BrokerGone as error:
            if not self._is_gone:
                log.warning("jobs can't be handed to Celery: %s", clean(error.message, 300))
            self._is_gone = True
            raise
        if self._is_gone:
            log.info("the broker %s takes messages again", self._pipe.where)
        self._is_gone = False
        return answer
