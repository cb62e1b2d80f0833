"""Settings become a running engine here, and nowhere else.

Nothing needs a server to start: connections are opened on first use, on the engine's loop, so the console opens with
everything down. What was opened is closed in reverse order, also when the caller fails.
"""

from __future__ import annotations

import dataclasses
import importlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

from qsuite_console import __version__, operations, workers
from qsuite_console.cache.client import Cache
from qsuite_console.config.settings import Settings
from qsuite_console.db.database import describe_address
from qsuite_console.db.monitoring import is_named
from qsuite_console.engine.control import Control
from qsuite_console.engine.engine import Engine, Parts
from qsuite_console.engine.ports import Claiming, Probe
from qsuite_console.engine.scheduler import Scheduler
from qsuite_console.engine.state import TargetView
from qsuite_console.history.audit import AuditProbe
from qsuite_console.history.store import SqliteStore, open_store
from qsuite_console.metrics.monitoring import Monitoring
from qsuite_console.metrics.sampler import PlatformSampler
from qsuite_console.model.clock import Clock, SystemClock
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.traffic import RequestsView
from qsuite_console.paths import Paths
from qsuite_console.runtime.distribution import Distribution
from qsuite_console.runtime.outgoing import Outgoing
from qsuite_console.runtime.outside import Outside, load_workers
from qsuite_console.runtime.watching import open_monitoring
from qsuite_console.workers.schedules import defaults

ServiceFactory = Callable[[Control], AbstractAsyncContextManager[object]]
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Runtime:
    """One running engine and what a front end needs of it. ``grace_s``: how long jobs may take to stop at the end."""

    control: Control
    engine: Engine
    settings: Settings
    paths: Paths
    origin: str
    grace_s: float


@contextmanager
def open_runtime(
    settings: Settings,
    paths: Paths,
    *,
    claim: Claiming,
    origin: str,
    extra_services: Sequence[ServiceFactory] = (),
    clock: Clock | None = None,
    is_node: bool = False,
    requests: Callable[[], RequestsView] | None = None,
) -> Iterator[Runtime]:
    """Run an engine on the instance's history until the block ends; jobs then get ``grace_s`` to stop.

    ``extra_services`` (the socket, say) are made from the engine's Control and live on its loop; ``requests`` tells
    what the socket was asked. ``is_node``: it also does what others hand out. Raises HistoryOwned naming the owner when
    another process runs it, and HistoryUnavailable when the history can't be written.
    """
    os.umask(0o077)
    _make_directories(paths)
    clock = clock or SystemClock()
    with ExitStack() as stack:
        kept = dataclasses.replace(settings.engine, queues=settings.at_once)
        store = open_store(paths.history, settings=kept, clock=clock)
        stack.callback(store.close)
        monitoring = None
        if claim is not Claiming.NONE:
            monitoring = open_monitoring(settings, paths, store, clock)
            stack.callback(monitoring.recorder.close)
        found: list[Engine] = []  # the engine's own parts are told of it before it exists
        frame = _Frame(settings, paths, clock, store, monitoring, lambda: found[0].control, claim is Claiming.NONE)
        parts = frame.parts(extra_services, requests, is_node=is_node)
        engine = Engine(
            parts,
            settings=settings.engine,
            clock=clock,
            target=view_target(settings),
            version=__version__,
            claim=claim,
        )
        found.append(engine)
        grace: list[float] = []
        stack.callback(lambda: engine.stop(grace[0] if grace else 0.0))
        engine.start()
        runtime = Runtime(engine.control, engine, settings, paths, origin, settings.engine.drain_s)
        stack.callback(lambda: grace.append(runtime.grace_s))
        yield runtime


@dataclass(frozen=True, slots=True)
class _Frame:
    """What an engine's parts are made from. ``is_idle``: it only looks, and nothing is watched, run or told."""

    settings: Settings
    paths: Paths
    clock: Clock
    store: SqliteStore
    monitoring: Monitoring | None
    control: Callable[[], Control]
    is_idle: bool

    def parts(
        self,
        extra_services: Sequence[ServiceFactory],
        requests: Callable[[], RequestsView] | None,
        *,
        is_node: bool,
    ) -> Parts:
        settings, paths, clock, store = self.settings, self.paths, self.clock, self.store
        outside = Outside(settings, paths, clock, self.monitoring, is_reading=self.is_idle)
        scheduler = Scheduler(store.schedules, defaults(is_sandbox=settings.target.word.upper() == "SANDBOX"))
        outgoing = Outgoing(settings, paths, store, clock, self.control, is_idle=self.is_idle)
        services = dataclasses.replace(
            outside.services,
            books=store,
            schedules=scheduler,
            calls=outgoing.calls,
            courier=outgoing.courier,
            requests=requests,
        )
        found = load_workers(services)
        distribution = Distribution(settings, paths, clock, view_target(settings))
        if is_node:
            distribution.serve(found)
        return Parts(
            store=store,
            workers=found,
            probes={**_probes(services), AuditProbe.name: AuditProbe(store, clock)},
            operations=operations.load(services),
            sampler=None if self.is_idle else _sampler(services, paths, self.control),
            scheduler=scheduler,
            executors=distribution.executors,
            rejoiner=distribution.rejoiner,
            drains=(distribution.drain,),
            services=(
                outside.open(),
                outgoing.open(),
                distribution.open(),
                *(_late(factory, self.control) for factory in extra_services),
            ),
        )


def view_target(settings: Settings) -> TargetView:
    """Return what the header shows of the platform; addresses only, never credentials."""
    target = settings.target
    return TargetView(
        name=target.name,
        word=target.word,
        colour=target.colour,
        is_read_only=target.read_only,
        production=target.production,
        database=describe_address(settings.database) if is_named(settings.database) else "",
        cache=Cache(settings.cache).where,
    )


def _make_directories(paths: Paths) -> None:
    try:
        paths.ensure()
    except OSError as error:
        raise ConsoleError(
            f"can't make the console's directories: {error.filename}: {error.strerror}",
            hint="check its permissions, or set QSUITE_CONSOLE_HOME to a directory of yours",
        ) from error


def _probes(services: workers.Services) -> Mapping[str, Probe]:
    found: dict[str, Probe] = {}
    for name, path in workers.PROBES.items():
        module, _, attribute = path.partition(":")
        found[name] = services.costs.metered(getattr(importlib.import_module(module), attribute)(services))
    return found


def _sampler(services: workers.Services, paths: Paths, control: Callable[[], Control]) -> PlatformSampler:
    return PlatformSampler(
        services,
        job_counts=lambda: control().state.counts,
        queues=lambda: control().state.queues,
        statistics=lambda window_s: control().statistics(window_s),
        backfills=lambda: (*control().state.running, *control().state.recent),
        directories=(paths.state, paths.data, paths.log),
    )


@asynccontextmanager
async def _late(factory: ServiceFactory, control: Callable[[], Control]) -> AsyncIterator[None]:
    async with factory(control()):
        yield
