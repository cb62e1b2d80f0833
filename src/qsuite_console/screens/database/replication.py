"""Who follows this server's WAL and how far behind, what holds WAL back, how much is written, how checkpoints go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import ClassVar, Final

from textual import work

from qsuite_console.model.replication import Receiver, Replication, Slot, Standby, Subscription
from qsuite_console.screens.database.reporting import Report
from qsuite_console.screens.listing import glyph, labelled
from qsuite_console.screens.panes import contains
from qsuite_console.widgets import figures
from qsuite_console.widgets.live_table import Cell, Column, Key, Row

Entry = Standby | Slot | Subscription
_MIB: Final = 1024**2
_BEHIND, _FAR = 128 * _MIB, 1024 * _MIB  # the limits of the alert on replication
_HELD, _MARGIN = 5 * 1024 * _MIB, 1024 * _MIB  # of a slot nobody reads; of what it may still lose nothing over
_SILENT_S: Final = 30.0
_FORCED: Final = 0.3  # of at least five checkpoints
_ENOUGH: Final = 5


class ReplicationPane(Report[Replication, Entry]):
    """Standbys, slots and subscriptions below the flow of WAL."""

    NAME = "replication"
    TITLE = "Replication & WAL"
    PROBE = "database.replication"
    KIND = Replication
    PERIOD_S = 2.0
    FILTER = "part of a standby's or slot's name"
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("glyph", "", 1, keep=90),
        Column("what", "What", 8, keep=85),
        Column("name", "Name", 14, is_flexible=True, keep=100),
        Column("state", "State", 11, keep=88),
        Column("behind", "Behind", 9, is_right=True, keep=89),
        Column("send", "Unsent", 9, is_right=True, keep=30, at_least=100),
        Column("write", "Unwritten", 9, is_right=True, keep=26, at_least=116),
        Column("flush", "Unflushed", 9, is_right=True, keep=25, at_least=116),
        Column("replay", "Unreplayed", 10, is_right=True, keep=31, at_least=100),
        Column("time", "Replay lag", 10, is_right=True, keep=70),
        Column("silent", "Heard", 6, is_right=True, keep=50),
    )

    def entries(self, answer: Replication) -> Mapping[Key, Entry]:
        """Return the standbys, slots and subscriptions."""
        found: list[tuple[str, Entry]] = [(f"standby {one.pid}", one) for one in answer.standbys]
        found += [(f"slot {one.name}", one) for one in answer.slots]
        found += [(f"subscription {one.name}", one) for one in answer.subscriptions]
        return {key: one for key, one in found if contains(self.text, key, one.name)}

    def show_answer(self, answer: Replication, now: datetime) -> None:
        """Show them; an empty table says that nobody follows."""
        super().show_answer(answer, now)
        if not self.text:
            self.table.empty = "No standby, no replication slot, no subscription"

    # above

    def facts(self, answer: Replication, now: datetime) -> Iterator[tuple[str, str, str]]:
        """Yield the flow of WAL, checkpoints, writers, the archive, and on a standby where WAL comes from."""
        if answer.receiver is not None:
            yield from receiver_facts(answer.receiver, answer.window_s)
        over = "measuring" if answer.interval_s is None else f"over {figures.duration(round(answer.interval_s))}"
        wal, lies = answer.wal, ""
        if wal.files is not None:
            lies = f" · {figures.plural(wal.files, 'file')} {figures.size(wal.files_bytes)}"
        images = f" · {figures.rate(wal.images_per_s, 'whole pages')}" if wal.images_per_s is not None else ""
        records = f" · {figures.rate(wal.records_per_s, 'records')}" if wal.records_per_s is not None else ""
        amount = over if wal.bytes_per_s is None else f"{figures.size(wal.bytes_per_s)}/s {over}"
        yield "ok", "WAL", f"{amount}{records}{lies}{images}"
        yield checkpoint_fact(answer)
        yield writes_fact(answer)
        if answer.archiver is not None:
            yield archive_fact(answer)

    # rows

    def row(self, entry: Entry) -> Row:
        """Return one line."""
        tone, _ = verdict(entry)
        if isinstance(entry, Standby):
            return {
                "glyph": glyph(tone),
                "what": "standby",
                "name": entry.name if entry.name != "-" else entry.client,
                "state": entry.state or "hidden",
                "behind": Cell(figures.size(entry.behind_bytes), tone if tone != "ok" else ""),
                "send": figures.size(entry.send_bytes),
                "write": figures.size(entry.write_bytes),
                "flush": figures.size(entry.flush_bytes),
                "replay": figures.size(entry.replay_bytes),
                "time": "none" if entry.replay_s is None and entry.state else figures.duration(entry.replay_s),
                "silent": figures.age(entry.silent_s),
            }
        if isinstance(entry, Slot):
            return {
                "glyph": glyph(tone),
                "what": "slot",
                "name": entry.name,
                "state": "invalid" if entry.invalid else "active" if entry.is_active else "inactive",
                "behind": Cell(figures.size(entry.retained_bytes), tone if tone != "ok" else ""),
                "time": entry.wal_status or figures.DASH,
                "silent": figures.age(entry.inactive_s) if entry.inactive_s is not None else "",
            }
        return {
            "glyph": glyph(tone),
            "what": "subscr.",
            "name": entry.name,
            "state": "running" if entry.is_running else "down" if entry.is_enabled else "disabled",
            "behind": f"{entry.copying} to copy" if entry.copying else "",
            "time": f"{entry.apply_errors} errors" if entry.apply_errors else "",
            "silent": figures.age(entry.silent_s),
        }

    def foot(self, entry: Entry, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield what there is to say of it."""
        yield verdict(entry)
        if isinstance(entry, Standby):
            stages = (("written", entry.write_s), ("flushed", entry.flush_s), ("replayed", entry.replay_s))
            told = [f"{name} after {figures.duration(value)}" for name, value in stages if value is not None]
            lag = ", ".join(told) if told else "no lag is measured while nothing is written"
            yield "dim", f"{entry.client}, pid {entry.pid}, {entry.sync or 'hidden'} · {lag}"
        elif isinstance(entry, Slot):
            of = f" of {entry.database} ({entry.plugin})" if entry.database else ""
            held = f" · keeps dead rows of {figures.short(entry.xmin_age)} transactions" if entry.xmin_age else ""
            yield "dim", f"{entry.kind} slot{of}, WAL {entry.wal_status or 'none'}{held}"
        else:
            counted = (
                ""
                if entry.apply_errors is None
                else f" · {entry.apply_errors} apply and {entry.sync_errors} copy errors since the statistics began"
            )
            yield "dim", f"{figures.plural(entry.tables, 'table')}{counted}"

    def on_live_table_opened(self) -> None:
        """Show all of it."""
        self._open_detail()

    @work(exclusive=True, group="replication")
    async def _open_detail(self) -> None:
        entry = self.table.entry
        if entry is not None:
            await self.read(entry.name, detail(entry))


