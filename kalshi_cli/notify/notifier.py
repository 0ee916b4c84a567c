"""Delivery of notices to the configured channels; never raises and never exceeds its time limit.

Each attempt runs in its own thread, which is abandoned at the time limit: a name server, a mail server or a library
that hangs delays neither a loop nor a check.
"""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import ConfigError
from kalshi_cli.base.text import conceal_address
from kalshi_cli.config.secret_file import read_address
from kalshi_cli.core.monitoring.notices import Notice
from kalshi_cli.net.address_guard import AddressError, Resolve, resolve_here
from kalshi_cli.net.delivery import TOTAL_S, DeliveryResult
from kalshi_cli.notify.notice_text import public_page

if TYPE_CHECKING:
    from kalshi_cli.config.schema import AlertChannel


class OpenChannel(Protocol):
    """A channel whose address was read. `where` is the part of the address that may be shown."""

    where: str

    def problem(self) -> str:
        """Return why the address cannot be used, without sending anything; "" if it can."""
        ...

    def send(self, notice: Notice, within_s: float) -> DeliveryResult:
        """Make one attempt. May raise the errors of a library."""
        ...


class Notifier:
    """The channels by name. Creating it never fails and only reads addresses.

    `problems` returns the unusable channels; a delivery to one is refused with the same text. `page` is the address of
    the web page and `host` the name of this computer, which every notice then carries.
    """

    def __init__(
        self,
        sinks: Mapping[str, AlertChannel],
        clock: Clock,
        resolve: Resolve = resolve_here,
        *,
        page: str = "",
        host: str = "",
    ) -> None:
        self._origin = {"page": public_page(page), "host": host}
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
        """Return the unusable channels with the reason, as far as it is known without sending anything."""
        found = {name: opened.problem() for name, opened in self._opened.items()}
        return self._unusable | {name: problem for name, problem in found.items() if problem}

    def _open(self, sink: AlertChannel) -> OpenChannel:
        from kalshi_cli.notify.apprise_channels import ServiceChannel, uses_native_service
        from kalshi_cli.notify.webhook import Webhook

        if bool(sink.url) == bool(sink.url_file):
            raise AddressError("needs either `url` or `url_file`")
        url = read_address(sink.url_file) if sink.url_file else sink.url
        conceal_address(url)
        scheme, sign, _ = url.partition("://")
        if not sign or not re.fullmatch(r"[a-z0-9]{2,20}", scheme):
            raise AddressError("must start with https:// or with a service such as slack://")
        if scheme in ("https", "http") and not uses_native_service(url):
            return Webhook(url, self._clock, self._resolve, allow_private=sink.allow_private)
        return ServiceChannel(url, self._clock, self._resolve, allow_private=sink.allow_private)

    def deliver(self, name: str, notice: Notice, within_s: float = TOTAL_S) -> DeliveryResult:
        """Make one attempt and return its result within `within_s` seconds. Safe from any thread."""
        opened, notice = self._opened.get(name), replace(notice, **self._origin)
        if opened is None:
            return DeliveryResult(outcome="refused", text=self._unusable.get(name, f"no alert channel {name}"))
        before = self._attempts.get(name)
        if before is not None and before.is_alive():
            text = f"{opened.where} failed: the previous attempt is still running"
            return DeliveryResult(outcome="retry", text=text)
        answer: queue.SimpleQueue[DeliveryResult] = queue.SimpleQueue()
        attempt = threading.Thread(
            target=_attempt, args=(opened, notice, within_s, answer), name=f"sink-{name}", daemon=True
        )
        self._attempts[name] = attempt
        try:
            attempt.start()
            found = answer.get(timeout=within_s)
            if self._attempts.get(name) is attempt:  # It has a result, though its thread may still be ending.
                self._attempts.pop(name, None)
            return found
        except queue.Empty:
            return DeliveryResult(outcome="retry", text=f"{opened.where} failed: timeout")
        except RuntimeError:
            return DeliveryResult(outcome="retry", text=f"{opened.where} failed: cannot start a thread")


def _attempt(opened: OpenChannel, notice: Notice, within_s: float, answer: queue.SimpleQueue[DeliveryResult]) -> None:
    try:
        found = opened.send(notice, within_s)
    except AddressError as error:
        found = DeliveryResult(outcome="refused", text=f"{opened.where} refused: {error}")
    except Exception as error:  # The text of a library's error may contain the address, so only its kind is shown.
        found = DeliveryResult(outcome="retry", text=f"{opened.where} failed: {type(error).__name__}")
    answer.put(found)
