"""A store on a real file, builders of what it keeps, and children that can be killed."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kalshi_cli.core.model import ASK, BID, Fill, Order, OrderStatus, Settlement, Tif
from kalshi_cli.store.sqlite import SqliteStore
from kalshi_cli.units import Money, Ts, cents, contracts

NOW = Ts(1_780_000_000_000)

Open = Callable[..., SqliteStore]
Child = Callable[[Callable[[], None]], int]


class Build:
    """Nouns with every field set to something that is not its default."""

    def order(self, client_order_id: str = "c1", **changes: Any) -> Order:
        known: dict[str, Any] = {
            "ticker": "KXBTC-26JUN11-T100",
            "side": ASK,
            "price": cents(47),
            "qty": contracts(10),
            "status": OrderStatus.SUBMITTED,
            "created": NOW,
            "updated": NOW,
            "tif": Tif.GTC,
            "post_only": True,
            "reduce_only": True,
            "expires": Ts(NOW + 90_000),
            "exchange_index": 3,
            "strategy": "fade",
            "fair": cents(45),
            "reason": "dear against fair",
        }
        return Order(client_order_id=client_order_id, **{**known, **changes})

    def fill(self, trade_id: str = "t1", **changes: Any) -> Fill:
        known: dict[str, Any] = {
            "order_id": "o1",
            "ticker": "KXBTC-26JUN11-T100",
            "side": BID,
            "price": cents(47),
            "qty": contracts(2),
            "fee": Money(17_500),
            "is_taker": True,
            "ts": NOW,
            "client_order_id": "c1",
        }
        return Fill(trade_id=trade_id, **{**known, **changes})

    def settlement(self, ticker: str = "KXBTC-26JUN11-T100", **changes: Any) -> Settlement:
        known: dict[str, Any] = {
            "event_ticker": "KXBTC-26JUN11",
            "result": "yes",
            "value": cents(100),
            "yes_qty": contracts(2),
            "no_qty": contracts(1),
            "revenue": Money(2_000_000),
            "fee": Money(100),
            "ts": Ts(NOW + 1_000),
        }
        return Settlement(ticker=ticker, **{**known, **changes})


@pytest.fixture
def build() -> Build:
    return Build()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kalshi" / "sim" / "state.db"


@pytest.fixture
def open_store(path: Path) -> Iterator[Open]:
    """Open the state file, again and again; all are closed in the end."""
    opened: list[SqliteStore] = []

    def open_store(
        at: Path = path, *, account: str = "account-1", environment: str = "sim", **more: Any
    ) -> SqliteStore:
        store = SqliteStore.open(at, account=account, environment=environment, **more)
        opened.append(store)
        return store

    yield open_store
    for store in opened:
        store.close()


@pytest.fixture
def in_child() -> Child:
    """Run something in a forked process; its exit code, or minus the signal that ended it. An exception is 99."""

    def run(work: Callable[[], None]) -> int:
        child = start(work)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    return run


def start(work: Callable[[], None]) -> int:
    """Fork a process that does the work; its pid. The caller waits for it."""
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(99)
        os._exit(0)
    return child
