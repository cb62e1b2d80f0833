"""Schedules: listed, shown, made, changed, run, paused and explained; each change an operation behind the gate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from qsuite_console.headless.routes.changing import perform
from qsuite_console.headless.table import Api, Call, Query, Route
from qsuite_console.model.access import Scope
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.operations import Outcome
from qsuite_console.model.requests import ChangeRequest, ScheduleChange, ScheduleRequest, TimingRequest
from qsuite_console.model.schedules import (
    Explanation,
    Occurrences,
    Schedule,
    ScheduleDetail,
    ScheduleList,
    fields_of,
)

_WHEN: Final = ("cron", "every", "once")
_FIELDS: Final = tuple(name for name in ScheduleRequest.__struct_fields__ if name not in ("confirmation", "origin"))
_DONE: Final = {
    "run": "make its job now, beside its plans",
    "pause": "keep it from making jobs until it is enabled",
    "enable": "let a paused one plan again, from now on",
}
_PLANS: Final = (
    Query("most", int, 5, 1, 1000, "plans to come at most"),
    Query("start", default="", max_length=40, help="an instant like 2026-11-30T09:25:00Z; now, where it is left out"),
    Query("end", default="", max_length=40, help="an instant: no plan after it"),
)


async def _list(api: Api, _call: Call) -> Any:
    return await api.control.ask("schedules.list", {})


async def _show(api: Api, call: Call) -> ScheduleDetail:
    return await _detail(api, call.path["name"], **call.query)


async def _next(api: Api, call: Call) -> Occurrences:
    return (await _detail(api, call.path["name"], **call.query)).upcoming


async def _explain(api: Api, call: Call) -> Any:
    return await api.control.ask("schedules.explain", msgspec.to_builtins(call.decode(TimingRequest)))


async def _create(api: Api, call: Call) -> ScheduleDetail:
    asked = call.decode(ScheduleRequest)
    return await _save(api, call, {**_typed(asked), "revision": 0}, asked)


async def _replace(api: Api, call: Call) -> ScheduleDetail:
    asked = call.decode(ScheduleRequest)
    schedule = await _schedule(api, call)
    given = {**_typed(asked), "name": schedule.name, "revision": asked.revision or schedule.revision}
    return await _save(api, call, given, asked)


async def _change(api: Api, call: Call) -> ScheduleDetail:
    asked = call.decode(ScheduleChange)
    schedule = await _schedule(api, call)
    changes = _typed(asked)
    kept = fields_of(schedule)
    if any(changes.get(name) for name in _WHEN):
        kept |= dict.fromkeys(_WHEN, "")
    given = {**kept, **changes, "name": schedule.name, "revision": asked.revision or schedule.revision}
    return await _save(api, call, given, asked)


def _doing(action: str) -> Callable[[Api, Call], Awaitable[Outcome]]:
    async def do(api: Api, call: Call) -> Outcome:
        return await perform(api, call, f"schedules.{action}", {"name": call.path["name"]})

    return do


async def _save(api: Api, call: Call, given: dict[str, Any], asked: ChangeRequest) -> ScheduleDetail:
    await perform(api, call, "schedules.save", given, asked)
    return await _detail(api, str(given["name"]))


async def _schedule(api: Api, call: Call) -> Schedule:
    return (await _detail(api, call.path["name"])).view.schedule


async def _detail(api: Api, name: str, **asked: Any) -> ScheduleDetail:
    found = await api.control.ask("schedules.detail", {"name": name, **asked})
    if not isinstance(found, ScheduleDetail):
        raise ConsoleError("the engine answered with something else than a schedule")
    return found


def _typed(asked: ScheduleRequest | ScheduleChange) -> dict[str, Any]:
    """Return what is said of a schedule as the operation takes it; what was left out is left out."""
    given = {name: getattr(asked, name) for name in _FIELDS if getattr(asked, name, msgspec.UNSET) is not msgspec.UNSET}
    if "parameters" in given:
        given["parameters"] = msgspec.json.encode(given["parameters"]).decode()
    typed: dict[str, Any] = msgspec.to_builtins(given)
    return typed


ROUTES: Final = (
    Route("GET", "/schedules", _list, "every schedule with what it did last and when it is due", answers=ScheduleList),
    Route(
        "POST",
        "/schedules",
        _create,
        "make a schedule: a kind of job, and when",
        scope=Scope.OPERATE,
        takes=ScheduleRequest,
        answers=ScheduleDetail,
        status=201,
    ),
    Route(
        "POST",
        "/schedules/explain",
        _explain,
        "what a timing means: in words, its next plans, its problems; changes nothing",
        takes=TimingRequest,
        answers=Explanation,
    ),
    Route(
        "GET",
        "/schedules/{name}",
        _show,
        "one schedule: plans to come, runs, collisions, what the clocks do to it",
        answers=ScheduleDetail,
        queries=_PLANS,
    ),
    Route("GET", "/schedules/{name}/next", _next, "its plans to come", answers=Occurrences, queries=_PLANS),
    Route(
        "PUT",
        "/schedules/{name}",
        _replace,
        "replace a schedule; with revision only where it is still that one",
        scope=Scope.OPERATE,
        takes=ScheduleRequest,
        answers=ScheduleDetail,
    ),
    Route(
        "PATCH",
        "/schedules/{name}",
        _change,
        "change some of a schedule; what is left out stays",
        scope=Scope.OPERATE,
        takes=ScheduleChange,
        answers=ScheduleDetail,
    ),
    Route(
        "DELETE",
        "/schedules/{name}",
        _doing("delete"),
        "remove a schedule; jobs it has made stay",
        scope=Scope.OPERATE,
        answers=Outcome,
    ),
    *(
        Route(
            "POST",
            f"/schedules/{{name}}/{action}",
            _doing(action),
            said,
            scope=Scope.OPERATE,
            takes=ChangeRequest,
            answers=Outcome,
        )
        for action, said in _DONE.items()
    ),
)
