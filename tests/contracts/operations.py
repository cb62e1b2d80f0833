"""Four small operations for the contract: done at once, refused by what changed, never ending, failing."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec

from qsuite_console.engine.ports import Operation, OperationKind
from qsuite_console.model.errors import Conflict, NotFound
from qsuite_console.model.operations import Outcome, Proposal


class SwitchParameters(msgspec.Struct, frozen=True, kw_only=True):
    lamp: Annotated[str, msgspec.Meta(title="Lamp", min_length=1)]
    was: bool | None = None


class SwitchOperation:
    """Turns a lamp, if it still is as it was when that was proposed."""

    def __init__(self, name: str = "test.switch", *, changes_target: bool = True, timeout_s: float = 5.0) -> None:
        self.kind = OperationKind(
            name=name,
            title="Switch lamp",
            help="turns a lamp on or off",
            parameters=SwitchParameters,
            changes_target=changes_target,
            timeout_s=timeout_s,
        )
        self.lamps = {"hall": False, "cellar": True}
        self.performed = 0
        self.proposed = 0

    async def propose(self, parameters: SwitchParameters) -> Proposal:
        self.proposed += 1
        if parameters.lamp not in self.lamps:
            raise NotFound(f"there is no lamp {parameters.lamp}")
        is_on = self.lamps[parameters.lamp]
        return Proposal(
            operation=self.kind.name,
            title=f"Turn {parameters.lamp} {'off' if is_on else 'on'}?",
            lines=("one lamp",),
            do="turn it",
            parameters={"lamp": parameters.lamp, "was": is_on},
        )

    async def perform(self, parameters: SwitchParameters) -> Outcome:
        self.performed += 1
        if self.lamps.get(parameters.lamp) is not parameters.was:
            raise Conflict(f"the lamp {parameters.lamp} was turned meanwhile", hint="look again")
        self.lamps[parameters.lamp] = not self.lamps[parameters.lamp]
        return Outcome(operation=self.kind.name, is_done=True, message=f"{parameters.lamp} is turned")


class HangOperation(SwitchOperation):
    """Never answers."""

    def __init__(self) -> None:
        super().__init__("test.hang", timeout_s=0.2)
        self.reached = asyncio.Event()

    async def perform(self, parameters: SwitchParameters) -> Outcome:
        self.performed += 1
        self.reached.set()
        await asyncio.Event().wait()
        raise AssertionError("never comes here")


class SlowOperation(SwitchOperation):
    """Takes a moment longer than its caller's patience."""

    def __init__(self) -> None:
        super().__init__("test.slow")

    async def perform(self, parameters: SwitchParameters) -> Outcome:
        await asyncio.sleep(0.3)
        return await super().perform(parameters)


class BreakOperation(SwitchOperation):
    """Fails with what nobody expected."""

    def __init__(self) -> None:
        super().__init__("test.break")

    async def perform(self, parameters: SwitchParameters) -> Outcome:
        self.performed += 1
        raise ZeroDivisionError("the lamp is broken")


def operations() -> dict[str, Operation]:
    """Return them by name; ``test.note`` changes nothing on the target."""
    made: list[SwitchOperation] = [
        SwitchOperation(),
        SwitchOperation("test.note", changes_target=False),
        HangOperation(),
        SlowOperation(),
        BreakOperation(),
    ]
    return {each.kind.name: each for each in made}
