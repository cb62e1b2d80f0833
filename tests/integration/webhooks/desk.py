"""A courier on a real history, a receiver that verifies with the published library, and a clock by hand."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp.web as web
import pytest
from msgspec import structs
from standardwebhooks import webhooks
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from integration.calls.canary import Receiver, serving
from qsuite_console.config.notices import Endpoint, SmtpSettings, declare_notice, declare_webhook
from qsuite_console.config.outgoing import parse_allowances
from qsuite_console.config.settings import EngineSettings
from qsuite_console.history.store import SqliteStore, open_store
from qsuite_console.model.deliveries import Delivery, DeliveryQuery
from qsuite_console.model.health import Alert, AlertState, Level
from qsuite_console.model.jobs import Job, JobState, Outcome
from qsuite_console.model.runs import Ending
from qsuite_console.notify.carriers import carriers
from qsuite_console.notify.courier import Courier
from qsuite_console.providers.guard import Policy
from qsuite_console.providers.outgoing import OutgoingClient

OLD = "whsec_" + base64.b64encode(b"old-secret-of-the-desk-000001").decode()
NEW = "whsec_" + base64.b64encode(b"new-secret-of-the-desk-000002").decode()
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TARGET = "default"


class HandClock:
    """Time that passes when a test says so."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return (self.at - START).total_seconds()


@contextmanager
def told_time(clock: Any) -> Iterator[None]:
    """Let the library, which asks the machine for the time, ask a clock instead."""
    if clock is None:
        yield
        return

    class Told(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return clock.now()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(webhooks, "datetime", Told)
        yield


class Verifier(Receiver):
    """Keeps what the published library verifies with any of the secrets, at the receiver's own time."""

    def __init__(self, *secrets: str, clock: Any = None) -> None:
        super().__init__()
        self.secrets = secrets
        self.clock = clock
        self.verified: list[tuple[str, dict[str, Any]]] = []  # (id, payload)
        self.refused: list[str] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        for secret in self.secrets:
            try:
                with told_time(self.clock):
                    payload = Webhook(secret).verify(body, dict(request.headers))
            except WebhookVerificationError:
                continue
            self.verified.append((request.headers["webhook-id"], payload))
            break
        else:
            self.refused.append(request.headers.get("webhook-id", ""))
        return await super().handle(request)


class Desk:
    """What a test works with."""

    def __init__(self, store: SqliteStore, courier: Courier, clock: Any) -> None:
        self.store, self.courier, self.clock = store, courier, clock

    async def tick(self, seconds: float = 0.0) -> int:
        """Let time pass, notice and deliver what is due; returns the number of tries."""
        if seconds:
            self.clock.at += timedelta(seconds=seconds)
        await self.courier.notice()
        return await self.courier.deliver()

    async def deliveries(self) -> Sequence[Delivery]:
        page = await self.store.deliveries.page(TARGET, DeliveryQuery(limit=1000))
        return tuple(reversed(page.deliveries))

    async def job(self, state: JobState = JobState.FAILED, *, kind: str = "backfill", origin: str = "test") -> Job:
        """Make a job that has just ended."""
        now = self.clock.now()
        job = Job(
            id=0,
            kind=kind,
            title=f"a {kind}",
            queue="general",
            priority=5,
            state=JobState.QUEUED,
            parameters={"symbols": "canary-parameter"},
            created_at=now,
            run_at=now,
            max_attempts=1,
            correlation_id="c-1",
            origin=origin,
        )
        inserted = await self.store.insert(job, dedupe_key=None, now=now)
        claim = await self.store.claim_one(inserted.job.id, owner="me", now=now)
        assert claim is not None
        outcome = {JobState.FAILED: Outcome.FAILED, JobState.SUCCEEDED: Outcome.SUCCEEDED}[state]
        ending = Ending(outcome=outcome, error="it broke" if state is JobState.FAILED else None)
        return await self.store.finish(claim.job.id, claim.job.attempt, ending, owner="me", now=now)

    async def alert(self, **changes: Any) -> Alert:
        """Keep an alert as the book does."""
        alert = Alert(
            id="host.cpu",
            source="host",
            level=Level.WARNING,
            state=AlertState.FIRING,
            message="CPU 91 %",
            since=self.clock.now(),
            title="CPU",
            value=91.0,
            unit="%",
            limit="warn 80 %",
        )
        alert = structs.replace(alert, **changes)
        await self.store.keep_alerts(TARGET, (alert,), None)
        return alert


def webhook(url: str, environ: Mapping[str, str] | None = None, **body: Any) -> Endpoint:
    given = {"url": url, "secret": "env:DESK", **body}
    return declare_webhook("desk", given, {"DESK": OLD, "NEXT": NEW} if environ is None else environ)


def notice(name: str = "oncall", **body: Any) -> Endpoint:
    return declare_notice(name, body, {})


@asynccontextmanager
async def desk(
    path: Path,
    *endpoints: Endpoint,
    clock: Any = None,
    smtp: SmtpSettings | None = None,
    begins: bool = True,
    port: int = 80,
) -> AsyncIterator[Desk]:
    clock = clock or HandClock()
    store = open_store(path / "history.sqlite", settings=EngineSettings(), clock=clock)
    client = OutgoingClient(Policy(allowances=parse_allowances("127.0.0.1"), ports=frozenset({port})))
    courier = Courier(
        {endpoint.name: endpoint for endpoint in endpoints},
        store.deliveries,
        partial(store.alerts_between, TARGET),
        carriers(client, smtp or SmtpSettings()),
        clock,
        target=TARGET,
    )
    try:
        if begins:
            await courier.notice()
        yield Desk(store, courier, clock)
    finally:
        await client.close()
        store.close()


@asynccontextmanager
async def told(path: Path, **body: Any) -> AsyncIterator[tuple[Verifier, Desk, HandClock]]:
    """A webhook with its receiver, both by a clock that is moved by hand."""
    clock = HandClock()
    async with serving(Verifier(OLD, clock=clock)) as receiver:
        assert isinstance(receiver, Verifier)
        async with desk(path, webhook(receiver.url, **body), clock=clock) as found:
            yield receiver, found, clock
