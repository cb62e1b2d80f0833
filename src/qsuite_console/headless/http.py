"""The engine's HTTP interface: Control as JSON on a Unix socket only its owner can open, run on the engine's own loop.

The socket's directory is 0700 and the socket 0600 before anyone can connect. A socket whose process died is replaced,
a live one never: two engines on one path would each answer half of the requests.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from qsuite_console.engine.control import Control
from qsuite_console.headless.routes import ROUTES
from qsuite_console.headless.table import Api, Call, Route
from qsuite_console.model import errors
from qsuite_console.model.access import LOCAL
from qsuite_console.model.text import clean
from qsuite_console.model.wire import EngineInfo, ErrorAnswer, ErrorBody, pack_error

MAX_BODY: Final = 2 * 1024 * 1024  # a list of 10,000 symbols is 60 kB
_BACKLOG: Final = 64
_SHUTDOWN_S: Final = 1.0
_STATUS: Final[tuple[tuple[type[errors.ConsoleError], int], ...]] = (
    (errors.InvalidParameters, 422),
    (errors.NotFound, 404),
    (errors.UsageProblem, 400),
    (errors.ReadOnly, 403),
    (errors.NotAllowed, 403),
    (errors.Unconfirmed, 403),
    (errors.TimedOut, 504),
    (errors.Conflict, 409),
    (errors.HistoryOwned, 409),
    (errors.HistoryUnavailable, 503),
    (errors.ConsoleError, 503),
)
_log: Final = logging.getLogger(__name__)
_encoder: Final = msgspec.json.Encoder()  # writes NaN and infinities as null: always valid JSON

ServiceFactory = Callable[[Control], AbstractAsyncContextManager[object]]


def socket_service(path: Path, *, origin: str = "") -> ServiceFactory:
    """Return a service for ``runtime.open_runtime(extra_services=…)`` that offers its Control at ``path``."""

    def serve(control: Control) -> AbstractAsyncContextManager[object]:
        return serve_socket(control, path, origin=origin)

    return serve


@asynccontextmanager
async def serve_socket(control: Control, path: Path, *, origin: str = "") -> AsyncIterator[web.Application]:
    """Answer at ``path`` until the block ends; raises Conflict when another process already does."""
    api = Api(control, lambda: describe_engine(control, origin))
    application = build(api)
    listener = listen(path)
    identity = _identity(path)
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_S)
    try:
        await runner.setup()
        await web.SockSite(runner, listener, backlog=_BACKLOG).start()
        yield application
    finally:
        api.closing.set()
        await runner.cleanup()
        listener.close()
        if identity is not None and _identity(path) == identity:
            path.unlink(missing_ok=True)


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


def build(api: Api) -> web.Application:
    """Return the application with every row of the table."""
    application = web.Application(client_max_size=MAX_BODY, middlewares=[_explain])
    for route in ROUTES:
        application.router.add_route(route.method, route.path, _handler(api, route))
    application.on_shutdown.append(api.hub.close)
    return application


def listen(path: Path) -> socket.socket:
    """Return a bound, not yet listening socket, mode 0600 in a directory 0700; raises Conflict for a live one."""
    directory = path.parent
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_own(directory)
        if not remove_stale(path):
            raise errors.Conflict(
                f"another engine answers on {path}",
                hint="use that one, or set QSUITE_CONSOLE_HOME for a second instance",
            )
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(os.fspath(path))
            path.chmod(0o600)  # before listen: until then nobody can connect, whatever the umask
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise errors.ConsoleError(
            f"can't open the engine's socket {path}: {error.strerror or error}",
            hint="check the permissions and the length of the state directory's path",
        ) from error
    listener.setblocking(False)
    return listener


def _require_own(directory: Path) -> None:
    status = directory.stat()
    if directory.is_symlink() and directory.parent.stat().st_mode & 0o002:
        raise PermissionError(errno.EPERM, f"{directory} is a link in a directory that anyone may write to")
    if status.st_uid != os.getuid():
        raise PermissionError(errno.EPERM, f"{directory} belongs to another user")
    if status.st_mode & 0o077:
        directory.chmod(0o700)


def remove_stale(path: Path) -> bool:
    """Remove a socket whose process has died; tell whether none is left. Raises OSError for a file of another kind."""
    if not path.is_socket():
        if path.exists():
            raise FileExistsError(errno.EEXIST, "another file is in its place")
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return True
        except TimeoutError:
            pass  # its backlog is full or its process is stopped: alive all the same
    return False


def _identity(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        status = path.lstat()
        return status.st_dev, status.st_ino
    return None


def _handler(api: Api, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read() if request.can_read_body else b""
        call = Call(request.match_info, route.read(request.query), body, request, LOCAL)
        tag = route.tag(api, call) if route.tag is not None else None
        if tag is not None and request.headers.get("If-None-Match") == f'"{tag}"':
            return web.Response(status=304, headers={"ETag": f'"{tag}"'})
        answer = await route.run(api, call)
        if isinstance(answer, web.StreamResponse):
            return answer
        response = _json(answer, route.status)
        if tag is not None:
            response.headers["ETag"] = f'"{tag}"'
        return response

    return handle


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(
        body=_encoder.encode(value),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )


@web.middleware
async def _explain(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except errors.ConsoleError as error:
        status = next(code for kind, code in _STATUS if isinstance(error, kind))
        return _json(ErrorAnswer(error=pack_error(error)), status)
    except web.HTTPException as error:
        return _json(ErrorAnswer(error=_refusal(request, error)), error.status)
    except Exception:
        _log.exception("%s %s failed", request.method, clean(request.path, 200))
        body = ErrorBody(type="ConsoleError", message="the engine failed to answer", hint="see its log for the cause")
        return _json(ErrorAnswer(error=body), 500)


def _refusal(request: web.Request, error: web.HTTPException) -> ErrorBody:
    path = clean(request.path, 200)
    if isinstance(error, web.HTTPNotFound):
        known = "; ".join(f"{route.method} {route.path}" for route in ROUTES)
        return ErrorBody(type="NotFound", message=f"there is no {path}", hint=known, exit_code=2)
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return ErrorBody(type="UsageProblem", message=f"{path} takes {allowed}, not {request.method}", exit_code=2)
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return ErrorBody(type="UsageProblem", message=f"the body is larger than {MAX_BODY:,} bytes", exit_code=2)
    return ErrorBody(type="UsageProblem", message=clean(error.reason, 200), exit_code=2)
