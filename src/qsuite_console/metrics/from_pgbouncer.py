"""The tile of PgBouncer: what passes through it over the interval, who waits for a connection and for how long."""

from __future__ import annotations

from qsuite_console.db.pooler import SHOWN, PoolerConsole
from qsuite_console.db.pooler_facts import PoolerFacts, facts_of
from qsuite_console.metrics import units
from qsuite_console.metrics.sources import MEASURING, Rates, Sample, figure, judged, share
from qsuite_console.model.clock import Clock
from qsuite_console.model.health import Figure


class PgBouncerSource:
    """Reads one pooler through its admin console."""

    name = "pgbouncer"
    title = "PgBouncer"

    def __init__(self, console: PoolerConsole, clock: Clock, *, budget_s: float) -> None:
        self._console = console
        self._clock = clock
        self._budget_s = budget_s
        self._rates = Rates()

    @property
    def unconfigured(self) -> str:
        """Return why there is nothing to read, or ""."""
        return "" if self._console.is_configured else "not configured: set pooler.dsn"

    @property
    def headline(self) -> Figure:
        """Return the headline before the first interval is over."""
        return figure("tps", "transactions", MEASURING, None, "/s")

    async def read(self) -> Sample:
        """Return one sample; raises DatabaseError."""
        shown = await self._console.show(SHOWN, self._budget_s)
        return self._sample(facts_of(shown, self._clock.now()), self._clock.monotonic())

    async def close(self) -> None:
        """Leave the console's connection to who made it."""

    def _sample(self, facts: PoolerFacts, at: float) -> Sample:
        grown = self._rates.advance(at, facts.total(), epoch=frozenset(facts.counters))
        tps = None if grown is None else grown["total_xact_count"] / self._rates.seconds
        wait_ms = None
        if grown is not None and grown["total_xact_count"]:
            wait_ms = grown["total_wait_time"] / grown["total_xact_count"] / 1000
        waiting = sum(pool.clients_waiting for pool in facts.pools)
        longest = max((pool.max_wait_s for pool in facts.pools), default=0.0)
        limit = facts.limit("max_client_conn")
        used = share(facts.clients, limit)
        at_work = sum(pool.servers_active for pool in facts.pools)
        open_now = at_work + sum(pool.servers_idle + pool.servers_other for pool in facts.pools)
        full = sum(1 for pool in facts.pools if pool.is_full)
        return Sample(
            headline=self.headline if tps is None else figure("tps", "transactions", units.rate(tps), tps, "/s"),
            figures=(
                judged("waiting", "clients waiting", units.count(waiting), waiting, "pgbouncer.waiting", waiting),
                judged("max_wait", "longest wait", _wait(longest * 1000), longest, "pgbouncer.max_wait", longest),
                judged(
                    "clients",
                    "clients",
                    f"{facts.clients}" if limit is None else f"{facts.clients} / {limit}",
                    facts.clients,
                    "pgbouncer.clients",
                    used,
                ),
                figure("servers", "server connections", f"{at_work} of {open_now} at work", at_work),
                figure("full", "pools full", f"{full} / {len(facts.pools)}", full),
                figure(
                    "wait", "wait a transaction", "idle" if wait_ms is None else _wait(wait_ms / 1000), wait_ms, "ms"
                ),
            ),
            watched={
                "pgbouncer.waiting": waiting,
                "pgbouncer.max_wait": longest,
                "pgbouncer.clients": used,
            },
        )


def _wait(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "idle"
    return "none" if milliseconds <= 0 else units.span(milliseconds / 1000)
