"""One backfill while it runs, and what became of it afterwards: the same place, the same figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final

from textual.content import Content

from qsuite_console.model.jobs import Job, JobDetail, JobState
from qsuite_console.model.text import clean
from qsuite_console.widgets import figures, looks
from qsuite_console.widgets.braille import finite
from qsuite_console.widgets.gauge import gauge_line
from qsuite_console.widgets.tile import trend

WIDE: Final = 100  # from here on the throughput stands beside the figures
_PER_SECOND: Final = " rows/s"
_SLOT: Final = 22  # cells of one labelled figure
_BAD: Final = frozenset({"429s", "quarantined", "retries"})
Pair = tuple[str, str]


def number(values: Mapping[str, Any], name: str) -> float | None:
    """Return a figure as a number, or None where it is missing or is a word."""
    value = values.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def head(job: Job, width: int, *, more: str = "") -> Content:
    """Return state, title and number of a job; at the right its phase."""
    look = looks.of_job(job.state, attempt=job.tries, is_cancelling=job.cancel_requested)
    phase = clean(job.progress.figures.get("phase", ""), 20) if job.state is JobState.RUNNING else look.word
    tail = [phase or look.word, f"try {job.tries} of {job.max_attempts}" if job.tries > 1 else "", more]
    right = Content.styled("  ".join(part for part in tail if part), looks.TONES[look.tone])
    left = Content.assemble(
        (f"{look.glyph} ", looks.TONES[look.tone]),
        (clean(job.title, 200), "bold $foreground"),
        (f"  #{job.id}", "$dim"),
    ).truncate(max(1, width - right.cell_length - 2), ellipsis=True)
    return Content.assemble(left, " " * max(1, width - left.cell_length - right.cell_length), right)


def bar(job: Job, width: int, *, ended: str = "") -> Content:
    """Return the progress bar with per cent and the time that is left, or how it ``ended``."""
    progress = job.progress
    eta = ended or ("paused" if job.state is JobState.PAUSED else f"{figures.countdown(progress.eta_s)} left")
    words = f" {figures.percent(progress.fraction):>4}  {eta if progress.fraction is not None else 'no estimate yet'}"
    done, rest = figures.bar(progress.fraction, max(4, width - len(words)))
    return Content.assemble((done, "$primary"), (rest, "$track"), (words, "$foreground"))


def live_pairs(job: Job) -> list[Pair]:
    """Return the labelled figures of a running backfill."""
    values = job.progress.figures
    return [
        ("requests", _of(values, "requests", "requests_total")),
        ("rows", figures.count(number(values, "rows"))),
        ("429s", figures.count(number(values, "http_429"))),
        ("symbols", _of(values, "symbols_done", "symbols_total")),
        ("received", figures.size(number(values, "bytes"))),
        ("retries", figures.count(number(values, "retries"))),
        ("rows/s", figures.short(number(values, "rows_per_s"))),
        ("elapsed", elapsed(job)),
        ("quarantined", figures.count(number(values, "quarantined"))),
    ]


def elapsed(job: Job) -> str:
    """Return how long the newest attempt has run, as far as its last report."""
    until = job.finished_at or job.progress.updated_at
    if job.started_at is None or until is None:
        return figures.DASH
    return figures.duration((until - job.started_at).total_seconds())


def _of(values: Mapping[str, Any], done: str, total: str) -> str:
    whole = number(values, total)
    text = figures.count(number(values, done))
    return f"{text}/{figures.count(whole)}" if whole is not None else text


def columns(pairs: Sequence[Pair], width: int) -> list[Content]:
    """Return labelled figures in as many columns as fit, filled line by line; a column's figures stand in line."""
    count = max(1, min(len(pairs), width // _SLOT, 3))
    slot = width // count
    margins = [max((len(label) for label, _ in pairs[at::count]), default=0) + 2 for at in range(count)]
    lines: list[Content] = []
    for start in range(0, len(pairs), count):
        parts: list[Content] = []
        for at, (label, value) in enumerate(pairs[start : start + count]):
            tone = "bold $warning" if label in _BAD and value not in {"0", figures.DASH} else "bold $foreground"
            entry = Content.assemble((f"{label:<{margins[at]}}", "$dim"), (value, tone)).truncate(
                slot - 1, ellipsis=True
            )
            parts.append(Content.assemble(entry, " " * max(0, slot - entry.cell_length)))
        lines.append(Content("").join(parts).rstrip())
    return lines


def live_lines(job: Job, rates: Sequence[float | None], width: int, height: int, *, more: str = "") -> list[Content]:
    """Return a running backfill in at most ``height`` lines, the most needed ones first."""
    top = [head(job, width, more=more)]
    if job.state is not JobState.RUNNING:
        top += [part.truncate(width, ellipsis=True) for part in waiting_lines(job)]
        if job.progress.updated_at is None:
            return top[:height]
    top.append(bar(job, width))
    is_plotted = len(finite(rates)) > 1
    if width >= WIDE and is_plotted:
        share = width * 2 // 3 if width < 140 else width * 3 // 5
        left = _figures(job, share - 2)
        right = trend(rates, width - share - len(_PER_SECOND), max(1, min(height - len(top), 10)), "", "$primary")
        rows = zip_longest(left, right, fillvalue=Content(""))
        beside = [
            Content.assemble(a, " " * (share - a.cell_length), b, (_PER_SECOND if index == 0 else "", "$dim"))
            for index, (a, b) in enumerate(rows)
        ]
        return [*top, *beside][:height]
    lines = [*top, *_figures(job, width)]
    if is_plotted and height - len(lines) >= 4:
        lines += [Content(""), Content.styled("rows per second", "$dim")]
    if is_plotted and height > len(lines):
        lines += trend(rates, width, min(height - len(lines), 10), "", "$primary")
    return lines[:height]


def waiting_lines(job: Job) -> list[Content]:
    """Return why a live backfill does not run now, and what would change that."""
    reason = clean(job.reason or "", 200)
    match job.state:
        case JobState.PAUSED:
            text = "goes on from its checkpoint when it is resumed"
        case JobState.INTERRUPTED:
            text = "resumes from its checkpoint as soon as an engine takes it up"
        case JobState.SCHEDULED:
            text = reason or "waits for its time"
        case _:
            text = f"waits for a free slot of the queue {clean(job.queue, 40)}"
    lines = [Content.styled(text, "$foreground")]
    if reason and reason != text:
        lines.append(Content.styled(reason, "$dim"))
    if job.error:
        lines.append(Content.styled(f"last try: {clean(job.error, 300)}", "$warning"))
    return lines


def _figures(job: Job, width: int) -> list[Content]:
    if job.state is not JobState.RUNNING:  # a rate limit of then says nothing of now
        return columns(live_pairs(job), width)
    values = job.progress.figures
    gauge = gauge_line(
        "rate limit", number(values, "rate_remaining"), number(values, "rate_limit"), number(values, "rate_reset_s"),
        width=width,
    )  # fmt: skip
    message = Content.styled(_message(job), "$dim").truncate(width, ellipsis=True)
    return [*columns(live_pairs(job), width), gauge, message]


def _message(job: Job) -> str:
    message = clean(job.progress.message, 200)
    months = clean(job.progress.figures.get("months_running", ""), 60)
    parts = [clean(job.reason or "", 200), message, months if months not in message else ""]
    return " · ".join(part for part in parts if part)


def result_lines(detail: JobDetail, width: int, height: int, *, ended: str) -> list[Content]:
    """Return what became of a backfill: verified or not, and the figures behind it."""
    job, result = detail.job, detail.result or {}
    lines = [head(job, width, more=ended)]
    if job.error:
        lines += list(Content.styled(clean(job.error, 600), "$error").wrap(width))[:3]
    if job.state is not JobState.SUCCEEDED:
        text = "What is written stays. Retry, on the job's page, takes it up from its checkpoint."
        lines += list(Content.styled(text, "$dim").wrap(width))
        if job.progress.figures:
            lines += [bar(job, width, ended="when it ended"), *columns(live_pairs(job), width)]
    if "verified" in result:
        is_verified = bool(result["verified"])
        present, expected = number(result, "rows_present"), number(result, "rows_expected")
        lines.append(
            Content.assemble(
                ("✔ verified" if is_verified else "✖ not verified", "bold $success" if is_verified else "bold $error"),
                (f"  {figures.count(present)} of {figures.count(expected)} expected rows are stored", "$foreground"),
            ).truncate(width, ellipsis=True)
        )
    if result:
        lines += columns(result_pairs(job, result), width)
    told = [*missing_lines(result), *restored_lines(result)]
    lines += [Content.styled(text, "$foreground").truncate(width, ellipsis=True) for text in told]
    return lines[:height]


def restored_lines(result: Mapping[str, Any]) -> list[str]:
    """Return what had vanished from the table since it was fetched and was asked for again, in one line."""
    found = result.get("restored")
    items = [item for item in (found if isinstance(found, list | tuple) else ()) if isinstance(item, Mapping)]
    if not items:
        return []
    lost = sum((number(item, "fetched") or 0) - (number(item, "present") or 0) for item in items)
    names = ", ".join(clean(item.get("symbol", ""), 20) for item in items[:4])
    more = f" and {len(items) - 4} more" if len(items) > 4 else ""
    return [f"↻ fetched again: {figures.count(lost)} rows that were missing from {names}{more}"]


def missing_lines(result: Mapping[str, Any]) -> list[str]:
    """Return what is missing after all, one line each: "AAPL 2025-03-03 to 2025-03-28: 14 of 20 rows"."""
    found = result.get("missing")
    return [
        f"✖ {clean(item.get('symbol', ''), 20)} {_day(item, 'from')} to {_day(item, 'to')}: "
        f"{figures.count(number(item, 'present'))} of {figures.count(number(item, 'fetched'))} fetched rows are stored"
        for item in (found if isinstance(found, list | tuple) else ())
        if isinstance(item, Mapping)
    ]


def _day(item: Mapping[str, Any], name: str) -> str:
    return clean(str(item.get(name, ""))[:10])


def result_pairs(job: Job, result: Mapping[str, Any]) -> list[Pair]:
    """Return the labelled figures of a finished backfill."""
    return [
        ("symbols", figures.count(number(result, "symbols"))),
        ("written", figures.count(number(result, "rows_written"))),
        ("429s", figures.count(number(result, "http_429"))),
        ("requests", figures.count(number(result, "requests"))),
        ("rows/s", figures.short(number(result, "rows_per_s"))),
        ("quarantined", figures.count(number(result, "quarantined"))),
        ("took", elapsed(job)),
        ("symbols/s", figures.short(number(result, "symbols_per_s"))),
        ("retries", figures.count(number(result, "retries"))),
    ]
