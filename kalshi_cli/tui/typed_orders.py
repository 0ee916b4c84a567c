"""Orders that the user types on the screen: the prompt with its prices, their words, and how they are planned."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from kalshi_cli.app.kalshi import Kalshi
from kalshi_cli.app.list_prices import ListPrices
from kalshi_cli.base.errors import ExchangeError, HaltedError, RefusedError, UnreachableError
from kalshi_cli.base.short_order import read_new_terms, read_short_order
from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Price, Qty, show_price, show_qty
from kalshi_cli.services.orders.amend import AmendRequest
from kalshi_cli.services.orders.place import OrderTicket
from kalshi_cli.tui.actions import AnyPlan, Execute, orders
from kalshi_cli.tui.dialogs import AGAIN_S, BOX, TextDialog, parts
from kalshi_cli.tui.picture import order_key, order_of
from kalshi_cli.views.live import LiveEvent, TopRow
from kalshi_cli.views.orders import LiveOrderRow, OrderRow
from kalshi_cli.views.own_terms import OwnTerms, held_by_market, order_terms
from kalshi_cli.views.row import own_price


class TypedOrder(NamedTuple):
    """An order or new terms as typed: the text, its words, and how to plan it."""

    text: str
    words: str
    plan: Callable[[Kalshi], AnyPlan]


NOTHING_SENT = (RefusedError, HaltedError, ExchangeError, UnreachableError)
"""Errors after which nothing of an order is live."""


class TypedTexts:
    """Texts typed about a market or an order that were not done, so that only the wrong part must be typed again."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def of(self, name: str) -> str:
        """Return the text; empty for none."""
        return self._texts.get(name, "")

    def keep(self, name: str, text: str) -> Execute:
        """Keep a text, and return how to execute its plan, which removes the text unless nothing was sent."""
        self._texts[name] = text

        def execute(kalshi: Kalshi, plan: AnyPlan) -> object:
            self._texts.pop(name, None)
            try:
                return orders(kalshi, plan)
            except NOTHING_SENT:
                self._texts[name] = text
                raise

        return execute


class Prompt(NamedTuple):
    """A question for an order in a market, or for new terms of the order `order_id`, and how the answer is read."""

    ticker: str
    question: str
    read: Callable[[str], TypedOrder]
    order_id: str = ""

    @property
    def name(self) -> str:
        """Return the name under which an answer is kept."""
        return self.order_id or self.ticker


def order_prompt(ticker: str) -> Prompt:
    """Return the prompt for a new order."""
    question = f"Order in {ticker}: buy or sell, count and price, such as buy 10 @0.32. For NO, add --no"
    return Prompt(ticker, question, partial(new_order, ticker))


def new_order(ticker: str, text: str) -> TypedOrder:
    """Read a new order. UsageError for anything else."""
    typed = read_short_order(text)
    ticket = OrderTicket(
        ticker=ticker, outcome=typed.outcome, action=typed.action, qty=typed.qty, price=typed.price
    )  # fmt: skip
    words = OwnTerms(typed.action, typed.outcome, typed.price).text(typed.qty, ticker)
    return TypedOrder(text, words, lambda kalshi: kalshi.orders.plan_ticket(ticket))


def amend_prompt(order: LiveOrderRow, terms: OwnTerms) -> Prompt:
    """Return the prompt for new terms of an order; it shows those that the order has."""
    question = (
        f"{order.ticker}: new price of {terms.side.upper()}, and the count left to trade if it changes too, such as "
        "0.32 or 0.32 10"
    )
    return Prompt(order.ticker, question, partial(new_terms, order, terms), order_key(order))


def new_terms(order: OrderRow, terms: OwnTerms, text: str) -> TypedOrder:
    """Read new terms of an order, at the price of the side in which it is shown. UsageError for anything else."""
    price, qty = read_new_terms(text)
    change = AmendRequest(outcome=terms.side, price=price, qty=qty)
    order_id = order.order_id or order.client_order_id
    count = "" if qty is None else f", {show_qty(qty)} left"
    words = f"change order {(order_id or '')[:8]}: {order.ticker}, {terms.words} to {show_price(price)}{count}"
    return TypedOrder(text, words, lambda kalshi: kalshi.orders.plan_amend(order_id, change))


def price_lines(row: TopRow) -> list[str]:
    """Return the title of a market and the best prices of both sides."""

    def shown(side: str, *prices: tuple[Price | None, Qty | None]) -> str:
        bid, ask = (show_price(price) + (f" ({show_qty(count)})" if count else "") for price, count in prices)
        return f"{side:3}  bid {bid:16} ask {ask}"

    bid, ask = (row.bid, row.bid_count), (row.ask, row.ask_count)
    no_bid, no_ask = ((None if price is None else own_price("no", price), count) for price, count in (ask, bid))
    return [row.title, shown("YES", bid, ask), shown("NO", no_bid, no_ask)]


def order_line(state: LiveEvent, key: str) -> str:
    """Return an order as it is now."""
    order = order_of(state, key)
    if order is None:
        return "Your order is no longer live"
    terms = order_terms(order, held_by_market(state.positions or ()))
    return f"Your order: {terms.text(order.remaining)}, {show_qty(order.filled)} filled"


class OrderDialog(TextDialog):
    """Asks for an order, or for new terms of one, and shows the best prices while the user types.

    The prices are those of `state`, or those of `prices` for a market that `state` lacks. `typed` is in the text box,
    selected: other text replaces it.
    """

    CSS = BOX.format(name="OrderDialog")

    def __init__(self, prompt: Prompt, prices: ListPrices, state: Callable[[], LiveEvent], typed: str = "") -> None:
        super().__init__(prompt.question, prompt.read, typed=typed)
        self._ticker, self._order_id, self._prices, self._state = prompt.ticker, prompt.order_id, prices, state
        self._row: TopRow | None = None

    def fact_parts(self) -> ComposeResult:
        """Lay out the prices."""
        yield Static(id="prices", markup=False)

    def on_mount(self) -> None:
        """Show the prices, and again all the time."""
        if self._followed() is None:
            self._prices.start()
        self.set_interval(AGAIN_S, self._look)
        self._look()

    def on_unmount(self) -> None:
        """Read no further prices."""
        self._prices.stop()

    def _followed(self) -> TopRow | None:
        return next((each for each in self._state().markets or () if each.ticker == self._ticker), None)

    def _look(self) -> None:
        newest = self._prices.newest()
        self._row = self._followed() or (newest[0] if newest else self._row)
        lines = ["Reading prices ..."] if self._row is None else price_lines(self._row)
        if self._order_id:
            lines.append(order_line(self._state(), self._order_id))
        for part in parts(self, "prices"):
            part.update(Text("\n".join(map(safe_text, lines))))
