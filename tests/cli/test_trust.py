"""Files that others can have written: refused in one line, with what to do; the kill switch warns and goes on."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.places import ROOT
from support.served import TWO_SIDED, Ended, Served, program, served, set_variables

pytestmark = pytest.mark.usefixtures("same_clock")

STRANGER = 54_321
"""A user id, and a group id, that nobody has."""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")

FADE = (ROOT / "kalshi_cli" / "template" / "fade.py").read_text("utf-8")


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """The state folder is there, and a configuration, a key and a strategy each in a folder of its own."""
    with served(tmp_path) as one:
        set_variables(monkeypatch, tmp_path, one.variables())
        for name, text in {"etc/config.yaml": "env: sim\n", "own/fade.py": FADE}.items():
            path = tmp_path / name
            path.parent.mkdir()
            path.write_text(text)
            path.chmod(0o600)
        (tmp_path / "keys").mkdir()
        one.key_path = one.key_path.rename(tmp_path / "keys" / "key.pem")
        monkeypatch.setenv("KALSHI_PRIVATE_KEY_PATH", str(one.key_path))
        monkeypatch.setenv("KALSHI_CONFIG", str(tmp_path / "etc" / "config.yaml"))
        yield one


USES: dict[str, tuple[str, int]] = {
    "etc/config.yaml": ("balance", 2),
    "keys/key.pem": ("balance", 5),
    "own/fade.py": ("trade --strategy own/fade.py:Fade --duration 0.1s", 2),
    "state/sim": ("status", 2),
}
"""What is judged -> a command that uses it, and what that ends with where it is refused."""

PARENTS = {"etc/config.yaml": "etc", "keys/key.pem": "keys", "own/fade.py": "own", "state/sim": "state"}


def run(name: str) -> Ended:
    return program(*USES[name][0].split())


def assert_refused(ended: Ended, code: int, *says: str) -> None:
    """One `error:` line and one `hint:` line, with these words in them, and nothing else."""
    assert ended.code == code, ended.err
    assert ended.out == ""
    assert [line.split(":")[0] for line in ended.err.splitlines()] == ["error", "hint"], ended.err
    for words in says:
        assert words in ended.err, ended.err


@pytest.mark.parametrize("name", USES)
def test_what_only_this_user_can_have_written_is_used(exchange: Served, name: str) -> None:
    assert run(name).code == 0


@as_root
@pytest.mark.parametrize("name", USES)
def test_what_belongs_to_another_user_is_refused(exchange: Served, name: str) -> None:
    os.chown(exchange.home / name, STRANGER, -1)
    assert_refused(run(name), USES[name][1], "owned by another user", str(exchange.home / name))
    if name != "keys/key.pem":
        assert f"sudo chown 0 {exchange.home / name}" in run(name).err


@pytest.mark.parametrize("name", USES)
def test_what_others_may_write_is_refused(exchange: Served, name: str) -> None:
    path = exchange.home / name
    path.chmod(path.stat().st_mode | 0o002)
    remedy = "chmod 600" if name == "keys/key.pem" else "chmod go-w"
    assert_refused(run(name), USES[name][1], f"{remedy} {path}")
    path.chmod(path.stat().st_mode & ~0o022)
    assert run(name).code == 0


@pytest.mark.parametrize("name", USES)
def test_a_folder_that_others_may_write_is_refused_with_what_is_in_it(exchange: Served, name: str) -> None:
    parent = exchange.home / PARENTS[name]
    parent.chmod(0o777)
    assert_refused(run(name), USES[name][1], f"the folder {parent}", f"chmod go-w {parent}")
    parent.chmod(0o1777)  # sticky, like /tmp: nobody replaces the file of another
    assert run(name).code == 0


@as_root
@pytest.mark.parametrize("name", USES)
def test_a_folder_of_another_user_is_refused_with_what_is_in_it(exchange: Served, name: str) -> None:
    parent = exchange.home / PARENTS[name]
    os.chown(parent, STRANGER, -1)
    assert_refused(run(name), USES[name][1], f"the folder {parent} is owned by another user (uid {STRANGER})")


def test_a_folder_further_up_is_judged_too(exchange: Served) -> None:
    exchange.home.chmod(0o777)
    assert_refused(run("etc/config.yaml"), 2, f"chmod go-w {exchange.home}")


@pytest.mark.parametrize("name", USES)
def test_a_link_is_followed_and_what_it_names_is_judged(exchange: Served, name: str) -> None:
    path, real = exchange.home / name, exchange.home / "real"
    real.mkdir()
    path.rename(real / path.name)
    path.symlink_to(real / path.name)
    assert run(name).code == 0
    real.chmod(0o777)
    assert_refused(run(name), USES[name][1], f"chmod go-w {real}")
    real.chmod(0o700)
    path.parent.chmod(0o777)
    assert_refused(run(name), USES[name][1], f"chmod go-w {path.parent}")


@as_root
def test_a_link_that_another_user_made_is_refused(exchange: Served) -> None:
    path, real = exchange.home / "etc" / "config.yaml", exchange.home / "mine.yaml"
    path.rename(real)
    path.symlink_to(real)
    path.parent.chmod(0o1777)
    os.lchown(path, STRANGER, -1)
    assert_refused(run("etc/config.yaml"), 2, f"the link {path} is owned by another user")


@as_root
@pytest.mark.parametrize("name", USES)
def test_a_link_in_the_middle_of_a_path_is_judged_and_the_folder_that_it_is_in(
    exchange: Served, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner can let it lead elsewhere at any time."""
    theirs = exchange.home / "theirs"
    theirs.mkdir()
    (theirs / "link").symlink_to(exchange.home)
    monkeypatch.setenv("KALSHI_CONFIG", str(theirs / "link" / "etc/config.yaml"))
    monkeypatch.setenv("KALSHI_PRIVATE_KEY_PATH", str(theirs / "link" / "keys/key.pem"))
    monkeypatch.setenv("KALSHI_STATE", str(theirs / "link" / "state"))
    monkeypatch.chdir(theirs / "link")
    words = USES[name][0].replace("own/", f"{theirs}/link/own/").split()
    assert program(*words).code == 0
    os.chown(theirs, STRANGER, -1)
    ended = program(*words)
    assert ended.code in (2, 5)
    assert f"the folder {theirs} is owned by another user" in ended.err


