"""The command tree's root and the one place where a failure becomes a line, a hint and an exit code."""

from __future__ import annotations

import errno
import logging
import os
import sys
from typing import Any, Final

import click

from qsuite_console import __version__
from qsuite_console.cli import output
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.lazy import LazyGroup, examples
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.text import clean

UNEXPECTED: Final = 70
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141
PROGRAM: Final = "qsuite-console"
_CLI: Final = "qsuite_console.cli"

VERBS: Final = {
    "attach": (f"{_CLI}.attach:attach", "open the console on an engine that runs already, here or elsewhere"),
    "stop": (f"{_CLI}.attach:stop", "let the engine that runs without a screen save its work and end"),
    "run": (f"{_CLI}.run:run", "run one job in the foreground"),
    "ingest": (f"{_CLI}.ingest:ingest", "store records of bars from files or standard input"),
    "warm": (f"{_CLI}.shortcuts:warm", "fill the cache: prices, market data, order books, positions"),
    "orders": (f"{_CLI}.shortcuts:orders", "fill pending orders on paper"),
    "api": (f"{_CLI}.shortcuts:api", "call addresses outside, one or fifty at once"),
    "jobs": (f"{_CLI}.jobs:jobs", "list, show, follow and steer jobs"),
    "schedules": (f"{_CLI}.schedules:schedules", "jobs that make themselves: list, add, pause, explain"),
    "queues": (f"{_CLI}.queues:queues", "list, pause, resume and resize queues"),
    "celery-worker": (f"{_CLI}.celery_worker:celery_worker", "run jobs of queues that are handed to Celery"),
    "act": (f"{_CLI}.act:act", "change the platform at once: cancel a query, apply a setting"),
    "audit": (f"{_CLI}.audit:audit", "who did what, from where, with what result"),
    "alerts": (f"{_CLI}.alerts:alerts", "what burns, what burned"),
    "pipelines": (f"{_CLI}.pipelines:pipelines", "pipelines of the platform, their runs and tasks"),
    "webhooks": (f"{_CLI}.webhooks:webhooks", "who is told of jobs and alerts, and what has arrived"),
    "status": (f"{_CLI}.status:status", "is it well: engine, jobs, readings"),
    "stats": (f"{_CLI}.status:stats", "success, failures and durations over a window"),
    "report": (f"{_CLI}.report:report", "make a report: PDF, HTML, JSON or CSV"),
    "reports": (f"{_CLI}.reports:reports", "list, show, open, copy and remove reports"),
    "analyze": (f"{_CLI}.analyze:analyze", "score the platform, say what to change and why"),
    "optimize": (f"{_CLI}.optimize:optimize", "say what would put the platform in shape; do what is safe"),
    "cleanup": (f"{_CLI}.cleanup:cleanup", "remove expired results and files; give cached keys a life"),
    "doctor": (f"{_CLI}.doctor:doctor", "check everything and say what to do"),
    "init": (f"{_CLI}.init:init", "ask for connections, test them, write the configuration"),
    "db": (f"{_CLI}.database:db", "create the platform's missing tables"),
    "config": (f"{_CLI}.configuration:config", "show settings and where each came from"),
    "sandbox": (f"{_CLI}.sandbox:sandbox", "a platform to try things on: real servers, sample data"),
    "completion": (f"{_CLI}.pages:completion", "print the completion script of a shell"),
    "man": (f"{_CLI}.pages:man", "print the manual page"),
}


