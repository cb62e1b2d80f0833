"""How a kind of job describes itself: from this the form, the flags, the schema and the validation are made (C8)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

PATH: Final = {"format": "path"}  # extra_json_schema of a text that names files: front ends make it absolute


class ParameterSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One typed parameter. ``type`` is one of text, path, integer, number, boolean, choice, date, list."""

    name: str  # python_name; the flag is --python-name
    type: str
    label: str
    help: str = ""
    is_required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None
    placeholder: str = ""


class KindInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of job as front ends see it."""

    name: str
    title: str
    description: str
    queue: str
    priority: int
    soft_limit_s: float
    hard_limit_s: float
    max_attempts: int
    parameters: tuple[ParameterSpec, ...] = ()
    can_plan: bool = False
    changes_data: bool = True


class PlanLine(msgspec.Struct, frozen=True, kw_only=True):
    """One labelled figure of a plan: ("requests", "26", "39 symbols a request")."""

    label: str
    value: str
    note: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a job would do, before it does it (``--dry-run``). ``figures`` is the machine-readable form."""

    kind: str
    title: str
    lines: tuple[PlanLine, ...] = ()
    warnings: tuple[str, ...] = ()
    figures: dict[str, Any] = {}
    is_noop: bool = False


class FieldProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why one parameter is refused; ``field`` is the parameter's name, or "" for the whole."""

    field: str
    message: str
