"""A market that nobody quotes and that never traded: what a person may do there."""

from __future__ import annotations

import pytest
from support.every_call import answered
from support.simulation import TICKER, Simulation

from kalshi_cli.base.errors import RefusedError
from kalshi_cli.base.units import cents, contracts, dollars
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.services.orders import quotes


@pytest.fixture
def fresh(sim: Simulation) -> Simulation:
    market = sim.client.market(TICKER)
    assert (market.yes_bid, market.yes_ask, market.last) == (None, None, None)
    return sim


def test_a_quote_that_a_person_takes_makes_the_first_price(fresh: Simulation) -> None:
    """As of every combo: it is made for who asks for it, so nothing in it was ever quoted or traded."""
    ids = answered(fresh, confirms_ms=1_000)
    deal = quotes.propose_accept(fresh.desk(), *ids, "no")
    quote = quotes.accept(fresh.desk(), deal, "no")
    assert quotes.follow(fresh.client, fresh.clock, quotes.quote_row(quote), 60).status == "executed"
    assert fresh.exchange.position("alice", TICKER) == contracts(10)


def test_it_is_taken_within_the_limits_only(fresh: Simulation) -> None:
    ids = answered(fresh)
    with pytest.raises(RefusedError) as found:
        quotes.propose_accept(fresh.desk(RiskLimits(max_order_cost=dollars("4.49"))), *ids, "no")
    assert found.value.code == "ORDER_COST"


def test_an_order_that_a_person_types_rests(fresh: Simulation) -> None:
    assert fresh.place(price=cents(95)).order_id
