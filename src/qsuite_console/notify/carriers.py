"""How one delivery reaches its endpoint: as a signed request, by a program, by e-mail. Each says how it went; none
raises for what the other side does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from qsuite_console.config.notices import Endpoint, SigningSecret, SmtpSettings, Way
from qsuite_console.logs import REDACTOR
from qsuite_console.model.deliveries import Delivery
from qsuite_console.model.errors import ConsoleError
from qsuite_console.model.text import clean
from qsuite_console.notify.enclosures import Enclosed
from qsuite_console.providers.mail import Attachment, send_mail
from qsuite_console.providers.outgoing import Answer, OutgoingClient, Request, place_of
from qsuite_console.providers.signing import BadSecret, secret_of, signed_headers

ANSWER_LIMIT: Final = 64 * 1024
_THROTTLED: Final = frozenset({429, 502, 503, 504})
_PLAIN: Final = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ")
_SECRET_BYTES: Final = 4096
_GRACE_S: Final = 2.0
_LAST_WORDS_S: Final = 0.5  # after a program's end, for what stands in the pipe yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """How a try went. ``after_s``: not before that; ``is_gone``: it asks not to be told any more."""

    error: str = ""  # "" has arrived
    note: str = ""  # what of it has not, all the same: sent again, the others would have it twice
    status: int | None = None
    after_s: float | None = None
    is_gone: bool = False
    is_final: bool = False  # no other try can go better
    is_throttled: bool = False


class Carrier(Protocol):
    """One way of telling."""

    async def carry(
        self, endpoint: Endpoint, delivery: Delivery, at: datetime, enclosed: Enclosed | None = None
    ) -> Carried:
        """Try once, within the endpoint's time, with the file that goes along."""
        ...

    def problem(self, endpoint: Endpoint) -> str:
        """Return why nothing can be told now, "" where nothing stands in the way; opens no connection."""
        ...


class WebhookCarrier:
    """Signed requests through the guard. A redirect is a failure: its target was not chosen by the operator."""

    def __init__(self, client: OutgoingClient) -> None:
        self._client = client

    def problem(self, endpoint: Endpoint) -> str:
        """Return what is missing: the URL, a secret."""
        if not endpoint.url:
            return f"{endpoint.url_reference} is not set"
        try:
            secrets_of(endpoint.secret)
        except ConsoleError as error:
            return error.message
        return ""

    async def carry(
        self, endpoint: Endpoint, delivery: Delivery, at: datetime, enclosed: Enclosed | None = None
    ) -> Carried:
        """Post the body, the file within it, with the signatures of this moment."""
        url = endpoint.url.reveal()
        body = delivery.body.encode() if enclosed is None else await asyncio.to_thread(enclosed.within, delivery.body)
        try:
            if not url:
                return Carried(error=f"{endpoint.url_reference} is not set")
            secrets = await asyncio.to_thread(secrets_of, endpoint.secret)
            headers = {
                "Content-Type": "application/json",
                **signed_headers(secrets, delivery.id, int(at.timestamp()), body),
            }
            answer = await self._client.send(
                Request(
                    method="POST",
                    url=url,
                    headers=headers,
                    body=body,
                    timeout_s=endpoint.timeout_s,
                    limit=ANSWER_LIMIT,
                )
            )
        except ConsoleError as error:
            host = place_of(url).partition("/")[0]
            return Carried(error=_plain(error.message.replace(place_of(url), host)))  # its path may be a secret
        return _carried(answer)


