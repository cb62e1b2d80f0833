"""Declared programs as jobs, with real programs: what they print, how they end, and that nothing of them is left."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fakes.jobs import reaches, running, until
from integration.commands.commanding import SHORT_S, all_gone, command, family, started
from qsuite_console.config.commands import Command
from qsuite_console.engine.state import TargetView
from qsuite_console.logs import REDACTOR
from qsuite_console.model.errors import InvalidParameters, ReadOnly, Unconfirmed
from qsuite_console.model.jobs import JobAction, JobDetail, JobState, Submission
from qsuite_console.workers.command import child
from qsuite_console.workers.command.worker import CommandWorker

ENDED = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
LONG_S = 60.0


@pytest.fixture(autouse=True)
def grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "GRACE_S", SHORT_S)


async def result_of(directory: Path, declared: Command, **parameters: str) -> JobDetail:
    """Run a command as a job to its end."""
    with running(directory, CommandWorker(declared)) as engine:
        receipt = await engine.control.submit(Submission(kind=declared.kind, parameters=dict(parameters)))
        await reaches(engine.control, receipt.job_id, *ENDED, timeout_s=LONG_S)
        return await engine.control.job(receipt.job_id)


def logged(detail: JobDetail) -> list[str]:
    return [line.message for line in detail.logs]


async def test_it_gets_its_arguments_and_its_output_is_the_jobs_log(tmp_path: Path) -> None:
    script = 'printf "%s\\n" "$@"; printf "10%%\\r20%%\\r"; echo trouble >&2; printf end'
    declared = command(
        "greet",
        *("/bin/sh", "-c", script, "greet", "--to={name}", "{tone}"),
        parameters={"name": {"pattern": ".{1,40}"}, "tone": {"choices": ["warm", "cold"], "default": "warm"}},
    )
    detail = await result_of(tmp_path, declared, name="a b; $(rm -rf /) 'c'")
    assert detail.job.state is JobState.SUCCEEDED
    printed = ["--to=a b; $(rm -rf /) 'c'", "warm", "10%", "20%", "trouble", "end"]
    assert logged(detail)[-6:] == printed
    assert detail.result is not None
    assert detail.result["last_lines"] == printed
    assert (detail.result["exit_code"], detail.result["is_truncated"]) == (0, False)
    assert detail.result["peak_memory_mb"] > 0
    assert detail.job.progress.done == 5  # the line without an end is no progress
    assert detail.job.title == "greet: name=a b; $(rm -rf /) 'c', tone=warm"


async def test_what_it_prints_is_seen_while_it_runs(tmp_path: Path) -> None:
    flag = tmp_path / "go on"
    declared = command("slow", "/bin/sh", "-c", 'echo first; while [ ! -e "$0" ]; do sleep 0.02; done', str(flag))
    with running(tmp_path, CommandWorker(declared)) as engine:
        receipt = await engine.control.submit(Submission(kind="command.slow"))

        async def lines() -> bool:
            return "first" in [line.message for line in await engine.control.logs(receipt.job_id)]

        await until(lines, LONG_S)
        assert (await engine.control.job(receipt.job_id)).job.state is JobState.RUNNING
        flag.touch()
        await reaches(engine.control, receipt.job_id, JobState.SUCCEEDED, timeout_s=LONG_S)


@pytest.mark.parametrize(
    ("script", "body", "told"),
    [
        ("echo no room; exit 4", {}, "exit code 4: no room"),
        ("echo half done; exit 4", {"success": [0, 4]}, ""),
        ("kill -SEGV $$", {}, "ended by SIGSEGV"),
        ("echo x; exit 75", {"retry": [75], "attempts": 2}, "exit code 75: x"),
    ],
)
async def test_its_exit_code_means_what_is_declared(
    tmp_path: Path, script: str, body: dict[str, Any], told: str
) -> None:
    detail = await result_of(tmp_path, command("end", "/bin/sh", "-c", script, **body))
    assert (detail.job.error or "") == told
    assert detail.job.state is (JobState.FAILED if told else JobState.SUCCEEDED)
    assert len(detail.attempts) == body.get("attempts", 1)


async def test_what_can_not_be_started_says_why(tmp_path: Path) -> None:
    gone = await result_of(tmp_path / "a", command("gone", "/nowhere/pg_dump"))
    assert "there is no program /nowhere/pg_dump" in (gone.job.error or "")
    script = tmp_path / "script"
    script.write_text("#!/nowhere/python\n")
    script.chmod(0o755)
    broken = await result_of(tmp_path / "b", command("broken", str(script)))
    assert (broken.job.error or "").startswith(f"can't be run: {script}: No such file or directory")


async def test_values_that_are_not_allowed_make_no_job(tmp_path: Path) -> None:
    declared = command("list", "/bin/ls", "{path}", parameters={"path": {"pattern": ".*"}})
    with running(tmp_path, CommandWorker(declared)) as engine:
        for value, told in (("-la", "would be taken for an option"), ("a\nb", "holds a control character")):
            with pytest.raises(InvalidParameters, match=told):
                await engine.control.submit(Submission(kind="command.list", parameters={"path": value}))
        with pytest.raises(InvalidParameters, match="is required"):
            await engine.control.submit(Submission(kind="command.list"))


async def test_a_secret_reaches_the_program_and_nobody_else(tmp_path: Path) -> None:
    REDACTOR.register(["geheim-4711"])
    declared = command(
        "secret",
        *("/bin/sh", "-c", "env | sort; echo got $TOKEN"),
        environment={"TOKEN": "env:OURS"},
        environ={"OURS": "geheim-4711"},
    )
    detail = await result_of(tmp_path, declared)
    assert detail.result is not None
    assert "got ••••••" in logged(detail)
    assert "geheim" not in repr(detail)
    names = {line.partition("=")[0] for line in detail.result["last_lines"] if "=" in line}
    assert names <= {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TOKEN", "PWD", "_", "SHLVL", "OLDPWD"}


async def test_a_flood_is_cut_and_said_to_be(tmp_path: Path) -> None:
    script = (
        "import sys\nfor n in range(200000): print(n)\nsys.stdout.buffer.write(b'\\0' * 100000)\nprint()\nprint('last')"
    )
    detail = await result_of(tmp_path, command("flood", sys.executable, "-c", script, output_kb=4))
    assert detail.result is not None
    assert detail.result["is_truncated"] is True
    assert detail.result["lines"] == 200_002
    assert detail.result["last_lines"][-1] == "last"
    assert any("output_kb = 4 is reached" in line for line in logged(detail))
    assert logged(detail)[-1] == "last"
    assert len(detail.logs) < 250


async def test_too_much_memory_ends_it(tmp_path: Path) -> None:
    script = "import time\nkept = []\nwhile True:\n    kept.append(bytearray(b'x') * 5_000_000)\n    time.sleep(0.02)"
    detail = await result_of(tmp_path, command("eater", sys.executable, "-c", script, memory_mb=80))
    assert detail.job.error == "took more than its memory_mb = 80 and was killed"


async def test_what_it_leaves_behind_is_ended(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = 'setsid sleep 3600 >/dev/null 2>&1 & echo $! > "$0.new"; mv "$0.new" "$0"; echo done'
    detail = await result_of(tmp_path, command("leaver", "/bin/sh", "-c", script, str(pids)))
    assert detail.job.state is JobState.SUCCEEDED
    assert all_gone(started(pids))
    assert any("left behind were ended" in line for line in logged(detail))


async def test_cancelling_ends_all_of_it_however_deaf(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with running(tmp_path, CommandWorker(family(pids))) as engine:
        receipt = await engine.control.submit(Submission(kind="command.family"))
        members = await asyncio.to_thread(started, pids)
        await engine.control.act(JobAction.CANCEL, [receipt.job_id])
        job = await reaches(engine.control, receipt.job_id, *ENDED, timeout_s=LONG_S)
        assert job.state is JobState.CANCELLED
        assert await asyncio.to_thread(all_gone, members)
        pids.unlink()
        await engine.control.act(JobAction.RETRY, [receipt.job_id])  # a person's wish: it simply runs again
        again = await asyncio.to_thread(started, pids)
    assert await asyncio.to_thread(all_gone, again)  # the engine's end is the program's


async def test_its_time_limit_ends_all_of_it(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    detail = await result_of(tmp_path, family(pids, timeout_s=3))
    assert detail.job.state is JobState.FAILED
    assert "ran longer than its soft limit of 3 s" in (detail.job.error or "")
    assert "all it had started were ended" in (detail.job.error or "")
    assert all_gone(started(pids))


@pytest.mark.parametrize("mode", ["once", "repeatable"])
async def test_a_killed_engine_leaves_no_process_and_repeats_only_what_may_be(tmp_path: Path, mode: str) -> None:
    program = Path(__file__).with_name("commanding.py")
    engine_process = subprocess.Popen([sys.executable, str(program), str(tmp_path), mode], stdin=subprocess.DEVNULL)
    try:
        members = await asyncio.to_thread(started, tmp_path / "pids")
    finally:
        engine_process.send_signal(signal.SIGKILL)
        engine_process.wait()
    assert await asyncio.to_thread(all_gone, members)
    (tmp_path / "pids").unlink()
    worker = CommandWorker(family(tmp_path / "pids", repeatable=mode == "repeatable"))
    with running(tmp_path, worker) as engine:
        if mode == "once":
            job = await reaches(engine.control, 1, *ENDED, timeout_s=LONG_S)
            assert "the engine ended while the program ran" in (job.error or "")
            assert "jobs retry 1" in (job.error or "")
            assert not (tmp_path / "pids").exists()
            await engine.control.act(JobAction.RETRY, [1])
        members = await asyncio.to_thread(started, tmp_path / "pids")
    assert await asyncio.to_thread(all_gone, members)


async def test_a_stopped_engine_repeats_only_what_may_be(tmp_path: Path) -> None:
    worker = CommandWorker(family(tmp_path / "pids"))
    with running(tmp_path, worker) as engine:
        await engine.control.submit(Submission(kind="command.family"))
        members = await asyncio.to_thread(started, tmp_path / "pids")
        await asyncio.to_thread(engine.stop, 0.5)
    assert await asyncio.to_thread(all_gone, members)
    with running(tmp_path, worker) as engine:
        job = await reaches(engine.control, 1, *ENDED, timeout_s=LONG_S)
    assert "the engine ended while the program ran" in (job.error or "")


async def test_a_killed_keeper_takes_its_program_along(tmp_path: Path) -> None:
    declared = command("plain", "/bin/sh", "-c", 'echo "$$ $PPID" > "$0.new"; mv "$0.new" "$0"; exec sleep 3600',
                       str(tmp_path / "pids"))  # fmt: skip
    with running(tmp_path, CommandWorker(declared)) as engine:
        receipt = await engine.control.submit(Submission(kind="command.plain"))
        program, keeper = await asyncio.to_thread(started, tmp_path / "pids")
        subprocess.run(["/bin/sh", "-c", f"kill -9 {keeper}"], check=True)
        job = await reaches(engine.control, receipt.job_id, *ENDED, timeout_s=LONG_S)
        assert job.error == "can't be run: its keeper was killed"
    deadline = time.monotonic() + LONG_S
    while (stat := Path(f"/proc/{program}/stat")).exists() and " Z " not in stat.read_text():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_a_read_only_target_refuses_and_production_wants_its_name(tmp_path: Path) -> None:
    change = CommandWorker(command("change", "/bin/true"))
    look = CommandWorker(command("look", "/bin/true", changes_data=False))
    with running(tmp_path / "a", change, look, target=TargetView(name="t", is_read_only=True)) as engine:
        with pytest.raises(ReadOnly):
            await engine.control.submit(Submission(kind="command.change"))
        receipt = await engine.control.submit(Submission(kind="command.look"))
        await reaches(engine.control, receipt.job_id, JobState.SUCCEEDED, timeout_s=LONG_S)
    with running(tmp_path / "b", change, target=TargetView(name="prod", production=True)) as engine:
        with pytest.raises(Unconfirmed):
            await engine.control.submit(Submission(kind="command.change"))
        receipt = await engine.control.submit(Submission(kind="command.change", confirmation="prod"))
        await reaches(engine.control, receipt.job_id, JobState.SUCCEEDED, timeout_s=LONG_S)


async def test_its_plan_is_the_exact_argument_list(tmp_path: Path) -> None:
    declared = command("copy", "/bin/cp", "{what}", "/backup", parameters={"what": {"pattern": ".+"}}, memory_mb=10)
    with running(tmp_path, CommandWorker(declared)) as engine:
        plan = await engine.control.plan("command.copy", {"what": "a b"})
    assert plan.lines[0].value == "/bin/cp 'a b' /backup"
    assert plan.figures["argv"] == ["/bin/cp", "a b", "/backup"]
    assert "10 MB of memory" in plan.lines[3].value
