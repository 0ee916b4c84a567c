"""The exchange's objects as JSON: their fields, decimals, and times (API.md section 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any
from zlib import crc32

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, format_money, format_price, format_qty, format_ts
from kalshi_cli.core.model import markets, price_grid
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.simulator.matching.candles import BarRecord, Ohlc
from kalshi_cli.simulator.matching.order_book import MatchingBook
from kalshi_cli.simulator.model import records
from kalshi_cli.simulator.model.listing import EventSpec, LegSpec, MarketSpec, SeriesSpec

Json = dict[str, Any]


@lru_cache(4096)
def rfc3339(ts: Ts) -> str:
    """Return a time as the wire writes it: without zeros at the end of the fraction."""
    text = format_ts(ts)
    return text[:-1].rstrip("0") + "Z" if "." in text else text


def moment(ts: Ts, about: str) -> str:
    """Return the time of an event in microseconds; `about` is the ticker of its market, or its account.

    The simulator counts milliseconds. The remaining digits follow from both arguments, so one event always has the
    same time.
    """
    whole = rfc3339(Ts(ts - ts % 1_000)).removesuffix("Z")
    digits = f"{ts % 1_000:03d}{crc32(f'{about}/{ts}'.encode()) % 1_000:03d}".rstrip("0")
    return f"{whole}.{digits}Z" if digits else f"{whole}Z"


def no_price(price: Price) -> str:
    """Return the price of NO that corresponds to a price of YES."""
    return format_price(Price(ONE_DOLLAR - price))


def outcome(side: Side) -> str:
    """Return the outcome that an order on this side buys."""
    return "yes" if side is BID else "no"


def legacy(side: Side, asks_read_as: str) -> tuple[str, str]:
    """Return the deprecated side and action of an order. The demo recorded an ask as a sale of YES (June 2026)."""
    if side is BID:
        return "yes", "buy"
    return ("yes", "sell") if asks_read_as == "sell_yes" else ("no", "buy")


@lru_cache(64)
def ranges(grid: price_grid.PriceGrid) -> list[Json]:
    """Return the bands of a price grid."""
    return [{name: format_price(getattr(band, name)) for name in ("start", "end", "step")} for band in grid.bands]


def fees_json(fees: markets.FeeSchedule | None, suffix: str = "") -> Json:
    """Return a fee schedule, or null for None; `suffix` ends the names of the fields."""
    return {f"fee_type{suffix}": fees and fees.type.value, f"fee_multiplier{suffix}": fees and fees.multiplier / 1000}


# -- fields ---------------------------------------------------------------------------------------------------------

_FORMATS: tuple[tuple[Callable[[Any], object], str], ...] = (
    (
        format_money,
        """
        fee_cost=fee fees_paid_dollars=fees maker_fees_dollars=maker_fees maker_fill_cost_dollars=maker_cost
        market_exposure_dollars=cost no_total_cost_dollars=no_cost position_cost_dollars=cost
        position_fee_cost_dollars=fees realized_pnl_dollars=realized taker_fees_dollars=taker_fees
        taker_fill_cost_dollars=taker_cost total_traded_dollars=traded yes_total_cost_dollars=yes_cost
        """,
    ),
    (
        format_qty,
        """
        contracts_limit_fp=limit count_fp=qty fill_count=filled fill_count_fp=filled initial_count_fp=qty
        last_trade_size_fp=last_size no_contracts_fp=no_qty no_count_fp=no_qty open_interest_fp=open_interest
        position_fp=qty post_position_fp=position remaining_count=remaining remaining_count_fp=remaining
        volume_fp=volume yes_contracts_fp=yes_qty yes_count_fp=yes_qty
        """,
    ),
    (
        format_price,
        """
        no_bid_dollars=no_bid settlement_value_dollars=value yes_bid_dollars=yes_bid yes_price_dollars=price
        yes_settlement_value_dollars=value
        """,
    ),
    (
        rfc3339,
        """
        accepted_ts=accepted buyer_accepted_ts=buyer_accepted cancelled_ts=cancelled close_date=closes
        confirmed_ts=confirmed created_ts=created executed_ts=executed expiration_time=expires expiration_ts=expires
        fee_waiver_expiration_time=fee_waiver_until open_date=opens open_time=open_time scheduled_ts=scheduled
        seller_accepted_ts=seller_accepted strike_date=strike_date updated_ts=updated
        """,
    ),
    (outcome, "outcome_side=side purchased_side=side side=side taker_outcome_side=taker_side taker_side=taker_side"),
    (lambda side: side.value, "book_side=side taker_book_side=taker_side"),
    (lambda money: money // 10_000, "amount_cents=amount revenue=revenue"),
    (lambda price: price // 100, "value=value"),
    (lambda ts: ts // 1000, "ts=ts"),
    (lambda is_maker: "maker" if is_maker else "taker_at_cross", "self_trade_prevention_type=stp_maker"),
    (no_price, "no_price_dollars=price"),
    (ranges, "price_ranges=grid"),
)
"""The formats, each with its fields on the wire and the record attributes that they show."""
_RENAMED = """
    cancel_order_on_pause=cancel_on_pause cancellation_reason=reason collection_ticker=ticker created_ts_ms=created
    destination_exchange_shard=to_shard expiration_ts_ms=expires fill_id=trade_id is_block_trade=is_block
    last_update_reason=reason last_updated_ts_ms=updated market_result=result market_ticker=ticker
    order_group_id=group_id price_level_structure=price_structure settlement_timer_seconds=settlement_timer_s
    size_max=most size_min=least source_exchange_shard=from_shard subaccount_number=subaccount subtitle=sub_title
    ts_ms=ts
