"""The public API for strategy authors: import everything that a strategy needs from here.

A strategy is a subclass of `Strategy` with a `name`, its parameters (a `StrategyParams` struct), and the hooks that it
needs: `on_book`, `on_trade`, `on_fill`, `on_spot`, `on_fair`, `on_signal` and `on_tick`. `inputs` returns the outside
data that it needs (`SpotInput`, `FairInput`, `SignalInput`), for the hooks `on_spot`, `on_fair` and `on_signal`. Each
hook receives a `StrategyContext` with the current market data and yields order requests: `Place`, `Amend` or `Cancel`.
Prices are on the YES scale: `BID` buys YES, `ASK` sells YES (which equals buying NO). `cents(30)`, `dollars(100)` and
`contracts(5)` create the integer units. `edge_after_fee` is the edge of an order, `exit_at_best` an order that closes a
position.

The names in this module stay until version 1.0. `kalshi strategies new NAME` writes a first strategy with its test.
"""

from kalshi_cli.base.units import Money, Price, Qty, cents, contracts, dollars
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.inputs import FairInput, Input, SignalInput, SpotInput
from kalshi_cli.core.model.intents import Amend, Cancel, Close, Intent, Place
from kalshi_cli.core.model.markets import Market
from kalshi_cli.core.model.messages import FairValue, NewsSignal, PublicTrade, SpotPrice
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams, about, above, within
from kalshi_cli.strategies.order_edges import edge_after_fee, exit_at_best

Tif, View = TimeInForce, StrategyContext
"""Aliases from before version 0.2."""

__all__ = [
    "ASK", "BID", "Amend", "Cancel", "Close", "FairInput", "FairValue", "Fill", "Input", "Intent", "Market", "Money",
    "NewsSignal", "Order", "OrderBook", "OrderStatus", "Place", "Price", "PublicTrade", "Qty", "Side", "SignalInput",
    "SpotInput", "SpotPrice", "Strategy", "StrategyContext", "StrategyParams", "Tif", "TimeInForce", "View", "about",
    "above", "cents", "contracts", "dollars", "edge_after_fee", "exit_at_best", "within",
]  # fmt: skip
