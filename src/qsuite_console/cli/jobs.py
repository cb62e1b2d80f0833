"""``jobs``: what the Jobs screen shows and does, as verbs."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import click
import msgspec

from qsuite_console.cli import output
from qsuite_console.cli.archive import Reads
from qsuite_console.cli.connect import ORIGIN, changing, readable, reading
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.lazy import ListedGroup, examples
from qsuite_console.cli.progress import describe
from qsuite_console.cli.telling import tell, untell
from qsuite_console.model.errors import EngineGone, UsageProblem
from qsuite_console.model.jobs import TERMINAL, JobAction, JobDetail, JobPage, JobQuery, JobState, LogLine

MOST_IDS: Final = 10_000
_RANGE: Final = re.compile(r"(\d{1,18})(?:(?:-|\.\.)(\d{1,18}))?")
_CLOSING_S: Final = 2.0  # an engine that ends writes its last lines after it stopped answering
_FOLLOW_S: Final = 0.4  # longer than lines take from a job to the history

json_option = click.option("--json", "is_json", is_flag=True, help="Print JSON.")


@click.group(
    cls=ListedGroup,
    epilog=examples(
        "qsuite-console jobs list --state running --state queued",
        "qsuite-console jobs show 12",
        "qsuite-console jobs logs 12 --follow",
        "qsuite-console jobs cancel 12 15-18",
    ),
)
def jobs() -> None:
    """List, show, follow and steer jobs, whichever process runs them."""


@jobs.command("list", epilog=examples("qsuite-console jobs list --state failed --text AAPL --json"))
@click.option(
    "--state", "states", multiple=True, type=click.Choice([str(state) for state in JobState]), help="Only these."
)
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only these kinds.")
@click.option("--queue", "queues", multiple=True, metavar="QUEUE", help="Only these queues.")
@click.option("--text", default="", metavar="TEXT", help="Only with this in title, kind, error or parameters.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Jobs a page.")
@click.option("--before", type=int, metavar="ID", help="The page below this job (see next_before of the last page).")
@json_option
@click.pass_obj
def list_(invocation: Invocation, /, *, is_json: bool, **filters: Any) -> None:
    """List jobs, newest first."""
    filters["states"] = tuple(JobState(state) for state in filters["states"])
    query = JobQuery(**filters)
    page = reading(invocation, lambda control: control.jobs(query))
    output.document(page) if is_json else _print_page(page)


@jobs.command(epilog=examples("qsuite-console jobs show 12 --json"))
@click.argument("job_id", type=click.IntRange(1))
@json_option
@click.pass_obj
def show(invocation: Invocation, job_id: int, *, is_json: bool) -> None:
    """Show everything about one job: parameters, attempts, result."""
    detail = reading(invocation, lambda control: control.job(job_id))
    output.document(detail) if is_json else print_detail(detail)


@jobs.command(epilog=examples("qsuite-console jobs logs 12 -f", "qsuite-console jobs logs 12 --json"))
@click.argument("job_id", type=click.IntRange(1))
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until the job ends.")
@click.option("--after", type=click.IntRange(0), default=0, metavar="NUMBER", help="Only lines above this number.")
@json_option
@click.pass_obj
def logs(invocation: Invocation, job_id: int, *, follow: bool, after: int, is_json: bool) -> None:
    """Print the job's log; with --json an array, with --follow --json one object a line as they come."""
    kept: list[LogLine] = []
    is_array = is_json and not follow
    tail = _Tail(job_id, after, kept.append if is_array else output.document if is_json else _print_line)
    has_lost = False
    while True:
        with readable(invocation) as reads:
            is_answered = bool(reads.state.owner)
            try:
                asyncio.run(tail.print(reads, is_following=follow and is_answered))
                if has_lost:
                    asyncio.run(tail.settle(reads, _CLOSING_S))
            except EngineGone:
                has_lost = True
                continue  # it ended meanwhile: what is left is in the history, or with the engine that took over
        if follow and not tail.has_ended:
            output.note(f"no engine runs job {job_id}; it is {tail.state}")
        if is_array:
            output.document(kept)
        return


def _action(action: JobAction, text: str, example: str) -> click.Command:
    @click.argument("job_ids", nargs=-1, required=True, metavar="ID|FROM-TO…")
    @json_option
    @click.pass_obj
    def run(invocation: Invocation, job_ids: tuple[str, ...], *, is_json: bool) -> int:
        wanted = parse_ids(job_ids)
        starts_work = action in (JobAction.RETRY, JobAction.RESUME)
        results = changing(
            invocation, lambda control: control.act(action, wanted, origin=ORIGIN), starts_work=starts_work
        )
        if is_json:
            output.document(results)
        else:
            output.table(
                ("job", "done", "what"), [(r.job_id, "yes" if r.is_done else "no", r.message) for r in results]
            )
        return 0 if all(result.is_done for result in results) else 1

    run.__doc__ = text
    return click.command(str(action), help=text, epilog=examples(example))(run)


