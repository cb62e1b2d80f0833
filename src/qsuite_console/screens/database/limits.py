"""What runs out: transaction ids and multixacts before they wrap around, the numbers of sequences; nearest first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

from textual import work

from qsuite_console.model.objects import Age, Limits, Sequence
from qsuite_console.screens.listing import Listing, ago, glyph, labelled, share
from qsuite_console.widgets import figures
from qsuite_console.widgets.live_table import Cell, Column, Key, Row

Entry = tuple[str, Age | Sequence]
SHUTDOWN: Final = 2_146_483_647  # transactions after which the server takes no more writes
_LATE, _URGENT = 1.5, 0.5  # of what forces a vacuum; of what stops the server
_NEAR, _NEARER = 0.75, 0.9  # of a sequence
_TABLES: Final = 15


class LimitsPane(Listing[Limits, Entry]):
    """Databases, sequences, the oldest tables."""

    NAME = "limits"
    TITLE = "Limits"
    PROBE = "database.limits"
    KIND = Limits
    PERIOD_S = 30.0
    EMPTY = "Nothing here runs out"
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("glyph", "", 1, keep=90),
        Column("kind", "What", 8, keep=85),
        Column("name", "Name", 20, is_flexible=True, keep=100),
        Column("used", "Used", 13, is_right=True, keep=80),
        Column("limit", "Of", 25, is_right=True, keep=20, at_least=100),
        Column("share", "Used %", 7, is_right=True, keep=84),
        Column("forced", "Of forced vacuum", 16, is_right=True, keep=60),
        Column("multi", "Multixacts", 10, is_right=True, keep=30, at_least=96),
        Column("vacuum", "Vacuum", 6, is_right=True, keep=25, at_least=104),
    )

    def parameters(self) -> Mapping[str, Any]:
        """Return how many of each."""
        return {"limit": 50}

    def entries(self, answer: Limits) -> Mapping[Key, Entry]:
        """Return everything, the nearest to its limit first; of the tables only the oldest."""
        found: list[tuple[str, Entry]] = [(f"database {one.name}", ("database", one)) for one in answer.databases]
        found += [(f"sequence {one.name}", ("sequence", one)) for one in answer.sequences if one.share is not None]
        found += [(f"table {one.oid}", ("table", one)) for one in answer.tables[:_TABLES]]
        order = {"database": 0, "sequence": 1, "table": 2}
        found.sort(key=lambda one: (-urgency(one[1]), order[one[1][0]], -nearness(one[1])))
        return dict(found)

    def has_nothing(self, answer: Limits) -> bool:
        """Return whether nothing could be read."""
        return not answer.databases and not answer.sequences and not answer.tables

    def head(self, answer: Limits, now: datetime) -> str:
        """Return what holds freezing back, the oldest first."""
        count = figures.plural(answer.sequences_total, "sequence")
        if not answer.holders:
            return f"{figures.plural(len(answer.databases), 'database')}, {count} · nothing holds freezing back"
        first = answer.holders[0]
        held = f", open for {figures.duration(first.held_s)}" if first.held_s is not None else ""
        age = f" by {figures.short(first.age)} transactions" if first.age is not None else ""
        return f"{count} · freezing is held back{age} by {first.kind} {first.id} ({first.who}{held})"

    def row(self, entry: Entry) -> Row:
        """Return one line."""
        kind, one = entry
        tone = ("ok", "warn", "error")[urgency(entry)]
        base: dict[str, Any] = {"glyph": glyph(tone), "kind": kind, "name": one.name.removeprefix("public.")}
        if isinstance(one, Sequence):
            return {**base, "used": figures.count(one.last), "limit": figures.count(one.limit),
                    "share": Cell(share(one.share), tone), "forced": figures.DASH, "multi": figures.DASH,
                    "vacuum": figures.DASH}  # fmt: skip
        forced = max(_of(one.xid_age, one.xid_forced), _of(one.mxid_age, one.mxid_forced))
        return {
            **base,
            "used": figures.count(one.xid_age),
            "limit": figures.count(SHUTDOWN),
            "share": share(max(one.xid_age, one.mxid_age) / SHUTDOWN),
            "forced": Cell(share(forced), tone),
            "multi": figures.short(one.mxid_age),
            "vacuum": figures.DASH if kind == "database" else ago(one.vacuumed_at, self.paned.now),
        }

    def on_live_table_opened(self) -> None:
        """Show all there is to know of it."""
        self._open_detail()

    @work(exclusive=True, group="limit")
    async def _open_detail(self) -> None:
        entry = self.table.entry
        if entry is not None and self.answer is not None:
            await self.read(f"{entry[0]} {entry[1].name}", detail(entry, self.answer, self.paned.now))

    def foot(self, entry: Entry, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield what happens at the limit and what to do."""
        kind, one = entry
        tone = ("ok", "warn", "error")[urgency(entry)]
        if isinstance(one, Sequence):
            left = abs(one.limit - (one.last or 0)) // max(1, abs(one.increment))
            end = "starts again" if one.is_cycled else "every insert fails"
            feeds = f" for {one.feeds}" if one.feeds else ""
            yield tone, f"{one.name}{feeds}: {figures.count(left)} numbers left, then {end}"
            if tone != "ok":
                yield "dim", "make the column bigint: add a column, fill it, swap them"
            return
        left = SHUTDOWN - max(one.xid_age, one.mxid_age)
        yield tone, f"{kind} {one.name}: {figures.count(left)} transactions left until the server refuses to write"
        forced = _of(one.xid_age, one.xid_forced)
        multi = share(_of(one.mxid_age, one.mxid_forced))
        xids = f"{figures.count(one.xid_forced)} transactions ({share(forced)} of that)"
        yield "dim", f"frozen by force at {xids} and {figures.count(one.mxid_forced)} multixacts ({multi})"
        if tone != "ok":
            yield "warn", "end what holds freezing back, then run vacuum with freeze on the oldest tables"


