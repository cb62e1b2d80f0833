"""The language of filters over rows with fields."""

from __future__ import annotations

import pytest

from qsuite_console.model.errors import UsageProblem
from qsuite_console.widgets import row_filter

FIELDS = ("pid", "user", "query")
ROW = {"pid": "4711", "user": "loader", "query": "UPDATE accounts SET amount = 1"}


@pytest.mark.parametrize(
    ("text", "is_wanted"),
    [
        ("", True),
        ("update", True),
        ("UPDATE accounts", True),
        ("update orders", False),
        ("!orders", True),
        ("!accounts", False),
        ("user:load", True),
        ("user:web", False),
        ("user:web,load", True),
        ("!user:load", False),
        ("pid:4711", True),
        ("pid:71", False),
        ("4711", True),
        ("/up.*set/", True),
        ("!/up.*set/", False),
        ("/^set/", False),
        ("user:", True),
        ("/unfinished", True),
        ("amount:", False),
        ("state:active", False),
    ],
)
def test_what_matches(text: str, is_wanted: bool) -> None:
    assert row_filter.parse(text, FIELDS).matches(ROW) is is_wanted


def test_a_bad_pattern_is_named() -> None:
    with pytest.raises(UsageProblem, match=r"/\(/ is not a regular expression"):
        row_filter.parse("/(/", FIELDS)
