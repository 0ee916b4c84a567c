"""crypto-ta on scripted prices and books: when it buys, when it keeps its hands off, and when it gets out."""

from __future__ import annotations

import math
from typing import Any

import pytest
from support.tape import T0, TICKER, StrategyHarness, cancel_reasons, market, submitted_orders

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts, cents, contracts
from kalshi_cli.core.model.effects import Effect
from kalshi_cli.core.model.inputs import SpotInput
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.messages import BookSnapshot, MarketChange, SpotPrice
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.crypto.crypto_ta import CryptoTa, CryptoTaParams

STEP = 0.001
"""How far the logarithm of the price moves in each bar of 10 s, up and down again."""
VOL = STEP / math.sqrt(10)
USUAL: dict[str, Any] = {"series": "KXA:BTC", "max_tilt": 0.0, "vol_factor": 1.0, "min_bars": 10, "size": contracts(5)}


class Coin:
    """A tape with a threshold market at 100 dollars that closes in `left_s`, and the price of its coin."""

    def __init__(self, *, left_s: float = 1_000.0, bars: int = 12, spot: float = 100.0, **changes: Any) -> None:
        params = CryptoTaParams(**(USUAL | {name: changes.pop(name) for name in list(changes) if name in
                                            CryptoTaParams.__struct_fields__}))  # fmt: skip
        self.strategy = CryptoTa(params)
        self.tape = StrategyHarness(self.strategy)
        terms: dict[str, Any] = {"floor_strike": 100.0, "strike_type": "greater"} | changes
        closes = Ts(T0 + int(1000 * (left_s + 10 * bars)))
        self.tape.play(MarketChange(T0, market(close_time=closes, **terms), FeeSchedule()))
        for number in range(bars):
            self.spot(spot * math.exp(STEP * (number % 2)))
            self.tape.at += 10
        self.spot(spot)

    def spot(self, dollars: float, symbol: str = "BTC") -> list[Effect]:
        return self.tape.play(SpotPrice(self.tape.now, symbol, round(dollars * 10_000), "coinbase", 1_000_000))

    @property
    def held(self) -> int:
        """The position, once what was submitted_orders has arrived."""
        self.tape.tick(0.001)
        return self.tape.position

    def book(self, bid: int, ask: int, **more: Any) -> list[Effect]:
        return self.tape.book(bid, ask, **({"after": 0.0} | more))


def test_it_listens_to_the_coins_of_its_series_each_once() -> None:
    assert CryptoTa(CryptoTaParams()).inputs() == (SpotInput(symbol="BTC"), SpotInput(symbol="ETH"))
    one = CryptoTa(CryptoTaParams(series="KXBTCD:BTC,KXBTC15M:BTC"))
    assert one.inputs() == (SpotInput(symbol="BTC"),)


@pytest.mark.parametrize(
    ("ticker", "coin"),
    [
        ("KXBTC-26NOV2114-B85250", "BTC"), ("KXBTCD-26NOV2114-T85249.99", "BTC"), ("KXBTC15M-26NOV211415-15", "BTC"),
        ("KXETHD-26NOV2114-T2700", "ETH"), ("KXETH1H-26NOV2114-T2700", "ETH"), ("KXBTCMAXY-26DEC31-T100000", None),
        ("KXBTCMIN-26NOV2114-T80000", None), ("KXBTCRESERVE-26-JAN", None), ("KXSOLD-26NOV2114-T150", None),
    ],
)  # fmt: skip
def test_only_questions_about_the_price_at_the_close_are_its_business(ticker: str, coin: str | None) -> None:
    """What the highest price will have been is worth something else altogether."""
    assert CryptoTa(CryptoTaParams())._coin(ticker) == coin


@pytest.mark.parametrize("series", ["", "KXBTC", "KXBTC:", ":BTC", "KXBTC:BTC,,", "KX BTC:BTC", "KXBTC:B/C"])
def test_a_series_that_names_no_coin_is_refused_at_the_start(series: str) -> None:
    with pytest.raises(UsageError, match=r"SERIES:COIN"):
        CryptoTa(CryptoTaParams(series=series))


