"""trades.csv and daily_pnl.csv: each trade once, the days all or nothing, and no formula."""

from __future__ import annotations

import csv
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from kalshi_cli.base.files import OtherKindError, open_own
from kalshi_cli.base.units import Money, Price, Ts, cents, contracts
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.telemetry.tables import DAYS, TRADES, DayRow, Tables, TradeRow

T0 = Ts(1_780_000_000_000)


def no_warning(text: str) -> None:
    raise AssertionError(f"warned: {text}")


def fill(number: int, **changes: Any) -> Fill:
    fields: dict[str, Any] = {
        "trade_id": f"t{number}", "order_id": "o1", "ticker": "KX", "side": BID, "price": cents(40),
        "qty": contracts(2), "fee": Money(12_500), "is_taker": True, "ts": T0,
    }  # fmt: skip
    return Fill(**(fields | changes))


def row(of: Fill) -> TradeRow:
    return TradeRow(
        ts=of.ts, ticker=of.ticker, side=of.side, price=of.price, qty=of.qty, fee=of.fee, is_taker=of.is_taker,
        strategy="spike", realized=Money(-20_000), edge=Price(-150), trade_id=of.trade_id, order_id=of.order_id,
        client_order_id="c1", subaccount=0,
    )  # fmt: skip


def day(name: str, **changes: Any) -> DayRow:
    fields: dict[str, Any] = {
        "day": name, "trades": 1, "realized": Money(1_000_000), "fees": Money(20_000), "net": Money(980_000),
        "unrealized": Money(5), "balance": Money(7),
    }  # fmt: skip
    return DayRow(**(fields | changes))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(folder: Path, *fills: Fill) -> None:
    tables = Tables(folder, no_warning)
    tables.add([row(each) for each in tables.missing(fills)])


def test_a_trade_is_a_row_of_fixed_scale_numbers_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    write(tmp_path / "logs", fill(1))
    path = tmp_path / "logs" / TRADES
    assert rows(path) == [
        {"ts": "2026-05-28T20:26:40Z", "ticker": "KX", "side": "bid", "price": "0.4000", "qty": "2.00",
         "fee": "0.012500", "is_taker": "true", "strategy": "spike", "realized": "-0.020000", "edge": "-0.0150",
         "trade_id": "t1", "order_id": "o1", "client_order_id": "c1", "subaccount": "0"},
    ]  # fmt: skip
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_trade_is_there_once_however_often_it_is_told_and_the_loop_starts(tmp_path: Path) -> None:
    write(tmp_path, fill(1), fill(2))
    write(tmp_path, fill(1), fill(2), fill(3))
    write(tmp_path, fill(1, order_id="o2"))
    assert [(each["trade_id"], each["order_id"]) for each in rows(tmp_path / TRADES)] == [
        ("t1", "o1"), ("t2", "o1"), ("t3", "o1"), ("t1", "o2"),
    ]  # fmt: skip


def test_a_line_that_a_crash_cut_short_is_written_again(tmp_path: Path) -> None:
    write(tmp_path, fill(1), fill(2))
    whole = (tmp_path / TRADES).read_bytes()
    for length in range(whole.index(b"\n") + 1, len(whole)):
        (tmp_path / TRADES).write_bytes(whole[:length])
        write(tmp_path, fill(1), fill(2))
        assert (tmp_path / TRADES).read_bytes() == whole


def test_text_that_a_spreadsheet_would_run_is_text_and_a_negative_number_stays_one(tmp_path: Path) -> None:
    evil = fill(1, ticker="=cmd|' /C calc'!A0", trade_id="+1", order_id="@x")
    write(tmp_path, evil)
    write(tmp_path, evil)
    (found,) = rows(tmp_path / TRADES)
    assert (found["ticker"], found["trade_id"], found["order_id"]) == ("'=cmd|' /C calc'!A0", "'+1", "'@x")
    assert found["realized"] == "-0.020000"


