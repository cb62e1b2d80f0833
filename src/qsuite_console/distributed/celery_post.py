"""The console's side of the pipe: sends a message for each run handed out, and again where it was lost.

That a message was lost can't be known, only guessed: the run is still unclaimed, and fewer messages wait than runs do.
Guessing wrong costs a duplicate, which the claim drops. All that blocks happens on a thread of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from qsuite_console.config.settings import Settings
from qsuite_console.db.errors import DatabaseError
from qsuite_console.db.runs import RunBook
from qsuite_console.distributed.celery_pipe import BrokerGone, Order, Pipe
from qsuite_console.engine.ports import JobKind
from qsuite_console.model.clock import Clock
from qsuite_console.model.handing import Run
from qsuite_console.model.text import clean

TICK_S: Final = 1.0
PATIENCE: Final = 8  # times ``resend_s``, doubled each time, for a message that others' may be hiding
_MOST: Final = 500  # sent again in one go
T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Posted:
    """A run that was handed out. ``sent_at``: monotonic seconds; None where the broker has not taken it yet."""

    order: Order
    sent_at: float | None
    sends: int


class CeleryPost:
    """One per engine, used on its loop; ``serving`` must be entered while runs are handed out."""

    def __init__(self, settings: Settings, book: RunBook, clock: Clock, *, home: str) -> None:
        self._pipe = Pipe(settings)
        self._book = book
        self._clock = clock
        self._home = home
        self._resend_s = settings.celery.resend_s
        self._posted: dict[str, _Posted] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="celery")
        self._is_gone = False
        self._looked_at = 0.0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Send again what was lost, until the block ends."""
        task = asyncio.create_task(self._serve(), name="celery-post")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._thread.submit(self._pipe.close)
            self._thread.shutdown(wait=False)

    async def send(self, run: Run, kind: JobKind) -> None:
        """Send the message of a run; where the broker is away it is sent when it is back. Raises UsageProblem."""
        posted = self.watch(run, kind)
        await self._send((posted,))

    def watch(self, run: Run, kind: JobKind) -> _Posted:
        """Take care of a run whose message an earlier engine has sent."""
        job = run.claim.job
        order = Order(
            job_id=job.id,
            attempt=run.claim.number,
            token=run.token,
            queue=job.queue,
            priority=job.priority,
            limit_s=kind.hard_limit_s or kind.soft_limit_s,
        )
        posted = self._posted[run.token] = _Posted(order, self._clock.monotonic(), 1)
        return posted

    def settle(self, token: str) -> None:
        """Forget a run that was claimed, or has ended."""
        self._posted.pop(token, None)

    async def resend(self) -> Sequence[str]:
        """Look once for runs whose message seems lost, send those again, and return their tokens."""
        self._looked_at = now = self._clock.monotonic()
        old = [token for token, each in self._posted.items() if each.sent_at is None or self._is_old(each, now)]
        if not old:
            return ()
        unclaimed = {each.token for each in await self._book.unclaimed(self._home, old, self._resend_s, _MOST)}
        late = {token: self._posted[token] for token in old if token in unclaimed and token in self._posted}
        waiting = await self._blocking(self._pipe.waiting, sorted({each.order.queue for each in late.values()}))
        lost = [token for token, each in late.items() if self._seems_lost(each, late.values(), waiting, now)]
        await self._send([late[token] for token in lost])
        await self._book.sent(lost)
        for token in lost:
            job_id = late[token].order.job_id
            log.info("job %d: sent again, no worker has its message", job_id, extra={"job_id": job_id})
        return lost

    def _is_old(self, each: _Posted, now: float) -> bool:
        return each.sent_at is not None and now - each.sent_at > self._resend_s

    def _seems_lost(self, each: _Posted, late: Iterable[_Posted], waiting: Mapping[str, int], now: float) -> bool:
        if each.sent_at is None:
            return True
        queue = each.order.queue
        if waiting[queue] < sum(other.order.queue == queue for other in late):
            return True
        return now - each.sent_at > self._resend_s * PATIENCE * (1 << min(each.sends, 10))

    async def _send(self, posted: Sequence[_Posted]) -> None:
        for each in posted:
            try:
                await self._blocking(self._pipe.send, each.order)
            except BrokerGone as error:
                each.sent_at = None
                self._tell(error)
                return
            each.sent_at = self._clock.monotonic()
            each.sends += 1
            self._tell(None)

    async def _serve(self) -> None:
        while True:
            await asyncio.sleep(min(TICK_S, self._resend_s))
            try:
                await self._flush()
                if self._clock.monotonic() - self._looked_at >= self._resend_s / 2:
                    await self.resend()
            except BrokerGone as error:
                self._tell(error)
            except DatabaseError as error:
                log.warning("runs that nobody took can't be looked for: %s", error.message)
            except Exception:
                log.exception("sending again failed and goes on")

    async def _flush(self) -> None:
        """Send what the broker has not taken while it was away."""
        await self._send([each for each in self._posted.values() if each.sent_at is None])

    def _tell(self, error: BrokerGone | None) -> None:
        """Say once that the broker is away, and once that it is back."""
        if error is not None and not self._is_gone:
            log.warning("jobs wait to be sent: %s", clean(error.message, 300))
        elif error is None and self._is_gone:
            log.info("the broker %s takes messages again", self._pipe.where)
        self._is_gone = error is not None

    async def _blocking(self, call: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)
