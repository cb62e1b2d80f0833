"""``config``: every setting with its value and origin; secrets are masked, always."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from qsuite_console.cli import output
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.lazy import ListedGroup, examples
from qsuite_console.config.loading import ConfigurationProblem
from qsuite_console.config.schema import walk
from qsuite_console.config.secrets import Secret


@click.group(
    cls=ListedGroup,
    epilog=examples("qsuite-console config show --origin", "qsuite-console --target prod config show --json"),
)
def config() -> None:
    """Show settings and where each came from."""


@config.command(epilog=examples("qsuite-console config show --origin | grep database"))
@click.option("--origin", is_flag=True, help="Say where each value came from.")
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def show(invocation: Invocation, *, origin: bool, is_json: bool) -> None:
    """Print the resolved settings; secrets are masked."""
    loaded = invocation.loaded
    rows = [(key, value, loaded.origins[key]) for key, value in walk(loaded.settings)]
    if is_json:
        output.document(
            {
                "settings": {key: _plain(value) for key, value, _ in rows},
                "origins": {key: where for key, _, where in rows},
                "file": str(invocation.base.config_file),
                "targets": loaded.targets,
            }
        )
    elif origin:
        output.table(("setting", "value", "origin"), [(key, _shown(value), where) for key, value, where in rows])
    else:
        output.table(("setting", "value"), [(key, _shown(value)) for key, value, _ in rows])


@config.command(epilog=examples("qsuite-console config path", "qsuite-console config path --json | jq -r .history"))
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def path(invocation: Invocation, *, is_json: bool) -> None:
    """Print where the configuration file is, and whether it exists."""
    try:
        paths = invocation.paths
    except ConfigurationProblem:  # what is wrong is in the file that is asked for
        paths = invocation.base
    places = {
        "config_file": str(paths.config_file),
        "exists": paths.config_file.exists(),
        "state": str(paths.state),
        "data": str(paths.data),
        "cache": str(paths.cache),
        "log_file": str(paths.log_file),
        "history": str(paths.history),
        "socket": str(paths.socket),
    }
    if is_json:
        output.document(places)
    else:
        output.line(paths.config_file)
        if not paths.config_file.exists():
            output.note("it doesn't exist yet; qsuite-console init writes it")


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return str(value) or None
    return dict(value) if isinstance(value, Mapping) else value


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={each}" for name, each in value.items())
    return "" if value is None else str(value)
