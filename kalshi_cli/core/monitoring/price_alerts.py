"""Price and fill alerts of the user: each fires once. Prices that cannot be read are an alert too."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts, show_price, show_qty
from kalshi_cli.core.model.effects import AlertRaised, FillBooked
from kalshi_cli.core.model.orders import Fill, Order

REACHED, FILLED, UNREAD, READ_AGAIN = "PRICE_ALERT", "FILL_ALERT", "PRICE_ALERT_BLIND", "PRICE_ALERT_SIGHTED"

UNREAD_MS = 60_000
"""Time without prices after which that is an alert."""

MAX_ORDERS = 3
"""Orders that the text of a fill alert names."""


class EndedReason(str):
    """Why the prices of a market will never be read again; such a reason is an alert at once."""

    __slots__ = ()


class PriceAlert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that the user asked for, about one market.

    It fires when the best bid of its `side` is at or `above` the price, when the best ask is at or `below` it, or when
    an order of the account `fills`; `price` is then None.
    """

    alert_id: str
    ticker: str
    kind: Literal["above", "below", "fills"]
    price: Price | None
    created: Ts
    side: Literal["yes", "no"] = "yes"

    @property
    def subject(self) -> str:
        """Return the subject of its notice, the ticker first; two alerts of a market are two subjects."""
        of_no = " NO" if self.price is not None and self.side == "no" else ""
        at = "" if self.price is None else f" {show_price(self.price)}"
        return f"{self.ticker}{of_no} {self.kind}{at} (alert {self.alert_id})"


class TopPrices(NamedTuple):
    """The best prices of a market on the YES scale; None for an empty side."""

    bid: Price | None
    ask: Price | None

    def of(self, side: Literal["yes", "no"]) -> TopPrices:
        """Return the best prices of an outcome: one dollar less the YES ask is the bid of NO."""
        if side == "yes":
            return self
        bid, ask = (None if each is None else Price(ONE_DOLLAR - each) for each in (self.ask, self.bid))
        return TopPrices(bid, ask)


class FiredAlert(NamedTuple):
    """A price alert whose condition came true, and what to tell the user."""

    alert: PriceAlert
    told: AlertRaised


def fired(
    alerts: Iterable[PriceAlert], prices: Mapping[str, TopPrices], fills: Collection[FillBooked], now: Ts
) -> list[FiredAlert]:
    """Return the alerts that are due. A fill counts if it came after the alert was added."""
    found = []
    for alert in alerts:
        code, text = FILLED, ""
        if alert.price is None:
            text = _fill_text([each for each in fills if _is_awaited(each.fill, alert)])
        elif (top := prices.get(alert.ticker)) is not None:
            code, text = REACHED, _reached(alert, alert.price, top.of(alert.side))
        if text:
            found.append(FiredAlert(alert, AlertRaised(now, "warning", code, alert.subject, text)))
    return found


def _is_awaited(fill: Fill, alert: PriceAlert) -> bool:
    return fill.ticker == alert.ticker and fill.ts >= alert.created


def _fill_text(awaited: Sequence[FillBooked]) -> str:
    """Return what the fills of each order did, of MAX_ORDERS orders; "" without fills."""
    orders: dict[tuple[str, str], list[FillBooked]] = {}
    last = {each.fill.order_id: each.order for each in awaited}
    for each in awaited:
        orders.setdefault((each.fill.order_id, each.terms.words), []).append(each)
    texts = [_order_text(fills, last[order_id]) for (order_id, _), fills in orders.items()]
    more = len(texts) - MAX_ORDERS
    return "; ".join([*texts[:MAX_ORDERS], *([f"and {more} more"] if more > 0 else [])])


def _order_text(fills: Sequence[FillBooked], order: Order | None) -> str:
    """Return what these fills of an order did, at their average price; `so far` unless it is known to be over."""
    terms, count = fills[0].terms, Qty(sum(each.fill.qty for each in fills))
    paid = sum(each.terms.price * each.fill.qty for each in fills)
    average = Price((2 * paid + count) // (2 * count))
    parts = f" in {len(fills)} fills" if len(fills) > 1 else ""
    left = "" if order is not None and not order.status.is_live else " so far"
    return f"{terms.verb} {show_qty(count)} {terms.side.upper()} at {show_price(average)}{parts}{left}"


def _reached(alert: PriceAlert, price: Price, top: TopPrices) -> str:
    """Return the text of a price alert that is due; "" while it is not. `top` has the prices of its side."""
    side = alert.side.upper()
    if alert.kind == "above" and top.bid is not None and top.bid >= price:
        return f"the best {side} bid is {show_price(top.bid)}, at or above {show_price(price)}"
    if alert.kind == "below" and top.ask is not None and top.ask <= price:
        return f"the best {side} ask is {show_price(top.ask)}, at or below {show_price(price)}"
    return ""


class UnreadPrices:
    """Tells of markets whose alerts cannot be checked, at once or after a while, and when they can be checked again.

    `recorded` are the stored alerts, newest first: those that an earlier run left open are ended here.
    """

    def __init__(self, recorded: Iterable[AlertRaised]) -> None:
        newest: dict[str, str] = {}
        for alert in recorded:
            if alert.code in (UNREAD, READ_AGAIN):
                newest.setdefault(alert.subject, alert.code)
        self._told = {subject for subject, code in newest.items() if code == UNREAD}
        self._since: dict[str, Ts] = {}

    def look(self, unread: Mapping[str, str], now: Ts) -> list[AlertRaised]:
        """Return what changed. `unread` maps each market that cannot be checked now to the reason."""
        self._since = {ticker: self._since.get(ticker, now) for ticker in unread}
        alerts = [
            AlertRaised(now, "info", READ_AGAIN, ticker, "its alerts are checked again, or removed")
            for ticker in sorted(self._told - unread.keys())
        ]
        due = [
            each
            for each, since in self._since.items()
            if each not in self._told and (now - since >= UNREAD_MS or isinstance(unread[each], EndedReason))
        ]
        alerts += [
            AlertRaised(now, "warning", UNREAD, each, f"its price and fill alerts cannot be checked: {unread[each]}")
            for each in due
        ]
        self._told = (self._told & unread.keys()) | set(due)
        return alerts