def has_private_group() -> bool:
    me = pwd.getpwuid(os.geteuid())
    group = grp.getgrgid(me.pw_gid)
    shared = [user for user in pwd.getpwall() if user.pw_gid == me.pw_gid and user.pw_uid != me.pw_uid]
    return group.gr_name == me.pw_name and not set(group.gr_mem) - {me.pw_name} and not shared


JUDGED_BY_GROUP = sorted(set(USES) - {"keys/key.pem"})


@pytest.mark.skipif(not has_private_group(), reason="this user has no private group")
@pytest.mark.parametrize("name", JUDGED_BY_GROUP)
def test_the_private_group_of_this_user_may_write(exchange: Served, name: str) -> None:
    path = exchange.home / name
    for each in (path, path.parent):
        os.chown(each, -1, pwd.getpwuid(os.geteuid()).pw_gid)
        each.chmod(each.stat().st_mode | 0o020)
    assert run(name).code == 0


@as_root
@pytest.mark.parametrize("name", JUDGED_BY_GROUP)
def test_another_group_may_not_write(exchange: Served, name: str) -> None:
    path = exchange.home / name
    os.chown(path, -1, STRANGER)
    path.chmod(path.stat().st_mode | 0o020)
    assert_refused(run(name), USES[name][1], f"chmod go-w {path}")


def test_the_state_folder_itself_may_not_be_sticky_and_open(exchange: Served) -> None:
    (exchange.state / "sim").chmod(0o1777)
    assert_refused(run("state/sim"), 2, f"chmod go-w {exchange.state / 'sim'}")