def verdict(entry: Entry) -> tuple[str, str]:
    """Return the worst there is to say of it, with its tone."""
    if isinstance(entry, Standby):
        return _standby_verdict(entry)
    if isinstance(entry, Slot):
        return _slot_verdict(entry)
    if entry.is_enabled and not entry.is_running:
        return "error", "enabled, but nothing receives: see the server's log"
    if entry.apply_errors or entry.sync_errors:
        return "warn", "it failed and was started again since the statistics began: see the server's log"
    if not entry.is_enabled:
        return "dim", "disabled: its slot on the publisher holds WAL back all the same"
    return (
        "ok",
        f"receiving; {entry.copying} of {figures.plural(entry.tables, 'table')} still copied"
        if entry.copying
        else "receiving",
    )


def _standby_verdict(entry: Standby) -> tuple[str, str]:
    if entry.behind_bytes is None:
        return "dim", "how far it is can't be seen without pg_monitor"
    if entry.silent_s is not None and entry.silent_s > _SILENT_S:
        return "error", f"it has not answered for {figures.duration(entry.silent_s)}"
    stages = {
        "not sent: the network or this server": entry.send_bytes,
        "sent and not written: the network or its disk": entry.write_bytes,
        "written and not flushed: its disk": entry.flush_bytes,
        "flushed and not replayed: its CPU, disk, or queries in the way": entry.replay_bytes,
    }
    worst = max(stages, key=lambda name: stages[name] or 0.0)
    far = f"{figures.size(entry.behind_bytes)} behind, most of it {worst}"
    if entry.behind_bytes >= _FAR:
        return "error", far
    if entry.behind_bytes >= _BEHIND:
        return "warn", far
    if entry.state != "streaming":
        return "warn", f"{entry.state}: it does not follow yet"
    return "ok", "follows" if entry.behind_bytes < _MIB else far


