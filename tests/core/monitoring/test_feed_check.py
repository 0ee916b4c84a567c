"""What `check feed` makes of the words of a loop."""

from __future__ import annotations

import pytest
from support.values import NOW, make_market

from kalshi_cli.base.units import Ts
from kalshi_cli.core.engine.book_validity import markets_without_book
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.exchange import ExchangeStatus, ShardStatus
from kalshi_cli.core.monitoring.feed_check import (
    account_unreadable_breach,
    excused_by_pause,
    pause_words,
    without_books,
)
from kalshi_cli.core.state.state import EngineState


@pytest.mark.parametrize(("markets", "named"), [(0, 0), (1, 1), (5, 5), (9, 5)])
def test_the_markets_that_a_loop_names_are_read_back_and_the_others_counted(markets: int, named: int) -> None:
    state = EngineState(now=NOW)
    for number in range(markets):
        ticker = f"KXA-{number}"
        state.markets[ticker], state.books[ticker] = make_market(ticker), OrderBook(ticker)
        state.books[ticker].invalidate("it broke; and how: badly")
    breaches, count = without_books(markets_without_book(state))
    assert count == markets
    assert [(breach.subject, breach.value) for breach in breaches] == [
        (f"KXA-{number}", "it broke; and how: badly") for number in range(named)
    ]


def alert(code: str, ts: int) -> AlertRaised:
    return AlertRaised(Ts(NOW + ts), "critical", code, "account", "why")


@pytest.mark.parametrize(
    ("codes", "is_blind"),
    [((), False), (("BLIND",), True), (("BLIND", "SIGHTED"), False), (("SIGHTED", "BLIND"), True)],
)
def test_a_loop_is_blind_until_it_says_that_it_sees(codes: tuple[str, ...], is_blind: bool) -> None:
    said = [alert(code, ts) for ts, code in enumerate(codes)]
    found = account_unreadable_breach([*reversed(said), alert("CLOCK", 10)])
    assert [(breach.severity, breach.code, breach.subject) for breach in found] == (
        [("critical", "BLIND", "account")] if is_blind else []
    )
    assert {breach.value for breach in found} <= {"why"}, "its text says since when"


def status(*shards: tuple[bool, bool]) -> ExchangeStatus:
    """Shards as (exchange is active, trading is active)."""
    parts = tuple(
        ShardStatus(exchange_index=at, description="", exchange_active=one, trading_active=two, transfers_active=True)
        for at, (one, two) in enumerate(shards)
    )
    return ExchangeStatus(exchange_active=True, trading_active=True, shards=parts)


def test_it_may_be_quiet_only_where_every_shard_is_paused() -> None:
    assert pause_words(status()) == ""
    assert pause_words(status((True, True), (True, False))) == ""
    assert pause_words(status((True, False), (True, False))) == "trading is paused"
    assert pause_words(status((True, False), (False, False))) == "the exchange is paused"


def test_what_a_pause_explains_is_a_note_with_the_reason() -> None:
    found = account_unreadable_breach([alert("BLIND", 0)])
    assert excused_by_pause(found, "") == found
    (note,) = excused_by_pause(found, "trading is paused")
    assert (note.severity, note.value) == ("note", f"{found[0].value} (trading is paused)")
