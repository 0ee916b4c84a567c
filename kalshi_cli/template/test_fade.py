"""Tests of fade on written order books; run them with `python test_fade.py`, or with pytest."""

from fade import Fade, FadeParams

from kalshi_cli.strategies.api import BID, cents, contracts
from kalshi_cli.testing import StrategyHarness, submitted_orders


def test_it_buys_what_is_cheap() -> None:
    """An ask below the limit is bought at its price."""
    tape = StrategyHarness(Fade(FadeParams()))
    (order,) = submitted_orders(tape.book(bid=17, ask=19))
    assert (order.side, order.price, order.qty) == (BID, cents(19), contracts(5))
    assert order.fair == cents(24)


def test_it_does_not_buy_above_the_limit() -> None:
    """An ask above the limit is not bought."""
    tape = StrategyHarness(Fade(FadeParams(limit=cents(15))))
    assert submitted_orders(tape.book(bid=17, ask=19)) == []


def test_it_places_no_second_order_while_one_rests() -> None:
    """While an order rests, no second one is placed."""
    tape = StrategyHarness(Fade(FadeParams(size=contracts(200))))
    assert len(submitted_orders(tape.book(bid=17, ask=19, size=100))) == 1
    assert submitted_orders(tape.book(bid=17, ask=20, size=100)) == []


def test_it_buys_once() -> None:
    """After the first fill, nothing more is bought."""
    tape = StrategyHarness(Fade(FadeParams()))
    tape.book(bid=17, ask=19)
    tape.tick()
    assert tape.position == contracts(5)
    assert submitted_orders(tape.book(bid=14, ask=16)) == []


if __name__ == "__main__":  # without pytest
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print(name, "passed")
