"""No request leads inside, whatever its URL, its name or a redirect says."""

from __future__ import annotations

import gzip
import ipaddress
from collections.abc import AsyncIterator, Sequence

import aiohttp.web as web
import pytest

from integration.calls.canary import Canary, Receiver, open_canary, serving
from qsuite_console.config.outgoing import parse_allowances
from qsuite_console.model.errors import ConsoleError
from qsuite_console.providers.errors import NotSent, ProviderRefused, ProviderUnavailable
from qsuite_console.providers.guard import GuardRefused, Policy, is_inside, parse_url
from qsuite_console.providers.outgoing import OutgoingClient, Request

LITERALS = (
    "http://127.0.0.1:{port}/",
    "http://127.0.0.2:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://2130706433:{port}/",
    "http://017700000001:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.1:{port}/",
    "http://0x7f.0x0.0x0.0x1:{port}/",
    "http://0:{port}/",
    "http://0.0.0.0:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://１２７.0.0.1:{port}/",
    "http://①②⑦.0.0.1:{port}/",
    "http://127。0。0。1:{port}/",
    "http://[::1]:{port}/",
    "http://[::]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[::1%25lo]:{port}/",
    "http://[fe80::1]:{port}/",
    "http://10.0.0.1:{port}/",
    "http://172.16.0.1:{port}/",
    "http://192.168.0.1:{port}/",
    "http://169.254.169.254:{port}/latest/meta-data/",
    "http://100.64.0.1:{port}/",
    "http://224.0.0.1:{port}/",
    "http://255.255.255.255:{port}/",
    "http://localhost:{port}/",
    "http://LOCALHOST.:{port}/",
    "http://ⓛocalhost:{port}/",
    "http://user@127.0.0.1:{port}/",
    "http://user:word@127.0.0.1:{port}/",
    "http://example.com@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@example.com/",
    "http://example.com\\@127.0.0.1:{port}/",
    "http://%31%32%37.0.0.1:{port}/",
    "http://127.0.0.1%2f.example.com:{port}/",
    "http://127.0.0.1\t:{port}/",
    "http://127.0.0.1:{port}\r\nHost: x/",
    " http://127.0.0.1:{port}/",
    "http:127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "ftp://127.0.0.1:{port}/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/_GET",
    "unix:///var/run/docker.sock",
    "http+unix://127.0.0.1:{port}/",
    "data:text/plain,x",
)
INSIDE = {
    "loopback.example": ["127.0.0.1"],
    "six.example": ["::1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "mixed.example": ["93.184.215.14", "127.0.0.1"],
    "private.example": ["10.0.0.7"],
    "metadata.example": ["169.254.169.254"],
    "127.0.0.1.nip.example": ["127.0.0.1"],
    "xn--lclhost-9za.example": ["127.0.0.1"],
}


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    async with open_canary() as found:
        yield found


class Names:
    """A resolver of our own: each name's answers in turn, the last one for ever."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host in INSIDE:
            return INSIDE[host]
        if host in ("localhost", "localhost.localdomain"):
            return ["127.0.0.1", "::1"]
        turns = self.answers.get(host.partition(".")[0], [])
        if not turns:
            raise OSError("no such name")
        return turns.pop(0) if len(turns) > 1 else turns[0]


def client(canary: Canary, names: Names, allow: str = "") -> OutgoingClient:
    """Every port the canary listens on is a usual one here: only the address can keep a request out."""
    policy = Policy(ports=frozenset({80, 443, canary.port}), allowances=parse_allowances(allow))
    return OutgoingClient(policy, lookup=names)


async def test_hostile_urls_reach_nobody(canary: Canary) -> None:
    urls = [text.format(port=canary.port) for text in LITERALS]
    urls += [f"http://{name}:{canary.port}/" for name in INSIDE]
    assert len(urls) >= 60
    outgoing = client(canary, Names())
    for url in urls:
        with pytest.raises(ConsoleError) as caught:
            await outgoing.send(Request(method="GET", url=url, timeout_s=10))
        assert isinstance(caught.value, GuardRefused), (url, caught.value)
        assert len(caught.value.message) < 200
    await outgoing.close()
    by_system = OutgoingClient(Policy(ports=frozenset({canary.port})))
    with pytest.raises(GuardRefused, match="not on the public internet"):
        await by_system.send(Request(method="GET", url=f"http://localhost:{canary.port}/"))
    await by_system.close()
    assert canary.accepted == 0


async def test_the_canary_hears_what_is_allowed(canary: Canary) -> None:
    """The proof that the test above could fail: the same requests, allowed, arrive."""
    outgoing = client(canary, Names(), allow="127.0.0.0/8, six.example")
    for host in ("127.0.0.1", "[::ffff:127.0.0.1]", "loopback.example", "six.example", "127.0.0.1."):
        answer = await outgoing.send(Request(method="GET", url=f"http://{host}:{canary.port}/"))
        assert answer.body == b"ok"
    assert canary.accepted == 5
    with pytest.raises(GuardRefused):
        await outgoing.send(Request(method="GET", url=f"http://[::1]:{canary.port}/"))
    with pytest.raises(GuardRefused):
        await outgoing.send(Request(method="GET", url=f"http://private.example:{canary.port}/"))
    await outgoing.close()
    assert canary.accepted == 5


async def test_an_allowance_may_name_its_port(canary: Canary) -> None:
    async with open_canary() as other:
        outgoing = OutgoingClient(Policy(allowances=parse_allowances(f"127.0.0.1:{canary.port}")), lookup=Names())
        assert (await outgoing.send(Request(method="GET", url=f"http://127.0.0.1:{canary.port}/"))).status == 200
        with pytest.raises(GuardRefused, match="port"):
            await outgoing.send(Request(method="GET", url=f"http://127.0.0.1:{other.port}/"))
        await outgoing.close()
        assert (canary.accepted, other.accepted) == (1, 0)


async def test_a_name_that_changes_its_mind_is_caught_at_the_socket(canary: Canary) -> None:
    """Public when it is looked at, loopback when it is dialled: whoever asks twice is fooled."""
    names = Names(rebind=[["93.184.215.14"], ["127.0.0.1"]])
    outgoing = client(canary, names)
    guard = outgoing._guard
    assert [one["host"] for one in await guard.resolve("rebind.example", canary.port)] == ["93.184.215.14"]
    with pytest.raises(GuardRefused):
        await outgoing.send(Request(method="GET", url=f"http://rebind.example:{canary.port}/"))
    with guard.visiting(parse_url(f"http://rebind.example:{canary.port}/")), pytest.raises(GuardRefused):
        guard.open_socket((2, 1, 6, "", ("127.0.0.1", canary.port)))
    await outgoing.close()
    assert canary.accepted == 0


async def test_one_look_up_is_all_that_is_dialled(canary: Canary) -> None:
    """The answer that was checked is the one that is dialled: a request looks its name up once."""
    names = Names(twice=[["127.0.0.1"], ["127.0.0.1"]])
    outgoing = client(canary, names, allow="twice.example")
    await outgoing.send(Request(method="GET", url=f"http://twice.example:{canary.port}/"))
    assert names.asked == ["twice.example"]
    await outgoing.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_checked_like_the_first_address(canary: Canary, status: int) -> None:
    receiver = Receiver()
    async with serving(receiver):
        names = Names()
        outgoing = client(canary, names, allow=f"127.0.0.1:{receiver.port}")
        inside = (
            f"http://127.0.0.1:{canary.port}/",
            f"http://[::1]:{canary.port}/",
            f"//loopback.example:{canary.port}/",
            f"http://0x7f000001:{canary.port}/",
            f"http://a@127.0.0.1:{canary.port}/",
            "file:///etc/passwd",
        )
        for place in inside:
            receiver.answers.append(web.Response(status=status, headers={"Location": place}))
            with pytest.raises(ProviderRefused):
                await outgoing.send(Request(method="GET", url=f"{receiver.url}/a", redirects=5))
        await outgoing.close()
    assert len(receiver.seen) == 6
    assert canary.accepted == 0


async def test_a_redirect_to_another_origin_gets_no_credentials() -> None:
    first, second = Receiver(), Receiver()
    async with serving(first), serving(second):
        allow = f"127.0.0.1:{first.port}, 127.0.0.1:{second.port}"
        outgoing = OutgoingClient(Policy(allowances=parse_allowances(allow)))
        headers = {"Authorization": "Bearer canary-1", "APCA-API-SECRET-KEY": "canary-2", "Accept": "text/plain"}
        first.answers = [
            web.Response(status=302, headers={"Location": "/again"}),
            web.Response(status=302, headers={"Location": f"{second.url}/there"}),
        ]
        answer = await outgoing.send(Request(method="GET", url=f"{first.url}/", headers=headers, redirects=5))
        assert (answer.status, answer.redirects, answer.url) == (200, 2, f"{second.url}/there")
        assert first.seen[1][1]["APCA-API-SECRET-KEY"] == "canary-2"
        assert "canary" not in str(second.seen)
        assert second.seen[0][1]["Accept"] == "text/plain"
        first.answers = [web.Response(status=307, headers={"Location": f"{second.url}/there"})]
        with pytest.raises(ProviderRefused, match="body"):
            await outgoing.send(Request(method="POST", url=f"{first.url}/", body=b"canary-3", redirects=5))
        assert len(second.seen) == 1
        first.answers = [web.Response(status=302, headers={"Location": "/again"}) for _ in range(3)]
        with pytest.raises(ProviderRefused, match="more than 2 times"):
            await outgoing.send(Request(method="GET", url=f"{first.url}/", redirects=2))
        first.answers = [web.Response(status=302, headers={"Location": "/again"})]
        assert (await outgoing.send(Request(method="GET", url=f"{first.url}/"))).status == 302
        await outgoing.close()


async def test_the_environment_has_no_say(canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
    outgoing = client(canary, Names())
    with pytest.raises(NotSent, match="can't be resolved"):
        await outgoing.send(Request(method="GET", url="http://nowhere.example/"))
    await outgoing.close()
    assert canary.accepted == 0


async def test_an_answer_is_bounded_in_size_and_time() -> None:
    receiver = Receiver()
    async with serving(receiver):
        outgoing = OutgoingClient(Policy(allowances=parse_allowances("127.0.0.1")))
        bomb = gzip.compress(b"\0" * 50_000_000)
        receiver.answers = [web.Response(body=bomb, headers={"Content-Encoding": "gzip"})]
        with pytest.raises(ProviderRefused, match="more than 1,024 KiB"):
            await outgoing.send(Request(method="GET", url=receiver.url, limit=1 << 20))
        receiver.answers = [web.Response(body=gzip.compress(b"x" * 70_000), headers={"Content-Encoding": "gzip"})]
        assert (await outgoing.send(Request(method="GET", url=receiver.url, limit=70_000))).body == b"x" * 70_000
        receiver.answers = [web.Response(body=gzip.compress(b"x" * 70_000)[:-20], headers={"Content-Encoding": "gzip"})]
        with pytest.raises(ProviderUnavailable, match="broke off"):
            await outgoing.send(Request(method="GET", url=receiver.url))
        with pytest.raises(ProviderRefused, match="header"):
            await outgoing.send(Request(method="GET", url=receiver.url, headers={"X-A": "a\r\nX-B: b"}))
        await outgoing.close()


@pytest.mark.parametrize(
    "text",
    [
        "0.1.2.3",
        "10.1.2.3",
        "100.64.0.1",
        "127.9.9.9",
        "169.254.1.1",
        "172.31.0.1",
        "192.0.0.8",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:a00:1::",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_addresses_inside(text: str) -> None:
    assert is_inside(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "2a00:1450::1", "::ffff:1.1.1.1"])
def test_addresses_outside(text: str) -> None:
    assert not is_inside(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["10.0.0.0/33", "a b", "x:0", "[::1", "10.0.0.1/8", "*"])
def test_allowances_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no "):
        parse_allowances(text)
