"""A Control whose engine moves: facts never run together, questions never reach the wrong one or hang."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from fakes.control import FakeControl, demo
from qsuite_console.attach.relay import Relay
from qsuite_console.bridge import Bridge
from qsuite_console.messages import StateChanged
from qsuite_console.model.errors import EngineGone
from qsuite_console.model.jobs import JobQuery


def busy(changes: int) -> FakeControl:
    control = demo()
    for number in range(changes):
        control.change(412, title=f"{number}")
    return control


@pytest.mark.parametrize("others", [0, 1, 3, 9], ids=lambda n: f"{n} facts there")
def test_another_engine_is_read_anew_however_its_numbers_stand(others: int) -> None:
    first, second, heard = busy(3), busy(others), list[StateChanged]()
    relay = Relay(first)
    bridge = Bridge(relay, heard.append)
    first.change(412, title="here")
    bridge.poll()
    assert [len(heard[-1].events), heard[-1].is_whole] == [1, False]
    relay.lead_to(second)
    bridge.poll()
    assert heard[-1].is_whole
    assert heard[-1].state.running == second.state.running
    second.change(412, title="there")
    bridge.poll()
    assert [len(heard[-1].events), heard[-1].is_whole] == [1, False]
    numbers = [message.state.sequence for message in heard]
    assert numbers == sorted(set(numbers))


async def test_while_the_engine_moves_it_is_seen_but_not_asked() -> None:
    control = demo()
    relay = Relay(control)
    assert relay.state is relay.state
    relay.stand("handing over")
    assert relay.state.trouble == "handing over"
    control.change(412, title="draining")
    assert any(job.title == "draining" for job in relay.state.running)
    with pytest.raises(EngineGone, match="handing over"):
        await relay.jobs(JobQuery())
    assert control.calls == []
    relay.lead_to(demo())
    assert relay.state.trouble == ""
    assert (await relay.jobs(JobQuery(limit=1))).jobs


class Dying(FakeControl):
    """Its loop ends while it is asked: what was asked is cancelled from within."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.answer: asyncio.Future[msgspec.Struct] = asyncio.get_running_loop().create_future()

    async def ask(self, probe: str, parameters: Mapping[str, Any]) -> msgspec.Struct:
        self.asked.set()
        return await self.answer


async def test_a_question_that_ends_with_the_engine_is_refused_not_cancelled() -> None:
    control = Dying()
    relay = Relay(control)
    asking = asyncio.create_task(relay.ask("host", {}))
    await control.asked.wait()
    relay.stand("handing over")
    control.answer.cancel()
    with pytest.raises(EngineGone, match="another process"):
        await asking


async def test_who_gives_up_asking_is_cancelled_as_ever() -> None:
    control = Dying()
    relay = Relay(control)
    asking = asyncio.create_task(relay.ask("host", {}))
    await control.asked.wait()
    relay.stand("handing over")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
