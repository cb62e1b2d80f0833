"""What statements cost, from pg_stat_statements: since its statistics began, and over the last half minute.

Counters of all statements are read without their texts and compared with an earlier look; only those that are shown
have their texts asked for, once. Whoever can't read them is told why and what to do.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec.structs import replace

from qsuite_console.db.panels import Look, PanelReader
from qsuite_console.engine.parameters import decode
from qsuite_console.model.statements import Counters, Statement, Statements, StatementText
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.workers import Services

EXTENSION: Final = "pg_stat_statements"
WHAT: Final = "statements"
WINDOW_S: Final = 30.0  # how far back "recent" reaches
_LEAST_S: Final = 2.0  # between two looks that are compared
_MOST: Final = 5000  # statements that are counted, the default of pg_stat_statements.max
_LINE, _TEXT = 400, 20_000  # characters of a statement in the list and in full
_TEXTS_KEPT: Final = 2000
_FIELDS: Final = ("calls", "total_ms", "plan_ms", "io_ms", "rows", "hit", "read", "temp", "wal")
_HIDDEN: Final = "statements of a role whose texts may not be seen"
Order = Literal["time", "mean", "calls", "rows", "reads", "temp", "wal"]
_RANKS: Final[Mapping[str, Any]] = {
    "time": lambda c: c.total_ms,
    "mean": lambda c: c.mean_ms or 0.0,
    "calls": lambda c: c.calls,
    "rows": lambda c: c.rows,
    "reads": lambda c: c.read,
    "temp": lambda c: c.temp,
    "wal": lambda c: c.wal,
}
Key = tuple[int, int | None, bool]


class StatementsParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which statements: the first by ``order``, since the beginning or over the last moments; with words in them."""

    order: Order = "time"
    recent: bool = False
    text: Annotated[str, msgspec.Meta(max_length=80)] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100


class StatementParameters(msgspec.Struct, frozen=True, kw_only=True):
    """One statement, by the key that the list gave it."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]


@dataclass(frozen=True, slots=True)
class Sample:
    """All counters at one instant; two are comparable when their statistics began at the same time."""

    at: datetime
    since: datetime | None
    counters: Mapping[Key, Counters]


class Window:
    """The looks of the last half minute; the oldest of them is what the newest is compared with."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()

    def compare(self, sample: Sample) -> Sample | None:
        """Take a look and return the one to compare it with, None for the first after a start or a reset."""
        kept = self._samples
        if kept and (kept[-1].since != sample.since or kept[-1].at > sample.at):
            kept.clear()
        while len(kept) > 1 and (sample.at - kept[1].at).total_seconds() >= WINDOW_S:
            kept.popleft()
        base = kept[0] if kept and (sample.at - kept[0].at).total_seconds() >= _LEAST_S else None
        if not kept or (sample.at - kept[-1].at).total_seconds() >= _LEAST_S:
            kept.append(sample)
        return base


def grown(now: Counters, before: Counters | None) -> Counters | None:
    """Return what was added since ``before`` (nothing, for a statement that is new), None when it was counted anew."""
    if before is None:
        return now
    if any(getattr(now, name) < getattr(before, name) for name in _FIELDS):
        return None
    jit = None if now.jit_ms is None or before.jit_ms is None else max(0.0, now.jit_ms - before.jit_ms)
    return Counters(**{name: getattr(now, name) - getattr(before, name) for name in _FIELDS}, jit_ms=jit)


def added(one: Counters, other: Counters) -> Counters:
    """Return the sum of both."""
    jit = None if one.jit_ms is None and other.jit_ms is None else (one.jit_ms or 0.0) + (other.jit_ms or 0.0)
    return Counters(**{name: getattr(one, name) + getattr(other, name) for name in _FIELDS}, jit_ms=jit)


def name_of(key: Key) -> str:
    """Return a key as the front ends hand it back."""
    role, query, is_top = key
    return f"{role}/{'' if query is None else query}/{'top' if is_top else 'nested'}"


