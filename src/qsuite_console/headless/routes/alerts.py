"""Alerts: what burns and what burned, the rules in force, and taking or silencing one."""

from __future__ import annotations

from typing import Any, Final

from qsuite_console.headless.routes.changing import perform
from qsuite_console.headless.table import Api, Call, Query, Route
from qsuite_console.model.access import Scope
from qsuite_console.model.alerts import AlertPage, RuleList, SilenceList
from qsuite_console.model.operations import Outcome
from qsuite_console.model.requests import ChangeRequest, SilenceRequest

_TEXT: Final = Query("text", default="", help="a part of name, message or who took it")


async def _open(api: Api, call: Call) -> Any:
    return await api.control.ask("alerts.open", call.query)


async def _history(api: Api, call: Call) -> Any:
    return await api.control.ask("alerts.history", call.query)


async def _rules(api: Api, call: Call) -> Any:
    return await api.control.ask("alerts.rules", call.query)


async def _silences(api: Api, call: Call) -> Any:
    return await api.control.ask("alerts.silences", call.query)


async def _acknowledge(api: Api, call: Call) -> Outcome:
    return await perform(api, call, "alerts.acknowledge", {"alert": call.path["alert"]})


async def _silence(api: Api, call: Call) -> Outcome:
    asked = call.decode(SilenceRequest)
    given = {"alert": call.path["alert"], "minutes": asked.minutes, "reason": asked.reason}
    return await perform(api, call, "alerts.silence", given, asked)


async def _unsilence(api: Api, call: Call) -> Outcome:
    return await perform(api, call, "alerts.unsilence", {"alert": call.path["alert"]})


ROUTES: Final = (
    Route("GET", "/alerts", _open, "what burns, and what ended just now", answers=AlertPage, queries=(_TEXT,)),
    Route(
        "GET",
        "/alerts/history",
        _history,
        "every alert there was, newest first, by pages",
        answers=AlertPage,
        queries=(
            _TEXT,
            Query("before", default="", help="a page's next_before: the page after it"),
            Query("limit", int, 200, 1, 1000, "alerts a page"),
        ),
    ),
    Route("GET", "/alerts/rules", _rules, "the rules in force, with their values", answers=RuleList, queries=(_TEXT,)),
    Route(
        "GET", "/alerts/silences", _silences, "what is silenced, by whom and why", answers=SilenceList, queries=(_TEXT,)
    ),
    Route(
        "POST",
        "/alerts/{alert}/acknowledge",
        _acknowledge,
        "say that somebody looks after it",
        scope=Scope.OPERATE,
        takes=ChangeRequest,
        answers=Outcome,
    ),
    Route(
        "POST",
        "/alerts/{alert}/silence",
        _silence,
        "keep it, or all of a source, quiet for some time",
        scope=Scope.OPERATE,
        takes=SilenceRequest,
        answers=Outcome,
    ),
    Route(
        "DELETE",
        "/alerts/{alert}/silence",
        _unsilence,
        "let it be loud again",
        scope=Scope.OPERATE,
        answers=Outcome,
    ),
)
