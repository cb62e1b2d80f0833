"""Front end for Celery: takes messages, claims the runs they speak of, and does them as an engine would. No screen.

The parent consumes and never touches a database. Each process of its pool has a thread with an event loop, made once
(``worker_process_init``) so that connections outlive a job; the main thread only waits, and so stays open to Celery's
signals. A job that blocks the loop for nearly as long as its lease ends its process: another may begin it then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import mmap
import os
import socket
import threading
import time
import warnings
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from importlib import import_module
from typing import Any, Final, TypeVar

from celery import signals
from celery.exceptions import CPendingDeprecationWarning, SoftTimeLimitExceeded
from celery.platforms import SecurityWarning

from qsuite_console import logs, workers
from qsuite_console.config.settings import Settings
from qsuite_console.db.database import Database
from qsuite_console.db.errors import DatabaseError
from qsuite_console.db.runs import RunBook
from qsuite_console.distributed.celery_pipe import TASK, make_app
from qsuite_console.distributed.claimer import Claimer
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.handing import Run
from qsuite_console.model.jobs import Outcome
from qsuite_console.paths import Paths
from qsuite_console.runtime import view_target
from qsuite_console.runtime.outside import Outside, load_workers

_BLOCKED: Final = 0.7  # of a lease: beyond it the lease can't be renewed in time
_PULSE_S: Final = 0.5
_CLAIM_S: Final = 10.0  # to claim while the database is away; then the console sends the message again
_STOP_S: Final = 10.0
_EXIT_STUCK: Final = 75
_STOPPED: Final = frozenset({Outcome.SUCCEEDED, Outcome.CANCELLED, Outcome.PAUSED, Outcome.INTERRUPTED})
T = TypeVar("T")
log = logging.getLogger(__name__)


class RunFailed(Exception):
    """How a failed run looks to Celery's own monitors; the run itself is in the run table."""


def serve(settings: Settings, paths: Paths, *, queues: Sequence[str], concurrency: int, name: str = "") -> int:
    """Work until SIGTERM, let jobs reach a safe point, and return the exit code; call from the main thread."""
    logging.captureWarnings(True)
    warnings.simplefilter("ignore", SecurityWarning)  # it speaks of a flag that is not ours
    warnings.simplefilter("ignore", CPendingDeprecationWarning)  # and of settings that are chosen with care
    if os.geteuid() == 0:
        log.warning("the worker runs as root, and so do all of its jobs: give it a user of its own")
    _prepare(settings)
    _import_workers()
    draining = mmap.mmap(-1, 1)  # shared with the processes that are forked: the parent is going down
    app = make_app(settings, queues)
    processes: list[PoolProcess] = []

    def begin(**_: Any) -> None:
        _leave_file()
        processes[:] = [PoolProcess(settings, paths, draining)]
        processes[0].start()

    def end(**_: Any) -> None:
        for process in processes:
            process.stop()

    def run_job(job_id: int, attempt: int, token: str) -> str:
        return processes[0].work(job_id, attempt, token)

    def drain(**_: Any) -> None:
        draining[0] = 1

    def keep_logging(**_: Any) -> None:
        """Leave logging as it is, with one line a job, ours: Celery sets up its own unless somebody listens here."""
        if log.getEffectiveLevel() > logging.DEBUG:
            for chatty in ("celery.app.trace", "celery.worker.strategy"):
                logging.getLogger(chatty).setLevel(logging.WARNING)

    app.task(name=TASK, throws=(RunFailed,), ignore_result=True)(run_job)
    listeners = (
        (signals.setup_logging, keep_logging),
        (signals.worker_process_init, begin),
        (signals.worker_process_shutdown, end),
        (signals.worker_shutting_down, drain),
    )
    for signal, listener in listeners:
        signal.connect(listener, weak=False)
    try:
        worker = app.Worker(
            hostname=name or f"qsuite-{os.getpid()}@{socket.gethostname()}",
            concurrency=concurrency,
            loglevel=settings.log_level,
            quiet=True,
            without_gossip=True,
            without_mingle=True,
        )
        log.info("serving %s with %d processes", ", ".join(queues), concurrency)
        worker.start()
        return int(worker.exitcode or 0)
    finally:
        for signal, listener in listeners:
            signal.disconnect(listener)


