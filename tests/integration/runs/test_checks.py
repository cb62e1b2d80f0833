"""``doctor`` on queues that nodes do: whether anybody serves them."""

from __future__ import annotations

from dataclasses import replace

from fakes.handing import ToldWorker, node
from fakes.jobs import until
from qsuite_console.cli.checks import Verdict
from qsuite_console.cli.checks.handing import handing
from qsuite_console.config.queues import QueuePlan
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import DatabaseSettings, Settings
from qsuite_console.model.handing import Execution


async def test_it_counts_the_nodes_of_each_queue(database_dsn: str) -> None:
    plan = QueuePlan(name="general", execution=Execution.NODES)
    database = DatabaseSettings(dsn=Secret(database_dsn), pool_min=0)
    settings = Settings(database=database, queues={"general": plan})
    table, nodes = await handing(settings)
    assert table.what == "qsuite.job_run will be made by the first job that is handed out"
    assert (nodes.verdict, nodes.what) == (Verdict.WARN, "none serves general: its jobs wait")
    async with node(database_dsn, ToldWorker()), node(database_dsn, ToldWorker()):

        async def counted() -> bool:
            return (await handing(settings))[1].what == "general: 2"

        await until(counted, 40)
    pooled = replace(settings, database=replace(database, pgbouncer=True))
    assert (await handing(pooled))[1].what == "behind a pooler they can't be counted"
