"""Private servers that write down all they are told, and a configuration with three targets on them."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from conftest import run_apart, with_database
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.targets import Opened, open_target
from qsuite_console.config.settings import TableSettings
from qsuite_console.db.schema import create_schema
from qsuite_console.sandbox import servers

MARK = "@@"
# What only looks. CREATE and INSERT INTO pg_temp would be a change too: nothing here makes any.
LOOKING = re.compile(
    r"(?is)^\s*(select|with|show|set|reset|begin|start|commit|rollback|savepoint|release|discard|explain|values|close)\b"
)
ACTING = re.compile(
    r"(?i)\b(insert|update|delete|truncate|alter|create|drop|vacuum|analyze|copy|grant|notify|nextval|setval|"
    r"pg_cancel_backend|pg_terminate_backend|pg_reload_conf|pg_stat_reset\w*|pg_stat_statements_reset|"
    r"pg_switch_wal|pg_promote|lo_\w+|dblink\w*)\s*(\(|\s|$)"
)
QUOTED = re.compile(r"(?s)'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/")
WRITING = re.compile(
    r"(set|del|unlink|expire|persist|rename|flushall|flushdb|hset|hdel|lpush|rpush|lpop|sadd|srem|zadd|zrem|xadd|xtrim"
    r"|copy|move|restore|incr|append|getdel|getset|eval|evalsha|fcall|publish|shutdown|debug|failover|replicaof"
    r"|config (set|rewrite|resetstat)|client (kill|pause)"
    r"|(slowlog|latency) reset|script flush|memory purge|acl setuser)"
    r"( .*)?"
)


class Monitor:
    """Every command the server gets, from the moment it was made."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname or "", address.port or 0))
        self._socket.sendall(f"AUTH {address.password}\r\nMONITOR\r\n".encode())
        self._lines: list[str] = []
        self._file = self._socket.makefile("r", encoding="utf-8", errors="replace")
        assert [self._file.readline().strip() for _ in range(2)] == ["+OK", "+OK"]
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._file:
            self._lines.append(line)

    def commands(self) -> list[tuple[str, ...]]:
        """Return each command with its arguments, in lower case."""
        return [tuple(word.lower() for word in re.findall(r'"((?:[^"\\]|\\.)*)"', line)) for line in tuple(self._lines)]

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()


@dataclass
class Platform:
    """PostgreSQL with two databases, and Valkey."""

    postgres: servers.Server
    valkey: servers.Server
    log: Path
    monitor: Monitor
    databases: dict[str, str] = field(default_factory=dict)

    def statements(self) -> list[str]:
        """Return every statement of a console so far, in order."""
        found = []
        for part in self.log.read_text(encoding="utf-8", errors="replace").split(f"\n{MARK}")[1:]:
            name, _, rest = part.partition(MARK)
            told = re.match(r"\s*LOG:\s+(?:statement|execute [^:]*): ", rest)
            if name.startswith("qsuite-console") and told:
                found.append(rest[told.end() :])
        return found

    def changes(self) -> list[str]:
        """Return every statement and command of a console so far that does more than look."""
        told = ((text, QUOTED.sub("''", text)) for text in self.statements())
        statements = [text for text, bare in told if not LOOKING.match(bare.lstrip("' \n\t")) or ACTING.search(bare)]
        commands = [" ".join(command) for command in self.monitor.commands() if WRITING.fullmatch(" ".join(command))]
        return statements + commands


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    directory = Path(tempfile.mkdtemp(prefix="qsuite-targets-"))
    directory.chmod(0o711)
    settings = ["log_statement=all", f"log_line_prefix={MARK}%a{MARK} ", "shared_buffers=16MB", "max_connections=60"]
    postgres = servers.start_postgres(directory, password=servers.make_password(), settings=settings)
    try:
        valkey = servers.start_valkey(directory, password=servers.make_password())
        try:
            monitor = Monitor(valkey.url)
            made = Platform(postgres, valkey, directory / "postgres.log", monitor)
            for name in ("alpha", "beta"):
                made.databases[name] = with_database(postgres.url, name)
                run_apart(lambda name=name: _create(postgres.url, name))
            yield made
            monitor.close()
        finally:
            valkey.stop()
    finally:
        postgres.stop()
        shutil.rmtree(directory)


async def _create(url: str, name: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    connection = await asyncpg.connect(with_database(url, name))
    await create_schema(connection, TableSettings())
    await connection.close()


@pytest.fixture
def home(platform: Platform, tmp_path: Path) -> Path:
    """A home whose configuration has a target that may be written, one that may not, and a production one."""
    targets = (
        ("alpha", "alpha", 'word = "ALPHA"'),
        ("beta", "beta", 'word = "BETA"'),
        ("looked", "alpha", 'word = "LOOK"\nread_only = true'),
        ("prod", "alpha", 'word = "PRODUCTION"\ncolour = "error"'),
    )
    text = 'default_target = "alpha"\n[engine]\ndrain_s = 3.0\n'
    for name, database, lines in targets:
        text += f'[targets.{name}]\n{lines}\n[targets.{name}.database]\ndsn = "{platform.databases[database]}"\n'
        text += f'[targets.{name}.cache]\nurl = "{platform.valkey.url}"\n'
    config = tmp_path / "config"
    config.mkdir()
    (config / "config.toml").write_text(text)
    (config / "config.toml").chmod(0o600)
    return tmp_path


def invocation(home: Path, target: str | None, **options: object) -> Invocation:
    """What ``qsuite-console --home HOME --target TARGET`` means, whatever the environment says."""
    return Invocation(home=str(home), target=target, environ={}, **options)  # type: ignore[arg-type]


@pytest.fixture
async def opened(home: Path, request: pytest.FixtureRequest) -> Opened:
    """The target of the test's parameter, with an engine and its socket."""
    found = await asyncio.to_thread(open_target, invocation(home, request.param), may_look=False)
    yield found
    await asyncio.to_thread(found.stack.close)