def test_a_state_folder_that_is_still_missing_is_judged_by_where_it_would_be_made(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = exchange.home / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setenv("KALSHI_STATE", str(shared / "a" / "b"))
    assert_refused(run("state/sim"), 2, f"chmod go-w {shared}")
    assert list(shared.iterdir()) == []


def test_the_configuration_of_the_current_folder_is_judged(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KALSHI_CONFIG")
    monkeypatch.chdir(exchange.home / "etc")
    assert program("balance").code == 0
    (exchange.home / "etc").chmod(0o777)
    assert_refused(program("balance"), 2, str(exchange.home / "etc" / "config.yaml"))


def test_a_check_that_may_not_obey_its_configuration_is_unknown(exchange: Served) -> None:
    (exchange.home / "etc" / "config.yaml").chmod(0o602)
    assert program("health-check").code == 3
    assert program("check", "positions").code == 3


def test_a_strategy_is_not_run_from_a_compiled_file_beside_it(exchange: Served) -> None:
    """Python would take such a file for the strategy, if only its header has the right time and size."""
    import py_compile

    source = exchange.home / "own" / "fade.py"
    planted = exchange.home / "planted.py"
    planted.write_text("raise SystemExit('planted code ran')".ljust(source.stat().st_size))
    os.utime(planted, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
    compiled = Path(py_compile.compile(str(planted), doraise=True))  # type: ignore[arg-type]
    there = source.parent / "__pycache__" / compiled.name.replace("planted", "fade")
    there.parent.mkdir()
    compiled.rename(there)
    assert run("own/fade.py").code == 0


def close_to_none(exchange: Served, name: str) -> None:
    path = exchange.home / name
    path.chmod(path.stat().st_mode | 0o022)


def open_parent(exchange: Served, name: str) -> None:
    (exchange.home / PARENTS[name]).chmod(0o777)


def give_away(exchange: Served, name: str) -> None:
    os.chown(exchange.home / name, STRANGER, -1)


@pytest.mark.parametrize("spoil", [close_to_none, open_parent, pytest.param(give_away, marks=as_root)])
@pytest.mark.parametrize("name", sorted(set(USES) - {"own/fade.py"}))
def test_the_kill_switch_warns_and_goes_on(exchange: Served, name: str, spoil: Callable[[Served, str], None]) -> None:
    words = ("order", "place", TWO_SIDED, "--side", "yes", "--action", "buy", "--count", "2", "--price", "0.41")
    assert program(*words).code == 0
    spoil(exchange, name)
    assert run(name).code == USES[name][1]
    ended = program("cancel-all", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["canceled"] == 1
    assert ended.json["halted"] is True
    assert exchange.resting() == []
    assert "warning: " in ended.err
    assert str(exchange.home / name) in ended.err


def test_the_kill_switch_works_on_the_simulated_exchange_of_this_program_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_variables(monkeypatch, tmp_path, {"HOME": str(tmp_path), "KALSHI_STATE": str(tmp_path / "state")})
    assert program("balance").code == 0
    (tmp_path / "state" / "sim").chmod(0o777)
    assert program("balance").code == 2
    ended = program("cancel-all")
    assert (ended.code, "warning: " in ended.err) == (0, True), ended.err


@as_root
def test_the_kill_switch_leaves_out_a_configuration_that_another_user_left_in_the_current_folder(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names another environment; the user's own file and variables say where to cancel."""
    words = ("order", "place", TWO_SIDED, "--side", "yes", "--action", "buy", "--count", "2", "--price", "0.41")
    assert program(*words).code == 0
    common = exchange.home / "common"
    common.mkdir()
    common.chmod(0o1777)
    (common / "config.yaml").write_text("env: prod\nstate: elsewhere\n")
    os.chown(common / "config.yaml", STRANGER, -1)
    monkeypatch.chdir(common)
    monkeypatch.delenv("KALSHI_CONFIG")
    assert_refused(program("balance"), 2, f"Untrusted configuration {common}/config.yaml")
    ended = program("cancel-all")
    assert (ended.code, len(exchange.resting())) == (2, 1)
    assert "NOTHING WAS DONE" in ended.err
    ended = program("--env", "sim", "cancel-all", "--json")
    assert (ended.code, ended.json["canceled"], exchange.resting()) == (0, 1, []), ended.err
    assert f"{common}/config.yaml belongs to another user and is ignored" in ended.err
