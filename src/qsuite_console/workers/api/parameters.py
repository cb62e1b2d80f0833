"""What may be asked of an external address, and the refusal of secrets written out: parameters stay in the history.

A secret is named, ``secret:NAME``, and declared in the configuration with the hosts that may get it. Headers, bodies
and lists of calls are taken as text or as JSON; a refusal never quotes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qsl, unquote

import msgspec

from qsuite_console.logs import REDACTOR
from qsuite_console.model.errors import ConsoleError
from qsuite_console.providers.guard import parse_url

MOST_CALLS: Final = 50
REFERENCE: Final = re.compile(r"\bsecret:([a-z][a-z0-9_-]{0,39})")
# Names whose value is a credential, in headers, queries and bodies.
_CREDENTIAL: Final = re.compile(
    r"(?i)auth|cookie|secret|token|passw|passphrase|credential|session|signature|private|bearer"
    r"|(^|[-_.])(key|sig|pin|pwd|jwt)($|[-_.])|api-?key|_?key_?id"
)
_SCHEME: Final = re.compile(r"(?i)^\s*(bearer|basic|token|digest|aws4-hmac-sha256)\s+\S")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_OURS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"})
_ADVICE: Final = "would stay in the history; write secret:NAME and declare [secrets.NAME] with its hosts"
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How a call is made, whatever it asks for."""

    timeout_s: Annotated[float, msgspec.Meta(title="Time limit", description="seconds for one try", ge=0.1, le=300)] = (
        30.0
    )
    retries: Annotated[
        int, msgspec.Meta(title="Retries", description="further tries after a passing failure", ge=0, le=10)
    ] = 3
    cache_s: Annotated[
        float,
        msgspec.Meta(title="Cache", description="seconds an answer to GET or HEAD may be reused", ge=0, le=86_400),
    ] = 0.0
    limit_kb: Annotated[
        int, msgspec.Meta(title="Size limit", description="KiB of an answer, unpacked", ge=1, le=65_536)
    ] = 1024
    redirects: Annotated[int, msgspec.Meta(title="Redirects", description="followed at most", ge=0, le=10)] = 5


class CallParameters(Patience, frozen=True, kw_only=True):
    """One call."""

    url: Annotated[
        str,
        msgspec.Meta(title="URL", description="https or http", examples=["https://api.example.com/v1/status"]),
    ]
    method: Annotated[Method, msgspec.Meta(title="Method")] = "GET"
    headers: Annotated[
        Any,
        msgspec.Meta(title="Headers", description="Name: value, one a line, or JSON; secrets as secret:NAME"),
    ] = ""
    body: Annotated[Any, msgspec.Meta(title="Body", description="text, or JSON; secrets as secret:NAME")] = ""


class BulkParameters(Patience, frozen=True, kw_only=True):
    """Up to fifty calls at once."""

    calls: Annotated[
        Any,
        msgspec.Meta(
            title="Calls",
            description="one URL a line, or a JSON list of {url, method, headers, body}; at most 50",
            examples=["https://api.example.com/v1/status"],
        ),
    ]
    parallel: Annotated[
        int, msgspec.Meta(title="Parallel", description="calls under way at once", ge=1, le=MOST_CALLS)
    ] = MOST_CALLS


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call as it is made; references to secrets still in it."""

    url: str
    method: str = "GET"
    headers: dict[str, str] = {}
    body: str = ""


class BadCall(ValueError):
    """Why a call is refused: the field, and the reason in words that follow it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def call_of(parameters: CallParameters) -> Call:
    """Return the call of its parameters; raises BadCall, which quotes no value."""
    return _call(
        {
            "url": parameters.url,
            "method": parameters.method,
            "headers": parameters.headers,
            "body": parameters.body,
        }
    )


