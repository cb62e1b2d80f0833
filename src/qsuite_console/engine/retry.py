"""Whether and when a failed attempt is tried again, as pure functions; the random source is the engine's own."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Final

from qsuite_console.engine.ports import Permanent, Retryable
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.jobs import Job

BASE_S: Final = 2.0
CAP_S: Final = 600.0
OUTAGE_S: Final = 60.0  # the longest wait for a server that is away
FLOOR_S: Final = 0.05  # no retry is immediate, however the dice fall


def backoff_s(tries: int, dice: random.Random) -> float:
    """Return a delay between almost 0 and min(600, 2^tries) seconds, uniformly ("full jitter").

    After M. Brooker, "Exponential Backoff and Jitter": spreading over the whole interval keeps many jobs that failed
    on one dead service from coming back together.
    """
    ceiling = min(CAP_S, BASE_S ** min(max(tries, 1), 32))
    return max(FLOOR_S, dice.uniform(0.0, ceiling))


def is_permanent(error: BaseException) -> bool:
    """Say whether trying again can't help: the worker said so, or the error is one that does not pass."""
    return isinstance(error, Permanent) or (isinstance(error, ConsoleError) and not error.is_transient)


def retry_at(
    error: BaseException | None, *, tries: int, max_attempts: int, now: datetime, dice: random.Random
) -> datetime | None:
    """Return when to try again after attempt number ``tries`` failed, or None: permanent, or no attempts left."""
    if tries >= max_attempts or (error is not None and is_permanent(error)):
        return None
    delay = backoff_s(tries, dice)
    if isinstance(error, Retryable) and error.after_s is not None:
        delay = max(0.0, error.after_s) + dice.uniform(0.0, min(1.0, delay))
    elif isinstance(error, ConsoleError) and error.after_s is not None:
        delay = _outlasting_s(error.after_s, tries) + dice.uniform(0.0, min(1.0, delay))
    return now + timedelta(seconds=delay)


def _outlasting_s(after_s: float, tries: int) -> float:
    """Return a wait that grows fourfold to a minute: three waits outlast a server that takes half a minute to start,
    and the first does not keep a job waiting for one that is back at once.
    """
    return max(after_s, min(after_s * 4.0 ** (tries - 1), OUTAGE_S))


def reason(job: Job, at: datetime) -> str:
    """Return why a job waits that failed and is tried again."""
    return f"try {job.tries + 1} of {job.max_attempts} at {at:%H:%M:%S} UTC"


def describe(error: BaseException) -> str:
    """Return an error as one line: its own words, with its type where those alone would not say what it is."""
    text = str(error)
    if isinstance(error, Retryable | Permanent | ConsoleError) and text:
        hint = getattr(error, "hint", "")
        return f"{text} ({hint})" if hint else text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
