"""Findings become steps: which job, how safe, and what is left to a person. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from qsuite_console.db.index_care import Home, Standing
from qsuite_console.db.index_catalogue import CATALOGUE
from qsuite_console.metrics.advice.steps import HUGE, Horizon, steps_of
from qsuite_console.model.advice import Evidence, Finding, Severity
from qsuite_console.model.optimizing import Optimization, numbered
from qsuite_console.model.runs import Prunable
from qsuite_console.model.warmth import Warmth


def finding(rule: str, subject: str, part: str = "postgresql", **more: Any) -> Finding:
    return Finding(
        id=rule, part=part, subject=subject, title="Something is odd", severity=Severity.WARNING, formula="f",
        evidence=(Evidence(name="dead rows", value=1, text="1"),), **more,
    )  # fmt: skip


def home(**changes: Any) -> Home:
    known: dict[str, Any] = {
        "oid": 1, "name": "public.t", "kind": "r", "may": True, "role": "app", "is_standby": False, "pages": 1,
        "bytes": 8192, "rows": 10,
    }  # fmt: skip
    return Home(**(known | changes))


def missing(of: Home | None, state: Any = "missing") -> Standing:
    return Standing(recommended=CATALOGUE[0], name="t_idx", state=state, home=of, index=None)


def test_a_table_with_two_findings_is_one_step_and_old_statistics_alone_need_no_vacuum() -> None:
    findings = [finding("PG12", "public.a"), finding("PG14", "public.a"), finding("PG14", "public.b")]
    steps, others = steps_of(findings, (), (), (), Prunable())
    assert [(step.subject, step.rule, step.parameters["mode"]) for step in steps] == [
        ("public.a", "PG12, PG14", "vacuum_analyze"), ("public.b", "PG14", "analyze"),
    ]  # fmt: skip
    assert others == 0


@pytest.mark.parametrize(
    ("of", "why"),
    [
        (home(), ""),
        (home(bytes=HUGE + 1), "choose the hour yourself"),
        (home(may=False), "the role app does not own the table"),
        (home(is_standby=True), "a standby takes no index"),
    ],
)
def test_an_index_is_built_unless_a_person_should_choose(of: Home, why: str) -> None:
    (step,), _ = steps_of((), (missing(of),), (), (), Prunable())
    assert (step.is_safe, step.parameters) == (not why, {"action": "build", "which": "t_idx"})
    assert why in step.why_not


def test_what_is_there_or_has_no_table_gives_no_step() -> None:
    standings = (missing(home(), "present"), missing(None), missing(home(), "different"))
    assert steps_of((), standings, (), (), Prunable()) == ((), 0)


def test_months_are_made_and_strays_are_left_to_a_person() -> None:
    horizon = Horizon("public.price_ticks", (date(2027, 1, 1), date(2027, 2, 1)), 7, may=True)
    steps, others = steps_of([finding("PG21", "price_ticks")], (), (horizon,), (), Prunable())
    assert [(step.is_safe, step.parameters.get("move_strays", False)) for step in steps] == [
        (True, False), (False, True),
    ]  # fmt: skip
    assert others == 0, "the finding is answered by the steps"
    refused, _ = steps_of((), (), (Horizon("public.x", (date(2027, 1, 1),), 0, may=False),), (), Prunable())
    assert not refused[0].is_safe


def test_only_settings_that_say_so_are_safe_and_the_rest_is_counted() -> None:
    findings = [
        finding("PG24", "log_lock_waits", recommended="on", is_safe=True),
        finding("PG31", "work_mem", recommended="8MB"),
        finding("RD13", "slowlog-log-slower-than", "redis", current="-1", recommended="10000", is_safe=True),
        finding("PG23", "public.a"),
    ]
    steps, others = steps_of(findings, (), (), (), Prunable())
    assert [(step.operation, step.parameters) for step in steps] == [
        ("database.apply-setting", {"name": "log_lock_waits", "value": "on"}),
        ("cache.apply-setting", {"name": "slowlog-log-slower-than", "value": "10000"}),
    ]
    assert others == 2


@pytest.mark.parametrize(
    ("present", "expected", "is_cold"), [(0, 10, True), (8, 10, True), (9, 10, False), (0, 0, False)]
)
def test_a_family_is_warmed_below_nine_tenths(present: int, expected: int, is_cold: bool) -> None:
    family = Warmth(family="price", prefix="price:", kind="warm.prices", expected=expected, present=present)
    steps, _ = steps_of((), (), (), (family,), Prunable())
    assert [step.kind for step in steps] == ["warm.prices"] * is_cold


def test_the_history_is_cleaned_only_when_something_is_due() -> None:
    assert steps_of((), (), (), (), Prunable())[0] == ()
    (step,), _ = steps_of((), (), (), (), Prunable(results=3, free_bytes=2**21))
    assert (step.kind, step.evidence) == ("cleanup", ("3 expired results", "2 MiB of its file unused"))


def test_steps_are_numbered_safe_ones_first_and_commands_are_quoted() -> None:
    horizon = Horizon('public.we"ird t', (date(2027, 1, 1),), 7, may=True)
    steps, _ = steps_of([finding("PG12", "public.a")], (), (horizon,), (), Prunable())
    plan = Optimization(at=datetime(2026, 1, 1, tzinfo=UTC), target="t", steps=numbered(steps))
    assert [(step.number, step.kind) for step in plan.safe] == [(1, "partitions"), (2, "vacuum")]
    assert [(step.number, step.command) for step in plan.left] == [
        (3, "qsuite-console run partitions --table 'public.we\"ird t' --move-strays")
    ]
