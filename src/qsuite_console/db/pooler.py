"""PgBouncer's admin console: where it is, one connection that is opened on first use and reopened after a failure.

Columns are read by name (they grew from 1.18 to 1.24). Nothing here changes PgBouncer: only SHOW is ever sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import ssl
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from qsuite_console.config.settings import Settings
from qsuite_console.db import pooler_wire as wire
from qsuite_console.db.errors import (
    DatabaseDown,
    DatabaseError,
    DatabaseMisconfigured,
    DatabaseRefused,
    DatabaseRejected,
    DatabaseSlow,
)
from qsuite_console.model.text import clean

PORT: Final = 6432
CONSOLE: Final = "pgbouncer"
SHOWN: Final = ("VERSION", "POOLS", "STATS", "DATABASES", "CLIENTS", "CONFIG")
_MESSAGE_LIMIT: Final = 16 * 1024 * 1024
Rows = Sequence[wire.Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolerAddress:
    """Where the admin console is and who asks. ``is_derived``: from the address of the database."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    sslmode: str = "prefer"
    authorities: str = ""  # file of the certificates to trust, "": the system's
    is_derived: bool = False

    @property
    def where(self) -> str:
        """Return host:port, never with user or password."""
        return clean(f"{self.host}:{self.port}", 200)


def address_of(settings: Settings) -> PoolerAddress | None:
    """Return the console's address, None where no pooler is configured; raises DatabaseMisconfigured."""
    dsn = settings.pooler.dsn.reveal()
    is_derived = not dsn
    if is_derived:
        dsn = settings.database.dsn.reveal() if settings.database.pgbouncer else ""
    if not dsn:
        return None
    setting = "database.dsn" if is_derived else "pooler.dsn"
    try:
        parts = urlsplit(dsn)
        options = {name: found[-1] for name, found in parse_qs(parts.query).items()}
        port = parts.port or int(options.get("port", PORT))
    except ValueError as error:
        raise DatabaseMisconfigured(
            f"{setting} can't be used: the address is malformed",
            hint="pooler.dsn is postgresql://user:password@host:6432/pgbouncer",
        ) from error
    return PoolerAddress(
        host=unquote(parts.hostname or "") or options.get("host", "") or "127.0.0.1",
        port=port,
        user=unquote(parts.username or "") or options.get("user", "") or os.environ.get("PGUSER") or getpass.getuser(),
        password=unquote(parts.password or "") or options.get("password", "") or os.environ.get("PGPASSWORD", ""),
        sslmode=options.get("sslmode", "prefer"),
        authorities=options.get("sslrootcert", ""),
        is_derived=is_derived,
    )


