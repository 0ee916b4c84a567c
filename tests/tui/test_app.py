"""`kalshi top` in a terminal of 80x24 and of 140x44, on a running loop: what it shows, and what its keys do."""

from __future__ import annotations

import asyncio
import itertools
import os
import pty
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
import textual.screen
from support.hostile_text import TITLE, harmful
from support.moved_clock import MovedClock
from support.served import (
    EMPTY,
    FINE,
    KEY_ID,
    ME,
    ONE_SIDED,
    TWO_SIDED,
    Served,
    Terminal,
    eventually,
    finish,
    program,
    said,
    start,
)
from support.values import make_order
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Input, Static

from kalshi_cli import Kalshi
from kalshi_cli.app import list_prices
from kalshi_cli.app.environment import Environment
from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import ExitCode
from kalshi_cli.base.units import Price, Ts, cents, contracts
from kalshi_cli.config.sources import load
from kalshi_cli.core.model.effects import OrderChanged
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.services.trading.reports import live_events
from kalshi_cli.store.records import RunGroup
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.tui import app as top_screen
from kalshi_cli.tui import dialogs
from kalshi_cli.tui.actions import Action, ActionThread, with_keys
from kalshi_cli.tui.app import TopApp
from kalshi_cli.tui.dialogs import ConfirmDialog, HelpDialog, TextDialog, WordDialog
from kalshi_cli.tui.head import STALE_S
from kalshi_cli.tui.list_panel import ListPanel
from kalshi_cli.tui.market_page import MarketPage
from kalshi_cli.tui.ordered_keys import KeyMark
from kalshi_cli.tui.picture import time_of_day
from kalshi_cli.views.plans import Plan

WITHIN_S = 30.0


