"""Settings from file < environment < flags, each value with its origin; everything wrong is told in one go.

A target chosen by name (``--target``, ``QSUITE_CONSOLE_TARGET``) is itself a flag: what ``[targets.NAME]`` states beats
the environment, so that ``--target prod`` can't lead elsewhere because a shell still exports ``DATABASE_URL``.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, get_args, get_origin, get_type_hints
from urllib.parse import unquote, urlsplit

from qsuite_console.config import rules
from qsuite_console.config.catalogue import CATALOGUE
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import QUEUES, Settings
from qsuite_console.config.tomlfile import TomlError, TomlFile, read
from qsuite_console.config.values import BadValue, convert
from qsuite_console.model.errors import UsageProblem
from qsuite_console.model.text import clean
from qsuite_console.paths import Paths

Key = tuple[str, ...]
THRESHOLDS: Final = "thresholds"
TARGET_VARIABLE: Final = "QSUITE_CONSOLE_TARGET"
TARGET_SECTIONS: Final = ("database", "pooler", "cache", "provider", "tables", "backfill")
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


@dataclass(slots=True)
class _Draft:
    """Values gathered so far; the later one of a key wins."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def put(self, key: str, raw: Any, origin: str, *, is_text: bool) -> None:
        """Convert and keep a value, or note why not."""
        try:
            value = convert(raw, SCHEMA[key], CATALOGUE[key], is_text=is_text)
        except BadValue as error:
            self.problems.append(f"{origin}: {key}: {clean(error)}")
            return
        self.values[key] = value
        self.origins[key] = origin

    def put_table(self, key: str, raw: Any, file: TomlFile, base: Key) -> None:
        """Convert and keep a table of named values; each bad one is noted with its own line."""
        if not isinstance(raw, Mapping):
            self.problems.append(f"{_place(file, base)}: {key}: expected a table of named values")
            return
        known = QUEUES if key == "engine.queues" else None
        values: dict[str, Any] = {name: slots for name, (slots, _) in QUEUES.items()} if known else {}
        for name, each in raw.items():
            place = f"{_place(file, (*base, name))}: {key}.{clean(name)}"
            if known and name not in known:
                self.problems.append(f"{place}: unknown queue{did_you_mean(name, known)}")
                continue
            try:
                values[name] = convert(each, get_args(SCHEMA[key])[1], CATALOGUE[key], is_text=False)
            except BadValue as error:
                self.problems.append(f"{place}: {clean(error)}")
        self.values[key] = values
        self.origins[key] = _place(file, base)


