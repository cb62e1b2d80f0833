"""The book of a target's alerts: what burns, who took it, what is silenced and until when.

It judges every sample by the rules, keeps each change in the history, and reads the burning ones back after a restart,
with their beginning, acknowledgement and silence. An alert is shown even while the history refuses: then it is kept
as soon as that takes writes again. Lives on the engine's loop.
"""

from __future__ import annotations

import difflib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from msgspec import structs

from qsuite_console.metrics import thresholds
from qsuite_console.metrics.thresholds import Rule, Watch
from qsuite_console.model.alerts import AlertPage, AlertQuery, Silence
from qsuite_console.model.clock import Clock
from qsuite_console.model.errors import ConsoleError, NotFound
from qsuite_console.model.health import Alert, AlertState, Level

ANSWERS: Final = "answers"  # the rule of a source for its silence: "<source>.answers"
CLEARED_FOR: Final = timedelta(minutes=15)  # how long the newest end of an alert stays in sight
CLEARED_MOST: Final = 20
_WAITING_MOST: Final = 1000
log = logging.getLogger(__name__)


class AlertStore(Protocol):
    """What keeps alerts over restarts; implemented by ``history``. All raise HistoryUnavailable."""

    async def keep_alerts(self, target: str, found: Sequence[Alert], silences: Sequence[Silence] | None) -> None:
        """Keep alerts as they are now, and, unless None, replace the target's silences."""
        ...

    async def alert_page(self, target: str, query: AlertQuery) -> AlertPage:
        """Return a page of alerts, newest first."""
        ...

    async def alerts_between(self, target: str, start: datetime, end: datetime) -> Sequence[Alert]:
        """Return the alerts that burned at some time in [start, end], oldest first."""
        ...

    async def silences(self, target: str) -> Sequence[Silence]:
        """Return the silences, also those that are over."""
        ...


