"""Calls about quotes, combos and what surrounds the markets, each with what must be there before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from virtual import DAY_MS, T0, TICKER, Virtual

from kalshi_cli.base.units import Price, Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.model.markets import MveLeg
from kalshi_cli.exchange.wire.quotes import NewRfq
from kalshi_cli.sim.listing import CollectionSpec, EventSpec, MarketSpec, SeriesSpec
from kalshi_cli.sim.quote_records import QuoteRecord, RfqRecord

if TYPE_CHECKING:
    from whole_exchange import Stage

GAME, TEAMS = "KXNBAGAME-26JUN01BOSMIA", (("BOS", "Boston"), ("MIA", "Miami"))
COLLECTION = "KXMVESIM-R"
GAME_TYPE = "basketball_game"
CLOSE = Ts(T0 + DAY_MS)


class Reference:
    """A game that the home team leads by ever more points."""

    seed = 1

    def reference(self, _event: EventSpec, at: Ts) -> float:
        return (at - T0) / DAY_MS * 10


def with_game(world: Virtual) -> str:
    """A game, a collection that combines it with the markets there are, and the id of its milestone."""
    exchange = world.exchange
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
    return next(iter(world.client.milestones())).milestone_id


def legs() -> list[MveLeg]:
    return [
        MveLeg(event_ticker=GAME, market_ticker=f"{GAME}-BOS", side="yes"),
        MveLeg(event_ticker="KXSIM-26JUN", market_ticker=TICKER, side="no"),
    ]


def asked(world: Virtual) -> str:
    """The id of a request of the client's."""
    return world.client.create_rfq(NewRfq(ticker=TICKER, qty=contracts(10)))


def answered(world: Virtual, *, confirms_ms: int | None = None) -> tuple[str, str]:
    """A request of the client's and bob's quote on it: their ids."""
    rfq, now = asked(world), world.clock.now()
    made = world.exchange.quote("bob", rfq, cents(40), cents(55), now, confirms_ms=confirms_ms)
    assert isinstance(made, QuoteRecord), made
    return rfq, made.quote_id


def wanted(world: Virtual, qty: Qty | None = None) -> str:
    """The id of a request of bob's."""
    world.exchange.advance(world.clock.now())
    made = world.exchange._quotes.ask("bob", TICKER, world.clock.now(), qty=qty or contracts(10))
    assert isinstance(made, RfqRecord), made
    return made.rfq_id


def quoted(world: Virtual) -> tuple[str, str]:
    """A request of bob's and the client's quote on it: their ids."""
    rfq = wanted(world)
    return rfq, world.client.create_quote(rfq, cents(40), cents(55))


def accepted(world: Virtual) -> tuple[str, str]:
    """The same, after bob has accepted it."""
    rfq, quote = quoted(world)
    record = world.exchange._state.talks.quotes[quote]
    assert world.exchange._quotes.accept("bob", record, "no", world.clock.now()) is None
    return rfq, quote


def proposed(world: Virtual) -> str:
    """A block trade between the client and bob: its id."""
    user_ids = {name: world.exchange._state.members[name].record.user_id for name in ("alice", "bob")}
    return world.client.propose_block_trade(
        TICKER,
        Price(4_500),
        contracts(5),
        buyer_user_id=user_ids["alice"],
        seller_user_id=user_ids["bob"],
        maker_side="no",
        expires=CLOSE,
    )


