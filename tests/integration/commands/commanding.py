"""An engine whose kinds are declared commands; also as a program that can be killed: commanding.py DIRECTORY NAME."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[2]))

from fakes.jobs import running
from qsuite_console.config.commands import Command, declare
from qsuite_console.config.settings import QUEUES
from qsuite_console.model.jobs import Submission
from qsuite_console.workers.command import child
from qsuite_console.workers.command.worker import CommandWorker

SHORT_S = 0.3  # from SIGTERM to SIGKILL, for programs that hear neither

# Starts a child that stays in its group and one that leaves it, tells the numbers of all three, and hears no SIGTERM.
FAMILY = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
deaf = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)"]
near = subprocess.Popen(deaf)
far = subprocess.Popen(deaf, start_new_session=True)
with open(sys.argv[1] + ".new", "w") as file:
    file.write(f"{os.getpid()} {near.pid} {far.pid}")
os.rename(sys.argv[1] + ".new", sys.argv[1])
print("all are there", flush=True)
time.sleep(3600)
"""


def command(name: str, *program: str, environ: dict[str, str] | None = None, **body: Any) -> Command:
    """A command as the configuration would declare it."""
    return declare(name, {"program": list(program), **body}, environ or {}, tuple(QUEUES))


def family(pids: Path, **body: Any) -> Command:
    """The command of ``FAMILY``; a brace is written twice."""
    script = FAMILY.replace("{", "{{").replace("}", "}}")
    return command("family", sys.executable, "-c", script, str(pids), **body)


def started(pids: Path, timeout_s: float = 60.0) -> list[int]:
    """Wait until the family is there, and return their numbers."""
    deadline = time.monotonic() + timeout_s
    while not pids.exists():
        assert time.monotonic() < deadline, "the program did not start"
        time.sleep(0.02)
    return [int(pid) for pid in pids.read_text().split()]


def all_gone(pids: list[int], timeout_s: float = 60.0) -> bool:
    """Wait until no process of these numbers is left, not even a zombie."""
    deadline = time.monotonic() + timeout_s
    while alive := [pid for pid in pids if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, f"{alive} of {pids} are left"
        time.sleep(0.02)
    return True


def main(directory: Path, is_repeatable: bool) -> None:
    """Run the family as a job until killed."""
    worker = CommandWorker(family(directory / "pids", repeatable=is_repeatable))
    with patch.object(child, "GRACE_S", SHORT_S), running(directory, worker) as engine:

        async def live() -> None:
            await engine.control.submit(Submission(kind="command.family"))
            await asyncio.sleep(3600)

        asyncio.run(live())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] == "repeatable")
