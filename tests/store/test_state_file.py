"""The file under the store: crashes, other programs, full disks, damage. Nothing is lost or made anew silently."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from support.values import NOW, Child, Open, fork, full_fill, full_order

from kalshi_cli.base.errors import ExitCode, StateFileError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import FillBooked, OrderChanged, OrderRefused, SubmitOrder
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.monitoring.check_report import Breach
from kalshi_cli.core.monitoring.incidents import Incident, from_check
from kalshi_cli.store import database, migrations, rows
from kalshi_cli.store.database import Database
from kalshi_cli.store.migrations import Execute
from kalshi_cli.store.records import MarketLock
from kalshi_cli.store.sqlite_store import Store


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# -- opening ------------------------------------------------------------------------------------------------------


def test_the_file_and_its_directory_are_for_their_owner_only(open_store: Open, path: Path) -> None:
    before = os.umask(0)
    try:
        open_store().record(SubmitOrder(full_order()))
    finally:
        os.umask(before)
    assert mode(path.parent) == 0o700
    assert {mode(file) for file in path.parent.iterdir()} == {0o600}
    assert len(list(path.parent.iterdir())) == 3  # with the write-ahead log and its index


def test_a_missing_file_can_be_told_apart_and_nothing_is_created(path: Path) -> None:
    with pytest.raises(StateFileError) as caught:
        Store.open(path, account="a", environment="sim", create=False)
    assert caught.value.code == "state_missing"
    assert not path.parent.exists()


def test_an_existing_file_opens_without_create(open_store: Open) -> None:
    open_store().record(SubmitOrder(full_order()))
    assert open_store(create=False).live_orders() == (full_order(),)


@pytest.mark.parametrize(("account", "environment"), [("account-2", "sim"), ("account-1", "demo")])
def test_a_file_of_another_account_or_environment_is_refused(open_store: Open, account: str, environment: str) -> None:
    open_store().close()
    with pytest.raises(StateFileError, match=r"^The API key .* belongs to account …nt-1 on sim") as caught:
        open_store(account=account, environment=environment)
    assert caught.value.exit_code is ExitCode.STATE
    assert caught.value.code == "state_other_account"
    open_store()


def test_an_alert_that_an_earlier_version_sent_has_a_ticket_of_its_own(open_store: Open, path: Path) -> None:
    store = open_store()
    for subject, is_known in (("KXA", True), ("KXB", False)):
        matter = from_check(
            "check api", Breach(subject=subject, value="", limit="", severity="critical", code="API_SLOW"), NOW, ""
        )
        with store._database.writing(durable=True) as execute:
            execute(rows.insert("matters", Incident), rows.row(msgspec.structs.replace(matter, is_known=is_known)))
    with store._database.writing(durable=True) as execute:
        for column in ("ticket", "ticket_tier"):
            execute(f"ALTER TABLE matters DROP COLUMN {column}")
        execute("PRAGMA user_version = 25")
    store.close()
    found = open_store().alert_book.incidents()
    assert [(each.subject, each.ticket, each.ticket_tier) for each in found] == [
        ("KXA", "KXA", "critical"),
        ("KXB", "", ""),
    ]


def test_a_file_of_a_newer_version_is_refused_and_left_as_it_is(open_store: Open, path: Path) -> None:
    open_store().close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {len(migrations.STATE) + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StateFileError, match="newer version") as caught:
        open_store()
    assert caught.value.code == "state_newer"
    assert path.read_bytes() == before


def test_a_file_of_another_program_is_refused_and_left_as_it_is(open_store: Open, path: Path) -> None:
    path.parent.mkdir(parents=True)
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StateFileError, match="not a kalshi state file"):
        open_store()
    assert path.read_bytes() == before


@pytest.mark.parametrize("create", [True, False])
def test_a_file_of_0_bytes_is_refused_and_left_as_it_is(open_store: Open, path: Path, create: bool) -> None:
    open_store().close()
    path.write_bytes(b"")
    with pytest.raises(StateFileError, match="empty") as caught:
        open_store(create=create)
    assert (caught.value.code, caught.value.exit_code) == ("state_damaged", ExitCode.STATE)
    assert "kalshi state rebuild" in caught.value.hint
    assert path.read_bytes() == b""


def test_a_new_file_is_never_empty_and_leaves_no_draft(path: Path) -> None:
    path.parent.mkdir(parents=True)
    database._create_state_file(path)
    assert (mode(path), path.stat().st_size > 0) == (0o600, True)
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(FileExistsError):
        database._create_state_file(path)


def test_a_new_file_without_room_is_a_state_error_and_leaves_no_draft(path: Path, in_child: Child) -> None:
    def create() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        try:
            Store.open(path, account="account-1", environment="sim")
        except StateFileError as error:
            os._exit(42 if str(path) in error.message and "disk-full" in error.hint else 43)

    assert in_child(create) == 42
    assert list(path.parent.iterdir()) == []


def test_a_damage_that_sqlite_describes_is_one_line(path: Path) -> None:
    found = database.damaged(path, "*** in database main ***\nPage 2: btreeInitPage() returns error code 11")
    assert found.message == f"The state file {path} is damaged: Page 2: btreeInitPage() returns error code 11"


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(open_store: Open, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"once upon a time" * 1_000)
    with pytest.raises(StateFileError, match="damaged") as caught:
        open_store()
    assert caught.value.code == "state_damaged"
    assert str(path) in caught.value.message
    assert "kalshi state rebuild" in caught.value.hint
    assert path.read_bytes() == b"once upon a time" * 1_000


def test_flipped_bytes_in_the_structure_are_noticed_at_the_start(open_store: Open, path: Path) -> None:
    with open_store() as store:
        for n in range(200):
            store.record(OrderChanged(full_order(f"c{n}", order_id=f"o{n}", reason="x" * 100)))
    whole = path.read_bytes()
    page = 4096
    noticed, untouched = [], []
    for at in range(page, len(whole), page):
        damaged = bytearray(whole)
        for offset in range(at, at + 8):
            damaged[offset] ^= 0xFF
        path.write_bytes(damaged)
        try:
            open_store().close()
        except StateFileError as error:
            noticed.append(error.code)
            untouched.append(path.read_bytes() == bytes(damaged))
    assert len(noticed) >= 10
    assert set(noticed) == {"state_damaged"}
    assert all(untouched)
    path.write_bytes(whole)
    assert len(open_store().orders()) == 200


def test_a_symbolic_link_is_refused(open_store: Open, path: Path, tmp_path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(StateFileError, match="symbolic link"):
        open_store()
    assert not (tmp_path / "elsewhere.db").exists()


def test_a_directory_that_cannot_be_made_is_a_state_error(open_store: Open, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateFileError, match="Cannot create") as caught:
        open_store(tmp_path / "file" / "sim" / "state.db")
    assert caught.value.code == "state_unwritable"
    assert "--state" in caught.value.hint


def test_a_read_only_directory_is_a_state_error(tmp_path: Path, in_child: Child) -> None:
    place = Path(tempfile.gettempdir()) / f"kalshi-read-only-{os.getpid()}"  # where any user may look
    place.mkdir()

    def ordinary_user() -> None:
        if os.geteuid() == 0:
            os.setuid(65_534)  # root may write everywhere
        try:
            Store.open(place / "state.db", account="a", environment="sim")
        except StateFileError as error:
            os._exit(42 if error.code == "state_unwritable" else 43)

    try:
        place.chmod(0o555)
        assert in_child(ordinary_user) == 42
    finally:
        place.chmod(0o700)
        for left in place.iterdir():
            left.unlink()
        place.rmdir()


# -- crashes ------------------------------------------------------------------------------------------------------


def test_no_acknowledged_intent_or_fill_is_lost_to_kill_9(open_store: Open, path: Path) -> None:
    for round_ in range(15):
        read_end, write_end = os.pipe()

        def write(round_: int = round_, to: int = write_end) -> None:
            store = Store.open(path, account="account-1", environment="sim")
            for n in range(100_000):
                store.record(SubmitOrder(full_order(f"{round_}-{n}")))
                store.record(FillBooked(full_fill(f"{round_}-{n}")))
                os.write(to, f"{round_}-{n}\n".encode())

        child = fork(write)
        os.close(write_end)
        with os.fdopen(read_end) as acknowledged:
            said = [acknowledged.readline().strip()]
            time.sleep(0.001 * round_)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            said += acknowledged.read().split()
        with open_store() as store:
            kept = {order.client_order_id for order in store.live_orders()}
            booked = {fill.trade_id for fill in store.fills()}
        assert set(said) <= kept
        assert set(said) <= booked


def test_a_crash_in_the_middle_of_a_transaction_leaves_nothing_of_it(
    open_store: Open, path: Path, in_child: Child
) -> None:
    open_store().close()

    def die_half_way() -> None:
        database = Database(path, migrations.STATE)
        with database.writing(durable=True) as execute:
            execute("INSERT INTO alerts (ts, tier, code, subject, text) VALUES (1, '', '', '', '')")
            os._exit(7)

    assert in_child(die_half_way) == 7
    assert open_store().alerts() == ()


def test_an_error_in_the_middle_of_a_transaction_undoes_it_and_the_store_goes_on(open_store: Open) -> None:
    store = open_store()

    def interrupted() -> None:
        with store._database.writing(durable=True) as execute:
            execute("INSERT INTO alerts (ts, tier, code, subject, text) VALUES (1, '', '', '', '')")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert store.alerts() == ()
    store.record(SubmitOrder(full_order()))
    assert open_store().live_orders() == (full_order(),)


def test_a_file_that_was_deleted_or_replaced_under_a_running_program_takes_no_intent(
    open_store: Open, path: Path, tmp_path: Path
) -> None:
    """SQLite would go on writing into what nobody will ever open again."""
    store = open_store()
    store.record(SubmitOrder(full_order()))
    path.rename(tmp_path / "moved.db")
    for happens in (lambda: None, lambda: open_store(tmp_path / "other.db").close(), lambda: path.touch()):
        happens()
        with pytest.raises(StateFileError, match="deleted or replaced") as caught:
            store.record(SubmitOrder(full_order("c2")))
        assert caught.value.code == "state_gone"
    path.unlink()
    (tmp_path / "moved.db").rename(path)
    store.record(SubmitOrder(full_order("c3")))
    assert [order.client_order_id for order in open_store().live_orders()] == ["c1", "c3"]


def test_a_log_that_was_deleted_under_a_running_program_takes_no_write(open_store: Open, path: Path) -> None:
    """SQLite goes on writing into the deleted log: the program looks alive only to itself."""
    store = open_store()
    store.lock_market(MarketLock("M", Ts(2), "", Ts(1)))
    log = path.with_name(f"{path.name}-wal")
    for replace in (log.unlink, log.touch):
        replace()
        for write in (lambda: store.record(SubmitOrder(full_order())), lambda: store.alert_book.set_mark("m", 1)):
            with pytest.raises(StateFileError, match="deleted or replaced") as caught:
                write()
            assert caught.value.code == "state_gone"


# -- migrations ---------------------------------------------------------------------------------------------------


def add_column(execute: Execute) -> None:
    execute("ALTER TABLE journal ADD COLUMN note TEXT")


def fail_half_way(execute: Execute) -> None:
    add_column(execute)
    raise RuntimeError("half way")


def die_half_way(execute: Execute) -> None:
    add_column(execute)
    os._exit(7)


def journal_columns(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return [row[1] for row in connection.execute("PRAGMA table_info(journal)")]
    finally:
        connection.close()


def test_an_older_file_is_brought_up_to_date_once_and_a_copy_of_it_is_kept(path: Path) -> None:
    Database(path, migrations.JOURNAL).close()
    for _ in range(2):
        Database(path, (*migrations.JOURNAL, add_column)).close()
    assert journal_columns(path) == ["key", "value", "note"]
    copy = path.with_name("state.db.format1")
    assert journal_columns(copy) == ["key", "value"]
    assert mode(copy) == 0o600


def test_a_migration_that_fails_or_dies_half_way_leaves_the_file_as_it_was(path: Path, in_child: Child) -> None:
    Database(path, migrations.JOURNAL).close()
    with pytest.raises(RuntimeError, match="half way"):
        Database(path, (*migrations.JOURNAL, fail_half_way))
    assert in_child(lambda: Database(path, (*migrations.JOURNAL, die_half_way)).close()) == 7
    assert journal_columns(path) == ["key", "value"]
    Database(path, (*migrations.JOURNAL, add_column)).close()
    assert journal_columns(path) == ["key", "value", "note"]


# -- other programs -----------------------------------------------------------------------------------------------


def test_many_programs_may_create_the_file_at_the_same_moment(open_store: Open, path: Path) -> None:
    def arrive() -> None:
        Store.open(path, account="account-1", environment="sim").close()

    children = [fork(arrive) for _ in range(20)]
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 20
    assert open_store().orders() == ()


def test_many_programs_may_bring_the_file_up_to_date_at_the_same_moment(path: Path) -> None:
    Database(path, migrations.JOURNAL).close()
    steps = (*migrations.JOURNAL, add_column)
    children = [fork(lambda: Database(path, steps).close()) for _ in range(20)]
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 20
    assert journal_columns(path) == ["key", "value", "note"]
    assert journal_columns(path.with_name("state.db.format1")) == ["key", "value"]
    assert sorted(each.name for each in path.parent.glob("*.format*")) == ["state.db.format1"]


def test_a_copy_that_a_killed_program_left_half_made_does_not_stay(path: Path) -> None:
    Database(path, migrations.JOURNAL).close()
    child = fork(lambda: None)
    os.waitpid(child, 0)
    theirs = f"state.db.format1.{os.getppid()}"
    for name in (f"state.db.format1.{child}", f"state.db.format1.{child}-journal"):
        path.with_name(name).write_bytes(b"half a copy")
    for name in (theirs, f"{theirs}-journal"):
        path.with_name(name).write_bytes(b"another program is at it")
    Database(path, (*migrations.JOURNAL, add_column)).close()
    left = sorted(each.name for each in path.parent.glob("*.format*"))
    assert left == ["state.db.format1", theirs, f"{theirs}-journal"], "SQLite fails where its journal goes"


@pytest.mark.parametrize("name", ["bak", "20261121T190500", "20261121190500"])
def test_a_copy_that_a_person_made_beside_it_is_left_when_a_file_is_brought_up_to_date(path: Path, name: str) -> None:
    Database(path, migrations.JOURNAL).close()
    mine = path.with_name(f"state.db.format1.{name}")
    mine.write_text("precious")
    Database(path, (*migrations.JOURNAL, add_column)).close()
    assert mine.read_text() == "precious"


def test_two_programs_write_at_once_and_nothing_is_lost(open_store: Open, path: Path) -> None:
    def write(name: str) -> None:
        store = Store.open(path, account="account-1", environment="sim")
        for n in range(150):
            store.record(SubmitOrder(full_order(f"{name}{n}")))
            store.record(OrderChanged(full_order(f"{name}{n}", order_id=f"{name}{n}", status=OrderStatus.RESTING)))
            store.record(OrderRefused(Ts(NOW + n), "s", "t", "CODE", ""))
        store.close()

    children = [fork(lambda name=name: write(name)) for name in ("a", "b")]  # type: ignore[misc]
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0]
    store = open_store()
    assert len(store.live_orders()) == 300
    assert store.denials(Ts(0)) == {"s": {"CODE": 300}}


def test_a_write_waits_while_another_program_holds_the_file(open_store: Open, path: Path) -> None:
    store = open_store()
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(0.2, lambda: other.execute("COMMIT"))
    release.start()
    store.record(SubmitOrder(full_order()))
    release.join()
    other.close()
    assert store.live_orders() == (full_order(),)


def test_a_file_locked_for_too_long_is_a_state_error_and_no_intent_is_written(
    open_store: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert database.BUSY_TIMEOUT_MS >= 5_000
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 50)
    store = open_store()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StateFileError, match="locked") as caught:
        store.record(SubmitOrder(full_order()))
    other.execute("ROLLBACK")
    other.close()
    assert caught.value.code == "state_locked"
    assert store.live_orders() == ()
    store.record(SubmitOrder(full_order()))


def test_reading_never_waits_for_a_writer(open_store: Open, path: Path) -> None:
    store = open_store()
    store.record(SubmitOrder(full_order()))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert store.live_orders() == (full_order(),)
    assert store.halt().code == ""
    other.execute("ROLLBACK")
    other.close()


# -- no room ------------------------------------------------------------------------------------------------------


def test_on_a_full_disk_the_intent_is_refused_and_every_earlier_one_is_there(open_store: Open) -> None:
    store = open_store()
    pages = store._database.read("PRAGMA page_count")[0][0]
    store._database.read(f"PRAGMA max_page_count = {pages + 5}")
    written: list[str] = []

    def fill_it() -> None:
        for n in range(1_000):
            store.record(SubmitOrder(full_order(f"c{n:03}", reason="x" * 500)))
            written.append(f"c{n:03}")

    with pytest.raises(StateFileError, match="No space left") as caught:
        fill_it()
    assert caught.value.code == "state_full"
    assert caught.value.exit_code is ExitCode.STATE
    assert 0 < len(written) < 1_000
    assert [order.client_order_id for order in open_store().live_orders()] == written
    store._database.read("PRAGMA max_page_count = 100000")
    store.record(SubmitOrder(full_order("after")))


@pytest.mark.parametrize(
    ("bytes_free", "inodes_free", "code"),
    [(0, 9, "state_full"), (32_768, 9, "state_full"), (10**9, 0, "state_full"), (10**9, 9, "")],
)
@pytest.mark.parametrize("failure", [sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN])
def test_a_full_disk_and_a_failing_one_have_words_of_their_own(
    path: Path, monkeypatch: pytest.MonkeyPatch, bytes_free: int, inodes_free: int, code: str, failure: int
) -> None:
    space = SimpleNamespace(f_bavail=bytes_free // 4_096, f_frsize=4_096, f_files=10, f_favail=inodes_free)
    monkeypatch.setattr(os, "statvfs", lambda _folder: space)
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = failure
    found = database._explain(path, error)
    if code:
        assert (found.code, found.message) == (code, f"No space left to write {path}")
        assert "disk-full" in found.hint
    else:
        assert found.code != "state_full"
        assert found.message != f"No space left to write {path}"


def test_a_locked_file_is_no_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _folder: SimpleNamespace(f_bavail=0, f_frsize=1, f_files=0, f_favail=0))
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    found = database._explain(path, error)
    assert (found.code, f"lsof {path}" in found.hint) == ("state_locked", True)


def test_a_write_beyond_the_file_size_limit_is_a_state_error_not_a_crash(path: Path, in_child: Child) -> None:
    def write() -> None:
        import resource

        store = Store.open(path, account="account-1", environment="sim")
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        size = path.with_name("state.db-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20_000, size + 20_000))
        try:
            for n in range(1_000):
                store.record(SubmitOrder(full_order(f"c{n}")))
        except StateFileError as error:
            os._exit(42 if str(path) in error.message else 43)

    assert in_child(write) == 42