TALK_CALLS: dict[str, Callable[[Stage], object]] = {
    "communications_id": lambda s: s.client.communications_id(),
    "rfqs": lambda s: (asked(s.world), s.client.rfqs(status="open", ticker=TICKER, is_mine=True))[1],
    "rfq": lambda s: s.client.rfq(asked(s.world)),
    "create_rfq": lambda s: s.client.create_rfq(
        NewRfq(ticker=TICKER, target=dollars(5), target_excludes_fees=True, is_obscured=True, replace_existing=True)
    ),
    "delete_rfq": lambda s: s.client.delete_rfq(asked(s.world)),
    "quotes": lambda s: (answered(s.world), s.client.quotes(status="open", min_updated=T0))[1],
    "quote": lambda s: [s.client.quote(quote, scope) for rfq, quote in [answered(s.world)] for scope in (rfq, "")],
    "create_quote": lambda s: quoted(s.world),
    "delete_quote": lambda s: (
        [s.client.delete_quote(quote, rfq) for rfq, quote in [quoted(s.world)]],
        [s.client.delete_quote(quote) for _, quote in [quoted_again(s.world)]],
    ),
    "accept_quote": lambda s: (
        [s.client.accept_quote(quote, "no", rfq) for rfq, quote in [answered(s.world)]],
        s.world.clock.advance(31),
        [s.client.accept_quote(quote, "no") for quote in [answered_again(s.world)]],
    ),
    "confirm_quote": lambda s: (
        [s.client.confirm_quote(quote, rfq) for rfq, quote in [accepted(s.world)]],
        s.world.clock.advance(20),
        [s.client.confirm_quote(quote) for _, quote in [accepted(s.world)]],
    ),
    "block_trades": lambda s: (proposed(s.world), s.client.block_trades(ticker=TICKER))[1],
    "propose_block_trade": lambda s: proposed(s.world),
    "accept_block_trade": lambda s: s.client.accept_block_trade(proposed(s.world)),
    # what surrounds the markets
    "collections": lambda s: (with_game(s.world), s.client.collections(status="open", event=GAME))[1],
    "collection": lambda s: (with_game(s.world), s.client.collection(COLLECTION)),
    "create_combo": lambda s: (with_game(s.world), s.client.create_combo(COLLECTION, legs(), with_market=True)),
    "multivariate_events": lambda s: (
        with_game(s.world),
        s.client.create_combo(COLLECTION, legs()),
        s.client.multivariate_events(collection=COLLECTION, with_markets=True),
    )[2],
    "milestones": lambda s: (with_game(s.world), s.client.milestones(event=GAME, category="Sports", min_start=T0))[1],
    "milestone": lambda s: s.client.milestone(with_game(s.world)),
    "live_data": lambda s: [s.client.live_data(one, kind) for one in [with_game(s.world)] for kind in ("", GAME_TYPE)],
    "live_datas": lambda s: s.client.live_datas([with_game(s.world), "another"]),
    "event_live_data": lambda s: (with_game(s.world), s.client.event_live_data("KXHIGHNY-26JUN01", "1h")),
    "game_plays": lambda s: s.client.game_plays(with_game(s.world)),
    "weather": lambda s: (with_game(s.world), s.client.weather("new_york", last_s=600)),
    "weather_calibrations": lambda s: s.client.weather_calibrations("new_york"),
    "incentives": lambda s: (with_game(s.world), s.client.incentives(status="active", type_="all"))[1],
    "targets": lambda s: (with_game(s.world), s.client.targets(type_="basketball_team", ids=["a", "b"]))[1],
    "target": lambda s: (with_game(s.world), s.client.target(next(iter(s.client.targets())).target_id)),
    "tags": lambda s: s.client.tags(),
    "sport_filters": lambda s: (with_game(s.world), s.client.sport_filters()),
}
"""As `whole_exchange.CALLS`, which they are part of."""


def quoted_again(world: Virtual) -> tuple[str, str]:
    """Another quote of the client's on bob's open request."""
    rfq = next(one.rfq_id for one in world.exchange._state.talks.open_rfqs() if one.account == "bob")
    return rfq, world.client.create_quote(rfq, cents(41), cents(55))


def answered_again(world: Virtual) -> str:
    """Another quote of bob's on the client's open request."""
    rfq = next(one.rfq_id for one in world.exchange._state.talks.open_rfqs() if one.account == "alice")
    world.exchange.advance(world.clock.now())
    made = world.exchange.quote("bob", rfq, cents(40), cents(55), world.clock.now())
    assert isinstance(made, QuoteRecord), made
    return made.quote_id