@dataclass(slots=True)
class _Read:
    """One look at the server: all counters with their growth."""

    look: Look
    info: Mapping[str, Any]
    roles: Mapping[Key, str]
    slowest: Mapping[Key, float]
    sample: Sample
    total: int
    base: Sample | None = None
    recent: dict[Key, Counters] = field(default_factory=dict)  # what each did since the base; without what was reset

    def __post_init__(self) -> None:
        """Compare with the look before."""
        if self.base is not None:
            for key, counters in self.sample.counters.items():
                if (more := grown(counters, self.base.counters.get(key))) is not None:
                    self.recent[key] = more

    @property
    def interval_s(self) -> float | None:
        """Return how far apart both looks are."""
        return None if self.base is None else (self.sample.at - self.base.at).total_seconds()

    def statements(self, keys: Sequence[Key], texts: Mapping[Key, str]) -> Iterator[Statement]:
        """Yield these statements."""
        everything = sum(one.total_ms for one in self.sample.counters.values())
        lately = self.recent_ms
        for key in keys:
            counters, recent = self.sample.counters[key], self.recent.get(key)
            yield Statement(
                key=name_of(key),
                query_id="" if key[1] is None else str(key[1]),
                role=clean(self.roles[key], 63),
                is_top_level=key[2],
                query=texts.get(key, _HIDDEN if key[1] is None else ""),
                all=counters,
                max_ms=self.slowest[key],
                share=counters.total_ms / everything if everything else None,
                recent=recent,
                recent_share=recent.total_ms / lately if recent is not None and lately else None,
            )

    @property
    def recent_ms(self) -> float | None:
        """Return the time of all statements since the look before."""
        return None if self.base is None else sum(one.total_ms for one in self.recent.values())


class _Reader:
    """Shared by both probes: the looks, and the texts seen so far."""

    def __init__(self, panels: PanelReader) -> None:
        self._panels = panels
        self._window = Window()
        self._texts: dict[Key, str] = {}

    async def read(self) -> tuple[Look, _Read | None]:
        """Look at all counters; without them the look says why. Raises DatabaseError."""
        server = await self._panels.look()
        look = self._panels.begin()
        schema = server.extensions.get(EXTENSION, "")
        if not schema:
            preloaded = await look.rows("statements_preloaded")
            look.note(
                WHAT, f"the extension {EXTENSION} is not created in {clean(server.database, 63)}", _how(preloaded[0])
            )
            return look, None
        rows = await look.try_rows(WHAT, "statements_counters", _MOST, schema=schema)
        if rows is None:
            return look, None
        info = await look.try_rows("since when statements are counted", "statements_info", schema=schema)
        if not server.rights.reads_all_stats and any(row["queryid"] is None for row in rows):
            hint = f"GRANT pg_monitor TO {clean(server.rights.role, 63)}"
            look.note("texts of other roles' statements", "the role lacks pg_read_all_stats", hint)
        return look, self._taken(look, rows, info[0] if info else {})

    def _taken(self, look: Look, rows: Sequence[Mapping[str, Any]], info: Mapping[str, Any]) -> _Read:
        counters: dict[Key, Counters] = {}
        roles: dict[Key, str] = {}
        slowest: dict[Key, float] = {}
        for row in rows:
            key = (row["userid"], row["queryid"], row["toplevel"] or row["queryid"] is None)
            found = Counters(**{name: row[name] for name in _FIELDS}, jit_ms=row["jit_ms"])
            counters[key] = added(counters[key], found) if key in counters else found
            roles[key], slowest[key] = row["role"], max(slowest.get(key, 0.0), row["max_ms"])
        sample = Sample(info.get("at") or look.at, info.get("since"), counters)
        return _Read(
            look=look,
            info=info,
            roles=roles,
            slowest=slowest,
            sample=sample,
            base=self._window.compare(sample),
            total=len(counters),
        )

    async def texts(self, look: Look, keys: Sequence[Key]) -> Mapping[Key, str]:
        """Return the texts of these statements, as one line each."""
        wanted = {key for key in keys if key[1] is not None}
        missing = sorted({key[1] for key in wanted if key not in self._texts if key[1] is not None})
        if missing:
            if len(self._texts) > _TEXTS_KEPT:
                self._texts.clear()
                missing = sorted({key[1] for key in wanted if key[1] is not None})
            for key, text in (await self.whole(look, missing, _LINE)).items():
                self._texts[key] = clean(" ".join(text.split()), _LINE)
        return self._texts

    async def whole(self, look: Look, query_ids: Sequence[int], most: int) -> dict[Key, str]:
        """Return the texts as the server has them, up to ``most`` characters and one."""
        schema = self._panels.schema_of(EXTENSION)
        rows = await look.try_rows("texts of statements", "statements_texts", list(query_ids), most + 1, schema=schema)
        found = {}
        for row in rows or ():
            for is_top in (True, False):
                found[row["userid"], row["queryid"], is_top] = row["query"] or ""
        return found


