"""What comes from outside the exchange: prices, beliefs and news reach the strategies, and grow old."""

from __future__ import annotations

from collections.abc import Iterable

from support.values import NOW, make_engine, make_market

from kalshi_cli.base.units import Price, Qty, Ts, cents, contracts
from kalshi_cli.core.model.intents import Intent
from kalshi_cli.core.model.markets import Family
from kalshi_cli.core.model.messages import FairValue, MarketChange, NewsSignal, Quote, SpotPrice, SpotUnavailable, Tick
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams


class Listener(Strategy):
    """Remembers what it is told."""

    name = "listener"

    def __init__(self) -> None:
        super().__init__(StrategyParams())
        self.heard: list[object] = []

    def on_spot(self, view: StrategyContext, spot: SpotPrice) -> Iterable[Intent] | None:
        self.heard.append(spot)
        return None

    def on_fair(self, view: StrategyContext, fair: FairValue) -> Iterable[Intent] | None:
        self.heard.append(fair)
        return None

    def on_signal(self, view: StrategyContext, signal: NewsSignal) -> Iterable[Intent] | None:
        self.heard.append(signal)
        return None


def test_prices_beliefs_and_news_from_outside_reach_every_strategy() -> None:
    one = Listener()
    engine = make_engine(one)
    spot = SpotPrice(NOW, "BTC", 860_000_000, "coinbase", 1_000_000)
    fair = FairValue(NOW, "KXA-1", cents(62), "model.csv")
    signal = NewsSignal(NOW, "n1", "KX*", BID, 8_000)
    for message in (spot, fair, signal):
        engine.step(message)
    assert one.heard == [spot, fair, signal]


def test_an_outside_price_is_seen_while_it_is_young() -> None:
    engine = make_engine()
    view = StrategyContext(engine.state, "any")
    assert view.spot("BTC", within_s=5) is None
    engine.step(SpotPrice(NOW, "BTC", 860_000_000, "coinbase"))
    engine.step(Tick(Ts(NOW + 5_000)))
    assert view.spot("BTC", within_s=5) == 860_000_000
    engine.step(Tick(Ts(NOW + 5_001)))
    assert view.spot("BTC", within_s=5) is None


def test_a_price_that_is_disputed_is_seen_no_more_until_there_is_one_again() -> None:
    one = Listener()
    engine = make_engine(one)
    view = StrategyContext(engine.state, "any")
    for coin in ("BTC", "ETH"):
        engine.step(SpotPrice(NOW, coin, 860_000_000, "coinbase"))
    assert engine.step(SpotUnavailable(NOW, "BTC")) == engine.step(SpotUnavailable(NOW, "DOGE")) == []
    assert (view.spot("BTC", within_s=5), view.spot("ETH", within_s=5)) == (None, 860_000_000)
    engine.step(SpotPrice(NOW, "BTC", 850_000_000, "coinbase"))
    assert view.spot("BTC", within_s=5) == 850_000_000
    assert len(one.heard) == 3, "prices, and nothing else"


def test_a_belief_is_seen_until_it_is_over() -> None:
    engine = make_engine()
    view = StrategyContext(engine.state, "any")
    assert view.fair("KXA-1") is None
    engine.step(FairValue(NOW, "KXA-1", Price(6_200), "model", Ts(NOW + 1_000)))
    assert view.fair("KXA-1") == 6_200
    engine.step(Tick(Ts(NOW + 1_001)))
    assert view.fair("KXA-1") is None
    engine.step(FairValue(Ts(NOW + 2_000), "KXA-1", Price(6_300), "model"))
    engine.step(Tick(Ts(NOW + 90_000_000)))
    assert view.fair("KXA-1") == 6_300, "without an end it holds until something else is said"


def test_a_market_brings_its_family_and_knows_its_siblings() -> None:
    engine = make_engine()
    view = StrategyContext(engine.state, "any")
    market = make_market()
    family = Family(event_ticker=market.event_ticker, series_ticker="KX", category="Crypto", is_exclusive=True)
    assert view.family(market.ticker) == Family(event_ticker=market.event_ticker)
    engine.step(MarketChange(NOW, market, family=family))
    assert view.family(market.ticker) == family
    assert view.siblings(market.ticker) == [market.ticker]
    assert view.siblings("NOT-HERE") == []
    assert view.fees(market.ticker) == engine.state.fees.get(market.ticker, view.fees("NOT-HERE"))


def test_families_can_be_known_from_the_start() -> None:
    state = EngineState(now=NOW, families={"E": Family(event_ticker="E", is_exclusive=True)})
    assert state.family("E").is_exclusive
    assert not state.family("F").is_exclusive


def test_the_volume_of_a_market_is_that_of_its_reading_or_of_a_later_ticker_message() -> None:
    engine = make_engine(state=EngineState(markets=[make_market("KXA-1", volume=contracts(50))], now=NOW))
    view = StrategyContext(engine.state, "any")
    for told, seen in ((20, 50), (80, 80)):
        engine.step(Quote(NOW, "KXA-1", None, Qty(0), None, Qty(0), None, contracts(told)))
        market = view.market("KXA-1")
        assert market is not None
        assert market.volume == contracts(seen)
