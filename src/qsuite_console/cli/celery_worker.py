"""``celery-worker``: work for consoles by way of a Celery broker."""

from __future__ import annotations

import click

from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.lazy import examples
from qsuite_console.config.settings import QUEUES, Settings
from qsuite_console.distributed.celery_pipe import broker_url, require_celery
from qsuite_console.model.errors import ReadOnly, UsageProblem
from qsuite_console.model.handing import Execution


@click.command(
    "celery-worker",
    epilog=examples(
        "qsuite-console celery-worker --queues data_processing,analytics --concurrency 4",
        "qsuite-console --target prod celery-worker",
    ),
)
@click.option("--queues", metavar="A,B", help="Queues to serve; without it those with execution = celery.")
@click.option("--concurrency", type=click.IntRange(1, 256), metavar="N", help="Jobs at once; celery.concurrency.")
@click.option("--name", metavar="NAME@HOST", help="Name of this worker in Celery; made from its pid.")
@click.pass_obj
def celery_worker(invocation: Invocation, *, queues: str | None, concurrency: int | None, name: str | None) -> int:
    """Run jobs of queues that are handed to Celery, until SIGTERM.

    SIGTERM lets running jobs save their checkpoint; another worker goes on from there. Exit codes: 0 stopped as asked,
    1 otherwise.
    """
    require_celery()
    settings = invocation.loaded.settings
    if settings.target.read_only:
        raise ReadOnly(
            f"the target {settings.target.name} is read-only: no job is taken from it",
            hint="what a worker does is written to its database; take read_only away, or run it elsewhere",
        )
    chosen = _chosen(settings, queues)
    broker_url(settings)
    from qsuite_console.celery_worker import serve

    invocation.start_log(on_stderr=True)
    return serve(
        settings,
        invocation.paths,
        queues=chosen,
        concurrency=concurrency or settings.celery.concurrency,
        name=name or "",
    )


def _chosen(settings: Settings, given: str | None) -> list[str]:
    """Return the queues to serve, each once; refuses unknown ones and none at all."""
    if given is None:
        names = [name for name, plan in settings.queues.items() if plan.execution is Execution.CELERY]
        if not names:
            raise UsageProblem(
                "no queue is handed to Celery",
                hint='set [queues.NAME] execution = "celery", or name them with --queues',
            )
        return names
    names = list(dict.fromkeys(name.strip() for name in given.split(",") if name.strip()))
    known = {*QUEUES, *settings.engine.queues}
    strange = [name for name in names if name not in known]
    if strange or not names:
        wrong = f"there is no queue {strange[0]!r}" if strange else "no queue is named"
        raise UsageProblem(wrong, hint=f"queues: {', '.join(sorted(known))}")
    return names
