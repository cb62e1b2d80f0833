"""The questions about warmth: what the platform's cache should hold and does, and how the console's own answers fare.

What is expected comes from the database, at most once a minute whoever looks; a database that can't tell leaves the
ages and counts of what it could not name unknown, with the reason, and the rest as it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from qsuite_console.cache.answers import Lives, bars_of
from qsuite_console.cache.errors import CacheError
from qsuite_console.cache.keys import MARKET_DATA, ORDER_BOOK, POSITIONS, PRICE, KeyFamily
from qsuite_console.cache.panels import Look
from qsuite_console.cache.warmth import Presence, read_presence
from qsuite_console.db.market import reading
from qsuite_console.db.warming import WarmingReader
from qsuite_console.engine.parameters import decode
from qsuite_console.metrics.cache_panels import NoParameters
from qsuite_console.model.advice import Unread
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.warmth import AnswersPanel, AnswerUse, Warmth, WarmthPanel

if TYPE_CHECKING:
    from qsuite_console.workers import Services

MOST: Final = 50_000  # keys of a family that are counted
POPULAR: Final = 100  # symbols whose market data a warming takes unless told otherwise
ACTIVE_DAYS: Final = 7
KEPT: Final = Lives(memory_s=60.0, shared_s=60.0)
_BUDGET_S: Final = 3.0


class _Expected(msgspec.Struct, frozen=True):
    """Subjects of a family, as they stand in its keys."""

    subjects: tuple[str, ...]


class WarmthProbe:
    """Answers ``cache.warmth``."""

    name = "cache.warmth"
    timeout_s = 15.0

    def __init__(self, services: Services) -> None:
        self._services = services

    async def ask(self, parameters: Mapping[str, Any]) -> WarmthPanel:
        """Return how warm each family is; raises CacheError."""
        decode(NoParameters, parameters)
        look, families = Look(self._services.cache.panel), []
        await look.ask("DBSIZE")  # a cache that is away is told as such, whatever the database says
        for family, kind, whose, read in (
            (PRICE, "warm.prices", "active symbols with a bar", WarmingReader.expected_prices),
            (MARKET_DATA, "warm.market-data", "", WarmingReader.expected_prices),
            (ORDER_BOOK, "warm.order-books", "symbols with resting orders", WarmingReader.expected_books),
            (POSITIONS, "warm.positions", f"users active within {ACTIVE_DAYS} days", self._users),
        ):
            families.append(await self._warmth(look, family, kind, whose, read))
        return WarmthPanel(
            at=self._services.clock.now(), families=tuple(families), unread=tuple(look.unread), cost_ms=look.cost_ms
        )

    async def _warmth(
        self,
        look: Look,
        family: KeyFamily,
        kind: str,
        whose: str,
        read: Callable[[WarmingReader, int], Awaitable[list[str]]],
    ) -> Warmth:
        known = Warmth(family=family.name, prefix=family.prefix, kind=kind, subject=family.subject)
        subjects = await self._expected(look, family, read)
        if subjects is None:
            return known
        presence = await self._presence(look, [family.key(subject) for subject in subjects])
        if presence is None:
            return known
        expected = len(subjects)
        if family is MARKET_DATA and expected > POPULAR:
            expected, whose = POPULAR, f"or more symbols: a warming takes the {POPULAR} most traded"
        return msgspec.structs.replace(
            known,
            expected=expected,
            whose=whose or "active symbols with a bar",
            present=presence.present,
            read=presence.read,
            newest=presence.newest,
            oldest=presence.oldest,
        )

    async def _presence(self, look: Look, names: list[str]) -> Presence | None:
        try:
            return await read_presence(look, names)
        except CacheError as error:
            if error.is_transient:
                raise
            look.miss("which keys are there", error)
            return None

    async def _expected(
        self, look: Look, family: KeyFamily, read: Callable[[WarmingReader, int], Awaitable[list[str]]]
    ) -> tuple[str, ...] | None:
        services = self._services

        async def load() -> _Expected:
            async with reading(services.database, services.settings.tables, "cache warmth", _BUDGET_S) as market:
                return _Expected(tuple(await read(WarmingReader(market), MOST)))

        which = {"family": ORDER_BOOK.name if family is ORDER_BOOK else family.subject, "most": MOST}
        try:
            found = await services.answers.ask("cache.expected", _Expected, load, which, about=bars_of(), lives=KEPT)
        except ConsoleError as error:
            what = f"which {family.subject}s the cache should know"
            if all(one.what != what for one in look.unread):
                look.unread.append(Unread(what=what, why=error.message, hint=error.hint))
            return None
        return found.subjects

    async def _users(self, reader: WarmingReader, most: int) -> list[str]:
        since = self._services.clock.now() - timedelta(days=ACTIVE_DAYS)
        return [str(user) for user in (await reader.active_users(since))[:most]]


class AnswersProbe:
    """Answers ``cache.answers``."""

    name = "cache.answers"
    timeout_s = 2.0

    def __init__(self, services: Services) -> None:
        self._services = services

    async def ask(self, parameters: Mapping[str, Any]) -> AnswersPanel:
        """Return the counters of every kind of answer, most asked for first; needs no server."""
        decode(NoParameters, parameters)
        answers = self._services.answers
        uses = [
            AnswerUse(
                name=name,
                memory_hits=counted.memory_hits,
                shared_hits=counted.shared_hits,
                misses=counted.misses,
                joined=counted.joined,
                loads=counted.loads,
                failed=counted.failed,
                load_ms=1000 * counted.load_s / counted.loads if counted.loads else None,
                evictions=counted.evictions,
                forgotten=counted.forgotten,
                errors=counted.errors,
                entries=counted.entries,
                size=counted.size,
            )
            for name, counted in answers.statistics.items()
        ]
        return AnswersPanel(
            at=self._services.clock.now(),
            is_kept=answers.is_kept,
            is_shared=answers.is_shared,
            hears=answers.hears,
            uses=tuple(sorted(uses, key=lambda use: (-use.asked, use.name))),
        )
