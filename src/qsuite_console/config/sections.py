"""What a TOML file states, section by section: settings, targets, thresholds and commands, into a draft.

A target is checked whether it is chosen or not: its mistakes shall be found today, not on the day it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from qsuite_console.config import rules
from qsuite_console.config.api import declare_token
from qsuite_console.config.commands import PARAMETER_READERS, READERS, BadCommand, declare
from qsuite_console.config.draft import Draft, place_of
from qsuite_console.config.notices import declare_notice, declare_webhook
from qsuite_console.config.outgoing import BadDeclaration, declare_secret
from qsuite_console.config.queues import declare_queue
from qsuite_console.config.schema import COMMANDS, NAMED, SCHEMA, THRESHOLDS, did_you_mean, is_table
from qsuite_console.config.settings import QUEUES
from qsuite_console.config.tomlfile import Key, TomlFile
from qsuite_console.model.text import clean

DECLARED: Final[Mapping[str, Callable[[str, Any, Mapping[str, str]], Any]]] = {
    "queues": declare_queue,
    "secrets": declare_secret,
    "webhooks": declare_webhook,
    "notify": declare_notice,
    "tokens": declare_token,
}
_NOT_INHERITED: Final = ("target.engine_url", "target.engine_token")  # another platform's engine is never this one's
TARGET_SECTIONS: Final = ("database", "pooler", "cache", "celery", "provider", "tables", "backfill", "api")


def take_file(file: TomlFile, draft: Draft) -> None:
    """Put everything the file states into the draft, but for the targets, which are only checked."""
    sections = {key.split(".")[0] for key in SCHEMA if "." in key}
    for name, value in file.values.items():
        if name == "default_target":
            continue
        if name == "targets":
            _check_targets(file, value, draft)
        elif name == THRESHOLDS:
            _thresholds(file, (name,), value, draft)
        elif name == COMMANDS:
            _commands(file, (name,), value, draft)
        elif name in DECLARED:
            _declared(file, (name,), value, draft)
        elif name in SCHEMA:
            draft.put(name, value, place_of(file, (name,)), is_text=False)
        elif name in sections:
            _section(file, (name,), name, value, draft)
        else:
            own = {key for key in SCHEMA if "." not in key}
            known = {*sections, *own, *NAMED, "targets", "default_target"}
            draft.unknown(file, (name,), known)


def _check_targets(file: TomlFile, value: Any, draft: Draft) -> None:
    """Refuse what is wrong in any target, also in those not chosen."""
    if not isinstance(value, Mapping) or not all(isinstance(each, Mapping) for each in value.values()):
        draft.problems.append(f"{place_of(file, ('targets',))}: targets: write each as a table [targets.NAME]")
        return
    for name in value:
        trial = Draft(environ=draft.environ)
        if THRESHOLDS in file.values:  # what is wrong there is told by itself
            _thresholds(file, (THRESHOLDS,), file.values[THRESHOLDS], trial)
            trial.problems.clear()
        take_target(file, name, trial)
        draft.problems.extend(trial.problems)


def take_target(file: TomlFile, name: str, draft: Draft) -> None:
    """Put what one target states into the draft, over what is there."""
    body = file.values["targets"][name]
    base: Key = ("targets", name)
    if not isinstance(body, Mapping):
        return
    own = {key.split(".")[1] for key in SCHEMA if key.startswith("target.")} - {"name"}
    draft.put("target.name", name, place_of(file, base), is_text=False)
    for key in _NOT_INHERITED:
        draft.values.pop(key, None)
        draft.origins.pop(key, None)
    for key, value in body.items():
        if key in own:
            draft.put(f"target.{key}", value, place_of(file, (*base, key)), is_text=False)
        elif key == THRESHOLDS:
            _thresholds(file, (*base, key), value, draft)
        elif key == COMMANDS:
            _commands(file, (*base, key), value, draft)
        elif key in DECLARED:
            _declared(file, (*base, key), value, draft)
        elif key in TARGET_SECTIONS:
            _section(file, (*base, key), key, value, draft)
        else:
            draft.unknown(file, (*base, key), {*own, *TARGET_SECTIONS, *NAMED})


def _thresholds(file: TomlFile, base: Key, value: Any, draft: Draft) -> None:
    """Change rules: ``[thresholds."host.cpu"]``, or the same without quotes, which TOML takes for two tables."""
    if not isinstance(value, Mapping) or not all(isinstance(each, Mapping) for each in value.values()):
        draft.problems.append(
            f'{place_of(file, base)}: {".".join(base)}: write each as a table [thresholds."host.cpu"]'
        )
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


def _threshold(file: TomlFile, base: Key, name: str, body: Any, known: dict[str, rules.Rule], draft: Draft) -> None:
    place = f"{place_of(file, base)}: {THRESHOLDS}.{clean(name)}"
    if name not in known:
        draft.problems.append(f"{place}: unknown threshold{did_you_mean(name, known)}")
        return
    if not isinstance(body, Mapping):
        draft.problems.append(f"{place}: write it as a table: warning = 80")
        return
    strange = [key for key in body if key not in rules.FIELDS]
    for key in strange:
        where = f"{place_of(file, (*base, key))}: {THRESHOLDS}.{clean(name)}.{clean(key)}"
        draft.problems.append(f"{where}: unknown key{did_you_mean(key, rules.FIELDS)}")
    try:
        known[name] = rules.changed(known[name], {key: raw for key, raw in body.items() if key not in strange})
    except rules.BadRule as error:
        draft.problems.append(f"{place}: {clean(error)}")
    draft.origins[f"{THRESHOLDS}.{name}"] = place_of(file, base)


def _commands(file: TomlFile, base: Key, value: Any, draft: Draft) -> None:
    """Add external programs, or declare them anew for one target."""
    if not isinstance(value, Mapping):
        draft.problems.append(f"{place_of(file, base)}: {'.'.join(base)}: write each as a table [commands.NAME]")
        return
    known = dict(draft.values.get(COMMANDS, {}))
    for name, body in value.items():
        try:
            known[name] = declare(name, body, draft.environ, tuple(QUEUES))
        except BadCommand as error:
            key = (*base, name, *error.key)
            meant = ""
            if str(error) == "unknown key":
                meant = did_you_mean(error.key[-1], PARAMETER_READERS if len(error.key) > 1 else READERS)
            draft.problems.append(f"{place_of(file, key)}: {clean('.'.join(key))}: {clean(error)}{meant}")
        draft.origins[f"{COMMANDS}.{name}"] = place_of(file, (*base, name))
    draft.values[COMMANDS] = known


def _declared(file: TomlFile, base: Key, value: Any, draft: Draft) -> None:
    """Add secrets, webhooks or others who are told, or declare them anew for one target."""
    section = base[-1]
    if not isinstance(value, Mapping):
        draft.problems.append(f"{place_of(file, base)}: {'.'.join(base)}: write each as a table [{section}.NAME]")
        return
    known = dict(draft.values.get(section, {}))
    for name, body in value.items():
        if section == "queues" and name not in QUEUES:
            place = place_of(file, (*base, name))
            draft.problems.append(f"{place}: queues.{clean(name)}: unknown queue{did_you_mean(name, QUEUES)}")
            continue
        try:
            known[name] = DECLARED[section](name, body, draft.environ)
        except BadDeclaration as error:
            key = (*base, name, *error.key)
            meant = did_you_mean(error.key[-1], error.known) if error.known else ""
            draft.problems.append(f"{place_of(file, key)}: {clean('.'.join(key))}: {clean(error)}{meant}")
        draft.origins[f"{section}.{name}"] = place_of(file, (*base, name))
    draft.values[section] = known


def _section(file: TomlFile, base: Key, section: str, value: Any, draft: Draft) -> None:
    if not isinstance(value, Mapping):
        draft.problems.append(f"{place_of(file, base)}: {'.'.join(base)}: write it as a table [{'.'.join(base)}]")
        return
    known = {key.split(".")[1] for key in SCHEMA if key.startswith(f"{section}.")}
    for key, raw in value.items():
        if key in known and is_table(f"{section}.{key}"):
            draft.put_table(f"{section}.{key}", raw, file, (*base, key))
        elif key in known:
            draft.put(f"{section}.{key}", raw, place_of(file, (*base, key)), is_text=False)
        else:
            draft.unknown(file, (*base, key), known)
