"""What the panels of Redis or Valkey are answered with. Sizes are bytes, rates are over ``interval_s`` seconds.

Names of keys are escaped (``model.keys``); None is what this server does not tell or the user may not read.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from qsuite_console.model.advice import Finding, Unread

# upper ends of the classes of a TTL histogram, seconds; the first class has no TTL, the last has more than the last end
TTL_ENDS: tuple[int, ...] = (10, 60, 600, 3600, 86_400)
TTL_LABELS: tuple[str, ...] = ("no TTL", "≤ 10 s", "≤ 1 min", "≤ 10 min", "≤ 1 h", "≤ 1 d", "> 1 d")


class Keyspace(msgspec.Struct, frozen=True, kw_only=True):
    """One numbered database; ``is_ours``: the one the console is connected to."""

    number: int
    keys: int
    expiring: int
    average_ttl_s: float | None = None
    is_ours: bool = False


class Spike(msgspec.Struct, frozen=True, kw_only=True):
    """The newest and the worst of one kind of latency event that the server noted."""

    event: str
    at: datetime
    latest_ms: float
    worst_ms: float


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """A replica as its primary sees it."""

    address: str
    state: str
    behind: int | None = None  # bytes
    heard_s: float | None = None  # since its last acknowledgement


class Persistence(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept over a crash. ``problems`` are in words; empty: none."""

    snapshots: str | None = None  # the setting "save": "" is never
    saved_at: datetime | None = None
    unsaved: int | None = None  # changes since then
    is_saving: bool = False
    is_appending: bool | None = None  # AOF
    log_size: int | None = None
    fork_ms: float | None = None
    problems: tuple[str, ...] = ()