class AlertBook:
    """One per runtime. ``on_change`` is called after an operator's change, so that screens hear of it at once."""

    def __init__(self, rules: Mapping[str, Rule], store: AlertStore, target: str, clock: Clock) -> None:
        self.rules = rules
        self.values: dict[str, float | None] = {}  # rule -> what it compared last; None was not measured
        self.on_change: Callable[[], None] = lambda: None
        self._store = store
        self._target = target
        self._clock = clock
        self._watches: dict[str, Watch] = {}
        self._silences: dict[str, Silence] = {}
        self._unsaved: dict[tuple[str, datetime], Alert] = {}
        self._has_new_silences = False
        self._ended: deque[Alert] = deque(maxlen=CLEARED_MOST)
        self._is_loaded = False
        self._trouble = ""

    # over restarts

    async def load(self) -> None:
        """Read back what burned and what was silenced; what nobody watches any more ends here. Never raises."""
        if self._is_loaded:
            return
        self._is_loaded = True
        try:
            page = await self._store.alert_page(self._target, AlertQuery(burning=True, limit=1000))
            silences = await self._store.silences(self._target)
        except ConsoleError as error:
            log.warning("alerts of before the restart are not known: %s", error.message)
            return
        now = self._clock.now()
        self._silences = {one.subject: one for one in silences if one.until > now}
        for alert in page.alerts:  # newest first: an older one of the same rule was left behind by a crash
            rule = self.rules.get(alert.id)
            if rule is not None and rule.enabled and self._watch(alert.id).alert is None:
                self._watches[alert.id] = Watch(alert=alert)
            else:
                self._note(structs.replace(alert, state=AlertState.CLEARED, cleared_at=now))

    async def settle(self) -> None:
        """Keep what has changed; while the history refuses, it waits here. Never raises."""
        if not self._unsaved and not self._has_new_silences:
            return
        alerts, self._unsaved = self._unsaved, {}
        silences = tuple(self._silences.values()) if self._has_new_silences else None
        self._has_new_silences = False
        try:
            await self._store.keep_alerts(self._target, tuple(alerts.values()), silences)
            self._trouble = ""
        except ConsoleError as error:
            self._unsaved = dict([*alerts.items(), *self._unsaved.items()][-_WAITING_MOST:])
            self._has_new_silences = self._has_new_silences or silences is not None
            if error.message != self._trouble:
                log.warning("alerts are not kept for now: %s", error.message)
            self._trouble = error.message

    async def page(self, query: AlertQuery) -> AlertPage:
        """Return a page of all there were, newest first; raises InvalidParameters, HistoryUnavailable."""
        await self.settle()
        return await self._store.alert_page(self._target, query)

    async def between(self, start: datetime, end: datetime) -> Sequence[Alert]:
        """Return the alerts that burned at some time in [start, end], oldest first; raises HistoryUnavailable."""
        await self.settle()
        return await self._store.alerts_between(self._target, start, end)

    # judging

    def judge(self, source: str, watched: Mapping[str, float | None], *, failures: int = 0, error: str = "") -> None:
        """Take one sample of a source, or that it gave none (``failures`` in a row, because of ``error``)."""
        at, now = self._clock.now(), self._clock.monotonic()
        for rule in self._rules_of(source):
            is_answer = rule.id == f"{source}.{ANSWERS}"
            value = float(failures) if is_answer else watched.get(rule.id)
            self.values[rule.id] = value
            before = self._watch(rule.id)
            after = thresholds.step(rule, before, value, at=at, now=now, message=error if is_answer else "")
            self._watches[rule.id] = self._taken(before, after)

    def unwatch(self, source: str) -> None:
        """End the alerts of a source that is not watched here (any more)."""
        for rule in self._rules_of(source):
            alert = self._watch(rule.id).alert
            if alert is not None and alert.is_burning:
                ended = structs.replace(alert, state=AlertState.CLEARED, cleared_at=self._clock.now())
                self._watches[rule.id] = Watch(alert=ended)
                self._note(ended)

    def alerts(self) -> tuple[Alert, ...]:
        """Return what burns, loud ones first, critical first, oldest first; then what ended lately."""
        now = self._clock.now()
        self._expire(now)
        burning = [alert for alert in self._newest() if alert.is_burning]
        burning.sort(key=lambda alert: (not alert.is_loud, alert.level is not Level.CRITICAL, alert.since))
        ended = [one for one in self._ended if one.cleared_at is not None and now - one.cleared_at < CLEARED_FOR]
        return (*burning, *sorted(ended, key=lambda one: one.cleared_at or now, reverse=True))

    def silences(self) -> tuple[Silence, ...]:
        """Return the silences in force, the one that ends first at the top."""
        self._expire(self._clock.now())
        return tuple(sorted(self._silences.values(), key=lambda one: (one.until, one.subject)))

    # what operators do

    def find(self, subject: str) -> tuple[Alert, ...]:
        """Return the newest alert of a rule, or of each rule of a source; raises NotFound where there never was one."""
        found = tuple(a for a in self._newest() if subject in (a.id, a.source))
        if not found:
            self.check_subject(subject)
            raise NotFound(f"{subject} has no alert: it has not burned since the engine started")
        burning = tuple(alert for alert in found if alert.is_burning)
        return burning or found

    def check_subject(self, subject: str) -> None:
        """Raise NotFound unless a rule or a source is called so."""
        names = {*self.rules, *(rule.source for rule in self.rules.values())}
        if subject not in names:
            near = difflib.get_close_matches(subject, sorted(names), n=1, cutoff=0.6)
            hint = f"did you mean {near[0]}?" if near else "the rules pane of the Alerts screen lists them"
            raise NotFound(f"no alert or source is called {subject[:60]!r}", hint=hint)

    async def acknowledge(self, subject: str, by: str) -> tuple[Alert, ...]:
        """Take alerts: they burn on, but quietly; also one that has cleared. Returns those that changed."""
        now = self._clock.now()
        taken = [a for a in self.find(subject) if a.acknowledged_by is None]
        changed = [structs.replace(alert, acknowledged_by=by, acknowledged_at=now) for alert in taken]
        for alert in changed:
            self._replace(alert)
        await self._changed()
        return tuple(changed)

    async def silence(self, subject: str, minutes: float, by: str, reason: str) -> Silence:
        """Keep a rule or a source quiet for a while, from now on; a silence that is in force is replaced."""
        self.check_subject(subject)
        now = self._clock.now()
        silence = Silence(subject=subject, since=now, until=now + timedelta(minutes=minutes), by=by, reason=reason)
        self._silences[subject] = silence
        self._has_new_silences = True
        self._mark_silenced()
        await self._changed()
        return silence

    async def unsilence(self, subject: str) -> tuple[Silence, ...]:
        """End the silences that keep a rule or a source quiet; raises NotFound where there is none."""
        ended = tuple(one for one in self.silences() if one.subject == subject or one.covers(subject))
        if not ended:
            raise NotFound(f"{subject[:60]} is not silenced")
        for one in ended:
            del self._silences[one.subject]
        self._has_new_silences = True
        self._mark_silenced()
        await self._changed()
        return ended

    # inside

    async def _changed(self) -> None:
        await self.settle()
        self.on_change()

    def _rules_of(self, source: str) -> Iterator[Rule]:
        return (rule for rule in self.rules.values() if rule.source == source and rule.enabled)

    def _watch(self, rule_id: str) -> Watch:
        return self._watches.get(rule_id, Watch())

    def _newest(self) -> Iterator[Alert]:
        return (watch.alert for watch in self._watches.values() if watch.alert is not None)

    def _taken(self, before: Watch, after: Watch) -> Watch:
        """Note what a step changed; an acknowledged warning that becomes critical is loud again."""
        old, new = before.alert, after.alert
        if new is None or new is old:
            return after
        if old is not None and old.since == new.since and old.level is not new.level:
            new = structs.replace(new, acknowledged_by=None, acknowledged_at=None)
        elif old is None or old.since != new.since:
            new = self._quieted(new)
        self._note(new)
        return with_alert(after, new)

    def _quieted(self, alert: Alert) -> Alert:
        silence = max(
            (one for one in self._silences.values() if one.covers(alert.id)), key=lambda one: one.until, default=None
        )
        if silence is None:
            return structs.replace(alert, silenced_until=None, silenced_by="", silence_reason="")
        return structs.replace(
            alert, silenced_until=silence.until, silenced_by=silence.by, silence_reason=silence.reason
        )

    def _note(self, alert: Alert) -> None:
        self._unsaved[(alert.id, alert.since)] = alert
        others = [one for one in self._ended if (one.id, one.since) != (alert.id, alert.since)]
        if not alert.is_burning:
            others.append(alert)
        self._ended = deque(others, maxlen=CLEARED_MOST)

    def _replace(self, alert: Alert) -> None:
        self._watches[alert.id] = with_alert(self._watch(alert.id), alert)
        self._note(alert)

    def _mark_silenced(self) -> None:
        for alert in [one for one in self._newest() if one.is_burning]:
            quieted = self._quieted(alert)
            if quieted != alert:
                self._replace(quieted)

    def _expire(self, now: datetime) -> None:
        over = [subject for subject, one in self._silences.items() if one.until <= now]
        for subject in over:
            del self._silences[subject]
        if over:
            self._has_new_silences = True
            self._mark_silenced()


def with_alert(watch: Watch, alert: Alert) -> Watch:
    """Return a watch with another newest alert."""
    return Watch(watch.beyond_since, watch.worse_since, watch.calm_since, alert)
