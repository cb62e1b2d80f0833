"""How ``Control`` crosses a process boundary: the JSON bodies, and errors and answers that keep their type.

Both ends of the socket (``headless.http`` and ``attach``) share these, so neither can drift. Answers to questions
come back only as structs of this package: a name from the wire never reaches an import.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Final

import msgspec

import qsuite_console.model as model_package
from qsuite_console.model import errors
from qsuite_console.model.events import AnyEvent
from qsuite_console.model.jobs import JobAction
from qsuite_console.model.text import clean

PROTOCOL: Final = 1


JobId = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # what the history can keep


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers on the socket; ``problems`` says why it is alive but not ready."""

    pid: int
    host: str
    version: str
    started_at: datetime | None = None
    owner: str = ""
    origin: str = ""  # what the process is: "console", "headless", "run"
    target: str = ""
    is_live: bool = True
    is_ready: bool = True
    problems: tuple[str, ...] = ()
    protocol: int = PROTOCOL


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """One refusal; ``type`` is a class of ``model.errors``, ``name`` the class that was really raised."""

    type: str
    message: str
    hint: str = ""
    name: str = ""
    problems: dict[str, str] = {}
    owner: str = ""
    exit_code: int = 1


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer that is not a success."""

    error: ErrorBody


class KindRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters to check or to plan with."""

    kind: str
    parameters: dict[str, Any] = {}


class ActRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One action on some jobs."""

    action: JobAction
    job_ids: tuple[JobId, ...]
    origin: str = ""


class QueueRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes of a queue; None leaves as it is."""

    is_paused: bool | None = None
    concurrency: int | None = None
    origin: str = ""


class AskRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a named question."""

    parameters: dict[str, Any] = {}


class ProposeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of an operation that is only looked at."""

    parameters: dict[str, Any] = {}
    origin: str = ""


class PerformRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operation to be done; ``confirmation`` is the target's name where the proposal asks for it."""

    parameters: dict[str, Any] = {}
    confirmation: str = ""
    origin: str = ""


class EventsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Facts after a sequence, and the newest sequence there is."""

    newest: int
    events: tuple[AnyEvent, ...] = ()


class ProbeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A struct of this package with its name ("market.CoverageMap")."""

    type: str
    value: msgspec.Raw


def pack_error(error: errors.ConsoleError) -> ErrorBody:
    """Return what crosses of ``error``: its nearest class in ``model.errors``, message, hint and extras."""
    known = next(base for base in type(error).__mro__ if base.__module__ == errors.__name__)
    return ErrorBody(
        type=known.__name__,
        name=type(error).__name__,
        message=error.message,
        hint=error.hint,
        problems=dict(error.problems) if isinstance(error, errors.InvalidParameters) else {},
        owner=error.owner if isinstance(error, errors.HistoryOwned) else "",
        exit_code=error.exit_code,
    )


def unpack_error(body: ErrorBody) -> errors.ConsoleError:
    """Return the error as it was raised on the other side, as near as ``model.errors`` can say it."""
    if body.type == errors.InvalidParameters.__name__:
        return errors.InvalidParameters(body.problems or {"": body.message}, hint=body.hint)
    if body.type == errors.HistoryOwned.__name__:
        return errors.HistoryOwned(body.message, owner=body.owner, hint=body.hint)
    found = getattr(errors, body.type, None)
    kind = found if inspect.isclass(found) and issubclass(found, errors.ConsoleError) else errors.ConsoleError
    error: errors.ConsoleError = kind(body.message, hint=body.hint)
    error.exit_code = body.exit_code  # the driver packages' own errors may end the command line differently
    return error


def pack_answer(answer: msgspec.Struct) -> ProbeAnswer:
    """Return ``answer`` with its name; raises ConsoleError for a struct that is not of this package."""
    kind = type(answer)
    name = f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"
    if _structs().get(name) is not kind:
        raise errors.ConsoleError(
            f"the answer is a {kind.__qualname__}, which can't leave the engine's process",
            hint="probes must answer with a struct of qsuite_console.model",
        )
    return ProbeAnswer(type=name, value=msgspec.Raw(msgspec.json.encode(answer)))


def unpack_answer(answer: ProbeAnswer) -> msgspec.Struct:
    """Return the struct; raises ConsoleError for a name this version does not know."""
    kind = _structs().get(answer.type)
    if kind is None:
        raise errors.ConsoleError(
            f"the engine answered with an unknown {answer.type!r}",
            hint="the engine runs another version of qsuite-console; restart it",
        )
    try:
        decoded: msgspec.Struct = msgspec.json.decode(answer.value, type=kind)
    except msgspec.DecodeError as error:
        raise errors.ConsoleError(
            f"the engine's answer {answer.type} can't be read: {clean(error, 200)}",
            hint="the engine runs another version of qsuite-console; restart it",
        ) from error
    return decoded


@cache
def _structs() -> dict[str, type[msgspec.Struct]]:
    found: dict[str, type[msgspec.Struct]] = {}
    for module in pkgutil.iter_modules(model_package.__path__):
        loaded = importlib.import_module(f"{model_package.__name__}.{module.name}")
        for name, value in vars(loaded).items():
            if inspect.isclass(value) and issubclass(value, msgspec.Struct) and value.__module__ == loaded.__name__:
                found[f"{module.name}.{name}"] = value
    return found
