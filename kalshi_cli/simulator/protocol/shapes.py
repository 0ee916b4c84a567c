"""The exchange's objects as JSON: which fields, how many decimals, which times are text (API.md section 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from zlib import crc32

from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts, format_money, format_price, format_qty, format_ts
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.price_grid import PriceGrid
from kalshi_cli.simulator.matching.candles import BarRecord, Ohlc
from kalshi_cli.simulator.matching.order_book import MatchingBook
from kalshi_cli.simulator.model import records
from kalshi_cli.simulator.model.listing import EventSpec, LegSpec, MarketSpec, SeriesSpec

Json = dict[str, Any]

NOBODY, ALL_OF_IT = Price(0), ONE_DOLLAR  # what the wire shows for an empty bid and an empty ask side


def rfc3339(ts: Ts) -> str:
    """As on the wire: the zeros at the end of the fraction are trimmed."""
    text = format_ts(ts)
    return text[:-1].rstrip("0") + "Z" if "." in text else text


def moment(ts: Ts, about: str) -> str:
    """Return the time of an event in microseconds, as the wire has them; `about` is the market or else the account.

    Time is kept here in milliseconds; the rest follows from the two, so one event reads the same everywhere.
    """
    micros = crc32(f"{about}/{ts}".encode()) % 1_000
    text = rfc3339(ts).removesuffix("Z")
    digits = f"{ts % 1_000:03d}{micros:03d}".rstrip("0")
    return f"{text.partition('.')[0]}.{digits}Z" if digits else f"{text}Z"


def no_price(price: Price) -> str:
    return format_price(Price(ONE_DOLLAR - price))


def outcome(side: Side) -> str:
    return "yes" if side is BID else "no"


def legacy(side: Side, asks_read_as: str) -> tuple[str, str]:
    """Return the deprecated side and action of an order. An ask was recorded as a sale of YES (demo, June 2026)."""
    if side is BID:
        return "yes", "buy"
    return ("yes", "sell") if asks_read_as == "sell_yes" else ("no", "buy")


def ranges(grid: PriceGrid) -> list[Json]:
    return [
        {"start": format_price(band.start), "end": format_price(band.end), "step": format_price(band.step)}
        for band in grid.bands
    ]


def series_json(spec: SeriesSpec, exchange_index: int = 0) -> Json:
    return {
        **show(spec, "ticker title frequency category"),
        "categories": [spec.category],
        "tags": list(spec.tags) or None,
        "settlement_sources": [{"name": name, "url": url} for name, url in spec.settlement_sources] or None,
        "contract_url": "",
        "contract_terms_url": "",
        "fee_type": spec.fees.type.value,
        "fee_multiplier": spec.fees.multiplier / 1000,
        "additional_prohibitions": None,
        "exchange_index": exchange_index,
    }


def event_json(spec: EventSpec, series: SeriesSpec, exchange_index: int = 0) -> Json:
    shown: Json = {
        **show(spec, "event_ticker series_ticker title sub_title mutually_exclusive"),
        "collateral_return_type": "",
        "category": series.category,
        "settlement_sources": [{"name": name, "url": url} for name, url in series.settlement_sources] or None,
        "strike_period": spec.strike_period,
        "exchange_index": exchange_index,
    }
    if spec.strike_date is not None:
        shown["strike_date"] = rfc3339(spec.strike_date)
    if spec.fees is not None:
        shown["fee_type_override"] = spec.fees.type.value
        shown["fee_multiplier_override"] = spec.fees.multiplier / 1000
    return shown


def market_json(market: records.MarketRecord, book: MatchingBook, now: Ts, before: BarRecord | None = None) -> Json:
    """`before` is the hour that ended a day ago."""
    spec = market.spec
    bid, ask = book.top(BID), book.top(ASK)
    bid_price = bid[0] if bid else NOBODY
    ask_price = ask[0] if ask else ALL_OF_IT
    latest = spec.latest_expiration_time or market.close_time
    expected = spec.expected_expiration_time or market.close_time
    shown: Json = {
        "ticker": spec.ticker,
        "event_ticker": spec.event_ticker,
        "market_type": "binary",
        **show(spec, "title yes_sub_title no_sub_title"),
        "created_time": moment(market.announced, spec.ticker),
        "updated_time": moment(market.updated, spec.ticker),
        "open_time": rfc3339(spec.open_time),
        "close_time": rfc3339(market.close_time),
        "expected_expiration_time": rfc3339(expected),
        "occurrence_datetime": rfc3339(expected),
        "expiration_time": rfc3339(latest),
        "latest_expiration_time": rfc3339(latest),
        "settlement_timer_seconds": spec.settlement_timer_s,
        "status": market.status(now).value,
        "yes_bid_dollars": format_price(bid_price),
        "yes_bid_size_fp": format_qty(bid[1] if bid else Qty(0)),
        "yes_ask_dollars": format_price(ask_price),
        "yes_ask_size_fp": format_qty(ask[1] if ask else Qty(0)),
        "no_bid_dollars": no_price(ask_price),
        "no_ask_dollars": no_price(bid_price),
        "last_price_dollars": format_price(market.last or Price(0)),
        "previous_yes_bid_dollars": format_price(before.bid.close if before else NOBODY),
        "previous_yes_ask_dollars": format_price(before.ask.close if before else NOBODY),
        "previous_price_dollars": format_price((before.last if before else None) or Price(0)),
        "volume_fp": format_qty(market.volume),
        "volume_24h_fp": format_qty(market.volume_24h(now)),
        "open_interest_fp": format_qty(market.open_interest),
        "notional_value_dollars": "1.0000",
        "result": market.result,
        "expiration_value": market.expiration_value,
        **show(spec, "can_close_early early_close_condition strike_type rules_primary rules_secondary"),
        "price_level_structure": spec.price_structure,
        "price_ranges": ranges(spec.grid),
        "settlement_bounds_type": "default",
        "exchange_index": spec.exchange_index,
    }
    shown |= show(spec, "", "floor_strike cap_strike")
    if strike := custom_strike(spec):
        shown["custom_strike"] = strike
    if spec.fee_waiver_until is not None:
        shown["fee_waiver_expiration_time"] = rfc3339(spec.fee_waiver_until)
    if market.value is not None:
        shown["settlement_value_dollars"] = format_price(market.value)
    if market.settled is not None:
        shown["settlement_ts"] = moment(market.settled, spec.ticker)
    if spec.legs:
        shown |= {"mve_collection_ticker": spec.collection, "mve_selected_legs": legs_json(spec.legs)}
    return shown


def custom_strike(spec: MarketSpec) -> dict[str, str]:
    """Return what a market is about beyond numbers; of a combo its legs, in the words recorded in January 2026."""
    if not spec.legs:
        return dict(spec.custom_strike)
    return {
        "Associated Events": ",".join(leg.event_ticker for leg in spec.legs),
        "Associated Market Sides": ",".join(leg.side for leg in spec.legs),
        "Associated Markets": ",".join(leg.market_ticker for leg in spec.legs),
        "Multivariate Event Ticker": spec.event_ticker,
    }


def legs_json(legs: Iterable[LegSpec]) -> list[Json]:
    return [
        {"event_ticker": leg.event_ticker, "market_ticker": leg.market_ticker, "side": leg.side}
        | ({} if leg.value is None else {"yes_settlement_value_dollars": format_price(leg.value)})
        for leg in legs
    ]


def candle_json(bar: BarRecord) -> Json:
    """As in the live tier: without a print in the period the price has nothing but the one before."""
    price: Json = {} if bar.previous is None else {"previous_dollars": format_price(bar.previous)}
    if bar.price is not None:
        price |= {f"{name}_dollars": text for name, text in _range(bar.price).items()}
        price["mean_dollars"] = format_price(_mean(bar))
    return {
        "end_period_ts": bar.end // 1000,
        "yes_bid": {f"{name}_dollars": text for name, text in _range(bar.bid).items()},
        "yes_ask": {f"{name}_dollars": text for name, text in _range(bar.ask).items()},
        "price": price,
        "volume_fp": format_qty(bar.volume),
        "open_interest_fp": format_qty(bar.open_interest),
    }


def old_candle_json(bar: BarRecord) -> Json:
    """As in the historical tier: no suffixes, and null for what is not there."""
    nothing = dict.fromkeys(("open", "low", "high", "close", "mean"))
    known = nothing if bar.price is None else _range(bar.price) | {"mean": format_price(_mean(bar))}
    return {
        "end_period_ts": bar.end // 1000,
        "yes_bid": _range(bar.bid),
        "yes_ask": _range(bar.ask),
        "price": known | {"previous": None if bar.previous is None else format_price(bar.previous)},
        "volume": format_qty(bar.volume),
        "open_interest": format_qty(bar.open_interest),
    }


def _range(prices: Ohlc) -> dict[str, str]:
    return {name: format_price(getattr(prices, name)) for name in ("open", "low", "high", "close")}


def _mean(bar: BarRecord) -> Price:
    """By contracts, to the nearest price."""
    return Price((2 * bar.paid + bar.volume) // (2 * bar.volume))


def levels_json(book: MatchingBook, side: Side, depth: int, *, is_no_scale: bool) -> list[list[str]]:
    """[price, count], the best last. NO levels are NO bids: an ask of YES at p is a bid for NO at one dollar less p."""
    levels = reversed(book.levels(side, depth))
    return [
        [no_price(price) if is_no_scale and side is ASK else format_price(price), format_qty(qty)]
        for price, qty in levels
    ]


def book_json(book: MatchingBook, depth: int) -> Json:
    return {
        "yes_dollars": levels_json(book, BID, depth, is_no_scale=True),
        "no_dollars": levels_json(book, ASK, depth, is_no_scale=True),
    }


def _money(field: str) -> Callable[[Any], object]:
    return lambda record: format_money(getattr(record, field))


def _qty(field: str) -> Callable[[Any], object]:
    return lambda record: format_qty(getattr(record, field))


def _time(field: str) -> Callable[[Any], object]:
    return lambda record: (at := getattr(record, field)) and rfc3339(at)


_TIMES = ["created", "updated", "accepted", "confirmed", "executed", "cancelled", "buyer_accepted", "seller_accepted"]


def _moment(field: str) -> Callable[[Any], object]:
    return lambda record: moment(getattr(record, field), record.ticker)


_FIELDS: dict[str, Callable[[Any], object]] = {
    "book_side": lambda record: record.side.value,
    "cancel_order_on_pause": lambda record: record.cancel_on_pause,
    "cancellation_reason": lambda record: record.reason,
    "count_fp": _qty("qty"),
    "created_time": _moment("created"),
    "created_ts_ms": lambda record: record.created,
    "expiration_time": lambda record: record.expires and rfc3339(record.expires),
    "expiration_ts": lambda record: rfc3339(record.expires),
    "expiration_ts_ms": lambda record: record.expires,
    "fee_cost": _money("fee"),
    "fees_paid_dollars": _money("fees"),
    "fill_count_fp": _qty("filled"),
    "fill_id": lambda record: record.trade_id,
    "initial_count_fp": _qty("qty"),
    "is_block_trade": lambda record: record.is_block,
    "last_update_reason": lambda record: record.reason,
    "last_update_time": _moment("updated"),
    "last_updated_ts": _moment("updated"),
    "last_updated_ts_ms": lambda record: record.updated,
    "maker_fees_dollars": _money("maker_fees"),
    "maker_fill_cost_dollars": _money("maker_cost"),
    "market_exposure_dollars": _money("cost"),
    "market_result": lambda record: record.result,
    "market_ticker": lambda record: record.ticker,
    "no_bid_dollars": lambda record: format_price(record.no_bid),
    "no_contracts_fp": _qty("no_qty"),
    "no_count_fp": _qty("no_qty"),
    "no_price_dollars": lambda record: no_price(record.price),
    "no_total_cost_dollars": _money("no_cost"),
    "order_group_id": lambda record: record.group_id,
    "outcome_side": lambda record: outcome(record.side),
    "position_cost_dollars": _money("cost"),
    "position_fee_cost_dollars": _money("fees"),
    "position_fp": _qty("qty"),
    "post_position_fp": _qty("position"),
    "purchased_side": lambda record: outcome(record.side),
    "realized_pnl_dollars": _money("realized"),
    "remaining_count_fp": _qty("remaining"),
    "revenue": lambda record: record.revenue // 10_000,
    "self_trade_prevention_type": lambda record: "maker" if record.stp_maker else "taker_at_cross",
    "settled_time": _moment("ts"),
    "side": lambda record: outcome(record.side),
    "subaccount_number": lambda record: record.subaccount,
    "taker_book_side": lambda record: record.taker_side.value,
    "taker_fees_dollars": _money("taker_fees"),
    "taker_fill_cost_dollars": _money("taker_cost"),
    "taker_outcome_side": lambda record: outcome(record.taker_side),
    "taker_side": lambda record: outcome(record.taker_side),
    "total_traded_dollars": _money("traded"),
    "ts": lambda record: record.ts // 1000,
    "ts_ms": lambda record: record.ts,
    "value": lambda record: record.value // 100,
    "volume_fp": _qty("volume"),
    "yes_bid_dollars": lambda record: format_price(record.yes_bid),
    "yes_contracts_fp": _qty("yes_qty"),
    "yes_count_fp": _qty("yes_qty"),
    "yes_price_dollars": lambda record: format_price(record.price),
    "yes_total_cost_dollars": _money("yes_cost"),
    **{f"{name}_ts": _time(name) for name in _TIMES},
}
"""How a field of the wire is made of a record; one that is not here is the record's own field of that name."""


