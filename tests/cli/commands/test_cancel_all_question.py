"""On a terminal, on prod or with display.confirm, cancel-all halts first, shows the orders and asks."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from support.served import KEY_ID, ME, ONE_SIDED, TWO_SIDED, Served, eventually, program, start

from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.store.records import NO_HALT
from kalshi_cli.store.sqlite_store import Store

QUESTION = "Cancel these orders? [y/N]"


class Keyboard(io.StringIO):
    """Standard input of a terminal: what is typed, and what held while it was read."""

    was_halted = False
    state = ""

    def isatty(self) -> bool:
        return True

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        self.was_halted = is_halted(self.state)
        return super().readline(-1 if size is None else size)


class Silence(io.StringIO):
    """Standard input that is no terminal; reading it would wait for ever."""

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        raise AssertionError("cancel-all waited for an answer")


def is_halted(state: str) -> bool:
    with Store.open(Path(state) / "state.db", account=KEY_ID, environment="prod") as store:
        return bool((store.halt() or NO_HALT).is_final)


@pytest.fixture
def prod(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    exchange.is_real(monkeypatch)
    for price in ("0.2000", "0.2100"):
        exchange.submit(ME, TWO_SIDED, BID, price, "1")
    return exchange


def typed(monkeypatch: pytest.MonkeyPatch, exchange: Served, text: str) -> Keyboard:
    keyboard = Keyboard(text)
    keyboard.state = str(exchange.state / "prod")
    monkeypatch.setattr("sys.stdin", keyboard)
    return keyboard


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "yep\n"])
@pytest.mark.parametrize("words", [("cancel-all",), ("order", "cancel-all")], ids=" ".join)
def test_a_no_cancels_nothing_and_leaves_the_halt(
    prod: Served, monkeypatch: pytest.MonkeyPatch, answer: str, words: tuple[str, ...]
) -> None:
    keyboard = typed(monkeypatch, prod, answer)
    ended = program(*words, "--json")
    assert (ended.code, ended.out) == (3, "")
    assert keyboard.was_halted, "the halt comes before the question"
    assert is_halted(keyboard.state)
    assert len(prod.resting()) == 2
    assert "2 resting orders will be canceled" in ended.err
    assert TWO_SIDED in ended.err
    assert "no order was canceled; trading stays halted" in ended.err
    assert "kalshi resume --reason TEXT" in ended.err


def test_without_a_resting_order_it_halts_and_asks_nothing(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange.is_real(monkeypatch)
    keyboard = typed(monkeypatch, exchange, "n\n")
    ended = program("cancel-all", "--json")
    assert (ended.code, ended.json["canceled"], ended.json["remaining"]) == (0, 0, 0)
    assert is_halted(keyboard.state)
    assert "no resting orders to cancel" in ended.err
    assert QUESTION not in ended.err


def test_the_question_names_an_order_of_no_as_typed(prod: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--side", "no", "--action", "buy", "--count", "2", "--price", "0.41", "--yes")
    assert program("order", "place", TWO_SIDED, *words, "--json").code == 0
    typed(monkeypatch, prod, "n\n")
    assert f"  {TWO_SIDED} buy 2 NO at $0.41 (" in program("cancel-all", "--json").err


def test_the_question_names_an_order_of_no_that_was_typed_elsewhere(
    prod: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    prod.submit(ME, TWO_SIDED, ASK, "0.5900", "2")
    prod.submit(ME, ONE_SIDED, ASK, "0.1200", "3")
    prod.submit(ME, ONE_SIDED, BID, "0.1000", "1")
    typed(monkeypatch, prod, "n\n")
    shown = program("cancel-all", "--json").err
    assert f"  {TWO_SIDED} buy 2 NO at $0.41 (" in shown
    assert f"  {ONE_SIDED} sell 1 NO at $0.90 (" in shown

    handle = prod.exchange.handle

    def unread(request: Any, now: Any) -> Any:
        if request.path.endswith("/portfolio/positions"):
            raise RuntimeError
        return handle(request, now)

    typed(monkeypatch, prod, "n\n")
    prod.exchange.handle = unread  # type: ignore[method-assign]
    assert f"  {TWO_SIDED} sell 2 YES at $0.59 (" in program("cancel-all", "--json").err


def test_the_question_names_an_order_by_the_beginning_of_its_id(prod: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    order_id = prod.submit(ME, ONE_SIDED, BID, "0.1000", "1").order_id
    typed(monkeypatch, prod, "n\n")
    assert f"({order_id[:8]})" in program("cancel-all", "--ticker", ONE_SIDED).err


def test_a_loop_that_was_first_is_named(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALSHI_DISPLAY__CONFIRM", "true")
    monkeypatch.setattr("kalshi_cli.services.orders.cancel.CLOCK_MS", 600_000)  # a busy machine is slow to answer
    other = exchange.submit(ME, TWO_SIDED, BID, "0.0100", "1").order_id
    words = ("trade", "--strategy", "market-maker", "--ticker", TWO_SIDED, "--interval", "0.2s")
    loop = start(words, exchange.variables(), exchange.home)
    keyboard = typed(monkeypatch, exchange, "y\n")

    def is_alone() -> bool:
        with Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim") as store:
            is_live = any(order.strategy for order in store.live_orders())
        return not is_live and [order_id for order_id, *_ in exchange.resting()] == [other]

    def answer(size: int | None = -1) -> str:
        eventually(is_alone)
        exchange.call(lambda: exchange.exchange.cancel(ME, other, exchange.clock.now()))
        return readline(size)

    readline = keyboard.readline
    keyboard.readline = answer  # type: ignore[method-assign]
    try:
        eventually(lambda: len(exchange.resting()) > 1 or loop.poll() is not None)
        ended = program("cancel-all")
    finally:
        loop.terminate()
        loop.communicate(timeout=60)
    assert (ended.code, exchange.resting()) == (0, []), ended.err
    assert "No order was left to cancel: the running loop canceled its orders first" in ended.err


def test_a_yes_cancels_everything(prod: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard = typed(monkeypatch, prod, "y\n")
    ended = program("cancel-all", "--json")
    assert (ended.code, ended.json["canceled"], ended.json["remaining"]) == (0, 2, 0)
    assert keyboard.was_halted
    assert prod.resting() == []


def test_with_display_confirm_it_asks_after_the_halt_on_other_exchanges_too(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange.submit(ME, TWO_SIDED, BID, "0.2000", "1")
    monkeypatch.setenv("KALSHI_DISPLAY__CONFIRM", "true")
    monkeypatch.setattr("sys.stdin", Silence())
    assert program("cancel-all", "--no-halt").code == 0, "no terminal, no question"
    exchange.submit(ME, TWO_SIDED, BID, "0.2000", "1")
    keyboard = io.StringIO("n\n")
    monkeypatch.setattr(keyboard, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", keyboard)
    ended = program("cancel-all")
    assert (ended.code, len(exchange.resting())) == (3, 1)
    assert "trading stays halted" in ended.err


def test_yes_on_the_line_skips_the_question(prod: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, prod, "n\n")
    ended = program("cancel-all", "--yes", "--json")
    assert (ended.code, ended.json["canceled"]) == (0, 2)
    assert QUESTION not in ended.err


def test_without_a_terminal_it_never_asks(prod: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Silence())
    ended = program("cancel-all", "--json")
    assert (ended.code, ended.json["canceled"]) == (0, 2)
    assert QUESTION not in ended.err


@pytest.mark.parametrize("env", ["sim", "demo"])
def test_play_money_is_not_asked_about(exchange: Served, monkeypatch: pytest.MonkeyPatch, env: str) -> None:
    monkeypatch.setenv("KALSHI_ENV", env)
    exchange.submit(ME, TWO_SIDED, BID, "0.2000", "1")
    typed(monkeypatch, exchange, "n\n")
    ended = program("cancel-all", "--json")
    assert (ended.code, ended.json["canceled"]) == (0, 1)
    assert QUESTION not in ended.err


def test_a_no_to_a_part_of_the_orders_says_nothing_of_a_halt(prod: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, prod, "n\n")
    ended = program("cancel-all", "--ticker", "KXRAIN*")
    assert (ended.code, len(prod.resting())) == (3, 2)
    assert "halted" not in ended.err.replace("is halted", "")


def test_ctrl_c_at_the_question_ends_with_7_and_cancels_nothing(prod: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_size: int | None = -1, /) -> str:
        raise KeyboardInterrupt

    keyboard = typed(monkeypatch, prod, "")
    monkeypatch.setattr(keyboard, "readline", interrupted)
    ended = program("cancel-all")
    assert (ended.code, len(prod.resting())) == (7, 2)
    assert is_halted(keyboard.state)


def test_where_the_list_cannot_be_read_it_still_asks(prod: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = prod.exchange.handle

    def unlisted(request: Any, now: Any) -> Any:
        if request.method == "GET" and request.path.endswith("/portfolio/orders") and not answered:
            raise RuntimeError
        return handle(request, now)

    answered: list[bool] = []
    keyboard = typed(monkeypatch, prod, "n\n")
    prod.exchange.handle = unlisted  # type: ignore[method-assign]
    ended = program("cancel-all")
    answered.append(True)
    assert (ended.code, "could not be listed" in ended.err, is_halted(keyboard.state)) == (3, True, True)
