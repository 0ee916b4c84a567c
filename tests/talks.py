"""Requests, quotes and combos on the exchange of `served`: what its other member does, and a collection to combine."""

from __future__ import annotations

from served import ME, TWO_SIDED, Served

from kalshi_cli.sim.listing import CollectionSpec, Refusal, SeriesSpec
from kalshi_cli.sim.quote_records import QuoteRecord, RfqRecord
from kalshi_cli.units import Money, Price, Qty, Ts, cents, contracts

COLLECTION = "KXMVEWEATHER-R"
HUNDRED, YES, NO = contracts(100), cents(43), cents(52)


def ask(one: Served, who: str = ME, ticker: str = TWO_SIDED, qty: Qty | None = HUNDRED, **more: Money) -> str:
    """A request for quotes: its id."""
    quotes = one.exchange._quotes
    made = one.call(lambda: quotes.ask(who, ticker, one.clock.now(), qty=None if more else qty, **more))
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
    refused: Refusal | None = one.call(lambda: one.exchange._quotes.accept("maker", quote, side, one.clock.now()))
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
            opens=Ts(1_700_000_000_000),
            closes=Ts(2_200_000_000_000),
        )
        one.exchange.list_collection(spec, one.clock.now())

    one.call(listing)


def status(one: Served, quote_id: str) -> str:
    """Of a quote, on the exchange."""
    return one.exchange._state.talks.quotes[quote_id].status
