"""One pooled HTTP session per provider: bounded in time, size and connections, and never following a redirect.

A redirect would carry the key headers to another host (aiohttp drops only the standard ones), so it is an error here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
from multidict import CIMultiDictProxy

from qsuite_console.model.quota import Quota
from qsuite_console.model.text import clean
from qsuite_console.providers.errors import ProviderRefused, ProviderUnavailable

BODY_LIMIT: Final = 64 * 1024 * 1024  # a page of 10,000 bars is about 1.2 MB
_CHUNK: Final = 256 * 1024
_CONNECTIONS, _PER_HOST, _DNS_S, _KEEPALIVE_S = 100, 20, 300, 30
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, connect=15, sock_connect=5, sock_read=20)


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole answer."""

    status: int
    body: bytes
    quota: Quota
    content_type: str
    latency_s: float


class HttpSession:
    """Opened on first use, on the loop of the first caller."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str, parameters: Mapping[str, str]) -> Reply:
        """Return the answer whatever its status; raises ProviderUnavailable or ProviderRefused (redirect, too big)."""
        started = time.monotonic()
        host = url.split("/")[2] if "//" in url else url
        try:
            async with self._open().get(url, params=parameters, allow_redirects=False) as response:
                if 300 <= response.status < 400:
                    raise ProviderRefused(
                        f"{clean(host, 100)} answers with a redirect, which is not followed",
                        hint="set the provider's final address",
                        status=response.status,
                    )
                body = await _read(response, host)
                quota = read_quota(response.headers)
                return Reply(response.status, body, quota, response.content_type, time.monotonic() - started)
        except TimeoutError as error:
            raise ProviderUnavailable(
                f"{clean(host, 100)} did not answer in time", hint="it is tried again by itself"
            ) from error
        except aiohttp.InvalidURL as error:
            raise ProviderRefused("the provider's address is not a URL", hint="check APCA_API_DATA_URL") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ProviderUnavailable(
                f"{clean(host, 100)} is not reachable: {reason_of(error)}", hint="check the address and the network"
            ) from error

    async def close(self) -> None:
        """Close every connection; the next request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
            await asyncio.sleep(0)  # lets the transports finish closing

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=_CONNECTIONS, limit_per_host=_PER_HOST, ttl_dns_cache=_DNS_S, keepalive_timeout=_KEEPALIVE_S
                ),
                headers={"Accept": "application/json", "Accept-Encoding": "gzip, deflate", **self._headers},
                timeout=_TIMEOUT,
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def read_quota(headers: Mapping[str, str] | CIMultiDictProxy[str]) -> Quota:
    """Return what the X-RateLimit-* and Retry-After headers say; what can't be read counts as not said."""
    server_now = _date(headers.get("Date"))
    now = time.time() if server_now is None else server_now
    reset_epoch = _number(headers.get("X-RateLimit-Reset"))
    limit, remaining = _number(headers.get("X-RateLimit-Limit")), _number(headers.get("X-RateLimit-Remaining"))
    retry = headers.get("Retry-After")
    retry_s = _number(retry)
    if retry and retry_s is None:
        at = _date(retry)
        retry_s = None if at is None else max(0.0, at - now)
    return Quota(
        limit=None if limit is None else int(limit),
        remaining=None if remaining is None else int(remaining),
        reset_epoch=reset_epoch,
        reset_s=None if reset_epoch is None else max(0.0, reset_epoch - now),
        retry_after_s=retry_s,
    )


async def _read(response: aiohttp.ClientResponse, host: str) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_chunked(_CHUNK):
        size += len(chunk)
        if size > BODY_LIMIT:
            raise ProviderRefused(
                f"{clean(host, 100)} sent more than {BODY_LIMIT // 1024 // 1024} MiB in one answer",
                status=response.status,
            )
        parts.append(chunk)
    return b"".join(parts)


def reason_of(error: BaseException) -> str:
    """Return why a request failed, in a few words without an address."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not trusted"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name can't be resolved"
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error is not None:
        if isinstance(error.os_error, ConnectionRefusedError):  # asyncio's own words name a call and a tuple
            return "nothing listens there (connection refused)"
        return clean(error.os_error.strerror or "no connection", 100)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it closed the connection"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer broke off"
    return type(error).__name__


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and 0 <= value < 1e12 else None


def _date(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, TypeError):
        return None
