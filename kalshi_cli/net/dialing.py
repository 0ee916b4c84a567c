"""Connects to a host name within one deadline, however many addresses it has."""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

MAX_ADDRESSES = 4
"""Addresses of one name that are tried, one after the other."""


def connect_in_turn(
    host: str | Sequence[str], port: int, left_s: Callable[[], float], connect: Callable[[str, float], T]
) -> T:
    """Return the first connection that `connect(address, timeout)` makes to an address of a name, or of a list.

    Each address gets its share of the remaining time, so that a silent one leaves time for the next. Raise the OSError
    of the last one.
    """
    found = resolve(host, port, left_s()) if isinstance(host, str) else host
    addresses = list(dict.fromkeys(found))[:MAX_ADDRESSES]
    for number, address in enumerate(addresses, 1):
        try:
            return connect(address, left_s() / (len(addresses) - number + 1))
        except OSError:
            if number == len(addresses):
                raise
    raise OSError("the host name has no address")


def resolve(host: str, port: int, within_s: float) -> list[str]:
    """Return the addresses of a name by this machine's resolver; OSError if that fails or takes too long.

    The lookup runs in its own thread, which is abandoned when it is late, because the system's resolver has no
    deadline.
    """
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    found: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found.put([str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)])
        except Exception as error:  # raised again below
            found.put(error)

    threading.Thread(target=look_up, name="resolver", daemon=True).start()
    try:
        addresses = found.get(timeout=max(0.001, within_s))
    except queue.Empty:
        raise OSError("the host name was not resolved in time") from None
    if isinstance(addresses, Exception):
        raise addresses
    return addresses
