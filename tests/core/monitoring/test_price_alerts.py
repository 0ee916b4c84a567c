"""Price and fill alerts: when one is due, and what is told of prices that cannot be read."""

from __future__ import annotations

from typing import Literal

import pytest
from msgspec.structs import replace
from support.values import NOW, make_fill, make_order

from kalshi_cli.base.units import Price, Ts, cents, contracts
from kalshi_cli.core.model.effects import AlertRaised, FillBooked
from kalshi_cli.core.model.order_terms import ASK
from kalshi_cli.core.model.orders import Fill, OrderStatus
from kalshi_cli.core.monitoring.alert_board import Board
from kalshi_cli.core.monitoring.incidents import AlertPolicy
from kalshi_cli.core.monitoring.price_alerts import UNREAD_MS, EndedReason, PriceAlert, TopPrices, UnreadPrices, fired

A, B = "KXA-1", "KXB-1"


def alert(kind: Literal["above", "below", "fills"], price: Price | None = None, ticker: str = A) -> PriceAlert:
    return PriceAlert(alert_id="1", ticker=ticker, kind=kind, price=price, created=NOW)


def due(one: PriceAlert, *fills: Fill, **prices: int | None) -> list[tuple[str, str]]:
    top = (
        TopPrices(**{side: None if price is None else cents(price) for side, price in prices.items()})
        if prices
        else None
    )
    found = fired([one], {A: top} if top is not None else {}, [FillBooked(each) for each in fills], NOW)
    assert all(each.alert is one and each.told.tier == "warning" for each in found)
    assert all(each.told.subject.startswith(f"{A} ") for each in found)
    return [(each.told.code, each.told.text) for each in found]


@pytest.mark.parametrize(
    ("kind", "bid", "ask", "is_due"),
    [
        ("above", 59, 61, False), ("above", 60, 61, True), ("above", 75, None, True), ("above", None, 99, False),
        ("below", 1, 61, False), ("below", 1, 60, True), ("below", None, 40, True), ("below", 1, None, False),
    ],
)  # fmt: skip
def test_a_price_alert_is_due_at_its_price_and_beyond(
    kind: Literal["above", "below"], bid: int | None, ask: int | None, is_due: bool
) -> None:
    found = due(alert(kind, cents(60)), bid=bid, ask=ask)
    assert bool(found) is is_due
    assert not found or (found[0][0] == "PRICE_ALERT" and "$0.60" in found[0][1])


def test_an_alert_on_the_price_of_no_compares_with_the_prices_of_no() -> None:
    above = replace(alert("above", cents(60)), side="no")
    assert due(above, bid=30, ask=41) == []
    assert due(above, bid=None, ask=None) == []
    assert due(above, bid=30, ask=40) == [("PRICE_ALERT", "the best NO bid is $0.60, at or above $0.60")]
    below = replace(alert("below", cents(60)), side="no")
    assert due(below, bid=39, ask=99) == []
    assert due(below, bid=41, ask=99) == [("PRICE_ALERT", "the best NO ask is $0.59, at or below $0.60")]


def test_two_alerts_of_a_market_are_two_subjects() -> None:
    one = alert("above", cents(60))
    alerts = [one, replace(one, alert_id="2", side="no"), replace(one, alert_id="3", kind="fills", price=None)]
    assert [each.subject for each in alerts] == [
        f"{A} above $0.60 (alert 1)", f"{A} NO above $0.60 (alert 2)", f"{A} fills (alert 3)",
    ]  # fmt: skip
    same = [one, replace(one, alert_id="4")]
    found = fired(same, {A: TopPrices(cents(60), None)}, [], NOW)
    board = Board(AlertPolicy(group_ms=1_000, repeat_ms=3_600_000, stale_ms=3_600_000), "sim", lambda: "id")
    for each in found:
        board.happen(each.told, NOW)
    assert [notice.subjects for notice in board.decide(NOW).notices] == [(one.subject, same[1].subject)]
    again = fired([replace(one, alert_id="5")], {A: TopPrices(cents(60), None)}, [], Ts(NOW + 1_000))
    board.happen(again[0].told, Ts(NOW + 1_000))
    assert board.decide(Ts(NOW + 1_000)).notices, "an alert that is added again is sent again"


