"""Flags made from typed parameters, the same for jobs and operations: a parameter is given one way everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from qsuite_console.model.kinds import ParameterSpec

RESERVED: Final = frozenset({"json", "dry-run", "queue", "priority", "help", "new", "yes", "confirm"})
_METAVARS: Final = {"path": "PATH", "date": "DATE", "integer": "N", "number": "N", "list": "A,B"}


def flag_of(spec: ParameterSpec) -> str:
    """Return the flag of a parameter; one that would hide a flag of the verb's own gets a prefix."""
    name = spec.name.replace("_", "-")
    return f"--param-{name}" if name in RESERVED else f"--{name}"


def given(specs: tuple[ParameterSpec, ...], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that were given; a path as an absolute one, since another process may do the work."""
    return {spec.name: _value(spec, values[spec.name]) for spec in specs if values[spec.name] is not None}


def _value(spec: ParameterSpec, value: Any) -> Any:
    return str(Path(value.strip()).expanduser().absolute()) if spec.type == "path" and value.strip() else value


def option(spec: ParameterSpec) -> click.Option:
    """Return the flag with its help, example, default and choices."""
    flag = flag_of(spec)
    text = spec.help or spec.label
    if spec.placeholder and not spec.choices and spec.placeholder not in text:
        text = f"{text}, for example {spec.placeholder}"
    if spec.default not in (None, "", False, ()):
        text = f"{text}  [default: {spec.default}]"
    if spec.type == "boolean":
        return click.Option([spec.name, f"{flag}/--no-{flag.removeprefix('--')}"], default=None, help=text)
    return click.Option(
        [spec.name, flag],
        type=click.Choice(spec.choices) if spec.choices else str,
        required=spec.is_required,
        metavar=None if spec.choices else _METAVARS.get(spec.type, "TEXT"),
        help=text,
    )


def sample(specs: tuple[ParameterSpec, ...]) -> str:
    """Return the flags of an example: what is required, or the first that has an example."""
    shown = [spec for number, spec in enumerate(specs) if spec.is_required or (not number and spec.placeholder)]
    return " ".join(f"{flag_of(spec)} {_sample(spec)}" for spec in shown)


def _sample(spec: ParameterSpec) -> str:
    if spec.placeholder.startswith(("[", "{")):  # JSON is too long for a line of examples
        return f'"$(cat {spec.name}.json)"'
    return (spec.placeholder or next(iter(spec.choices), "…")).split()[0]
