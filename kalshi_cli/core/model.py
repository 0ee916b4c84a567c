"""The nouns: markets, orders, fills, positions, settlements. Immutable, integers for money, one YES scale.

An order or a fill has a `side` of the one YES book: BID buys YES (or sells NO), ASK sells YES (or buys NO at one dollar
less the price). Positions are signed: plus is long YES, minus is long NO.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts


class Side(StrEnum):
    """A side of the one YES-scale book."""

    BID = "bid"
    ASK = "ask"

    @property
    def opposite(self) -> Side:
        return Side.ASK if self is Side.BID else Side.BID

    @property
    def sign(self) -> int:
        """+1 for a bid, -1 for an ask: what a fill does to the position."""
        return 1 if self is Side.BID else -1


BID, ASK = Side.BID, Side.ASK


class Tif(StrEnum):
    """Time in force, in the exchange's words."""

    GTC = "good_till_canceled"
    IOC = "immediate_or_cancel"
    FOK = "fill_or_kill"


class StpMode(StrEnum):
    """Which of two orders of ours that meet goes, in the exchange's words."""

    TAKER = "taker_at_cross"
    MAKER = "maker"


class OrderStatus(StrEnum):
    """Where an order of ours is. DENIED is us, REJECTED the exchange; UNKNOWN counts as live until proven otherwise."""

    DENIED = "denied"
    SUBMITTED = "submitted"
    UNKNOWN = "unknown"
    RESTING = "resting"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    NEVER_ARRIVED = "never_arrived"

    @property
    def is_live(self) -> bool:
        """May still trade, as far as we know."""
        return self in _LIVE


_LIVE = frozenset({OrderStatus.SUBMITTED, OrderStatus.UNKNOWN, OrderStatus.RESTING})


