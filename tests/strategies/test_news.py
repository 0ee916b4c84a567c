"""news on scripted signals and books: how they add up and wear off, when it trades on them, and when it gets out."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from support.tape import NO_LIMITS, TICKER, StrategyHarness, cancel_reasons, held, market, submitted_orders

from kalshi_cli.base.units import Ts, cents, contracts
from kalshi_cli.core.model.effects import Effect
from kalshi_cli.core.model.inputs import SignalInput
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.messages import BookSnapshot, MarketChange, NewsSignal
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.strategies import news as module
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.news import News, NewsParams

USUAL: dict[str, Any] = {"source": "-", "max_shift": cents(20), "half_life_s": 100.0}


class Paper:
    """A tape with a book of 49 and 51 cents, a strategy that hears news, and the news."""

    def __init__(self, *, limits: RiskLimits = NO_LIMITS, **params: Any) -> None:
        self.strategy = News(NewsParams(**(USUAL | params)))
        self.tape = StrategyHarness(self.strategy, limits=limits)
        self._ids = count(1)
        self.book(49, 51)

    def tell(self, confidence: float, side: Side = BID, *, name: str = "", about: str = TICKER) -> list[Effect]:
        name = name or f"n{next(self._ids)}"
        return self.tape.play(NewsSignal(self.tape.now, name, about, side, round(confidence * 10_000), "a text"))

    def book(self, bid: int, ask: int, **more: Any) -> list[Effect]:
        return self.tape.book(bid, ask, **({"after": 4.0} | more))

    @property
    def held(self) -> int:
        self.tape.tick(0.001)
        return self.tape.position


def fair_after(*signals: tuple[float, Side], later_s: float = 0.0, **params: Any) -> int:
    """What it believes after these signals, with a book that moved in its favour so that it trades on whatever."""
    paper = Paper(edge=cents(1), exit_strength=0.001, **params)
    paper.book(1, 99, after=0.0)
    for confidence, side in signals:
        paper.tell(confidence, side)
    [order] = submitted_orders(paper.book(5, 6, after=later_s)) or submitted_orders(paper.book(94, 95, after=0.0))
    assert order.fair is not None
    return order.fair


@pytest.mark.parametrize(("confidence", "trades"), [(0.69, False), (0.7, True), (0.95, True)])
def test_signals_below_the_minimum_confidence_are_ignored(confidence: float, trades: bool) -> None:
    paper = Paper(min_confidence=0.7)
    assert bool(submitted_orders(paper.tell(confidence))) is trades
    assert bool(submitted_orders(Paper().tell(0.69))), "by default none is"


def test_what_became_known_a_while_ago_has_worn_off_since() -> None:
    """A sender that tries again for an hour, or a queue that stood still, brings no news."""
    paper = Paper()
    hour_ago = NewsSignal(Ts(paper.tape.now - 3_600_000), "old", TICKER, BID, 9_000)
    assert submitted_orders(paper.tape.play(hour_ago)) == []
    half = NewsSignal(Ts(paper.tape.now - 100_000), "half", TICKER, BID, 9_000)
    (order,) = submitted_orders(paper.tape.play(half))
    assert order.fair == 5_000 + 900, "after one half-life"


@pytest.mark.parametrize(("back_s", "left"), [(3, 0.9), (3_600, 0.0)])
def test_after_the_clock_was_set_back_nothing_from_before_is_news(back_s: int, left: float) -> None:
    """By a little it is as if no time had passed: more than was heard would be more than certainty."""
    paper = Paper()
    paper.tell(0.9)
    track = paper.strategy._tracks[TICKER]
    assert paper.strategy.strength(track, paper.tape.now) == pytest.approx(0.9)
    assert paper.strategy.strength(track, Ts(paper.tape.now - back_s * 1000)) == pytest.approx(left)
    paper.tape.tick(-back_s)
    assert paper.strategy.name not in paper.tape.engine.failed


def test_it_asks_for_its_source() -> None:
    strategy = registry.make("news", {"source": "-"})
    assert strategy.inputs() == (SignalInput(source="-"),)
    again = registry.make("news", {"source": "n.jsonl", "from_start": "true"})
    assert again.inputs() == (SignalInput(source="n.jsonl", from_start=True),)


def test_it_buys_what_the_news_makes_likelier_and_says_why() -> None:
    paper = Paper()
    [order] = submitted_orders(paper.tell(0.5))
    assert (order.side, order.price, order.qty, order.fair) == (BID, cents(51), contracts(5), cents(60))
    assert "$0.50 to $0.60" in order.reason
    assert paper.held == contracts(5)


def test_it_sells_what_the_news_makes_less_likely() -> None:
    paper = Paper()
    [order] = submitted_orders(paper.tell(0.5, ASK))
    assert (order.side, order.price, order.fair) == (ASK, cents(49), cents(40))
    assert paper.held == -contracts(5)


def test_a_signal_that_does_not_beat_the_price_and_the_fee_is_not_traded_on() -> None:
    """At 51 cents a taker pays 1.75 cents: of 60 that leaves 7.25."""
    assert submitted_orders(Paper(edge=cents(8)).tell(0.5)) == []
    assert submitted_orders(Paper(edge=cents(7)).tell(0.5)) != []
    assert submitted_orders(Paper().tell(0.2)) == [], "54 against 52.75"


def test_the_price_that_others_already_moved_is_not_moved_again() -> None:
    """What counts is the mid from before the news."""
    paper = Paper(edge=cents(12))
    assert submitted_orders(paper.tell(0.5)) == []
    assert submitted_orders(paper.book(58, 59)) == []
    paper.tell(0.1)
    assert submitted_orders(paper.book(40, 42)) != [], "50 moved by more than 10, and not 41"


def test_signals_wear_off() -> None:
    assert fair_after((0.4, BID)) == cents(58)
    assert fair_after((0.4, BID), later_s=100) == cents(54)
    assert fair_after((0.4, BID), later_s=200) == cents(52)


def test_signals_add_up_as_odds_and_never_beyond_certainty() -> None:
    """(0.5 + 0.5) / (1 + 0.5 x 0.5) = 0.8."""
    assert fair_after((0.5, BID), (0.5, BID)) == cents(66)
    assert fair_after((0.5, BID), (0.5, ASK), (0.4, BID)) == cents(58)
    assert fair_after(*[(0.9, BID)] * 8) == cents(70)
    assert fair_after((1.0, ASK)) == pytest.approx(cents(30), abs=3)


def test_a_signal_that_comes_twice_is_one() -> None:
    paper = Paper(edge=cents(12))
    assert submitted_orders(paper.tell(0.5, name="same")) == []
    assert submitted_orders(paper.tell(0.5, name="same")) == []
    assert submitted_orders(paper.tell(0.5, name="other")) != []


def test_of_very_many_ids_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_IDS", 2)
    paper = Paper(edge=cents(12))
    for name in ("a", "b", "c", "a"):
        last = submitted_orders(paper.tell(0.5 if name == "a" else 0.0, name=name))
    assert last != [], "a counts again"


def test_a_star_names_every_market_that_begins_so() -> None:
    for about, trades in (("KXA*", True), ("*", True), ("KXA", False), ("KXB*", False)):
        assert (submitted_orders(Paper().tell(0.5, about=about)) != []) is trades, about


def test_only_so_many_markets_are_entered_on_one_signal() -> None:
    paper = Paper(max_markets=1)
    paper.tape.play(MarketChange(paper.tape.now, market("KXA-2"), FeeSchedule()))
    levels = (((cents(49), contracts(9)),), ((cents(51), contracts(9)),))
    paper.tape.play(BookSnapshot(paper.tape.now, "KXA-2", *levels))
    assert [order.ticker for order in submitted_orders(paper.tell(0.5, about="KXA*"))] == [TICKER]


def test_without_a_price_from_before_the_news_it_does_nothing() -> None:
    paper = Paper()
    paper.tape.engine.state.books[TICKER].invalidate("gap")
    assert submitted_orders(paper.tell(0.9)) == []
    assert submitted_orders(paper.book(49, 51)) == []


@pytest.mark.parametrize(
    ("bid", "ask", "after", "why"),
    [(56, 58, 4, "target"), (43, 45, 4, "stop"), (50, 52, 61, "time"), (50, 52, 4, None)],
)
def test_it_gets_out_at_the_target_at_the_stop_and_in_time(bid: int, ask: int, after: float, why: str | None) -> None:
    paper = Paper(hold_s=60)
    paper.tell(0.5)
    assert paper.held == contracts(5)
    orders = submitted_orders(paper.book(bid, ask, after=after))
    assert [order.reason for order in orders] == ([why] if why else [])
    if why:
        assert (orders[0].side, orders[0].price, orders[0].tif, orders[0].reduce_only) == (
            ASK, cents(bid), TimeInForce.IOC, True,
        )  # fmt: skip
        assert paper.held == 0


def test_it_gets_out_when_the_news_wore_off_or_turned() -> None:
    paper = Paper()
    paper.tell(0.4)
    assert paper.held == contracts(5)
    assert submitted_orders(paper.tape.tick(190)) == []
    assert [order.reason for order in submitted_orders(paper.tape.tick(20))] == ["signal expired"], (
        "a tenth is left after two half lives"
    )
    other = Paper()
    other.tell(0.4)
    assert other.held == contracts(5)
    other.tape.at += 4
    assert [order.reason for order in submitted_orders(other.tell(0.4, ASK))] == ["signal expired"]


def test_the_same_news_does_not_open_a_market_again() -> None:
    paper = Paper()
    paper.tell(0.9)
    assert paper.held == contracts(5)
    paper.book(43, 45)
    assert paper.held == 0
    for _ in range(3):
        assert submitted_orders(paper.book(43, 45)) == []
    assert submitted_orders(paper.tell(0.9)) != [], "other news does"


def test_an_entry_that_does_not_fill_is_taken_back() -> None:
    paper = Paper(rest_s=5)
    paper.book(49, 51, size=2)
    paper.tell(0.5)
    assert paper.held == contracts(2), "three rest"
    assert cancel_reasons(paper.tape.tick(4.9)) == []
    assert cancel_reasons(paper.tape.tick(0.2)) == ["not filled in time"]


def test_an_entry_that_a_limit_refused_is_tried_again_while_the_news_lasts() -> None:
    paper = Paper(limits=RiskLimits(min_edge=None, max_order_qty=contracts(1), max_book_age_ms=None))
    assert submitted_orders(paper.tell(0.5)) == []
    denied = len(paper.tape.effects)
    paper.tape.tick(3)
    assert len(paper.tape.effects) > denied, "refused again, and recorded"


def test_a_position_of_an_earlier_run_is_closed_because_its_news_is_not_known_any_more() -> None:
    tape = StrategyHarness(News(NewsParams(**USUAL)))
    tape.recall([_order_of_old()], [held()])
    assert [order.reason for order in submitted_orders(tape.book(49, 51))] == ["signal expired"]


def _order_of_old() -> Any:
    from kalshi_cli.core.model.orders import Order, OrderStatus

    fill = held()
    return Order(
        client_order_id=fill.client_order_id, order_id=fill.order_id, ticker=TICKER, side=fill.side, price=fill.price,
        qty=fill.qty, filled=fill.qty, status=OrderStatus.FILLED, created=fill.ts, updated=fill.ts, strategy="news",
    )  # fmt: skip
