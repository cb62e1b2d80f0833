"""Where the HTTP interface listens and who may ask it, as configuration files state it."""

from __future__ import annotations

from pathlib import Path

import pytest

from qsuite_console.config.api import is_loopback, parse_listen
from qsuite_console.config.loading import ConfigurationProblem, load
from qsuite_console.config.schema import secrets_of, walk
from qsuite_console.config.settings import Settings
from qsuite_console.model.access import Scope
from qsuite_console.paths import resolve

CANARY = "canary-" + "x" * 40
ENVIRON = {"TOKEN": CANARY, "SAME": CANARY, "SHORT": "canary-short", "SPACED": "canary " + "x" * 40}
GOOD = """
[api]
listen = "127.0.0.1:8765"
hosts = "Console.lan, console.lan:8443"
origins = "https://dash.lan"
[tokens.dash]
token = "env:TOKEN"
[tokens.robot]
token = "file:/run/secrets/robot"
scope = "operate"
own_jobs_only = true
[targets.prod.api]
listen = "[::1]:9999"
[targets.prod.tokens.dash]
token = "env:TOKEN"
scope = "admin"
"""


def loaded(tmp_path: Path, text: str, **flags: str) -> Settings:
    paths = resolve(str(tmp_path)).ensure()
    paths.config_file.write_text(text, encoding="utf-8")
    return load(paths, ENVIRON, flags).settings


def test_all_of_it(tmp_path: Path) -> None:
    settings = loaded(tmp_path, GOOD)
    assert parse_listen(settings.api.listen) == ("127.0.0.1", 8765)
    dash, robot = settings.tokens["dash"], settings.tokens["robot"]
    assert (dash.scope, dash.own_jobs_only, dash.value.reveal()) == (Scope.READ, False, CANARY)
    assert (robot.scope, robot.own_jobs_only, robot.path) == (Scope.OPERATE, True, "/run/secrets/robot")
    prod = loaded(tmp_path, GOOD, target="prod")
    assert parse_listen(prod.api.listen) == ("::1", 9999)
    assert prod.tokens["dash"].scope is Scope.ADMIN


def test_no_token_is_shown_and_all_are_masked(tmp_path: Path) -> None:
    settings = loaded(tmp_path, GOOD)
    assert "canary" not in str(dict(walk(settings))) + repr(settings)
    assert CANARY in secrets_of(settings)


DASH = '[tokens.dash]\ntoken = "env:TOKEN"\n'
WRONG = {
    '[api]\nlisten = "8765"\n': ":2: api.listen: '8765' is no address and port",
    '[api]\nlisten = "127.0.0.1:99999"\n': "is no address and port",
    '[api]\nlisten = "0.0.0.0:8765"\n': ":2: api.listen: other machines reach 0.0.0.0; listen on 127.0.0.1, or set",
    '[api]\nlisten = "[::]:8765"\n': "other machines reach ::",
    '[api]\nlisten = "127.0.0.1.evil.example:8765"\n': "other machines reach 127.0.0.1.evil.example",
    '[api]\nhosts = "a b"\n': ":2: api.hosts: 'a b' is no host name",
    '[api]\norigins = "https://a/b"\n': "is no origin",
    '[tokens.dash]\ntoken = "canary-plain"\n': ':2: tokens.dash.token: must be "env:NAME" or "file:/path"',
    '[tokens.dash]\ntoken = "env:SHORT"\n': "what SHORT holds must have 32 to 512 characters; make one with",
    '[tokens.dash]\ntoken = "env:SPACED"\n': "without spaces",
    DASH + 'scope = "root"\n': ":3: tokens.dash.scope: must be one of read, operate, admin",
    DASH + 'scopes = "read"\n': "unknown key; did you mean scope?",
    DASH + 'scope = "admin"\nown_jobs_only = true\n': "is not for an admin",
    DASH + "own_jobs_only = 1\n": "must be true or false",
    DASH + '[tokens.other]\ntoken = "env:SAME"\n': "tokens.other: tokens.dash has the same token",
    '[tokens."Desk one"]\ntoken = "env:TOKEN"\n': "its name must be small letters",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationProblem) as caught:
        loaded(tmp_path, text)
    told = " ".join(caught.value.problems)
    assert WRONG[text] in told
    assert "canary" not in told


def test_another_machine_must_be_let_in_on_purpose(tmp_path: Path) -> None:
    settings = loaded(tmp_path, '[api]\nlisten = "0.0.0.0:8765"\nallow_remote = true\n')
    assert parse_listen(settings.api.listen) == ("0.0.0.0", 8765)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST"])
def test_what_only_this_machine_reaches_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "localhost.lan", "127.1", ""])
def test_what_others_reach_is_not(host: str) -> None:
    assert not is_loopback(host)
