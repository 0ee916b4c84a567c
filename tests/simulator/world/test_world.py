"""The world beside the user: it lists, quotes, trades, spikes, closes and settles; the same seed, the same world."""

from __future__ import annotations

import copy
import hashlib
import itertools
import statistics
import uuid
from collections.abc import Iterator

import msgspec
import pytest

from kalshi_cli.base.units import DOLLAR, ONE_CONTRACT, ONE_DOLLAR, Money, Price, Qty, Ts, contracts, dollars, parse_ts
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.journal import MemoryJournal
from kalshi_cli.simulator.model.listing import NewOrder, OrderReceipt
from kalshi_cli.simulator.protocol.replies import Request
from kalshi_cli.simulator.world.listings import MarketListings
from kalshi_cli.simulator.world.underlyings import spike
from kalshi_cli.simulator.world.world import MarketSimulation

SEED = 7
START = Ts(parse_ts("2026-11-21T19:20:00Z"))
SECONDS = 210
"""How long the recorded world runs: every spike of a slot is in its first half, two minutes."""


class Ids:
    """Counts what an exchange made: orders, trades, markets, users."""

    def __init__(self, first: int = 0) -> None:
        self.count = first

    def __call__(self) -> str:
        self.count += 1
        return str(uuid.UUID(int=self.count))


class SeededExchange:
    """An exchange with its world."""

    def __init__(self, *, seed: int = SEED, now: Ts = START, journal: MemoryJournal | None = None) -> None:
        self.ids = Ids(now)  # a process that starts again must not repeat the ids of the one before
        self.exchange = SimulatedExchange(new_id=self.ids, journal=journal)
        self.exchange.restore()
        self.world = MarketSimulation(self.exchange, seed=seed, start=now)
        self.world.ensure_open(now)
        self.now = now

    def forward(self, seconds: float) -> None:
        self.now = Ts(self.now + int(seconds * 1000))
        self.world.advance(self.now)

    def mid(self, ticker: str) -> float | None:
        bid, ask = self.exchange.top(ticker)
        return (bid[0] + ask[0]) / 2 if bid and ask else None

    def market(self, ticker: str) -> dict[str, object]:
        reply = self.exchange.handle(Request("GET", f"/trade-api/v2/markets/{ticker}"), self.now)
        market: dict[str, object] = msgspec.json.decode(reply.body)["market"]
        return market

    def fingerprint(self) -> str:
        exchange = self.exchange
        books = [
            (ticker, exchange.levels(ticker, BID), exchange.levels(ticker, ASK), exchange.last_price(ticker))
            for ticker in sorted(exchange.tickers(""))
        ]
        return hashlib.sha256(repr(books).encode()).hexdigest()

    def assert_nothing_is_lost(self, deposited: Money) -> None:
        """Positions of a market sum to zero; cash, fees and the dollar behind each open contract to what came in."""
        exchange, escrow = self.exchange, 0
        for ticker in exchange.tickers(""):
            held = [exchange.position(account, ticker) for account in exchange.accounts()]
            assert sum(held) == 0, ticker
            escrow += sum(qty for qty in held if qty > 0) * DOLLAR // ONE_CONTRACT
        cash = sum(exchange.cash(account) for account in exchange.accounts())
        assert cash + exchange.fees_collected() + escrow == deposited


class Recorded:
    """A few minutes of a world, second by second: mids and fairs by market. A user takes one contract of the first."""

    def __init__(self) -> None:
        self.run = SeededExchange()
        self.bought, self.paid = self._user_buys()
        self.mids: dict[str, dict[int, float]] = {}
        self.fairs: dict[str, dict[int, Price]] = {}
        self.empty_sides = 0
        for second in range(1, SECONDS + 1):
            self.run.forward(1)
            for ticker in self.run.exchange.tickers():
                self.fairs.setdefault(ticker, {})[second] = self.run.world.fair(ticker)
                mid = self.run.mid(ticker)
                if mid is None:
                    self.empty_sides += 1
                else:
                    self.mids.setdefault(ticker, {})[second] = mid

    def _user_buys(self) -> tuple[str, Money]:
        """Return the market that closes first, and what a contract cost there."""
        exchange = self.run.exchange
        exchange.add_account("user", dollars(1_000))
        quick = (ticker for ticker in exchange.tickers() if ticker.startswith("KXQUICKSETTLE"))
        ticker = min((one for one in quick if exchange.top(one)[1] is not None), key=exchange.close_time)
        ask = exchange.top(ticker)[1]
        assert ask is not None
        order = NewOrder(ticker=ticker, side=BID, price=ask[0], qty=contracts(1), tif=TimeInForce.IOC)
        receipt = exchange.submit("user", order, self.run.now)
        assert isinstance(receipt, OrderReceipt)
        assert receipt.filled == contracts(1)
        return ticker, Money(dollars(1_000) - exchange.cash("user"))

    def moves(self, within_s: int, least: int) -> Iterator[tuple[str, int, float, float]]:
        """(ticker, second, move of the mid, move of the fair), at most one a minute for each market."""
        for ticker, mids in self.mids.items():
            last = -60
            for second, mid in mids.items():
                before = mids.get(second - within_s)
                if before is not None and abs(mid - before) >= least and second - last >= 60:
                    last = second
                    fairs = self.fairs[ticker]
                    yield ticker, second, mid - before, fairs[second] - fairs[second - within_s]


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    return Recorded()


