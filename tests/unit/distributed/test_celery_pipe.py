"""How settings become a Celery app, and what is said where that can't be."""

from __future__ import annotations

import importlib.util
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from qsuite_console.cli.main import run
from qsuite_console.config.secrets import Secret
from qsuite_console.config.settings import CacheSettings, CelerySettings, Settings
from qsuite_console.distributed.celery_outlet import AWAY_S, CeleryOutlet
from qsuite_console.distributed.celery_pipe import BrokerGone, Order, Pipe, broker_url, make_app
from qsuite_console.model.clock import SystemClock
from qsuite_console.model.errors import ReadOnly, UsageProblem
from qsuite_console.model.handing import Message
from qsuite_console.sandbox.servers import free_port


def settings(url: str = "redis://:s3cret@127.0.0.1:6379/3", **celery: Any) -> Settings:
    return Settings(cache=CacheSettings(url=Secret(url)), celery=CelerySettings(**celery))


def order(**changes: Any) -> Order:
    return replace(Order(job_id=7, attempt=2, token="t" * 32, queue="general", priority=9, limit_s=60.0), **changes)


def test_the_cache_is_the_broker_unless_one_is_named() -> None:
    assert broker_url(settings()) == "redis://:s3cret@127.0.0.1:6379/3"
    named = settings(broker_url=Secret("rediss://broker:6380/0"))
    assert broker_url(named) == "rediss://broker:6380/0"
    with pytest.raises(UsageProblem, match="no broker"):
        broker_url(Settings())


def test_a_socket_is_named_as_kombu_wants_it() -> None:
    assert broker_url(settings("unix:///run/redis.sock?db=2")) == "redis+socket:///run/redis.sock?virtual_host=2"
    with make_app(settings("unix:///run/redis.sock?db=2")).connection_for_write() as connection:
        channel = connection.transport.Channel.__new__(connection.transport.Channel)
        channel.connection = connection.transport
        options = channel._connparams()  # what a channel would connect by
        assert (options["path"], options["db"]) == ("/run/redis.sock", 2)