def show(record: object, names: str, optional: str = "", **given: object) -> Json:
    """The fields `names` of a record, in this order, and of the `optional` ones those that say something."""
    shown = {name: given[name] if name in given else _field(record, name) for name in names.split()}
    extra = {name: _field(record, name) for name in optional.split()}
    return shown | {name: value for name, value in extra.items() if value not in (None, "")}


def _field(record: object, name: str) -> object:
    return _FIELDS[name](record) if name in _FIELDS else getattr(record, name)


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
    return show(fill, _FILL, action=fill_action(fill), created_time=moment(fill.ts, fill.ticker))


def trade_json(trade: records.TradeRecord) -> Json:
    return show(trade, _TRADE, created_time=moment(trade.ts, trade.ticker))


def position_json(holding: records.PositionRecord) -> Json:
    return show(holding, _POSITION)


def settlement_json(settlement: records.SettlementRecord) -> Json:
    return show(settlement, _SETTLEMENT)


def event_position_json(event_ticker: str, holdings: list[records.PositionRecord]) -> Json:
    def total(field: str) -> str:
        return format_money(sum(getattr(holding, field) for holding in holdings))

    return {
        "event_ticker": event_ticker,
        "total_cost_dollars": total("traded"),
        "total_cost_shares_fp": format_qty(Qty(sum(abs(holding.qty) for holding in holdings))),
        "event_exposure_dollars": total("cost"),
        "realized_pnl_dollars": total("realized"),
        "fees_paid_dollars": total("fees"),
    }
