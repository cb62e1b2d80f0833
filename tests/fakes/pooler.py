"""PgBouncer's console as it was recorded: a server that speaks its protocol and gives the answers of 1.18 or 1.24."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Mapping, Sequence

Rows = Sequence[Mapping[str, str | None]]

POOL = {
    "database": "market", "user": "loader", "cl_active": "3", "cl_waiting": "2", "cl_active_cancel_req": "0",
    "cl_waiting_cancel_req": "0", "sv_active": "2", "sv_active_cancel": "0", "sv_being_canceled": "0", "sv_idle": "0",
    "sv_used": "0", "sv_tested": "0", "sv_login": "0", "maxwait": "3", "maxwait_us": "500000",
    "pool_mode": "transaction",
}  # fmt: skip
OWN_POOL = {**POOL, "database": "pgbouncer", "user": "pgbouncer", "cl_waiting": "0", "pool_mode": "statement"}
STATS = {
    "database": "market", "total_xact_count": "100", "total_query_count": "400", "total_received": "10000",
    "total_sent": "20000", "total_xact_time": "2000000", "total_query_time": "800000", "total_wait_time": "500000",
    "avg_xact_count": "1", "avg_query_count": "1", "avg_recv": "0", "avg_sent": "0", "avg_xact_time": "0",
    "avg_query_time": "0", "avg_wait_time": "0",
}  # fmt: skip
DATABASE = {
    "name": "market", "host": "127.0.0.1", "port": "5432", "database": "market", "force_user": None, "pool_size": "2",
    "min_pool_size": "0", "reserve_pool": "0", "pool_mode": None, "max_connections": "0", "current_connections": "2",
    "paused": "0", "disabled": "0",
}  # fmt: skip
CLIENT = {
    "type": "C", "user": "loader", "database": "market", "state": "waiting", "addr": "10.0.0.9", "port": "51234",
    "local_addr": "10.0.0.1", "local_port": "6432", "connect_time": "2026-11-22 16:55:21 UTC",
    "request_time": "2026-11-22 16:55:21 UTC", "wait": "3", "wait_us": "500000", "close_needed": "0", "ptr": "0x1",
    "link": "", "remote_pid": "0", "tls": "", "application_name": "celery\x1b[2J",
}  # fmt: skip


def setting(key: str, value: str | None, default: str | None, changeable: str = "yes") -> Mapping[str, str | None]:
    return {"key": key, "value": value, "default": default, "changeable": changeable}


CONFIG = (
    setting("pool_mode", "transaction", "session"),
    setting("default_pool_size", "2", "20"),
    setting("max_client_conn", "100", "100"),
    setting("max_db_connections", "0", "0"),
    setting("query_wait_timeout", "120", "120"),
    setting("listen_addr", "*", "", "no"),
    setting("auth_file", "/etc/pgbouncer/userlist.txt", None),
)
OLD: dict[str, Rows] = {
    "VERSION": [{"version": "PgBouncer 1.18.0"}],
    "POOLS": [POOL, OWN_POOL],
    "STATS": [STATS, {**STATS, "database": "pgbouncer"}],
    "DATABASES": [DATABASE, {**DATABASE, "name": "pgbouncer"}],
    "CLIENTS": [
        CLIENT,
        {**CLIENT, "state": "active", "wait": "0", "wait_us": "0"},
        {**CLIENT, "database": "pgbouncer"},
    ],
    "CONFIG": CONFIG,
}
NEW: dict[str, Rows] = {  # 1.24: more columns, some of them between the old ones
    **OLD,
    "VERSION": [{"version": "PgBouncer 1.24.1"}],
    "POOLS": [{**POOL, "load_balance_hosts": None}],
    "STATS": [
        {"database": "market", "total_server_assignment_count": "7", **STATS, "total_client_parse_count": "5",
         "total_server_parse_count": "4", "total_bind_count": "9"}
    ],
    "CONFIG": (*CONFIG, setting("max_prepared_statements", "0", "200")),
}  # fmt: skip


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _rows(rows: Rows) -> bytes:
    names = list(rows[0]) if rows else ["nothing"]
    head = b"".join(name.encode() + b"\0" + struct.pack("!ihihih", 0, 0, 25, -1, -1, 0) for name in names)
    out = _message(b"T", struct.pack("!h", len(names)) + head)
    for row in rows:
        body = struct.pack("!h", len(names))
        for name in names:
            text = row[name]
            body += struct.pack("!i", -1) if text is None else struct.pack("!i", len(text.encode())) + text.encode()
        out += _message(b"D", body)
    return out + _message(b"C", b"SHOW\0")


class RecordedPooler:
    """Wants a password in clear text, refuses users that aren't ``stats``; ``shown`` may be changed at any time."""

    def __init__(self, shown: dict[str, Rows]) -> None:
        self.shown = shown
        self.asked: list[str] = []
        self.connections = 0
        self.is_silent = False
        self.port = 0
        self.writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"postgresql://stats:s%40cret@127.0.0.1:{self.port}/pgbouncer"

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[RecordedPooler]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.hang_up()

    def hang_up(self) -> None:
        """End every connection, as a restart does."""
        for writer in self.writers:
            writer.close()
        self.writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            (length,) = struct.unpack("!i", await reader.readexactly(4))
            words = (await reader.readexactly(length - 4))[4:].decode().split("\0")
            given = dict(zip(words[::2], words[1::2], strict=False))
            writer.write(_message(b"R", struct.pack("!i", 3)))
            _, password = await self._read(reader)
            if given["user"] != "stats" or password != b"s@cret\0":
                writer.write(_message(b"E", b"SFATAL\0C28P01\0Mpassword authentication failed\0\0"))
                writer.close()
                return
            writer.write(_message(b"R", struct.pack("!i", 0)) + _message(b"Z", b"I"))
            while True:
                _, body = await self._read(reader)
                text = body.rstrip(b"\0").decode()
                self.asked.append(text)
                if self.is_silent:
                    await asyncio.Event().wait()
                writer.write(_rows(self.shown[text.removeprefix("SHOW ")]) + _message(b"Z", b"I"))

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
        kind = await reader.readexactly(1)
        (length,) = struct.unpack("!i", await reader.readexactly(4))
        return kind, await reader.readexactly(length - 4)
