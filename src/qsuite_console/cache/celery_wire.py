"""Celery's messages as its transport (kombu) writes them into Redis: events of workers, commands to them, replies.

Only JSON is read: a pickled answer is refused, never loaded. Arguments and results of tasks are not taken up at all,
they may hold what must not be shown.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

EVENTS: Final = "celeryev"  # exchange of events: a channel of publish and subscribe
MAILBOX: Final = "celery.pidbox"  # exchange of commands to all workers
REPLIES: Final = "reply.qsuite-console"  # exchange of their answers to us
SEPARATOR: Final = "\x06\x16"  # of kombu, within a binding
JSON: Final = "application/json"


class Unreadable(ValueError):
    """A message that isn't what Celery sends as JSON."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker told; only what every version of Celery since 4 sends, and nothing of arguments or results."""

    type: str  # "task-succeeded", "worker-heartbeat"
    hostname: str = ""  # the worker's name
    timestamp: float = 0.0  # by the worker's clock
    pid: int | None = None
    uuid: str = ""
    name: str | None = None  # of the task, in task-received and task-sent only
    runtime: float | None = None
    exception: str | None = None
    retries: int | None = None
    freq: float | None = None  # seconds between heartbeats
    active: int | None = None
    processed: int | None = None
    loadavg: tuple[float, ...] | None = None
    sw_ver: str | None = None


class _Properties(msgspec.Struct, frozen=True):
    body_encoding: str | None = None


class _Envelope(msgspec.Struct, frozen=True, kw_only=True):
    body: str = ""
    kind: str = msgspec.field(name="content-type", default=JSON)
    headers: dict[str, Any] = {}
    properties: _Properties = _Properties()


@dataclass(frozen=True, slots=True)
class Reply:
    """What one worker answered to the command sent with ``ticket``."""

    ticket: str
    worker: str
    value: Any


@dataclass(frozen=True, slots=True)
class Channels:
    """Names on one broker: its database and the platform's ``global_keyprefix`` are part of them."""

    database: int
    prefix: str = ""

    @property
    def events(self) -> tuple[str, ...]:
        """Return the patterns of channels that events come by, with kombu's own prefix and without."""
        own = "".join(f"\\{one}" if one in "*?[]\\^" else one for one in self.prefix)
        return f"{own}/{self.database}.{EVENTS}*", f"{own}{EVENTS}*"

    @property
    def mailbox(self) -> str:
        """Return the channel of commands."""
        return f"{self.prefix}/{self.database}.{MAILBOX}"

    def key(self, name: bytes | str) -> bytes:
        """Return the name of a key of the broker."""
        return self.prefix.encode() + (name.encode() if isinstance(name, str) else name)


_ENVELOPES: Final = msgspec.json.Decoder(_Envelope)
_EVENTS: Final = msgspec.json.Decoder(Event | list[Event], strict=False)


def events_of(payload: bytes) -> list[Event]:
    """Return the events of one message, which may be a batch; raises Unreadable."""
    body, _ = _opened(payload)
    try:
        found = _EVENTS.decode(body)
    except msgspec.DecodeError as error:
        raise Unreadable(f"no event: {error}") from error
    return found if isinstance(found, list) else [found]


def replies_of(payload: bytes) -> list[Reply]:
    """Return the answers in one message of a reply queue, one a worker; raises Unreadable."""
    body, headers = _opened(payload)
    try:
        found = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Unreadable(f"no answer: {error}") from error
    ticket = headers.get("ticket")
    return [Reply(ticket if isinstance(ticket, str) else "", worker, value) for worker, value in found.items()]


def command(
    method: str,
    arguments: Mapping[str, Any],
    *,
    destination: Sequence[str] = (),
    ticket: str = "",
    reply_to: str = "",
) -> bytes:
    """Return a command to all workers, or those of ``destination``, as a mailbox reads it.

    ``reply_to`` is the routing key that answers carry on the exchange REPLIES.
    """
    said: dict[str, Any] = {
        "method": method,
        "arguments": dict(arguments),
        "destination": list(destination) or None,
        "pattern": None,
        "matcher": None,
    }
    if reply_to:
        said |= {"ticket": ticket, "reply_to": {"exchange": REPLIES, "routing_key": reply_to}}
    return msgspec.json.encode(
        {
            "body": base64.b64encode(msgspec.json.encode(said)).decode(),
            "content-encoding": "utf-8",
            "content-type": JSON,
            "headers": {"clock": 0, "expires": 0},
            "properties": {
                "delivery_mode": 1,
                "delivery_info": {"exchange": MAILBOX, "routing_key": ""},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": str(uuid.uuid4()),
            },
        }
    )


def _opened(payload: bytes) -> tuple[bytes, Mapping[str, Any]]:
    """Return the JSON in an envelope and the headers on it."""
    try:
        envelope = _ENVELOPES.decode(payload)
    except msgspec.DecodeError as error:
        raise Unreadable(f"no message of kombu: {error}") from error
    if envelope.kind != JSON:
        raise Unreadable(f"it is {envelope.kind[:60]}, only {JSON} is read")
    if envelope.properties.body_encoding != "base64":
        return envelope.body.encode(), envelope.headers
    try:
        return base64.b64decode(envelope.body, validate=True), envelope.headers
    except (binascii.Error, ValueError) as error:
        raise Unreadable("its body is no base64") from error
