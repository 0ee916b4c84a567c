"""The page in a real browser: numbers that move, dialogs, a phone, the keyboard, hostile titles, a dead loop."""

from __future__ import annotations

import itertools
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page as Tab
from playwright.sync_api import expect, sync_playwright
from support.backtests import save_report
from support.hostile_text import TITLE
from support.served import EMPTY, ME, TWO_SIDED, Served, eventually, finish, program, said, start
from support.web_page import Page, common_page

from kalshi_cli.base.units import Ts, cents
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.web.server import PAGE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; `make browser` says what to install")
PHONE = {"width": 390, "height": 800}
DESK = {"width": 1280, "height": 720}
WITHIN_MS = 30_000

OFTEN = "from kalshi_cli.services.trading.reports import live_events as e; e.SILENCE_S, e.ACCOUNT_EVERY_S = 0.2, 0.6"
"""The account is read three times as often, so that changes at the exchange show sooner."""

EDGES = (
    "() => { const cells = [...document.querySelectorAll('td')]; "
    "return cells.length ? cells.map((cell) => cell.getBoundingClientRect().right) : null; }"
)
"""The right edge of every cell, in pixels, once there are cells."""


@pytest.fixture
def page(exchange: Served, request: pytest.FixtureRequest) -> Iterator[Page]:
    exchange.trade_a_little()
    made = Page(exchange, *getattr(request, "param", ()), first=OFTEN)
    yield made
    made.close()


