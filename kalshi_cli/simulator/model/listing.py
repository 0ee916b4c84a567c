"""What can be listed on the simulated exchange: series, events, markets; and the switches of the exchange itself."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.config.schema import SimulatorConfig
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.order_terms import Side, TimeInForce
from kalshi_cli.core.model.price_grid import CENT_GRID, PriceGrid


class SeriesSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A family of events, and how it charges. `settlement_sources` are (name, url) pairs."""

    ticker: str
    title: str
    category: str = "Financials"
    frequency: str = "custom"
    tags: tuple[str, ...] = ()
    fees: FeeSchedule = FeeSchedule()
    settlement_sources: tuple[tuple[str, str], ...] = ()


class EventSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A group of markets. `fees`, where not None, replaces the schedule of the series."""

    event_ticker: str
    series_ticker: str
    title: str
    sub_title: str = ""
    mutually_exclusive: bool = False
    strike_date: Ts | None = None
    strike_period: str = ""
    fees: FeeSchedule | None = None


class LegSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One leg of a combo: the side of a market that must win. `value` is what its YES paid, once that is known."""

    event_ticker: str
    market_ticker: str
    side: str
    value: Price | None = None


class CollectionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """From which events members may make combos: those of `leg_series`, one market of each, `least` to `most` legs.

    The combos become events of `series_ticker`.
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
    """One yes/no question. Its event, and the event's series, must be listed first. Times are milliseconds.

    Until `fee_waiver_until` its fills are free on both sides (UNVERIFIED that it is both).
    `exchange_index` is the shard it trades on; its event and series are shown on the shard of their newest market.
    A combo says of which `collection` it is, and its `legs`. `custom_strike` are (name, value) pairs, such as the team
    that must win; a combo has those of its legs.
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
    grid: PriceGrid = CENT_GRID
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


class ExchangeOptions(SimulatorConfig, frozen=True, kw_only=True):
    """How the exchange behaves where the real one is not certain, or not always the same (API.md section 14).

    `client_ids`: "forever" refuses any id ever used by the account (seen on the wire); "open_only" refuses only the id
    of an order that still rests (what the FIX page says). `read_lag_ms`: portfolio reads show the account as it was
    then. `shards` is the number of matching engines; members have cash on each. Rates are tokens a second (a bucket
    holds its capacity, 0 being what its tier has); 0 switches the limit off.

    `clock_past_ms` and `clock_future_ms`: how old and how early a signature may be (reports differ: 5 to 30 s, and 10 s
    to 5 min). `ok_has_seq`: an `ok` carries a number on channels without numbers too. `hang_up`: how maintenance ends
    the streams, "reset" (seen on the wire: no close frame) or "close" (code 1001). `maintenance`: Thursdays 03:00 to
    05:00 in New York, trading pauses and the streams end, as announced in the schedule. `market_limit` is of market
    subscriptions in one session, `commands_a_second` of its commands.

    Names, ranges and defaults are those of the configuration (`SimulatorConfig`):

    - `history_after_ms`: Markets that settled, trades, fills and settled positions that are older left the live
      endpoints for the historical ones: three months, as the real exchange aims at.
    - `orders_after_ms`: The same of orders that ended: two weeks, since 24 September 2026.
    - `sparse_candles`: Candles of periods in which nothing happened are left out; those recorded in 2026 have no gap.
    - `transfer_ms`: How long a transfer between shards is pending; the real exchange says only that it is not done at
      once.
    - `repeated_transfer`: A transfer between shards under an id that was used for the same before: "same_id" answers
      with that transfer, "conflict" with 409, as between subaccounts. Not published; it is applied once either way.
    - `subaccounts_need_advanced`: Opening a subaccount is refused (403) to the Basic tier.
    - `inactive_status`: HTTP status of `market_inactive`; 409 is as likely.
    - `mismatch_status`: HTTP status of an amendment whose ticker, side or client order id is not the order's; 409 is
      as likely.
    - `triggered_group_code`: Error code (400) of an order into a group that has been triggered; not published.
    - `group_trips`: An order group trips when its limit is "reached" (the specification: "hit") or only when it is
      "exceeded".
    - `is_balance_net`: Whether `balance` leaves out what resting orders hold back; the documentation suggests that it
      does not.
    - `holds_fees`: Whether an order needs cash for its worst-case fee too, or for its price alone.
    - `ioc_shows_remainder`: `remaining_count` of an IOC order that did not fill: what was not filled, instead of 0.00
      (seen on demo).
    - `asks_read_as`: The deprecated side and action of an ask order: "sell_yes" (recorded) or "buy_no". Fills do not
      follow it.
    - `flat_fee`: A taker's fee for each contract of a series with `flat` fees; None charges it as a quadratic one.
    - `balance_precision`: What balances are rounded to, in millionths: $0.0001 for direct members, 10,000 (a cent)
      for others.
    - `reduce_only_refused`: A reduce-only order with nothing to reduce is a 400 instead of a 201 that filled nothing.
    - `amend_shows_counts`: Counts also in the answer to an amendment of the price alone that did not trade (seen on
      perps: only the id).
    - `post_only_amend`: A post-only order whose amendment would cross: "cancel" (PostOnlyCrossCancel) or "refuse",
      which leaves it.
    - `cancel_all_lasts_ms`: Cancel-all also takes orders placed so long after it; the real one may, for a minute.
    - `confirm_ms`: How long the maker of an accepted quote has to confirm it.
    - `execute_ms`: How long after that the orders enter the book.
    - `fast_confirm_ms`: The same in markets of high volatility; all combos are. Rule filings of 2026 speak of 1 s
      too.
    """


class OrderTerms(msgspec.Struct, kw_only=True):
    """What a member asks of an order. `expires` is milliseconds.

    Where it meets an order of its own account it stops, or with `stp_maker` cancels that one and goes on.
    """

    ticker: str
    side: Side
    price: Price
    qty: Qty
    tif: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    expires: Ts | None = None
    client_order_id: str = ""
    stp_maker: bool = False
    cancel_on_pause: bool = False
    subaccount: int = 0
    group_id: str = ""


class NewOrder(OrderTerms, kw_only=True):
    """An order as the matching engine takes it. `exchange_index` None goes to whatever shard the market is on."""

    reduce_only: bool = False
    exchange_index: int | None = None


class OrderReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a new order did at once. `cost` and `fees` are of what filled; `remaining` is what rests now."""

    order_id: str
    client_order_id: str
    filled: Qty
    remaining: Qty
    cost: Money
    fees: Money
    ts: Ts
