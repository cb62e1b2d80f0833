"""Alerts by program and by e-mail, from a real process and over a real mail server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from integration.webhooks.desk import TARGET, HandClock, desk, notice
from qsuite_console.config.notices import SmtpSettings
from qsuite_console.config.secrets import Secret
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.deliveries import DeliveryState
from qsuite_console.model.health import AlertState, Level
from qsuite_console.operations.webhooks import standing

PROGRAM = """#!{python}
import json, os, sys
told = json.load(sys.stdin)
with open({out!r}, "a") as file:
    said = {{name: value for name, value in os.environ.items()}}
    file.write(json.dumps([told, said, sys.argv[1:]]) + "\\n")
sys.exit({code})
"""


HANGING = """
import asyncio, sys
from datetime import UTC, datetime
from qsuite_console.config.notices import SmtpSettings
from qsuite_console.providers.mail import send_mail

async def main():
    settings = SmtpSettings(host="127.0.0.1", port=int(sys.argv[1]), security="none", sender="a@example.com")
    given = dict(identifier="i", subject="s", text="t", at=datetime.now(UTC), timeout_s=3600)
    sending = send_mail(settings, ["b@example.com"], **given)
    try:
        await asyncio.wait_for(sending, 0.5)
    except TimeoutError:
        print("left")

asyncio.run(main())
"""


def program(path: Path, code: int = 0) -> Path:
    script = path / f"told-{code}"
    script.write_text(PROGRAM.format(python=sys.executable, out=str(path / "out"), code=code))
    script.chmod(stat.S_IRWXU)
    return script


def heard(path: Path) -> list[Any]:
    file = path / "out"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


async def test_a_program_is_told_on_change_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_TOKEN", "canary")
    endpoint = notice(command=[str(program(tmp_path)), "--plain", "$(touch /tmp/x); `id`"])
    async with desk(tmp_path, endpoint) as found:
        alert = await found.alert(message="CPU 91 % $(reboot)\n--flag")
        for _ in range(3):
            await found.tick(10)
        await found.alert(since=alert.since, state=AlertState.CLEARED, cleared_at=found.clock.now())
        await found.tick(10)
        await found.job()  # it is told of alerts only, unless it says so
        await found.tick(10)
    calls = heard(tmp_path)
    assert [(told["type"], said["QSUITE_EVENT"]) for told, said, _ in calls] == [
        ("alert.fired", "alert.fired"),
        ("alert.cleared", "alert.cleared"),
    ]
    told, said, arguments = calls[0]
    assert arguments == ["--plain", "$(touch /tmp/x); `id`"]  # as they stand: no shell reads them
    assert said["QSUITE_MESSAGE"] == "CPU 91 % $(reboot) --flag"
    assert (said["QSUITE_LEVEL"], said["QSUITE_SUBJECT"], told["data"]["value"]) == ("warning", "host.cpu", 91.0)
    assert "CANARY_TOKEN" not in said


async def test_a_program_that_fails_is_run_again(tmp_path: Path) -> None:
    missing = notice(name="missing", command=["/nowhere/at-all"])
    async with desk(tmp_path, notice(command=[str(program(tmp_path, code=3))]), missing) as found:
        assert found.courier.problem(missing) == "there is no program /nowhere/at-all to run"
        await found.alert()
        await found.tick()
        by_name = {one.endpoint: one for one in await found.deliveries()}
        assert (by_name["oncall"].error, by_name["oncall"].status) == ("ended with 3", 3)
        assert by_name["missing"].error == "can't be started: No such file or directory"
        await found.tick(6)
        assert len(heard(tmp_path)) == 2


async def test_a_program_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = tmp_path / "hangs"
    script.write_text(f"#!/bin/sh\ntrap '' TERM\nsleep 300 &\necho $$ $! > {pids}\nwait\nsleep 300\n")
    script.chmod(stat.S_IRWXU)
    async with desk(tmp_path, notice(command=[str(script)], timeout_s=3), clock=SystemClock()) as found:
        await found.alert()
        await found.tick()
        (one,) = await found.deliveries()
        assert one.error == "did not end within 3 s and was ended"
    async with asyncio.timeout(30):
        while any(_is_alive(int(pid)) for pid in pids.read_text().split()):
            await asyncio.sleep(0.05)


async def test_a_program_that_leaves_something_running_has_told_once_it_ends(tmp_path: Path) -> None:
    script = tmp_path / "leaves"
    script.write_text(f"#!/bin/sh\nsleep 300 &\necho $! > {tmp_path}/left-$1\necho quite loud >&2\nexit $1\n")
    script.chmod(stat.S_IRWXU)
    endpoints = [
        notice(name, command=[str(script), code], timeout_s=60) for name, code in (("told", "0"), ("bad", "4"))
    ]
    async with desk(tmp_path, *endpoints, clock=SystemClock()) as found:
        try:
            await found.alert()
            async with asyncio.timeout(30):  # half of the time that it has
                await found.tick()
            by_name = {one.endpoint: one for one in await found.deliveries()}
            assert (by_name["told"].state, by_name["told"].attempts) == (DeliveryState.DELIVERED, 1)
            assert by_name["bad"].error == "ended with 4: quite loud"
        finally:
            left = [int(file.read_text()) for file in tmp_path.glob("left-*")]
            assert [pid for pid in left if _is_alive(pid)] == left  # nothing of it was ended
            for pid in left:
                os.kill(pid, signal.SIGKILL)


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


class Mailbox:
    """A mail server's handler; ``answers`` are given before 250."""

    def __init__(self) -> None:
        self.mails: list[tuple[Envelope, EmailMessage]] = []
        self.answers: list[str] = []
        self.strangers: list[str] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.port = 0

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, to: str, options: Any) -> str:
        if to in self.strangers:
            return "550 nobody of that name"
        envelope.rcpt_tos.append(to)
        return "250 known"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answers:
            return self.answers.pop(0)
        message = message_from_bytes(envelope.content or b"", policy=policy.default)  # type: ignore[arg-type]
        assert isinstance(message, EmailMessage)
        self.mails.append((envelope, message))
        return "250 kept"

    def login(self, server: SMTP, session: Session, envelope: Envelope, kind: str, data: LoginPassword) -> AuthResult:
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"canary-mail", handled=False)