@click.group(
    cls=LazyGroup,
    verbs=VERBS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110, "auto_envvar_prefix": None},
    epilog=examples(
        "qsuite-console                      open the console",
        "qsuite-console --target prod        on the platform [targets.prod] of the configuration",
        "qsuite-console --headless           the engine without a screen",
        "qsuite-console attach               the console on the engine that runs",
        "qsuite-console sandbox              try everything on sample data",
        "qsuite-console run backfill --symbols AAPL,MSFT --start 2025-01-02 --end 2025-12-31 --dry-run",
    ),
)
@click.option("--headless", is_flag=True, help="Run the engine without a screen until SIGTERM.")
@click.option("--background", is_flag=True, hidden=True, help="As --headless; what a console starts to hand over.")
@click.option("--target", metavar="NAME", help="Platform of the configuration to work on.")
@click.option("--read-only", is_flag=True, help="Refuse what would change the platform's data.")
@click.option("--theme", metavar="NAME", help="Theme of the screen.")
@click.option("--log-level", metavar="LEVEL", help="DEBUG, INFO, WARNING, ERROR or CRITICAL.")
@click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal.")
@click.option("--home", metavar="DIR", help="Keep configuration, state, data and logs under DIR.")
@click.version_option(__version__, "-V", "--version", prog_name=PROGRAM, message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, /, **flags: Any) -> int | None:
    """Operate a trading-data platform: live panels, durable jobs, verified backfills.

    Without a command the console opens on the configured platform.
    """
    ctx.obj = Invocation(
        target=flags["target"],
        is_read_only=flags["read_only"],
        theme=flags["theme"],
        log_level=flags["log_level"],
        has_mouse=not flags["no_mouse"],
        home=flags["home"],
    )
    if ctx.invoked_subcommand is not None:
        if flags["headless"] or flags["background"]:
            raise click.UsageError("--headless goes without a command, or after sandbox: sandbox --headless", ctx)
        return None
    from qsuite_console.cli.console import headless, screen

    if flags["background"]:
        from qsuite_console.cli.background import ORIGIN

        return headless(ctx.obj, origin=ORIGIN)
    return headless(ctx.obj) if flags["headless"] else screen(ctx.obj)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; nothing but SystemExit ever leaves here."""
    os.umask(0o077)
    _fill_closed_streams()
    logging.getLogger().addHandler(logging.NullHandler())  # else Python writes warnings to stderr, between our lines
    try:
        code = cli.main(args=arguments, prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except Exception as error:
        return _explain(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _fill_closed_streams() -> None:
    """Point standard streams that came closed at nothing: else the next file opened would get their number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


def _explain(error: Exception) -> int:
    try:
        return _say(error)
    except BrokenPipeError:
        return _silence(BROKEN_PIPE)


def _say(error: Exception) -> int:
    if isinstance(error, BrokenPipeError | output.ReaderLeft):
        return _silence(BROKEN_PIPE)
    if isinstance(error, click.exceptions.Abort):
        return INTERRUPTED
    if isinstance(error, click.ClickException):
        output.error(error.format_message(), _usage_hint(error))
        return error.exit_code
    if isinstance(error, ConsoleError):
        output.error(error.message, error.hint)
        return error.exit_code
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS):
        output.error(
            f"{error.filename or 'the output'}: can't be written: {error.strerror}", "make room and run it again"
        )
        return _silence(1)
    where = _write_traceback(error)
    output.error(
        f"unexpected {type(error).__name__}: {clean(error, 300)}", f"the traceback is in {where}" if where else ""
    )
    return UNEXPECTED


def _usage_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    if context is None:
        return ""
    if isinstance(error, click.NoSuchOption) and any(error.option_name in option.opts for option in cli.params):
        verb = context.command_path.removeprefix(PROGRAM).strip()
        return f"put {error.option_name} before the command: {PROGRAM} {error.option_name} … {verb}"
    return f"{context.command_path} --help"


def _write_traceback(error: Exception) -> str:
    """Return the log that now holds the traceback, "" when none can be written; begins one if it wasn't yet."""
    from qsuite_console import logs, paths

    root = logging.getLogger()
    if not any(isinstance(handler, logs.PrivateRotatingFile) for handler in root.handlers):
        logs.configure(paths.resolve().log_file)
    logging.getLogger(PROGRAM).error("unexpected failure", exc_info=error)
    files = [handler.baseFilename for handler in root.handlers if isinstance(handler, logs.PrivateRotatingFile)]
    return files[0] if files else ""


def _silence(code: int) -> int:
    """Point stdout at nothing, so that the interpreter's last flush can't fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return code
