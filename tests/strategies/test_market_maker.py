"""The market maker on scripted books: where it quotes, when it moves a quote, and when it takes them all back."""

from __future__ import annotations

from typing import Any

import pytest
from support.tape import NO_LIMITS, T0, TICKER, StrategyHarness, cancel_reasons, held, market, submitted_orders

from kalshi_cli.base.units import Price, Qty, Ts, cents, contracts
from kalshi_cli.core.account.sizing import Sizing, StrategyAllocation
from kalshi_cli.core.model.effects import AlertRaised, AmendOrder, Effect, OrderRefused
from kalshi_cli.core.model.inputs import FairInput
from kalshi_cli.core.model.markets import FeeSchedule, FeeType
from kalshi_cli.core.model.messages import BookSnapshot, FairValue, FeedGap, MarketChange, PublicTrade, Tick
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.market_maker import MarketMaker

STRICT = RiskLimits(min_edge=cents(2), max_spread=cents(20))


def maker(**given: Any) -> MarketMaker:
    strategy = registry.make("market-maker", {"half_spread": "2c", "skew": "0.1c", "jump": "4c"} | given)
    assert isinstance(strategy, MarketMaker)
    return strategy


def tape(
    limits: RiskLimits = NO_LIMITS, latency_ms: int = 0, *, are_own_in_books: bool = False, **given: Any
) -> StrategyHarness:
    return StrategyHarness(maker(**given), limits=limits, latency_ms=latency_ms, are_own_in_books=are_own_in_books)


def denied(played: StrategyHarness) -> list[str]:
    return [f"{effect.code} {effect.detail}" for effect in played.effects if isinstance(effect, OrderRefused)]


def quoting(limits: RiskLimits = NO_LIMITS, **given: Any) -> StrategyHarness:
    """Bid 40 and ask 44, both resting, a book of 39 and 45 around them."""
    played = tape(limits, **given)
    assert len(submitted_orders(played.book(39, 45))) == 2
    played.tick(0.1)
    assert shown(played) == {BID: (4_000, 500), ASK: (4_400, 500)}
    return played


def shown(played: StrategyHarness) -> dict[Side, tuple[int, int]]:
    """Price and what is left, by side."""
    live = played.engine.state.orders.live(TICKER)
    assert len({order.side for order in live}) == len(live), "two on one side"
    return {order.side: (order.price, order.remaining) for order in live}


def amends(effects: list[Effect]) -> list[tuple[Side, int, int]]:
    found = [effect.wanted for effect in effects if isinstance(effect, AmendOrder)]
    return [(order.side, order.price, order.remaining) for order in found]


def levels(played: StrategyHarness, bid: tuple[int, int], ask: tuple[int, int], after: float = 1.0) -> list[Effect]:
    """A book of one level a side: (cents, contracts)."""
    played.at += after
    sides = (((cents(at), contracts(qty)),) for at, qty in (bid, ask))
    return played.play(BookSnapshot(played.now, TICKER, *sides))


def still(played: StrategyHarness, seconds: int, bid: int = 39, ask: int = 45, size: int = 100) -> list[Effect]:
    """The same book again, and a tick, every second."""
    return [effect for _ in range(seconds) for effect in (*played.book(bid, ask, size=size), *played.tick(0.0))]


# -- where it quotes --------------------------------------------------------------------------------------------------


def test_it_rests_a_bid_and_an_ask_at_its_half_spread_from_fair_and_says_what_it_believes() -> None:
    bid, ask = submitted_orders(tape().book(39, 45))
    assert (bid.side, bid.price, bid.qty) == (BID, cents(40), contracts(5))
    assert (ask.side, ask.price, ask.qty) == (ASK, cents(44), contracts(5))
    for order in (bid, ask):
        assert (order.fair, order.post_only, order.tif) == (cents(42), True, TimeInForce.GTC)
        assert order.expires == order.created + 90_000
        assert order.reason == "fair value $0.42, position 0"


