"""What the operator may declare, what is refused and where it stands, and what is only missing today."""

from __future__ import annotations

from pathlib import Path

import pytest

from qsuite_console.config.loading import ConfigurationProblem, Loaded, load
from qsuite_console.config.schema import secrets_of
from qsuite_console.paths import resolve

GOOD = """
[commands.backup]
program = ["/bin/cp", "--archive", "--target-directory={where}", "{what}"]
title = "Back up"
environment = { LANG = "C.UTF-8", PGPASSWORD = "env:BACKUP_PASSWORD" }
inherit = ["JAVA_HOME"]
timeout_s = 60
memory_mb = 512
output_kb = 64
success = [0, 3]
retry = [75]
attempts = 2
changes_data = false
queue = "maintenance"
[commands.backup.parameters]
where = { pattern = '/backup/[a-z0-9-]{1,40}' }
what = { choices = ["/etc", "/srv"], default = "/srv", title = "Directory" }
"""


def loaded(tmp_path: Path, text: str, environ: dict[str, str] | None = None, **flags: object) -> Loaded:
    paths = resolve(str(tmp_path)).ensure()
    paths.config_file.write_text(text, encoding="utf-8")
    paths.config_file.chmod(0o600)
    return load(paths, environ or {}, flags)


def problem(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigurationProblem) as caught:
        loaded(tmp_path, text)
    (found,) = caught.value.problems
    return found.replace(str(tmp_path), "").replace("/config/config.toml", "FILE")


def test_a_declaration_is_read_whole(tmp_path: Path) -> None:
    found = loaded(tmp_path, GOOD, {"BACKUP_PASSWORD": "geheim-1"})
    (command,) = found.settings.commands.values()
    assert command.kind == "command.backup"
    assert command.program[2] == "--target-directory={where}"
    assert (command.timeout_s, command.memory_mb, command.output_kb) == (60.0, 512, 64)
    assert (command.success, command.retry, command.attempts) == ((0, 3), (75,), 2)
    assert (command.changes_data, command.repeatable, command.queue) == (False, False, "maintenance")
    assert command.parameters["where"].default is None
    assert command.parameters["what"].default == "/srv"
    assert found.unready == {}
    assert found.origins["commands.backup"].endswith("config.toml:2")
    assert secrets_of(found.settings) == ("geheim-1",)
    assert "geheim-1" not in repr(found.settings)


def test_what_is_missing_today_is_told_and_stands_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    text = f"""
[commands.gone]
program = ["/nowhere/pg_dump"]
[commands.nameless]
program = ["no-such-program-here"]
[commands.forbidden]
program = ["{tmp_path}/plain"]
[commands.homeless]
program = ["/bin/sh"]
directory = "/nowhere"
[commands.secretless]
program = ["/bin/sh"]
environment = {{ PGPASSWORD = "env:NOT_SET" }}
[commands.good]
program = ["sh"]
"""
    assert loaded(tmp_path, text, {"PATH": "/bin"}).unready == {
        "gone": "there is no program /nowhere/pg_dump",
        "nameless": "there is no program no-such-program-here on the PATH",
        "forbidden": f"{tmp_path}/plain may not be executed by this user",
        "homeless": "the directory /nowhere is not there, or may not be entered",
        "secretless": "PGPASSWORD wants the variable NOT_SET, which is not set",
    }


PROGRAM = 'program = ["/bin/sh", "{x}"]\n'
REFUSALS = [
    ("[commands.a]\n", "FILE:1: commands.a: has no program"),
    ('[commands.a]\nprogram = "ls -l"\n', "FILE:2: commands.a.program: expected a list of texts"),
    ('[commands.a]\nprogram = ["/bin/ls", "{path}"]\n', "'{path}' wants {path}, which is no parameter; known: none"),
    ('[commands.a]\nprogram = ["/bin/ls", "{}"]\n', "has a placeholder that is more than {name}"),
    ('[commands.a]\nprogram = ["/bin/ls", "{x!r}"]\n', "has a placeholder that is more than {name}"),
    ('[commands.a]\nprogram = ["/bin/ls", "a{b"]\n', "has a single brace; write {{ or }}"),
    ('[commands.a]\nprogram = ["bin/ls"]\n', "must be an absolute path, or a name on the PATH"),
    ('[commands.a]\nprogram = ["{x}"]\nparameters = { x = { choices = ["ls"] } }\n', "the program itself can't be"),
    ('[commands.a]\nprogram = ["/bin/ls"]\nparameters = { x = { choices = ["a"] } }\n', "is used nowhere"),
    (f"[commands.a]\n{PROGRAM}parameters = {{ x = {{}} }}\n", "wants either choices or the pattern"),
    (f"[commands.a]\n{PROGRAM}parameters = {{ x = {{ pattern = '[' }} }}\n", "expected a regular expression"),
    (f'[commands.a]\n{PROGRAM}parameters = {{ x = {{ choices = ["a"], default = "b" }} }}\n', "'b' is none of a"),
    (f'[commands.a]\n{PROGRAM}parameters = {{ x = {{ chioces = ["a"] }} }}\n', "did you mean choices?"),
    (
        '[commands.a]\nprogram = ["/bin/ls", "--{x}"]\nparameters = { x = { pattern = \'.*\' } }\n',
        "the value of x names the option: give it choices",
    ),
    ('[commands.a]\nprogram = ["/bin/ls"]\ntimeout = 5\n', "unknown key; did you mean timeout_s?"),
    ('[commands.a]\nprogram = ["/bin/ls"]\nmemory_mb = -1\n', "expected whole megabytes"),
    ('[commands.a]\nprogram = ["/bin/ls"]\nsuccess = [256]\n', "expected a list of exit codes"),
    ('[commands.a]\nprogram = ["/bin/ls"]\nqueue = "fast"\n', "no such queue; known: execution"),
    ('[commands.a]\nprogram = ["/bin/ls"]\ndirectory = "tmp"\n', "expected an absolute path"),
    ('[commands.a]\nprogram = ["/bin/ls"]\nenvironment = { DB_PASSWORD = "x" }\n', 'write "env:NAME"'),
    ('[commands.a]\nprogram = ["/bin/ls"]\ninherit = ["API_TOKEN"]\n', 'environment = { API_TOKEN = "env:API_TOKEN" }'),
    ('[commands."A b"]\nprogram = ["/bin/ls"]\n', "its name must be small letters"),
]


@pytest.mark.parametrize(("text", "told"), REFUSALS)
def test_a_bad_declaration_is_refused_where_it_stands(tmp_path: Path, text: str, told: str) -> None:
    found = problem(tmp_path, text)
    assert told in found
    assert found.startswith("FILE:")


def test_the_secret_of_a_refused_declaration_is_not_told(tmp_path: Path) -> None:
    text = '[commands.a]\nprogram = ["/bin/ls"]\nenvironment = { DB_PASSWORD = "geheim-2" }\n'
    assert "geheim-2" not in problem(tmp_path, text)


def test_a_target_declares_its_own(tmp_path: Path) -> None:
    text = GOOD + '[targets.prod.commands.backup]\nprogram = ["/bin/true"]\n[targets.test]\nword = "T"\n'
    assert loaded(tmp_path, text, target="prod").settings.commands["backup"].program == ("/bin/true",)
    assert loaded(tmp_path, text, target="test").settings.commands["backup"].program[0] == "/bin/cp"
    bad = '[targets.test]\nword = "T"\n[targets.prod.commands.backup]\nprogram = []\n'
    assert "targets.prod.commands.backup.program: expected a list" in problem(tmp_path, bad)
