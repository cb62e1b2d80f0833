"""Messages of Celery's transport: what kombu writes is read, what kombu reads is written, anything else is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsuite_console.cache.celery_wire import Channels, Unreadable, command, events_of, replies_of


def message(body: Any, *, kind: str = "application/json", **headers: Any) -> bytes:
    """A message as kombu's virtual transports put it on the wire."""
    encoded = base64.b64encode(json.dumps(body).encode()).decode()
    return json.dumps(
        {
            "body": encoded,
            "content-encoding": "utf-8",
            "content-type": kind,
            "headers": headers,
            "properties": {"body_encoding": "base64", "delivery_tag": "1", "delivery_info": {}},
        }
    ).encode()


def test_a_batch_of_events_is_read_and_what_is_not_needed_stays_out() -> None:
    payload = message(
        [
            {"type": "task-received", "uuid": "u1", "name": "shop.add", "args": "('canary',)", "hostname": "a@b"},
            {"type": "task-succeeded", "uuid": "u1", "runtime": 0.5, "result": "canary", "timestamp": 17.5},
        ]
    )
    received, succeeded = events_of(payload)
    assert (received.type, received.name, received.hostname) == ("task-received", "shop.add", "a@b")
    assert (succeeded.runtime, succeeded.timestamp) == (0.5, 17.5)
    assert "canary" not in repr((received, succeeded))


def test_a_single_event_and_a_plain_body_are_read() -> None:
    (beat,) = events_of(message({"type": "worker-heartbeat", "freq": 2.0, "loadavg": [0.1, 0.2, 0.3], "active": 3}))
    assert (beat.freq, beat.loadavg, beat.active) == (2.0, (0.1, 0.2, 0.3), 3)
    plain = {"body": json.dumps({"type": "worker-online"}), "content-type": "application/json", "properties": {}}
    assert events_of(json.dumps(plain).encode())[0].type == "worker-online"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x80\x04\x95",
        b"[]",
        message({"type": "x"}, kind="application/x-python-serialize"),
        message("text"),
        message({"no": "type"}),
        b'{"body": "%%%", "properties": {"body_encoding": "base64"}}',
        b'{"body": 5}',
    ],
)
def test_what_is_no_event_is_refused(payload: bytes) -> None:
    with pytest.raises(Unreadable):
        events_of(payload)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_nothing_from_the_wire_does_more_than_be_refused(payload: bytes) -> None:
    for read in (events_of, replies_of):
        try:
            read(payload)
        except Unreadable:
            continue


def test_replies_carry_their_ticket_and_a_worker_each() -> None:
    (reply,) = replies_of(message({"one@shop": [{"id": "x"}]}, ticket="t.active", clock=7))
    assert (reply.ticket, reply.worker, reply.value) == ("t.active", "one@shop", [{"id": "x"}])
    (other,) = replies_of(message({"one@shop": {"ok": "pong"}}, ticket=9))
    assert other.ticket == ""


def test_a_command_is_what_kombu_takes_for_one() -> None:
    sent = command("revoke", {"task_id": "t"}, destination=("one@shop",), ticket="k", reply_to="us")
    envelope = json.loads(sent)
    body = json.loads(base64.b64decode(envelope["body"]))
    assert body["method"] == "revoke"
    assert body["arguments"] == {"task_id": "t"}
    assert body["destination"] == ["one@shop"]
    assert body["reply_to"]["routing_key"] == "us"
    assert body["ticket"] == "k"
    for field in ("delivery_tag", "delivery_info", "body_encoding"):
        assert envelope["properties"][field]
    assert {"body", "content-type", "content-encoding", "headers", "properties"} <= envelope.keys()
    everybody = json.loads(base64.b64decode(json.loads(command("ping", {}))["body"]))
    assert everybody["destination"] is None
    assert "reply_to" not in everybody


def test_channels_carry_database_and_prefix() -> None:
    assert Channels(3).mailbox == "/3.celery.pidbox"
    assert Channels(0, "shop:").mailbox == "shop:/0.celery.pidbox"
    assert Channels(0, "a*b").events[0] == "a\\*b/0.celeryev*", "a prefix is a name, not a pattern"
    assert Channels(0, "shop:").key("unacked") == b"shop:unacked"
    assert msgspec.json.decode(command("ping", {}))["headers"]["expires"] == 0
