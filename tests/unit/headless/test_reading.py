"""How a row reads its query, answers are kept, costs are counted and rates held: without a server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from multidict import MultiDict

from fakes.control import FixedClock
from qsuite_console.config.api import ApiSettings
from qsuite_console.headless.answers import matches
from qsuite_console.headless.costs import RequestCosts, Spent
from qsuite_console.headless.door import _Bucket
from qsuite_console.headless.keeping import MOST, KeptAnswers
from qsuite_console.headless.routes import ROUTES
from qsuite_console.headless.table import Query
from qsuite_console.model.access import LOCAL, Caller, Scope
from qsuite_console.model.errors import UsageProblem
from qsuite_console.model.jobs import JobState
from qsuite_console.model.tally import counting, note_query

GOOD: list[tuple[Query, str | None, Any]] = [
    (Query("a", int, 5, 1, 10), None, 5),
    (Query("a", int, 5, 1, 10), "10", 10),
    (Query("a", int, 5, 1, 2**53), "900719925474099", 900719925474099),
    (Query("a", float, 0, 0, 1e6), "1e3", 1000.0),
    (Query("a", float, 0.5, 0, 1), "0.25", 0.25),
    (Query("a", bool, True), "FALSE", False),
    (Query("a", JobState), "running", JobState.RUNNING),
    (Query("a", JobState, is_list=True), "running, paused,", (JobState.RUNNING, JobState.PAUSED)),
    (Query("a", is_list=True), None, ()),
    (Query("a", is_list=True, default=("x",)), None, ("x",)),
    (Query("a", default=""), "Ä b", "Ä b"),
]
BAD = [
    (Query("a", int, 5, 1, 10), "11", "a='11' must be a whole number from 1 to 10"),
    (Query("a", int, 5, 1, 10), "1.5", "must be a whole number"),
    (Query("a", int), "1_0", "must be a whole number"),
    (Query("a", int), "٣", "must be a whole number"),
    (Query("a", int), "NaN", "must be a whole number"),
    (Query("a", int), "9" * 400, "must be a whole number"),
    (Query("a", float, 0, 0, 1), "inf", "must be a number from 0 to 1"),
    (Query("a", float, 0, 0, 1), "", "must be a number"),
    (Query("a", bool), "maybe", "must be true or false"),
    (Query("a", JobState), "dead\x1b[2J", "must be one of scheduled, queued"),
    (Query("a", is_required=True, help="AAPL"), None, "a is wanted in the query"),
    (Query("a", max_length=3), "long", "longer than 3 characters"),
    (Query("a", is_list=True, max_items=2), "1,2,3", "takes at most 2 values, 3 were given"),
    (Query("a"), "x\0y", "may not hold the character NUL"),
]


@pytest.mark.parametrize(("query", "text", "value"), GOOD)
def test_a_query_value_is_read(query: Query, text: str | None, value: Any) -> None:
    got = query.read(text)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(("query", "text", "why"), BAD)
def test_a_bad_query_value_is_refused_by_name(query: Query, text: str | None, why: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        query.read(text)
    assert why in caught.value.message
    assert "\x1b" not in caught.value.message


def test_a_list_may_come_value_by_value_and_anything_else_once() -> None:
    row = next(route for route in ROUTES if route.name == "GET /jobs")
    given = [("states", "failed,paused"), ("states", "running"), ("limit", "5")]
    read = row.read(MultiDict(given))
    assert (read["states"], read["limit"]) == ((JobState.FAILED, JobState.PAUSED, JobState.RUNNING), 5)
    with pytest.raises(UsageProblem, match="limit is given 2 times in the query"):
        row.read(MultiDict([*given, ("limit", "6")]))
    with pytest.raises(UsageProblem, match="unknown parameter 'state' in the query"):
        row.read(MultiDict([("state", "failed")]))


def test_the_table_has_no_two_rows_alike_and_all_say_what_they_are() -> None:
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
    for route in ROUTES:
        assert route.summary, route.name
        assert not route.cache_s or route.method == "GET", route.name
        assert route.takes is None or route.method != "GET", route.name


@pytest.mark.parametrize("header", ['"abc"', 'W/"abc"', '"x", "abc"', "*", '"x",W/"abc"'])
def test_a_known_tag_matches(header: str) -> None:
    assert matches(header, "abc")


@pytest.mark.parametrize("header", [None, "", '"abcd"', "W/", '"x", "y"'])
def test_another_tag_does_not(header: str | None) -> None:
    assert not matches(header, "abc")


def test_a_scope_covers_those_before_it() -> None:
    pairs = {(one, other) for one in Scope for other in Scope if one.covers(other)}
    assert len(pairs) == 6
    assert (Scope.ADMIN, Scope.READ) in pairs
    assert (Scope.READ, Scope.OPERATE) not in pairs
    assert Caller(name="dash", is_local=False).origin == "http:dash"
    assert LOCAL.origin == "http"


async def test_an_answer_is_kept_for_its_time_and_bounded_in_number() -> None:
    now = [0.0]
    kept = KeptAnswers(lambda: now[0])
    made = 0

    async def make() -> bytes:
        nonlocal made
        made += 1
        return b"%d" % made

    first = await kept.get("a", 5.0, make)
    again = await kept.get("a", 5.0, make)
    assert (first[0].body, first[1], again[0].body, again[1]) == (b"1", False, b"1", True)
    now[0] = 5.0
    assert (await kept.get("a", 5.0, make))[0].body == b"2"
    for number in range(MOST):
        await kept.get(number, 5.0, make)
    assert (await kept.get("a", 5.0, make))[1] is False


async def test_what_fails_is_not_kept_and_fails_for_all_who_waited() -> None:
    kept = KeptAnswers(lambda: 0.0)
    go = asyncio.Event()

    async def fail() -> bytes:
        await go.wait()
        raise UsageProblem("no")

    async def make() -> bytes:
        return b"yes"

    waiting = [asyncio.create_task(kept.get("a", 5.0, fail)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    go.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError, UsageProblem, UsageProblem]
    assert (await kept.get("a", 5.0, make))[0].body == b"yes"


def spent(ms: float, *, status: int = 200, queries: int = 0, path: str = "/jobs") -> Spent:
    return Spent(route="GET /jobs", path=path, caller=LOCAL, status=status, ms=ms, queries=queries)


def test_slow_and_very_slow_requests_are_recorded_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    costs = RequestCosts(FixedClock())
    for ms in (1.0, 1999.0, 2000.0, 4999.0, 5000.0):
        costs.note(spent(ms, queries=3))
    view = costs.view()
    (row,) = view.routes
    assert (row.answered, row.slow, row.very_slow, row.queries, row.most_queries) == (5, 2, 1, 15, 3)
    assert [(each.ms, each.is_very_slow) for each in view.slow] == [(5000.0, True), (4999.0, False), (2000.0, False)]
    assert [record.levelname for record in caplog.records] == ["INFO", "INFO", "WARNING"]
    assert "very slow request: GET /jobs took 5.0 s, 3 queries" in caplog.text


def test_costs_are_bounded_and_show_no_control_characters() -> None:
    costs = RequestCosts(FixedClock())
    for number in range(5000):
        costs.note(spent(float(number), status=503 if number % 2 else 404, path="/jobs/\x1b[2J" + "x" * 5000))
    (row,) = costs.view().routes
    assert (row.answered, row.refused, row.failed) == (5000, 2500, 2500)
    assert (row.p50_ms, row.p99_ms, row.worst_ms) == (4499.0, 4989.0, 4999.0)  # of the newest thousand
    assert len(costs.view().slow) == 100
    assert "\x1b" not in costs.view().slow[0].path
    assert len(costs.view().slow[0].path) <= 201


def test_a_rate_lets_a_burst_through_and_then_its_rate() -> None:
    rate = ApiSettings(requests_per_minute=600).requests_per_minute / 60
    bucket = _Bucket(rate, 0.0)
    taken = [bucket.take(0.0) for _ in range(61)]
    assert taken[:60] == [0.0] * 60
    assert taken[60] == pytest.approx(0.1)
    assert bucket.take(0.1) == 0.0
    assert bucket.take(0.1) > 0


async def test_queries_are_counted_where_the_work_began() -> None:
    async def ask() -> None:
        note_query()

    with counting() as outer:
        note_query()
        await asyncio.gather(*(asyncio.create_task(ask()) for _ in range(3)))
        with counting() as inner:
            note_query()
    note_query()
    assert (outer.queries, inner.queries) == (4, 1)
