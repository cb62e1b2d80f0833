"""``init``: asks for the connections, tests each and writes the commented configuration, mode 0600.

A password is asked for, read from the environment or from stdin; on the command line every user of the machine could
read it, so a URL flag that holds one is refused.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

import click

from qsuite_console.cli import output
from qsuite_console.cli.checks import Finding, Verdict
from qsuite_console.cli.doctor import print_findings
from qsuite_console.cli.invocation import Invocation
from qsuite_console.cli.jobs import json_option
from qsuite_console.cli.lazy import examples
from qsuite_console.cli.progress import is_interactive
from qsuite_console.config.catalogue import CATALOGUE
from qsuite_console.config.document import example
from qsuite_console.config.schema import SCHEMA
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import Settings
from qsuite_console.config.values import BadValue, convert
from qsuite_console.model.errors import ConsoleError, UsageProblem
from qsuite_console.model.text import clean

DATABASE: Final = "database.dsn"
CACHE: Final = "cache.url"
KEY: Final = "provider.key_id"
SECRET: Final = "provider.secret_key"
DATA: Final = "provider.data_url"
TRADING: Final = "provider.trading_url"
ASKED: Final = (DATABASE, CACHE, DATA, TRADING, KEY, SECRET)


@dataclass
class Answers:
    """What is known so far, by setting; ``put`` validates."""

    values: dict[str, Any] = field(default_factory=dict)

    def put(self, key: str, raw: str, where: str) -> None:
        """Keep a value; raises UsageProblem saying why not."""
        try:
            self.values[key] = convert(raw, SCHEMA[key], CATALOGUE[key], is_text=True)
        except BadValue as error:
            raise UsageProblem(f"{where}: {clean(error)}") from None

    def settings(self) -> Settings:
        """Return settings made of the answers and defaults."""
        settings = Settings()
        for key, value in self.values.items():
            section, _, name = key.partition(".")
            part = dataclasses.replace(getattr(settings, section), **{name: value})
            settings = dataclasses.replace(settings, **{section: part})
        return settings


@click.command(
    epilog=examples(
        "qsuite-console init",
        "qsuite-console init --database-url postgresql://console@db-1/qsuite --redis-url redis://cache-1:6379/0",
        "qsuite-console init --yes --stdin < secrets.env      lines such as DATABASE_URL=…",
        "DATABASE_URL=… REDIS_URL=… qsuite-console init --yes --force",
    )
)
@click.option("--database-url", metavar="URL", help="PostgreSQL, without a password.")
@click.option("--redis-url", metavar="URL", help="Redis or Valkey, without a password.")
@click.option("--key-id", metavar="ID", help="API key of the market-data provider.")
@click.option("--data-url", metavar="URL", help="Address of its market data.")
@click.option("--trading-url", metavar="URL", help="Address of its assets and calendar.")
@click.option("--stdin", is_flag=True, help="Read lines NAME=VALUE from stdin: DATABASE_URL=…, REDIS_URL=…, APCA_…=….")
@click.option("--yes", is_flag=True, help="Ask nothing: flags, environment and stdin must suffice.")
@click.option("--no-test", is_flag=True, help="Write without trying the connections.")
@click.option("--force", is_flag=True, help="Replace a configuration that exists (it is kept as config.toml.bak).")
@json_option
@click.pass_obj
def init(invocation: Invocation, /, **flags: Any) -> int:
    """Ask for PostgreSQL, Redis and API keys, test each, and write a commented configuration of mode 0600.

    Values come from flags, then from stdin with --stdin, then from the environment; what is still missing is asked
    for. Passwords and secrets never go on the command line.
    """
    file = invocation.base.config_file
    if file.exists() and not flags["force"]:
        raise ConsoleError(f"{file} exists", hint="edit it, or replace it with init --force")
    answers = gather(invocation.environ, flags)
    if is_interactive() and not flags["yes"]:
        _ask(answers)
    findings = [] if flags["no_test"] else asyncio.run(_test(answers.settings()))
    has_failed = any(finding.verdict is Verdict.FAIL for finding in findings)
    if findings and not flags["is_json"]:
        print_findings(findings)
    is_agreed = not has_failed or (
        is_interactive() and not flags["yes"] and click.confirm("Write it all the same?", default=False, err=True)
    )
    if is_agreed:
        write(file, example({key: value for key, value in answers.values.items() if value}))
    if flags["is_json"]:
        checks = [dataclasses.asdict(finding) for finding in findings]
        output.document({"file": str(file), "written": is_agreed, "checks": checks})
    if not is_agreed:
        output.error("nothing was written: a connection failed", "correct it, or write without trying: init --no-test")
        return 1
    output.note(f"wrote {file}; next: qsuite-console doctor, qsuite-console db init, qsuite-console")
    return 0


def gather(environ: Mapping[str, str], flags: Mapping[str, Any]) -> Answers:
    """Return what environment, stdin and flags say; the later beats the earlier."""
    answers = Answers()
    stdin = _stdin_lines() if flags["stdin"] else {}
    for key in ASKED:
        name = CATALOGUE[key].env
        for source, where in ((environ, "environment"), (stdin, "stdin")):
            if source.get(name):
                answers.put(key, source[name], f"{name} of the {where}")
    for flag, key in (
        ("database_url", DATABASE),
        ("redis_url", CACHE),
        ("key_id", KEY),
        ("data_url", DATA),
        ("trading_url", TRADING),
    ):
        raw = flags[flag]
        if raw:
            name = f"--{flag.replace('_', '-')}"
            if _password_of(raw):
                raise UsageProblem(
                    f"{name} holds a password, which every user of this machine can read",
                    hint=f"leave it out to be asked, or give the whole URL as {CATALOGUE[key].env} in the environment",
                )
            answers.put(key, raw, name)
    return answers


def write(file: Path, text: str) -> None:
    """Write the file whole or not at all, mode 0600; an older one is kept beside it."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        if file.exists():
            backup = file.with_name(f"{file.name}.bak")
            file.replace(backup)
            backup.chmod(0o600)
        temporary.replace(file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConsoleError(
            f"{file}: can't be written: {error.strerror}", hint="check the directory's owner and room"
        ) from error


def _stdin_lines() -> dict[str, str]:
    known = {CATALOGUE[key].env for key in ASKED}
    found: dict[str, str] = {}
    for number, line in enumerate(sys.stdin, 1):
        text = line.strip().removeprefix("export ")
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or name not in known:
            raise UsageProblem(f"stdin line {number}: expected one of {', '.join(sorted(known))} = value")
        found[name] = value.strip().strip("'\"")
    return found


def _ask(answers: Answers) -> None:
    values = answers.values
    if DATABASE not in values:
        url = _prompt(answers, DATABASE, "PostgreSQL (postgresql://user@host:port/name; empty: PG* and ~/.pgpass)")
        _ask_password(answers, DATABASE, url, "its password (empty: none, or ~/.pgpass)")
    if CACHE not in values:
        url = _prompt(answers, CACHE, "Redis (redis://host:port/db; empty: none)")
        _ask_password(answers, CACHE, url, "its password (empty: none)")
    if KEY not in values:
        _prompt(answers, KEY, "API key of the market-data provider (empty: none)")
    if values.get(KEY) and SECRET not in values:
        _prompt(answers, SECRET, "its secret", is_hidden=True)


def _prompt(answers: Answers, key: str, text: str, *, is_hidden: bool = False) -> str:
    while True:
        raw = click.prompt(text, default="", show_default=False, hide_input=is_hidden, err=True)
        try:
            answers.put(key, str(raw), "that")
            return str(raw)
        except UsageProblem as error:
            output.error(error.message)


def _ask_password(answers: Answers, key: str, url: str, text: str) -> None:
    if not url or _password_of(url):
        return
    password = click.prompt(text, default="", show_default=False, hide_input=True, err=True)
    if not password:
        return
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    netloc = f"{user if at else ''}:{quote(str(password), safe='')}@{host}"
    answers.values[key] = Secret(urlunsplit(parts._replace(netloc=netloc)))


def _password_of(url: str) -> str:
    try:
        return urlsplit(url).password or ("password" if "password=" in urlsplit(url).query else "")
    except ValueError:
        return ""


async def _test(settings: Settings) -> list[Finding]:
    from qsuite_console.cli.checks import services

    groups = await asyncio.gather(
        services.database(settings.database, settings.tables),
        services.cache(settings.cache),
        services.provider(settings.provider),
    )
    return [finding for group in groups for finding in group]