class TradingState(StrEnum):
    """ACTIVE trades; REDUCING only makes positions smaller; HALTED only cancels, until a person resumes."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


class MarketStatus(StrEnum):
    """The status on a market object. A value the exchange adds later reads as UNKNOWN, which is not tradable."""

    INITIALIZED = "initialized"
    ACTIVE = "active"
    INACTIVE = "inactive"
    CLOSED = "closed"
    DETERMINED = "determined"
    DISPUTED = "disputed"
    AMENDED = "amended"
    FINALIZED = "finalized"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> MarketStatus:
        return cls.UNKNOWN


class Band(msgspec.Struct, frozen=True):
    """One band of a price grid: from start to end, both included, in steps."""

    start: Price
    end: Price
    step: Price


class PriceGrid(msgspec.Struct, frozen=True):
    """The valid prices of a market, from its `price_ranges` (never from the structure's label)."""

    bands: tuple[Band, ...]

    def is_valid(self, price: Price) -> bool:
        """On the grid and strictly between zero and one dollar."""
        return 0 < price < ONE_DOLLAR and any(
            band.start <= price <= band.end and (price - band.start) % band.step == 0 for band in self.bands
        )

    def snap(self, side: Side, price: Price) -> Price | None:
        """The nearest valid price that is no worse for us: bids go down, asks go up. None where there is none."""
        found: list[int] = []
        for band in self.bands:
            if side is BID:
                top = min(price, band.end, ONE_DOLLAR - 1)
                at = top - (top - band.start) % band.step
            else:
                low = max(price, band.start, 1)
                at = low + (band.start - low) % band.step
            if band.start <= at <= band.end and 0 < at < ONE_DOLLAR:
                found.append(at)
        if not found:
            return None
        return Price(max(found) if side is BID else min(found))

    def nearest(self, price: Price) -> tuple[Price | None, Price | None]:
        """The valid prices just below and just above, for an error message."""
        return self.snap(BID, price), self.snap(ASK, price)


CENT_GRID = PriceGrid((Band(Price(0), ONE_DOLLAR, Price(100)),))


class FeeType(StrEnum):
    """How a series charges. A value the exchange adds later reads as UNKNOWN and is estimated as the dearest."""

    QUADRATIC = "quadratic"
    WITH_MAKER = "quadratic_with_maker_fees"
    WITH_COMBO_MAKER = "quadratic_with_combo_maker_fees"
    FLAT = "flat"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> FeeType:
        return cls.UNKNOWN


class FeeSchedule(msgspec.Struct, frozen=True):
    """A fee type and its multiplier in thousandths (1000 is 1.0): an event's override, else its series'."""

    type: FeeType = FeeType.QUADRATIC
    multiplier: int = 1000


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """One yes/no question. Quotes are None where the side is empty; `last` is None where nothing ever traded, and
    `previous_price`, the last a day ago, where nothing had traded by then."""

    ticker: str
    event_ticker: str
    title: str
    status: MarketStatus
    grid: PriceGrid
    yes_bid: Price | None
    yes_bid_size: Qty
    yes_ask: Price | None
    yes_ask_size: Qty
    last: Price | None
    volume: Qty
    volume_24h: Qty
    open_interest: Qty
    open_time: Ts
    close_time: Ts
    expected_expiration_time: Ts | None = None
    result: str = ""
    settlement_value: Price | None = None
    settlement_ts: Ts | None = None
    exchange_index: int = 0
    subtitle: str = ""
    strike_type: str = ""
    floor_strike: float | None = None
    cap_strike: float | None = None
    rules_primary: str = ""
    rules_secondary: str = ""
    price_structure: str = ""
    can_close_early: bool = False
    early_close_condition: str = ""
    fee_waiver_until: Ts | None = None
    previous_price: Price | None = None


class MveLeg(msgspec.Struct, frozen=True, kw_only=True):
    """One leg of a combo: the side of a market that must win. `settlement_value` is what its YES paid, once known."""

    event_ticker: str
    market_ticker: str
    side: str
    settlement_value: Price | None = None


class MarketDetails(Market, frozen=True, kw_only=True):
    """A market with everything its object has, for display; lists of markets leave this half unread.

    `previous_*` are of a day ago. `custom_strike` is the exchange's own JSON. A settlement below `settlement_floor` is
    not possible where the bounds are "floor".
    """

    market_type: str = "binary"
    no_subtitle: str = ""
    created: Ts | None = None
    updated: Ts | None = None
    latest_expiration_time: Ts | None = None
    expiration_time: Ts | None = None
    occurrence_time: Ts | None = None
    settlement_timer_s: int | None = None
    previous_bid: Price | None = None
    previous_ask: Price | None = None
    notional: Price | None = None
    expiration_value: str = ""
    settlement_bounds: str = ""
    settlement_floor: Price | None = None
    functional_strike: str = ""
    custom_strike: dict[str, object] | None = None
    mve_collection: str = ""
    mve_legs: tuple[MveLeg, ...] = ()
    primary_participant: str = ""
    is_provisional: bool = False


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order of the account. `qty` is what was asked for; what is left is `qty - filled - reduced`.

    `order_id` is theirs and empty until they told us; `client_order_id` is ours and may be empty on an order that
    another program placed (then `is_foreign`). `self_trade_prevention` is None where the exchange does not say it.
    """

    client_order_id: str
    order_id: str = ""
    ticker: str
    side: Side
    price: Price
    qty: Qty
    filled: Qty = Qty(0)
    reduced: Qty = Qty(0)
    status: OrderStatus
    created: Ts
    updated: Ts
    tif: Tif = Tif.GTC
    post_only: bool = False
    reduce_only: bool = False
    expires: Ts | None = None
    exchange_index: int = 0
    fees: Money = Money(0)
    fill_cost: Money = Money(0)
    strategy: str = ""
    fair: Price | None = None
    reason: str = ""
    code: str = ""
    is_foreign: bool = False
    order_group_id: str = ""
    subaccount: int = 0
    self_trade_prevention: StpMode | None = StpMode.TAKER
    cancel_on_pause: bool = False

    @property
    def remaining(self) -> Qty:
        """What may still trade; nothing once the order is over."""
        return Qty(self.qty - self.filled - self.reduced) if self.status.is_live else Qty(0)


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """A trade of one of our orders, known by `key`. `fee` is what the exchange charged, and always wins over an
    estimate."""

    trade_id: str
    order_id: str
    ticker: str
    side: Side
    price: Price
    qty: Qty
    fee: Money
    is_taker: bool
    ts: Ts
    client_order_id: str = ""
    subaccount: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """Its trade and its order: two orders of ours that trade with one another have a fill each, of one trade."""
        return (self.trade_id, self.order_id)


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """A market paid out. `value` is the payout of one YES contract in dollars (a Price from 0 to 1)."""

    ticker: str
    event_ticker: str
    result: str
    value: Price
    yes_qty: Qty
    no_qty: Qty
    revenue: Money
    fee: Money
    ts: Ts


class ExchangePosition(msgspec.Struct, frozen=True, kw_only=True):
    """A position as the exchange states it, to be compared with ours, never to replace it."""

    ticker: str
    position: Qty
    exposure: Money
    realized: Money
    fees: Money
    traded: Money
    updated: Ts


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """Cash and the value the exchange puts on the positions; cash by shard where it says so."""

    cash: Money
    portfolio_value: Money
    ts: Ts
    shards: dict[int, Money] = {}


class ShardStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The same of one matching engine."""

    exchange_index: int
    description: str
    exchange_active: bool
    trading_active: bool
    transfers_active: bool


class ExchangeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Two kinds of pause: with trading off cancels still work, with the exchange off nothing does.

    `transfers_active` is None where the exchange does not say; without `shards` there is only the default one.
    """

    exchange_active: bool
    trading_active: bool
    estimated_resume: Ts | None = None
    transfers_active: bool | None = None
    shards: tuple[ShardStatus, ...] = ()


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A group of markets. A fee override that is not None replaces the series' schedule.

    `markets` is filled only where they were asked for. `product_metadata` is the exchange's own JSON.
    """

    event_ticker: str
    series_ticker: str
    title: str
    mutually_exclusive: bool
    fee_type_override: FeeType | None = None
    fee_multiplier_override: int | None = None
    settlement_sources: tuple[tuple[str, str], ...] = ()
    sub_title: str = ""
    category: str = ""
    collateral_return: str = ""
    strike_date: Ts | None = None
    strike_period: str = ""
    product_metadata: dict[str, object] | None = None
    updated: Ts | None = None
    exchange_index: int = 0
    markets: tuple[Market, ...] = ()


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """A family of events, and how it charges. `volume` (contracts, of all its events) is read only when asked for."""

    ticker: str
    title: str
    category: str
    frequency: str
    fees: FeeSchedule
    settlement_sources: tuple[tuple[str, str], ...] = ()
    categories: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    contract_url: str = ""
    contract_terms_url: str = ""
    prohibitions: tuple[str, ...] = ()
    product_metadata: dict[str, object] | None = None
    volume: Qty | None = None
    updated: Ts | None = None
    exchange_index: int = 0


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """What limits and strategies need to know of a market's kin: its event, its series, and what they are about.

    Of an exclusive event at most one market settles YES. The exchange does not say whether one of them must: nobody
    may count on it.
    """

    event_ticker: str
    series_ticker: str = ""
    category: str = ""
    is_exclusive: bool = False


class Ohlc(msgspec.Struct, frozen=True):
    """First, lowest, highest and last price of a period; None where there was none."""

    open: Price | None = None
    low: Price | None = None
    high: Price | None = None
    close: Price | None = None


class Candle(msgspec.Struct, frozen=True, kw_only=True):
    """One period of a market, known by its `end` (included). `mean` and `previous` are prices of trades, too.

    `previous` is the last trade before the period, so it is there even where nothing traded.
    """

    end: Ts
    yes_bid: Ohlc
    yes_ask: Ohlc
    price: Ohlc
    mean: Price | None
    previous: Price | None
    volume: Qty
    open_interest: Qty