def _how(found: Mapping[str, Any]) -> str:
    if not found["is_available"]:
        return (
            f"this server was installed without {EXTENSION}: add its contrib package, preload it, create the extension"
        )
    if found["is_preloaded"] is not False:
        return f"CREATE EXTENSION {EXTENSION} in this database, as a superuser"
    return f"add {EXTENSION} to shared_preload_libraries, restart the server, then CREATE EXTENSION {EXTENSION}"


_readers: weakref.WeakKeyDictionary[PanelReader, _Reader] = weakref.WeakKeyDictionary()


def _reader(panels: PanelReader) -> _Reader:
    """Return the reader of this connection: list and detail compare with the same looks."""
    if panels not in _readers:
        _readers[panels] = _Reader(panels)
    return _readers[panels]


class StatementsProbe:
    """Answers ``database.statements``."""

    name = "database.statements"
    timeout_s = 4.0

    def __init__(self, services: Services) -> None:
        self._reader = _reader(services.panels)

    async def ask(self, parameters: Mapping[str, Any]) -> Statements:
        """Return the costliest statements; raises DatabaseError, InvalidParameters."""
        wanted: StatementsParameters = decode(StatementsParameters, parameters)
        look, read = await self._reader.read()
        if read is None:
            return Statements(at=look.at, cost_ms=look.cost_ms, unread=look.unread, order=wanted.order)
        keys, total, texts = await self._chosen(look, read, wanted)
        info = read.info
        return Statements(
            at=look.at,
            order=wanted.order,
            is_recent=wanted.recent,
            statements=tuple(read.statements(keys, texts)),
            total=total,
            interval_s=read.interval_s,
            since=info.get("since"),
            evicted=info.get("dealloc"),
            capacity=info.get("most"),
            total_ms=sum(one.total_ms for one in read.sample.counters.values()),
            recent_ms=read.recent_ms,
            block_size=info.get("block_size") or 8192,
            cost_ms=look.cost_ms,
            unread=look.unread,
        )

    async def _chosen(
        self, look: Look, read: _Read, wanted: StatementsParameters
    ) -> tuple[list[Key], int, Mapping[Key, str]]:
        """Return the keys in order, how many fit the filter, and the texts of those shown."""
        rank = _RANKS[wanted.order]
        found: list[tuple[float, float, Key]] = []
        for key, counters in read.sample.counters.items():
            weighed = read.recent.get(key) if wanted.recent else counters
            if weighed is not None and (weighed.calls or not wanted.recent):
                found.append((-rank(weighed), -counters.total_ms, key))
        found.sort(key=lambda one: (one[0], one[1], name_of(one[2])))
        keys = [key for _, _, key in found]
        if not wanted.text:
            keys, total = keys[: wanted.limit], len(keys)
            return keys, total, await self._reader.texts(look, keys)
        texts = await self._reader.texts(look, keys)
        words = wanted.text.lower().split()
        fitting = [key for key in keys if all(w in f"{texts.get(key, '')} {read.roles[key]}".lower() for w in words)]
        return fitting[: wanted.limit], len(fitting), texts


class StatementProbe:
    """Answers ``database.statement`` with the whole text."""

    name = "database.statement"
    timeout_s = 4.0

    def __init__(self, services: Services) -> None:
        self._reader = _reader(services.panels)

    async def ask(self, parameters: Mapping[str, Any]) -> StatementText:
        """Return one statement; raises DatabaseError, InvalidParameters."""
        wanted: StatementParameters = decode(StatementParameters, parameters)
        look, read = await self._reader.read()
        key = next((key for key in read.sample.counters if name_of(key) == wanted.key), None) if read else None
        if read is None or key is None:
            return StatementText(at=look.at, cost_ms=look.cost_ms, unread=look.unread)
        texts = await self._reader.whole(look, [key[1]], _TEXT) if key[1] is not None else {}
        text = texts.get(key, _HIDDEN)
        statement = next(read.statements([key], {}))
        return StatementText(
            at=look.at,
            statement=replace(statement, query=clean(" ".join(text.split()), _LINE)),
            text=clean(text, _TEXT, one_line=False),
            is_cut=len(text) > _TEXT,
            interval_s=read.interval_s,
            since=read.info.get("since"),
            block_size=read.info.get("block_size") or 8192,
            cost_ms=look.cost_ms,
            unread=look.unread,
        )
