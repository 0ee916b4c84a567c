"""A command that writes is ended by a signal while its request waits for an answer: exit 7, with the doubt told."""

from __future__ import annotations

import fcntl
import json
import signal
import struct
import termios
from collections.abc import Iterator

import pytest
from support.fault_proxy import Fault, FaultProxy, fault_proxy
from support.served import ME, TWO_SIDED, Served, eventually, finish, program, said, start

from kalshi_cli.core.model.order_terms import BID


@pytest.fixture
def proxy(exchange: Served) -> Iterator[FaultProxy]:
    with fault_proxy(exchange.server.rest_url) as one:
        yield one


WRITES = [
    (signal.SIGTERM, "POST", f"order place {TWO_SIDED} --side yes --action buy --count 1 --price 0.40"),
    (signal.SIGINT, "DELETE", "order cancel ORDER"),
    (signal.SIGHUP, "POST", "order decrease ORDER --to 1"),
    (signal.SIGTERM, "POST", "order group create --limit 10"),
    (signal.SIGINT, "POST", f"rfq create {TWO_SIDED} --count 5"),
    (signal.SIGTERM, "POST", "transfer --from 0 --to 1 --amount 1.00"),
    (signal.SIGTERM, "POST", "api POST /portfolio/order_groups/create -F contracts_limit=100"),
]


@pytest.mark.parametrize(("number", "method", "line"), WRITES, ids=[line.split(" KX")[0] for *_, line in WRITES])
def test_a_write_that_a_signal_cuts_off_ends_with_7(
    exchange: Served, proxy: FaultProxy, number: signal.Signals, method: str, line: str
) -> None:
    order_id = exchange.submit(ME, TWO_SIDED, BID, "0.2000", "2").order_id
    held = Fault("hang", method, "")
    proxy.faults.append(held)
    words = line.replace("ORDER", order_id).split()
    command = start([*words, "--json"], exchange.variables(proxy.moved(exchange.server.rest_url)), exchange.home)
    try:
        eventually(lambda: held.hits or command.poll() is not None)
        assert command.poll() is None, said(command)
        command.send_signal(number)
        ended = finish(command)
    finally:
        command.kill()
        command.communicate()
    assert (ended.code, ended.out, ended.error["code"]) == (7, "", "outcome_unknown"), ended.err
    assert "nterrupted" in ended.error["message"]
    assert ended.error["hint"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_a_read_that_a_signal_cuts_off_leaves_no_doubt(
    exchange: Served, proxy: FaultProxy, number: signal.Signals, code: int
) -> None:
    held = Fault("hang", "GET", "/balance")
    proxy.faults.append(held)
    command = start(["balance"], exchange.variables(proxy.moved(exchange.server.rest_url)), exchange.home)
    try:
        eventually(lambda: held.hits or command.poll() is not None)
        command.send_signal(number)
        ended = finish(command)
    finally:
        command.kill()
        command.communicate()
    assert (ended.code, "Traceback" in ended.err) == (code, False), ended.err


def test_a_write_that_is_interrupted_again_and_again_ends_with_7_all_the_same(
    exchange: Served, proxy: FaultProxy
) -> None:
    held = Fault("hang", "POST", "/portfolio/events/orders$")
    proxy.faults.append(held)
    words = ("order", "place", TWO_SIDED, "--side", "yes", "--action", "buy", "--count", "1", "--price", "0.40")
    command = start(words, exchange.variables(proxy.moved(exchange.server.rest_url)), exchange.home)

    def gone() -> bool:
        command.send_signal(signal.SIGINT)
        return command.poll() is not None

    try:
        eventually(lambda: held.hits or command.poll() is not None)
        eventually(gone)
        ended = finish(command)
    finally:
        command.kill()
        command.communicate()
    assert (ended.code, "Traceback" in ended.err) == (7, False), ended.err
    assert len(exchange.resting()) == 1, "it is live indeed"


def test_an_interrupted_batch_prints_every_line(exchange: Served, proxy: FaultProxy) -> None:
    held = Fault("hang", "POST", "/batched$")
    proxy.faults.append(held)
    order = {"ticker": TWO_SIDED, "side": "yes", "action": "buy", "count": 1, "price": "0.10"}
    file = exchange.home / "orders.ndjson"
    file.write_text("\n".join(json.dumps(each) for each in (order, order | {"count": 1_000_000}, order)))
    words = ["order", "batch", str(file), "--format", "ndjson"]
    command = start(words, exchange.variables(proxy.moved(exchange.server.rest_url)), exchange.home)
    try:
        eventually(lambda: held.hits or command.poll() is not None)
        assert command.poll() is None, said(command)
        command.send_signal(signal.SIGINT)
        ended = finish(command)
    finally:
        command.kill()
        command.communicate()
    rows = [json.loads(line) for line in ended.out.splitlines()]
    assert [(row["line"], row["status"]) for row in rows] == [(1, "unknown"), (2, "denied"), (3, "unknown")], ended.err
    assert {rows[0]["code"], rows[2]["code"]} == {"outcome_unknown"}
    assert (ended.code, ended.error["code"]) == (7, "outcome_unknown")
    assert "nterrupted" in ended.error["message"]
    listed = program("order", "reconcile", "--json").json
    assert {row["client_order_id"] for row in listed} == {rows[0]["client_order_id"], rows[2]["client_order_id"]}


def test_a_second_signal_while_a_batch_prints_loses_no_line(exchange: Served, proxy: FaultProxy) -> None:
    """`timeout` sends its signal twice. The lines are more than a pipe holds, so that the second one cuts a write."""
    held = Fault("hang", "POST", "/batched$")
    proxy.faults.append(held)
    order = {"ticker": TWO_SIDED, "side": "yes", "action": "buy", "count": 1, "price": "0.10"}
    file = exchange.home / "orders.ndjson"
    file.write_text("\n".join(json.dumps(each) for each in (order, *[order | {"count": 1_000_000}] * 500)))
    words = ["order", "batch", str(file), "--format", "ndjson"]
    command = start(words, exchange.variables(proxy.moved(exchange.server.rest_url)), exchange.home)
    stdout = command.stdout
    assert stdout is not None

    def is_printing() -> bool:
        waiting: int = struct.unpack("i", fcntl.ioctl(stdout, termios.FIONREAD, b"\0" * 4))[0]
        return waiting > 0 or command.poll() is not None

    try:
        eventually(lambda: held.hits or command.poll() is not None)
        command.send_signal(signal.SIGTERM)
        eventually(is_printing)
        command.send_signal(signal.SIGTERM)
        ended = finish(command)
    finally:
        command.kill()
        command.communicate()
    rows = [json.loads(line) for line in ended.out.splitlines()]
    assert [row["status"] for row in rows] == ["unknown", *["denied"] * 500], ended.err
    assert (ended.code, ended.error["code"]) == (7, "outcome_unknown")
