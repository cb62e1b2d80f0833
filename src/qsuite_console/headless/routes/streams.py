"""What happens, as it happens: server-sent events of one job or of everything, and everything over a WebSocket.

Each write has a deadline and each reader a bounded queue (``headless.streams``): one that does not read is cut off
without a word, since a word would have to wait for it as well.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from qsuite_console.headless.facts import GAP, EventName, Fact, Wish, sse
from qsuite_console.headless.routes import owning
from qsuite_console.headless.streams import Reader
from qsuite_console.headless.table import EVENT_STREAM, PASS, Api, Call, Query, Route
from qsuite_console.model.access import Caller
from qsuite_console.model.errors import ConsoleError, NotFound
from qsuite_console.model.events import AnyEvent, JobChanged
from qsuite_console.model.jobs import TERMINAL, Job, JobState
from qsuite_console.model.text import clean

BEAT_S: Final = 15.0  # proxies close what is silent for a minute
PASS_S: Final = 5.0  # how long a stream may outlast its token
WRITE_S: Final = 5.0
LOOK_S: Final = 0.5  # between two looks at a running job's log
LINES: Final = 500  # of a log at once
GOODBYE_S: Final = 0.5  # for a peer to answer a goodbye: less than the server's own end takes
AGAIN_MS: Final = 2000
_END: Final = ".end"  # of the id of a job's last event
_SAID_SOMETHING: Final = "said something"
_BUFFER: Final = 64 * 1024  # of the socket: who stops reading is noticed soon
_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
}
_AFTER: Final = Query("after", default="", help="the id of the last event that was read; as the header Last-Event-ID")
_EVENTS: Final = Query("events", EventName, help="only events of these names", is_list=True)
_encoder: Final = msgspec.json.Encoder()
_log: Final = logging.getLogger(__name__)


class _TokenGoneError(Exception):
    """Who reads may not come in any more."""


class _Guard:
    """Looks now and then whether who reads would still be let in."""

    def __init__(self, request: web.Request) -> None:
        self._pass = request[PASS]
        self._looked_at = time.monotonic()

    def check(self) -> None:
        """Raise _TokenGoneError where its token has been replaced or taken away."""
        now = time.monotonic()
        if now - self._looked_at >= PASS_S:
            self._looked_at = now
            if not self._pass.holds():
                raise _TokenGoneError


class _Line:
    """One server-sent stream and the deadline of its writes."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response = web.StreamResponse(headers=_HEADERS)
        self._written_at = 0.0
        self._guard = _Guard(request)

    async def open(self) -> None:
        """Begin to answer."""
        _narrow(self._request)
        await self.response.prepare(self._request)
        await self.write(b"retry: %d\n\n" % AGAIN_MS)

    async def write(self, data: bytes) -> None:
        """Write within the deadline; raises TimeoutError or a ConnectionError."""
        async with asyncio.timeout(WRITE_S):
            await self.response.write(data)
        self._written_at = asyncio.get_running_loop().time()

    async def write_or_beat(self, data: bytes) -> None:
        """Write what there is, or after a long silence a sign of life; raises _TokenGoneError."""
        self._guard.check()
        if data:
            await self.write(data)
        elif asyncio.get_running_loop().time() - self._written_at >= BEAT_S:
            await self.write(b": here\n\n")


async def _everything(api: Api, call: Call) -> web.StreamResponse:
    wish = Wish(origin=_own(call.caller), names=frozenset(call.query["events"]))
    line = _Line(call.request)
    with (
        api.hub.reading(wish, _after(call), lambda: _abort(call.request)) as reader,
        _leaving(reader, call),
    ):
        await line.open()
        while True:
            batch = await reader.next(PASS_S)
            if batch is None and reader.is_over:
                break
            await line.write_or_beat(b"" if batch is None else batch.sse)
    return line.response


async def _one_job(api: Api, call: Call) -> web.StreamResponse:
    job = (await owning.detail(api, call, call.job_id())).job
    after = _after(call)
    if after.endswith(_END) and job.state in TERMINAL:
        return web.Response(status=204)  # all was told: a browser stops asking at this
    line = _Line(call.request)
    with (
        api.hub.reading(Wish(job_id=job.id), after, lambda: _abort(call.request)) as reader,
        _leaving(reader, call),
    ):
        await line.open()
        await _Telling(api, reader, line, job, after, has_log=call.query["logs"]).to_the_end()
    return line.response