def _carried(answer: Answer) -> Carried:
    status = answer.status
    if 200 <= status < 300:
        return Carried(status=status)
    said = f"answered {status} {_phrase(status)}".rstrip()  # not in its own words: they may echo a secret address
    return Carried(
        error=f"{said}: a redirect is not followed" if 300 <= status < 400 else said,
        status=status,
        after_s=answer.quota.retry_after_s,
        is_gone=status == 410,
        is_throttled=status in _THROTTLED,
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def secrets_of(listed: Sequence[SigningSecret]) -> tuple[bytes, ...]:
    """Return the one or two secrets that are valid now, files read anew; raises ConsoleError naming the reference."""
    found: list[bytes] = []
    for one in listed:
        texts = [one.value.reveal()]
        if one.path:
            try:
                with Path(one.path).open(encoding="ascii") as file:
                    texts = [line.strip() for line in file.read(_SECRET_BYTES).splitlines() if line.strip()]
            except (OSError, ValueError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is not plain text"
                raise ConsoleError(f"{one.reference} can't be read: {why}") from error
        if not texts or not texts[0]:
            raise ConsoleError(f"{one.reference} is empty")
        REDACTOR.register(texts)
        try:
            found += [secret_of(text) for text in texts]
        except BadSecret as error:
            raise ConsoleError(f"{one.reference}: {error}") from error
    if len(found) > 2:
        raise ConsoleError("more than two secrets are stated; two are valid while one replaces the other")
    return tuple(found)


class CommandCarrier:
    """Programs of the configuration, as argument lists; what happened comes on their input and in variables."""

    def problem(self, endpoint: Endpoint) -> str:
        """Return whether the program is missing."""
        program = endpoint.command[0]
        return "" if os.access(program, os.X_OK) else f"there is no program {clean(program, 100)} to run"

    async def carry(
        self, endpoint: Endpoint, delivery: Delivery, at: datetime, enclosed: Enclosed | None = None
    ) -> Carried:
        """Run the program, which finds the file at QSUITE_FILE; an exit code but 0 is a failure."""
        environment = {name: os.environ[name] for name in _PLAIN if name in os.environ} | _variables(delivery)
        if enclosed is not None:
            environment["QSUITE_FILE"] = str(enclosed.path)
        async with _Ear.open() as ear:
            try:
                process = await asyncio.create_subprocess_exec(
                    *endpoint.command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=ear.mouth,
                    env=environment,
                    cwd="/",
                    start_new_session=True,
                )
            except OSError as error:
                return Carried(error=f"can't be started: {error.strerror}")
            ear.shut()
            try:
                async with asyncio.timeout(endpoint.timeout_s):
                    await _hand_over(process, delivery.body.encode())
                    code = await process.wait()
            except TimeoutError:
                return Carried(error=f"did not end within {endpoint.timeout_s:g} s and was ended")
            finally:
                if process.returncode is None:
                    await _end(process)
            if code == 0:
                return Carried()
            return Carried(error=_plain(f"ended with {code}: {await ear.heard()}".rstrip(": ")), status=code)


async def _hand_over(process: asyncio.subprocess.Process, body: bytes) -> None:
    """Give the program its input, which it need not read."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.write(body)
        await process.stdin.drain()
    process.stdin.close()


class _Ear:
    """Keeps the beginning of what a program complains of, however much there is and whoever else holds the pipe.

    Not asyncio's own pipe: with that a program has only ended once everything that it has started has, too.
    """

    def __init__(self, mouth: int) -> None:
        self.mouth = mouth  # what the program is given
        self._said = bytearray()
        self._end = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[_Ear]:
        """Listen until the block ends."""
        descriptor, mouth = os.pipe()
        ear, reader, pipe = cls(mouth), asyncio.StreamReader(), os.fdopen(descriptor, "rb", 0)
        with contextlib.closing(pipe):
            try:
                transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                    lambda: asyncio.StreamReaderProtocol(reader), pipe
                )
                listening = asyncio.create_task(ear._listen(reader))
                try:
                    yield ear
                finally:
                    listening.cancel()
                    await asyncio.gather(listening, return_exceptions=True)
                    transport.close()
            finally:
                ear.shut()

    def shut(self) -> None:
        """Leave the writing end to the program alone."""
        if self.mouth >= 0:
            os.close(self.mouth)
            self.mouth = -1

    async def heard(self) -> str:
        """Return what was said until the end, or until a moment after the program's own."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._end.wait()
        return clean(bytes(self._said).decode("utf-8", "replace").strip(), 200)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while piece := await reader.read(4096):
            self._said += piece[: max(0, 400 - len(self._said))]
        self._end.set()


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a program that runs, with all of its group: asked first, then killed."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, kind)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_S):
                await process.wait()


class MailCarrier:
    """Mails by the server of ``[smtp]``."""

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings

    def problem(self, endpoint: Endpoint) -> str:
        """Return whether there is no mail server."""
        return "" if self._settings.host else "there is no mail server: set smtp.host"

    async def carry(
        self, endpoint: Endpoint, delivery: Delivery, at: datetime, enclosed: Enclosed | None = None
    ) -> Carried:
        """Send one mail to all addresses, with the file attached."""
        if why := self.problem(endpoint):
            return Carried(error=why)
        told = _variables(delivery)
        data = _data(delivery)
        lines = [told["QSUITE_MESSAGE"], "", *(f"{name}: {value}" for name, value in data.items() if value is not None)]
        try:
            refused = await send_mail(
                self._settings,
                endpoint.email,
                identifier=delivery.id,
                subject=f"[{data.get('target', 'qsuite')}] {delivery.event}: {told['QSUITE_MESSAGE']}",
                text="\n".join(lines),
                at=at,
                timeout_s=endpoint.timeout_s,
                attachment=None
                if enclosed is None
                else Attachment(enclosed.name, enclosed.media_type, enclosed.content),
            )
        except ConsoleError as error:
            return Carried(error=_plain(error.message))
        return Carried(note=_plain(f"the mail server refused {', '.join(refused)}") if refused else "")


def carriers(client: OutgoingClient, smtp: SmtpSettings) -> Mapping[Way, Carrier]:
    """Return every way of telling."""
    return {Way.WEBHOOK: WebhookCarrier(client), Way.COMMAND: CommandCarrier(), Way.EMAIL: MailCarrier(smtp)}


def _data(delivery: Delivery) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(delivery.body)["data"]
    return found


def _variables(delivery: Delivery) -> dict[str, str]:
    data = _data(delivery)
    message = data.get("message") or data.get("error") or data.get("title") or data.get("note") or delivery.subject
    told = {"EVENT": delivery.event, "SUBJECT": delivery.subject, "MESSAGE": message, "ID": delivery.id}
    told |= {"LEVEL": data.get("level", ""), "TARGET": data.get("target", "")}
    return {f"QSUITE_{name}": clean(value, 1000).replace("\0", "") for name, value in told.items()}


def _plain(text: str) -> str:
    return REDACTOR.mask(clean(text, 300))
