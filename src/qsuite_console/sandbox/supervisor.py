"""The process that owns a running sandbox: it starts the servers, serves the exchange, keeps traffic up, and dies last.

    python -m qsuite_console.sandbox.supervisor DIR < options-as-JSON

It tells its progress on standard output until it is ready. Unless detached it ends when standard input closes, which
the system does for a console that was killed. A server that dies is started again on its port.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from qsuite_console.model.errors import ConsoleError
from qsuite_console.sandbox import lifecycle, processes, record, servers
from qsuite_console.sandbox.lifecycle import Message
from qsuite_console.sandbox.record import SandboxOptions, SandboxRecord, ServerRecord
from qsuite_console.sandbox.servers import Server

if TYPE_CHECKING:
    from qsuite_console.sandbox.contents import Contents

_log = logging.getLogger(__name__)
_WATCH_S: Final = 1.0
_KEY: Final = "SANDBOX"
_BASE_MB: Final = 60  # what a cluster takes; measured 40
_SYMBOL_MB: Final = 0.35  # with the write-ahead log; measured 0.28
_FULL_MB: Final = 20  # PostgreSQL takes log files of 16 MB


class Supervisor:
    """One run of one sandbox. Servers are started from the main thread: they die with the thread that made them."""

    def __init__(self, directory: Path, options: SandboxOptions) -> None:
        self._directory = directory
        self._options = options
        self._record = self._begin()
        self._postgres: Server | None = None
        self._valkey: Server | None = None
        self._contents: Contents | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Start everything, tell that it is ready, and serve until told to stop; then stop everything."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._stopping.set)
        if not self._options.detached:
            loop.add_reader(0, self._read_input)
        try:
            await self._start()
            tell(Message(kind="ready"))
            _forget_caller(self._options.detached)
            while not self._stopping.is_set():
                self._revive()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_WATCH_S):
                        await self._stopping.wait()
        finally:
            if not self._options.detached:
                loop.remove_reader(0)
            await self._stop()

    def _begin(self) -> SandboxRecord:
        """Clean up after a predecessor and return what is to be kept of it."""
        lifecycle.end_servers(self._directory)
        if self._options.fresh:
            lifecycle.wipe(self._directory)
        known = record.read(self._directory)
        if known is None or not (self._directory / "postgres" / "PG_VERSION").exists():
            lifecycle.wipe(self._directory)
            _require_space(self._directory, _BASE_MB + _SYMBOL_MB * self._options.symbols)
            return SandboxRecord(
                options=self._options,
                postgres_password=servers.make_password(),
                valkey_password=servers.make_password(),
                key_id=_KEY + servers.make_password()[:13].upper(),
                secret_key=servers.make_password(),
            )
        kept = known.options
        if known.is_seeded and (kept.symbols, kept.seed) != (self._options.symbols, self._options.seed):
            self._say(f"keeping the directory's {kept.symbols} symbols of seed {kept.seed} (--fresh starts over)")
            self._options = msgspec.structs.replace(self._options, symbols=kept.symbols, seed=kept.seed)
        known.options = self._options
        return known

    async def _start(self) -> None:
        myself = processes.identify(os.getpid())
        assert myself is not None
        before = {server.name: server.port for server in self._record.servers}
        self._record.supervisor = ServerRecord(name="supervisor", process=myself, port=0, started_at=time.time())
        self._record.is_ready, self._record.servers = False, ()
        record.write(self._directory, self._record)
        is_old = (self._directory / "postgres" / "PG_VERSION").exists()
        contents = asyncio.get_running_loop().run_in_executor(None, make_contents, self._options, self._record)
        await self._step(
            "PostgreSQL" if is_old else "new PostgreSQL", self._start_postgres, before.get("postgresql", 0)
        )
        await self._step("Valkey", self._start_valkey, before.get("valkey", 0))
        assert self._postgres is not None
        assert self._valkey is not None
        self._contents = await contents
        self._contents.use(self._postgres.url, self._valkey.url)
        if not self._record.is_seeded:
            self._say("loading sample data")
            await self._step("sample data", self._seed)
        await self._step("exchange", self._start_exchange, before.get("exchange", 0))
        self._contents.start_upkeep(has_traffic=self._options.traffic)
        self._record.is_ready = True
        record.write(self._directory, self._record)

    async def _step(self, what: str, work: Callable[..., Coroutine[Any, Any, None]], *arguments: int) -> None:
        """Do one step of the start and tell how long it took; a wish to stop ends it."""
        begun = time.monotonic()
        step, stopping = asyncio.create_task(work(*arguments)), asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({step, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                raise ConsoleError("stopped while it was starting")
            await step
        finally:
            for task in (step, stopping):
                task.cancel()
            await asyncio.gather(step, stopping, return_exceptions=True)
        self._say(f"{what} … {time.monotonic() - begun:.1f} s")

    async def _start_postgres(self, port: int) -> None:
        self._postgres = servers.start_postgres(self._directory, password=self._record.postgres_password, port=port)
        self._note("postgresql", self._postgres)

    async def _start_valkey(self, port: int) -> None:
        self._valkey = servers.start_valkey(self._directory, password=self._record.valkey_password, port=port)
        self._note("valkey", self._valkey)

    async def _seed(self) -> None:
        assert self._contents is not None
        try:
            await self._contents.seed()
        except ConsoleError:
            _require_space(self._directory, _FULL_MB)  # a server whose disk is full only hangs up
            raise
        self._record.is_seeded = True
        record.write(self._directory, self._record)

    async def _start_exchange(self, port: int) -> None:
        assert self._contents is not None
        number = await self._contents.start_exchange(port if port and servers.is_free(port) else 0)
        assert self._record.supervisor is not None
        mine = msgspec.structs.replace(self._record.supervisor, name="exchange", port=number)
        self._record.servers = (*self._record.servers, mine)

    def _note(self, name: str, server: Server) -> None:
        """Remember a server the moment it runs, so that it can be found even if we are killed next."""
        entry = ServerRecord(name=name, process=server.process, port=server.port, started_at=time.time())
        self._record.servers = (*(s for s in self._record.servers if s.name != name), entry)
        record.write(self._directory, self._record)

    def _revive(self) -> None:
        """Start a server that has died again, on the port clients know."""
        try:
            if self._postgres is not None and not self._postgres.is_alive:
                _log.warning("PostgreSQL has died; starting it again")
                port, password = self._postgres.port, self._record.postgres_password
                self._postgres = servers.start_postgres(self._directory, password=password, port=port)
                self._note("postgresql", self._postgres)
            if self._valkey is not None and not self._valkey.is_alive:
                _log.warning("Valkey has died; starting it again")
                port, password = self._valkey.port, self._record.valkey_password
                self._valkey = servers.start_valkey(self._directory, password=password, port=port)
                self._note("valkey", self._valkey)
        except ConsoleError as error:
            _log.error("%s", error)

    async def _stop(self) -> None:
        if self._contents is not None:
            await self._contents.stop()
        for server in (self._valkey, self._postgres):
            if server is not None:
                server.stop()
        ports = self._record.servers
        self._record.is_ready, self._record.supervisor = False, None
        self._record.servers = tuple(msgspec.structs.replace(s, started_at=0.0) for s in ports)  # ports to take again
        record.write(self._directory, self._record)

    def _read_input(self) -> None:
        """Stop when the console's end of the pipe has closed."""
        if not os.read(0, 4096):
            asyncio.get_running_loop().remove_reader(0)
            self._stopping.set()

    def _say(self, text: str) -> None:
        tell(Message(kind="progress", text=text))


