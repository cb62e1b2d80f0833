"""``warm prices``, ``orders settle``: kinds whose name has a dot, said as two words. The same verbs as ``run KIND``."""

from __future__ import annotations

import click

from qsuite_console.cli.kinds import KindBroken, find_kind, known_kinds
from qsuite_console.cli.lazy import NamedGroup, examples
from qsuite_console.cli.run import command_for


def _group(prefix: str, help_text: str, *shown: str) -> NamedGroup:
    """Return a group of the kinds whose names begin with ``prefix`` and a dot."""

    def names() -> tuple[str, ...]:
        begin = f"{prefix}."
        return tuple(name.removeprefix(begin) for name in known_kinds() if name.startswith(begin))

    def make(name: str) -> click.Command:
        return command_for(find_kind(f"{prefix}.{name}"))

    def purpose(name: str) -> str:
        try:
            return find_kind(f"{prefix}.{name}").description
        except KindBroken:
            return "can't be loaded; qsuite-console doctor says why"

    return NamedGroup(
        prefix, heading="Kinds", names=names, make=make, purpose=purpose, help=help_text, epilog=examples(*shown)
    )


warm = _group(
    "warm",
    "Fill the cache before anybody asks: the same jobs as run warm.KIND.",
    "qsuite-console warm prices",
    "qsuite-console warm market-data --most 500 --dry-run",
    "qsuite-console warm positions --active-days 1 --json",
)
orders = _group(
    "orders",
    "Fill pending orders on paper: the same job as run orders.settle.",
    "qsuite-console orders settle --dry-run",
    "qsuite-console orders settle --limit-orders --json",
)
api = _group(
    "api",
    "Call addresses outside, one or fifty: the same jobs as run api.KIND.",
    "qsuite-console api call --url https://api.example.com/v1/status",
    "qsuite-console api call --url https://api.example.com/v1 --headers 'Authorization: Bearer secret:broker' --json",
    'qsuite-console api bulk --calls "$(cat calls.json)" --json',
)
