"""What the engine hears (Message), what a strategy wants (Intent), what the shell must do (Effect).

A Message states something that happened, with the time it happened; the engine's "now" is the message's time. An Intent
is a wish and carries its reason. An Effect has passed every control and is written down before it is performed. At
Kalshi an *event* is a group of markets, which is why nothing here is called one.
"""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.model import (
    Balance,
    ExchangePosition,
    ExchangeStatus,
    Family,
    FeeSchedule,
    Fill,
    Market,
    Order,
    Settlement,
    Side,
    StpMode,
    Tif,
    TradingState,
)

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


class BookCheck(Message, frozen=True):
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
    in hundred-millionths of a coin; a quote, or a read over REST, has none."""

    symbol: str
    price: int
    venue: str
    size: int | None = None


class SpotLost(Message, frozen=True):
    """What a coin costs is not known any more: the venues contradict each other. It is once a price comes again."""

    symbol: str


class FairValue(Message, frozen=True):
    """What an outside model believes one YES contract of a market to be worth, until `until` (None: until it says
    something else). `source` says whose belief it is."""

    ticker: str
    fair: Price
    source: str
    until: Ts | None = None


class NewsSignal(Message, frozen=True):
    """Somebody heard something about a market: BID makes YES more likely, ASK less. `confidence` is in ten-thousandths.
    `ticker` may end with `*`: every market whose ticker begins so. The same `signal_id` is one signal."""

    signal_id: str
    ticker: str
    side: Side
    confidence: int
    text: str = ""


class MarketChange(Message, frozen=True):
    """A market as it is now: listed, paused, closed, settled, moved its close. `fees` and `family` where they are
    news."""

    market: Market
    fees: FeeSchedule | None = None
    family: Family | None = None


class Valued(Message, frozen=True):
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
    of the exchange replaces it; None where the exchange has no order under either id."""

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


class OrdersBeside(Message, frozen=True):
    """Orders that other programs of this machine began or amended, as the state file has them."""

    orders: tuple[Order, ...]


class Sight(Message, frozen=True):
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


class AccountUnread(Message, frozen=True):
    """After a reconnect the account could not be read: what happened to it meanwhile is not known."""

    reason: str


class ReadFailed(Message, frozen=True):
    """The exchange was reached and gave no usable answer to a read of the account: a 5xx, silence, half a reply."""

    reason: str


class Command(Message, frozen=True):
    """A person or a signal: move to `state`, or (with None) stop in good order. `source` says who."""

    state: TradingState | None
    source: str
    reason: str = ""


class MarketLocks(Message, frozen=True):
    """Which markets people locked, and until when: all that hold now."""

    until: dict[str, Ts]


class Intent(msgspec.Struct, frozen=True):
    """What a strategy wants. `reason` is kept with the order and shown by `why`."""


class Place(Intent, frozen=True):
    """Rest or take `qty` at `price` or better; `fair` is what the strategy believes one YES contract is worth.

    With `expires_in_s` None the engine sets the short expiry of every loop order; 0 asks for good-till-cancelled. It is
    denied where one of those that it `needs` would be, after it: legs that follow, and are yielded when they shall go.
    """

    ticker: str
    side: Side
    price: Price
    qty: Qty
    fair: Price | None = None
    reason: str = ""
    tif: Tif = Tif.GTC
    post_only: bool = False
    reduce_only: bool = False
    expires_in_s: float | None = None
    order_group_id: str = ""
    subaccount: int = 0
    self_trade_prevention: StpMode = StpMode.TAKER
    cancel_on_pause: bool = False
    needs: tuple[Place, ...] = ()


class Amend(Intent, frozen=True):
    """Another price, size or expiry for an order that rests: a person's, or a strategy's of its own order.

    `qty` is what shall be left to trade from now on. `expires` None keeps the expiry, 0 takes it away. `fair` is what a
    strategy believes by now; None, what it believed before. Only a smaller size keeps the place in the queue.
    """

    order_id: str
    price: Price
    qty: Qty
    expires: Ts | None = None
    fair: Price | None = None


class Close(Intent, frozen=True):
    """Make a position smaller by `qty` at `price` or better: a person's, never a strategy's.

    `held` is the position of this subaccount as the exchange has just stated it, below zero for NO.
    """

    ticker: str
    price: Price
    qty: Qty
    held: Qty
    subaccount: int = 0

    @property
    def side(self) -> Side:
        """The side that makes it smaller."""
        return Side.ASK if self.held > 0 else Side.BID


class Cancel(Intent, frozen=True):
    """Take back an order of this strategy."""

    client_order_id: str
    reason: str = ""


class Effect(msgspec.Struct, frozen=True):
    """Something the shell must do, now."""


class SubmitOrder(Effect, frozen=True):
    """Send this order, once. Only `risk.review` makes the order inside; it is committed before it is sent.

    `reviewed` is the trading state that the controls knew of: under a stricter one it must not be sent. So with a lock
    of its market that lasts for longer than `knew_lock`.
    """

    order: Order
    reviewed: TradingState = TradingState.ACTIVE
    knew_lock: Ts = Ts(0)


class CloseOrder(Effect, frozen=True):
    """Send this order, once, also while trading is halted. Only `risk.review_close` makes one.

    ValueError where the order could do anything but make a position of a person's smaller, at once.
    """

    order: Order

    def __post_init__(self) -> None:
        if not self.order.reduce_only or self.order.tif is not Tif.IOC or self.order.strategy:
            raise ValueError(f"order {self.order.client_order_id} could do more than close")


class AmendOrder(Effect, frozen=True):
    """Ask the exchange to make `before` into `wanted`. Only `risk.review_amend` makes one.

    Until it is known what came of it, `doubtful` is what counts and what is on file: the worse of the two. `reviewed`
    and `knew_lock` as of a SubmitOrder.
    """

    before: Order
    wanted: Order
    doubtful: Order
    reviewed: TradingState = TradingState.ACTIVE
    knew_lock: Ts = Ts(0)


class CancelOrder(Effect, frozen=True):
    """Ask the exchange to cancel. Safe to repeat."""

    order: Order
    reason: str


class OrderChanged(Effect, frozen=True):
    """An order of the account is like this now, by the state machine of `orders.py`; `repaired`: what was false."""

    order: Order
    repaired: str = ""


class FillBooked(Effect, frozen=True):
    """A fill that was not known before, and its order as it is now, where that changed: one step, on file as well."""

    fill: Fill
    order: Order | None = None


class GroupSwitched(Effect, frozen=True):
    """An order group takes no more orders (`is_triggered`), or takes them again. A restart resets none."""

    order_group_id: str
    is_triggered: bool


class SettlementBooked(Effect, frozen=True):
    """A settlement that was not known before, or that amends an earlier one."""

    settlement: Settlement


class Denied(Effect, frozen=True):
    """A control refused an intent. Recorded, never sent."""

    ts: Ts
    strategy: str
    ticker: str
    code: str
    detail: str


class Resync(Effect, frozen=True):
    """The book of this market cannot be trusted: fetch a fresh snapshot."""

    ticker: str
    reason: str


class Alert(Effect, frozen=True):
    """Somebody should know. `code` is stable; `tier` is critical, warning or info."""

    ts: Ts
    tier: str
    code: str
    subject: str
    text: str


class StateChanged(Effect, frozen=True):
    """The trading state moved; HALTED is durable and is written down before anything else happens."""

    ts: Ts
    state: TradingState
    code: str
    reason: str
