"""Where a request whose address an operator or client chose may go: nowhere inside, unless the configuration says so.

A URL is read once and only in its canonical form; the name is resolved here; and the address is checked again at the
socket that is dialled, for a literal address never meets a resolver and a name may answer differently the next time.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from qsuite_console.config.outgoing import PORTS, Allowance, OutgoingSettings, parse_allowances, parse_ports
from qsuite_console.model.text import clean
from qsuite_console.providers.errors import NotSent, ProviderRefused

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

LONGEST_URL: Final = 4000
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\\]")
_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_NUMBER: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)")  # a last label of this form makes the whole an IPv4 address
# What ``is_global`` lets through although it leads inside, or to an address within the address.
_INSIDE: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",
        "240.0.0.0/4",
        "::/96",  # IPv4-compatible
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",  # Teredo, ORCHID, benchmarks
        "2002::/16",  # 6to4
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fec0::/10",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is allowed beyond the public internet on the usual ports."""

    allowances: tuple[Allowance, ...] = ()
    ports: frozenset[int] = PORTS


def policy_of(settings: OutgoingSettings) -> Policy:
    """Return the policy that the settings state; they were checked when they were loaded."""
    return Policy(allowances=parse_allowances(settings.allow), ports=parse_ports(settings.ports))


class GuardRefused(ProviderRefused):
    """The address leads where no request may go."""


@dataclass(slots=True)
class _Visit:
    """The one destination that sockets may be opened for meanwhile."""

    host: str
    port: int


_visit: ContextVar[_Visit | None] = ContextVar("outgoing_visit", default=None)


def parse_url(text: str) -> URL:
    """Return the canonical URL: http or https, no user in it, an exact host. Raises GuardRefused; opens nothing."""
    if len(text) > LONGEST_URL:
        raise GuardRefused(f"the URL is longer than {LONGEST_URL} characters")
    if _FORBIDDEN.search(text):
        raise GuardRefused("the URL holds a space, a backslash or a control character", hint="write it percent-encoded")
    try:
        url = URL(text)
    except ValueError:
        raise GuardRefused("this is not a URL", hint="write it as https://host/path") from None
    if url.scheme not in _DEFAULT_PORTS or not url.raw_host:
        raise GuardRefused("the URL must start with https:// or http:// and name a host")
    if url.raw_user is not None or url.raw_password is not None or "@" in url.raw_authority:
        raise GuardRefused("the URL must not hold a user name or password", hint="send a header instead")
    if ("[" in url.raw_authority) != (":" in url.raw_host):
        raise GuardRefused("the URL holds brackets around something that is not an IPv6 address")
    return url.with_host(_host(url.raw_host)).with_fragment(None)


def is_inside(address: Address) -> bool:
    """Tell whether an address lies anywhere but on the public internet, by itself or by one embedded in it."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return is_inside(address.ipv4_mapped)
    if not address.is_global or address.is_multicast or address.is_unspecified or address.is_reserved:
        return True
    return any(address in network for network in _INSIDE if network.version == address.version)


def same_origin(one: URL, other: URL) -> bool:
    """Tell whether two URLs have scheme, host and port in common: only then credentials go along."""
    return (one.scheme, one.raw_host, one.port) == (other.scheme, other.raw_host, other.port)


@dataclass(slots=True)
class Guard(AbstractResolver):
    """Resolver and socket factory of every connection that leaves on somebody's wish; one for each client."""

    policy: Policy = field(default_factory=Policy)
    lookup: Resolve | None = None  # None: the system's own

    @contextmanager
    def visiting(self, url: URL) -> Iterator[None]:
        """Let the sockets of one request be opened, for its destination only; raises GuardRefused for its port."""
        host, port = url.raw_host or "", url.port or 0
        if port not in self.policy.ports and not any(
            one.port in (None, port) for one in self.policy.allowances if _covers_host(one, host)
        ):
            usual = ", ".join(str(each) for each in sorted(self.policy.ports))
            raise GuardRefused(f"port {port} of {clean(host, 100)} is not among {usual}", hint="see outgoing.ports")
        token = _visit.set(_Visit(host, port))
        try:
            yield
        finally:
            _visit.reset(token)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name; a single one inside refuses them all."""
        try:
            found = await (self.lookup or _system_lookup)(host, port)
        except OSError as error:
            raise NotSent(f"the name {clean(host, 100)} can't be resolved") from error
        addresses = [ipaddress.ip_address(text) for text in found]
        for address in addresses:
            self._check(host, port, address)
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""

    def open_socket(self, address: tuple[Any, ...]) -> socket.socket:
        """Make the socket for one address that is about to be dialled; raises GuardRefused, opening none."""
        family, kind, protocol, _, peer = address
        visit = _visit.get()
        if visit is None:
            raise GuardRefused("a connection that nobody asked for")
        if family not in (socket.AF_INET, socket.AF_INET6) or peer[1] != visit.port:
            raise GuardRefused(f"{clean(visit.host, 100)} leads to something that is not its port {visit.port}")
        self._check(visit.host, visit.port, ipaddress.ip_address(peer[0]))
        return socket.socket(family, kind, protocol)

    def _check(self, host: str, port: int, address: Address) -> None:
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        plain = mapped or address
        if not is_inside(address):
            return
        for one in self.policy.allowances:
            covers = one.network is not None and plain.version == one.network.version and plain in one.network
            if (covers or one.host == host) and one.port in (None, port):
                return
        leads = "" if host == str(address) else f" leads to {address}, which"
        raise GuardRefused(
            f"{clean(host, 100)}{leads} is not on the public internet",
            hint="an operator may add it to outgoing.allow",
        )


def _host(raw: str) -> str:
    """Return a host as it will be dialled: an exact address or a plain name, without the dots at its end."""
    if ":" in raw:
        try:
            address = IPv6Address(raw)
        except ValueError:
            raise GuardRefused(f"{clean(raw, 60)} is not an IPv6 address") from None
        if address.scope_id is not None:
            raise GuardRefused(f"{clean(raw, 60)} names an interface of this machine")
        return str(address)
    host = raw.lower().rstrip(".")
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        try:
            return str(IPv4Address(host))
        except ValueError:
            message = f"{clean(raw, 60)} is not an address of four decimal numbers"
            raise GuardRefused(message, hint="write it as 203.0.113.7, or use a name") from None
    if not _NAME.fullmatch(host):
        raise GuardRefused(f"{clean(raw, 60)} is not the name of a host")
    return host


def _covers_host(one: Allowance, host: str) -> bool:
    if one.network is None:
        return one.host == host
    try:
        return ipaddress.ip_address(host) in one.network
    except ValueError:
        return one.port is not None  # a name that may lead there: its address is checked once it is known


async def _system_lookup(host: str, port: int) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[4][0]).partition("%")[0] for address in found]
