"""``cleanup``: what has outlived its use, counted first: the console's history and files, cached keys without a life.

The two jobs ``cleanup`` and ``cache.cleanup``, planned together and done one after the other.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any, Final

import click

from qsuite_console.cli import output
from qsuite_console.cli.confirming import can_ask
from qsuite_console.cli.connect import ORIGIN, any_engine
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.jobs import json_option
from qsuite_console.cli.lazy import examples
from qsuite_console.cli.performing import Performer, confirmed, print_summary
from qsuite_console.cli.plans import print_plan
from qsuite_console.engine.ports import Claiming
from qsuite_console.model.errors import ConsoleError, InvalidParameters
from qsuite_console.model.kinds import Plan
from qsuite_console.model.optimizing import Step

_OWN: Final = "cleanup"
_CACHE: Final = "cache.cleanup"


@click.command(
    epilog=examples(
        "qsuite-console cleanup                     count what would go",
        "qsuite-console cleanup --apply             do it",
        "qsuite-console cleanup --apply --no-cache --keep-days 1",
        "qsuite-console --target prod cleanup --apply --confirm prod --json",
    )
)
@click.option("--apply", "--yes", "-y", "is_sure", is_flag=True, help="Do it without asking.")
@click.option("--keep-days", metavar="N", help="Days that files of the console are kept.  [default: 7]")
@click.option("--life-s", metavar="N", help="Seconds given to cached keys that never expire.  [default: 3600]")
@click.option("--no-cache", is_flag=True, help="Leave the cache alone.")
@click.option("--confirm", metavar="NAME", default="", help="Confirm by the target's name; production wants it.")
@json_option
@click.pass_obj
def cleanup(invocation: Invocation, /, *, is_sure: bool, is_json: bool, **given: Any) -> int:
    """Remove expired results, old history and files of the console; give cached keys that never expire a life.

    Says first what would go, with counts and bytes; at a terminal it asks, elsewhere only --apply does it. What the
    cache holds of families that are not the platform's is reported and left alone.

    Exit codes: 0 shown or done, 1 a step failed or was refused, 2 usage, 130 interrupted.
    """
    invocation.start_log()
    wanted = [(_OWN, {} if given["keep_days"] is None else {"keep_days": given["keep_days"]})]
    if not given["no_cache"] and invocation.loaded.settings.cache.url:
        wanted.append((_CACHE, {} if given["life_s"] is None else {"life_s": given["life_s"]}))
    plans = _plans(invocation, wanted)
    if not is_json:
        for plan in plans:
            print_plan(plan)
    steps = _steps(plans, dict(wanted))
    if not steps or not (is_sure or (not is_json and _agrees())):
        if is_json:
            output.document({"plans": plans, "performed": None})
        elif steps:
            output.note("nothing was changed; --apply does it")
        return 0
    changes_data = any(step.kind == _CACHE for step in steps)
    name = confirmed(invocation, given["confirm"], "a life for cached keys", changes_data=changes_data)
    performer = Performer(invocation, confirmation=name)
    done = performer.perform(steps)
    if is_json:
        output.document({"plans": plans, "performed": done})
    else:
        print_summary(done)
    return performer.exit_code


def _plans(invocation: Invocation, wanted: list[tuple[str, dict[str, Any]]]) -> list[Plan]:
    """Return what each job would do; a cache that is away is told and costs only its own part."""
    plans = []
    with ExitStack() as stack:
        control = any_engine(invocation, stack, claim=Claiming.NONE, origin=ORIGIN)
        for kind, parameters in wanted:
            try:
                plans.append(asyncio.run(control.plan(kind, parameters)))
            except InvalidParameters as error:
                flags = {f"--{name.replace('_', '-')}": why for name, why in error.problems.items()}
                raise InvalidParameters(flags, hint="qsuite-console cleanup --help") from error
            except ConsoleError as error:
                if kind == _OWN:
                    raise
                output.warning(f"the cache is left alone: {error.message}{f' ({error.hint})' if error.hint else ''}")
    return plans


def _steps(plans: list[Plan], parameters: dict[str, dict[str, Any]]) -> list[Step]:
    wanted = [plan for plan in plans if not plan.is_noop]
    return [
        Step(number=number, title=plan.title, subject=plan.kind, kind=plan.kind, parameters=parameters[plan.kind])
        for number, plan in enumerate(wanted, start=1)
    ]


def _agrees() -> bool:
    return can_ask() and click.confirm("Do it now?", default=False, err=True)
