"""``webhooks``: who is told of jobs, alerts and schedules, what has arrived, and delivering again.

Answers come from the running engine, else from the history it left; what changes goes the way of ``act``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, closing
from typing import Any, Final, TypeVar

import click
import msgspec

from qsuite_console.cli import output
from qsuite_console.cli.act import Request, perform, sure_options
from qsuite_console.cli.connect import running_engine
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.jobs import json_option
from qsuite_console.cli.lazy import ListedGroup, examples
from qsuite_console.cli.operations import find_operation
from qsuite_console.history.reader import HistoryReader, open_reader
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.deliveries import (
    Delivery,
    DeliveryDetail,
    DeliveryPage,
    DeliveryQuery,
    DeliveryState,
    EndpointList,
    EndpointView,
)
from qsuite_console.model.errors import HistoryMissing, NotFound

S = TypeVar("S", bound=msgspec.Struct)
Reading = Callable[[HistoryReader | None, str], Coroutine[Any, Any, S]]
_STATES: Final = tuple(state.value for state in DeliveryState)


@click.group(
    cls=ListedGroup,
    invoke_without_command=True,
    epilog=examples(
        "qsuite-console webhooks",
        "qsuite-console webhooks test desk",
        "qsuite-console webhooks log --state dead",
        "qsuite-console webhooks redeliver 41",
    ),
)
@json_option
@click.pass_context
def webhooks(ctx: click.Context, *, is_json: bool) -> None:
    """List who is told of jobs, alerts and schedules: by webhooks, programs and e-mail; see what has arrived."""
    if ctx.invoked_subcommand is None:
        _list(ctx.obj, is_json=is_json)


@webhooks.command("list", epilog=examples("qsuite-console webhooks list --json"))
@json_option
@click.pass_obj
def list_(invocation: Invocation, *, is_json: bool) -> None:
    """List everybody who is told, of what, and how their deliveries stand."""
    _list(invocation, is_json=is_json)


@webhooks.command(
    "log",
    epilog=examples("qsuite-console webhooks log --endpoint desk", "qsuite-console webhooks log --state dead --json"),
)
@click.option("--endpoint", default="", metavar="NAME", help="Only of this one.")
@click.option("--state", type=click.Choice(_STATES), help="Only those that stand so.")
@click.option("--text", default="", metavar="WORDS", help="Only with these words: event, subject or error.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Deliveries a page.")
@click.option("--before", type=int, metavar="NUMBER", help="The page below (see next_before of the last one).")
@json_option
@click.pass_obj
def log_(invocation: Invocation, /, **given: Any) -> None:
    """List deliveries, newest first."""
    is_json = given.pop("is_json")
    state = given.pop("state")
    query = DeliveryQuery(state=DeliveryState(state) if state else None, **given)
    asked = {name: value for name, value in msgspec.to_builtins(query).items() if value not in (None, "")}

    async def read(reader: HistoryReader | None, target: str) -> DeliveryPage:
        return DeliveryPage() if reader is None else await reader.deliveries.page(target, query)

    page = _ask(invocation, "webhooks.log", asked, DeliveryPage, read)
    if is_json:
        output.document(page)
    elif not page.deliveries:
        output.note("nothing was delivered")
    else:
        output.table(
            ("number", "at", "to", "event", "of", "state"),
            [
                (d.number, output.instant(d.created_at), d.endpoint, d.event, d.subject, _standing(d))
                for d in page.deliveries
            ],
            flexible=5,
        )
        if page.next_before is not None:
            output.note(f"more: add --before {page.next_before}")


@webhooks.command(epilog=examples("qsuite-console webhooks show 41", "qsuite-console webhooks show 41 --json"))
@click.argument("number", type=int)
@json_option
@click.pass_obj
def show(invocation: Invocation, number: int, *, is_json: bool) -> None:
    """Show one delivery with each of its tries and what was sent."""

    async def read(reader: HistoryReader | None, target: str) -> DeliveryDetail:
        if reader is None:
            raise NotFound(f"there is no delivery {number}: nothing was delivered yet")
        return await reader.deliveries.detail(target, number)

    detail = _ask(invocation, "webhooks.delivery", {"number": number}, DeliveryDetail, read)
    if is_json:
        output.document(detail)
        return
    one = detail.delivery
    output.pairs(
        [
            ("delivery", f"{one.number}"),
            ("id", one.id),
            ("to", one.endpoint),
            ("event", f"{one.event}, {one.subject}"),
            ("state", _standing(one)),
        ]
    )
    if detail.tries:
        output.table(
            ("try", "at", "took", "result"),
            [
                (number, output.instant(t.at), f"{t.latency_ms or 0:,.0f} ms", t.error or f"arrived{_status(t.status)}")
                for number, t in enumerate(detail.tries, 1)
            ],
            flexible=3,
        )
    output.line(one.body)


@webhooks.command(
    epilog=examples("qsuite-console webhooks redeliver 41", "qsuite-console webhooks redeliver 41 42 --yes")
)
@click.argument("numbers", type=int, nargs=-1, required=True, metavar="NUMBER…")
@sure_options
@click.pass_obj
def redeliver(invocation: Invocation, /, numbers: tuple[int, ...], **given: Any) -> int:
    """Deliver again, with the same id: from the start of the schedule, also what was given up."""
    codes = [_perform(invocation, "webhooks.redeliver", {"number": number}, given) for number in numbers]
    return max(codes)


@webhooks.command(epilog=examples("qsuite-console webhooks test desk --yes"))
@click.argument("name")
@sure_options
@click.pass_obj
def test(invocation: Invocation, /, name: str, **given: Any) -> int:
    """Send a notice that says it is a test, and tell how it went."""
    return _perform(invocation, "webhooks.test", {"endpoint": name}, given)


@webhooks.command(epilog=examples("qsuite-console webhooks enable desk"))
@click.argument("name")
@sure_options
@click.pass_obj
def enable(invocation: Invocation, /, name: str, **given: Any) -> int:
    """Tell an endpoint again that answered 410 Gone."""
    return _perform(invocation, "webhooks.enable", {"endpoint": name}, given)


def _perform(invocation: Invocation, operation: str, parameters: dict[str, Any], given: dict[str, Any]) -> int:
    return perform(
        invocation,
        Request(
            operation=find_operation(operation),
            parameters=parameters,
            **given,
            verb=operation.replace(".", " "),
        ),
    )


def _ask(invocation: Invocation, probe: str, asked: dict[str, Any], kind: type[S], read: Reading[S]) -> S:
    """Return what the engine answers, else what the history says."""
    with ExitStack() as stack:
        engine = running_engine(invocation, stack)
        if engine is not None:
            answer = asyncio.run(engine.ask(probe, asked))
            assert isinstance(answer, kind)
            return answer
    output.note("no engine runs: this is what it left; nothing is delivered now")
    target = invocation.loaded.settings.target.name
    try:
        with closing(open_reader(invocation.paths.history)) as reader:
            found = asyncio.run(read(reader, target))
    except HistoryMissing:
        found = asyncio.run(read(None, target))
    assert isinstance(found, kind)
    return found


def _list(invocation: Invocation, *, is_json: bool) -> None:
    settings = invocation.loaded.settings

    from qsuite_console.notify.carriers import carriers
    from qsuite_console.notify.probes import list_endpoints
    from qsuite_console.providers.outgoing import OutgoingClient

    endpoints = {**settings.notify, **settings.webhooks}
    ways = carriers(OutgoingClient(), settings.smtp)
    problems = {name: ways[endpoint.way].problem(endpoint) for name, endpoint in endpoints.items()}

    async def read(reader: HistoryReader | None, target: str) -> EndpointList:
        book = None if reader is None else reader.deliveries
        return await list_endpoints(endpoints, book, target, SystemClock(), problems)

    found = _ask(invocation, "webhooks.list", {}, EndpointList, read)
    if is_json:
        output.document(found)
    elif not found.endpoints:
        output.note("nobody is told: declare [webhooks.NAME] or [notify.NAME]")
    else:
        output.table(
            ("name", "by", "to", "told of", "waits", "dead", "arrived", "last", "state"),
            [
                (e.name, e.way, e.where, ", ".join(e.events), e.waiting, e.dead, e.delivered,
                 "never" if e.last_at is None else output.instant(e.last_at), _state(e))
                for e in found.endpoints
            ],
            flexible=3,
        )  # fmt: skip


def _state(one: EndpointView) -> str:
    if not one.enabled:
        return "off"
    if one.disabled_at is not None:
        return f"told nothing since {output.instant(one.disabled_at)}: {one.disabled_why}"
    if not one.problem and one.failing:
        return f"failing: {one.failing}"
    return one.problem or "ok"


def _standing(one: Delivery) -> str:
    if one.state is DeliveryState.DELIVERED:
        return f"arrived{_status(one.status)}{f'; {one.error}' if one.error else ''}"
    if one.state is DeliveryState.DEAD:
        return f"given up: {one.error}"
    if one.next_at is None or not one.error:
        return "waits for its first try"
    return f"{one.error}; next try {output.instant(one.next_at)}"


def _status(status: int | None) -> str:
    return "" if status is None else f", answered {status}"
