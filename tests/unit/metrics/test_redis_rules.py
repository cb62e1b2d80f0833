"""Redis' rules about work and head-room: each fires on its case and on nothing next to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from qsuite_console.cache.broker import BrokerFacts
from qsuite_console.cache.survey import CacheFacts, KeySample
from qsuite_console.metrics.advice.redis import redis_findings
from qsuite_console.model.advice import Severity
from qsuite_console.model.cache import SlowCall

GB = 1024**3
QUIET = {"run_id": "a", "used_memory": GB, "maxmemory": 8 * GB, "maxmemory_policy": "noeviction", "aof_enabled": 0}
AT = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def facts(settings: dict[str, str] | None = None, **info: Any) -> CacheFacts:
    return CacheFacts(
        before=QUIET,
        after={**QUIET, "total_system_memory": 16 * GB, **info},
        seconds=2.0,
        pings_ms=[0.2],
        settings=settings,
        sample=KeySample(total=0, keys=0, is_whole=True),
        is_open=False,
    )


def broker(**said: Any) -> CacheFacts:
    known = {"waiting": 0, "in_flight": 0, "oldest_s": None, "takers": 1, **said}
    return replace(facts(), broker=BrokerFacts(**known))


def slow(*calls: tuple[str, float, str]) -> CacheFacts:
    made = [
        SlowCall(id=n, at=AT, ms=ms, command=command, client="api", problem=problem)
        for n, (command, ms, problem) in enumerate(calls)
    ]
    return replace(facts(), slow=made)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (facts({"save": "3600 1"}, used_memory=9 * GB), {"RD09"}),
        (facts(used_memory=9 * GB, aof_enabled=1), {"RD09"}),
        (facts({"save": ""}, used_memory=9 * GB), set()),
        (facts(None, used_memory=9 * GB), set()),
        (facts({"save": "3600 1"}, used_memory=8 * GB), set()),
        (facts({"save": "3600 1"}, used_memory=9 * GB, total_system_memory=None), set()),
        (slow(("KEYS", 120.0, "walks over every key")), {"RD14"}),
        (slow(("GET", 120.0, "")), set()),
        (facts(), set()),
        (broker(in_flight=2, oldest_s=3601.0), {"RD20"}),
        (broker(in_flight=2, oldest_s=3599.0), set()),
        (broker(waiting=5, takers=0), {"RD20"}),
        (broker(waiting=5, takers=2), set()),
        (broker(waiting=5, takers=0, in_flight=1, oldest_s=3.0), set()),
        (broker(waiting=5, takers=None), set()),
        (broker(), set()),
    ],
)
def test_rules(given: CacheFacts, expected: set[str]) -> None:
    assert {one.id for one in redis_findings(given)} == expected


def test_slow_commands_are_named_once_with_their_number_and_the_longest() -> None:
    given = slow(("KEYS", 20.0, "walks"), ("SMEMBERS", 30.0, "reads a set"), ("KEYS", 90.0, "walks"), ("SET", 99.0, ""))
    found = list(redis_findings(given))
    assert [(one.subject, one.severity) for one in found] == [
        ("KEYS", Severity.WARNING),
        ("SMEMBERS", Severity.WARNING),
    ]
    assert [(item.name, item.value) for item in found[0].evidence[:2]] == [
        ("calls in the slow log", 2),
        ("the longest took", 0.09),
    ]
    assert "api" in found[0].evidence[2].text
    assert all(one.fix == "" and one.advice for one in found)


def test_evidence_of_saving_names_what_is_saved() -> None:
    (found,) = redis_findings(facts({"save": "60 1"}, used_memory=9 * GB, aof_enabled=1))
    assert {item.name: item.text for item in found.evidence} == {
        "used_memory": "9 GiB",
        "total_system_memory": "16 GiB",
        "persistence": "snapshots and append-only file",
    }
