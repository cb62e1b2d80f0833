"""What each setting means, the variable that sets it and the values it takes: one row a setting.

Loading validates by this table; the reference page, the commented example file and ``config show`` are printed from
it. A test keeps it complete against ``config.settings``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,62}(\.[A-Za-z_][A-Za-z0-9_$]{0,62})?")
PROFILES: Final = (
    "adaptive",
    "baseline",
    "conservative",
    "aggressive",
    "maximum",
    "development",
    "production",
    "high",
)
COLOURS: Final = ("primary", "secondary", "accent", "success", "warning", "error")
LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One setting: its help, its environment variable and what a good value is."""

    help: str
    env: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    form: str = ""  # "dsn", "redis", "http", "identifier"


CATALOGUE: Final[Mapping[str, Entry]] = {
    "log_level": Entry(help="how much the log file holds", env="LOG_LEVEL", choices=LEVELS),
    "target.name": Entry(help="name of the platform, as the header shows it"),
    "target.word": Entry(help="a word nobody can overlook in the header: PRODUCTION, SANDBOX"),
    "target.colour": Entry(help="colour of that word, a theme token", choices=COLOURS),
    "target.read_only": Entry(help="refuse what would change the platform's data", env="QSUITE_CONSOLE_READ_ONLY"),
    "target.production": Entry(
        help="changes want the target's name typed; unset: where word or name says prod, production or live"
    ),
    "target.paper_execution": Entry(
        help="let `orders settle` fill pending orders on paper; only where nobody trades with them for real"
    ),
    "target.engine_url": Entry(
        help="where this target's engine answers, if it runs elsewhere: the console attaches to it and every command "
        "asks it; http://127.0.0.1:8765, https://ops.example.org, unix:/path/to/engine.sock",
        form="engine",
    ),
    "target.engine_token": Entry(help="its bearer token: env:NAME, file:/path, or the token itself"),
    "database.dsn": Entry(
        help="postgresql://user:password@host:port/name; empty: the PG* variables and ~/.pgpass decide",
        env="DATABASE_URL",
        form="dsn",
    ),
    "database.pool_min": Entry(help="connections kept open", env="DB_POOL_MIN_SIZE", minimum=0, maximum=100),
    "database.pool_max": Entry(help="connections at most", env="DB_POOL_MAX_SIZE", minimum=1, maximum=500),
    "database.connect_timeout_s": Entry(help="seconds to wait for a connection", minimum=0.1, maximum=300),
    "database.command_timeout_s": Entry(help="seconds a panel's query may take", minimum=0.1, maximum=3600),
    "database.pgbouncer": Entry(help="the DSN leads to PgBouncer in transaction mode: no prepared statements"),
    "pooler.dsn": Entry(
        help="postgresql://user:password@host:6432/pgbouncer, PgBouncer's console, for a user in its stats_users; "
        "empty: host, user and password of database.dsn where database.pgbouncer is set",
        env="PGBOUNCER_ADMIN_URL",
        form="dsn",
    ),
    "cache.url": Entry(help="redis://[user:password@]host:port/db or rediss://", env="REDIS_URL", form="redis"),
    "cache.timeout_s": Entry(help="seconds one command may take", minimum=0.1, maximum=60),
    "celery.broker_url": Entry(
        help="redis:// or rediss:// of Celery's broker; empty: cache.url", env="QSUITE_CONSOLE_BROKER_URL", form="redis"
    ),
    "celery.key_prefix": Entry(
        help="global_keyprefix in the platform's broker_transport_options: begins every key that its Celery writes"
    ),
    "celery.queue_prefix": Entry(
        help="begins the names of the broker's queues that carry the console's own jobs", form="prefix"
    ),
    "celery.visibility_timeout_s": Entry(
        help="seconds until the broker hands out again what a worker took and never acknowledged; longer than any job",
        minimum=60,
        maximum=604_800,
    ),
    "celery.resend_s": Entry(
        help="seconds until a job that no worker has taken is sent again, where its message is gone",
        minimum=1,
        maximum=3600,
    ),
    "celery.concurrency": Entry(help="jobs that one celery-worker runs at once", minimum=1, maximum=256),
    "celery.tasks_per_child": Entry(help="jobs until a worker's process is replaced", minimum=1, maximum=1_000_000),
    "celery.memory_per_child_mb": Entry(
        help="MiB of memory beyond which a worker's process is replaced after its job", minimum=64, maximum=1_000_000
    ),
    "provider.data_url": Entry(help="market data of the provider", env="APCA_API_DATA_URL", form="http"),
    "provider.trading_url": Entry(help="assets and calendar of the provider", env="APCA_API_BASE_URL", form="http"),
    "provider.key_id": Entry(help="API key", env="APCA_API_KEY_ID"),
    "provider.secret_key": Entry(help="API secret", env="APCA_API_SECRET_KEY"),
    "provider.rate_limit": Entry(
        help="requests a minute until the provider's headers say otherwise", minimum=1, maximum=1_000_000
    ),
    "provider.feed": Entry(help="sip, iex, otc, …; empty: the provider chooses"),
    "provider.adjustment": Entry(
        help="of prices for splits and dividends", choices=("raw", "split", "dividend", "all")
    ),
    "backfill.profile": Entry(help="how hard a backfill pulls", choices=PROFILES),
    "backfill.batch_size": Entry(
        help="symbols a request; unset: the profile's", env="BACKFILL_BATCH_SIZE", minimum=1, maximum=10_000
    ),
    "backfill.concurrent_requests": Entry(
        help="requests in flight; unset: the profile's", env="BACKFILL_CONCURRENT_REQUESTS", minimum=1, maximum=100
    ),
    "backfill.delay_s": Entry(
        help="seconds between requests; unset: the profile's", env="RATE_LIMIT_DELAY", minimum=0, maximum=60
    ),
    "tables.tickers": Entry(help="table of symbols", form="identifier"),
    "tables.market_data": Entry(help="bars with numeric columns and a foreign key to the symbols", form="identifier"),
    "tables.price_ticks": Entry(help="bars by symbol", form="identifier"),
    "tables.calendar": Entry(help="sessions of the exchange", form="identifier"),
    "tables.coverage": Entry(help="what a backfill has fetched and verified", form="identifier"),
    "tables.pipelines": Entry(help="pipelines, by name", form="identifier"),
    "tables.pipeline_runs": Entry(help="their runs, with status and times", form="identifier"),
    "tables.task_runs": Entry(help="the tasks of each run", form="identifier"),
    "engine.queues": Entry(help="slots of each queue: how many of its jobs run at once", minimum=0, maximum=1000),
    "engine.durability": Entry(
        help="full: a finished job survives power loss; normal: survives a kill", choices=("full", "normal")
    ),
    "engine.max_rescues": Entry(help="resumptions after its process died until a job fails", minimum=0, maximum=1000),
    "engine.drain_s": Entry(
        help="seconds running jobs get to save their checkpoint at shutdown", minimum=0, maximum=600
    ),
    "engine.result_ttl_s": Entry(help="seconds a result is kept", minimum=60, maximum=31_536_000),
    "engine.history_max_age_days": Entry(help="days a finished job stays in the history", minimum=1, maximum=36_500),
    "engine.history_max_jobs": Entry(help="finished jobs the history keeps", minimum=100, maximum=100_000_000),
    "runs.table": Entry(help="table of runs that other processes do; made when a queue wants it", form="identifier"),
    "runs.lease_s": Entry(
        help="seconds of silence after which a run is taken from a process and given to another", minimum=5, maximum=600
    ),
    "runs.keep_days": Entry(help="days a run stays in the table after its end", minimum=0.01, maximum=3650),
    "reports.keep_days": Entry(help="days until a report expires", minimum=0.01, maximum=3650),
    "reports.time_limit_s": Entry(help="seconds the rendering of one report may take", minimum=1, maximum=1500),
    "reports.memory_mb": Entry(help="MiB of memory the rendering may take", minimum=256, maximum=65_536),
    "reports.max_mb": Entry(help="MiB of one report at most", minimum=1, maximum=1024),
    "reports.total_mb": Entry(help="MiB of all reports together; more are refused", minimum=1, maximum=1_000_000),
    "reports.time_zone": Entry(help="zone of the times in reports, as Europe/Berlin; empty: the machine's own"),
    "outgoing.allow": Entry(
        help="hosts and networks on the inside that calls and webhooks may reach: 10.0.0.0/8, hooks.lan:8443",
        form="allowances",
    ),
    "outgoing.ports": Entry(help="ports that calls and webhooks may use elsewhere", form="ports"),
    "outgoing.calls_per_hour": Entry(
        help="calls of one address (host and path) an hour and user", minimum=1, maximum=1_000_000
    ),
    "smtp.host": Entry(help="mail server for alerts by e-mail"),
    "smtp.port": Entry(help="its port", minimum=1, maximum=65_535),
    "smtp.security": Entry(help="how the connection is secured", choices=("starttls", "tls", "none")),
    "smtp.user": Entry(help="user to log in as; empty: without"),
    "smtp.password": Entry(help="password of that user", env="QSUITE_CONSOLE_SMTP_PASSWORD"),
    "smtp.sender": Entry(help="address the mails come from; empty: qsuite-console at this host"),
    "api.listen": Entry(
        help="address and port of the HTTP interface besides the Unix socket, 127.0.0.1:8765; empty: none",
        env="QSUITE_CONSOLE_API_LISTEN",
        form="listen",
    ),
    "api.allow_remote": Entry(
        help="let it listen on an address that other machines reach; tokens then cross the network in the clear"
    ),
    "api.in_console": Entry(help="listen also while the engine runs behind a screen, not only with --headless"),
    "api.hosts": Entry(
        help="further names it is called by, behind a proxy: console.lan, console.lan:8443", form="hosts"
    ),
    "api.origins": Entry(help="web pages that may ask it: https://dash.lan", form="origins"),
    "api.requests_per_minute": Entry(help="requests a minute of one token", minimum=1, maximum=10_000_000),
    "interface.bell": Entry(help="ring the terminal when an alert fires", choices=("off", "critical", "warning")),
    "interface.theme": Entry(
        help="theme of the screen; auto goes by what the terminal can show", env="QSUITE_CONSOLE_THEME"
    ),
    "interface.keymap": Entry(help='own keys: command id = "keys", for example "jobs.cancel" = "x"'),
}

ENVIRONMENT_ONLY: Final[Mapping[str, str]] = {
    "QSUITE_CONSOLE_HOME": "directory under which configuration, state, data, cache and logs live",
    "QSUITE_CONSOLE_TARGET": "name of the target, like --target",
    "QSUITE_CONSOLE_LOG": "json writes the log as one JSON object a line",
    "NO_COLOR": "no colour in any output",
}