def _require_space(directory: Path, needed_mb: float) -> None:
    """Raise a ConsoleError when the directory's disk has less than ``needed_mb`` megabytes to offer."""
    free_mb = shutil.disk_usage(directory).free / 1e6
    if free_mb < needed_mb:
        raise ConsoleError(
            f"the sandbox in {directory} needs {needed_mb:,.0f} MB of disk, {free_mb:,.0f} MB are free",
            hint="make room, take fewer --symbols or choose another --dir",
        )


def make_contents(options: SandboxOptions, kept: SandboxRecord) -> Contents:
    """Load what the contents are made of, and begin with them, beside the main thread that starts the servers."""
    from qsuite_console.sandbox.contents import Contents

    return Contents(options, kept)


def tell(message: Message) -> None:
    """Send the console a line; one that no longer listens is no reason to stop."""
    with contextlib.suppress(OSError):
        os.write(1, msgspec.json.encode(message) + b"\n")


def main() -> int:
    """Run the sandbox of the directory named by the first argument; return the exit status."""
    directory = Path(sys.argv[1])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    options = msgspec.json.decode(_first_line(), type=SandboxOptions)
    with record.lock(directory, wait_s=0.5) as is_mine:
        if not is_mine:
            holder = record.owner(directory)
            tell(_busy(directory, options, holder.pid if holder else 0))
            return 0
        myself = processes.identify(os.getpid())
        assert myself is not None
        record.note_owner(directory, myself)
        try:
            asyncio.run(_supervise(directory, options))
        except ConsoleError as error:
            tell(Message(kind="failed", text=error.message, hint=error.hint))
            return 1
    return 0


async def _supervise(directory: Path, options: SandboxOptions) -> None:
    await Supervisor(directory, options).run()


def _busy(directory: Path, options: SandboxOptions, pid: int) -> Message:
    known = record.read(directory)
    is_ready = known is not None and known.is_ready
    if options.fresh or not is_ready:
        why, hint = ("runs", "stop it first") if is_ready else ("is starting or stopping", "try again soon, or stop it")
        hint += f": qsuite-console sandbox stop --dir {shlex.quote(str(directory))}"
        return Message(kind="failed", text=f"a sandbox {why} in {directory} (pid {pid})", hint=hint)
    return Message(kind="running", text=f"using the sandbox that runs in {directory} already (pid {pid})")


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(0, 1)
        if not part:
            break
        line += part
    return line


def _forget_caller(is_detached: bool) -> None:
    """Let go of the caller's pipes: output goes nowhere from here on, input too when detached."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    if is_detached:
        os.dup2(nowhere, 0)
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
