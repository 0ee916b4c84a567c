"""The `msg` of each WebSocket message (API.md section 7.3)."""

from __future__ import annotations

from collections import deque
from itertools import takewhile

import msgspec

from kalshi_cli.base.units import Price, Qty, Ts, format_price, format_qty
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.simulator.matching.order_book import MatchingBook
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model import listing, records
from kalshi_cli.simulator.protocol import shapes
from kalshi_cli.simulator.stream.subscription import FAST_INDEX, PYTH

QUARTER_MS, MINUTE_MS = 900_000, 60_000
LISTED_FOR_MS = 7_200_000
"""An underlying is listed for this long after its last tick."""


def snapshot_msg(market: records.MarketRecord, book: MatchingBook, *, use_yes_price: bool) -> shapes.Json:
    """Return the whole book; an empty side has no key."""
    levels = {
        key: shapes.levels_json(book, side, 0, is_no_scale=not use_yes_price)
        for key, side in (("yes_dollars_fp", BID), ("no_dollars_fp", ASK))
        if book.top(side)
    }
    return {"market_ticker": market.spec.ticker, "market_id": market.market_id} | levels


def delta_msg(change: records.BookChange, market_id: str, *, use_yes_price: bool, is_own: bool) -> shapes.Json:
    """Return the change of one level. Only its owner sees the client order id."""
    is_no_scale = change.side is ASK and not use_yes_price
    shown: shapes.Json = {
        "market_ticker": change.ticker,
        "market_id": market_id,
        "price_dollars": shapes.no_price(change.price) if is_no_scale else format_price(change.price),
        "delta_fp": format_qty(change.delta),
        "side": shapes.outcome(change.side),
        "ts": shapes.moment(change.ts, change.ticker),
        "ts_ms": change.ts,
    }
    if is_own:
        shown["subaccount"] = change.subaccount
        if change.client_order_id:
            shown["client_order_id"] = change.client_order_id
    return shown


def ticker_msg(market: records.MarketRecord, book: MatchingBook, now: Ts) -> shapes.Json:
    """Return the top of the book and the totals.

    `volume_fp` and `open_interest_fp` count both sides of every contract, unlike REST; the dollar fields are the halves
    (recordings of May 2026).
    """
    return {
        "market_ticker": market.spec.ticker,
        **shapes.show(market, "market_id last_trade_size_fp"),
        "price_dollars": format_price(market.last or Price(0)),
        **shapes.top_json(book),
        "volume_fp": format_qty(Qty(2 * market.volume)),
        "open_interest_fp": format_qty(Qty(2 * market.open_interest)),
        "dollar_volume": market.volume // 100,
        "dollar_open_interest": market.open_interest // 100,
        "ts": now // 1000,
        "ts_ms": now,
        "time": shapes.moment(now, market.spec.ticker),
    }


_TRADE = """
    trade_id market_ticker yes_price_dollars no_price_dollars count_fp taker_side taker_outcome_side taker_book_side
    is_block_trade ts ts_ms
"""
_FILL = """
    trade_id order_id market_ticker exchange_index is_taker side action purchased_side outcome_side book_side
    yes_price_dollars count_fp fee_cost post_position_fp ts ts_ms subaccount
"""
_ORDER = """
    order_id user_id ticker exchange_index status side is_yes outcome_side book_side yes_price_dollars initial_count_fp
    fill_count_fp remaining_count_fp taker_fill_cost_dollars maker_fill_cost_dollars taker_fees_dollars
    maker_fees_dollars client_order_id self_trade_prevention_type created_time created_ts_ms last_update_time
    last_updated_ts_ms subaccount_number
"""
_POSITION = """
    user_id market_ticker position_fp position_cost_dollars realized_pnl_dollars fees_paid_dollars
    position_fee_cost_dollars volume_fp subaccount
"""


