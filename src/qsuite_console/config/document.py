"""The settings as people read them: the reference page and the commented example file, both printed from one table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from qsuite_console.config.catalogue import CATALOGUE, ENVIRONMENT_ONLY, Entry
from qsuite_console.config.notices import EVENTS
from qsuite_console.config.rules import DEFAULTS
from qsuite_console.config.schema import SCHEMA, is_table, walk
from qsuite_console.config.secrets import Secret
from qsuite_console.config.sections import TARGET_SECTIONS
from qsuite_console.config.settings import Settings

_TITLES: Final = {
    "target": "The platform",
    "database": "PostgreSQL or TimescaleDB",
    "pooler": "PgBouncer's admin console",
    "cache": "Redis or Valkey",
    "celery": "Celery on Redis: what is watched, and workers for the console's own jobs",
    "provider": "Market data (Alpaca-compatible)",
    "backfill": "Backfill",
    "tables": "Names of the platform's tables",
    "engine": "The job engine",
    "runs": "Jobs in the hands of other processes",
    "reports": "Reports",
    "outgoing": "Calls and webhooks: where they may lead",
    "smtp": "Mail server for alerts",
    "api": "The HTTP interface over TCP",
    "interface": "The screen",
}

_EXAMPLE_COMMAND: Final = (
    "# Programs that may be run as jobs, without a shell: each is the job kind command.NAME.",
    "# [commands.backup]",
    '# program = ["/usr/bin/pg_dump", "--format=custom", "--file={path}"]',
    '# title = "Back up the database"',
    "# changes_data = false",
    '# environment = { PGPASSWORD = "env:BACKUP_PASSWORD" }',
    "# [commands.backup.parameters.path]",
    "# pattern = '/backup/[a-z0-9-]{1,40}\\.dump'",
)
_COMMANDS_REFERENCE: Final = (
    "## `[commands.NAME]` Programs that may be run as jobs",
    "",
    "A table for each; its jobs are of the kind `command.NAME`. `[targets.NAME.commands.NAME]` declares it for one",
    "target only. `qsuite-console doctor` says which of them could not be run now, and why.",
    "",
    "| key | default | meaning |",
    "|---|---|---|",
    "| `program` |  | the argument list, the program first (absolute, or a name on the PATH); `{name}` stands for a"
    " parameter, `{{` and `}}` for braces |",
    "| `title`, `description` |  | as lists, forms and `--help` show it |",
    "| `parameters` |  | a table for each value that may be given: below |",
    '| `environment` |  | variables it gets: a text, or `"env:NAME"` for a secret among those of the console, which is'
    " masked everywhere |",
    "| `inherit` |  | names of variables it gets from the console's own; besides these only PATH, HOME, USER, LOGNAME,"
    " LANG, LC_ALL, TZ |",
    "| `directory` | a new empty one | where it runs |",
    "| `timeout_s` | `1800` | after these seconds it and all it started are ended |",
    "| `memory_mb` | `0` | resident memory of it and all it started, beyond which it is killed; 0: no limit |",
    "| `output_kb` | `1024` | of what it prints, kept in the job's log; the last lines are always kept |",
    "| `changes_data` | `true` | refused on a read-only target, wants the name of a production one |",
    "| `success` | `[0]` | exit codes that are a success |",
    "| `retry` |  | exit codes after which it is tried again |",
    "| `attempts` | `4` | of these tries at most |",
    "| `repeatable` | `false` | may be run again by itself where the engine ended while it ran |",
    "| `queue` | `general` | where its jobs wait |",
    "",
    "| key of a parameter | default | meaning |",
    "|---|---|---|",
    "| `pattern` or `choices` |  | a regular expression for the whole value, or the values there are: one of both |",
    "| `default` |  | without one it must be given |",
    "| `title`, `description` |  | as the form and `--help` show it |",
    "| `may_be_option` | `false` | the value may begin with `-` where an argument begins with it |",
    "",
)

_EXAMPLE_NOTICES: Final = (
    "# Queues whose jobs other processes do: headless engines (nodes) or Celery workers.",
    "# [queues.data_processing]",
    "# slots = 3",
    '# execution = "nodes"',
    "",
    "# Secrets that calls may refer to as secret:NAME, and the hosts that may get them.",
    "# [secrets.broker]",
    '# value = "env:BROKER_TOKEN"',
    '# hosts = ["api.broker.example"]',
    "",
    "# Who is told of jobs, alerts and schedules: by signed webhooks, by a program or by e-mail.",
    "# [webhooks.desk]",
    '# url = "https://hooks.example.com/qsuite"',
    '# secret = "env:DESK_WEBHOOK_SECRET"',
    '# events = ["job.failed", "alert.*"]',
    "# [notify.oncall]",
    '# email = ["oncall@example.com"]',
    '# levels = ["critical"]',
    "",
    "# Who may ask over TCP (see [api]), and how much: read, operate or admin.",
    "# [tokens.dashboard]",
    '# token = "env:DASHBOARD_TOKEN"',
    '# scope = "read"',
)
_QUEUES_REFERENCE: Final = (
    "## `[queues.NAME]` Who does the jobs of a queue",
    "",
    "Instead of its slots in `engine.queues`, and for one target only by `[targets.NAME.queues.NAME]`. Jobs that need",
    "this machine (its files, its programs) are done here whatever it says.",
    "",
    "| key | default | meaning |",
    "|---|---|---|",
    "| `slots` | as in `engine.queues` | of its jobs that this process does at once |",
    "| `execution` | `local` | `local`: this engine; `nodes`: any headless engine whose own settings say so of the"
    " queue; `celery`: the workers of `qsuite-console celery-worker` |",
    "| `in_flight` | `32` | of its jobs in the hands of others at once |",
    "",
)
_NOTICES_REFERENCE: Final = (
    "## `[secrets.NAME]` What calls may refer to as `secret:NAME`",
    "",
    "| key | meaning |",
    "|---|---|",
    '| `value` | `"env:NAME"`, the variable that holds it |',
    "| `hosts` | the hosts it may be sent to, and no others |",
    "",
    "## `[webhooks.NAME]` and `[notify.NAME]` Who is told",
    "",
    "Also for one target only: `[targets.NAME.webhooks.NAME]`. A webhook is signed and goes through the guard of",
    "`[outgoing]`; a program gets the notice as JSON on its input and in variables `QSUITE_EVENT`, `QSUITE_SUBJECT`,",
    "`QSUITE_LEVEL` and `QSUITE_MESSAGE`; an e-mail goes out by `[smtp]`.",
    "",
    "| key | default | meaning |",
    "|---|---|---|",
    '| `url` |  | of a webhook; `"env:NAME"` where the URL itself is a secret |',
    '| `secret` |  | of a webhook: `"env:NAME"` or `"file:/path"` (read anew for each delivery), with `whsec_` and'
    " the base64 of 24 to 64 bytes; a list of two while one replaces the other, or two lines in the file |",
    "| `command` |  | of a notice: the program, an absolute path, and its arguments; never a shell |",
    "| `email` |  | of a notice: the addresses |",
    f"| `events` | all but succeeded and cancelled jobs; of a notice: `alert.*` | of {', '.join(EVENTS)} |",
    '| `kinds` | `["*"]` | of jobs: `["backfill", "warm.*"]` |',
    '| `schedules` | `["*"]` | only for jobs and misses of these schedules |',
    '| `alerts` | `["*"]` | `["postgresql.*"]` |',
    "| `levels` | both | of alerts: `warning`, `critical` |",
    "| `timeout_s` | `15` | seconds one delivery may take |",
    "| `enabled` | `true` | `false` keeps it without telling it |",
    "",
    "## `[tokens.NAME]` Who may ask over TCP",
    "",
    "Also for one target only: `[targets.NAME.tokens.NAME]`. How to use them: [the HTTP interface](api.md).",
    "",
    "| key | default | meaning |",
    "|---|---|---|",
    '| `token` |  | `"env:NAME"` or `"file:/path"` (read anew when it changes): 32 to 512 characters |',
    "| `scope` | `read` | `read`, `operate` (also jobs, schedules, alerts) or `admin` (also changes of the platform) |",
    "| `own_jobs_only` | `false` | its holder sees and changes no jobs but those it made |",
    "",
)


def toml_value(value: Any) -> str:
    """Return a value as TOML source; a secret is revealed, so the text belongs in a file of mode 0600."""
    if isinstance(value, Secret):
        value = value.reveal()
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_toml_key(name)} = {toml_value(each)}" for name, each in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    return json.dumps(value, ensure_ascii=False)


def example(given: Mapping[str, Any] | None = None) -> str:
    """Return a commented file: every setting with its help, commented out unless ``given`` states its value."""
    given = given or {}
    lines = [
        "# Configuration of qsuite-console. A line that starts with # shows the default.",
        "# Environment variables beat this file, flags beat both: qsuite-console config show --origin",
        "",
    ]
    lines += _example_lines("log_level", Settings().log_level, given)
    lines += ['# Name of a [targets.NAME] below that is used without --target.\n# default_target = "staging"', ""]
    defaults = dict(walk(Settings()))
    for section, title in _TITLES.items():
        lines += [f"# {title}", f"[{section}]"]
        for key in (key for key in SCHEMA if key.startswith(f"{section}.")):
            lines += _example_lines(key, defaults[key], given)
        lines.append("")
    lines += [
        "# More platforms, chosen with --target NAME. Each may state what differs in its own tables",
        f"# {', '.join(TARGET_SECTIONS)}; the rest comes from above.",
        "# [targets.prod]",
        '# word = "PRODUCTION"',
        '# colour = "error"',
        "# read_only = true",
        "# [targets.prod.database]",
        '# dsn = "postgresql://console@db-1.example.org/qsuite"',
        "",
        *_example_thresholds(),
        "",
        *_EXAMPLE_COMMAND,
        "",
        *_EXAMPLE_NOTICES,
    ]
    return "\n".join(lines) + "\n"


def markdown() -> str:
    """Return the reference page of all settings."""
    lines = [
        "# Settings",
        "",
        "Printed from the table that loading validates by; `make docs` writes it anew.",
        "",
        "TOML file < environment < flags. `qsuite-console config path` names the file, `config show --origin` tells",
        "where each value comes from. A named target (`--target NAME`) beats the environment: see",
        "[operating](operating.md#targets).",
        "",
    ]
    defaults = dict(walk(Settings()))
    for section in ("", *_TITLES):
        keys = [key for key in SCHEMA if key.rpartition(".")[0] == section]
        lines += [f"## `[{section}]` {_TITLES[section]}" if section else "## At the top of the file", ""]
        lines += ["| key | default | takes | environment | meaning |", "|---|---|---|---|---|"]
        for key in keys:
            entry = CATALOGUE[key]
            env = f"`{entry.env}`" if entry.env else ""
            default = _shown(defaults[key])
            lines.append(f"| `{key.rpartition('.')[2]}` | {default} | {_takes(key, entry)} | {env} | {entry.help} |")
        lines.append("")
    lines += _thresholds_reference()
    lines += _COMMANDS_REFERENCE
    lines += _QUEUES_REFERENCE
    lines += _NOTICES_REFERENCE
    lines += ["## Only in the environment", "", "| variable | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {text} |" for name, text in ENVIRONMENT_ONLY.items()]
    return "\n".join(lines) + "\n"


def _example_lines(key: str, default: Any, given: Mapping[str, Any]) -> Iterator[str]:
    entry = CATALOGUE[key]
    name = key.rpartition(".")[2]
    choices = f" ({', '.join(entry.choices)})" if entry.choices else ""
    env = f" [{entry.env}]" if entry.env else ""
    yield f"# {entry.help}{choices}{env}"
    if key in given:
        yield f"{name} = {toml_value(given[key])}"
    elif default is None:
        yield f"# {name} ="
    else:
        yield f"# {name} = {toml_value(default)}"


def _example_thresholds() -> Iterator[str]:
    yield "# Thresholds: state what shall differ. A target may have its own in [targets.NAME.thresholds]."
    yield "# [thresholds]"
    for rule in DEFAULTS:
        limits = (("warning", rule.warning), ("critical", rule.critical), ("clear", rule.calm))
        stated = [f"{name} = {value:g}" for name, value in limits if value is not None]
        times = (f"for_s = {rule.for_s:g}", f"clear_s = {rule.clear_s:g}")
        unit = f", {rule.unit}" if rule.unit else ""
        off = () if rule.enabled else ("enabled = false",)
        yield f'# "{rule.id}" = {{ {", ".join((*off, *stated, *times))} }}  # {rule.title}{unit}'


def _thresholds_reference() -> Iterator[str]:
    yield from (
        '## `[thresholds."ID"]` When a figure is bad',
        "",
        'A table for each that shall differ; `[targets.NAME.thresholds."ID"]` is for one target only. `warning` and',
        "`critical` are reached at the limit, or below it where the table says so; `false` takes one away. It fires",
        "after `for_s` seconds beyond a limit, and clears after `clear_s` seconds inside `clear` (by default a tenth",
        "inside the first limit). `enabled = false` turns it off. The Alerts screen shows what is in force.",
        "",
        "| ID | unit | `warning` | `critical` | `clear` | `for_s` | `clear_s` | what |",
        "|---|---|---|---|---|---|---|---|",
    )
    for rule in DEFAULTS:
        sign = "< " if rule.is_low_bad else ""
        limits = ("" if value is None else f"{sign}{value:g}" for value in (rule.warning, rule.critical))
        calm = "" if rule.calm is None else f"{rule.calm:g}"
        yield (
            f"| `{rule.id}` | {rule.unit} | {' | '.join(limits)} | {calm} | {rule.for_s:g} | {rule.clear_s:g} |"
            f" {rule.title}{'' if rule.enabled else ' (off by default)'}. {rule.about} |"
        )
    yield ""


def _toml_key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else json.dumps(name)


def _shown(value: Any) -> str:
    if value is None or value in ("", {}) or isinstance(value, Secret):
        return ""
    return f"`{toml_value(value)}`"


def _takes(key: str, entry: Entry) -> str:
    if entry.choices:
        return ", ".join(f"`{choice}`" for choice in entry.choices)
    wanted = SCHEMA[key]
    if wanted in (bool, bool | None):
        return "`true`, `false`"
    if entry.minimum is not None and entry.maximum is not None:
        kind = "each " if is_table(key) else ""
        return f"{kind}{entry.minimum:g} to {entry.maximum:.10g}"
    return "secret" if wanted is Secret else "table" if is_table(key) else "text"
