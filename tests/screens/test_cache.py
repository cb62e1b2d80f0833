"""The cache screen: its panes, keys page by page, one key in full, changes that ask first, odd names harmless."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, cast

import msgspec
import pytest
from textual.pilot import Pilot

from fakes import cache
from fakes.control import FakeControl, demo
from qsuite_console.app import ConsoleApp
from qsuite_console.model.advice import Unread
from qsuite_console.model.cache import KeyOrder
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.operations import Proposal
from qsuite_console.screens.cache_families import pattern_of
from qsuite_console.screens.cache_keys import KeysPane
from qsuite_console.screens.cache_views import histogram, histogram_words, life
from qsuite_console.widgets.live_table import LiveTable
from screens.seeing import console, seen, until, until_gone, until_seen

SMALL, WIDE = (80, 24), (120, 40)
SIZES = pytest.mark.parametrize("size", [SMALL, WIDE], ids=["80x24", "120x40"])
FIRST = {
    "memory": "hit rate",
    "families": "ohlcv:*",
    "keys": "session:cart:8812",
    "slowlog": "KEYS",
    "clients": "report-7",
    "commands": "GET",
    "advice": "A broker that may evict",
    "answers": "market.positions",
}


def control() -> FakeControl:
    made = demo()
    made.answers.update(cache.cache_answers(made.clock.now))
    return made


async def go(pilot: Pilot[Any], pane: str) -> None:
    await cast("ConsoleApp", pilot.app).go("cache", pane=pane)
    await until_seen(pilot, FIRST[pane])
    await until(pilot, lambda: _is_in(pilot, pane), "the focus")


def _is_in(pilot: Pilot[Any], pane: str) -> bool:
    focused = pilot.app.screen.focused
    return focused is not None and any(parent.id == pane for parent in focused.ancestors)


@SIZES
@pytest.mark.parametrize("pane", list(FIRST))
def test_pictures(snap_compare: Any, size: tuple[int, int], pane: str) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await go(pilot, pane)

    assert snap_compare(console(control()), terminal_size=size, run_before=steps)


@SIZES
def test_picture_of_a_key(snap_compare: Any, size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await go(pilot, "keys")
        await pilot.press("down", "enter")
        await until_seen(pilot, '"bids"')

    assert snap_compare(console(control()), terminal_size=size, run_before=steps)


async def test_what_may_not_be_read_is_named_with_the_rule() -> None:
    made = control()
    said = Unread(
        what="latency events",
        why="the user looker may not run LATENCY LATEST",
        hint="ACL SETUSER looker +latency|latest",
    )
    made.answers["cache.memory"] = lambda _: cache.unread(cache.memory_panel(made.clock.now()), said)
    async with console(made).run_test(size=WIDE) as pilot:
        await go(pilot, "memory")
        await until_seen(pilot, "can't read latency events")
        await until_seen(pilot, "ACL SETUSER looker +latency|latest")


async def test_a_server_that_is_gone_says_so_in_every_pane() -> None:
    made = control()
    for name in list(made.answers):
        if name.startswith("cache."):
            made.answers[name] = _refuse
    async with console(made).run_test(size=SMALL) as pilot:
        await pilot.press("6")
        for _ in FIRST:
            await until_seen(pilot, "the cache at 10.0.0.5:6379 does not answer")
            await pilot.press("tab")


def _refuse(parameters: Mapping[str, Any]) -> msgspec.Struct:
    raise ConsoleError("the cache at 10.0.0.5:6379 does not answer", hint="it accepts connections but hangs")


async def test_a_hostile_name_is_shown_and_never_obeyed() -> None:
    async with console(control()).run_test(size=WIDE) as pilot:
        await go(pilot, "keys")
        await until_seen(pilot, cache.HOSTILE)
        await pilot.press("down", "down", "enter")
        await until_seen(pilot, '"bids"')
        assert cache.HOSTILE in seen(pilot.app)
        assert "\x1b" not in seen(pilot.app)


async def test_ten_thousand_keys_come_by_themselves_and_stay_fluid() -> None:
    made = control()
    made.answers["cache.keys"] = lambda p: cache.key_page(made.clock.now(), p, total=10_000)
    async with console(made).run_test(size=WIDE) as pilot:
        await go(pilot, "keys")
        await pilot.press("s")
        await until_seen(pilot, "price:S00000")
        table = pilot.app.screen.query_one("#keys-table", LiveTable)
        for _ in range(40):
            await pilot.press("end")
            await pilot.pause()
            if len(table.keys) == 10_000:
                break
        await until(pilot, lambda: len(table.keys) == 10_000, "all keys")
        await until_seen(pilot, "all 10,000 keys looked at")
        many = await _moving(pilot)
        assert sum(arguments[0] == "cache.keys" for name, arguments in made.calls if name == "ask") <= 25, "pages once"
        await pilot.press("s", "home")
        await until_seen(pilot, "session:cart:8812")
        few = await _moving(pilot)
        assert many < 5 * few + 0.05, "a key costs the same in a list of 60 and of 10,000"


async def _moving(pilot: Pilot[Any]) -> float:
    """The seconds that a move of the cursor takes, at the median."""
    spent = []
    for key in ("up", "down") * 8:
        began = time.perf_counter()
        await pilot.press(key)
        spent.append(time.perf_counter() - began)
    return sorted(spent)[len(spent) // 2]


async def test_a_filter_is_the_servers_pattern() -> None:
    made = control()
    async with console(made).run_test(size=WIDE) as pilot:
        await go(pilot, "keys")
        await pilot.press("slash", *"ohlcv")
        await until_gone(pilot, "session:cart")
        await pilot.press("enter")
        asked = [parameters for name, (probe, parameters) in _asked(made) if probe == "cache.keys"]
        assert asked[-1] == {"order": KeyOrder.BIGGEST, "pattern": "ohlcv", "limit": 500}


def _asked(made: FakeControl) -> list[tuple[str, tuple[str, Mapping[str, Any]]]]:
    return [(name, arguments[:2]) for name, arguments in made.calls if name == "ask"]


async def test_a_family_leads_to_its_keys() -> None:
    async with console(control()).run_test(size=WIDE) as pilot:
        await go(pilot, "families")
        await pilot.press("enter")
        await until_seen(pilot, "that match ohlcv:*")
        pane = pilot.app.screen.query_one(KeysPane)
        assert pane.text == "ohlcv:*"


@pytest.mark.parametrize("opens", [False, True])
async def test_a_key_is_deleted_after_asking(opens: bool) -> None:
    made = control()
    made.proposals["cache.delete-key"] = lambda parameters: Proposal(
        operation="cache.delete-key", title="Delete this key?", lines=(str(parameters["key"]), "gone for good"),
        do="delete it", parameters={**parameters, "type": "hash", "length": 2},
    )  # fmt: skip
    async with console(made).run_test(size=WIDE) as pilot:
        await go(pilot, "keys")
        if opens:
            await pilot.press("enter")
            await until_seen(pilot, "90,112 elements")
        await pilot.press("D")
        await until_seen(pilot, "gone for good")
        await pilot.press("y")
        await until(pilot, lambda: any(name == "perform" for name, _ in made.calls), "performed")
        done = next(arguments for name, arguments in made.calls if name == "perform")
        assert done[:2] == ("cache.delete-key", {"key": "session:cart:8812", "type": "hash", "length": 2})
        await until_gone(pilot, "90,112 elements")


async def test_a_read_only_target_refuses_every_change() -> None:
    made = control()
    made.set_state(target=msgspec.structs.replace(made.state.target, is_read_only=True), is_read_only=True)
    for operation in ("cache.delete-key", "cache.kill-client", "cache.apply-setting", "cache.reset-slowlog"):
        made.proposals[operation] = lambda parameters: Proposal(operation="", title="never")
    async with console(made).run_test(size=WIDE) as pilot:
        for pane, key in (("keys", "D"), ("clients", "K"), ("advice", "a"), ("slowlog", "X")):
            await go(pilot, pane)
            before = len(made.calls)
            await pilot.press(key)
            await until(pilot, lambda at=before: any(name == "propose" for name, _ in made.calls[at:]), pane)
            await until(pilot, lambda: any("is read-only" in one.message for one in pilot.app._notifications), "why")
        assert not any(name == "perform" for name, _ in made.calls)


async def test_only_the_clients_of_others_can_be_closed() -> None:
    made = control()
    made.proposals["cache.kill-client"] = lambda parameters: Proposal(
        operation="cache.kill-client", title="Close client?", lines=("really",), do="close it"
    )
    async with console(made).run_test(size=WIDE) as pilot:
        await go(pilot, "clients")
        await pilot.press("end", "K")
        await until_seen(pilot, "K leaves it alone")
        assert not any(name == "propose" for name, _ in made.calls)
        await pilot.press("home", "K")
        await until_seen(pilot, "Close client?")
        await pilot.press("y")
        await until(pilot, lambda: any(name == "perform" for name, _ in made.calls), "performed")
        done = next(arguments for name, arguments in made.calls if name == "perform")
        assert done[1] == {"id": 901, "address": "10.0.0.31:50110"}


async def test_advice_is_applied_where_it_is_a_setting() -> None:
    made = control()
    made.proposals["cache.apply-setting"] = lambda parameters: Proposal(
        operation="cache.apply-setting", title="Set it?", lines=("now allkeys-lru",), do="set it"
    )
    async with console(made).run_test(size=WIDE) as pilot:
        await go(pilot, "advice")
        await pilot.press("down", "a")
        await until_seen(pilot, "use SCAN")
        assert not any(name == "propose" for name, _ in made.calls)
        await pilot.press("up", "a")
        await until_seen(pilot, "now allkeys-lru")
        await pilot.press("y")
        await until(pilot, lambda: any(name == "perform" for name, _ in made.calls), "performed")
        done = next(arguments for name, arguments in made.calls if name == "perform")
        assert done[1] == {"name": "maxmemory-policy", "value": "noeviction"}


async def test_curves_take_turns_and_what_is_kept_has_its_own() -> None:
    async with console(control()).run_test(size=SMALL) as pilot:
        await go(pilot, "memory")
        await until_seen(pilot, "━ ▲ warning 85 %")
        for title in ("Hit rate, last", "Commands, last", "Evictions, last", "Kept and copied", "Memory, last"):
            await pilot.press("c")
            await until_seen(pilot, title)


async def test_rows_open_in_full_and_sort() -> None:
    async with console(control()).run_test(size=WIDE) as pilot:
        await go(pilot, "slowlog")
        await pilot.press("enter")
        await until_seen(pilot, "Slow KEYS")
        await pilot.press("escape")
        await go(pilot, "clients")
        await pilot.press("s")
        await until_seen(pilot, "by idle time")
        await go(pilot, "commands")
        await pilot.press("s")
        await until_seen(pilot, "by calls")


def test_histograms() -> None:
    assert histogram((0.0, 1.0, 0.001, 0.5, 0, 0, 0)) == " █▁▄   "
    assert histogram_words((0.12, 0.0, 0.88)) == "no TTL 12 % · ≤ 1 min 88 %"
    assert histogram_words((0.001, 0.999)) == "no TTL <1 % · ≤ 10 s 100 %"
    assert histogram_words(()) == "not known"
    assert (life(None, None), life(None, True), life(42.0, False)) == ("—", "no TTL", "42 s")


def test_patterns_of_families() -> None:
    families = {family.name: family for family in cache.family_panel(demo().clock.now()).families}
    assert pattern_of(families["price:*"]) == "price:*"
    one = families["price:*"]
    for name, pattern in (
        (":#:user:*", ":*:user:*"),
        ("user#", "user*"),
        ("a\\x1bb:*", "a?b:*"),
        ("x[1]*", "x?1?*"),
        ("", ""),
    ):
        assert pattern_of(msgspec.structs.replace(one, name=name)) == pattern