@asynccontextmanager
async def mail_server(box: Mailbox) -> AsyncIterator[Mailbox]:
    def made() -> SMTP:
        return SMTP(
            box, authenticator=box.login, auth_require_tls=False, auth_required=True, hostname="mail", loop=loop
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(made, "127.0.0.1", box.port)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
        await server.wait_closed()


def smtp(box: Mailbox, password: str = "canary-mail") -> SmtpSettings:
    return SmtpSettings(
        host="127.0.0.1", port=box.port, security="none", user="ada", password=Secret(password), sender="q@example.com"
    )


async def test_mails_say_what_fired_and_what_cleared(tmp_path: Path) -> None:
    endpoint = notice(email=["ada@example.com", "bob@example.com"], levels=["critical"])
    async with mail_server(Mailbox()) as box, desk(tmp_path, endpoint, smtp=smtp(box)) as found:
        alert = await found.alert(level=Level.CRITICAL, message="CPU 97 %\r\nBcc: eve@example.com", title="CPU")
        await found.alert(id="redis.memory", level=Level.WARNING)
        await found.tick()
        await found.tick(60)
        await found.alert(
            since=alert.since, level=Level.CRITICAL, state=AlertState.CLEARED, cleared_at=found.clock.now()
        )
        await found.tick(10)
        assert [message["Subject"] for _, message in box.mails] == [
            "[default] alert.fired: CPU 97 % Bcc: eve@example.com",
            "[default] alert.cleared: CPU 91 %",
        ]
        envelope, message = box.mails[0]
        assert envelope.rcpt_tos == ["ada@example.com", "bob@example.com"]
        assert (message["From"], message["To"], message["Bcc"]) == (
            "q@example.com",
            "ada@example.com, bob@example.com",
            None,
        )
        text = message.get_content()
        assert "alert: host.cpu" in text
        assert "level: critical" in text
        assert message["Message-ID"].startswith("<msg_")


async def test_a_mail_server_that_is_down_or_refuses(tmp_path: Path) -> None:
    box = Mailbox()
    async with mail_server(box):
        pass
    endpoint = notice(email=["ada@example.com"])
    async with desk(tmp_path, endpoint, smtp=smtp(box), clock=HandClock()) as found:
        await found.alert()
        await found.tick()
        (one,) = await found.deliveries()
        assert "can't be used" in one.error
        assert await found.store.deliveries.failing(TARGET) == {"oncall": one.error}
        async with mail_server(box):
            box.answers = ["451 try later"]
            await found.tick(6)
            (one,) = await found.deliveries()
            assert one.error == f"the mail server 127.0.0.1:{box.port} answered 451 try later"
            await found.tick(400)
            (one,) = await found.deliveries()
            assert (one.state, one.attempts) == (DeliveryState.DELIVERED, 3)
            assert await found.store.deliveries.failing(TARGET) == {}
            assert len(box.mails) == 1


async def test_a_mail_that_some_refuse_is_not_sent_again_to_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    box = Mailbox()
    box.strangers = ["gone@example.com"]
    endpoint = notice(email=["ada@example.com", "gone@example.com"])
    async with mail_server(box), desk(tmp_path, endpoint, smtp=smtp(box)) as found:
        await found.alert()
        for _ in range(3):
            await found.tick(400)
        (one,) = await found.deliveries()
        assert (one.state, one.attempts) == (DeliveryState.DELIVERED, 1)
        assert one.error == "the mail server refused gone@example.com"
        assert standing(one).endswith("; the mail server refused gone@example.com")
        assert [envelope.rcpt_tos for envelope, _ in box.mails] == [["ada@example.com"]]
    assert "alert.fired for oncall: the mail server refused gone@example.com" in caplog.text


async def test_a_mail_server_that_hangs_does_not_keep_the_console_from_ending(tmp_path: Path) -> None:
    script = tmp_path / "ends.py"
    script.write_text(HANGING)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(script), str(silent.getsockname()[1]), stdout=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(60):  # the mail itself may take an hour
                told, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert (told, process.returncode) == (b"left\n", 0)


async def test_a_wrong_password_is_told_without_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with (
        mail_server(Mailbox()) as box,
        desk(tmp_path, notice(email=["ada@example.com"]), smtp=smtp(box, "canary-wrong")) as found,
    ):
        await found.alert()
        await found.tick()
        (one,) = await found.deliveries()
        assert "answered 535" in one.error
        detail = await found.store.deliveries.detail(TARGET, one.number)
        assert "canary-wrong" not in str(detail) + caplog.text
        found.clock.at += timedelta(seconds=1)
    async with desk(tmp_path / "none", notice(email=["ada@example.com"])) as found:
        await found.alert()
        await found.tick()
        (one,) = await found.deliveries()
        assert one.error == "there is no mail server: set smtp.host"
