"""Calls of external addresses under the console's rules: named secrets, a rate for each address, retries, a cache.

One for a whole runtime, so that every job keeps to the same rate and shares the cache. What it returns and raises holds
no secret: not those it sent, nor what an answer repeats of them.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import random
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Protocol
from urllib.parse import quote, quote_plus

from yarl import URL

from qsuite_console.config.outgoing import NamedSecret
from qsuite_console.logs import MASK
from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import ConsoleError
from qsuite_console.providers.errors import NotSent, ProviderError, ProviderRefused, ProviderThrottled
from qsuite_console.providers.guard import parse_url
from qsuite_console.providers.outgoing import Answer, OutgoingClient, Request, place_of

WINDOW_S: Final = 3600.0
LONGEST_WAIT_S: Final = 60.0  # a longer Retry-After is the caller's business
CACHED_BYTES: Final = 32 * 1024 * 1024
_BASE_S: Final = 0.5
_REFERENCE: Final = re.compile(r"\bsecret:([a-z][a-z0-9_-]{0,39})")
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_NOT_DONE: Final = frozenset({429, 503})  # the server says that it did not do it
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})


class Rates(Protocol):
    """Counts what was done, over restarts; implemented by ``history``."""

    async def take(self, subject: str, *, limit: int, window_s: float, now: datetime) -> float:
        """Return 0 and count it, or the seconds until it may be done again."""
        ...


class RateReached(ProviderThrottled):
    """The console's own limit for this address is used up; ``after_s`` is when the next call may go."""

    def __init__(self, message: str, *, hint: str, after_s: float) -> None:
        super().__init__(message, hint=hint)
        self.after_s = after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One call with its patience; references to secrets still in it."""

    request: Request
    user: str = ""  # whom the rate is counted for; "": whoever runs the console
    retries: int = 3
    cache_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """What came of it. ``tries``: requests that were sent or tried; 0 from the cache."""

    answer: Answer
    tries: int
    is_cached: bool = False


@dataclass(slots=True)
class _Cache:
    """Answers by what was asked, the oldest forgotten first."""

    size: int = 0
    entries: OrderedDict[str, tuple[float, Answer]] = field(default_factory=OrderedDict)

    def get(self, key: str, now: float, life_s: float) -> Answer | None:
        at, answer = self.entries.get(key, (float("-inf"), None))
        return answer if now - at < life_s else None

    def put(self, key: str, now: float, answer: Answer) -> None:
        if len(answer.body) > CACHED_BYTES // 4:
            return
        self.drop(key)
        self.entries[key] = (now, answer)
        self.size += len(answer.body)
        while self.size > CACHED_BYTES:
            self.drop(next(iter(self.entries)))

    def drop(self, key: str) -> None:
        _, answer = self.entries.pop(key, (0.0, None))
        self.size -= 0 if answer is None else len(answer.body)


class CallDesk:
    """Makes calls. ``user``: who runs the console; ``sleep`` is waited with between tries."""

    def __init__(
        self,
        client: OutgoingClient,
        secrets: Mapping[str, NamedSecret],
        rates: Rates | None,
        clock: Clock,
        *,
        user: str,
        per_hour: int = 100,
    ) -> None:
        self.sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
        self._client = client
        self._secrets = secrets
        self._rates = rates
        self._clock = clock
        self._user = user
        self._per_hour = per_hour
        self._cache = _Cache()
        self._dice = random.Random()

    async def call(self, wanted: Wanted) -> Got:
        """Return the answer whatever its status, after what is worth trying again was tried.

        Raises RateReached, ProviderError (with the address it is about, without its query), GuardRefused.
        """
        request, used = self._filled(wanted.request)
        masks = masks_of(used)
        key = _key(wanted.request)
        is_cacheable = wanted.cache_s > 0 and wanted.request.method in ("GET", "HEAD")
        if is_cacheable and (known := self._cache.get(key, self._clock.monotonic(), wanted.cache_s)) is not None:
            return Got(answer=known, tries=0, is_cached=True)
        url = parse_url(request.url)
        tries = 0
        answer: Answer | None = None
        error: ProviderError | None = None
        while True:
            try:
                await self._take(url, wanted.user or self._user)
            except RateReached:
                if answer is not None:  # the last one is worth more than that there may be no other
                    return Got(answer=answer, tries=tries)
                raise
            tries += 1
            answer, error = None, None
            try:
                answer = masked(await self._client.send(request), masks)
            except ProviderError as raised:
                error = raised
            wait_s = None if tries > wanted.retries else self._wait_s(request.method, tries, answer, error)
            if wait_s is not None:
                await self.sleep(wait_s)
                continue
            if answer is None:
                assert error is not None
                raise error
            if is_cacheable and 200 <= answer.status < 300:
                self._cache.put(key, self._clock.monotonic(), answer)
            return Got(answer=answer, tries=tries)

    def problems(self, request: Request) -> str:
        """Return why the secrets it names can't be sent there, "" where they can."""
        try:
            self._filled(request)
        except ConsoleError as error:
            return error.message
        return ""

    async def _take(self, url: URL, user: str) -> None:
        if self._rates is None:
            return
        subject = hashlib.sha256(f"{user}\n{url.raw_host}:{url.port}{url.raw_path}".encode()).hexdigest()
        wait_s = await self._rates.take(subject, limit=self._per_hour, window_s=WINDOW_S, now=self._clock.now())
        if wait_s > 0:
            raise RateReached(
                f"{place_of(url)} was called {self._per_hour} times within an hour",
                hint=f"the next call may go in {_span(wait_s)}; outgoing.calls_per_hour sets the limit",
                after_s=wait_s,
            )

    def _wait_s(self, method: str, tries: int, answer: Answer | None, error: ProviderError | None) -> float | None:
        """Return how long to wait before another try, None where there is to be none."""
        if error is not None:
            if not error.is_transient or not (method in IDEMPOTENT or isinstance(error, NotSent)):
                return None
        elif answer is None or answer.status not in (_PASSING if method in IDEMPOTENT else _NOT_DONE):
            return None
        wait_s = self._dice.uniform(0.5, 1.0) * _BASE_S * 2.0 ** min(tries - 1, 6)
        asked_s = None if answer is None else answer.quota.retry_after_s
        if asked_s is None:
            return wait_s
        return max(wait_s, asked_s) if asked_s <= LONGEST_WAIT_S else None

    def _filled(self, request: Request) -> tuple[Request, tuple[str, ...]]:
        """Return the request with its secrets in it, and those; raises ProviderRefused."""
        url = parse_url(request.url)
        used: list[str] = []

        def reveal(name: str) -> str:
            named = self._secrets.get(name)
            if named is None:
                known = ", ".join(self._secrets) or "none"
                raise ProviderRefused(f"no secret is named {name}", hint=f"declare [secrets.{name}]; known: {known}")
            if url.raw_host not in named.hosts:
                raise ProviderRefused(
                    f"the secret {name} may not be sent to {url.host}", hint=f"see hosts of [secrets.{name}]"
                )
            if not named.value:
                raise ProviderRefused(f"the secret {name} is empty", hint=f"set the variable {named.variable}")
            used.append(named.value.reveal())
            return used[-1]

        def fill(text: str, form: Callable[[str], str] = str) -> str:
            return _REFERENCE.sub(lambda found: form(reveal(found[1])), text)

        is_json = request.body.lstrip()[:1] in (b"{", b"[")
        body = fill(request.body.decode(), _inside_json if is_json else quote_plus if _is_form(request) else str)
        if _REFERENCE.search(url.query_string):
            url = url.with_query([(name, fill(value)) for name, value in url.query.items()])
        filled = replace(
            request,
            url=str(url),
            headers={name: fill(value) for name, value in request.headers.items()},
            body=body.encode(),
        )
        return filled, tuple(dict.fromkeys(used))