class PoolProcess:
    """What one process of the pool works with; ``work`` is called by its main thread, one job at a time."""

    def __init__(self, settings: Settings, paths: Paths, draining: mmap.mmap) -> None:
        self._settings = settings
        self._paths = paths
        self._draining = draining
        self._owner = f"{socket.gethostname()}:{os.getpid()}:celery"
        self._loop = asyncio.new_event_loop()
        self._ready: Future[Claimer] = Future()
        self._stopping = asyncio.Event()
        self._seen_at = time.monotonic()
        self._is_pressed = False
        self._blocked_s = _BLOCKED * settings.runs.lease_s
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)

    def start(self) -> None:
        """Begin the thread; what it opens is opened when a job needs it."""
        self._thread.start()

    def stop(self) -> None:
        """Close what is open and end the thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended already, with what was open
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_STOP_S)

    def work(self, job_id: int, attempt: int, token: str) -> str:
        """Claim the run and do it; return what became of it, or raise RunFailed. A duplicate is dropped."""
        claimer = self._ready.result()
        run = self._wait(self._claim(claimer, job_id, attempt, token))
        if run is None:
            return "dropped: it was taken, cancelled or replaced already"
        started = time.monotonic()
        ending = self._wait(claimer.execute(run))
        became = "given up" if ending is None else ending.outcome.value
        log.info("job %d (%s), attempt %d: %s after %.2f s", job_id, run.claim.job.kind, attempt, became,
                 time.monotonic() - started)  # fmt: skip
        self._leave_stray(job_id)
        if ending is None:
            return "given up: another has it"
        if ending.outcome in _STOPPED:
            return ending.outcome.value
        raise RunFailed(f"job {job_id}, attempt {attempt}: {ending.error or ending.outcome.value}")

    def _leave_stray(self, job_id: int) -> None:
        """End this process where a job ignored its limits and was left behind: it must not go on beside the next."""
        if any(task.get_name() == f"job-{job_id}" for task in asyncio.all_tasks(self._loop)):
            log.error("job %d was left behind: its process ends with it", job_id)
            os._exit(_EXIT_STUCK)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for the loop's thread; end this process where the loop has been blocked for too long."""
        self._seen_at = time.monotonic()
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        while True:
            try:
                return future.result(_PULSE_S)
            except SoftTimeLimitExceeded:
                log.error("a job outlived its own limits: it is cancelled")
                self._loop.call_soon_threadsafe(self._press)
            except TimeoutError:
                if future.done():
                    return future.result()
                if time.monotonic() - self._seen_at > self._blocked_s:
                    log.critical(
                        "a job has kept its process from everything else for %d s: the process ends, the job is taken "
                        "up by another when its lease is over",
                        self._blocked_s,
                    )
                    os._exit(_EXIT_STUCK)

    async def _claim(self, claimer: Claimer, job_id: int, attempt: int, token: str) -> Run | None:
        until, pause_s = time.monotonic() + _CLAIM_S, 0.2
        while True:
            try:
                return await claimer.book.claim_sent(job_id, attempt, token, owner=self._owner)
            except DatabaseError as error:
                if not error.is_transient or time.monotonic() + pause_s > until:
                    raise
                log.warning("job %d can't be claimed yet: %s", job_id, error.message)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 2.0)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._main())
        except BaseException as error:
            log.exception("a process of the pool can't work")
            if not self._ready.done():
                self._ready.set_exception(error)
        finally:
            self._loop.close()

    async def _main(self) -> None:
        clock, settings = SystemClock(), self._settings
        outside = Outside(settings, self._paths, clock, None, is_reading=False)
        database = Database(settings.database, application="qsuite-console/celery")
        claimer = Claimer(
            _book(database, settings),
            load_workers(outside.services),
            owner=self._owner,
            target=view_target(settings),
            clock=clock,
        )
        try:
            async with outside.open(), claimer.attending():
                self._ready.set_result(claimer)
                while not self._stopping.is_set():
                    self._seen_at = time.monotonic()
                    self._drain(claimer)
                    await asyncio.sleep(_PULSE_S)
        finally:
            await database.close()

    def _drain(self, claimer: Claimer) -> None:
        if self._draining[0] and claimer.active and not self._is_pressed:
            self._is_pressed = True
            claimer.drain(self._settings.engine.drain_s)

    def _press(self) -> None:
        self._ready.result().drain(0.0)


def _book(database: Database, settings: Settings) -> RunBook:
    return RunBook(database, settings.runs.table, lease_s=settings.runs.lease_s)


def _prepare(settings: Settings) -> None:
    """Make the run table if it is not there; a database that is away for now is no reason not to start."""

    async def prepare() -> None:
        database = Database(settings.database, application="qsuite-console/celery")
        try:
            await _book(database, settings).prepare()
        finally:
            await database.close()

    try:
        asyncio.run(prepare())
    except DatabaseError as error:
        if not error.is_transient:
            raise
        log.warning("the run table can't be reached yet: %s", error.message)


def _import_workers() -> None:
    """Import every worker before processes are forked: they start at once, and share the memory."""
    for path in workers.REGISTRY.values():
        import_module(path.partition(":")[0])


def _leave_file() -> None:
    """Write to stderr only: a log file that rotates has one writer, the parent."""
    root = logging.getLogger()
    for handler in (*root.handlers,):
        if isinstance(handler, logs.PrivateRotatingFile):
            root.removeHandler(handler)