"""
_MOMENTS = "created_time=created last_update_time=updated last_updated_ts=updated settled_time=ts"


def _pairs(text: str) -> Iterable[tuple[str, str]]:
    """Yield the field and the attribute of each `field=attribute` of a text."""
    for pair in text.split():
        field, _, attribute = pair.partition("=")
        yield field, attribute


def _formatted(convert: Callable[[Any], object], attribute: str) -> Callable[[Any], object]:
    """Return a function that reads and formats an attribute of a record; None stays None. Values often repeat."""

    @lru_cache(1024)
    def text(value: object) -> object:
        return None if value is None else convert(value)

    return lambda record: text(getattr(record, attribute))


def _moment_of(attribute: str) -> Callable[[Any], object]:
    return lambda record: moment(getattr(record, attribute), record.ticker)


_FIELDS: dict[str, Callable[[Any], object]] = {
    **{field: attrgetter(attribute) for field, attribute in _pairs(_RENAMED)},
    **{field: _moment_of(attribute) for field, attribute in _pairs(_MOMENTS)},
    **{field: _formatted(convert, name) for convert, text in _FORMATS for field, name in _pairs(text)},
}
"""Functions that read a field of the wire from a record. Other fields are the attributes of the same name."""


@cache
def _readers(names: str) -> tuple[tuple[str, Callable[[Any], object]], ...]:
    return tuple((name, _FIELDS.get(name) or attrgetter(name)) for name in names.split())


def show(record: object, names: str, optional: str = "", **given: object) -> Json:
    """Return the fields `names` of a record, in this order, and those `optional` fields that are not empty.

    `given` has the values of fields that do not follow from the record alone.
    """
    shown = {name: given[name] if name in given else read(record) for name, read in _readers(names)}
    for name, read in _readers(optional):
        value = read(record)
        if value is not None and value != "":
            shown[name] = value
    return shown


# -- objects --------------------------------------------------------------------------------------------------------


def series_json(spec: SeriesSpec, exchange_index: int = 0) -> Json:
    """Return a series."""
    return {
        **show(spec, "ticker title frequency category"),
        "categories": [spec.category],
        "tags": list(spec.tags) or None,
        "settlement_sources": _sources(spec),
        "contract_url": "",
        "contract_terms_url": "",
        **fees_json(spec.fees),
        "additional_prohibitions": None,
        "exchange_index": exchange_index,
    }


def event_json(spec: EventSpec, series: SeriesSpec, exchange_index: int = 0) -> Json:
    """Return an event; fees only where they replace those of its series."""
    return {
        **show(spec, "event_ticker series_ticker title sub_title mutually_exclusive strike_period", "strike_date"),
        "collateral_return_type": "",
        "category": series.category,
        "settlement_sources": _sources(series),
        "exchange_index": exchange_index,
        **(fees_json(spec.fees, "_override") if spec.fees is not None else {}),
    }


def _sources(series: SeriesSpec) -> list[Json] | None:
    return [{"name": name, "url": url} for name, url in series.settlement_sources] or None


_MARKET = """
    ticker event_ticker title yes_sub_title no_sub_title open_time settlement_timer_seconds can_close_early
    early_close_condition strike_type rules_primary rules_secondary price_level_structure price_ranges exchange_index
