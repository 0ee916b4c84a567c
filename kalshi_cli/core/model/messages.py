"""Messages: everything that happened, as the engine receives it.

A message has the time at which it happened; the engine's "now" is the time of the message. At Kalshi an *event* is a
group of markets, which is why nothing here is called one.
"""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.model.exchange import ExchangeStatus, TradingState
from kalshi_cli.core.model.markets import Family, FeeSchedule, Market
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.core.model.orders import Fill, Order
from kalshi_cli.core.model.positions import Balance, ExchangePosition, Settlement

Level = tuple[Price, Qty]


class Message(msgspec.Struct, frozen=True, gc=False):
    """Something happened at `ts` (milliseconds, the exchange's time where it gave one)."""

    ts: Ts


class BookSnapshot(Message, frozen=True):
    """The whole book of a market, in any order of levels; replaces what was there and makes the book usable."""

    ticker: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class BookDelta(Message, frozen=True, gc=False):
    """One level changed by `delta` contracts.

    The exchange publishes one matching event as several deltas with the same `ts`, between which the book can be locked
    or crossed. `has_more` says that another of the same event follows, so nobody should decide on this state yet.
    """

    ticker: str
    side: Side
    price: Price
    delta: Qty
    has_more: bool = False


class BookVerification(Message, frozen=True):
    """The book of a market by a read beside the stream, asked for at `ts`: a second view, nothing to trade on."""

    ticker: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class FeedGap(Message, frozen=True):
    """What was missed is not known. The books of these markets are unusable until a snapshot."""

    tickers: tuple[str, ...]
    reason: str


class FeedState(Message, frozen=True):
    """The stream came up or went down. After coming up, whatever has no sequence number must be read again."""

    is_live: bool
    reason: str = ""


class Quote(Message, frozen=True):
    """The ticker channel: best bid and ask with sizes (None where a side is empty), last price, volume."""

    ticker: str
    bid: Price | None
    bid_size: Qty
    ask: Price | None
    ask_size: Qty
    last: Price | None
    volume: Qty


class PublicTrade(Message, frozen=True):
    """A public print. `taker_side` BID means that the taker bought YES. A block trade was matched off the book."""

    ticker: str
    trade_id: str
    price: Price
    qty: Qty
    taker_side: Side
    is_block: bool = False


class ReferencePrice(Message, frozen=True):
    """The value of an outside index (`BRTI`, `ETHUSD_RTI`) in ten-thousandths of a dollar."""

    index: str
    value: int


class SpotPrice(Message, frozen=True, gc=False):
    """A price of a coin (`symbol`, as `BTC`) at an outside venue, in ten-thousandths of a dollar. A trade has a `size`
    in hundred-millionths of a coin; a quote, or a read over REST, has none.
    """

    symbol: str
    price: int
    venue: str
    size: int | None = None


class SpotUnavailable(Message, frozen=True):
    """What a coin costs is not known any more: the venues contradict each other. It is once a price comes again."""

    symbol: str


class FairValue(Message, frozen=True):
    """What an outside model believes one YES contract of a market to be worth, until `until` (None: until it says
    something else). `source` says whose belief it is.
    """

    ticker: str
    fair: Price
    source: str
    until: Ts | None = None


class NewsSignal(Message, frozen=True):
    """Somebody heard something about a market: BID makes YES more likely, ASK less. `confidence` is in ten-thousandths.
    `ticker` may end with `*`: every market whose ticker begins so. The same `signal_id` is one signal.
    """

    signal_id: str
    ticker: str
    side: Side
    confidence: int
    text: str = ""


class MarketChange(Message, frozen=True):
    """A market as it is now: listed, paused, closed, settled, moved its close. `fees` and `family` where they are
    news.
    """

    market: Market
    fees: FeeSchedule | None = None
    family: Family | None = None


class MarksUpdate(Message, frozen=True):
    """Markets that are held but not traded here, as they are now: for what the positions in them are worth."""

    markets: tuple[Market, ...]


