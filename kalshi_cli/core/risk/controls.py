"""The risk controls that every order must pass, in order. Each returns an objection or None.

`review.py` calls them. A control decides only from the state, the limits and one intent.
"""

from __future__ import annotations

from kalshi_cli.base.text import SHORT_ID_LENGTH
from kalshi_cli.base.units import ONE_DOLLAR, Price, format_ts, notional, pluralize, show_money, show_price, show_qty
from kalshi_cli.core.market.fees import estimate
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.markets import ENDED, FeeSchedule, MarketStatus
from kalshi_cli.core.model.order_terms import BID, SelfTradePrevention, Side, TimeInForce, leg_price, own_terms
from kalshi_cli.core.risk import exposure_controls
from kalshi_cli.core.risk.budget import budget
from kalshi_cli.core.risk.exposure_controls import Control, Objection, closes_own, cooldown, is_reducing
from kalshi_cli.core.state.back_off import API_GUARD
from kalshi_cli.core.state.exchange_state import pause_of
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState

MAX_LIFE_S = 10 * 365 * 86_400
MAX_NEEDS = 20

NO_FAIR_VALUE = "no fair value"
"""The detail of MIN_EDGE for an order without a fair value."""


def not_halted(state: EngineState, _limits: RiskLimits, _intent: Place, _strategy: str) -> Objection | None:
    """Refuse every order and amend while trading is halted; only decreases and cancels are sent then."""
    return ("HALTED", "trading is halted") if state.trading is TradingState.HALTED else None


