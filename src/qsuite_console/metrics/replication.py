"""The question of the replication pane: flow of WAL over the interval, and who is behind or holds it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from qsuite_console.db.panels import Look
from qsuite_console.engine.parameters import decode
from qsuite_console.metrics.growth import Grown, Growth
from qsuite_console.model.replication import (
    Archiver,
    Checkpoints,
    Receiver,
    Replication,
    Slot,
    Standby,
    Subscription,
    WalFlow,
    Writes,
)
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.workers import Services

INTERVAL_S: Final = 10.0  # of rates
WINDOW_S: Final = 900.0  # of counts: checkpoints come every few minutes
_COUNTERS: Final = (
    "wal_bytes", "wal_records", "wal_images", "wal_buffers_full", "timed", "requested", "write_ms", "sync_ms",
    "checkpoint_bytes", "background_bytes", "backend_bytes", "backend_fsyncs", "background_stops", "archived", "failed",
)  # fmt: skip
_GRANT: Final = "GRANT pg_monitor TO {role}"
_NOTHING: Final = Grown(0.0)


class ReplicationParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to choose."""


class ReplicationProbe:
    """Answers ``database.replication``; keeps its looks at the counters for the rates."""

    name = "database.replication"
    timeout_s = 4.0

    def __init__(self, services: Services) -> None:
        self._services = services
        self._growth = Growth(WINDOW_S)
        self._conflicts = Growth(WINDOW_S)

    async def ask(self, parameters: Mapping[str, Any]) -> Replication:
        """Return the flow of WAL; raises DatabaseError when the server does not answer, InvalidParameters."""
        decode(ReplicationParameters, parameters)
        look = self._services.panels.begin(self.timeout_s - 0.5)
        now = (await look.rows("replication_counters"))[0]
        is_standby = bool(now["is_standby"])
        counters = {name: now[name] for name in _COUNTERS}
        epoch = (now["started"], now["reset"], now["wal_reset"], now["io_reset"], is_standby)
        self._growth.add(now["at"], counters, epoch=epoch)
        interval, window = self._growth.over(INTERVAL_S), self._growth.over(WINDOW_S)
        wal = await self._wal(look, interval or _NOTHING, window or _NOTHING)
        checkpoints = await self._checkpoints(look, window or _NOTHING)
        archiver = await self._archiver(look, window or _NOTHING)
        receiver = await self._receiver(look, now["at"], epoch) if is_standby else None
        standbys = await self._standbys(look)
        slots = await look.try_rows("replication slots", "replication_slots") or ()
        subscriptions = await look.try_rows("subscriptions", "replication_subscriptions") or ()
        return Replication(
            at=look.at,
            cost_ms=look.cost_ms,
            is_standby=is_standby,
            interval_s=interval.seconds if interval is not None else None,
            window_s=window.seconds if window is not None else None,
            wal=wal,
            checkpoints=checkpoints,
            writes=_writes(interval or _NOTHING, window or _NOTHING),
            archiver=archiver,
            receiver=receiver,
            standbys=standbys,
            slots=tuple(_slot(row) for row in slots),
            subscriptions=tuple(_subscription(row) for row in subscriptions),
            unread=look.unread,
        )

    async def _wal(self, look: Look, interval: Grown, window: Grown) -> WalFlow:
        rows = await look.try_rows("size of the WAL directory", "replication_wal_files")
        return WalFlow(
            bytes_per_s=interval.rate("wal_bytes"),
            records_per_s=interval.rate("wal_records"),
            images_per_s=interval.rate("wal_images"),
            buffers_full=window.of("wal_buffers_full"),
            files=rows[0]["files"] if rows else None,
            files_bytes=rows[0]["bytes"] if rows else None,
        )

    async def _checkpoints(self, look: Look, window: Grown) -> Checkpoints:
        rows = await look.try_rows("age of the last checkpoint", "replication_checkpoint")
        write_ms, sync_ms = window.of("write_ms"), window.of("sync_ms")
        return Checkpoints(
            timed=window.of("timed"),
            requested=window.of("requested"),
            write_s=None if write_ms is None else write_ms / 1000,
            sync_s=None if sync_ms is None else sync_ms / 1000,
            last_s=rows[0]["age_s"] if rows else None,
            every=clean(rows[0]["every"], 20) if rows else "",
            most=clean(rows[0]["most"], 20) if rows else "",
        )

    async def _archiver(self, look: Look, window: Grown) -> Archiver | None:
        rows = await look.try_rows("WAL archiver", "replication_archiver")
        if not rows:
            return None
        row = rows[0]
        return Archiver(
            is_on=row["is_on"],
            is_failing=row["is_failing"],
            archived=window.of("archived"),
            failed=window.of("failed"),
            archived_s_ago=row["archived_s_ago"],
            failed_s_ago=row["failed_s_ago"],
            failed_file=clean(row["last_failed_wal"] or "", 60),
        )

    async def _receiver(self, look: Look, at: float, epoch: object) -> Receiver | None:
        rows = await look.try_rows("WAL receiver", "replication_receiver")
        if not rows:
            return None
        row = rows[0]
        if row["receivers"] and row["status"] is None:
            why = "the role may not see what the WAL receiver does"
            look.note("where the WAL comes from", why, _GRANT.format(role=look.panels.rights.role))
        conflicts = await look.try_rows("conflicts with replay", "replication_conflicts")
        if conflicts:
            self._conflicts.add(at, conflicts[0], epoch=epoch)
        grown = self._conflicts.over(WINDOW_S)
        return Receiver(
            status=clean(row["status"] or ("hidden" if row["receivers"] else ""), 20),
            sender=clean(f"{row['host']}:{row['port']}", 120) if row["host"] else "",
            slot=clean(row["slot"], 63),
            silent_s=row["silent_s"],
            behind_bytes=row["behind_bytes"],
            replay_s=row["replay_s"],
            is_paused=row["is_paused"],
            conflicts=None if grown is None else {name: value for name, value in grown.counters.items() if value},
        )

    async def _standbys(self, look: Look) -> tuple[Standby, ...]:
        rows = await look.try_rows("standbys", "replication_standbys") or ()
        if any(row["state"] is None for row in rows):
            why = "the role may not see how far they are"
            look.note("lag of the standbys", why, _GRANT.format(role=look.panels.rights.role))
        return tuple(
            Standby(
                name=clean(row["name"], 63),
                pid=row["pid"],
                client=clean(row["client"], 60),
                state=clean(row["state"] or "", 20),
                sync=clean(row["sync_state"] or "", 20),
                **{
                    name: row[name]
                    for name in (
                        "behind_bytes", "send_bytes", "write_bytes", "flush_bytes", "replay_bytes", "write_s",
                        "flush_s", "replay_s", "silent_s",
                    )
                },
            )
            for row in rows
        )  # fmt: skip


def _writes(interval: Grown, window: Grown) -> Writes:
    return Writes(
        checkpointer=interval.rate("checkpoint_bytes"),
        background=interval.rate("background_bytes"),
        sessions=interval.rate("backend_bytes"),
        session_fsyncs=interval.rate("backend_fsyncs"),
        background_stops=window.of("background_stops"),
    )


def _slot(row: Mapping[str, Any]) -> Slot:
    return Slot(
        name=clean(row["name"], 63),
        kind=row["kind"],
        database=clean(row["database"], 63),
        plugin=clean(row["plugin"], 63),
        is_active=row["is_active"],
        inactive_s=row["inactive_s"],
        wal_status=row["wal_status"],
        retained_bytes=row["retained_bytes"],
        safe_bytes=row["safe_wal_size"],
        xmin_age=row["xmin_age"],
        invalid=row["invalid"],
    )


def _subscription(row: Mapping[str, Any]) -> Subscription:
    return Subscription(
        name=clean(row["name"], 63),
        is_enabled=row["is_enabled"],
        is_running=row["pid"] is not None,
        silent_s=row["silent_s"],
        tables=row["tables"],
        copying=row["copying"],
        apply_errors=row["apply_errors"],
        sync_errors=row["sync_errors"],
    )
