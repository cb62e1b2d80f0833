from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from qsuite_console import commands
from qsuite_console.model.errors import UsageProblem

KEYS_PAGE = Path(__file__).parents[3] / "docs" / "keys.md"
MADE_WITH = "python -c \"from qsuite_console import commands; open('docs/keys.md', 'w').write(commands.markdown())\""


def test_every_row_is_complete_and_every_id_is_its_own() -> None:
    assert [i for i, n in Counter(c.id for c in commands.COMMANDS).items() if n > 1] == []
    for command in commands.COMMANDS:
        assert command.title, command.id
        assert command.help.endswith("."), command.id
        assert command.scope in commands.SCOPES, command.id
        assert command.keys or command.verb, command.id
        assert bool(command.usage) <= bool(command.verb), command.id


def test_no_key_means_two_things_in_one_scope() -> None:
    for scope in commands.SCOPES:
        keys: dict[str, str] = {}
        for command in commands.of(scope):
            for key in filter(None, command.keys.split(",")):
                other = commands.BY_ID.get(keys.get(key, ""))
                # Pause and resume share a key: only one of them is possible at a time.
                if other is not None and {other.when, command.when} != {"pause", "resume"}:
                    pytest.fail(f"{key} is {other.id} and {command.id}")
                keys[key] = command.id


def test_no_verb_means_two_things() -> None:
    assert [v for v, n in Counter(c.verb for c in commands.COMMANDS if c.verb).items() if n > 1] == []
    assert set(commands.SHORT_VERBS.values()) <= set(commands.verbs())


@pytest.mark.parametrize(
    ("line", "command_id", "argument"),
    [("jobs", "go.jobs", ""), (":jobs failed", "go.jobs", "failed"), ("  q ", "app.quit", ""),
     ("theme light", "app.theme", "light"),
     ("cancel 42 #43", "jobs.cancel", "42 #43"), ("cancel", "jobs.cancel", ""), ("job 7", "verb.job", "7")],
)  # fmt: skip
def test_a_typed_line_is_understood(line: str, command_id: str, argument: str) -> None:
    command, rest = commands.parse(line)
    assert (command.id, rest) == (command_id, argument)


@pytest.mark.parametrize(
    ("line", "reason"),
    [("cancle 4", "did you mean cancel"), ("xyzzy", "no command 'xyzzy'"), ("quit now", "takes nothing after it"),
     ("cancel forty", "'forty' is not a job's number"), ("job", "job needs a job")],
)  # fmt: skip
def test_what_is_not_understood_is_refused_with_the_reason(line: str, reason: str) -> None:
    with pytest.raises(UsageProblem, match=reason):
        commands.parse(line)


def test_numbers_of_jobs_are_read_once_each() -> None:
    assert commands.job_ids("42, #43 42") == [42, 43]


def test_completion_offers_what_begins_so_before_what_contains_it() -> None:
    assert [c.verb for c in commands.complete("jo")][:2] == ["jobs", "job"]
    assert [c.verb for c in commands.complete("cancel 4")] == ["cancel"]
    assert commands.complete("zzz") == []


def test_the_page_of_keys_is_the_table() -> None:
    assert KEYS_PAGE.read_text() == commands.markdown(), f"make it anew: {MADE_WITH}"


def test_keys_are_spoken_as_people_write_them() -> None:
    assert commands.spoken("question_mark") == "?"
    assert commands.spoken("pagedown,ctrl+f") == "PgDn Ctrl+F"
