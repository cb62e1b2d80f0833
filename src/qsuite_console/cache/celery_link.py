"""One broker of Celery's: what its workers tell is heard, what they are asked is answered, all without Celery.

Three connections, each opened on first use: one that reads, one that waits for answers, one that hears events. To ask
writes into the broker: a binding, and a list of answers. Both expire by themselves, whatever becomes of us: the list
holds an entry that is never taken, since a list that was emptied and pushed to again would live for ever, and a worker
that answers after the binding has expired finds nowhere to put it.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from qsuite_console.cache import celery_wire
from qsuite_console.cache.celery_queues import BrokerSample, QueueReader
from qsuite_console.cache.celery_wire import Channels, Event, Unreadable
from qsuite_console.cache.client import Cache
from qsuite_console.cache.errors import CacheError
from qsuite_console.cache.listening import Listening

PATIENCE_S: Final = 1.0  # for answers of workers that are busy or gone
_BOUND_S: Final = 60  # answers that come later are dropped by who sends them
_LIST_S: Final = 2 * _BOUND_S
_FIRST_LOOK_S: Final = 0.002
_LAST_LOOK_S: Final = 0.05  # between looks for answers
_MOST: Final = 5000  # answers taken at once


@dataclass(slots=True)
class Answers:
    """What workers answered: method -> worker -> value. ``heard``: workers that listened when they were asked."""

    heard: int = 0
    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    unreadable: str = ""  # why answers there were could not be read
    cost_ms: float = 0.0

    def of(self, method: str) -> Mapping[str, Any]:
        """Return the answers to one method by worker."""
        return self.found.get(method, {})


class Broker:
    """Speaks with one broker, on one event loop; ``close`` ends its connections."""

    def __init__(self, cache: Cache, *, prefix: str = "") -> None:
        self.cache = cache
        self.channels = Channels(cache.database, prefix)
        self.queues = QueueReader(self.channels)
        self._reading = cache.line("celery")
        self._asking = cache.line("celery asks")
        self._oid = f"{uuid.uuid4().hex}.{celery_wire.REPLIES}"
        self._turn = asyncio.Lock()

    @property
    def where(self) -> str:
        """Return host:port/db, without credentials."""
        return self.cache.where

    async def sample(self) -> BrokerSample:
        """Return what waits; raises CacheError."""
        with speaking_of_broker():
            return await self.queues.read(self._reading)

    async def exchange(self, commands: Sequence[Sequence[str | bytes | int]]) -> list[Any]:
        """Send commands at once; an answer or a CacheError for each. Raises CacheError."""
        with speaking_of_broker():
            return await self._reading.exchange(commands)

    async def ask(
        self,
        methods: Mapping[str, Mapping[str, Any]],
        *,
        destination: Sequence[str] = (),
        patience_s: float = PATIENCE_S,
    ) -> Answers:
        """Return what workers answer to methods with their arguments; raises CacheError.

        It is over once everybody who listens has answered: without workers at once, with healthy ones in milliseconds.
        """
        async with self._turn:
            with speaking_of_broker():
                return await self._ask(methods, destination, patience_s)

    async def _ask(
        self, methods: Mapping[str, Mapping[str, Any]], destination: Sequence[str], patience_s: float
    ) -> Answers:
        began, ticket = time.monotonic(), uuid.uuid4().hex
        payloads = [
            celery_wire.command(
                method, arguments, destination=destination, ticket=f"{ticket}.{method}", reply_to=self._oid
            )
            for method, arguments in methods.items()
        ]
        await self._bind()
        heard = await self._publish(payloads)
        answers = Answers(heard=heard, found={method: {} for method in methods})
        wanted = min(heard, len(destination)) if destination else heard
        await self._collect(answers, ticket, wanted, began + patience_s)
        answers.cost_ms = (time.monotonic() - began) * 1000
        return answers

    async def tell(self, method: str, arguments: Mapping[str, Any], *, destination: Sequence[str] = ()) -> int:
        """Send a command that is not answered; returns how many workers listen. Raises CacheError."""
        async with self._turn:
            with speaking_of_broker():
                return await self._publish([celery_wire.command(method, arguments, destination=destination)])

    async def listen(self, take: Callable[[list[Event]], None], opened: Callable[[], None]) -> None:
        """Hand over events as they come, until cancelled or the connection ends; raises CacheError.

        ``opened`` is called once the server has taken the subscription.
        """
        with speaking_of_broker():
            async with Listening(self.cache.line("celery events")) as channel:
                await channel.subscribe(self.channels.events)
                opened()
                while True:
                    try:
                        take(celery_wire.events_of(await channel.message()))
                    except Unreadable:
                        continue

    async def close(self) -> None:
        """End the connections; who answers from now on is not heard."""
        try:
            if self._asking.is_open:
                await self._asking.exchange([("SREM", self._binding, self._member)])
        except CacheError:
            pass  # it expires, or the broker is gone
        finally:
            await self._asking.close()
            await self._reading.close()

    @property
    def _binding(self) -> bytes:
        return self.channels.key(f"_kombu.binding.{celery_wire.REPLIES}")

    @property
    def _member(self) -> str:
        return celery_wire.SEPARATOR.join((self._oid, "", self._oid))

    async def _bind(self) -> None:
        """Prepare for answers; raises CacheError."""
        answers = self.channels.key(self._oid)
        made = await self._asking.exchange(
            [
                ("DEL", answers),
                ("RPUSH", answers, "never taken"),
                ("EXPIRE", answers, _LIST_S),
                ("SADD", self._binding, self._member),
                ("EXPIRE", self._binding, _BOUND_S),
            ]
        )
        for one in made:
            if isinstance(one, CacheError):
                raise one

    async def _publish(self, payloads: Sequence[bytes]) -> int:
        sent = await self._asking.exchange([("PUBLISH", self.channels.mailbox, one) for one in payloads])
        for one in sent:
            if isinstance(one, CacheError):
                raise one
        return max(map(int, sent), default=0)

    async def _collect(self, answers: Answers, ticket: str, wanted: int, until: float) -> None:
        """Take answers until everybody has answered everything, or the time is over; raises CacheError."""
        key, pause_s = self.channels.key(self._oid), _FIRST_LOOK_S
        while any(len(found) < wanted for found in answers.found.values()):
            left = until - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(min(left, pause_s))
            pause_s = min(_LAST_LOOK_S, 1.5 * pause_s)
            length = (await self._asking.exchange([("LLEN", key)]))[0]
            if isinstance(length, CacheError):
                raise length
            pushed = min(_MOST, int(length) - 1)  # all but the entry at the end, which keeps the list alive
            for payload in await self._asking.exchange([("LPOP", key)] * pushed) if pushed > 0 else ():
                if isinstance(payload, bytes):
                    self._take(answers, ticket, payload)

    @staticmethod
    def _take(answers: Answers, ticket: str, payload: bytes) -> None:
        try:
            replies = celery_wire.replies_of(payload)
        except Unreadable as error:
            answers.unreadable = str(error)
            return
        for reply in replies:
            asked, _, method = reply.ticket.partition(".")
            if asked == ticket and method in answers.found:
                answers.found[method][reply.worker] = reply.value


@contextmanager
def speaking_of_broker() -> Iterator[None]:
    """Let errors speak of the broker, which may be another server than the cache."""
    try:
        yield
    except CacheError as error:
        told = type(error)(
            error.message.replace("the cache at", "the broker at"),
            hint=error.hint.replace("REDIS_URL", "celery.broker_url (unset: REDIS_URL)"),
        )
        told.is_transient = error.is_transient
        raise told from error