def daily_loss(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """After a day's loss above the limit, refuse all but reducing orders, whatever the trading state."""
    limit, net = limits.max_daily_loss, state.day_net
    if limit is None or net is None or -net <= limit or is_reducing(state, intent, strategy):
        return None
    source = f" ({limits.daily_loss_source})" if limits.daily_loss_source else ""
    return "DAILY_LOSS", f"the day's P&L is now {show_money(net)}; the loss limit is {show_money(limit)}{source}"


def only_reducing(state: EngineState, _limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """In state REDUCING, refuse all but reducing orders."""
    if state.trading is TradingState.REDUCING and not is_reducing(state, intent, strategy):
        return "REDUCING", "only orders that reduce a position are accepted"
    return None


def backs_off(state: EngineState, _limits: RiskLimits, _intent: Place, strategy: str) -> Objection | None:
    """While API_GUARD is active, refuse strategy orders that come before the back-off ends, even closes.

    The user does not wait.
    """
    left = state.back_off.left_ms(state.now) if state.back_off is not None and strategy else 0
    return (API_GUARD, f"the next order may be sent in {left} ms") if left else None


def market_is_known(state: EngineState, _limits: RiskLimits, intent: Place, _strategy: str) -> Objection | None:
    """Refuse markets that this run does not trade."""
    return (
        None if intent.ticker in state.markets else ("UNKNOWN_MARKET", f"{intent.ticker} is not a market of this run")
    )


def in_sight(state: EngineState, _limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """Refuse strategy orders while the account cannot be read, because its positions are unknown.

    Orders that close the strategy's own position may go if the exchange itself prevents them from opening anything.
    """
    if state.blind_since is None or (intent.reduce_only and is_reducing(state, intent, strategy)):
        return None
    return "BLIND", f"the account could not be read since {format_ts(state.blind_since)}"


def is_there(state: EngineState, _limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """Refuse a reduce-only order of a strategy without a position to close, in the account or of its own.

    If the exchange netted the positions of two strategies, it would cancel or reject such an order each time.
    """
    held = state.held(intent.ticker, intent.subaccount)
    owned = state.owned(intent.ticker, strategy, intent.subaccount)
    if not intent.reduce_only or max(held * intent.side.sign, owned * intent.side.sign) < 0:
        return None
    return (
        "NOT_CLOSING",
        f"nothing to close: the account's position is {show_qty(held)}, the strategy's {show_qty(owned)}",
    )


def not_locked(state: EngineState, _limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """In a locked market, refuse all but reducing orders."""
    until = state.locks.get(intent.ticker)
    if until is None or state.now >= until or is_reducing(state, intent, strategy):
        return None
    return "LOCKED", f"the market is locked until {format_ts(until)}"


def group_is_open(state: EngineState, _limits: RiskLimits, intent: Place, _strategy: str) -> Objection | None:
    """Refuse orders of a triggered order group until it is reset."""
    group = intent.order_group_id
    text = f"order group {group[:SHORT_ID_LENGTH]} is triggered"
    return ("GROUP_TRIGGERED", text) if group in state.triggered_groups else None


def market_is_open(state: EngineState, limits: RiskLimits, intent: Place, _strategy: str) -> Objection | None:
    """Refuse orders unless the market is active and not about to close; it closes by the clock, without a message."""
    market = state.markets[intent.ticker]
    pause = pause_of(state.exchange, market.exchange_index)
    if pause:
        return pause, f"shard {market.exchange_index} is paused"
    if market.status is not MarketStatus.ACTIVE:
        over = "; trading has ended" if market.status in ENDED else ""
        return "MARKET_NOT_OPEN", f"the market is {market.status.value}{over}"
    if state.now >= market.close_time - limits.close_margin_ms:
        return "MARKET_CLOSING", f"the market closes in {max(0, market.close_time - state.now) // 1000} s"
    return None


def time_to_close(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """Refuse a strategy's opening order that may be impossible to close before the market closes."""
    left = state.markets[intent.ticker].close_time - state.now
    if left > limits.min_time_to_close_ms or closes_own(state, intent, strategy):
        return None
    limit_s = limits.min_time_to_close_ms // 1000
    return "MARKET_CLOSING", f"the market closes in {max(0, left) // 1000} s; the limit is {limit_s} s"


def well_formed(state: EngineState, _limits: RiskLimits, intent: Place, _strategy: str) -> Objection | None:
    """Refuse values that are not whole units, a count that is not positive, a price off the grid, or bad flags.

    A strategy may compute anything: NaN passes every comparison, and a float would be stored and sent.
    """
    wrong = _wrong_field(intent)
    if wrong:
        return "BAD_INTENT", wrong
    if state.lock is not None and intent.subaccount != state.lock:
        locked = f"subaccount {intent.subaccount} requested, but the API key is restricted to subaccount {state.lock}"
        return "BAD_INTENT", locked
    if intent.qty <= 0:
        return "BAD_COUNT", f"{show_qty(intent.qty)} contracts is not a positive quantity"
    grid = state.markets[intent.ticker].grid
    if not grid.is_valid(intent.price):
        below, above = (show_price(at) if at is not None else "none" for at in grid.nearest(intent.price))
        return "OFF_GRID_PRICE", f"{show_price(intent.price)} is off the price grid; nearest {below} and {above}"
    if intent.reduce_only and intent.tif is not TimeInForce.IOC:
        return "BAD_FLAGS", "reduce-only requires immediate or cancel (IOC)"
    if intent.post_only and intent.tif is not TimeInForce.GTC:
        return "BAD_FLAGS", "post-only requires good till canceled (GTC)"
    return None


_TYPES = {
    "side": Side,
    "price": int,
    "qty": int,
    "reason": str,
    "tif": TimeInForce,
    "post_only": bool,
    "reduce_only": bool,
    "order_group_id": str,
    "subaccount": int,
    "self_trade_prevention": SelfTradePrevention,
    "cancel_on_pause": bool,
    "needs": tuple,
}
_UNITS = {"price": ": cents(20)", "qty": ": contracts(5)"}


def _wrong_field(intent: Place) -> str:
    """Return an error for the first field with a wrong type or value, or an empty string."""
    for name, kind in _TYPES.items():
        if type(getattr(intent, name)) is not kind:
            unit = _UNITS.get(name, "")
            return f"{name} has the wrong type: {getattr(intent, name)!r:.60} (expected {kind.__name__}{unit})"
    if intent.fair is not None and (type(intent.fair) is not int or not 0 <= intent.fair <= ONE_DOLLAR):
        return f"fair value {intent.fair!r:.60} is not a price"
    if intent.outcome not in ("", "yes", "no"):
        return f"invalid outcome: {intent.outcome!r:.60} (expected yes or no)"
    if len(intent.needs) > MAX_NEEDS or any(type(each) is not Place or each.needs for each in intent.needs):
        return f"invalid needs: {intent.needs!r:.60}"
    life = intent.expires_in_s
    if life is not None and not (type(life) in (int, float) and 0 <= life <= MAX_LIFE_S):
        return f"invalid expires_in_s: {life!r:.60}"
    return (
        ""
        if intent.reason.isprintable() or not intent.reason
        else "the reason contains characters that cannot be printed"
    )


def fresh_book(state: EngineState, limits: RiskLimits, intent: Place, _strategy: str) -> Objection | None:
    """Refuse an order while its book is unusable, old, crossed within a matching event, or behind what has arrived."""
    if limits.max_book_age_ms is None:
        return None
    age = state.book_age_ms(intent.ticker)
    if age is None:
        book = state.books.get(intent.ticker)
        reason = book.unusable_reason or "no snapshot yet" if book else "no book"
        return "STALE_BOOK", f"no reliable order book: {reason}"
    if age > limits.max_book_age_ms:
        return "STALE_BOOK", f"the order book is {age} ms old; the limit is {limits.max_book_age_ms} ms"
    if state.books[intent.ticker].is_crossed:
        return "STALE_BOOK", "the order book is crossed"
    waiting = state.waiting_changes.get(intent.ticker)
    if waiting:
        return "STALE_BOOK", f"{pluralize(waiting, 'newer change')} of the order book waited during an earlier step"
    return None


def price_collar(state: EngineState, limits: RiskLimits, intent: Place, _strategy: str) -> Objection | None:
    """Refuse a bid far above the market price, or an ask far below it.

    A market without quotes or trades has no price. The user may still place an order there, with its maximum loss shown
    and limited; for strategies, `collar_of_fair` applies.
    """
    market_price = _market_price(state, intent)
    return None if market_price is None else _too_far(state, limits, intent, "market", market_price)


def collar_of_fair(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """Refuse an order far beyond the strategy's own fair value, except to close its position.

    In a market without any price, the fair value is the only reference: an order far from it would rest as a gift.
    """
    if limits.price_collar is None:
        return None
    has_price = _market_price(state, intent) is not None
    if has_price and (intent.fair is None or closes_own(state, intent, strategy)):
        return None
    if intent.fair is None:
        return "PRICE_COLLAR", f"no market price and no fair value to compare {show_price(intent.price)} with"
    return _too_far(state, limits, intent, "fair value", intent.fair)


def _market_price(state: EngineState, intent: Place) -> Price | None:
    """Return the reference price of an order: the other side of the book, its own side, or the last price."""
    book, market = state.books.get(intent.ticker), state.markets[intent.ticker]
    bid, ask = (book.best_bid, book.best_ask) if book is not None and book.is_usable else (None, None)
    own, other = (bid, ask) if intent.side is BID else (ask, bid)
    return next((price for price in (other, own, market.last) if price is not None), None)


def _too_far(state: EngineState, limits: RiskLimits, intent: Place, name: str, anchor: Price) -> Objection | None:
    beyond = (intent.price - anchor) * intent.side.sign
    if limits.price_collar is None or beyond <= limits.price_collar:
        return None
    price, compared = (_of_both(state, intent, at) for at in (intent.price, anchor))
    return "PRICE_COLLAR", f"{price} is more than {show_price(limits.price_collar)} from the {name}, {compared}"


def _of_both(state: EngineState, intent: Place, price: Price) -> str:
    """Return a YES price for both outcomes: `NO $0.60 (YES $0.40)`.

    The typed outcome is first; of an order of a strategy, the one that it buys, or that it holds and sells.
    """
    yes, no = f"YES {show_price(price)}", f"NO {show_price(Price(ONE_DOLLAR - price))}"
    first = intent.outcome or own_terms(intent.side, price, state.held(intent.ticker, intent.subaccount)).side
    return f"{yes} ({no})" if first == "yes" else f"{no} ({yes})"


def order_size(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """Refuse an order with too many contracts, a closing one too, or too high a cost.

    The count protects against typing errors. Contracts that certainly close a position cost nothing.
    """
    if limits.max_order_qty is not None and intent.qty > limits.max_order_qty:
        return "ORDER_SIZE", f"{show_qty(intent.qty)} contracts exceeds your limit of {show_qty(limits.max_order_qty)}"
    cost = notional(leg_price(intent.side, intent.price), exposure_controls.opening_part(state, intent, strategy))
    if limits.max_order_cost is not None and cost > limits.max_order_cost:
        return "ORDER_COST", f"cost {show_money(cost)} exceeds your limit of {show_money(limits.max_order_cost)}"
    return None


def max_spread(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """Refuse opening orders while bid and ask are far apart; a missing quote counts as the end of the scale."""
    book = state.books.get(intent.ticker)
    if limits.max_spread is None or book is None or closes_own(state, intent, strategy):
        return None
    bid, ask = book.best_bid, book.best_ask
    spread = Price((ONE_DOLLAR if ask is None else ask) - (0 if bid is None else bid))
    if spread <= limits.max_spread:
        return None
    return "SPREAD", f"the spread {show_price(spread)} exceeds the limit of {show_price(limits.max_spread)}"


def min_edge(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """Refuse an opening order whose edge after its fee is below the limit.

    An order that only closes the strategy's own position needs no edge and no fair value.
    """
    if limits.min_edge is None or closes_own(state, intent, strategy):
        return None
    if intent.fair is None:
        return "MIN_EDGE", NO_FAIR_VALUE
    schedule = state.fees.get(intent.ticker, FeeSchedule())
    edge = intent.fair - intent.price if intent.side is BID else intent.price - intent.fair
    fee = estimate(schedule, intent.price, intent.qty, is_taker=not intent.post_only)
    if edge * intent.qty - fee < limits.min_edge * intent.qty:
        shown, least = show_price(Price(edge)), show_price(limits.min_edge)
        of_one = show_price(Price(-(-fee // intent.qty)))  # up: to the cent, a fee that decides would be shown as none
        return "MIN_EDGE", f"edge {shown} a contract before a fee of {of_one} is below the limit of {least} after it"
    return None


def self_cross(state: EngineState, _limits: RiskLimits, intent: Place, _strategy: str) -> Objection | None:
    """Refuse an order that would trade with one of our own."""
    for order in state.orders.live(intent.ticker):
        if order.side is not intent.side and (intent.price - order.price) * intent.side.sign >= 0:
            # As `kalshi order list` shows it; a client order id begins like all others of this program.
            name = order.order_id[:SHORT_ID_LENGTH] or order.client_order_id
            own = f"your own order {name} ({state.order_words(order)})"
            return "SELF_CROSS", f"it could trade against {own}, which rests at this price or a better one"
    return None


CONTROLS: tuple[Control, ...] = (
    market_is_known,
    well_formed,
    not_halted,
    daily_loss,
    only_reducing,
    backs_off,
    in_sight,
    is_there,
    not_locked,
    group_is_open,
    market_is_open,
    time_to_close,
    fresh_book,
    max_spread,
    price_collar,
    collar_of_fair,
    order_size,
    exposure_controls.order_rate,
    exposure_controls.live_orders,
    exposure_controls.churn,
    min_edge,
    self_cross,
    exposure_controls.open_positions,
    exposure_controls.position_limit,
    exposure_controls.market_limit,
    exposure_controls.event_limit,
    exposure_controls.category_limit,
    exposure_controls.exposure_limit,
    cooldown,
    budget,
)
_OF_STRATEGIES_ONLY = (
    backs_off,
    in_sight,
    is_there,
    time_to_close,
    max_spread,
    collar_of_fair,
    min_edge,
    cooldown,
    budget,
)
OF_PEOPLE = tuple(control for control in CONTROLS if control not in _OF_STRATEGIES_ONLY)
AMEND_LOWERS: tuple[Control, ...] = (market_is_known, well_formed, not_halted, backs_off)
BEFORE_CLOSES = (market_is_known, well_formed, market_is_open, fresh_book, price_collar, self_cross)