@pytest.mark.parametrize("text", ["date,amount\n1,2\n", '"ts","ticker"\n"a\n', "\x00\n"])
def test_a_file_that_is_not_ours_is_left_alone_and_said_once(tmp_path: Path, text: str) -> None:
    said: list[str] = []
    (tmp_path / TRADES).write_text(text)
    tables = Tables(tmp_path, said.append)
    assert tables.missing([fill(1)]) == []
    tables.add([row(fill(1))])
    assert tables.missing([fill(2)]) == []
    assert (tmp_path / TRADES).read_text() == text
    assert len(said) == 1


def test_a_full_disk_is_said_once_and_the_trade_is_written_when_there_is_room(tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / "logs").write_text("in the way")
    tables = Tables(tmp_path / "logs", said.append)
    assert tables.missing([fill(1)]) == [fill(1)]
    tables.add([row(fill(1))])
    tables.add([row(fill(1))])
    assert len(said) == 1
    (tmp_path / "logs").unlink()
    tables.add([row(each) for each in tables.missing([fill(1), fill(2)])])
    assert len(rows(tmp_path / "logs" / TRADES)) == 2


def test_the_day_is_written_anew_and_days_that_are_over_keep_their_last_balance(tmp_path: Path) -> None:
    tables = Tables(tmp_path, no_warning)
    tables.put_days({"2026-05-28": day("2026-05-28")}, "2026-05-28")
    tables.put_days({"2026-05-28": day("2026-05-28", trades=2, balance=Money(9))}, "2026-05-28")
    late = day("2026-05-28", trades=3, unrealized=None, balance=None)
    tables.put_days({"2026-05-28": late, "2026-05-29": day("2026-05-29", balance=None)}, "2026-05-29")
    assert [(each["day"], each["trades"], each["balance"]) for each in rows(tmp_path / DAYS)] == [
        ("2026-05-28", "3", "0.000009"),
        ("2026-05-29", "1", ""),
    ]
    assert (tmp_path / DAYS).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [DAYS], "no draft is left"


def test_a_file_of_days_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / DAYS).write_text("mine\n1\n")
    Tables(tmp_path, said.append).put_days({"2026-05-28": day("2026-05-28")}, "2026-05-28")
    assert (tmp_path / DAYS).read_text() == "mine\n1\n"
    assert len(said) == 1


# -- something else in the place of a file ------------------------------------------------------------------------


def plant(path: Path, kind: str) -> Path:
    """Something that the file must not be taken for; what it leads to, where it does."""
    target = path.parent.parent / f"target of {path.name}"
    path.parent.mkdir(exist_ok=True)
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "dangling link":
        path.symlink_to(target)
    elif kind == "link":
        target.write_text("mine\n")
        path.symlink_to(target)
    else:
        path.write_text("mine\n")
        os.chown(path, 65_534, -1)
    return target


@pytest.mark.parametrize("name", [TRADES, DAYS, "daily_pnl.draft"])
@pytest.mark.parametrize("kind", ["FIFO", "directory", "link", "dangling link", "of another user"])
def test_what_was_planted_in_the_place_of_a_table_is_neither_followed_nor_waited_for(
    tmp_path: Path, name: str, kind: str
) -> None:
    if kind == "of another user" and os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    path = tmp_path / "logs" / name
    target = plant(path, kind)
    told: list[str] = []

    def run() -> None:
        tables = Tables(path.parent, told.append)
        tables.add([row(each) for each in tables.missing([fill(1)])])
        tables.put_days({"2026-05-28": day("2026-05-28")}, "2026-05-28")

    running = threading.Thread(target=run, daemon=True)
    running.start()
    running.join(30)
    assert not running.is_alive(), "it waits"
    assert len(told) == 1
    assert "kalshi goes on without it" in told[0]
    assert (target.read_text() if kind == "link" else target.exists()) == ("mine\n" if kind == "link" else False)
    assert kind != "of another user" or path.read_text() == "mine\n"


def test_a_file_is_not_emptied_before_it_is_known_to_be_ours(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    os.close(open_own(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
    assert path.read_text() == ""
    if os.geteuid() == 0:
        path.write_text("old")
        os.chown(path, 65_534, -1)
        with pytest.raises(OtherKindError, match="owned by another user"):
            open_own(path, os.O_WRONLY | os.O_TRUNC)
        assert path.read_text() == "old"
