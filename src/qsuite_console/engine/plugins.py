"""Workers that other packages bring, by entry points of the group ``qsuite_console.workers``: name -> worker class.

Each is looked at before anything trusts it. Whatever a package does while it is imported costs only its own kinds, and
what is wrong is told with the package's name: a person who has installed ten must know which one to correct.
"""

from __future__ import annotations

import importlib.metadata
import inspect
from collections.abc import Collection, Iterator
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from qsuite_console.engine.parameters import describe
from qsuite_console.engine.ports import JobKind
from qsuite_console.model.errors import ConsoleError, NotFound
from qsuite_console.model.text import clean

if TYPE_CHECKING:
    from qsuite_console.engine.ports import Worker

GROUP: Final = "qsuite_console.workers"
_HINT: Final = "correct or uninstall that package; docs/workers.md says what a worker is"


class PluginBroken(ConsoleError):
    """Another package's worker can't be used; the console and every other kind can."""


def names() -> tuple[str, ...]:
    """Return the names of the kinds that other packages bring, importing none of them."""
    return tuple(sorted({point.name for point in importlib.metadata.entry_points(group=GROUP)}))


def find(name: str) -> type[Worker]:
    """Return the worker class of a kind; raises NotFound, or PluginBroken that names the package and what is wrong."""
    points = tuple(importlib.metadata.entry_points(group=GROUP, name=name))
    if not points:
        raise NotFound(f"no other package brings the kind {clean(name, 60)!r}")
    if len({point.value for point in points}) > 1:
        packages = " and ".join(sorted({_package(point) for point in points}))
        raise PluginBroken(f"the kind {clean(name, 60)} is brought by {packages}", hint="uninstall one of them")
    point = points[0]
    try:
        found = point.load()
    except (Exception, SystemExit) as error:  # whatever another package does when it is imported
        raise _broken(point, f"{type(error).__name__}: {clean(error, 200)}") from error
    why = _why_not(point.name, found)
    if why:
        raise _broken(point, why)
    return cast("type[Worker]", found)


def make(name: str, services: object) -> Worker:
    """Return the worker of a kind; raises as ``find``."""
    worker: Any = find(name)
    try:
        return cast("Worker", worker(services))
    except (Exception, SystemExit) as error:
        point = next(iter(importlib.metadata.entry_points(group=GROUP, name=name)))
        raise _broken(point, f"making it failed with {type(error).__name__}: {clean(error, 200)}") from error


def unused(taken: Collection[str]) -> Iterator[str]:
    """Yield a line for each kind of another package whose name the console has ``taken`` itself."""
    for point in importlib.metadata.entry_points(group=GROUP):
        if point.name in taken:
            yield f"the kind {clean(point.name, 60)} of {_package(point)} is not used: the console has one of that name"


def _why_not(name: str, found: Any) -> str:
    """Return why an object is no worker class of this name, "" when it is one."""
    if not isinstance(found, type):
        return f"{clean(getattr(found, '__name__', repr(found)), 80)} is no class"
    if not isinstance(getattr(found, "kind", None), JobKind):
        return f"{found.__name__}.kind is no JobKind"
    worker: Any = found
    kind: Any = worker.kind
    if kind.name != name:
        return f"its kind is named {clean(kind.name, 60)}; entry point and JobKind.name must be the same"
    missing = [each for each in ("title", "run") if not callable(getattr(found, each, None))]
    if missing:
        return f"{found.__name__} has no {' and no '.join(missing)}"
    if not inspect.iscoroutinefunction(worker.run):
        return f"{found.__name__}.run is no async def"
    if not (isinstance(kind.parameters, type) and issubclass(kind.parameters, msgspec.Struct)):
        return f"the parameters of {found.__name__} are no msgspec.Struct"
    try:
        describe(kind.parameters)
    except Exception as error:  # annotations of another package that can't be resolved or have no form
        return f"its parameters can't be described: {type(error).__name__}: {clean(error, 200)}"
    return ""


def _broken(point: EntryPoint, why: str) -> PluginBroken:
    return PluginBroken(f"the worker of {clean(point.name, 60)} of {_package(point)} can't be used: {why}", hint=_HINT)


def _package(point: EntryPoint) -> str:
    dist = point.dist
    return f"the package {clean(dist.name, 60)} {clean(dist.version, 30)}" if dist is not None else "a package"
