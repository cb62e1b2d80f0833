from __future__ import annotations

import pytest

from qsuite_console import keymaps


def test_a_good_keymap_is_taken_as_it_is() -> None:
    keymap = keymaps.validate({"jobs.cancel": "x", "app.help": "?,f1", "app.command": ";"})
    assert dict(keymap.keys) == {"jobs.cancel": "x", "app.help": "question_mark,f1", "app.command": "semicolon"}
    assert keymap.problems == ()


@pytest.mark.parametrize(
    ("command_id", "keys", "reason"),
    [("jobs.cancl", "x", "no such command; did you mean jobs.cancel?"), ("jobs.cancel", "escape", "escape is reserved"),
     ("jobs.cancel", "ctrl+q", "ctrl+q is reserved"), ("app.back", "b", "this command has fixed keys"),
     ("jobs.cancel", " ", "no key given"), ("jobs.cancel", "R", "R already belongs to jobs.retry"),
     ("jobs.cancel", "j", "j already belongs to table.down"), ("jobs.cancel", "q", "q already belongs to app.quit"),
     ("table.down", "R", "R already belongs to")],
)  # fmt: skip
def test_a_bad_entry_is_left_out_and_named(command_id: str, keys: str, reason: str) -> None:
    keymap = keymaps.validate({command_id: keys, "jobs.filter": "f"})
    assert command_id not in keymap.keys
    assert len(keymap.problems) == 1
    assert reason in keymap.problems[0]
    assert f"interface.keymap.{command_id}" in keymap.problems[0]
    assert keymap.keys["jobs.filter"] == "f"


def test_two_overrides_that_want_the_same_key_are_reported() -> None:
    keymap = keymaps.validate({"jobs.cancel": "x", "jobs.retry": "x"})
    assert len(keymap.problems) >= 1
    assert "x" not in keymap.keys.get("jobs.cancel", "") or "x" not in keymap.keys.get("jobs.retry", "")


def test_keys_can_be_swapped() -> None:
    keymap = keymaps.validate({"jobs.cancel": "R", "jobs.retry": "C"})
    assert keymap.problems == ()


def test_the_table_itself_has_no_conflict() -> None:
    assert keymaps.validate({}) == keymaps.Keymap({}, ())