def calls_of(parameters: BulkParameters) -> tuple[Call, ...]:
    """Return the calls of a bulk; raises BadCall for the first that is wrong, by its number from 1."""
    given = parameters.calls
    if isinstance(given, str):
        text = given.strip()
        if text.startswith("["):
            try:
                given = msgspec.json.decode(text)
            except msgspec.DecodeError:
                raise BadCall("calls", "is not a JSON list") from None
        else:
            given = [{"url": line.strip()} for line in text.splitlines() if line.strip()]
    if not isinstance(given, list | tuple) or not given:
        raise BadCall("calls", "must be URLs, one a line, or a JSON list of calls")
    if len(given) > MOST_CALLS:
        raise BadCall("calls", f"holds {len(given)} calls; at most {MOST_CALLS} go at once")
    found = []
    for number, one in enumerate(given, 1):
        try:
            found.append(_call({"url": one} if isinstance(one, str) else one))
        except BadCall as error:
            raise BadCall("calls", f"call {number}: {error.field} {error}") from None
    return tuple(found)


def _call(given: Any) -> Call:
    if not isinstance(given, Mapping):
        raise BadCall("it", "must be a URL or an object {url, method, headers, body}")
    if strange := [str(name) for name in given if name not in ("url", "method", "headers", "body")]:
        raise BadCall(strange[0][:40], "is not part of a call; known are url, method, headers, body")
    method = given.get("method", "GET")
    if method not in METHODS:
        raise BadCall("method", f"must be one of {', '.join(METHODS)}")
    url = given.get("url")
    if not isinstance(url, str):
        raise BadCall("url", "must be text")
    _check_url(url)
    headers = _headers(given.get("headers") or {})
    body = given.get("body", "")
    text = body if isinstance(body, str) else msgspec.json.encode(body).decode()
    if text and method in ("GET", "HEAD"):
        raise BadCall("body", f"does not go with {method}")
    if not isinstance(body, str):
        headers.setdefault("Content-Type", "application/json")
    _check_body(text)
    call = Call(url=url, method=method, headers=headers, body=text)
    for field, value in (("url", url), ("headers", "\n".join(headers.values())), ("body", text)):
        if REDACTOR.mask(value) != value:
            raise BadCall(field, f"holds a secret of the configuration, which {_ADVICE}")
    return call


def _check_url(url: str) -> None:
    try:
        parsed = parse_url(url)
    except ConsoleError as error:
        raise BadCall("url", f"can't be called: {error.message}") from None
    for name, value in parsed.query.items():
        if _CREDENTIAL.search(name) and not REFERENCE.fullmatch(value) and value:
            raise BadCall("url", f"holds a secret in {name[:40]!r}, which {_ADVICE}")
    if REFERENCE.search(unquote(parsed.raw_path)):
        raise BadCall("url", "holds a secret: in its path, where it can't be kept out of the logs; use a header")


def _headers(given: Any) -> dict[str, str]:
    if isinstance(given, str):
        given = _lines(given)
    if not isinstance(given, Mapping):
        raise BadCall("headers", "must be lines of Name: value, or a JSON object")
    found: dict[str, str] = {}
    for name, value in given.items():
        if not isinstance(name, str) or not _HEADER.fullmatch(name):
            raise BadCall("headers", "holds a name that no header may have")
        if name.lower() in _OURS:
            raise BadCall("headers", f"{name} is set by the console itself")
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise BadCall("headers", f"{name} must be one line of printable ASCII")
        named = REFERENCE.search(value) is not None
        if not named and value and (_CREDENTIAL.search(name) or _SCHEME.search(value)):
            raise BadCall("headers", f"{name} holds a secret, which {_ADVICE}")
        found[name] = value.strip()
    return found


def _lines(text: str) -> Any:
    if text.strip().startswith("{"):
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            raise BadCall("headers", "is not a JSON object") from None
    found = {}
    for line in (each for each in text.splitlines() if each.strip()):
        name, colon, value = line.partition(":")
        if not colon:
            raise BadCall("headers", "must be lines of Name: value, or a JSON object")
        found[name.strip()] = value.strip()
    return found


def _check_body(text: str) -> None:
    try:
        fields = list(_leaves(msgspec.json.decode(text))) if text else []
    except (msgspec.DecodeError, RecursionError):
        fields = parse_qsl(text) if "=" in text else []
    for name, value in fields:
        if value and _CREDENTIAL.search(name) and not REFERENCE.search(value):
            raise BadCall("body", f"holds a secret in {name[:40]!r}, which {_ADVICE}")


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts and numbers of JSON with the name they stand under."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, name)
    elif isinstance(value, str):
        yield name, value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, str(value)
