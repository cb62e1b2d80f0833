"""A process is its pid and its beginning: what came later with the same pid is never touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from qsuite_console.sandbox import privileges, processes


@pytest.fixture
def sleeper():
    child = subprocess.Popen(["sleep", "60"])
    yield child
    child.kill()
    child.wait()


def test_a_process_is_told_from_a_later_one_with_its_pid(sleeper):
    found = processes.identify(sleeper.pid)
    assert processes.is_alive(found)
    later = processes.ProcessIdentity(found.pid, found.started + "0")
    assert not processes.is_alive(later)
    assert not processes.send(later, signal.SIGKILL)
    assert processes.end(later, ((signal.SIGKILL, 0.1),))  # it has gone, as far as we are concerned
    assert sleeper.poll() is None


def test_ending_goes_from_polite_to_certain():
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('x', flush=True); time.sleep(60)"
    stubborn = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert stubborn.stdout.read(1) == b"x"
    found = processes.identify(stubborn.pid)
    assert not processes.end(found, ((signal.SIGTERM, 0.1),))
    assert processes.end(found, ((signal.SIGTERM, 0.1), (signal.SIGKILL, 5.0)))
    stubborn.wait()
    stubborn.stdout.close()


def test_zombies_and_strangers_count_as_gone(sleeper):
    found = processes.identify(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGKILL)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # dead, but not yet reaped
    assert not processes.is_alive(found)
    assert processes.identify(sleeper.pid) is None
    sleeper.wait()
    assert processes.command_line(sleeper.pid) == ""
    assert processes.identify(2**22 + 1) is None


def test_the_server_s_user_is_nobody_for_root_and_ourselves_otherwise(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    secret = closed / "data"
    secret.write_text("reached")
    prepare = privileges.prepare_child(paths=(secret,), is_server=True, ends_with=signal.SIGKILL)
    user = privileges.server_user()
    assert (user is None) == (os.geteuid() != 0)
    assert (privileges.unreachable((secret,)) is None) == (user is None)
    argv = ["/bin/sh", "-c", f'echo "$(id -u) $(cat {secret})"']
    answer = subprocess.run(argv, preexec_fn=prepare, capture_output=True, text=True, check=True, cwd="/")
    assert answer.stdout == f"{user.pw_uid if user else os.geteuid()} reached\n"
    with pytest.raises(subprocess.CalledProcessError):  # and it is not root any more
        subprocess.run(["/bin/sh", "-c", "chown root /dev/null"], preexec_fn=prepare, capture_output=True, check=True)
