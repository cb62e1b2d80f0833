"""What is typed after ``/`` in the list of jobs: words, !words, /regex/ and field:value, all of which must match. Pure.

States, kinds, queues and the first plain word go to the engine; the rest is matched here on what comes back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from qsuite_console.model.errors import UsageProblem
from qsuite_console.model.jobs import LIVE, Job, JobQuery, JobState

FIELDS = ("state", "kind", "queue", "from", "id")
_TOKEN = re.compile(r"!?/(?:[^/\\]|\\.)+/|\S+")


@dataclass(frozen=True, slots=True)
class JobFilter:
    """A parsed filter; the empty one matches every job."""

    text: str = ""
    states: tuple[JobState, ...] = ()
    kinds: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()
    words: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()
    patterns: tuple[re.Pattern[str], ...] = ()
    unwanted_patterns: tuple[re.Pattern[str], ...] = ()
    is_whole: bool = False  # with what schedules made and what went well: nobody need look at it

    @property
    def hides_routine(self) -> bool:
        """Return whether jobs of schedules that succeeded stay out: whoever asks for anything by name gets all."""
        return not (self.is_whole or self.text)

    def matches(self, job: Job) -> bool:
        """Return whether the job is wanted."""
        if self.hides_routine and job.is_routine:
            return False
        if (
            (self.states and job.state not in self.states)
            or (self.kinds and job.kind not in self.kinds)
            or (self.queues and job.queue not in self.queues)
            or (self.origins and not any(job.origin.startswith(o) for o in self.origins))
            or (self.ids and job.id not in self.ids)
        ):
            return False
        if not (self.words or self.unwanted or self.patterns or self.unwanted_patterns):
            return True
        text = f"#{job.id} {job.title} {job.kind} {job.state} {job.queue} {job.error or ''} {job.parameters}"
        low = text.lower()
        return (
            all(word in low for word in self.words)
            and not any(word in low for word in self.unwanted)
            and all(pattern.search(text) for pattern in self.patterns)
            and not any(pattern.search(text) for pattern in self.unwanted_patterns)
        )

    def query(self, *, before: int | None, limit: int) -> JobQuery:
        """Return what the engine should look for."""
        if self.ids and before is None:
            before = max(self.ids) + 1
        routine = not self.hides_routine
        return JobQuery(
            states=self.states, kinds=self.kinds, queues=self.queues, routine=routine, before=before, limit=limit
        )


def parse(text: str) -> JobFilter:
    """Return the filter; raises UsageProblem naming the part that can't be understood."""
    states: list[JobState] = []
    parts: dict[str, list[str]] = {"kind": [], "queue": [], "from": [], "id": []}
    words: list[str] = []
    unwanted: list[str] = []
    patterns: list[re.Pattern[str]] = []
    unwanted_patterns: list[re.Pattern[str]] = []
    for token in _TOKEN.findall(text):
        is_not, plain = token.startswith("!"), token.removeprefix("!")
        field, colon, value = plain.partition(":")
        if len(plain) > 1 and plain.startswith("/") and plain.endswith("/"):
            (unwanted_patterns if is_not else patterns).append(_pattern(plain[1:-1]))
        elif plain.startswith("/"):
            continue  # a regular expression that is still being typed
        elif colon and field == "state":
            states.extend(_states(value, is_not=is_not))
        elif colon and field in parts and not is_not:
            parts[field].extend(v for v in value.split(",") if v)
        elif plain in ("failed", "running", "queued", "paused") and not is_not and token == text.strip():
            states.append(JobState(plain))  # ":jobs failed" means the state
        elif plain:
            (unwanted if is_not else words).append(plain.lower())
    bad = next((v for v in parts["id"] if not v.isdigit()), None)
    if bad is not None:
        raise UsageProblem(f"id:{bad} is not a job's number")
    return JobFilter(
        text.strip(), tuple(states), tuple(parts["kind"]), tuple(parts["queue"]), tuple(parts["from"]),
        tuple(int(v) for v in parts["id"]), tuple(words), tuple(unwanted), tuple(patterns), tuple(unwanted_patterns),
    )  # fmt: skip


def _pattern(source: str) -> re.Pattern[str]:
    try:
        return re.compile(source, re.IGNORECASE)
    except re.error as error:
        raise UsageProblem(f"/{source}/ is not a regular expression: {error.msg}") from error


def _states(value: str, *, is_not: bool) -> list[JobState]:
    named: set[JobState] = set()
    for name in (v for v in value.split(",") if v):
        if name in ("live", "over"):
            named |= LIVE if name == "live" else set(JobState) - LIVE
            continue
        found = [state for state in JobState if state.startswith(name)]
        if len(found) != 1:
            known = ", ".join(JobState)
            raise UsageProblem(f"state:{name} is not one of {known}, live, over")
        named.add(found[0])
    if is_not:
        named = set(JobState) - named
    return [state for state in JobState if state in named]
