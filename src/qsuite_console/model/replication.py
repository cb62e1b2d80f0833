"""How PostgreSQL's WAL flows: who follows it, what holds it back, how much is written, and how checkpoints go."""

from __future__ import annotations

from datetime import datetime

import msgspec

from qsuite_console.model.advice import Unread


class Standby(msgspec.Struct, frozen=True, kw_only=True):
    """A server that follows this one. Each stage's bytes are what the one before it has and it has not yet."""

    name: str
    pid: int
    client: str
    state: str  # "streaming", "catchup", "backup"; "" hidden
    sync: str  # "async", "sync", "quorum", "potential"
    behind_bytes: float | None  # all stages together
    send_bytes: float | None = None
    write_bytes: float | None = None
    flush_bytes: float | None = None
    replay_bytes: float | None = None
    write_s: float | None = None  # None: nothing was written lately
    flush_s: float | None = None
    replay_s: float | None = None
    silent_s: float | None = None


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A replication slot: WAL from ``retained_bytes`` back is kept for it, whether anybody reads it or not."""

    name: str
    kind: str  # "physical", "logical"
    database: str = ""
    plugin: str = ""
    is_active: bool = False
    inactive_s: float | None = None
    wal_status: str = ""  # "reserved", "extended", "unreserved", "lost"
    retained_bytes: int | None = None
    safe_bytes: int | None = None  # that may still be written before it loses WAL; None: without limit
    xmin_age: int | None = None  # transactions whose dead rows it keeps from VACUUM
    invalid: str = ""


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A logical subscription of this database; error counts are since the statistics began, None before 15."""

    name: str
    is_enabled: bool
    is_running: bool
    silent_s: float | None
    tables: int
    copying: int
    apply_errors: int | None = None
    sync_errors: int | None = None


class Receiver(msgspec.Struct, frozen=True, kw_only=True):
    """The standby's side: where its WAL comes from, and how far replay is behind what was received."""

    status: str  # "streaming", "waiting", …; "" no receiver runs
    sender: str  # host:port, "" hidden or none
    slot: str
    silent_s: float | None
    behind_bytes: float | None
    replay_s: float | None
    is_paused: bool
    conflicts: dict[str, float] | None = None  # queries cancelled by replay within the window, by cause


class Archiver(msgspec.Struct, frozen=True, kw_only=True):
    """The WAL archive; counts are of the window, ages since the last of each."""

    is_on: bool
    is_failing: bool
    archived: float | None = None
    failed: float | None = None
    archived_s_ago: float | None = None
    failed_s_ago: float | None = None
    failed_file: str = ""


class Checkpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Checkpoints of the window, None before there is one; ``last_s`` is the age of the last, ``every`` and ``most``
    the settings checkpoint_timeout and max_wal_size as the server writes them.
    """

    timed: float | None = None
    requested: float | None = None
    write_s: float | None = None
    sync_s: float | None = None
    last_s: float | None = None
    every: str = ""
    most: str = ""


class Writes(msgspec.Struct, frozen=True, kw_only=True):
    """Who writes pages, bytes a second over the interval; sessions should hardly ever have to."""

    checkpointer: float | None = None
    background: float | None = None
    sessions: float | None = None
    session_fsyncs: float | None = None  # a second
    background_stops: float | None = None  # of the window: it had written its share and stopped


class WalFlow(msgspec.Struct, frozen=True, kw_only=True):
    """WAL over the interval, and what of it lies in the server's directory."""

    bytes_per_s: float | None = None
    records_per_s: float | None = None
    images_per_s: float | None = None  # whole pages, after a checkpoint
    buffers_full: float | None = None  # of the window: sessions had to write WAL for want of buffers
    files: int | None = None
    files_bytes: int | None = None


class Replication(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of the probe ``database.replication``: rates over ``interval_s``, counts over ``window_s`` seconds."""

    at: datetime
    cost_ms: float
    is_standby: bool
    interval_s: float | None = None
    window_s: float | None = None
    wal: WalFlow = WalFlow()
    checkpoints: Checkpoints = Checkpoints()
    writes: Writes = Writes()
    archiver: Archiver | None = None
    receiver: Receiver | None = None
    standbys: tuple[Standby, ...] = ()
    slots: tuple[Slot, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    unread: tuple[Unread, ...] = ()
