"""How the HTTP interface says anything: values as JSON with a tag, failures as an ErrorAnswer with the right status."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from qsuite_console.headless.table import JSON, Route
from qsuite_console.model import errors
from qsuite_console.model.text import clean
from qsuite_console.model.wire import ErrorAnswer, ErrorBody, pack_error

MAX_BODY: Final = 4 * 1024 * 1024  # a batch of 10,000 bars is 1.5 MB
STATUS: Final[tuple[tuple[type[errors.ConsoleError], int], ...]] = (
    (errors.InvalidParameters, 422),
    (errors.NotFound, 404),
    (errors.UsageProblem, 400),
    (errors.NotAuthenticated, 401),
    (errors.TooManyRequests, 429),
    (errors.ReadOnly, 403),
    (errors.NotAllowed, 403),
    (errors.Unconfirmed, 403),
    (errors.TimedOut, 504),
    (errors.Conflict, 409),
    (errors.HistoryOwned, 409),
    (errors.HistoryUnavailable, 503),
    (errors.ConsoleError, 503),
)
SAFE: Final = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Server": "qsuite-console"}
_encoder: Final = msgspec.json.Encoder()  # writes NaN and infinities as null: always valid JSON


def encode(value: Any) -> bytes:
    """Return a value of the model as JSON."""
    return _encoder.encode(value)


def tag_of(body: bytes) -> str:
    """Return the tag of an answer: the same exactly for the same bytes."""
    return hashlib.blake2b(body, digest_size=12).hexdigest()


def matches(header: str | None, tag: str) -> bool:
    """Tell whether an If-None-Match names the tag (RFC 9110, 13.1.2: weak comparison)."""
    if not header:
        return False
    named = [part.strip().removeprefix("W/").strip('"') for part in header.split(",")]
    return "*" in named or tag in named


def tagged(body: bytes, tag: str, status: int, request: web.Request) -> web.Response:
    """Return an answer that may be kept and asked for again: 304 without a body where the reader has it already."""
    headers = {"Cache-Control": "private, no-cache", "ETag": f'"{tag}"', "Vary": "Authorization, Origin"}
    if status == 200 and matches(request.headers.get("If-None-Match"), tag):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, status=status, content_type=JSON, headers=headers)


def plain(value: Any, status: int = 200) -> web.Response:
    """Return an answer that nobody may keep."""
    return web.Response(body=encode(value), status=status, content_type=JSON, headers={"Cache-Control": "no-store"})


def status_of(error: errors.ConsoleError) -> int:
    """Return the status that an error is answered with."""
    return next(code for kind, code in STATUS if isinstance(error, kind))


def failure(error: errors.ConsoleError) -> web.Response:
    """Return what an expected failure is answered with."""
    response = plain(ErrorAnswer(error=pack_error(error)), status_of(error))
    if isinstance(error, errors.NotAuthenticated):
        response.headers["WWW-Authenticate"] = 'Bearer realm="qsuite-console"'
    if error.after_s is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(error.after_s)))
    return response


def bug() -> web.Response:
    """Return what an unexpected failure is answered with: nothing about our inside."""
    body = ErrorBody(type="ConsoleError", message="the engine failed to answer", hint="see its log for the cause")
    return plain(ErrorAnswer(error=body), 500)


def refusal(request: web.Request, error: web.HTTPException, routes: Sequence[Route]) -> web.Response:
    """Return what the server's own refusals are answered with: an unknown path, a wrong method, too large a body."""
    path = clean(request.path, 200)
    if isinstance(error, web.HTTPNotFound):
        known = "; ".join(f"{route.method} {route.path}" for route in routes)
        body = ErrorBody(type="NotFound", message=f"there is no {path}", hint=known, exit_code=2)
    elif isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        body = ErrorBody(type="UsageProblem", message=f"{path} takes {allowed}, not {request.method}", exit_code=2)
    elif isinstance(error, web.HTTPRequestEntityTooLarge):
        body = ErrorBody(type="UsageProblem", message=f"the body is larger than {MAX_BODY:,} bytes", exit_code=2)
    else:
        body = ErrorBody(type="UsageProblem", message=clean(error.reason, 200), exit_code=2)
    response = plain(ErrorAnswer(error=body), error.status)
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response
