"""Questions that change nothing: the kinds of job, what one would do, figures, and the named probes."""

from __future__ import annotations

from typing import Final

from qsuite_console.headless.table import Api, Call, Query, Route
from qsuite_console.model.access import Scope
from qsuite_console.model.jobs import Statistics
from qsuite_console.model.kinds import FieldProblem, KindInfo, Plan
from qsuite_console.model.wire import AskRequest, KindRequest, ProbeAnswer, pack_answer


async def _kinds(api: Api, _call: Call) -> tuple[KindInfo, ...]:
    return await api.control.kinds()


async def _check(api: Api, call: Call) -> tuple[FieldProblem, ...]:
    asked = call.decode(KindRequest)
    return await api.control.check(asked.kind, asked.parameters)


async def _plan(api: Api, call: Call) -> Plan:
    asked = call.decode(KindRequest)
    return await api.control.plan(asked.kind, asked.parameters)


async def _statistics(api: Api, call: Call) -> Statistics:
    return await api.control.statistics(call.query["window_s"])


async def _ask(api: Api, call: Call) -> ProbeAnswer:
    return pack_answer(await api.control.ask(call.path["probe"], call.decode(AskRequest).parameters))


ROUTES: Final = (
    Route(
        "GET",
        "/kinds",
        _kinds,
        "every kind of job with its parameters",
        answers=tuple[KindInfo, ...],
        is_for_own=True,
        cache_s=5.0,
    ),
    Route(
        "POST",
        "/check",
        _check,
        "validate parameters",
        takes=KindRequest,
        answers=tuple[FieldProblem, ...],
        is_for_own=True,
    ),
    # A plan looks at what the job would be given, files of this machine too: it is for those who may start the job.
    Route(
        "POST",
        "/plan",
        _plan,
        "what a job would do",
        scope=Scope.OPERATE,
        takes=KindRequest,
        answers=Plan,
        is_for_own=True,
    ),
    Route(
        "GET",
        "/statistics",
        _statistics,
        "success, failure and duration figures over a window",
        answers=Statistics,
        queries=(Query("window_s", float, 3600.0, 1.0, 366 * 86_400.0, "how far back, in seconds"),),
        cache_s=2.0,
    ),
    Route("POST", "/ask/{probe}", _ask, "put a named read-only question", takes=AskRequest, answers=ProbeAnswer),
)
