"""The recorded time without an outside price is counted by coin, and adds up over runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec
import pytest
from support.values import make_market

from kalshi_cli.base.units import Ts, cents, contracts
from kalshi_cli.core.model.messages import (
    BookSnapshot,
    FairValue,
    FeedGap,
    MarketChange,
    Message,
    NewsSignal,
    RecordingEnded,
    SpotPrice,
    SpotUnavailable,
    Tick,
)
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.feeds.replay import ENDED
from kalshi_cli.services.research.report.outside_gaps import OutsideGaps
from kalshi_cli.services.research.report.unknown import add_up, lines_of

T0 = Ts(1_780_000_000_000)


def at(second: float) -> Ts:
    return Ts(T0 + round(second * 1000))


def price(second: float, coin: str = "BTC") -> SpotPrice:
    return SpotPrice(at(second), coin, 80_000_0000, "coinbase", 1)


def recorded(start: float, *messages: Message, ticker: str = "KXBTC15M-1", close: float = 1_000) -> list[Message]:
    """Return a recording of a market that begins at this second."""
    market = msgspec.structs.replace(make_market(ticker), close_time=at(close))
    levels = ((cents(40), contracts(9)),)
    return [MarketChange(at(start), market, None), BookSnapshot(at(start), ticker, levels, ()), *messages]


def gaps_of(messages: Iterable[Message], coins: Collection[str] = ("BTC",), age_s: float | None = 5) -> OutsideGaps:
    gaps = OutsideGaps(coins, ())
    gaps.age_s = lambda _coin: age_s
    for message in messages:
        gaps.follow(message)
    return gaps


def lost(messages: Iterable[Message], coins: Collection[str] = ("BTC",), age_s: float | None = 5) -> list[float]:
    return [each.lost_s for each in gaps_of(messages, coins, age_s).unknown()]


ENDING = RecordingEnded(at(100))


@pytest.mark.parametrize(
    ("messages", "seconds"),
    [
        ([price(-200), *recorded(0, ENDING), price(300)], 100),  # only prices of other times
        ([*recorded(0, price(10), ENDING)], 95),  # 10 s before the first, 85 s from 5 s after it
        ([*recorded(0, price(0), price(4), price(9), SpotUnavailable(at(10), "BTC"), ENDING)], 90),
        ([price(-2), *recorded(0, ENDING, close=50)], 47),  # to the close of the market
        ([*recorded(0, FeedGap(at(40), (), ENDED)), Tick(at(70)), *recorded(90, ENDING)], 50),  # not between two
    ],
)
def test_the_time_without_a_price_of_the_accepted_age_is_counted(messages: list[Message], seconds: float) -> None:
    assert lost(messages) == [seconds]


def test_a_strategy_that_asks_for_no_age_counts_ten_seconds() -> None:
    assert lost(recorded(0, price(0), ENDING), age_s=None) == [90]


@pytest.mark.parametrize(
    ("ticker", "seconds"),
    [("KXETHD-26MAY01-T1", [0, 100]), ("KXETH15M-1", [0, 100]), ("KXBTC-ETH", [100, 0]), ("KXSOL-1", [100, 100])],
)
def test_a_coin_counts_in_its_own_markets_and_every_coin_in_those_of_none(ticker: str, seconds: list[float]) -> None:
    assert lost(recorded(0, ENDING, ticker=ticker), ("BTC", "ETH")) == seconds


@pytest.mark.parametrize(("age_s", "own"), [(5, "5"), (None, "10")])  # None: it never asked, for lack of prices
def test_runs_with_and_without_prices_add_up_in_one_line(age_s: float | None, own: str) -> None:
    with_price = gaps_of(recorded(0, *(price(second) for second in range(0, 100, 4)), ENDING)).unknown()
    without = [*gaps_of(recorded(0, ENDING), age_s=age_s).unknown()]
    end = " of recording; the strategy could not use it there"
    assert lines_of(without) == (f"outside price of BTC: none of the last {own} s in all 100.0 s{end}",)
    assert lines_of(add_up([*with_price, *without])) == (
        f"outside price of BTC: none of the last 5 s in 100.0 s of 200.0 s{end}",
    )


@pytest.mark.parametrize(
    ("message", "count"),
    [
        (FairValue(at(-60), "KXA-1", cents(40), "fairs.csv", at(10)), 1),
        (FairValue(at(-60), "KXA-1", cents(40), "fairs.csv", at(-10)), 2),
        (NewsSignal(at(-60), "n1", "KXA*", BID, 5_000), 2),
    ],
)
def test_a_recording_without_any_probability_or_news_is_named(message: Message, count: int) -> None:
    gaps = OutsideGaps((), (FairValue, NewsSignal))
    for each in [message, *recorded(0, ENDING)]:
        gaps.follow(each)
    assert len(lines_of(gaps.unknown())) == count