def test_fair_is_nearer_to_the_side_that_shows_less() -> None:
    bid, _ask = submitted_orders(levels(tape(), (40, 300), (44, 100)))
    assert bid.fair == cents(43)


def test_fair_follows_the_microprice_smoothly() -> None:
    played = tape(smooth_s="10", jump="50c", requote="1c")
    played.book(39, 45)
    played.tick(0.1)
    played.book(49, 55, after=10)
    fair = played.engine.state.orders.live(TICKER)[1].fair
    assert fair is not None
    assert 4_800 < fair < 4_850, "after one time constant it went 63 % of the way"


def test_what_an_outside_model_believes_goes_before_the_book() -> None:
    played = tape(source="fair.csv")
    played.play(FairValue(played.now, TICKER, cents(50), "model"))
    bid, ask = submitted_orders(played.book(45, 51))
    assert (bid.price, ask.price, bid.fair) == (cents(48), cents(52), cents(50))


def test_the_model_of_another_strategy_is_not_its_own() -> None:
    played = tape()
    played.play(FairValue(played.now, TICKER, cents(80), "model"))
    bid, ask = submitted_orders(played.book(45, 51))
    assert bid.price < ask.price <= cents(52)


def test_it_asks_for_an_outside_model_only_where_one_is_named() -> None:
    assert maker().inputs() == ()
    assert maker(source="fair.csv").inputs() == (FairInput(source="fair.csv", every_s=30.0, valid_s=300.0),)


def test_a_clock_that_goes_back_moves_no_price() -> None:
    played = quoting(smooth_s="10", requote="9c")
    levels(played, (39, 10_000), (45, 12_000))
    played.at -= 3_600
    assert amends([*played.play(Tick(played.now)), *played.play(Tick(played.now))]) == []
    assert cancel_reasons(played.effects) == []


def test_its_own_orders_are_no_part_of_what_the_market_is_worth() -> None:
    played, beside = quoting(smooth_s="0.01", are_own_in_books=True), quoting(smooth_s="0.01")
    theirs = [(cents(39), contracts(100))], [(cents(45), contracts(300))]
    ours = [(cents(40), contracts(5))], [(cents(44), contracts(5))]
    shared = [(cents(39), contracts(100))], [(cents(44), contracts(7)), *theirs[1]]
    for book in (shared, tuple(map(list.__add__, ours, theirs)), theirs):
        for one in (played, beside):
            one.at += 1
        seen = amends(played.play(BookSnapshot(played.now, TICKER, *map(tuple, book))))
        alone = amends(beside.play(BookSnapshot(beside.now, TICKER, *map(tuple, theirs))))
        assert seen == alone or book is shared
        played, beside = quoting(smooth_s="0.01", are_own_in_books=True), quoting(smooth_s="0.01")
    assert alone == [(BID, 3_800, 500)], "companion: it matters what the others show"


def test_of_a_level_that_it_shares_it_counts_what_is_others() -> None:
    played = tape(size="50", max_inventory="50", smooth_s="0.01", requote="0.1c", are_own_in_books=True)
    played.book(39, 45)
    played.tick(0.1)
    moved = [e.wanted.fair for e in levels(played, (39, 100), (44, 100)) if isinstance(e, AmendOrder)]
    assert set(moved) == {Price(4_233)}, "50 of the 100 at 44 are its own"


def test_a_makers_fee_is_added_to_the_half_spread() -> None:
    played = tape(STRICT)
    played.play(MarketChange(T0, market(), FeeSchedule(FeeType.WITH_MAKER)))
    bid, ask = submitted_orders(played.book(39, 45))
    assert (bid.price, ask.price) == (cents(39), cents(45)), "0.43 cents a contract, and whole cents"


def test_under_the_default_limits_nothing_that_it_wants_is_refused() -> None:
    played = quoting(STRICT)
    for at in (38, 39, 40, 41, 40, 39):
        still(played, 6, at, at + 6)
    still(played, 60)
    assert denied(played) == []


