"""Who is told, what may be sent and where requests may lead, as configuration files state it."""

from __future__ import annotations

from pathlib import Path

import pytest

from qsuite_console.config.loading import ConfigurationProblem, load
from qsuite_console.config.notices import Way
from qsuite_console.config.schema import secrets_of, walk
from qsuite_console.config.settings import Settings
from qsuite_console.paths import resolve

ENVIRON = {"DESK": "whsec_canary-desk", "HOOK_URL": "https://hooks.example.com/canary-path", "TOKEN": "canary-token"}
GOOD = """
[outgoing]
allow = "10.0.0.0/8, hooks.lan:8443"
ports = "443"
[secrets.broker]
value = "env:TOKEN"
hosts = ["api.example.com"]
[webhooks.desk]
url = "env:HOOK_URL"
secret = ["env:DESK", "file:/run/secrets/desk"]
events = ["job.*", "alert.fired"]
kinds = ["warm.*"]
timeout_s = 5
[notify.oncall]
email = ["ada@example.com"]
levels = ["critical"]
[notify.pager]
command = ["/usr/local/bin/page", "--now"]
enabled = false
[targets.prod.webhooks.desk]
url = "https://prod.example.com/"
secret = "env:DESK"
"""


def loaded(tmp_path: Path, text: str, **flags: str) -> Settings:
    paths = resolve(str(tmp_path)).ensure()
    paths.config_file.write_text(text, encoding="utf-8")
    return load(paths, ENVIRON, flags).settings


def test_all_of_it(tmp_path: Path) -> None:
    settings = loaded(tmp_path, GOOD)
    desk = settings.webhooks["desk"]
    assert (desk.way, desk.url.reveal(), desk.url_reference) == (Way.WEBHOOK, ENVIRON["HOOK_URL"], "env:HOOK_URL")
    assert [one.reference for one in desk.secret] == ["env:DESK", "file:/run/secrets/desk"]
    assert desk.events == ("job.succeeded", "job.failed", "job.cancelled", "alert.fired")
    assert desk.wants_job("job.failed", "warm.prices", "")
    assert not desk.wants_job("job.failed", "backfill", "")
    assert settings.notify["oncall"].events == ("alert.fired", "alert.cleared")
    assert settings.notify["oncall"].wants_alert("alert.fired", "host.cpu", "critical")
    assert not settings.notify["oncall"].wants_alert("alert.fired", "host.cpu", "warning")
    assert settings.notify["pager"].command == ("/usr/local/bin/page", "--now")
    assert settings.secrets["broker"].hosts == ("api.example.com",)
    assert loaded(tmp_path, GOOD, target="prod").webhooks["desk"].url_reference == "prod.example.com"


def test_no_secret_is_shown_and_all_are_masked(tmp_path: Path) -> None:
    settings = loaded(tmp_path, GOOD)
    assert "canary" not in str(dict(walk(settings)))
    assert "canary" not in repr(settings)
    assert {ENVIRON["DESK"], ENVIRON["HOOK_URL"], ENVIRON["TOKEN"]} <= set(secrets_of(settings))


HOOK = '[webhooks.desk]\nurl = "https://a.example/"\nsecret = "env:DESK"\n'
WRONG = {
    '[webhooks.desk]\nurl = "https://a.example/"\n': "secret: must be",
    '[webhooks.desk]\nurl = "https://a.example/"\nsecret = "whsec_canary"\n': ":3: webhooks.desk.secret: must be",
    '[webhooks.desk]\nurl = "ftp://canary/"\nsecret = "env:DESK"\n': ":2: webhooks.desk.url: must start with https://",
    '[webhooks.desk]\nurl = "https://u:canary@a/"\nsecret = "env:DESK"\n': "name a host and no user",
    HOOK + 'events = ["job.exploded"]\n': ":4: webhooks.desk.events: 'job.exploded' is none of job.succeeded",
    HOOK + 'levels = ["bad"]\n': ":4: webhooks.desk.levels: must list some of warning, critical",
    HOOK + "timeout_s = 600\n": ":4: webhooks.desk.timeout_s: must be seconds, 1 to 60",
    HOOK + 'secrets = "x"\n': ":4: webhooks.desk.secrets: unknown key; did you mean secret?",
    HOOK + "[notify.desk]\nemail = ['a@b.example']\n": ":4: notify.desk: a webhook has that name already",
    '[webhooks."Desk 1"]\nurl = "x"\n': "its name must be small letters",
    "[notify.x]\n": "wants one of command",
    '[notify.x]\ncommand = "rm -rf /"\n': ":2: notify.x.command: must be a list of texts",
    '[notify.x]\ncommand = ["page"]\n': "must list an absolute path",
    '[notify.x]\nemail = ["not an address"]\n': "must list addresses",
    '[secrets.x]\nvalue = "canary"\nhosts = ["a.example"]\n': ':2: secrets.x.value: must be "env:NAME"',
    '[secrets.x]\nvalue = "env:TOKEN"\n': "must list the hosts",
    '[outgoing]\nallow = "10.0.0.0/33"\n': ":2: outgoing.allow: '10.0.0.0/33' is no host",
    '[outgoing]\nports = "http"\n': ":2: outgoing.ports: 'http' is no port",
    "webhooks = 1\n": "write each as a table [webhooks.NAME]",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationProblem) as caught:
        loaded(tmp_path, text)
    told = "; ".join(caught.value.problems)
    assert WRONG[text] in told
    assert "canary" not in told