for _each, _text, _example in (
    (JobAction.CANCEL, "Cancel jobs; a running one stops within a second and keeps its checkpoint.", "jobs cancel 12"),
    (JobAction.RETRY, "Queue failed or cancelled jobs again, from their checkpoint.", "jobs retry 12 15-18"),
    (JobAction.PAUSE, "Hold jobs; a running one saves its checkpoint first.", "jobs pause 12"),
    (JobAction.RESUME, "Let held jobs go on.", "jobs resume 12"),
    (JobAction.PROFILE, "Have live jobs say at the end of their log where their time went.", "jobs profile 12"),
    (JobAction.DELETE, "Remove finished jobs from the history with all they own.", "jobs delete 1-100"),
):
    jobs.add_command(_action(_each, _text, f"qsuite-console {_example}"))
jobs.add_command(tell)
jobs.add_command(untell)


def parse_ids(texts: Sequence[str]) -> list[int]:
    """Return job ids from "12", "12-15" and "12,14", without repetition, in the order given."""
    ids: dict[int, None] = {}
    for part in (part for text in texts for part in text.split(",") if part):
        match = _RANGE.fullmatch(part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not match or first < 1 or last < first:
            raise UsageProblem(f"{part!r} is not a job id or a range", hint="for example: 12, 12-15 or 12,14")
        if last - first + len(ids) >= MOST_IDS:
            raise UsageProblem(f"{part!r} names too many jobs", hint=f"at most {MOST_IDS:,} at a time")
        ids.update(dict.fromkeys(range(first, last + 1)))
    if not ids:
        raise UsageProblem("no job is named", hint="for example: 12, 12-15 or 12,14")
    return list(ids)


def print_detail(detail: JobDetail) -> None:
    """Print one job for people."""
    job = detail.job
    pairs: list[tuple[str, object]] = [
        ("job", job.id),
        ("kind", job.kind),
        ("title", job.title),
        ("state", f"{job.state}{', cancelling' if job.cancel_requested and job.state not in TERMINAL else ''}"),
        ("reason", job.reason),
        ("error", job.error),
        ("progress", describe(job) if job.state is JobState.RUNNING else _fraction(job.progress.fraction)),
        ("queue", f"{job.queue}, priority {job.priority}"),
        ("created", output.instant(job.created_at)),
        ("started", output.instant(job.started_at)),
        ("finished", output.instant(job.finished_at)),
        ("tries", f"{job.tries} of {job.max_attempts}{f', {job.rescues} rescues' if job.rescues else ''}"),
        ("asked by", job.origin),
        ("correlation", job.correlation_id),
        *((f"  {name}", _value(value)) for name, value in job.parameters.items()),
    ]
    output.pairs((name, value) for name, value in pairs if value not in (None, ""))
    if detail.result:
        output.line()
        output.line("result")
        output.pairs((f"  {name}", _value(value)) for name, value in detail.result.items())
    if detail.attempts:
        output.line()
        output.table(
            ("attempt", "outcome", "waited", "ran", "cpu", "error"),
            [
                (a.number, a.outcome or "running", *map(output.duration, (a.wait_s, a.run_s, a.cpu_s)), a.error)
                for a in detail.attempts
            ],
            flexible=5,
        )


def result_rows(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Return a result as labelled texts."""
    return [(name, _value(value)) for name, value in result.items()]


class _Tail:
    """Prints a job's log from where it stopped, whichever process answers."""

    def __init__(self, job_id: int, after: int, write: Callable[[LogLine], None]) -> None:
        self._job_id = job_id
        self._after = after
        self._write = write
        self.state = JobState.QUEUED

    @property
    def has_ended(self) -> bool:
        """Return whether there will be no more lines."""
        return self.state in TERMINAL

    async def print(self, reads: Reads, *, is_following: bool) -> None:
        """Print what is there, and with ``is_following`` what comes until the job ends."""
        while True:
            self.state = (await reads.job(self._job_id)).job.state
            await self._print_new(reads)
            if not is_following:
                return
            await self.settle(reads)
            if self.has_ended:
                return

    async def settle(self, reads: Reads, seconds: float = 0) -> None:
        """Print what reaches the history within the next moment, or within ``seconds``."""
        until = time.monotonic() + seconds
        while True:
            await asyncio.sleep(_FOLLOW_S)
            await self._print_new(reads)
            if time.monotonic() >= until:
                return

    async def _print_new(self, reads: Reads) -> None:
        while lines := await reads.logs(self._job_id, after=self._after):
            for line in lines:
                self._write(line)
                self._after = line.number
            output.flush()


def _print_line(line: LogLine) -> None:
    output.line(f"{output.instant(line.at)} {line.level:<7} {line.message}")


def _print_page(page: JobPage) -> None:
    if not page.jobs:
        output.note("no jobs")
        return
    output.table(
        ("job", "state", "kind", "title", "done", "created", "what"),
        [
            (
                job.id,
                job.state,
                job.kind,
                job.title,
                _fraction(job.progress.fraction),
                output.instant(job.created_at),
                job.error or job.reason,
            )
            for job in page.jobs
        ],
        flexible=3,
    )
    if page.next_before is not None:
        output.note(f"more: add --before {page.next_before}")


def _fraction(fraction: float | None) -> str:
    return "" if fraction is None else f"{fraction * 100:.0f} %"


def _value(value: Any) -> str:
    if value is None or value in ([], {}, ""):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    if isinstance(value, dict | list):
        return msgspec.json.encode(value, enc_hook=str).decode("utf-8")
    return output.number(value)
