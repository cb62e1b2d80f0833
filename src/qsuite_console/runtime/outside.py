"""The clients of the outside world and the workers that use them: what an engine has, and a process that only works.

Nothing needs a server to be made: connections are opened on first use, on the loop that uses them.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from qsuite_console import workers
from qsuite_console.cache.answers import Answers, realm_of
from qsuite_console.cache.client import Cache
from qsuite_console.cache.layers import LayeredCache
from qsuite_console.config.settings import Settings
from qsuite_console.db.database import Database, identify
from qsuite_console.db.panels import PanelReader
from qsuite_console.db.pooler import PoolerConsole
from qsuite_console.engine.ports import Worker
from qsuite_console.metrics.celery_watch import make_watch
from qsuite_console.metrics.monitoring import Monitoring
from qsuite_console.model.clock import Clock
from qsuite_console.paths import Paths
from qsuite_console.providers.alpaca import AlpacaClient

_log = logging.getLogger(__name__)


class Outside:
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
        self._celery = make_watch(settings, self._cache, clock)
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
            celery=self._celery,
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
            stack.push_async_callback(self._celery.close)
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


def load_workers(services: workers.Services) -> Mapping[str, Worker]:
    """Return a worker for each kind there is, ours, other packages' and declared commands."""
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
