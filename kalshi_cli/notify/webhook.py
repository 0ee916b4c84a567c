"""A webhook channel: posts the JSON that docs/alerts.md describes."""

from __future__ import annotations

from kalshi_cli.base.clock import Clock
from kalshi_cli.core.monitoring.notices import Notice
from kalshi_cli.net.address_guard import Resolve, parse_web_address, refusal
from kalshi_cli.net.delivery import TOTAL_S, DeliveryResult
from kalshi_cli.net.guarded_client import PinnedHttpClient
from kalshi_cli.notify.notice_text import to_json


class Webhook:
    """A web address that accepts the JSON. Raises AddressError for an invalid address."""

    def __init__(self, url: str, clock: Clock, resolve: Resolve, *, allow_private: bool = False) -> None:
        address = parse_web_address(url, allow_private=allow_private)
        self.where = f"POST to {address.host}"
        self._refusal = refusal(address)
        self._sink = PinnedHttpClient(address, clock, resolve)

    def problem(self) -> str:
        """Return why the address cannot be used; "" if it can."""
        return self._refusal

    def send(self, notice: Notice, within_s: float = TOTAL_S) -> DeliveryResult:
        """Make one attempt."""
        return self._sink.send(to_json(notice), {"Content-Type": "application/json"}, within_s=within_s)
