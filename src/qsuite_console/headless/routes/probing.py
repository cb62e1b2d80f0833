"""What other programs' monitoring asks: is it alive, may it be given work, and its figures for Prometheus."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator
from typing import Final

import msgspec
from aiohttp import web

from qsuite_console.engine.state import ConsoleState
from qsuite_console.headless.table import JSON, Api, Call, Query, Route
from qsuite_console.model.errors import UsageProblem
from qsuite_console.model.health import Level, Reading
from qsuite_console.model.readiness import Check, Liveness, Readiness
from qsuite_console.model.text import clean

_UNAVAILABLE: Final = 503
_NOSNIFF: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


async def _live(_api: Api, _call: Call) -> Liveness:
    return Liveness()


async def _ready(api: Api, call: Call) -> web.Response:
    readiness = judge(api.control.state, call.query["require"])
    status = 200 if readiness.is_ready else _UNAVAILABLE
    return web.Response(body=msgspec.json.encode(readiness), status=status, content_type=JSON, headers=_NOSNIFF)


def judge(state: ConsoleState, required: tuple[str, ...] = ()) -> Readiness:
    """Return whether the engine may be given work: it takes jobs durably, and the ``required`` sources answer.

    A platform that is down does not make it unready by itself: jobs are taken, wait and retry. Raises UsageProblem for
    a source that is not watched.
    """
    known = [reading.source for reading in state.snapshot.readings]
    for name in required:
        if name not in known:
            hint = f"watched are {', '.join(known)}" if known else "nothing is watched yet"
            raise UsageProblem(f"{clean(name, 40)!r} is not watched here", hint=hint)
    checks = (_engine(state), *_sources(state, frozenset(required)))
    problems = tuple(f"{c.name}: {c.reason}" for c in checks if c.is_needed and c.level is Level.CRITICAL)
    return Readiness(is_ready=not problems, problems=problems, checks=checks)


def _engine(state: ConsoleState) -> Check:
    reason = "it is stopping and starts nothing new" if state.is_draining else state.trouble
    return Check(name="engine", level=Level.CRITICAL if reason else Level.OK, is_needed=True, reason=reason)


def _sources(state: ConsoleState, required: frozenset[str]) -> Iterator[Check]:
    burning: dict[str, list[str]] = {}
    for alert in state.snapshot.alerts:
        if alert.is_burning:
            burning.setdefault(alert.source, []).append(alert.message)
    for reading in state.snapshot.readings:
        level, reason = _standing(reading, burning.get(reading.source, []))
        yield Check(name=reading.source, level=level, is_needed=reading.source in required, reason=reason)


def _standing(reading: Reading, alerts: list[str]) -> tuple[Level, str]:
    """Return how a source is: one that answers is never critical here, whatever its figures are."""
    if reading.error:
        return Level.CRITICAL, clean(reading.error, 300)
    level = Level.WARNING if reading.level is Level.CRITICAL else reading.level
    return level, clean("; ".join(alerts), 500)


async def _metrics(api: Api, call: Call) -> web.Response:
    if api.exposition is None:  # nobody may ever ask for it; jobs go on while it is imported
        module = await asyncio.to_thread(importlib.import_module, "qsuite_console.headless.exposition")
        api.exposition = api.exposition or module.Exposition(api.control, api.hub, api.costs.view)
    text, media = await api.exposition.render(call.request.headers.get("Accept", ""))
    return web.Response(body=text, headers={**_NOSNIFF, "Content-Type": media})


ROUTES: Final = (
    Route("GET", "/health/live", _live, "whether the engine's loop turns", answers=Liveness, is_open=True),
    Route(
        "GET",
        "/health/ready",
        _ready,
        "whether it may be given work, with reasons; 503 where not",
        answers=Readiness,
        queries=(
            Query("require", help="sources that must answer too: postgresql, redis", is_list=True, max_length=40),
        ),
        is_for_own=True,
    ),
    Route("GET", "/metrics", _metrics, "figures for Prometheus", answers=str, media="text/plain"),
)
