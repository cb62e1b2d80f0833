"""Who is told of what: endpoints, what was sent to them and how it went, sending again and testing."""

from __future__ import annotations

from typing import Any, Final

from qsuite_console.headless.routes import owning
from qsuite_console.headless.routes.changing import perform
from qsuite_console.headless.table import Api, Call, Query, Route
from qsuite_console.model.access import Scope
from qsuite_console.model.deliveries import DeliveryDetail, DeliveryPage, DeliveryState, EndpointList
from qsuite_console.model.operations import Outcome
from qsuite_console.model.requests import ChangeRequest, SendRequest


async def _list(api: Api, _call: Call) -> Any:
    return await api.control.ask("webhooks.list", {})


async def _log(api: Api, call: Call) -> Any:
    return await api.control.ask(
        "webhooks.log", {name: value for name, value in call.query.items() if value is not None}
    )


async def _delivery(api: Api, call: Call) -> Any:
    return await api.control.ask("webhooks.delivery", {"number": call.identity("number", "delivery")})


async def _redeliver(api: Api, call: Call) -> Outcome:
    return await perform(api, call, "webhooks.redeliver", {"number": call.identity("number", "delivery")})


async def _test(api: Api, call: Call) -> Outcome:
    return await perform(api, call, "webhooks.test", {"endpoint": call.path["endpoint"]})


async def _enable(api: Api, call: Call) -> Outcome:
    return await perform(api, call, "webhooks.enable", {"endpoint": call.path["endpoint"]})


async def _tell(api: Api, call: Call) -> Outcome:
    asked = call.decode(SendRequest)
    await owning.require(api, call, call.job_id())
    return await perform(api, call, "jobs.tell", {"job": call.job_id(), "endpoint": asked.endpoint}, asked)


ROUTES: Final = (
    Route("GET", "/webhooks", _list, "who is told, of what, and how their deliveries stand", answers=EndpointList),
    Route(
        "GET",
        "/webhooks/deliveries",
        _log,
        "the log of deliveries, newest first, by pages",
        answers=DeliveryPage,
        queries=(
            Query("endpoint", default="", max_length=100, help="only to this one"),
            Query("state", DeliveryState, help="only in this state"),
            Query("text", default="", help="a part of event, subject or error"),
            Query("before", int, None, 0, 2**53, "a page's next_before: the page after it"),
            Query("limit", int, 100, 1, 1000, "deliveries a page"),
        ),
    ),
    Route(
        "GET",
        "/webhooks/deliveries/{number}",
        _delivery,
        "one delivery: what was sent, and every try",
        answers=DeliveryDetail,
    ),
    *(
        Route("POST", path, run, said, scope=Scope.OPERATE, takes=ChangeRequest, answers=Outcome)
        for path, run, said in (
            ("/webhooks/deliveries/{number}/redeliver", _redeliver, "deliver it again, with the same id"),
            ("/webhooks/{endpoint}/test", _test, "send a notice that says it is a test, and tell how it went"),
            ("/webhooks/{endpoint}/enable", _enable, "tell an endpoint again that answered 410 Gone"),
        )
    ),
    Route(
        "POST",
        "/jobs/{job_id}/tell",
        _tell,
        "tell one endpoint of the end of this job, whatever else it is told of",
        scope=Scope.OPERATE,
        takes=SendRequest,
        answers=Outcome,
        is_for_own=True,
    ),
)
