"""A command that writes is ended by a signal while its request waits for an answer: exit 7, with the doubt told."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator

import pytest
from support.fault_proxy import Fault, FaultProxy, fault_proxy
from support.places import ROOT
from support.served import ME, TWO_SIDED, Served, eventually, finish, program, said, start

from kalshi_cli.base.twin_signals import TWIN_S
from kalshi_cli.core.model.order_terms import ASK, BID


@pytest.fixture
def proxy(exchange: Served) -> Iterator[FaultProxy]:
    with fault_proxy(exchange.server.rest_url) as one:
        yield one


WRITES = {
    "buy": ("POST", f"buy {TWO_SIDED} 1 @0.40"),
    "sell": ("POST", f"sell {TWO_SIDED} 1 @0.50"),
    "place": ("POST", f"order place {TWO_SIDED} --side yes --action buy --count 1 --price 0.40"),
    "amend": ("POST", "order amend ORDER --price 0.21"),
    "decrease": ("POST", "order decrease ORDER --to 1"),
    "batch": ("POST", "order batch orders.ndjson"),
    "cancel": ("DELETE", "cancel ORDER"),
    "order cancel": ("DELETE", "order cancel ORDER"),
    "close": ("POST", f"close {TWO_SIDED}"),
    "flatten": ("POST", "flatten"),
    "cancel-all": ("DELETE", "cancel-all"),
    "group create": ("POST", "order group create --limit 10"),
    "group limit": ("PUT", "order group limit GROUP --limit 20"),
    "group trigger": ("PUT", "order group trigger GROUP"),
    "group reset": ("PUT", "order group reset GROUP"),
    "group delete": ("DELETE", "order group delete GROUP"),
    "transfer": ("POST", "transfer --from 0 --to 1 --amount 1.00"),
    "subaccount": ("POST", "subaccounts create"),
    "rfq": ("POST", f"rfq create {TWO_SIDED} --count 5"),
    "api": ("POST", "api POST /portfolio/order_groups/create -F contracts_limit=100"),
}
"""Every kind of write: the method of its request, and a command line."""

ONCE = {
    "place": signal.SIGTERM, "order cancel": signal.SIGINT, "decrease": signal.SIGHUP, "group create": signal.SIGTERM,
    "rfq": signal.SIGINT, "transfer": signal.SIGTERM, "api": signal.SIGTERM,
}  # fmt: skip
"""Writes that one signal ends, and the signal. Two signals end every write."""
GAPS = (0.0, 0.001, 0.02)
EVERY_GAP = ("place", "batch", "close", "cancel-all")
"""Writes that end in different ways: with an error alone, with rows, with those of a plan, as the kill switch."""
TWICE = [
    *((name, gap_s) for name in EVERY_GAP for gap_s in GAPS),
    *zip((name for name in WRITES if name not in ("order cancel", *EVERY_GAP)), itertools.cycle(GAPS), strict=False),
]


@pytest.mark.parametrize(("name", "gap_s"), [*((name, None) for name in ONCE), *TWICE])
def test_a_write_that_signals_cut_off_ends_with_7(
    exchange: Served, proxy: FaultProxy, name: str, gap_s: float | None
) -> None:
    """One signal, or two with a gap: `timeout` sends its signal to the program, and then to its process group."""
    method, line = WRITES[name]
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "3")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "3")
    order_id = exchange.submit(ME, TWO_SIDED, BID, "0.2000", "2").order_id
    if "GROUP" in line:
        group = program("order", "group", "create", "--limit", "10", "--json").json["order_group_id"]
        line = line.replace("GROUP", group)
    order = {"ticker": TWO_SIDED, "side": "yes", "action": "buy", "count": 1, "price": "0.10"}
    (exchange.home / "orders.ndjson").write_text(json.dumps(order))
    held = Fault("hang", method, "", times=1_000)
    proxy.faults.append(held)
    words = line.replace("ORDER", order_id).split()
    command = start([*words, "--json"], exchange.variables(proxy.moved(exchange.server.rest_url)), exchange.home)
    number = ONCE[name] if gap_s is None else signal.SIGINT if name == "cancel-all" else signal.SIGTERM
    try:
        eventually(lambda: held.hits or command.poll() is not None)
        assert command.poll() is None, said(command)
        command.send_signal(number)
        if gap_s is not None:
            time.sleep(gap_s)
            command.send_signal(number)
        if name == "cancel-all":  # it holds back the first, and two signals that wait at once are one
            eventually(lambda: command.poll() is not None or command.send_signal(number))
        ended = finish(command)
    finally:
        command.kill()
        command.communicate()
    assert (ended.code, ended.error["code"]) == (7, "outcome_unknown"), ended.err
    assert ended.out == "" or name in ("batch", "close", "flatten"), "only these print the rows that are known"
    assert "nterrupted" in ended.error["message"]
    assert ended.error["hint"]


@pytest.mark.skipif(shutil.which("timeout") is None, reason="no `timeout` on this system")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_timeout_keeps_the_exit_code_of_an_order_that_may_be_live(
    exchange: Served, proxy: FaultProxy, number: signal.Signals
) -> None:
    """`timeout` passes a signal on just as it sends its own when the time is over."""
    held = Fault("hang", "POST", "/portfolio/events/orders$")
    proxy.faults.append(held)
    line = ["timeout", "-s", number.name.removeprefix("SIG"), "--preserve-status", "600", sys.executable, "-m"]
    line += ["kalshi_cli", "-q", "buy", TWO_SIDED, "1", "@0.40", "--json"]
    variables = {**os.environ, **exchange.variables(proxy.moved(exchange.server.rest_url)), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        line, env=variables, cwd=exchange.home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as limited:
        eventually(lambda: held.hits or limited.poll() is not None)
        limited.send_signal(number)
        out, err = limited.communicate(timeout=60)
    assert (limited.returncode, out) == (7, ""), err
    assert json.loads(err.splitlines()[-1])["error"]["code"] == "outcome_unknown"
    assert len(exchange.resting()) == 1, "it is live indeed"


IN_PYTHON = """
import signal, sys
from kalshi_cli import Kalshi
from kalshi_cli.base.errors import OutcomeUnknownError