def shown(app: TopApp) -> str:
    """The text of the page on top."""
    return "\n".join(str(each.render()) for each in app.screen.query(Static) if each.display)


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of screens in this process: frames and reads of the account follow each other sooner; drawing, which costs most
    of the processor time, is done less often where nobody waits for it."""
    monkeypatch.setattr(textual.screen, "UPDATE_PERIOD", 0.2)
    monkeypatch.setattr(top_screen, "FRAME_S", 0.08)
    monkeypatch.setattr(live_events, "SILENCE_S", 0.2)
    monkeypatch.setattr(live_events, "ACCOUNT_EVERY_S", 0.4)
    monkeypatch.setattr(list_prices, "EVERY_S", 0.4)


NAMES = {"/": "slash", "\n": "enter", "?": "question_mark", " ": "space"}


def burst(app: TopApp, *keys: Iterable[str]) -> None:
    """Send keys at once, by their names or as characters, as a terminal does that was read late."""
    for key in itertools.chain(*keys):
        character = {name: each for each, name in NAMES.items()}.get(key, key if len(key) == 1 else None)
        app.post_message(Key(NAMES.get(key, key), "\r" if character == "\n" else character))


class Person:
    """At the screen: presses keys and waits. Each time, the screen has acted and is drawn when it goes on.

    Textual's pilot waits after each key until the process idles, twice, and exchange and threads are in this process.
    """

    def __init__(self, app: TopApp, pilot: Pilot[None], clock: MovedClock) -> None:
        self.app, self.clock, self._pilot = app, clock, pilot

    async def press(self, *keys: str) -> None:
        """Press keys by their names."""
        burst(self.app, keys)
        await self.wait_for_keys()

    async def wait_for_keys(self) -> None:
        """Wait until the keys of a burst have acted."""
        arrived = asyncio.Event()
        self.app.post_message(KeyMark(arrived))
        await asyncio.wait_for(arrived.wait(), WITHIN_S)  # none arrives at a screen that ended
        assert self.app._sender is not None
        await self.app._sender
        await self.pause()

    async def pause(self, seconds: float = 0.0) -> None:
        await self._pilot.pause(seconds)

    def reads(self) -> None:
        """Let the time without a key pass that an answer needs."""
        self.clock.skipped_s += dialogs.QUIET_S

    def grows_old(self) -> None:
        """Let the time pass after which numbers are old."""
        self.clock.skipped_s += max(STALE_S, list_prices.OLD_S)


async def until(claim: Callable[[], object], person: Person) -> None:
    deadline = SystemClock().monotonic() + WITHIN_S
    while not claim():
        assert SystemClock().monotonic() < deadline, shown(person.app)
        await asyncio.sleep(0.03)
    await person.pause()


async def agree(app: TopApp, person: Person) -> None:
    """Wait for the question, and for the pause before its answer, and agree."""
    await until(lambda: isinstance(app.screen, ConfirmDialog), person)
    person.reads()
    await person.press("y")


async def go_to(app: TopApp, person: Person, ticker: str) -> None:
    """Go to the position in a market."""
    positions = app.query_one("#positions", ListPanel)
    await until(lambda: ticker in [row.ticker for row in positions.rows], person)
    while positions.selected is None or positions.selected.ticker != ticker:
        await person.press("down")


def held(exchange: Served) -> int:
    """Return the position in TWO_SIDED, negative for NO."""
    found: int = exchange.call(lambda: exchange.exchange.position(ME, TWO_SIDED))
    return found


def open_account(note: Callable[[str], None] = lambda _: None) -> Kalshi:
    """Open the account of the variables as `kalshi top` does: errors name options, and the screen their keys."""
    return Kalshi(Environment(load(None, os.environ, {}), note, note))


def on_screen(
    what: Callable[[TopApp, Person], Awaitable[None]],
    size: tuple[int, int] = (80, 24),
    tickers: tuple[str, ...] = (),
    clock: MovedClock | None = None,
) -> None:
    async def run() -> None:
        moved = clock or MovedClock()
        app = TopApp(open_account, moved, tickers)
        async with app.run_test(size=size) as pilot:
            person = Person(app, pilot, moved)
            await until(lambda: app._state.run is not None, person)
            await what(app, person)

    asyncio.run(run())


def test_an_account_without_a_loop_is_shown(exchange: Served) -> None:
    exchange.trade_a_little()

    async def look(app: TopApp, person: Person) -> None:
        text = shown(app)
        assert "no strategy is running" in text
        assert TWO_SIDED in text
        assert [each.id for each in app.query(ListPanel) if each.display] == ["positions"], "one list on a small screen"
        await person.press("2")
        await until(lambda: "$0.55" in shown(app), person)
        await person.press("question_mark")
        assert isinstance(app.screen, HelpDialog)

    on_screen(look)


def raise_alerts(count: int) -> None:
    """Raise price alerts that are due; a busy machine may read no price in a moment."""

    def are_raised() -> bool:
        assert program("alerts", "run", "--duration", "0.1s").code == 0
        return len(program("alerts", "--json").json["alerts"]) == count

    eventually(are_raised)


def test_the_selected_alert_is_shown_in_full_and_each_can_be_selected(exchange: Served) -> None:
    for price in ("43c", "44c"):
        assert program("alerts", "add", TWO_SIDED, "--above", price).code == 0
    raise_alerts(2)

    async def look(app: TopApp, person: Person) -> None:
        def says(price: str, number: int) -> bool:
            told = f"above {price} (alert {number}): the best YES bid is $0.44, at or above {price}"
            return told in " ".join(shown(app).split())

        await person.press("5")
        await until(lambda: says("$0.44", 2), person)
        await person.press("down")
        await until(lambda: says("$0.43", 1), person)
        before = app._state
        await until(lambda: app._state is not before, person)
        assert says("$0.43", 1), "the next state leaves the cursor where it is"

    on_screen(look)


def test_a_large_screen_shows_all_lists(exchange: Served) -> None:
    async def look(app: TopApp, person: Person) -> None:
        assert sum(each.display for each in app.query(ListPanel)) == 5
        svg = app.export_screenshot()
        assert "P&amp;L" in svg.replace("&#160;", " ")

    on_screen(look, (140, 44))


def test_keys_search_and_open_a_market(exchange: Served) -> None:
    exchange.trade_a_little()

    async def look(app: TopApp, person: Person) -> None:
        await person.press("slash", *"t1.0", "enter")
        await until(lambda: [row.ticker for row in app.query_one("#positions", ListPanel).rows] == [TWO_SIDED], person)
        await person.press("enter")
        await until(lambda: "spread $0.03" in shown(app), person)
        assert "Rain above 1.0 inch?" in shown(app)
        await until(lambda: "taker" in shown(app), person)  # the public trades
        await until(lambda: "$0.45       10 YES" in shown(app), person)
        await person.press("escape")
        await person.pause()
        assert app.screen is app.screen_stack[0]

    on_screen(look)


def test_a_search_also_finds_markets_of_the_catalog_until_it_ends(exchange: Served) -> None:
    exchange.trade_a_little()

    async def look(app: TopApp, person: Person) -> None:
        markets, told = app.query_one("#markets", ListPanel), app.query_one("#said", Static)
        await person.press("slash", *"wind", "enter")
        await until(lambda: "No local catalog, so the search finds no other markets" in str(told.render()), person)
        assert "kalshi catalog refresh" in str(told.render())
        assert await asyncio.to_thread(lambda: program("catalog", "refresh").code) == 0
        await person.press("escape", "6")
        assert FINE not in [row.ticker for row in markets.rows]
        await person.press("1", "slash", *"wind", "enter")
        await until(lambda: "No rows here contain: wind. 1 market found: 6. Esc shows all rows" in shown(app), person)
        await until(lambda: str(told.render()) == "", person)
        await person.press("6")
        await until(lambda: [row.cells[:2] for row in markets.rows] == [(FINE, "$0.031")], person)
        await person.press("down")
        burst(app, "obuy 1 @0.02\n")
        await until(lambda: f"sim: buy 1 YES at $0.02 on {FINE}?" in shown(app), person)
        await person.press("n")
        await until(lambda: "Not done" in str(told.render()), person)
        await person.press("slash", *"xyz", "enter")
        await until(lambda: "No rows here contain: " in shown(app) and not markets.rows, person)
        await person.press("escape")
        await until(lambda: TWO_SIDED in [row.ticker for row in markets.rows], person)
        await until(lambda: FINE not in [row.ticker for row in markets.rows], person)

    on_screen(look)


def test_a_filter_that_stays_is_shown_with_the_key_that_ends_it(exchange: Served) -> None:
    exchange.trade_a_little()

    async def look(app: TopApp, person: Person) -> None:
        positions = app.query_one("#positions", ListPanel)
        everything = [row.ticker for row in positions.rows]
        assert positions.border_subtitle is not None
        assert "Esc" not in str(positions.border_subtitle)
        await person.press("slash", *"t1.0", "enter")
        await until(lambda: "only with t1.0, Esc shows all" in str(positions.border_subtitle), person)
        await person.press("slash", *"xyz", "enter")
        await until(lambda: "No rows here contain: xyz. Esc shows all rows" in shown(app), person)
        await person.press("escape")
        await until(lambda: [row.ticker for row in positions.rows] == everything, person)
        assert "Esc" not in str(positions.border_subtitle)

    on_screen(look)


def test_a_key_and_y_cancel_the_selected_order_and_nothing_else(exchange: Served) -> None:
    exchange.trade_a_little()

    async def act(app: TopApp, person: Person) -> None:
        await person.press("2", "down")
        row = app.query_one("#orders", ListPanel).selected
        assert row is not None
        await person.press("c")
        await until(lambda: isinstance(app.screen, ConfirmDialog), person)
        await until(lambda: f"cancel order {row.order_id[:8]}: {TWO_SIDED}" in shown(app), person)
        await person.press("n")
        await until(lambda: "Not done: cancel order" in shown(app), person)
        assert len(exchange.resting()) == 2
        await person.press("c")
        await agree(app, person)
        await until(lambda: len(exchange.resting()) == 1, person)
        assert row.order_id not in [order_id for order_id, *_ in exchange.resting()]
        await until(lambda: "Done: cancel" in shown(app), person)

    on_screen(act)


def test_an_order_is_typed_on_a_market_and_placed_after_its_plan(exchange: Served) -> None:
    exchange.trade_a_little()

    async def act(app: TopApp, person: Person) -> None:
        told = app.query_one("#said", Static)
        await go_to(app, person, TWO_SIDED)
        burst(app, "obuy 3 @32 --no\n")
        await until(lambda: "Prices are in dollars; did you mean 0.32?" in shown(app), person)
        assert f"Order in {TWO_SIDED}" in shown(app)
        app.screen.query_one(Input).value = ""
        burst(app, "buy 3 @0.50 --no\n")
        await until(lambda: isinstance(app.screen, ConfirmDialog) and "Closes 3 of your 6 YES" in shown(app), person)
        assert f"sim: buy 3 NO at $0.50 on {TWO_SIDED}?" in shown(app)
        assert shown(app).count("buy 3 NO") == 1
        assert len(exchange.resting()) == 2, "a plan sends nothing"
        await agree(app, person)
        await until(lambda: len(exchange.resting()) == 3, person)
        await until(
            lambda: f"on {TWO_SIDED} (buy 3 NO at $0.50) is resting: 0 of 3 filled" in str(told.render()), person
        )
        burst(app, "obuy 3 @0.505\n")
        await until(lambda: "off the price grid" in str(told.render()), person)
        burst(app, "o")
        await until(lambda: [each.value for each in app.screen.query(Input)] == ["buy 3 @0.505"], person)
        burst(app, "buy 3 @0.506\n")  # other text replaces it
        await until(lambda: "$0.506 is off the price grid" in str(told.render()), person)
        await person.press("o", "escape", "4", "o")
        await until(lambda: "Select a market for the order" in str(told.render()), person)
        assert len(exchange.resting()) == 3

    on_screen(act)


def test_the_price_of_the_selected_order_is_changed_after_its_plan(exchange: Served) -> None:
    exchange.submit(ME, TWO_SIDED, ASK, "0.5500", "5")

    async def act(app: TopApp, person: Person) -> None:
        told = app.query_one("#said", Static)
        await person.press("1", "e")
        await until(lambda: "Select an order to change: 2" in str(told.render()), person)
        await person.press("2")
        await until(lambda: app.query_one("#orders", ListPanel).selected, person)
        burst(app, "e0.46 4\n")
        await until(lambda: "from buy 5 NO at $0.45 to buy 4 NO at $0.46" in shown(app), person)
        assert "(= " not in shown(app), "the order in the words of one side is enough"
        assert shown(app).count(f"the order on {TWO_SIDED}") == shown(app).count("change ") == 1
        await agree(app, person)
        await until(lambda: "Changed: price $0.45 to $0.46, quantity left 5 to 4" in str(told.render()), person)
        assert [each[2:4] for each in exchange.resting()] == [(Price(5400), 400)]
        await until(lambda: "$0.46" in shown(app), person)
        burst(app, "e0.46\n")
        await until(lambda: "Press e and type another price or count" in str(told.render()), person)

    on_screen(act)


def test_without_an_order_the_key_says_what_it_needs(exchange: Served) -> None:
    exchange.trade_a_little()
    exchange.call(lambda: exchange.exchange.cancel_all(ME, exchange.clock.now()))

    async def act(app: TopApp, person: Person) -> None:
        told = app.query_one("#said", Static)
        await person.press("c")
        await until(lambda: "Select an order to cancel: 2" in str(told.render()), person)
        await person.press("enter", "c")
        await until(lambda: "No live orders in this market" in str(told.render()), person)

    on_screen(act)


def test_a_vanished_order_gives_its_place_to_no_other(exchange: Served) -> None:
    exchange.trade_a_little()

    async def act(app: TopApp, person: Person) -> None:
        await person.press("2")
        orders = app.query_one("#orders", ListPanel)
        await until(lambda: len(orders.rows) == 2, person)
        first, second = (row.order_id for row in orders.rows)
        exchange.call(lambda: exchange.exchange.cancel(ME, first, exchange.clock.now()))
        await until(lambda: len(orders.rows) == 1, person)
        await person.press("c")
        told = app.query_one("#said", Static)
        await until(lambda: "Select an order to cancel with the arrow keys" in str(told.render()), person)
        assert [order_id for order_id, *_ in exchange.resting()] == [second]
        await person.press("home", "c")
        await agree(app, person)
        await until(lambda: exchange.resting() == [], person)

    on_screen(act)


def test_old_numbers_are_announced_also_where_the_clock_of_the_exchange_is_ahead(exchange: Served) -> None:
    clock, may_answer = MovedClock(), threading.Event()
    clock.ahead_ms = -120_000
    silent = threading.Thread(target=lambda: exchange.call(may_answer.wait))

    async def act(app: TopApp, person: Person) -> None:
        silent.start()
        person.grows_old()
        try:
            await until(lambda: "OLD NUMBERS" in shown(app), person)
            assert "The exchange does not answer" in shown(app), "it is said before the read has failed"
        finally:
            may_answer.set()
        await until(lambda: "OLD NUMBERS" not in shown(app), person)
        await until(lambda: time_of_day(SystemClock().now())[:-3] in shown(app), person)  # the time of the account

    on_screen(act, clock=clock)
    silent.join()


def test_an_answer_that_comes_while_the_screen_closes_is_no_fault(exchange: Served) -> None:
    async def act(app: TopApp, person: Person) -> None:
        await app.query("#said").remove()  # the widgets go before the last frame
        app._tell_from_thread("Done", False)
        app._frame()

    on_screen(act)


def test_a_close_shows_its_plan_and_only_yes_closes(exchange: Served) -> None:
    exchange.trade_a_little()
    exchange.call(lambda: exchange.exchange.cancel_all(ME, exchange.clock.now()))

    async def act(app: TopApp, person: Person) -> None:
        await go_to(app, person, TWO_SIDED)
        before = held(exchange)
        await person.press("x")
        await until(lambda: isinstance(app.screen, ConfirmDialog) and TWO_SIDED in shown(app), person)
        await person.press("enter")
        await until(lambda: "Not done" in str(app.screen_stack[0].query_one("#said", Static).render()), person)
        assert held(exchange) == before
        await person.press("x")
        await until(lambda: isinstance(app.screen, ConfirmDialog), person)
        person.reads()
        await person.press("y")
        await until(lambda: held(exchange) == 0, person)
        await until(lambda: f"Closed 6 YES of {TWO_SIDED} at $0.44" in shown(app), person)

    on_screen(act)


def test_behind_a_question_the_screen_goes_on_and_a_position_that_is_gone_cannot_be_closed(exchange: Served) -> None:
    exchange.trade_a_little()
    exchange.call(lambda: exchange.exchange.cancel_all(ME, exchange.clock.now()))

    async def act(app: TopApp, person: Person) -> None:
        positions, head = app.query_one("#positions", ListPanel), app.query_one("#head", Static)
        await go_to(app, person, TWO_SIDED)
        await person.press("x")
        await until(lambda: isinstance(app.screen, ConfirmDialog) and " s left" in shown(app), person)
        before = str(head.render())
        await until(lambda: str(head.render()) != before, person)
        closed = await asyncio.to_thread(program, "close", TWO_SIDED, "--yes")
        assert closed.code == 0
        app._source.refresh()
        await until(lambda: f"No longer true. {TWO_SIDED}: you now hold nothing, not 6 YES" in shown(app), person)
        assert TWO_SIDED not in [row.ticker for row in positions.rows]
        person.reads()
        await person.press("y")
        assert isinstance(app.screen, ConfirmDialog)
        await person.press("n")
        await until(lambda: "Not done: close" in shown(app), person)

    on_screen(act)


@pytest.mark.parametrize("key", ["x", "f"])
def test_a_question_says_when_its_plan_expires_and_is_not_lost_in_silence(exchange: Served, key: str) -> None:
    exchange.trade_a_little()
    exchange.call(lambda: exchange.exchange.cancel_all(ME, exchange.clock.now()))
    clock = MovedClock()

    async def act(app: TopApp, person: Person) -> None:
        before = held(exchange)
        await go_to(app, person, TWO_SIDED)
        await person.press(key)
        await until(lambda: " s left" in shown(app), person)
        clock.ahead_ms = 50_000
        await until(lambda: any(f"\n{left} s left" in shown(app) for left in range(1, 11)), person)
        person.reads()
        clock.ahead_ms = 61_000
        await person.press(*("y" if key == "x" else "flatten"), "enter" if key == "f" else "y")
        await until(lambda: f"Expired: nothing was sent. Esc, then {key} again" in shown(app), person)
        told = app._base.query_one("#said", Static)
        await until(lambda: f"The plan expired; press {key} again" in str(told.render()), person)
        assert isinstance(app.screen, ConfirmDialog | WordDialog), "it stays until a key closes it"
        await person.press("escape")
        assert held(exchange) == before

    on_screen(act, clock=clock)


def test_flatten_shows_the_plan_before_its_word(exchange: Served) -> None:
    exchange.trade_a_little()
    exchange.call(lambda: exchange.exchange.cancel_all(ME, exchange.clock.now()))

    async def act(app: TopApp, person: Person) -> None:
        before = held(exchange)
        burst(app, "fflatten\n")
        await until(lambda: "worst allowed" in shown(app) and " s left" in shown(app), person)
        assert "1 of 2 positions can be closed now: proceeds $2.64" in shown(app)
        assert f"{TWO_SIDED}: 6 YES: best price $0.44" in shown(app)
        await until(lambda: app.screen.query_one(Input).value == "flatten", person)
        assert held(exchange) == before, "the word came before the plan"
        person.reads()
        await person.press("x", "enter")
        await until(lambda: "The word is flatten" in shown(app), person)
        assert held(exchange) == before
        await person.press("backspace", "enter")
        await until(lambda: held(exchange) == 0, person)
        await until(lambda: f"20 NO of {ONE_SIDED} remaining" in shown(app), person)
        assert app.screen is app.screen_stack[0]

    on_screen(act)


def test_a_plan_that_comes_while_the_user_types_a_search_gets_no_answer_from_it(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialogs, "QUIET_S", 60.0)  # longer than the pauses of a busy machine
    exchange.trade_a_little()
    exchange.call(lambda: exchange.exchange.cancel_all(ME, exchange.clock.now()))
    is_held_back, is_typing = threading.Event(), threading.Event()

    def hold_back() -> bool:
        """Keep the exchange from answering until the user types, so that no plan is ready before."""
        is_held_back.set()
        return is_typing.wait(WITHIN_S)

    async def act(app: TopApp, person: Person) -> None:
        before = held(exchange)
        told = app.query_one("#said", Static)
        await go_to(app, person, TWO_SIDED)
        held_back = asyncio.create_task(asyncio.to_thread(exchange.call, hold_back))
        await until(is_held_back.is_set, person)
        await person.press("x", "slash", "m", "y")
        is_typing.set()
        assert await held_back, "the plan may have come before the user typed"
        await until(lambda: "plan ready. Enter or Esc leaves the text box" in str(told.render()), person)
        await person.press("y")
        person.reads()
        await person.press("y")
        assert not isinstance(app.screen, ConfirmDialog)
        assert app.query_one("#search", Input).value == "myyy"
        await person.press("escape")
        await until(lambda: isinstance(app.screen, ConfirmDialog), person)
        await person.press("y")
        await until(lambda: "Wait a second, then y" in shown(app), person)
        person.reads()
        await until(lambda: "Wait a second, then y" not in shown(app), person)
        await person.press("t")
        for key in ("t", "y", "p", "y"):
            person.clock.skipped_s += dialogs.QUIET_S / 2
            await person.press(key)
        assert isinstance(app.screen, ConfirmDialog), "typed words agree to nothing"
        assert held(exchange) == before
        await person.press("n")
        await until(lambda: "Not done" in str(told.render()), person)
        assert held(exchange) == before

    on_screen(act)


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        ("cancel that order first: `kalshi cancel ID`, with the id above",
         "cancel that order first: c in the list of orders (2), with the id above"),
        ("your open orders close it too; cancel them: `kalshi cancel-all --ticker KXA-1 --no-halt`, or "
         "`kalshi close KXA-1 --cancel-orders`",
         "your open orders close it too; cancel them: c on the market page (Enter)"),
        ("check `kalshi orderbook KXA-1`; nothing was sent", "check the market page (Enter); nothing was sent"),
        ("check `kalshi order list`. Then run `kalshi resume --reason TEXT`",
         "check the list of orders (2). Then press r"),
        ("no new orders until `kalshi resume --reason TEXT`", "press r to resume"),
        ("run `kalshi order reconcile`", "run `kalshi order reconcile`"),
        ("run `kalshi cancel-all` again", "run `kalshi cancel-all` again"),
    ],
)  # fmt: skip
def test_a_hint_names_the_key_where_there_is_one(hint: str, said: str) -> None:
    assert with_keys(hint) == said


def order_of_a_strategy(exchange: Served) -> None:
    """Six YES are offered by a strategy: a close cancels no order of its."""
    order_id = exchange.submit(ME, TWO_SIDED, ASK, "0.5600", "6").order_id
    order = make_order("own", ticker=TWO_SIDED, side=ASK, price=cents(56), qty=contracts(6))
    with closing(Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim")) as store:
        store.record(OrderChanged(msgspec.structs.replace(order, order_id=order_id, strategy="spike")))


def test_a_close_cancels_the_manual_orders_that_block_it_in_one_step(exchange: Served) -> None:
    exchange.trade_a_little()
    exchange.submit(ME, TWO_SIDED, ASK, "0.5600", "6")

    async def act(app: TopApp, person: Person) -> None:
        await go_to(app, person, TWO_SIDED)
        await person.press("x")
        await until(lambda: "Cancels first: Order" in shown(app), person)
        await agree(app, person)
        await until(lambda: not held(exchange), person)

    on_screen(act)


def test_a_close_that_orders_forbid_is_refused_unasked_and_the_answer_is_whole_when_small(exchange: Served) -> None:
    exchange.trade_a_little()
    order_of_a_strategy(exchange)

    async def act(app: TopApp, person: Person) -> None:
        told = app.query_one("#said", Static)
        await go_to(app, person, TWO_SIDED)
        assert told.size.height == 1
        await person.press("x")
        await until(lambda: "in open orders exceeds" in str(told.render()), person)
        await person.pause()
        assert not isinstance(app.screen, ConfirmDialog)
        assert len(str(told.render())) > 80
        assert told.size.height > 1
        assert "c on the market page (Enter)" in str(told.render())
        assert "`kalshi" not in str(told.render())

    on_screen(act)


def test_a_narrow_screen_shows_a_refusal_whole_and_the_keys_of_its_list(exchange: Served) -> None:
    exchange.trade_a_little()

    async def act(app: TopApp, person: Person) -> None:
        told, keys = app.query_one("#said", Static), app.query_one("#keys", Static)
        await person.press("2")
        await until(lambda: "e change  c cancel  K kill" in str(keys.render()), person)
        await person.press("1")
        await until(lambda: "x close  p pause  K kill" in str(keys.render()), person)
        await go_to(app, person, TWO_SIDED)
        await person.press("o", *"buy 5 @0.92", "enter")
        await until(lambda: "(PRICE_COLLAR)" in str(told.render()), person)
        await person.pause()
        lines = textwrap.wrap(str(told.render()), 48)
        assert told.size.height == len(lines) > 4

    on_screen(act, size=(48, 24))


def test_the_fill_of_a_resting_order_is_announced(exchange: Served) -> None:
    order_id = exchange.submit(ME, TWO_SIDED, BID, "0.4500", "10").order_id

    async def act(app: TopApp, person: Person) -> None:
        told = app.query_one("#said", Static)
        await until(lambda: len(app._state.orders or ()) == 1, person)
        exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "4")
        words = f"Order {order_id[:8]} on {TWO_SIDED} filled: buy YES, 4 at $0.45"
        await until(lambda: words in str(told.render()), person)

    on_screen(act)


def test_a_settlement_is_announced_and_stays_among_the_fills(exchange: Served) -> None:
    exchange.trade_a_little()
    exchange.call(lambda: exchange.exchange.cancel_all(ME, exchange.clock.now()))

    def settle() -> None:
        now = exchange.clock.now()
        exchange.exchange.settle(TWO_SIDED, cents(100), now)
        exchange.exchange.advance(Ts(now + 3_600_000))

    async def act(app: TopApp, person: Person) -> None:
        told = app.query_one("#said", Static)
        assert app._state.settlements == ()
        app._tell("An order may be live", is_error=True)
        exchange.call(settle)
        await until(lambda: f"Settled {TWO_SIDED}: YES, payout $6.00, P&L +" in str(told.render()), person)
        assert str(told.render()).startswith("An order may be live"), "news do not replace a result"
        await person.press("3")
        await until(lambda: "settled YES" in shown(app), person)

    on_screen(act)


def test_the_prompt_shows_prices_that_move_and_the_order_that_it_changes(exchange: Served) -> None:
    exchange.submit(ME, TWO_SIDED, ASK, "0.5500", "5")

    async def act(app: TopApp, person: Person) -> None:
        await person.press("2")
        await until(lambda: app.query_one("#orders", ListPanel).selected, person)
        assert app._state.positions == (), "no list follows the market"
        await person.press("e")
        await until(lambda: "Your order: buy 5 NO" in shown(app), person)
        await until(lambda: "YES  bid $0.44 (" in shown(app), person)
        assert "at $0.45, 0 filled" in shown(app)
        assert app.screen.query_one(Input).region.width < app.size.width, "a box, with the numbers behind it"
        assert "\nNO " in shown(app), "each side has its line"
        exchange.submit("maker", TWO_SIDED, BID, "0.4600", "7")
        await until(lambda: "YES  bid $0.46 (7)" in shown(app), person)
        assert "ask $0.54 (7)" in shown(app), "the price of NO"
        exchange.call(lambda: exchange.exchange.cancel_all(ME, exchange.clock.now()))
        await until(lambda: "Your order is no longer live" in shown(app), person)

    on_screen(act, (100, 30))


def test_a_note_about_a_market_page_is_a_line_of_it_and_covers_nothing(exchange: Served) -> None:
    exchange.trade_a_little()

    async def act(app: TopApp, person: Person) -> None:
        await go_to(app, person, TWO_SIDED)
        await person.press("enter", "l")
        await until(lambda: isinstance(app.screen, ConfirmDialog), person)
        await person.press("n")
        await until(lambda: "Not done: lock" in str(app.screen.query_one("#said", Static).render()), person)
        assert not app._notifications

    on_screen(act)


def test_the_price_of_a_position_says_that_it_is_old_also_outside_the_watchlist(exchange: Served) -> None:
    exchange.trade_a_little()
    may_answer = threading.Event()
    silent = threading.Thread(target=lambda: exchange.call(may_answer.wait))

    async def act(app: TopApp, person: Person) -> None:
        await until(lambda: app._followed, person)
        silent.start()
        person.grows_old()
        try:
            await until(lambda: all(row.title.startswith("OLD: ") for row in app._state.markets or ()), person)
            assert {row.ticker for row in app._state.markets or ()} == {TWO_SIDED, ONE_SIDED, EMPTY}
        finally:
            may_answer.set()
        await until(lambda: not any(row.title.startswith("OLD: ") for row in app._state.markets or ()), person)

    try:
        on_screen(act, tickers=(EMPTY,))
    finally:
        may_answer.set()
        silent.join()


def test_a_market_page_says_that_trading_is_paused_and_that_numbers_are_old(exchange: Served) -> None:
    exchange.trade_a_little()
    may_answer = threading.Event()
    silent = threading.Thread(target=lambda: exchange.call(may_answer.wait))

    async def act(app: TopApp, person: Person) -> None:
        await person.press("enter")
        await until(lambda: "spread" in shown(app) or "no spread" in shown(app), person)
        await person.press("p")
        await agree(app, person)
        await until(lambda: "PAUSED" in str(app.screen.query_one("#warning", Static).render()), person)
        silent.start()
        person.grows_old()
        try:
            await until(lambda: "OLD NUMBERS" in str(app.screen.query_one("#warning", Static).render()), person)
        finally:
            may_answer.set()

    on_screen(act)
    silent.join()


def test_on_a_phone_the_depth_has_bids_and_asks_in_lines_of_their_own(exchange: Served) -> None:
    exchange.trade_a_little()

    async def look(app: TopApp, person: Person) -> None:
        await person.press("enter")
        await until(lambda: app.screen.query("#ladder") and "spread" in shown(app), person)
        part = app.screen.query_one("#ladder", Static)
        await until(lambda: part.content_size.width > 40, person)
        await until(lambda: len(str(part.render()).splitlines()) >= 3, person)
        lines = str(part.render()).splitlines()
        assert len(lines) <= part.content_size.height
        assert max(map(len, lines)) <= part.content_size.width, lines
        middle = next(at for at, line in enumerate(lines) if "spread" in line)
        assert lines[:middle], "asks"
        assert lines[middle + 1 :], "bids"

    on_screen(look, (48, 30))


def test_without_a_strategy_the_list_of_strategies_takes_no_room(exchange: Served) -> None:
    exchange.trade_a_little()

    async def look(app: TopApp, person: Person) -> None:
        hidden = [each.id for each in app.query(ListPanel) if not each.display]
        assert hidden == ["strategies"]
        alerts = app.query_one("#alerts", ListPanel)
        assert alerts.region.width > app.size.width - 4
        await person.press("4")
        await until(lambda: "No strategy is running" in shown(app), person)

    for size in ((120, 40), (200, 60)):
        on_screen(look, size)


def test_the_word_of_the_kill_switch_can_be_completed(exchange: Served) -> None:
    exchange.trade_a_little()

    async def act(app: TopApp, person: Person) -> None:
        await person.press("K", *"kil", "enter")
        await until(lambda: "The word is kill" in shown(app), person)
        assert len(exchange.resting()) == 2
        await person.press("l", "enter")
        await until(lambda: exchange.resting() == [], person)

    on_screen(act)


def test_orders_canceled_while_the_exchange_was_frozen_are_counted(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert program("buy", TWO_SIDED, "3", "0.20", "--yes").code == 0
    monkeypatch.setattr("kalshi_cli.services.orders.kill_switch.FIRST_LOOK_S", 0.2)
    may_answer = threading.Event()
    frozen = threading.Thread(target=lambda: exchange.call(may_answer.wait))

    async def act(app: TopApp, person: Person) -> None:
        told = app.query_one("#said", Static)
        await until(lambda: len(app._state.orders or ()) == 1, person)
        try:
            frozen.start()
            await person.press("K", *"kill", "enter")
            await until(lambda: "Trading is halted" in str(told.render()), person)
            await until(lambda: "trying again" in str(told.render()), person)
        finally:
            may_answer.set()
        await until(lambda: "0 left" in str(told.render()), person)
        assert "Trading is halted; canceled at least 1 order, 0 left" in str(told.render())

    on_screen(act)
    frozen.join()


def test_a_settled_market_is_not_locked_and_its_page_shows_a_long_refusal_in_full(exchange: Served) -> None:
    exchange.trade_a_little()

    def settle() -> None:
        now = exchange.clock.now()
        exchange.exchange.settle(TWO_SIDED, cents(100), now)
        exchange.exchange.advance(Ts(now + 3_600_000))

    async def act(app: TopApp, person: Person) -> None:
        await go_to(app, person, TWO_SIDED)
        await person.press("enter")
        await until(lambda: isinstance(app.screen, MarketPage) and "spread" in shown(app), person)
        exchange.call(settle)
        await until(lambda: app._state.settlements, person)
        await person.press("l")
        told = app.screen.query_one("#said", Static)
        await until(lambda: f"{TWO_SIDED} has settled YES: there is nothing to lock" in str(told.render()), person)
        app._tell("a long refusal " * 14, is_error=True)
        await until(lambda: told.region.height == 3, person)
        assert told.region.bottom < app.size.height, "above the line of keys"

    on_screen(act)


def test_the_kill_switch_wants_its_word_and_a_resume_resets_the_groups_of_loops(exchange: Served) -> None:
    exchange.trade_a_little()
    group_id = program("order", "group", "create", "--limit", "10", "--json").json["order_group_id"]
    with Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim") as store:
        store.save_order_group(RunGroup(group_id, 0))

    async def act(app: TopApp, person: Person) -> None:
        await until(lambda: len(app._state.orders or ()) == 2, person)
        await person.press("K")
        await until(lambda: "EVERY order (2 now)" in shown(app), person)
        await person.press(*"klil", "enter")
        await until(lambda: "The word is kill" in shown(app), person)
        assert len(exchange.resting()) == 2
        await person.press(*"KILL", "enter")
        await until(lambda: exchange.resting() == [], person)
        await until(lambda: "Trading is halted; canceled 2 orders, 0 left" in shown(app), person)
        await until(lambda: "HALTED" in shown(app), person)
        await person.press("r")
        await until(lambda: "HALTED: CANCEL_ALL kill switch. Why is it safe to trade again?" in shown(app), person)
        await person.press(*"all is well", "enter")
        await until(lambda: "Reset 1 triggered order group" in shown(app), person)
        await agree(app, person)
        await until(lambda: "HALTED" not in shown(app), person)
        await person.press("r")
        await until(lambda: "Trading is already active" in shown(app), person)
        assert app.screen is app.screen_stack[0]

    on_screen(act)
    assert program("order", "group", "show", group_id, "--json").json["is_triggered"] is False


def test_the_kill_switch_waits_for_no_question_and_says_what_is_done_while_the_exchange_is_silent(
    exchange: Served,
) -> None:
    exchange.trade_a_little()
    may_answer = threading.Event()
    silent = threading.Thread(target=lambda: exchange.call(may_answer.wait))

    async def act(app: TopApp, person: Person) -> None:
        told = app.query_one("#said", Static)
        try:
            await person.press("p")
            await until(lambda: isinstance(app.screen, ConfirmDialog), person)
            await person.press("escape")
            app._actions.do(Action("wait", lambda _: may_answer.wait(WITHIN_S), lambda *_: None))  # type: ignore[arg-type,return-value]
            silent.start()
            await person.press("K", *"kill", "enter")
            await until(lambda: "Trading is halted" in str(told.render()), person)
            assert "Waiting for the exchange ..." in str(told.render())
            with open_account() as kalshi:
                assert kalshi.trading.halt().state == "halted"
        finally:
            may_answer.set()
        await until(lambda: "Trading is halted; canceled 2 orders, 0 left" in str(told.render()), person)

    on_screen(act)
    silent.join()


def test_a_note_ends_and_an_empty_reason_is_answered(exchange: Served) -> None:
    async def act(app: TopApp, person: Person) -> None:
        told = app.query_one("#said", Static)
        await person.press("p")
        await agree(app, person)
        await until(lambda: "Done: pause trading" in str(told.render()), person)
        person.clock.skipped_s += top_screen.NOTE_S
        await until(lambda: str(told.render()) == "", person)
        await until(lambda: "PAUSED" in shown(app), person)
        await person.press("r", "enter")
        await until(lambda: "Type a reason" in shown(app), person)
        assert isinstance(app.screen, TextDialog)
        await person.press("escape")
        assert "PAUSED" in shown(app)
        assert str(told.render()) == ""

    on_screen(act)


def test_the_help_names_the_columns_without_room(exchange: Served) -> None:
    exchange.trade_a_little()

    async def look(app: TopApp, person: Person) -> None:
        await person.press("question_mark")
        await until(lambda: "Hidden, the terminal is too narrow: Positions: " in shown(app), person)
        assert app.screen.query_one(VerticalScroll).region.height <= 24
        first = [row.children[0].region for row in app.screen.query(Horizontal)]
        words = [row.children[1].region for row in app.screen.query(Horizontal)]
        assert max(each.right for each in first) <= min(each.x for each in words), "words keep out of the keys"

    on_screen(look)


def test_on_a_phone_the_help_begins_with_the_stops_and_can_be_scrolled(exchange: Served) -> None:
    exchange.trade_a_little()

    async def look(app: TopApp, person: Person) -> None:
        assert str(app.query_one("#keys", Static).render()) == "x close  p pause  K kill  ? keys  q quit"
        positions = app.query_one("#positions", ListPanel)
        await until(lambda: "6 YES" in str(positions.render()), person)
        assert "unrealized" in str(positions.render())
        await person.press("question_mark")
        await until(lambda: isinstance(app.screen, HelpDialog) and app.screen.query(VerticalScroll), person)
        box = app.screen.query_one(VerticalScroll)
        await until(lambda: box.max_scroll_y > 0, person)
        assert "arrow keys scroll" in str(box.border_subtitle)
        assert shown(app).split()[:2] == ["K", "halt,"]
        while box.scroll_y < box.max_scroll_y:
            before = box.scroll_y
            await person.press("down")
            await until(lambda: box.scroll_y > before, person)  # noqa: B023

    on_screen(look, (40, 18))


def test_without_a_position_flatten_and_close_ask_nothing(exchange: Served) -> None:
    async def act(app: TopApp, person: Person) -> None:
        await person.press("f")
        await until(lambda: "No open positions" in str(app._base.query_one("#said", Static).render()), person)
        await until(lambda: app.screen is app.screen_stack[0], person)
        await person.press("1", "x")
        await until(lambda: str(app._base.query_one("#said", Static).render()) == "No open positions", person)
        await person.press("2", "x")
        await until(
            lambda: "Select a position to close: 1" in str(app._base.query_one("#said", Static).render()), person
        )
        await person.press("6", "x")
        await until(lambda: f"No open position in {FINE}" in str(app._base.query_one("#said", Static).render()), person)
        assert app.screen is app.screen_stack[0]

    on_screen(act, tickers=(FINE,))


def test_a_screen_of_120_columns_shows_what_a_small_one_shows(exchange: Served) -> None:
    exchange.trade_a_little()
    program("alerts", "add", TWO_SIDED, "--above", "10c")
    raise_alerts(1)

    async def look(app: TopApp, person: Person) -> None:
        await until(lambda: "PRICE_ALERT" in shown(app), person)
        assert all(word in shown(app) for word in ("closing price", "value", "at or above $0.10"))
        assert all(each.region.height >= 4 for each in app.query(ListPanel) if each.display)
        await person.press("6", "enter")
        await until(lambda: "SIM" in str(app.screen.query_one("#title", Static).render()), person)

    on_screen(look, (120, 40))


def test_keys_of_one_burst_act_as_if_typed_slowly(exchange: Served) -> None:
    exchange.trade_a_little()
    assert program("catalog", "refresh").code == 0  # without one, a search says so

    async def act(app: TopApp, person: Person) -> None:
        told = app.query_one("#said", Static)
        await person.press("2")
        await until(lambda: app.query_one("#orders", ListPanel).selected, person)
        burst(app, "/bitcapx\n")
        await until(lambda: app.query_one("#search", Input).value == "bitcapx", person)
        await until(lambda: not app.query_one("#search", Input).has_class("open"), person)
        assert str(told.render()) == ""
        assert len(exchange.resting()) == 2
        await person.press("escape")
        burst(app, "Kklil\n/t1\n")
        await until(lambda: "The word is kill" in shown(app), person)
        assert app._words == ""
        await person.press("escape")
        await until(lambda: "Not done: halt trading" in str(told.render()), person)
        assert len(exchange.resting()) == 2
        burst(app, "/\nKkill\n?")
        await until(lambda: exchange.resting() == [], person)
        await until(lambda: isinstance(app.screen, HelpDialog), person)
        await person.press("escape")
        await until(lambda: "HALTED" in shown(app), person)
        await until(lambda: "canceled 2 orders" in str(told.render()), person)  # before that a resume is refused
        burst(app, "rall is well\ny")
        await agree(app, person)
        await until(lambda: "Done: resume trading" in shown(app), person)

    on_screen(act)


STRAY = {
    "o": "buy 1 @0.40", "e": "0.33", "f": " flatten", "K": " kill", "r": "eprint the blotter", "c": "at notes",
    "x": "y", "l": "s", "p": "ython", "slash": "yes", "question_mark": "yes", "enter": "yes",
}  # fmt: skip
"""Text behind each key, as if meant for another window."""


def test_no_stray_text_with_enter_acts(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialogs, "QUIET_S", 60.0)  # longer than the pauses of a busy machine
    exchange.trade_a_little()
    bound = {each.key for each in TopApp.BINDINGS if isinstance(each, Binding)}
    assert bound - STRAY.keys() == {*"123456", "escape", "q", "ctrl+c"}, "a new key needs a text here"

    def state(kalshi: Kalshi) -> object:
        return exchange.resting(), held(exchange), kalshi.trading.halt(), kalshi.trading.locks()

    async def type_line(app: TopApp, person: Person, key: str) -> None:
        await person.press("2" if key in "ec" else "1")
        await until(lambda: isinstance(app.focused, ListPanel) and app.focused.selected, person)
        burst(app, (key,), f"{STRAY[key]}\nyes\n")
        await person.wait_for_keys()
        while app._actions._queue.unfinished_tasks or app.screen is not app.screen_stack[0]:
            await person.press("escape")
            await person.pause(top_screen.FRAME_S)
        await person.press("escape")

    async def act(app: TopApp, person: Person) -> None:
        for command, keys in (("", STRAY), ("pause", "Kpr")):  # these act otherwise while trading is paused
            if command:
                program(command)
                await until(lambda: "PAUSED" in shown(app), person)
            with open_account() as kalshi:
                before = state(kalshi)
                for key in keys:
                    await type_line(app, person, key)
                    assert state(kalshi) == before, key

    on_screen(act)


def test_the_kill_switch_fires_from_one_burst_on_a_real_terminal(exchange: Served) -> None:
    exchange.trade_a_little()
    terminal = Terminal("top", env={**os.environ, **exchange.variables(), "TERM": "xterm-256color"}, size=(80, 24))
    terminal.read_until("no strategy is running")
    os.write(terminal.screen, b"2/bitc\rKkill\r")
    terminal.read_until("HALTED")
    assert exchange.resting() == []
    os.write(terminal.screen, b"q")
    assert terminal.finish() == 0


def test_control_c_leaves_also_from_a_question(exchange: Served) -> None:
    for keys in ("", "K"):
        terminal = Terminal("top", env={**os.environ, **exchange.variables(), "TERM": "xterm-256color"}, size=(80, 24))
        terminal.read_until("no strategy is running")
        if keys:
            os.write(terminal.screen, keys.encode())
            terminal.read_until("Type kill to do it")
        os.write(terminal.screen, b"\x03")
        assert terminal.finish() == 0


def test_a_running_loop_is_paused_and_the_screen_leaves_it_alone(exchange: Served) -> None:
    words = ["trade", "--strategy", "market-maker", "--ticker", TWO_SIDED, "--interval", "0.3s", "--yes"]
    loop = start(words, exchange.variables(), exchange.home)
    try:
        socket: Path = exchange.state / "sim" / "events.sock"
        eventually(lambda: socket.exists() or loop.poll() is not None)

        async def act(app: TopApp, person: Person) -> None:
            await until(lambda: "market-maker is running" in shown(app), person)
            await until(lambda: any(side is BID for _, side, *_ in exchange.resting()), person)
            await person.press("p")
            await agree(app, person)
            await until(lambda: "PAUSED" in shown(app), person)
            await until(lambda: exchange.resting() == [], person)

        on_screen(act)
        assert loop.poll() is None, said(loop)
    finally:
        loop.kill()
        finish(loop)


def test_a_watchlist_is_shown_without_a_loop_and_before_other_markets(exchange: Served) -> None:
    exchange.trade_a_little()

    async def look(app: TopApp, person: Person) -> None:
        assert app.query_one("#markets", ListPanel).has_focus, "the prices come first"
        await until(lambda: "$0.0310" in shown(app) or "$0.031" in shown(app), person)
        tickers = [row.ticker for row in app.query_one("#markets", ListPanel).rows]
        assert tickers[:2] == [EMPTY, FINE]
        assert TWO_SIDED in tickers[2:]

    on_screen(look, tickers=(FINE, EMPTY))


def test_prices_of_a_watchlist_that_cannot_be_read_are_not_shown(exchange: Served) -> None:
    async def look(app: TopApp, person: Person) -> None:
        await person.press("6")
        await until(lambda: "0.031" in shown(app), person)
        exchange.vanish()
        await until(lambda: "cannot be read" in shown(app), person)
        assert "0.031" not in shown(app)

    on_screen(look, tickers=(FINE,))


def test_a_hostile_title_is_only_text_on_the_screen(exchange: Served) -> None:
    exchange.trade_a_little()
    exchange.retitle(TWO_SIDED, TITLE)

    async def look(app: TopApp, person: Person) -> None:
        for key in ("1", "6"):
            await person.press(key)
            await until(lambda: "[red]" in shown(app), person)  # markup is shown, not obeyed
            assert harmful(shown(app)) == ""
        await person.press("enter")
        await until(lambda: "spread" in shown(app) and "[red]" in shown(app), person)
        assert harmful(shown(app)) == ""

    on_screen(look, (200, 50), tickers=(TWO_SIDED,))


def test_a_hostile_title_is_only_text_in_lines(exchange: Served) -> None:
    exchange.trade_a_little()
    exchange.retitle(TWO_SIDED, TITLE)
    program("watchlist", "add", "rain", TWO_SIDED)
    screen = start(["top", "--plain", "--list", "rain"], exchange.variables(), exchange.home)
    try:
        for panel in ("Positions: ", "Markets: "):
            line = next(line for line in screen.stdout or () if line.startswith(panel) and TWO_SIDED in line)
            assert "[red]" in line
            assert harmful(line) == ""
    finally:
        screen.kill()
        finish(screen)


def test_killing_the_screen_the_page_or_the_loop_harms_none_of_the_others(exchange: Served) -> None:
    words = ["trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--interval", "0.3s", "--yes"]
    variables, home = {**exchange.variables(), "TERM": "xterm-256color"}, exchange.home
    for order in (("loop", "page", "screen"), ("page", "screen", "loop"), ("screen", "loop", "page")):
        terminal = Terminal("top", env={**os.environ, **variables})
        running = {
            "loop": start(words, variables, home, stdout=subprocess.DEVNULL),
            "page": start(["serve", "--port", "0"], variables, home, stdout=subprocess.DEVNULL),
            "screen": terminal.process,
        }
        try:
            terminal.read_until("spike is running")
            for number, name in enumerate(order):
                running[name].kill()
                running[name].wait(60)
                time.sleep(0.2)
                alive = {each for each in order if running[each].poll() is None}
                assert alive == set(order[number + 1 :]), f"{name} was killed, in the order {order}"
                if name == "loop" and "screen" in alive:
                    terminal.read_until("no strategy is running")
        finally:
            for each in running.values():
                each.kill()
                each.wait(60)
            os.close(terminal.screen)


@pytest.mark.parametrize("ignored", [True, False])
def test_a_screen_whose_terminal_is_closed_ends(exchange: Served, ignored: bool) -> None:
    """Also under `nohup`, where no signal tells of it: such a screen once used a whole core for two hours."""
    variables = {**os.environ, **exchange.variables(), "TERM": "xterm-256color"}
    screen, theirs = pty.openpty()
    # The terminal that the first process of a session opens is that of the session: the system sends it the signal.
    trap = "trap '' HUP; " if ignored else ""
    line = f"exec 0<>{os.ttyname(theirs)} 1>&0 2>&0; {trap}exec {sys.executable} -m kalshi_cli top"
    process = subprocess.Popen(["/bin/sh", "-c", line], env=variables, start_new_session=True)
    text = b""
    try:
        while b"no strategy is running" not in text:
            assert select.select([screen], [], [], WITHIN_S)[0], text
            text += os.read(screen, 65_536)
        os.close(theirs)
        os.close(screen)
        assert process.wait(WITHIN_S) == ExitCode.TERMINATED
    finally:
        process.kill()
        process.wait()


def test_a_hang_up_with_an_open_terminal_ends_the_screen(exchange: Served) -> None:
    terminal = Terminal("top", env={**os.environ, **exchange.variables(), "TERM": "xterm-256color"}, size=(80, 24))
    terminal.read_until("no strategy is running")
    terminal.process.send_signal(signal.SIGHUP)
    assert terminal.finish() == ExitCode.TERMINATED


def test_what_was_asked_before_the_end_is_done(exchange: Served) -> None:
    done: list[str] = []
    plan: Plan[object] = Plan(plan_id="p", subject="", facts=(), expires=exchange.clock.now())

    def act(number: int) -> Action:
        def execute(_kalshi: Kalshi, _plan: object) -> None:
            time.sleep(0.05)
            done.append(str(number))

        return Action(str(number), lambda _kalshi: plan, execute)

    thread = ActionThread(open_account, lambda *_: None)
    thread.start()
    for number in range(3):
        thread.do(act(number))
    thread.finish()
    assert done == ["0", "1", "2"]
