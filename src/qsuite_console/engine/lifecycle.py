"""Which state may follow which, and which action fits which state: the state machine as data (requirement C1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from qsuite_console.model.jobs import LIVE, TERMINAL, JobAction, JobState

TRANSITIONS: Final[Mapping[JobState, frozenset[JobState]]] = {
    JobState.SCHEDULED: frozenset({JobState.QUEUED, JobState.PAUSED, JobState.CANCELLED}),
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.PAUSED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset(JobState) - {JobState.QUEUED, JobState.RUNNING},
    JobState.PAUSED: frozenset({JobState.QUEUED, JobState.SCHEDULED, JobState.CANCELLED}),
    JobState.INTERRUPTED: frozenset({JobState.RUNNING, JobState.PAUSED, JobState.CANCELLED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset({JobState.QUEUED}),
    JobState.CANCELLED: frozenset({JobState.QUEUED}),
}
ACTIONS: Final[Mapping[JobAction, frozenset[JobState]]] = {
    JobAction.CANCEL: LIVE,
    JobAction.PAUSE: LIVE - {JobState.PAUSED},
    JobAction.RESUME: frozenset({JobState.PAUSED}),
    JobAction.RETRY: frozenset({JobState.FAILED, JobState.CANCELLED}),
    JobAction.DELETE: TERMINAL,
    JobAction.PROFILE: LIVE,
}


def may_follow(previous: JobState | None, state: JobState) -> bool:
    """Say whether a job may pass from one state to the other; None is before its birth."""
    if previous is None:
        return state in (JobState.QUEUED, JobState.SCHEDULED)
    return state in TRANSITIONS[previous]


def fits(action: JobAction, state: JobState) -> bool:
    """Say whether an action makes sense for a job in this state: what menus and keys enable."""
    return state in ACTIONS[action]
