"""``report``: one report made in the foreground, shown as text, and copied to where it is wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from qsuite_console.cli import output
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.jobs import json_option
from qsuite_console.cli.kinds import find_kind
from qsuite_console.cli.lazy import examples
from qsuite_console.cli.reports import checked_copy, copy, extent
from qsuite_console.cli.run import Options, run_one
from qsuite_console.cli.shelf import Shelf
from qsuite_console.model.errors import UsageProblem
from qsuite_console.reports.storage import FORMATS

_NAMES: Final = ("performance", "jobs", "market", "backfill", "custom")


@click.command(
    epilog=examples(
        "qsuite-console report                                   scores, trends and findings, as text and PDF",
        "qsuite-console report market --symbols AAPL,MSFT --export market.pdf",
        "qsuite-console report jobs --hours 168 --export jobs.csv",
        "qsuite-console report custom --query 'SELECT symbol, count(*) FROM price_ticks GROUP BY 1' --format html",
        "qsuite-console run report --help                        everything that can be asked for",
    )
)
@click.argument("name", type=click.Choice(_NAMES), default="performance")
@click.option("--format", "form", type=click.Choice(FORMATS), help="Kind of file; that of --export, else pdf.")
@click.option("--hours", type=float, metavar="N", help="Hours back from now.  [default: 24]")
@click.option("--symbols", metavar="TEXT", help="Of market: AAPL,MSFT, or gainers or losers.")
@click.option("--query", metavar="SQL", help="Of custom: one SELECT, run read only.")
@click.option("--template", metavar="FILE", help="Jinja template instead of the built-in page.")
@click.option("--zone", metavar="NAME", help="Time zone of all times, as Europe/Berlin.")
@click.option("--export", metavar="FILE", help="Also copy it there; .pdf, .html, .json or .csv.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
@json_option
@click.pass_obj
def report(
    invocation: Invocation,
    /,
    *,
    name: str,
    form: str | None,
    export: str | None,
    force: bool,
    is_json: bool,
    **given: Any,
) -> int:
    """Make a report, show it as text and keep it as a file for a week.

    The reports: performance (scores, limits, trends, findings), jobs, market (prices, volatility, volume, coverage),
    backfill (is what was fetched still there), custom (a query of your own).

    Exit codes: as of run.
    """
    target = checked_copy(export, is_forced=force) if export is not None else None
    wanted = _format(form, target)
    template = given.pop("template")
    parameters = {"name": name, "format": wanted, **{key: value for key, value in given.items() if value is not None}}
    if template:
        parameters["template"] = str(Path(template).expanduser().absolute())
    shelf = Shelf(invocation)
    options = Options(kind=find_kind("report"), parameters=parameters, is_json=is_json)

    def show(result: dict[str, Any]) -> None:
        seen = shelf.preview(str(result["file"]))
        found = seen.report
        for line in seen.lines:
            output.line(line)
        output.line()
        output.pairs([("file", found.path), ("size", extent(found)), ("expires", output.instant(found.expires_at))])

    def take(result: dict[str, Any]) -> None:
        if target is not None:
            with shelf.file(shelf.find(str(result["file"]))) as source:
                copy(source, target, is_forced=force)

    options.show, options.take = show, take
    return run_one(invocation, options)


def _format(form: str | None, target: Path | None) -> str:
    suffix = "" if target is None else target.suffix.lower().removeprefix(".")
    if target is not None and suffix not in FORMATS and form is None:
        raise UsageProblem(f"{target}: no such format", hint=f"end its name with {', '.join(f'.{f}' for f in FORMATS)}")
    if form is not None and suffix in FORMATS and form != suffix:
        raise UsageProblem(f"{target} is no {form} file", hint=f"end its name with .{form}, or leave --format away")
    return form or suffix or "pdf"
