"""Every setting with its type, unit and default. Loading and origins are in ``config.loading``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from qsuite_console.config.api import ApiSettings, ApiToken
from qsuite_console.config.commands import Command
from qsuite_console.config.notices import Endpoint, SmtpSettings
from qsuite_console.config.outgoing import NamedSecret, OutgoingSettings
from qsuite_console.config.queues import QueuePlan, RunSettings
from qsuite_console.config.rules import RULES, Rule
from qsuite_console.config.secrets import Secret
from qsuite_console.model.handing import Execution

# queue -> (slots, priority of its jobs): requirement C2
QUEUES: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        "execution": (4, 8),
        "ai": (2, 6),
        "data_processing": (3, 5),
        "analytics": (2, 5),
        "generation": (2, 5),
        "general": (4, 5),
        "maintenance": (1, 2),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSettings:
    """The platform the console points at."""

    name: str = "default"
    word: str = ""  # shown in the header: PRODUCTION, SANDBOX
    colour: str = "primary"  # theme token: primary, success, warning, error
    read_only: bool = False
    production: bool | None = None  # changes want the name typed; None: by word and name (prod, production, live)
    paper_execution: bool = False  # orders may be filled on paper: never where others trade with them
    engine_url: str = ""  # of an engine that runs elsewhere; "": one of this machine
    engine_token: Secret = field(default_factory=lambda: Secret(""))


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """PostgreSQL. An empty DSN means libpq's own PG* variables and pgpass."""

    dsn: Secret = field(default_factory=lambda: Secret(""))
    pool_min: int = 1
    pool_max: int = 10
    connect_timeout_s: float = 3.0
    command_timeout_s: float = 10.0
    pgbouncer: bool = False  # transaction pooling: no statement cache, no start-up parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolerSettings:
    """PgBouncer's admin console. An empty DSN means that of the database where it leads to PgBouncer."""

    dsn: Secret = field(default_factory=lambda: Secret(""))


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """Redis or Valkey."""

    url: Secret = field(default_factory=lambda: Secret(""))
    timeout_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CelerySettings:
    """Celery on Redis: the broker that is watched, and through which jobs go to workers of our own."""

    broker_url: Secret = field(default_factory=lambda: Secret(""))  # "" is the cache's
    key_prefix: str = ""  # global_keyprefix of the platform's Celery
    queue_prefix: str = "qsuite."  # of the queues our own jobs are sent through
    visibility_timeout_s: int = 7200
    resend_s: float = 15.0  # a message nobody took for so long is sent again, unless it still waits
    concurrency: int = 2  # processes of one worker
    tasks_per_child: int = 200
    memory_per_child_mb: int = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """An Alpaca-compatible market-data provider."""

    data_url: str = "https://data.alpaca.markets"
    trading_url: str = "https://paper-api.alpaca.markets"
    key_id: Secret = field(default_factory=lambda: Secret(""))
    secret_key: Secret = field(default_factory=lambda: Secret(""))
    rate_limit: int = 200  # requests a minute until the provider's headers say otherwise
    feed: str = ""  # "" lets the provider choose
    adjustment: str = "raw"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillSettings:
    """Defaults of the backfill; None leaves the profile's own value (requirement D4)."""

    profile: str = "adaptive"
    batch_size: int | None = None  # symbols a request (BACKFILL_BATCH_SIZE)
    concurrent_requests: int | None = None  # BACKFILL_CONCURRENT_REQUESTS
    delay_s: float | None = None  # between requests (RATE_LIMIT_DELAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSettings:
    """Names of the platform's tables, optionally schema-qualified."""

    tickers: str = "market_data_ticker"
    market_data: str = "market_data_marketdata"
    price_ticks: str = "price_ticks"
    calendar: str = "market_calendar"
    coverage: str = "backfill_coverage"
    pipelines: str = "pipelines"
    pipeline_runs: str = "pipeline_runs"
    task_runs: str = "task_runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """The job engine."""

    queues: Mapping[str, int] = field(default_factory=lambda: {name: slots for name, (slots, _) in QUEUES.items()})
    durability: str = "full"  # "full" survives power loss, "normal" a kill
    max_rescues: int = 5
    drain_s: float = 15.0
    result_ttl_s: float = 86_400.0
    history_max_age_days: int = 90
    history_max_jobs: int = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """Reports as files, and what rendering one may cost."""

    keep_days: float = 7.0
    time_limit_s: float = 60.0  # of one rendering
    memory_mb: int = 1024  # of the process that renders
    max_mb: int = 64  # of one report
    total_mb: int = 1024  # of all reports that are kept
    time_zone: str = ""  # "" is the machine's own


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceSettings:
    """The screen."""

    bell: str = "critical"  # which alerts ring it: "off", "critical", "warning" (both)
    theme: str = "auto"  # by what the terminal can show: dark, ansi with sixteen colours, mono with NO_COLOR
    keymap: Mapping[str, str] = field(default_factory=dict)  # command id -> keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of it, resolved: file < environment < flags."""

    target: TargetSettings = field(default_factory=TargetSettings)
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    pooler: PoolerSettings = field(default_factory=PoolerSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    celery: CelerySettings = field(default_factory=CelerySettings)
    provider: ProviderSettings = field(default_factory=ProviderSettings)
    backfill: BackfillSettings = BackfillSettings()
    tables: TableSettings = TableSettings()
    engine: EngineSettings = field(default_factory=EngineSettings)
    runs: RunSettings = field(default_factory=RunSettings)
    reports: ReportSettings = ReportSettings()
    outgoing: OutgoingSettings = field(default_factory=OutgoingSettings)
    smtp: SmtpSettings = field(default_factory=SmtpSettings)
    api: ApiSettings = field(default_factory=ApiSettings)
    interface: InterfaceSettings = field(default_factory=InterfaceSettings)
    thresholds: Mapping[str, Rule] = field(default_factory=lambda: RULES)  # every rule, as it is in force
    others: Mapping[str, DatabaseSettings] = field(default_factory=dict)  # databases of the other targets: only read
    queues: Mapping[str, QueuePlan] = field(default_factory=dict)  # those that say more than their slots
    commands: Mapping[str, Command] = field(default_factory=dict)  # external programs that may be run as jobs
    secrets: Mapping[str, NamedSecret] = field(default_factory=dict)  # what calls may refer to by name
    webhooks: Mapping[str, Endpoint] = field(default_factory=dict)
    notify: Mapping[str, Endpoint] = field(default_factory=dict)  # told by a command or by e-mail
    tokens: Mapping[str, ApiToken] = field(default_factory=dict)  # who may ask over TCP
    log_level: str = "INFO"

    @property
    def away(self) -> Mapping[str, QueuePlan]:
        """Return the queues whose jobs others do; none of a read-only target, where nothing is handed out."""
        if self.target.read_only:
            return {}
        return {name: plan for name, plan in self.queues.items() if plan.execution is not Execution.LOCAL}

    @property
    def at_once(self) -> Mapping[str, int]:
        """Return how many jobs of each queue run at once, here or in the hands of others."""
        return {**self.engine.queues, **{name: plan.in_flight for name, plan in self.away.items()}}

    @property
    def broker_url(self) -> Secret:
        """Return where Celery's messages are: the broker's own URL, or the cache's where none is stated."""
        return self.celery.broker_url or self.cache.url
