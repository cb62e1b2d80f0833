"""Celery as a pipe: a message says which attempt of which run may be claimed, and with which token; nothing else.

What became of a run is never read from Celery. Its messages may be lost, doubled or late without harm: the claim is
made in PostgreSQL. The only module beside ``celery_worker`` that imports celery, and only when a queue wants it:
importing it costs a quarter of a second of CPU.
"""

from __future__ import annotations

import importlib.util
import ssl
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from qsuite_console.config.settings import Settings
from qsuite_console.model.errors import ConsoleError, UsageProblem
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from celery import Celery
    from kombu import Connection

TASK: Final = "qsuite.run"
LOWEST: Final = 9  # the console's priorities: 9 is the most urgent; Redis serves 0 first
SOFT_SLACK_S: Final = 5.0  # the job's own limits come first, Celery's are the net below them
HARD_SLACK_S: Final = 30.0
CONNECT_S: Final = 3.0
ANSWER_S: Final = 10.0


class BrokerGone(ConsoleError):
    """The broker refused or did not answer; a message that was not sent is sent again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One message: what a worker needs to claim the run, where it goes, and how long it may take."""

    job_id: int
    attempt: int
    token: str
    queue: str
    priority: int
    limit_s: float = 0.0  # the job's own hard limit; 0: none

    @property
    def message_id(self) -> str:
        """Return the task's id in Celery, the same each time it is sent, so that monitors show one task."""
        return f"qsuite-{self.job_id}-{self.attempt}-{self.token[:12]}"


def require_celery() -> None:
    """Raise UsageProblem with the one line to do where the extra is not installed."""
    if importlib.util.find_spec("celery") is None:
        raise UsageProblem("Celery is not installed here: pip install 'qsuite-console[celery]'")


def broker_queue(settings: Settings, queue: str) -> str:
    """Return the broker's name of one of the console's queues."""
    return f"{settings.celery.queue_prefix}{queue}"


def broker_url(settings: Settings) -> str:
    """Return the broker's URL as kombu reads it, with its password; raises UsageProblem where there is none."""
    url = settings.broker_url.reveal()
    if not url:
        raise UsageProblem("no broker is configured for Celery", hint="set celery.broker_url, or REDIS_URL")
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    query = dict(parse_qsl(parts.query))
    database = query.pop("db", "0")
    return f"redis+socket://{parts.netloc}{parts.path}?{urlencode({'virtual_host': database, **query})}"


def make_app(settings: Settings, queues: Iterable[str] = ()) -> Celery:
    """Return a Celery app with settings fit for leased runs; ``queues`` are those a worker consumes.

    A message is acknowledged when it is taken, since the lease and not the broker brings a lost run back. Its own
    ``unacked`` keys keep it apart from other apps on the broker, whose visibility timeout would rule ours.
    """
    require_celery()
    from celery import Celery
    from kombu import Exchange, Queue

    own, prefix = settings.celery, settings.celery.queue_prefix
    app = Celery("qsuite-console", broker=broker_url(settings), set_as_current=False)
    names = [broker_queue(settings, queue) for queue in queues]
    app.conf.update(
        broker_transport_options={
            "global_keyprefix": own.key_prefix,
            "priority_steps": list(range(LOWEST + 1)),
            "queue_order_strategy": "round_robin",  # of equal urgency: no queue starves another
            "visibility_timeout": own.visibility_timeout_s,
            "unacked_key": f"{prefix}unacked",
            "unacked_index_key": f"{prefix}unacked_index",
            "unacked_mutex_key": f"{prefix}unacked_mutex",
            "socket_keepalive": True,
            "socket_connect_timeout": CONNECT_S,
            "socket_timeout": ANSWER_S,
            "client_name": "qsuite-console/celery",
        },
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_use_ssl=_tls(settings),
        task_queues=[Queue(name, Exchange(name), routing_key=name) for name in names],
        task_default_queue=names[0] if names else f"{prefix}none",
        task_create_missing_queues=True,
        task_default_priority=LOWEST // 2,
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=False,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_send_sent_event=True,
        worker_send_task_events=True,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_concurrency=own.concurrency,
        worker_max_tasks_per_child=own.tasks_per_child,
        worker_max_memory_per_child=own.memory_per_child_mb * 1024,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_proc_alive_timeout=60.0,
        enable_utc=True,
    )
    return app


class Pipe:
    """Sends messages and counts those that wait. Every method blocks, for at most some seconds: call it on a thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._app: Celery | None = None
        self._connection: Connection | None = None

    @property
    def where(self) -> str:
        """Return the broker's address without credentials."""
        parts = urlsplit(self._settings.broker_url.reveal())
        return clean(f"{parts.hostname}:{parts.port or 6379}{parts.path}" if parts.hostname else parts.path, 200)

    def send(self, order: Order) -> None:
        """Put the message at the end of its queue and priority; raises BrokerGone."""
        with self._lock:
            try:
                connection = self._connected()
                self._ready().send_task(
                    TASK,
                    producer=connection.Producer(),
                    kwargs={"job_id": order.job_id, "attempt": order.attempt, "token": order.token},
                    task_id=order.message_id,
                    queue=broker_queue(self._settings, order.queue),
                    priority=LOWEST - min(LOWEST, max(0, order.priority)),
                    soft_time_limit=order.limit_s + SOFT_SLACK_S if order.limit_s > 0 else None,
                    time_limit=order.limit_s + HARD_SLACK_S if order.limit_s > 0 else None,
                    kwargsrepr=f"{{'job_id': {order.job_id}, 'attempt': {order.attempt}}}",
                    ignore_result=True,
                    retry=False,
                )
            except Exception as error:
                self._explain(error)
                raise

    def waiting(self, queues: Iterable[str]) -> Mapping[str, int]:
        """Return how many messages wait in each of the console's queues, of all priorities; raises BrokerGone."""
        with self._lock:
            try:
                channel = self._connected().default_channel
                return {queue: int(channel._size(broker_queue(self._settings, queue))) for queue in queues}
            except Exception as error:
                self._explain(error)
                raise

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        with self._lock:
            self._disconnect()
            app, self._app = self._app, None
            if app is not None:
                app.close()

    def _ready(self) -> Celery:
        if self._app is None:
            self._app = make_app(self._settings)
            self._app.conf.broker_transport_options |= {"max_retries": 1, "interval_start": 0}
        return self._app

    def _connected(self) -> Connection:
        """Return a connection of the pipe's own: those of Celery's pools outlive the app they were opened for."""
        if self._connection is None:
            self._connection = self._ready().connection_for_write()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()

    def _explain(self, error: Exception) -> None:
        """Disconnect, and raise BrokerGone for a failure of the driver; return for anything else."""
        from kombu.exceptions import KombuError

        known: tuple[type[Exception], ...] = (KombuError, OSError)
        if self._connection is not None:
            known = (*known, *self._connection.connection_errors, *self._connection.channel_errors)
        self._disconnect()
        if isinstance(error, known):
            raise BrokerGone(
                f"the broker {self.where} refuses or is away: {clean(error, 200).rstrip('.')}",
                hint="start it, or correct celery.broker_url",
            ) from error


def _tls(settings: Settings) -> Mapping[str, Any] | None:
    """Return how the broker's certificate is checked: by default as browsers do."""
    parts = urlsplit(settings.broker_url.reveal())
    if parts.scheme != "rediss":
        return None
    given = {name: value for name, value in parse_qsl(parts.query) if name.startswith("ssl_")}
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True, **given}
