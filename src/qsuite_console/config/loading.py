"""Settings from file < environment < flags, each value with its origin; everything wrong is told in one go.

A target chosen by name (``--target``, ``QSUITE_CONSOLE_TARGET``) is itself a flag: what ``[targets.NAME]`` states beats
the environment, so that ``--target prod`` can't lead elsewhere because a shell still exports ``DATABASE_URL``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from qsuite_console.config.api import is_loopback, parse_listen
from qsuite_console.config.catalogue import CATALOGUE
from qsuite_console.config.commands import obstacle
from qsuite_console.config.draft import Draft
from qsuite_console.config.schema import NAMED, SCHEMA, did_you_mean
from qsuite_console.config.secrets import Secret
from qsuite_console.config.sections import take_file, take_target
from qsuite_console.config.settings import DatabaseSettings, Settings
from qsuite_console.config.tomlfile import TomlError, TomlFile, read
from qsuite_console.model.errors import UsageProblem
from qsuite_console.model.text import clean
from qsuite_console.paths import Paths

TARGET_VARIABLE: Final = "QSUITE_CONSOLE_TARGET"
_PG_VARIABLES: Final = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE", "PGPASSFILE")
FLAGS: Final[Mapping[str, str]] = MappingProxyType(
    {"read_only": "target.read_only", "theme": "interface.theme", "log_level": "log_level"}
)


class ConfigurationProblem(UsageProblem):
    """The configuration was refused; ``problems`` are all its faults, one line each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        more = len(self.problems) - 1
        hint = (
            f"{more} more: {'; '.join(self.problems[1:4])}" if more else "qsuite-console config path: where the file is"
        )
        super().__init__(self.problems[0], hint=hint)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The resolved settings and where each came from: "default", "FILE:12", "env NAME" or "flag --name"."""

    settings: Settings
    origins: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    chosen: str = ""  # of these, the one the settings are of
    main: str = ""  # of these, the one that is taken when none is named
    unready: Mapping[str, str] = field(default_factory=dict)  # command -> why it could not be run now


def load(paths: Paths, environ: Mapping[str, str], flags: Mapping[str, Any]) -> Loaded:
    """Resolve the settings. ``flags``: target, read_only, theme, log_level (None when not given), and "fixed": setting
    -> text for what the caller itself determines (the sandbox its connections), which beats everything.

    Raises ConfigurationProblem naming file and line, variable or flag of everything that was refused.
    """
    draft = Draft(environ=environ)
    file = _read(paths, draft)
    targets = file.values.get("targets", {})
    targets = targets if isinstance(targets, dict) else {}
    chosen, by = _choose_target(file, targets, environ, flags, draft)
    target_is_flag = by not in ("", "file")
    take_file(file, draft)
    if chosen and not target_is_flag:
        take_target(file, chosen, draft)
    stated = draft.origins.get("target.read_only", "") if draft.values.get("target.read_only") else ""
    _from_environment(environ, draft)
    if chosen and target_is_flag:
        take_target(file, chosen, draft)
    _add_read_only(stated, environ, draft)
    for flag, key in FLAGS.items():
        raw = flags.get(flag)
        if raw is not None:
            draft.put(key, str(raw), f"flag --{flag.replace('_', '-')}", is_text=True)
    for key, raw in flags.get("fixed", {}).items():
        draft.put(key, raw, flags.get("fixed_by", "sandbox"), is_text=True)
    settings = _build(draft)
    _check_together(settings, draft)
    if draft.problems:
        raise ConfigurationProblem(dict.fromkeys(draft.problems))
    settings = dataclasses.replace(settings, others=dict(_others(file, targets, chosen)))
    keys = (*SCHEMA, *(f"{section}.{name}" for section in NAMED for name in getattr(settings, section)))
    origins = {key: draft.origins.get(key, "default") for key in keys}
    if not settings.database.dsn:
        given = [name for name in _PG_VARIABLES if environ.get(name)]
        origins["database.dsn"] = f"env {', '.join(given)} (libpq)" if given else origins["database.dsn"]
    default = file.values.get("default_target")
    main = default if isinstance(default, str) else next(iter(targets)) if len(targets) == 1 else ""
    unready = {name: why for name, each in settings.commands.items() if (why := obstacle(each, environ))}
    return Loaded(settings, origins, tuple(_unwise(file)), tuple(targets), chosen, main, unready)


def _read(paths: Paths, draft: Draft) -> TomlFile:
    path = paths.config_file
    try:
        return read(path)
    except FileNotFoundError:
        return TomlFile(path, {})
    except TomlError as error:
        place = f"{path}:{error.line}" if error.line else str(path)
        raise ConfigurationProblem([f"{place}: {clean(error)}"]) from error
    except OSError as error:
        raise ConfigurationProblem([f"{path}: can't be read: {error.strerror}"]) from error


def _choose_target(
    file: TomlFile, targets: Mapping[str, Any], environ: Mapping[str, str], flags: Mapping[str, Any], draft: Draft
) -> tuple[str, str]:
    asked = (
        (flags.get("target"), "flag --target"),
        (environ.get(TARGET_VARIABLE), f"env {TARGET_VARIABLE}"),
        (file.values.get("default_target"), "file"),
    )
    for name, by in asked:
        if not name:
            continue
        if isinstance(name, str) and name in targets:
            return name, by
        place = f"{file.path}:{file.line(('default_target',))}: default_target" if by == "file" else by
        known = f"; known: {', '.join(targets)}" if targets else f"; {file.path} defines none"
        draft.problems.append(
            f"{clean(place)}: no target {clean(name)!r}{did_you_mean(str(name), targets) or clean(known)}"
        )
        return "", ""
    return "", ""


def _from_environment(environ: Mapping[str, str], draft: Draft) -> None:
    for key, entry in CATALOGUE.items():
        raw = environ.get(entry.env) if entry.env else None
        if raw:
            draft.put(key, raw.strip().upper() if key == "log_level" else raw, f"env {entry.env}", is_text=True)


def _add_read_only(stated: str, environ: Mapping[str, str], draft: Draft) -> None:
    """Let file and environment each add read-only, neither take it away; ``stated`` is where the file says it."""
    entry, trial = CATALOGUE["target.read_only"], Draft()
    if raw := environ.get(entry.env):
        trial.put("target.read_only", raw, f"env {entry.env}", is_text=True)
    origin = stated or (trial.origins["target.read_only"] if trial.values.get("target.read_only") else "")
    if origin and not draft.values.get("target.read_only"):
        draft.values["target.read_only"], draft.origins["target.read_only"] = True, origin


def _build(draft: Draft) -> Settings:
    changes: dict[str, Any] = {}
    settings = Settings()
    grouped: dict[str, dict[str, Any]] = {}
    for key, value in draft.values.items():
        section, _, name = key.partition(".")
        if name:
            grouped.setdefault(section, {})[name] = value
        else:
            changes[section] = value
    for section, values in grouped.items():
        changes[section] = dataclasses.replace(getattr(settings, section), **values)
    settings = dataclasses.replace(settings, **changes)
    slots = {name: plan.slots for name, plan in settings.queues.items() if plan.slots is not None}
    engine = dataclasses.replace(settings.engine, queues={**settings.engine.queues, **slots})
    return dataclasses.replace(settings, engine=engine)


def _others(file: TomlFile, targets: Mapping[str, Any], chosen: str) -> Iterator[tuple[str, DatabaseSettings]]:
    """Yield the databases that the other targets state: a copy may read from them."""
    for name in targets:
        draft = Draft()
        take_file(file, draft)
        take_target(file, name, draft)
        if name != chosen and draft.origins.get("database.dsn"):
            yield name, _build(draft).database


def _check_together(settings: Settings, draft: Draft) -> None:
    database = settings.database
    if database.pool_min > database.pool_max:
        place = draft.origins.get("database.pool_max") or draft.origins.get("database.pool_min", "default")
        draft.problems.append(
            f"{place}: database.pool_min ({database.pool_min}) is larger than database.pool_max ({database.pool_max})"
        )
    for name in settings.webhooks.keys() & settings.notify.keys():
        place = draft.origins.get(f"notify.{name}", "default")
        draft.problems.append(f"{place}: notify.{clean(name)}: a webhook has that name already")
    _check_api(settings, draft)
    if bool(settings.provider.key_id) != bool(settings.provider.secret_key):
        there, missing = ("key_id", "secret_key") if settings.provider.key_id else ("secret_key", "key_id")
        place = draft.origins[f"provider.{there}"]
        draft.problems.append(f"{place}: provider.{there} is set but provider.{missing} isn't; the provider wants both")


def _check_api(settings: Settings, draft: Draft) -> None:
    host = parse_listen(settings.api.listen)[0] if settings.api.listen else ""
    if host and not settings.api.allow_remote and not is_loopback(host):
        draft.problems.append(
            f"{draft.origins['api.listen']}: api.listen: other machines reach {clean(host)}; listen on"
            " 127.0.0.1, or set api.allow_remote = true"
        )
    known: dict[str, str] = {}
    for name, token in settings.tokens.items():
        if token.value and known.setdefault(token.value.reveal(), name) != name:
            place = draft.origins.get(f"tokens.{name}", "default")
            other = known[token.value.reveal()]
            draft.problems.append(f"{place}: tokens.{clean(name)}: tokens.{clean(other)} has the same token")


def _unwise(file: TomlFile) -> Iterator[str]:
    """Yield warnings about secrets others can read."""
    try:
        mode = file.path.stat().st_mode & 0o777
    except OSError:
        return
    if mode & 0o077 and _holds_secret(file.values):
        yield f"{file.path} holds secrets and others can read it (mode {mode:04o}); run: chmod 600 {file.path}"


def _holds_secret(values: Mapping[str, Any]) -> bool:
    secrets = {key.split(".")[1] for key, wanted in SCHEMA.items() if wanted is Secret}
    return any(
        _holds_secret(value) if isinstance(value, Mapping) else name in secrets and bool(value)
        for name, value in values.items()
    )
