"""Delivering notices to the sinks of a configuration. Nothing here raises, and nothing here lasts.

Each attempt runs in a thread of its own that is waited for, and left behind when its time is over: a name service, a
mail server or a library that hangs holds up neither a loop nor a check.
"""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import ConfigError
from kalshi_cli.base.text import conceal_address
from kalshi_cli.config.secret_file import read_address
from kalshi_cli.core.monitoring.notices import Notice
from kalshi_cli.net.address_guard import AddressError, Resolve, resolve_here
from kalshi_cli.net.delivery import TOTAL_S, DeliveryResult

if TYPE_CHECKING:
    from kalshi_cli.config.schema import AlertChannel


class OpenChannel(Protocol):
    """A sink whose address was read. `where` is what may be said of the address."""

    where: str

    def problem(self) -> str:
        """Why nothing can be delivered there, found without asking anybody; empty where nothing is known."""
        ...

    def send(self, notice: Notice, within_s: float) -> DeliveryResult:
        """One attempt, which may raise what a library raises."""
        ...


class Notifier:
    """The sinks by name. Making one never fails, and reads no more than addresses: what is wrong with one is asked for
    with `problems`, and delivering to it is refused with the same words.
    """

    def __init__(self, sinks: Mapping[str, AlertChannel], clock: Clock, resolve: Resolve = resolve_here) -> None:
        self._clock = clock
        self._resolve = resolve
        self._opened: dict[str, OpenChannel] = {}
        self._unusable: dict[str, str] = {}
        self._attempts: dict[str, threading.Thread] = {}
        for name, sink in sinks.items():
            try:
                self._opened[name] = self._open(sink)
            except AddressError as error:
                self._unusable[name] = str(error)
            except ConfigError as error:
                self._unusable[name] = f"{error.message}: {error.hint}"

    def __repr__(self) -> str:
        return f"Notifier({sorted([*self._opened, *self._unusable])})"

    def problems(self) -> dict[str, str]:
        """Sink -> why nothing can be delivered to it, for those of which that is known without asking anybody."""
        found = {name: opened.problem() for name, opened in self._opened.items()}
        return self._unusable | {name: problem for name, problem in found.items() if problem}

    def _open(self, sink: AlertChannel) -> OpenChannel:
        from kalshi_cli.notify.apprise_channels import ServiceChannel, uses_native_service
        from kalshi_cli.notify.webhook import Webhook

        if bool(sink.url) == bool(sink.url_file):
            raise AddressError("it needs a `url` or a `url_file`, one of them")
        url = read_address(sink.url_file) if sink.url_file else sink.url
        conceal_address(url)
        scheme, sign, _ = url.partition("://")
        if not sign or not re.fullmatch(r"[a-z0-9]{2,20}", scheme):
            raise AddressError("it must begin with https:// or with a service, like slack://")
        if scheme in ("https", "http") and not uses_native_service(url):
            return Webhook(url, self._clock, self._resolve, allow_private=sink.allow_private)
        return ServiceChannel(url, self._clock, self._resolve, allow_private=sink.allow_private)

    def deliver(self, name: str, notice: Notice, within_s: float = TOTAL_S) -> DeliveryResult:
        """One attempt, with an answer after `within_s` seconds at the latest. Safe from any thread."""
        opened = self._opened.get(name)
        if opened is None:
            return DeliveryResult(outcome="refused", text=self._unusable.get(name, f"there is no sink {name}"))
        before = self._attempts.get(name)
        if before is not None and before.is_alive():
            return DeliveryResult(
                outcome="retry", text=f"{opened.where} failed: the attempt before has not come back yet"
            )
        answer: queue.SimpleQueue[DeliveryResult] = queue.SimpleQueue()
        attempt = threading.Thread(
            target=_attempt, args=(opened, notice, within_s, answer), name=f"sink-{name}", daemon=True
        )
        self._attempts[name] = attempt
        try:
            attempt.start()
            found = answer.get(timeout=within_s)
            if self._attempts.get(name) is attempt:  # it has answered, though its thread may still be ending
                self._attempts.pop(name, None)
            return found
        except queue.Empty:
            return DeliveryResult(outcome="retry", text=f"{opened.where} failed: timeout")
        except RuntimeError:
            return DeliveryResult(outcome="retry", text=f"{opened.where} failed: no thread can be started")


def _attempt(opened: OpenChannel, notice: Notice, within_s: float, answer: queue.SimpleQueue[DeliveryResult]) -> None:
    try:
        found = opened.send(notice, within_s)
    except AddressError as error:
        found = DeliveryResult(outcome="refused", text=f"{opened.where} refused: {error}")
    except Exception as error:  # a library's; its text may have the address in it, so only its kind is told
        found = DeliveryResult(outcome="retry", text=f"{opened.where} failed: {type(error).__name__}")
    answer.put(found)
