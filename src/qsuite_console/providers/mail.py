"""Mails by SMTP, each over a connection of its own; only the mail server of the configuration is used.

Each in a thread that nobody joins, unlike those of the loop: a mail server that hangs must not keep the console from
ending.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TypeVar

from qsuite_console.config.notices import SmtpSettings
from qsuite_console.model.text import clean
from qsuite_console.providers.errors import ProviderUnavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes along with a mail."""

    name: str
    media_type: str  # "text/csv; charset=utf-8"
    content: bytes


async def send_mail(
    settings: SmtpSettings,
    recipients: Sequence[str],
    *,
    identifier: str,
    subject: str,
    text: str,
    at: datetime,
    timeout_s: float,
    attachment: Attachment | None = None,
) -> tuple[str, ...]:
    """Hand a mail to the server for all recipients, and return those of them that it refused, if not all.

    Raises ProviderUnavailable with the server's own reason.
    """
    message = EmailMessage()
    host = socket.gethostname()
    sender = settings.sender or f"qsuite-console@{host}"
    message["From"], message["To"] = sender, ", ".join(recipients)
    message["Subject"] = clean(subject, 200)
    message["Date"], message["Message-ID"] = format_datetime(at), f"<{identifier}@{clean(host, 100)}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(clean(text, 20_000, one_line=False))
    if attachment is not None:
        kind, _, parameters = attachment.media_type.partition(";")
        main, _, sub = kind.partition("/")
        message.add_attachment(attachment.content, maintype=main, subtype=sub, filename=attachment.name)
        if parameters:
            part = next(message.iter_attachments())
            part.replace_header("Content-Type", f'{attachment.media_type}; name="{attachment.name}"')
    return await _aside(lambda: _send(settings, sender, list(recipients), message, timeout_s))


async def _aside(work: Callable[[], T]) -> T:
    loop = asyncio.get_running_loop()
    waited: asyncio.Future[T] = loop.create_future()
    done = concurrent.futures.Future[T]()

    def settle() -> None:
        if waited.cancelled():
            return
        if (error := done.exception()) is not None:
            waited.set_exception(error)
        else:
            waited.set_result(done.result())

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # whoever waits gets it
            done.set_exception(error)
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
            loop.call_soon_threadsafe(settle)

    threading.Thread(target=run, name="mail", daemon=True).start()
    return await waited


def _send(
    settings: SmtpSettings, sender: str, recipients: list[str], message: EmailMessage, timeout_s: float
) -> tuple[str, ...]:
    where = f"the mail server {settings.host}:{settings.port}"
    try:
        server = _connect(settings, timeout_s)
        try:
            if settings.user:
                server.login(settings.user, settings.password.reveal())
            refused = server.send_message(message, sender, recipients)
        finally:
            with contextlib.suppress(smtplib.SMTPException, OSError):  # it has answered already; this is good-bye
                server.quit()
    except smtplib.SMTPResponseException as error:
        text = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        raise ProviderUnavailable(f"{where} answered {error.smtp_code} {clean(text, 150)}") from error
    except smtplib.SMTPRecipientsRefused as error:
        raise ProviderUnavailable(f"{where} refused {', '.join(clean(one, 80) for one in error.recipients)}") from error
    except (smtplib.SMTPException, ssl.SSLError, OSError) as error:
        raise ProviderUnavailable(f"{where} can't be used: {clean(error, 150) or type(error).__name__}") from error
    return tuple(clean(one, 80) for one in refused)


def _connect(settings: SmtpSettings, timeout_s: float) -> smtplib.SMTP:
    if settings.security == "tls":
        return smtplib.SMTP_SSL(settings.host, settings.port, timeout=timeout_s, context=ssl.create_default_context())
    server = smtplib.SMTP(settings.host, settings.port, timeout=timeout_s)
    if settings.security == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server