def test_without_prices_nothing_is_due() -> None:
    assert due(alert("above", cents(1))) == []
    assert due(alert("below", cents(99))) == []


def test_a_fill_counts_in_its_market_after_the_alert_was_added() -> None:
    assert due(alert("fills")) == []
    assert due(alert("fills"), make_fill(ticker=B, ts=NOW), make_fill(ticker=A, ts=Ts(NOW - 1))) == []
    ((code, text),) = due(alert("fills"), make_fill(ticker=A, ts=NOW))
    assert (code, text[:6]) == ("FILL_ALERT", "bought")
    ((_, sold),) = due(alert("fills"), make_fill(ticker=A, ts=NOW, side=ASK))
    assert sold.startswith("bought 10 NO at "), "it sold nothing that was held"


def test_the_fills_of_each_order_are_told_together_at_their_average_price() -> None:
    fills = [
        make_fill(trade_id=f"t{at}", order_id=name, ticker=A, ts=NOW, price=cents(price), qty=contracts(qty))
        for at, (name, price, qty) in enumerate([("o1", 40, 30), ("o1", 44, 10), ("o2", 60, 5)])
    ]
    ((_, text),) = due(alert("fills"), *fills)
    assert text == "bought 40 YES at $0.41 in 2 fills so far; bought 5 YES at $0.60 so far"
    more = [make_fill(trade_id=f"m{at}", order_id=f"m{at}", ticker=A, ts=NOW) for at in range(3)]
    ((_, text),) = due(alert("fills"), *fills, *more)
    assert text.count("bought") == 3
    assert text.endswith("; and 2 more")


def test_an_order_that_is_over_did_all_of_it() -> None:
    fill = make_fill(ticker=A, ts=NOW, price=cents(40), qty=contracts(30))
    found = [
        fired([alert("fills")], {}, [FillBooked(fill, make_order(status=status))], NOW)[0].told.text
        for status in (OrderStatus.RESTING, OrderStatus.FILLED)
    ]
    assert found == ["bought 30 YES at $0.40 so far", "bought 30 YES at $0.40"]


def told(alerts: list[AlertRaised]) -> list[tuple[str, str]]:
    return [(each.code, each.subject) for each in alerts]


def test_prices_that_stay_unread_are_told_once_and_their_return_too() -> None:
    watch = UnreadPrices(())
    assert watch.look({A: "no answer"}, NOW) == []
    assert watch.look({A: "no answer"}, Ts(NOW + UNREAD_MS - 1)) == []
    (alert,) = watch.look({A: "no answer"}, Ts(NOW + UNREAD_MS))
    assert told([alert]) == [("PRICE_ALERT_BLIND", A)]
    assert "no answer" in alert.text
    assert watch.look({A: "no answer"}, Ts(NOW + 2 * UNREAD_MS)) == []
    assert told(watch.look({}, Ts(NOW + 3 * UNREAD_MS))) == [("PRICE_ALERT_SIGHTED", A)]
    assert watch.look({}, Ts(NOW + 4 * UNREAD_MS)) == []


def test_a_market_that_has_ended_is_named_at_once_and_only_once() -> None:
    watch, unread = UnreadPrices(()), {A: "no answer", "KXA-2": EndedReason("the market is finalized")}
    (alert,) = watch.look(unread, NOW)
    assert (alert.subject, alert.text.endswith(": the market is finalized")) == ("KXA-2", True)
    assert watch.look(unread, Ts(NOW + 1)) == []


def test_a_short_gap_is_not_told_and_does_not_add_up() -> None:
    watch = UnreadPrices(())
    watch.look({A: "x"}, NOW)
    watch.look({}, Ts(NOW + 1))
    assert watch.look({A: "x"}, Ts(NOW + UNREAD_MS)) == []


def test_what_an_earlier_run_left_open_is_ended() -> None:
    kept = [
        AlertRaised(NOW, "info", "PRICE_ALERT_SIGHTED", B, ""),
        AlertRaised(NOW, "warning", "PRICE_ALERT_BLIND", A, ""),
    ]
    watch = UnreadPrices(
        [*kept, AlertRaised(NOW, "warning", "PRICE_ALERT_BLIND", B, ""), AlertRaised(NOW, "info", "X", A, "")]
    )
    assert told(watch.look({}, NOW)) == [("PRICE_ALERT_SIGHTED", A)]
