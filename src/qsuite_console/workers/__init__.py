"""What a job does: one module per kind. ``Services`` a worker may use, and the registry from kind to worker.

Kinds are named by import path so that looking at the list loads none of them; other packages add theirs with an
entry point of the group ``qsuite_console.workers`` whose object is a worker class.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from qsuite_console.engine import plugins
from qsuite_console.engine.costs import ProbeCosts
from qsuite_console.model.errors import NotFound

if TYPE_CHECKING:
    from qsuite_console.cache.answers import Answers
    from qsuite_console.cache.client import Cache
    from qsuite_console.config.settings import Settings
    from qsuite_console.db.database import Database
    from qsuite_console.db.panels import PanelReader
    from qsuite_console.db.pooler import PoolerConsole
    from qsuite_console.engine.ports import Books, Probe, Worker
    from qsuite_console.engine.scheduler import Scheduler
    from qsuite_console.metrics.celery_watch import CeleryWatch
    from qsuite_console.metrics.monitoring import Monitoring
    from qsuite_console.model.clock import Clock
    from qsuite_console.model.traffic import RequestsView
    from qsuite_console.notify.courier import Courier
    from qsuite_console.paths import Paths
    from qsuite_console.providers.alpaca import AlpacaClient
    from qsuite_console.providers.calls import CallDesk
    from qsuite_console.reports.render import Renderer

REGISTRY: Final[Mapping[str, str]] = {
    "api.bulk": "qsuite_console.workers.api:BulkWorker",
    "api.call": "qsuite_console.workers.api:CallWorker",
    "backfill": "qsuite_console.workers.backfill:BackfillWorker",
    "cache.cleanup": "qsuite_console.workers.sweep:Cleanup",
    "cache.invalidate": "qsuite_console.workers.sweep:Invalidate",
    "cleanup": "qsuite_console.workers.cleanup:Cleanup",
    "indexes": "qsuite_console.workers.indexes:IndexesWorker",
    "ingest": "qsuite_console.workers.ingest:IngestWorker",
    "orders.settle": "qsuite_console.workers.orders:Settle",
    "partitions": "qsuite_console.workers.partitions:Partitions",
    "report": "qsuite_console.workers.report:ReportWorker",
    "retention": "qsuite_console.workers.partitions:Retention",
    "stream": "qsuite_console.workers.stream:StreamWorker",
    "stream.file": "qsuite_console.workers.stream:FileStreamWorker",
    "vacuum": "qsuite_console.workers.vacuum:VacuumWorker",
    "warm.market-data": "qsuite_console.workers.warm:WarmMarketData",
    "warm.order-books": "qsuite_console.workers.warm:WarmOrderBooks",
    "warm.positions": "qsuite_console.workers.warm:WarmPositions",
    "warm.prices": "qsuite_console.workers.warm:WarmPrices",
    "webhook": "qsuite_console.workers.webhook:WebhookWorker",
}

# read-only questions of front ends: name -> module:Class, made with Services like a worker
PROBES: Final[Mapping[str, str]] = {
    "analyze": "qsuite_console.metrics.analysis:AnalyzeProbe",
    "database.activity": "qsuite_console.metrics.activity:ActivityProbe",
    "database.blocking": "qsuite_console.metrics.activity:BlockingProbe",
    "database.explain": "qsuite_console.metrics.activity:ExplainProbe",
    "database.progress": "qsuite_console.metrics.activity:ProgressProbe",
    "database.session": "qsuite_console.metrics.activity:SessionProbe",
    "optimize": "qsuite_console.metrics.optimizing:OptimizeProbe",
    "backfill.coverage": "qsuite_console.workers.backfill.coverage:CoverageProbe",
    "backfill.verification": "qsuite_console.workers.backfill.verification:VerificationProbe",
    "cache.advice": "qsuite_console.metrics.cache_panels:AdviceProbe",
    "cache.answers": "qsuite_console.metrics.warmth:AnswersProbe",
    "cache.memory": "qsuite_console.metrics.cache_panels:MemoryProbe",
    "cache.families": "qsuite_console.metrics.cache_panels:FamiliesProbe",
    "cache.keys": "qsuite_console.metrics.cache_panels:KeysProbe",
    "cache.key": "qsuite_console.metrics.cache_panels:KeyProbe",
    "cache.slowlog": "qsuite_console.metrics.cache_panels:SlowlogProbe",
    "cache.clients": "qsuite_console.metrics.cache_panels:ClientsProbe",
    "cache.commands": "qsuite_console.metrics.cache_panels:CommandsProbe",
    "cache.warmth": "qsuite_console.metrics.warmth:WarmthProbe",
    "celery.history": "qsuite_console.metrics.celery_panels:HistoryProbe",
    "celery.kinds": "qsuite_console.metrics.celery_panels:KindsProbe",
    "celery.queues": "qsuite_console.metrics.celery_panels:QueuesProbe",
    "celery.tasks": "qsuite_console.metrics.celery_panels:TasksProbe",
    "celery.workers": "qsuite_console.metrics.celery_panels:WorkersProbe",
    "database.indexes": "qsuite_console.metrics.indexes:IndexesProbe",
    "database.limits": "qsuite_console.metrics.limits:LimitsProbe",
    "database.pooler": "qsuite_console.metrics.pooler:PoolerProbe",
    "database.statement": "qsuite_console.metrics.statements:StatementProbe",
    "database.statements": "qsuite_console.metrics.statements:StatementsProbe",
    "database.table": "qsuite_console.metrics.tables:TableProbe",
    "database.tables": "qsuite_console.metrics.tables:TablesProbe",
    "alerts.history": "qsuite_console.metrics.alert_probes:HistoryProbe",
    "alerts.open": "qsuite_console.metrics.alert_probes:OpenProbe",
    "alerts.rules": "qsuite_console.metrics.alert_probes:RulesProbe",
    "alerts.silences": "qsuite_console.metrics.alert_probes:SilencesProbe",
    "schedules.detail": "qsuite_console.metrics.schedules:DetailProbe",
    "schedules.explain": "qsuite_console.metrics.schedules:ExplainProbe",
    "schedules.list": "qsuite_console.metrics.schedules:ListProbe",
    "scores.explain": "qsuite_console.metrics.score_keeper:ExplainProbe",
    "metrics.series": "qsuite_console.metrics.recorder:SeriesProbe",
    "database.timescale": "qsuite_console.metrics.timescale:TimescaleProbe",
    "database.settings": "qsuite_console.metrics.tuning:SettingsProbe",
    "database.replication": "qsuite_console.metrics.replication:ReplicationProbe",
    "reports.content": "qsuite_console.workers.report.probes:ContentProbe",
    "reports.list": "qsuite_console.workers.report.probes:ListProbe",
    "reports.preview": "qsuite_console.workers.report.probes:PreviewProbe",
    "system.host": "qsuite_console.metrics.host_panels:HostProbe",
    "system.disks": "qsuite_console.metrics.host_panels:DisksProbe",
    "system.network": "qsuite_console.metrics.host_panels:NetworkProbe",
    "system.processes": "qsuite_console.metrics.host_panels:ProcessesProbe",
    "system.requests": "qsuite_console.metrics.own_panel:RequestsProbe",
    "system.log": "qsuite_console.metrics.own_log:LogProbe",
    "system.console": "qsuite_console.metrics.own_panel:ConsoleProbe",
    "pipelines.list": "qsuite_console.metrics.pipelines:ListProbe",
    "pipelines.runs": "qsuite_console.metrics.pipelines:RunsProbe",
    "pipelines.run": "qsuite_console.metrics.pipelines:RunProbe",
    "webhooks.delivery": "qsuite_console.notify.probes:DeliveryProbe",
    "webhooks.list": "qsuite_console.notify.probes:ListProbe",
    "webhooks.log": "qsuite_console.notify.probes:LogProbe",
    "market.watch": "qsuite_console.metrics.market:WatchProbe",
    "market.bars": "qsuite_console.metrics.market:BarsProbe",
    "market.depth": "qsuite_console.metrics.market:DepthProbe",
    "market.positions": "qsuite_console.metrics.market:PositionsProbe",
    "market.prices": "qsuite_console.metrics.prices:PricesProbe",
    "market.volatility": "qsuite_console.metrics.market:VolatilityProbe",
}


def _unkept() -> Answers:
    """Return answers that are computed anew each time; to look at the list of kinds loads no driver."""
    from qsuite_console.cache.answers import Answers

    return Answers()


def _renderer() -> Renderer:
    """Return what renders reports; it starts nothing before the first one."""
    from qsuite_console.reports.render import Renderer

    return Renderer()


@dataclass(frozen=True, slots=True)
class Services:
    """What the composition root hands to every worker. Connections are opened on first use, on the engine's loop."""

    settings: Settings
    clock: Clock
    database: Database
    cache: Cache
    provider: Callable[[], AlpacaClient]
    panels: PanelReader
    pooler: PoolerConsole
    monitoring: Monitoring | None = None  # None where nothing is sampled
    celery: CeleryWatch | None = None  # None where no broker is watched
    costs: ProbeCosts = field(default_factory=ProbeCosts)
    answers: Answers = field(default_factory=_unkept)  # dear ones, kept for seconds
    schedules: Scheduler | None = None  # None where there is no engine
    paths: Paths | None = None  # the console's own directories, where it has any
    books: Books | None = None  # the history as a job may tidy it up
    calls: CallDesk | None = None  # how external addresses are called; None where nothing is
    courier: Courier | None = None  # who tells others; None where nobody does
    requests: Callable[[], RequestsView] | None = None  # what the HTTP interface was asked; None where there is none
    renderer: Renderer = field(default_factory=_renderer)
    extra: Mapping[str, object] = field(default_factory=dict)

    def probe(self, name: str) -> Probe:
        """Return one of PROBES, for a job that asks what screens ask; KeyError for an unknown name."""
        module, _, attribute = PROBES[name].partition(":")
        return cast("Probe", getattr(importlib.import_module(module), attribute)(self))


def kinds() -> tuple[str, ...]:
    """Return the name of every kind, ours and other packages', without importing any of them."""
    return tuple(sorted({*REGISTRY, *plugins.names()}))


def load(kind: str, services: Services) -> Worker:
    """Return the worker of a kind, or of a path ``package.module:Class``; raises NotFound for an unknown kind.

    A plug-in that can't be used raises PluginBroken, which names its package.
    """
    path = REGISTRY.get(kind) or (kind if ":" in kind else None)
    if path is not None:
        module, _, attribute = path.partition(":")
        made = getattr(importlib.import_module(module), attribute)(services)
    else:
        if kind not in plugins.names():
            raise NotFound(f"no kind of job is named {kind!r}", hint=f"known: {', '.join(kinds())}")
        made = plugins.make(kind, services)
    return cast("Worker", made)