def load(paths: Paths, environ: Mapping[str, str], flags: Mapping[str, Any]) -> Loaded:
    """Resolve the settings. ``flags``: target, read_only, theme, log_level (None when not given), and "fixed": setting
    -> text for what the caller itself determines (the sandbox its connections), which beats everything.

    Raises ConfigurationProblem naming file and line, variable or flag of everything that was refused.
    """
    draft = _Draft()
    file = _read(paths, draft)
    targets = file.values.get("targets", {})
    targets = targets if isinstance(targets, dict) else {}
    chosen, by = _choose_target(file, targets, environ, flags, draft)
    target_is_flag = by not in ("", "file")
    _from_file(file, draft)
    if chosen and not target_is_flag:
        _from_target(file, chosen, draft)
    stated = draft.origins.get("target.read_only", "") if draft.values.get("target.read_only") else ""
    _from_environment(environ, draft)
    if chosen and target_is_flag:
        _from_target(file, chosen, draft)
    _add_read_only(stated, environ, draft)
    for flag, key in FLAGS.items():
        raw = flags.get(flag)
        if raw is not None:
            draft.put(key, str(raw), f"flag --{flag.replace('_', '-')}", is_text=True)
    for key, raw in flags.get("fixed", {}).items():
        draft.put(key, raw, "sandbox", is_text=True)
    settings = _build(draft)
    _check_together(settings, draft)
    if draft.problems:
        raise ConfigurationProblem(dict.fromkeys(draft.problems))
    keys = (*SCHEMA, *(f"{THRESHOLDS}.{name}" for name in settings.thresholds))
    origins = {key: draft.origins.get(key, "default") for key in keys}
    if not settings.database.dsn:
        given = [name for name in _PG_VARIABLES if environ.get(name)]
        origins["database.dsn"] = f"env {', '.join(given)} (libpq)" if given else origins["database.dsn"]
    default = file.values.get("default_target")
    main = default if isinstance(default, str) else next(iter(targets)) if len(targets) == 1 else ""
    return Loaded(settings, origins, tuple(_unwise(file)), tuple(targets), chosen, main)


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Return every secret the settings hold, and the passwords within URLs, for the log filter that masks them."""
    whole = [value.reveal() for _, value in walk(settings) if isinstance(value, Secret) and value]
    within = [urlsplit(value).password or "" for value in whole if "://" in value]
    return tuple(dict.fromkeys(each for secret in (*whole, *within) for each in (secret, unquote(secret)) if each))


def walk(settings: Settings) -> Iterator[tuple[str, Any]]:
    """Yield (key, value) of every setting: ("database.pool_max", 10); of a threshold its fields as a table."""
    for item in dataclasses.fields(settings):
        value = getattr(settings, item.name)
        if item.name == THRESHOLDS:
            for name, rule in value.items():
                yield f"{THRESHOLDS}.{name}", {each: getattr(rule, each) for each in rules.FIELDS}
        elif dataclasses.is_dataclass(value):
            for inner in dataclasses.fields(value):
                yield f"{item.name}.{inner.name}", getattr(value, inner.name)
        else:
            yield item.name, value


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean X?" for the known name nearest to ``name``, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def is_table(key: str) -> bool:
    """Return whether the setting is itself a table of named values."""
    origin = get_origin(SCHEMA[key])
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _schema() -> Mapping[str, Any]:
    schema: dict[str, Any] = {}
    for name, kind in get_type_hints(Settings).items():
        if name == THRESHOLDS:
            continue  # rows of a table of their own, not settings of a section
        if dataclasses.is_dataclass(kind):
            schema |= {f"{name}.{inner}": wanted for inner, wanted in get_type_hints(kind).items()}
        else:
            schema[name] = kind
    return MappingProxyType(schema)


SCHEMA: Final = _schema()


def _read(paths: Paths, draft: _Draft) -> TomlFile:
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
    file: TomlFile, targets: Mapping[str, Any], environ: Mapping[str, str], flags: Mapping[str, Any], draft: _Draft
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


def _from_file(file: TomlFile, draft: _Draft) -> None:
    sections = {key.split(".")[0] for key in SCHEMA if "." in key}
    for name, value in file.values.items():
        if name == "default_target":
            continue
        if name == "targets":
            _check_targets(file, value, draft)
        elif name == THRESHOLDS:
            _thresholds(file, (name,), value, draft)
        elif name in SCHEMA:
            draft.put(name, value, _place(file, (name,)), is_text=False)
        elif name in sections:
            _section(file, (name,), name, value, draft)
        else:
            known = {*sections, THRESHOLDS, "targets", "default_target", *(key for key in SCHEMA if "." not in key)}
            _unknown(file, (name,), known, draft)


def _check_targets(file: TomlFile, value: Any, draft: _Draft) -> None:
    """Refuse what is wrong in any target, also in those not chosen."""
    if not isinstance(value, Mapping) or not all(isinstance(each, Mapping) for each in value.values()):
        draft.problems.append(f"{_place(file, ('targets',))}: targets: write each as a table [targets.NAME]")
        return
    for name in value:
        trial = _Draft()
        if THRESHOLDS in file.values:  # what is wrong there is told by itself
            _thresholds(file, (THRESHOLDS,), file.values[THRESHOLDS], trial)
            trial.problems.clear()
        _from_target(file, name, trial)
        draft.problems.extend(trial.problems)


def _from_target(file: TomlFile, name: str, draft: _Draft) -> None:
    body = file.values["targets"][name]
    base: Key = ("targets", name)
    if not isinstance(body, Mapping):
        return
    own = {key.split(".")[1] for key in SCHEMA if key.startswith("target.")} - {"name"}
    draft.put("target.name", name, _place(file, base), is_text=False)
    for key, value in body.items():
        if key in own:
            draft.put(f"target.{key}", value, _place(file, (*base, key)), is_text=False)
        elif key == THRESHOLDS:
            _thresholds(file, (*base, key), value, draft)
        elif key in TARGET_SECTIONS:
            _section(file, (*base, key), key, value, draft)
        else:
            _unknown(file, (*base, key), {*own, *TARGET_SECTIONS, THRESHOLDS}, draft)


def _thresholds(file: TomlFile, base: Key, value: Any, draft: _Draft) -> None:
    """Change rules: ``[thresholds."host.cpu"]``, or the same without quotes, which TOML takes for two tables."""
    if not isinstance(value, Mapping) or not all(isinstance(each, Mapping) for each in value.values()):
        draft.problems.append(f'{_place(file, base)}: {".".join(base)}: write each as a table [thresholds."host.cpu"]')
        return
    known = dict(draft.values.get(THRESHOLDS, rules.RULES))
    sources = {rule.source for rule in known.values()}
    for name, body in value.items():
        parts: dict[Key, Any] = {(name,): body}
        if name in sources and name not in known:
            parts = {(name, inner): each for inner, each in body.items()}
        for key, fields in parts.items():
            _threshold(file, (*base, *key), ".".join(key), fields, known, draft)
    draft.values[THRESHOLDS] = known


def _threshold(file: TomlFile, base: Key, name: str, body: Any, known: dict[str, rules.Rule], draft: _Draft) -> None:
    place = f"{_place(file, base)}: {THRESHOLDS}.{clean(name)}"
    if name not in known:
        draft.problems.append(f"{place}: unknown threshold{did_you_mean(name, known)}")
        return
    if not isinstance(body, Mapping):
        draft.problems.append(f"{place}: write it as a table: warning = 80")
        return
    strange = [key for key in body if key not in rules.FIELDS]
    for key in strange:
        where = f"{_place(file, (*base, key))}: {THRESHOLDS}.{clean(name)}.{clean(key)}"
        draft.problems.append(f"{where}: unknown key{did_you_mean(key, rules.FIELDS)}")
    try:
        known[name] = rules.changed(known[name], {key: raw for key, raw in body.items() if key not in strange})
    except rules.BadRule as error:
        draft.problems.append(f"{place}: {clean(error)}")
    draft.origins[f"{THRESHOLDS}.{name}"] = _place(file, base)


def _section(file: TomlFile, base: Key, section: str, value: Any, draft: _Draft) -> None:
    if not isinstance(value, Mapping):
        draft.problems.append(f"{_place(file, base)}: {'.'.join(base)}: write it as a table [{'.'.join(base)}]")
        return
    known = {key.split(".")[1] for key in SCHEMA if key.startswith(f"{section}.")}
    for key, raw in value.items():
        if key in known and is_table(f"{section}.{key}"):
            draft.put_table(f"{section}.{key}", raw, file, (*base, key))
        elif key in known:
            draft.put(f"{section}.{key}", raw, _place(file, (*base, key)), is_text=False)
        else:
            _unknown(file, (*base, key), known, draft)


def _unknown(file: TomlFile, key: Key, known: Iterable[str], draft: _Draft) -> None:
    draft.problems.append(f"{_place(file, key)}: {clean('.'.join(key))}: unknown key{did_you_mean(key[-1], known)}")


def _place(file: TomlFile, key: Key) -> str:
    return f"{file.path}:{file.line(key)}"


def _from_environment(environ: Mapping[str, str], draft: _Draft) -> None:
    for key, entry in CATALOGUE.items():
        raw = environ.get(entry.env) if entry.env else None
        if raw:
            draft.put(key, raw.strip().upper() if key == "log_level" else raw, f"env {entry.env}", is_text=True)


def _add_read_only(stated: str, environ: Mapping[str, str], draft: _Draft) -> None:
    """Let file and environment each add read-only, neither take it away; ``stated`` is where the file says it."""
    entry, trial = CATALOGUE["target.read_only"], _Draft()
    if raw := environ.get(entry.env):
        trial.put("target.read_only", raw, f"env {entry.env}", is_text=True)
    origin = stated or (trial.origins["target.read_only"] if trial.values.get("target.read_only") else "")
    if origin and not draft.values.get("target.read_only"):
        draft.values["target.read_only"], draft.origins["target.read_only"] = True, origin


def _build(draft: _Draft) -> Settings:
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
    return dataclasses.replace(settings, **changes)


def _check_together(settings: Settings, draft: _Draft) -> None:
    database = settings.database
    if database.pool_min > database.pool_max:
        place = draft.origins.get("database.pool_max") or draft.origins.get("database.pool_min", "default")
        draft.problems.append(
            f"{place}: database.pool_min ({database.pool_min}) is larger than database.pool_max ({database.pool_max})"
        )
    if bool(settings.provider.key_id) != bool(settings.provider.secret_key):
        there, missing = ("key_id", "secret_key") if settings.provider.key_id else ("secret_key", "key_id")
        place = draft.origins[f"provider.{there}"]
        draft.problems.append(f"{place}: provider.{there} is set but provider.{missing} isn't; the provider wants both")


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
