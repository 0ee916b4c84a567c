"""Requests, quotes and combos on the exchange of `served`: what its other member does, and a collection to combine."""

from __future__ import annotations

from typing import Any

from kalshi_cli.base.units import Price, Qty, Ts, cents, contracts
from kalshi_cli.simulator.model.listing import CollectionSpec, EventSpec, MarketSpec, SeriesSpec
from kalshi_cli.simulator.model.quote_records import QuoteRecord, RfqRecord, RfqTerms
from kalshi_cli.simulator.protocol.replies import RejectionError
from support.served import CLOSES, ME, OPENED, TWO_SIDED, Served

COLLECTION = "KXMVEWEATHER-R"
TIP_OFF = Ts(1_717_282_800_000)
MILESTONE = "5997a543-e207-588f-9c27-3a78e2b86fe8"
HUNDRED, YES, NO = contracts(100), cents(43), cents(52)


def ask(one: Served, who: str = ME, ticker: str = TWO_SIDED, qty: Qty | None = HUNDRED, **more: Any) -> str:
    """A request for quotes: its id."""
    quotes = one.exchange._quotes
    made = one.call(
        lambda: quotes.ask(who, RfqTerms(ticker=ticker, qty=None if more else qty, **more), one.clock.now())
    )
    assert isinstance(made, RfqRecord), made
    return made.rfq_id


def answer(one: Served, rfq_id: str, yes: Price = YES, no: Price = NO, confirms_ms: int | None = 50) -> str:
    """The maker quotes it, and confirms by itself: the id of the quote."""
    made = one.call(lambda: one.exchange.quote("maker", rfq_id, yes, no, one.clock.now(), confirms_ms=confirms_ms))
    assert isinstance(made, QuoteRecord), made
    return made.quote_id


def accept(one: Served, quote_id: str, side: str) -> None:
    """The maker accepts your quote on its request."""
    quote = one.exchange._state.talks.quotes[quote_id]
    refused: RejectionError | None = one.call(
        lambda: one.exchange._quotes.accept("maker", quote, side, one.clock.now())
    )
    assert refused is None, refused


def with_collection(one: Served) -> None:
    """Rain and wind of New Year 2040 can be combined."""

    def listing() -> None:
        one.exchange.list_series(SeriesSpec(ticker="KXMVEWEATHER", title="Weather combined", category="Exotics"))
        spec = CollectionSpec(
            ticker=COLLECTION,
            series_ticker="KXMVEWEATHER",
            title="Weather combined",
            description="Rain and wind on the same day.",
            leg_series=("KXRAIN", "KXWIND"),
            opens=OPENED,
            closes=CLOSES,
        )
        one.exchange.list_collection(spec, one.clock.now())

    one.call(listing)


def status(one: Served, quote_id: str) -> str:
    """Of a quote, on the exchange."""
    return one.exchange._state.talks.quotes[quote_id].status


class Season:
    """The reference of a game that the away team leads by ever more points."""

    seed = 1

    def reference(self, _event: EventSpec, at: Ts) -> float:
        return -(at - TIP_OFF) / 1_000_000


def with_season(one: Served) -> None:
    """A game that was played in June 2024, and its season's tags."""

    def listing() -> None:
        exchange = one.exchange
        exchange.follow(Season())
        series = SeriesSpec(ticker="KXNBAGAME", title="Game", category="Sports", tags=("Basketball",))
        exchange.list_series(series)
        event, title, end = "KXNBAGAME-24JUN01BOSMIA", "Boston at Miami Winner?", Ts(TIP_OFF + 3 * 3_600_000)
        spec = EventSpec(event_ticker=event, series_ticker="KXNBAGAME", title=title, strike_date=end)
        exchange.list_event(spec, one.clock.now())
        for code, name in (("BOS", "Boston"), ("MIA", "Miami")):
            market = MarketSpec(
                ticker=f"{event}-{code}",
                event_ticker=event,
                title=title,
                yes_sub_title=name,
                open_time=Ts(TIP_OFF - 86_400_000),
                close_time=end,
            )
            exchange.list_market(market, one.clock.now())

    one.call(listing)
