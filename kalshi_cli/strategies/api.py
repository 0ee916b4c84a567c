"""Everything that the file of a strategy imports: one module, whose names stay until 1.0."""

from kalshi_cli.base.units import Money, Price, Qty, cents, contracts, dollars
from kalshi_cli.core.model.inputs import Input
from kalshi_cli.core.model.intents import Amend, Cancel, Close, Intent, Place
from kalshi_cli.core.model.messages import FairValue, NewsSignal, PublicTrade, SpotPrice
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams, about, above, within

Tif, View = TimeInForce, StrategyContext
"""Names of before version 0.2."""

__all__ = [
    "ASK",
    "BID",
    "Amend",
    "Cancel",
    "Close",
    "FairValue",
    "Fill",
    "Input",
    "Intent",
    "Money",
    "NewsSignal",
    "Order",
    "OrderStatus",
    "Place",
    "Price",
    "PublicTrade",
    "Qty",
    "Side",
    "SpotPrice",
    "Strategy",
    "StrategyContext",
    "StrategyParams",
    "Tif",
    "TimeInForce",
    "View",
    "about",
    "above",
    "cents",
    "contracts",
    "dollars",
    "within",
]
