"""Two levels of cache for answers that are dear to compute: this process's memory, then Redis, then the loader.

Whatever an answer is about (the bars of AAPL) has a version in Redis that vanishes when it is forgotten. A value
carries the versions that were current before it was loaded and counts only while they still are: what was loaded from
old data can be written late, but is never read. Processes tell each other what is forgotten; one that can't hear the
others trusts its memory no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

import msgspec

from qsuite_console.cache.client import Cache
from qsuite_console.cache.errors import CacheError, CacheUnauthorized
from qsuite_console.model.clock import Clock

S = TypeVar("S", bound=msgspec.Struct)
ENTRIES: Final = 4096
BYTES: Final = 64 * 1024 * 1024
LONGEST_S: Final = 3600.0  # of any value in Redis
SHARED_BYTES: Final = 1024 * 1024  # of a value in Redis: a larger one would hold others up
_VERSION_LIFE_S: Final = 86_400  # longer than any value lives
_PREFIX: Final = "qsuite-console"
_CHANNEL: Final = "qsuite-console:forgotten"
_RETRY_S: Final = 0.5
_RETRY_MOST_S: Final = 5.0
_SHUNNED_S: Final = 30.0  # after a failure, until it is heard again: nobody waits for a dead server time after time
_INSIST_S: Final = 0.2  # the driver may take a cancellation for a timeout of its own and go on
_log: Final = logging.getLogger(__name__)
Loader = Callable[[], Awaitable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A value that is looked for. Everything it depends on is in its name, or is among what it is ``about``.

    ``space`` is the kind of value with its format's version ("volatility.3fa9"), ``key`` holds every parameter. It may
    be ``memory_s`` old in this process and ``shared_s`` in all; it is forgotten with any of ``about``.
    """

    space: str
    key: str
    about: tuple[str, ...]
    memory_s: float
    shared_s: float

    @property
    def name(self) -> str:
        """Return what tells it from every other value."""
        return f"{self.space}:{self.key}"


@dataclass(slots=True)
class LayerStatistics:
    """Counters since the start; ``size`` and ``entries`` are what memory holds now."""

    memory_hits: int = 0
    shared_hits: int = 0
    misses: int = 0  # lookups that neither level could answer
    joined: int = 0  # of them, those that waited for another's loading
    loads: int = 0
    failed: int = 0  # of them, those that raised
    load_s: float = 0.0  # spent in loaders
    evictions: int = 0  # for want of room, not of age
    forgotten: int = 0  # values dropped at the word of this or another process
    errors: int = 0  # times Redis failed and the loader answered
    entries: int = 0
    size: int = 0  # bytes


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    """A value in Redis with the versions it was loaded under, in the order of what it is about."""

    versions: tuple[bytes, ...]
    value: bytes


@dataclass(slots=True)
class _Held:
    wanted: Wanted
    value: bytes
    until: float  # monotonic


@dataclass(slots=True)
class _Loading:
    wanted: Wanted
    future: asyncio.Future[bytes] | None = None
    is_forgotten: bool = False  # meanwhile: what comes is of before


@dataclass(slots=True)
class _Room:
    """What memory holds, least recently used first."""

    most_entries: int
    most_bytes: int
    held: OrderedDict[str, _Held] = field(default_factory=OrderedDict)
    size: int = 0

    def release(self, name: str) -> _Held | None:
        held = self.held.pop(name, None)
        if held is not None:
            self.size -= len(held.value)
        return held

    def hold(self, held: _Held) -> list[_Held]:
        """Take a value in; returns those that had to go for it."""
        self.release(held.wanted.name)
        if len(held.value) > self.most_bytes:
            return []
        self.held[held.wanted.name] = held
        self.size += len(held.value)
        gone = []
        while len(self.held) > self.most_entries or self.size > self.most_bytes:
            oldest = self.release(next(iter(self.held)))
            if oldest is not None:
                gone.append(oldest)
        return gone


