"""What the flags before the verb mean: the directories, the settings and the log of this process, made on first use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from qsuite_console import logs
from qsuite_console.cli import output
from qsuite_console.cli.engine_address import address_of
from qsuite_console.config.loading import Loaded, load
from qsuite_console.config.schema import secrets_of
from qsuite_console.model.errors import UsageProblem
from qsuite_console.paths import HOME_VARIABLE, Paths, resolve

if TYPE_CHECKING:
    from qsuite_console.attach import Address


@dataclass
class Invocation:
    """One process's options."""

    target: str | None = None
    is_read_only: bool = False
    theme: str | None = None
    log_level: str | None = None
    has_mouse: bool = True
    home: str | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    warns: bool = True  # False while a screen is shown: stderr is under it
    fixed: Mapping[str, str] = field(default_factory=dict)  # settings the sandbox, or the verb, determines
    fixed_by: str = "sandbox"

    @cached_property
    def base(self) -> Paths:
        """Return the directories that all targets share: the configuration and the log are there."""
        return self._made(resolve(self.home or self.environ.get(HOME_VARIABLE)))

    @cached_property
    def paths(self) -> Paths:
        """Return the target's own directories, made if need be: its history and socket are there."""
        loaded = self.loaded
        name = loaded.settings.target.name
        is_named = bool(loaded.chosen) and loaded.chosen == name
        return self._made(self.base.of_target(name, is_named=is_named, is_main=loaded.chosen == loaded.main))

    @cached_property
    def engine(self) -> Address | None:
        """Return where the target's engine answers, None for one of this machine; warns of a token in the clear."""
        found = address_of(self.loaded.settings.target, self.environ)
        if found is not None and found.token:
            logs.REDACTOR.register([found.token.reveal()])
            if found.is_in_the_clear and self.warns:
                output.warning(f"the token for {found.where} crosses the network in the clear; use https or ssh -L")
        return found

    def _made(self, found: Paths) -> Paths:
        """Make the directories; refuses those that can't be."""
        try:
            return found.ensure()
        except OSError as error:
            raise UsageProblem(
                f"{error.filename}: can't be made: {error.strerror}",
                hint=f"name a directory that can be written with --home or {HOME_VARIABLE}",
            ) from error

    @cached_property
    def loaded(self) -> Loaded:
        """Return the resolved settings; warns on stderr about what is unwise."""
        flags: dict[str, Any] = {
            "target": self.target,
            "read_only": True if self.is_read_only else None,
            "theme": self.theme,
            "log_level": self.log_level.upper() if self.log_level else None,
            "fixed": self.fixed,
            "fixed_by": self.fixed_by,
        }
        loaded = load(self.base, self.environ, flags)
        for warning in loaded.warnings if self.warns else ():
            output.warning(warning)
        for name, why in loaded.unready.items() if self.warns else ():
            output.warning(f"command {name} can't be run: {why}")
        return loaded

    def start_log(self, *, on_stderr: bool = False) -> None:
        """Begin logging; every secret of the settings is masked."""
        settings = self.loaded.settings
        logs.configure(
            self.base.log_file,
            level=settings.log_level,
            secrets=secrets_of(settings),
            is_json=self.environ.get("QSUITE_CONSOLE_LOG", "").lower() == "json",
            on_stderr=on_stderr,
        )