def trade_msg(trade: records.TradeRecord, _state: SimulatorState) -> shapes.Json:
    """Return a public trade."""
    return shapes.show(trade, _TRADE)


def fill_msg(fill: records.FillRecord, _state: SimulatorState) -> shapes.Json:
    """Return a fill."""
    return shapes.show(fill, _FILL, "client_order_id", action=shapes.fill_action(fill))


def user_order_msg(order: records.OrderRecord, state: SimulatorState) -> shapes.Json:
    """Return an order."""
    side, _ = shapes.legacy(order.side, state.options.asks_read_as)
    optional = "expiration_time expiration_ts_ms order_group_id last_update_reason"
    user_id = state.members[order.account].record.user_id
    return shapes.show(order, _ORDER, optional, user_id=user_id, side=side, is_yes=side == "yes")


def position_msg(holding: records.PositionRecord, state: SimulatorState) -> shapes.Json:
    """Return a position."""
    return shapes.show(holding, _POSITION, user_id=state.members[holding.account].record.user_id)


def lifecycle_msg(changed: records.MarketChanged, market: records.MarketRecord) -> shapes.Json:
    """Return a change of a market. The messages of combos omit price bands, which are the same for all."""
    spec = market.spec
    shown: shapes.Json = {"event_type": changed.change, "market_ticker": changed.ticker}
    if changed.change in ("created", "price_level_structure_updated"):
        shown["price_level_structure"] = spec.price_structure
        if not listing.is_combo(spec.ticker):
            shown["price_ranges"] = shapes.ranges(spec.grid)
    match changed.change:
        case "created":
            shown |= {
                "exchange_index": spec.exchange_index,
                "open_ts": spec.open_time // 1000,
                "close_ts": market.close_time // 1000,
                "additional_metadata": _metadata(market),
            }
        case "metadata_updated":
            shown |= shapes.show(spec, "strike_type yes_sub_title", "floor_strike cap_strike")
        case "close_date_updated":
            shown["close_ts"] = market.close_time // 1000
        case "activated" | "deactivated":
            shown["is_deactivated"] = market.is_paused
        case "determined":
            shown |= {
                "result": market.result,
                "settlement_value": format_price(market.value or Price(0)),
                "determination_ts": changed.ts // 1000,
            }
        case "settled":
            shown["settled_ts"] = changed.ts // 1000
    return shown


def _metadata(market: records.MarketRecord) -> shapes.Json:
    spec, optional = market.spec, "floor_strike cap_strike"
    return {
        "name": spec.title,
        "expected_expiration_ts": (spec.expected_expiration_time or market.close_time) // 1000,
        **shapes.show(
            spec,
            "title yes_sub_title no_sub_title rules_primary rules_secondary can_close_early event_ticker strike_type",
            optional,
        ),
    }


