"""Quotes from Python: each write is a plan that sends nothing before it is executed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.quotes import accept, answer, ask, status
from support.served import ME, ONE_SIDED, TWO_SIDED, Served, served, set_variables

from kalshi_cli import Kalshi
from kalshi_cli.base.errors import NotFoundError, RefusedError, UsageError
from kalshi_cli.base.units import cents, contracts, dollars
from kalshi_cli.services.orders import quote_service
from kalshi_cli.services.orders.quote_service import QuoteService

OTHER = "maker"


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Executes an accepted quote a moment later, not fifteen seconds."""
    with served(tmp_path, execute_ms=100) as one:
        set_variables(monkeypatch, tmp_path, one.variables())
        yield one


@pytest.fixture
def kalshi(exchange: Served) -> Iterator[Kalshi]:
    with Kalshi.open(env="sim") as opened:
        yield opened


@pytest.fixture
def quotes(kalshi: Kalshi) -> QuoteService:
    return kalshi.quotes


def test_a_request_is_planned_sent_and_deleted(quotes: QuoteService) -> None:
    plan = quotes.plan_request(TWO_SIDED.lower(), contracts(100))
    assert (plan.terms.ticker, plan.terms.status, plan.terms.rfq_id) == (TWO_SIDED, "dry_run", None)
    assert "100 contracts" in plan.facts[0]
    assert list(quotes.requests()) == []
    made = quotes.execute(plan)
    assert quotes.get_request(made.rfq_id or "").count == contracts(100)
    assert [row.rfq_id for row in quotes.requests()] == [made.rfq_id]
    assert quotes.execute(quotes.plan_delete_request(made.rfq_id or "")).deleted
    assert list(quotes.requests()) == []
    with pytest.raises(UsageError):
        quotes.plan_request(TWO_SIDED)


def test_an_accepted_quote_is_followed_to_its_execution(quotes: QuoteService, exchange: Served) -> None:
    rfq = ask(exchange)
    quote = answer(exchange, rfq)
    plan = quotes.plan_accept(rfq, quote, "no")
    assert [(row.outcome, row.price, row.count) for row in plan.orders] == [("yes", cents(48), contracts(100))]
    assert (plan.cost, plan.max_payout) == (dollars(48), dollars(100))
    assert status(exchange, quote) == "open"
    row = quotes.follow(quotes.execute(plan), 30)
    assert row.status == "executed"
    assert exchange.call(lambda: exchange.exchange.position(ME, TWO_SIDED)) == contracts(100)
    with pytest.raises(RefusedError, match="executed already"):
        quotes.execute(plan)


def test_an_old_review_is_made_again_before_an_acceptance(
    quotes: QuoteService, exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quote_service, "REVIEW_AGAIN_S", -1.0)
    rfq = ask(exchange)
    plan = quotes.plan_accept(rfq, answer(exchange, rfq), "no")
    assert quotes.execute(quotes.plan_accept(rfq, answer(exchange, rfq), "no")).status in ("accepted", "confirmed")
    with pytest.raises((RefusedError, NotFoundError)) as caught:
        quotes.execute(plan)
    assert caught.value.code != "PLAN_EXECUTED", "the replaced quote is found out by the second review"


def test_a_quote_is_created_confirmed_and_deleted(quotes: QuoteService, exchange: Served) -> None:
    rfq = ask(exchange, who=OTHER)
    plan = quotes.plan_create(rfq, cents(40), cents(55))
    assert [row.outcome for row in plan.orders] == ["yes", "no"]
    assert plan.cost == dollars(55), "a requester accepts one of the two bids"
    assert all("if you confirm" in fact for fact in plan.facts)
    made = quotes.execute(quotes.renew(plan))
    assert [row.quote_id for row in quotes.list(is_maker=True)] == [made.quote_id]
    with pytest.raises(RefusedError, match="accepted"):
        quotes.plan_confirm(made.quote_id)
    accept(exchange, made.quote_id, "yes")
    confirm = quotes.renew(quotes.plan_confirm(made.quote_id))
    assert confirm.action == "confirm"
    assert quotes.execute(confirm).status in ("confirmed", "executed")
    second = quotes.execute(quotes.plan_create(ask(exchange, who=OTHER, ticker=ONE_SIDED), cents(12))).quote_id
    assert quotes.execute(quotes.plan_delete(second)).deleted


def test_a_rehearsal_plans_and_never_executes(kalshi: Kalshi, exchange: Served) -> None:
    rehearsal = QuoteService(kalshi.resources, is_rehearsal=True)
    rfq = ask(exchange)
    quote = answer(exchange, rfq)
    plan = rehearsal.plan_accept(rfq, quote, "no")
    with pytest.raises(RefusedError) as caught:
        rehearsal.execute(plan)
    assert caught.value.code == "REHEARSAL"
    assert status(exchange, quote) == "open"
