"""What the engine's HTTP interface offers, as one table: the rows of each subject's module, in the order they match."""

from __future__ import annotations

from typing import Final

from qsuite_console.headless.routes import (
    alerts,
    asking,
    description,
    engine,
    jobs,
    market,
    metrics,
    operations,
    probing,
    queues,
    reports,
    schedules,
    status,
    streams,
    webhooks,
)
from qsuite_console.headless.table import Route

ROUTES: Final[tuple[Route, ...]] = (
    *engine.ROUTES,
    *probing.ROUTES,
    *asking.ROUTES,
    *jobs.ROUTES,
    *queues.ROUTES,
    *operations.ROUTES,
    *status.ROUTES,
    *schedules.ROUTES,
    *alerts.ROUTES,
    *metrics.ROUTES,
    *market.ROUTES,
    *reports.ROUTES,
    *webhooks.ROUTES,
    *streams.ROUTES,
    *description.ROUTES,
)