def test_it_never_crosses_a_book_that_is_narrower_than_its_own_quotes() -> None:
    played = tape(source="fair.csv")
    played.play(FairValue(played.now, TICKER, cents(50), "model"))
    bid, ask = submitted_orders(played.book(40, 42))
    assert (bid.price, ask.price) == (cents(41), cents(52)), "one below the best ask, whatever it is worth"


@pytest.mark.parametrize(
    ("bid", "ask", "given"), [(41, 42, {"min_spread": "2c"}), (35, 46, {}), (6, 9, {}), (92, 95, {})]
)
def test_in_odd_markets_it_opens_nothing(bid: int, ask: int, given: dict[str, Any]) -> None:
    assert submitted_orders(tape(**given).book(bid, ask)) == []
    assert len(submitted_orders(tape(**given).book(39, 45))) == 2, "companion"


def test_a_market_of_one_side_is_not_quoted() -> None:
    played = quoting()
    played.at += 1
    played.play(BookSnapshot(played.now, TICKER, ((cents(39), contracts(100)),), ()))
    assert cancel_reasons(played.effects) == ["no bid or no ask"] * 2


def test_the_size_is_that_of_the_configured_policy() -> None:
    limits = RiskLimits(allotments={"market-maker": StrategyAllocation(sizing=Sizing(kind="fraction", fraction=0.01))})
    played = StrategyHarness(maker(max_inventory="1000"), limits=limits)
    assert submitted_orders(played.book(39, 45)) == [], "of a balance that nobody has read"


def test_it_quotes_no_more_markets_than_it_may() -> None:
    played = tape(max_markets="2")
    for name in ("KXA-2", "KXA-3", "KXA-4"):
        played.play(MarketChange(T0, market(name), FeeSchedule()))
    for name in ("KXA-1", "KXA-2", "KXA-3", "KXA-4"):
        sides = ((cents(39), contracts(100)),), ((cents(45), contracts(100)),)
        played.play(BookSnapshot(played.now, name, *sides))
    played.tick()
    assert sorted({order.ticker for order in submitted_orders(played.effects)}) == ["KXA-1", "KXA-2"]


# -- what it holds ----------------------------------------------------------------------------------------------------


def test_both_quotes_lean_against_what_is_held() -> None:
    played = quoting(skew="0.2c")
    played.trade(40, 5, ASK)
    assert played.position == contracts(5)
    still(played, 6)
    assert shown(played) == {BID: (3_900, 500), ASK: (4_300, 500)}


def test_it_leans_no_further_than_to_fair() -> None:
    played = tape(skew="5c")
    played.recall([old_order()], [held(BID, 42, 5)])
    bid, ask = submitted_orders(played.book(39, 45))
    assert (bid.price, ask.price) == (cents(38), cents(42))


def old_order(**changes: Any) -> Order:
    fields: dict[str, Any] = {
        "client_order_id": "old",
        "order_id": "o-old",
        "ticker": TICKER,
        "side": BID,
        "price": cents(42),
        "qty": contracts(5),
        "status": OrderStatus.FILLED,
        "filled": contracts(5),
        "created": Ts(0),
        "updated": Ts(0),
        "strategy": "market-maker",
    }
    return Order(**(fields | changes))


def test_at_its_limit_it_quotes_only_the_side_that_reduces() -> None:
    played = quoting(max_inventory="5")
    played.trade(40, 5, ASK)
    still(played, 6)
    assert list(shown(played)) == [ASK]


def test_near_its_limit_a_quote_is_only_as_large_as_there_is_room() -> None:
    played = quoting(max_inventory="7")
    played.trade(40, 5, ASK)
    still(played, 6)
    assert shown(played)[BID][1] == contracts(2)


def test_a_quote_that_reduces_is_never_for_more_than_is_held() -> None:
    played = tape()
    played.recall([old_order(qty=contracts(2), filled=contracts(2))], [held(BID, 42, 2)])
    _bid, ask = submitted_orders(played.book(39, 45))
    assert (ask.side, ask.qty) == (ASK, contracts(2))


# -- when it moves a quote --------------------------------------------------------------------------------------------


