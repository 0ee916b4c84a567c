"""The errors of `Kalshi.open`: they name arguments, and a wrong argument is a UsageError."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.served import TWO_SIDED, Served, set_variables

from kalshi_cli import AmendRequest, Kalshi
from kalshi_cli.app.python_calls import in_python, with_arguments
from kalshi_cli.base.errors import KalshiError, NotFoundError, UsageError
from kalshi_cli.base.units import cents
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.services.orders.service import OrderService


@pytest.fixture
def kalshi(exchange: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kalshi]:
    set_variables(monkeypatch, tmp_path, exchange.variables())
    with Kalshi.open() as opened:
        yield opened


def test_an_error_names_the_arguments_of_the_call(kalshi: Kalshi, exchange: Served) -> None:
    order_id = exchange.submit("alice", TWO_SIDED, BID, "0.41", "2").order_id
    orders = kalshi.orders
    cases: list[tuple[Callable[[], object], str]] = [
        (
            lambda: orders.plan_place(TWO_SIDED, side="yes", action="buy", count="1", price="0.41", reduce_only=True),
            "`reduce_only` goes with `tif` ioc, and `post_only` with `tif` gtc, which is the default",
        ),
        (lambda: kalshi.trading.plan_resume(" "), "add `reason` TEXT; it is saved with the state"),
        (
            lambda: orders.plan_new_terms(order_id, side="yes", price="0.41"),
            "change `price`, `count`, `expires_in_s` or --no-expiry",
        ),
        (
            lambda: orders.plan_amend(order_id, AmendRequest(price=cents(41))),
            "change `price`, --count, `expires_in_s` or --no-expiry",
        ),
        (
            lambda: kalshi.markets.get("NOPE"),
            "`kalshi markets --search TEXT`, or `kalshi markets --series NOPE` if that is a series",
        ),
    ]
    for call, hint in cases:
        with pytest.raises(KalshiError) as caught:
            call()
        assert (caught.value.hint, caught.value.__notes__) == (hint, [f"hint: {hint}"])
        assert "--" not in caught.value.message == str(caught.value)


def test_a_series_or_event_that_does_not_exist_is_not_found(kalshi: Kalshi) -> None:
    markets = kalshi.markets
    for call, message in (
        (lambda: list(markets.list(series="NOPE")), "No series NOPE"),
        (lambda: list(markets.list(event="NOPE")), "No event NOPE"),
        (lambda: list(markets.events(series="NOPE")), "No series NOPE"),
    ):
        with pytest.raises(NotFoundError, match=message):
            call()
    assert list(markets.list(series="KXRAIN", status="unopened")) == []


def test_a_cancel_of_a_market_that_does_not_exist_has_an_error(kalshi: Kalshi) -> None:
    orders = kalshi.orders
    outcome = orders.execute(orders.plan_cancel_all(ticker="NOPE"))
    assert isinstance(outcome.error, NotFoundError)
    assert outcome.error.message == "No market NOPE; nothing was canceled"
    assert orders.execute(orders.plan_cancel_all(ticker="NOPE*")).error is None


def test_a_wrong_file_or_environment_names_the_argument_of_open() -> None:
    with pytest.raises(KalshiError) as caught:
        Kalshi.open(config="nowhere.yaml")
    assert caught.value.hint == "check `config` and KALSHI_CONFIG; `kalshi init` creates the file"


def test_the_hint_of_a_time_or_of_a_list_of_ids_says_how_to_write_it(kalshi: Kalshi) -> None:
    ids: Any = ["a", "b"]
    time: Any = "24h"
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: kalshi.account.pnl(since=time), "parse_ts('2026-11-01T00:00:00Z') of kalshi_cli.units is a time"),
        (lambda: kalshi.account.fills(until=time), "kalshi.now is the present"),
        (lambda: kalshi.orders.plan_cancel(ids), "give each id by itself: *ids"),
    ]
    for call, hint in cases:
        with pytest.raises(UsageError) as caught:
            call()
        assert hint in caught.value.hint


def test_commands_and_options_without_an_argument_stay() -> None:
    text = "give --count or --cost; run `kalshi quote --count 1`, or: kalshi quote --count 1"
    assert with_arguments(text, ["count"]) == text.replace("give --count", "give `count`")
    assert with_arguments("--from and --to are shards", ["from_shard", "to_shard"]) == (
        "`from_shard` and `to_shard` are shards"
    )
    assert with_arguments("for NO, add --no", ["no_bid"]) == "for NO, add --no"


def test_a_wrong_argument_is_a_usage_error_with_its_name(kalshi: Kalshi) -> None:
    markets, monitoring, account = kalshi.markets, kalshi.monitoring, kalshi.account
    wrong: Any = [None, 7, b"x"]
    cases: list[tuple[Callable[[Any], object], str, list[Any]]] = [
        (markets.get, "ticker must be a text", wrong[1:]),
        (lambda value: list(markets.trades(value)), "ticker must be a text", wrong[1:]),
        (lambda value: markets.list(sort=value), "sort must be one of ", ["NOPE"]),
        (lambda value: markets.order_books([TWO_SIDED], depth=value), "depth must be a whole number", [""]),
        (lambda value: markets.plan_combo("KX-R", value), "legs must be a list", ["NOPE", ["NOPE"], None]),
        (lambda value: kalshi.orders.list(ticker=value), "ticker must be a text", wrong[:2]),
        (lambda value: kalshi.orders.plan_cancel_all(event=value), "event must be a text", wrong[:2]),
        (lambda value: kalshi.orders.reconcile(wait_s=value), "wait_s must be a number", [None, "1m"]),
        (lambda value: monitoring.execution(by=value), "by must be one of strategy, market, day", ["week"]),
        (lambda value: monitoring.alerts(home=value), "home must be a value of type Home or None", ["paper"]),
        (
            lambda value: account.positions(subaccount=value),
            "subaccount must be a whole number",
            ["0", 1.5, True],
        ),
        (lambda value: account.fills(value), "ticker must be a text", wrong),
        (lambda value: account.fills("\0" if value else ""), "ticker must not have a NUL character", [True]),
        (lambda value: account.fills(limit=value), "limit must be a whole number", [10**30]),
        (lambda value: account.pnl(since=value), "since must be a whole number", [10**30]),
        (lambda value: kalshi.orders.plan_cancel_all(halt=value), "halt must be True or False", ["no", 0]),
        (
            lambda value: kalshi.orders.plan_close(TWO_SIDED, is_reviewed=value),
            "is_reviewed must be True or False",
            [0],
        ),
        (kalshi.orders.plan_cancel, "order_id must be a text", [7]),
        (monitoring.runbook, "name must be a text", wrong),
        (lambda value: kalshi.research.book_changes(markets=value), "markets takes names, not", [None, [7]]),
        (kalshi.research.data_check, "folder must not have a NUL character", ["\0"]),
        (kalshi.research.optimize, "request must be a value of type OptimizeRequest", wrong),
        (lambda value: monitoring.silence("FEED_DOWN", value, 60.0), "subject must be a text", [["x"]]),
    ]
    for call, said, values in cases:
        for value in values:
            with pytest.raises(UsageError, match=said) as caught:
                call(value)
            assert caught.value.message.startswith(said), caught.value.message
            assert caught.value.code == "usage"


class Broken:
    """A service with a bug."""

    def find(self, name: str) -> str:
        """Return what is not there."""
        return dict[str, str]()[name]


def test_a_bug_and_a_wrong_call_stay_what_they_are(kalshi: Kalshi) -> None:
    broken = in_python(Broken)()
    with pytest.raises(KeyError):
        broken.find("x")
    with pytest.raises(UsageError, match="name must be a text, not 7"):
        broken.find(7)
    with pytest.raises(TypeError, match=r"find\(\) missing 1 required positional argument"):
        broken.find()
    assert isinstance(kalshi.orders, OrderService)
    assert type(kalshi.orders).plan_place.__doc__ == OrderService.plan_place.__doc__
