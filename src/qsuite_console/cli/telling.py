"""``jobs tell`` and ``jobs untell``: who is told of the end of one job, whatever else they are told of."""

from __future__ import annotations

from typing import Any

import click

from qsuite_console.cli.act import Request, perform, sure_options
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.lazy import examples
from qsuite_console.cli.operations import find_operation


@click.command(epilog=examples("qsuite-console jobs tell 412 desk"))
@click.argument("job_id", type=click.IntRange(1))
@click.argument("endpoint")
@sure_options
@click.pass_obj
def tell(invocation: Invocation, /, *, job_id: int, endpoint: str, **given: Any) -> int:
    """Tell ENDPOINT, a webhook, program or e-mail of the configuration, when a job has ended; now if it has."""
    return _perform(invocation, "jobs.tell", job_id, endpoint, given)


@click.command(epilog=examples("qsuite-console jobs untell 412 desk"))
@click.argument("job_id", type=click.IntRange(1))
@click.argument("endpoint")
@sure_options
@click.pass_obj
def untell(invocation: Invocation, /, *, job_id: int, endpoint: str, **given: Any) -> int:
    """Take back that ENDPOINT is told of a job's end."""
    return _perform(invocation, "jobs.untell", job_id, endpoint, given)


def _perform(invocation: Invocation, operation: str, job_id: int, endpoint: str, given: dict[str, Any]) -> int:
    request = Request(
        operation=find_operation(operation),
        parameters={"job": job_id, "endpoint": endpoint},
        verb=f"qsuite-console {operation.replace('.', ' ')}",
        **given,
    )
    return perform(invocation, request)
