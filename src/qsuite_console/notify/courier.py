"""The loop that notices what has happened and delivers it until it has arrived, or the schedule is used up.

Both halves work from the history alone: a fact is noticed by looking at what ended since the last look, a delivery is
kept before it is sent. Whatever is killed when, each fact is told at least once, always with the same id.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from qsuite_console.config.notices import Endpoint, Way
from qsuite_console.history.deliveries import DeliveryBook
from qsuite_console.model.clock import Clock
from qsuite_console.model.deliveries import Delivery, DeliveryState, DeliveryTry, Notice
from qsuite_console.model.errors import Conflict, ConsoleError, HistoryUnavailable, NotFound
from qsuite_console.model.health import Alert
from qsuite_console.model.jobs import TERMINAL, Job
from qsuite_console.notify import notices
from qsuite_console.notify.carriers import Carried, Carrier
from qsuite_console.notify.enclosures import Enclosures

# Standard Webhooks: after the first try 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h.
SCHEDULE_S: Final = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
LONGEST_S: Final = 86_400.0
AT_ONCE: Final = 16
AT_ONCE_EACH: Final = 4
LOOK_S: Final = 1.0  # between looks whether something has happened
SWEEP_S: Final = 30.0  # also without a sign of it: schedules, clocks that jump
OVERLAP: Final = timedelta(seconds=60)  # facts are dated a little before they are on disk
THROTTLED_S: Final = 30.0
TROUBLE_S: Final = 5.0
LAST_S: Final = 3.0  # at the end, for what has just happened
log = logging.getLogger(__name__)

Alerts = Callable[[datetime, datetime], Awaitable[Sequence[Alert]]]


class Courier:
    """One per runtime, on the engine's loop. ``newest`` is the number of the engine's newest event."""

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        book: DeliveryBook,
        alerts: Alerts,
        carriers: Mapping[Way, Carrier],
        clock: Clock,
        *,
        target: str,
        newest: Callable[[], int] = lambda: 0,
        enclosures: Enclosures | None = None,
    ) -> None:
        self.endpoints = endpoints
        self.book = book
        self.target = target
        self._alerts = alerts
        self._carriers = carriers
        self._clock = clock
        self._newest = newest
        self.enclosures = enclosures or Enclosures()
        self.is_serving = False  # else who wants something delivered does it himself
        self._seen = -1
        self._swept_at = float("-inf")
        self._sending: dict[int, str] = {}  # delivery -> endpoint
        self._paused: dict[str, float] = {}  # endpoint -> monotonic until it wants no more
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._dice = random.Random()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Notice and deliver until the block ends; what has happened until then is kept."""
        if not self.endpoints:
            yield
            return
        loop = asyncio.create_task(self._run(), name="courier")
        self.is_serving = True
        try:
            yield
        finally:
            self.is_serving = False
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)
            await self._last()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def find(self, name: str) -> Endpoint:
        """Return the endpoint of a name; raises NotFound."""
        found = self.endpoints.get(name.strip())
        if found is None:
            known = ", ".join(sorted(self.endpoints)) or "none is configured"
            raise NotFound(f"nobody is told under the name {name.strip()[:60]}", hint=f"known: {known}")
        return found

    async def willing(self, name: str) -> Endpoint:
        """Return an endpoint that may be told something; raises NotFound, Conflict."""
        endpoint = self.find(name)
        if not endpoint.enabled:
            raise Conflict(f"{endpoint.name} is told nothing", hint="set enabled = true in its table")
        if endpoint.name in await self.book.disabled(self.target):
            raise Conflict(f"{endpoint.name} asked not to be told any more", hint="webhooks enable tells it again")
        return endpoint

    def problem(self, endpoint: Endpoint) -> str:
        """Return why nothing can be told it now, "" where nothing stands in the way."""
        return self._carriers[endpoint.way].problem(endpoint)

    def wake(self) -> None:
        """Look at once."""
        self._wake.set()

    async def notice(self) -> int:
        """Keep a delivery for everything that has happened since the last look, and return how many were new."""
        now = self._clock.now()
        mark = await self.book.mark(self.target)
        listed = [endpoint for endpoint in self.endpoints.values() if endpoint.enabled]
        if mark is None:  # the first time: what is past is past
            return await self.book.add(self.target, (), now, until=now)
        since = min(mark, now) - OVERLAP
        alerts = await self._alerts(since, now)
        ended = await self.book.ended(since)
        watched = await self.book.watches.of([job.id for job in ended])
        found = [
            *notices.of_jobs(listed, self.target, ended, watched),
            *notices.of_misses(listed, self.target, await self.book.missed(since)),
            *notices.of_alerts(listed, self.target, alerts),
        ]
        gone = await self.book.disabled(self.target)
        fresh = await self.book.unknown([one for one in found if one.endpoint not in gone])
        if not fresh and now - mark < OVERLAP:
            return 0  # nothing is written while nothing happens
        return await self.book.add(self.target, fresh, now, until=now)

    async def deliver(self) -> int:
        """Try everything that is due, as it becomes due meanwhile too; return how many tries there were."""
        tries = 0
        while True:
            taken = await self._take()
            tries += len(taken)
            if not taken and not self._tasks:
                return tries
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def test(self, name: str) -> int:
        """Make a delivery that only tests an endpoint, and return its number."""
        return await self._add(notices.of_test(self.find(name), self.target, self._clock.now(), secrets.token_hex(8)))

    async def tell(self, job_id: int, name: str) -> tuple[Job, int | None]:
        """Let an endpoint know of the end of one job, whatever else it is told of.

        Returns the job, and the number of the delivery where it has ended already; raises NotFound, Conflict.
        """
        endpoint = await self.willing(name)
        job = await self.book.watches.add(job_id, endpoint.name, self._clock.now())
        if job.state not in TERMINAL:
            return job, None
        (notice,) = notices.of_jobs((endpoint,), self.target, (job,), {(job.id, endpoint.name)})
        return job, await self._add(notice)

    async def enclose(self, file: str, name: str, *, is_again: bool = False) -> int:
        """Send a report to an endpoint and return the delivery's number: the one before, unless it goes again.

        Raises NotFound, Conflict for a file that is too large or an endpoint that is told nothing.
        """
        endpoint = await self.willing(name)
        report = await asyncio.to_thread(self.enclosures.report, file)
        nonce = secrets.token_hex(8) if is_again else ""
        return await self._add(notices.of_report(endpoint, self.target, report, self._clock.now(), nonce))

    async def say(self, name: str, message: str, data: Mapping[str, Any], *, job_id: int, mark: str) -> int:
        """Send what a job has to say and return the delivery's number: the one before where ``mark`` is the same.

        One that has not arrived is tried again at once. Raises NotFound, Conflict for an endpoint that is told nothing.
        """
        endpoint, now = await self.willing(name), self._clock.now()
        notice = notices.of_message(endpoint, self.target, now, message=message, data=data, job_id=job_id, mark=mark)
        number = await self._add(notice)
        known = (await self.book.detail(self.target, number)).delivery
        if known.state is not DeliveryState.DELIVERED and known.tried_at is not None:
            await self.book.redeliver(self.target, (number,), now)
            self.wake()
        return number

    async def _add(self, notice: Notice) -> int:
        await self.book.add(self.target, (notice,), self._clock.now())
        self.wake()
        return await self.book.number_of(notice.id)

    async def send(self, number: int) -> None:
        """Try one delivery at once, whatever else is due; for where nothing serves. Raises NotFound."""
        await self._send((await self.book.detail(self.target, number)).delivery)

    async def _last(self) -> None:
        """Notice what ended with the engine and try it; what takes longer is on disk, and the next engine goes on."""
        try:
            async with asyncio.timeout(LAST_S):
                await self.notice()
                await self.deliver()
        except (ConsoleError, TimeoutError) as error:
            log.info("some are told at the next start: %s", error)
        except Exception:  # the engine must end all the same
            log.exception("the last look at who is to be told failed")

    async def _run(self) -> None:
        said = ""
        while True:
            try:
                await self._step()
                said = ""
            except Exception as error:  # whatever goes wrong here, others must be told of later
                if str(error) != said:
                    is_known = isinstance(error, HistoryUnavailable)
                    log.warning("nobody is told for now: %s", error, exc_info=None if is_known else error)
                said = str(error)
                await asyncio.sleep(TROUBLE_S)

    async def _step(self) -> None:
        self._wake.clear()
        newest, now_s = self._newest(), self._clock.monotonic()
        if newest != self._seen or now_s - self._swept_at >= SWEEP_S:
            await self.notice()
            self._seen, self._swept_at = newest, now_s
        await self._take()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._wake.wait()

    async def _take(self) -> Sequence[Delivery]:
        """Begin to send what is due, as far as there is room for it."""
        room = AT_ONCE - len(self._sending)
        if room <= 0:
            return ()
        now, monotonic = self._clock.now(), self._clock.monotonic()
        loads = Counter(self._sending.values())
        self._paused = {name: until for name, until in self._paused.items() if until > monotonic}
        busy = {name for name, load in loads.items() if load >= AT_ONCE_EACH} | self._paused.keys()
        longest = max((endpoint.timeout_s for endpoint in self.endpoints.values()), default=15.0)
        until = now + timedelta(seconds=2 * longest + 30)
        free = [name for name in self.endpoints if name not in busy and self.endpoints[name].enabled]
        taken: list[Delivery] = []
        for name in free:
            limit = min(room - len(taken), AT_ONCE_EACH - loads[name])
            if limit > 0:
                taken += await self.book.take(self.target, name, limit=limit, now=now, until=until)
        for delivery in taken:
            self._sending[delivery.number] = delivery.endpoint
            task = asyncio.create_task(self._send(delivery), name=f"delivery {delivery.number}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return taken

    async def _send(self, delivery: Delivery) -> None:
        endpoint = self.endpoints[delivery.endpoint]
        begun, at = self._clock.monotonic(), self._clock.now()
        try:
            carried = await self._carry(endpoint, delivery, at)
            latency_ms = round((self._clock.monotonic() - begun) * 1000, 1)
            said = carried.error or carried.note
            tried = DeliveryTry(at=at, status=carried.status, error=said, latency_ms=latency_ms)
            await self._settle(endpoint, delivery, carried, tried)
        except HistoryUnavailable as error:
            log.warning("delivery %d is sent again later: %s", delivery.number, error.message)
        finally:
            self._sending.pop(delivery.number, None)
            self._wake.set()

    async def _carry(self, endpoint: Endpoint, delivery: Delivery, at: datetime) -> Carried:
        try:
            enclosed = await self.enclosures.of(delivery)
        except ConsoleError as error:
            return Carried(error=error.message, is_final=True)
        try:
            return await self._carriers[endpoint.way].carry(endpoint, delivery, at, enclosed)
        except Exception as error:  # a bug in one way must not cost the delivery
            log.exception("delivery %d to %s failed", delivery.number, endpoint.name)
            return Carried(error=f"it failed here: {type(error).__name__}")

    async def _settle(self, endpoint: Endpoint, delivery: Delivery, carried: Carried, tried: DeliveryTry) -> None:
        now = self._clock.now()
        if not carried.error:
            if carried.note:
                log.warning("%s for %s: %s", delivery.event, endpoint.name, carried.note)
            await self.book.settle(delivery.number, tried, retry_at=None, is_done=True)
            return
        if carried.is_gone:
            await self.book.settle(delivery.number, tried, retry_at=None, is_done=False)
            reason = f"it {carried.error}, which asks not to be told any more"
            await self.book.disable(self.target, endpoint.name, reason, now)
            log.warning("%s is told nothing any more: %s", endpoint.name, reason)
            return
        if carried.is_throttled:
            wait_s = min(carried.after_s or THROTTLED_S, LONGEST_S)
            self._paused[endpoint.name] = self._clock.monotonic() + wait_s
        retry_at = None
        is_final = carried.is_final or delivery.event == notices.TEST
        if delivery.attempts < len(SCHEDULE_S) and not is_final:
            wait_s = SCHEDULE_S[delivery.attempts] * self._dice.uniform(1.0, 1.1)
            retry_at = now + timedelta(seconds=min(max(wait_s, carried.after_s or 0.0), LONGEST_S * 1.1))
        await self.book.settle(delivery.number, tried, retry_at=retry_at, is_done=False)
        how = "is not tried any more" if retry_at is None else f"is tried again at {retry_at:%H:%M:%S} UTC"
        log.warning("%s for %s: %s; it %s", delivery.event, endpoint.name, carried.error, how)
