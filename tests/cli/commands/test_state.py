"""`kalshi state rebuild`, and what a state file that is lost, old or of somebody else makes the program do."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.served import KEY_ID, ONE_SIDED, TWO_SIDED, Ended, Served, Terminal, program

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import Ts, dollars
from kalshi_cli.core.model.effects import StateChanged
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.monitoring.notices import Notice
from kalshi_cli.store import migrations
from kalshi_cli.store.database import Database
from kalshi_cli.store.lock import lock
from kalshi_cli.store.records import Halt, Heartbeat, MarketLock
from kalshi_cli.store.sqlite_store import Store

JUNK = b"this was a database once" * 500


def place(price: str = "0.40") -> Ended:
    return program(
        "order", "place", TWO_SIDED, "--side", "yes", "--action", "buy", "--count", "1", "--price", price, "--json"
    )


def state_of(exchange: Served) -> Path:
    return exchange.state / "sim" / "state.db"


def lose(exchange: Served) -> None:
    for file in state_of(exchange).parent.glob("state.db*"):
        file.unlink()


def test_a_damaged_file_is_kept_aside_and_the_account_read_again_and_nothing_trades_until_a_person_says_so(
    exchange: Served,
) -> None:
    exchange.trade_a_little()
    assert place().code == 0
    state_of(exchange).write_bytes(JUNK)
    assert place().error["hint"].count("kalshi state rebuild") == 1
    ended = program("state", "rebuild", "--yes", "--json")
    assert ended.code == 0, ended.err
    told = ended.json
    assert Path(told["kept"]).read_bytes() == JUNK
    assert (told["open_orders"], told["fills"], told["open_positions"]) == (3, 3, 2)
    assert "is damaged" in told["why"]
    assert told["kept_notices"] == 0
    assert "could not be read and are lost" in ended.err
    assert (told["state"], told["code"]) == ("halted", "REBUILT")
    assert len(exchange.resting()) == 3, "nothing is canceled unasked"
    with Store.open(state_of(exchange), account=KEY_ID, environment="sim") as store:
        assert store.alerts() == (), "an alert about each old order would pause the next loop"
    assert program("status", "--json").json["state"] == "halted"
    assert place().error["code"] == "HALTED"
    resumed = program("resume", "--reason", "compared", "--json").json
    assert (resumed["state"], resumed["reason"], resumed["was"], resumed["was_code"]) == (
        "active", "compared", "halted", "REBUILT",
    )  # fmt: skip
    assert place().code == 0


def test_a_pause_is_paused_to_a_person_and_a_halt_to_a_program(exchange: Served) -> None:
    paused = program("pause", "--reason", "lunch", "--json").json
    assert (paused["state"], paused["paused"], paused["code"], paused["reason"]) == ("halted", True, "PAUSED", "lunch")
    told = program("status", "--json").json
    assert (told["state"], told["paused"], told["state_code"]) == ("halted", True, "PAUSED")
    assert "paused" in [
        line.split()[-1] for line in program("status").out.splitlines() if line.startswith("trading state ")
    ]
    assert program("resume", "--reason", "had it", "--json").json["was"] == "halted"
    told = program("status", "--json").json
    assert (told["state"], told["paused"]) == ("active", False)
    assert program("resume", "--reason", "again").err == "Trading was already active\n"


def test_a_resume_of_active_trading_asks_nothing_on_a_terminal(exchange: Served) -> None:
    terminal = Terminal("resume", env=exchange.variables())
    assert terminal.finish() == 0
    assert terminal.text.strip() == "Trading was already active"
    assert program("pause").code == 0
    terminal = Terminal("resume", env=exchange.variables())
    terminal.answer("Why is it safe to trade?", "looked")
    terminal.answer("Resume trading?", "n")
    assert terminal.finish() == 3
    assert program("status", "--json").json["paused"]


def test_a_pause_during_a_halt_says_that_the_halt_remains(exchange: Served) -> None:
    assert program("cancel-all").code == 0
    told = program("pause", "--reason", "look").err
    assert "(CANCEL_ALL): kill switch. The halt remains: find the cause, then run `kalshi resume" in told
    assert "Paused" not in told


def test_a_resume_does_not_repeat_the_advice_of_the_stop_that_it_ended(exchange: Served) -> None:
    assert place().code == 0
    why = "3 requests failed; no new orders. Cancels continue. If all is well, run: kalshi resume --reason TEXT"
    with Store.open(state_of(exchange), account=KEY_ID, environment="sim") as store:
        store.record(StateChanged(exchange.clock.now(), TradingState.REDUCING, "API_GUARD", why))
    told = program("resume", "--reason", "it responds again").err
    assert told.splitlines()[0].endswith(" (API_GUARD): 3 requests failed; no new orders")


def test_status_and_why_say_of_what_they_are_and_show_paper_to_whoever_asks(exchange: Served) -> None:
    assert place().code == 0
    with Store.open(exchange.state / "sim-paper" / "state.db", account="paper", environment="sim") as store:
        now = exchange.clock.now()
        store.beat(
            Heartbeat(
                run_id="p", pid=1, mode="paper", strategy="spike", started=now, completed=now, cycles=1, is_running=True
            )
        )  # fmt: skip
    for command in ("status", "why"):
        told = program(command, "--json")
        assert told.json["mode"] == "sim"
        assert told.err.startswith("Showing the account. The last run was on paper; use --paper to see it\n")
        told = program(command, "--paper", "--json")
        assert told.json["mode"] == "paper"
        assert "this is" not in told.err
    told = program("status", "--paper", "--json")
    assert told.json["ended_in_order"] is False
    assert "did not stop gracefully; it left no orders on the exchange" in told.err


def cycle(now: Ts, lost_today: int | None) -> Heartbeat:
    return Heartbeat(
        run_id="r", pid=1, mode="sim", strategy="spike", started=now, completed=now, cycles=1, is_running=False,
        day_pnl=None if lost_today is None else dollars(-lost_today),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "lost_today", "days_ago", "told"),
    [
        ("5", 6, 0, "Today's loss exceeds risk.max_daily_loss ($5.00). A loop halts again at once"),
        ("5", None, 0, "If today's loss exceeds risk.max_daily_loss ($5.00), only orders that reduce"),
        ("10", 6, 0, ""),
        ("5", 6, 2, "Today's loss exceeds risk.max_daily_loss ($5.00)"),
        ("5", None, 2, ""),
        ("none", 6, 0, ""),
    ],
)
def test_a_resume_on_the_day_of_a_daily_loss_says_that_it_trips_again_unless_the_limit_is_higher(
    exchange: Served, limit: str, lost_today: int | None, days_ago: int, told: str
) -> None:
    (exchange.home / "config.yaml").write_text(f"risk:\n  max_daily_loss: {limit}\n")
    now = exchange.clock.now()
    with Store.open(state_of(exchange), account=KEY_ID, environment="sim") as store:
        store.set_halt(Halt(TradingState.REDUCING, "DAILY_LOSS", "lost", Ts(now - days_ago * 86_400_000)))
        store.beat(cycle(now, lost_today))
    resumed = program("resume", "--reason", "looked")
    assert resumed.code == 0
    assert told in resumed.err
    assert ("exceeds risk.max_daily_loss" in resumed.err) is bool(told)


@pytest.mark.parametrize(("lost_today", "is_told"), [(6, True), (4, False)])
def test_so_does_a_resume_from_a_pause_that_came_over_it(exchange: Served, lost_today: int, is_told: bool) -> None:
    (exchange.home / "config.yaml").write_text("risk:\n  max_daily_loss: 5\n")
    now = exchange.clock.now()
    with Store.open(state_of(exchange), account=KEY_ID, environment="sim") as store:
        store.set_halt(Halt(TradingState.REDUCING, "DAILY_LOSS", "lost", now))
        store.beat(cycle(now, lost_today))
    assert program("pause").code == 0
    resumed = program("resume", "--reason", "looked")
    assert ("A loop halts again" in resumed.err) is is_told


def test_a_halt_stays_the_halt_it_was(exchange: Served) -> None:
    assert program("cancel-all", "--json").code == 0
    state_of(exchange).write_bytes(JUNK)
    assert program("state", "rebuild", "--json").json["code"] == "CANCEL_ALL"


def test_a_file_that_can_be_used_is_not_made_anew(exchange: Served) -> None:
    assert place().code == 0
    before = program("order", "list", "--json").json
    ended = program("state", "rebuild", "--json")
    assert (ended.code, ended.error["code"]) == (3, "STATE_IS_WHOLE")
    assert "kalshi runbook state-file" in ended.error["hint"]
    assert program("order", "list", "--json").json == before
    assert program("status", "--json").json["state"] == "active"


def test_nothing_is_made_anew_under_a_running_loop_nor_for_another_account(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert place().code == 0
    with lock(state_of(exchange).parent / "trade.lock", SystemClock()):
        assert program("state", "rebuild", "--json").code == 10
    monkeypatch.setenv("KALSHI_API_KEY_ID", "00000000-0000-4000-8000-0000000000b0")
    ended = program("state", "rebuild", "--json")
    assert (ended.code, ended.error["code"]) == (8, "state_other_account")


def test_it_can_be_done_again_and_again_and_every_file_is_kept(exchange: Served) -> None:
    for n in range(3):
        assert place().code in (0, 3)
        state_of(exchange).write_bytes(JUNK + bytes([n]))
        assert program("state", "rebuild", "--json").code == 0
    kept = [file for file in state_of(exchange).parent.glob("state.db.unusable-*") if file.suffix[-3:] not in ("wal",)]
    assert len(kept) == 3


def test_a_file_of_a_newer_version_is_kept_aside_when_asked_for(exchange: Served) -> None:
    assert place().code == 0
    with closing(sqlite3.connect(state_of(exchange))) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert (place().error["code"], place().code) == ("state_newer", 8)
    ended = program("state", "rebuild", "--json")
    assert "newer version" in ended.json["why"]
    assert ended.json["open_orders"] == 1
    assert "are lost" not in ended.err


def test_notices_that_nobody_got_are_kept_as_far_as_they_can_be_read(exchange: Served) -> None:
    now = exchange.clock.now()
    with Store.open(state_of(exchange), account=KEY_ID, environment="sim") as store:
        for number in range(3):
            notice = Notice(
                notice_id=f"n{number}", kind="event", tier="critical", event="error", code="DRIFT", subject="KXA",
                text="so", env="sim", since=now, ts=now,
            )  # fmt: skip
            store.alert_book.post(notice, "phone", now)
    with closing(sqlite3.connect(state_of(exchange))) as connection:
        connection.execute("UPDATE outbox SET body = x'00' WHERE notice_id = 'n1'")
        connection.execute("UPDATE outbox SET status = 'delivered' WHERE notice_id = 'n2'")
        connection.commit()
        connection.execute("PRAGMA user_version = 99")
    ended = program("state", "rebuild", "--json")
    assert ended.json["kept_notices"] == 1
    assert "could not be read and are lost" in ended.err
    with Store.open(state_of(exchange), account=KEY_ID, environment="sim") as store:
        waiting = store.alert_book.letters("waiting")
    assert [(letter.notice.notice_id, letter.sink, letter.created) for letter in waiting] == [("n0", "phone", now)]


# -- without being asked ------------------------------------------------------------------------------------------


def test_without_its_file_the_next_command_knows_the_account_from_the_exchange(exchange: Served) -> None:
    """Orders are foreign then: counted in every limit, and not canceled."""
    exchange.trade_a_little()
    first = place().json
    lose(exchange)
    assert program("order", "reconcile", "--json").code == 0
    with closing(sqlite3.connect(state_of(exchange))) as connection:
        rows = connection.execute("SELECT order_id, is_foreign FROM orders WHERE status = 'resting'").fetchall()
        fills = connection.execute("SELECT COUNT(*) FROM fills").fetchone()[0]
    assert {order_id for order_id, _ in rows} == {order_id for order_id, *_ in exchange.resting()}
    assert first["order_id"] in {order_id for order_id, is_foreign in rows if is_foreign}
    assert fills == 3


def test_an_older_copy_catches_up_with_what_it_does_not_know(exchange: Served, tmp_path: Path) -> None:
    old = place().json
    for file in state_of(exchange).parent.glob("state.db*"):
        shutil.copy(file, tmp_path / f"backup-{file.name}")
    newer = place("0.47").json
    assert newer["status"] == "filled"
    assert program("order", "cancel", old["order_id"]).code == 0
    lose(exchange)
    for file in tmp_path.glob("backup-*"):
        shutil.copy(file, state_of(exchange).parent / file.name.removeprefix("backup-"))
    assert program("order", "reconcile", "--json").code == 0
    with closing(sqlite3.connect(state_of(exchange))) as connection:
        assert connection.execute("SELECT status FROM orders WHERE key = ?", (old["client_order_id"],)).fetchall() == [
            ("canceled",)
        ]
        assert connection.execute("SELECT order_id FROM fills").fetchall() == [(newer["order_id"],)]


# -- locks of markets ---------------------------------------------------------------------------------------------


def test_what_a_person_locked_is_locked_in_the_new_file_too(exchange: Served) -> None:
    assert "A lock lasts at most 366d" in program("lock", TWO_SIDED, "--for", "400d").err
    assert "--for is required" in program("lock", TWO_SIDED).err
    locked = program("lock", TWO_SIDED, "--for", "3h", "--reason", "a hunch", "--json").json
    assert place().error["code"] == "LOCKED"
    with closing(sqlite3.connect(state_of(exchange))) as connection:
        connection.execute("PRAGMA user_version = 99")
    ended = program("state", "rebuild", "--json")
    assert (ended.code, ended.json["kept_locks"]) == (0, 1)
    assert "Market locks" not in ended.err
    assert program("resume", "--reason", "compared").code == 0
    assert program("lock", "--json").json == locked
    assert place().error["code"] == "LOCKED"


def test_locks_that_cannot_be_read_are_said_to_be_lost(exchange: Served) -> None:
    now = exchange.clock.now()
    with Store.open(state_of(exchange), account=KEY_ID, environment="sim") as store:
        for ticker, until in ((TWO_SIDED, now + 60_000), (ONE_SIDED, now + 60_000), ("KXOVER", now - 1)):
            store.lock_market(MarketLock(ticker, Ts(until), "so", Ts(now - 60_000)))
    with closing(sqlite3.connect(state_of(exchange))) as connection:
        connection.execute("UPDATE market_locks SET until = 'soon' WHERE ticker = ?", (ONE_SIDED,))
        connection.commit()
        connection.execute("PRAGMA user_version = 99")
    ended = program("state", "rebuild", "--json")
    assert ended.json["kept_locks"] == 1, "one is over, one cannot be read"
    assert "Market locks in the old file could not be read" in ended.err
    assert [lock["ticker"] for lock in program("lock", "--json").json] == [TWO_SIDED]


def test_the_first_command_after_an_upgrade_says_that_the_file_has_a_new_format_and_where_its_copy_is(
    exchange: Served,
) -> None:
    older = Database(exchange.home / "older.db", migrations.STATE[:-1])
    with older.writing(durable=True) as execute:
        execute("INSERT INTO identity (id, account, environment) VALUES (1, ?, ?)", (KEY_ID, "sim"))
    older.close()
    older.path.rename(state_of(exchange))
    said = program("status").err.splitlines()[0]
    copy = f"{state_of(exchange)}.format{len(migrations.STATE) - 1}"
    assert said == (
        f"The state file {state_of(exchange)} now has the format of this version; older versions cannot open it. "
        f"A copy as it was: {copy}"
    )
    assert Path(copy).exists()
    assert "older versions" not in program("status").err
