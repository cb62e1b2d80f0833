"""Deliveries as lines of a table, and one of them in full with its tries. How one stands is told in words."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, tzinfo
from typing import Final

from textual.content import Content

from qsuite_console.model.deliveries import Delivery, DeliveryDetail, DeliveryState
from qsuite_console.model.text import clean
from qsuite_console.widgets import figures, looks
from qsuite_console.widgets.cells import Cell, Column, Row
from qsuite_console.widgets.text_view import pairs

_LABEL: Final = 12
ARRIVED: Final = looks.Look("✔", "arrived", "ok")
WAITING: Final = looks.Look("…", "waiting", "dim")
TRYING: Final = looks.Look("▲", "trying", "warn")
DEAD: Final = looks.Look("✖", "given up", "error")

COLUMNS: Final = (
    Column("look", "", 1, keep=9),
    Column("number", "NO", 6, is_right=True, keep=3),
    Column("at", "SINCE", 8, keep=6),
    Column("endpoint", "TO", 12, keep=8),
    Column("event", "EVENT", 15, keep=7),
    Column("subject", "OF", 22, keep=5),
    Column("state", "STATE", 9, keep=8),
    Column("result", "LAST TRY", 16, is_flexible=True, keep=6),
)


def look_of(one: Delivery) -> looks.Look:
    """Return how a delivery stands."""
    if one.state is DeliveryState.DELIVERED:
        return ARRIVED
    if one.state is DeliveryState.DEAD:
        return DEAD
    return TRYING if one.error else WAITING


def result_of(one: Delivery) -> str:
    """Return how the last try went: "answered 200 in 12 ms", "nothing listens there"."""
    if one.error:
        return clean(one.error, 200)
    if one.tried_at is None:
        return "not tried yet"
    took = f"in {one.latency_ms or 0:,.0f} ms"
    return took if one.status is None else f"answered {one.status} {took}"


def failing(deliveries: Iterable[Delivery]) -> list[str]:
    """Return the names of those at whom the newest try was a failure, and more are to come."""
    newest: dict[str, Delivery] = {}
    for one in deliveries:
        before = newest.get(one.endpoint)
        if one.tried_at is not None and (before is None or before.tried_at is None or one.tried_at > before.tried_at):
            newest[one.endpoint] = one
    return sorted(name for name, one in newest.items() if one.state is DeliveryState.WAITING)


def delivery_row(one: Delivery, now: datetime, zone: tzinfo | None) -> Row:
    """Return the line of a delivery."""
    look = look_of(one)
    return {
        "look": Cell(look.glyph, look.tone),
        "number": Cell(str(one.number), "dim"),
        "at": Cell(figures.moment(one.created_at, zone, now), "dim"),
        "endpoint": clean(one.endpoint, 40),
        "event": one.event,
        "subject": clean(one.subject, 80),
        "state": Cell(look.word, look.tone),
        "result": Cell(result_of(one), "dim" if look is ARRIVED else ""),
    }


def delivery_facts(
    one: Delivery, detail: DeliveryDetail | None, now: datetime, zone: tzinfo | None, width: int
) -> Content:
    """Return a delivery with its tries, newest first; ``detail`` None: they are not read yet."""
    look = look_of(one)
    entries = [
        ("to", clean(one.endpoint, 40), ""),
        ("id", one.id, "$dim"),
        ("tries", f"{one.attempts}, {_next(one, now)}", ""),
    ]
    if detail is not None and detail.delivery.id == one.id:
        tries = [*enumerate(detail.tries, 1)][-6:]
        for number, each in reversed(tries):
            said = clean(each.error, 200) or ("arrived" if each.status is None else f"arrived, answered {each.status}")
            took = f"{each.latency_ms or 0:,.0f} ms"
            entries.append((f"try {number}", f"{figures.moment(each.at, zone, now)}, {took}: {said}", ""))
        entries.append(("sent", clean(detail.delivery.body, 600), "$dim"))
    title = Content.assemble((f"{one.event}, {clean(one.subject, 80)}", "bold"), f"  {look.glyph} {look.word}")
    return Content("\n").join([title, *pairs(entries, width=width, label_width=_LABEL)])


def _next(one: Delivery, now: datetime) -> str:
    if one.state is not DeliveryState.WAITING or one.next_at is None:
        return "no more"
    left_s = (one.next_at - now).total_seconds()
    return f"the next in {figures.duration(left_s)}" if left_s >= 1 else "the next now"
