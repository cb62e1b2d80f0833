"""Answers that are dear to compute and asked for again and again, by this and other consoles: kept for seconds.

An answer's key holds the shape of its struct, every parameter it was computed with and, by the realm of the layers, the
target and the database: nobody is ever given the answer to another question. Jobs that write what an answer is about
say so here, and what they wrote is seen at once.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from qsuite_console.cache.errors import CacheError
from qsuite_console.cache.layers import LayeredCache, LayerStatistics, Wanted

S = TypeVar("S", bound=msgspec.Struct)
BARS: Final = "bars"  # every bar there is
FILLS: Final = "fills"  # every execution there is
_ANY: Final = "any"  # what lists over all symbols depend on
_MANY: Final = 256  # symbols beyond which everything is forgotten at once
_READABLE: Final = re.compile(r"[^A-Za-z0-9._/-]")
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lives:
    """How old an answer may be, in seconds: in this process, and in all of them."""

    memory_s: float
    shared_s: float


class Answers:
    """Asks the layers; without any, every question is answered anew."""

    def __init__(self, layers: LayeredCache | None = None) -> None:
        self._layers = layers

    @property
    def is_kept(self) -> bool:
        """Return whether anything is kept at all."""
        return self._layers is not None

    @property
    def is_shared(self) -> bool:
        """Return whether answers are shared with other processes by way of Redis."""
        return self._layers is not None and self._layers.is_shared

    @property
    def hears(self) -> bool:
        """Return whether other processes are heard now; if not, nothing is taken from memory beside Redis."""
        return self._layers is not None and self._layers.hears

    @property
    def statistics(self) -> Mapping[str, LayerStatistics]:
        """Return the counters by the name of what is asked."""
        found = {} if self._layers is None else self._layers.statistics
        return {space.rpartition(".")[0]: counted for space, counted in found.items()}

    async def ask(
        self,
        name: str,
        kind: type[S],
        load: Callable[[], Awaitable[S]],
        parameters: Mapping[str, object],
        *,
        about: tuple[str, ...],
        lives: Lives,
    ) -> S:
        """Return the answer to ``name`` with these parameters; many who ask at once cost one ``load``.

        ``about`` is what it is made of (``bars_of``, ``fills_of``). Raises what ``load`` raises.
        """
        if self._layers is None:
            return await load()
        wanted = Wanted(
            space=f"{name}.{shape_of(kind)}",
            key=key_of(parameters),
            about=about,
            memory_s=lives.memory_s,
            shared_s=lives.shared_s,
        )
        return await self._layers.get_struct(wanted, kind, load)

    async def bars_changed(self, symbols: Iterable[str] | None = None) -> None:
        """Forget what was computed from bars of these symbols, None: of any."""
        await self.forget(*_subjects(BARS, symbols))

    async def fills_changed(self, symbols: Iterable[str] | None = None) -> None:
        """Forget what was computed from executions of these symbols, and of any user; None: of any symbol."""
        await self.forget(*_subjects(FILLS, symbols))

    async def everything_changed(self) -> None:
        """Forget all that was computed from bars or executions."""
        await self.forget(BARS, FILLS)

    async def symbol_changed(self, symbol: str) -> None:
        """Forget everything about a symbol."""
        await self.forget(*_subjects(BARS, [symbol]), *_subjects(FILLS, [symbol]))

    async def forget(self, *about: str) -> None:
        """Forget here and, as far as they can be told, in other processes; they drop by age what they never hear of."""
        if self._layers is None or not about:
            return
        try:
            await self._layers.forget(*about)
        except CacheError as error:
            _log.info("other consoles are not told that data changed: %s", error.message)


def bars_of(symbol: str = "") -> tuple[str, ...]:
    """Return what an answer about one symbol's bars is about; without a symbol, one about a list of symbols."""
    return BARS, f"{BARS}:{symbol or _ANY}"


def fills_of(symbol: str = "") -> tuple[str, ...]:
    """Return what an answer about one symbol's executions is about; without a symbol, one about many symbols' ones."""
    return FILLS, f"{FILLS}:{symbol or _ANY}"


@functools.cache
def shape_of(kind: type[msgspec.Struct]) -> str:
    """Return a version of a struct's format: another one as soon as its fields or their types are others."""
    return _digest(msgspec.json.encode(msgspec.json.schema(kind), order="deterministic"))


def key_of(parameters: Mapping[str, object]) -> str:
    """Return a key that no other parameters have; what they say stays readable, so that AAPL is found by its name."""
    said = [_READABLE.sub("", str(value))[:40] for _, value in sorted(parameters.items())]
    exact = _digest(msgspec.json.encode(parameters, order="deterministic"))
    return ":".join([*(word for word in said if word), exact])


def realm_of(*parts: object) -> str:
    """Return a short name for the data that is asked about: everything that makes it other data is among the parts."""
    return _digest(msgspec.json.encode([str(part) for part in parts]))


def _subjects(what: str, symbols: Iterable[str] | None) -> list[str]:
    named = None if symbols is None else sorted(set(symbols))
    if named is not None and not named:
        return []
    if named is None or len(named) > _MANY:
        return [what]
    return [f"{what}:{_ANY}", *(f"{what}:{symbol}" for symbol in named)]


def _digest(data: bytes) -> str:
    return hashlib.blake2s(data, digest_size=6).hexdigest()
