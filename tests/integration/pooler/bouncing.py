"""A real PgBouncer before the tests' PostgreSQL, where its program is installed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from qsuite_console.sandbox import privileges, servers

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
LOGINS = ("scram-sha-256", "md5", "plain", "trust")
_START_S = 30.0


@dataclass(frozen=True)
class Bouncer:
    """``url`` leads through it to a database, ``console`` to its console; ``process`` may be stopped."""

    url: str
    console: str
    port: int
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def bouncing(
    directory: Path, dsn: str, *, login: str = "scram-sha-256", settings: tuple[str, ...] = ()
) -> Iterator[Bouncer]:
    """Run PgBouncer in transaction mode before the database of ``dsn``."""
    assert PROGRAM is not None
    parts = urlsplit(dsn)
    port = servers.free_port()
    home = directory / f"pgbouncer-{port}"
    home.mkdir()
    (home / "users.txt").write_text(f'"{parts.username}" "{parts.password}"\n"stats" "look"\n"other" "look"\n')
    lines = [
        "[databases]", f"* = host=127.0.0.1 port={parts.port}", "[pgbouncer]", "listen_addr = 127.0.0.1",
        f"listen_port = {port}", "unix_socket_dir =", f"auth_type = {login}", f"auth_file = {home}/users.txt",
        "pool_mode = transaction", "stats_users = stats", f"logfile = {home}/log", *settings,
    ]  # fmt: skip
    (home / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
    for path in (home, home / "users.txt", home / "pgbouncer.ini"):
        privileges.give_away(path)
    # Its own change of user would lose the order to end with us.
    prepare = privileges.prepare_child(paths=(home / "log",), is_server=True, ends_with=signal.SIGKILL)
    process = subprocess.Popen(
        [PROGRAM, "-q", str(home / "pgbouncer.ini")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.defpath},
        preexec_fn=prepare,
    )
    try:
        _wait(port, process)
        yield Bouncer(
            url=f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{port}{parts.path}",
            console=f"postgresql://stats:look@127.0.0.1:{port}/pgbouncer",
            port=port,
            process=process,
        )
    finally:
        process.kill()
        process.wait()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5):
            return
        assert process.poll() is None, "PgBouncer did not start"
        assert time.monotonic() < deadline, "PgBouncer does not listen"
        time.sleep(0.02)
