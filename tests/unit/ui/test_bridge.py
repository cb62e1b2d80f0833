from __future__ import annotations

from fakes.control import RING, demo
from qsuite_console.bridge import Bridge
from qsuite_console.messages import StateChanged
from qsuite_console.model.events import JobProgressed
from qsuite_console.model.jobs import JobState, Progress


def test_nothing_is_posted_while_nothing_changes() -> None:
    posted: list[StateChanged] = []
    bridge = Bridge(demo(), posted.append)
    bridge.poll()
    bridge.poll()
    assert posted == []


def test_thousands_of_events_make_one_message_with_the_newest_state() -> None:
    control, posted = demo(), list[StateChanged]()
    bridge = Bridge(control, posted.append)
    for done in range(500):
        control.emit(JobProgressed(at=control.clock.now(), job_id=412, progress=Progress(done=done)))
    bridge.poll()
    bridge.poll()
    assert len(posted) == 1
    assert posted[0].state is control.state
    assert len(posted[0].events) == 500
    assert not posted[0].is_whole


def test_each_fact_is_told_once_and_in_order() -> None:
    control, posted = demo(), list[StateChanged]()
    bridge = Bridge(control, posted.append)
    for state in (JobState.PAUSED, JobState.QUEUED, JobState.RUNNING):
        control.change(412, state=state)
        bridge.poll()
    assert [e.job.state for m in posted for e in m.events] == [JobState.PAUSED, JobState.QUEUED, JobState.RUNNING]


def test_a_gap_in_the_facts_says_read_everything_anew() -> None:
    control, posted = demo(), list[StateChanged]()
    bridge = Bridge(control, posted.append)
    for done in range(RING + 10):
        control.emit(JobProgressed(at=control.clock.now(), job_id=412, progress=Progress(done=done)))
    bridge.poll()
    assert posted[0].is_whole