class Tick(Message, frozen=True):
    """Time passed. Sent once an interval, whatever else happens."""


class OrderAccepted(Message, frozen=True):
    """The exchange took the order: `filled` at once, `remaining` resting."""

    client_order_id: str
    order_id: str
    filled: Qty
    remaining: Qty


class OrderRejected(Message, frozen=True):
    """The exchange refused it, for certain: nothing is live."""

    client_order_id: str
    code: str
    detail: str = ""


class OrderUnknown(Message, frozen=True):
    """No usable answer came. It counts as live until a fresh read says otherwise."""

    client_order_id: str
    reason: str


class OrderNeverArrived(Message, frozen=True):
    """A complete read, fresher than the send by a margin, does not hold it: the exposure is released."""

    client_order_id: str


class OrderState(Message, frozen=True):
    """An order as the exchange states it (the `user_order` channel, or a read). Older than what we know is ignored."""

    order: Order


class OrderRepaired(Message, frozen=True):
    """A fresh and complete read contradicts what a reply said of this order of ours, here as we have it: the `record`
    of the exchange replaces it; None where the exchange has no order under either id.
    """

    known: Order
    record: Order | None = None


class AmendEnded(Message, frozen=True):
    """What became of an amend: the order is like this now. `code` says why where it was refused: nothing changed."""

    order: Order
    code: str = ""
    detail: str = ""


class OrderCanceled(Message, frozen=True):
    """A cancel was confirmed for this order; `reduced` is how much it took back, where that was said."""

    order_id: str
    client_order_id: str
    reason: str = ""
    reduced: Qty | None = None


class CancelFailed(Message, frozen=True):
    """A cancel was not confirmed: refused (404 proves nothing by itself) or unanswered. The order still counts."""

    order_id: str
    client_order_id: str
    code: str


class Filled(Message, frozen=True):
    """A fill of ours, from any source; booked once by its trade id."""

    fill: Fill


class Settled(Message, frozen=True):
    """A market in which we held something paid out; booked once by market."""

    settlement: Settlement


class GroupChange(Message, frozen=True):
    """An order group of ours was created, triggered, reset, deleted, or (`limit_updated`) got another limit.

    A group that is triggered has its orders cancelled, each with a message of its own, and takes no new ones until it
    is reset. `limit` is in contracts of a rolling 15 seconds, None where the exchange does not say it.
    """

    order_group_id: str
    change: str
    limit: Qty | None = None


class ExchangeChange(Message, frozen=True):
    """The exchange, or trading on it, was paused or goes on. An announced pause is scheduled maintenance."""

    status: ExchangeStatus
    is_announced: bool = False


class ExternalOrders(Message, frozen=True):
    """Orders that other programs of this machine began or amended, as the state file has them."""

    orders: tuple[Order, ...]


class AccountVisibility(Message, frozen=True):
    """The account cannot be read, or not as it is now, since `blind_since`; or, with None, it can again."""

    blind_since: Ts | None
    reason: str = ""


class AccountSnapshot(Message, frozen=True, kw_only=True):
    """A complete read of the account, all pages; valid for everything up to `as_of`.

    `orders` are all resting orders plus any others looked up; `fills` everything since `since`, `settlements` also what
    is a day older.
    """

    as_of: Ts
    since: Ts
    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    settlements: tuple[Settlement, ...]
    positions: tuple[ExchangePosition, ...]
    balance: Balance


class AccountStale(Message, frozen=True):
    """After a reconnect the account could not be read: what happened to it meanwhile is not known."""

    reason: str


class ReadFailed(Message, frozen=True):
    """The exchange was reached and gave no usable answer to a read of the account: a 5xx, silence, half a reply."""

    reason: str


class StateCommand(Message, frozen=True):
    """A person or a signal: move to `state`, or (with None) stop in good order. `source` says who."""

    state: TradingState | None
    source: str
    reason: str = ""


class MarketLocks(Message, frozen=True):
    """Which markets people locked, and until when: all that hold now."""

    until: dict[str, Ts]