@pytest.fixture(scope="module")
def window() -> Iterator[Tab]:
    """One browser and one tab for all tests of this file: a new tab costs a third of a second of processor time."""
    expect.set_options(timeout=WITHIN_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page(viewport=DESK)  # type: ignore[arg-type]
        opened.set_default_timeout(WITHIN_MS)
        yield opened
        browser.close()


@pytest.fixture
def empty(window: Tab) -> Iterator[Tab]:
    """The tab as if it were new: without a session, a page, a route, or a size of its own."""
    yield window
    window.goto("about:blank")
    window.unroute_all()
    window.context.clear_cookies()
    window.set_viewport_size(DESK)  # type: ignore[arg-type]
    window.emulate_media(color_scheme="null")


@contextmanager
def opened(page: Page, empty: Tab) -> Iterator[Tab]:
    """The tab with a session; any error on its console fails the test."""
    problems: list[str] = []
    heard: tuple[tuple[Any, Callable[[Any], None]], ...] = (
        ("console", lambda said: problems.append(said.text) if said.type == "error" else None),
        ("pageerror", lambda error: problems.append(str(error))),
        ("request", lambda sent: problems.append(sent.url) if not sent.url.startswith(page.address) else None),
    )
    for event, hear in heard:
        empty.on(event, hear)
    empty.goto(page.link())
    expect(empty.locator(".card").first).to_be_visible()
    yield empty
    for event, hear in heard:
        empty.remove_listener(event, hear)
    assert problems == []


@pytest.fixture
def tab(page: Page, empty: Tab) -> Iterator[Tab]:
    """A page and an exchange of the test's own."""
    with opened(page, empty) as shown:
        yield shown


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with common_page(tmp_path_factory.mktemp("common"), "--allow-writes", first=OFTEN) as made:
        yield made


@pytest.fixture
def view(common: Page, empty: Tab) -> Iterator[Tab]:
    """A page with every button, for tests that change nothing at the exchange or in the state directory."""
    with opened(common, empty) as shown:
        yield shown


def test_every_page_shows_the_account(view: Tab) -> None:
    for name, text in (
        ("overview", "Equity"), ("positions", TWO_SIDED), ("orders", "$0.55"), ("fills", "Fills"),
        ("pnl", "By strategy"), ("markets", "Rain above"), ("reports", "No reports"), ("alerts", "Alerts"),
        ("runbooks", "kill-switch"),
    ):  # fmt: skip
        view.click(f"nav a[href='#{name}']")
        expect(view.locator("main")).to_contain_text(text)
        expect(view.locator(f"nav a[href='#{name}']")).to_have_attribute("aria-current", "page")


def test_a_market_has_depth_chart_and_rules(view: Tab) -> None:
    view.click("nav a[href='#positions']")
    view.click(f"main a:text('{TWO_SIDED}')")
    expect(view.locator("main h1")).to_have_text("Rain above 1.0 inch?")
    expect(view.locator(".ladder meter").first).to_be_visible()
    assert view.locator(".ladder meter").count() >= 4
    expect(view.locator("main")).to_contain_text("resolves to Yes")
    expect(view.locator("table", has_text="Public trades").locator("tbody tr")).to_have_count(2)


def test_a_minute_without_a_price_is_left_out_of_the_chart(view: Tab, common: Page) -> None:
    ends = [f"2026-11-23T13:0{minute}:00.000Z" for minute in range(4)]
    candles = [{"end": end, "close": close} for end, close in zip(ends, (None, "0.9800", None, "0.9900"), strict=True)]
    view.route("**/candles?*", lambda route: route.fulfill(json=candles))
    view.goto(f"{common.address}/#market/{TWO_SIDED}")
    chart = view.locator("svg.chart")
    expect(chart).to_have_attribute("aria-label", "Price: from $0.98 to $0.99, at least $0.98, at most $0.99")


def test_a_market_shows_your_position_and_orders_in_it_and_no_others(view: Tab, common: Page) -> None:
    view.set_viewport_size(PHONE)  # type: ignore[arg-type]
    view.goto(f"{common.address}/#market/{TWO_SIDED}")
    expect(view.locator("main")).to_contain_text("Your position")
    expect(view.locator("main")).to_contain_text("Your orders")
    expect(view.locator("td[data-name='Effect']").first).to_have_text(re.compile(r"^(closes|opens) [\d.]+ (YES|NO)"))
    expect(view.locator("td[data-name='Max payout']").first).to_have_text(re.compile(r"^\$\d+\.\d\d$"))
    assert view.locator("main button:text-is('Close')").count() == 1
    expect(view.locator("select[name=side] option").first).to_have_text("YES or NO")
    expect(view.locator("input[name=price]")).to_have_attribute("inputmode", "decimal")
    assert view.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    view.goto(f"{common.address}/#market/{EMPTY}")
    expect(view.locator("main h1")).to_be_visible()
    expect(view.locator("main")).not_to_contain_text("Your position")


def test_prices_of_a_market_move_while_it_is_shown(tab: Tab, exchange: Served, page: Page) -> None:
    code = (PAGE / "page.js").read_text().replace("AGAIN_MS = 4000", "AGAIN_MS = 200")
    tab.route("**/page.js", lambda route: route.fulfill(body=code, content_type="text/javascript"))
    tab.goto(f"{page.address}/#market/{TWO_SIDED}")
    tab.reload()
    expect(tab.locator(".card").first).to_contain_text("$0.44")
    exchange.submit("maker", TWO_SIDED, BID, "0.4600", "7")
    expect(tab.locator(".card").first).to_contain_text("$0.46")


def test_a_saved_report_is_drawn_from_its_numbers(tab: Tab, exchange: Served, page: Page) -> None:
    folder = exchange.state / "sim" / "reports"
    save_report(folder / "monday" / "report.json", strategy=TITLE, unknown=(TITLE,))
    (folder / "broken.json").write_text("<script>document.title='bad'</script>")
    (folder / "page.html").write_text("<script>document.title='bad'</script>")
    tab.set_viewport_size(PHONE)  # type: ignore[arg-type]
    tab.click("nav a[href='#reports']")
    expect(tab.locator("tbody tr")).to_have_count(2)
    tab.click("main a:text('monday')")
    expect(tab.locator("main h1")).to_contain_text("onerror=document.title")
    expect(tab.locator("svg.chart")).to_have_count(2)
    expect(tab.locator("nav a[href='#reports']")).to_have_attribute("aria-current", "page")
    assert tab.locator("main img, main script").count() == 0
    assert tab.title() == "kalshi"
    assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.parametrize("page", [["--allow-writes"]], indirect=True)
def test_a_market_is_locked_put_on_a_watchlist_and_taken_off(tab: Tab, page: Page) -> None:
    page.do(do="watch", list="rain", tickers=EMPTY)
    tab.goto(f"{page.address}/#market/{TWO_SIDED}")
    tab.click("text=Lock for 1h")
    expect(tab.locator("#facts li").first).to_be_visible()
    tab.click("#yes")
    expect(tab.locator("#outcome")).to_contain_text("Done: ")
    tab.click("#no")
    tab.fill("[aria-label='Name of the watchlist']", "rain")
    tab.click("text=Add to watchlist")
    expect(tab.locator("#facts")).to_contain_text("to the watchlist rain")
    assert page.get("watchlists").json() == [{"name": "rain", "tickers": [EMPTY]}]
    tab.click("#yes")
    expect(tab.locator("#outcome")).to_contain_text("Done: ")
    tab.click("#no")
    tab.click("nav a[href='#markets']")
    tab.click("main a:text('rain (2)')")
    row = tab.locator("tbody tr", has_text=TWO_SIDED)
    expect(row).to_contain_text("$0.44")
    row.get_by_text("Remove").click()
    expect(tab.locator("#facts li").first).to_be_visible()
    tab.click("#yes")
    expect(tab.locator("#outcome")).to_contain_text("Done: ")
    assert page.get("watchlists").json() == [{"name": "rain", "tickers": [EMPTY]}]


@pytest.mark.parametrize("page", [["--allow-stop"]], indirect=True)
def test_on_a_phone_no_number_is_beyond_the_edge(tab: Tab) -> None:
    tab.set_viewport_size(PHONE)  # type: ignore[arg-type]
    for name in ("positions", "orders", "markets"):
        tab.click(f"nav a[href='#{name}']")
        expect(tab.locator(f"nav a[href='#{name}']")).to_have_attribute("aria-current", "page")
        edges = tab.wait_for_function(EDGES).json_value()
        assert max(edges) <= PHONE["width"], name
        assert tab.get_by_role("table").get_by_role("cell").count() > 1, "still a table for a screen reader"


def test_on_a_small_window_the_buttons_of_a_row_are_on_the_screen(view: Tab) -> None:
    for width, (name, label) in itertools.product((800, 1100), (("positions", "Close part"), ("orders", "Cancel"))):
        view.set_viewport_size({"width": width, "height": 800})
        view.click(f"nav a[href='#{name}']")
        expect(view.locator("main button", has_text=label).first).to_be_in_viewport(ratio=1)
        assert (view.locator("thead").first.bounding_box() or {"x": 0})["x"] >= 0 or width < 820, "still a table"


@pytest.mark.parametrize("page", [["--allow-stop"]], indirect=True)
def test_from_a_phone_the_kill_switch_asks_once_and_stops_everything(tab: Tab, exchange: Served) -> None:
    tab.set_viewport_size(PHONE)  # type: ignore[arg-type]
    wide = tab.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE["width"], "nothing is cut off on a phone"
    expect(tab.locator("tbody tr").first).to_be_visible()
    tab.click("#kill")
    expect(tab.locator("#question")).to_have_text("Halt trading and cancel EVERY order (2 now)?")
    expect(tab.locator("#facts")).to_contain_text("cancel every order")
    tab.click("#no")
    assert len(exchange.resting()) == 2
    tab.click("#kill")
    expect(tab.locator("#facts")).to_contain_text("cancel every order")
    tab.click("#yes")
    expect(tab.locator("#outcome")).to_have_text("Trading is halted; canceled 2 orders, 0 left")
    assert exchange.resting() == []
    tab.click("#no")
    expect(tab.locator("#attention")).to_contain_text("HALTED")


def test_without_an_option_there_are_no_buttons(tab: Tab) -> None:
    for name in ("#pause", "#kill", "#resume"):
        expect(tab.locator(name)).to_be_hidden()
    assert tab.locator("main button").count() == 0


@pytest.mark.parametrize("page", [["--allow-writes"]], indirect=True)
def test_a_plan_that_comes_late_is_not_shown_for_another_question(tab: Tab, exchange: Served) -> None:
    held: list[Any] = []
    tab.route("**/api/v1/plans", lambda route: route.continue_() if held else held.append(route))
    tab.click("nav a[href='#orders']")
    expect(tab.locator("main")).to_contain_text("Cancel")
    cancels = tab.locator("main td button", has_text="Cancel")
    cancels.nth(0).click()
    expect(tab.locator("#question")).to_contain_text("sell YES")
    expect(tab.locator("#yes")).to_be_disabled()
    tab.click("#no")
    cancels.nth(1).click()
    expect(tab.locator("#facts li").nth(1)).to_contain_text("buy 5 YES")
    with tab.expect_response("**/api/v1/plans"):
        held[0].continue_()
    tab.wait_for_timeout(200)
    expect(tab.locator("#facts li").nth(1)).to_contain_text("buy 5 YES")
    tab.click("#yes")
    expect(tab.locator("#outcome")).to_contain_text("is canceled: 0 of 5 filled")


@pytest.mark.parametrize("page", [["--allow-writes"]], indirect=True)
def test_the_keyboard_alone_is_enough(tab: Tab, exchange: Served) -> None:
    tab.keyboard.press("Tab")
    expect(tab.locator(".skip")).to_be_focused()
    tab.focus("nav a[href='#orders']")
    tab.keyboard.press("Enter")
    expect(tab.locator("main")).to_contain_text("Cancel")
    tab.locator("main td button").first.focus()
    tab.keyboard.press("Enter")
    expect(tab.locator("dialog")).to_be_visible()
    expect(tab.locator("#no")).to_be_focused()
    tab.keyboard.press("Escape")
    expect(tab.locator("dialog")).to_be_hidden()
    assert len(exchange.resting()) == 2
    tab.locator("main td button").first.focus()
    tab.keyboard.press("Enter")
    expect(tab.locator("#facts li").first).to_be_visible()
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    expect(tab.locator("#outcome")).to_contain_text("is canceled: 0 of 2.5 filled")
    assert len(exchange.resting()) == 1


def test_a_redraw_takes_neither_the_focus_nor_a_click_that_has_begun(view: Tab) -> None:
    view.click("nav a[href='#orders']")
    rows = view.locator("tbody tr", has=view.locator("td[data-name='Order id']"))  # the overview has two rows, too
    expect(rows).to_have_count(2)
    second = rows.nth(1).get_attribute("data-key")
    button = view.locator(f"tr[data-key='{second}'] button").first
    button.hover()
    view.mouse.down()
    view.evaluate("state.parts.orders = state.parts.orders.map((row) => ({ ...row, filled: '1' })); draw()")
    view.mouse.up()
    expect(view.locator("#question")).to_contain_text((second or "")[:8])
    view.evaluate("draw()")
    view.keyboard.press("Escape")
    expect(view.locator("dialog")).to_be_hidden()
    expect(button).to_be_focused()
    view.evaluate(f"state.parts.orders = state.parts.orders.filter((row) => row.order_id === '{second}'); draw()")
    expect(button).to_be_focused()
    view.evaluate("state.parts.orders = []; draw()")
    expect(view.locator("main button:focus")).to_have_count(0)  # no other order gets the key


@pytest.mark.parametrize("page", [["--allow-writes"]], indirect=True)
def test_the_price_of_an_order_is_changed_in_the_words_of_its_outcome(tab: Tab, exchange: Served, page: Page) -> None:
    ordered = {"ticker": EMPTY, "side": "no", "action": "buy", "count": "2", "price": "0.30"}
    page.do(do="place", **ordered)
    tab.click("nav a[href='#orders']")
    row = tab.locator("tbody tr", has_text=EMPTY)
    row.locator("text=Change price").click()
    expect(tab.locator("#answer span")).to_have_text("New price of NO, like 0.47")
    tab.fill("#answer input", "0.35")
    before = exchange.resting()
    tab.press("#answer input", "Enter")
    expect(tab.locator("#facts")).to_contain_text("to buy 2 NO at $0.35")
    expect(tab.locator("#answer input")).to_be_disabled()
    assert exchange.resting() == before, "a plan sends nothing"
    tab.click("#yes")
    expect(tab.locator("#outcome")).to_contain_text("Changed: price $0.30 to $0.35")
    expect(row).to_contain_text("$0.35")


@pytest.mark.parametrize("page", [["--allow-writes"]], indirect=True)
def test_the_quantity_of_an_order_is_changed_to_what_is_left_to_trade(tab: Tab, exchange: Served, page: Page) -> None:
    tab.set_viewport_size(PHONE)  # type: ignore[arg-type]
    tab.goto(f"{page.address}/#market/{TWO_SIDED}")
    row = tab.locator("table", has_text="In this market").locator("tbody tr", has_text="$0.55")
    row.locator("text=Change quantity").click()
    expect(tab.locator("#question")).to_contain_text("sell YES, 2.5 at $0.55")
    expect(tab.locator("#answer span")).to_have_text("New quantity left to trade, like 10")
    tab.fill("#answer input", "1.5")
    before = exchange.resting()
    tab.click("#yes")
    expect(tab.locator("#facts")).to_contain_text("from sell 2.5 YES at $0.55 to sell 1.5 YES")
    assert exchange.resting() == before, "a plan sends nothing"
    tab.click("#yes")
    expect(tab.locator("#outcome")).to_contain_text("Changed: quantity left 2.5 to 1.5")
    assert sorted(qty for *_, qty in exchange.resting()) == [150, 500]
    assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.parametrize("page", [["--allow-writes"]], indirect=True)
def test_a_part_of_a_position_is_closed_from_a_phone(tab: Tab, exchange: Served, page: Page) -> None:
    exchange.call(lambda: exchange.exchange.cancel_all(ME, exchange.clock.now()))

    def held() -> int:
        found: int = exchange.call(lambda: exchange.exchange.position(ME, TWO_SIDED))
        return found

    tab.set_viewport_size(PHONE)  # type: ignore[arg-type]
    tab.click("nav a[href='#positions']")
    row = tab.locator("tbody tr", has_text=TWO_SIDED)
    row.get_by_text("Close part").click()
    expect(tab.locator("#answer span")).to_have_text("Quantity to close, at most 6")
    tab.fill("#answer input", "2")
    tab.click("#yes")
    expect(tab.locator("#facts")).to_contain_text("2 of 6 YES")
    assert held() == 600, "a plan sends nothing"
    tab.click("#yes")
    expect(tab.locator("#outcome")).to_contain_text(f"Closed 2 YES of {TWO_SIDED} at $0.44")
    expect(tab.locator("#outcome")).to_contain_text("4 left")
    assert held() == 400
    expect(row).to_contain_text("4 YES")
    assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_an_order_and_its_fills_show_the_id_that_the_terminal_shows(tab: Tab, exchange: Served, page: Page) -> None:
    orders = {order_id for order_id, *_ in exchange.resting()}
    tab.click("nav a[href='#orders']")
    ids = tab.locator("td[data-name='Order id'] span")
    expect(ids).to_have_count(len(orders))
    assert {each.get_attribute("title") for each in ids.all()} == orders
    assert {each.inner_text() for each in ids.all()} == {order_id[:8] for order_id in orders}
    tab.click("nav a[href='#fills']")
    expect(tab.locator("td[data-name='Order id'] span").first).to_have_text(next(iter(orders))[:8])


def test_a_sale_through_zero_is_two_rows_that_share_its_fee(tab: Tab, exchange: Served) -> None:
    exchange.call(lambda: exchange.exchange.cancel_all(ME, exchange.clock.now()))
    assert program("sell", TWO_SIDED, "10", "@0.44", "--yes").code == 0
    tab.click("nav a[href='#fills']")
    rows = tab.locator("tbody tr")
    expect(rows.nth(0)).to_contain_text("sell YES (opens)")
    cells = [
        [rows.nth(at).locator(f"td[data-name={name}]").inner_text() for name in ("Side", "Quantity")] for at in (0, 1)
    ]
    assert cells == [["sell YES (opens)", "4"], ["sell YES", "6"]]
    fees = [rows.nth(at).locator("td[data-name=Fee]").inner_text() for at in (0, 1)]
    assert fees == ["$0.07", "$0.10"]
    assert "$" in rows.nth(0).locator("td[data-name=Fee]").inner_text()


def test_a_settlement_is_listed_with_payout_and_profit(tab: Tab, exchange: Served) -> None:
    def settle() -> None:
        now = exchange.clock.now()
        exchange.exchange.settle(TWO_SIDED, cents(100), now)
        exchange.exchange.advance(Ts(now + 3_600_000))

    exchange.call(settle)
    tab.click("nav a[href='#fills']")
    row = tab.locator("table", has_text="Payout").locator("tbody tr", has_text=TWO_SIDED)
    expect(row).to_contain_text("$6.00")
    expect(row.locator("td[data-name='P&L']")).to_have_class("number good")


@pytest.mark.parametrize("page", [["--allow-writes"]], indirect=True)
def test_an_error_names_pages_in_place_of_commands(exchange: Served, page: Page, empty: Tab) -> None:
    empty.goto(page.link())
    expect(empty.locator(".card").first).to_be_visible()
    empty.goto(f"{page.address}/#market/KXFOO")
    expect(empty.locator("main")).to_have_text("No market KXFOO. Search on the page Markets")
    for hint, words in (
        ("check `kalshi order list`. Then run `kalshi resume --reason TEXT`",
         "Check the page Orders. Then press Resume"),
        ("GET /api/v1/positions has your positions", "The page Positions has your positions"),
        ("run `kalshi order reconcile`", "In a terminal: run `kalshi order reconcile`"),
        ("wait a moment", "Wait a moment"),
    ):  # fmt: skip
        assert empty.evaluate("(hint) => pageWords(hint)", hint) == words
    empty.goto(f"{page.address}/#positions")
    empty.locator("tbody tr", has_text=TWO_SIDED).get_by_text("Close part").click()
    empty.fill("#answer input", "7")
    empty.click("#yes")
    expect(empty.locator("#outcome")).not_to_be_empty()
    expect(empty.locator("#yes")).to_be_hidden()
    assert exchange.call(lambda: exchange.exchange.position(ME, TWO_SIDED)) == 600, "more than the position is refused"
    empty.fill("#answer input", "2")
    expect(empty.locator("#outcome")).to_be_empty()
    expect(empty.locator("#yes")).to_have_text("Review")
    empty.click("#yes")
    expect(empty.locator("#facts")).to_contain_text("2 of 6 YES")


@pytest.mark.parametrize("page", [["--allow-writes"]], indirect=True)
def test_what_is_typed_into_an_order_stays_while_the_numbers_move(tab: Tab, exchange: Served) -> None:
    tab.click("nav a[href='#orders']")
    tab.fill("main input[name=ticker]", TWO_SIDED)
    tab.select_option("main select[name=side]", "no")
    tab.select_option("main select[name=action]", "buy")
    tab.fill("main input[name=price]", "0.50")
    tab.evaluate("document.activeElement.blur(); draw()")
    tab.fill("main input[name=count]", "3")
    tab.evaluate("draw()")
    expect(tab.locator("main input[name=count]")).to_be_focused()
    tab.click("main form button")
    expect(tab.locator("#facts")).to_contain_text("buy 3 NO at $0.50")
    expect(tab.locator("#no")).to_have_text("Go back")
    tab.click("#yes")
    expect(tab.locator("#outcome")).to_contain_text("is resting: 0 of 3 filled")
    assert len(exchange.resting()) == 3


def test_an_order_from_the_page_of_a_market_has_its_ticker_and_no_preset_side(view: Tab) -> None:
    view.click("nav a[href='#positions']")
    view.click(f"main a:text('{TWO_SIDED}')")
    expect(view.locator("main input[name=ticker]")).to_have_value(TWO_SIDED)
    assert view.locator("main select[name=side]").input_value() == ""
    view.click("main form:has(select) button")
    expect(view.locator("dialog")).to_be_hidden()


def contrast(tab: Tab, selector: str) -> float:
    """The contrast of a text with what is behind it, as WCAG defines it."""
    found: float = tab.evaluate(
        """(selector) => {
          const light = (color) => { const [r, g, b] = color.match(/[\\d.]+/g).map((part) => part / 255)
            .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
          let node = document.querySelector(selector), back = node;
          const seen = (at) => getComputedStyle(at).backgroundColor;
          while (back && /rgba\\(.*, 0\\)|transparent/.test(seen(back))) back = back.parentElement;
          const behind = back ? getComputedStyle(back).backgroundColor : "rgb(255, 255, 255)";
          const [one, other] = [light(getComputedStyle(node).color), light(behind)].sort((a, b) => b - a);
          return (one + 0.05) / (other + 0.05); }""",
        selector,
    )
    return found


def test_every_color_can_be_read(view: Tab) -> None:
    parts = (".card dt", ".card dd", "nav a", "#kill", "main h2", "caption, .soft", "#age", ".bad, .good", ".place")
    for scheme in ("light", "dark"):
        view.emulate_media(color_scheme=scheme)
        view.evaluate("document.querySelector('#attention').textContent = 'x'")
        low = {part: ratio for part in parts if (ratio := contrast(view, part)) < 4.5}
        assert low == {}, scheme


def test_a_hostile_title_is_only_text(view: Tab) -> None:
    title = "<img src=x onerror=document.title='bad'><script>document.title='bad'</script>{{7*7}}"
    view.evaluate(
        """(title) => { state.parts.positions = [{ticker: title, side: 'yes', count: '1', title}];
                        location.hash = '#positions'; }""",
        title,
    )
    expect(view.locator("td.wrap").first).to_have_text(title)
    assert view.locator("main img, main script").count() == 0
    assert view.title() == "kalshi"


def test_a_hostile_market_is_only_text_from_the_exchange_to_the_page(tab: Tab, exchange: Served, page: Page) -> None:
    exchange.retitle(TWO_SIDED, TITLE)
    tab.goto(f"{page.address}/#market/{TWO_SIDED}")
    expect(tab.locator("main h1")).to_contain_text("onerror=document.title")
    tab.click("nav a[href='#positions']")
    expect(tab.locator("td.wrap").first).to_contain_text("onerror=document.title")
    assert tab.locator("main img, main script").count() == 0
    assert tab.title() == "kalshi"


def test_a_loop_that_stops_answering_is_shown_as_old(exchange: Served, empty: Tab) -> None:
    words = ["trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--interval", "0.3s", "--yes"]
    loop = start(words, exchange.variables(), exchange.home)
    socket: Path = exchange.state / "sim" / "events.sock"
    try:
        eventually(lambda: socket.exists() or loop.poll() is not None)
        assert loop.poll() is None, said(loop)
        page = Page(exchange)
        empty.goto(page.link())
        expect(empty.locator("#loop")).to_have_text("spike is running")
        expect(empty.locator("#attention")).not_to_contain_text("OLD")
        loop.send_signal(signal.SIGSTOP)
        expect(empty.locator("#attention")).to_contain_text("OLD NUMBERS")
        expect(empty.locator("body")).to_have_class("stale")
        loop.send_signal(signal.SIGCONT)
        expect(empty.locator("#attention")).not_to_contain_text("OLD")
        page.close()
    finally:
        loop.kill()
        finish(loop)


def test_the_question_of_a_pause_says_what_it_does(view: Tab) -> None:
    view.click("#pause")
    expect(view.locator("#facts")).to_contain_text("Open positions and manual orders stay")
    expect(view.locator("#facts")).to_contain_text("Reason: from the page")


def test_times_in_texts_are_those_of_the_reader_and_a_runbook_is_no_markdown(view: Tab) -> None:
    view.evaluate(
        """() => { state.parts.alerts = [{time: 0, state: 'over', tier: 'critical', code: 'HEARTBEAT_LOST',
                   subject: '', text: 'last cycle at 2026-11-23T05:52:04.891123Z; 2 open positions'}];
                   location.hash = '#alerts'; }"""
    )
    expect(view.locator("td.wrap").first).to_contain_text("2026")
    shown = view.locator("td.wrap").first.inner_text()
    assert "T05:52" not in shown
    assert shown.startswith("last cycle at 11/23/2026, ")
    assert shown.endswith("; 2 open positions")
    view.click("main a:text('HEARTBEAT_LOST')")
    expect(view.locator("main pre").first).to_contain_text("No cycle completes")
    text = view.locator("main").inner_text()
    assert not any(line.startswith("#") or "**" in line for line in text.splitlines())


def test_without_a_session_the_page_asks_for_its_link(page: Page, empty: Tab) -> None:
    empty.goto(page.address)
    expect(empty.locator("main")).to_have_text("Open the link that `kalshi serve` shows in its terminal")
    expect(empty.locator("#place")).to_have_text("not connected")
