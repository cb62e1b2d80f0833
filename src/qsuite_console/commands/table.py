"""All rows as one table. Rows of scopes in one module of ``rows`` share a screen: their keys are live together."""

from __future__ import annotations

import functools
from typing import Final

from qsuite_console.commands.row import Command
from qsuite_console.commands.rows import (
    alerts,
    app,
    backfill,
    cache,
    celery,
    database,
    job,
    jobs,
    lists,
    log,
    market,
    optimize,
    overview,
    pipelines,
    places,
    reports,
    schedules,
    system,
)

PLACES: Final = places.PLACES
PAGES: Final = places.PAGES

PANED: Final = (database, cache, system, alerts, schedules, pipelines, reports, log, celery)

SCOPES: Final[dict[str, str]] = {
    scope: title
    for module in (app, lists, overview, jobs, job, optimize, backfill, market, *PANED)
    for scope, title in module.SCOPES.items()
}

COMMANDS: Final[tuple[Command, ...]] = (
    *places.ROWS, *app.ROWS, *lists.ROWS, *overview.ROWS, *jobs.ROWS, *job.ROWS, *backfill.ROWS, *market.ROWS,
    *optimize.ROWS, *(command for module in PANED for command in module.ROWS), *jobs.VERBS,
)  # fmt: skip
BY_ID: Final = {command.id: command for command in COMMANDS}
ORDER: Final = {command.id: index for index, command in enumerate(COMMANDS)}

# Scopes whose keys are live at the same time: a screen, the widgets in it, the app.
TOGETHER: Final[dict[str, tuple[str, ...]]] = {
    "overview": ("table", "app"),
    "jobs": ("table", "app"),
    "job": ("table", "log", "text", "app"),
    "optimize": ("table", "text", "app"),
    "backfill": ("coverage", "table", "app"),
    "coverage": ("app",),
    "table": ("app",),
    "log": ("app",),
    "text": ("app",),
    "app": (),
} | {
    scope: ("table", "text", "log", "app", *([screen] if scope != screen else []))
    for screen, module in ((next(iter(module.SCOPES)), module) for module in PANED)
    for scope in module.SCOPES
}


# Asked for each key whenever the footer is drawn.
WHEN: Final = {(command.scope, command.action): command.when for command in reversed(COMMANDS)}


@functools.cache
def of(scope: str) -> tuple[Command, ...]:
    """Return the commands of one scope, in table order."""
    return tuple(command for command in COMMANDS if command.scope == scope)
