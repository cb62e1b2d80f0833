"""``reports``: what was made and is still there; read from the directory, or from the engine elsewhere."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from qsuite_console.cli import output
from qsuite_console.cli.act import Request, perform, sure_options
from qsuite_console.cli.connect import ORIGIN, changing
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.jobs import json_option
from qsuite_console.cli.lazy import examples
from qsuite_console.cli.operations import find_operation
from qsuite_console.cli.shelf import Shelf
from qsuite_console.engine.control import Control
from qsuite_console.model import units
from qsuite_console.model.errors import ConsoleError, UsageProblem
from qsuite_console.model.reports import ReportInfo
from qsuite_console.screens.files import open_file


@click.group(
    epilog=examples(
        "qsuite-console reports list",
        "qsuite-console reports show last",
        "qsuite-console reports export last ~/market.pdf",
    )
)
def reports() -> None:
    """List, show, open, copy, send and remove reports. REPORT is a name, its beginning, or last."""


@reports.command("list", epilog=examples("qsuite-console reports list --json | jq -r '.reports[].path'"))
@json_option
@click.pass_obj
def list_reports(invocation: Invocation, *, is_json: bool) -> None:
    """List the reports that are there, newest first."""
    found, now = Shelf(invocation).list(), datetime.now(UTC)
    if is_json:
        output.document(found)
        return
    if not found.reports:
        output.note("no reports; make one: qsuite-console report")
        return
    output.table(
        ("file", "title", "target", "made", "expires", "size", "window"),
        [
            (
                r.file,
                f"{r.title}{' (not complete)' if r.is_partial else ''}",
                r.target,
                output.instant(r.created_at),
                "expired" if r.expires_at <= now else output.instant(r.expires_at),
                extent(r),
                r.window,
            )
            for r in found.reports
        ],
        flexible=6,
    )
    output.note(f"{units.size(found.bytes)} of {units.size(found.limit)} in {found.directory}")


@reports.command("show", epilog=examples("qsuite-console reports show last", "qsuite-console reports show market-12"))
@click.argument("report")
@json_option
@click.pass_obj
def show_report(invocation: Invocation, *, report: str, is_json: bool) -> None:
    """Print a report as text."""
    found = Shelf(invocation).preview(report)
    if is_json:
        output.document({"report": found.report, "lines": found.lines})
        return
    for line in found.lines:
        output.line(line)


@reports.command("open", epilog=examples("qsuite-console reports open last"))
@click.argument("report")
@json_option
@click.pass_obj
def open_report(invocation: Invocation, *, report: str, is_json: bool) -> None:
    """Open a report with its program, or print its path."""
    shelf = Shelf(invocation)
    found = shelf.find(report)
    if shelf.where:
        raise ConsoleError(
            f"{found.file} is on the machine of {shelf.where}", hint=f"qsuite-console reports export {found.file} ."
        )
    if not is_json:
        output.line(found.path)
    why = open_file(found.path)
    if is_json:
        output.document({"report": found.file, "path": found.path, "is_opened": not why})
    if why:
        output.note(f"{why}; copy it with scp, or see it as text: qsuite-console reports show")


@reports.command("export", epilog=examples("qsuite-console reports export last ~/market.pdf"))
@click.argument("report")
@click.argument("file")
@click.option("--force", is_flag=True, help="Overwrite the file.")
@json_option
@click.pass_obj
def export_report(invocation: Invocation, *, report: str, file: str, force: bool, is_json: bool) -> None:
    """Copy a report to FILE, or into the directory FILE."""
    shelf = Shelf(invocation)
    found = shelf.find(report)
    wanted = Path(file).expanduser()
    target = checked_copy(str(wanted / found.file if wanted.is_dir() else wanted), is_forced=force)
    with shelf.file(found) as source:
        copy(source, target, is_forced=force)
    if is_json:
        output.document({"report": found.file, "path": str(target), "bytes": target.stat().st_size})


@reports.command(
    "remove", epilog=examples("qsuite-console reports remove market-12", "qsuite-console reports remove --expired")
)
@click.argument("names", nargs=-1, metavar="[REPORT]...")
@click.option("--expired", is_flag=True, help="All that have expired.")
@json_option
@click.pass_obj
def remove_reports(invocation: Invocation, *, names: tuple[str, ...], expired: bool, is_json: bool) -> None:
    """Remove reports."""
    if not names and not expired:
        raise UsageProblem("no report is named", hint="qsuite-console reports list shows them; or --expired")
    shelf, now = Shelf(invocation), datetime.now(UTC)
    files = [found.file for found in shelf.list().reports if found.expires_at <= now] if expired else []
    files += [shelf.find(name).file for name in names]

    async def remove(control: Control) -> None:
        for file in dict.fromkeys(files):
            await control.perform("reports.remove", {"file": file}, origin=ORIGIN)

    if files:
        changing(invocation, remove)
    gone = [*dict.fromkeys(files), *(shelf.remove_expired(now) if expired else ())]
    if is_json:
        output.document({"removed": gone})
    else:
        output.note(f"removed: {', '.join(gone)}" if gone else "nothing has expired")


@reports.command(
    "send",
    epilog=examples("qsuite-console reports send last desk", "qsuite-console reports send market-12 board --yes"),
)
@click.argument("report")
@click.argument("endpoint")
@sure_options
@click.pass_obj
def send_report(invocation: Invocation, /, *, report: str, endpoint: str, **given: Any) -> int:
    """Send a report with its file to a webhook, program or e-mail.

    ENDPOINT is its name in the configuration. It is tried again until it has arrived: qsuite-console webhooks log.
    What a schedule makes is sent by run report --send ENDPOINT, which schedules take as send=ENDPOINT.
    """
    return perform(
        invocation,
        Request(
            operation=find_operation("reports.send"),
            parameters={"file": report, "endpoint": endpoint},
            verb="qsuite-console reports send",
            **given,
        ),
    )


def extent(report: ReportInfo) -> str:
    """Return how much it is: "4 pages, 210 KiB"."""
    pages = f"{report.pages} page{'s' if report.pages > 1 else ''}, " if report.pages else ""
    return f"{pages}{units.size(report.bytes)}"


def checked_copy(file: str, *, is_forced: bool) -> Path:
    """Refuse a file that can't be written before anything is made for it."""
    path = Path(file).expanduser().absolute()
    if not path.parent.is_dir():
        raise UsageProblem(f"{path.parent}: there is no such directory", hint="make it first")
    if path.is_dir():
        raise UsageProblem(f"{path} is a directory", hint="name a file")
    if path.exists() and not is_forced:
        raise ConsoleError(f"{path} exists", hint="name another file, or overwrite it with --force")
    return path


def copy(source: Path, target: Path, *, is_forced: bool) -> None:
    """Copy a file as a whole or not at all, with mode 0600, and say so; raises ConsoleError."""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file, source.open("rb") as report:
                shutil.copyfileobj(report, file)
                file.flush()
                os.fsync(file.fileno())
            if is_forced:
                Path(temporary).replace(target)
            else:
                os.link(temporary, target)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except FileExistsError as error:
        raise ConsoleError(f"{target} exists", hint="name another file, or overwrite it with --force") from error
    except OSError as error:
        raise ConsoleError(f"{target} can't be written: {error.strerror}", hint="name a file of yours") from error
    output.note(f"copied to {target}")
