"""Small pure parts of the command line: ids, windows, durations, tables, flags."""

from __future__ import annotations

import click
import pytest

from fakes.backfilling import backfill_kind
from qsuite_console.cli import output
from qsuite_console.cli.flags import flag_of
from qsuite_console.cli.jobs import parse_ids
from qsuite_console.cli.run import command_for
from qsuite_console.cli.status import parse_window
from qsuite_console.model.errors import UsageProblem
from qsuite_console.model.kinds import KindInfo, ParameterSpec


@pytest.mark.parametrize(
    ("texts", "ids"),
    [
        (["12"], [12]),
        (["12-15"], [12, 13, 14, 15]),
        (["3..5", "4", "1"], [3, 4, 5, 1]),
        (["7,9", "8"], [7, 9, 8]),
    ],
)
def test_ids_and_ranges(texts: list[str], ids: list[int]) -> None:
    assert parse_ids(texts) == ids


@pytest.mark.parametrize("text", ["x", "0", "5-3", "-3", "1-", "", "1 2", "1-99999999", "9" * 30])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        parse_ids([text])
    assert caught.value.exit_code == 2
    assert caught.value.hint


def test_windows() -> None:
    assert [parse_window(text) for text in ("90", "90s", "15m", "1.5h", "7d")] == [90, 90, 900, 5400, 604_800]
    for text in ("", "soon", "0s", "1000d", "-5m"):
        with pytest.raises(UsageProblem):
            parse_window(text)


def test_durations_are_short_and_never_round_into_sixty() -> None:
    seconds = (0, 0.25, 9.99, 12, 59.7, 60, 200, 3599.9, 7500, 360_000, None)
    assert [output.duration(each) for each in seconds] == [
        "0.0s", "0.2s", "10.0s", "12s", "1m 00s", "1m 00s", "3m 20s", "1h 00m", "2h 05m", "4d 04h", "",
    ]  # fmt: skip


def test_numbers() -> None:
    assert [output.number(value) for value in (31200, 1.5, 2.0, True, "x")] == ["31,200", "1.50", "2", "True", "x"]


def test_tables_align_and_neutralise_what_comes_from_outside(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("job", "title"), [(1, "a\x1b]0;pwned\x07"), (12, "two\nlines")])
    text = capsys.readouterr().out
    assert text.splitlines()[0] == "job  title"
    assert "\x1b" not in text
    assert "\x07" not in text
    assert len(text.splitlines()) == 3


def test_errors_are_one_line_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    output.error("it\nbroke \x1b[31m", "mend it")
    assert capsys.readouterr().err == "error: it broke ␛[31m\nhint: mend it\n"


def test_a_kinds_parameters_become_flags() -> None:
    command = command_for(backfill_kind())
    flags = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    assert {"--symbols", "--timeframe", "--start", "--refresh", "--no-refresh", "--json", "--dry-run"} <= flags
    timeframe = next(param for param in command.params if param.name == "timeframe")
    assert isinstance(timeframe.type, click.Choice)
    text = command.get_help(click.Context(command, info_name="backfill"))
    assert "Examples:" in text
    assert "--symbols" in text


def test_a_parameter_never_hides_an_own_flag() -> None:
    assert flag_of(ParameterSpec(name="json", type="boolean", label="x")) == "--param-json"
    assert flag_of(ParameterSpec(name="dry_run", type="boolean", label="x")) == "--param-dry-run"
    kind = KindInfo(
        name="x", title="X", description="", queue="general", priority=5, soft_limit_s=1, hard_limit_s=2,
        max_attempts=1,
        parameters=(ParameterSpec(name="queue", type="text", label="q"),),
    )  # fmt: skip
    assert {"--queue", "--param-queue"} <= {option for param in command_for(kind).params for option in param.opts}
