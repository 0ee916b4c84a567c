"""Whoever has no command line reads the account through one service, and gets views."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.opened import resources_of
from support.served import TWO_SIDED, served

from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.units import contracts
from kalshi_cli.services.account.service import AccountService


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccountService]:
    with served(tmp_path_factory.mktemp("account")) as one:
        one.trade_a_little()
        with resources_of(one) as resources:
            yield AccountService(resources)


def test_the_parts_of_profit_and_loss_add_up(account: AccountService) -> None:
    found = account.pnl("event")
    assert sum(part.net for part in found.rows) == found.net


def test_a_position_is_what_its_fills_add_up_to(account: AccountService) -> None:
    held = {position.ticker: position.position for position in account.positions()}
    assert held[TWO_SIDED] == contracts(6)
    assert account.positions(subaccount=7) == []


def test_fills_come_newest_first_and_are_exported_oldest_first(account: AccountService) -> None:
    shown, exported = account.fills(limit=2), account.fill_export()
    assert len(shown) == 2
    assert [fill.trade_id for fill in exported[::-1]][:2] == [fill.trade_id for fill in shown]


def test_lots_that_are_still_open_can_be_left_out(account: AccountService) -> None:
    every, closed = account.tax_lots(), account.tax_lots(with_open=False)
    assert [lot for lot in every if lot.closed is not None] == closed
    assert len(every) > len(closed)


def test_what_is_held_is_in_the_calendar(account: AccountService) -> None:
    assert [row.ticker for row in account.upcoming_settlements(TWO_SIDED)] == [TWO_SIDED]
    assert account.upcoming_settlements(event="KXNONE") == []


def test_a_raw_call_goes_to_the_api_of_the_exchange_alone(account: AccountService) -> None:
    assert b"balance" in account.raw_call("GET", "/portfolio/balance", {})
    with pytest.raises(KalshiError):
        account.check_raw_path("https://example.com/portfolio")
