"""Where the HTTP interface listens: a Unix socket only its owner can open, and a TCP address.

The socket's directory is 0700 and the socket 0600 before anyone can connect. A socket whose process died is replaced,
a live one never: two engines on one path would each answer half of the requests. Who connects and says nothing, or asks
and does not read, is cut off, and so is who connects once too often: nobody can use up the process's files or memory.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from qsuite_console.config.api import is_loopback
from qsuite_console.model import errors
from qsuite_console.model.text import clean

BACKLOG: Final = 128
MAX_CONNECTIONS: Final = 512  # of one listener
IDLE_S: Final = 20.0  # a connection that has sent no whole request's head for so long is closed
BUFFER: Final = 128 * 1024  # of a socket: what a slow reader takes is noticed soon
UNREAD_S: Final = 30.0  # a connection whose peer has taken nothing of what waits for it for so long is cut off
MAX_LINE: Final = 64 * 1024  # of a request's path and query: 500 symbols fit
_SHUTDOWN_S: Final = 1.0


class _Plain(logging.Filter):
    """What others send amiss is theirs: a line for who looks closely, not a traceback for everyone."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Turn a refused request, or a line that broke, into a short line of the level DEBUG."""
        cause = record.exc_info[1] if record.exc_info else None
        if not isinstance(cause, HttpProcessingError | ConnectionError):
            return True
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        record.msg, record.args = "a request was refused: %s", (clean(cause, 200),)
        record.exc_info = record.exc_text = None
        return _log.isEnabledFor(logging.DEBUG)


_log: Final = logging.getLogger("qsuite_console.headless.connections")
_log.addFilter(_Plain())


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


def listen_tcp(host: str, port: int, *, allow_remote: bool = False) -> socket.socket:
    """Return a bound, not yet listening socket; raises UsageProblem for an address others reach, unless allowed."""
    if not allow_remote and not is_loopback(host):
        raise errors.UsageProblem(
            f"other machines reach {host}: the interface does not listen there", hint="set api.allow_remote = true"
        )
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        if not allow_remote and not is_loopback(str(address[0])):
            raise errors.UsageProblem(
                f"{host} leads to {address[0]}, which other machines reach", hint="listen on 127.0.0.1"
            )
        listener = socket.socket(family, kind)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        reason = "another process listens there" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        raise errors.Conflict(
            f"can't listen on {host}:{port}: {reason}", hint="choose another port: api.listen"
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


def identity(path: Path) -> tuple[int, int] | None:
    """Return which file stands at ``path`` now, None for none."""
    with suppress(OSError):
        status = path.lstat()
        return status.st_dev, status.st_ino
    return None


@asynccontextmanager
async def answering(application: web.Application, listener: socket.socket) -> AsyncIterator[None]:
    """Answer on the socket until the block ends, then give what is being answered a moment."""
    runner = web.AppRunner(
        application,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=_SHUTDOWN_S,
        keepalive_timeout=IDLE_S,
        max_line_size=MAX_LINE,
        logger=_log,
    )
    await runner.setup()
    assert runner.server is not None
    entrance, loop = _Entrance(runner.server), asyncio.get_running_loop()
    server: asyncio.Server | None = None
    try:
        if listener.family == socket.AF_UNIX:
            server = await loop.create_unix_server(entrance, sock=listener, backlog=BACKLOG)
        else:
            server = await loop.create_server(entrance, sock=listener, backlog=BACKLOG)
        yield
    finally:
        if server is not None:
            server.close()
        await runner.cleanup()
        listener.close()


class _Entrance:
    """Makes the protocol of each new connection, up to a number of them."""

    def __init__(self, server: web.Server) -> None:
        self._server = server

    def __call__(self) -> asyncio.BaseProtocol:
        return _Patient(self._server()) if len(self._server.connections) < MAX_CONNECTIONS else _Full()


class _Patient(asyncio.Protocol):
    """Passes everything on to the server's protocol, and cuts off a peer that does not read its answer.

    Streams have a shorter deadline of their own; this is for all that is sent whole.
    """

    def __init__(self, inner: asyncio.Protocol) -> None:
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self._look: asyncio.TimerHandle | None = None
        self._waiting = 0  # bytes that waited at the last look

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Have the server told as soon as anything waits for the peer."""
        if isinstance(transport, asyncio.Transport):
            transport.set_write_buffer_limits(high=0)
            _narrow(transport)
            self._transport = transport
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop looking."""
        self._rest()
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Begin to look whether the peer reads."""
        self._inner.pause_writing()
        self._look_later()

    def resume_writing(self) -> None:
        """Stop looking: it has taken everything."""
        self._rest()
        self._inner.resume_writing()

    def _look_later(self) -> None:
        if self._transport is not None:
            self._waiting = self._transport.get_write_buffer_size()
            self._look = asyncio.get_running_loop().call_later(UNREAD_S, self._judge, self._transport)

    def _judge(self, transport: asyncio.Transport) -> None:
        if transport.get_write_buffer_size() < self._waiting:
            self._look_later()
            return
        _log.info("a connection was cut off: nothing was read of %d bytes for %g s", self._waiting, UNREAD_S)
        transport.abort()

    def _rest(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None


def _narrow(transport: asyncio.Transport) -> None:
    peer = transport.get_extra_info("socket")
    if peer is not None:
        with suppress(OSError):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)


class _Full(asyncio.Protocol):
    """Hangs up at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hang up."""
        if isinstance(transport, asyncio.Transport):
            transport.abort()
