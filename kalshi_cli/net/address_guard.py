"""Checks where an alert may be sent: a strictly parsed web address, and the IP addresses behind its host name.

A careless or hostile configuration must not make this machine contact what only it can reach: the metadata service of
its cloud, a router, a database. So only one notation of a host is accepted, each IP address of its name is checked, and
`guarded_client.py` connects to the checked address without resolving the name again.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import msgspec

from kalshi_cli.net.dialing import resolve

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]
"""Maps a host and a port to IP addresses as text; OSError if there are none."""

UNENCRYPTED = "not encrypted; use https:// (for mail, mailtos://)"
MAX_ADDRESSES = 16
RESOLVE_S = 5.0
MAX_URL_LENGTH = 2_000


class AddressError(ValueError):
    """An address that kalshi sends nothing to. The text gives the reason, and quotes nothing but the host."""


class WebAddress(msgspec.Struct, frozen=True, kw_only=True):
    """An http or https address. `target` is the path with its query, and a secret."""

    host: str
    port: int
    is_tls: bool
    target: str
    allow_private: bool = False

    def __repr__(self) -> str:
        return f"WebAddress({self.host!r})"


def parse_web_address(url: str, *, allow_private: bool = False) -> WebAddress:
    """Parse an address strictly; AddressError if kalshi would not post to it, whatever its host resolves to."""
    if len(url) > MAX_URL_LENGTH or not re.fullmatch(r"[!-~]+", url) or re.search(r"[\\\"<>^`{|}]", url):
        raise AddressError(f"must be one line of at most {MAX_URL_LENGTH} printable characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its text would quote the address
        raise AddressError("invalid host or port") from None
    if parts.scheme not in ("https", "http"):
        raise AddressError("must start with https://")
    if "@" in parts.netloc:
        raise AddressError("must not contain a user or password; put a token in the path")
    if parts.fragment or "#" in url:
        raise AddressError("must not contain a fragment (#)")
    if port == 0 or parts.netloc.endswith(":"):
        raise AddressError("invalid port")
    is_tls = parts.scheme == "https"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return WebAddress(
        host=parse_host(parts.hostname or ""),
        port=port or (443 if is_tls else 80),
        is_tls=is_tls,
        target=target,
        allow_private=allow_private,
    )


_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def parse_host(host: str) -> str:
    """Return a host name, or an IP address in standard notation; AddressError for 2130706433, 0x7f.1 and the like."""
    try:
        return str(_literal(host))
    except ValueError:
        pass
    if ":" in host or "%" in host:
        raise AddressError("the host is neither a name nor a standard IP address")
    name = host.lower()
    if not _NAME.fullmatch(name):
        raise AddressError("the host must be in ASCII letters (write international names as xn--...)")
    if re.fullmatch(r"\d+|0x[0-9a-f]*", name.rsplit(".", 1)[-1]):
        raise AddressError("the host is a number; write an IPv4 address as four numbers, such as 192.0.2.7")
    return name


def _literal(host: str) -> IpAddress:
    if "%" in host:
        raise ValueError("a zone index selects a network card, not a host")
    return ipaddress.ip_address(host)


# -- addresses of a name ------------------------------------------------------------------------------------------


def resolve_here(host: str, port: int) -> list[str]:
    """Resolve a name with this machine's resolver; OSError if that fails."""
    return resolve(host, port, RESOLVE_S)


def checked_addresses(
    host: str, port: int, resolve: Resolve, *, allow_private: bool, is_encrypted: bool = True
) -> tuple[str, ...]:
    """Return the permitted IP addresses of a host, in the order found.

    AddressError with the first reason if none is permitted; OSError if the name cannot be resolved. Without encryption
    only this machine and private networks are permitted.
    """
    try:
        found: list[IpAddress] = [_literal(host)]
    except ValueError:
        found = [ipaddress.ip_address(text.split("%", 1)[0]) for text in resolve(host, port)[:MAX_ADDRESSES]]
    # Who writes 127.0.0.1 means this machine; a name that resolves to this machine may be an attack.
    is_here = host == "localhost" or _is_loopback(host)
    good, reasons = [], []
    for address in dict.fromkeys(found):
        reason = rejection_reason(address, allow_private=allow_private or (is_here and address.is_loopback))
        if not reason and not is_encrypted and not _is_private(address):
            reason = UNENCRYPTED
        reasons.append(reason)
        if not reason:
            good.append(str(address))
    if not good:
        raise AddressError(reasons[0] if reasons else "the host name has no address")
    return tuple(good)


def refusal(address: WebAddress) -> str:
    """Return why nothing is ever sent to this address, without resolving it; empty for a host name."""
    try:
        checked_addresses(
            address.host,
            address.port,
            _without_resolver,
            allow_private=address.allow_private,
            is_encrypted=address.is_tls,
        )
    except AddressError as error:
        return str(error)
    except OSError:  # a name: unencrypted it could be one of a private network only
        may_be_near = address.allow_private or address.host == "localhost"
        return "" if address.is_tls or may_be_near else UNENCRYPTED
    return ""


def _without_resolver(_host: str, _port: int) -> list[str]:
    raise OSError


def _is_loopback(host: str) -> bool:
    try:
        return _literal(host).is_loopback
    except ValueError:
        return False


def _networks(*texts: str) -> tuple[IpNetwork, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


METADATA = _networks(
    "169.254.169.254/32", "fd00:ec2::254/128", "fd20:ce::254/128",  # Amazon, Google, Microsoft and others
    "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32",  # Alibaba, Microsoft's wire server, Oracle
)  # fmt: skip
"""Services that give the keys of a rented machine to any program on it."""

WRAPPED = _networks(
    "::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16"
)  # fmt: skip
"""IPv6 addresses that contain an IPv4 address: compatible, mapped, translated, NAT64 (two), Teredo, 6to4."""

PRIVATE = _networks(
    "127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"
)
"""This machine, and private networks at home, in an office, or in a tunnel."""

GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""The only part of IPv6 that is assigned to machines of the public network."""

SPECIAL = _networks(
    "0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
    "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
    "2001::/23", "2001:db8::/32", "2620:4f:8000::/48", "3fff::/20",
)  # fmt: skip
"""The special-purpose registries of IANA for IPv4 and for IPv6 inside GLOBAL_UNICAST (read 2026-11), without the
networks above. `ipaddress.is_global` is not used, because its registries are those of the Python release."""


def rejection_reason(address: IpAddress, *, allow_private: bool) -> str:
    """Return why nothing is sent to this IP address; empty if it is permitted."""
    if _is_in(address, METADATA):
        return "cloud metadata service"
    if address.is_unspecified or address.is_multicast or address.is_link_local:
        return "not the address of a single host"
    if _is_private(address):
        return "" if allow_private else "private network address; `allow_private: true` permits it"
    if _is_in(address, WRAPPED):
        return "contains another address"
    is_public = not _is_in(address, SPECIAL) and (address.version == 4 or address in GLOBAL_UNICAST)
    return "" if is_public else "not a public address"


def _is_in(address: IpAddress, networks: Sequence[IpNetwork]) -> bool:
    return any(address in network for network in networks)


def _is_private(address: IpAddress) -> bool:
    return _is_in(address, PRIVATE)