def test_it_buys_what_is_offered_too_cheap_and_says_what_it_believes() -> None:
    coin = Coin()
    [order] = submitted_orders(coin.book(40, 44))
    assert (order.side, order.price, order.qty) == (BID, cents(44), contracts(5))
    assert order.fair == 5_000, "at the strike it is one half"
    assert "fair value $0.50" in order.reason
    assert coin.held == contracts(5)


def test_it_sells_what_is_bid_too_dear() -> None:
    [order] = submitted_orders(Coin().book(56, 60))
    assert (order.side, order.price) == (ASK, cents(56))


def test_within_the_fees_and_the_wanted_edge_it_does_nothing() -> None:
    """At 45 cents a taker pays 1.74 cents a contract: the edge of 5 is one of 3.26."""
    assert submitted_orders(Coin().book(43, 45)) != []
    assert submitted_orders(Coin().book(43, 46)) == []
    assert submitted_orders(Coin(min_edge=cents(4)).book(43, 45)) == []


@pytest.mark.parametrize(
    ("terms", "fair"),
    [
        ({"strike_type": "greater_or_equal"}, 5_000),
        ({"strike_type": "less", "floor_strike": None, "cap_strike": 100.0}, 5_000),
        ({"strike_type": "between", "floor_strike": 1.0, "cap_strike": 100.0}, 5_000),
        ({"strike_type": "", "floor_strike": 100.0}, 5_000),
        ({"strike_type": "structured"}, None),
        ({"strike_type": "greater", "floor_strike": None}, None),
        ({"strike_type": "between", "cap_strike": None}, None),
    ],
)
def test_the_terms_of_the_market_decide_what_it_is_a_chance_of(terms: dict[str, Any], fair: int | None) -> None:
    orders = submitted_orders(Coin(**terms).book(40, 44))
    assert [order.fair for order in orders] == ([fair] if fair else [])


def test_further_from_the_strike_it_believes_what_the_normal_model_says() -> None:
    above = math.exp(VOL * math.sqrt(1_000 - 40))  # one standard deviation
    coin = Coin(spot=100 * above)
    [order] = submitted_orders(coin.book(60, 70))
    assert order.fair == pytest.approx(8_413, abs=150), "one bar more or less of volatility"


@pytest.mark.parametrize(
    "changes",
    [
        {"bars": 10},  # ten bars make nine moves
        {"left_s": 4_000},
        {"spot": 1.0},  # worth nearly nothing, and offered at 44: it would sell at 2 cents
        {"series": "KXB:BTC"},
        {"series": "KX:BTC"},  # a question of another kind: its highest price until then, for example
        {"min_price": cents(45)},
    ],
)
def test_it_keeps_its_hands_off(changes: dict[str, Any]) -> None:
    bid, ask = (2, 44) if "spot" in changes else (43, 44)
    assert submitted_orders(Coin(**changes).book(bid, ask)) == []


def test_without_a_fresh_price_nothing_is_opened_and_what_rests_is_taken_back() -> None:
    coin = Coin()
    [order] = submitted_orders(coin.book(40, 44, size=2))
    assert order.tif is TimeInForce.GTC
    assert coin.held == contracts(2), "three rest"
    assert cancel_reasons(coin.tape.tick(9.9)) == []
    assert cancel_reasons(coin.tape.tick(0.2)) == ["no current outside price"]
    assert submitted_orders(coin.book(30, 34)) == []
    coin.spot(100.0)
    assert coin.held == contracts(2)


def test_a_price_of_another_coin_is_none_of_this_one() -> None:
    coin = Coin()
    coin.tape.at += 10.1
    coin.spot(100.0, "ETH")
    assert submitted_orders(coin.book(40, 44)) == []
    assert submitted_orders(coin.spot(100.0)) != []


def test_an_order_whose_edge_is_gone_is_taken_back() -> None:
    coin = Coin()
    coin.book(40, 44, size=2)
    assert cancel_reasons(coin.tape.tick(1)) == []
    assert cancel_reasons(coin.spot(99.5)) == ["edge is gone"], "at once"


