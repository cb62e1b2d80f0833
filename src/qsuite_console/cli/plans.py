"""A plan of a job as lines of text, the same wherever one is shown."""

from __future__ import annotations

from qsuite_console.cli import output
from qsuite_console.model.kinds import Plan


def print_plan(plan: Plan) -> None:
    """Write what a job would do; warnings go to stderr."""
    output.line(f"plan: {plan.title}")
    width = max((len(each.label) for each in plan.lines), default=0)
    for each in plan.lines:
        output.line(f"  {each.label.ljust(width)}  {each.value}{f'  ({each.note})' if each.note else ''}")
    for warning in plan.warnings:
        output.warning(warning)
    if plan.is_noop:
        output.line("nothing is to be done")