"""


def market_json(market: records.MarketRecord, book: MatchingBook, now: Ts, before: BarRecord | None = None) -> Json:
    """Return a market. `before` is the hour that ended a day ago, for the fields that start with `previous_`."""
    spec = market.spec
    expected = rfc3339(spec.expected_expiration_time or market.close_time)
    latest = rfc3339(spec.latest_expiration_time or market.close_time)
    shown: Json = {
        **show(spec, _MARKET, "floor_strike cap_strike fee_waiver_expiration_time"),
        **show(market, "volume_fp open_interest_fp result expiration_value", "settlement_value_dollars"),
        "market_type": "binary",
        "created_time": moment(market.announced, spec.ticker),
        "updated_time": moment(market.updated, spec.ticker),
        "close_time": rfc3339(market.close_time),
        "expected_expiration_time": expected,
        "occurrence_datetime": expected,
        "expiration_time": latest,
        "latest_expiration_time": latest,
        "status": market.status(now).value,
        **top_json(book, with_no=True),
        "last_price_dollars": format_price(market.last or Price(0)),
        "previous_yes_bid_dollars": format_price(before.bid.close if before else Price(0)),
        "previous_yes_ask_dollars": format_price(before.ask.close if before else Price(0)),
        "previous_price_dollars": format_price((before.last if before else None) or Price(0)),
        "volume_24h_fp": format_qty(market.volume_24h(now)),
        "notional_value_dollars": "1.0000",
        "settlement_bounds_type": "default",
    }
    if strike := custom_strike(spec):
        shown["custom_strike"] = strike
    if market.settled is not None:
        shown["settlement_ts"] = moment(market.settled, spec.ticker)
    return shown | combo_json(spec)


def top_json(book: MatchingBook, *, with_no: bool = False) -> Json:
    """Return the best prices and their sizes: an empty bid side is 0, an empty ask side a dollar."""
    bid, bid_qty = book.top(BID) or (Price(0), Qty(0))
    ask, ask_qty = book.top(ASK) or (ONE_DOLLAR, Qty(0))
    return {
        "yes_bid_dollars": format_price(bid),
        "yes_bid_size_fp": format_qty(bid_qty),
        "yes_ask_dollars": format_price(ask),
        "yes_ask_size_fp": format_qty(ask_qty),
        **({"no_bid_dollars": no_price(ask), "no_ask_dollars": no_price(bid)} if with_no else {}),
    }


def custom_strike(spec: MarketSpec) -> dict[str, str]:
    """Return a strike that is no number; a combo has its legs, in the words recorded in January 2026."""
    if not spec.legs:
        return dict(spec.custom_strike)
    return {
        "Associated Events": ",".join(leg.event_ticker for leg in spec.legs),
        "Associated Market Sides": ",".join(leg.side for leg in spec.legs),
        "Associated Markets": ",".join(leg.market_ticker for leg in spec.legs),
        "Multivariate Event Ticker": spec.event_ticker,
    }


def combo_json(spec: MarketSpec) -> Json:
    """Return the collection and the legs of a combo, and nothing for another market."""
    if not spec.legs:
        return {}
    return {"mve_collection_ticker": spec.collection, "mve_selected_legs": [_leg_json(leg) for leg in spec.legs]}


def _leg_json(leg: LegSpec) -> Json:
    shown: Json = {"event_ticker": leg.event_ticker, "market_ticker": leg.market_ticker, "side": leg.side}
    return shown | show(leg, "", "yes_settlement_value_dollars")


def candle_json(bar: BarRecord, *, is_old: bool = False) -> Json:
    """Return a candle: a period without a trade has the previous price alone.

    In the historical tier the names have no suffixes, and missing prices are null.
    """
    dollars, counts = ("", "") if is_old else ("_dollars", "_fp")
    prices = _range(bar.price, dollars) | {
        f"mean{dollars}": bar.price and format_price(_mean(bar)),
        f"previous{dollars}": None if bar.previous is None else format_price(bar.previous),
    }
    return {
        "end_period_ts": bar.end // 1000,
        "yes_bid": _range(bar.bid, dollars),
        "yes_ask": _range(bar.ask, dollars),
        "price": {name: price for name, price in prices.items() if is_old or price is not None},
        f"volume{counts}": format_qty(bar.volume),
        f"open_interest{counts}": format_qty(bar.open_interest),
    }


def _range(prices: Ohlc | None, suffix: str) -> Json:
    names = ("open", "low", "high", "close")
    return {f"{name}{suffix}": prices and format_price(getattr(prices, name)) for name in names}


def _mean(bar: BarRecord) -> Price:
    """Return the average price, weighted by contracts and rounded to the nearest price."""
    return Price((2 * bar.paid + bar.volume) // (2 * bar.volume))


def levels_json(book: MatchingBook, side: Side, depth: int, *, is_no_scale: bool) -> list[list[str]]:
    """Return the levels as [price, count], the best last.

    With `is_no_scale` an ask of YES at p is a bid for NO at one dollar less p.
    """
    show_price = no_price if is_no_scale and side is ASK else format_price
    return [[show_price(price), format_qty(qty)] for price, qty in reversed(book.levels(side, depth))]


def book_json(book: MatchingBook, depth: int) -> Json:
    """Return an order book as bids for YES and bids for NO."""
    sides = {"yes_dollars": BID, "no_dollars": ASK}
    return {name: levels_json(book, side, depth, is_no_scale=True) for name, side in sides.items()}


_ORDER = """
    order_id user_id client_order_id ticker type status outcome_side book_side side action yes_price_dollars
    no_price_dollars initial_count_fp fill_count_fp remaining_count_fp taker_fill_cost_dollars maker_fill_cost_dollars
    taker_fees_dollars maker_fees_dollars created_time last_update_time self_trade_prevention_type
    cancel_order_on_pause subaccount_number exchange_index
