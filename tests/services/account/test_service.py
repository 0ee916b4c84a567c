"""Whoever has no command line reads the account through one service, and gets views."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.opened import resources_of
from support.served import ME, TWO_SIDED, Served, eventually, served
from support.values import make_market

from kalshi_cli.base.errors import KalshiError, RefusedError, UsageError
from kalshi_cli.base.units import ONE_DOLLAR, Ts, contracts, dollars, format_money
from kalshi_cli.core.account.ledger import Position
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.services.account.service import AccountService
from kalshi_cli.views.cash import upcoming_row


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


def test_an_export_names_what_a_fill_bought_or_sold_as_the_list_does(account: AccountService) -> None:
    listed = {fill.trade_id: fill for fill in account.fills()}
    whole = account.fill_export()
    assert {(row.action, row.side) for row in whole} > {("buy", "yes")}, "not every fill is a purchase of YES"
    for row in whole:
        known = listed[row.trade_id]
        assert (row.action, row.side, row.side_price) == (known.action, known.side, known.side_price)
        assert (row.value, row.closed, row.typed_side) == (known.value, known.closed, known.typed_side)
    since = whole[-1].time
    assert account.fill_export(since) == [row for row in whole if row.time >= since], "a period changes no row"
    assert account.fill_export(Ts(since + 1)) == []


def is_later(one: Served, than: Ts) -> bool:
    return one.clock.now() > than


def test_a_period_ends_before_its_last_moment(tmp_path: Path) -> None:
    with served(tmp_path) as one, resources_of(one) as resources:
        account = AccountService(resources)
        for number in range(1, 4):
            one.submit(ME, TWO_SIDED, BID, "0.4700", "1", client_order_id=f"own-{number}")
            eventually(partial(is_later, one, account.fills(limit=1)[0].time))
        first, second, third = account.fill_export()
        assert account.fill_export(second.time, third.time) == [second]
        assert [row.trade_id for row in account.fills(since=second.time, until=third.time)] == [second.trade_id]
        assert [row.trade_id for row in account.fills(until=third.time, limit=1)] == [second.trade_id]
        assert [row.trade_id for row in account.fills(until=second.time)] == [first.trade_id]


def test_a_trade_that_crosses_zero_has_the_cash_that_changed_hands(tmp_path: Path) -> None:
    with served(tmp_path) as one, resources_of(one) as resources:
        account = AccountService(resources)
        one.submit("maker", TWO_SIDED, ASK, "0.4600", "5")
        one.submit(ME, TWO_SIDED, BID, "0.4600", "5")
        for side, cash in ((ASK, 5 * 0.46 - 3 * 0.54), (BID, 3 * 0.54 - 5 * 0.46)):
            before = account.balance().cash
            one.submit("maker", TWO_SIDED, ASK if side is BID else BID, "0.4600", "8")
            one.submit(ME, TWO_SIDED, side, "0.4600", "8")
            row = account.fills(limit=1)[0]
            assert account.balance().cash - before == row.value - row.fee
            assert (format_money(row.value), row.action) == (f"{cash:.6f}", "sell")
            assert account.fill_export()[-1].value == row.value


def test_a_fill_is_worth_its_count_at_the_price_of_the_outcome_that_was_traded(account: AccountService) -> None:
    fills = {(fill.book_side.value, fill.action, fill.side): fill for fill in account.fills()}
    bought, sold = fills["bid", "buy", "yes"], fills["ask", "sell", "yes"]
    assert bought.value == bought.cost == bought.count * bought.price
    assert (sold.value, sold.cost) == (sold.count * sold.price, sold.count * (ONE_DOLLAR - sold.price))


def test_lots_that_are_still_open_can_be_left_out(account: AccountService) -> None:
    every, closed = account.tax_lots(), account.tax_lots(with_open=False)
    assert [lot for lot in every if lot.closed is not None] == closed
    assert len(every) > len(closed)


def test_what_is_held_is_in_the_calendar(account: AccountService) -> None:
    assert [row.ticker for row in account.upcoming_settlements(TWO_SIDED)] == [TWO_SIDED]
    assert account.upcoming_settlements(event="KXNONE") == []


def test_a_determined_market_has_no_time_of_an_expected_result() -> None:
    early = make_market(status=MarketStatus.DETERMINED, expected_expiration_time=Ts(2), settlement_value=ONE_DOLLAR)
    held = Position(ticker=early.ticker, subaccount=0, qty=contracts(3))
    due = upcoming_row(held, early)
    assert (due.state, due.pays, due.expected_time) == ("determined", dollars(3), None)
    assert upcoming_row(held, replace(early, status=MarketStatus.CLOSED)).expected_time == Ts(2)
    assert upcoming_row(held, replace(early, settlement_ts=Ts(1))).expected_time == Ts(1)


def test_a_raw_call_goes_to_the_api_of_the_exchange_alone(account: AccountService) -> None:
    assert b"balance" in account.raw_get("/portfolio/balance", {})
    with pytest.raises(KalshiError):
        account.plan_raw_call("POST", "https://example.com/portfolio", {})


def test_cash_moves_between_shards_once_the_plan_is_executed(account: AccountService) -> None:
    plan = account.plan_transfer(dollars(5), from_shard=0, to_shard=1)
    assert (plan.terms.status, plan.terms.amount) == ("dry_run", dollars(5))
    assert "move $5.00 from shard 0 to shard 1" in plan.facts[0]
    assert list(account.transfers()) == []
    done = account.execute(account.renew(plan))
    assert (done.status, account.transfer(done.transfer_id or "").status) == ("complete", "complete")
    assert [row.transfer_id for row in account.transfers()] == [done.transfer_id]
    with pytest.raises(UsageError):
        account.plan_transfer(dollars(5), from_shard=1, to_shard=1)


def test_a_transfer_between_subaccounts_keeps_its_id_from_plan_to_result(account: AccountService) -> None:
    upgrade = account.plan_upgrade()
    assert account.execute(upgrade).usage_tier == "advanced"
    with pytest.raises(RefusedError, match="executed already"):
        account.execute(upgrade)
    opened = account.execute(account.plan_subaccount())
    before = len(list(account.subaccount_transfers()))
    plan = account.plan_subaccount_transfer(dollars(2), from_subaccount=0, to_subaccount=opened.subaccount)
    assert len(list(account.subaccount_transfers())) == before
    done = account.execute(account.renew(plan))
    assert (done.status, done.client_transfer_id) == ("applied", plan.terms.client_transfer_id)
    again = account.plan_subaccount_transfer(
        dollars(2),
        from_subaccount=0,
        to_subaccount=opened.subaccount,
        client_transfer_id=done.client_transfer_id,
    )
    assert account.execute(again).status == "applied_before"
    cash = {row.subaccount: row.balance for row in account.subaccounts() if row.exchange_index == 0}
    assert cash[opened.subaccount] == dollars(2)


def test_netting_and_allocation_change_when_their_plans_are_executed(account: AccountService) -> None:
    before = account.netting()
    plan = account.plan_netting(0, enabled=False)
    assert account.netting() == before
    assert not any(row.enabled for row in account.execute(plan) if row.subaccount == 0)
    shares = account.plan_allocation({0: 60, 1: 40})
    assert (shares.terms.active, account.allocation().active) == (True, False)
    assert account.execute(shares) == shares.terms
    assert not account.execute(account.plan_allocation({})).active
    with pytest.raises(UsageError, match="add up to 60"):
        account.plan_allocation({0: 60})


def test_a_raw_write_is_a_plan(account: AccountService) -> None:
    body = b'{"contracts_limit":100}'
    plan = account.plan_raw_call("POST", "/portfolio/order_groups/create", {}, body)
    assert plan.facts[1] == f"body {body.decode()}"
    assert b"order_group_id" in account.execute(plan)