def test_at_the_first_look_everything_is_listed_quoted_and_has_traded() -> None:
    run = SeededExchange()
    open_now = run.exchange.tickers()
    assert len(open_now) >= 40
    assert len({ticker.partition("-")[0] for ticker in open_now}) >= 6
    quoted = [ticker for ticker in open_now if run.exchange.top(ticker) != (None, None)]
    traded = [ticker for ticker in open_now if run.exchange.last_price(ticker) is not None]
    assert len(quoted) >= 0.9 * len(open_now)
    assert len(traded) >= 0.5 * len(open_now)
    depths = [len(run.exchange.levels(ticker, side)) for ticker in quoted for side in (BID, ASK)]
    assert statistics.median(depths) >= 3
    sizes = [qty for ticker in quoted for _, qty in run.exchange.levels(ticker, BID)]
    assert any(qty % ONE_CONTRACT for qty in sizes)


def test_the_same_seed_and_clock_give_the_same_books_and_another_seed_others() -> None:
    runs = [SeededExchange(), SeededExchange(), SeededExchange(seed=SEED + 1)]
    for run in runs:
        for seconds in (0.1, 0.4, 1, 0.75):
            run.forward(seconds)
    first, second, other = (run.fingerprint() for run in runs)
    assert first == second
    assert first != other
    runs[0].forward(1)
    assert runs[0].fingerprint() != first


def test_mids_stay_near_fair_but_for_spikes(recorded: Recorded) -> None:
    off = [
        abs(mid - recorded.fairs[ticker][second])
        for ticker, mids in recorded.mids.items()
        for second, mid in mids.items()
    ]
    assert statistics.median(off) < 150
    assert statistics.quantiles(off, n=100)[98] > 400


