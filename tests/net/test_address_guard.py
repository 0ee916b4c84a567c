"""Where alerts may go: nothing that only this machine can reach, however the address is written."""

from __future__ import annotations

import pytest
from support.receivers import notice, notifier, receiving

from kalshi_cli.config.schema import AlertChannel
from kalshi_cli.net.address_guard import AddressError, checked_addresses, parse_web_address

PUBLIC = "93.184.216.34"
NAMES = {
    "a.example": [PUBLIC],
    "six.example": ["2606:2800:220:1::1"],
    "inside.example": ["10.1.2.3"],
    "here.example": ["127.0.0.1"],
    "here6.example": ["::1"],
    "cloud.example": ["169.254.169.254"],
    "metadata.google.internal": ["169.254.169.254"],
    "mapped.example": ["::ffff:10.0.0.1"],
    "zone.example": ["fe80::1%eth0"],
    "nobody.example": [],
}


def resolve(host: str, _port: int) -> list[str]:
    if host not in NAMES:
        raise OSError("no such name")
    return NAMES[host]


NEVER = [
    "https://169.254.169.254/latest/meta-data/",
    "https://169.254.1.1/",
    "https://100.100.100.200/latest",
    "https://168.63.129.16/",
    "https://192.0.0.192/",
    "https://[fd00:ec2::254]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://224.0.0.1/",
    "https://[ff02::1]/",
    "https://0.0.0.0/",
    "https://[::]/",
    "https://255.255.255.255/",
    "https://240.0.0.1/",
    "https://192.0.2.1/",
    "https://198.18.0.1/",
    "https://[2001:db8::1]/",
    "https://[::ffff:93.184.216.34]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[64:ff9b::5db8:d822]/",
    "https://[64:ff9b::a00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:4136:e378::1]/",
    "https://[::10.0.0.1]/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://017700000001/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://127.000.000.001/",
    "https://127.0.0.1./",
    "https://１２７.0.0.1/",
    "https://loca⁠lhost/",
    "https://user@a.example/",
    "https://user:word@a.example/",
    "https://a.example@169.254.169.254/",
    "https://a.example:0/",
    "https://a.example:99999/",
    "https://a.example:/",
    "https://a.example/#part",
    "https://a.example\\@inside.example/",
    "https://a.example/ b",
    "https://a_.b.example%2f@x/",
    "https:///path",
    "https://",
    "https://cloud.example/",
    "https://metadata.google.internal/",
    "https://mapped.example/",
    "https://zone.example/",
    "https://nobody.example/",
    "http://a.example/",
    "http://93.184.216.34/",
    "ftp://a.example/",
    "file:///etc/passwd",
    "gopher://a.example/",
    "//a.example/",
    "a.example/hook",
    "javascript:alert(1)",
    "",
]
"""Whatever a configuration permits."""

ONLY_IF_PERMITTED = [
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://[fc00::1]/",
    "https://inside.example/",
    "https://here.example/",
    "https://here6.example/",
    "http://192.168.1.1:8080/",
    "http://inside.example/",
]
FINE = [
    "https://a.example/",
    "https://a.example:8443/x?y=z",
    "https://six.example/",
    "https://93.184.216.34/",
    "HTTPS://A.example/",
]
HERE = ["http://127.0.0.1:9/", "http://[::1]:9/", "https://127.0.0.1/", "http://127.8.8.8/"]


def permitted(url: str, *, allow_private: bool) -> tuple[str, ...]:
    address = parse_web_address(url, allow_private=allow_private)
    return checked_addresses(
        address.host, address.port, resolve, allow_private=allow_private, is_encrypted=address.is_tls
    )


@pytest.mark.parametrize("allow_private", [False, True])
@pytest.mark.parametrize("url", NEVER)
def test_nothing_is_sent_to(url: str, allow_private: bool) -> None:
    outcome = notifier(resolve, a=AlertChannel(url=url, allow_private=allow_private)).deliver("a", notice())
    assert outcome.outcome == "refused"
    with pytest.raises(AddressError):
        permitted(url, allow_private=allow_private)


@pytest.mark.parametrize("url", ONLY_IF_PERMITTED)
def test_private_networks_are_refused_unless_permitted(url: str) -> None:
    with pytest.raises(AddressError):
        permitted(url, allow_private=False)
    outcome = notifier(resolve, a=url).deliver("a", notice())
    assert outcome.outcome == "refused"
    assert len(permitted(url, allow_private=True)) == 1


@pytest.mark.parametrize("url", [*FINE, *HERE])
def test_the_public_network_is_permitted_and_this_machine_where_it_is_written_so(url: str) -> None:
    assert len(permitted(url, allow_private=False)) == 1


def test_localhost_is_this_machine_only_while_it_is() -> None:
    assert checked_addresses("localhost", 80, lambda *_: ["::1", "127.0.0.1"], allow_private=False) == (
        "::1",
        "127.0.0.1",
    )
    with pytest.raises(AddressError, match="private network"):
        checked_addresses("localhost", 80, lambda *_: ["10.0.0.1"], allow_private=False)


def test_of_several_addresses_only_those_are_tried_that_were_found_good() -> None:
    found = checked_addresses("a.example", 443, lambda *_: ["169.254.169.254", PUBLIC, "10.0.0.1"], allow_private=False)
    assert found == (PUBLIC,)


def test_a_name_that_cannot_be_resolved_is_tried_again_later() -> None:
    outcome = notifier(resolve, a="https://unknown.example/token").deliver("a", notice())
    assert outcome.outcome == "retry"
    assert outcome.text == "POST to unknown.example failed: the host name cannot be resolved"


# -- rebinding and redirects, with a real receiver -----------------------------------------------------------------


def test_the_connection_goes_to_the_address_that_was_judged_and_the_name_is_asked_once() -> None:
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    asked: list[str] = []

    def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    with receiving() as receiver:
        url = receiver.url("200/hook", host="rebinds.example")
        sinks = notifier(rebinding, a=AlertChannel(url=url, allow_private=True))
        assert sinks.deliver("a", notice(), 60.0).outcome == "delivered"
        assert asked == ["rebinds.example"]
        assert receiver.asked[0].headers["Host"] == f"rebinds.example:{receiver.server_port}"
        assert sinks.deliver("a", notice()).outcome == "refused"
        assert len(receiver.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    with receiving() as first, receiving() as second:
        first.location = second.url("200/elsewhere")
        outcome = notifier(a=first.url(f"{status}/hook")).deliver("a", notice(), 60.0)
        assert outcome.outcome == "refused"
        assert f"HTTP {status}" in outcome.text
        assert len(first.asked) == 1
        assert second.asked == []


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as proxy, receiving() as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(""))
        assert notifier(a=receiver.url("200/hook")).deliver("a", notice(), 60.0).outcome == "delivered"
        assert proxy.asked == []
