"""Settings from file, environment and flags: precedence, origins, and refusals that say where and what."""

from __future__ import annotations

from pathlib import Path

import pytest

from qsuite_console.config.catalogue import CATALOGUE
from qsuite_console.config.loading import ConfigurationProblem, Loaded, load
from qsuite_console.config.schema import SCHEMA, secrets_of
from qsuite_console.config.settings import QUEUES
from qsuite_console.paths import Paths, resolve


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return resolve(str(tmp_path)).ensure()


def write(paths: Paths, text: str, mode: int = 0o600) -> Path:
    paths.config_file.write_text(text, encoding="utf-8")
    paths.config_file.chmod(mode)
    return paths.config_file


def refused(paths: Paths, environ: dict[str, str] | None = None, **flags: object) -> tuple[str, ...]:
    with pytest.raises(ConfigurationProblem) as caught:
        load(paths, environ or {}, flags)
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message
    return caught.value.problems


def test_nothing_given_gives_the_defaults(paths: Paths) -> None:
    loaded = load(paths, {}, {})
    assert loaded.settings.database.pool_max == 10
    assert dict(loaded.settings.engine.queues) == {name: slots for name, (slots, _) in QUEUES.items()}
    assert set(loaded.origins.values()) == {"default"}


def test_every_setting_has_a_catalogue_entry() -> None:
    assert set(SCHEMA) == set(CATALOGUE)


def test_file_yields_to_environment_and_environment_to_flags(paths: Paths) -> None:
    file = write(paths, 'log_level = "ERROR"\n\n[database]\npool_max = 7\npool_min = 2\n[interface]\ntheme = "paper"\n')
    environ = {"DB_POOL_MAX_SIZE": "9", "LOG_LEVEL": "warning", "QSUITE_CONSOLE_THEME": "night"}
    loaded = load(paths, environ, {"theme": "noon"})
    assert (loaded.settings.database.pool_min, loaded.settings.database.pool_max) == (2, 9)
    assert loaded.settings.log_level == "WARNING"
    assert loaded.settings.interface.theme == "noon"
    assert loaded.origins["database.pool_min"] == f"{file}:5"
    assert loaded.origins["database.pool_max"] == "env DB_POOL_MAX_SIZE"
    assert loaded.origins["interface.theme"] == "flag --theme"
    assert loaded.origins["cache.url"] == "default"


@pytest.mark.parametrize(
    ("variable", "raw", "key", "value"),
    [
        ("BACKFILL_BATCH_SIZE", "30", "backfill.batch_size", 30),
        ("BACKFILL_CONCURRENT_REQUESTS", "10", "backfill.concurrent_requests", 10),
        ("RATE_LIMIT_DELAY", "0.2", "backfill.delay_s", 0.2),
        ("DB_POOL_MIN_SIZE", "5", "database.pool_min", 5),
        ("APCA_API_DATA_URL", "http://127.0.0.1:9", "provider.data_url", "http://127.0.0.1:9"),
        ("APCA_API_BASE_URL", "http://127.0.0.1:8", "provider.trading_url", "http://127.0.0.1:8"),
    ],
)
def test_the_guides_variables_are_honoured(paths: Paths, variable: str, raw: str, key: str, value: object) -> None:
    loaded = load(paths, {variable: raw}, {})
    section, name = key.split(".")
    assert getattr(getattr(loaded.settings, section), name) == value
    assert loaded.origins[key] == f"env {variable}"


def test_the_dsn_of_other_frameworks_loses_its_driver(paths: Paths) -> None:
    loaded = load(paths, {"DATABASE_URL": "postgresql+asyncpg://u:p%40ss@db-1:5433/q"}, {})
    assert loaded.settings.database.dsn.reveal() == "postgresql://u:p%40ss@db-1:5433/q"


def test_pg_variables_stay_libpqs_business_and_are_named(paths: Paths) -> None:
    loaded = load(paths, {"PGHOST": "db-1", "PGDATABASE": "q"}, {})
    assert not loaded.settings.database.dsn
    assert loaded.origins["database.dsn"] == "env PGHOST, PGDATABASE (libpq)"