def test_several_markets_move_each_minute_some_for_a_reason_and_some_for_none(recorded: Recorded) -> None:
    moves = list(recorded.moves(within_s=10, least=400))
    for minute in range(3):
        assert sum(second // 60 == minute for _, second, _, _ in moves) >= 3
    baseless = [fair / move < 0.3 for _, _, move, fair in moves]
    assert sum(baseless) >= 10
    assert sum(not no_reason for no_reason in baseless) >= 5


def test_a_spike_pushes_the_mid_away_from_fair_and_the_push_fades(recorded: Recorded) -> None:
    pushed, left = [], []
    for ticker, mids in recorded.mids.items():
        found, fairs = spike(SEED, ticker, START), recorded.fairs[ticker]
        at = (found.at - START) // 1000 if found else 0
        if found is None or at < 3 or not {at - 2, at + 75} <= mids.keys() or not 1_500 < fairs[at] < 8_500:
            continue
        sign = 1 if found.size > 0 else -1
        away = {second: sign * (mid - fairs[second]) for second, mid in mids.items()}
        pushed.append(max(away.get(at + n, 0) for n in range(12)) - away[at - 2])
        left.append(away[at + 75] - away[at - 2])
    assert len(pushed) >= 8
    assert statistics.median(pushed) >= 400
    assert statistics.median(pushed) < 1_200
    assert abs(statistics.median(left)) < 200


def test_a_few_books_stand_one_sided_but_most_do_not(recorded: Recorded) -> None:
    looks = sum(len(fairs) for fairs in recorded.fairs.values())
    assert 0.01 * looks < recorded.empty_sides < 0.4 * looks


def test_a_market_a_minute_closes_settles_and_stays_readable(recorded: Recorded) -> None:
    run, catalogue = recorded.run, MarketListings(SEED)
    done = [ticker for ticker in run.exchange.tickers("finalized") if ticker.startswith("KXQUICKSETTLE")]
    assert len(done) >= 6
    seen = set()
    for ticker in done:
        market = run.market(ticker)
        close = parse_ts(str(market["close_time"]))
        listing = next(x for x in catalogue.open_at(Ts(close - 1)) if x.market.ticker == ticker)
        is_yes, value = catalogue.outcome(listing)
        assert market["result"] == ("yes" if is_yes else "no")
        assert market["expiration_value"] == value
        assert all(run.exchange.position(account, ticker) == 0 for account in run.exchange.accounts())
        seen.add(is_yes)
    assert len(seen) == 2
    assert not run.exchange.tickers("closed")
    assert len(run.exchange.tickers()) >= 40


def test_nothing_is_lost_over_some_minutes_of_trading(recorded: Recorded) -> None:
    run = recorded.run
    run.assert_nothing_is_lost(Money((len(run.exchange.accounts()) - 1) * dollars(50_000_000) + dollars(1_000)))
    assert run.exchange.fees_collected() > dollars(100)


def test_a_user_trades_in_the_world_and_is_paid(recorded: Recorded) -> None:
    run, ticker = recorded.run, recorded.bought
    assert run.exchange.status(ticker) is MarketStatus.FINALIZED
    assert recorded.paid > 0
    won = run.market(ticker)["result"] == "yes"
    assert run.exchange.cash("user") == dollars(1_000) - recorded.paid + (DOLLAR if won else 0)


def test_a_gap_of_days_is_jumped_not_walked() -> None:
    run = SeededExchange()
    old = set(run.exchange.tickers())
    made = run.ids.count
    run.forward(3 * 86_400 + 7.3)
    assert run.ids.count - made < 5_000
    open_now = set(run.exchange.tickers())
    assert len(open_now) >= 40
    assert not run.exchange.tickers("closed")
    assert {ticker.partition("-")[0] for ticker in old & open_now} == {"KXFEDDECISION"}
    quoted = [ticker for ticker in open_now if run.exchange.top(ticker) != (None, None)]
    assert len(quoted) >= 0.9 * len(open_now)
    assert all(abs((run.mid(ticker) or 0) - run.world.fair(ticker)) < 1_500 for ticker in quoted if run.mid(ticker))


def test_a_world_that_starts_again_goes_on_where_it_would_have_been() -> None:
    """The process dies with markets open; meanwhile some of them close. The new one settles and quotes them.

    One closes at each whole minute. The world that lives on takes so long a gap in one step.
    """
    journal = MemoryJournal()
    before = SeededExchange(now=Ts(START + 45_000), journal=journal)
    before.forward(5)
    before.exchange.advance(before.now)
    dying = set(before.exchange.tickers())
    after = SeededExchange(now=Ts(before.now + 125_000), journal=copy.deepcopy(journal))
    before.forward(125)
    due = [ticker for ticker in dying if ticker not in after.exchange.tickers()]
    assert len(due) >= 2
    assert not after.exchange.tickers("closed")
    for ticker in after.exchange.tickers():
        assert after.world.fair(ticker) == before.world.fair(ticker)
    after.forward(5)
    for ticker in due:
        assert after.market(ticker)["result"] == before.market(ticker)["result"] != ""
    after.assert_nothing_is_lost(Money(len(after.exchange.accounts()) * dollars(50_000_000)))


def test_pauses_and_settlements_by_hand_do_not_stop_the_world() -> None:
    run = SeededExchange()
    early = next(ticker for ticker in run.exchange.tickers() if ticker.startswith("KXQUICKSETTLE"))
    run.exchange.settle(early, ONE_DOLLAR, run.now)
    run.exchange.pause("exchange", run.now)
    run.forward(2)
    run.exchange.resume(run.now)
    made = run.ids.count
    run.forward(130)
    assert run.ids.count > made + 100
    assert run.market(early)["result"] == "yes"
    again = SeededExchange(now=Ts(START + 1_000))
    again.forward(-60)
    assert len(again.exchange.tickers()) >= 40


def test_every_quote_is_on_its_grid_and_no_book_is_crossed(recorded: Recorded) -> None:
    grids = {x.market.ticker: x.market.grid for x in MarketListings(SEED).open_at(recorded.run.now)}
    finer = 0
    for ticker, side in itertools.product(recorded.run.exchange.tickers(), (BID, ASK)):
        for price, qty in recorded.run.exchange.levels(ticker, side):
            assert grids[ticker].is_valid(price)
            assert qty > Qty(0)
            finer += price % 100 != 0
        bid, ask = recorded.run.exchange.top(ticker)
        assert bid is None or ask is None or bid[0] < ask[0]
    assert finer > 0
