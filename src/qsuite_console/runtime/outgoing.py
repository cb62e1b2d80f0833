"""What leaves for addresses that people state: one guarded client for calls and webhooks of a whole runtime."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from qsuite_console.config.settings import Settings
from qsuite_console.engine.control import Control
from qsuite_console.engine.gate import who
from qsuite_console.history.store import SqliteStore
from qsuite_console.model.clock import Clock
from qsuite_console.notify.carriers import carriers
from qsuite_console.notify.courier import Courier
from qsuite_console.notify.enclosures import Enclosures
from qsuite_console.paths import Paths
from qsuite_console.providers.calls import CallDesk
from qsuite_console.providers.guard import policy_of
from qsuite_console.providers.outgoing import OutgoingClient
from qsuite_console.reports.storage import Storage


class Outgoing:
    """Made closed; ``open`` delivers, unless nothing runs here, and closes the client on the loop it was used on."""

    def __init__(
        self,
        settings: Settings,
        paths: Paths,
        store: SqliteStore,
        clock: Clock,
        control: Callable[[], Control],
        *,
        is_idle: bool,
    ) -> None:
        self._client = OutgoingClient(policy_of(settings.outgoing))
        self._is_idle = is_idle
        self.calls = CallDesk(
            self._client,
            settings.secrets,
            store.rates,
            clock,
            user=who(),
            per_hour=settings.outgoing.calls_per_hour,
        )
        self.courier = Courier(
            {**settings.notify, **settings.webhooks},
            store.deliveries,
            partial(store.alerts_between, settings.target.name),
            carriers(self._client, settings.smtp),
            clock,
            target=settings.target.name,
            newest=lambda: control().state.sequence,
            enclosures=Enclosures(Storage(paths)),
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Deliver until the end, then close the client."""
        try:
            if self._is_idle:
                yield
            else:
                async with self.courier.serving():
                    yield
        finally:
            await self._client.close()
