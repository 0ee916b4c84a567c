"""A slice of `make nth`: a few faults at every place where something is sent; and the judge finds what is wrong."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from support.simulation import Simulation

from kalshi_cli.base.units import cents, contracts, dollars
from kalshi_cli.core.model.order_terms import BID, TimeInForce
from kalshi_cli.simulator.model.listing import NewOrder, OrderReceipt
from verification.nth import ending
from verification.nth.faults import KINDS, Wires
from verification.nth.person import Person, Told
from verification.nth.play import ALL_RULES, PAGE, loop
from verification.nth.sessions import SESSIONS, Session, begin

FORGETFUL = ALL_RULES[-1]
"""Ids of orders that are over may be used again, and reads are two seconds old."""

SLICE = [
    ("place", "drop_reply hang"),
    ("take", "late 5 s"),
    ("batch", "409 forwarded"),
    ("change", "500 forwarded"),
    ("cancel", "another order"),
    ("close", "hang"),
    ("loop", "drop_reply close"),
]


def session(name: str) -> Session:
    return next(each for each in SESSIONS if each.name == name)


@pytest.mark.parametrize(("name", "fault"), SLICE)
def test_a_session_ends_right_wherever_the_fault_hits(name: str, fault: str) -> None:
    kind = next(each for each in KINDS if each.name == fault)
    runs = list(loop(session(name), kind, FORGETFUL, ("POST", "PUT", "DELETE")))
    assert [(run.hit, run.problems) for run in runs if run.problems] == []
    assert len(runs) > 1, "it hit something, and then a session completed untouched"
    assert [bool(run.hit) for run in runs] == [True] * (len(runs) - 1) + [False]


def test_a_list_whose_next_page_fails_or_repeats_is_an_error_and_never_a_short_list() -> None:
    kind = next(each for each in KINDS if each.name == "repeated cursor")
    runs = [run for run in loop(session("reads"), kind, ALL_RULES[0]) if run.hit]
    wrong = [
        told for run in runs for told in run.told if told.step == run.step and "repeats and has no end" in told.words
    ]
    assert wrong
    assert {told.code for told in wrong} <= {4, 6, 7}
    assert [run.problems for run in runs if run.problems] == []


# -- the judge ----------------------------------------------------------------------------------------------------


def judged(sim: Simulation, person: Person) -> list[str]:
    ending.settle(sim, person.wires)
    return ending.problems(sim, person.wires, person)


@pytest.fixture
def person(tmp_path: Path) -> Person:
    sim = Simulation(tmp_path, options=FORGETFUL.options)
    one = Person(sim, Wires(sim, None, 1, PAGE))
    begin(sim, session("place"), one)
    one.wires.arm(None)
    return one


def taken_twice(person: Person, name: str) -> None:
    """The exchange gets a second order under this id."""
    order = NewOrder(
        ticker="KXSIM-26JUN-T3", side=BID, price=cents(44), qty=contracts(1), tif=TimeInForce.IOC, client_order_id=name
    )
    receipt = person.sim.exchange.submit("alice", order, person.sim.clock.now())
    assert isinstance(receipt, OrderReceipt)


def test_the_judge_is_content_with_a_session_that_went_well(person: Person) -> None:
    person.place("mine", price=cents(45), tif=TimeInForce.IOC)
    assert judged(person.sim, person) == []


def test_the_judge_finds_a_second_order_under_one_id(person: Person) -> None:
    person.place("mine", price=cents(45), tif=TimeInForce.IOC)
    taken_twice(person, "mine")
    assert any("2 orders on the exchange" in found for found in judged(person.sim, person))


@pytest.mark.parametrize(("code", "words"), [(3, "and it is at the exchange"), (7, "nothing of it was in doubt")])
def test_the_judge_finds_a_person_who_was_told_wrong(person: Person, code: int, words: str) -> None:
    person.place("mine", price=cents(45), tif=TimeInForce.IOC)
    person.told[0] = person.told[0]._replace(code=code)
    assert any(words in found for found in judged(person.sim, person))


def test_the_judge_finds_an_order_that_is_not_there(person: Person) -> None:
    person.told.append(Told("place gone", "place", ("gone",), 0, ""))
    assert any("not at the exchange" in found for found in judged(person.sim, person))


def test_the_judge_finds_money_that_is_not_in_our_books(person: Person) -> None:
    person.sim.exchange.deposit("alice", dollars(1))
    assert any(found.startswith("I-CASH") for found in judged(person.sim, person))


def test_the_judge_finds_a_second_request_for_one_intent(person: Person) -> None:
    person.place("mine", price=cents(40))
    (create,) = [attempt for attempt in person.wires.attempts if attempt.client_ids]
    person.wires.attempts.append(create)
    assert any("2 requests for the id mine" in found for found in judged(person.sim, person))


# -- a cache on the way ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["replay", "replay all 20 s"])
def test_no_kill_switch_is_content_with_replies_from_before(fault: str) -> None:
    """A list in which nothing rests was read before; a cache serves it again, with its `Date` and its headers."""
    kind = next(each for each in KINDS if each.name == fault)
    runs = list(loop(session("kill again"), kind, ALL_RULES[0]))
    assert [(run.hit, run.problems) for run in runs if run.problems] == []
    assert len([run for run in runs if run.hit]) >= 5


def test_a_replay_is_what_was_answered_before_with_its_date(tmp_path: Path) -> None:
    sim = Simulation(tmp_path)
    wires = Wires(sim, None, 1, PAGE)
    wires.arm(next(each for each in KINDS if each.name == "replay"))
    request = httpx.Request("GET", "http://localhost/trade-api/v2/exchange/user_data_timestamp")
    before = wires.pass_on(request)
    sim.clock.advance(30)
    again = wires.pass_on(request)
    assert (again.headers["date"], again.content) == (before.headers["date"], before.content)
    assert wires.fired is not None
    assert wires.fired.kind == "replay", "what was never answered before is not hit"
    assert wires.pass_on(request).headers["date"] != before.headers["date"]
    sim.close()
