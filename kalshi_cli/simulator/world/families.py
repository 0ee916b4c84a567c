"""The event families: tickers, titles, strikes and rules, derived from the clock and the price paths.

Each function returns the markets that are open at a moment, and perhaps some that are almost open.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import FeeSchedule, FeeType
from kalshi_cli.simulator.model import calendar, price_grids
from kalshi_cli.simulator.model.calendar import DAY, HOUR, MINUTE
from kalshi_cli.simulator.model.listing import EventSpec, MarketSpec
from kalshi_cli.simulator.model.seeded_random import SeededRandom, stable_id
from kalshi_cli.simulator.rest.live_data import SPORTS
from kalshi_cli.simulator.world.underlyings import Paths, PriceSource

SPREAD = (
    "center_whole_edge_half_cent",
    "center_whole_edge_quint_cent",
    "center_half_edge_half_cent",
    "center_half_edge_quint_cent",
    "center_half_edge_deci_cent",
    "center_quint_edge_quint_cent",
    "center_quint_edge_deci_cent",
    "center_centi_edge_centi_cent",
    "deci_cent",
)
"""The price structures of the hourly Ether strikes; with those of other series all twelve always trade."""

BTC = PriceSource(name="BRTI", level=86_000, daily_sd=0.026, is_log=True, jump_sd=0.0008, jump_every_s=512)
ETH = PriceSource(name="ETHUSD_RTI", level=2_800, daily_sd=0.037, is_log=True, jump_sd=0.0012, jump_every_s=512)
GOLD = PriceSource(name="XAU", level=2_400, daily_sd=0.01, is_log=True, jump_sd=0.0008, jump_every_s=3_600)
SPX = PriceSource(name="SPX", level=6_800, daily_sd=0.0095, is_log=True, jump_sd=0.0015, jump_every_s=1_800)

_NBA = (
    ("ATL", "Atlanta"), ("BOS", "Boston"), ("BKN", "Brooklyn"), ("CHI", "Chicago"), ("CLE", "Cleveland"),
    ("DAL", "Dallas"), ("DEN", "Denver"), ("GSW", "Golden State"), ("HOU", "Houston"), ("MIA", "Miami"),
    ("MIL", "Milwaukee"), ("MIN", "Minnesota"), ("NYK", "New York"), ("OKC", "Oklahoma City"), ("PHI", "Philadelphia"),
)  # fmt: skip
_MLB = (
    ("ATL", "Atlanta"), ("BAL", "Baltimore"), ("BOS", "Boston"), ("CIN", "Cincinnati"), ("CLE", "Cleveland"),
    ("DET", "Detroit"), ("HOU", "Houston"), ("MIL", "Milwaukee"), ("NYY", "New York Y"), ("PHI", "Philadelphia"),
    ("SD", "San Diego"), ("SEA", "Seattle"), ("SF", "San Francisco"), ("TOR", "Toronto"), ("WSH", "Washington"),
)  # fmt: skip
_BASEBALL_MONTHS = (7, 8, 9)
_GAMES_A_DAY = 3

_FED_MONTHS = (1, 3, 4, 6, 7, 9, 10, 12)
_FED_OUTCOMES = (
    ("C26", "Cut by more than 25 bps", -math.inf, -37.5),
    ("C25", "Cut by 25 bps", -37.5, -12.5),
    ("H0", "No change", -12.5, 12.5),
    ("H25", "Hike by 25 bps", 12.5, 37.5),
    ("H26", "Hike by more than 25 bps", 37.5, math.inf),
)

_CRYPTO_RULES = (
    "The CF Benchmarks index named in the question decides, not the price at any one venue. "
    "If the index is not published at that time, the last value before it counts."
)


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A market, its event, and its outcome: YES if the average over the last `average_s` is in [low, high)."""

    market: MarketSpec
    event: EventSpec
    source: PriceSource
    low: float = -math.inf
    high: float = math.inf
    average_s: int = 1
    pace: float = 1.0
    """The trading activity, on average 1; with much lower values sides of the book are empty at times."""


def _event(
    ticker: str, title: str, close: Ts, *, is_exclusive: bool = True, fees: FeeSchedule | None = None
) -> EventSpec:
    """Return an event of the series that its ticker begins with."""
    return EventSpec(
        event_ticker=ticker,
        series_ticker=ticker.partition("-")[0],
        title=title,
        mutually_exclusive=is_exclusive,
        strike_date=close,
        fees=fees,
    )


