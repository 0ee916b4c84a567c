"""The whole exchange, as tables: what of the specification is left out and why, and every call of the client.

A new method of the client needs a line in CALLS; `test_whole_exchange` fails until it is there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from kalshi_cli.base.units import Price, Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.model.markets import ComboLeg
from kalshi_cli.core.model.messages import AmendEnded
from kalshi_cli.core.model.order_terms import BID, TimeInForce
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.endpoints.base import Endpoints
from kalshi_cli.exchange.wire.groups import OrderGroup
from kalshi_cli.exchange.wire.quotes import NewRfq
from kalshi_cli.simulator.model.listing import CollectionSpec, EventSpec, ExchangeOptions, MarketSpec, SeriesSpec
from kalshi_cli.simulator.model.quote_records import QuoteRecord, RfqRecord, RfqTerms
from support.simulation import DAY_MS, OTHER, T0, TICKER, Simulation
from support.specification import Operation

GAME, TEAMS = "KXNBAGAME-26JUN01BOSMIA", (("BOS", "Boston"), ("MIA", "Miami"))
COLLECTION = "KXMVESIM-R"
GAME_TYPE = "basketball_game"
CLOSE = Ts(T0 + DAY_MS)


class Reference:
    """A game that the home team leads by ever more points."""

    seed = 1

    def reference(self, _event: EventSpec, at: Ts) -> float:
        return (at - T0) / DAY_MS * 10


def with_game(sim: Simulation) -> str:
    """A game, a collection that combines it with the markets there are, and the id of its milestone."""
    exchange = sim.exchange
    exchange.follow(Reference())
    for series, title, category in (
        ("KXNBAGAME", "Game", "Sports"),
        ("KXHIGHNY", "Highest temperature", "Climate and Weather"),
        ("KXMVESIM", "Combos", "Exotics"),
    ):
        exchange.list_series(SeriesSpec(ticker=series, title=title, category=category, tags=("Some",)))
    for event, series in ((GAME, "KXNBAGAME"), ("KXHIGHNY-26JUN01", "KXHIGHNY")):
        spec = EventSpec(event_ticker=event, series_ticker=series, title="Boston at Miami Winner?", strike_date=CLOSE)
        exchange.list_event(spec, T0)
    for code, name in TEAMS:
        market = MarketSpec(
            ticker=f"{GAME}-{code}",
            event_ticker=GAME,
            title="Boston at Miami Winner?",
            yes_sub_title=name,
            open_time=T0,
            close_time=CLOSE,
        )
        exchange.list_market(market, T0)
    collection = CollectionSpec(
        ticker=COLLECTION,
        series_ticker="KXMVESIM",
        title="Some",
        leg_series=("KXNBAGAME", "KXSIM"),
        opens=T0,
        closes=CLOSE,
    )
    exchange.list_collection(collection, T0)
    return next(iter(sim.client.milestones())).milestone_id


def legs() -> list[ComboLeg]:
    return [
        ComboLeg(event_ticker=GAME, market_ticker=f"{GAME}-BOS", side="yes"),
        ComboLeg(event_ticker="KXSIM-26JUN", market_ticker=TICKER, side="no"),
    ]


def asked(sim: Simulation) -> str:
    """The id of a request of the client's."""
    return sim.client.create_rfq(NewRfq(ticker=TICKER, qty=contracts(10)))


def answered(sim: Simulation, *, confirms_ms: int | None = None) -> tuple[str, str]:
    """A request of the client's and bob's quote on it: their ids."""
    rfq, now = asked(sim), sim.clock.now()
    made = sim.exchange.quote("bob", rfq, cents(40), cents(55), now, confirms_ms=confirms_ms)
    assert isinstance(made, QuoteRecord), made
    return rfq, made.quote_id


def wanted(sim: Simulation, qty: Qty | None = None) -> str:
    """The id of a request of bob's."""
    sim.exchange.advance(sim.clock.now())
    made = sim.exchange._quotes.ask("bob", RfqTerms(ticker=TICKER, qty=qty or contracts(10)), sim.clock.now())
    assert isinstance(made, RfqRecord), made
    return made.rfq_id


