"""The address of the simulated exchange, as its server saves and prints it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import msgspec

from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.serving.keys import ServedAccount

if TYPE_CHECKING:
    from kalshi_cli.config.schema import SimulatorConfig
    from kalshi_cli.simulator.model.listing import ExchangeOptions


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """The URLs of a served exchange, a key of its first account, and all requested accounts."""

    rest_url: str
    ws_url: str
    key_id: str
    private_key_path: str
    pid: int
    accounts: tuple[ServedAccount, ...] = ()


class Announcement(Address, frozen=True, kw_only=True):
    """The address that a server saves, with the facts that other programs need about it.

    `build` identifies the program and its settings; see `build_of`.
    """

    since: Ts
    build: str
    is_background: bool


def build_of(options: SimulatorConfig) -> str:
    """Return a text that differs between versions of this program, also edited ones, and between settings.

    The seed does not count, because it belongs to the exchange on disk.
    """
    package = Path(__file__).parents[2]
    sources = [(path.relative_to(package), path.stat()) for path in package.rglob("*.py")]
    found = sorted((str(name), stat.st_size, stat.st_mtime_ns) for name, stat in sources)
    settings = msgspec.json.encode(msgspec.structs.replace(options, seed=0))
    return f"{crc32(repr(found).encode()):08x}{crc32(settings):08x}"


def options_of(chosen: SimulatorConfig) -> ExchangeOptions:
    """Return the options of the exchange from the configuration, which has the same names."""
    from kalshi_cli.simulator.model.listing import ExchangeOptions

    return msgspec.convert(chosen, prepared(ExchangeOptions), from_attributes=True)
