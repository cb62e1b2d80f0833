"""``ingest [FILE…|-]``: the job kind ``ingest`` for files named as arguments, or for what comes through standard input.

Standard input is spooled into a private file first, so that the job can be retried from its checkpoint; the file goes
when the job has succeeded, and stays, named, when it has not.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from qsuite_console.cli import flags, output
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.kinds import find_kind
from qsuite_console.cli.lazy import examples
from qsuite_console.cli.run import Options, run_one
from qsuite_console.model.errors import UsageProblem

_STDIN: Final = "-"
_BLOCK: Final = 1024 * 1024
_PARQUET: Final = b"PAR1"


@click.command(
    epilog=examples(
        "qsuite-console ingest bars.csv",
        "qsuite-console ingest 'bars/2025-*.jsonl' --timeframe 1Day --strict",
        "zcat bars.csv.gz | qsuite-console ingest - --create-symbols --json",
    )
)
@click.argument("files", nargs=-1, metavar="[FILE…|-]")
@click.option("--timeframe", metavar="NAME", help="Length of a bar.  [default: 1Min]")
@click.option("--table", metavar="NAME", help="Where to.  [default: price_ticks]")
@click.option("--strict", is_flag=True, help="One bad record refuses all: nothing is written.")
@click.option("--create-symbols", is_flag=True, help="Make tickers of unknown symbols instead of rejecting them.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Print the plan and do nothing.")
@click.option("--confirm", metavar="NAME", default="", help="Confirm by the target's name; production wants it.")
@click.option("--json", "is_json", is_flag=True, help="Print the result as JSON on stdout, one document a file.")
@click.pass_obj
def ingest(invocation: Invocation, /, *, files: tuple[str, ...], **given: Any) -> int:
    """Store records of bars (symbol, timestamp, open, high, low, close, volume); name each bad one.

    FILE is a CSV, JSON lines or Parquet file, a directory or a pattern; without one, or with -, standard input is read.
    Good records are kept, bad ones reported with line and reason and kept in a file. The same file again adds nothing.
    """
    sources = files or (_STDIN,)
    if sources.count(_STDIN) > 1 or (given["is_dry"] and _STDIN in sources):
        raise UsageProblem("standard input can be read only once, and not for --dry-run", hint="name files instead")
    if _STDIN in sources and sys.stdin.isatty():
        raise UsageProblem("standard input is the keyboard", hint="name a file, or send records through a pipe")
    codes = [_one(invocation, source, given) for source in sources]
    return max(codes)


def _one(invocation: Invocation, source: str, given: dict[str, Any]) -> int:
    if source != _STDIN:
        return _run(invocation, source, given)
    spool = _spool(invocation.paths.state / "spool", sys.stdin.buffer)
    code = 1
    try:
        code = _run(invocation, str(spool), given)
    finally:
        if code == 0:
            spool.unlink(missing_ok=True)
        else:
            output.note(f"what was read is kept: {spool}")
    return code


def _run(invocation: Invocation, path: str, given: dict[str, Any]) -> int:
    kind = find_kind("ingest")
    wanted: dict[str, Any] = {"path": path, "timeframe": given["timeframe"], "table": given["table"]}
    wanted |= {name: given[name] or None for name in ("strict", "create_symbols")}
    options = Options(
        kind=kind,
        parameters=flags.given(kind.parameters, {spec.name: wanted.get(spec.name) for spec in kind.parameters}),
        is_json=given["is_json"],
        is_dry=given["is_dry"],
        confirmation=given["confirm"],
    )
    return run_one(invocation, options)


def _spool(directory: Path, stream: BinaryIO) -> Path:
    """Copy a stream into a file of mode 0600, named by what its first bytes look like; raises UsageProblem."""
    first = stream.read(_BLOCK)
    if not first:
        raise UsageProblem("standard input is empty", hint="send CSV with a header, JSON lines or Parquet")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / f"stdin-{secrets.token_hex(8)}{_suffix(first)}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            block = first
            while block:
                file.write(block)
                block = stream.read(_BLOCK)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _suffix(first: bytes) -> str:
    if first.startswith(_PARQUET):
        return ".parquet"
    return ".jsonl" if first.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[") else ".csv"
