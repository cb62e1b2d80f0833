"""The verbs of schedules as a shell sees them, and a service that is killed over the time of its plans."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from typing import Any

import pytest

from integration.cli.conftest import Console

EVERY_S = 2


def test_a_schedule_is_made_explained_edited_paused_and_removed_without_an_engine(console: Console) -> None:
    add = ["schedules", "add", "morning", "test.count", "--cron", "25 9 * * mon-fri", "--zone", "America/New_York"]
    shown = console.run(*add, "--parameters", "steps=2", "--dry-run").stdout
    assert "Make the schedule morning?" in shown
    assert "test.count: every weekday at 09:25 New York time" in shown
    assert console.run(*add).returncode == 2  # nobody can be asked
    assert console.json(*add, "--parameters", "steps=2", "--yes")["is_done"]
    assert console.run(*add, "--yes").returncode == 1  # there is one
    [found] = [v for v in console.json("schedules", "list")["schedules"] if v["schedule"]["name"] == "morning"]
    assert found["words"] == "every weekday at 09:25 New York time"
    assert found["schedule"]["parameters"] == {"steps": "2"}
    plans = console.json("schedules", "next", "morning", "--count", "7")["times"]
    assert len(plans) == 7
    edited = console.run("schedules", "edit", "morning", "--every", "90 min", "--missed", "once", "--yes")
    assert edited.stdout.startswith("morning: every 1 h 30 min, next ")
    detail = console.json("schedules", "explain", "morning")
    assert (detail["view"]["schedule"]["missed"], detail["view"]["schedule"]["parameters"]) == ("once", {"steps": "2"})
    assert console.run("schedules", "disable", "morning").stdout == "morning is paused\n"
    shown = console.run("schedules", "show", "morning").stdout
    assert "when      every 1 h 30 min" in shown
    assert "state     paused" in shown
    assert "paused" in console.run("schedules", "list").stdout
    assert console.run("schedules", "remove", "morning", "--yes").stdout == "morning is deleted\n"
    assert console.run("schedules", "remove", "morning", "--yes").returncode == 3


def test_what_is_wrong_is_named_by_its_flag(console: Console) -> None:
    for flags, problem in (
        (["--cron", "61 * * * *"], "--cron: minute: “61” is not valid; 0 to 59"),
        (["--cron", "0 0 30 2 *"], "--cron: never comes"),
        (["--every", "soon"], "--every: “soon” is not an interval"),
        (
            ["--every", "1h", "--zone", "New York"],
            "--zone: “New York” is not a time zone; did you mean America/New_York?",
        ),
        (["--every", "1h", "--cron", "* * * * *"], "only one of cron and every"),
        (["--every", "1h", "--jitter", "1h"], "--jitter: must be shorter than the shortest interval, 1 h"),
        (["--every", "1h", "--parameters", "stepz=1"], "--parameters: stepz: is not a parameter; did you mean steps?"),
        ([], "--cron: say when"),
    ):
        done = console.run("schedules", "add", "x", "test.count", *flags, "--yes")
        assert (done.returncode, problem in done.stderr) == (2, True), done.stderr
    done = console.run("schedules", "add", "x", "test.cuont", "--every", "1h", "--yes")
    assert "KIND: there is no kind of job test.cuont" in done.stderr
    assert "--kind" not in done.stderr  # there is no such flag
    assert console.run("schedules", "explain", "0 0 30 2 *").returncode == 2


def test_defaults_are_there_paused_and_one_that_was_removed_stays_away(console: Console) -> None:
    views = console.json("schedules", "list")["schedules"]
    assert {view["schedule"]["name"] for view in views} >= {"warm-prices", "warm-market-data", "warm-positions"}
    assert not any(view["schedule"]["is_enabled"] for view in views)
    assert console.run("schedules", "remove", "warm-prices", "--yes").returncode == 0
    names = {view["schedule"]["name"] for view in console.json("schedules", "list")["schedules"]}
    assert "warm-prices" not in names
    assert "warm-positions" in names


def rows(console: Console) -> dict[str, list[tuple[Any, ...]]]:
    """Return the runs of each schedule: planned at, outcome, trigger, job, plans it stands for, by time."""
    path = next(console.home.rglob("history.sqlite"))
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        found: dict[str, list[tuple[Any, ...]]] = {}
        for name, *run in connection.execute(
            "SELECT name, planned_at / 1000000, outcome, run_trigger, job_id, covers FROM schedule_runs"
            " JOIN schedules ON id = schedule_id ORDER BY name, planned_at"
        ):
            found.setdefault(name, []).append(tuple(run))
        return found


def wait_for_runs(console: Console, number: int) -> None:
    """Wait until each schedule has that many more jobs that succeeded."""

    def done() -> bool:
        return all(sum(run[1] == "succeeded" for run in runs) >= number for runs in rows(console).values())

    console.wait_for(done, f"{number} runs of each schedule", 60)


@pytest.mark.timeout(170)
def test_killed_over_the_time_of_plans_each_policy_does_what_it_says_exactly_once(console: Console) -> None:
    policies = ("skip", "once", "all")
    for policy in policies:
        made = console.run(
            "schedules", "add", policy, "test.count", "--every", f"{EVERY_S} s", "--missed", policy, "--grace", "1 s",
            "--parameters", f"steps=1 note={policy}", "--yes",
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
    gaps: list[tuple[float, float]] = []
    for kill in range(2):
        engine = console.start("--headless")
        console.wait_for_engine()
        before = {name: len(runs) for name, runs in rows(console).items()} if kill else {}
        console.wait_for(
            lambda before=before: all(len(runs) > before.get(name, 0) + 1 for name, runs in rows(console).items()),
            "runs",
            60,
        )  # type: ignore[misc]
        time.sleep(0.37 * kill)  # the moment of death is the experiment
        os.kill(engine.pid, signal.SIGKILL)
        engine.wait()
        killed = time.time()
        console.wait_for(lambda killed=killed: time.time() > killed + 3.5 * EVERY_S, "some plans to pass")  # type: ignore[misc]
        gaps.append((killed, time.time()))
    engine = console.start("--headless")
    console.wait_for_engine()
    console.wait_for(
        lambda: all(runs[-1][0] > gaps[-1][1] + 2 * EVERY_S for runs in rows(console).values()), "plans", 60
    )
    console.wait_for(lambda: all(run[1] != "waiting" for run in rows(console)["all"]), "what was made up", 60)
    os.kill(engine.pid, signal.SIGTERM)
    assert engine.wait(60) == 0
    told = rows(console)
    assert set(told) == set(policies)
    for policy, runs in told.items():
        plans = [run[0] for run in runs]
        first = plans[0] - (runs[0][4] - 1) * EVERY_S
        assert sum(run[4] for run in runs) == (plans[-1] - first) / EVERY_S + 1, f"{policy}: each plan exactly once"
        jobs = Counter(run[3] for run in runs if run[3] is not None)
        assert set(jobs.values()) == {1}
        assert sum(job.origin == f"schedule {policy}" for job in console.peek()) == len(jobs)
        for killed, back in gaps:
            plans_missed = int(back // EVERY_S) - int(killed // EVERY_S)
            made = [run[0] for run in runs if killed < run[0] < back and run[3] is not None]
            assert plans_missed >= 3
            if policy == "skip":
                assert [plan for plan in made if plan < back - 1] == [], "but one within its grace"
            elif policy == "once":
                assert len(made) <= 1, "one for all of them: the newest, also one that came while it started"
            else:
                assert len(made) == plans_missed
        missed = sum(run[4] for run in runs if run[1] == "missed")
        assert missed == 0 if policy == "all" else missed >= 3
