"""The login link in a browser: what a used or an old one shows, and when the terminal gets a new one."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import httpx
import pytest

from kalshi_cli.app.kalshi import Kalshi
from kalshi_cli.base.clock import SystemClock
from kalshi_cli.web.access import LINK_S, Access
from kalshi_cli.web.server import WebApp, WebOptions

HERE = "http://127.0.0.1:8765"


def _no_account() -> Kalshi:
    raise AssertionError("a login reads nothing of the account")


class Terminal:
    """A web app, the links that its terminal shows, and its clock."""

    def __init__(self) -> None:
        self.now_s, self.shown, numbers = 100.0, [""], itertools.count(1)
        self.access = Access((HERE,), (), lambda: self.now_s, lambda: f"s{next(numbers)}")
        options = WebOptions(may_stop=False, may_write=False, is_secure=False)
        self.app = WebApp(_no_account, SystemClock(), self.access, options, self.show)
        self.show()

    def show(self) -> None:
        self.shown.append(self.access.new_link())

    def open(self, link: str, accept: str = "text/html,*/*") -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app.asgi), base_url=HERE) as browser:
                return await browser.get("/login", params={"link": link}, headers={"accept": accept})

        return asyncio.run(ask())


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    one = Terminal()
    yield one
    one.app.close()


def test_a_browser_gets_a_page_that_says_what_to_do(terminal: Terminal) -> None:
    link = terminal.shown[-1]
    assert terminal.open(link).status_code == 303
    again = terminal.open(link)
    assert (again.status_code, again.headers["content-type"]) == (403, "text/html; charset=utf-8")
    assert "This link was used already or is too old" in again.text
    assert "open the last link that `kalshi serve` shows in its terminal" in again.text
    assert terminal.open(link, accept="*/*").json()["error"]["code"] == "link_used"


def test_the_terminal_shows_a_new_link_once_where_the_last_one_expired(terminal: Terminal) -> None:
    link = terminal.shown[-1]
    terminal.open("guess")
    assert terminal.shown[-1] == link, "it is still valid"
    terminal.now_s += LINK_S + 1
    for _ in range(2):
        assert terminal.open(link).status_code == 403
    assert len(terminal.shown) == 3
    assert terminal.open(terminal.shown[-1]).status_code == 303
