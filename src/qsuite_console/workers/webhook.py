"""``webhook``: tells somebody of ``[webhooks.NAME]`` or ``[notify.NAME]`` something, and waits until it has arrived.

The notice is kept, signed, tried again and logged like any other, with one id however often the job is tried. Who is to
be told is named, never an address: a job's parameters stay in the history.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from qsuite_console.engine.ports import JobContext, JobKind, Permanent
from qsuite_console.logs import REDACTOR
from qsuite_console.model import units
from qsuite_console.model.deliveries import Delivery, DeliveryState
from qsuite_console.model.kinds import Plan, PlanLine
from qsuite_console.model.text import clean
from qsuite_console.notify.probes import courier_of, standing, where_of

if TYPE_CHECKING:
    from qsuite_console.config.notices import Endpoint
    from qsuite_console.workers import Services

_MOST: Final = 16_384  # bytes of data
_LOOK_S: Final = 0.1


class WebhookParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told what."""

    endpoint: Annotated[
        str,
        msgspec.Meta(
            title="Endpoint",
            description="name of a webhook, or of somebody told by a program or e-mail",
            min_length=1,
            max_length=40,
            examples=["desk"],
        ),
    ]
    message: Annotated[
        str,
        msgspec.Meta(
            title="Message", description="what to say", min_length=1, max_length=1000, examples=["bars are complete"]
        ),
    ]
    data: Annotated[Any, msgspec.Meta(title="Data", description='a JSON object that goes along: {"run": 7}')] = ""
    wait_s: Annotated[
        float,
        msgspec.Meta(title="Wait", description="seconds until the job ends, arrived or not", ge=0, le=1500),
    ] = 60.0


class WebhookWorker:
    """``webhook``."""

    kind = JobKind(
        name="webhook",
        title="Tell somebody",
        description="Tell a webhook, a program or somebody by e-mail something, and wait until it has arrived.",
        parameters=WebhookParameters,
        changes_data=False,
        needs_host=True,  # endpoints and their secrets are of this configuration
    )

    def __init__(self, services: Services) -> None:
        self._services = services
        self._endpoints: Mapping[str, Endpoint] = {**services.settings.notify, **services.settings.webhooks}

    def title(self, parameters: WebhookParameters) -> str:
        """Return the line by which people recognise the job."""
        return clean(f"tell {parameters.endpoint.strip()}: {parameters.message.strip()}", 80)

    def check(self, parameters: WebhookParameters) -> Mapping[str, str]:
        """Return what is wrong with who and what; quotes no value."""
        found = {}
        endpoint = self._endpoints.get(parameters.endpoint.strip())
        if endpoint is None:
            known = ", ".join(sorted(self._endpoints)) or "none is configured"
            found["endpoint"] = f"nobody is told under this name; known: {known}"
        elif not endpoint.enabled:
            found["endpoint"] = f"{endpoint.name} is told nothing: set enabled = true in its table"
        if not parameters.message.strip():
            found["message"] = "must say something"
        try:
            text = msgspec.json.encode(_data(parameters)).decode()
        except ValueError as error:
            found["data"] = str(error)
            text = ""
        for field, value in (("message", parameters.message), ("data", text)):
            if REDACTOR.mask(value) != value:
                found[field] = "holds a secret of the configuration, which would stay in the history"
        return found

    async def plan(self, parameters: WebhookParameters) -> Plan:
        """Return who would be told what, and what stands in the way; sends nothing."""
        courier = courier_of(self._services)
        endpoint = courier.find(parameters.endpoint)
        problem = await asyncio.to_thread(courier.problem, endpoint)
        data = _data(parameters)
        return Plan(
            kind=self.kind.name,
            title=self.title(parameters),
            lines=(
                PlanLine(label="to", value=endpoint.name, note=f"by {endpoint.way}: {clean(where_of(endpoint), 200)}"),
                PlanLine(label="message", value=clean(parameters.message, 200)),
                *([PlanLine(label="data", value=units.size(len(msgspec.json.encode(data))))] if data else []),
            ),
            warnings=(problem,) if problem else (),
        )

    async def run(self, context: JobContext, parameters: WebhookParameters) -> Mapping[str, Any]:
        """Send it and return its delivery; raises Permanent where it has not arrived in time, with how it goes on."""
        courier, clock = courier_of(self._services), self._services.clock
        began, name = clock.monotonic(), parameters.endpoint.strip()
        number = await courier.say(
            name,
            parameters.message.strip(),
            _data(parameters),
            job_id=context.job_id,
            mark=f"{context.job_id} {context.correlation_id}",
        )
        context.log.info("it goes to %s as delivery %d", name, number)
        said = ""
        while True:
            found = (await courier.book.detail(courier.target, number)).delivery
            if (words := standing(found)) != said:
                said = words
                context.progress(float(found.state is DeliveryState.DELIVERED), 1, unit="deliveries", message=words)
            if found.state is not DeliveryState.WAITING or clock.monotonic() - began >= parameters.wait_s:
                break
            await context.breathe()
            await asyncio.sleep(_LOOK_S)
        if found.state is not DeliveryState.DELIVERED:
            raise Permanent(_missed(found, parameters.wait_s))
        context.log.info("%s: %s", name, words)
        return {
            "endpoint": name,
            "delivery": number,
            "id": found.id,
            "tries": found.attempts,
            "status": found.status,
            "latency_ms": found.latency_ms,
        }


def _missed(found: Delivery, waited_s: float) -> str:
    how = f"delivery {found.number}: {standing(found)}"
    if found.state is DeliveryState.DEAD:
        return f"{found.endpoint} was not told: {how}"
    return f"{found.endpoint} was not told within {waited_s:g} s and is told later: {how}"


def _data(parameters: WebhookParameters) -> Mapping[str, Any]:
    """Return the object that goes along; raises ValueError with words for a person."""
    given = parameters.data
    if isinstance(given, str):
        if not given.strip():
            return {}
        try:
            given = msgspec.json.decode(given)
        except (msgspec.DecodeError, RecursionError):
            raise ValueError('must be a JSON object, as {"run": 7}') from None
    if not isinstance(given, Mapping):
        raise ValueError('must be a JSON object, as {"run": 7}')
    if (size := len(msgspec.json.encode(given))) > _MOST:
        raise ValueError(f"is {units.size(size)}; at most {units.size(_MOST)} go along")
    return given
