"""The words of the route table: a row is a method, a path and a typed function over Control, with all that is known of
it beforehand (scope, query, body, answer), so that reading a request, refusing it and the OpenAPI document follow from
the row and are written once.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from aiohttp import web
from multidict import MultiMapping

from qsuite_console.engine.control import Control
from qsuite_console.headless.costs import RequestCosts
from qsuite_console.headless.streams import Hub
from qsuite_console.model.access import LOCAL, Caller, Scope
from qsuite_console.model.errors import NotAllowed, UsageProblem
from qsuite_console.model.text import clean
from qsuite_console.model.wire import EngineInfo

if TYPE_CHECKING:
    from qsuite_console.headless.exposition import Exposition

JSON: Final = "application/json"
CALLER: Final = web.RequestKey("caller", Caller)


class Pass:
    """What somebody was let in with; a stream that outlasts it ends."""

    def __init__(self, holds: Callable[[], bool]) -> None:
        self.holds = holds


PASS: Final = web.RequestKey("pass", Pass)
ANSWERED: Final = web.RequestKey("answered", float)  # when its answer began to be sent
HELD: Final = web.RequestKey("held_s", float)  # seconds spent on the caller's wish or line: no cost
EVENT_STREAM: Final = "text/event-stream"
WEBSOCKET: Final = "websocket"
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,16}")
_DECIMAL: Final = re.compile(r"[+-]?([0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20})([eE][+-]?[0-9]{1,3})?")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Query:
    """One parameter of the query string. ``type`` is str, int, float, bool or an Enum; ``low`` and ``high`` bound it.

    With ``is_list`` the value is a tuple, written with commas. ``default`` is what the function gets when it is left
    out; a list's is the empty tuple unless it states another.
    """

    name: str
    type: type = str
    default: Any = None
    low: float | None = None
    high: float | None = None
    help: str = ""
    is_list: bool = False
    is_required: bool = False
    max_length: int = 200  # of a text, of each in a list
    max_items: int = 1000

    def read(self, text: str | None) -> Any:
        """Return the value of ``text``; raises UsageProblem naming the parameter and what it must be."""
        if text is None:
            if self.is_required:
                raise UsageProblem(f"{self.name} is wanted in the query", hint=self.help)
            return () if self.is_list and self.default is None else self.default
        if not self.is_list:
            return self._one(text)
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if len(parts) > self.max_items:
            raise UsageProblem(f"{self.name} takes at most {self.max_items:,} values, {len(parts):,} were given")
        return tuple(self._one(part) for part in parts)

    def _one(self, text: str) -> Any:
        shown = f"{self.name}={clean(text, 40)!r}"
        if issubclass(self.type, Enum):
            known = [str(each.value) for each in self.type]
            if text not in known:
                raise UsageProblem(f"{shown} must be one of {', '.join(known)}")
            return self.type(text)
        if self.type is bool:
            if text.lower() not in _TRUE | _FALSE:
                raise UsageProblem(f"{shown} must be true or false")
            return text.lower() in _TRUE
        if self.type in (int, float):
            return self._number(text, shown)
        if len(text) > self.max_length:
            raise UsageProblem(f"{self.name} is longer than {self.max_length:,} characters")
        if "\0" in text:  # ends a text for SQLite, and is none for PostgreSQL
            raise UsageProblem(f"{shown} may not hold the character NUL")
        return text

    def _number(self, text: str, shown: str) -> float:
        low = -(2.0**53) if self.low is None else self.low
        high = 2.0**53 if self.high is None else self.high
        kind = "a whole number" if self.type is int else "a number"
        form = _WHOLE if self.type is int else _DECIMAL
        value = float(text) if form.fullmatch(text) else math.nan
        if not low <= value <= high:
            raise UsageProblem(f"{shown} must be {kind} from {low:.15g} to {high:.15g}")
        return int(text) if self.type is int else value


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read: path values, query values (each of the row's, with its default), body, and who asks."""

    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: bytes
    request: web.Request  # for rows that answer with a stream of their own
    caller: Caller = LOCAL

    def decode(self, kind: type[T]) -> T:
        """Return the JSON body as ``kind``; raises UsageProblem saying which field is wrong."""
        try:
            return msgspec.json.decode(self.body or b"{}", type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UsageProblem(f"the request's body is refused: {clean(error, 300)}", hint="send JSON") from None

    def identity(self, name: str, what: str) -> int:
        """Return the whole number ``name`` of the path; ``what`` is what it numbers, for the refusal."""
        text = self.path[name]
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise UsageProblem(f"{clean(text, 40)!r} is not a {what} id", hint=f"a {what} id is a whole number")
        return int(text)

    def job_id(self) -> int:
        """Return the job id of the path."""
        return self.identity("job_id", "job")

    def origin(self, stated: str = "") -> str:
        """Return who asked, for jobs and the audit: what a local program states, else the caller's own."""
        return (stated if self.caller.is_local else "") or self.caller.origin

    def require(self, scope: Scope, what: str) -> None:
        """Raise NotAllowed unless the caller may do ``what`` ("end a session"), which wants ``scope``."""
        if not self.caller.scope.covers(scope):
            raise NotAllowed(
                f"the token {clean(self.caller.name, 60)} has the scope {self.caller.scope}: to {what} wants {scope}",
                hint="use a token with that scope (table [api.tokens] of the configuration)",
            )


@dataclass(slots=True)
class Api:
    """What the routes work on. ``closing`` ends every waiting reader when the engine stops."""

    control: Control
    info: Callable[[], EngineInfo]
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    costs: RequestCosts = field(default_factory=RequestCosts)
    routes: tuple[Route, ...] = ()  # all of them, for what describes itself
    hub: Hub = field(init=False)  # of what happens, for streams
    exposition: Exposition | None = None  # made when a scraper first asks

    def __post_init__(self) -> None:
        self.hub = Hub(self.control)


Run = Callable[[Api, Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """One row. ``run`` answers with a value of the type ``answers``, or with a ``web.StreamResponse`` of its own
    (a stream, a file): such a row names its ``media`` type.

    ``takes``: the type of the JSON body, None without one. ``status`` is that of a success. ``is_open``: answers
    without a token. ``is_for_own``: also for callers that may see no jobs but their own; the row's function keeps to
    that. ``tag`` gives the answer's ETag beforehand, or None; other rows are tagged by what they answer. ``cache_s``:
    how long one answer serves everybody who asks the same.
    """

    method: str
    path: str
    run: Run
    summary: str
    scope: Scope = Scope.READ
    takes: Any = None
    answers: Any = None
    queries: tuple[Query, ...] = ()
    status: int = 200
    media: str = JSON
    is_open: bool = False
    is_for_own: bool = False
    tag: Callable[[Api, Call], str | None] | None = None
    cache_s: float = 0.0

    @property
    def name(self) -> str:
        """Return "GET /jobs/{job_id}"."""
        return f"{self.method} {self.path}"

    @property
    def is_streaming(self) -> bool:
        """Return whether the answer goes on for as long as the reader likes."""
        return self.media in (EVENT_STREAM, WEBSOCKET)

    def read(self, given: MultiMapping[str]) -> dict[str, Any]:
        """Return the row's query values; raises UsageProblem for an unknown or a wrong one.

        A list may also be given value by value (``states=failed&states=paused``); anything else once.
        """
        known = {query.name: query for query in self.queries}
        unknown = sorted(set(given) - known.keys())
        if unknown:
            hint = "it takes " + ", ".join(known) if known else "it takes none"
            raise UsageProblem(f"unknown parameter {clean(unknown[0], 40)!r} in the query", hint=hint)
        return {name: query.read(_stated(query, given)) for name, query in known.items()}


def _stated(query: Query, given: MultiMapping[str]) -> str | None:
    values = given.getall(query.name, [])
    if len(values) > 1 and not query.is_list:
        raise UsageProblem(f"{query.name} is given {len(values)} times in the query", hint="give it once")
    return ",".join(values) if values else None