def quoted(sim: Simulation) -> tuple[str, str]:
    """A request of bob's and the client's quote on it: their ids."""
    rfq = wanted(sim)
    return rfq, sim.client.create_quote(rfq, cents(40), cents(55))


def accepted(sim: Simulation) -> tuple[str, str]:
    """The same, after bob has accepted it."""
    rfq, quote = quoted(sim)
    record = sim.exchange._state.talks.quotes[quote]
    assert sim.exchange._quotes.accept("bob", record, "no", sim.clock.now()) is None
    return rfq, quote


def proposed(sim: Simulation) -> str:
    """A block trade between the client and bob: its id."""
    user_ids = {name: sim.exchange._state.members[name].record.user_id for name in ("alice", "bob")}
    return sim.client.propose_block_trade(
        TICKER,
        Price(4_500),
        contracts(5),
        buyer_user_id=user_ids["alice"],
        seller_user_id=user_ids["bob"],
        maker_side="no",
        expires=CLOSE,
    )


TALK_CALLS: dict[str, Callable[[FullExchange], object]] = {
    "communications_id": lambda s: s.client.communications_id(),
    "rfqs": lambda s: (asked(s.sim), s.client.rfqs(status="open", ticker=TICKER, is_mine=True))[1],
    "rfq": lambda s: s.client.rfq(asked(s.sim)),
    "create_rfq": lambda s: s.client.create_rfq(
        NewRfq(ticker=TICKER, target=dollars(5), target_excludes_fees=True, is_obscured=True, replace_existing=True)
    ),
    "delete_rfq": lambda s: s.client.delete_rfq(asked(s.sim)),
    "quotes": lambda s: (answered(s.sim), s.client.quotes(status="open", min_updated=T0))[1],
    "quote": lambda s: [s.client.quote(quote, scope) for rfq, quote in [answered(s.sim)] for scope in (rfq, "")],
    "create_quote": lambda s: quoted(s.sim),
    "delete_quote": lambda s: (
        [s.client.delete_quote(quote, rfq) for rfq, quote in [quoted(s.sim)]],
        [s.client.delete_quote(quote) for _, quote in [quoted_again(s.sim)]],
    ),
    "accept_quote": lambda s: (
        [s.client.accept_quote(quote, "no", rfq) for rfq, quote in [answered(s.sim)]],
        s.sim.clock.advance(31),
        [s.client.accept_quote(quote, "no") for quote in [answered_again(s.sim)]],
    ),
    "confirm_quote": lambda s: (
        [s.client.confirm_quote(quote, rfq) for rfq, quote in [accepted(s.sim)]],
        s.sim.clock.advance(20),
        [s.client.confirm_quote(quote) for _, quote in [accepted(s.sim)]],
    ),
    "block_trades": lambda s: (proposed(s.sim), s.client.block_trades(ticker=TICKER))[1],
    "propose_block_trade": lambda s: proposed(s.sim),
    "accept_block_trade": lambda s: s.client.accept_block_trade(proposed(s.sim)),
    # what surrounds the markets
    "collections": lambda s: (with_game(s.sim), s.client.collections(status="open", event=GAME))[1],
    "collection": lambda s: (with_game(s.sim), s.client.collection(COLLECTION)),
    "create_combo": lambda s: (with_game(s.sim), s.client.create_combo(COLLECTION, legs(), with_market=True)),
    "multivariate_events": lambda s: (
        with_game(s.sim),
        s.client.create_combo(COLLECTION, legs()),
        s.client.multivariate_events(collection=COLLECTION, with_markets=True),
    )[2],
    "milestones": lambda s: (with_game(s.sim), s.client.milestones(event=GAME, category="Sports", min_start=T0))[1],
    "milestone": lambda s: s.client.milestone(with_game(s.sim)),
    "live_data": lambda s: [s.client.live_data(one, kind) for one in [with_game(s.sim)] for kind in ("", GAME_TYPE)],
    "live_datas": lambda s: s.client.live_datas([with_game(s.sim), "another"]),
    "event_live_data": lambda s: (with_game(s.sim), s.client.event_live_data("KXHIGHNY-26JUN01", "1h")),
    "game_plays": lambda s: s.client.game_plays(with_game(s.sim)),
    "weather": lambda s: (with_game(s.sim), s.client.weather("new_york", last_s=600)),
    "weather_calibrations": lambda s: s.client.weather_calibrations("new_york"),
    "incentives": lambda s: (with_game(s.sim), s.client.incentives(status="active", type_="all"))[1],
    "targets": lambda s: (with_game(s.sim), s.client.targets(type_="basketball_team", ids=["a", "b"]))[1],
    "target": lambda s: (with_game(s.sim), s.client.target(next(iter(s.client.targets())).target_id)),
    "tags": lambda s: s.client.tags(),
    "sport_filters": lambda s: (with_game(s.sim), s.client.sport_filters()),
}
"""Calls about quotes, combos and games: a part of `CALLS`."""


