"""Requests to addresses that an operator or client chose: guarded, bounded in time and size, redirects one by one.

Every connection is opened for one request and closed after it, so that each is checked; what an answer unpacks to is
counted as it comes.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from qsuite_console.model.quota import Quota
from qsuite_console.model.text import clean
from qsuite_console.providers.errors import NotSent, ProviderRefused, ProviderUnavailable
from qsuite_console.providers.guard import Guard, GuardRefused, Policy, Resolve, parse_url, same_origin
from qsuite_console.providers.session import read_quota, reason_of

BODY_LIMIT: Final = 8 * 1024 * 1024
_CHUNK: Final = 64 * 1024
_CONNECT_S: Final = 10.0
_AGENT: Final = "qsuite-console"
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_KEEPS_METHOD: Final = frozenset({307, 308})
# Of the caller's headers only these follow to another origin; whatever else there is may be a credential.
_HARMLESS: Final = frozenset({"accept", "accept-language", "user-agent"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent. ``redirects``: how many are followed; 0 leaves the redirect as the answer."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    timeout_s: float = 30.0
    limit: int = BODY_LIMIT  # bytes of the answer, unpacked
    redirects: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One whole answer. ``url`` is where it came from at last, without its query."""

    status: int
    reason: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    url: str
    redirects: int
    latency_s: float
    quota: Quota


class OutgoingClient:
    """Opened on first use, on the loop of the first caller. ``lookup`` replaces the system's resolver."""

    def __init__(self, policy: Policy | None = None, *, lookup: Resolve | None = None) -> None:
        self._guard = Guard(policy=policy or Policy(), lookup=lookup)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request) -> Answer:
        """Return the answer whatever its status.

        Raises GuardRefused, ProviderRefused (a redirect that can't be followed, an answer that is too large), NotSent
        or ProviderUnavailable. No message holds a header, a query or a body.
        """
        started = time.monotonic()
        url = parse_url(request.url)
        try:
            async with asyncio.timeout(request.timeout_s):
                return await self._follow(request, url, started)
        except TimeoutError as error:
            message = f"{place_of(url)} did not answer within {request.timeout_s:g} s"
            raise ProviderUnavailable(message, hint="it may have received the request") from error

    async def close(self) -> None:
        """Close what is open; the next request opens it anew."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _follow(self, request: Request, url: URL, started: float) -> Answer:
        method, body = request.method, request.body
        headers = CIMultiDict(request.headers)
        for followed in range(request.redirects + 1):
            answer = await self._exchange(method, url, headers, body, request.limit)
            location = answer.headers.get("location", "")
            if answer.status not in _REDIRECTS or not location or not request.redirects:
                return _dated(answer, followed, started)
            if followed == request.redirects:
                break
            target = _redirected(url, location)
            if not same_origin(url, target):
                if url.scheme == "https" and target.scheme == "http":
                    raise ProviderRefused(f"{place_of(url)} leads from https to http, which is not followed")
                if body and answer.status in _KEEPS_METHOD:
                    raise ProviderRefused(f"{place_of(url)} wants the body sent to another host, which is not done")
                headers = CIMultiDict((name, value) for name, value in headers.items() if name.lower() in _HARMLESS)
            if answer.status not in _KEEPS_METHOD and method not in ("GET", "HEAD"):
                method, body = "GET", b""
                for name in ("Content-Type", "Content-Encoding"):
                    headers.popall(name, None)
            url = target
        raise ProviderRefused(f"{place_of(url)} redirects more than {request.redirects} times")

    async def _exchange(self, method: str, url: URL, headers: CIMultiDict[str], body: bytes, limit: int) -> Answer:
        given = {"Accept-Encoding": "gzip", "User-Agent": _AGENT}
        for name, value in given.items():
            headers.setdefault(name, value)
        place = place_of(url)
        try:
            with self._guard.visiting(url):
                async with self._open().request(
                    method, url, headers=headers, data=body or None, allow_redirects=False
                ) as response:
                    return Answer(
                        status=response.status,
                        reason=clean(response.reason or "", 60),
                        headers={name.lower(): value for name, value in response.headers.items()},
                        body=await _read(response, place, limit),
                        url=str(url.with_query(None)),
                        redirects=0,
                        latency_s=0.0,
                        quota=read_quota(response.headers),
                    )
        except aiohttp.InvalidURL as error:
            raise GuardRefused("this is not a URL", hint="write it as https://host/path") from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(f"{place} is not reachable: {reason_of(error)}", hint="check the address") from error
        except ValueError:  # aiohttp's own look at names and values of headers; it quotes them
            raise ProviderRefused(f"{place}: a header holds what no header may hold") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ProviderUnavailable(f"{place} failed: {reason_of(error)}") from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(
                resolver=self._guard,
                socket_factory=self._guard.open_socket,
                use_dns_cache=False,
                force_close=True,
                limit=0,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_S),
                trust_env=False,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                requote_redirect_url=False,
            )
            # aiohttp sends a GET or PUT again by itself when a connection breaks; every try here is counted and told.
            self._session._retry_connection = False
        return self._session


def place_of(url: URL | str) -> str:
    """Return host and path of a URL, as messages name it: never its query."""
    url = URL(url) if isinstance(url, str) else url
    port = f":{url.explicit_port}" if url.explicit_port else ""
    return clean(f"{url.host_subcomponent or ''}{port}{url.raw_path.rstrip('/')}", 200)


def _dated(answer: Answer, redirects: int, started: float) -> Answer:
    values: dict[str, Any] = {name: getattr(answer, name) for name in Answer.__slots__}
    return Answer(**{**values, "redirects": redirects, "latency_s": time.monotonic() - started})


def _redirected(url: URL, location: str) -> URL:
    try:
        target = url.join(URL(location, encoded=True))
    except ValueError:
        raise ProviderRefused(f"{place_of(url)} redirects to something that is not a URL") from None
    return parse_url(str(target))


async def _read(response: aiohttp.ClientResponse, place: str, limit: int) -> bytes:
    unpack = _unpacker(response.headers, place)
    parts: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_chunked(_CHUNK):
        piece = chunk
        if unpack is not None:
            try:
                piece = unpack.decompress(chunk, limit - size + 1)
            except zlib.error as error:
                raise ProviderUnavailable(f"{place} sent an answer that can't be unpacked") from error
        size += len(piece)
        if size > limit:
            raise ProviderRefused(
                f"{place} sent more than {limit // 1024:,} KiB", hint="raise the limit", status=response.status
            )
        parts.append(piece)
    if unpack is not None and parts and not unpack.eof:
        raise ProviderUnavailable(f"{place} sent an answer that broke off")
    return b"".join(parts)


def _unpacker(headers: CIMultiDictProxy[str], place: str) -> Any:
    coding = headers.get("Content-Encoding", "identity").strip().lower()
    if coding in ("", "identity"):
        return None
    if coding not in ("gzip", "x-gzip"):
        raise ProviderRefused(f"{place} packed its answer as {clean(coding, 30)}, which was not asked for")
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
