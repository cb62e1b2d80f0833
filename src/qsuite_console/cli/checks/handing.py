"""Queues whose jobs others do: the table they pass through, Celery's broker, and whether anybody serves them."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence

from qsuite_console.cache.celery_link import Broker, speaking_of_broker
from qsuite_console.cache.client import Cache
from qsuite_console.cli.checks import Finding, fail, ok, warn
from qsuite_console.config.settings import CacheSettings, Settings
from qsuite_console.db.database import Database
from qsuite_console.db.run_table import RunTable
from qsuite_console.distributed.celery_pipe import broker_queue, require_celery
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.handing import Execution
from qsuite_console.model.text import clean


async def handing(settings: Settings) -> list[Finding]:
    """Check what jobs need that leave this process; nothing where all stay."""
    away = {name: plan.execution for name, plan in settings.queues.items() if plan.execution is not Execution.LOCAL}
    if not away:
        return []
    findings = [await _table(settings)]
    if served := [name for name, execution in away.items() if execution is Execution.NODES]:
        findings += await _nodes(settings, served)
    queues = [name for name, execution in away.items() if execution is Execution.CELERY]
    if queues:
        findings += [_extra(), *await _broker(settings, queues)]
    return findings


async def _table(settings: Settings) -> Finding:
    name, database = "run table", Database(settings.database, application="qsuite-console")
    try:
        may_create = await RunTable(database, settings.runs.table).look()
    except ConsoleError as error:
        return fail(name, error.message, error.hint)
    finally:
        await database.close()
    if may_create is None:
        return ok(name, f"{settings.runs.table} is there")
    if may_create:
        return ok(name, f"{settings.runs.table} will be made by the first job that is handed out")
    return fail(
        name,
        f"{settings.runs.table} is missing, and this role may not create it",
        "GRANT CREATE ON DATABASE … to the role, or let an owner start a worker once",
    )


async def _nodes(settings: Settings, queues: Sequence[str]) -> list[Finding]:
    database = Database(settings.database, application="qsuite-console")
    try:
        found = await RunTable(database, settings.runs.table).nodes(queues)
    except ConsoleError:
        return []  # the check of the table has said it
    finally:
        await database.close()
    if found is None:
        return [ok("nodes", "behind a pooler they can't be counted")]
    if alone := [queue for queue, count in found.items() if not count]:
        hint = "qsuite-console --headless, with the same settings, on a machine that shall do them"
        return [warn("nodes", f"none serves {', '.join(alone)}: its jobs wait", hint)]
    return [ok("nodes", ", ".join(f"{queue}: {count}" for queue, count in found.items()))]


def _extra() -> Finding:
    try:
        require_celery()
    except ConsoleError as error:
        return fail("celery", error.message, "or set execution = local for its queues")
    return ok("celery", f"{importlib.metadata.version('celery')}, kombu {importlib.metadata.version('kombu')}")


async def _broker(settings: Settings, queues: Sequence[str]) -> list[Finding]:
    if not settings.broker_url:
        return [fail("celery broker", "none is configured", "set celery.broker_url, or REDIS_URL")]
    cache = Cache(CacheSettings(url=settings.broker_url, timeout_s=settings.cache.timeout_s))
    broker = Broker(cache, prefix=settings.celery.key_prefix)
    try:
        with speaking_of_broker():
            info = await cache.info("memory", "server")
        answers = await broker.ask({"active_queues": {}})
    except ConsoleError as error:
        return [fail("celery broker", error.message, error.hint)]
    finally:
        await broker.close()
        await cache.close()
    policy = str(info.get("maxmemory_policy", "noeviction"))
    findings = [ok("celery broker", f"{broker.where}, {policy}")]
    if policy != "noeviction" and info.get("maxmemory"):
        findings = [
            warn(
                "celery broker",
                f"{broker.where} drops keys when its memory is full ({clean(policy, 40)}): messages too",
                "CONFIG SET maxmemory-policy noeviction, or give Celery a server of its own (celery.broker_url)",
            )
        ]
    return [*findings, _served(settings, queues, answers.of("active_queues"))]


def _served(settings: Settings, queues: Sequence[str], serving: Mapping[str, object]) -> Finding:
    """Say who serves the queues, by what workers answer."""
    found: dict[str, int] = dict.fromkeys(queues, 0)
    for answer in serving.values():
        names = (
            {each.get("name") for each in answer if isinstance(each, Mapping)} if isinstance(answer, list) else set()
        )
        for queue in queues:
            found[queue] += broker_queue(settings, queue) in names
    alone = [queue for queue, count in found.items() if not count]
    if alone:
        return warn(
            "celery workers",
            f"none serves {', '.join(alone)}: its jobs wait",
            f"qsuite-console celery-worker --queues {','.join(alone)}",
        )
    return ok("celery workers", ", ".join(f"{queue}: {count}" for queue, count in found.items()))