class _Telling:
    """Tells one reader of one job: its changes, its progress and, if asked, its log, until it is over."""

    def __init__(self, api: Api, reader: Reader, line: _Line, job: Job, after: str, *, has_log: bool) -> None:
        self._api = api
        self._reader = reader
        self._line = line
        self._job = job
        self._has_log = has_log
        self._place = api.hub.place()
        self._told = _line_number(after)
        self._looked_at = float("-inf")
        self._is_gone = False

    async def to_the_end(self) -> None:
        """Return when the job is over, or deleted, or the engine stops."""
        loop = asyncio.get_running_loop()
        while True:
            follows_log = self._has_log and self._job.state is JobState.RUNNING
            patience_s = LOOK_S if follows_log else PASS_S
            batch = await self._reader.next(0.0 if self._job.state in TERMINAL else patience_s)
            if batch is None and self._reader.is_over:
                return
            parts = [await self._tell(fact) for fact in batch.facts] if batch is not None else []
            is_over = self._is_gone or self._job.state in TERMINAL
            if self._has_log and not self._is_gone and (is_over or loop.time() - self._looked_at >= LOOK_S):
                parts.append(await self._log(is_last=is_over))
                self._looked_at = loop.time()
            if is_over:
                parts.append(sse("end", b"{}", self._id() + _END))
            await self._line.write_or_beat(b"".join(parts))
            if is_over:
                return

    async def _tell(self, fact: Fact) -> bytes:
        self._place = fact.place
        if fact.name == GAP:
            try:
                self._job = (await self._api.control.job(self._job.id)).job
            except NotFound:
                self._is_gone = True
                return b""
            event = JobChanged(at=self._job.finished_at or self._job.started_at or self._job.created_at, job=self._job)
            return sse(EventName.JOB, _encoder.encode(event), self._id())
        if fact.job is not None:
            self._job = fact.job
        self._is_gone = fact.name == EventName.DELETED
        return sse(fact.name, fact.data, self._id())

    async def _log(self, *, is_last: bool) -> bytes:
        parts: list[bytes] = []
        while True:
            lines = await self._api.hub.lines(self._job.id, self._told, is_last=is_last)
            for line in lines:
                self._told = line.number
                parts.append(sse("log", _encoder.encode(line), self._id()))
            if len(lines) < LINES:
                return b"".join(parts)
            await self._line.write(b"".join(parts))
            parts.clear()

    def _id(self) -> str:
        return f"{self._place}.{self._told}"


async def _socket(api: Api, call: Call) -> web.StreamResponse:
    wish = Wish(origin=_own(call.caller), names=frozenset(call.query["events"]))
    answer = web.WebSocketResponse(timeout=GOODBYE_S, heartbeat=BEAT_S, max_msg_size=4096, compress=False)
    with (
        api.hub.reading(wish, _after(call), lambda: _abort(call.request)) as reader,
        _leaving(reader, call),
    ):
        await answer.prepare(call.request)
        _narrow(call.request)
        guard = _Guard(call.request)
        listening = asyncio.create_task(_listen(answer, reader))
        try:
            while not (reader.is_over and not reader.waiting):
                guard.check()
                batch = await reader.next(PASS_S)
                for fact in batch.facts if batch is not None else ():
                    async with asyncio.timeout(WRITE_S):
                        await answer.send_str(fact.text)
        finally:
            listening.cancel()
            heard = (await asyncio.gather(listening, return_exceptions=True))[0]
        code = WSCloseCode.UNSUPPORTED_DATA if heard == _SAID_SOMETHING else WSCloseCode.GOING_AWAY
        await answer.close(code=code)
    return answer


async def _listen(answer: web.WebSocketResponse, reader: Reader) -> str:
    """End the reader when its peer says goodbye, or anything else: this way only tells."""
    message = await answer.receive()  # pings and pongs are answered on the way
    reader.close()
    return _SAID_SOMETHING if message.type in (WSMsgType.TEXT, WSMsgType.BINARY) else ""


@contextmanager
def _leaving(reader: Reader, call: Call) -> Iterator[None]:
    """Take the end of a stream for what it is: peers go away, stop reading, or the history fails under it."""
    try:
        yield
    except TimeoutError:
        reader.drop()
    except ConnectionError:
        pass
    except _TokenGoneError:
        _log.info("a stream of %s ended: its token is no longer valid", clean(call.request.path, 100))
    except ConsoleError as error:
        _log.warning("a stream of %s ended early: %s", clean(call.request.path, 100), error.message)
    if reader.is_dropped:
        _log.info("a reader of %s was dropped: it did not keep up", clean(call.request.path, 100))


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _narrow(request: web.Request) -> None:
    """Let little wait in the kernel for this peer."""
    peer = request.get_extra_info("socket")
    if peer is not None:
        with suppress(OSError):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)


def _own(caller: Caller) -> str:
    return caller.origin if caller.own_jobs_only else ""


def _after(call: Call) -> str:
    return str(call.query["after"]) or call.request.headers.get("Last-Event-ID", "")[:200]


def _line_number(after: str) -> int:
    """Return the log line that an id of a job's stream ends in, 0 for any other."""
    parts = after.removesuffix(_END).split(".")
    text = parts[2] if len(parts) == 3 else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 17 else 0


ROUTES: Final = (
    Route(
        "GET",
        "/stream",
        _everything,
        "everything that happens, from the whole state on; Last-Event-ID goes on without a gap",
        answers=AnyEvent,
        queries=(_AFTER, _EVENTS),
        media=EVENT_STREAM,
        is_for_own=True,
    ),
    Route(
        "GET",
        "/jobs/{job_id}/stream",
        _one_job,
        "a job's changes and progress, and its log with logs=true, until it is over",
        answers=AnyEvent,
        queries=(_AFTER, Query("logs", bool, False, help="its log lines too")),
        media=EVENT_STREAM,
        is_for_own=True,
    ),
    Route(
        "GET",
        "/ws",
        _socket,
        "the events of /stream as messages of a WebSocket: {id, event, data}",
        answers=AnyEvent,
        queries=(_AFTER, _EVENTS),
        media="websocket",
        is_for_own=True,
    ),
)
