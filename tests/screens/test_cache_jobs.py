"""Jobs from the cache screen: warming a family, removing keys that were counted first, and what comes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import msgspec
from textual.pilot import Pilot

from fakes import cache
from fakes.control import FakeControl
from qsuite_console.cache.keys import FAMILIES
from qsuite_console.model.advice import Unread
from qsuite_console.model.jobs import JobState, Progress, Submission
from qsuite_console.model.kinds import Plan, PlanLine
from qsuite_console.screens.cache_keys import KeysPane
from qsuite_console.screens.dialogs.invalidate import WAYS
from qsuite_console.workers.sweep import By
from screens.seeing import console, until, until_gone, until_seen
from screens.test_cache import SIZES, SMALL, WIDE, control, go


def cache_plan(kind: str, parameters: Mapping[str, Any]) -> Plan:
    lines = (PlanLine(label="keys", value="33", note="of 150,053 in 10.0.0.5:6379/0"),
             PlanLine(label="such as", value="price:AAPL, ohlcv:AAPL:1Min"))  # fmt: skip
    is_noop = parameters.get("value") == "NONE"
    return Plan(kind=kind, title=f"{kind} {parameters.get('value', '')}".strip(), lines=lines, is_noop=is_noop)


def started(made: FakeControl) -> list[Submission]:
    return [arguments[0] for name, arguments in made.calls if name == "submit"]


def run(made: FakeControl, job_id: int, **said: float | str) -> None:
    progress = Progress(fraction=0.42, figures=said)
    made.change(job_id, state=JobState.RUNNING, started_at=made.clock.now(), progress=progress)


async def test_a_family_is_warmed_from_its_row_and_what_comes_of_it_is_seen_there() -> None:
    made = control()
    async with console(made).run_test(size=WIDE) as pilot:
        await go(pilot, "families")
        await until_seen(pilot, "97 %")
        await pilot.press("w")
        assert not started(made), "nothing warms ohlcv:*"
        await pilot.press("down")
        await until_seen(pilot, "486 of 500 active symbols with a bar · data 41s–3m old")
        await pilot.press("w")
        await until(pilot, lambda: started(made), "submitted")
        assert (started(made)[0].kind, started(made)[0].parameters) == ("warm.prices", {})
        job_id = max(made.all_jobs)
        await until_seen(pilot, f"job {job_id} warm.prices: queued")
        asked = sum(arguments[0] == "cache.warmth" for name, arguments in made.calls if name == "ask")
        run(made, job_id, keys=210)
        await until_seen(pilot, f"job {job_id} warm.prices: 42% 210 keys written")
        made.change(job_id, state=JobState.SUCCEEDED, finished_at=made.clock.now(),
                    progress=Progress(fraction=1.0, figures={"keys": 500, "failed": 2}))  # fmt: skip
        await until_seen(pilot, "500 keys written, 2 refused")
        await until(
            pilot,
            lambda: sum(a[0] == "cache.warmth" for name, a in made.calls if name == "ask") > asked,
            "how warm it is now",
        )
        await pilot.press("o")
        await until(pilot, lambda: type(pilot.app.screen).__name__ == "JobScreen", "the job's page")


@SIZES
def test_picture_of_a_warming(snap_compare: Any, size: tuple[int, int]) -> None:
    made = control()

    async def steps(pilot: Pilot[Any]) -> None:
        await go(pilot, "families")
        await until_seen(pilot, "97 %")
        await pilot.press("down", "w")
        await until(pilot, lambda: started(made), "submitted")
        run(made, max(made.all_jobs), keys=210)
        await until_seen(pilot, "210 keys written")

    assert snap_compare(console(made), terminal_size=size, run_before=steps)


async def test_what_is_missing_can_be_warmed_and_what_is_not_known_says_why() -> None:
    made = control()
    why = Unread(what="which symbols the cache should know", why="PostgreSQL at db:5432/x accepts no connection")
    made.answers["cache.warmth"] = lambda _: msgspec.structs.replace(
        cache.warmth_panel(made.clock.now()), unread=(why,)
    )
    async with console(made).run_test(size=WIDE) as pilot:
        await go(pilot, "families")
        await until_seen(pilot, "positions:*")
        await pilot.press("s", "s", "s", "s")
        await until_seen(pilot, "coldest first")
        await pilot.press("home")
        await until_seen(pilot, "0 of 100 or more symbols: a warming takes the 100 most traded")
        await until_seen(pilot, "no key of it was seen · w warms it")
        await pilot.press("w")
        await until(pilot, lambda: started(made), "submitted")
        assert started(made)[0].kind == "warm.market-data"
        await pilot.press("down", "down", "down")
        await until_seen(pilot, "how warm it is can't be told: PostgreSQL at db:5432/x")


async def test_an_invalidation_is_counted_before_it_is_confirmed() -> None:
    made = control()
    made.plans = cache_plan
    async with console(made).run_test(size=SMALL) as pilot:
        await go(pilot, "families")
        await until_seen(pilot, "97 %")
        await pilot.press("down", "I")
        await until_seen(pilot, "▸family")
        await pilot.press("up", "up", *(["backspace"] * 5), *"NONE", "enter")
        await until(pilot, lambda: any("nothing of it" in one.message for one in pilot.app._notifications), "nothing")
        assert not started(made)
        await pilot.press("I")
        await until_seen(pilot, "▸family")
        await pilot.press("up", "up", *(["backspace"] * 5), *"AAPL", "enter")
        await until_seen(pilot, "keys     33, of 150,053 in 10.0.0.5:6379/0")
        await until_seen(pilot, "such as  price:AAPL, ohlcv:AAPL:1Min")
        assert not started(made), "counted before it is asked"
        await pilot.press("escape")
        await until_gone(pilot, "such as ")
        assert not started(made)
        await pilot.press("I", "up", "up", *(["backspace"] * 5), *"AAPL", "enter")
        await until_seen(pilot, "such as ")
        await pilot.press("y")
        await until(pilot, lambda: started(made), "submitted")
        assert started(made)[0].parameters == {"by": "symbol", "value": "AAPL"}
        job_id = max(made.all_jobs)
        run(made, job_id, removed=12)
        await until_seen(pilot, "12 keys removed")
        made.change(job_id, state=JobState.FAILED, finished_at=made.clock.now(), error="the cache is away")
        await until_seen(pilot, "failed, the cache is away")


@SIZES
def test_picture_of_the_question_what_goes(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await go(pilot, "families")
        await until_seen(pilot, "97 %")
        await pilot.press("down", "I")
        await until_seen(pilot, "▸family")

    assert snap_compare(console(control()), terminal_size=size, run_before=steps)


async def test_production_wants_its_name_before_it_is_warmed_or_invalidated() -> None:
    made = control()
    made.plans = cache_plan
    made.set_state(target=msgspec.structs.replace(made.state.target, name="prod", production=True))
    async with console(made).run_test(size=WIDE) as pilot:
        await go(pilot, "families")
        await until_seen(pilot, "97 %")
        await pilot.press("down", "w")
        await until_seen(pilot, "type prod to confirm")
        await pilot.press("n", "enter", *"prod", "enter")
        await until(pilot, lambda: started(made), "submitted")
        assert started(made)[0].confirmation == "prod"


async def test_what_an_invalidation_is_about_follows_the_cursor() -> None:
    async with console(control()).run_test(size=WIDE) as pilot:
        await go(pilot, "keys")
        screen = pilot.app.screen
        assert screen.query_one(KeysPane).doomed() == ("pattern", "session:cart:8812")
        await pilot.press("down", "down")
        await until(pilot, lambda: screen.query_one(KeysPane).doomed()[1] != "session:cart:8812", "the cursor")
        assert screen.query_one(KeysPane).doomed() == (
            "pattern",
            cache.HOSTILE.replace("[", r"\\[").replace("]", r"\\]"),
        )
        await pilot.press("slash", *"ohlcv", "enter")
        await until(pilot, lambda: screen.query_one(KeysPane).doomed() == ("pattern", "*ohlcv*"), "the filter")


def test_the_ways_to_invalidate_are_those_of_the_job() -> None:
    assert tuple(way[0] for way in WAYS) == get_args(By)
    assert all(name in WAYS[2][2] for name in FAMILIES)
