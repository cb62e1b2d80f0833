"""What programs print, however they print it; and what becomes of values in arguments."""

from __future__ import annotations

import random
import time

import pytest

from qsuite_console.config.commands import Command, Parameter
from qsuite_console.logs import REDACTOR
from qsuite_console.workers.command import arguments
from qsuite_console.workers.command.lines import LAST, LONGEST, Lines


def fed(data: bytes, sizes: list[int], limit_kb: int = 1024) -> tuple[list[str], Lines]:
    lines, found, at = Lines(limit_kb), [], 0
    for size in sizes:
        found += lines.feed(data[at : at + size])
        at += size
    found += lines.feed(data[at:])
    found += lines.close()
    return found, lines


def test_lines_are_the_same_however_the_output_is_cut() -> None:
    data = "one\r\ntwo\rthree\n\nfünf €\r\r\nsix".encode()
    dice = random.Random(7)
    for _ in range(300):
        sizes = [dice.randint(1, 5) for _ in range(dice.randint(0, 12))]
        found, lines = fed(data, sizes)
        assert found == ["one", "two", "three", "fünf €", "six"]
        assert lines.last == found
        assert lines.size == len(data)


def test_terminal_sequences_and_binary_do_no_harm() -> None:
    found, _ = fed(b"\x1b[1;31mred\x1b[0m\n\x1b]0;title\x07x\n\x00\xff\xfe\x07\n", [])
    assert found[:2] == ["red", "x"]
    assert found[2] == "␀��␇"


def test_a_line_without_end_is_cut_and_costs_no_memory() -> None:
    lines = Lines(1024)
    found = [text for _ in range(200) for text in lines.feed(b"x" * 65_536)]
    found += lines.feed(b"\nnext\n")
    assert [len(text) for text in found] == [LONGEST + 1, 4]
    assert len(lines._pending) < 65_536


def test_beyond_the_limit_lines_are_counted_and_the_last_are_known() -> None:
    data = b"".join(b"line %d\n" % number for number in range(10_000))
    found, lines = fed(data, [1000] * 20, limit_kb=1)
    assert found == [f"line {number}" for number in range(len(found))]
    assert sum(len(text) + 40 for text in found) <= 1024
    assert lines.count == 10_000
    assert lines.dropped == 10_000 - len(found)
    assert lines.last == [f"line {number}" for number in range(10_000 - LAST, 10_000)]


def test_a_flood_beyond_the_limit_costs_next_to_nothing() -> None:
    lines, piece = Lines(1), b"y\n" * 32_768
    list(lines.feed(piece))
    began = time.perf_counter()
    for _ in range(200):
        list(lines.feed(piece))
    flood = time.perf_counter() - began
    began = time.perf_counter()
    list(Lines(1_000_000).feed(piece))
    assert flood / 200 < (time.perf_counter() - began) / 5
    assert lines.count == 201 * 32_768


def test_secrets_are_masked_also_where_a_line_is_cut() -> None:
    REDACTOR.register(["hidden-by-us-1"])
    found, lines = fed(b"a" * (LONGEST - 5) + b"hidden-by-us-1\n", [])
    assert "hidden" not in found[0]
    assert "hidden" not in lines.last[0]


def command(*program: str, **parameters: Parameter) -> Command:
    return Command(name="x", program=("/bin/x", *program), parameters=parameters)


@pytest.mark.parametrize("value", ["", "a b", "$(reboot)", "a;b", "'\"", "*", "{x}", "ü"])
def test_a_value_stays_in_its_argument(value: str) -> None:
    made = command("--file={x}", "{x}", "a{x}b{x}", "{{x}}", x=Parameter(name="x", pattern=".*"))
    assert arguments.problems(made, {"x": value}) == {}
    assert arguments.argv(made, {"x": value}) == ["/bin/x", f"--file={value}", value, f"a{value}b{value}", "{x}"]


def test_a_value_becomes_no_option() -> None:
    free = Parameter(name="x", pattern=".*")
    assert arguments.problems(command("{x}", x=free), {"x": "-rf"}) == {"x": "“-rf” would be taken for an option"}
    other = Parameter(name="y", pattern=".*")
    assert list(arguments.problems(command("{x}{y}", x=free, y=other), {"x": "", "y": "--help"})) == ["y"]
    assert arguments.problems(command("--of={x}", x=free), {"x": "-rf"}) == {}
    allowed = Parameter(name="x", pattern=".*", may_be_option=True)
    assert arguments.problems(command("{x}", x=allowed), {"x": "-rf"}) == {}


@pytest.mark.parametrize("value", ["a\n", "a\x00", "ab", "", "a" * 1001])
def test_a_value_must_be_of_its_form_from_end_to_end(value: str) -> None:
    made = command("{x}", x=Parameter(name="x", pattern="a"))
    assert list(arguments.problems(made, {"x": value})) == ["x"]


def test_the_program_gets_what_is_named_and_nothing_else() -> None:
    made = Command(name="x", program=("/bin/x",), environment={"A": "b"}, inherit=("KEPT", "ABSENT"))
    environ = {"PATH": "/bin", "KEPT": "1", "DATABASE_URL": "postgresql://u:p@h/d"}
    assert arguments.environment(made, environ) == {"PATH": "/bin", "KEPT": "1", "A": "b"}
