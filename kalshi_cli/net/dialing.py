"""Connecting to a name within one deadline, however many addresses it has."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TypeVar

import httpcore

T = TypeVar("T")

MOST_ADDRESSES = 4
"""Addresses of one name that are tried, one after the other."""


def connect_in_turn(host: str, port: int, left_s: Callable[[], float], connect: Callable[[str, float], T]) -> T:
    """Return the first connection that `connect(address, timeout)` makes to an address of this name.

    Each address gets its share of the time that is left, so that a silent one leaves time for the next. Raise the
    OSError or the error of httpcore of the last one.
    """
    found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    addresses = list(dict.fromkeys(found))[:MOST_ADDRESSES]
    for number, address in enumerate(addresses, 1):
        try:
            return connect(address, left_s() / (len(addresses) - number + 1))
        except (OSError, httpcore.ConnectError, httpcore.ConnectTimeout):
            if number == len(addresses):
                raise
    raise OSError("its name stands for no address")
