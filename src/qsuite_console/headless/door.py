"""Who may come in: the Host and Origin a request names, the token it carries, and how often its holder asks.

The Unix socket has a door of its own: who can open that file is this user, and may do everything. Over TCP nothing but
liveness is answered without a token, not even that there is no such path.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from aiohttp import web

from qsuite_console.config.api import ApiSettings, ApiToken, parse_hosts, parse_origins, problem_of
from qsuite_console.headless.table import Route
from qsuite_console.model.access import LOCAL, Caller, Scope
from qsuite_console.model.errors import NotAllowed, NotAuthenticated, TooManyRequests
from qsuite_console.model.text import clean

LOOK_S: Final = 2.0  # how often the files of tokens are looked at
BURST_S: Final = 6.0  # of its rate a caller may use up at once
REFUSALS_PER_S: Final = 50.0  # that are answered at once
PENALTY_S: Final = 1.0
NOBODY: Final = Caller(name="nobody", scope=Scope.READ, is_local=False, own_jobs_only=True)
_MOST_FILE: Final = 4096
_HINT: Final = "send Authorization: Bearer with a token of [tokens.NAME]"
_log: Final = logging.getLogger(__name__)


class Door(Protocol):
    """Lets requests in, as whom, or raises NotAuthenticated, NotAllowed or TooManyRequests."""

    def admit(self, request: web.Request, route: Route | None) -> Caller:
        """Return who asks; ``route`` is None where nothing answers to the path."""
        ...

    def holds(self, request: web.Request, caller: Caller) -> bool:
        """Return whether who was let in with ``request`` still would be: streams outlast tokens."""
        ...

    def allows_origin(self, request: web.Request) -> str:
        """Return the Origin of a web page that may read the answer, "" for everyone else."""
        ...

    def penalty_s(self) -> float:
        """Return how long who was just turned away shall wait for the answer."""
        ...


class LocalDoor:
    """The Unix socket's: its file mode is the check. A web page behind a proxy is refused all the same."""

    def admit(self, request: web.Request, _route: Route | None) -> Caller:
        """Return this user."""
        if request.headers.get("Origin"):
            raise NotAllowed("web pages may not use the engine's socket", hint="see [api] for the interface over TCP")
        return LOCAL

    def holds(self, _request: web.Request, _caller: Caller) -> bool:
        """Return True: the socket is this user's for good."""
        return True

    def allows_origin(self, _request: web.Request) -> str:
        """Return nothing."""
        return ""

    def penalty_s(self) -> float:
        """Return nothing."""
        return 0.0


