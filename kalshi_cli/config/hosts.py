"""Hosts that a key may sign for: those of its environment, this machine, and those allowed by name.

A signature is valid on every host of its environment and covers neither the host nor the body of a request, so a host
that receives one could reuse it there.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

import msgspec

from kalshi_cli.base.text import is_loopback

OWN_HOSTS: dict[str, tuple[str, ...]] = {
    "sim": (),
    "demo": ("external-api.demo.kalshi.co", "demo-api.kalshi.co", "external-api-ws.demo.kalshi.co"),
    "prod": ("external-api.kalshi.com", "api.elections.kalshi.com", "external-api-ws.kalshi.com"),
}
"""REST and stream hosts, as listed in the exchange's documentation (October 2026)."""

ALLOW_HOSTS = "KALSHI_ALLOW_HOSTS"

MAX_HOSTS = 50

_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63}){0,20}")


class OtherHost(msgspec.Struct, frozen=True):
    """A host that is not the environment's own, with the setting that names it and the source of that setting."""

    host: str
    setting: str
    origin: str

    def __str__(self) -> str:
        return f"{self.host} ({self.setting}, {self.origin})"


def other_hosts(env: str, addresses: Mapping[str, str], origins: Mapping[str, str]) -> tuple[OtherHost, ...]:
    """Return the hosts of these settings that are not the environment's own; those of `sim` are on this machine."""
    own, found = OWN_HOSTS[env], []
    for setting, address in addresses.items():
        host = urlsplit(address).hostname
        if host and host not in own and (own or not is_loopback(host)):
            found.append(OtherHost(host, setting, origins.get(setting, "default")))
    return tuple(found)


def allowed_hosts(given: object, env: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    """Return the hosts named by --allow-host (`given`) and by the variable, and the error in them, if any."""
    words = given if isinstance(given, list | tuple) else ()
    try:
        return named_hosts([*words, env.get(ALLOW_HOSTS, "")]), ""
    except ValueError as error:
        return (), str(error)


def named_hosts(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the hosts of comma-separated lists; ValueError for an invalid host."""
    words = [word.strip().lower() for text in texts for word in text.split(",")]
    found = tuple(dict.fromkeys(word for word in words if word))
    if len(found) > MAX_HOSTS:
        raise ValueError(f"must be at most {MAX_HOSTS} hosts")
    for word in found:
        if not _NAME.fullmatch(word) and not _is_address(word):
            raise ValueError(f"must be hosts such as kalshi.example.com, without https:// and port, not {word[:60]!r}")
    return found


def _is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return False
    return True
