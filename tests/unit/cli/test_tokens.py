"""What doctor says of the HTTP interface over TCP, and where an engine of the settings would listen."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.control import demo
from qsuite_console.cli.checks import Verdict
from qsuite_console.cli.doctor import tokens
from qsuite_console.config.loading import load
from qsuite_console.headless.http import Interface
from qsuite_console.paths import resolve

GOOD = "x" * 40


def found(tmp_path: Path, text: str) -> list[tuple[Verdict, str]]:
    paths = resolve(str(tmp_path)).ensure()
    paths.config_file.write_text(text.replace("{}", str(tmp_path)), encoding="utf-8")
    findings = tokens(load(paths, {"DASH": GOOD}, {}))
    assert GOOD not in str(findings)
    return [(finding.verdict, f"{finding.what} -> {finding.todo}") for finding in findings]


DASH = '[tokens.dash]\ntoken = "env:DASH"\n'
LISTEN = '[api]\nlisten = "127.0.0.1:8765"\n'
TOLD = {
    "": [],
    LISTEN + DASH: [(Verdict.OK, "127.0.0.1:8765 for dash (read)")],
    DASH: [(Verdict.WARN, "tokens of dash (read), but it listens on no address -> set api.listen")],
    LISTEN: [(Verdict.FAIL, "nobody could come in -> declare [tokens.NAME]; make one with: openssl")],
    LISTEN + DASH.replace("DASH", "NONE"): [
        (Verdict.WARN, "nobody can use the token dash: NONE is empty"),
        (Verdict.FAIL, "nobody could come in"),
    ],
    LISTEN + DASH + '[tokens.robot]\ntoken = "file:{}/none"\n': [
        (Verdict.OK, "for dash (read)"),
        (Verdict.WARN, "the token robot: {}/none can't be read: No such file"),
    ],
    LISTEN + '[tokens.robot]\ntoken = "file:{}/open"\n': [
        (Verdict.OK, "for robot (read)"),
        (Verdict.WARN, "anyone can read the token robot -> chmod 600 {}/open"),
    ],
    LISTEN + '[tokens.robot]\ntoken = "file:{}/short"\n': [
        (Verdict.WARN, "{}/short must have 32 to 512 characters"),
        (Verdict.FAIL, "nobody could come in"),
    ],
}


@pytest.mark.parametrize("text", TOLD, ids=range(len(TOLD)))
def test_doctor_says_who_could_come_in(tmp_path: Path, text: str) -> None:
    (tmp_path / "open").write_text(GOOD)
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "short").write_text("short")
    (tmp_path / "short").chmod(0o600)
    told = found(tmp_path, text)
    assert [verdict for verdict, _ in told] == [verdict for verdict, _ in TOLD[text]]
    for (_, line), (_, wanted) in zip(told, TOLD[text], strict=True):
        assert wanted.replace("{}", str(tmp_path)) in line


@pytest.mark.parametrize(
    ("in_console", "is_screen", "listens"), [(False, False, True), (False, True, False), (True, True, True)]
)
async def test_behind_a_screen_it_listens_only_where_told(
    tmp_path: Path, in_console: bool, is_screen: bool, listens: bool
) -> None:
    paths = resolve(str(tmp_path)).ensure()
    text = f'[api]\nlisten = "127.0.0.1:0"\nin_console = {str(in_console).lower()}\n{DASH}'
    paths.config_file.write_text(text, encoding="utf-8")
    settings = load(paths, {"DASH": GOOD}, {}).settings
    interface = Interface.of(settings, tmp_path / "s" / "engine.sock", origin="test", is_screen=is_screen)
    async with interface.serve(demo()):
        assert (interface.address is not None) is listens
