"""The unit in packaging/ fits the engine it starts; systemd itself reads it where it is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

from qsuite_console.config.settings import EngineSettings
from qsuite_console.engine.engine import LAST_WAIT_S

UNIT = Path(__file__).parents[3] / "packaging" / "qsuite-console.service"


def unit() -> ConfigParser:
    parser = ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names have capitals
    parser.read(UNIT)
    return parser


def test_its_times_leave_the_engine_room() -> None:
    service = unit()["Service"]
    assert service["Type"] == "notify"
    assert float(service["WatchdogSec"]) >= 30
    assert float(service["TimeoutStopSec"]) >= EngineSettings().drain_s + 2 * LAST_WAIT_S
    assert service["Restart"] == "on-failure"  # a watchdog's end is a failure


def test_systemd_takes_it(tmp_path: Path) -> None:
    program = unit()["Service"]["ExecStart"].split()[0]
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace(program, sys.executable))
    reader = shutil.which("systemd-analyze")
    if reader is None:  # then the names are all that can be looked at
        assert {"Unit", "Service", "Install"} == set(unit().sections())
        return
    done = subprocess.run([reader, "verify", str(copy)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
