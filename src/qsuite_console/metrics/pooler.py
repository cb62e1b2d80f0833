"""The question of the pooler's tab: PgBouncer's pools now, what passed since the last look, and what to change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from qsuite_console.db.errors import DatabaseError
from qsuite_console.db.pooler import SHOWN
from qsuite_console.db.pooler_facts import PoolerFacts, facts_of, passages
from qsuite_console.engine.parameters import decode
from qsuite_console.metrics.advice.pooler import pooler_findings
from qsuite_console.model.advice import Unread
from qsuite_console.model.pooler import Pooler

if TYPE_CHECKING:
    from qsuite_console.workers import Services


class PoolerParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to choose."""


class PoolerProbe:
    """Answers ``database.pooler``; keeps its last look for the rates of the next."""

    name = "database.pooler"
    timeout_s = 5.0

    def __init__(self, services: Services) -> None:
        self._services = services
        self._before: tuple[float, PoolerFacts] | None = None

    async def ask(self, parameters: Mapping[str, Any]) -> Pooler:
        """Return the pooler's state; raises DatabaseError when it does not answer, InvalidParameters."""
        decode(PoolerParameters, parameters)
        services = self._services
        console, clock = services.pooler, services.clock
        if not console.is_configured:
            why = "no pooler is configured"
            hint = "set pooler.dsn to PgBouncer's console: postgresql://user:password@host:6432/pgbouncer"
            return Pooler(at=clock.now(), cost_ms=0.0, where="", unread=(Unread(what="PgBouncer", why=why, hint=hint),))
        begun = clock.monotonic()
        facts = facts_of(await console.show(SHOWN, self.timeout_s - 1.0), clock.now())
        now = clock.monotonic()
        before, seconds = None, 0.0
        if self._before is not None:
            before, seconds = self._before[1], now - self._before[0]
        self._before = (now, facts)
        sessions, usable, unread = await self._server()
        return Pooler(
            at=clock.now(),
            cost_ms=(now - begun) * 1000,
            where=console.where,
            version=facts.version_text,
            interval_s=seconds or None,
            pools=tuple(sorted(facts.pools, key=lambda pool: (-pool.clients_waiting, -pool.servers_active))),
            passages=passages(facts, before, seconds),
            waiting=facts.waiting[:100],
            clients=facts.clients,
            clients_limit=facts.limit("max_client_conn"),
            settings=facts.settings,
            findings=tuple(pooler_findings(sessions=sessions, usable=usable, is_pooled=True, facts=facts)),
            unread=unread,
        )

    async def _server(self) -> tuple[int, int, tuple[Unread, ...]]:
        """Return the server's sessions and usable connections; zeros with a note where it does not say."""
        look = self._services.panels.begin(1.0)
        try:
            row = (await look.rows("pooler_server"))[0]
        except DatabaseError as error:
            return 0, 0, (Unread(what="the server's limits", why=error.message, hint=error.hint),)
        return int(row["sessions"]), int(row["usable"]), ()