def quoted_again(sim: Simulation) -> tuple[str, str]:
    """Another quote of the client's on bob's open request."""
    rfq = next(one.rfq_id for one in sim.exchange._state.talks.open_rfqs() if one.account == "bob")
    return rfq, sim.client.create_quote(rfq, cents(41), cents(55))


def answered_again(sim: Simulation) -> str:
    """Another quote of bob's on the client's open request."""
    rfq = next(one.rfq_id for one in sim.exchange._state.talks.open_rfqs() if one.account == "alice")
    sim.exchange.advance(sim.clock.now())
    made = sim.exchange.quote("bob", rfq, cents(40), cents(55), sim.clock.now())
    assert isinstance(made, QuoteRecord), made
    return made.quote_id


EXCLUDED = {
    "POST /api_keys": "a key is made on the web site, where its owner is; none of ours can make more",
    "POST /api_keys/generate": "as above; the private key would pass through this program",
    "DELETE /api_keys/{api_key}": "as above",
    "GET /fcm/orders": "for futures commission merchants only",
    "GET /fcm/positions": "for futures commission merchants only",
}
"""Operations that neither the client nor the simulated exchange has, and why."""

A_UUID = "11111111-2222-4333-8444-555555555555"

NOT_CALLS = {
    "close", "request", "refresh_limits", "pace", "largest_batch",
    "clock_skew_ms", "measure_clock_skew", "max_server_time", "notices", "limit_reads", "reading_within", "check_path",
    "whose", "sign_ahead",
}  # fmt: skip
"""Public names of the client that are no call of their own."""


