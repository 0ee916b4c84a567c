"""A number of 900 kB, or one with a huge exponent: refused soon, wherever numbers come from outside."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from kalshi_cli.__main__ import MAX_DIGITS as MOST_OF_INT
from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import ConfigError, UsageError
from kalshi_cli.base.units import Ts, duration_from_user, money_from_user, parse_price, price_from_user, qty_from_user
from kalshi_cli.config.sources import load
from kalshi_cli.config.yaml_file import MAX_DIGITS
from kalshi_cli.feeds import fair_values, news_signals, polymarket
from kalshi_cli.feeds.recorded_results import read_history, read_results
from kalshi_cli.feeds.spot.venue import SpotError, parse_fixed

SOON_S = 20.0
SIZE = 900_000
NUMBERS = {
    "digits": "9" * SIZE,
    "fraction": "0." + "1" * SIZE,
    "exponent": "1e999999999",
    "small": "1e-999999999",
    "beyond": "1e99999999999999999999",
}


def soon(what: Callable[[], object], *errors: type[Exception]) -> None:
    began = time.monotonic()
    with pytest.raises(errors):
        what()
    assert time.monotonic() - began < SOON_S


@pytest.mark.parametrize("number", [*NUMBERS.values(), "9" * 25, "sNaN", "1e30c"])
@pytest.mark.parametrize("read", [price_from_user, qty_from_user, money_from_user, duration_from_user, parse_price])
def test_a_typed_number_is_refused_soon(read: Callable[[str], object], number: str) -> None:
    for suffix in ("", "c", "s"):
        soon(lambda text=number + suffix: read(text), ValueError)  # type: ignore[misc]


YAML = {
    **NUMBERS,
    "sexagesimal": "1" + ":1" * (SIZE // 2),
    "sexagesimal_float": "1" + ":1" * (SIZE // 2) + ".5",
    "hexadecimal": "0x" + "f" * SIZE,
    "binary": "0b" + "1" * SIZE,
    "just_too_long": "1" * (MAX_DIGITS + 1),
}


PLACES = ("risk: {{max_position: {}}}", "sim: {{seed: [{}]}}", "? {}\n: 1", "? [{}]\n: 1")


@pytest.mark.parametrize(
    ("name", "place"),
    [*((name, PLACES[0]) for name in YAML), *zip(("digits", "sexagesimal", "digits"), PLACES[1:], strict=True)],
)
def test_a_number_of_a_configuration_is_refused_soon(tmp_path: Path, name: str, place: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(place.format(YAML[name]) + "\n")
    soon(lambda: load(file, {}, {}), ConfigError)


def test_the_longest_number_of_a_configuration_is_one_of_forty_characters(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"sim: {{seed: {'1' * (MAX_DIGITS + 1)}}}\n")
    with pytest.raises(ConfigError, match=f"seed: a number of more than {MAX_DIGITS} digits"):
        load(file, {}, {})
    file.write_text(f"sim: {{seed: '{'1' * 18}'}}\n")
    assert load(file, {}, {}).sim.seed == int("1" * 18)


def test_a_kill_switch_reads_such_a_file_soon(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"env: sim\nstrategies: {{a: {{b: {YAML['sexagesimal']}}}}}\n")
    began = time.monotonic()
    config = load(file, {}, {}, ["env"])
    assert [problem.path for problem in config.problems] == [("strategies", "a", "b")]
    assert time.monotonic() - began < SOON_S


@pytest.mark.parametrize("number", NUMBERS.values())
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_number_in_the_json_or_csv_of_a_source_is_refused_soon(tmp_path: Path, number: str, quote: str) -> None:
    value = f"{quote}{number}{quote}"
    began = time.monotonic()
    for body in (f'{{"KXA": {value}}}', f"KXA,{value}"):
        with contextlib.suppress(fair_values.SourceError):
            assert fair_values.read_table(body.encode()).fairs == {}
    line = f'{{"id": {value}, "ticker": "KXA", "side": "yes", "confidence": {value}}}'.encode()
    with pytest.raises(fair_values.SourceError):
        news_signals.read_signal(line, ManualClock(Ts(1_780_000_000_000)))
    book = f'{{"asset_id": "1", "bids": [{{"price": {value}, "size": {value}}}], "asks": [], "timestamp": "1"}}'
    with pytest.raises(fair_values.SourceError):
        polymarket.read_best(book.encode(), "1")
    for text in (number, Decimal(number) if number != NUMBERS["beyond"] else "NaN"):
        with pytest.raises(SpotError):
            parse_fixed(text, 4)
    for name, text in (
        ("a.json", f'[{{"ticker": "KXA", "result": "yes", "settlement_value_dollars": {value}}}]'),
        ("a.jsonl", f'{{"ticker": "KXA", "result": "yes", "settlement_value_dollars": {value}}}\n'),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(UsageError):
            read_results(tmp_path / name)
    (tmp_path / "btcusd.csv").write_text(f"exchange_ts,recv_ns,price\n2026-05-13T12:59:00Z,1,{value}\n")
    with pytest.raises(UsageError):
        list(read_history(tmp_path / "btcusd.csv"))
    assert time.monotonic() - began < SOON_S


def test_json_of_any_type_is_decoded_soon() -> None:
    for number in (NUMBERS["digits"], f"[{NUMBERS['digits']}]", f'{{"a": {NUMBERS["digits"]}}}'):
        for kind in (object, int, float, dict[str, int], list[int], str):
            soon(lambda body=number, kind=kind: msgspec.json.decode(body, type=kind), msgspec.DecodeError)  # type: ignore[misc]


def test_an_integer_has_a_limit_of_digits_whatever_the_environment_says() -> None:
    code = (
        "import sys; from kalshi_cli.__main__ import protect_memory; protect_memory(); "
        "print(sys.get_int_max_str_digits())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONINTMAXSTRDIGITS": "0"}, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == MOST_OF_INT
