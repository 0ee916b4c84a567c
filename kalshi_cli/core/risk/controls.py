"""The controls that orders are held against, in order; each says what it objects to, or nothing.

`review.py` asks them. A control knows the state, the limits and one intent, and decides by nothing else.
"""

from __future__ import annotations

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, format_money, format_price, format_qty, format_ts, notional
from kalshi_cli.core.market.fees import estimate
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.markets import FeeSchedule, MarketStatus
from kalshi_cli.core.model.order_terms import BID, SelfTradePrevention, Side, TimeInForce
from kalshi_cli.core.risk import exposure_controls
from kalshi_cli.core.risk.budget import budget
from kalshi_cli.core.risk.exposure_controls import Control, Objection, closes_own, is_reducing
from kalshi_cli.core.state.back_off import API_GUARD
from kalshi_cli.core.state.exchange_state import pause_of
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState

MAX_LIFE_S = 10 * 365 * 86_400
MAX_NEEDS = 20


def not_halted(state: EngineState, _limits: RiskLimits, _intent: Place, _strategy: str) -> Objection | None:
    """Nothing is sent, and no order changed, while trading is halted; it can be decreased or cancelled."""
    return ("HALTED", "trading is halted") if state.trading is TradingState.HALTED else None


def daily_loss(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """A day that lost too much takes nothing but what makes a position smaller, whatever the trading state."""
    limit, net = limits.max_daily_loss, state.day_net
    if limit is None or net is None or -net <= limit or is_reducing(state, intent, strategy):
        return None
    return "DAILY_LOSS", f"net={format_money(net)} limit={format_money(limit)}"


def only_reducing(state: EngineState, _limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """REDUCING sends only what makes the position smaller."""
    if state.trading is TradingState.REDUCING and not is_reducing(state, intent, strategy):
        return "REDUCING", "only orders that reduce a position"
    return None


def backs_off(state: EngineState, _limits: RiskLimits, _intent: Place, strategy: str) -> Objection | None:
    """While API_GUARD holds strategies send only at the pace of a back-off, whatever closes; people do not wait."""
    left = state.back_off.left_ms(state.now) if state.back_off is not None and strategy else 0
    return (API_GUARD, f"wait_ms={left}") if left else None


def market_is_known(state: EngineState, _limits: RiskLimits, intent: Place, _strategy: str) -> Objection | None:
    """A market of this run."""
    return None if intent.ticker in state.markets else ("UNKNOWN_MARKET", f"ticker={intent.ticker}")


def in_sight(state: EngineState, _limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """While the account cannot be read nobody knows what it holds: a strategy opens nothing. What closes its own
    position, and what the exchange itself keeps from opening anything, may go.
    """
    if state.blind_since is None or (intent.reduce_only and is_reducing(state, intent, strategy)):
        return None
    return "BLIND", f"the account cannot be read since {format_ts(state.blind_since)}"


def is_there(state: EngineState, _limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """What the exchange has netted between two strategies is not there to be closed: it would cancel, or refuse, what
    only reduces, as often as it is sent. Nor is what others hold there for this strategy to close.
    """
    held = state.held(intent.ticker, intent.subaccount)
    owned = state.owned(intent.ticker, strategy, intent.subaccount)
    if not intent.reduce_only or max(held * intent.side.sign, owned * intent.side.sign) < 0:
        return None
    return "NOT_CLOSING", f"held={format_qty(held)} own={format_qty(owned)}"


def not_locked(state: EngineState, _limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """A market that a person locked takes nothing but what makes a position smaller."""
    until = state.locks.get(intent.ticker)
    if until is None or state.now >= until or is_reducing(state, intent, strategy):
        return None
    return "LOCKED", f"until={format_ts(until)}"


def group_is_open(state: EngineState, _limits: RiskLimits, intent: Place, _strategy: str) -> Objection | None:
    """An order group that was triggered takes nothing until it is reset."""
    group = intent.order_group_id
    return ("GROUP_TRIGGERED", f"order_group_id={group}") if group in state.triggered_groups else None


def market_is_open(state: EngineState, limits: RiskLimits, intent: Place, _strategy: str) -> Objection | None:
    """Active, and not about to close: closes come by the clock, without a message."""
    market = state.markets[intent.ticker]
    pause = pause_of(state.exchange, market.exchange_index)
    if pause:
        return pause, f"shard={market.exchange_index}"
    if market.status is not MarketStatus.ACTIVE:
        return "MARKET_NOT_OPEN", f"status={market.status.value}"
    if state.now >= market.close_time - limits.close_margin_ms:
        return "MARKET_CLOSING", f"close_in_s={max(0, market.close_time - state.now) // 1000}"
    return None


def time_to_close(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """A strategy opens nothing that it may not get out of again before the market closes."""
    left = state.markets[intent.ticker].close_time - state.now
    if left > limits.min_time_to_close_ms or closes_own(state, intent, strategy):
        return None
    return "MARKET_CLOSING", f"close_in_s={max(0, left) // 1000} limit_s={limits.min_time_to_close_ms // 1000}"


def well_formed(state: EngineState, _limits: RiskLimits, intent: Place, _strategy: str) -> Objection | None:
    """Whole numbers of our units, a positive count, a price on the market's grid, flags that go together.

    A strategy is somebody's code: NaN passes every comparison, and a float would be stored and sent.
    """
    wrong = _wrong_field(intent)
    if wrong:
        return "BAD_INTENT", wrong
    if state.lock is not None and intent.subaccount != state.lock:
        return "BAD_INTENT", f"subaccount={intent.subaccount}, and the key is locked to {state.lock}"
    if intent.qty <= 0:
        return "BAD_COUNT", f"count={format_qty(intent.qty)}"
    grid = state.markets[intent.ticker].grid
    if not grid.is_valid(intent.price):
        below, above = (format_price(at) if at is not None else "none" for at in grid.nearest(intent.price))
        return "OFF_GRID_PRICE", f"price={format_price(intent.price)} below={below} above={above}"
    if intent.reduce_only and intent.tif is not TimeInForce.IOC:
        return "BAD_FLAGS", "reduce_only needs tif=ioc"
    if intent.post_only and intent.tif is not TimeInForce.GTC:
        return "BAD_FLAGS", "post_only needs tif=gtc"
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


def _wrong_field(intent: Place) -> str:
    """The first field that is not exactly of its type, or out of any range; "" where all is well."""
    for name, kind in _TYPES.items():
        if type(getattr(intent, name)) is not kind:
            return f"{name}={getattr(intent, name)!r:.60} is no {kind.__name__}"
    if intent.fair is not None and (type(intent.fair) is not int or not 0 <= intent.fair <= ONE_DOLLAR):
        return f"fair={intent.fair!r:.60} is no price"
    if len(intent.needs) > MAX_NEEDS or any(type(each) is not Place or each.needs for each in intent.needs):
        return f"needs={intent.needs!r:.60}"
    life = intent.expires_in_s
    if life is not None and not (type(life) in (int, float) and 0 <= life <= MAX_LIFE_S):
        return f"expires_in_s={life!r:.60}"
    return "" if intent.reason.isprintable() or not intent.reason else "reason has characters that cannot be printed"


def fresh_book(state: EngineState, limits: RiskLimits, intent: Place, _strategy: str) -> Objection | None:
    """No order is priced from a book that is unusable, old, or crossed in the middle of a matching event."""
    if limits.max_book_age_ms is None:
        return None
    age = state.book_age_ms(intent.ticker)
    if age is None:
        book = state.books.get(intent.ticker)
        return "STALE_BOOK", f"reason={book.unusable_reason or 'no snapshot yet' if book else 'no book'}"
    if age > limits.max_book_age_ms:
        return "STALE_BOOK", f"age_ms={age} limit_ms={limits.max_book_age_ms}"
    if state.books[intent.ticker].is_crossed:
        return "STALE_BOOK", "reason=crossed"
    return None


def price_collar(state: EngineState, limits: RiskLimits, intent: Place, _strategy: str) -> Objection | None:
    """A bid may not reach far above the market, nor an ask far below it.

    A market that nobody quotes and that never traded has no price, and somebody must be the first: a person may, who
    is told what it costs at worst, within the limits of that. For strategies there is `collar_of_fair`.
    """
    market_price = _market_price(state, intent)
    return None if market_price is None else _too_far(limits, intent, "market", market_price)


def collar_of_fair(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """Nor may it reach far beyond what the strategy itself holds for fair, whatever others quote; to get out it may.

    In a market without any price that is all there is to go by: an order that is far off would rest there for whoever
    comes first.
    """
    if limits.price_collar is None:
        return None
    has_price = _market_price(state, intent) is not None
    if has_price and (intent.fair is None or closes_own(state, intent, strategy)):
        return None
    if intent.fair is None:
        return "PRICE_COLLAR", f"price={format_price(intent.price)} market=none fair=missing"
    return _too_far(limits, intent, "fair", intent.fair)


def _market_price(state: EngineState, intent: Place) -> Price | None:
    """What an order is compared with: the other side of the book, its own, or the last price."""
    book, market = state.books.get(intent.ticker), state.markets[intent.ticker]
    bid, ask = (book.best_bid, book.best_ask) if book is not None and book.is_usable else (None, None)
    own, other = (bid, ask) if intent.side is BID else (ask, bid)
    return next((price for price in (other, own, market.last) if price is not None), None)


def _too_far(limits: RiskLimits, intent: Place, name: str, anchor: Price) -> Objection | None:
    beyond = (intent.price - anchor) * intent.side.sign
    if limits.price_collar is None or beyond <= limits.price_collar:
        return None
    price, compared, collar = map(format_price, (intent.price, anchor, limits.price_collar))
    return "PRICE_COLLAR", f"price={price} {name}={compared} collar={collar}"


def order_size(_state: EngineState, limits: RiskLimits, intent: Place, _strategy: str) -> Objection | None:
    """Fat fingers: contracts and worst-case cost of a single order."""
    if limits.max_order_qty is not None and intent.qty > limits.max_order_qty:
        return "ORDER_SIZE", f"count={format_qty(intent.qty)} limit={format_qty(limits.max_order_qty)}"
    cost = _cost(intent)
    if limits.max_order_cost is not None and cost > limits.max_order_cost:
        return "ORDER_COST", f"cost={format_money(cost)} limit={format_money(limits.max_order_cost)}"
    return None


def max_spread(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """Where bid and ask are far apart nobody knows the price. A side that nobody quotes is the end of the scale."""
    book = state.books.get(intent.ticker)
    if limits.max_spread is None or book is None or closes_own(state, intent, strategy):
        return None
    bid, ask = book.best_bid, book.best_ask
    spread = Price((ONE_DOLLAR if ask is None else ask) - (0 if bid is None else bid))
    if spread <= limits.max_spread:
        return None
    return "SPREAD", f"spread={format_price(spread)} limit={format_price(limits.max_spread)}"


def min_edge(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """An order that opens risk must be better than fair by a margin, after its fee. What only closes the strategy's own
    position needs none, nor a fair value, whatever others hold or have resting there.
    """
    if limits.min_edge is None or closes_own(state, intent, strategy):
        return None
    if intent.fair is None:
        return "MIN_EDGE", "fair=missing"
    schedule = state.fees.get(intent.ticker, FeeSchedule())
    edge = intent.fair - intent.price if intent.side is BID else intent.price - intent.fair
    fee = estimate(schedule, intent.price, intent.qty, is_taker=not intent.post_only)
    if edge * intent.qty - fee < limits.min_edge * intent.qty:
        return "MIN_EDGE", (
            f"edge={format_price(Price(edge))} fee={format_money(fee)} limit={format_price(limits.min_edge)}"
        )
    return None


def _cost(intent: Place) -> Money:
    """What the order can cost at most: YES for a bid, NO for an ask."""
    return notional(intent.price if intent.side is BID else Price(ONE_DOLLAR - intent.price), intent.qty)


def self_cross(state: EngineState, _limits: RiskLimits, intent: Place, _strategy: str) -> Objection | None:
    """Our bid must not meet our own offer."""
    for order in state.orders.live(intent.ticker):
        if order.side is not intent.side and (
            intent.price >= order.price if intent.side is BID else intent.price <= order.price
        ):
            return "SELF_CROSS", f"own_order={order.client_order_id or order.order_id} at={format_price(order.price)}"
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
    exposure_controls.position_limit,
    exposure_controls.event_limit,
    exposure_controls.category_limit,
    exposure_controls.exposure_limit,
    exposure_controls.cooldown,
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
    exposure_controls.cooldown,
    budget,
)
OF_PEOPLE = tuple(control for control in CONTROLS if control not in _OF_STRATEGIES_ONLY)

AMEND_RAISES = OF_PEOPLE
AMEND_LOWERS: tuple[Control, ...] = (market_is_known, well_formed, not_halted, backs_off)
BEFORE_CLOSES: tuple[Control, ...] = (
    market_is_known,
    well_formed,
    market_is_open,
    fresh_book,
    price_collar,
    self_cross,
)
