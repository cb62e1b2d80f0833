"""What leaves for addresses that people state: one guarded client for calls and webhooks of a whole runtime."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from qsuite_console.config.settings import Settings
from qsuite_console.engine.gate import who
from qsuite_console.history.store import SqliteStore
from qsuite_console.model.clock import Clock
from qsuite_console.providers.calls import CallDesk
from qsuite_console.providers.guard import policy_of
from qsuite_console.providers.outgoing import OutgoingClient


class Outgoing:
    """Made closed; ``open`` closes the client on the loop it was used on."""

    def __init__(self, settings: Settings, store: SqliteStore, clock: Clock) -> None:
        self._client = OutgoingClient(policy_of(settings.outgoing))
        self.calls = CallDesk(
            self._client,
            settings.secrets,
            store.rates,
            clock,
            user=who(),
            per_hour=settings.outgoing.calls_per_hour,
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Close the client at the end."""
        try:
            yield
        finally:
            await self._client.close()
