"""Who may do what on the page: links, sessions, tokens, foreign names, foreign pages, too many requests."""

from __future__ import annotations

import itertools

import pytest

from kalshi_cli.web.access import (
    BURST,
    COOKIE,
    LINK_S,
    LOGINS_PER_MINUTE,
    MAX_SESSIONS,
    PER_S,
    SESSION_S,
    Access,
    Refusal,
)
from kalshi_cli.web.server import refused

HERE = "http://127.0.0.1:8765"
TOKEN = "t" * 40


class Visit:
    """An access with a clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0
        numbers = itertools.count(1)
        self.access = Access(
            (HERE, "https://trade.example.com"), (TOKEN,), lambda: self.now_s, lambda: f"s{next(numbers)}"
        )

    def login(self) -> dict[str, str]:
        session = self.access.open_session(self.access.new_link())
        assert isinstance(session, str)
        return {"cookie": f"other=1; {COOKIE}={session}"}

    def code(self, method: str = "GET", **headers: str) -> str:
        refusal = self.access.judge(method, headers)
        return "" if refusal is None else refusal.code


@pytest.fixture
def visit() -> Visit:
    return Visit()


def test_a_link_opens_one_session_once(visit: Visit) -> None:
    link = visit.access.new_link()
    assert isinstance(visit.access.open_session(link), str)
    again = visit.access.open_session(link)
    assert isinstance(again, Refusal)
    assert again.code == "link_used"


def test_a_new_link_voids_the_one_before_and_an_old_link_is_void(visit: Visit) -> None:
    old, new = visit.access.new_link(), visit.access.new_link()
    assert isinstance(visit.access.open_session(old), Refusal)
    visit.now_s += LINK_S + 1
    assert isinstance(visit.access.open_session(new), Refusal)
    assert isinstance(visit.access.open_session(""), Refusal)


def test_whether_a_link_is_left_is_known(visit: Visit) -> None:
    assert not visit.access.has_link
    link = visit.access.new_link()
    visit.access.open_session("guess")
    assert visit.access.has_link
    visit.now_s += LINK_S + 1
    assert not visit.access.has_link
    link = visit.access.new_link()
    visit.access.open_session(link)
    assert not visit.access.has_link, "it is used"


def test_guesses_are_limited_even_for_who_has_the_link(visit: Visit) -> None:
    link = visit.access.new_link()
    for _ in range(LOGINS_PER_MINUTE):
        visit.access.open_session("guess")
    refusal = visit.access.open_session(link)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 429
    assert refused(refusal).headers["retry-after"] == "60"
    visit.now_s += 61
    assert isinstance(visit.access.open_session(link), str)


def test_without_a_session_nothing_is_shown(visit: Visit) -> None:
    assert visit.code() == "no_session"
    assert visit.code(cookie=f"{COOKIE}=guess") == "no_session"
    assert visit.code(cookie="\x00=;;;=") == "no_session"
    assert visit.code(authorization="Bearer guess") == "wrong_token"
    assert visit.code(authorization=TOKEN) == "wrong_token"
    assert visit.code(**visit.login()) == ""
    assert visit.code(authorization=f"Bearer {TOKEN}") == ""


def test_a_session_ends_when_it_is_unused_or_closed(visit: Visit) -> None:
    headers = visit.login()
    visit.now_s += SESSION_S - 1
    assert visit.code(**headers) == ""
    visit.now_s += SESSION_S - 1
    assert visit.code(**headers) == "", "each use renews it"
    visit.now_s += SESSION_S + 1
    assert visit.code(**headers) == "no_session"
    other = visit.login()
    visit.access.close_session(other)
    assert visit.code(**other) == "no_session"


def test_a_write_must_come_from_the_page_itself(visit: Visit) -> None:
    headers = visit.login()
    assert visit.code("POST", **headers) == "foreign_origin"
    for origin in ("https://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:8765"):
        assert visit.code("POST", origin=origin, **headers) == "foreign_origin"
    assert visit.code("POST", origin=HERE, **headers) == ""
    assert visit.code("POST", origin="https://trade.example.com", **headers) == ""
    assert visit.code("POST", authorization=f"Bearer {TOKEN}") == "", "a program has no origin"


@pytest.mark.parametrize("host", ["", "evil.example", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:8765.evil.example"])
def test_a_foreign_name_that_points_here_is_refused(visit: Visit, host: str) -> None:
    refusal = visit.access.judge_address({"host": host})
    assert refusal is not None
    assert refusal.status == 421
    assert visit.access.judge_address({"host": "127.0.0.1:8765"}) is None
    assert visit.access.judge_address({"host": "trade.example.com"}) is None


def test_a_visitor_who_sends_too_many_waits_and_others_do_not(visit: Visit) -> None:
    one, other = visit.login(), visit.login()
    assert [visit.code(**one) for _ in range(int(BURST))] == [""] * int(BURST)
    assert visit.code(**one) == "too_many_requests"
    assert visit.code(**other) == ""
    visit.now_s += 2.5 / PER_S
    assert [visit.code(**one) for _ in range(3)] == ["", "", "too_many_requests"]


def test_the_number_of_sessions_is_limited_and_the_oldest_ends(visit: Visit) -> None:
    first = visit.login()
    for _ in range(MAX_SESSIONS):
        visit.now_s += 1
        last = visit.login()
    assert visit.code(**first) == "no_session"
    assert visit.code(**last) == ""
