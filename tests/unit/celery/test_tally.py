"""What events add up to: counts, pace, percentiles, who is there; bounded, whatever is sent."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.control import FixedClock
from qsuite_console.cache.celery_wire import Event
from qsuite_console.logs import MASK, REDACTOR
from qsuite_console.metrics import celery_tally
from qsuite_console.metrics.celery_tally import Tally, quantile


def tally() -> tuple[Tally, FixedClock]:
    clock = FixedClock()
    made = Tally(clock)
    made.begin()
    return made, clock


def run(made: Tally, task: str, name: str = "shop.add", *, runtime: float = 0.5, worker: str = "a@b") -> None:
    made.take(
        [
            Event(type="task-received", uuid=task, name=name, hostname=worker),
            Event(type="task-started", uuid=task, hostname=worker, timestamp=10.0),
            Event(type="task-succeeded", uuid=task, hostname=worker, timestamp=10.0 + runtime, runtime=runtime),
        ]
    )


def beat(made: Tally, processed: int, worker: str = "a@b", **more: Any) -> None:
    made.take([Event(type="worker-heartbeat", hostname=worker, freq=2.0, processed=processed, **more)])


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(values: list[float], share: float) -> None:
    ordered = sorted(values)
    found = quantile(ordered, share)
    assert found is not None
    assert sum(value <= found for value in ordered) >= share * len(ordered) - 1e-9
    below = [value for value in ordered if value < found]
    assert len(below) < math.ceil(share * len(ordered))


def test_counts_pace_and_times_of_a_kind() -> None:
    made, clock = tally()
    for number in range(100):
        run(made, f"t{number}", runtime=number / 100)
        clock.advance(0.6)
    made.take([Event(type="task-started", uuid="x", hostname="a@b", timestamp=1.0)])
    made.take([Event(type="task-failed", uuid="x", hostname="a@b", timestamp=3.5, exception="Boom()")])
    kinds = {kind.name: kind for kind in made.kinds()}
    add = kinds["shop.add"]
    assert (add.succeeded, add.failed, add.ended) == (100, 0, 100)
    assert add.rate is not None
    assert add.rate == pytest.approx(100 / 60, rel=0.2)
    assert (add.p50_s, add.p95_s, add.p99_s, add.longest_s) == (0.49, 0.94, 0.98, 0.99)
    unnamed = kinds[""]
    assert (unnamed.failed, unnamed.p50_s, unnamed.last_error) == (1, 2.5, "Boom()")
    clock.advance(celery_tally.WINDOW_S + 1)
    assert made.kinds() == [], "what is older than the window is gone"


def test_a_retried_task_keeps_its_name_though_its_next_try_was_received_before() -> None:
    made, _ = tally()
    made.take(
        [
            Event(type="task-received", uuid="r", name="shop.retry", hostname="a@b"),
            Event(type="task-received", uuid="r", name="shop.retry", hostname="a@b", retries=1),
            Event(type="task-retried", uuid="r", hostname="a@b", exception="Again()"),
            Event(type="task-failed", uuid="r", hostname="a@b", exception="Over()"),
        ]
    )
    (kind,) = made.kinds()
    assert (kind.name, kind.retried, kind.failed, kind.last_error) == ("shop.retry", 1, 1, "Over()")
    newest, before = made.ends()
    assert (newest.state, newest.retries, before.state) == ("failed", 1, "retried")


def test_workers_come_fall_silent_say_goodbye_and_start_anew() -> None:
    made, clock = tally()
    beat(made, 10, active=2, loadavg=(1.5, 1.0, 1.0))
    clock.advance(2)
    beat(made, 30)
    worker = made.workers["a@b"]
    assert worker.rate(clock.monotonic()) == pytest.approx(10.0)
    assert (worker.active, worker.load, worker.is_silent(clock.monotonic())) == (2, 1.5, False)
    clock.advance(2)
    beat(made, 3)
    assert worker.rate(clock.monotonic()) is None, "it was restarted: its counter began anew"
    clock.advance(9)
    run(made, "alive")
    clock.advance(9)
    assert not worker.is_silent(clock.monotonic()), "who tells of tasks lives"
    clock.advance(2)
    assert worker.is_silent(clock.monotonic())
    made.take([Event(type="worker-offline", hostname="a@b", freq=2.0)])
    assert worker.is_offline
    beat(made, 4)
    assert not worker.is_offline
    assert not worker.is_silent(clock.monotonic())


def test_who_works_without_telling_is_named_until_it_tells() -> None:
    made, clock = tally()
    for processed in (0, 5):
        beat(made, processed)
        beat(made, processed, worker="told@b")
        run(made, f"p{processed}", worker="told@b")
        clock.advance(2)
    assert made.quiet() == ("a@b",)
    run(made, "late")
    clock.advance(2)
    assert made.quiet() == ()


def test_losing_the_connection_forgets_what_was_under_way() -> None:
    made, clock = tally()
    made.take([Event(type="task-received", uuid="t", name="shop.add", hostname="a@b")])
    assert made.name_of("t") == "shop.add"
    clock.advance(5)
    made.lost()
    assert made.covered_s == 0
    assert made.name_of("t") == ""
    made.begin()
    clock.advance(3)
    assert made.covered_s == 3


def test_memory_is_bounded_whatever_is_sent() -> None:
    made, _ = tally()
    for number in range(3000):
        run(made, f"t{number}", name=f"kind{number}", worker=f"w{number}@b")
        made.take([Event(type="worker-heartbeat", hostname=f"w{number}@b", processed=number)])
        made.take([Event(type="task-received", uuid=f"open{number}", name="n" * 5000, hostname="a@b")])
    assert len(made.kinds()) <= 300
    assert len(made.workers) <= 1000
    assert len(made.ends()) <= 2000
    assert len(made.name_of("open2999")) <= 201
    made.take([Event(type="task-received", uuid="u" * 5000, name="x", hostname="a@b")])
    assert made.name_of("u" * 5000) == ""


def test_errors_are_masked_and_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = tally()
    monkeypatch.setattr(REDACTOR, "_secrets", ("hunter2-secret",))
    made.take([Event(type="task-failed", uuid="t", hostname="a\x1b[2J@b", exception="bad \x1b[31mhunter2-secret")])
    (end,) = made.ends()
    assert MASK in end.error
    assert "hunter2" not in end.error
    assert "\x1b" not in end.error + end.worker
