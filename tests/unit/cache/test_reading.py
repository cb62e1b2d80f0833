"""What servers say, parsed: names of keys there and back, families, INFO of old servers, clients, slow commands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsuite_console.cache.broker import use_of
from qsuite_console.cache.families import family_of
from qsuite_console.cache.inspecting import fetched
from qsuite_console.cache.keyspace import as_pattern
from qsuite_console.cache.panels import parse_info, refusal, spoken
from qsuite_console.cache.server import arguments, not_covered, parse_client, problem
from qsuite_console.metrics import cache_figures
from qsuite_console.model.keys import escape, unescape


@given(st.binary(max_size=80))
def test_any_name_comes_back_as_it_was_and_is_harmless(name: bytes) -> None:
    text = escape(name)
    assert text.isprintable()
    assert unescape(text) == name


@given(st.text(max_size=40))
def test_text_is_a_name_or_refused(text: str) -> None:
    try:
        name = unescape(text)
    except (ValueError, UnicodeEncodeError):
        return
    assert unescape(escape(name)) == name


@pytest.mark.parametrize("text", ["\\", "a\\", "\\q", "\\x", "\\x4", "\\xg0", "\\\n"])
def test_a_stray_backslash_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="backslash"):
        unescape(text)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        (b"price:AAPL", "price:*"),
        (b"ohlcv:AAPL:1Min:60", "ohlcv:*"),
        (b":1:price:AAPL", ":#:price:*"),
        (b"celery-task-meta-3fa85f64-5717-4562-b3fc-2c963f66afa6", "celery-task-meta-*"),
        (b"session_0123456789abcdef0123", "session_*"),
        (b"user42", "user#"),
        (b"unacked", "unacked"),
        (b"12345", "#"),
        (b"", ""),
        (b"a\x1bb:c", "a\\x1bb:*"),
        (b"x" * 500, "x" * 60),
    ],
)
def test_families(name: bytes, family: str) -> None:
    assert family_of(name) == family


def test_uses_of_keys() -> None:
    queues = frozenset({b"orders"})
    for name in (b"orders", b"orders\x06\x169", b"unacked_index", b"_kombu.binding.orders"):
        assert use_of(name, queues) == "broker"
    assert use_of(b"orders:1", queues) == "cache"
    assert use_of(b"celery-task-meta-1", queues) == "results"


@pytest.mark.parametrize(
    ("text", "glob"), [("", b""), ("price", b"*price*"), ("price:*", b"price:*"), ("a[b]", b"a[b]")]
)
def test_a_filter_is_a_pattern(text: str, glob: bytes) -> None:
    assert as_pattern(text) == glob


@pytest.mark.parametrize(
    ("length", "size", "count"),
    [(10, 1000, 50), (10, 10 * 256 * 1024, 1), (1, 257 * 1024, 0), (0, 100, 50), (5, None, 50)],
)
def test_how_much_of_a_value_is_fetched(length: int, size: int | None, count: int) -> None:
    assert fetched(length, size) == count


OLD = b"""# Server\r
redis_version:6.2.14\r\nrun_id:abc\r\nexecutable:/opt/a=b/redis\r\n\r\n# Memory\r\nused_memory:1000\r
mem_fragmentation_ratio:1.25\r\nmaxmemory:0\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r
master_link_status:down\r\nmaster_last_io_seconds_ago:12\r\nconnected_slaves:0\r
db0:keys=5,expires=2,avg_ttl=60000\r\ndb3:keys=1,expires=0,avg_ttl=0\r
cmdstat_get:calls=10,usec=50,usec_per_call=5.00,rejected_calls=0,failed_calls=0\r\n"""


def test_info_of_an_old_replica() -> None:
    info = parse_info(OLD)
    assert info["executable"] == "/opt/a=b/redis"
    assert info["cmdstat_get"]["usec_per_call"] == 5.0
    assert cache_figures.server_name(info) == "Redis 6.2.14"
    memory = cache_figures.memory(info)
    assert (memory.used, memory.limit, memory.ratio, memory.host, memory.dataset) == (1000, 0, 1.25, None, None)
    replication = cache_figures.replication(info)
    assert (replication.role, replication.primary, replication.link, replication.silent_s) == (
        "replica",
        "10.0.0.1:6379",
        "down",
        12,
    )
    first, ours, last = cache_figures.keyspaces(info, 1)
    assert (first.keys, first.expiring, first.average_ttl_s, first.is_ours) == (5, 2, 60.0, False)
    assert (ours.number, ours.keys, ours.is_ours) == (1, 0, True)
    assert last.average_ttl_s is None
    assert cache_figures.flow(None, 1.0).commands is None


def test_a_primary_says_how_far_its_replicas_are() -> None:
    info = parse_info(
        b"role:master\r\nmaster_repl_offset:5000\r\nconnected_slaves:1\r\n"
        b"slave0:ip=10.0.0.2,port=6380,state=online,offset=4200,lag=1\r\n"
    )
    (replica,) = cache_figures.replication(info).replicas
    assert (replica.address, replica.state, replica.behind, replica.heard_s) == ("10.0.0.2:6380", "online", 800, 1)


def test_rates_leave_out_own_lookups_and_idle_is_no_hit_rate() -> None:
    grown = {"keyspace_hits": 130.0, "keyspace_misses": 30.0, "own_hits": 50.0, "own_misses": 10.0}
    flow = cache_figures.flow(grown, 2.0)
    assert (flow.lookups, flow.hit_rate) == (50.0, 80.0)
    assert cache_figures.flow({**grown, "own_hits": 128.0, "own_misses": 30.0}, 2.0).hit_rate is None
    assert cache_figures.flow({**grown, "own_hits": 999.0}, 2.0).lookups == 10.0


def test_percentiles() -> None:
    assert cache_figures.percentile([], 99) is None
    assert cache_figures.percentile(range(1, 101), 50) == 50
    assert cache_figures.percentile(range(1, 101), 99) == 99


def test_a_client_of_an_old_server_and_a_hostile_one() -> None:
    client = parse_client("id=3 addr=1.2.3.4:5 fd=8 name= age=10 idle=2 flags=b db=0 sub=1 psub=2 cmd=brpop")
    assert (client.id, client.state, client.subscriptions, client.memory, client.command) == (
        3,
        "blocked",
        3,
        None,
        "BRPOP",
    )
    assert "\x1b" not in parse_client("id=4 addr=a name=\x1b[31mx cmd=get").name
    assert parse_client("id=5 name=qsuite-console/monitor").is_ours
    assert not parse_client("id=5 name=qsuite-consoles").is_ours


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([b"SET", b"k", b"secret"], "k (+1 hidden)"),
        ([b"AUTH", b"user", b"secret"], "(hidden)"),
        ([b"CONFIG", b"SET", b"requirepass", b"secret"], "SET (+2 hidden)"),
        ([b"KEYS", b"*"], "*"),
        ([b"LRANGE", b"q", b"0", b"-1"], "q 0 -1"),
        ([b"MGET", *(b"k%d" % n for n in range(20))], "k0 k1 k2 k3 k4 k5 k6 k7 +12 more"),
        ([b"GET", b"\x1b[31m" + b"x" * 100], "\\x1b[31m" + "x" * 59 + "…"),
        ([b"PING"], ""),
    ],
)
def test_arguments_of_slow_commands(words: list[bytes], shown: str) -> None:
    assert arguments(words) == shown


@pytest.mark.parametrize(
    ("words", "is_harmful"),
    [
        ([b"keys", b"*"], True),
        ([b"FLUSHALL"], True),
        ([b"FLUSHALL", b"async"], False),
        ([b"LRANGE", b"q", b"0", b"-1"], True),
        ([b"LRANGE", b"q", b"0", b"99"], False),
        ([b"ZRANGE", b"z", b"0", b"5000"], True),
        ([b"ZRANGE", b"z", b"(1", b"+inf"], False),
        ([b"GET", b"k"], False),
    ],
)
def test_which_slow_commands_are_a_fault(words: list[bytes], is_harmful: bool) -> None:
    assert bool(problem(words)) == is_harmful


def test_what_one_connection_does_not_show_is_said() -> None:
    assert not_covered({"redis_mode": "standalone", "cluster_enabled": 0}) == []
    assert "one node" in not_covered({"cluster_enabled": 1})[0].why
    assert "Sentinel" in not_covered({"redis_mode": "sentinel"})[0].why


def test_refusals_name_the_rule_but_no_key() -> None:
    from redis.exceptions import NoPermissionError, ResponseError

    told = refusal(
        NoPermissionError("this user has no permissions to run the 'memory|usage' command"),
        ("MEMORY", "USAGE", "k"),
        where="h",
        user="u",
    )
    assert told.hint == "ACL SETUSER u +memory|usage"
    told = refusal(NoPermissionError("No permissions to access a key"), ("TYPE", "secret-key"), where="h", user="u")
    assert "secret-key" not in told.message + told.hint
    assert "%R~" in told.hint
    told = refusal(ResponseError("MOVED 3999 127.0.0.1:6381"), ("TYPE", "k"), where="h", user="u")
    assert "another node" in told.message
    assert spoken((b"SLOWLOG", "GET", 5)) == "SLOWLOG GET"