class FullExchange:
    """A small exchange in which there is one of everything, and a client whose every request is checked."""

    def __init__(self, folder: Path) -> None:
        self.sim: Simulation = Simulation(
            folder, options=ExchangeOptions(read_rate=100_000, write_rate=100_000, shards=2)
        )
        self.client: KalshiClient = self.sim.client
        self.sim.market()
        self.sim.quote(BID, 30, who="alice")
        self.sim.take(BID, 44, 5)
        self.sim.clock.advance(1.0)

    @property
    def seen(self) -> set[Operation]:
        """What the client asked for."""
        return self.sim.checked.seen

    def resting(self) -> Order:
        """An order of the client's, on the book."""
        accepted = self.client.create_order(self.new_order())
        return self.client.order(accepted.order_id)

    @property
    def end(self) -> Ts:
        """An hour from the beginning."""
        return Ts(T0 + 3_600_000)

    def old(self) -> KalshiClient:
        """The client, a hundred days after the first market paid out, in which it traded: all of it is history."""
        self.client.create_order(msgspec.structs.replace(self.new_order(), price=cents(44)))
        self.sim.exchange.settle(TICKER, cents(0), self.sim.clock.now())
        self.sim.clock.advance(100.0)
        self.sim.exchange.advance(self.sim.clock.now())
        self.sim.clock.advance(100 * 86_400.0)
        return self.client

    def amended(self) -> AmendEnded:
        """An order of the client's, at another price."""
        before = self.resting()
        return self.client.amend_order(before, msgspec.structs.replace(before, price=cents(21)))

    def group(self) -> OrderGroup:
        """A new one, on the other shard."""
        return self.client.create_order_group(contracts(100), exchange_index=1)

    def subaccount(self) -> int:
        """The number of a new one; it needs the Advanced tier."""
        self.client.upgrade_tier()
        return self.client.create_subaccount()

    def transfer(self) -> str:
        """The id of a transfer to the other shard."""
        return self.client.transfer_to_shard(dollars(1), from_shard=0, to_shard=1, client_transfer_id=A_UUID)

    def new_order(self) -> Order:
        now = self.sim.clock.now()
        return Order(
            client_order_id=self.sim.new_id(),
            ticker=TICKER,
            side=BID,
            price=cents(20),
            qty=contracts(5),
            status=OrderStatus.SUBMITTED,
            created=now,
            updated=now,
            expires=Ts(T0 + DAY_MS // 2),
        )


CALLS: dict[str, Callable[[FullExchange], object]] = {
    # status
    "exchange_status": lambda s: s.client.exchange_status(),
    "schedule": lambda s: s.client.schedule(),
    "user_data_timestamp": lambda s: s.client.user_data_timestamp(),
    "limits": lambda s: s.client.limits(),
    "endpoint_costs": lambda s: s.client.endpoint_costs(),
    # markets
    "markets": lambda s: [*s.client.markets(status="open"), *s.client.markets(tickers=[TICKER, OTHER])],
    "listed_markets": lambda s: [*s.client.listed_markets(status="open")],
    "market": lambda s: s.client.market(TICKER),
    "event": lambda s: s.client.event("KXSIM-26JUN"),
    "series": lambda s: s.client.series("KXSIM"),
    "orderbook": lambda s: s.client.orderbook(TICKER, depth=3),
    "orderbooks": lambda s: s.client.orderbooks([TICKER, OTHER]),
    "trades": lambda s: s.client.trades(TICKER, min_ts=T0),
    "event_page": lambda s: s.client.event_page("", "open"),
    "market_page": lambda s: s.client.market_page("", "open"),
    "events": lambda s: s.client.events("open", "KXSIM", min_close=T0, min_updated=T0, with_markets=True),
    "multivariate_events": lambda s: s.client.multivariate_events("KXSIM", with_markets=True),
    "event_metadata": lambda s: s.client.event_metadata("KXSIM-26JUN"),
    "event_fee_changes": lambda s: s.client.event_fee_changes("KXSIM-26JUN"),
    "series_list": lambda s: s.client.series_list("Financials", "Tag", T0, with_volume=True, with_metadata=True),
    "series_fee_changes": lambda s: s.client.series_fee_changes("KXSIM", with_past=True),
    "forecast_history": lambda s: s.client.forecast_history("KXSIM", "KXSIM-26JUN", [5000, 9000], T0, s.end, 60),
    # history
    "historical_cutoff": lambda s: s.client.historical_cutoff(),
    "candles": lambda s: s.client.candles("KXSIM", TICKER, T0, s.end, 1, with_previous=True),
    "batch_candles": lambda s: s.client.batch_candles([TICKER, OTHER], T0, s.end, 60, with_previous=True),
    "event_candles": lambda s: s.client.event_candles("KXSIM", "KXSIM-26JUN", T0, s.end, 1440),
    "historical_candles": lambda s: s.old().historical_candles(TICKER, T0, s.end, 60),
    "historical_markets": lambda s: s.old().historical_markets(series="KXSIM"),
    "historical_markets_of": lambda s: s.old().historical_markets_of("KXSIM-26JUN"),
    "historical_market": lambda s: s.old().historical_market(TICKER),
    "historical_trades": lambda s: s.old().historical_trades(TICKER, T0, s.end),
    "historical_fills": lambda s: s.old().historical_fills(TICKER, T0, 0),
    "historical_orders": lambda s: s.old().historical_orders(TICKER, T0, 0),
    "historical_positions": lambda s: s.old().historical_positions(TICKER, "KXSIM-26JUN", 0),
    "all_trades": lambda s: s.old().all_trades(TICKER),
    "all_fills": lambda s: s.old().all_fills(),
    "all_orders": lambda s: s.old().all_orders(event="KXSIM-26JUN"),
    "all_candles": lambda s: s.client.all_candles(s.old().market(TICKER), T0, s.end, 60),
    # orders
    "create_order": lambda s: s.client.create_order(s.new_order()),
    "close_order": lambda s: s.client.close_order(
        msgspec.structs.replace(s.new_order(), tif=TimeInForce.IOC, reduce_only=True, expires=None)
    ),
    "cancel_order": lambda s: s.client.cancel_order(s.resting()),
    "cancel_all": lambda s: s.client.cancel_all(),
    "orders": lambda s: s.client.orders(status="resting", ticker=TICKER, min_ts=T0),
    "order": lambda s: s.client.order(s.resting().order_id),
    "create_orders": lambda s: s.client.create_orders([s.new_order(), s.new_order()]),
    "cancel_orders": lambda s: s.client.cancel_orders([s.resting(), s.resting()]),
    "amend_order": lambda s: s.amended(),
    "decrease_order": lambda s: s.client.decrease_order(s.resting(), to=contracts(2)),
    "queue_position": lambda s: s.client.queue_position(s.resting().order_id),
    "queue_positions": lambda s: (s.resting(), s.client.queue_positions([TICKER, OTHER]))[1],
    # order groups
    "create_order_group": lambda s: s.group(),
    "order_groups": lambda s: (s.group(), s.client.order_groups())[1],
    "order_group": lambda s: s.client.order_group(s.group().group_id),
    "limit_order_group": lambda s: s.client.limit_order_group(s.group(), contracts(9)),
    "trigger_order_group": lambda s: s.client.trigger_order_group(s.group()),
    "reset_order_group": lambda s: s.client.reset_order_group(s.group()),
    "delete_order_group": lambda s: s.client.delete_order_group(s.group()),
    # portfolio
    "fills": lambda s: s.client.fills(TICKER, T0),
    "positions": lambda s: s.client.positions(),
    "settlements": lambda s: s.client.settlements(T0),
    "balance": lambda s: s.client.balance(),
    "payouts": lambda s: s.client.payouts(TICKER, "KXSIM-26JUN", T0),
    # funds
    "subaccount_balances": lambda s: s.client.subaccount_balances(),
    "create_subaccount": lambda s: s.subaccount(),
    "netting": lambda s: s.client.netting(),
    "set_netting": lambda s: s.client.set_netting(0, enabled=False),
    "transfer_to_subaccount": lambda s: s.client.transfer_to_subaccount(
        dollars(1), client_transfer_id=A_UUID, from_subaccount=0, to_subaccount=s.subaccount()
    ),
    "subaccount_transfers": lambda s: (CALLS["transfer_to_subaccount"](s), s.client.subaccount_transfers())[1],
    "transfer_to_shard": lambda s: s.transfer(),
    "shard_transfers": lambda s: (s.transfer(), s.client.shard_transfers())[1],
    "shard_transfer": lambda s: s.client.shard_transfer(s.transfer()),
    "allocation": lambda s: s.client.allocation(),
    "set_allocation": lambda s: s.client.set_allocation({0: 60, 1: 40}, "max"),
    "resting_value": lambda s: s.client.resting_value(),
    "deposits": lambda s: s.client.deposits(),
    "withdrawals": lambda s: (s.sim.exchange.withdraw("alice", dollars(1)), s.client.withdrawals())[1],
    "api_keys": lambda s: s.client.api_keys(),
    "volume_progress": lambda s: s.client.volume_progress(),
    "upgrade_tier": lambda s: s.client.upgrade_tier(),
    **TALK_CALLS,
}
"""Every method of the client, called as a user would. Lists are read to their end."""


class Driven(NamedTuple):
    """What one call asked for, and what went wrong."""

    seen: set[Operation]
    error: str


@cache
def driven(name: str) -> Driven:
    """Call one method on a stage of its own."""
    with tempfile.TemporaryDirectory() as folder:
        full = FullExchange(Path(folder))
        try:
            found = CALLS[name](full)
            if isinstance(found, Iterator):
                list(found)
        except Exception as error:
            return Driven(full.seen, f"{type(error).__name__}: {error}")
        finally:
            full.sim.close()
    return Driven(full.seen, "")


def client_methods() -> set[str]:
    """Every public name of the client that is a call."""
    groups = [group for group in KalshiClient.__mro__ if issubclass(group, Endpoints)]
    return {name for group in groups for name in vars(group) if not name.startswith("_")} - NOT_CALLS