def test_a_certificate_is_checked_unless_the_url_says_otherwise() -> None:
    assert make_app(settings()).conf.broker_use_ssl is None
    strict = make_app(settings("rediss://h:6380/0")).conf.broker_use_ssl
    assert strict == {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
    given = make_app(settings("rediss://h:6380/0?ssl_ca_certs=/etc/ca.pem")).conf.broker_use_ssl
    assert given["ssl_ca_certs"] == "/etc/ca.pem"


def test_a_worker_consumes_queues_of_its_own() -> None:
    app = make_app(settings(queue_prefix="desk-"), ["ai", "general"])
    assert list(app.amqp.queues.consume_from) == ["desk-ai", "desk-general"]
    assert app.conf.task_default_queue == "desk-ai"
    assert app.conf.broker_transport_options["unacked_key"] == "desk-unacked"


def test_messages_are_taken_one_by_one_and_acknowledged_at_once() -> None:
    conf = make_app(settings(tasks_per_child=7, memory_per_child_mb=100), ["ai"]).conf
    assert (conf.task_acks_late, conf.worker_prefetch_multiplier, conf.worker_disable_prefetch) == (False, 1, True)
    assert (conf.worker_max_tasks_per_child, conf.worker_max_memory_per_child) == (7, 102_400)
    assert conf.broker_transport_options["priority_steps"] == list(range(10))
    assert conf.task_ignore_result


def test_a_broker_that_is_away_is_named_without_its_password() -> None:
    pipe = Pipe(settings(f"redis://:s3cret@127.0.0.1:{free_port()}/0"))
    for call in (lambda: pipe.send(order()), lambda: pipe.waiting(["general"])):
        with pytest.raises(BrokerGone) as refused:
            call()
        assert "127.0.0.1" in refused.value.message
        assert "s3cret" not in str(refused.value)
    pipe.close()


def test_a_wrong_password_is_told(valkey_url: str) -> None:
    pipe = Pipe(settings(valkey_url.replace("redis://:", "redis://:wrong")))
    with pytest.raises(BrokerGone, match=r"(?i)password|auth"):
        pipe.send(order())
    pipe.close()


def test_one_connection_serves_all_and_is_closed(valkey_url: str) -> None:
    def ours() -> int:
        with redis.Redis.from_url(valkey_url) as other:
            return sum(1 for one in other.client_list() if one["name"] == "qsuite-console/celery")

    before, pipe = ours(), Pipe(settings(valkey_url, queue_prefix="test."))
    pipe.send(order())
    opened = ours()
    for _ in range(5):
        pipe.send(order())
        assert pipe.waiting(["general"])["general"] > 1
    assert before < ours() == opened
    pipe.close()
    assert ours() == before
    assert pipe.waiting(["general"]) == {"general": 6}, "it opens another one"
    pipe.close()
    assert ours() == before


class TestMissing:
    """Which messages seem lost."""

    @pytest.fixture
    def outlet(self, valkey_url: str) -> Iterator[CeleryOutlet]:
        found = CeleryOutlet(settings(valkey_url, resend_s=1.0, queue_prefix="test."), SystemClock())
        yield found
        found._pipe.close()

    def message(self, number: int, queue: str = "general") -> Message:
        return Message(job_id=number, attempt=1, token=f"t{number}", queue=queue)

    async def test_those_of_a_queue_with_fewer_messages_than_runs(self, outlet: CeleryOutlet) -> None:
        for priority in (0, 9):
            outlet._pipe.send(order(priority=priority, queue="general"))
        waiting = [self.message(1), self.message(2)]
        gone = self.message(3, "ai")
        assert await outlet.missing(waiting) == []
        assert await outlet.missing([*waiting, gone]) == [gone]
        assert await outlet.missing([*waiting, self.message(4)]) == [*waiting, self.message(4)]

    async def test_those_that_others_may_hide_after_a_while(
        self, outlet: CeleryOutlet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        outlet._pipe.send(order())
        one, now = self.message(1), [100.0]
        monkeypatch.setattr(outlet._clock, "monotonic", lambda: now[0])
        assert await outlet.missing([one]) == []
        now[0] += 7.9
        assert await outlet.missing([one]) == []
        now[0] += 0.2
        assert await outlet.missing([one]) == [one]


def test_a_broker_that_failed_is_not_tried_again_for_each_of_many_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outlet, now, tried = CeleryOutlet(settings("redis://127.0.0.1:1"), SystemClock()), [100.0], [0]

    def refuse(_: Order) -> None:
        tried[0] += 1
        now[0] += 10.0  # it hung
        raise BrokerGone("it does not answer", hint="start it")

    monkeypatch.setattr(outlet._pipe, "send", refuse)
    monkeypatch.setattr(outlet._clock, "monotonic", lambda: now[0])
    for _ in range(20):
        with pytest.raises(BrokerGone, match="it does not answer"):
            outlet._unless_away(order())
    assert tried == [1]
    now[0] += AWAY_S
    with pytest.raises(BrokerGone):
        outlet._unless_away(order())
    assert tried == [2]
    now[0] += AWAY_S
    monkeypatch.setattr(outlet._pipe, "send", lambda _: None)
    outlet._unless_away(order())
    assert outlet._away is None


class TestCommandLine:
    """``celery-worker`` refuses in one line what it can't do."""

    @pytest.fixture(autouse=True)
    def home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("QSUITE_CONSOLE_HOME", str(tmp_path))
        for name in ("REDIS_URL", "QSUITE_CONSOLE_BROKER_URL"):
            monkeypatch.delenv(name, raising=False)
        return tmp_path

    def test_without_the_extra(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        find = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "celery" else find(name))
        assert run(["celery-worker"]) == 2
        assert capsys.readouterr().err == (
            "error: Celery is not installed here: pip install 'qsuite-console[celery]'\n"
        )

    def test_without_a_queue(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["celery-worker"]) == 2
        assert "no queue is handed to Celery" in capsys.readouterr().err

    def test_of_an_unknown_queue(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["celery-worker", "--queues", "general,genral"]) == 2
        said = capsys.readouterr().err
        assert "there is no queue 'genral'" in said
        assert "data_processing" in said

    def test_without_a_broker(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (home / "config").mkdir()
        (home / "config" / "config.toml").write_text('[queues.general]\nexecution = "celery"\n')
        assert run(["celery-worker"]) == 2
        assert "no broker is configured for Celery" in capsys.readouterr().err

    def test_on_a_read_only_target(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["--read-only", "celery-worker", "--queues", "general"]) == ReadOnly.exit_code
        assert "is read-only: no job is taken from it" in capsys.readouterr().err