def _slot_verdict(entry: Slot) -> tuple[str, str]:
    if entry.invalid or entry.wal_status == "lost":
        why = f" ({entry.invalid})" if entry.invalid else ""
        return "error", f"lost{why}: its reader must start anew; drop it with pg_drop_replication_slot"
    room = entry.safe_bytes
    if room is not None and room < _MARGIN and not entry.is_active:
        return "error", f"loses its WAL after {figures.size(max(0, room))} more: start its reader or drop it"
    if not entry.is_active and (entry.retained_bytes or 0) > _HELD:
        return (
            "error",
            f"nobody reads it and it keeps {figures.size(entry.retained_bytes)} of WAL: drop it or its disk fills",
        )
    if not entry.is_active:
        return (
            "warn",
            f"nobody reads it; it keeps {figures.size(entry.retained_bytes)} of WAL, and more with every write",
        )
    limit = "without limit" if room is None else f"{figures.size(room)} more until it loses WAL"
    return "ok", f"read; keeps {figures.size(entry.retained_bytes)} of WAL, {limit}"


def receiver_facts(receiver: Receiver, window_s: float | None) -> Iterator[tuple[str, str, str]]:
    """Yield the line of a standby's own side, and one of the queries that replay cancelled."""
    if not receiver.status:
        yield "error", "standby", "no WAL receiver runs: nothing comes from the primary"
        return
    behind = receiver.behind_bytes
    late = f"replay is {figures.size(behind)}, {figures.duration(receiver.replay_s)} behind" if behind else "replayed"
    source = f" from {receiver.sender}" if receiver.sender else ""
    paused = " · replay is PAUSED: pg_wal_replay_resume()" if receiver.is_paused else ""
    tone = "warn" if receiver.is_paused or (behind or 0) > _BEHIND else "ok"
    yield tone, "standby", f"{receiver.status}{source}{paused} · {late}"
    if cancelled := sum((receiver.conflicts or {}).values()):
        causes = ", ".join(receiver.conflicts or {})
        number = figures.plural(cancelled, "query", "queries")
        yield "warn", "conflicts", f"{number} cancelled by replay in {figures.duration(window_s)}: {causes}"


def checkpoint_fact(answer: Replication) -> tuple[str, str, str]:
    """Return the line of checkpoints: how many by time and how many forced, and what they took."""
    points = answer.checkpoints
    last = "" if points.last_s is None else f"last {figures.age(points.last_s)} ago · "
    every = f"every {points.every} or {points.most}" if points.every else ""
    if points.timed is None or points.requested is None or answer.window_s is None:
        return "ok", "checkpoints", f"{last}{every}"
    count = f"{points.timed:.0f} timed, {points.requested:.0f} requested in {figures.duration(round(answer.window_s))}"
    took = f"write {figures.duration(points.write_s)}, sync {figures.duration(points.sync_s)}"
    total = points.timed + points.requested
    is_forced = total >= _ENOUGH and points.requested > _FORCED * total
    return "warn" if is_forced else "ok", "checkpoints", f"{last}{count} · {took} · {every}"


