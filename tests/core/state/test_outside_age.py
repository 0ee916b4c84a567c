"""What was heard from outside counts while it is young, and not after the clock was set back."""

from __future__ import annotations

import pytest

from kalshi_cli.base.units import Ts, cents
from kalshi_cli.core.model.messages import FairValue, ReferencePrice, SpotPrice
from kalshi_cli.core.state.order_rate import AHEAD_MS
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.core.state.view import INDEX_MS, StrategyContext

HEARD = Ts(1_780_000_000_000)
TICKER = "KXBTCD-1"


def view_at(after_ms: int) -> StrategyContext:
    state = EngineState(now=Ts(HEARD + after_ms), references={"KXBTC": "BRTI"})
    state.spots["BTC"] = SpotPrice(HEARD, "BTC", 800_000_000, "coinbase", 1)
    state.fairs[TICKER] = FairValue(HEARD, TICKER, cents(40), "fairs.csv", Ts(HEARD + 300_000))
    state.fairs["KXA-1"] = FairValue(HEARD, "KXA-1", cents(50), "mine")
    state.indexes["BRTI"] = ReferencePrice(HEARD, "BRTI", 123)
    return StrategyContext(state, "mine")


@pytest.mark.parametrize(
    ("after_ms", "spot", "fair", "endless", "index"),
    [
        (-3_600_000, False, False, False, False),
        (-AHEAD_MS - 1, False, False, False, False),
        (-AHEAD_MS, True, True, True, True),
        (0, True, True, True, True),
        (10_000, True, True, True, True),
        (10_001, False, True, True, True),
        (INDEX_MS, False, True, True, True),
        (INDEX_MS + 1, False, True, True, False),
        (300_000, False, True, True, False),
        (300_001, False, False, True, False),
    ],
)
def test_each_is_known_for_as_long_as_it_holds_and_not_before_it_was_heard(
    after_ms: int, *, spot: bool, fair: bool, endless: bool, index: bool
) -> None:
    view = view_at(after_ms)
    assert (view.spot("BTC", 10.0) is not None) is spot
    assert (view.fair(TICKER) is not None) is fair
    assert (view.fair("KXA-1") is not None) is endless
    assert (view.reference(TICKER) is not None) is index


def test_of_what_was_never_heard_nothing_is_known() -> None:
    view = view_at(0)
    assert (view.spot("ETH", 10.0), view.fair("KXB-1"), view.reference("KXETHD-1")) == (None, None, None)