def test_a_quote_that_is_off_by_less_than_requote_keeps_its_place() -> None:
    played = quoting(requote="3c")
    moved = amends(still(played, 12, 41, 47, size=10_000))
    assert {side for side, *_ in moved} == {ASK}, "the bid is two cents too low; the ask had lost all of its edge"


def test_a_quote_is_amended_and_never_replaced() -> None:
    played = quoting(requote="0.5c")
    before = {order.order_id for order in played.engine.state.orders.live(TICKER)}
    effects = still(played, 20, 41, 47, size=10_000)
    assert {side for side, *_ in amends(effects)} == {BID, ASK}
    assert submitted_orders(effects) == []
    assert cancel_reasons(effects) == []
    assert {order.order_id for order in played.engine.state.orders.live(TICKER)} == before
    assert shown(played) == {BID: (4_200, 500), ASK: (4_600, 500)}
    assert denied(played) == [], "an amend that changes nothing would be"


def test_an_order_that_has_no_answer_yet_is_left_alone() -> None:
    played = tape(latency_ms=3_000, jump="50c", smooth_s="0.01")
    played.book(39, 45)
    still(played, 2, 45, 51)
    assert amends(played.effects) == []
    assert denied(played) == []


def test_a_quote_that_is_leaving_is_not_amended() -> None:
    played = tape(latency_ms=1_500, run="2", calm_s="0", smooth_s="0.01", jump="50c")
    still(played, 4)
    for _ in range(2):
        played.at += 0.1
        played.trade(46, 1, BID)
    assert len(cancel_reasons(played.effects)) == 2
    played.book(41, 47, after=0.1)
    assert amends(played.effects) == []
    assert denied(played) == []


def test_a_bid_stays_below_its_own_ask_that_is_still_on_its_way_up() -> None:
    played = quoting(pause_s="0", source="fair.csv")
    effects = played.play(FairValue(played.now, TICKER, cents(50), "model"))
    assert amends(effects) == [(BID, 4_300, 500), (ASK, 5_200, 500)]
    assert denied(played) == []


def test_away_from_the_market_it_moves_at_once_and_towards_it_after_a_pause() -> None:
    played = quoting(smooth_s="0.01", pause_s="5")
    assert amends(played.book(41, 47)) == [(ASK, 4_600, 500)], "the ask was too cheap"
    assert amends(played.book(41, 47)) == []
    assert amends(still(played, 5, 41, 47)) == [(BID, 4_200, 500)], "the bid had time"


def test_a_quote_that_lost_half_of_its_edge_moves_however_coarse_requote_is() -> None:
    played = quoting(requote="9c", smooth_s="0.01", jump="50c")
    assert amends(levels(played, (40, 10_000), (46, 12_000))) == [], "1.3 cents are left"
    assert amends(played.book(41, 47)) == [(ASK, 4_600, 500)]


def test_a_partly_filled_quote_keeps_its_place_until_less_than_half_is_left() -> None:
    played = quoting(skew="0.01c")
    played.trade(40, 2, ASK)
    assert amends(still(played, 8)) == []
    played.trade(40, 1, ASK)
    assert [(side, left) for side, _, left in amends(still(played, 8))] == [(BID, 500)]


def test_its_life_is_prolonged_without_losing_its_place() -> None:
    played = quoting(life_s="20")
    assert amends(still(played, 5)) == []
    effects = still(played, 10)
    assert amends(effects) == [(BID, 4_000, 500), (ASK, 4_400, 500)], "the same price, the same size"
    still(played, 60)
    assert shown(played) == {BID: (4_000, 500), ASK: (4_400, 500)}


def test_a_quote_that_nobody_looks_after_expires() -> None:
    played = quoting(life_s="20")
    played.engine.is_starting = True  # the strategy is not asked
    played.tick(21)
    assert shown(played) == {}


def test_orders_of_an_earlier_run_are_taken_over_and_one_too_many_is_canceled() -> None:
    played = tape()
    rest = {"status": OrderStatus.RESTING, "filled": Qty(0), "price": cents(40), "post_only": True}
    two = [old_order(**rest), old_order(**rest | {"client_order_id": "old2", "order_id": "o-old2"})]
    played.recall(two)
    effects = played.book(39, 45)
    assert cancel_reasons(effects) == ["one quote per side"]
    assert [order.side for order in submitted_orders(effects)] == [ASK]


