"""Who answers, how it is, and what has happened."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import msgspec

from qsuite_console.engine.state import ConsoleState
from qsuite_console.headless.table import HELD, Api, Call, Query, Route
from qsuite_console.model.access import Scope
from qsuite_console.model.text import clean
from qsuite_console.model.wire import EngineInfo, EventsAnswer

POLL_S: Final = 0.05  # how often a waiting reader looks for a change
MAX_WAIT_S: Final = 30.0
MAX_EVENTS: Final = 1000  # who lags further behind reads the state anew


async def _health(api: Api, _call: Call) -> EngineInfo:
    return api.info()


async def _state(api: Api, call: Call) -> ConsoleState:
    wait_s, after = call.query["wait"], call.query["after"]
    loop = asyncio.get_running_loop()
    began = loop.time()
    until = began + wait_s
    while api.control.state.sequence == after and loop.time() < until and not api.closing.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await api.closing.wait()
    call.request[HELD] += loop.time() - began
    state = api.control.state
    if call.caller.scope is not Scope.READ:
        return state
    why = f"the token {clean(call.caller.name, 60)} has the scope read: it changes nothing\nuse one that may operate"
    return msgspec.structs.replace(state, is_read_only=True, forbids=why)  # a console that is attached by it says so


def _state_tag(api: Api, call: Call) -> str | None:
    if call.query["wait"] or call.query["after"] >= 0:
        return None
    return f"{api.control.state.started_at}-{api.control.state.sequence}-{call.caller.scope}"


async def _events(api: Api, call: Call) -> EventsAnswer:
    newest, events = api.control.events(call.query["after"])
    return EventsAnswer(newest=newest, events=events[-MAX_EVENTS:])


ROUTES: Final = (
    Route("GET", "/health", _health, "who answers, and whether it is well", answers=EngineInfo, is_for_own=True),
    Route(
        "GET",
        "/state",
        _state,
        "the whole state; with after= and wait= once its sequence has moved on",
        answers=ConsoleState,
        queries=(
            Query("after", int, -1, -1, 2**53, "a sequence: wait until the state has another"),
            Query("wait", float, 0.0, 0.0, MAX_WAIT_S, "how long to wait for that, in seconds"),
        ),
        tag=_state_tag,
    ),
    Route(
        "GET",
        "/events",
        _events,
        "facts after a sequence, from a bounded ring",
        answers=EventsAnswer,
        queries=(Query("after", int, 0, 0, 2**53, "only facts above this sequence"),),
    ),
)
