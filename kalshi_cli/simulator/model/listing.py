"""Series, events and markets of the simulated exchange, its options, and new orders."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.config.schema import SimulatorConfig
from kalshi_cli.core.model import markets, order_terms, price_grid


class SeriesSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A family of events with its fees. `settlement_sources` are (name, url) pairs."""

    ticker: str
    title: str
    category: str = "Financials"
    frequency: str = "custom"
    tags: tuple[str, ...] = ()
    fees: markets.FeeSchedule = markets.FeeSchedule()
    settlement_sources: tuple[tuple[str, str], ...] = ()


class EventSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A group of markets. Its `fees`, if any, replace those of the series."""

    event_ticker: str
    series_ticker: str
    title: str
    sub_title: str = ""
    mutually_exclusive: bool = False
    strike_date: Ts | None = None
    strike_period: str = ""
    fees: markets.FeeSchedule | None = None


class LegSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A leg of a combo: the side of a market that must win. `value` is the payout of its YES, once known."""

    event_ticker: str
    market_ticker: str
    side: str
    value: Price | None = None


class CollectionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A collection of events from which members make combos.

    A combo has `least` to `most` legs, each from a different event of the `leg_series`. Combos become events of
    `series_ticker`.
    """

    ticker: str
    series_ticker: str
    title: str
    description: str = ""
    leg_series: tuple[str, ...]
    least: int = 2
    most: int = 8
    opens: Ts
    closes: Ts


class MarketSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A yes/no question. Its series and event must be listed first. Times are in milliseconds.

    Until `fee_waiver_until` its fills are free on both sides (UNVERIFIED that it is both). `exchange_index` is its
    shard; its event and series are shown on the shard of their newest market. A combo has a `collection` and `legs`.
    `custom_strike` are (name, value) pairs, such as the team that must win; a combo has those of its legs.
    """

    ticker: str
    event_ticker: str
    title: str
    yes_sub_title: str = ""
    no_sub_title: str = ""
    strike_type: str = "custom"
    floor_strike: float | None = None
    cap_strike: float | None = None
    custom_strike: tuple[tuple[str, str], ...] = ()
    exchange_index: int = 0
    fee_waiver_until: Ts | None = None
    price_structure: str = "linear_cent"
    grid: price_grid.PriceGrid = price_grid.CENT_GRID
    open_time: Ts
    close_time: Ts
    expected_expiration_time: Ts | None = None
    latest_expiration_time: Ts | None = None
    settlement_timer_s: int = 60
    can_close_early: bool = False
    early_close_condition: str = ""
    rules_primary: str = ""
    rules_secondary: str = ""
    collection: str = ""
    legs: tuple[LegSpec, ...] = ()


def is_combo(ticker: str) -> bool:
    """Return whether a market, event or series is a multivariate one."""
    return ticker.startswith("KXMVE")


class ExchangeOptions(SimulatorConfig, frozen=True, kw_only=True):
    """Options for behavior of the exchange that is uncertain or varies (API.md section 14).

    `client_ids`: "forever" refuses any id that the account ever used (seen on the wire); "open_only" refuses only the
    id of a resting order (the FIX page). `read_lag_ms` is the lag of portfolio reads. `shards` is the number of
    matching engines; members have cash on each. Rates are tokens per second, and 0 means no limit; a bucket of capacity
    0 has the capacity of its tier.

    `clock_past_ms` and `clock_future_ms` limit how old and how early a signature may be (reports differ: 5 to 30 s, and
    10 s to 5 min). `ok_has_seq`: an `ok` has a number also on channels without numbers. `hang_up`: maintenance ends the
    streams by "reset" (seen on the wire: no close frame) or "close" (code 1001). `maintenance`: on Thursdays from 03:00
    to 05:00 in New York trading pauses and the streams end, as the schedule announces. `market_limit` limits the market
    subscriptions of a session, `commands_a_second` its commands.

    Names, ranges and defaults are those of the configuration (`SimulatorConfig`):

    - `history_after_ms`: Age at which settled markets, trades, fills and settled positions move to the historical
      endpoints: three months, the target of the real exchange.
    - `orders_after_ms`: The same for ended orders: two weeks, since 24 September 2026.
    - `sparse_candles`: Leave out candles of periods without activity; those recorded in 2026 have no gap.
    - `transfer_ms`: Duration of a transfer between shards; the real exchange says only that it is not immediate.
    - `repeated_transfer`: Reply to a transfer between shards with the id of an equal one: "same_id" returns the earlier
      transfer, "conflict" is 409, as between subaccounts. Not published; it is applied once either way.
    - `subaccounts_need_advanced`: Refuse (403) to open a subaccount in the Basic tier.
    - `inactive_status`: HTTP status of `market_inactive`; 409 is as likely.
    - `mismatch_status`: HTTP status of an amendment with another ticker, side or client order id than the order's; 409
      is as likely.
    - `triggered_group_code`: Error code (400) of an order into a triggered group; not published.
    - `group_trips`: An order group trips when its limit is "reached" (the specification: "hit") or "exceeded".
    - `is_balance_net`: `balance` excludes reserved cash; the documentation suggests that it does not.
    - `holds_fees`: An order needs cash for its worst-case fee too, not for its price alone.
    - `ioc_shows_remainder`: `remaining_count` of an unfilled IOC order is the unfilled size, not 0.00 (seen on demo).
    - `asks_read_as`: The deprecated side and action of an ask order: "sell_yes" (recorded) or "buy_no". Fills differ.
    - `flat_fee`: A taker's fee per contract in a series with `flat` fees; None charges the quadratic fee.
    - `balance_precision`: Precision of balances in millionths: $0.0001 for direct members, 10,000 (a cent) for others.
    - `reduce_only_refused`: A reduce-only order with nothing to reduce is a 400 instead of a 201 without fills.
    - `amend_shows_counts`: Return counts also for an amendment of the price alone that did not trade (seen on
      perpetuals: only the id).
    - `post_only_amend`: A post-only order whose amendment would cross: "cancel" (PostOnlyCrossCancel) or "refuse".
    - `cancel_all_lasts_ms`: Cancel-all also cancels orders placed this much later; the real one may, for a minute.
    - `confirm_ms`: Time for the maker of an accepted quote to confirm it.
    - `execute_ms`: Time from then until the orders enter the book.
    - `fast_confirm_ms`: The same in markets of high volatility, such as combos. Rule filings of 2026 also mention 1 s.
    """


class OrderTerms(msgspec.Struct, kw_only=True):
    """The terms of an order. `expires` is in milliseconds.

    Where it would trade with its own account the order is canceled, or with `stp_maker` the resting order.
    """

    ticker: str
    side: order_terms.Side
    price: Price
    qty: Qty
    tif: order_terms.TimeInForce = order_terms.TimeInForce.GTC
    post_only: bool = False
    expires: Ts | None = None
    client_order_id: str = ""
    stp_maker: bool = False
    cancel_on_pause: bool = False
    subaccount: int = 0
    group_id: str = ""


class NewOrder(OrderTerms, kw_only=True):
    """An order for the matching engine. An `exchange_index` of None means the shard of the market."""

    reduce_only: bool = False
    exchange_index: int | None = None


class OrderReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """The immediate result of a new order. `cost` and `fees` are those of its fills; `remaining` still rests."""

    order_id: str
    client_order_id: str
    filled: Qty
    remaining: Qty
    cost: Money
    fees: Money
    ts: Ts
