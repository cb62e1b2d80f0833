"""Attached over TCP: the token may be replaced while it is used, and an engine of another version is told as one."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from fakes.control import FakeControl, demo
from integration.service.tcp_client import TOKENS, served
from qsuite_console import __version__
from qsuite_console.attach import Address, RemoteControl, parse
from qsuite_console.cli.engine_address import address_of
from qsuite_console.config.api import ApiToken
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import TargetSettings
from qsuite_console.engine.state import ConsoleState
from qsuite_console.model.access import Scope
from qsuite_console.model.errors import ConsoleError, EngineGone, NotAuthenticated
from qsuite_console.model.jobs import JobQuery


@pytest.fixture
def control() -> FakeControl:
    return demo()


@pytest.fixture
async def place(control: FakeControl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Address]:
    """Yield where the engine answers to the token in the file "engine"; the console's own is in the file "console"."""
    monkeypatch.setattr("qsuite_console.headless.door.LOOK_S", 0.01)
    for name in ("engine", "console"):
        (tmp_path / name).write_text(TOKENS["admin"] + "\n")
    engine = tmp_path / "engine"
    tokens = {"desk": ApiToken(name="desk", reference=f"file:{engine}", path=str(engine), scope=Scope.ADMIN)}
    async with served(control, tmp_path / "s" / "engine.sock", tokens=tokens) as (client, _):
        stated = TargetSettings(engine_url=client.base, engine_token=Secret(f"file:{tmp_path / 'console'}"))
        found = address_of(stated, {})
        assert found is not None
        yield found


async def until(holds: Callable[[], bool], limit_s: float = 20.0) -> None:
    async with asyncio.timeout(limit_s):
        while not holds():
            await asyncio.sleep(0.01)


async def test_a_token_that_was_replaced_goes_on_without_anybody_noticing(place: Address, tmp_path: Path) -> None:
    remote = await asyncio.to_thread(RemoteControl(place).open)
    new, troubles = Secret(TOKENS["operator"]), set[str]()

    def is_renewed() -> bool:
        troubles.add(remote.state.trouble)
        return remote._link._address.token == new

    try:
        (tmp_path / "console").write_text(new.reveal())
        (tmp_path / "engine").write_text(new.reveal())
        await until(is_renewed)
        assert (await remote.jobs(JobQuery())).jobs
        assert not [trouble for trouble in troubles if "refuses" in trouble]  # a machine that stalls is another matter
    finally:
        remote.close()


async def test_a_token_that_is_taken_away_is_told_and_a_new_one_brings_it_back(place: Address, tmp_path: Path) -> None:
    remote = await asyncio.to_thread(RemoteControl(place).open)
    try:
        (tmp_path / "engine").write_text(TOKENS["operator"])
        await until(lambda: "this token is not valid" in remote.state.trouble)
        with pytest.raises(ConsoleError):
            await remote.kinds()
        (tmp_path / "console").unlink()
        await until(lambda: "console: can't be read" in remote.state.trouble)
        (tmp_path / "console").write_text(TOKENS["operator"])
        await until(lambda: not remote.state.trouble)
        assert await remote.kinds()
    finally:
        remote.close()


async def test_a_token_of_the_command_line_stays_what_it_is(place: Address, tmp_path: Path) -> None:
    remote = RemoteControl(dataclasses.replace(place, token=Secret(TOKENS["robot"]), renew=None))
    with pytest.raises(NotAuthenticated, match="this token is not valid"):
        await asyncio.to_thread(remote.open)


async def test_an_engine_whose_words_are_unknown_is_of_another_version(
    place: Address, control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Later(ConsoleState, frozen=True, kw_only=True):
        counts: str = "many"  # type: ignore[assignment]

    remote = await asyncio.to_thread(RemoteControl(place).open)
    try:
        monkeypatch.setattr(FakeControl, "state", property(lambda self: Later(sequence=10**6)))
        await until(lambda: "can't be read" in remote.state.trouble)
        assert f"it runs another version than this, {__version__}; restart the older one" in remote.state.trouble
        assert "refuses" not in remote.state.trouble
        monkeypatch.undo()
        await until(lambda: not remote.state.trouble)
    finally:
        remote.close()


async def test_a_change_that_was_not_made_is_told_from_one_that_may_have_been() -> None:
    """Of an engine that takes a request and dies nobody knows; of one that is away it is known."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            if not head.startswith(b"GET"):
                break
            what = b'{"newest":0}' if b"/events" in head else msgspec.json.encode(ConsoleState(version=__version__))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(what), what))
        writer.close()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    remote = RemoteControl(parse(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"))
    await asyncio.to_thread(remote.open)
    try:
        with pytest.raises(EngineGone, match="whether it took the request is not known"):
            await remote.set_queue("general", is_paused=True)
        with pytest.raises(EngineGone) as asked:
            await remote.ask("market.prices", {})
        assert "not known" not in asked.value.message
        listener.close()
        await until(lambda: "the engine ended" in remote.state.trouble)
        with pytest.raises(EngineGone) as refused:
            await remote.set_queue("general", is_paused=True)
        assert refused.value.hint == "nothing was changed: repeat it once the engine is back"
    finally:
        listener.close()
        await asyncio.to_thread(remote.close)
