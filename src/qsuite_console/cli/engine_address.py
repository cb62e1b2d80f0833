"""Where a target's engine answers and the token it wants, as the configuration or the command line states them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qsuite_console import logs
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import TargetSettings
from qsuite_console.model.errors import UsageProblem

if TYPE_CHECKING:
    from qsuite_console.attach import Address

_ENV: Final = "env:"
_FILE: Final = "file:"
_LONGEST: Final = 4096


def address_of(target: TargetSettings, environ: Mapping[str, str]) -> Address | None:
    """Return where the engine answers, None for one of this machine; raises UsageProblem for a token that is not there.

    A token is "env:NAME", "file:/path" or the token itself.
    """
    if not target.engine_url:
        return None
    from qsuite_console.attach import parse

    def renew() -> Secret:
        token = _token_of(target, environ)
        logs.REDACTOR.register([token.reveal()])
        return token

    return dataclasses.replace(parse(target.engine_url, _token_of(target, environ)), renew=renew)


def _token_of(target: TargetSettings, environ: Mapping[str, str]) -> Secret:
    stated = target.engine_token.reveal()
    if stated.startswith(_ENV):
        name = stated.removeprefix(_ENV)
        if not environ.get(name):
            raise UsageProblem(f"target.engine_token: the variable {name} is not set", hint=f"export {name}=…")
        stated = environ[name].strip()
    elif stated.startswith(_FILE):
        stated = read_token(Path(stated.removeprefix(_FILE)).expanduser())
    return Secret(stated)


def read_token(file: Path) -> str:
    """Return the token that a file holds, the first of two while one replaces the other; raises UsageProblem."""
    try:
        text = file.read_text(encoding="utf-8")[: _LONGEST + 1].strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageProblem(f"{file}: can't be read: {why}", hint="name a file that holds the token alone") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    is_alone = 1 <= len(lines) <= 2 and all(len(line.split()) == 1 for line in lines)
    if not is_alone or not text.isascii() or len(text) > _LONGEST:
        raise UsageProblem(f"{file} does not hold one token", hint="name a file that holds the token alone")
    return lines[0]