def test_an_unknown_key_names_file_line_and_the_likely_one(paths: Paths) -> None:
    file = write(paths, '# mine\n[database]\n\npool_mn = 2\n[cach]\nurl = "x"\n')
    assert refused(paths) == (
        f"{file}:4: database.pool_mn: unknown key; did you mean pool_min?",
        f"{file}:5: cach: unknown key; did you mean cache?",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[database]\npool_max = '5'", "2: database.pool_max: expected a whole number, got text '5'"),
        ("[database]\npool_max = true", "2: database.pool_max: expected a whole number, got True"),
        ("[database]\npool_max = 0", "2: database.pool_max: 0 is too small, the least is 1"),
        ("[database]\npool_max = 9999", "2: database.pool_max: 9999 is too large, the most is 500"),
        ("[database]\nconnect_timeout_s = nan", "2: database.connect_timeout_s: expected a number, got nan"),
        ("[target]\nread_only = 'yes'", "2: target.read_only: expected true or false, got text 'yes'"),
        ("log_level = 'LOUD'", "1: log_level: 'LOUD' is none of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ("[tables]\ntickers = 'a; drop'", "2: tables.tickers: must be a table's name or schema.name"),
        ("[cache]\nurl = 'http://x'", "2: cache.url: must start with redis:// or rediss:// or unix://"),
        ("database = 3", "1: database: write it as a table [database]"),
        (
            "[engine.queues]\nexecution = 4\nexecuton = 4",
            "3: engine.queues.executon: unknown queue; did you mean execution?",
        ),
        ("[database]\npool_min = 8\npool_max = 4", "3: database.pool_min (8) is larger than database.pool_max (4)"),
        ("[provider]\nkey_id = 'k'", "2: provider.key_id is set but provider.secret_key isn't"),
        ("[database\n", "1: Expected ']' at the end of a table declaration"),
        ("default_target = 'prd'\n[targets.prod]\nword='P'", "1: default_target: no target 'prd'; did you mean prod?"),
        ("[targets.prod]\nwrd='P'", "2: targets.prod.wrd: unknown key; did you mean word?"),
        ("[targets.prod.database]\n\npool_max = 0", "3: database.pool_max: 0 is too small"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(paths: Paths, text: str, problem: str) -> None:
    file = write(paths, text)
    problems = refused(paths)
    assert len(problems) == 1
    line, _, words = problem.partition(": ")
    assert problems[0].startswith(f"{file}:{line}: ")
    assert words in problems[0]


def test_a_bad_variable_is_refused_by_name(paths: Paths) -> None:
    assert refused(paths, {"DB_POOL_MAX_SIZE": "lots"}) == (
        "env DB_POOL_MAX_SIZE: database.pool_max: expected a whole number, got text 'lots'",
    )


def test_a_bad_dsn_is_refused_without_showing_it(paths: Paths) -> None:
    for dsn in ("mysql://u:hunter2@h/d", "postgresql://u:hunter2@[h/d", "postgresql://u:hun#ter2:x@h:99999/d"):
        (problem,) = refused(paths, {"DATABASE_URL": dsn})
        assert problem.startswith("env DATABASE_URL: database.dsn: ")
        assert "hun" not in problem


def test_lines_are_right_after_values_that_span_several(paths: Paths) -> None:
    file = write(paths, '[interface]\nkeymap = { "a.b" = """\nx""" }\n[target]\nword = """\nTWO"""\nread_only = 3\n')
    assert any(f"{file}:7: target.read_only" in problem for problem in refused(paths))


def test_all_problems_are_told_at_once(paths: Paths) -> None:
    write(paths, "[database]\npool_max = 0\nx = 1\n[cache]\ny = 1\n")
    with pytest.raises(ConfigurationProblem) as caught:
        load(paths, {"RATE_LIMIT_DELAY": "soon"}, {})
    assert len(caught.value.problems) == 4
    assert caught.value.hint.startswith("3 more: ")


TARGETS = """
[database]
dsn = "postgresql://base/one"
pool_max = 20

[targets.prod]
word = "PRODUCTION"
colour = "error"
read_only = true
[targets.prod.database]
dsn = "postgresql://prod/two"

[targets.staging.cache]
url = "redis://staging:6379/0"
"""


def test_a_named_target_overlays_what_it_states_and_beats_the_environment(paths: Paths) -> None:
    file = write(paths, TARGETS)
    loaded = load(paths, {"DATABASE_URL": "postgresql://left/over"}, {"target": "prod"})
    target = loaded.settings.target
    assert (target.name, target.word, target.colour, target.read_only) == ("prod", "PRODUCTION", "error", True)
    assert loaded.settings.database.dsn.reveal() == "postgresql://prod/two"
    assert loaded.settings.database.pool_max == 20
    assert loaded.origins["database.dsn"] == f"{file}:11"
    assert loaded.targets == ("prod", "staging")


def test_the_files_default_target_yields_to_the_environment(paths: Paths) -> None:
    write(paths, 'default_target = "prod"\n' + TARGETS)
    loaded = load(paths, {"DATABASE_URL": "postgresql://left/over"}, {})
    assert loaded.settings.target.word == "PRODUCTION"
    assert loaded.settings.database.dsn.reveal() == "postgresql://left/over"


@pytest.mark.parametrize("flags", [{}, {"target": "prod"}, {"target": "staging"}])
@pytest.mark.parametrize("variable", ["", "0", "1"])
def test_read_only_is_added_by_whoever_says_so_and_taken_away_by_nobody(
    paths: Paths, flags: dict[str, str], variable: str
) -> None:
    file = write(paths, 'default_target = "prod"\n' + TARGETS)
    loaded = load(paths, {"QSUITE_CONSOLE_READ_ONLY": variable} if variable else {}, flags)
    is_stated = flags.get("target") != "staging"
    assert loaded.settings.target.read_only is (is_stated or variable == "1")
    if is_stated and variable == "0":
        assert loaded.origins["target.read_only"].startswith(str(file))


def test_the_main_target_is_the_default_or_the_only_one(paths: Paths) -> None:
    write(paths, TARGETS)
    assert (load(paths, {}, {}).chosen, load(paths, {}, {}).main) == ("", "")
    write(paths, 'default_target = "staging"\n' + TARGETS)
    assert (load(paths, {}, {"target": "prod"}).chosen, load(paths, {}, {}).main) == ("prod", "staging")
    write(paths, '[targets.one]\nword = "ONE"\n')
    assert (load(paths, {}, {}).chosen, load(paths, {}, {}).main) == ("", "one")


def test_the_target_variable_chooses_too_and_an_unknown_one_is_refused(paths: Paths) -> None:
    file = write(paths, TARGETS)
    environ = {"QSUITE_CONSOLE_TARGET": "staging"}
    assert load(paths, environ, {}).settings.cache.url.reveal() == "redis://staging:6379/0"
    assert refused(paths, target="prd") == ("flag --target: no target 'prd'; did you mean prod?",)
    file.unlink()
    assert refused(paths, target="prod") == (f"flag --target: no target 'prod'; {file} defines none",)


def test_secrets_in_a_file_others_can_read_are_warned_about(paths: Paths) -> None:
    file = write(paths, TARGETS, mode=0o644)
    (warning,) = load(paths, {}, {}).warnings
    assert f"chmod 600 {file}" in warning
    write(paths, "[database]\npool_max = 3\n", mode=0o644)
    assert load(paths, {}, {}).warnings == ()


def test_no_secret_is_printed_with_the_settings(paths: Paths) -> None:
    environ = {
        "DATABASE_URL": "postgresql://u:hunter%402@h/d",
        "APCA_API_KEY_ID": "KEYID",
        "APCA_API_SECRET_KEY": "TOPSECRET",
    }
    loaded: Loaded = load(paths, environ, {})
    for secret in ("hunter", "KEYID", "TOPSECRET"):
        assert secret not in repr(loaded)
        assert secret not in str(loaded.settings)
    assert {"hunter@2", "hunter%402", "KEYID", "TOPSECRET"} < set(secrets_of(loaded.settings))


def test_a_file_that_cant_be_used_says_so(paths: Paths) -> None:
    paths.config_file.write_bytes(b"\xff\xfe")
    (problem,) = refused(paths)
    assert "is not UTF-8 text" in problem
    paths.config_file.unlink()
    paths.config_file.mkdir()
    (problem,) = refused(paths)
    assert problem == f"{paths.config_file}: can't be read: Is a directory"
