"""Findings on what Redis is asked to do: commands that hold up everybody else, messages that nobody finishes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from qsuite_console.cache.survey import CacheFacts
from qsuite_console.metrics.advice import wording
from qsuite_console.model.advice import Finding, Severity
from qsuite_console.model.cache import SlowCall

PART: Final = "redis"
VISIBILITY_S: Final = 3600.0  # kombu's default visibility_timeout: after that a message is given out again


def work_findings(facts: CacheFacts) -> Iterator[Finding]:
    """Yield what to change in the programs that use it."""
    yield from _slow(facts)
    yield from _waiting(facts)


def _slow(facts: CacheFacts) -> Iterator[Finding]:
    harmful: dict[str, list[SlowCall]] = defaultdict(list)
    for call in facts.slow or ():
        if call.problem:
            harmful[call.command].append(call)
    for command, calls in sorted(harmful.items()):
        longest = max(calls, key=lambda call: call.ms)
        origin = f"{longest.at:%Y-%m-%d %H:%M:%S} UTC, {longest.client or 'client unknown'}"
        yield Finding(
            id="RD14",
            part=PART,
            subject=command,
            title=f"{command} holds up everybody else",
            severity=Severity.WARNING,
            evidence=(
                wording.count("calls in the slow log", len(calls)),
                wording.span("the longest took", longest.ms / 1000),
                wording.word("it came", origin),
            ),
            formula="no command whose work grows with all there is",
            advice=f"it {longest.problem}; to forbid it: ACL SETUSER <user> -{command.lower()}",
        )


def _waiting(facts: CacheFacts) -> Iterator[Finding]:
    broker = facts.broker
    if broker is None:
        return
    if broker.oldest_s is not None and broker.oldest_s > VISIBILITY_S:
        yield Finding(
            id="RD20",
            part=PART,
            subject="unacked",
            title="A task is under way for longer than the visibility timeout: it is run again",
            severity=Severity.CRITICAL,
            evidence=(
                wording.span("oldest message in flight", broker.oldest_s),
                wording.count("messages in flight", broker.in_flight),
            ),
            formula=f"the oldest is younger than visibility_timeout ({VISIBILITY_S:,.0f} s unless it was set)",
            advice="a visibility_timeout of four times the longest task; look for a worker that died",
        )
    if broker.waiting and not broker.in_flight and broker.takers == 0:
        yield Finding(
            id="RD20",
            part=PART,
            subject="queues",
            title="Tasks wait and no worker takes them",
            severity=Severity.CRITICAL,
            evidence=(
                wording.count("messages waiting", broker.waiting),
                wording.count("messages in flight", broker.in_flight),
                wording.count("clients that wait for messages", broker.takers),
            ),
            formula="a worker listens wherever messages wait",
            advice="start a worker for these queues; check its -Q and its connection",
        )
