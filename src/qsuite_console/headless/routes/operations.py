"""Operations: what is changed at once, proposed and then done behind the gate."""

from __future__ import annotations

from typing import Final

from qsuite_console.headless.table import Api, Call, Route
from qsuite_console.model.access import Scope
from qsuite_console.model.operations import OperationInfo, Outcome, Proposal
from qsuite_console.model.text import clean
from qsuite_console.model.wire import PerformRequest, ProposeRequest

WORK: Final = frozenset({"bars", "schedules"})  # change the platform as the jobs do that anyone with OPERATE may start


async def _operations(api: Api, _call: Call) -> tuple[OperationInfo, ...]:
    return await api.control.operations()


async def _propose(api: Api, call: Call) -> Proposal:
    await require(api, call, call.path["operation"])
    asked = call.decode(ProposeRequest)
    return await api.control.propose(call.path["operation"], asked.parameters, origin=call.origin(asked.origin))


async def _perform(api: Api, call: Call) -> Outcome:
    await require(api, call, call.path["operation"])
    asked = call.decode(PerformRequest)
    return await api.control.perform(
        call.path["operation"],
        asked.parameters,
        confirmation=asked.confirmation,
        origin=call.origin(asked.origin),
    )


async def require(api: Api, call: Call, operation: str) -> None:
    """Raise NotAllowed unless the caller may do ``operation``: what changes the platform itself is for admins."""
    if call.caller.scope is Scope.ADMIN or operation.partition(".")[0] in WORK:
        return
    found = next((each for each in await api.control.operations() if each.name == operation), None)
    if found is not None and found.changes_target:  # an unknown one is refused by name, further on
        call.require(Scope.ADMIN, f"do {clean(operation, 60)}")


ROUTES: Final = (
    Route(
        "GET",
        "/operations",
        _operations,
        "what can be changed on the platform at once, with parameters",
        answers=tuple[OperationInfo, ...],
        cache_s=5.0,
    ),
    Route(
        "POST",
        "/operations/{operation}/proposal",
        _propose,
        "what an operation would do now; changes nothing",
        scope=Scope.OPERATE,
        takes=ProposeRequest,
        answers=Proposal,
    ),
    Route(
        "POST",
        "/operations/{operation}",
        _perform,
        "do it; confirmation: the target's name where it is wanted",
        scope=Scope.OPERATE,
        takes=PerformRequest,
        answers=Outcome,
    ),
)
