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
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

from qsuite_console import __version__, operations, workers
from qsuite_console.cache.answers import Answers, realm_of
from qsuite_console.cache.client import Cache
from qsuite_console.cache.layers import LayeredCache
from qsuite_console.config.settings import Settings
from qsuite_console.db.database import Database, describe_address, identify
from qsuite_console.db.monitoring import is_named
from qsuite_console.db.panels import PanelReader
from qsuite_console.db.pooler import PoolerConsole
from qsuite_console.engine.control import Control
from qsuite_console.engine.engine import Engine, Parts
from qsuite_console.engine.ports import Claiming, Probe, Worker
from qsuite_console.engine.scheduler import Scheduler
from qsuite_console.engine.state import TargetView
from qsuite_console.history.audit import AuditProbe
from qsuite_console.history.store import open_store
from qsuite_console.metrics.monitoring import Monitoring
from qsuite_console.metrics.sampler import PlatformSampler
from qsuite_console.model.clock import Clock, SystemClock
from qsuite_console.model.errors import ConsoleError
from qsuite_console.paths import Paths
from qsuite_console.providers.alpaca import AlpacaClient
from qsuite_console.runtime.outgoing import Outgoing
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
) -> Iterator[Runtime]:
    """Run an engine on the instance's history until the block ends; jobs then get ``grace_s`` to stop.

    ``extra_services`` (the socket, say) are made from the engine's Control and live on its loop. Raises HistoryOwned
    naming the owner when another process runs it, HistoryUnavailable when the history can't be written.
    """
    os.umask(0o077)
    _make_directories(paths)
    clock = clock or SystemClock()
    with ExitStack() as stack:
        store = open_store(paths.history, settings=settings.engine, clock=clock)
        stack.callback(store.close)
        monitoring = None
        if claim is not Claiming.NONE:
            monitoring = open_monitoring(settings, paths, store, clock)
            stack.callback(monitoring.recorder.close)
        outside = _Outside(settings, paths, clock, monitoring, is_reading=claim is Claiming.NONE)
        is_sandbox = settings.target.word.upper() == "SANDBOX"
        scheduler = Scheduler(store.schedules, defaults(is_sandbox=is_sandbox))
        found: list[Engine] = []  # the engine's own parts are told of it before it exists

        def control() -> Control:
            return found[0].control

        outgoing = Outgoing(settings, store, clock, control, is_idle=claim is Claiming.NONE)
        services = dataclasses.replace(
            outside.services, books=store, schedules=scheduler, calls=outgoing.calls, courier=outgoing.courier
        )
        parts = Parts(
            store=store,
            workers=_workers(services),
            probes={**_probes(services), AuditProbe.name: AuditProbe(store, clock)},
            operations=operations.load(services),
            sampler=None if claim is Claiming.NONE else _sampler(services, paths, control),
            scheduler=scheduler,
            services=(outside.open(), outgoing.open(), *(_late(factory, control) for factory in extra_services)),
        )
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


class _Outside:
    """The clients of the outside world, made closed; ``open`` closes them on the loop they were used on."""

    def __init__(
        self, settings: Settings, paths: Paths, clock: Clock, monitoring: Monitoring | None, *, is_reading: bool
    ) -> None:
        self._settings = settings
        self._database = Database(settings.database)
        self._cache = Cache(settings.cache)
        self._panels = PanelReader(settings.database, clock)
        self._pooler = PoolerConsole(settings)
        self._layers = _layers(settings, None if is_reading else self._cache, clock)
        self._provider: AlpacaClient | None = None
        self.services = workers.Services(
            settings=settings,
            clock=clock,
            database=self._database,
            cache=self._cache,
            provider=self._provide,
            panels=self._panels,
            pooler=self._pooler,
            monitoring=monitoring,
            paths=paths,
            answers=Answers(self._layers),
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Close every client at the end, each whatever became of the others."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._database.close)
            stack.push_async_callback(self._panels.close)
            stack.push_async_callback(self._pooler.close)
            stack.push_async_callback(self._cache.close)
            stack.push_async_callback(self._close_provider)
            stack.callback(self.services.renderer.close)
            await stack.enter_async_context(self._layers.listening())
            yield

    def _provide(self) -> AlpacaClient:
        if self._provider is None:
            self._provider = AlpacaClient(self._settings.provider)
        return self._provider

    async def _close_provider(self) -> None:
        if self._provider is not None:
            await self._provider.close()


def _layers(settings: Settings, cache: Cache | None, clock: Clock) -> LayeredCache:
    """Return where dear answers are kept; of a read-only target in memory only, since nothing is written there."""
    target = settings.target
    realm = realm_of(target.name, *identify(settings.database), *dataclasses.astuple(settings.tables))
    return LayeredCache(None if target.read_only else cache, clock, realm=realm)


def _make_directories(paths: Paths) -> None:
    try:
        paths.ensure()
    except OSError as error:
        raise ConsoleError(
            f"can't make the console's directories: {error.filename}: {error.strerror}",
            hint="check its permissions, or set QSUITE_CONSOLE_HOME to a directory of yours",
        ) from error


def _workers(services: workers.Services) -> Mapping[str, Worker]:
    found: dict[str, Worker] = {}
    for name in workers.kinds():
        try:
            found[name] = workers.load(name, services)
        except Exception:  # another package's plug-in may be broken; ours and the console must open all the same
            if name in workers.REGISTRY:
                raise
            _log.exception("the job kind %s of another package can't be loaded", name)
    if services.settings.commands:
        from qsuite_console.workers.command.worker import declared

        found |= declared(services.settings.commands)
    return found


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