def test_what_does_not_fill_in_time_is_taken_back() -> None:
    coin = Coin()
    coin.book(40, 44, size=2)
    for _ in range(4):
        coin.spot(100.0)
        assert cancel_reasons(coin.tape.tick(5)) == []
    coin.spot(100.0)
    assert cancel_reasons(coin.tape.tick(1)) == ["not filled in time"]


def test_a_position_is_closed_when_the_market_pays_what_it_is_worth() -> None:
    coin = Coin()
    coin.book(40, 44)
    coin.spot(100.0)
    assert submitted_orders(coin.book(49, 51, after=4)) == [], "after the fee 49 is less than 50"
    coin.spot(100.0)
    [order] = submitted_orders(coin.book(52, 54, after=4))
    assert (order.side, order.price, order.tif, order.reduce_only) == (ASK, cents(52), TimeInForce.IOC, True)
    assert coin.held == 0


def test_before_the_close_it_gives_way_by_no_more_than_its_slippage() -> None:
    """Shortly before a close nobody may be there but one who bids a cent for what is worth fifty."""
    coin = Coin(left_s=130.0)
    assert submitted_orders(coin.book(40, 44))
    coin.tape.at += 9
    coin.spot(100.0)
    assert submitted_orders(coin.book(41, 90, after=2)) == [], "nine, and the fee"
    [closed] = submitted_orders(coin.book(42, 90, after=0.1))
    assert (closed.price, closed.reason) == (cents(42), "market closes soon")


def test_before_the_close_it_gets_out_at_what_is_there_and_does_not_get_in_again() -> None:
    coin = Coin(left_s=130.0, slippage=cents(40))
    [opened] = submitted_orders(coin.book(40, 44))
    assert opened.side is BID
    coin.tape.at += 9
    coin.spot(100.0)
    [closed] = submitted_orders(coin.book(20, 24, after=2))
    assert (closed.side, closed.price, closed.reduce_only) == (ASK, cents(20), True)
    coin.spot(100.0)
    assert submitted_orders(coin.book(20, 24, after=4)) == []


def test_only_so_many_markets_of_one_coin_are_entered() -> None:
    coin = Coin(max_markets=1)
    other = market("KXA-2", close_time=Ts(T0 + 1_120_000), floor_strike=100.0, strike_type="greater")
    coin.tape.play(MarketChange(coin.tape.now, other, FeeSchedule()))
    coin.book(40, 44)
    assert coin.held == contracts(5)

    def cheap() -> list[Effect]:
        levels = (((cents(40), contracts(9)),), ((cents(44), contracts(9)),))
        return coin.tape.play(BookSnapshot(coin.tape.now, "KXA-2", *levels))

    assert submitted_orders(cheap()) == []
    coin.spot(100.0)
    coin.book(52, 54, after=4)
    assert coin.held == 0
    coin.tape.tick(1)
    assert [order.ticker for order in submitted_orders(coin.tape.effects)] == [TICKER, TICKER, "KXA-2"]


def test_indicators_move_what_it_believes_by_no_more_than_they_may() -> None:
    rising: dict[str, Any] = {"bars": 60, "max_tilt": 0.5}
    fairs = []
    for most in (0.0, 0.5):
        coin = Coin(**(rising | {"max_tilt": most}))
        for _ in range(40):  # a straight way up to the strike, on which all indicators agree
            coin.tape.at += 10
            coin.spot(100.0 - 0.02 * (40 - _))
        fairs.append(coin.strategy.fair(StrategyContext(coin.tape.engine.state, "crypto-ta"), TICKER))
    plain, moved = fairs
    assert plain is not None
    assert moved is not None
    assert plain < moved <= 6_916, "half a standard deviation from one half at most"


def test_until_it_has_enough_bars_of_a_coin_whose_markets_it_trades_it_says_so() -> None:
    coin = Coin(bars=5, series="KXA:BTC,KXETH:ETH")
    coin.tape.tick()
    assert coin.tape.engine.hooks.waiting == "crypto-ta: 4 of 10 bars of BTC"
    coin = Coin(series="KXA:BTC,KXETH:ETH")
    coin.tape.tick()
    assert coin.tape.engine.hooks.waiting == ""
