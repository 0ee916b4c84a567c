"""The simulated exchange as a pure state machine: requests in, responses out, messages on the connections.

It has no clock, sockets or randomness: each call brings the time, and a callable the ids. `handle` and `connect` are
the wire; the other methods are for the simulated world, without signatures and rate limits. It is not thread-safe: all
calls must come from one thread (`simulator/serving/server.py` does that).

Left out, because the real rules are not published: collateral return across mutually exclusive markets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.model.markets import FeeSchedule, MarketStatus
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.price_grid import PriceGrid
from kalshi_cli.simulator.matching.member import SimAccount
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model import event_queue, listing, quote_records
from kalshi_cli.simulator.model.journal import ExchangeJournal
from kalshi_cli.simulator.model.records import AccountRecord, IndexTick, KeyRecord, PythTick, StateRecord
from kalshi_cli.simulator.protocol import replies
from kalshi_cli.simulator.protocol.gate import Authenticator, missing_signature
from kalshi_cli.simulator.protocol.routing import BASE, RouteCall, Router
from kalshi_cli.simulator.rest import api_keys, combos, live_data, programs, quotes, routes
from kalshi_cli.simulator.stream import connection, hub, shuffle
from kalshi_cli.simulator.trading import lifecycle, order_gateway, pauses, transfers
from kalshi_cli.simulator.trading.quotes import RfqService

T = TypeVar("T")
STREAM_PATH = "/trade-api/ws/v2"
LATE_MS = 50
"""Delay of a reply that must arrive after the messages it causes."""
_DEPRECATED = replies.RejectionError(
    410,
    "deprecated_v1_order_endpoint",
    "https://docs.kalshi.com/api-reference/orders/create-order-v2",
    "Please switch to the V2 endpoints",
).body


class SimulatedExchange:
    """A simulated exchange. `new_id` makes the ids of orders, trades, users and markets: UUIDs, as text.

    `now` is always the time of the world. `offset_ms` tells how far it is ahead of the machine, whose time signatures
    use.
    """

    def __init__(
        self,
        *,
        new_id: Callable[[], str],
        options: listing.ExchangeOptions | None = None,
        journal: ExchangeJournal | None = None,
        offset_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        self.options = options or listing.ExchangeOptions()
        self._offset_ms = offset_ms
        self._state = SimulatorState(new_id, self.options, journal)
        queue = event_queue.EventQueue()
        self._gateway = order_gateway.OrderGateway(self._state, queue)
        self._life = lifecycle.Lifecycle(self._state, self._gateway, queue)
        self._funds = transfers.CashService(self._state, self._gateway)
        self._fees = lifecycle.FeeChanges(self._state, self._life)
        self._pauses = pauses.PauseController(self._state, self._gateway)
        self._quotes = RfqService(self._state, self._gateway)
        self._combos = combos.ComboService(self._state, self._life)
        self._programs = programs.Programs(self._state)
        self._gate = Authenticator(self.options, self._funds.rates, self._funds.capacities)
        self._hub = hub.Hub(self._state)
        talks, keys = quotes.QuoteRoutes(self._state, self._quotes), api_keys.ApiKeyRoutes(self._state, self._gate)
        self._router = Router(routes.all_routes(self._state, self._gateway, keys, talks, self._combos, self._programs))
        self._now = Ts(0)

    def restore(self) -> bool:
        """Rebuild everything from the journal; return False if it is empty. Call it once, before anything else."""
        is_restored = self._state.restore()
        for key in self._state.keys.values():
            self._gate.admit(key)
        self._life.restart()
        self._funds.restart()
        self._quotes.restart()
        seed = self._state.switches.shuffle
        self._hub.shuffle = None if seed is None else shuffle.MessageShuffler(seed)
        return is_restored

    # -- the wire --

    def handle(self, request: replies.Request, now: Ts) -> replies.Response:
        """Answer one REST request. Changes are in the journal before this returns."""
        self._pass_time(now)
        try:
            status, body = self._answer(request, now)
        except replies.HttpError as error:
            status, body = error.status, error.body
        is_late = self._commit(now, is_reply=True)
        return replies.respond(status, body, self._machine(now), late_ms=LATE_MS if is_late else 0)

    def _answer(self, request: replies.Request, now: Ts) -> tuple[int, dict[str, object] | None]:
        path = request.path.removeprefix(BASE)
        found = self._router.find(request.method, path) if request.path.startswith(BASE) else None
        account = self._gate.account(request.method, request.path, request.headers, self._machine(now))
        if found is None:
            if self._router.is_legacy(request.method, path):
                return 410, _DEPRECATED
            raise replies.not_found()
        route, values = found
        if route.is_private and account is None:
            raise missing_signature()
        is_json = "json" in request.headers.get("content-type", "")
        if not (request.body and is_json) and (request.body or route.takes_body):
            raise replies.RejectionError(400, "invalid_content_type")
        query = replies.Query(route.operation, request.query)
        payers = route.payers(query, request.body, self.options.shards)
        self._gate.charge(account, route.price(request.body), now, is_write=route.is_write, shards=payers)
        lock = self._gate.permit(request.headers, route.method, path) if route.is_private else None
        call = RouteCall(account, query, values, request.body, now, lock, route.path.startswith("/historical"))
        return route.success, route.answer(call)

    def connect(self, headers: dict[str, str], path: str, now: Ts) -> connection.Connection | replies.Response:
        """Open a stream, or return the response that refuses it. Header names are in lower case."""
        try:
            if path != STREAM_PATH:
                raise replies.not_found()
            account = self._gate.account("GET", path, headers, self._machine(now))
            if account is None:
                raise missing_signature()
        except replies.HttpError as error:
            return replies.respond(error.status, error.body, self._machine(now))
        return self._hub.connect(account)

    def advance(self, now: Ts) -> None:
        """Do everything timed: expiries, closes, payouts, ticker messages, the batched part of the journal."""
        self._pass_time(now)
        self._commit(now, everything=True)
        self._hub.tick(now)

    def _pass_time(self, now: Ts) -> None:
        self._life.forget_old(now)
        while (due := self._life.advance(now)) is not None:
            self._combos.advance(due)
            self._state.observe()
        self._funds.advance(now)
        self._fees.advance(now)
        self._quotes.advance(now)
        if self._pauses.advance(now):
            self._hub.hang_up(self.options.hang_up)

    def _machine(self, now: Ts) -> Ts:
        """Return the time of the machine, for signatures and the `Date` header."""
        return Ts(now - self._offset_ms())

    def _commit(self, now: Ts, *, everything: bool = False, is_reply: bool = False) -> bool:
        """Save, then publish; return True if a reply must wait for the messages that it causes.

        With a shuffle the messages of a reply go before it, or wait for the next advance.
        """
        self._now = Ts(max(self._now, now))
        is_waiting = self._hub.publish(self._state.commit(everything=everything), now)
        if not is_waiting or self._hub.shuffle is None:
            return False
        if is_reply and self._hub.shuffle.is_reply_first():
            return False
        self._hub.release()
        return is_reply

    # -- the world: listing --

    def list_series(self, spec: listing.SeriesSpec) -> None:
        """List a series, or replace it."""
        self._life.list_series(spec)

    def list_event(self, spec: listing.EventSpec, now: Ts) -> None:
        """List an event; KeyError for an unknown series."""
        self._life.list_event(spec)
        self._commit(now)

    def list_market(self, spec: listing.MarketSpec, now: Ts) -> None:
        """List a market, which opens at `open_time` and closes at `close_time`. KeyError for an unknown event."""
        self._life.list_market(spec, now)
        self._commit(now)

    def list_collection(self, spec: listing.CollectionSpec, now: Ts) -> None:
        """List a collection, from which members may create combos. KeyError for an unknown series."""
        self._combos.list_collection(spec)
        self._commit(now)

    def set_close_time(self, ticker: str, close_time: Ts, now: Ts) -> None:
        """Move the close of a market."""
        self._life.set_close_time(ticker, close_time, now)
        self._commit(now)

    def settle(self, ticker: str, value: Price, now: Ts, expiration_value: str = "", *, at: Ts | None = None) -> None:
        """Determine a market: `value` is the payout of one YES, in whole cents (0 to 10,000).

        An open market closes; `advance` pays after the settlement timer. Settling again before that amends it. `at` is
        the time of the determination, if it was in the past.
        """
        self._life.settle(ticker, value, now if at is None else at, expiration_value)
        self._commit(now, everything=True)

    def dispute(self, ticker: str, now: Ts) -> None:
        """Hold the payout of a determined market until it is settled again; ValueError for another status."""
        self._life.dispute(ticker, now)
        self._commit(now, everything=True)

    def set_grid(self, ticker: str, structure: str, now: Ts) -> None:
        """Change the price structure of a market while it trades; orders between the new prices are canceled."""
        self._life.set_grid(ticker, structure, now)
        self._commit(now, everything=True)

    def set_terms(
        self, ticker: str, now: Ts, *, yes_sub_title: str | None = None, floor_strike: float | None = None
    ) -> None:
        """Change the text or the strike of a market."""
        self._life.set_terms(ticker, now, yes_sub_title=yes_sub_title, floor_strike=floor_strike)
        self._commit(now, everything=True)

    def set_event_fees(self, event_ticker: str, fees: FeeSchedule | None, now: Ts) -> None:
        """Set the fees of an event from now on; None means those of its series."""
        self._life.set_event_fees(event_ticker, fees)
        self._commit(now, everything=True)

    def announce_fees(self, series: str, event: str, fees: FeeSchedule | None, at: Ts, now: Ts) -> None:
        """Announce the fees of a series from `at` on, or of one event, where None ends its override."""
        self._fees.announce(series, event, fees, at)
        self._commit(now, everything=True)

    # -- the world: pauses, faults and outside prices --

    def pause(self, kind: str, now: Ts, *, shard: int | None = None, until: Ts | None = None) -> None:
        """Pause `trading` (cancels work) or the `exchange` (nothing works), on one shard or all, until a given time."""
        self._pauses.pause(kind, now, shard=shard, until=until)
        self._commit(now, everything=True)

    def resume(self, now: Ts, *, shard: int | None = None) -> None:
        """Resume one shard or everything."""
        self._pauses.resume(shard)
        self._commit(now, everything=True)

    def pause_market(self, ticker: str, now: Ts) -> None:
        """Pause one market."""
        self._pauses.pause_market(ticker, now)
        self._commit(now, everything=True)

    def resume_market(self, ticker: str, now: Ts) -> None:
        """Resume one market; all its resting orders are canceled, as on the real exchange."""
        self._pauses.resume_market(ticker, now)
        self._commit(now, everything=True)

    def set_shuffle(self, seed: int | None, now: Ts) -> None:
        """Shuffle messages across channels, and replies and messages; None keeps their order."""
        self._state.switches.shuffle = seed
        self._state.touch("state", self._state.switches)
        self._hub.release()
        self._hub.shuffle = None if seed is None else shuffle.MessageShuffler(seed)
        self._commit(now, everything=True)

    def hang_up(self, how: str) -> int:
        """End every stream, by `reset` or `close`; return their number."""
        return self._hub.hang_up(how)

    def break_channel(self, channel: str, code: int, now: Ts) -> int:
        """End the subscriptions of a channel with error 10 or 25; return their number."""
        return self._hub.break_channel(channel, code, now)

    def fail_command(self, code: int) -> None:
        """Answer the next command of any stream with this error (18: command timeout) instead of doing it."""
        self._hub.source.fails_next = code

    def rewind(self, now: Ts) -> None:
        """Set the time of the world back to `now`. Past events stay; timed ones wait for their time."""
        self._now = now
        self._state.show_all()
        self._hub.rewind()

    def set_index_value(self, index_id: str, value: int, now: Ts, *, is_fast: bool = False) -> None:
        """Publish a tick of an outside index (`BRTI`), in ten-thousandths of a dollar; `is_fast` is between seconds."""
        self._state.happened.append(IndexTick(index_id, value, now, is_fast))
        self._commit(now)

    def follow(self, outside: live_data.OutsideData) -> None:
        """Use these references for live data."""
        self._programs.outside = outside

    def set_pyth_value(self, underlying: str, value: int, now: Ts) -> None:
        """Publish a tick of a Pyth price (`Metal.XAU/USD`), in ten-thousandths of a dollar."""
        self._state.happened.append(PythTick(underlying, value, now))
        self._commit(now)

    # -- the world: accounts and orders --

    def add_account(self, name: str, cash: Money, *, shards: Iterable[int] = (0,)) -> None:
        """Add a member with `cash` in its primary subaccount, on each of these shards.

        An account without a key belongs to the world; its activity is journaled in batches.
        """
        if name in self._state.members:
            raise ValueError(f"Account {name} already exists")
        member = SimAccount(AccountRecord(name=name, user_id=self._state.new_id()))
        self._state.members[name] = member
        self._state.touch_account(member)
        for shard in shards:
            self._funds.deposit(name, cash, self._now, exchange_index=shard)
        self._commit(self._now, everything=True)

    def deposit(self, name: str, cash: Money, *, subaccount: int = 0, exchange_index: int = 0) -> None:
        """Deposit money into one subaccount of a member."""
        self._funds.deposit(name, cash, self._now, subaccount=subaccount, exchange_index=exchange_index)
        self._commit(self._now, everything=True)

    def withdraw(
        self, name: str, cash: Money, *, subaccount: int = 0, exchange_index: int = 0
    ) -> replies.RejectionError | None:
        """Withdraw money from one subaccount, or return the refusal."""
        now, purse = self._now, {"subaccount": subaccount, "exchange_index": exchange_index}
        return self._perform(lambda: self._funds.withdraw(name, cash, now, **purse), now)

    def add_subaccount(self, name: str) -> int | None:
        """Open an empty subaccount; return its number, or None if the member has all 63."""
        number = self._state.add_subaccount(self._state.members[name], self._now)
        self._commit(self._now, everything=True)
        return number

    def register_key(
        self,
        account: str,
        key_id: str,
        public_key: bytes,
        *,
        scopes: tuple[str, ...] = ("read", "write"),
        subaccount: int | None = None,
    ) -> None:
        """Register a PEM public key (RSA or Ed25519) that signs for the account; ValueError for another kind.

        `subaccount` restricts it to one subaccount, `scopes` to some calls.
        """
        key = KeyRecord(
            key_id=key_id, account=account, public_key=public_key, scopes=scopes, subaccount=subaccount, name=key_id
        )
        self._gate.admit(key)
        self._state.add_key(key)
        self._state.touch(f"key/{key_id}", key)
        self._commit(self._now, everything=True)

    def _perform(self, act: Callable[[], T], now: Ts) -> T | replies.RejectionError:
        """Act for a member of the world, without signatures and rate limits but with all other rules."""
        self._pass_time(now)
        try:
            return act()
        except replies.RejectionError as refusal:
            return refusal
        finally:
            self._commit(now)

    def submit(self, account: str, order: listing.NewOrder, now: Ts) -> listing.OrderReceipt | replies.RejectionError:
        """Place an order."""
        return self._perform(lambda: self._gateway.submit(account, order, now), now)

    def cancel(self, account: str, order_id: str, now: Ts) -> Qty | replies.RejectionError:
        """Cancel an order; return its remaining size, or the refusal."""
        return self._perform(lambda: self._gateway.cancel(account, order_id, now), now)

    def cancel_all(self, account: str, now: Ts, ticker: str | None = None) -> int:
        """Cancel all orders; return their number."""
        self._pass_time(now)
        count = self._gateway.cancel_all(account, now, ticker)
        self._commit(now)
        return count

    def quote(
        self, account: str, rfq_id: str, yes_bid: Price, no_bid: Price, now: Ts, *, confirms_ms: int | None = None
    ) -> quote_records.QuoteRecord | replies.RejectionError:
        """Answer an RFQ. An accepted quote is confirmed by itself after `confirms_ms`, if given."""
        terms = quote_records.QuoteTerms(rfq_id=rfq_id, yes_bid=yes_bid, no_bid=no_bid, confirms_ms=confirms_ms)
        return self._perform(lambda: self._quotes.quote(account, terms, now), now)

    # -- the world: what is --

    def has_collection(self, ticker: str) -> bool:
        """Return whether a collection is listed."""
        return ticker in self._state.collections

    def legs(self, ticker: str) -> tuple[listing.LegSpec, ...]:
        """Return the legs of a combo; other markets have none."""
        market = self._state.markets.get(ticker)
        return market.spec.legs if market is not None else ()

    def unanswered(self, account: str) -> list[quote_records.RfqRecord]:
        """Return the open RFQs of others that this account has not quoted."""
        return self._state.talks.unanswered(account)

    def top(self, ticker: str) -> tuple[tuple[Price, Qty] | None, tuple[Price, Qty] | None]:
        """Return the best bid and the best ask with their sizes; None for an empty side."""
        book = self._state.books[ticker]
        return book.top(BID), book.top(ASK)

    def levels(self, ticker: str, side: Side, depth: int = 0) -> list[tuple[Price, Qty]]:
        """Return the levels of a book, best first; a depth of 0 returns all."""
        return self._state.books[ticker].levels(side, depth)

    @property
    def time(self) -> Ts:
        """Return the time of the last call that moved time."""
        return self._now

    @property
    def streams(self) -> int:
        """Return the number of open streams."""
        return len(self._hub.connections)

    def standing(self) -> StateRecord:
        """Return the pauses and other switches, for reading."""
        return self._state.switches

    def status(self, ticker: str) -> MarketStatus:
        """Return the status of a market at the time of the exchange."""
        return self._state.markets[ticker].status(self._now)

    def close_time(self, ticker: str) -> Ts:
        """Return the close of a market."""
        return self._state.markets[ticker].close_time

    def grid(self, ticker: str) -> PriceGrid:
        """Return the price grid of a market."""
        return self._state.markets[ticker].spec.grid

    def last_price(self, ticker: str) -> Price | None:
        """Return the last trade price of a market."""
        return self._state.markets[ticker].last

    def position(self, account: str, ticker: str, subaccount: int = 0) -> Qty:
        """Return a position; positive is YES."""
        return self._state.members[account].purse(subaccount, self._state.shard_of(ticker)).held(ticker)

    def cash(self, account: str, subaccount: int | None = None, exchange_index: int | None = None) -> Money:
        """Return the cash of one subaccount and one shard, or (None) of all."""
        return self._state.members[account].cash(subaccount, exchange_index)

    def subaccounts(self, account: str) -> range:
        """Return the numbers of the subaccounts; 0 is the primary one."""
        return range(self._state.members[account].record.subaccounts + 1)

    def accounts(self) -> list[str]:
        """Return the names of all accounts."""
        return list(self._state.members)

    def user_id(self, account: str) -> str:
        """Return the id by which other members know an account."""
        return self._state.members[account].record.user_id

    def fees_collected(self) -> Money:
        """Return the fees of all trades."""
        return self._state.switches.fees_collected

    def resting(self, account: str, ticker: str | None = None) -> list[tuple[str, Side, Price, Qty]]:
        """Return (order id, side, price, remaining) of the live orders of an account."""
        orders = self._state.members[account].orders(ticker)
        return [(order.order_id, order.side, order.price, order.remaining) for order in orders]

    def tickers(self, status: str = "active") -> list[str]:
        """Return the markets with this status at the time of the exchange; an empty status means all."""
        markets = self._state.markets.items()
        return [ticker for ticker, market in markets if status in ("", market.status(self._now).value)]
