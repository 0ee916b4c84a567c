"""Markets, events, series and what they charge. Immutable; money is integer."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts
from kalshi_cli.core.model.price_grid import PriceGrid


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

    @property
    def factor(self) -> float:
        """The multiplier as the exchange writes it."""
        return self.multiplier / 1000


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """One yes/no question. Quotes are None where the side is empty; `last` is None where nothing ever traded, and
    `previous_price`, the last a day ago, where nothing had traded by then.
    """

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

    @property
    def full_title(self) -> str:
        """The question, behind what tells this market from its siblings where that is apart: tables cut the end."""
        is_apart = self.subtitle and self.subtitle not in self.title
        return f"{self.subtitle}: {self.title}" if is_apart else self.title

    @property
    def no_bid(self) -> Price | None:
        """The best bid for NO, which is the other side of the best ask."""
        return None if self.yes_ask is None else Price(ONE_DOLLAR - self.yes_ask)

    @property
    def no_ask(self) -> Price | None:
        """The best ask for NO, which is the other side of the best bid."""
        return None if self.yes_bid is None else Price(ONE_DOLLAR - self.yes_bid)


class ComboLeg(msgspec.Struct, frozen=True, kw_only=True):
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
    mve_legs: tuple[ComboLeg, ...] = ()
    primary_participant: str = ""
    is_provisional: bool = False


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

    @property
    def own_factor(self) -> float | None:
        """The fee multiplier of the event itself, as the exchange writes it."""
        return None if self.fee_multiplier_override is None else self.fee_multiplier_override / 1000


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


class OhlcPrices(msgspec.Struct, frozen=True):
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
    yes_bid: OhlcPrices
    yes_ask: OhlcPrices
    price: OhlcPrices
    mean: Price | None
    previous: Price | None
    volume: Qty
    open_interest: Qty