try:
    with Kalshi.open() as kalshi:
        kalshi.orders.execute(PLAN)
except OutcomeUnknownError as error:
    print(error)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the end of Python itself is not tested
sys.exit()
"""


@pytest.mark.parametrize("gap_s", [0.0, 0.001, 0.02, 1.2])
@pytest.mark.parametrize("plan", ["place", "cancel"])
def test_in_python_a_second_interrupt_does_not_replace_the_unknown_outcome(
    exchange: Served, proxy: FaultProxy, plan: str, gap_s: float
) -> None:
    order_id = exchange.submit(ME, TWO_SIDED, BID, "0.2000", "2").order_id
    plans = {
        "place": f'kalshi.orders.plan_place("{TWO_SIDED}", side="yes", action="buy", count="1", price="0.40")',
        "cancel": f'kalshi.orders.plan_cancel("{order_id}")',
    }
    held = Fault("hang", "POST" if plan == "place" else "DELETE", "", times=1_000)
    proxy.faults.append(held)
    slow = "import kalshi_cli.store.database as d, time; c = d.Database.close\n"
    slow += "d.Database.close = lambda self: (time.sleep(1.5), c(self))\n" if gap_s > 1 else ""
    script = start(
        ["script"], exchange.variables(proxy.moved(exchange.server.rest_url)), exchange.home,
        first=slow + IN_PYTHON.replace("PLAN", plans[plan]),
    )  # fmt: skip
    eventually(lambda: held.hits or script.poll() is not None)
    script.send_signal(signal.SIGINT)
    time.sleep(gap_s)
    script.send_signal(signal.SIGINT)
    ended = finish(script)
    assert (ended.code, "nterrupted" in ended.out) == (0, True), ended.err


def test_ctrl_c_twice_ends_a_write_that_hangs_at_its_end_with_7(exchange: Served, proxy: FaultProxy) -> None:
    held = Fault("hang", "POST", "/portfolio/events/orders$")
    proxy.faults.append(held)
    slow = "import kalshi_cli.store.sqlite_store as s, time; s.Store.close = lambda self: time.sleep(waits.pop())\n"
    words = ("buy", TWO_SIDED, "1", "@0.40", "--json")
    variables = exchange.variables(proxy.moved(exchange.server.rest_url))
    command = start(words, variables, exchange.home, first="waits = [0] * 9 + [600]\n" + slow)
    try:
        eventually(lambda: held.hits or command.poll() is not None)
        command.send_signal(signal.SIGINT)
        time.sleep(1.5 * TWIN_S)
        assert command.poll() is None, said(command)
        command.send_signal(signal.SIGINT)
        ended = finish(command)
    finally:
        command.kill()
        command.communicate()
    assert (ended.code, ended.error["code"]) == (7, "outcome_unknown"), ended.err
    assert "It may be live" in ended.error["message"]


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
