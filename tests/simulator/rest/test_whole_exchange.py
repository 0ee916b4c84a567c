"""Nothing of the specification is forgotten: every operation has a route and a call, every message is sent."""

from __future__ import annotations

import pytest
from support.busy_day import a_busy_day
from support.every_call import CALLS, EXCLUDED, client_methods, driven
from support.exchange import make_exchange
from support.specification import channels, frame_types, operations, specs_or_skip

from kalshi_cli.exchange.route_samples import NOT_SAMPLED, SAMPLES


@pytest.mark.parametrize("name", CALLS)
def test_a_call_sends_what_the_specification_allows_and_reads_the_answer(name: str) -> None:
    specs_or_skip()
    assert driven(name).error == ""


def test_every_method_of_the_client_is_called_here() -> None:
    assert client_methods() == set(CALLS), "add a line to CALLS in tests/support/every_call.py"


def test_every_operation_has_a_call_of_the_client() -> None:
    specs_or_skip()
    asked = {str(operation) for name in CALLS for operation in driven(name).seen}
    wanted = {str(operation) for operation in operations()} - set(EXCLUDED)
    assert wanted - asked == set()


def test_every_operation_has_a_route_in_the_simulated_exchange() -> None:
    specs_or_skip()
    router = make_exchange()._router
    without = {str(each) for each in operations() if router.find(each.method.upper(), each.template) is None}
    assert without == {name for name in EXCLUDED if "/fcm/" in name}, "keys are made here, but not by our client"


def test_what_is_left_out_is_in_the_specification() -> None:
    specs_or_skip()
    assert set(EXCLUDED) <= {str(operation) for operation in operations()}


def test_every_type_of_message_is_sent_by_the_simulated_exchange() -> None:
    specs_or_skip()
    sent = {str(frame["type"]) for frame in a_busy_day()}
    assert sent == frame_types()


def test_every_channel_can_be_subscribed_to() -> None:
    specs_or_skip()
    granted = {frame["msg"]["channel"] for frame in a_busy_day() if frame["type"] == "subscribed"}
    assert granted == channels()


def test_every_read_of_the_client_is_looked_at_by_the_check_for_drift() -> None:
    specs_or_skip()
    asked = {str(operation) for name in CALLS for operation in driven(name).seen}
    sampled = {sample.route for sample in SAMPLES}
    assert {operation for operation in asked if operation.startswith("GET ")} == sampled | set(NOT_SAMPLED)
    assert not sampled & set(NOT_SAMPLED)
