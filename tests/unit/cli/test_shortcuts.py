"""``warm X`` and ``orders X`` are ``run warm.X`` and ``run orders.X``: the same flags, the same help, nothing else."""

from __future__ import annotations

from typing import Any

import click
import pytest

from qsuite_console.cli.main import cli
from qsuite_console.workers import REGISTRY


@pytest.mark.parametrize("group", ["warm", "orders"])
def test_the_verbs_of_a_group_are_those_of_run(group: str) -> None:
    with click.Context(cli) as ctx:
        found: Any = cli.get_command(ctx, group)
        run: Any = cli.get_command(ctx, "run")
        names = found.list_commands(ctx)
        assert [f"{group}.{name}" for name in names] == [kind for kind in sorted(REGISTRY) if kind.startswith(group)]
        for name in names:
            mine, theirs = found.get_command(ctx, name), run.get_command(ctx, f"{group}.{name}")
            assert mine.get_help(ctx) == theirs.get_help(ctx)
        assert found.get_command(ctx, "nothing") is None
