"""Delivering again, testing, and telling an endpoint again that asked not to be told: allowed on a read-only target
too, since nothing of the platform changes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from qsuite_console.engine.ports import OperationKind
from qsuite_console.model.deliveries import DeliveryState
from qsuite_console.model.errors import Conflict
from qsuite_console.model.operations import Outcome, Proposal
from qsuite_console.notify.courier import Courier
from qsuite_console.notify.probes import courier_of, standing

if TYPE_CHECKING:
    from qsuite_console.workers import Services

_PATIENCE_S: Final = 20.0
_LOOK_S: Final = 0.05


class EndpointParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which endpoint: a webhook, or somebody told by a program or e-mail."""

    endpoint: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=40,
            title="Endpoint",
            description="name of a webhook, or of somebody told by a program or e-mail",
            examples=["desk"],
        ),
    ]


class DeliveryParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which delivery, by its number in the log."""

    number: Annotated[int, msgspec.Meta(ge=1, title="Delivery", description="its number in the log", examples=[41])]


class Notifying:
    """What all that tell somebody share."""

    kind: OperationKind

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def _courier(self) -> Courier:
        return courier_of(self._services)

    def _proposal(
        self, title: str, lines: tuple[str, ...], do: str, parameters: msgspec.Struct, *, asks: bool = False
    ) -> Proposal:
        return Proposal(
            operation=self.kind.name,
            title=title,
            lines=lines,
            do=do,
            parameters=msgspec.to_builtins(parameters),
            asks=asks,
        )

    async def _followed(self, number: int) -> Outcome:
        """Wait a while for a delivery to be tried, and tell how it went."""
        courier = self._courier
        found = (await courier.book.detail(courier.target, number)).delivery
        waited, before = 0.0, found.tried_at
        if not courier.is_serving and found.state is DeliveryState.WAITING:
            await courier.send(number)
            found = (await courier.book.detail(courier.target, number)).delivery
        while found.state is DeliveryState.WAITING and found.tried_at == before and waited < _PATIENCE_S:
            await asyncio.sleep(_LOOK_S)
            waited += _LOOK_S
            found = (await courier.book.detail(courier.target, number)).delivery
        return Outcome(
            operation=self.kind.name,
            is_done=found.state is DeliveryState.DELIVERED,
            message=f"delivery {number} to {found.endpoint}: {standing(found)}",
            figures={"number": number, "id": found.id, "state": found.state.value},
        )


class Redeliver(Notifying):
    """Delivers again, with the same id."""

    kind = OperationKind(
        name="webhooks.redeliver",
        title="Deliver again",
        help="Deliver a notice again, with the same id: from the start of the schedule, also a dead one.",
        parameters=DeliveryParameters,
        changes_target=False,
        timeout_s=30.0,
    )

    async def propose(self, parameters: DeliveryParameters) -> Proposal:
        """Name what would be delivered; raises NotFound."""
        one = (await self._courier.book.detail(self._courier.target, parameters.number)).delivery
        lines = (f"{one.event}, {one.subject}", standing(one), "The receiver sees the same id as before.")
        return self._proposal(
            f"Deliver {one.number} to {one.endpoint} again?", lines, "deliver it", parameters, asks=True
        )

    async def perform(self, parameters: DeliveryParameters) -> Outcome:
        """Deliver it and tell how the next try went; raises NotFound, Conflict for an endpoint that is told nothing."""
        courier = self._courier
        one = (await courier.book.detail(courier.target, parameters.number)).delivery
        await courier.willing(one.endpoint)
        if one.state is DeliveryState.WAITING and one.tried_at is None:
            return await self._followed(one.number)
        await courier.book.redeliver(courier.target, (one.number,), self._services.clock.now())
        courier.wake()
        return await self._followed(one.number)


class Test(Notifying):
    """Sends a test."""

    kind = OperationKind(
        name="webhooks.test",
        title="Test endpoint",
        help="Send a webhook, program or e-mail a notice that says it is a test, and tell how it went.",
        parameters=EndpointParameters,
        changes_target=False,
        timeout_s=30.0,
    )

    async def propose(self, parameters: EndpointParameters) -> Proposal:
        """Name where the test would go; raises NotFound."""
        endpoint = self._courier.find(parameters.endpoint)
        problem = await asyncio.to_thread(self._courier.problem, endpoint)
        lines = (problem,) if problem else ("It is signed, sent and logged like any other.",)
        return self._proposal(f"Send a test to {endpoint.name}?", lines, "send it", parameters)

    async def perform(self, parameters: EndpointParameters) -> Outcome:
        """Send it once; raises NotFound, Conflict for an endpoint that is told nothing."""
        endpoint = self._courier.find(parameters.endpoint)
        if not endpoint.enabled:
            raise Conflict(f"{endpoint.name} is told nothing", hint="set enabled = true in its table")
        return await self._followed(await self._courier.test(endpoint.name))


class Enable(Notifying):
    """Tells an endpoint again."""

    kind = OperationKind(
        name="webhooks.enable",
        title="Tell endpoint again",
        help="Tell an endpoint again that answered 410 Gone: from now on; what it missed can be delivered by hand.",
        parameters=EndpointParameters,
        changes_target=False,
    )

    async def propose(self, parameters: EndpointParameters) -> Proposal:
        """Say why it is told nothing; raises NotFound."""
        endpoint = self._courier.find(parameters.endpoint)
        since, why = (await self._courier.book.disabled(self._courier.target)).get(endpoint.name, (None, ""))
        lines = ("It is told already.",) if since is None else (f"since {since:%Y-%m-%d %H:%M} UTC: {why}",)
        return self._proposal(f"Tell {endpoint.name} again?", lines, "tell it", parameters)

    async def perform(self, parameters: EndpointParameters) -> Outcome:
        """Tell it again from now on."""
        endpoint = self._courier.find(parameters.endpoint)
        was = await self._courier.book.enable(self._courier.target, endpoint.name)
        said = "is told again from now on" if was else "was told already"
        return Outcome(operation=self.kind.name, is_done=was, message=f"{endpoint.name} {said}")