"""
_FILL = """
    fill_id trade_id order_id ticker market_ticker exchange_index outcome_side book_side side action count_fp
    yes_price_dollars no_price_dollars is_taker fee_cost created_time ts subaccount_number
"""
_TRADE = """
    trade_id ticker count_fp yes_price_dollars no_price_dollars taker_outcome_side taker_book_side taker_side
    created_time is_block_trade
"""
_POSITION = """
    ticker exchange_index position_fp total_traded_dollars market_exposure_dollars realized_pnl_dollars
    fees_paid_dollars last_updated_ts
"""
_SETTLEMENT = """
    ticker exchange_index event_ticker market_result yes_count_fp yes_total_cost_dollars no_count_fp
    no_total_cost_dollars revenue settled_time fee_cost value
"""


def order_json(order: records.OrderRecord, user_id: str, asks_read_as: str) -> Json:
    """Return an order."""
    side, action = legacy(order.side, asks_read_as)
    optional = "expiration_time order_group_id"
    return show(order, _ORDER, optional, user_id=user_id, type="limit", side=side, action=action)


def fill_action(fill: records.FillRecord) -> str:
    """Return the deprecated action of a fill: "sell" where it closed a position, "buy" where it opened one.

    Its deprecated side is the outcome side. Both hold for all recorded fills (May to August 2026): a purchase of YES
    that closes NO reads "sell" and "yes". A fill that closes and opens was not recorded; it reads "buy".
    """
    return "sell" if fill.position * fill.side.sign <= 0 else "buy"


def fill_json(fill: records.FillRecord) -> Json:
    """Return a fill."""
    return show(fill, _FILL, action=fill_action(fill), created_time=moment(fill.ts, fill.ticker))


def trade_json(trade: records.TradeRecord) -> Json:
    """Return a public trade."""
    return show(trade, _TRADE, created_time=moment(trade.ts, trade.ticker))


def position_json(holding: records.PositionRecord) -> Json:
    """Return a position in one market."""
    return show(holding, _POSITION)


def settlement_json(settlement: records.SettlementRecord) -> Json:
    """Return a settlement."""
    return show(settlement, _SETTLEMENT)


def event_position_json(event_ticker: str, holdings: list[records.PositionRecord]) -> Json:
    """Return the positions of one event, added up."""
    totals = {"total_cost": "traded", "event_exposure": "cost", "realized_pnl": "realized", "fees_paid": "fees"}
    return {
        "event_ticker": event_ticker,
        "total_cost_shares_fp": format_qty(Qty(sum(abs(holding.qty) for holding in holdings))),
        **{
            f"{name}_dollars": format_money(Money(sum(getattr(holding, attribute) for holding in holdings)))
            for name, attribute in totals.items()
        },
    }
