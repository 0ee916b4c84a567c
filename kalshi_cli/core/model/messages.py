"""Messages: everything that happened, as the engine receives it.

Each message carries the time at which it happened, and the engine uses that time as "now". Messages are not called
events, because at Kalshi an *event* is a group of markets.
"""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.model.effects import SubmitOrder
from kalshi_cli.core.model.exchange import ExchangeStatus, TradingState
from kalshi_cli.core.model.markets import Family, FeeSchedule, Market
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.core.model.orders import Fill, Order
from kalshi_cli.core.model.positions import Balance, ExchangePosition, Settlement

Level = tuple[Price, Qty]


class Message(msgspec.Struct, frozen=True, gc=False):
    """Something that happened at `ts`: milliseconds, in the exchange's time if it reports one."""

    ts: Ts


class BookSnapshot(Message, frozen=True):
    """The whole order book of a market, levels in any order. It replaces the book and makes it usable."""

    ticker: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class BookDelta(Message, frozen=True, gc=False):
    """A change of one price level by `delta` contracts.

    The exchange publishes one match as several deltas with the same `ts`, between which the book can be locked or
    crossed. `has_more` marks a delta that another of the same match follows: do not decide on this state of the book.
    `may_continue` marks the last delta that has arrived so far, where the feed cannot know yet whether another with the
    same `ts` follows: a GroupEnd comes later.
    """

    ticker: str
    side: Side
    price: Price
    delta: Qty
    has_more: bool = False
    may_continue: bool = False


class WaitingChanges(Message, frozen=True):
    """The number of changes of order books, by market, that have arrived and follow this message.

    They waited while an order was sent, the account was read or a strategy was slow. Strategies see each of them, but
    an order at a book that has already changed again would come too late.
    """

    counts: dict[str, int]


class GroupEnd(Message, frozen=True):
    """The end of a group of deltas that had the same `ts`, in these markets: a later delta came, or silence."""

    tickers: tuple[str, ...]


class BookChanged(Message, frozen=True, gc=False):
    """The end of a group of changes that were applied to the book of a market elsewhere: in a compiled backtest."""

    ticker: str


class BookVerification(Message, frozen=True):
    """An order book read by REST at `ts`, to verify the book of the stream. Not for trading decisions."""

    ticker: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class FeedGap(Message, frozen=True):
    """The feed lost an unknown number of messages: the books of these markets are unusable until a snapshot."""

    tickers: tuple[str, ...]
    reason: str


class FeedState(Message, frozen=True):
    """The stream connected or disconnected. After it connects, data without a sequence number must be read again."""

    is_live: bool
    reason: str = ""


class Quote(Message, frozen=True):
    """The best bid and ask with sizes, the last price and the volume, from the ticker channel.

    `bid` or `ask` stays None if that side is empty.
    """

    ticker: str
    bid: Price | None
    bid_size: Qty
    ask: Price | None
    ask_size: Qty
    last: Price | None
    volume: Qty


class PublicTrade(Message, frozen=True):
    """A public trade. A `taker_side` of BID means that the taker bought YES. Block trades match off the book."""

    ticker: str
    trade_id: str
    price: Price
    qty: Qty
    taker_side: Side
    is_block: bool = False


class ReferencePrice(Message, frozen=True):
    """The value of a reference index (`BRTI`, `ETHUSD_RTI`), in ten-thousandths of a dollar."""

    index: str
    value: int


class SpotPrice(Message, frozen=True, gc=False):
    """The price of a coin (`symbol`, for example `BTC`) at an outside venue, in ten-thousandths of a dollar.

    `size` is in hundred-millionths of a coin for a trade, and None for a quote or a REST read.
    """

    symbol: str
    price: int
    venue: str
    size: int | None = None


class SpotUnavailable(Message, frozen=True):
    """The price of a coin is unknown, because the venues disagree, until the next SpotPrice."""

    symbol: str


class FairValue(Message, frozen=True):
    """An outside model's fair value of one YES contract, from `source`.

    It is valid until `until`, or until the next value without a limit.
    """

    ticker: str
    fair: Price
    source: str
    until: Ts | None = None


class NewsSignal(Message, frozen=True):
    """News about a market: BID makes YES more likely, ASK less likely. `confidence` is in ten-thousandths.

    A `ticker` that ends with `*` matches every market with that prefix. Messages with the same `signal_id` are one
    signal.
    """

    signal_id: str
    ticker: str
    side: Side
    confidence: int
    text: str = ""


class MarketChange(Message, frozen=True):
    """The current state of a market: listed, paused, closed, settled, or with a new close time.

    `fees` and `family` are None if they did not change.
    """

    market: Market
    fees: FeeSchedule | None = None
    family: Family | None = None


