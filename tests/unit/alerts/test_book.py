"""The life of an alert: taken, silenced, cleared, fired again; and what a restart leaves of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fakes.jobs import opened
from qsuite_console.history.store import SqliteStore
from qsuite_console.metrics.alerts import AlertBook
from qsuite_console.metrics.thresholds import Rule
from qsuite_console.model.alerts import AlertQuery
from qsuite_console.model.errors import HistoryUnavailable, InvalidParameters, NotFound
from qsuite_console.model.health import Alert, AlertState, Level, tally

START = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
RULES = {
    rule.id: rule
    for rule in (
        Rule(id="host.cpu", title="CPU", unit="%", warning=80, critical=95, for_s=6),
        Rule(id="host.disk", title="disk", unit="%", warning=85, for_s=0),
        Rule(id="host.answers", title="Host does not answer", critical=2, clear=0, for_s=0, clear_s=4),
        Rule(id="redis.memory", title="memory", unit="%", warning=85, for_s=0),
        Rule(id="redis.off", title="nobody looks", warning=1, enabled=False),
    )
}


class Clock:
    """Moves by two seconds a sample."""

    def __init__(self, now: datetime = START) -> None:
        self.at, self.ticks = now, 0.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.ticks

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.ticks += seconds


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with opened(tmp_path) as found:
        yield found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(store: SqliteStore, clock: Clock) -> AlertBook:
    return AlertBook(RULES, store, "sandbox", clock)


def feed(book: AlertBook, clock: Clock, *values: float | None, rule: str = "host.disk") -> None:
    for value in values:
        book.judge(rule.partition(".")[0], {rule: value})
        clock.advance(2)


def newest(book: AlertBook, rule: str = "host.disk") -> Alert:
    return next(alert for alert in book.alerts() if alert.id == rule)


async def history(book: AlertBook, **query: object) -> list[tuple[str, str]]:
    page = await book.page(AlertQuery(**query))  # type: ignore[arg-type]
    return [(alert.id, alert.state.value) for alert in page.alerts]


async def test_it_fires_clears_and_fires_again_as_a_new_alert(book: AlertBook, clock: Clock) -> None:
    feed(book, clock, 90, 90)
    first = newest(book)
    assert (first.level, first.value, first.unit, first.limit) == (Level.WARNING, 90, "%", "warn 85 %")
    assert first.message == "disk: 90 % (warn 85 %)"
    feed(book, clock, 10, 10, 10, 10, 10)
    ended = newest(book)
    assert (ended.state, ended.since) == (AlertState.CLEARED, START)
    assert ended.cleared_at == START + timedelta(seconds=10)
    feed(book, clock, 91)
    assert [(alert.state, alert.value) for alert in book.alerts()] == [
        (AlertState.FIRING, 91),
        (AlertState.CLEARED, 90),
    ]
    assert await history(book) == [("host.disk", "firing"), ("host.disk", "cleared")]


async def test_whoever_takes_an_alert_makes_it_quiet_until_it_gets_worse(book: AlertBook, clock: Clock) -> None:
    feed(book, clock, *[85] * 5, rule="host.cpu")
    assert tally(book.alerts()).burning == 1
    [taken] = await book.acknowledge("host.cpu", "ada@desk")
    assert (taken.acknowledged_by, taken.acknowledged_at) == ("ada@desk", clock.at)
    assert (tally(book.alerts()).burning, tally(book.alerts()).acknowledged) == (0, 1)
    assert await book.acknowledge("host.cpu", "bob@desk") == ()
    assert newest(book, "host.cpu").acknowledged_by == "ada@desk"
    feed(book, clock, *[99] * 5, rule="host.cpu")
    worse = newest(book, "host.cpu")
    assert (worse.level, worse.acknowledged_by, worse.since) == (Level.CRITICAL, None, taken.since)


async def test_one_that_cleared_can_still_be_taken(book: AlertBook, clock: Clock) -> None:
    feed(book, clock, 90, 10, 10, 10, 10)
    [taken] = await book.acknowledge("host.disk", "ada")
    assert (taken.state, taken.acknowledged_by) == (AlertState.CLEARED, "ada")
    [kept] = (await book.page(AlertQuery())).alerts
    assert kept == taken
    feed(book, clock, 90)
    assert newest(book).acknowledged_by is None


async def test_a_source_takes_all_of_its_alerts(book: AlertBook, clock: Clock) -> None:
    feed(book, clock, 90)
    feed(book, clock, 99, rule="redis.memory")
    book.judge("host", {}, failures=2, error="no answer")
    assert newest(book, "host.answers").message == "no answer"
    assert {alert.id for alert in await book.acknowledge("host", "ada")} == {"host.disk", "host.answers"}


@pytest.mark.parametrize(
    ("subject", "hint"), [("host.dsk", "did you mean host.disk?"), ("hst", "did you mean host?"), ("zzz", "rules pane")]
)
async def test_what_is_no_alert_is_told(book: AlertBook, subject: str, hint: str) -> None:
    for asking in (book.acknowledge(subject, "ada"), book.silence(subject, 1, "ada", "")):
        with pytest.raises(NotFound) as caught:
            await asking
        assert hint in caught.value.hint
    with pytest.raises(NotFound, match="has not burned"):
        await book.acknowledge("host.disk", "ada")


@pytest.mark.parametrize("subject", ["host.disk", "host"])
async def test_a_silenced_alert_is_visible_and_quiet_until_the_silence_ends(
    book: AlertBook, clock: Clock, subject: str
) -> None:
    await book.silence(subject, 1, "ada", "moving the disk")
    feed(book, clock, 90)
    quiet = newest(book)
    assert (quiet.silenced_by, quiet.silence_reason) == ("ada", "moving the disk")
    assert quiet.silenced_until == START + timedelta(minutes=1)
    assert (tally(book.alerts()).burning, tally(book.alerts()).silenced) == (0, 1)
    clock.advance(60)
    assert newest(book).silenced_until is None
    assert tally(book.alerts()).burning == 1
    assert book.silences() == ()


async def test_a_silence_can_be_ended_and_replaced(book: AlertBook, clock: Clock) -> None:
    feed(book, clock, 90)
    changes = []
    book.on_change = lambda: changes.append(newest(book).silenced_until)
    await book.silence("host.disk", 15, "ada", "")
    later = await book.silence("host.disk", 240, "bob", "longer")
    assert [one.until for one in book.silences()] == [later.until]
    await book.unsilence("host.disk")
    assert changes == [clock.at + timedelta(minutes=15), later.until, None]
    with pytest.raises(NotFound, match="is not silenced"):
        await book.unsilence("host.disk")


async def test_a_restart_keeps_burning_alerts_with_their_beginning_and_who_took_them(
    book: AlertBook, store: SqliteStore, clock: Clock
) -> None:
    feed(book, clock, 90)
    feed(book, clock, 99, rule="redis.memory")
    await book.acknowledge("host.disk", "ada")
    await book.silence("redis", 60, "bob", "known")
    since = newest(book).since
    clock.advance(600)
    again = AlertBook(RULES, store, "sandbox", clock)
    await again.load()
    assert {alert.id for alert in again.alerts()} == {"host.disk", "redis.memory"}
    assert (newest(again).since, newest(again).acknowledged_by) == (since, "ada")
    assert newest(again, "redis.memory").silenced_by == "bob"
    assert [(one.subject, one.reason) for one in again.silences()] == [("redis", "known")]
    feed(again, clock, 90, 90)
    assert newest(again).since == since
    feed(again, clock, *[10] * 5)
    assert newest(again).state is AlertState.CLEARED
    assert await history(again, text="host.disk") == [("host.disk", "cleared")]


async def test_a_restart_ends_what_nobody_watches_any_more(book: AlertBook, store: SqliteStore, clock: Clock) -> None:
    feed(book, clock, 90)
    feed(book, clock, 99, rule="redis.memory")
    await book.settle()
    rules = {**RULES, "host.disk": replace(RULES["host.disk"], enabled=False)}
    again = AlertBook(rules, store, "sandbox", clock)
    await again.load()
    again.unwatch("redis")
    assert [alert.is_burning for alert in again.alerts()] == [False, False]
    assert await history(again, burning=True) == []


async def test_targets_do_not_see_each_others_alerts(book: AlertBook, store: SqliteStore, clock: Clock) -> None:
    feed(book, clock, 90)
    await book.silence("host", 60, "ada", "")
    other = AlertBook(RULES, store, "production", clock)
    await other.load()
    assert other.alerts() == ()
    assert other.silences() == ()
    assert await history(other) == []


async def test_a_disabled_rule_never_fires(book: AlertBook, clock: Clock) -> None:
    feed(book, clock, 99, 99, 99, rule="redis.off")
    assert book.alerts() == ()


async def test_alerts_are_shown_while_the_history_refuses_and_kept_later(clock: Clock, store: SqliteStore) -> None:
    class Refusing:
        is_full = True

        async def keep_alerts(self, *arguments: object) -> None:
            if self.is_full:
                raise HistoryUnavailable("the disk is full")
            await store.keep_alerts(*arguments)  # type: ignore[arg-type]

        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

    refusing = Refusing()
    book = AlertBook(RULES, refusing, "sandbox", clock)  # type: ignore[arg-type]
    feed(book, clock, 90)
    await book.settle()
    await book.silence("redis", 5, "ada", "")
    assert newest(book).is_burning
    assert await history(book) == []
    refusing.is_full = False
    assert await history(book) == [("host.disk", "firing")]
    assert [one.subject for one in await store.silences("sandbox")] == ["redis"]


async def test_the_past_is_read_by_pages_in_order(book: AlertBook, clock: Clock) -> None:
    for _ in range(7):
        feed(book, clock, 90, 10, 10, 10, 10)
    seen, before = [], ""
    while True:
        page = await book.page(AlertQuery(limit=3, before=before))
        seen += [alert.since for alert in page.alerts]
        if not page.next_before:
            break
        before = page.next_before
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == 7
    with pytest.raises(InvalidParameters, match="not the end of a page"):
        await book.page(AlertQuery(before="'; DROP"))
    assert await history(book, text="100%_") == []


async def test_what_burned_in_a_stretch_of_time_is_found(book: AlertBook, clock: Clock) -> None:
    feed(book, clock, 90, 10, 10, 10, 10)
    clock.advance(3600)
    feed(book, clock, 95)
    both = await book.between(START, clock.at)
    assert [alert.value for alert in both] == [90, 95]
    assert [alert.value for alert in await book.between(START + timedelta(minutes=5), clock.at)] == [95]
    assert await book.between(START - timedelta(hours=2), START - timedelta(hours=1)) == []
