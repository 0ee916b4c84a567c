"""The exchange of a session: its markets, its accounts, and the key of the account that trades."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kalshi_cli.base.units import Ts, dollars
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.listing import EventSpec, ExchangeOptions, MarketSpec, SeriesSpec
from verification.keys import OwnKey
from verification.simulate.plan import ALL_ON, Plan

ME = "alice"
KEY_ID = "alice-key"
TICKERS = ("KXSIM-26JUN-T3", "KXSIM-26JUN-T5", "KXSIM-26JUL-T3")
DAY_MS = 86_400_000

_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OWN_KEY = OwnKey(_KEY)


def open_exchange(plan: Plan, now: Ts) -> SimulatedExchange:
    """Three markets of two events; alice with a key, a maker and a taker with money."""
    ids = iter(range(1, 10_000_000))
    options = ExchangeOptions(
        client_ids=plan.client_ids,
        shards=plan.shards,
        read_lag_ms=plan.read_lag_ms,
        clock_past_ms=plan.clock_past_ms,
        balance_precision=(100, 100, 10_000)[plan.seed % 3],
        is_balance_net=plan.seed % 5 == 0,
        ioc_shows_remainder=plan.seed % 4 == 0,
        asks_read_as=("sell_yes", "buy_no")[plan.seed % 2],
    )
    exchange = SimulatedExchange(new_id=lambda: f"{next(ids):08d}-0000-4000-8000-000000000000", options=options)
    exchange.list_series(SeriesSpec(ticker="KXSIM", title="Simulated"))
    for ticker in TICKERS:
        event = ticker.rpartition("-")[0]
        if event not in exchange._state.events:
            spec_of_event = EventSpec(
                event_ticker=event, series_ticker="KXSIM", title="In time", mutually_exclusive=plan.seed % 10 == ALL_ON
            )
            exchange.list_event(spec_of_event, now)
        spec = MarketSpec(
            ticker=ticker,
            event_ticker=event,
            title=f"Above {ticker[-1]}?",
            open_time=now,
            close_time=Ts(now + DAY_MS),
            settlement_timer_s=5,
            can_close_early=True,
            exchange_index=plan.shards - 1 if ticker == TICKERS[-1] else 0,
        )
        exchange.list_market(spec, now)
    for name in (ME, "maker", "bob"):
        exchange.add_account(name, dollars(1_000 if name == ME else 100_000))
        if plan.shards > 1:
            exchange.deposit(name, dollars(4 if name == ME else 100_000), exchange_index=1)
    exchange.register_key(ME, KEY_ID, _KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    OWN_KEY.admit(exchange, KEY_ID)
    exchange.advance(now)
    return exchange
