"""The line to an engine in another process: a thread and loop of its own that follows the engine's state.

The screen's loop may freeze and the engine may hang; neither must hold the other up. What was heard last stays
readable from any thread, the silence is dated, and the line heals by itself, also with an engine that was restarted.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import aiohttp
import msgspec

from qsuite_console import __version__
from qsuite_console.attach.address import HINT, Address
from qsuite_console.engine.state import ConsoleState
from qsuite_console.model import units
from qsuite_console.model.errors import ConsoleError, EngineGone, NotAuthenticated
from qsuite_console.model.events import AnyEvent
from qsuite_console.model.wire import ErrorAnswer, EventsAnswer, unpack_error

T = TypeVar("T")

WAIT_S: Final = 2.0  # how long the engine may hold a question for news before it answers "nothing new"
SILENCE_S: Final = 1.5  # how much longer before it counts as not answering
PACE_S: Final = 0.1  # a busy engine is not asked more than ten times a second; one that was silent at once
RETRY_S: Final = 0.5
CALL_S: Final = 120.0  # no answer takes longer: plans and questions have limits of their own, below this
RING: Final = 4096  # facts kept
_QUESTIONS: Final = ("/ask/", "/check", "/plan")
_NOT_DONE: Final = "nothing was changed: repeat it once the engine is back"
_UNSURE: Final = "; whether it took the request is not known, look before repeating it"
_log: Final = logging.getLogger(__name__)


class Unreadable(ConsoleError):
    """The engine speaks, but not as this version does."""


class Link:
    """Follows one engine and carries questions to it. ``when_ended`` is what a person can do once it has ended."""

    def __init__(self, address: Address, *, when_ended: str = "") -> None:
        self._address = address
        self._when_ended = when_ended
        self._state = ConsoleState(is_attached=True, trouble="not connected to an engine yet")
        self._lock = threading.Lock()  # guards the ring and its newest number
        self._ring: deque[AnyEvent] = deque(maxlen=RING)  # the newest facts, without a gap
        self._newest = 0
        self._base = 0  # of our numbers: those of a restarted engine begin anew, ours go on, with a gap between
        self._heard: ConsoleState | None = None  # as the engine sent it
        self._heard_at = time.monotonic()
        self._loop = asyncio.new_event_loop()
        self._lost = asyncio.Event()
        self._silence = ""  # in few words, while it is lost
        self._thread: threading.Thread | None = None
        self._session: aiohttp.ClientSession | None = None
        self._follower: asyncio.Task[None] | None = None

    @property
    def state(self) -> ConsoleState:
        """Return the newest state, with the silence of the engine as its trouble."""
        return self._state

    def events(self, after: int) -> tuple[int, tuple[AnyEvent, ...]]:
        """Return the newest number, and the facts above ``after``; fewer than their difference means a gap."""
        with self._lock:
            missing = max(0, self._newest - after)
            return self._newest, tuple(self._ring)[-missing:] if missing else ()

    def open(self, timeout_s: float) -> None:
        """Start following and wait for the first state; raises EngineGone."""
        self._thread = threading.Thread(target=self._run, name="attach", daemon=True)
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._start(timeout_s), self._loop).result()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Hang up; the engine goes on without us."""
        thread, self._thread = self._thread, None
        if thread is not None:
            asyncio.run_coroutine_threadsafe(self._finish(), self._loop)
            thread.join(5.0)

    async def call(self, method: str, path: str, kind: type[T], body: object, query: Mapping[str, str]) -> T:
        """Put one question, awaitable on any loop, and return the answer as ``kind``; raises ``model.errors`` only."""
        if self._thread is None:
            raise EngineGone("not attached to an engine", hint=HINT)
        asked = self._ask_or_lose(method, path, kind, body, query)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asked, self._loop))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _start(self, timeout_s: float) -> None:
        self._session = aiohttp.ClientSession(
            connector=self._address.connector(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._address.connect_s),
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        async with _named(self._address.where, timeout_s):
            await self._look(0.0)
        self._follower = asyncio.create_task(self._follow())

    async def _finish(self) -> None:
        self._lost.set()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        self._loop.stop()

    async def _follow(self) -> None:
        while True:
            try:
                wait_s = 0.0 if self._lost.is_set() else WAIT_S
                began = time.monotonic()
                async with _named(self._address.where, wait_s + SILENCE_S):
                    await self._look(wait_s)
                await asyncio.sleep(max(0.0, PACE_S - (time.monotonic() - began)))
            except ConsoleError as error:
                self._note_silence(error)
                await asyncio.sleep(RETRY_S)
            except Exception:  # a line that stops following would show old figures as new for ever
                _log.exception("following the engine failed")
                await asyncio.sleep(RETRY_S)

    async def _look(self, wait_s: float) -> None:
        before = self._heard
        query = {"wait": f"{wait_s:g}", "after": str(before.sequence if before is not None else -1)}
        state = await self._exchange("GET", "/state", ConsoleState, None, query)
        is_same = before is not None and _engine_of(before) == _engine_of(state)
        if is_same and before is not None and before.sequence == state.sequence and not self._lost.is_set():
            self._heard_at = time.monotonic()
            return
        known = self._newest - self._base if is_same else 0
        facts = await self._exchange("GET", "/events", EventsAnswer, None, {"after": str(known)})
        self._heard_at = time.monotonic()
        with self._lock:
            if not is_same and before is not None:
                self._base = self._newest + 1
            if not is_same or len(facts.events) < facts.newest - known:
                self._ring.clear()  # another engine, or more happened than it keeps: what is kept stays without a gap
            self._ring.extend(facts.events)
            self._newest = self._base + facts.newest
        self._heard = state
        self._lost.clear()
        self._publish(state)

    def _note_silence(self, error: ConsoleError) -> None:
        if not self._lost.is_set():
            _log.warning("lost the engine on %s: %s", self._address.where, error)
            self._lost.set()
        since = units.age(time.monotonic() - self._heard_at)
        more = f"; {self._when_ended}" if self._when_ended else ""
        if isinstance(error, Unreadable):
            self._silence = trouble = f"{error.message}; {error.hint}"
        elif not isinstance(error, EngineGone):
            self._silence = trouble = f"the engine refuses to answer: {error.message}"
        elif _is_refused(error):
            self._silence = f"the engine ended {since} ago"
            trouble = f"{self._silence}: this goes on by itself when it is back{more}"
        else:
            self._silence = f"the engine stopped answering {since} ago"
            trouble = f"{self._silence}; it is asked again all the time"
        if self._heard is not None and trouble != self._state.trouble:
            self._publish(msgspec.structs.replace(self._heard, trouble=trouble))

    def _publish(self, state: ConsoleState) -> None:
        # Numbered here, not by the engine: silence is news too, and a restarted engine counts from the start again.
        sequence = self._state.sequence + 1
        owner = state.owner
        if self._address.socket is None:
            owner += f" at {self._address.where.partition('://')[2]}"
        self._state = msgspec.structs.replace(state, sequence=sequence, is_attached=True, owner=owner)

    async def _ask_or_lose(self, method: str, path: str, kind: type[T], body: object, query: Mapping[str, str]) -> T:
        is_change = _is_change(method, path)
        if self._lost.is_set():
            raise EngineGone(self._silence or "the engine does not answer", hint=_NOT_DONE if is_change else HINT)
        asked = asyncio.create_task(self._exchange(method, path, kind, body, query))
        lost = asyncio.create_task(self._lost.wait())
        try:
            await asyncio.wait({asked, lost}, timeout=CALL_S, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                return asked.result()
            raise EngineGone(f"the engine stopped answering{_UNSURE if is_change else ''}", hint=HINT)
        finally:
            asked.cancel()
            lost.cancel()
            await asyncio.gather(asked, lost, return_exceptions=True)

    async def _exchange(self, method: str, path: str, kind: type[T], body: object, query: Mapping[str, str]) -> T:
        """Ask once; where the token was replaced meanwhile, once more with the new one: a 401 has done nothing."""
        data = None if body is None else msgspec.json.encode(body)
        stated = self._address.token
        try:
            return _decode(*await self._send(method, path, data, query), kind)
        except NotAuthenticated:
            if self._address.token is stated:
                renewed = self._address.renewed()
                if renewed is None:
                    raise
                self._address = renewed
                _log.info("the token for %s was replaced: the new one is used", renewed.where)
        return _decode(*await self._send(method, path, data, query), kind)

    async def _send(self, method: str, path: str, data: bytes | None, query: Mapping[str, str]) -> tuple[int, bytes]:
        assert self._session is not None
        headers = dict(self._address.headers)
        if data is not None:
            headers["Content-Type"] = "application/json"
        self._address.require()
        try:
            async with self._session.request(
                method, self._address.base + path, data=data, headers=headers, params=query, allow_redirects=False
            ) as answer:
                return answer.status, await answer.read()
        except aiohttp.ClientConnectorError as error:
            hint = _NOT_DONE if _is_change(method, path) else HINT
            raise EngineGone(f"no engine answers on {self._address.where}", hint=hint) from error
        except (aiohttp.ClientError, OSError) as error:
            unsure = _UNSURE if _is_change(method, path) else ""
            raise EngineGone(f"no engine answers on {self._address.where} any more{unsure}", hint=HINT) from error


def _decode(status: int, content: bytes, kind: type[T]) -> T:
    try:
        if status < 400:
            return msgspec.json.decode(content, type=kind)
        refused = msgspec.json.decode(content, type=ErrorAnswer)
    except msgspec.DecodeError as error:
        raise Unreadable(
            f"the engine's answer (status {status}) can't be read: it runs another version than this, {__version__}",
            hint="restart the older one of the two",
        ) from error
    raise unpack_error(refused.error)


def _is_refused(error: ConsoleError) -> bool:
    """Tell whether no process holds the socket any more, as opposed to one that is stopped or too busy."""
    cause = error.__cause__
    found = cause.os_error if isinstance(cause, aiohttp.ClientConnectorError) else cause
    return isinstance(found, ConnectionRefusedError | FileNotFoundError)


def _is_change(method: str, path: str) -> bool:
    """Tell whether a request may have changed something: some that carry a body only ask."""
    return method != "GET" and not path.startswith(_QUESTIONS) and not path.endswith("/proposal")


def _engine_of(state: ConsoleState) -> tuple[object, str]:
    return state.started_at, state.owner


class _named:
    """A time limit whose end is an EngineGone that names the address."""

    def __init__(self, where: str, limit_s: float) -> None:
        self._where = where
        self._limit_s = limit_s
        self._timeout = asyncio.timeout(limit_s)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, *failure: Any) -> None:
        try:
            await self._timeout.__aexit__(*failure)
        except TimeoutError:
            raise EngineGone(f"no answer on {self._where} within {self._limit_s:g} s", hint=HINT) from None
