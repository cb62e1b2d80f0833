"""The main screens, and the pages that are pushed over one, each for one thing."""

from __future__ import annotations

from typing import Final

from qsuite_console.commands.row import Command, Place

PLACES: Final[tuple[Place, ...]] = (
    Place(
        name="overview",
        number="1",
        letter="o",
        title="Overview",
        target="qsuite_console.screens.overview:OverviewScreen",
        help="health, running jobs and what needs attention",
    ),
    Place(
        name="jobs",
        has_filter=True,
        number="2",
        letter="j",
        title="Jobs",
        target="qsuite_console.screens.jobs:JobsScreen",
        help="every job, live, with filter and actions",
    ),
    Place(
        name="backfill",
        number="3",
        letter="b",
        title="Backfill",
        target="qsuite_console.screens.backfill:BackfillScreen",
        help="plan, start and watch a backfill; the coverage map",
    ),
    Place(
        name="market",
        has_filter=True,
        number="4",
        letter="m",
        title="Market",
        target="qsuite_console.screens.market:MarketScreen",
        help="prices, candles, depth, positions, volatility; cache against database",
    ),
    Place(
        name="database",
        number="5",
        letter="d",
        title="Database",
        target="qsuite_console.screens.database.screen:DatabaseScreen",
        help="PostgreSQL: sessions, locks, statements, tables, indexes, replication, settings",
        panes=(
            "activity",
            "blocking",
            "progress",
            "statements",
            "tables",
            "indexes",
            "limits",
            "replication",
            "settings",
            "pooler",
            "timescale",
        ),
    ),
    Place(
        name="cache",
        number="6",
        letter="c",
        title="Cache",
        target="qsuite_console.screens.cache:CacheScreen",
        help="Redis: memory, families of keys, hit rate, slow log, clients",
        panes=("memory", "families", "keys", "slowlog", "clients", "commands", "advice", "answers"),
    ),
    Place(
        name="system",
        number="7",
        letter="s",
        title="System",
        target="qsuite_console.screens.system:SystemScreen",
        help="this host: processors, memory, disks, network, processes, the console itself, requests, the audit",
        panes=("host", "disks", "network", "processes", "console", "requests", "audit"),
    ),
    Place(
        name="alerts",
        number="8",
        letter="a",
        title="Alerts",
        target="qsuite_console.screens.alerts:AlertsScreen",
        help="what burns, what burned, what is silenced",
        panes=("open", "history", "silences", "rules", "deliveries"),
    ),
    Place(
        name="schedules",
        has_filter=True,
        number="9",
        letter="t",
        title="Schedules",
        target="qsuite_console.screens.schedules:SchedulesScreen",
        help="jobs that make themselves: when they come next, what came of them; run, pause, change",
    ),
    Place(
        name="pipelines",
        number="0",
        letter="p",
        title="Pipelines",
        target="qsuite_console.screens.pipelines:PipelinesScreen",
        help="the platform's pipelines, their runs by pages, the tasks of a run",
        panes=("pipelines", "runs"),
    ),
    Place(
        name="reports",
        has_filter=True,
        number="",
        letter="r",
        title="Reports",
        target="qsuite_console.screens.reports:ReportsScreen",
        help="reports that were made, read as text; make another",
    ),
    Place(
        name="celery",
        number="",
        letter="q",
        title="Celery",
        target="qsuite_console.screens.celery:CeleryScreen",
        help="Celery on Redis, whoever's workers they are: queues, workers, tasks, their times and failures",
        panes=("queues", "workers", "tasks", "kinds", "history"),
    ),
    Place(
        name="journal",
        verb="log",
        has_filter=True,
        number="",
        letter="l",
        title="Log",
        target="qsuite_console.screens.journal:JournalScreen",
        help="what the engine's process writes to its log, followed live",
    ),
)

PAGES: Final = {
    "job": "qsuite_console.screens.job:JobScreen",
    "optimize": "qsuite_console.screens.optimize:OptimizeScreen",
}


def _usage(place: Place) -> str:
    if place.panes:
        return "[PANE] [FILTER]"
    return "[FILTER]" if place.has_filter else ""


def _help(place: Place) -> str:
    panes = f" Panes: {', '.join(place.panes)}." if place.panes else ""
    return f"Show {place.title}: {place.help}. Also g {place.letter}.{panes}"


ROWS: Final[tuple[Command, ...]] = tuple(
    Command(
        id=f"go.{place.name}",
        keys=place.number,
        title=place.title,
        help=_help(place),
        scope="app",
        action=f"go('{place.name}')",
        verb=place.verb or place.name,
        usage=_usage(place),
    )
    for place in PLACES
)
