"""``queues``: depth and slots of each queue; pause, resume and resize them live."""

from __future__ import annotations

from collections.abc import Iterable

import click

from qsuite_console.cli import output
from qsuite_console.cli.archive import Reads
from qsuite_console.cli.connect import ORIGIN, changing, reading
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.jobs import json_option
from qsuite_console.cli.lazy import ListedGroup, examples
from qsuite_console.model.jobs import QueueView


@click.group(
    cls=ListedGroup,
    invoke_without_command=True,
    epilog=examples(
        "qsuite-console queues",
        "qsuite-console queues pause maintenance",
        "qsuite-console queues resize general 8",
    ),
)
@json_option
@click.pass_context
def queues(ctx: click.Context, *, is_json: bool) -> None:
    """List, pause, resume and resize queues."""
    if ctx.invoked_subcommand is None:
        _list(ctx.obj, is_json=is_json)


@queues.command("list", epilog=examples("qsuite-console queues list --json"))
@json_option
@click.pass_obj
def list_(invocation: Invocation, *, is_json: bool) -> None:
    """List queues with their slots, depth and pauses."""
    _list(invocation, is_json=is_json)


@queues.command(epilog=examples("qsuite-console queues pause maintenance"))
@click.argument("name")
@json_option
@click.pass_obj
def pause(invocation: Invocation, name: str, *, is_json: bool) -> None:
    """Start no more jobs of the queue; those running go on."""
    _print(
        [changing(invocation, lambda control: control.set_queue(name, is_paused=True, origin=ORIGIN))], is_json=is_json
    )


@queues.command(epilog=examples("qsuite-console queues resume maintenance"))
@click.argument("name")
@json_option
@click.pass_obj
def resume(invocation: Invocation, name: str, *, is_json: bool) -> None:
    """Start jobs of the queue again."""
    _print(
        [changing(invocation, lambda control: control.set_queue(name, is_paused=False, origin=ORIGIN))], is_json=is_json
    )


@queues.command(epilog=examples("qsuite-console queues resize general 8"))
@click.argument("name")
@click.argument("slots", type=click.IntRange(0, 1000))
@json_option
@click.pass_obj
def resize(invocation: Invocation, name: str, slots: int, *, is_json: bool) -> None:
    """Run up to SLOTS jobs of the queue at once."""
    _print(
        [changing(invocation, lambda control: control.set_queue(name, concurrency=slots, origin=ORIGIN))],
        is_json=is_json,
    )


def _list(invocation: Invocation, *, is_json: bool) -> None:
    async def ask(control: Reads) -> tuple[QueueView, ...]:
        return control.state.queues

    _print(reading(invocation, ask), is_json=is_json)


def print_queues(queues: Iterable[QueueView]) -> None:
    """Print queues as a table."""
    output.table(
        ("queue", "slots", "running", "queued", "scheduled", ""),
        [(q.name, q.concurrency, q.running, q.queued, q.scheduled, _remark(q)) for q in queues],
    )


def _remark(queue: QueueView) -> str:
    away = f"done by {'nodes' if queue.execution == 'nodes' else 'Celery workers'}" * (queue.execution != "local")
    return ", ".join(filter(None, ("paused" if queue.is_paused else "", away)))


def _print(queues: Iterable[QueueView], *, is_json: bool) -> None:
    queues = tuple(queues)
    output.document(queues) if is_json else print_queues(queues)
