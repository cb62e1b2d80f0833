"""Two levels of cache for answers that are dear to compute: this process's memory, then Redis, then the loader.

Every key has a version in Redis that grows when it is forgotten. A value carries the version that was current before
it was loaded and counts only while that is still the version: what was loaded from old data can be written late, but is
never read. Processes tell each other what is forgotten; one that can't hear the others trusts its memory no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import msgspec

from qsuite_console.cache.client import Cache
from qsuite_console.cache.errors import CacheError
from qsuite_console.model.clock import Clock

S = TypeVar("S", bound=msgspec.Struct)
ENTRIES: Final = 4096
BYTES: Final = 64 * 1024 * 1024
LONGEST_S: Final = 3600.0  # of any value in Redis
_VERSION_LIFE_S: Final = 86_400  # longer than any value lives: a version never starts anew under one
_PREFIX: Final = "qsuite-console:"
_CHANNEL: Final = "qsuite-console:forgotten"
_RETRY_S: Final = 0.5
_INSIST_S: Final = 0.2  # the driver may take a cancellation for a timeout of its own and go on
_log: Final = logging.getLogger(__name__)
Loader = Callable[[], Awaitable[bytes]]


@dataclass(slots=True)
class LayerStatistics:
    """Counters since the start; ``size`` and ``entries`` are what memory holds now."""

    memory_hits: int = 0
    shared_hits: int = 0
    misses: int = 0  # lookups that neither level could answer
    joined: int = 0  # of them, those that waited for another's loading
    loads: int = 0
    evictions: int = 0  # for want of room, not of age
    forgotten: int = 0  # keys dropped at the word of this or another process
    errors: int = 0  # times Redis failed and the loader answered
    entries: int = 0
    size: int = 0  # bytes


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    """A value in Redis with the version it was loaded under."""

    version: int
    value: bytes


@dataclass(slots=True)
class _Held:
    value: bytes
    until: float  # monotonic


class LayeredCache:
    """For one event loop. ``listening`` must be entered for memory to be used at all; values are bytes."""

    def __init__(
        self, cache: Cache, clock: Clock, *, space: str, most_entries: int = ENTRIES, most_bytes: int = BYTES
    ) -> None:
        """``space`` names the kind of values and their format's version: "volatility.1"."""
        self._cache = cache
        self._clock = clock
        self._space = space
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._loading: dict[str, asyncio.Future[bytes]] = {}
        self._epochs: dict[str, int] = {}  # of keys being loaded: how often they were forgotten meanwhile
        self._hears = False
        self._me = uuid.uuid4().hex
        self._counted = LayerStatistics()

    @property
    def statistics(self) -> LayerStatistics:
        """Return the counters as they are now."""
        return replace(self._counted, entries=len(self._held))

    async def get(self, key: str, load: Loader, *, memory_s: float, shared_s: float) -> bytes:
        """Return the value of ``key``, from where it is nearest; many at once for one key cost one ``load``.

        It may be ``memory_s`` old in this process and ``shared_s`` in all. Raises what ``load`` raises.
        """
        held = self._held.get(key)
        if held is not None and held.until > self._clock.monotonic():
            self._held.move_to_end(key)
            self._counted.memory_hits += 1
            return held.value
        loading = self._loading.get(key)
        if loading is not None:
            self._counted.misses += 1
            self._counted.joined += 1
            return await asyncio.shield(loading)
        task = asyncio.ensure_future(self._fetch(key, load, memory_s, min(shared_s, LONGEST_S)))
        self._loading[key] = task
        task.add_done_callback(lambda done: self._loaded(key, done))
        return await asyncio.shield(task)

    async def get_struct(
        self, key: str, kind: type[S], load: Callable[[], Awaitable[S]], *, memory_s: float, shared_s: float
    ) -> S:
        """Return a struct that is kept as JSON; one that can't be read any more is loaded anew."""

        async def encoded() -> bytes:
            return msgspec.json.encode(await load())

        value = await self.get(key, encoded, memory_s=memory_s, shared_s=shared_s)
        try:
            return msgspec.json.decode(value, type=kind)
        except msgspec.DecodeError:
            await self.forget(key)
            return msgspec.json.decode(await self.get(key, encoded, memory_s=memory_s, shared_s=shared_s), type=kind)

    async def forget(self, *keys: str) -> None:
        """Drop keys in every process; raises CacheError when the others could not be told (they drop them by age)."""
        for key in keys:
            self._drop(key)
        if not keys or not self._cache.is_configured:
            return
        async with self._cache.guard() as client:
            pipeline = client.pipeline(transaction=True)
            for key in keys:
                pipeline.incr(self._version_key(key))
                pipeline.expire(self._version_key(key), _VERSION_LIFE_S)
                pipeline.unlink(self._value_key(key))
            pipeline.publish(_CHANNEL, msgspec.json.encode([self._me, self._space, list(keys)]))
            await pipeline.execute()
        for key in keys:  # what was read between the two is of before
            self._drop(key)

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[LayeredCache]:
        """Hear what other processes forget while the block lasts."""
        tasks = []
        if self._cache.is_configured:
            tasks.append(asyncio.create_task(self._listen(), name=f"cache of {self._space}"))
        try:
            yield self
        finally:
            while pending := {task for task in tasks if not task.done()}:
                for task in pending:
                    task.cancel()
                await asyncio.wait(pending, timeout=_INSIST_S)
            self._deafen()

    async def _fetch(self, key: str, load: Loader, memory_s: float, shared_s: float) -> bytes:
        self._epochs[key] = 0
        version, value = await self._shared(key)
        if value is not None:
            self._counted.shared_hits += 1
        else:
            self._counted.misses += 1
            self._counted.loads += 1
            value = await load()
            if version is not None:
                await self._share(key, _Sealed(version, value), shared_s)
        # Without Redis there is nobody to hear; age alone bounds what is held.
        if (self._hears or not self._cache.is_configured) and not self._epochs.get(key):
            self._hold(key, value, memory_s)
        return value

    def _loaded(self, key: str, done: asyncio.Future[bytes]) -> None:
        self._loading.pop(key, None)
        self._epochs.pop(key, None)
        if not done.cancelled():
            done.exception()  # whoever waits hears of it

    async def _shared(self, key: str) -> tuple[int | None, bytes | None]:
        """Return (the version now, the value if it is of that version); (None, None) without Redis."""
        if not self._cache.is_configured:
            return None, None
        try:
            async with self._cache.guard() as client:
                version, sealed = await client.mget(self._version_key(key), self._value_key(key))
        except CacheError as error:
            self._counted.errors += 1
            _log.debug("cache of %s: %s", self._space, error.message)
            return None, None
        now = int(version or 0)
        self._cache.lookups.add(hits=(version is not None) + (sealed is not None),
                                misses=(version is None) + (sealed is None))  # fmt: skip
        if not isinstance(sealed, bytes):
            return now, None
        try:
            found = msgspec.msgpack.decode(sealed, type=_Sealed)
        except msgspec.DecodeError:
            return now, None
        return now, found.value if found.version == now else None

    async def _share(self, key: str, sealed: _Sealed, shared_s: float) -> None:
        try:
            async with self._cache.guard() as client:
                await client.set(self._value_key(key), msgspec.msgpack.encode(sealed), px=max(1, int(1000 * shared_s)))
        except CacheError as error:
            self._counted.errors += 1
            _log.debug("cache of %s: %s", self._space, error.message)

    def _hold(self, key: str, value: bytes, memory_s: float) -> None:
        self._release(key)
        if len(value) > self._most_bytes or memory_s <= 0:
            return
        self._held[key] = _Held(value, self._clock.monotonic() + memory_s)
        self._counted.size += len(value)
        while len(self._held) > self._most_entries or self._counted.size > self._most_bytes:
            oldest = next(iter(self._held))
            self._release(oldest)
            self._counted.evictions += 1

    def _release(self, key: str) -> bool:
        held = self._held.pop(key, None)
        if held is None:
            return False
        self._counted.size -= len(held.value)
        return True

    def _drop(self, key: str) -> None:
        if key in self._epochs:
            self._epochs[key] += 1
        self._counted.forgotten += self._release(key)

    async def _listen(self) -> None:
        """Follow what is forgotten; reconnects for ever, deaf in between."""
        while True:
            try:
                async with self._cache.guard() as client, client.pubsub(ignore_subscribe_messages=False) as heard:
                    await heard.subscribe(_CHANNEL)
                    async for message in heard.listen():
                        self._hear(message["type"], message.get("data"))
            except CacheError as error:
                _log.debug("cache of %s hears nothing: %s", self._space, error.message)
            self._deafen()
            await asyncio.sleep(_RETRY_S)

    def _hear(self, kind: str, data: object) -> None:
        if kind == "subscribe":
            self._hears = True
        elif kind == "message" and isinstance(data, bytes):
            try:
                sender, space, keys = msgspec.json.decode(data, type=tuple[str, str, list[str]])
            except msgspec.DecodeError:
                return  # not one of ours
            if sender != self._me and space == self._space:
                self._forget_here(keys)

    def _forget_here(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._drop(key)

    def _deafen(self) -> None:
        """Trust nothing that is held: others may have forgotten it without our hearing."""
        self._hears = False
        for key in tuple(self._held):
            self._drop(key)
        for key in self._epochs:
            self._epochs[key] += 1

    def _version_key(self, key: str) -> str:
        return f"{_PREFIX}version:{self._space}:{key}"

    def _value_key(self, key: str) -> str:
        return f"{_PREFIX}value:{self._space}:{key}"
