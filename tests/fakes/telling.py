"""Deliveries as a console has them after a bad morning: arrived, waiting, tried in vain and given up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from msgspec import structs

from fakes.alerting import alerting
from fakes.control import FakeControl
from fakes.platform import NOW
from qsuite_console.model.deliveries import Delivery, DeliveryDetail, DeliveryPage, DeliveryState, DeliveryTry
from qsuite_console.model.operations import OperationInfo, Outcome, Proposal

WAITING, DELIVERED, DEAD = DeliveryState.WAITING, DeliveryState.DELIVERED, DeliveryState.DEAD
REFUSED = "hooks.example.com is not reachable: nothing listens there (connection refused)"


def delivery(number: int, endpoint: str, event: str, subject: str, state: DeliveryState, **more: Any) -> Delivery:
    created = NOW - timedelta(minutes=7 * (60 - number))
    return Delivery(
        number=number,
        id=f"msg_{number:032x}",
        endpoint=endpoint,
        event=event,
        subject=subject,
        state=state,
        created_at=created,
        **more,
    )


SOON = NOW + timedelta(minutes=24)
TRIED = NOW - timedelta(minutes=6)
ALERT = "postgresql.connections"
LOG = (
    delivery(59, "desk", "alert.fired", ALERT, WAITING, next_at=NOW),
    delivery(58, "desk", "job.failed", "job 412", WAITING, next_at=SOON, attempts=3, tried_at=TRIED, error=REFUSED),
    delivery(57, "pager", "alert.fired", ALERT, DELIVERED, attempts=1, tried_at=TRIED, latency_ms=41.0),
    delivery(55, "oncall", "schedule.missed", "schedule nightly", DELIVERED, attempts=2, tried_at=TRIED,
             latency_ms=233.4),
    delivery(54, "desk", "alert.cleared", "redis.hit_rate", DELIVERED, attempts=1, tried_at=TRIED, status=204,
             latency_ms=12.3),
    delivery(31, "archive", "job.succeeded", "job 398", DEAD, attempts=10, tried_at=TRIED, status=500,
             error="answered 500 Internal Server Error"),
    delivery(30, "old-desk", "job.failed", "job 390", DEAD, attempts=1, tried_at=TRIED, status=410,
             error="not sent: it answered 410 Gone, which asks not to be told any more"),
)  # fmt: skip
TRIES = (
    DeliveryTry(at=TRIED - timedelta(seconds=306), error=REFUSED, latency_ms=3.0),
    DeliveryTry(
        at=TRIED - timedelta(seconds=301), status=503, error="answered 503 Service Unavailable", latency_ms=80.0
    ),
    DeliveryTry(at=TRIED, error=REFUSED, latency_ms=3.0),
)
BODY = '{"type":"job.failed","timestamp":"2026-03-02T15:04:05Z","data":{"target":"sandbox","id":412,"kind":"backfill"}}'


def telling() -> FakeControl:
    """A demo platform whose alerts burn and are told."""
    control = alerting()
    control.operation_infos += (
        OperationInfo(name="webhooks.redeliver", title="Deliver again", help="again", changes_target=False),
    )
    control.proposals["webhooks.redeliver"] = lambda given: Proposal(
        operation="webhooks.redeliver", title="Deliver it again?", asks=False, parameters=dict(given)
    )
    control.outcomes["webhooks.redeliver"] = lambda given: Outcome(
        operation="webhooks.redeliver", is_done=True, message=f"delivery {given['number']} to desk: delivered in 12 ms"
    )
    control.answers |= {"webhooks.log": _log, "webhooks.delivery": _detail}
    return control


def _log(given: Mapping[str, Any]) -> DeliveryPage:
    text = given.get("text", "")
    found = [one for one in LOG if text in f"{one.endpoint} {one.event} {one.subject} {one.error}"]
    return DeliveryPage(deliveries=tuple(found), at=NOW, cost_ms=0.3)


def _detail(given: Mapping[str, Any]) -> DeliveryDetail:
    one = next(one for one in LOG if one.number == given["number"])
    return DeliveryDetail(delivery=structs.replace(one, body=BODY), tries=TRIES[: one.attempts])
