"""The questions about who is told of what: endpoints, deliveries, one delivery with its tries."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from qsuite_console.config.notices import Endpoint, Way
from qsuite_console.engine.parameters import decode
from qsuite_console.history.deliveries import DeliveryReader
from qsuite_console.model.clock import Clock
from qsuite_console.model.deliveries import (
    Delivery,
    DeliveryDetail,
    DeliveryPage,
    DeliveryQuery,
    DeliveryState,
    EndpointList,
    EndpointView,
)
from qsuite_console.model.errors import ConsoleError
from qsuite_console.notify.courier import Courier

if TYPE_CHECKING:
    from qsuite_console.workers import Services

NOBODY: Final = "nobody is told from here"


class LogParameters(msgspec.Struct, frozen=True, kw_only=True):
    """A page: ``before`` is the ``next_before`` of the one above it."""

    endpoint: Annotated[str, msgspec.Meta(max_length=100)] = ""
    state: DeliveryState | None = None
    text: Annotated[str, msgspec.Meta(max_length=200)] = ""
    before: int | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class NumberParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which delivery."""

    number: Annotated[int, msgspec.Meta(ge=1)]


class ListParameters(msgspec.Struct, frozen=True, kw_only=True):
    """``job``: also say who is to be told of the end of just this one; 0 is none."""

    job: Annotated[int, msgspec.Meta(ge=0)] = 0


class _Probe:
    timeout_s = 5.0

    def __init__(self, services: Services) -> None:
        self._services = services
        self._clock = services.clock

    @property
    def _courier(self) -> Courier:
        return courier_of(self._services)


class ListProbe(_Probe):
    """Answers ``webhooks.list``: everybody who is told, in whichever way."""

    name = "webhooks.list"

    async def ask(self, parameters: Mapping[str, Any]) -> EndpointList:
        """Return them by name; raises HistoryUnavailable."""
        wanted: ListParameters = decode(ListParameters, parameters)
        courier = self._courier
        problems = {
            name: await asyncio.to_thread(courier.problem, endpoint) for name, endpoint in courier.endpoints.items()
        }
        found = await list_endpoints(courier.endpoints, courier.book, courier.target, self._clock, problems)
        if not wanted.job:
            return found
        watched = await courier.book.watches.of([wanted.job])
        endpoints = tuple(
            msgspec.structs.replace(one, is_told_of_job=(wanted.job, one.name) in watched) for one in found.endpoints
        )
        return msgspec.structs.replace(found, endpoints=endpoints)


class LogProbe(_Probe):
    """Answers ``webhooks.log`` by pages."""

    name = "webhooks.log"

    async def ask(self, parameters: Mapping[str, Any]) -> DeliveryPage:
        """Return a page of deliveries, newest first; raises InvalidParameters, HistoryUnavailable."""
        wanted: LogParameters = decode(LogParameters, parameters)
        courier, begun = self._courier, self._clock.monotonic()
        page = await courier.book.page(courier.target, DeliveryQuery(**msgspec.structs.asdict(wanted)))
        cost_ms = round(1000 * (self._clock.monotonic() - begun), 1)
        return msgspec.structs.replace(page, at=self._clock.now(), cost_ms=cost_ms)


class DeliveryProbe(_Probe):
    """Answers ``webhooks.delivery``."""

    name = "webhooks.delivery"

    async def ask(self, parameters: Mapping[str, Any]) -> DeliveryDetail:
        """Return one with its tries and its body; raises NotFound, InvalidParameters, HistoryUnavailable."""
        wanted: NumberParameters = decode(NumberParameters, parameters)
        return await self._courier.book.detail(self._courier.target, wanted.number)


def courier_of(services: Services) -> Courier:
    """Return who delivers; raises ConsoleError where nobody does."""
    if services.courier is None:
        raise ConsoleError(NOBODY, hint="an engine delivers")
    return services.courier


async def list_endpoints(
    endpoints: Mapping[str, Endpoint],
    book: DeliveryReader | None,
    target: str,
    clock: Clock,
    problems: Mapping[str, str],
) -> EndpointList:
    """Return endpoints with how their deliveries stand, where there is a history yet; raises HistoryUnavailable."""
    tallies = {} if book is None else await book.tallies(target)
    disabled = {} if book is None else await book.disabled(target)
    failing = {} if book is None else await book.failing(target)
    views = []
    for name, endpoint in sorted(endpoints.items()):
        waiting, delivered, dead, last_at = tallies.get(name, (0, 0, 0, None))
        since, why = disabled.get(name, (None, ""))
        views.append(
            EndpointView(
                name=name,
                way=endpoint.way.value,
                where=where_of(endpoint),
                events=endpoint.events,
                enabled=endpoint.enabled,
                problem=problems.get(name, ""),
                disabled_at=since,
                disabled_why=why,
                waiting=waiting,
                dead=dead,
                delivered=delivered,
                last_at=last_at,
                failing=failing.get(name, ""),
            )
        )
    return EndpointList(endpoints=tuple(views), at=clock.now())


def where_of(endpoint: Endpoint) -> str:
    """Return where an endpoint is, without anything secret of it: a webhook's path may be."""
    if endpoint.way is Way.COMMAND:
        return endpoint.command[0]
    return ", ".join(endpoint.email) if endpoint.way is Way.EMAIL else endpoint.url_reference


def standing(one: Delivery) -> str:
    """Return how a delivery stands, in words."""
    tries = f"{one.attempts} tries" if one.attempts != 1 else "1 try"
    if one.state is DeliveryState.DELIVERED:
        said = f" answered {one.status}" if one.status is not None else ""
        but = f"; {one.error}" if one.error else ""
        return f"delivered in {one.latency_ms or 0:,.0f} ms{',' if said else ''}{said}{but}"
    if one.state is DeliveryState.DEAD:
        return f"not tried any more after {tries}: {one.error}"
    if one.next_at is None or not one.error:
        return "waits for its first try"
    return f"{one.error}; {tries} so far, the next at {one.next_at:%m-%d %H:%M:%S} UTC"
