"""Queues: paused, resumed and resized while they work."""

from __future__ import annotations

from typing import Final

from qsuite_console.headless.table import Api, Call, Route
from qsuite_console.model.access import Scope
from qsuite_console.model.jobs import QueueView
from qsuite_console.model.wire import QueueRequest


async def _queue(api: Api, call: Call) -> QueueView:
    asked = call.decode(QueueRequest)
    return await api.control.set_queue(
        call.path["name"],
        is_paused=asked.is_paused,
        concurrency=asked.concurrency,
        origin=call.origin(asked.origin),
    )


async def _queues(api: Api, _call: Call) -> tuple[QueueView, ...]:
    return api.control.state.queues


ROUTES: Final = (
    Route("GET", "/queues", _queues, "every queue with what runs and waits in it", answers=tuple[QueueView, ...]),
    Route(
        "POST",
        "/queues/{name}",
        _queue,
        "pause, resume or resize a queue",
        scope=Scope.OPERATE,
        takes=QueueRequest,
        answers=QueueView,
    ),
)
