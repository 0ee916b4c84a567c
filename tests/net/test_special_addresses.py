"""The address guard against the special-purpose registries of IANA (read 2026-11), and the neighbors of each entry."""

from __future__ import annotations

import ipaddress

import pytest

from kalshi_cli.net.address_guard import rejection_reason

REGISTERED = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.0.0/29", "192.0.0.8/32", "192.0.0.9/32", "192.0.0.10/32", "192.0.0.170/32", "192.0.0.171/32",
    "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "255.255.255.255/32", "224.0.0.0/4",
    "::1/128", "::/128", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23",
    "2001::/32", "2001:1::1/128", "2001:1::2/128", "2001:1::3/128", "2001:2::/48", "2001:3::/32", "2001:4:112::/48",
    "2001:10::/28", "2001:20::/28", "2001:30::/28", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
    "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "::/96", "::ffff:0:0:0/96",
]  # fmt: skip
"""Both registries, with multicast, and what older documents reserved: site-local, compatible, translated."""

PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
"""What `allow_private` permits."""

REPORTED = ["fec0::1", "::ffff:0:7f00:1", "192.0.0.8", "192.88.99.1", "5f00::1", "3fff::1"]

EMBEDDED = [
    "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::93.184.216.34",
    "64:ff9b:1::10.0.0.1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:4136:e378:8000:63bf:80ff:fffe",
]  # fmt: skip
"""IPv4 addresses inside, of this machine, of a private network, of a metadata service, and public ones."""

PUBLIC = [
    "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
    "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0",
    "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "203.0.114.0", "223.255.255.255",
    "2000::1", "2001:200::1", "2001:db7::1", "2001:db9::1", "2003::1", "2606:2800:220:1::1", "2620:4f:8001::1",
    "3ffe:ffff::1", "3fff:1000::1",
]  # fmt: skip
"""The neighbors of what is registered."""


def ends(network: str) -> list[str]:
    found = ipaddress.ip_network(network)
    return [str(found[0]), str(found[-1])]


@pytest.mark.parametrize("address", [*(end for network in REGISTERED for end in ends(network)), *REPORTED, *EMBEDDED])
def test_no_special_address_is_a_receiver(address: str) -> None:
    assert rejection_reason(ipaddress.ip_address(address), allow_private=False)


@pytest.mark.parametrize("network", REGISTERED)
def test_only_private_networks_can_be_permitted(network: str) -> None:
    for end in ends(network):
        assert bool(rejection_reason(ipaddress.ip_address(end), allow_private=True)) == (network not in PRIVATE), end


@pytest.mark.parametrize("address", EMBEDDED)
def test_an_embedded_address_is_refused_whatever_is_permitted(address: str) -> None:
    assert rejection_reason(ipaddress.ip_address(address), allow_private=True) == "contains another address"


@pytest.mark.parametrize("address", PUBLIC)
def test_the_public_network_is_open(address: str) -> None:
    assert rejection_reason(ipaddress.ip_address(address), allow_private=False) == ""