def masks_of(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return the forms in which an answer may repeat secrets, the longest first."""
    found: set[str] = set()
    for secret in secrets:
        packed = base64.b64encode(secret.encode()).decode()
        found |= {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), _inside_json(secret)}
        found |= {packed, packed.rstrip("="), base64.urlsafe_b64encode(secret.encode()).decode().rstrip("=")}
    return tuple(sorted((form for form in found if len(form) >= 4), key=len, reverse=True))


def masked(answer: Answer, masks: tuple[str, ...]) -> Answer:
    """Return an answer without those texts."""

    def mask(text: str) -> str:
        for form in masks:
            text = text.replace(form, MASK)
        return text

    body = answer.body
    for form in masks:
        body = body.replace(form.encode(), MASK.encode())
    return replace(
        answer,
        body=body,
        url=mask(answer.url),
        reason=mask(answer.reason),
        headers={mask(name): mask(value) for name, value in answer.headers.items()},
    )


def _is_form(request: Request) -> bool:
    kind = next((value for name, value in request.headers.items() if name.lower() == "content-type"), "")
    return kind.startswith("application/x-www-form-urlencoded")


def _inside_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def _key(request: Request) -> str:
    """Return what tells one question from another; secrets go in by name only."""
    headers = sorted((name.lower(), value) for name, value in request.headers.items())
    parts = [request.method, request.url, headers, request.limit, request.redirects]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
