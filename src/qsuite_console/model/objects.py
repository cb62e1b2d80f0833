"""Tables, indexes and what runs out in a database, as panels show them. Sizes are bytes, shares 0 to 1, times aware.

Partitions and hypertable chunks are summed up under their root; an estimate is always told from what was measured.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from qsuite_console.model.advice import Unread


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One table with its parts summed up, or one part of it (``parent`` is the root's oid then)."""

    oid: int
    parent: int | None = None
    name: str  # qualified and quoted, ready to stand in a statement
    kind: str = "r"  # relkind: r table, p partitioned, m materialised view
    parts: int = 1
    indexes: int = 0
    heap_bytes: float = 0.0
    toast_bytes: float = 0.0
    index_bytes: float = 0.0
    is_sized: bool = True  # False: sizes follow from the planner's page counts
    est_rows: float = 0.0
    live: float = 0.0
    dead: float = 0.0
    modified: float = 0.0  # rows changed since the last ANALYZE
    trigger: float = 0.0  # dead rows at which autovacuum starts
    of_trigger: float = 0.0  # dead rows as a multiple of it, of the worst part
    is_vacuumed: bool = True  # autovacuum is on
    seq_scans: float = 0.0
    seq_rows: float = 0.0
    idx_scans: float = 0.0
    vacuumed_at: datetime | None = None
    analyzed_at: datetime | None = None
    xid_age: int | None = None
    mxid_age: int | None = None
    bloat_bytes: float | None = None  # estimated; None: too small, never analysed, or its columns are not readable

    @property
    def bytes(self) -> float:
        """Return heap, TOAST and indexes together."""
        return self.heap_bytes + self.toast_bytes + self.index_bytes

    @property
    def dead_share(self) -> float | None:
        """Return the dead among all rows, None for an empty table."""
        rows = self.live + self.dead
        return self.dead / rows if rows else None

    @property
    def bloat_share(self) -> float | None:
        """Return the estimated waste as a share of the heap."""
        return None if self.bloat_bytes is None or not self.heap_bytes else min(1.0, self.bloat_bytes / self.heap_bytes)

    @property
    def index_share(self) -> float | None:
        """Return the share of scans that used an index, None where there was no scan."""
        scans = self.seq_scans + self.idx_scans
        return self.idx_scans / scans if scans else None


class Tables(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``database.tables``. ``total`` counts roots; the listing has the first of them in ``order``."""

    at: datetime
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()
    order: str = "size"
    text: str = ""
    tables: tuple[Table, ...] = ()
    total: int = 0
    parts_hidden: dict[str, int] = {}  # root's oid -> parts that an expanded root did not list
    since: datetime | None = None  # when the counters were reset; None: never
    started_at: datetime | None = None  # the server: they count at least since then
    freeze_max_age: int = 200_000_000


class ColumnFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One column; the planner's figures are None where it has none or the role may not see them."""

    name: str
    type: str
    is_required: bool = False
    default: str = ""
    null_share: float | None = None
    distinct: float | None = None  # as pg_stats has it: below 0 a multiple of the rows
    width: int | None = None


class IndexFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One index of a table."""

    name: str
    definition: str
    bytes: float | None = None
    scans: float = 0.0
    is_valid: bool = True


class TableDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``database.table``; ``name`` "" when there is no such table any more."""

    at: datetime
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()
    name: str = ""
    kind: str = "r"
    owner: str = ""
    persistence: str = "p"  # relpersistence: p permanent, u unlogged
    partition_key: str = ""
    bound: str = ""
    options: tuple[str, ...] = ()
    columns: tuple[ColumnFacts, ...] = ()
    columns_hidden: int = 0
    indexes: tuple[IndexFacts, ...] = ()
    constraints: tuple[str, ...] = ()
    inserted: float = 0.0
    updated: float = 0.0
    hot_updated: float = 0.0
    deleted: float = 0.0
    vacuums: tuple[int, int] = (0, 0)  # by hand, by autovacuum
    analyzes: tuple[int, int] = (0, 0)
    last: dict[str, datetime] = {}  # vacuum, autovacuum, analyze, autoanalyze
    hit_share: float | None = None
    since: datetime | None = None


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """One index with its parts summed up. ``verdicts``: invalid, building, duplicate, left prefix, unused …"""

    oid: int
    name: str
    relation: str
    method: str = "btree"
    parts: int = 1
    bytes: float = 0.0
    is_sized: bool = True
    scans: float = 0.0
    entries: float = 0.0
    scanned_at: datetime | None = None  # known from PostgreSQL 16 on
    writes: float = 0.0  # rows inserted or updated in its table: what keeping it costs
    is_unique: bool = False
    is_primary: bool = False
    is_constraint: bool = False
    verdicts: tuple[str, ...] = ()
    covered_by: str = ""
    definition: str = ""


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A suspicion that an index is missing, with what speaks for it; ``fix`` "" where the columns are not known."""

    oid: int
    kind: str  # "foreign key", "full scans"
    relation: str
    subject: str = ""
    rows: float = 0.0
    evidence: tuple[str, ...] = ()
    fix: str = ""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """An index that the platform's questions need; ``existing`` is what serves, is broken or has taken its name."""

    name: str
    relation: str
    state: str = "missing"  # present, building, invalid, different, missing
    existing: str = ""
    existing_oid: int = 0
    why: str = ""
    question: str = ""  # the query it serves
    statement: str = ""  # that makes it
    rows: float = 0.0
    bytes: float = 0.0  # of the table


class Indexes(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``database.indexes``. ``since``: when scans were reset, None: never; so at least since the start."""

    at: datetime
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()
    order: str = "trouble"
    text: str = ""
    indexes: tuple[Index, ...] = ()
    total: int = 0
    missing: tuple[Missing, ...] = ()
    missing_total: int = 0
    wanted: tuple[Wanted, ...] = ()
    since: datetime | None = None
    started_at: datetime | None = None
    is_standby: bool = False


class Age(msgspec.Struct, frozen=True, kw_only=True):
    """How far a database or table is from the forced vacuum and from the server's refusal to write."""

    name: str
    oid: int = 0
    is_here: bool = False  # this database, or a table of it
    xid_age: int
    mxid_age: int
    xid_forced: int = 0
    mxid_forced: int = 0
    vacuumed_at: datetime | None = None
    bytes: float | None = None


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """What keeps old row versions: a session, a slot, a prepared transaction."""

    kind: str
    id: str
    who: str = ""
    age: int | None = None  # transactions
    held_s: float | None = None


class Sequence(msgspec.Struct, frozen=True, kw_only=True):
    """One sequence; ``limit`` is its own or, if that is nearer, its column's; None: not readable or never used."""

    name: str
    feeds: str = ""
    last: int | None = None
    limit: int = 0
    share: float | None = None
    increment: int = 1
    is_cycled: bool = False


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``database.limits``: what runs out."""

    at: datetime
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()
    databases: tuple[Age, ...] = ()
    tables: tuple[Age, ...] = ()
    holders: tuple[Holder, ...] = ()
    sequences: tuple[Sequence, ...] = ()
    sequences_total: int = 0
