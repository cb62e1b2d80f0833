"""PgBouncer: its pools and who waits, what passes through, and where transaction pooling breaks what clients expect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import ClassVar, Final

from textual import work

from qsuite_console.model.advice import Severity
from qsuite_console.model.pooler import Passage, Pool, Pooler
from qsuite_console.screens.database.reporting import Report
from qsuite_console.screens.listing import glyph, labelled, milliseconds
from qsuite_console.screens.panes import contains
from qsuite_console.widgets import figures
from qsuite_console.widgets.live_table import Cell, Column, Key, Row

TONES: Final = {Severity.CRITICAL: "error", Severity.WARNING: "warn", Severity.INFO: "dim"}
_WARN_S, _BAD_S = 1.0, 5.0  # the limits of the alert on waits
_FINDINGS: Final = 2
_CROWDED: Final = 0.8


class PoolerPane(Report[Pooler, Pool]):
    """The pools, worst first."""

    NAME = "pooler"
    TITLE = "PgBouncer"
    PROBE = "database.pooler"
    KIND = Pooler
    PERIOD_S = 2.0
    SOURCE = "pgbouncer"
    FILTER = "part of a database's or user's name"
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("glyph", "", 1, keep=90),
        Column("pool", "Pool", 16, is_flexible=True, keep=100),
        Column("mode", "Mode", 11, keep=40, at_least=100),
        Column("active", "Clients", 7, is_right=True, keep=80),
        Column("waiting", "Waiting", 7, is_right=True, keep=95),
        Column("wait", "Longest", 8, is_right=True, keep=94),
        Column("servers", "Servers", 9, is_right=True, keep=85),
        Column("idle", "Idle", 4, is_right=True, keep=30, at_least=100),
        Column("tps", "Trans/s", 7, is_right=True, keep=70),
        Column("qps", "Queries/s", 9, is_right=True, keep=60, at_least=96),
        Column("mean", "A query", 8, is_right=True, keep=20, at_least=110),
        Column("waited", "A wait", 8, is_right=True, keep=50),
    )

    def entries(self, answer: Pooler) -> Mapping[Key, Pool]:
        """Return the pools."""
        return {
            f"{pool.database}\0{pool.user}": pool
            for pool in answer.pools
            if contains(self.text, pool.database, pool.user)
        }

    def has_nothing(self, answer: Pooler) -> bool:
        """Return whether no pooler is configured."""
        return not answer.where

    def show_answer(self, answer: Pooler, now: datetime) -> None:
        """Show the pools; there are none until a client comes."""
        super().show_answer(answer, now)
        if not self.text:
            self.table.empty = "No client has come through PgBouncer yet"

    def passage(self, pool: Pool) -> Passage | None:
        """Return what passed to the pool's database."""
        passages = self.answer.passages if self.answer is not None else ()
        return next((one for one in passages if one.database == pool.database), None)

    def facts(self, answer: Pooler, now: datetime) -> Iterator[tuple[str, str, str]]:
        """Yield the pooler, its clients, what passes, and the first findings."""
        limit = answer.clients_limit
        crowded = limit is not None and answer.clients > _CROWDED * limit
        clients = f"{answer.clients} of {limit} clients" if limit else figures.plural(answer.clients, "client")
        yield "warn" if crowded else "ok", "PgBouncer", f"{answer.version or '?'} at {answer.where} · {clients}"
        known = [one for one in answer.passages if one.transactions_per_s is not None]
        if answer.interval_s is None or not known:
            yield "ok", "through it", "measuring" if answer.interval_s is None else "nothing yet"
        else:
            over = figures.duration(round(answer.interval_s, 1))
            rates = [sum(getattr(one, name) or 0.0 for one in known) for name in _PASSING]
            yield (
                "ok",
                "through it",
                (
                    f"{figures.rate(rates[0], 'transactions')} · {figures.rate(rates[1], 'queries')}"
                    f" · in {figures.size(rates[2])}/s, out {figures.size(rates[3])}/s · over {over}"
                ),
            )
        for finding in answer.findings[:_FINDINGS]:
            change = f" · {finding.fix}" if finding.fix else ""
            yield TONES[finding.severity], finding.severity.value, f"{finding.title}{change} · Enter tells more"
        more = len(answer.findings) - _FINDINGS
        if more > 0:
            yield "dim", "", f"and {more} more: Enter"

    def row(self, pool: Pool) -> Row:
        """Return one line."""
        tone, _ = verdict(pool)
        one, mark = self.passage(pool), tone if tone != "ok" else ""
        return {
            "glyph": glyph(tone),
            "pool": f"{pool.database}/{pool.user}",
            "mode": pool.mode,
            "active": figures.count(pool.clients_active),
            "waiting": Cell(figures.count(pool.clients_waiting), mark),
            "wait": Cell(figures.duration(pool.max_wait_s) if pool.clients_waiting else "none", mark),
            "servers": f"{pool.servers_active} / {pool.size or '∞'}",
            "idle": figures.count(pool.servers_idle + pool.servers_other),
            "tps": figures.short(one.transactions_per_s) if one is not None else figures.DASH,
            "qps": figures.short(one.queries_per_s) if one is not None else figures.DASH,
            "mean": milliseconds(one.query_ms if one is not None else None),
            "waited": milliseconds(one.wait_ms if one is not None else None),
        }

    def foot(self, pool: Pool, now: datetime) -> Iterable[tuple[str, str]]:
        """Yield how the pool does and who waits first."""
        yield verdict(pool)
        queue = self.answer.waiting if self.answer is not None else ()
        waiting = [one for one in queue if (one.database, one.user) == (pool.database, pool.user)]
        if waiting:
            first = waiting[0]
            who = f"{first.application} " if first.application else ""
            yield "dim", f"first in the queue: {who}{first.user}@{first.address}, for {figures.duration(first.wait_s)}"
        else:
            yield "dim", f"{pool.mode} pooling · rates are those of the whole database {pool.database}"

    def on_live_table_opened(self) -> None:
        """Show everything about the pool and the pooler."""
        self._open_detail()

    @work(exclusive=True, group="pooler")
    async def _open_detail(self) -> None:
        pool, answer = self.table.entry, self.answer
        if pool is not None and answer is not None:
            await self.read(f"PgBouncer: {pool.database}/{pool.user}", detail(pool, self.passage(pool), answer))


