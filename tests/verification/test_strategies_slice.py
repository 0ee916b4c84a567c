"""A short slice of the report on strategies (`make strategies`), and that what it checks can fail."""

from __future__ import annotations

import msgspec
import pytest

from kalshi_cli.base.units import Money
from kalshi_cli.strategies.registry import BUILT_IN
from verification.strategies import report, session
from verification.strategies.__main__ import chosen
from verification.strategies.accounts import parts_agree, stays_inside

TOGETHER = tuple(BUILT_IN)


@pytest.fixture(scope="module")
def together() -> session.Result:
    return session.run(TOGETHER, 1, 1.0)


def test_all_at_once_every_account_agrees_and_no_limit_is_passed(together: session.Result) -> None:
    assert together.wrong == []
    assert together.fills > 0
    assert sum(together.by_strategy.values()) == together.net
    assert together.by_strategy.get(""), "the person beside them gained or lost something of their own"


def test_the_same_seed_is_the_same_session() -> None:
    once, again = (session.run(("random", "threshold"), 2, 0.2) for _ in range(2))
    assert (once.net, once.fills, once.messages) == (again.net, again.fills, again.messages)
    assert once.fills > 0


def test_who_does_nothing_gains_nothing() -> None:
    idle = session.run(("nothing",), 1, 0.2)
    assert (idle.net, idle.fills, idle.denied, idle.drawdown) == (0, 0, {}, 0)
    assert report.failures([idle]) == []


def test_every_built_in_strategy_is_reported_alone_and_all_of_them_together() -> None:
    assert {names[0] for names in chosen("") if len(names) == 1} == {*BUILT_IN, *session.BASELINES}
    assert chosen("")[-1] == TOGETHER
    assert chosen("spike") == [("spike",)]


def test_a_strategy_that_never_trades_and_an_account_that_differs_fail_the_report(together: session.Result) -> None:
    never = session.Result(strategies=("spike",), seed=1, minutes=1.0)
    assert report.failures([never]) == ["spike never traded: these figures say nothing of it"]
    wrong = msgspec.structs.replace(together, wrong=["I-CASH 1 here, 2 at the exchange"])
    assert report.failures([together]) == []
    assert report.failures([wrong]) == ["all at once, seed 1: I-CASH 1 here, 2 at the exchange"]


def test_the_table_says_what_the_sessions_came_to() -> None:
    results = [
        session.Result(strategies=("spike",), seed=seed, minutes=1.0, fills=2, net=Money(net), denied={"CHURN": seed})
        for seed, net in ((1, 1_500_000), (2, -500_000))
    ]
    cells = report.table(results).splitlines()[-1].split()
    assert cells[:2] == ["spike", "2"]
    assert "50%" in cells
    assert cells[-1] == "3"
    assert report.denials(results) == ["spike: CHURN 3"]
    assert "0.50" in report.table(results)


def test_what_is_checked_can_fail(tmp_path_factory: pytest.TempPathFactory) -> None:
    played = session._Session(("random",), 2, tmp_path_factory.mktemp("home"))
    try:
        played.play(1.0)
        parts = played.score.parts()
        assert parts_agree(played.stage, played.engine, parts) == []
        shifted = [msgspec.structs.replace(part, net=Money(part.net + 1)) for part in parts]
        assert len(parts_agree(played.stage, played.engine, shifted)) == 2, "the part, and so the sum"
        assert stays_inside(played.stage, played.limits, played.engine) == []
        tight = msgspec.structs.replace(played.limits, max_exposure=Money(1))
        assert any(text.startswith("I-RISK") for text in stays_inside(played.stage, tight, played.engine))
    finally:
        played.close()