def event_msg(event: listing.EventSpec, exchange_index: int = 0) -> shapes.Json:
    """Return a new event."""
    shown = shapes.show(event, "event_ticker title subtitle series_ticker")
    shown |= {"exchange_index": exchange_index, "collateral_return_type": ""}
    return shown | ({} if event.strike_date is None else {"strike_date": event.strike_date // 1000})


def event_fees_msg(event: listing.EventSpec) -> shapes.Json:
    """Return the fees of an event; null means those of its series."""
    return {"event_ticker": event.event_ticker} | shapes.fees_json(event.fees, "_override")


def group_msg(changed: records.GroupChanged, _state: SimulatorState) -> shapes.Json:
    """Return a change of an order group."""
    has_limit = changed.event_type in ("created", "limit_updated")
    return shapes.show(changed, "event_type order_group_id ts_ms" + " contracts_limit_fp" * has_limit)


def fast_index_msg(tick: records.IndexTick) -> shapes.Json:
    """Return a tick of an index, for the channel with five ticks a second."""
    return {"index_id": tick.index_id, "data": _raw_index(tick.index_id, tick.value, tick.ts)} | _tick(tick)


def pyth_msg(tick: records.PythTick) -> shapes.Json:
    """Return a tick of a Pyth price."""
    return {"underlying_ticker": tick.underlying} | _tick(tick)


def _tick(tick: records.OutsideTick) -> shapes.Json:
    """Return the value, in dollars with eight decimals, and the time of a tick."""
    value_usd = f"{tick.value // 10_000}.{tick.value % 10_000:04d}0000"
    return {"value_usd": value_usd, "source_ts_ms": tick.ts, "received_at": tick.ts}


def _raw_index(index_id: str, value: int, ts: Ts) -> str:
    raw = {"type": "value", "id": index_id, "time": ts, "value": format_price(Price(value))}
    return msgspec.json.encode(raw).decode()


class IndexMessages:
    """The last minute of an outside index, for the averages in its messages. Values are in 1e-4 dollars."""

    def __init__(self, index_id: str) -> None:
        self.index_id = index_id
        self._ticks: deque[tuple[Ts, int]] = deque(maxlen=1_000)

    def msg(self, value: int, ts: Ts) -> shapes.Json | None:
        """Return the message of a tick; None if it is not newer than the last, which the exchange ignores too."""
        if self._ticks and ts <= self._ticks[-1][0]:
            return None
        while self._ticks and self._ticks[0][0] < ts - MINUTE_MS:
            self._ticks.popleft()
        prior = [tick for _, tick in self._ticks]
        self._ticks.append((ts, value))
        shown: shapes.Json = {
            "index_id": self.index_id,
            "received_at": ts,
            "data": _raw_index(self.index_id, value, ts),
            "avg_60s_data": _average(prior or [value], len(prior), Ts(ts - MINUTE_MS), ts),
        }
        close = Ts(-(-ts // QUARTER_MS) * QUARTER_MS)
        if close - MINUTE_MS < ts:
            final = [tick for _, tick in takewhile(lambda tick: tick[0] > close - MINUTE_MS, reversed(self._ticks))]
            shown["last_60s_windowed_average_15min"] = _average(final, len(final), Ts(close - MINUTE_MS), ts)
        return shown


def _average(ticks: list[int], size: int, start: Ts, end: Ts) -> shapes.Json:
    mean = sum(ticks) * 10_000 // len(ticks)  # to eight decimals
    whole, part = divmod(mean, 10**8)
    return {
        "value": f"{whole}.{part:08d}",
        "window_size": size,
        "window_start_ts_ms": start,
        "window_end_ts_exclusive": end,
    }


class StreamSource:
    """The state of the exchange for all connections, and their common settings."""

    def __init__(self, state: SimulatorState) -> None:
        self.state = state
        self.is_collecting = False
        """Messages wait for a shuffle instead of being sent at once."""
        self.fails_next = 0
        """The error code for the next command; 0 performs it."""
        self.indices: dict[str, IndexMessages] = {}
        self.fast: dict[str, Ts] = {}
        self.underlyings: dict[str, Ts] = {}

    def snapshot(self, ticker: str, *, use_yes_price: bool) -> shapes.Json:
        """Return the message with the whole order book of a market."""
        return snapshot_msg(self.state.markets[ticker], self.state.books[ticker], use_yes_price=use_yes_price)

    def ticker(self, ticker: str, now: Ts) -> shapes.Json:
        """Return the message with the top of a market's book."""
        return ticker_msg(self.state.markets[ticker], self.state.books[ticker], now)

    def names(self, channel: str, now: Ts) -> list[str]:
        """Return the indices or underlyings of a channel, as its listing shows them."""
        if channel == PYTH:
            return sorted(name for name, at in self.underlyings.items() if at > now - LISTED_FOR_MS)
        return sorted(self.fast if channel == FAST_INDEX else self.indices)

    def forget_names(self) -> None:
        """Clear the listings after the clock was set back."""
        self.indices.clear()
        self.fast.clear()
        self.underlyings.clear()
