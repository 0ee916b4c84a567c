"""config.yaml, variables and flags: what wins, what is refused, and what is said about it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.places import ROOT
from support.unreadable import deleted_directory, unreadable_directory

from kalshi_cli.base.errors import ConfigError, ExitCode
from kalshi_cli.base.text import redact
from kalshi_cli.base.units import Money, Price, Qty, cents, contracts, dollars, format_money, format_price, format_qty
from kalshi_cli.config.config import HOSTS, Config, config_dir, state_dir
from kalshi_cli.config.file_place import HIDDEN_FILE
from kalshi_cli.config.schema import Credentials, hidden_address
from kalshi_cli.config.sources import load, mask_secrets, unread_variables
from kalshi_cli.core.account.sizing import Sizing, StrategyAllocation

EXAMPLE = ROOT / "config.example.yaml"


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nobody's own configuration reaches a test."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return here


def written(text: str, name: str = "config.yaml") -> Path:
    path = Path(name).absolute()
    path.write_text(text)
    path.chmod(0o600)
    return path


def refusal(text: str = "", env: dict[str, str] | None = None, flags: dict[str, object] | None = None) -> str:
    file = written(text, "named.yaml") if text else None
    with pytest.raises(ConfigError) as caught:
        load(file, env or {}, flags or {})
    assert caught.value.exit_code is ExitCode.USAGE
    assert caught.value.hint
    return caught.value.message


# -- what wins ----------------------------------------------------------------------------------------------------


def test_with_nothing_said_the_defaults_hold_and_say_so() -> None:
    config = load(None, {}, {})
    assert msgspec.structs.replace(config, origins={}) == Config()
    assert set(config.origins.values()) == {"default"}
    assert config.origins["env"] == "default"
    assert config.origins["risk.max_position"] == "default"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("KALSHI_FORMAT", ""),
        ("KALSHI_STAT", "KALSHI_STATE"),
        ("KALSHI_RISK_MAX_ORDER_COUNT", "KALSHI_RISK__MAX_ORDER_COUNT"),
        ("KALSHI_MAX_ORDER_COUNT", "KALSHI_RISK__MAX_ORDER_COUNT"),
        ("KALSHI_READONLY", "KALSHI_READ_ONLY"),
        ("kalshi_read_only", "KALSHI_READ_ONLY"),
        ("KALSHI_API_KEYID", "KALSHI_API_KEY_ID"),
    ],
)
def test_a_variable_that_nothing_reads_is_named(name: str, near: str) -> None:
    known = ("CONFIG", "ENV", "STATE", "READ_ONLY", "REST_URL", "PRIVATE_KEY_PATH", "ALLOW_HOSTS", "RISK__MAX_POSITION")
    env = {f"KALSHI_{each}": "x" for each in (*known, "Read_Only", "Risk__max_exposure")}
    env |= {"OTHER": "x", "KALSHI_EMPTY": ""}
    assert unread_variables(env) == []
    assert unread_variables(env | {name: "x"}) == [(name, near)]


@pytest.mark.parametrize(
    ("name", "is_limit"),
    [
        ("KALSHI_READONLY", True),
        ("kalshi_read_only", True),
        ("KALSHI_RISK_MAX_ORDER_COUNT", True),
        ("KALSHI_MAX_ORDER_COUNT", True),
        ("KALSHI_RISK_LIMIT", True),
        ("KALSHI_STAT", False),
        ("KALSHI_FORMAT", False),
    ],
)
def test_a_variable_that_was_meant_to_be_a_limit_is_kept_for_all_but_the_kill_switch(name: str, is_limit: bool) -> None:
    config = load(None, {name: "1"}, {})
    assert len(config.unread_limits) == is_limit
    assert load(None, {name: "1"}, {}, needed=("env", "state")).unread_limits == ()
    assert all(f"Nothing reads the variable {name}: " in line for line in config.mistyped)
    assert len(config.mistyped) == (name != "KALSHI_FORMAT")


@pytest.mark.parametrize("needed", [None, ("env", "state")])
def test_an_empty_environment_variable_is_refused_unless_an_option_names_it(needed: tuple[str, ...] | None) -> None:
    written("env: prod\n")
    with pytest.raises(ConfigError, match=r"env: is empty: .* \(variable KALSHI_ENV\)"):
        load(None, {"KALSHI_ENV": ""}, {}, needed)
    assert load(None, {"KALSHI_ENV": ""}, {"env": "demo"}, needed).env == "demo"


def test_a_flag_beats_a_variable_beats_the_file_beats_the_default() -> None:
    file = written("env: prod\nrisk: {max_position: 10, max_order_count: 11, max_exposure: 12}\n")
    env = {"KALSHI_RISK__MAX_POSITION": "20", "KALSHI_RISK__MAX_ORDER_COUNT": "21"}
    config = load(None, env, {"risk.max_position": "30", "risk.max_exposure": None})
    assert config.risk.max_position == contracts(30)
    assert config.risk.max_order_count == contracts(21)
    assert config.risk.max_exposure == dollars(12)
    assert config.origins["risk.max_position"] == "flag"
    assert config.origins["risk.max_order_count"] == "variable KALSHI_RISK__MAX_ORDER_COUNT"
    assert config.origins["risk.max_exposure"] == f"file {file}"
    assert config.file == file


def test_money_prices_and_counts_become_integers_exactly_however_they_are_written() -> None:
    for price in ("0.03", '"0.03"', ".03", '"$0.03"', "0.0300"):
        assert load(written(f"risk: {{min_edge: {price}}}"), {}, {}).risk.min_edge == Price(300), price
    config = load(written("risk: {max_position: 2.5, max_exposure: 1_000, max_order_cost: 0.01}"), {}, {})
    assert config.risk.max_position == Qty(250)
    assert config.risk.max_exposure == dollars(1_000)
    assert config.risk.max_order_cost == dollars("0.01")


@given(
    price=st.integers(0, 9_999).map(Price),
    qty=st.integers(0, 10**9).map(Qty),
    money=st.integers(0, 10**11).map(lambda hundredths: Money(hundredths * 10_000)),
)
def test_every_amount_survives_the_way_through_a_file(price: Price, qty: Qty, money: Money) -> None:
    text = "\n".join(
        (
            f"risk:\n  min_edge: {format_price(price)}",
            f"  max_position: {format_qty(qty)}",
            f"  max_exposure: {format_money(money)}",
        )
    )
    config = load(written(text, "any.yaml"), {}, {})
    assert (config.risk.min_edge, config.risk.max_position, config.risk.max_exposure) == (price, qty, money)


def test_floats_would_have_lost_some_of_those_amounts() -> None:
    lost = [price for price in range(10_000) if int(float(format_price(Price(price))) * 10_000) != price]
    assert lost


def test_null_switches_a_limit_off_and_zero_allows_nothing() -> None:
    config = load(written("risk: {max_exposure: null, max_order_cost: 0}"), {"KALSHI_RISK__MIN_EDGE": "none"}, {})
    assert config.risk.max_exposure is None
    assert config.risk.min_edge is None
    assert config.risk.max_order_cost == 0


def test_a_section_with_everything_commented_out_is_the_default() -> None:
    assert load(written("risk:\ntrade: {}\n"), {}, {}).risk == Config().risk


def test_an_empty_variable_is_no_variable() -> None:
    assert load(None, {"KALSHI_DAY_ZONE": "", "KALSHI_TRADE__INTERVAL": "", "KALSHI_CONFIG": ""}, {}) == Config(
        origins=load(None, {}, {}).origins
    )


PROTECTING = [
    "KALSHI_STATE",
    "KALSHI_READ_ONLY",
    "KALSHI_RISK__MAX_ORDER_COUNT",
    "KALSHI_RISK__MAX_ODER",
    "KALSHI_RISK_MAX",
]


@pytest.mark.parametrize("name", PROTECTING)
def test_an_empty_variable_of_a_setting_that_protects_is_refused_but_not_by_the_kill_switch(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"is empty: is a variable of the shell unset\? .*\(variable {name}\)"):
        load(None, {name: ""}, {})
    assert load(None, {name: ""}, {}, needed=("env", "state")).state is None


def test_an_option_replaces_an_empty_variable() -> None:
    assert load(None, {"KALSHI_STATE": ""}, {"state": "kept"}).state == Path("kept")


def test_references_are_added_to_the_default_ones_and_null_removes_one() -> None:
    config = load(written("references: {KXSOL: SOLUSD_RTI, KXETH: null}"), {"KALSHI_REFERENCES__KXXRP": "XRP"}, {})
    assert config.references == {"KXBTC": "BRTI", "KXSOL": "SOLUSD_RTI", "KXXRP": "XRP"}


def test_strategy_parameters_come_from_file_variable_and_flag() -> None:
    file = written("strategies:\n  fade: {edge: 0.02, size: 5}\n  idle:\n")
    config = load(file, {"KALSHI_STRATEGIES__FADE__SIZE": "7"}, {"strategies.make.width": "0.04"})
    assert config.strategies == {"fade": {"edge": 0.02, "size": "7"}, "make": {"width": "0.04"}}
    assert config.origins["strategies.make.width"] == "flag"


def test_what_a_strategy_gets_is_beside_its_parameters_and_typed() -> None:
    file = written(
        "strategies:\n  spike: {move: 0.04, budget: 50, sizing: {kind: kelly, fraction: 0.5}}\n  fade: {edge: 1}\n"
    )
    config = load(file, {"KALSHI_STRATEGIES__FADE__SIZING__KIND": "fraction"}, {})
    assert config.strategies == {"spike": {"move": 0.04}, "fade": {"edge": 1}}
    assert config.allotments == {
        "spike": StrategyAllocation(
            budget=Money(50_000_000), sizing=Sizing(kind="kelly", fraction=0.5, max_fraction=0.05)
        ),
        "fade": StrategyAllocation(sizing=Sizing(kind="fraction")),
    }
    shown = {setting.path: setting.value for setting in mask_secrets(config)}
    assert shown["strategies.spike.budget"] == "50.000000"
    assert (shown["strategies.spike.sizing.kind"], shown["strategies.spike.move"]) == ("kelly", "0.04")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("budget: -1", "strategies.spike.budget: must be at least 0.000000, not -1.000000"),
        ("budget: lots", "strategies.spike.budget: must be dollars"),
        ("sizing: kelly", "strategies.spike.sizing: must be a section"),
        ("sizing: {kind: martingale}", "strategies.spike.sizing.kind: must be one of fixed, fraction, kelly"),
        ("sizing: {fraction: 1.5}", "strategies.spike.sizing.fraction: must be at most 1"),
        ("sizing: {max_fraction: 0}", "strategies.spike.sizing.max_fraction: must be above 0"),
        ("sizing: {fracton: 0.1}", "strategies.spike.sizing.fracton: unknown key fracton; did you mean fraction?"),
    ],
)
def test_what_a_strategy_cannot_get_is_a_problem(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(f"strategies:\n  spike: {{{text}}}\n"), {}, {})
    assert said in str(caught.value)


def test_a_variable_cannot_be_a_whole_section() -> None:
    with pytest.raises(ConfigError, match="is a section, not a value"):
        load(None, {"KALSHI_STRATEGIES__SPIKE__SIZING": "kelly"}, {})


# -- credentials and hosts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["KALSHI_API_KEY_ID", "KALSHI_API_KEY", "KALSHI_KEY_ID", "KALSHI_ACCESS_KEY"])
@pytest.mark.parametrize("path_name", ["KALSHI_PRIVATE_KEY_PATH", "KALSHI_PRIVATE_KEY_FILE"])
def test_credentials_from_variables_are_for_the_environment_in_use(name: str, path_name: str) -> None:
    config = load(None, {name: "abcd", path_name: "/keys/demo.pem", "KALSHI_ENV": "prod"}, {"env": "demo"})
    assert config.credential == Credentials(key_id="abcd", private_key_path=Path("/keys/demo.pem"))
    assert config.credentials.demo == config.credential
    assert config.credentials.prod == Credentials()
    assert config.origins["credentials.demo.key_id"] == f"variable {name}"


def test_of_two_names_for_the_key_the_documented_one_wins() -> None:
    config = load(None, {"KALSHI_ACCESS_KEY": "second", "KALSHI_API_KEY_ID": "first", "KALSHI_ENV": "demo"}, {})
    assert config.credential.key_id == "first"


def test_a_relative_key_path_is_relative_to_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    file = tmp_path / "else" / "config.yaml"
    file.write_text("credentials: {demo: {private_key_path: keys/demo.pem}, prod: {private_key_path: ~/prod.pem}}")
    config = load(file, {}, {})
    assert config.credentials.demo.private_key_path == tmp_path / "else/keys/demo.pem"
    assert config.credentials.prod.private_key_path == tmp_path / "prod.pem"


def test_each_environment_has_its_hosts_and_sim_has_none() -> None:
    for env in ("demo", "prod"):
        config = load(None, {}, {"env": env})
        assert (config.rest_url, config.ws_url) == HOSTS[env]
    assert (load(None, {}, {}).rest_url, load(None, {}, {}).ws_url) == ("", "")
    moved = load(
        None, {"KALSHI_REST_URL": "https://example.com/v2/", "KALSHI_WS_URL": "ws://[::1]:8/ws"}, {"env": "prod"}
    )
    assert (moved.rest_url, moved.ws_url) == ("https://example.com/v2", "ws://[::1]:8/ws")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "https://",
        "example.com",
        "ftp://127.0.0.1",
        "https://user:pass@example.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://169.254.169.254/",
        "https://host/?a=b",
        "https://[::1",
    ],
)
def test_an_unencrypted_host_is_refused_unless_it_is_this_machine(url: str) -> None:
    assert "exchange.rest_url" in refusal(env={"KALSHI_REST_URL": url})


@pytest.mark.parametrize("host", ["127.0.0.1:80", "localhost", "[::1]:9", "127.8.8.8"])
def test_this_machine_may_be_reached_in_plain_text(host: str) -> None:
    assert load(None, {"KALSHI_REST_URL": f"http://{host}/v2"}, {}).rest_url == f"http://{host}/v2"


# -- what is refused ----------------------------------------------------------------------------------------------


def test_all_problems_are_reported_at_once_each_with_its_place_and_origin() -> None:
    message = refusal(
        "risk: {max_positon: 5, min_edge: 2, max_order_count: many}\ntrade: 5\nenvv: demo\n",
        {"KALSHI_SIM__SEED": "1.5", "KALSHI_RISKS__MIN_EDGE": "0.1"},
        {"trade.interval_s": -1},
    )
    lines = message.splitlines()
    assert lines[0] == "8 problems in the configuration:"
    assert len(lines) == 9
    assert "  risk.max_positon: unknown key max_positon; did you mean max_position?" in message
    assert "risk.min_edge: must be below 1.0000, not 2.0000" in message
    assert "risk.max_order_count: must be contracts with at most 2 decimals, not 'many'" in message
    assert "trade: must be a section" in message
    assert "envv: unknown key envv; did you mean env? (file " in message
    assert "sim.seed: must be a whole number, not '1.5' (variable KALSHI_SIM__SEED)" in message
    assert "risks.min_edge: unknown key risks; did you mean risk?" in message
    assert "trade.interval_s: must be above 0, not -1.0: account reads" in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("env: staging", "must be one of sim, demo, prod"),
        ("env: null", "value missing"),
        ("env: {demo: 1}", "must be one of"),
        ("risk: {max_position: 0.001}", "at most 2 decimals"),
        ("risk: {max_position: .nan}", "must be contracts"),
        ("risk: {max_position: -1}", "must be at least 0.00"),
        ("risk: {max_position: true}", "must be contracts"),
        ("risk: {max_position: [1]}", "must be contracts"),
        ("risk: {max_orders_per_minute: 1.5}", "whole number"),
        ("trade: {interval_s: .inf}", "must be a number"),
        ("trade: {interval_s: 10.5}", "must be at most 10, not 10.5: account reads"),
        ("trade: {status_every_s: 1e6}", "must be at most 86400"),
        ("trade: {interval_s: 0}", "must be above 0"),
        ("exchange: {total_timeout_s: 10.1}", "at most 10, not 10.1: the proof that an order never arrived relies"),
        ("read_only: maybe", "true or false"),
        ("day_zone: Mars/Olympus", "unknown time zone"),
        ("day_zone: ../../etc/passwd", "unknown time zone"),
        ("credentials: {demo: {key_id: 12}}", "in quotes"),
        ("credentials: {demo: {private_key_path: ''}}", "must be a path"),
        ('credentials: {demo: {key_id: "a\\x1bb"}}', "printable"),
        ("strategies: [fade]", "must be a section"),
        ("strategies: {fade: 3}", "must be a section"),
        ("references: {KXBTC: 5}", "in quotes"),
        ("risk: {}\nrisk: {}", "duplicate key"),
        ("risk: {min_edge: 0.01, min_edge: 0.02}", "duplicate key"),
        ("risk: &a {min_edge: 0.01}\ntrade: *a", "YAML anchors (&)"),
        ("risk: *a", "YAML aliases (*)"),
        ("- 1\n- 2", "the file: must be a section"),
        ("just text", "the file: must be a section"),
        ("risk: {", "line 2"),
        ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("a: !include other.yaml", "could not determine a constructor"),
        ("a: 1\n---\nb: 2", "another document"),
        ("1: 2", "unknown key 1"),
        ("a: \0", "not allowed"),
    ],
)
def test_a_careless_or_hostile_file_is_refused_with_the_reason(text: str, said: str) -> None:
    assert said in refusal(text)


def test_a_huge_or_deeply_nested_or_binary_file_is_refused_not_a_crash() -> None:
    assert "larger than" in refusal("#" * 1_000_001)
    assert "named.yaml" in refusal("[" * 100_000)
    Path("binary.yaml").write_bytes(b"\xff\xfe\xfa\x00\x01")
    with pytest.raises(ConfigError):
        load(Path("binary.yaml"), {}, {})


def test_a_named_file_that_is_missing_is_an_error() -> None:
    assert "No configuration file" in refusal(env={"KALSHI_CONFIG": "nowhere.yaml"})
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        load(Path("nowhere.yaml"), {}, {})
    with pytest.raises(ConfigError):
        load(Path(), {}, {})


def test_the_file_is_searched_by_flag_variable_directory_and_home(tmp_path: Path) -> None:
    home = config_dir() / "config.yaml"
    assert home == tmp_path / "config" / "kalshi" / "config.yaml"
    home.parent.mkdir(parents=True)
    found = []
    for path in (home, Path("config.yaml"), Path("variable.yaml"), Path("flag.yaml")):
        path.write_text("read_only: true")
        env = {"KALSHI_CONFIG": "variable.yaml"} if Path("variable.yaml").exists() else {}
        found.append(load(Path("flag.yaml") if Path("flag.yaml").exists() else None, env, {}).file)
    assert found == [
        home,
        Path("config.yaml").absolute(),
        Path("variable.yaml").absolute(),
        Path("flag.yaml").absolute(),
    ]


# -- a broken section must not stop the kill switch ------------------------------------------------------------------


def test_what_is_wrong_where_nobody_needs_it_leaves_its_defaults_and_is_reported() -> None:
    file = written(
        "env: demo\nstrategies: [fade]\nrisk: {max_position: lots, min_edge: 0.05, min_edge: 0.04}\nriskk: 1\n"
    )
    config = load(file, {}, {}, needed=("env", "credentials"))
    assert config.env == "demo"
    assert config.risk.max_position == Config().risk.max_position
    assert config.origins["risk.max_position"] == "default"
    assert {".".join(problem.path) for problem in config.problems} == {
        "strategies",
        "risk.max_position",
        "risk.min_edge",
        "riskk",
    }


@pytest.mark.parametrize("needed", [("trade",), ("trade.interval_s",), ("env", "trade")])
def test_what_is_needed_still_refuses(needed: tuple[str, ...]) -> None:
    file = written("strategies: [fade]\ntrade: {interval_s: never}\n")
    with pytest.raises(ConfigError, match=r"^trade\.interval_s: ") as caught:
        load(file, {}, {}, needed=needed)
    assert "strategies" not in caught.value.message
    assert load(file, {}, {}, needed=("trade.status_every_s",)).trade.interval_s == Config().trade.interval_s


def test_a_file_that_cannot_be_read_is_no_obstacle_where_the_environment_is_named_outside_of_it() -> None:
    file = written("env: demo\n  broken: [\n")
    variables = {"KALSHI_ENV": "prod", "KALSHI_API_KEY_ID": "key"}
    config = load(file, variables, {}, needed=("env",))
    assert (config.env, config.credential.key_id) == ("prod", "key")
    assert [problem.path for problem in config.problems] == [("file",)]
    assert load(file, {}, {"env": "demo"}, needed=("env",)).env == "demo"
    for named, needed in (({}, ("env",)), (variables, None)):
        with pytest.raises(ConfigError):
            load(file, named, {}, needed=needed)


# -- variables, private keys, renamed settings --------------------------------------------------------------------


def test_a_value_outside_of_sections_has_a_variable_too() -> None:
    config = load(None, {"KALSHI_DAY_ZONE": "Europe/Berlin"}, {})
    assert (config.day_zone, config.origins["day_zone"]) == ("Europe/Berlin", "variable KALSHI_DAY_ZONE")
    assert "unknown time zone" in refusal(env={"KALSHI_DAY_ZONE": "Mars/Olympus"})


def test_a_wrong_option_is_not_looked_for_in_the_file() -> None:
    with pytest.raises(ConfigError) as typed:
        load(None, {}, {"display.time_zone": "Mars/Foo"})
    assert (typed.value.hint, "(flag)" in typed.value.message) == ("", False)
    with pytest.raises(ConfigError, match=r"variable KALSHI_DISPLAY__TIME_ZONE") as saved:
        load(None, {"KALSHI_DISPLAY__TIME_ZONE": "Mars/Foo"}, {})
    assert saved.value.hint == "correct it, then run `kalshi config check`"


def test_every_value_has_a_variable() -> None:
    for path in load(None, {}, {}).origins:
        if not path.startswith("references.") and not path.endswith(".private_key"):
            with pytest.raises(ConfigError, match=re.escape(path)):
                load(None, {f"KALSHI_{path.replace('.', '__').upper()}": "\x00"}, {})


PEM_LINES = ["-----BEGIN PRIVATE KEY-----", "MC4CAQAwBQYDK2VwBCIEIG" + "Canary7q" * 5, "-----END PRIVATE KEY-----"]


@pytest.mark.parametrize("between", ["\n", "\\n", "\r\n"])
@pytest.mark.parametrize("name", ["KALSHI_PRIVATE_KEY", "KALSHI_CREDENTIALS__DEMO__PRIVATE_KEY"])
def test_a_private_key_comes_from_a_variable_and_is_never_shown(name: str, between: str) -> None:
    config = load(None, {"KALSHI_ENV": "demo", name: between.join(PEM_LINES)}, {})
    assert config.credential.private_key.split() == " ".join(PEM_LINES).split()
    shown = {setting.path: setting for setting in mask_secrets(config)}["credentials.demo.private_key"]
    assert (shown.value, shown.origin) == ("[hidden]", f"variable {name}")
    assert "Canary" not in repr(mask_secrets(config)) + repr(config.credentials) + redact(between.join(PEM_LINES))


def test_a_private_key_and_a_path_are_one_clear_error() -> None:
    env = {"KALSHI_ENV": "demo", "KALSHI_PRIVATE_KEY": "\n".join(PEM_LINES), "KALSHI_PRIVATE_KEY_PATH": "/k.pem"}
    said = refusal(env=env)
    assert "only one private key is allowed" in said
    assert "variable KALSHI_PRIVATE_KEY)" in said
    assert "variable KALSHI_PRIVATE_KEY_PATH" in said
    assert "Canary" not in said


def test_a_private_key_in_a_file_is_refused() -> None:
    said = refusal("credentials: {demo: {private_key: 'MC4CAQAwBQYDK2VwBCIEIGCanary7q'}}")
    assert "can only be set by a variable" in said
    assert "Canary" not in said


def test_an_old_name_keeps_working_and_a_notice_says_so() -> None:
    sink = "{url: 'https://a.example/hook'}"
    old = load(written(f"alerts: {{sinks: {{desk: {sink}}}}}"), {"KALSHI_ALERTS__SINKS__PHONE__URL": "pover://u@t"}, {})
    assert sorted(old.alerts.channels) == ["desk", "phone"]
    assert old.notices == ("alerts.sinks is now called alerts.channels; the old name still works",)
    assert old.origins["alerts.channels.phone.url"] == "variable KALSHI_ALERTS__SINKS__PHONE__URL"
    new = load(written(f"alerts: {{channels: {{desk: {sink}}}}}"), {}, {})
    assert (sorted(new.alerts.channels), new.notices) == (["desk"], ())


# -- directories, secrets, the example ------------------------------------------------------------------------------


def test_state_has_one_directory_for_each_environment_and_mode(tmp_path: Path) -> None:
    default = load(None, {}, {})
    assert state_dir(default) == tmp_path / "state" / "kalshi" / "sim"
    demo = load(None, {"KALSHI_STATE": "kept", "KALSHI_ENV": "demo"}, {})
    assert state_dir(demo) == Path("kept/demo").absolute()
    assert state_dir(demo, "paper") == Path("kept/demo-paper").absolute()
    assert state_dir(load(None, {}, {"state": tmp_path / "s"}), "paper") == tmp_path / "s" / "sim-paper"


def test_loading_creates_nothing(tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    state_dir(load(None, {"KALSHI_STATE": str(tmp_path / "later")}, {}))
    assert sorted(tmp_path.rglob("*")) == before


def test_secrets_are_masked_and_hidden_in_every_representation() -> None:
    secret = "4f6a1c7e-canary-90d2"
    file = written(f"strategies: {{fade: {{api_token: {secret}, edge: 0.02}}}}")
    config = load(file, {"KALSHI_API_KEY_ID": secret, "KALSHI_ENV": "demo"}, {})
    shown = {setting.path: setting for setting in mask_secrets(config)}
    assert shown["credentials.demo.key_id"].value == "…90d2"
    assert shown["credentials.demo.key_id"].origin == "variable KALSHI_API_KEY_ID"
    assert shown["strategies.fade.edge"].value == "0.02"
    assert shown["risk.max_position"].value == "100.00"
    assert shown["state"].value is None
    assert "canary" not in repr(mask_secrets(config))
    assert "canary" not in repr(config.credentials)
    short = load(None, {"KALSHI_API_KEY_ID": "short", "KALSHI_ENV": "demo"}, {})
    assert {s.path: s.value for s in mask_secrets(short)}["credentials.demo.key_id"] == "…"


def test_the_example_file_shows_every_key_with_its_default() -> None:
    config = load(EXAMPLE, {}, {})
    assert msgspec.structs.replace(config, origins={}, file=None) == Config()
    unmentioned = {path for path, origin in config.origins.items() if origin == "default"}
    keys = {f"credentials.{env}.private_key" for env in ("sim", "demo", "prod")}
    assert unmentioned == keys, "a key itself is never set in a file"


def test_importing_config_imports_neither_yaml_nor_platformdirs() -> None:
    late = {"yaml", "platformdirs", "zoneinfo", "difflib"}
    code = f"import sys, kalshi_cli.config.sources; print(*{late} & set(sys.modules))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=EXAMPLE.parent
    )
    assert answer.stdout.strip() == ""


def test_the_default_price_collar_is_a_price_not_a_count_of_cents() -> None:
    assert Config().risk.price_collar == cents(10)


# -- whom to tell, and what to hold against ------------------------------------------------------------------------


def test_sinks_are_named_by_a_person_and_come_from_the_file_and_from_variables() -> None:
    path = written("alerts:\n  channels:\n    desk: {url: 'https://a.example/hook', tiers: [critical]}\n")
    config = load(
        path,
        {"KALSHI_ALERTS__CHANNELS__PHONE__URL": "pover://u@t", "KALSHI_ALERTS__SINKS__PHONE__EVENTS": "check,state"},
        {},
    )
    desk, phone = config.alerts.channels["desk"], config.alerts.channels["phone"]
    assert (desk.url, desk.tiers, desk.events) == ("https://a.example/hook", ("critical",), ())
    assert (phone.url, phone.tiers, phone.events) == ("pover://u@t", ("critical", "warning"), ("check", "state"))
    assert config.origins["alerts.channels.desk.url"] == f"file {path}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alerts: {channels: {desk: {urll: x}}}", "did you mean url?"),
        ("alerts: {channels: {desk: {tiers: [urgent]}}}", "must be a list of critical, warning, info, not 'urgent'"),
        ("alerts: {channels: {desk: https://a.example}}", "alerts.channels.desk: must be a section"),
        ("alerts: {channels: {'a b': {url: 'https://a.example/'}}}", "an alert channel name is one word"),
        ("metrics: {host: 0.0.0.0}", "metrics.host: unknown key host"),
        ("trade: {interval_s: abcdefghijklmnopqrstuvw}", "must be a number, not a text of 23 characters"),
        ("checks: {cycle_age_s: {warn: soon}}", "must be a range like 10, 10:, ~:10, 10:20 or @10:20, not 'soon'"),
        ("checks: {cycle_age_s: 60}", "checks.cycle_age_s: must be a section"),
    ],
)
def test_what_is_wrong_with_a_sink_or_a_bound_is_said(text: str, said: str) -> None:
    assert said in refusal(text)


def test_bounds_are_ranges_and_a_bare_number_is_one() -> None:
    config = load(written("checks: {cycle_age_s: {warn: 90, crit: '@1:2.5'}, cash_usd: {crit: '50:'}}"), {}, {})
    assert (config.checks.cycle_age_s.warn, config.checks.cycle_age_s.crit) == ("90", "@1:2.5")
    assert (config.checks.cash_usd.warn, config.checks.cash_usd.crit) == (None, "50:")


SECRETS = (
    "alerts: {channels: {desk: {url: 'https://a.example/hook'}}}",
    "heartbeat: {url: 'https://hc-ping.com/11111111-2222-3333-4444-555555555555'}",
)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
@pytest.mark.parametrize("text", SECRETS)
def test_a_file_with_the_address_of_a_sink_is_refused_while_others_may_read_it(text: str, mode: int) -> None:
    path = written(text)
    assert load(path, {}, {}).problems == ()
    path.chmod(mode)
    with pytest.raises(
        ConfigError, match=f"contains a secret, and other users can read the file: chmod 600 {path}"
    ) as caught:
        load(path, {}, {})
    assert caught.value.exit_code is ExitCode.USAGE
    assert "example" not in str(caught.value)
    assert "11111111" not in str(caught.value)


@pytest.mark.parametrize("text", SECRETS)
def test_a_secret_that_others_may_read_does_not_stop_what_does_not_need_it(text: str) -> None:
    path = written(text)
    path.chmod(0o644)
    config = load(path, {}, {}, needed=("env", "state", "credentials", "exchange.rest_url"))
    assert len(config.problems) == 1


def test_others_may_read_a_file_that_only_names_where_an_address_is() -> None:
    path = written("alerts: {channels: {desk: {url_file: slack.url}}}")
    path.chmod(0o644)
    assert load(path, {}, {}).alerts.channels["desk"].url_file == path.with_name("slack.url")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example/hook?k=wxyz", "https://a.example/…"),
        ("https://a.example?k=wxyzwxyzwxyzwxyzwxyzwxyz", "https://a.example/…"),
        ("https://a.example/ab12", "https://a.example/…"),
        ("https://a.example:8443/t/12345678901234567890", "https://a.example:8443/…7890"),
        ("https://a.example/t/12345678901234567890?token=wxyz", "https://a.example/…7890"),
        ("https://user:pa/ss@a.example/x", "https://…"),
        ("slack://A1/B2/12345678901234567890", "slack://…7890"),
        ("pagerduty://12345678901234567890@ab12", "pagerduty://…"),
        ("mailtos://me:12345678901234567890@example.com?to=desk@example.com", "mailtos://…"),
        ("12345678901234567890", "…"),
        ("", ""),
    ],
)
def test_of_an_address_its_host_is_shown_and_the_end_of_a_long_secret_at_most(url: str, shown: str) -> None:
    assert hidden_address(url) == shown


def test_addresses_of_sinks_are_masked_like_keys() -> None:
    text = (
        "alerts: {channels: {a: {url: 'https://hooks.slack.com/services/T0/B0/aaaaaaaaaaaaabcdefghijkl'}, b: {url: 'slack://tokena/tokenb/tokenc'}}}\n"
        "heartbeat: {url: 'https://hc-ping.com/11111111-2222-3333-4444-555555555555'}"
    )
    config = load(written(text), {}, {})
    shown = {setting.path: setting.value for setting in mask_secrets(config)}
    assert shown["alerts.channels.a.url"] == "https://hooks.slack.com/…ijkl"
    assert shown["alerts.channels.b.url"] == "slack://…"
    assert shown["heartbeat.url"] == "https://hc-ping.com/…5555"
    assert "abcdefghijkl" not in repr(config)
    assert "tokena" not in repr(config)
    assert "11111111" not in repr(config)


# -- a working directory that cannot be read -----------------------------------------------------------------------


def test_an_unreadable_working_directory_holds_no_configuration_and_a_notice_says_so(tmp_path: Path) -> None:
    with unreadable_directory(tmp_path):
        config = load(None, {}, {})
    assert (config.file, config.notices) == (None, (HIDDEN_FILE,))
    assert load(None, {}, {}).notices == ()


def test_another_source_makes_an_unreadable_working_directory_unimportant(tmp_path: Path) -> None:
    path = written("env: demo\n", "named.yaml")
    for variables in ({"KALSHI_CONFIG": str(path)}, {}):
        file = None if variables else path
        with deleted_directory(tmp_path):
            config = load(file, variables, {})
        assert (config.file, config.env, config.notices) == (path, "demo", ())


def test_a_deleted_working_directory_holds_no_configuration(tmp_path: Path) -> None:
    with deleted_directory(tmp_path):
        config = load(None, {}, {})
    assert (config.file, config.notices) == (None, ())
