"""``NAME KEY=VALUE…`` as it is typed after ``:act`` and ``:run``, understood or refused in one line."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Mapping, Sequence

from qsuite_console.model.errors import UsageProblem
from qsuite_console.model.kinds import ParameterSpec
from qsuite_console.model.text import clean


def parse_pairs(
    argument: str, known: Mapping[str, Sequence[ParameterSpec]], *, verb: str, what: str
) -> tuple[str, dict[str, str]]:
    """Return name and parameters; ``known`` are the names with their parameters. Raises UsageProblem."""
    try:
        name, *pairs = shlex.split(argument)
    except ValueError:
        raise UsageProblem("a quote is not closed", hint='write name="several words"') from None
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known) or 'none'}"
        raise UsageProblem(f"there is no {what} {clean(name, 60)}", hint=hint)
    parameters: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            usage = " ".join(f"{spec.name}=…" for spec in known[name])
            raise UsageProblem(f"{clean(pair, 60)} is no name=value", hint=f"{verb} {name} {usage}".rstrip())
        parameters[key.replace("-", "_")] = value
    return name, parameters
