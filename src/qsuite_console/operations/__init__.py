"""What an operator can change on the platform at once, one module a subject; long work is a job of ``workers``.

Every operation passes the engine's gate, whatever its entrance: read-only mode, confirmation, audit. Named by import
path so that looking at the list loads none of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from qsuite_console.engine.ports import Operation
    from qsuite_console.workers import Services

# name -> module:Class, made with Services like a worker
REGISTRY: Final[Mapping[str, str]] = {
    "alerts.acknowledge": "qsuite_console.operations.alerts:Acknowledge",
    "alerts.silence": "qsuite_console.operations.alerts:Silence",
    "alerts.unsilence": "qsuite_console.operations.alerts:Unsilence",
    "bars.store": "qsuite_console.workers.ingest.posting:StoreBars",
    "cache.apply-setting": "qsuite_console.operations.cache:ApplySetting",
    "cache.delete-key": "qsuite_console.operations.cache:DeleteKey",
    "cache.kill-client": "qsuite_console.operations.cache:KillClient",
    "cache.reset-slowlog": "qsuite_console.operations.cache:ResetSlowlog",
    "celery.consume": "qsuite_console.operations.celery.queues:Consume",
    "celery.events": "qsuite_console.operations.celery.workers:Events",
    "celery.purge": "qsuite_console.operations.celery.queues:Purge",
    "celery.rate-limit": "qsuite_console.operations.celery.tasks:RateLimit",
    "celery.revoke": "qsuite_console.operations.celery.tasks:Revoke",
    "celery.shutdown": "qsuite_console.operations.celery.workers:Shutdown",
    "database.cancel": "qsuite_console.operations.sessions:Cancel",
    "database.terminate": "qsuite_console.operations.sessions:Terminate",
    "database.apply-setting": "qsuite_console.operations.settings:ApplySetting",
    "database.reset-statistics": "qsuite_console.operations.statistics:ResetStatistics",
    "jobs.tell": "qsuite_console.operations.telling:Tell",
    "jobs.untell": "qsuite_console.operations.telling:Untell",
    "reports.remove": "qsuite_console.operations.telling:RemoveReport",
    "reports.send": "qsuite_console.operations.telling:SendReport",
    "schedules.delete": "qsuite_console.operations.schedules:Delete",
    "schedules.enable": "qsuite_console.operations.schedules:Enable",
    "schedules.pause": "qsuite_console.operations.schedules:Pause",
    "schedules.run": "qsuite_console.operations.schedules:Run",
    "schedules.save": "qsuite_console.operations.schedules:Save",
    "database.reset-setting": "qsuite_console.operations.settings:ResetSetting",
    "webhooks.enable": "qsuite_console.operations.webhooks:Enable",
    "webhooks.redeliver": "qsuite_console.operations.webhooks:Redeliver",
    "webhooks.test": "qsuite_console.operations.webhooks:Test",
}


def load(services: Services) -> Mapping[str, Operation]:
    """Return every operation, made with ``services``."""
    found: dict[str, Operation] = {}
    for name, path in REGISTRY.items():
        module, _, attribute = path.partition(":")
        found[name] = cast("Operation", getattr(importlib.import_module(module), attribute)(services))
    return found
