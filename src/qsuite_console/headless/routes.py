"""What the engine's HTTP interface offers, as one table: a row is a method, a path and a typed function over Control.

A row's function gets the request already read and returns any struct of the model; turning it into JSON, and failures
into an ErrorAnswer with the right status, happens once, in ``headless.http``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from qsuite_console.engine.control import Control
from qsuite_console.engine.state import ConsoleState
from qsuite_console.model.errors import UsageProblem
from qsuite_console.model.jobs import JobQuery, Submission
from qsuite_console.model.text import clean
from qsuite_console.model.wire import (
    ActRequest,
    AskRequest,
    EngineInfo,
    EventsAnswer,
    KindRequest,
    PerformRequest,
    ProposeRequest,
    QueueRequest,
    pack_answer,
)

POLL_S: Final = 0.05  # how often a waiting reader looks for a change
MAX_WAIT_S: Final = 30.0
MAX_PAGE: Final = 10_000
MAX_LINES: Final = 5000
MAX_JOB_IDS: Final = 10_000
ORIGIN: Final = "http"  # of who asks for a change without saying what it is
MAX_EVENTS: Final = 1000  # who lags further behind reads the state anew

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One request, decoded: path values, query values and the raw body."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes

    def decode(self, kind: type[T]) -> T:
        """Return the JSON body as ``kind``; raises UsageProblem saying which field is wrong."""
        try:
            return msgspec.json.decode(self.body or b"{}", type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UsageProblem(f"the request's body is refused: {clean(error, 300)}", hint="send JSON") from None

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """Return a number of the query string within [low, high]."""
        text = self.query.get(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise UsageProblem(f"{name}={clean(text, 40)!r} must be a number from {low:g} to {high:g}")
        return value

    def job_id(self) -> int:
        """Return the job id of the path."""
        text = self.path["job_id"]
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise UsageProblem(f"{clean(text, 40)!r} is not a job id", hint="a job id is a whole number")
        return int(text)


@dataclass(slots=True)
class Api:
    """What the routes work on. ``closing`` ends every waiting reader when the engine stops."""

    control: Control
    info: Callable[[], EngineInfo]
    closing: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Route:
    """One row; ``status`` is that of a success."""

    method: str
    path: str
    run: Callable[[Api, Call], Awaitable[Any]]
    summary: str
    status: int = 200


async def _health(api: Api, _call: Call) -> EngineInfo:
    return api.info()


async def _state(api: Api, call: Call) -> ConsoleState:
    wait_s = call.number("wait", 0.0, 0.0, MAX_WAIT_S)
    after = call.number("after", -1, -1, 2**53)
    loop = asyncio.get_running_loop()
    until = loop.time() + wait_s
    while api.control.state.sequence == after and loop.time() < until and not api.closing.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(api.closing.wait(), POLL_S)
    return api.control.state


async def _events(api: Api, call: Call) -> EventsAnswer:
    newest, events = api.control.events(int(call.number("after", 0, 0, 2**53)))
    return EventsAnswer(newest=newest, events=events[-MAX_EVENTS:])


async def _kinds(api: Api, _call: Call) -> Any:
    return await api.control.kinds()


async def _check(api: Api, call: Call) -> Any:
    asked = call.decode(KindRequest)
    return await api.control.check(asked.kind, asked.parameters)


async def _plan(api: Api, call: Call) -> Any:
    asked = call.decode(KindRequest)
    return await api.control.plan(asked.kind, asked.parameters)


async def _submit(api: Api, call: Call) -> Any:
    # A misspelt "parameters" must not start a job with the defaults.
    unknown = sorted(set(call.decode(dict[str, Any])) - set(Submission.__struct_fields__))
    if unknown:
        known = ", ".join(Submission.__struct_fields__)
        raise UsageProblem(f"a submission has no {clean(unknown[0], 40)!r}", hint=f"it has {known}")
    submission = call.decode(Submission)
    return await api.control.submit(msgspec.structs.replace(submission, origin=submission.origin or ORIGIN))


async def _act(api: Api, call: Call) -> Any:
    asked = call.decode(ActRequest)
    if len(asked.job_ids) > MAX_JOB_IDS:
        raise UsageProblem(f"at most {MAX_JOB_IDS:,} jobs at a time, {len(asked.job_ids):,} were named")
    return await api.control.act(asked.action, asked.job_ids, origin=asked.origin or ORIGIN)


async def _jobs(api: Api, call: Call) -> Any:
    given: dict[str, Any] = dict(call.query)
    unknown = sorted(set(given) - set(JobQuery.__struct_fields__))
    if unknown:
        raise UsageProblem(f"unknown filter {clean(unknown[0], 40)!r}", hint="one of " + ", ".join(_FILTERS))
    for name in ("states", "kinds", "queues"):
        if name in given:
            given[name] = tuple(part for part in given[name].split(",") if part)
    try:
        query = msgspec.convert(given, JobQuery, strict=False)
    except msgspec.ValidationError as error:
        raise UsageProblem(f"the filter is refused: {clean(error, 300)}") from None
    if not 1 <= query.limit <= MAX_PAGE:
        raise UsageProblem(f"limit={query.limit} must be from 1 to {MAX_PAGE}")
    return await api.control.jobs(query)


async def _job(api: Api, call: Call) -> Any:
    return await api.control.job(call.job_id())


async def _logs(api: Api, call: Call) -> Any:
    after, limit = call.number("after", 0, 0, 2**53), call.number("limit", 500, 1, MAX_LINES)
    return await api.control.logs(call.job_id(), after=int(after), limit=int(limit))


async def _queue(api: Api, call: Call) -> Any:
    asked = call.decode(QueueRequest)
    return await api.control.set_queue(
        call.path["name"], is_paused=asked.is_paused, concurrency=asked.concurrency, origin=asked.origin or ORIGIN
    )


async def _statistics(api: Api, call: Call) -> Any:
    return await api.control.statistics(call.number("window_s", 3600.0, 1.0, 366 * 86_400.0))


async def _ask(api: Api, call: Call) -> Any:
    return pack_answer(await api.control.ask(call.path["probe"], call.decode(AskRequest).parameters))


async def _operations(api: Api, _call: Call) -> Any:
    return await api.control.operations()


async def _propose(api: Api, call: Call) -> Any:
    asked = call.decode(ProposeRequest)
    return await api.control.propose(call.path["operation"], asked.parameters, origin=asked.origin or ORIGIN)


async def _perform(api: Api, call: Call) -> Any:
    asked = call.decode(PerformRequest)
    return await api.control.perform(
        call.path["operation"], asked.parameters, confirmation=asked.confirmation, origin=asked.origin or ORIGIN
    )


_FILTERS: Final = JobQuery.__struct_fields__

ROUTES: Final[tuple[Route, ...]] = (
    Route("GET", "/health", _health, "who answers, and whether it is well"),
    Route("GET", "/state", _state, "the whole state; with after= and wait= once its sequence has moved on"),
    Route("GET", "/events", _events, "facts after a sequence, from a bounded ring"),
    Route("GET", "/kinds", _kinds, "every kind of job with its parameters"),
    Route("POST", "/check", _check, "validate parameters"),
    Route("POST", "/plan", _plan, "what a job would do"),
    Route("POST", "/jobs", _submit, "make a job; durable when answered", status=201),
    Route("GET", "/jobs", _jobs, "a page of jobs, newest first"),
    Route("POST", "/jobs/actions", _act, "cancel, pause, resume, retry or delete some jobs"),
    Route("GET", "/jobs/{job_id}", _job, "everything about one job"),
    Route("GET", "/jobs/{job_id}/logs", _logs, "its log lines after a number"),
    Route("POST", "/queues/{name}", _queue, "pause, resume or resize a queue"),
    Route("GET", "/statistics", _statistics, "success, failure and duration figures over a window"),
    Route("POST", "/ask/{probe}", _ask, "put a named read-only question"),
    Route("GET", "/operations", _operations, "what can be changed on the platform at once, with parameters"),
    Route("POST", "/operations/{operation}/proposal", _propose, "what an operation would do now; changes nothing"),
    Route("POST", "/operations/{operation}", _perform, "do it; confirmation: the target's name where it is wanted"),
)