_PASSING: Final = ("transactions_per_s", "queries_per_s", "received_per_s", "sent_per_s")


def verdict(pool: Pool) -> tuple[str, str]:
    """Return the worst there is to say of a pool, with its tone."""
    number = figures.plural(pool.clients_waiting, "client")
    if pool.clients_waiting:
        why = "all its server connections work" if pool.is_full else "server connections are being opened"
        wait = figures.duration(pool.max_wait_s)
        tone = "error" if pool.max_wait_s >= _BAD_S else "warn" if pool.max_wait_s >= _WARN_S else "ok"
        return tone, f"{number} waiting, the longest for {wait}: {why}"
    if pool.is_full:
        return "warn", f"all {pool.size} server connections work: the next client waits"
    return "ok", "nobody waits"


def detail(pool: Pool, passage: Passage | None, answer: Pooler) -> str:
    """Return pool, rates, queue, findings and settings, as plain text."""
    facts = [
        ("mode", pool.mode),
        ("clients", f"{pool.clients_active} active, {pool.clients_waiting} waiting"),
        ("servers", f"{pool.servers_active} active, {pool.servers_idle} idle, {pool.servers_other} between, "
                    f"pool size {pool.size or 'unlimited'}"),
        ("longest wait", figures.duration(pool.max_wait_s) if pool.clients_waiting else "none"),
    ]  # fmt: skip
    if passage is not None and passage.transactions_per_s is not None:
        facts += [
            (
                "transactions",
                f"{figures.rate(passage.transactions_per_s)}, {milliseconds(passage.transaction_ms)} each",
            ),
            ("queries", f"{figures.rate(passage.queries_per_s)}, {milliseconds(passage.query_ms)} each"),
            ("wait", f"{milliseconds(passage.wait_ms)} a transaction"),
        ]
    parts = [labelled(facts)]
    if answer.waiting:
        lines = [
            f"{figures.duration(one.wait_s):>8}  {one.database}/{one.user}  {one.address}  {one.application}"
            for one in answer.waiting[:20]
        ]
        parts.append("\n".join(["WAITING", *lines]))
    for finding in answer.findings:
        told = "; ".join(f"{one.name} {one.text}" for one in finding.evidence)
        lines = [
            f"{finding.severity.upper()} {finding.title} [{finding.id}]",
            f"found   {told}",
            f"rule    {finding.formula}",
        ]
        lines += [f"set     {finding.fix}   ({finding.effect})"] if finding.fix else []
        lines += [f"note    {finding.advice}"] if finding.advice else []
        parts.append("\n".join(lines))
    if answer.settings:
        width = max(len(one.name) for one in answer.settings)
        lines = [
            f"{one.name:<{width}}  {one.value or '(empty)'}   default {one.default or '(empty)'}"
            f"{', restart' if one.needs_restart else ''}"
            for one in answer.settings
        ]
        parts.append("\n".join(["SETTINGS OTHER THAN DEFAULT", *lines]))
    return "\n\n".join(parts)
