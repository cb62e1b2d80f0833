"""Loops that wait for a word, or a moment, end when they are told to, also in the instant that the word comes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from qsuite_console.db.runs import RunBook
from qsuite_console.distributed.claimer import Claimer
from qsuite_console.distributed.follower import Follower
from qsuite_console.distributed.nodes import Node
from qsuite_console.engine.state import TargetView
from qsuite_console.model.clock import SystemClock

TURNS = 6  # of the loop between the word and the end


class Nothing:
    """A table without runs, that says nothing."""

    lease_s = 30.0
    where = "nowhere"

    async def listen(self, heard: Any, **_: Any) -> None:
        await asyncio.Event().wait()

    async def prepare(self) -> None:
        return

    async def follow(self, known: Any) -> list[Any]:
        return []

    async def prune(self, days: float) -> int:
        return 0

    async def claim(self, *_: Any, **__: Any) -> list[Any]:
        return []


def make_claimer() -> Claimer:
    return Claimer(cast("RunBook", Nothing()), {}, owner="n", target=TargetView(), clock=SystemClock())


def following() -> tuple[Any, Any]:
    follower = Follower(cast("RunBook", Nothing()), "h", max_rescues=5, keep_days=7.0)
    known = SimpleNamespace(token="t", known=(0, 0), is_waiting=False)

    def word() -> None:
        follower.add(cast("Any", known))

    return follower.open(), word


def attending() -> tuple[Any, Any]:
    claimer = make_claimer()
    return claimer.attending(), lambda: claimer.hear("wish")


def serving() -> tuple[Any, Any]:
    node = Node(make_claimer(), {"general": 1})
    return node.serving(), lambda: node._hear("put nodes")


@pytest.mark.parametrize("turns", range(TURNS))
@pytest.mark.parametrize("make", [following, attending, serving])
async def test_a_word_at_the_end_does_not_keep_it_from_ending(make: Any, turns: int) -> None:
    opened, word = make()
    async with asyncio.timeout(20):
        async with opened:
            word()
            await asyncio.sleep(0.02)  # by then it waits again
            word()
            for _ in range(turns):
                await asyncio.sleep(0)
