"""A worker's typed parameters as a form, flags and HTTP need them: described field by field, decoded with every problem
named at once. The struct's own annotations are the only source: types, Literal and Enum choices, msgspec.Meta limits.
"""

from __future__ import annotations

import difflib
import functools
import re
import typing
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeVar

import msgspec
from msgspec import inspect

from qsuite_console.engine.ports import JobKind
from qsuite_console.model.errors import InvalidParameters
from qsuite_console.model.kinds import PATH, ParameterSpec
from qsuite_console.model.text import clean

S = TypeVar("S", bound=msgspec.Struct)
_YES_NO: Final = {"yes": True, "on": True, "y": True, "no": False, "off": False, "n": False}
_NAMES: Final[tuple[tuple[type[inspect.Type], str], ...]] = (
    (inspect.BoolType, "boolean"),
    (inspect.IntType, "integer"),
    (inspect.FloatType, "number"),
    (inspect.DecimalType, "number"),
    (inspect.DateType, "date"),
    (inspect.LiteralType, "choice"),
    (inspect.EnumType, "choice"),
    (inspect.ListType, "list"),
    (inspect.SetType, "list"),
    (inspect.VarTupleType, "list"),
)
_TEXTS: Final = frozenset({"text", "path"})
_EXPECTED: Final[Mapping[str, str]] = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "yes or no",
    "date": "a date like 2025-01-31",
    "list": "a list, separated by commas",
    "text": "text",
    "path": "text",
}


@functools.cache
def describe(parameters: type[msgspec.Struct]) -> tuple[ParameterSpec, ...]:
    """Return what a form or a flag needs of each field, in the order of the struct."""
    hints = _hints(parameters)
    return tuple(_spec(field, hints[field.name]) for field in _fields(parameters))


def needs_host(kind: JobKind, given: Mapping[str, Any]) -> bool:
    """Say whether a job can be done only on the machine that took it in: its kind says so, or it names files there."""
    return kind.needs_host or any(given.get(spec.name) for spec in describe(kind.parameters) if spec.type == "path")


def _fields(parameters: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(parameters)
    assert isinstance(info, inspect.StructType)
    return info.fields


@functools.cache
def _named(parameters: type[msgspec.Struct]) -> dict[str, ParameterSpec]:
    return {spec.name: spec for spec in describe(parameters)}


@functools.cache
def _hints(parameters: type[msgspec.Struct]) -> dict[str, Any]:
    return typing.get_type_hints(parameters, include_extras=True)


def _unwrap(found: inspect.Type) -> tuple[inspect.Type, dict[str, Any]]:
    """Return the type inside Metadata and ``X | None``, and what the metadata said."""
    schema: dict[str, Any] = {}
    while True:
        if isinstance(found, inspect.Metadata):
            schema = {**(found.extra_json_schema or {}), **schema}
            found = found.type
        elif isinstance(found, inspect.UnionType):
            some = [one for one in found.types if not isinstance(one, inspect.NoneType)]
            if len(some) != 1:
                return found, schema
            found = some[0]
        else:
            return found, schema


def _spec(field: inspect.Field, hint: Any) -> ParameterSpec:
    found, schema = _unwrap(field.type)
    examples = schema.get("examples") or ()
    return ParameterSpec(
        name=field.name,
        type="path" if schema.get("format") == PATH["format"] else _type_name(found),
        label=schema.get("title") or field.name.replace("_", " ").capitalize(),
        help=schema.get("description", ""),
        is_required=field.required,
        default=_default(field),
        choices=_choices(found, hint),
        minimum=_first(found, "ge", "gt"),
        maximum=_first(found, "le", "lt"),
        pattern=getattr(found, "pattern", None),
        placeholder=str(examples[0]) if examples else "",
    )


def _type_name(found: inspect.Type) -> str:
    return next((name for kind, name in _NAMES if isinstance(found, kind)), "text")


def _choices(found: inspect.Type, hint: Any) -> tuple[str, ...]:
    if isinstance(found, inspect.LiteralType):
        return _literal_values(hint)
    if isinstance(found, inspect.EnumType):
        return tuple(str(member.value) for member in found.cls)
    return ()


def _literal_values(hint: Any) -> tuple[str, ...]:
    """Return a Literal's values as they were written down: msgspec knows them only sorted."""
    if typing.get_origin(hint) is Literal:
        return tuple(str(value) for value in typing.get_args(hint))
    return next((values for part in typing.get_args(hint) if (values := _literal_values(part))), ())


def _default(field: inspect.Field) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.to_builtins(field.default_factory())
    return None if field.default is msgspec.NODEFAULT else msgspec.to_builtins(field.default)


def _first(found: inspect.Type, *names: str) -> float | None:
    return next((float(value) for name in names if (value := getattr(found, name, None)) is not None), None)


def decode(parameters: type[S], given: Mapping[str, Any]) -> S:
    """Return the struct, reading numbers, dates, booleans and lists from text where they come as such.

    Raises InvalidParameters naming every refused field; an empty text for anything but text counts as not given.
    """
    specs = _named(parameters)
    hints = _hints(parameters)
    problems: dict[str, str] = {}
    values: dict[str, Any] = {}
    for name, value in given.items():
        spec = specs.get(name)
        if spec is None:
            problems[name] = _unknown(name, specs)
        elif not (value is None or value == "") or (spec.type in _TEXTS and value == ""):
            try:
                values[name] = msgspec.convert(_lenient(spec, value), hints[name], strict=False)
            except msgspec.ValidationError as error:
                problems[name] = _refusal(spec, value, error)
    for spec in specs.values():
        if spec.is_required and spec.name not in problems and values.get(spec.name, "") == "":
            problems[spec.name] = "is required" + (f", for example {spec.placeholder}" if spec.placeholder else "")
    if problems:
        raise InvalidParameters(problems)
    try:
        return parameters(**values)
    except (ValueError, TypeError) as error:
        raise InvalidParameters({"": clean(error)}) from error


def _unknown(name: str, specs: Mapping[str, ParameterSpec]) -> str:
    close = difflib.get_close_matches(name, specs, n=1)
    known = f"did you mean {close[0]}?" if close else f"known are {', '.join(specs) or 'none'}"
    return f"is not a parameter; {known}"


def _lenient(spec: ParameterSpec, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value.strip()
    if spec.type == "boolean":
        return _YES_NO.get(text.lower(), text)
    if spec.type == "list":
        return [part for part in (piece.strip() for piece in text.split(",")) if part]
    return value if spec.type in _TEXTS else text


def _refusal(spec: ParameterSpec, value: Any, error: msgspec.ValidationError) -> str:
    shown = clean(value, 60)
    if spec.choices:
        close = difflib.get_close_matches(str(value), spec.choices, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}?" if close else f"one of {', '.join(spec.choices)}"
        return f"“{shown}” is not a choice; {hint}"
    limit = re.search(r"Expected `\w+` (.+?)(?: - at .*)?$", str(error))
    if limit:
        rule = limit[1].replace(">= ", "at least ").replace("<= ", "at most ").replace("matching regex", "of the form")
        return f"“{shown}” must be {rule}"
    if spec.type == "text" and "RFC3339" in str(error):  # an instant, which is typed as a text
        return f"“{shown}” is not a time like 2025-01-31T09:30:00Z"
    return f"“{shown}” is not {_EXPECTED.get(spec.type, 'valid')}"