def _market(
    event: EventSpec, suffix: str, opens: Ts, *, ends_after_ms: int, structure: str = "linear_cent", **terms: Any
) -> MarketSpec:
    """Return a market of an event; it closes at the time of the event."""
    close = event.strike_date or opens
    return MarketSpec(
        ticker=f"{event.event_ticker}-{suffix}",
        event_ticker=event.event_ticker,
        title=event.title,
        price_structure=structure,
        grid=price_grids.STRUCTURES[structure],
        open_time=opens,
        close_time=close,
        expected_expiration_time=Ts(close + ends_after_ms),
        latest_expiration_time=Ts(close + 7 * DAY),
        **({"rules_secondary": _CRYPTO_RULES} | terms),
    )


def thresholds(
    paths: Paths, now: Ts, series: str, coin: str, source: PriceSource, step: int, structures: tuple[str, ...]
) -> Iterator[Listing]:
    """Yield the markets of the running hour: above a strike or not, in steps around the price at the opening.

    There is one strike for each price structure, the lowest strike first.
    """
    opens = Ts(now - now % HOUR)
    close = Ts(opens + HOUR)
    ticker = f"{series}-{calendar.day_code(close)}{calendar.time_code(close, '%H')}"
    title = f"{coin} price on {calendar.day_words(close)} at {calendar.hour_words(close)}?"
    event = _event(ticker, title, close, is_exclusive=False)
    middle = round(paths.of(source).at(opens) / step) * step
    for place, structure in enumerate(structures):
        strike = middle + (place - len(structures) // 2) * step
        market = _market(
            event,
            f"T{strike - 0.01:.2f}",
            opens,
            structure=structure,
            ends_after_ms=5 * MINUTE,
            yes_sub_title=f"${strike:,} or above",
            no_sub_title=f"Below ${strike:,}",
            strike_type="greater",
            floor_strike=strike - 0.01,
            settlement_timer_s=30,
            rules_primary=(
                f"If the average of {source.name} over the sixty seconds before {calendar.hour_words(close)} on "
                f"{calendar.day_words(close)} is above {strike - 0.01:.2f}, then the market resolves to Yes."
            ),
        )
        yield Listing(market=market, event=event, source=source, low=strike - 0.005, average_s=60, pace=1.5)


def quarter_hour(paths: Paths, now: Ts, series: str, coin: str, source: PriceSource, structure: str) -> Listing:
    """Return the up-or-down market of the running quarter of an hour, with sub-cent prices in the tails."""
    close = Ts(now - now % (15 * MINUTE) + 15 * MINUTE)
    event = f"{series}-{calendar.day_code(close)}{calendar.time_code(close, '%H%M')}"
    return _up_or_down(paths, (event, f"{calendar.local(close):%M}"), coin, source, 15, close, structure)


def quick_settle(paths: Paths, now: Ts) -> Iterator[Listing]:
    """Yield a new pair each minute, open for two minutes and paid ten seconds later: a complete market life."""
    minute = now - now % MINUTE
    for close in (Ts(minute + MINUTE), Ts(minute + 2 * MINUTE)):
        event = f"KXQUICKSETTLE-{calendar.day_code(close)}H{calendar.time_code(close, '%H%M')}"
        for number, (coin, source) in enumerate((("BTC", BTC), ("ETH", ETH)), 1):
            yield _up_or_down(paths, (event, str(number)), coin, source, 2, close, "linear_cent")


def _up_or_down(
    paths: Paths, name: tuple[str, str], coin: str, source: PriceSource, minutes: int, close: Ts, structure: str
) -> Listing:
    """Return a market that compares the price with that of `minutes` ago; `name` is the event and the suffix."""
    opens, (event_ticker, suffix) = Ts(close - minutes * MINUTE), name
    average_s = 60 if minutes > 2 else 1
    target = round(paths.of(source).average(opens, average_s), 2)
    measure = "the average over the last sixty seconds" if average_s > 1 else "the value"
    event = _event(event_ticker, f"{coin} price up in {minutes} minutes?", close, is_exclusive=False)
    market = _market(
        event,
        suffix,
        opens,
        structure=structure,
        ends_after_ms=MINUTE,
        yes_sub_title=f"{coin} at ${target:,.2f} or above",
        no_sub_title=f"{coin} below ${target:,.2f}",
        strike_type="greater_or_equal",
        floor_strike=target,
        settlement_timer_s=15 if minutes > 2 else 10,
        rules_primary=(
            f"If {measure} of {source.name} at {calendar.hour_words(close)} on {calendar.day_words(close)} is at least "
            f"{target:.2f}, then the market resolves to Yes."
        ),
    )
    return Listing(market=market, event=event, source=source, low=target - 0.005, average_s=average_s, pace=2.0)


def temperature(paths: Paths, now: Ts) -> Iterator[Listing]:
    """Yield the daily high in New York, of today and (from 10 a.m.) of tomorrow; the path is its forecast."""
    today = calendar.local(now).date()
    for day in (today, today + timedelta(days=1)):
        opens, close = calendar.moment(day - timedelta(days=1), 10), calendar.moment(day, 23, 59)
        usual = 62 - 23 * math.cos((day.timetuple().tm_yday - 22) / 365 * 2 * math.pi)
        level = usual + 5 * SeededRandom(paths.seed, "KXHIGHNY", day.isoformat()).normal()
        name = f"KXHIGHNY/{day.isoformat()}"
        source = PriceSource(name=name, level=level, daily_sd=2.2, jump_sd=0.5, jump_every_s=1_800)
        low = 2 * round(paths.of(source).at(opens) / 2) - 3
        buckets = [_Bucket(f"T{low}", f"{low - 1}° or below", -math.inf, low - 0.5, cap=low)]
        buckets += [
            _Bucket(f"B{at}.5", f"{at}° to {at + 1}°", at - 0.5, at + 1.5, floor=at, cap=at + 1)
            for at in range(low, low + 8, 2)
        ]
        buckets.append(_Bucket(f"T{low + 7}", f"{low + 8}° or above", low + 7.5, math.inf, floor=low + 7))
        event = _event(
            f"KXHIGHNY-{calendar.day_code(close)}", f"Highest temperature in NYC on {calendar.day_words(close)}?", close
        )
        rule = f"If the highest temperature in Central Park, New York on {calendar.day_words(close)} is {{}}"
        yield from _buckets(paths, event, source, buckets, rule, opens)


def index_range(paths: Paths, now: Ts) -> Iterator[Listing]:
    """Yield the close of the S&P 500 on the next business day, in ranges of 25 points."""
    first = calendar.business_day(calendar.local(now).date())
    for day in (first, calendar.business_day(first + timedelta(days=1))):
        close = calendar.moment(day, 16)
        before = day - timedelta(days=3 if day.weekday() == 0 else 1)
        opens = calendar.moment(before, 16)
        low = 25 * round(paths.of(SPX).at(opens) / 25) - 125
        high = low + 250
        buckets = [_Bucket(f"T{low}", f"Below {low:,}", -math.inf, low - 0.005, cap=low)]
        buckets += [
            _Bucket(f"B{at + 12}", f"{at:,} to {at + 24:,}.99", at - 0.005, at + 24.995, floor=at, cap=at + 24.9999)
            for at in range(low, high, 25)
        ]
        buckets.append(_Bucket(f"T{high - 1}.9999", f"{high:,} or above", high - 0.005, math.inf, floor=high - 0.0001))
        event = _event(
            f"KXINX-{calendar.day_code(close)}H1600", f"S&P 500 close on {calendar.day_words(close)}?", close
        )
        rule = f"If the S&P 500 closes on {calendar.day_words(close)} at {{}}"
        yield from _buckets(paths, event, SPX, buckets, rule, opens)


def games(paths: Paths, now: Ts) -> Iterator[Listing]:
    """Yield three games an evening with two markets each, from ten in the morning of the day before.

    The path is the margin of the home team.
    """
    today = calendar.local(now).date()
    for day in (today, today + timedelta(days=1)):
        series, league, teams = (
            ("KXMLBGAME", "baseball", _MLB) if day.month in _BASEBALL_MONTHS else ("KXNBAGAME", "basketball", _NBA)
        )
        left = list(teams)
        rng = SeededRandom(paths.seed, series, day.isoformat())
        opens = calendar.moment(day - timedelta(days=1), 10)
        for number in range(_GAMES_A_DAY):
            (away, away_name), (home, home_name) = (left.pop(rng.below(len(left))) for _ in "ah")
            close = calendar.moment(day, 21 + number // 2, 30 * (number % 2))
            name = f"{series}/{day.isoformat()}/{home}"
            source = PriceSource(name=name, level=3 * rng.normal(), daily_sd=12, jump_sd=1.5, jump_every_s=900)
            title = f"{away_name} at {home_name} Winner?"
            event = _event(f"{series}-{calendar.day_code(close)}{away}{home}", title, close)
            kind = SPORTS[series].team_type
            buckets = (
                _Bucket(code, team, low, high, target=(kind, stable_id("target", kind, team)))
                for code, team, low, high in ((away, away_name, -math.inf, 0), (home, home_name, 0, math.inf))
            )
            match = f"{away_name} at {home_name} {league} game of {calendar.day_words(close)}"
            rule = f"If the winner of the {match} is {{}}"
            yield from _buckets(paths, event, source, buckets, rule, opens)


def rate_decision(paths: Paths, now: Ts) -> Iterator[Listing]:
    """Yield the next rate decision; the path is the change that the market expects, in basis points."""
    year = calendar.local(now).year
    meetings = [calendar.second_wednesday(y, month) for y in (year - 1, year, year + 1) for month in _FED_MONTHS]
    following = next(i for i, day in enumerate(meetings) if calendar.moment(day, 14) > now)
    opens, close = calendar.moment(meetings[following - 1], 14), calendar.moment(meetings[following], 14)
    name = f"KXFEDDECISION/{meetings[following].isoformat()}"
    level = -25 * SeededRandom(paths.seed, name).uniform()
    source = PriceSource(name=name, level=level, daily_sd=1.5, jump_sd=1.0, jump_every_s=1_800)
    title = f"Fed decision in {calendar.day_words(close)[:3]} {calendar.local(close).year}?"
    fees = FeeSchedule(FeeType.WITH_MAKER, 500)  # an event may have other fees than its series
    event = _event(f"KXFEDDECISION-{calendar.month_code(close)}", title, close, fees=fees)
    buckets = [_Bucket(*outcome) for outcome in _FED_OUTCOMES]
    rule = f"If the decision on the federal funds rate at the meeting that ends on {calendar.day_words(close)} is: {{}}"
    yield from _buckets(paths, event, source, buckets, rule, opens)


_STRIKE_TYPES = {(False, False): "custom", (False, True): "less", (True, False): "greater", (True, True): "between"}
"""The strike type of a market with or without a floor and a cap."""
_WINNER = {
    "strike_type": "structured",
    "can_close_early": True,
    "early_close_condition": "This market will close after a winner is declared.",
}


class _Bucket(msgspec.Struct, frozen=True):
    """An outcome of a mutually exclusive event: bounds of the path, and strikes as the exchange writes them."""

    suffix: str
    label: str
    low: float
    high: float
    floor: float | None = None
    cap: float | None = None
    target: tuple[str, str] | None = None
    """The type and the id of the structured target that must win."""

    def terms(self) -> dict[str, Any]:
        """Return the strikes of the market; an outcome without a number has a custom strike."""
        has_floor, has_cap = self.floor is not None, self.cap is not None
        custom = () if has_floor or has_cap else (self.target or ("Outcome", self.label),)
        strikes = {"floor_strike": self.floor, "cap_strike": self.cap, "custom_strike": custom}
        return strikes | {"strike_type": _STRIKE_TYPES[has_floor, has_cap]} | (_WINNER if self.target else {})


def _buckets(
    paths: Paths, event: EventSpec, source: PriceSource, buckets: Iterable[_Bucket], rule: str, opens: Ts
) -> Iterator[Listing]:
    """Yield the markets of an event with exactly one true outcome."""
    for bucket in buckets:
        market = _market(
            event,
            bucket.suffix,
            opens,
            ends_after_ms=HOUR,
            yes_sub_title=bucket.label,
            no_sub_title=bucket.label,
            rules_primary=rule.format(bucket.label) + ", then the market resolves to Yes.",
            rules_secondary="The first official report decides; later revisions do not count.",
            **bucket.terms(),
        )
        pace = (0.05, 0.4, 0.7, 1.0)[SeededRandom(paths.seed, "pace", market.ticker).below(4)]
        yield Listing(market=market, event=event, source=source, low=bucket.low, high=bucket.high, pace=pace)
