"""``[queues.NAME]``: slots beside those of the engine, who does the jobs, and refusals that say where and what."""

from __future__ import annotations

from pathlib import Path

import pytest

from qsuite_console.config.loading import ConfigurationProblem, Loaded, load
from qsuite_console.config.schema import walk
from qsuite_console.config.settings import QUEUES
from qsuite_console.model.handing import Execution
from qsuite_console.paths import resolve


def read(tmp_path: Path, text: str, **flags: str) -> Loaded:
    paths = resolve(str(tmp_path)).ensure()
    paths.config_file.write_text(text, encoding="utf-8")
    paths.config_file.chmod(0o600)
    return load(paths, {}, flags)


def test_a_queue_says_who_does_its_jobs_and_the_old_form_holds(tmp_path: Path) -> None:
    text = '[engine.queues]\nai = 9\ngeneral = 7\n[queues.general]\nslots = 3\nexecution = "nodes"\n[queues.ai]\n'
    settings = read(tmp_path, text).settings
    slots = {name: count for name, (count, _) in QUEUES.items()}
    assert dict(settings.engine.queues) == {**slots, "ai": 9, "general": 3}
    assert settings.queues["general"].execution is Execution.NODES
    assert settings.queues["ai"].execution is Execution.LOCAL
    shown = dict(walk(settings))
    assert shown["queues.general"] == {"slots": 3, "execution": "nodes", "in_flight": 32}
    assert shown["queues.ai"] == {"execution": "local"}


def test_a_target_says_it_anew(tmp_path: Path) -> None:
    text = '[queues.ai]\nexecution = "celery"\n[targets.desk.queues.ai]\nslots = 1\nin_flight = 8\n'
    settings = read(tmp_path, text, target="desk").settings
    assert (settings.engine.queues["ai"], settings.queues["ai"].execution) == (1, Execution.LOCAL)
    assert settings.queues["ai"].in_flight == 8


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[queues.generel]\n", "config.toml:1: queues.generel: unknown queue; did you mean general?"),
        (
            '[queues.ai]\nexecution = "node"\n',
            "config.toml:2: queues.ai.execution: must be one of local, nodes, celery",
        ),
        ("[queues.ai]\nslots = -1\n", "config.toml:2: queues.ai.slots: must be a whole number, 0 to 1000"),
        ("[queues.ai]\nslots = true\n", "config.toml:2: queues.ai.slots: must be a whole number, 0 to 1000"),
        ("[queues.ai]\nin_flight = 0\n", "config.toml:2: queues.ai.in_flight: must be a whole number, 1 to 1000"),
        ("[queues.ai]\nslot = 1\n", "config.toml:2: queues.ai.slot: unknown key; did you mean slots?"),
        ("[queues]\nai = 3\n", "config.toml:2: queues.ai: write it as a table"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigurationProblem) as caught:
        read(tmp_path, text)
    assert [each.rpartition("/")[2] for each in caught.value.problems] == [problem]
