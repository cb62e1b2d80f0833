"""How one delivery reaches its endpoint: as a signed request, by a program, by e-mail. Each says how it went; none
raises for what the other side does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """How a try went. ``after_s``: not before that; ``is_gone``: it asks not to be told any more."""

    error: str = ""  # "" has arrived
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
        try:
            process = await asyncio.create_subprocess_exec(
                *endpoint.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            return Carried(error=f"can't be started: {error.strerror}")
        try:
            async with asyncio.timeout(endpoint.timeout_s):
                said = await _talk(process, delivery.body.encode())
                code = await process.wait()
        except TimeoutError:
            return Carried(error=f"did not end within {endpoint.timeout_s:g} s and was ended")
        finally:
            if process.returncode is None:
                await _end(process)
        return Carried() if code == 0 else Carried(error=_plain(f"ended with {code}: {said}".rstrip(": ")), status=code)


async def _talk(process: asyncio.subprocess.Process, body: bytes) -> str:
    """Give the program its input and return the beginning of its complaint, however much there is."""
    assert process.stdin is not None
    assert process.stderr is not None
    with contextlib.suppress(OSError):  # it need not read
        process.stdin.write(body)
        await process.stdin.drain()
        process.stdin.close()
    said = bytearray()
    while piece := await process.stderr.read(4096):
        said += piece[: 400 - len(said)] if len(said) < 400 else b""
    return clean(bytes(said).decode("utf-8", "replace").strip(), 200)


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
            await send_mail(
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
        return Carried()


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