class LayeredCache:
    """For one event loop. ``listening`` must be entered for memory to be used beside Redis; values are bytes."""

    def __init__(
        self,
        cache: Cache | None,
        clock: Clock,
        *,
        realm: str,
        most_entries: int = ENTRIES,
        most_bytes: int = BYTES,
    ) -> None:
        """``realm`` names the data that is asked about (target and database). ``cache`` None: memory only."""
        self._cache = cache if cache is not None and cache.is_configured else None
        self._clock = clock
        self._realm = realm
        self._room = _Room(most_entries, most_bytes)
        self._loading: dict[str, _Loading] = {}
        self._hears = False
        self._is_alone = self._cache is None
        self._may_listen = False
        self._listener: asyncio.Task[None] | None = None
        self._shunned_until = 0.0
        self._me = uuid.uuid4().hex
        self._counted: dict[str, LayerStatistics] = {}

    @property
    def is_shared(self) -> bool:
        """Return whether there is a second level at all."""
        return not self._is_alone

    @property
    def hears(self) -> bool:
        """Return whether other processes are heard now; while they are not, memory is not used beside Redis."""
        return self._hears

    @property
    def statistics(self) -> Mapping[str, LayerStatistics]:
        """Return the counters of every space that was asked for, as they are now."""
        found = {space: replace(counted) for space, counted in self._counted.items()}
        for held in self._room.held.values():
            counted = found[held.wanted.space]
            counted.entries += 1
            counted.size += len(held.value)
        return found

    async def get(self, wanted: Wanted, load: Loader) -> bytes:
        """Return a value from where it is nearest; many at once for one cost one ``load``. Raises what that raises."""
        counted, name = self._counts(wanted), wanted.name
        if self._listener is None and self._may_listen and self._cache is not None:
            self._listener = asyncio.create_task(self._listen(self._cache), name="layered cache")
        held = self._room.held.get(name)
        if held is not None and held.until > self._clock.monotonic():
            self._room.held.move_to_end(name)
            counted.memory_hits += 1
            return held.value
        loading = self._loading.get(name)
        if loading is not None and loading.future is not None and not loading.is_forgotten:
            counted.misses += 1
            counted.joined += 1
            return await asyncio.shield(loading.future)
        loading = _Loading(wanted)
        loading.future = asyncio.ensure_future(self._fetch(loading, load))
        self._loading[name] = loading
        loading.future.add_done_callback(functools.partial(self._loaded, loading))
        return await asyncio.shield(loading.future)

    async def get_struct(self, wanted: Wanted, kind: type[S], load: Callable[[], Awaitable[S]]) -> S:
        """Return a struct that is kept as JSON; one that can't be read any more is loaded anew."""

        async def encoded() -> bytes:
            return msgspec.json.encode(await load())

        try:
            return msgspec.json.decode(await self.get(wanted, encoded), type=kind)
        except msgspec.DecodeError:
            await self.forget(*wanted.about)
            return msgspec.json.decode(await self.get(wanted, encoded), type=kind)

    async def forget(self, *about: str) -> None:
        """Drop what is about any of these in every process.

        Raises CacheError when the others could not be told: they drop it by age.
        """
        self._drop(about)
        if not about or self._cache is None or self._clock.monotonic() < self._shunned_until:
            return
        try:
            async with self._cache.guard() as client:
                pipeline = client.pipeline(transaction=True)
                pipeline.unlink(*map(self._version_key, about))
                pipeline.publish(_CHANNEL, msgspec.json.encode([self._me, self._realm, about]))
                await pipeline.execute()
        except CacheError:
            self._shunned_until = self._clock.monotonic() + _SHUNNED_S
            raise
        self._drop(about)  # what was read between the two is of before

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[LayeredCache]:
        """Hear what other processes forget while the block lasts, from the first value on that is asked for."""
        self._may_listen = self._cache is not None
        try:
            yield self
        finally:
            self._may_listen = False
            listener, self._listener = self._listener, None
            tasks = [listener, *(loading.future for loading in self._loading.values())]
            while pending := [task for task in tasks if task is not None and not task.done()]:
                for task in pending:
                    task.cancel()
                await asyncio.wait(pending, timeout=_INSIST_S)
            self._deafen()

    async def _fetch(self, loading: _Loading, load: Loader) -> bytes:
        wanted, counted = loading.wanted, self._counts(loading.wanted)
        versions, value = await self._shared(wanted)
        if value is not None:
            counted.shared_hits += 1
        else:
            counted.misses += 1
            value = await self._load(counted, load)
            if versions is not None:
                await self._share(wanted, _Sealed(versions, value))
        # Where nobody can be heard, without Redis or the right to listen, age alone bounds what is held.
        if (self._hears or self._is_alone) and not loading.is_forgotten and wanted.memory_s > 0:
            held = _Held(wanted, value, self._clock.monotonic() + wanted.memory_s)
            for gone in self._room.hold(held):
                self._counts(gone.wanted).evictions += 1
        return value

    async def _load(self, counted: LayerStatistics, load: Loader) -> bytes:
        counted.loads += 1
        began = self._clock.monotonic()
        try:
            return await load()
        except BaseException:
            counted.failed += 1
            raise
        finally:
            counted.load_s += self._clock.monotonic() - began

    def _loaded(self, loading: _Loading, done: asyncio.Future[bytes]) -> None:
        if self._loading.get(loading.wanted.name) is loading:
            del self._loading[loading.wanted.name]
        if not done.cancelled():
            done.exception()  # whoever waits hears of it

    async def _shared(self, wanted: Wanted) -> tuple[tuple[bytes, ...] | None, bytes | None]:
        """Return (the versions now, the value if it is of them); (None, None) without Redis."""
        cache, names = self._cache, [*map(self._version_key, wanted.about)]
        if cache is None or self._clock.monotonic() < self._shunned_until:
            return None, None
        try:
            async with cache.guard() as client:
                *found, sealed = await client.mget(*names, self._value_key(wanted))
                missing = [name for name, version in zip(names, found, strict=True) if version is None]
                if missing:  # never written, evicted or forgotten: whatever was sealed before is of no version that is
                    pipeline = client.pipeline(transaction=False)
                    for name in missing:
                        pipeline.set(name, uuid.uuid4().bytes, nx=True, ex=_VERSION_LIFE_S)
                    pipeline.mget(*names)
                    found, sealed = (await pipeline.execute())[-1], None
        except CacheError as error:
            self._failed(wanted, error)
            return None, None
        absent = len(missing) + (sealed is None)
        cache.lookups.add(hits=len(names) + 1 - absent + (len(names) if missing else 0), misses=absent)
        versions = tuple(version for version in found if isinstance(version, bytes))
        if len(versions) != len(names):
            return None, None  # forgotten at this very moment
        if not isinstance(sealed, bytes):
            return versions, None
        try:
            it = msgspec.msgpack.decode(sealed, type=_Sealed)
        except msgspec.DecodeError:
            return versions, None
        return versions, it.value if it.versions == versions else None

    async def _share(self, wanted: Wanted, sealed: _Sealed) -> None:
        if self._cache is None or len(sealed.value) > SHARED_BYTES or wanted.shared_s <= 0:
            return
        life_ms = max(1, int(1000 * min(wanted.shared_s, LONGEST_S)))
        try:
            async with self._cache.guard() as client:
                await client.set(self._value_key(wanted), msgspec.msgpack.encode(sealed), px=life_ms)
        except CacheError as error:
            self._failed(wanted, error)

    def _failed(self, wanted: Wanted, error: CacheError) -> None:
        self._counts(wanted).errors += 1
        self._shunned_until = self._clock.monotonic() + _SHUNNED_S
        _log.debug("no second level for %s: %s", wanted.space, error.message)

    def _counts(self, wanted: Wanted) -> LayerStatistics:
        return self._counted.setdefault(wanted.space, LayerStatistics())

    def _drop(self, about: Sequence[str]) -> None:
        gone = frozenset(about)
        for name in [name for name, held in self._room.held.items() if not gone.isdisjoint(held.wanted.about)]:
            self._release(name)
        for loading in self._loading.values():
            loading.is_forgotten |= not gone.isdisjoint(loading.wanted.about)

    def _release(self, name: str) -> None:
        held = self._room.release(name)
        if held is not None:
            self._counts(held.wanted).forgotten += 1

    async def _listen(self, cache: Cache) -> None:
        """Follow what is forgotten; reconnects for ever, deaf in between."""
        pause_s = _RETRY_S
        while True:
            try:
                async with cache.guard() as client, client.pubsub(ignore_subscribe_messages=False) as heard:
                    await heard.subscribe(_CHANNEL)
                    async for message in heard.listen():
                        self._hear(message["type"], message.get("data"))
            except CacheUnauthorized as error:
                _log.info("answers are kept in this process only: %s", error.message)
                self._is_alone = True  # age alone bounds what is held; nothing changes that before the next start
                return
            except CacheError as error:
                _log.debug("the cache tells nothing: %s", error.message)
            pause_s = _RETRY_S if self._hears else min(2 * pause_s, _RETRY_MOST_S)
            self._deafen()
            await asyncio.sleep(pause_s)

    def _hear(self, kind: str, data: object) -> None:
        if kind == "subscribe":
            self._hears, self._shunned_until = True, 0.0
        elif kind == "message" and isinstance(data, bytes):
            try:
                sender, realm, about = msgspec.json.decode(data, type=tuple[str, str, list[str]])
            except msgspec.DecodeError:
                return  # not one of ours
            if sender != self._me and realm == self._realm:
                self._drop(about)

    def _deafen(self) -> None:
        """Trust nothing that is held: others may have forgotten it without our hearing."""
        self._hears = False
        for name in tuple(self._room.held):
            self._release(name)
        for loading in self._loading.values():
            loading.is_forgotten = True

    def _version_key(self, about: str) -> str:
        return f"{_PREFIX}:version:{self._realm}:{about}"

    def _value_key(self, wanted: Wanted) -> str:
        return f"{_PREFIX}:value:{self._realm}:{wanted.name}"
