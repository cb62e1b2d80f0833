"""The reference page and the example file are current and load."""

from __future__ import annotations

import tomllib
from pathlib import Path

from qsuite_console.config.document import example, markdown
from qsuite_console.config.loading import load
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import Settings
from qsuite_console.paths import resolve

ROOT = Path(__file__).parents[3]


def test_the_reference_page_is_current() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == markdown(), "run: make docs"


def test_the_packaged_example_is_current() -> None:
    assert (ROOT / "packaging" / "config.example.toml").read_text(encoding="utf-8") == example(), "run: make docs"


def test_the_example_loads_as_the_defaults(tmp_path: Path) -> None:
    paths = resolve(str(tmp_path)).ensure()
    paths.config_file.write_text(example(), encoding="utf-8")
    assert load(paths, {}, {}).settings == Settings()


def test_every_commented_default_is_valid_when_uncommented(tmp_path: Path) -> None:
    paths = resolve(str(tmp_path)).ensure()
    lines = []
    for line in example().splitlines():
        uncommented = line.removeprefix("# ")
        is_setting = line.startswith("# ") and " = " in uncommented and not uncommented.startswith("default_target")
        if line.startswith("# More platforms"):
            break
        lines.append(uncommented if is_setting and uncommented.split(" = ")[0].isidentifier() else line)
    paths.config_file.write_text("\n".join(lines), encoding="utf-8")
    loaded = load(paths, {}, {})
    assert loaded.settings == Settings()
    assert loaded.origins["engine.drain_s"] != "default"


def test_given_values_survive_the_round_trip(tmp_path: Path) -> None:
    given = {"database.dsn": Secret('postgresql://u:"\\é@h/d'), "engine.queues": {"execution": 2}, "target.word": "X"}
    text = example(given)
    tomllib.loads(text)
    paths = resolve(str(tmp_path)).ensure()
    paths.config_file.write_text(text, encoding="utf-8")
    settings = load(paths, {}, {}).settings
    assert settings.database.dsn.reveal() == 'postgresql://u:"\\é@h/d'
    assert settings.engine.queues["execution"] == 2
    assert settings.engine.queues["general"] == 4
