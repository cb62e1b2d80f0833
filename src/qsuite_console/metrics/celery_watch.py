"""One broker of Celery's, watched: queues are read, workers heard and asked; each answer is shared for a moment.

What the sampler, the panes and the operations know of Celery comes from here, so that several who look at once cost the
broker and its workers no more than one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from qsuite_console.cache.celery_link import Answers, Broker
from qsuite_console.cache.celery_queues import BrokerSample
from qsuite_console.cache.client import Cache
from qsuite_console.cache.errors import CacheError
from qsuite_console.config.settings import CacheSettings, Settings
from qsuite_console.metrics import celery_answers
from qsuite_console.metrics.celery_tally import Tally
from qsuite_console.model.advice import Unread
from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import Conflict, ConsoleError

if TYPE_CHECKING:
    from qsuite_console.workers import Services

NOW: Final = ("active", "reserved", "scheduled")  # what workers do
SELF: Final = ("stats", "active_queues", "registered")  # what workers are
_ARGUMENTS: Final = {"active": {"safe": True}}  # arguments of tasks come cut short
NOW_S: Final = 1.5  # how long such answers are shared
SELF_S: Final = 10.0
SAMPLE_S: Final = 1.0
LOST_S: Final = 1800.0  # for so long a lost worker is an alert
GROWTH_S: Final = 600.0
_LEAST_GROWTH_S: Final = 20.0
_APART_S: Final = 5.0
_AGAIN_S: Final = (1.0, 2.0, 5.0, 15.0)  # between tries to listen
log: Final = logging.getLogger(__name__)


class CeleryWatch:
    """One per runtime; used on the engine's loop. Nothing is opened before something is asked."""

    def __init__(self, broker: Broker, clock: Clock, *, may_ask: bool = True, ours: str = "") -> None:
        """``may_ask``: whether workers' answers may be written into the broker; ``ours``: prefix of our own queues."""
        self.broker = broker
        self.tally = Tally(clock)
        self.may_ask = may_ask
        self.ours = ours
        self._clock = clock
        self._sample: BrokerSample | None = None
        self._sampled = -SAMPLE_S
        self._sampling: asyncio.Task[BrokerSample] | None = None
        self._asked: dict[tuple[str, ...], tuple[float, Answers]] = {}
        self._asking: dict[tuple[str, ...], asyncio.Task[Answers]] = {}
        self._depths: dict[str, deque[tuple[float, int]]] = {}
        self._listener: asyncio.Task[None] | None = None
        self._deaf = ""  # why nobody is heard
        self._deaf_hint = ""

    # queues

    async def sample(self) -> BrokerSample:
        """Return what waits, read a second ago at most; raises CacheError."""
        self.listen()
        if self._sample is not None and self._clock.monotonic() - self._sampled < SAMPLE_S:
            return self._sample
        if self._sampling is None or self._sampling.done():
            self._sampling = asyncio.create_task(self._read(), name="celery queues")
            self._sampling.add_done_callback(_observed)
        return await asyncio.shield(self._sampling)

    async def _read(self) -> BrokerSample:
        sample = await self.broker.sample()
        now = self._clock.monotonic()
        self._sample, self._sampled = sample, now
        for queue in sample.queues:
            depths = self._depths.setdefault(queue.name, deque())
            if not depths or now - depths[-1][0] >= _APART_S:
                depths.append((now, queue.waiting))
            while now - depths[0][0] > GROWTH_S:
                depths.popleft()
        for gone in self._depths.keys() - {queue.name for queue in sample.queues}:
            del self._depths[gone]
        return sample

    def growth(self, name: str, waiting: int) -> float | None:
        """Return by how many messages a second a queue grew over the last minutes, None after too short a time."""
        depths = self._depths.get(name)
        if not depths:
            return None
        at, before = depths[0]
        passed = self._clock.monotonic() - at
        return (waiting - before) / passed if passed >= _LEAST_GROWTH_S else None

    # workers

    async def ask(self, methods: tuple[str, ...], max_age_s: float) -> Answers:
        """Return what workers answer, not older than ``max_age_s``; raises CacheError, Conflict where it may not be."""
        if not self.may_ask:
            raise Conflict("workers are not asked: the target is read-only")
        known = self._asked.get(methods)
        if known is not None and self._clock.monotonic() - known[0] < max_age_s:
            return known[1]
        self.refresh(methods, max_age_s)
        return await asyncio.shield(self._asking[methods])

    def refresh(self, methods: tuple[str, ...], max_age_s: float) -> None:
        """Ask workers again if their answers are older, without waiting for it."""
        known, task = self._asked.get(methods), self._asking.get(methods)
        is_old = known is None or self._clock.monotonic() - known[0] >= max_age_s
        if self.may_ask and is_old and (task is None or task.done()):
            self._asking[methods] = asyncio.create_task(self._ask(methods), name=f"celery {methods[0]}")
            self._asking[methods].add_done_callback(_observed)

    async def _ask(self, methods: tuple[str, ...]) -> Answers:
        answers = await self.broker.ask({method: _ARGUMENTS.get(method, {}) for method in methods})
        self._asked[methods] = (self._clock.monotonic(), answers)
        if "active_queues" in methods:
            self.broker.queues.learn(
                name for value in answers.of("active_queues").values() for name in celery_answers.names(value) or ()
            )
        return answers

    async def answers(self, methods: tuple[str, ...], max_age_s: float, unread: list[Unread]) -> Answers | None:
        """Return what workers answer, None where they can't be asked: why joins ``unread``."""
        if not self.may_ask:
            unread.append(
                Unread(
                    what="what workers have and are",
                    why="the target is read-only, and an answer is written into the broker",
                    hint="their heartbeats and events are heard all the same",
                )
            )
            return None
        try:
            answers = await self.ask(methods, max_age_s)
        except CacheError as error:
            unread.append(Unread(what="what workers have and are", why=error.message, hint=error.hint))
            return None
        if answers.unreadable:
            unread.append(
                Unread(what="some workers' answers", why=answers.unreadable, hint="set task_serializer = 'json' there")
            )
        late = answers.heard - min((len(found) for found in answers.found.values()), default=0)
        if late > 0:
            unread.append(
                Unread(
                    what=f"{late} of {answers.heard} workers",
                    why="no answer within a second",
                    hint="busy with a pool that can't be asked meanwhile (solo), or hung",
                )
            )
        return answers

    def consumers(self) -> dict[str, list[str]] | None:
        """Return queue -> workers that consume it by their newest answers, None when nobody was asked."""
        known = self._asked.get(SELF)
        if known is None:
            return None
        found: dict[str, list[str]] = {}
        for worker, value in known[1].of("active_queues").items():
            for name in celery_answers.names(value) or ():
                found.setdefault(name, []).append(celery_answers.text(worker))
        return {name: sorted(workers) for name, workers in found.items()}

    def lost(self) -> int | None:
        """Return how many workers fell silent without a goodbye and don't answer either; None: being asked now."""
        now, known = self._clock.monotonic(), self._asked.get(SELF)
        silent = [one for one in self.tally.workers.values() if not one.is_offline and one.is_silent(now)]
        lately = [one for one in silent if now - one.heard < LOST_S]
        if not lately or not self.may_ask:
            return len(lately)
        if known is None or known[0] < max(one.heard for one in lately):
            self.refresh(SELF, 0.0)
            return None
        answered = known[1].of("stats")
        return sum(one.name not in answered for one in lately)

    def visibility_s(self) -> float | None:
        """Return the shortest visibility timeout by workers' newest answers, None when nobody told it."""
        known = self._asked.get(SELF)
        return None if known is None else celery_answers.visibility_of(known[1].of("stats").values())

    def pace(self, workers: Iterable[str]) -> float | None:
        """Return the tasks a second that these workers end together; None when that isn't known of all."""
        now = self._clock.monotonic()
        rates = [None if (one := self.tally.workers.get(name)) is None else one.rate(now) for name in workers]
        known = [rate for rate in rates if rate is not None]
        return sum(known) if known and len(known) == len(rates) else None

    # hearing

    @property
    def unheard(self) -> tuple[Unread, ...]:
        """Return why workers are not heard, where they are not."""
        return (Unread(what="events of workers", why=self._deaf, hint=self._deaf_hint),) if self._deaf else ()

    def listen(self) -> None:
        """Hear events from now on."""
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen(), name="celery events")

    async def _listen(self) -> None:
        tries = 0

        def opened() -> None:
            nonlocal tries
            tries, self._deaf = 0, ""
            self.tally.begin()

        while True:
            try:
                await self.broker.listen(self.tally.take, opened)
            except ConsoleError as error:
                self._deaf, self._deaf_hint = error.message, error.hint
            except Exception:  # a loop that must live: a bug in reading one event costs a pause, not all of them
                log.exception("hearing Celery's events failed")
                self._deaf, self._deaf_hint = "reading them failed", "the log has the details"
            self.tally.lost()
            await asyncio.sleep(_AGAIN_S[min(tries, len(_AGAIN_S) - 1)])
            tries += 1

    async def close(self) -> None:
        """Stop hearing and end the connections."""
        tasks = [self._listener, self._sampling, *self._asking.values()]
        pending = [task for task in tasks if task is not None and not task.done()]
        self._listener = None
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        await self.broker.close()


def make_watch(settings: Settings, cache: Cache, clock: Clock) -> CeleryWatch:
    """Return what watches the broker of the settings: the cache's server where they name no other."""
    celery = settings.celery
    if celery.broker_url:
        named = CacheSettings(url=celery.broker_url, timeout_s=settings.cache.timeout_s)
        is_shared = Cache(named).where.partition("/")[0] == cache.where.partition("/")[0]
        broker = Cache(named, lookups=cache.lookups if is_shared else None)
    else:
        broker = cache
    return CeleryWatch(
        Broker(broker, prefix=celery.key_prefix),
        clock,
        may_ask=not settings.target.read_only,
        ours=celery.queue_prefix,
    )


def watch_of(services: Services) -> CeleryWatch:
    """Return what watches Celery; raises ConsoleError where nothing does."""
    if services.celery is None:
        raise ConsoleError("Celery is not watched here", hint="an engine with a broker or a cache watches it")
    return services.celery


def _observed(task: asyncio.Task[BrokerSample] | asyncio.Task[Answers]) -> None:
    if not task.cancelled():
        task.exception()  # whoever waits hears of it