class TokenBook:
    """The tokens that are valid now. Only digests are kept and compared, each of them every time."""

    def __init__(self, tokens: Mapping[str, ApiToken]) -> None:
        self._tokens = tokens
        self._seen: dict[str, tuple[int, int, int]] = {}
        self._digests: dict[str, tuple[bytes, ...]] = {}
        self._problems: dict[str, str] = {}
        self.refresh()

    @property
    def usable(self) -> tuple[str, ...]:
        """Return the names of the tokens that somebody could come in with."""
        return tuple(name for name, digests in self._digests.items() if digests)

    @property
    def problems(self) -> Mapping[str, str]:
        """Return why a token can't be used, by its name; never quotes one."""
        return dict(self._problems)

    def refresh(self) -> None:
        """Read the files that have changed; blocks for as long as their file system does."""
        for name, token in self._tokens.items():
            values: tuple[str, ...] = (token.value.reveal(),) if token.value else ()
            problem = "" if values else f"{token.reference.removeprefix('env:')} is empty"
            if token.path:
                try:
                    status = Path(token.path).stat()
                    stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
                    if self._seen.get(name) == stamp:
                        continue
                    values, problem = _read(Path(token.path))
                    self._seen[name] = stamp
                except (OSError, UnicodeDecodeError) as error:
                    self._seen.pop(name, None)
                    values, problem = (), f"{token.path} can't be read: {getattr(error, 'strerror', '') or 'not text'}"
            if problem and problem != self._problems.get(name):
                _log.warning("the token %s can't be used: %s", name, clean(problem, 300))
            self._problems[name] = problem
            self._digests[name] = tuple(_digest(value) for value in values)
        self._problems = {name: problem for name, problem in self._problems.items() if problem}

    def find(self, given: str) -> ApiToken | None:
        """Return whose token it is; takes the same time whatever is given."""
        digest, found = _digest(given), None
        for name, digests in self._digests.items():
            for each in digests:
                if hmac.compare_digest(each, digest):
                    found = self._tokens[name]
        return found

    async def watch(self) -> None:
        """Look at the files every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await asyncio.to_thread(self.refresh)
            except Exception:  # a door that stops looking would let a token in for ever after it was replaced
                _log.exception("looking at the tokens' files failed")


class TcpDoor:
    """TCP's: ``host`` and ``port`` are where it listens."""

    def __init__(
        self,
        settings: ApiSettings,
        book: TokenBook,
        host: str,
        port: int,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._book = book
        self._hosts = _names(host, port, parse_hosts(settings.hosts))
        self._origins = frozenset(parse_origins(settings.origins))
        self._rate = settings.requests_per_minute / 60.0
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._refusals = _Bucket(REFUSALS_PER_S, clock())

    def admit(self, request: web.Request, route: Route | None) -> Caller:
        """Return the token's holder, or nobody for what is open to all."""
        self._check_addressed(request)
        if route is not None and route.is_open:
            self._take_turn(NOBODY)
            return NOBODY
        if "Authorization" not in request.headers:
            raise NotAuthenticated("this interface wants a token", hint=_HINT)
        token = self._token_of(request)
        if token is None:
            raise NotAuthenticated("this token is not valid", hint=_HINT)
        caller = Caller(name=token.name, scope=token.scope, is_local=False, own_jobs_only=token.own_jobs_only)
        self._take_turn(caller)
        return caller

    def holds(self, request: web.Request, caller: Caller) -> bool:
        """Return whether the token that was given is still the caller's."""
        token = self._token_of(request)
        return token is not None and token.name == caller.name

    def _token_of(self, request: web.Request) -> ApiToken | None:
        given = request.headers.getall("Authorization", [])
        kind, _, value = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        return self._book.find(value.strip()) if kind.lower() == "bearer" else None

    def allows_origin(self, request: web.Request) -> str:
        """Return the Origin where it is one of those configured."""
        origin = request.headers.get("Origin", "")
        return origin if origin.lower() in self._origins else ""

    def penalty_s(self) -> float:
        """Return nothing at first, then a second each: whom nobody let in can't keep the engine's loop busy."""
        return PENALTY_S if self._refusals.take(self._clock()) > 0 else 0.0

    def _check_addressed(self, request: web.Request) -> None:
        """Refuse a name that is not ours (DNS rebinding) and web pages that nobody let in."""
        named = request.headers.getall("Host", [])
        host = named[0].lower() if len(named) == 1 else ""
        name, _, port = host.rpartition(":")
        is_own = host in self._hosts or (port.isascii() and port.isdigit() and name in self._hosts)
        if not is_own:
            raise NotAllowed(
                f"this interface is not called {clean(host, 100) or 'nothing'}",
                hint="use the address it listens on, or add the name to api.hosts",
            )
        if request.headers.getall("Origin", []) and not self.allows_origin(request):
            raise NotAllowed(
                f"web pages of {clean(request.headers['Origin'], 100)} may not use this interface",
                hint="add their origin to api.origins",
            )

    def _take_turn(self, caller: Caller) -> None:
        bucket = self._buckets.get(caller.name)
        if bucket is None:
            bucket = self._buckets[caller.name] = _Bucket(self._rate, self._clock())
        wait_s = bucket.take(self._clock())
        if wait_s > 0:
            raise TooManyRequests(
                f"{clean(caller.name, 60)} asks more than {self._rate * 60:,.0f} times a minute",
                hint=f"wait {math.ceil(wait_s)} s, or raise api.requests_per_minute",
                after_s=wait_s,
            )


class _Bucket:
    """A token bucket: full at first, filled at the rate."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._size = max(1.0, rate * BURST_S)
        self._left = self._size
        self._at = now

    def take(self, now: float) -> float:
        """Take one and return 0, or return the seconds until there is one."""
        self._left = min(self._size, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1.0:
            return (1.0 - self._left) / self._rate
        self._left -= 1.0
        return 0.0


def _names(host: str, port: int, further: tuple[str, ...]) -> frozenset[str]:
    """Return the names it answers to; one without a port stands for all of its ports, as a tunnel has another."""
    shown = f"[{host}]" if ":" in host else host.lower()
    return frozenset({"localhost", "127.0.0.1", "[::1]", f"{shown}:{port}", *further})


def _read(path: Path) -> tuple[tuple[str, ...], str]:
    """Return the tokens of a file, one or two lines while one replaces the other, and what is wrong with them."""
    with path.open("rb") as file:
        text = file.read(_MOST_FILE).decode()
    lines = tuple(line.strip() for line in text.splitlines() if line.strip())
    good = tuple(line for line in lines if not problem_of(line))[:2]
    if len(good) == len(lines) and good:
        return good, ""
    why = problem_of(lines[0]) if lines else "is empty"
    return good, f"what stands in {path} {why or 'has more than two tokens, or a bad one'}"


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).digest()