class Replication(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the server copies, or who copies it."""

    role: str = ""  # "primary", "replica"
    primary: str = ""  # a replica's: host:port
    link: str = ""  # a replica's: "up", "down"
    silent_s: float | None = None  # a replica's: since it heard of its primary
    replicas: tuple[Replica, ...] = ()


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """What happened between two readings, a second; None: that counter is missing or was reset meanwhile."""

    commands: float | None = None
    lookups: float | None = None
    hit_rate: float | None = None  # percent; None below 50 lookups
    evicted: float | None = None
    expired: float | None = None
    rejected: float | None = None  # connections
    received: float | None = None  # bytes
    sent: float | None = None  # bytes
    processor: float | None = None  # percent of one core, the main thread's


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Where the memory is. ``allocator_wasted`` is what fragmentation costs."""

    used: int | None = None
    peak: int | None = None
    resident: int | None = None
    limit: int = 0  # 0: none
    policy: str = ""
    host: int | None = None
    dataset: int | None = None
    overhead: int | None = None
    clients: int | None = None
    scripts: int | None = None
    backlog: int | None = None
    ratio: float | None = None  # resident / used
    allocator_ratio: float | None = None
    allocator_wasted: int | None = None


class MemoryPanel(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``cache.memory``; the rates are over the last ``interval_s`` seconds."""

    at: datetime
    server: str  # "Valkey 9.1.2"
    mode: str = "standalone"
    uptime_s: float | None = None
    memory: Memory = Memory()
    interval_s: float | None = None  # None: counters were reset between the readings
    flow: Flow = Flow()
    clients: int | None = None
    clients_limit: int | None = None
    blocked: int | None = None
    ping_p50_ms: float | None = None
    ping_p99_ms: float | None = None
    pings: int = 0
    spikes: tuple[Spike, ...] = ()
    persistence: Persistence = Persistence()
    replication: Replication = Replication()
    keyspaces: tuple[Keyspace, ...] = ()
    unread: tuple[Unread, ...] = ()
    cost_ms: float = 0.0


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """Keys whose names begin alike. ``keys`` and ``size`` are estimates unless the panel ``is_whole``."""

    name: str  # "price:*"; "" collects the small rest
    seen: int
    keys: float
    measured: int  # keys whose type, TTL and size were asked
    size: float | None = None
    types: dict[str, int] = {}  # of those measured
    ageless: float | None = None  # share without TTL, 0 to 1
    ttl: tuple[float, ...] = ()  # share of each class of TTL_LABELS
    use: str = "cache"  # "broker", "results"
    example: str = ""


class FamilyPanel(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``cache.families``: what a sample of the names tells, biggest family first."""

    at: datetime
    total: int  # keys of this database
    seen: int
    is_whole: bool
    seconds: float
    measured: int = 0
    families: tuple[Family, ...] = ()
    ttl: tuple[float, ...] = ()
    unread: tuple[Unread, ...] = ()
    cost_ms: float = 0.0


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key; ``name`` is the escaped name, cut where ``is_cut``: such a key can't be named in an operation."""

    name: str
    type: str = ""
    size: int | None = None
    ttl_s: float | None = None
    is_lasting: bool | None = None  # it has no TTL; None: not known
    is_cut: bool = False


class KeyOrder(StrEnum):
    """How keys are listed: as the server gives them, page by page, or the biggest of a sample."""

    BIGGEST = "biggest"
    SCAN = "scan"


class KeyPage(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``cache.keys``. ``cursor``: ask for the next page with it, "" at the end."""

    at: datetime
    total: int
    looked_at: int  # names the server walked over for this page
    sized: int = 0  # keys whose size was asked
    order: KeyOrder
    pattern: str = ""
    keys: tuple[Key, ...] = ()
    cursor: str = ""
    is_whole: bool = False  # everything was looked at, by this page alone
    seconds: float = 0.0
    unread: tuple[Unread, ...] = ()
    cost_ms: float = 0.0


class Element(msgspec.Struct, frozen=True, kw_only=True):
    """One element of a value: field, index, score or id, and its value, both escaped and perhaps cut."""

    name: str
    value: str


class KeyDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``cache.key``. ``lines`` preview a string, ``elements`` anything else; never more than is safe."""

    at: datetime
    name: str
    type: str
    encoding: str = ""
    ttl_s: float | None = None
    is_lasting: bool | None = None
    size: int | None = None
    length: int | None = None  # elements, or bytes of a string
    idle_s: float | None = None
    format: str = ""  # of a string: "JSON", "text", "binary"
    lines: tuple[str, ...] = ()
    elements: tuple[Element, ...] = ()
    preview: str = ""  # what part is shown: "newest 50 of 1,204"
    use: str = "cache"
    unread: tuple[Unread, ...] = ()
    cost_ms: float = 0.0


class SlowCall(msgspec.Struct, frozen=True, kw_only=True):
    """A command of the slow log. Values it wrote are hidden; ``problem`` says why such a command is harmful."""

    id: int
    at: datetime
    ms: float
    command: str
    arguments: str = ""
    client: str = ""
    problem: str = ""


class SlowPanel(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``cache.slowlog``, newest first."""

    at: datetime
    threshold_ms: float | None = None  # negative: switched off
    length: int = 0
    most: int | None = None
    calls: tuple[SlowCall, ...] = ()
    unread: tuple[Unread, ...] = ()
    cost_ms: float = 0.0


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """A connection to the server; ``is_ours``: one of the console's."""

    id: int
    address: str
    name: str = ""
    library: str = ""
    user: str = ""
    database: int | None = None
    age_s: float | None = None
    idle_s: float | None = None
    command: str = ""
    memory: int | None = None
    output: int | None = None  # bytes that wait to be read by it
    subscriptions: int = 0
    state: str = ""  # "blocked", "pub/sub", "replica", "closing", "in MULTI"
    is_ours: bool = False


class ClientPanel(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``cache.clients``, most memory first."""

    at: datetime
    total: int
    limit: int | None = None
    clients: tuple[Client, ...] = ()
    unread: tuple[Unread, ...] = ()
    cost_ms: float = 0.0


class CommandUse(msgspec.Struct, frozen=True, kw_only=True):
    """One command over the interval; the percentiles are since the server's start, as it keeps no others."""

    name: str
    calls: float  # a second
    mean_us: float | None = None  # of the interval's calls
    processor: float = 0.0  # percent of the interval spent in it
    failed: float = 0.0  # a second
    rejected: float = 0.0  # a second
    p50_us: float | None = None
    p99_us: float | None = None
    total: int = 0  # calls since the start


class CommandPanel(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``cache.commands``, most processor time first."""

    at: datetime
    interval_s: float | None = None  # None: counters were reset between the readings
    commands: tuple[CommandUse, ...] = ()
    unread: tuple[Unread, ...] = ()
    cost_ms: float = 0.0


class CacheAdvice(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``cache.advice``: what it is used for, and what to change."""

    at: datetime
    use: str  # "queues of a broker and cached values"
    interval_s: float = 0.0
    findings: tuple[Finding, ...] = ()
    unread: tuple[Unread, ...] = ()
    cost_ms: float = 0.0
