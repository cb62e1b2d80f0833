"""The tile of PostgreSQL: throughput and cache hits over the interval, sessions against the limit, what waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from qsuite_console.config.settings import DatabaseSettings
from qsuite_console.db.errors import DatabaseError
from qsuite_console.db.monitoring import MonitorConnection
from qsuite_console.metrics import units
from qsuite_console.metrics.sources import MEASURING, OwnLoad, Rates, Sample, figure, judged, share
from qsuite_console.model.clock import Clock
from qsuite_console.model.health import Figure, Level

_MINIMUM_BLOCKS: Final = 100  # fewer accesses say nothing about a hit rate
_SIZE_EVERY_S: Final = 60.0
_MIB: Final = 1024 * 1024


class PostgresSource:
    """Reads one server through its own connection."""

    name = "postgresql"
    title = "PostgreSQL"

    def __init__(
        self, settings: DatabaseSettings, clock: Clock, *, budget_s: float, own: OwnLoad | None = None
    ) -> None:
        self._monitor = MonitorConnection(settings, clock)
        self._clock = clock
        self._budget_s = budget_s
        self._rates = Rates()
        self._own = own or OwnLoad()  # since the last sample, which is nobody's load
        self._size: float | None = None
        self._size_at: float | None = None

    @property
    def unconfigured(self) -> str:
        """Return why there is nothing to read, or ""."""
        return "" if self._monitor.is_configured else "not configured: set DATABASE_URL or run init"

    @property
    def headline(self) -> Figure:
        """Return the headline before the first interval is over."""
        return figure("tps", "transactions", MEASURING, None, "/s")

    async def read(self) -> Sample:
        """Return one sample; raises DatabaseError."""
        started = self._clock.monotonic()
        try:
            row = await self._monitor.row("monitor_sample", self._budget_s)
        except DatabaseError:
            self._rates.forget()
            raise
        own, self._own.transactions = self._own.transactions, 1
        await self._measure_size(started)
        return self._sample(row, own)

    async def close(self) -> None:
        """Cut the connection."""
        await self._monitor.close()

    async def _measure_size(self, started: float) -> None:
        now = self._clock.monotonic()
        left_s = self._budget_s - (now - started)
        if left_s < 0.2 or (self._size_at is not None and now - self._size_at < _SIZE_EVERY_S):
            return
        self._size_at = now
        self._own.transactions += 1
        try:
            self._size = (await self._monitor.row("monitor_size", left_s))["bytes"]
        except DatabaseError:
            self._size = None  # shown as unreadable; the rest of the tile stands

    def _sample(self, row: Mapping[str, Any], own: int) -> Sample:
        counters = {name: float(row[name] or 0) for name in ("transactions", "rollbacks", "blocks_read", "blocks_hit")}
        grown = self._rates.advance(row["at"], counters, epoch=(row["started"], row["reset"]))
        tps = None if grown is None else max(0.0, grown["transactions"] - own) / self._rates.seconds
        hit = None
        if grown is not None:
            blocks = grown["blocks_hit"] + grown["blocks_read"]
            hit = share(grown["blocks_hit"], blocks) if blocks >= _MINIMUM_BLOCKS else None
        # Without pg_monitor the kinds of other roles' sessions are hidden; the cumulative statistics still count them.
        sessions = row["backends"] if row["hidden"] else row["clients"] + 1
        used = share(sessions, row["usable"])
        lag, lag_figures = _replication(row)
        figures = (
            judged(
                "connections", "connections", f"{sessions} / {row['usable']}", sessions, "postgresql.connections", used
            ),
            judged("cache_hit", "cache hit", _shown(hit, units.percent, "idle"), hit, "postgresql.cache_hit", hit),
            _count("long_queries", "queries > 30 s", row["long_queries"]),
            _count("lock_waits", "waiting for locks", row["lock_waits"]),
            _oldest(row["oldest_tx_s"]),
            *lag_figures,
            figure("size", "size", _shown(self._size, units.size, "not readable"), self._size, "B"),
            figure("active", "active", f"{row['active']}", row["active"]),
            figure("idle_in_tx", "idle in transaction", f"{row['idle_in_tx']}", row["idle_in_tx"]),
            *_rights(row["hidden"]),
        )
        return Sample(
            headline=self.headline if tps is None else figure("tps", "transactions", units.rate(tps), tps, "/s"),
            figures=figures,
            watched={
                "postgresql.connections": used,
                "postgresql.cache_hit": hit,
                "postgresql.long_queries": row["long_queries"],
                "postgresql.lock_waits": row["lock_waits"],
                "postgresql.oldest_transaction": row["oldest_tx_s"] or 0.0,
                "postgresql.replication_lag": lag,
            },
        )


def _shown(value: float | None, form: Any, absent: str) -> str:
    return absent if value is None else str(form(value))


def _count(name: str, label: str, value: int) -> Figure:
    return judged(name, label, units.count(value), value, f"postgresql.{name}", value)


def _oldest(seconds: float | None) -> Figure:
    text = "none" if seconds is None else units.span(seconds)
    rule = "postgresql.oldest_transaction"
    return judged("oldest_transaction", "oldest transaction", text, seconds, rule, seconds or 0.0)


def _replication(row: Mapping[str, Any]) -> tuple[float | None, tuple[Figure, ...]]:
    rule = "postgresql.replication_lag"
    if row["is_standby"]:
        behind = row["replay_lag_s"]
        text = "unknown" if behind is None else units.span(behind)
        return None, (figure("replication_lag", "standby, behind", text, behind, "s"),)
    if not row["standbys"]:
        return None, ()
    behind = None if row["lag_bytes"] is None else row["lag_bytes"] / _MIB
    text = "hidden" if behind is None else units.size(row["lag_bytes"])
    label = f"{row['standbys']} standby, behind" if row["standbys"] == 1 else f"{row['standbys']} standbys, behind"
    return behind, (judged("replication_lag", label, text, row["lag_bytes"], rule, behind),)


def _rights(hidden: int) -> tuple[Figure, ...]:
    if not hidden:
        return ()
    text = f"{hidden} sessions hidden: grant pg_monitor"
    return (Figure(name="rights", label="rights", text=text, value=hidden, level=Level.UNKNOWN),)
