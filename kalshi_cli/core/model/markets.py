"""Markets, events, series and their fee schedules. Immutable, with integer amounts."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from kalshi_cli.base.text import NAME_MARK
from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts
from kalshi_cli.core.model.price_grid import PriceGrid


class MarketStatus(StrEnum):
    """The status of a market. An unrecognized value becomes UNKNOWN, which is not tradable."""

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


ENDED = frozenset(
    (
        MarketStatus.CLOSED,
        MarketStatus.DETERMINED,
        MarketStatus.DISPUTED,
        MarketStatus.AMENDED,
        MarketStatus.FINALIZED,
    )
)
"""The statuses of a market that has stopped trading for good."""
DETERMINED = ENDED - {MarketStatus.CLOSED}
"""The statuses of a market that has, or had, a result."""


class FeeType(StrEnum):
    """The fee formula of a series. An unrecognized value becomes UNKNOWN, estimated at the highest rate."""

    QUADRATIC = "quadratic"
    WITH_MAKER = "quadratic_with_maker_fees"
    WITH_COMBO_MAKER = "quadratic_with_combo_maker_fees"
    FLAT = "flat"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> FeeType:
        return cls.UNKNOWN


class FeeSchedule(msgspec.Struct, frozen=True):
    """A fee type and its multiplier in thousandths (1000 is 1.0), from the event if it overrides its series."""

    type: FeeType = FeeType.QUADRATIC
    multiplier: int = 1000

    @property
    def factor(self) -> float:
        """Return the multiplier as the exchange writes it."""
        return self.multiplier / 1000


class ListedMarket(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The fields of a market that lists show, search and sort by.

    A quote stays None if that side is empty, and `last` stays None before the first trade.
    """

    ticker: str
    event_ticker: str
    title: str
    status: MarketStatus
    yes_bid: Price | None
    yes_ask: Price | None
    last: Price | None
    volume: Qty
    volume_24h: Qty
    open_interest: Qty
    close_time: Ts
    subtitle: str = ""

    @property
    def full_title(self) -> str:
        """Return the title with the subtitle, which is the name of YES and tells this market from its siblings.

        The subtitle comes first because tables cut the end of a long title. A name that the title has already comes
        last (`Atlanta at Golden State Winner? – Golden State`): the title of a game has the names of both teams. A
        number that the title has is its own.
        """
        name = self.subtitle
        if not name or self.title.rstrip("?. ") == name:
            return self.title
        if name not in self.title:
            return f"{name}: {self.title}"
        return self.title if any(map(str.isdigit, name)) else f"{self.title}{NAME_MARK}{name}"


class Market(ListedMarket, frozen=True, kw_only=True, gc=False):
    """A market: one yes/no question.

    `previous_price` is the last price a day ago; None stands for no trade until then.
    """

    grid: PriceGrid
    yes_bid_size: Qty
    yes_ask_size: Qty
    open_time: Ts
    expected_expiration_time: Ts | None = None
    result: str = ""
    settlement_value: Price | None = None
    settlement_ts: Ts | None = None
    exchange_index: int = 0
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

    @property
    def no_bid(self) -> Price | None:
        """Return the best bid for NO, which is one dollar less the best YES ask."""
        return None if self.yes_ask is None else Price(ONE_DOLLAR - self.yes_ask)

    @property
    def no_ask(self) -> Price | None:
        """Return the best ask for NO, which is one dollar less the best YES bid."""
        return None if self.yes_bid is None else Price(ONE_DOLLAR - self.yes_bid)


class ComboLeg(msgspec.Struct, frozen=True, kw_only=True):
    """A leg of a combo: the side of a market that must win. `settlement_value` is the YES payout, once known."""

    event_ticker: str
    market_ticker: str
    side: str
    settlement_value: Price | None = None


class MarketDetails(Market, frozen=True, kw_only=True):
    """A market with every field of the exchange's object, for display. Lists of markets do not read these fields.

    `previous_*` are values of a day ago. `custom_strike` is the exchange's own JSON. If `settlement_bounds` is "floor",
    the market cannot settle below `settlement_floor`.
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
    mve_legs: tuple[ComboLeg, ...] = ()
    primary_participant: str = ""
    is_provisional: bool = False


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A group of markets. A fee override that is not None replaces the schedule of the series.

    `markets` is filled only on request. `product_metadata` is the exchange's own JSON.
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

    @property
    def own_factor(self) -> float | None:
        """Return the event's own fee multiplier as the exchange writes it, None without an override."""
        return None if self.fee_multiplier_override is None else self.fee_multiplier_override / 1000


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """A family of events and its fee schedule. `volume` (contracts of all events) is read only on request."""

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
    """The event and series of a market, with their properties that limits and strategies use.

    At most one market of an exclusive event settles YES. The exchange does not say whether one of them must, so never
    rely on it.
    """

    event_ticker: str
    series_ticker: str = ""
    category: str = ""
    is_exclusive: bool = False


class OhlcPrices(msgspec.Struct, frozen=True):
    """The first, lowest, highest and last price of a period; None if there was none."""

    open: Price | None = None
    low: Price | None = None
    high: Price | None = None
    close: Price | None = None


class Candle(msgspec.Struct, frozen=True, kw_only=True):
    """A period of a market, identified by its inclusive `end`.

    `mean` and `previous` are trade prices. `previous` is the last trade before the period, so it is set even if nothing
    traded in it.
    """

    end: Ts
    yes_bid: OhlcPrices
    yes_ask: OhlcPrices
    price: OhlcPrices
    mean: Price | None
    previous: Price | None
    volume: Qty
    open_interest: Qty