class MarksUpdate(Message, frozen=True):
    """The current state of markets that have a position but are not traded by this run, to mark their positions."""

    markets: tuple[Market, ...]


class Tick(Message, frozen=True):
    """Time passed. The loop sends one per interval, whatever else happens."""


class RecordingEnded(Message, frozen=True):
    """A recording is over: messages after it only settle markets, and nothing that was sent arrives any more."""


class OrderAccepted(Message, frozen=True):
    """The exchange accepted the order: `filled` contracts traded at once, `remaining` contracts rest."""

    client_order_id: str
    order_id: str
    filled: Qty
    remaining: Qty


class OrderRejected(Message, frozen=True):
    """The exchange rejected the order, with certainty: nothing is live."""

    client_order_id: str
    code: str
    detail: str = ""


class OrderUnknown(Message, frozen=True):
    """The exchange sent no usable response. The order counts as live until a fresh read shows otherwise."""

    client_order_id: str
    reason: str


class OrderNeverArrived(Message, frozen=True):
    """A complete read that is safely newer than the request does not contain the order: release its exposure."""

    client_order_id: str


class OrderState(Message, frozen=True):
    """An order as the exchange reports it (by the `user_order` channel or a read). Outdated reports are ignored."""

    order: Order


class OrderRepaired(Message, frozen=True):
    """A fresh, complete read contradicts an earlier response about one of our orders.

    `known` is the order as we have it, and `record` replaces it. `record` stays None if the exchange has no order under
    either id.
    """

    known: Order
    record: Order | None = None


class AmendEnded(Message, frozen=True):
    """The order after an amend. `code` says why the exchange refused the amend; the order is then unchanged."""

    order: Order
    code: str = ""
    detail: str = ""


class OrderCanceled(Message, frozen=True):
    """The exchange confirmed a cancel. `reduced` is the canceled quantity, if reported."""

    order_id: str
    client_order_id: str
    reason: str = ""
    reduced: Qty | None = None


class CancelFailed(Message, frozen=True):
    """A cancel was rejected or not answered; a 404 proves nothing by itself. The order still counts as live."""

    order_id: str
    client_order_id: str
    code: str


class Filled(Message, frozen=True):
    """A fill of our account from any source, booked once by its trade id."""

    fill: Fill


class Settled(Message, frozen=True):
    """A market in which we had a position paid out. Booked once per market."""

    settlement: Settlement


class GroupChange(Message, frozen=True):
    """An order group was created, triggered, reset, deleted, or (`limit_updated`) got another limit.

    The exchange cancels the orders of a triggered group, with one message each, and rejects new ones until the group is
    reset. `limit` counts contracts in a rolling 15 seconds; it stays None if the exchange does not report it.
    """

    order_group_id: str
    change: str
    limit: Qty | None = None


class ExchangeChange(Message, frozen=True):
    """The exchange or trading was paused or resumed. An announced pause is scheduled maintenance."""

    status: ExchangeStatus
    is_announced: bool = False


class ExternalOrders(Message, frozen=True):
    """Orders that other programs on this machine placed or amended, from the state file.

    `unsent` are our orders whose review did not count those: they were not sent, and need another review.
    """

    orders: tuple[Order, ...]
    unsent: tuple[SubmitOrder, ...] = ()


class AccountVisibility(Message, frozen=True):
    """The account cannot be read, or only outdated data, since `blind_since`. None means that it can be read again."""

    blind_since: Ts | None
    reason: str = ""


class AccountSnapshot(Message, frozen=True, kw_only=True):
    """A complete read of the account, all pages, valid for everything up to `as_of`.

    `orders` are all resting orders and any others that were looked up. `fills` are all since `since`; `settlements`
    reach one day further back.
    """

    as_of: Ts
    since: Ts
    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    settlements: tuple[Settlement, ...]
    positions: tuple[ExchangePosition, ...]
    balance: Balance


class AccountStale(Message, frozen=True):
    """The account could not be read after a reconnect, so changes in the meantime are unknown."""

    reason: str


class ReadFailed(Message, frozen=True):
    """The exchange was reached, but sent no usable response to an account read (5xx, timeout, partial reply)."""

    reason: str


class StateCommand(Message, frozen=True):
    """A command by the user or a signal: change to `state`, or stop gracefully (None).

    `source` names the sender.
    """

    state: TradingState | None
    source: str
    reason: str = ""


class MarketLocks(Message, frozen=True):
    """All current market locks by ticker, with the time at which each ends."""

    until: dict[str, Ts]