def test_what_the_controls_refuse_is_not_asked_for_at_every_message() -> None:
    played = tape(RiskLimits(min_edge=cents(5)))
    effects = still(played, 25)
    assert len([effect for effect in effects if isinstance(effect, OrderRefused)]) == 6, "each side, every ten seconds"


# -- when it takes them back ------------------------------------------------------------------------------------------


def test_a_book_that_does_not_change_any_more_is_left() -> None:
    played = quoting(stale_s="8")
    assert cancel_reasons(played.tick(7)) == []
    assert cancel_reasons(played.tick(2)) == ["stale order book"] * 2
    assert len(submitted_orders([*played.tick(), *played.book(39, 45)])) == 2, "and it comes back"


def test_a_quiet_market_is_not_stale_while_others_move() -> None:
    played = quoting(stale_s="8", max_markets="1")
    played.play(MarketChange(T0, market("KXA-2"), FeeSchedule()))
    for _ in range(12):
        played.at += 1
        played.play(BookSnapshot(played.now, "KXA-2", ((cents(39), contracts(1)),), ((cents(45), contracts(1)),)))
        played.tick(0.0)
    assert cancel_reasons(played.effects) == []


def test_a_book_that_is_lost_takes_the_quotes_with_it() -> None:
    played = quoting()
    played.play(FeedGap(played.now, (TICKER,), "a number is missing"))
    assert cancel_reasons(played.tick()) == ["stale order book"] * 2


def test_a_jump_of_the_mid_clears_the_market_for_a_while() -> None:
    played = quoting(jump="4c", jump_s="10", calm_s="15")
    assert cancel_reasons(played.book(43, 49)) == ["one-sided trading"] * 2
    assert submitted_orders(still(played, 14, 43, 49)) == []
    assert len(submitted_orders(still(played, 2, 43, 49))) == 2


def test_a_slow_move_is_no_jump() -> None:
    played = quoting(jump="4c", jump_s="10", calm_s="15")
    for step in range(8):
        still(played, 6, 39 + step, 45 + step)
    assert cancel_reasons(played.effects) == []


def test_a_run_of_trades_on_one_side_clears_the_market_for_a_while() -> None:
    played = quoting(run="3", run_s="5", calm_s="15")
    for _ in range(2):
        played.at += 1
        assert cancel_reasons(played.trade(46, 1, BID)) == []
    played.at += 1
    assert cancel_reasons(played.trade(46, 1, BID)) == ["series of trades on one side"] * 2
    assert submitted_orders(still(played, 14)) == []
    assert len(submitted_orders(still(played, 2))) == 2


@pytest.mark.parametrize("case", ["both sides", "too slow", "one taker", "blocks"])
def test_what_is_no_run(case: str) -> None:
    played = quoting(run="3", run_s="5", stale_s="600", life_s="600")
    for number in range(6):
        played.at += {"too slow": 6, "one taker": 0}.get(case, 1)
        side = ASK if case == "both sides" and number % 2 else BID
        trade = PublicTrade(played.now, TICKER, f"t{number}", cents(46), contracts(1), side, case == "blocks")
        assert cancel_reasons(played.play(trade)) == []


def test_a_cancel_that_failed_is_asked_for_again() -> None:
    played = quoting(jump="4c", calm_s="5")
    played.book(43, 49)
    played.book(43, 49, after=10)
    assert all(order.reason != "leaving" for order in submitted_orders(played.effects))
    assert not [effect for effect in played.effects if isinstance(effect, AlertRaised | OrderRefused)]


# -- before the close -------------------------------------------------------------------------------------------------


