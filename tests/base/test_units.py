"""Money, prices, counts and times as integers: what goes in comes out, and what is not a number is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kalshi_cli.base import units
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import (
    DOLLAR,
    ONE_CONTRACT,
    ONE_DOLLAR,
    Money,
    Price,
    Qty,
    Ts,
    adds_up,
    cents,
    contracts,
    dollars,
    duration_from_user,
    format_money,
    format_price,
    format_qty,
    format_ts,
    money_from_user,
    notional,
    parse_money,
    parse_price,
    parse_qty,
    parse_ts,
    price_from_user,
    qty_from_user,
    show_exact,
    show_money,
    show_most_sum,
    show_price,
    show_qty,
    show_sum,
)

AMOUNTS = st.integers(-(10**15), 10**15)
WIRE = [(parse_price, format_price, 4), (parse_qty, format_qty, 2), (parse_money, format_money, 6)]
each_wire_unit = pytest.mark.parametrize(("parse", "write", "scale"), WIRE, ids=["price", "qty", "money"])


def test_the_three_units_multiply_exactly() -> None:
    assert notional(ONE_DOLLAR, ONE_CONTRACT) == DOLLAR
    assert notional(cents(47), contracts(10)) == dollars("4.70")
    assert notional(Price(1), Qty(1)) == Money(1)


def test_the_short_forms_mean_what_they_say() -> None:
    assert cents(47) == Price(4700)
    assert contracts(10) == Qty(1000)
    assert dollars("12.50") == dollars("12.5") == Money(12_500_000)
    assert dollars(3) == Money(3_000_000)


# -- the wire's strings -------------------------------------------------------------------------------------------


@each_wire_unit
@given(value=AMOUNTS)
def test_what_is_written_is_read_back(
    parse: Callable[[str], int], write: Callable[[int], str], scale: int, value: int
) -> None:
    text = write(value)
    assert parse(text) == value
    assert Decimal(text) == Decimal(value).scaleb(-scale)
    assert len(text.partition(".")[2]) == scale


@each_wire_unit
@given(text=st.from_regex(r"[+-]?[0-9]{0,9}(\.[0-9]{1,9})?", fullmatch=True))
@example(text="0.12345600")
@example(text=".5")
def test_a_decimal_is_read_exactly_or_refused(
    parse: Callable[[str], int], write: Callable[[int], str], scale: int, text: str
) -> None:
    """Against Decimal: the same value, or an error exactly where it would need rounding (or holds no digit)."""
    exact = Decimal(text).scaleb(scale) if any(map(str.isdigit, text)) else None
    if exact is not None and exact == int(exact):
        assert parse(text) == exact
    else:
        with pytest.raises(ValueError, match=r"invalid number|decimals"):
            parse(text)


@each_wire_unit
@given(text=st.text(max_size=12))
def test_garbage_is_a_value_error_and_nothing_else(
    parse: Callable[[str], int], write: Callable[[int], str], scale: int, text: str
) -> None:
    try:
        value = parse(text)
    except ValueError:
        return
    assert Decimal(text).scaleb(scale) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "-", "+", "1.", "-.", "--1", "+-1", "1.-5", "1.2.3", " 1", "1 ", "1e3", "1_000", "1,000", "$1"),
        *("0x10", "nan", "inf", "None", "٣", "¹", "½", "0" * 25),
    ],
)
def test_not_a_fixed_point_number(text: str) -> None:
    for parse, _, _ in WIRE:
        with pytest.raises(ValueError, match="invalid number"):
            parse(text)


def test_more_decimals_than_the_unit_has_are_taken_only_when_they_are_zeros() -> None:
    assert parse_price("0.470000") == Price(4700)
    assert parse_qty("10.0000") == Qty(1000)
    with pytest.raises(ValueError, match="more than 4 decimals"):
        parse_price("0.47001")
    with pytest.raises(ValueError, match="more than 2 decimals"):
        parse_qty("10.001")


@pytest.mark.parametrize(
    ("text", "value"), [("0.4700", 4700), ("0.98", 9800), ("1", 10_000), ("-0.01", -100), ("+.5", 5000), ("0.0001", 1)]
)
def test_prices_of_the_wire(text: str, value: int) -> None:
    assert parse_price(text) == value


# -- times --------------------------------------------------------------------------------------------------------


@given(st.integers(0, 4_102_444_800_000))
def test_a_time_is_read_back(ms: int) -> None:
    assert parse_ts(format_ts(Ts(ms))) == ms


@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001
def test_any_offset_and_any_fraction_is_floored_to_the_millisecond(naive: datetime, offset_minutes: int) -> None:
    moment = naive.replace(tzinfo=UTC)
    sign, minutes = ("-" if offset_minutes < 0 else "+"), abs(offset_minutes)
    local = moment + timedelta(minutes=offset_minutes)
    text = local.replace(tzinfo=None).isoformat() + f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"
    assert parse_ts(text) == (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-06-11T06:29:30Z", 1781159370000),
        ("2026-06-11T06:29:30.1Z", 1781159370100),
        ("2026-06-11T06:29:30.164956Z", 1781159370164),
        ("2026-06-11T06:29:30.999999999Z", 1781159370999),
        ("2026-06-11T02:29:30.5-04:00", 1781159370500),
        ("1969-12-31T23:59:59.999500Z", -1),
    ],
)
def test_times_of_the_wire(text: str, ms: int) -> None:
    assert parse_ts(text) == ms


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z", "2026-06-11T06:29:30", "1781159370"])
def test_not_a_time_or_a_time_without_a_zone(text: str) -> None:
    with pytest.raises(ValueError, match=r"invalid time|time zone missing"):
        parse_ts(text)


def test_a_whole_second_is_written_without_a_fraction() -> None:
    assert format_ts(Ts(1781159370000)) == "2026-06-11T06:29:30Z"
    assert format_ts(Ts(1781159370040)) == "2026-06-11T06:29:30.040Z"


# -- what a person types ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "price"),
    [
        ("0.47", 4700),
        ("$0.47", 4700),
        ("47c", 4700),
        ("47C", 4700),
        ("47¢", 4700),
        (" .5 ", 5000),
        ("0.5c", 50),
        ("0.0985", 985),
    ],
)
def test_a_price_is_typed_in_dollars_or_cents(typed: str, price: int) -> None:
    assert price_from_user(typed) == price


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("47", "did you mean 0.47"),
        ("5", "did you mean 0.05"),
        ("100", "out of range"),
        ("470", "out of range"),
        ("1", "did you mean 0.01"),
        ("$1", "out of range"),
        ("1.00", "out of range"),
        ("0.00", "out of range"),
        ("bash.24", "the shell replaced \\$0 by its own name .'bash.24'.; type 0.24 without the dollar sign"),
        ("-zsh.24", "the shell replaced"),
        ("bash.x", "invalid price"),
        ("b.24", "invalid price"),
        ("-0.47", "out of range"),
        ("100c", "out of range"),
        ("0.00001", "off the price grid"),
        ("0.001c", "off the price grid"),
        ("abc", "invalid price"),
        ("abd", "invalid price"),
        ("c", "invalid price"),
        ("", "invalid price"),
        ("0,47", "invalid price"),
    ],
)
def test_a_price_that_is_refused_says_why(typed: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        price_from_user(typed)


def test_a_price_out_of_range_shows_how_to_type_one() -> None:
    """A program may pass ten-thousandths of a dollar, the unit of `Price`."""
    with pytest.raises(ValueError, match=r"^2000 is out of range; .*, as 0\.47 or 47c$"):
        price_from_user("2000")


@given(st.integers(1, 9999))
def test_every_price_can_be_typed_as_it_is_shown(price: int) -> None:
    assert price_from_user(show_price(Price(price))) == price
    assert price_from_user(format_price(Price(price))) == price
    assert price_from_user(f"{Decimal(price) / 100}c") == price


@given(st.integers(1, 100_000_000))
def test_every_count_can_be_typed_as_it_is_shown(qty: int) -> None:
    assert qty_from_user(show_qty(Qty(qty))) == qty


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("ten", "invalid count"),
        ("", "invalid count"),
        ("0", "greater than zero"),
        ("-1", "greater than zero"),
        ("nan", "greater than zero"),
        ("inf", "greater than zero"),
        ("1000000.01", "exceeds one million"),
        ("0.001", "smallest step is 0.01"),
    ],
)
def test_a_count_that_is_refused_says_why(typed: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        qty_from_user(typed)


@pytest.mark.parametrize(
    ("typed", "dollars_typed"),
    [("5", "5"), ("5.00", "5"), ("$5", "5"), ("$5.5", "5.50"), (" 1000 ", "1000"), ("0.0001", "0.0001")],
)
def test_an_amount_is_typed_in_dollars(typed: str, dollars_typed: str) -> None:
    assert money_from_user(typed) == dollars(dollars_typed)


@given(st.integers(1, 10**13))
def test_every_amount_of_a_balance_can_be_typed_as_it_is_written(centi_cents: int) -> None:
    amount = Money(centi_cents * 100)
    assert money_from_user(format_money(amount)) == amount


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("5c", "did you mean 0.05"),
        ("500C", "did you mean 5.00"),
        ("1,000.50", "did you mean 1000.50"),
        ("five", "invalid amount"),
        ("", "invalid amount"),
        ("$", "invalid amount"),
        ("1e3", "invalid amount"),
        ("nan", "invalid amount"),
        ("²c", "invalid amount"),
        ("0", "greater than zero"),
        ("-5", "greater than zero"),
        ("0.00001", "smallest step is [$]0.0001"),
        ("1000000001", "exceeds one billion"),
    ],
)
def test_an_amount_that_is_refused_says_why(typed: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        money_from_user(typed)


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [
        ("2s", 2),
        ("10m", 600),
        ("10 m", 600),
        ("24h", 86_400),
        ("7d", 604_800),
        ("0.5S", 0.5),
        ("100ms", 0.1),
        ("9 MS", 0.009),
        ("1s500ms", 1.5),
        ("5m20s", 320),
        ("1h 30m", 5_400),
        ("1d2h3m4.5s", 93_784.5),
    ],
)
def test_durations(typed: str, seconds: float) -> None:
    assert duration_from_user(typed) == seconds


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "s",
        "soon",
        "0",
        "-1s",
        "nan",
        "inf",
        "4000d",
        "1w",
        "5m20",
        "20s5m",
        "5m5m",
        "5m-2s",
        "m5s",
        "ms",
        "5mss",
        "5ms1s",
        "0ms",
    ],
)
def test_a_duration_that_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration_from_user(typed)


@pytest.mark.parametrize("typed", ["3", "90", "0.5", "3."])
def test_the_unit_of_a_duration_is_asked_for_and_never_guessed(typed: str) -> None:
    with pytest.raises(ValueError, match=f"^add a unit: {re.escape(typed)}s, .* or .*d$"):
        duration_from_user(typed)


# -- what a person reads ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "text"),
    [(4700, "$0.47"), (985, "$0.0985"), (5, "$0.0005"), (50, "$0.005"), (5000, "$0.50"), (10_000, "$1.00")],
)
def test_prices_are_shown_to_the_cent_unless_they_are_finer(price: int, text: str) -> None:
    assert show_price(Price(price)) == text


@pytest.mark.parametrize(("qty", "text"), [(1000, "10"), (250, "2.5"), (1, "0.01"), (0, "0"), (-1000, "-10")])
def test_counts_are_shown_without_idle_zeros(qty: int, text: str) -> None:
    assert show_qty(Qty(qty)) == text


@pytest.mark.parametrize(
    ("money", "plain", "signed"),
    [
        (-1_234_567, "-$1.23", "-$1.23"),
        (1_235_000, "$1.24", "+$1.24"),
        (-1_235_000, "-$1.24", "-$1.24"),
        (0, "$0.00", "$0.00"),
        (4_999, "$0.00", "$0.00"),
        (-4_999, "$0.00", "$0.00"),
        (1_234_567_890_000, "$1,234,567.89", "+$1,234,567.89"),
    ],
)
def test_money_is_shown_to_the_cent_half_away_from_zero(money: int, plain: str, signed: str) -> None:
    assert show_money(Money(money)) == plain
    assert show_money(Money(money), signed=True) == signed


def test_what_is_missing_is_a_dash_and_never_a_zero() -> None:
    assert show_price(None) == show_qty(None) == show_money(None) == "—"


@pytest.mark.parametrize("make", [cents, contracts, dollars])
@pytest.mark.parametrize("value", [2.5, 4.0, True, float("nan"), None, [1]])
def test_a_unit_is_never_made_of_a_float_or_a_bool(make: Callable[[object], int], value: object) -> None:
    with pytest.raises(UsageError) as caught:
        make(value)
    assert "takes a whole number or a text" in caught.value.message
    assert caught.value.hint.startswith(f"write {make.__name__}(")


def test_a_part_of_a_unit_is_written_as_a_text() -> None:
    with pytest.raises(UsageError) as caught:
        contracts(2.5)  # type: ignore[arg-type]
    assert caught.value.hint == "write contracts('2.5')"
    assert (contracts("2.5"), cents("4.5"), dollars("12.50")) == (250, 450, 12_500_000)
    assert (contracts(Decimal("2.5")), cents("-1"), dollars(5)) == (250, -100, 5_000_000)  # type: ignore[arg-type]
    for make, text in ((contracts, "2.555"), (cents, "4.555"), (dollars, "abc"), (contracts, "1_0")):
        with pytest.raises(UsageError):
            make(text)


@pytest.mark.parametrize("show", [format_price, format_qty, format_money, show_price, show_qty, show_money])
@pytest.mark.parametrize("value", [0.03, 4700.0, True, "0.03"])
def test_only_whole_units_are_shown(show: Callable[[object], str], value: object) -> None:
    with pytest.raises(UsageError, match="is not a Price, Qty or Money"):
        show(value)


@pytest.mark.parametrize("text", ["1_0", "1_000", "\u0661\u0660"])
def test_a_number_is_written_in_plain_digits(text: str) -> None:
    for parse in (qty_from_user, price_from_user, money_from_user, duration_from_user):
        with pytest.raises(ValueError, match="invalid"):
            parse(text)


def test_completion_offers_only_what_is_public() -> None:
    assert set(dir(units)) == set(units.__all__)
    assert not {"NewType", "lru_cache", "index"} & set(dir(units))
    assert all(hasattr(units, name) for name in units.__all__)


def test_the_parts_of_a_sum_have_as_many_decimals_as_make_them_add_up() -> None:
    assert show_sum(5_200_000, 269_400) == ["$5.20", "$0.27", "$5.47"]
    assert show_sum(5_204_000, 264_000) == ["$5.204", "$0.264", "$5.468"]
    assert show_sum(3_900_000, -3_704_000, -264_000) == ["$3.90", "-$3.704", "-$0.264", "-$0.068"]
    assert show_most_sum(4_100_000, 170_100) == ["$4.10", "$0.18", "$4.28"]
    assert show_most_sum(4_101_000, 170_100) == ["$4.101", "$0.1701", "$4.2711"]
    assert adds_up()
    assert not adds_up(*[4_400] * 10), "ten times $0.00 is not $0.04"


def test_an_exact_amount_has_its_decimals_and_at_least_two() -> None:
    assert [show_exact(amount) for amount in (882_000, 144_200, 1_030_000, -5, 0, 1_234_567_890_000)] == [
        "$0.882", "$0.1442", "$1.03", "-$0.000005", "$0.00", "$1,234,567.89",
    ]  # fmt: skip