def writes_fact(answer: Replication) -> tuple[str, str, str]:
    """Return the line of who writes pages."""
    writes = answer.writes
    if writes.checkpointer is None or writes.sessions is None:
        return "ok", "page writes", "measuring"
    total = writes.checkpointer + (writes.background or 0.0) + writes.sessions
    is_late = total > _MIB and writes.sessions > total / 2
    fsyncs = f" · {figures.rate(writes.session_fsyncs, 'syncs')} by sessions" if writes.session_fsyncs else ""
    text = (
        f"checkpointer {figures.size(writes.checkpointer)}/s · background {figures.size(writes.background)}/s"
        f" · sessions {figures.size(writes.sessions)}/s{fsyncs}"
    )
    return "warn" if is_late or writes.session_fsyncs else "ok", "page writes", text


def archive_fact(answer: Replication) -> tuple[str, str, str]:
    """Return the line of the archive."""
    archive = answer.archiver
    assert archive is not None
    if not archive.is_on:
        return "dim", "archive", "off"
    done = "" if archive.archived is None else f" · {archive.archived:.0f} files in {figures.duration(answer.window_s)}"
    if archive.is_failing:
        failed = (
            "" if archive.failed is None else f", {archive.failed:.0f} times in {figures.duration(answer.window_s)}"
        )
        return (
            "error",
            "archive",
            f"FAILING since {figures.age(archive.failed_s_ago)} at {archive.failed_file}{failed}{done}",
        )
    last = "nothing yet" if archive.archived_s_ago is None else f"last {figures.age(archive.archived_s_ago)} ago"
    return "ok", "archive", f"{last}{done}"


def detail(entry: Entry) -> str:
    """Return everything about it, a fact a line."""
    facts: list[tuple[str, object]] = [("state", verdict(entry)[1])]
    if isinstance(entry, Standby):
        facts += [("client", entry.client), ("pid", entry.pid), ("synchronous", entry.sync)]
        facts += [
            (f"{name} and not yet {after}", figures.size(value))
            for name, after, value in (
                ("here", "sent", entry.send_bytes),
                ("sent", "written", entry.write_bytes),
                ("written", "flushed", entry.flush_bytes),
                ("flushed", "replayed", entry.replay_bytes),
            )
        ]
        facts += [
            (f"{name} after", figures.duration(value) if value is not None else "nothing was written lately")
            for name, value in (("written", entry.write_s), ("flushed", entry.flush_s), ("replayed", entry.replay_s))
        ]
        facts.append(("heard of", f"{figures.age(entry.silent_s)} ago"))
    elif isinstance(entry, Slot):
        facts += [
            ("kind", entry.kind),
            ("database", entry.database),
            ("plugin", entry.plugin),
            ("WAL", entry.wal_status),
            ("keeps", figures.size(entry.retained_bytes)),
            ("may still be written", "without limit" if entry.safe_bytes is None else figures.size(entry.safe_bytes)),
            ("inactive for", "" if entry.inactive_s is None else figures.duration(entry.inactive_s)),
            ("keeps dead rows of", f"{figures.count(entry.xmin_age)} transactions" if entry.xmin_age else ""),
            ("drop it with", f"SELECT pg_drop_replication_slot('{entry.name}')" if not entry.is_active else ""),
        ]
    else:
        facts += [
            ("tables", entry.tables),
            ("still copied", entry.copying),
            ("apply errors", entry.apply_errors),
            ("copy errors", entry.sync_errors),
            ("heard of", f"{figures.age(entry.silent_s)} ago" if entry.silent_s is not None else ""),
        ]
    return labelled(facts)