def detail(entry: Entry, answer: Limits, now: datetime) -> str:
    """Return what is known of one limit and of what holds freezing back, as plain text."""
    kind, one = entry
    if isinstance(one, Sequence):
        return labelled(
            (
                ("feeds", one.feeds or "nothing it belongs to"),
                ("last number", figures.count(one.last)),
                ("of", figures.count(one.limit)),
                ("used", share(one.share)),
                ("step", one.increment),
                ("at the end", "starts again" if one.is_cycled else "every insert fails"),
            )
        )
    facts = labelled(
        (
            ("transactions", f"{figures.count(one.xid_age)} old; forced at {figures.count(one.xid_forced)}"),
            ("multixacts", f"{figures.count(one.mxid_age)} old; forced at {figures.count(one.mxid_forced)}"),
            ("until refusal", f"{figures.count(SHUTDOWN - max(one.xid_age, one.mxid_age))} transactions"),
            ("size", "" if one.bytes is None else figures.size(one.bytes)),
            ("last vacuum", "" if kind == "database" else ago(one.vacuumed_at, now)),
        )
    )
    holders = [f"{h.kind} {h.id} ({h.who}): {figures.count(h.age)} transactions" for h in answer.holders]
    return facts + "\n\nFREEZING IS HELD BACK BY\n" + ("\n".join(holders) or "nothing")


def _of(age: int, limit: int) -> float:
    return age / limit if limit else 0.0


def nearness(entry: Entry) -> float:
    """Return how far a thing is on its way: of the forced vacuum, or of its last number."""
    one = entry[1]
    if isinstance(one, Sequence):
        return one.share or 0.0
    return max(_of(one.xid_age, one.xid_forced), _of(one.mxid_age, one.mxid_forced))


def urgency(entry: Entry) -> int:
    """Return 0 for well, 1 for a warning, 2 for what needs hands now."""
    one = entry[1]
    if isinstance(one, Sequence):
        if one.is_cycled or one.share is None:
            return 0
        return 2 if one.share >= _NEARER else 1 if one.share >= _NEAR else 0
    if max(one.xid_age, one.mxid_age) > _URGENT * SHUTDOWN:
        return 2
    return 1 if nearness(entry) > _LATE else 0