class PoolerConsole:
    """Asks PgBouncer, one question after the other, whoever asks."""

    def __init__(self, settings: Settings, *, application: str = "qsuite-console/pooler") -> None:
        self._settings = settings
        self._application = application
        self._turn: asyncio.Lock | None = None
        self._link: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @property
    def is_configured(self) -> bool:
        """Tell whether there is a pooler to ask."""
        return bool(self._settings.pooler.dsn) or (
            self._settings.database.pgbouncer and bool(self._settings.database.dsn)
        )

    @property
    def where(self) -> str:
        """Return host:port, "" where no pooler is configured or its address is malformed."""
        try:
            address = address_of(self._settings)
        except DatabaseMisconfigured:
            return ""
        return "" if address is None else address.where

    async def show(self, whats: Sequence[str], budget_s: float) -> Mapping[str, Rows]:
        """Return the rows of each ``SHOW``, all within ``budget_s`` seconds; raises DatabaseError."""
        address = address_of(self._settings)
        if address is None:
            raise DatabaseMisconfigured("no pooler is configured", hint="set pooler.dsn, or database.pgbouncer")
        if self._turn is None:
            self._turn = asyncio.Lock()
        is_whole = False
        try:
            async with asyncio.timeout(budget_s), self._turn:
                try:
                    answers = await self._all(address, whats)
                    is_whole = True
                finally:
                    if not is_whole:  # an answer may still be under way: the next question needs a new connection
                        self._drop()
            return answers
        except DatabaseError:
            raise
        except TimeoutError as error:
            raise DatabaseSlow(
                f"PgBouncer at {address.where} did not answer within {budget_s:g} s", hint="its process may hang"
            ) from error
        except ssl.SSLError as error:
            raise DatabaseDown(
                f"no TLS connection to PgBouncer at {address.where}: {clean(error.reason or error, 120)}",
                hint="check sslmode and sslrootcert in pooler.dsn",
            ) from error
        except (OSError, EOFError) as error:
            reason = "nothing listens there" if isinstance(error, ConnectionRefusedError) else "the connection was lost"
            raise DatabaseDown(
                f"PgBouncer at {address.where} is not reachable: {reason}", hint="check that it runs, and pooler.dsn"
            ) from error
        except (wire.WireError, ValueError, KeyError, struct.error) as error:
            raise DatabaseRejected(
                f"what answers at {address.where} is no console of PgBouncer: {clean(error, 120)}",
                hint="point pooler.dsn at PgBouncer",
            ) from error

    async def close(self) -> None:
        """Close the connection; a later question opens it again."""
        self._drop()

    async def _all(self, address: PoolerAddress, whats: Sequence[str]) -> Mapping[str, Rows]:
        is_fresh = self._link is None
        try:
            return {what: await self._one(address, what) for what in whats}
        except (OSError, EOFError):
            if is_fresh:
                raise
            self._drop()  # PgBouncer was restarted since: what it has now is asked on a new connection
            return {what: await self._one(address, what) for what in whats}

    async def _one(self, address: PoolerAddress, what: str) -> Rows:
        reader, writer = self._link or await self._open(address)
        writer.write(wire.query(f"SHOW {what}"))
        names: list[str] = []
        rows: list[wire.Row] = []
        while True:
            kind, body = await _receive(reader)
            if kind == b"T":
                names = wire.columns(body)
            elif kind == b"D":
                rows.append(dict(zip(names, wire.values(body), strict=True)))
            elif kind == b"E":
                raise _refused(address, body)
            elif kind == b"Z":
                return rows

    async def _open(self, address: PoolerAddress) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if address.host.startswith("/"):
            path = f"{address.host}/.s.PGSQL.{address.port}"
            self._link = await asyncio.open_unix_connection(path)
        else:
            self._link = await asyncio.open_connection(address.host, address.port)
        reader, writer = self._link
        context = _encryption(address)
        if context is not None:
            writer.write(wire.SSL_REQUEST)
            if await reader.readexactly(1) != b"S":
                raise wire.WireError(f"it offers no TLS, which sslmode={address.sslmode} asks for")
            await writer.start_tls(context, server_hostname=address.host)
        writer.write(wire.startup(address.user, CONSOLE, self._application))
        login = wire.Login(address.user, address.password)
        while True:
            kind, body = await _receive(reader)
            if kind == b"R":
                writer.write(login.answer(body))
            elif kind == b"E":
                raise _refused(address, body)
            elif kind == b"Z":
                return reader, writer

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            with contextlib.suppress(RuntimeError):  # the loop it belongs to is closed
                link[1].close()


def _encryption(address: PoolerAddress) -> ssl.SSLContext | None:
    """Return how to encrypt; like libpq, "require" trusts any certificate and "verify-ca" any name."""
    if address.sslmode in ("disable", "allow", "prefer"):
        return None
    context = ssl.create_default_context(cafile=address.authorities or None)
    if address.sslmode != "verify-full":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE if address.sslmode == "require" else ssl.CERT_REQUIRED
    return context


async def _receive(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind = await reader.readexactly(1)
    (length,) = struct.unpack("!i", await reader.readexactly(4))
    if not 4 <= length <= _MESSAGE_LIMIT:
        raise wire.WireError("it speaks another protocol")
    return kind, await reader.readexactly(length - 4)


def _refused(address: PoolerAddress, body: bytes) -> DatabaseError:
    state, said = wire.refusal(body)
    text = clean(said, 200)
    user = clean(address.user, 60)
    if "not allowed" in text or state.startswith("28") or "auth" in text.lower() or "no such database" in text:
        return DatabaseRefused(
            f"PgBouncer at {address.where} refused its console to {user}: {text}",
            hint=f"add {user} to stats_users in pgbouncer.ini, or set pooler.dsn to a user that may look",
            sqlstate=state,
        )
    return DatabaseRejected(f"PgBouncer at {address.where}: {text}", sqlstate=state)