def closing(in_s: float, held_qty: int = 5, **given: Any) -> StrategyHarness:
    played = tape(**given)
    played.play(MarketChange(T0, market(close_time=Ts(T0 + int(in_s * 1000))), FeeSchedule()))
    if held_qty:
        side, qty = (BID, held_qty) if held_qty > 0 else (ASK, -held_qty)
        played.recall([old_order(side=side, qty=contracts(qty), filled=contracts(qty))], [held(side, 42, qty)])
    return played


def test_before_the_close_it_quotes_only_what_it_holds() -> None:
    (order,) = submitted_orders(closing(100).book(39, 45))
    assert (order.side, order.qty, order.tif) == (ASK, contracts(5), TimeInForce.GTC)
    assert submitted_orders(closing(100, held_qty=0).book(39, 45)) == []
    assert len(submitted_orders(closing(200).book(39, 45))) == 2, "companion"


def test_before_the_close_what_would_open_something_is_taken_off_a_quote() -> None:
    played = closing(200, held_qty=0)
    played.book(39, 45)
    played.tick()
    played.trade(40, 2, ASK)
    assert (ASK, 4_400, 200) in amends(still(played, 25))
    assert shown(played) == {ASK: (4_400, 200)}


def test_at_the_end_nothing_is_taken_from_a_stale_book() -> None:
    played = closing(70)
    played.book(41, 45)
    assert cancel_reasons(played.tick(12)) == ["stale order book"]
    assert submitted_orders([*played.tick(), *played.tick()]) == []


def test_at_the_end_it_takes_what_is_there() -> None:
    played = closing(200, held_qty=0, stale_s="600", life_s="600")
    played.book(39, 45)
    played.tick()
    played.trade(40, 5, ASK)
    assert played.position == contracts(5)
    assert cancel_reasons(played.tick(140)) == ["market closes soon"]
    (out,) = submitted_orders(played.tick())
    assert (out.side, out.price, out.qty) == (ASK, cents(39), contracts(5))
    assert (out.tif, out.reduce_only) == (TimeInForce.IOC, True)
    assert submitted_orders(played.tick()) == []
    assert played.position == 0


def test_at_the_end_it_gives_way_by_no_more_than_its_slippage() -> None:
    played = closing(30, slippage="2c")
    assert submitted_orders(played.book(39, 45)) == []
    (out,) = submitted_orders(played.book(41, 45))
    assert out.price == cents(41)


@pytest.mark.parametrize("trouble", ["a jump", "no asks"])
def test_at_the_end_it_gets_out_in_trouble_too(trouble: str) -> None:
    played = closing(61, jump="4c", slippage="5c")
    played.book(43, 49)
    played.at += 2
    asks = ((cents(44), contracts(9)),) if trouble == "a jump" else ()
    played.play(BookSnapshot(played.now, TICKER, ((cents(42), contracts(9)),), asks))
    assert [(order.tif, order.price) for order in submitted_orders(played.tick())] == [(TimeInForce.IOC, cents(42))]


@pytest.mark.parametrize("is_short", [False, True])
def test_at_the_end_it_does_not_sell_into_a_book_that_was_emptied_a_moment_ago(is_short: bool) -> None:
    """In one step, or in several: the price from before them counts, until nothing jumped for a while."""
    played = closing(62, held_qty=-5 if is_short else 5, calm_s="10", slippage="5c")

    def bid(price: int) -> list[Effect]:
        """Somebody offers so much for what is held."""
        book = played.book(98 - price, 100 - price) if is_short else played.book(price, price + 2)
        return [*book, *played.tick(0.0)]

    bid(42)
    emptied = [effect for price in (25, 12, *[12] * 8) for effect in bid(price)]
    assert submitted_orders(emptied) == []
    lasting = [effect for _ in range(12) for effect in bid(12)]
    assert {(order.tif, order.price) for order in submitted_orders(lasting)} == {
        (TimeInForce.IOC, cents(88 if is_short else 12))
    }


def test_at_the_end_it_tries_once_a_second() -> None:
    played = closing(30)
    played.book(39, 45, size=1)
    assert submitted_orders(played.tick(0.3)) == []
    assert len(submitted_orders([*played.tick(0.8), *played.tick(1)])) >= 1
