"""What others are told and how far it has come: deliveries, their tries, and the endpoints they go to."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from qsuite_console.model.advice import Unread


class DeliveryState(StrEnum):
    """How a delivery stands. ``dead``: nobody tries any more, until somebody asks for it."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something one endpoint is to be told; the id is the same for the same fact and endpoint, always."""

    id: str
    endpoint: str
    event: str
    subject: str  # "job 12", "postgresql.connections"
    body: str  # the JSON that is sent, to the byte
    follows: str = ""  # told only where this one was


class MissedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A plan of a schedule that nothing came of."""

    schedule_id: int
    schedule: str
    planned_at: datetime
    at: datetime  # when that was decided
    outcome: str
    note: str = ""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One notice on its way to one endpoint."""

    number: int
    id: str
    endpoint: str
    event: str
    subject: str
    state: DeliveryState
    created_at: datetime
    attempts: int = 0
    next_at: datetime | None = None  # of the next try, while it waits
    tried_at: datetime | None = None
    status: int | None = None  # of the last answer
    error: str = ""  # why the last try failed, or why it is dead
    latency_ms: float | None = None
    body: str = ""  # only where one delivery is asked for


class DeliveryTry(msgspec.Struct, frozen=True, kw_only=True):
    """One try of a delivery."""

    at: datetime
    status: int | None = None
    error: str = ""
    latency_ms: float | None = None


class DeliveryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which deliveries, newest first; ``before``: below this number."""

    endpoint: str = ""
    state: DeliveryState | None = None
    text: str = ""
    before: int | None = None
    limit: int = 100


class DeliveryPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of deliveries, newest first."""

    deliveries: tuple[Delivery, ...] = ()
    next_before: int | None = None
    at: datetime | None = None
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()


class DeliveryDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery with what was sent and all its tries, oldest first."""

    delivery: Delivery
    tries: tuple[DeliveryTry, ...] = ()


class EndpointView(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint as it is declared, and how its deliveries stand."""

    name: str
    way: str  # "webhook", "command", "e-mail"
    where: str  # host, program or addresses; never a secret
    events: tuple[str, ...]
    enabled: bool = True  # as declared
    problem: str = ""  # why nothing can be sent now
    disabled_at: datetime | None = None  # it asked not to be told any more
    disabled_why: str = ""
    waiting: int = 0
    dead: int = 0
    delivered: int = 0
    last_at: datetime | None = None  # of the last one that was delivered
    failing: str = ""  # why the newest try failed, if it did
    is_told_of_job: bool = False  # it asked for just the job that the question is about


class EndpointList(msgspec.Struct, frozen=True, kw_only=True):
    """All endpoints, by name."""

    endpoints: tuple[EndpointView, ...] = ()
    at: datetime | None = None
    cost_ms: float = 0.0
    unread: tuple[Unread, ...] = ()
