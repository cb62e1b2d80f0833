"""The engine's HTTP interface: Control as JSON, run on the engine's own loop; the same table behind every entrance.

A request is let in (``door``), read by its row (``table``), answered, tagged, timed and counted here, in that order.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import web

from qsuite_console.config.api import ADVICE, ApiSettings, ApiToken, is_loopback, parse_listen
from qsuite_console.config.settings import Settings
from qsuite_console.engine.control import Control
from qsuite_console.headless import answers
from qsuite_console.headless.answers import MAX_BODY
from qsuite_console.headless.costs import RequestCosts, Spent
from qsuite_console.headless.door import NOBODY, Door, LocalDoor, TcpDoor, TokenBook
from qsuite_console.headless.keeping import KeptAnswers
from qsuite_console.headless.listening import answering, identity, listen, listen_tcp
from qsuite_console.headless.routes import ROUTES
from qsuite_console.headless.table import ANSWERED, CALLER, HELD, JSON, PASS, Api, Call, Pass, Route
from qsuite_console.model import errors
from qsuite_console.model.access import Caller
from qsuite_console.model.tally import counting
from qsuite_console.model.text import clean
from qsuite_console.model.wire import EngineInfo

BODY_S: Final = 30.0  # within which a request's body must have come
_NO_TOKENS: Final[Mapping[str, ApiToken]] = {}
_log: Final = logging.getLogger(__name__)

ServiceFactory = Callable[[Control], AbstractAsyncContextManager[object]]
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Interface:
    """Where one engine answers: always at ``path``, and over TCP where ``api`` says so. ``costs``: what it took."""

    def __init__(
        self,
        path: Path,
        *,
        origin: str = "",
        api: ApiSettings | None = None,
        tokens: Mapping[str, ApiToken] = _NO_TOKENS,
    ) -> None:
        self._path = path
        self._origin = origin
        self._api = api or ApiSettings()
        self._tokens = tokens
        self.costs = RequestCosts()
        self.address: tuple[str, int] | None = None  # where it listens over TCP, once it does

    @classmethod
    def of(cls, settings: Settings, path: Path, *, origin: str, is_screen: bool = False) -> Interface:
        """Return the interface that the settings describe; behind a screen it listens over TCP only if told to."""
        api = settings.api if settings.api.in_console or not is_screen else None
        return cls(path, origin=origin, api=api, tokens=settings.tokens)

    @asynccontextmanager
    async def serve(self, control: Control) -> AsyncIterator[Api]:
        """Answer until the block ends; raises Conflict when another process already does."""
        api = Api(control, lambda: describe_engine(control, self._origin), costs=self.costs, routes=ROUTES)
        async with AsyncExitStack() as stack:
            listener = listen(self._path)
            mine = identity(self._path)
            stack.callback(self._remove, mine)
            stack.callback(listener.close)
            await stack.enter_async_context(answering(build(api, LocalDoor()), listener))
            places = [str(self._path)]
            if self._api.listen:
                places.append(await self._open_tcp(api, stack))
            self.costs.open(*places)
            stack.callback(api.closing.set)
            yield api

    async def _open_tcp(self, api: Api, stack: AsyncExitStack) -> str:
        host, port = parse_listen(self._api.listen)
        book = await asyncio.to_thread(TokenBook, self._tokens)
        if not book.usable:
            why = "; ".join(f"{name}: {problem}" for name, problem in book.problems.items())
            raise errors.UsageProblem(
                f"api.listen is set, but there is no token to come in with{f' ({why})' if why else ''}",
                hint=f"declare [tokens.NAME]; {ADVICE}",
            )
        listener = listen_tcp(host, port, allow_remote=self._api.allow_remote)
        stack.callback(listener.close)
        self.address = (host, listener.getsockname()[1])
        door = TcpDoor(self._api, book, *self.address, clock=time.monotonic)
        await stack.enter_async_context(answering(build(api, door), listener))
        watching = asyncio.create_task(book.watch(), name="tokens")
        stack.push_async_callback(_end, watching)
        place = f"http://{f'[{host}]' if ':' in host else host}:{self.address[1]}"
        _log.info("listening on %s for %s", place, ", ".join(book.usable))
        if not is_loopback(host):
            _log.warning("%s can be reached from other machines, tokens cross the network in the clear", place)
        return place

    def _remove(self, mine: tuple[int, int] | None) -> None:
        if mine is not None and identity(self._path) == mine:
            self._path.unlink(missing_ok=True)


def socket_service(path: Path, *, origin: str = "") -> ServiceFactory:
    """Return a service for ``runtime.open_runtime(extra_services=…)`` that offers its Control at ``path``."""
    return Interface(path, origin=origin).serve


def serve_socket(control: Control, path: Path, *, origin: str = "") -> AbstractAsyncContextManager[Api]:
    """Answer at ``path`` until the block ends; raises Conflict when another process already does."""
    return Interface(path, origin=origin).serve(control)


def describe_engine(control: Control, origin: str) -> EngineInfo:
    """Return who answers here; alive always, ready unless the engine says it is in trouble."""
    state = control.state
    return EngineInfo(
        pid=os.getpid(),
        host=socket.gethostname(),
        version=state.version,
        started_at=state.started_at,
        owner=state.owner or f"pid {os.getpid()}",
        origin=origin,
        target=state.target.name,
        is_ready=not state.trouble,
        problems=(state.trouble,) if state.trouble else (),
    )


def build(api: Api, door: Door) -> web.Application:
    """Return the application with every row of the table, behind a door."""
    rows: dict[object, Route] = {}
    application = web.Application(client_max_size=MAX_BODY, middlewares=[_entrance(api, door, rows)])
    kept = KeptAnswers(time.monotonic)
    for route in ROUTES:
        handler = _handler(api, route, kept)
        rows[handler] = route
        application.router.add_route(route.method, route.path, handler)
        if route.method == "GET" and route.media == JSON:  # load balancers ask so: the same answer without its body
            application.router.add_route("HEAD", route.path, handler)
    application.on_response_prepare.append(_finish(door))
    application.on_shutdown.append(api.hub.close)
    return application


def _entrance(api: Api, door: Door, rows: Mapping[object, Route]) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def enter(request: web.Request, handler: _Handler) -> web.StreamResponse:
        route = rows.get(request.match_info.handler)
        started, request[HELD] = time.monotonic(), 0.0
        caller, is_in = NOBODY, False
        with counting() as tally:
            try:
                if request.method == "OPTIONS" and door.allows_origin(request):
                    return _preflight()
                caller = request[CALLER] = door.admit(request, route)
                is_in = True
                request[PASS] = Pass(lambda: door.holds(request, caller))
                if route is not None:
                    _check_scope(route, caller)
                response = await handler(request)
            except errors.ConsoleError as error:
                response = answers.failure(error)
                if is_in and isinstance(error, errors.NotAllowed):  # refused before the gate could write it down
                    _log.info("%s may not %s %s", caller.origin, request.method, clean(request.path, 200))
                if not is_in:
                    api.costs.turn_away(type(error).__name__)
                    await asyncio.sleep(door.penalty_s())
            except web.HTTPException as error:
                response = answers.refusal(request, error, ROUTES)
            except Exception:
                _log.exception("%s %s failed", request.method, clean(request.path, 200))
                response = answers.bug()
        answered = request.get(ANSWERED) or time.monotonic()  # how long a file is read is its reader's
        if is_in and route is not None and not route.is_streaming:
            api.costs.note(
                Spent(
                    route=route.name,
                    path=request.path,
                    caller=caller,
                    status=response.status,
                    ms=1000 * max(0.0, answered - started - request[HELD]),
                    queries=tally.queries,
                    size=response.content_length or 0,
                    is_cached=response.status == 304 or "Age" in response.headers,
                )
            )
        return response

    return enter


def _check_scope(route: Route, caller: Caller) -> None:
    if not caller.scope.covers(route.scope) and not route.is_open:
        raise errors.NotAllowed(
            f"the token {clean(caller.name, 60)} has the scope {caller.scope}, {route.name} wants {route.scope}",
            hint="use a token with that scope",
        )
    if caller.own_jobs_only and not route.is_for_own and not route.is_open:
        raise errors.NotAllowed(
            f"the token {clean(caller.name, 60)} is for its own jobs only, {route.name} shows those of others",
            hint="use a token without own_jobs_only",
        )


def _handler(api: Api, route: Route, kept: KeptAnswers) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        call = Call(request.match_info, route.read(request.query), body, request, request[CALLER])
        tag = route.tag(api, call) if route.tag is not None else None
        if tag is not None and answers.matches(request.headers.get("If-None-Match"), tag):
            return answers.tagged(b"", tag, 200, request)
        if route.cache_s > 0:
            return await _keep(api, route, kept, call)
        answer = await route.run(api, call)
        if isinstance(answer, web.StreamResponse):
            return answer
        if route.method != "GET":
            return answers.plain(answer, route.status)
        encoded = answers.encode(answer)
        return answers.tagged(encoded, tag or answers.tag_of(encoded), route.status, request)

    return handle


async def _keep(api: Api, route: Route, kept: KeptAnswers, call: Call) -> web.Response:
    async def make() -> bytes:
        return answers.encode(await route.run(api, call))

    whose = call.caller.name if call.caller.own_jobs_only else ""
    key = (route.path, tuple(sorted(call.path.items())), tuple(sorted(call.query.items(), key=str)), whose)
    found, was_there = await kept.get(key, route.cache_s, make)
    response = answers.tagged(found.body, found.tag, route.status, call.request)
    if was_there:
        response.headers["Age"] = str(int(max(0.0, route.cache_s - (found.until - time.monotonic()))))
    return response


async def _body(request: web.Request) -> bytes:
    if not request.can_read_body:
        return b""
    began = time.monotonic()
    try:
        async with asyncio.timeout(BODY_S):
            body = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(reason=f"the body did not come within {BODY_S:g} s") from None
    request[HELD] += time.monotonic() - began  # a slow line is no cost of ours
    return body


def _preflight() -> web.Response:
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
            "Access-Control-Allow-Headers": "Authorization, Content-Type, If-None-Match, Last-Event-ID",
            "Access-Control-Max-Age": "600",
        },
    )


def _finish(door: Door) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    async def finish(request: web.Request, response: web.StreamResponse) -> None:
        """Add what every answer has, streams too."""
        request[ANSWERED] = time.monotonic()
        response.headers.update(answers.SAFE)
        origin = door.allows_origin(request)
        if origin:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = "ETag, Retry-After, Age"
            response.headers["Vary"] = "Authorization, Origin"

    return finish


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
