"""Requests for quotes and what becomes of them (API.md section 5.12; the exchange's page on RFQs of 2026).

    open -> accepted (one side, by the requester) -> confirmed (by the maker, in time) -> executed (a while later)

At the execution two ordinary orders enter the book at the price of the quote, first the maker's, then the requester's:
whoever else rests at a better price is met first. Nothing is held back before; who cannot pay then, does not trade.
Refusals say `invalid_parameters`, `rfq_closed` or `insufficient_balance`, as the exchange's page lists them; what holds
during a pause is not published: here nothing may be asked, quoted or accepted, and an execution that falls into one is
off.
"""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, notional
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.simulator.matching.collateral import FeeTerms
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.agenda import EventQueue
from kalshi_cli.simulator.model.listing import NewOrder, OrderReceipt, OrderRejection
from kalshi_cli.simulator.model.quote_records import (
    ACCEPTED,
    CANCELLED,
    CONFIRMED,
    DECLINED,
    EXECUTED,
    OPEN,
    QuoteRecord,
    RfqRecord,
)
from kalshi_cli.simulator.protocol.quote_json import quote_told, rfq_told
from kalshi_cli.simulator.trading.order_gateway import OrderGateway
from kalshi_cli.simulator.trading.order_groups import NOT_FOUND

MAX_OPEN = 100
"""Open requests of one member."""
KEEP_CLOSED_MS = 3_600_000
"""A closed request can be read for so long."""
NOT_CONFIRMED = "not_confirmed"
"""Why a quote was cancelled: its maker let the window pass."""
KEEP_CANCELLED_MS = 60_000
"""A cancelled quote can be read for so long; the real ones are not durable either, for how long is not published."""

EXPIRED = OrderRejection(400, "expired", "the quote was not confirmed in time", is_flat=True)
CLOSED = OrderRejection(400, "rfq_closed", "the RFQ was deleted, expired or executed")


class RfqService:
    """Everything members do with requests and quotes, and what time does to them."""

    def __init__(self, state: SimulatorState, floor: OrderGateway) -> None:
        self.state = state
        self.floor = floor
        self._agenda = EventQueue()

    def restart(self) -> None:
        """After a restore: put everything that will fall due on the agenda again."""
        for rfq in self.state.talks.rfqs.values():
            self._plan_rfq(rfq)
        for quote in self.state.talks.quotes.values():
            self._plan_quote(quote)

    # -- requests --

    def ask(
        self,
        account: str,
        ticker: str,
        now: Ts,
        *,
        qty: Qty | None = None,
        target: Money | None = None,
        excludes_fees: bool = False,
        rest_remainder: bool = False,
        is_obscured: bool = False,
        replaces: bool = False,
        subaccount: int = 0,
    ) -> RfqRecord | OrderRejection:
        """Ask for quotes, by contracts or by cost; `replaces` deletes the open request of the account on this market.

        409 where there is one otherwise.
        """
        market = self.state.markets.get(ticker)
        if market is None:
            return NOT_FOUND
        if (paused := self.floor.paused(market, now)) is not None:
            return paused
        if not self.state.members[account].has_subaccount(subaccount):
            return _wrong("subaccount")
        size = target if qty is None else qty
        if (qty is None) == (target is None) or size is None or size <= 0:
            return _wrong("exactly one of contracts and target cost is needed, above zero")
        if excludes_fees and target is None:
            return _wrong("target_cost_excludes_fees needs a target cost")
        own = [rfq for rfq in self.state.talks.open_rfqs() if rfq.account == account]
        same = next((rfq for rfq in own if rfq.ticker == ticker), None)
        if same is not None and not replaces:
            return OrderRejection(409, "rfq_already_exists", f"there is an open RFQ on {ticker}")
        if same is not None and (fixed := self.withdraw(account, same.rfq_id, now)) is not None:
            return fixed
        if same is None and len(own) >= MAX_OPEN:
            return _wrong(f"at most {MAX_OPEN} RFQs may be open")
        rfq = RfqRecord(
            rfq_id=self.state.new_id(),
            number=self.state.talks.count,
            account=account,
            ticker=ticker,
            event_ticker=market.spec.event_ticker,
            qty=qty,
            target=target,
            excludes_fees=excludes_fees,
            rest_remainder=rest_remainder,
            is_obscured=is_obscured,
            subaccount=subaccount,
            created=now,
            updated=now,
        )
        self.state.talks.take(rfq)
        self._keep_rfq(rfq, now)
        self._plan_rfq(rfq)
        self.state.happened.append(rfq_told("rfq_created", rfq, self.state, now))
        return rfq

    def withdraw(self, account: str, rfq_id: str, now: Ts) -> OrderRejection | None:
        """Delete an open request with its quotes; not once a maker has confirmed (404: all that is declared)."""
        rfq = self.state.talks.rfqs.get(rfq_id)
        if rfq is None or rfq.account != account or rfq.closed is not None:
            return NOT_FOUND
        if any(quote.status == CONFIRMED for quote in self.state.talks.of(rfq_id)):
            return NOT_FOUND
        self._close(rfq, "deleted", now)
        return None

    def _close(self, rfq: RfqRecord, reason: str, now: Ts) -> None:
        """No longer to be quoted; what was only open goes with it."""
        rfq.closed, rfq.reason = now, reason
        self._keep_rfq(rfq, now)
        self._plan_rfq(rfq)
        for quote in self.state.talks.of(rfq.rfq_id):
            if quote.status in (OPEN, ACCEPTED):
                self._cancel(quote, f"rfq_{reason}", now)
        self.state.happened.append(rfq_told("rfq_deleted", rfq, self.state, now))

    # -- quotes --

    def quote(
        self,
        account: str,
        rfq_id: str,
        yes_bid: Price,
        no_bid: Price,
        now: Ts,
        *,
        rest_remainder: bool = False,
        post_only: bool = False,
        subaccount: int = 0,
        confirms_ms: int | None = None,
    ) -> QuoteRecord | OrderRejection:
        """Answer a request; an earlier open quote of this maker is replaced."""
        rfq = self.state.talks.rfqs.get(rfq_id)
        if rfq is None:
            return _wrong("there is no such RFQ")  # 400: all that is declared
        market = self.state.markets.get(rfq.ticker)
        if rfq.closed is not None or market is None:
            return CLOSED
        if (paused := self.floor.paused(market, now)) is not None:
            return paused
        if rfq.account == account:
            return _wrong("this is your own RFQ")
        if not self.state.members[account].has_subaccount(subaccount):
            return _wrong("subaccount")
        if yes_bid == no_bid == DECLINED or yes_bid + no_bid > ONE_DOLLAR:
            return _wrong("yes_bid and no_bid may not both be 0, nor exceed a dollar together")
        if not all(bid == DECLINED or market.spec.grid.is_valid(bid) for bid in (yes_bid, no_bid)):
            return _wrong("a price is not on a valid step")
        for earlier in self.state.talks.of(rfq_id):
            if earlier.account == account and earlier.status == OPEN:
                self._cancel(earlier, "replaced", now)
            elif earlier.account == account and not earlier.is_over:
                return _wrong("your quote is accepted already")
        terms = self.state.terms(rfq.ticker)
        quote = QuoteRecord(
            quote_id=self.state.new_id(),
            number=self.state.talks.count,
            rfq_id=rfq_id,
            account=account,
            yes_bid=yes_bid,
            no_bid=no_bid,
            yes_qty=size(rfq, yes_bid, terms),
            no_qty=size(rfq, no_bid, terms),
            rest_remainder=rest_remainder,
            post_only=post_only,
            subaccount=subaccount,
            confirms_ms=confirms_ms,
            created=now,
            updated=now,
        )
        self.state.talks.take(quote)
        self._keep_quote(quote, now)
        self.state.happened.extend(quote_told("quote_created", quote, rfq, self.state, now))
        return quote

    def delete_quote(self, account: str, quote: QuoteRecord, now: Ts) -> OrderRejection | None:
        """Delete a quote of one's own; once it is accepted it stays, and is not found (404: all that is declared)."""
        if quote.account != account or quote.status != OPEN:
            return NOT_FOUND
        self._cancel(quote, "deleted", now)
        return None

    def accept(self, account: str, quote: QuoteRecord, side: str, now: Ts) -> OrderRejection | None:
        """The requester takes the `side` bid of a quote: it sells that side to the maker, who is to confirm."""
        rfq = self.state.talks.rfqs.get(quote.rfq_id)
        if rfq is None or rfq.account != account:
            return NOT_FOUND
        market = self.state.markets.get(rfq.ticker)
        if rfq.closed is not None or market is None:
            return CLOSED
        if (paused := self.floor.paused(market, now)) is not None:
            return paused
        if quote.status != OPEN or any(
            other.status in (ACCEPTED, CONFIRMED) for other in self.state.talks.of(rfq.rfq_id)
        ):
            return _wrong("the quote is not open, or another one is accepted")
        if accepted_qty(quote, side) <= 0:
            return _wrong("the quote does not bid for this side")
        order = self._order(quote, rfq, side, is_maker=False)
        if not self.floor.could_pay(account, order, now):
            return OrderRejection(400, "insufficient_balance")
        quote.status, quote.accepted_side, quote.accepted = ACCEPTED, side, now
        self._keep_quote(quote, now)
        self._plan_quote(quote)
        self.state.happened.extend(quote_told("quote_accepted", quote, rfq, self.state, now))
        return None

    def confirm(self, account: str, quote: QuoteRecord, now: Ts) -> OrderRejection | None:
        """The maker stands by an accepted quote; from here on neither can withdraw."""
        if quote.account == account and quote.reason == NOT_CONFIRMED:
            return EXPIRED
        if quote.account != account or quote.status != ACCEPTED:
            return NOT_FOUND
        order = self._order(quote, self.state.talks.rfqs[quote.rfq_id], quote.accepted_side, is_maker=True)
        if not self.floor.could_pay(account, order, now):
            return OrderRejection(400, "insufficient_balance")
        quote.status, quote.confirmed = CONFIRMED, now
        self._keep_quote(quote, now)
        self._plan_quote(quote)
        return None

    def _cancel(self, quote: QuoteRecord, reason: str, now: Ts) -> None:
        quote.status, quote.cancelled, quote.reason = CANCELLED, now, reason
        self._keep_quote(quote, now)
        self._plan_quote(quote)

    # -- execution --

    def _order(self, quote: QuoteRecord, rfq: RfqRecord, side: str, *, is_maker: bool) -> NewOrder:
        """What the maker or the requester enters. A bid for NO at q is an ask of YES at one dollar less q."""
        maker_side: Side = BID if side == "yes" else ASK
        price = quote.yes_bid if side == "yes" else Price(ONE_DOLLAR - quote.no_bid)
        return NewOrder(
            ticker=rfq.ticker,
            side=maker_side if is_maker else maker_side.opposite,
            price=price,
            qty=accepted_qty(quote, side),
            tif=TimeInForce.GTC if is_maker or rfq.rest_remainder else TimeInForce.IOC,
            post_only=is_maker and quote.post_only,
            subaccount=quote.subaccount if is_maker else rfq.subaccount,
        )

    def _execute(self, quote: QuoteRecord, now: Ts) -> None:
        """Both orders enter the book. Where one is refused nothing trades, and the request is open again."""
        rfq = self.state.talks.rfqs[quote.rfq_id]
        maker_order, taker_order = (
            msgspec.structs.replace(
                self._order(quote, rfq, quote.accepted_side, is_maker=is_maker), client_order_id=self.state.new_id()
            )
            for is_maker in (True, False)
        )
        maker = self.floor.submit(quote.account, maker_order, now)
        if isinstance(maker, OrderRejection):
            is_cross = maker.details == "post only cross"
            self._cancel(quote, "PostOnlyCrossCancel" if is_cross else maker.code, now)
            return
        taker = self.floor.submit(rfq.account, taker_order, now)
        left = self.state.live.get(maker.order_id)
        if left is not None and (isinstance(taker, OrderRejection) or not quote.rest_remainder):
            self.floor.release(left, "", now)
        if isinstance(taker, OrderRejection):
            self._cancel(quote, taker.code, now)
            return
        quote.status, quote.executed = EXECUTED, now
        quote.order_id, quote.rfq_order_id = maker.order_id, taker.order_id
        self._keep_quote(quote, now)
        ids = {quote.account: _ids(maker), rfq.account: _ids(taker)}
        self.state.happened.extend(quote_told("quote_executed", quote, rfq, self.state, now, ids))
        self._close(rfq, "executed", now)

    # -- time --

    def advance(self, now: Ts) -> None:
        """Do all that fell due."""
        while (entry := self._agenda.take(now)) is not None:
            what, which = entry
            if what == "rfq":
                self._pass_rfq(which, now)
            else:
                self._pass_quote(which, now)

    def _pass_rfq(self, rfq_id: str, now: Ts) -> None:
        rfq = self.state.talks.rfqs.get(rfq_id)
        if rfq is None:
            return
        if rfq.closed is None:
            market = self.state.markets.get(rfq.ticker)
            if market is None or now >= market.close_time:
                self._close(rfq, "expired", now)
            else:
                self._plan_rfq(rfq)  # the close was moved
        elif now >= rfq.closed + KEEP_CLOSED_MS and not self.state.talks.of(rfq_id):
            del self.state.talks.rfqs[rfq_id]
            self.state.forget(f"rfq/{rfq_id}")

    def _pass_quote(self, quote_id: str, now: Ts) -> None:
        quote = self.state.talks.quotes.get(quote_id)
        if quote is None or now < (self._due(quote) or now + 1):
            return
        if quote.status == CANCELLED:
            del self.state.talks.quotes[quote_id]
            self.state.forget(f"quote/{quote_id}")
        elif quote.status == CONFIRMED:
            self._execute(quote, now)
        elif quote.confirms_ms is None or self.confirm(quote.account, quote, now) is not None:
            self._cancel(quote, NOT_CONFIRMED, now)

    def _due(self, quote: QuoteRecord) -> Ts | None:
        """When time has something to do with this quote."""
        options, ticker = self.state.options, self.state.talks.rfqs[quote.rfq_id].ticker
        fast = is_fast(ticker)
        if quote.status == ACCEPTED and quote.accepted is not None:
            window = options.fast_confirm_ms if fast else options.confirm_ms
            return Ts(quote.accepted + min(window, window if quote.confirms_ms is None else quote.confirms_ms))
        if quote.status == CONFIRMED and quote.confirmed is not None:
            return Ts(quote.confirmed + (options.fast_execute_ms if fast else options.execute_ms))
        if quote.status == CANCELLED and quote.cancelled is not None:
            return Ts(quote.cancelled + KEEP_CANCELLED_MS)
        return None

    def _plan_quote(self, quote: QuoteRecord) -> None:
        self._agenda.put(self._due(quote), "quote", quote.quote_id)

    def _plan_rfq(self, rfq: RfqRecord) -> None:
        market = self.state.markets.get(rfq.ticker)
        if rfq.closed is not None:
            self._agenda.put(Ts(rfq.closed + KEEP_CLOSED_MS), "rfq", rfq.rfq_id)
        elif market is not None:
            self._agenda.put(market.close_time, "rfq", rfq.rfq_id)

    def _keep_rfq(self, rfq: RfqRecord, now: Ts) -> None:
        rfq.updated = now
        self.state.keep(f"rfq/{rfq.rfq_id}", rfq)

    def _keep_quote(self, quote: QuoteRecord, now: Ts) -> None:
        quote.updated = now
        self.state.keep(f"quote/{quote.quote_id}", quote)


def is_fast(ticker: str) -> bool:
    """Whether a market is one of high volatility, with short windows: all combos are, and none else here."""
    return ticker.startswith("KXMVE")


def accepted_qty(quote: QuoteRecord, side: str) -> Qty:
    """What is traded where this side is accepted."""
    return quote.yes_qty if side == "yes" else quote.no_qty


def size(rfq: RfqRecord, bid: Price, terms: FeeTerms) -> Qty:
    """How many contracts a bid stands for. By cost it is what the requester can buy of the other side, fees included.

    A recorded accept of July 2026: $10.00 against a NO bid of 0.7450 was 37.27 contracts.
    """
    if bid == DECLINED:
        return Qty(0)
    if rfq.target is None:
        return rfq.qty or Qty(0)
    price = Price(ONE_DOLLAR - bid)
    qty = Qty(rfq.target // price)
    while qty > 0 and not rfq.excludes_fees:
        excess = notional(price, qty) + terms.fee(price, qty, is_taker=True) - rfq.target
        if excess <= 0:
            break
        qty = Qty(qty - max(1, excess // (2 * price)))
    return qty


def _ids(receipt: OrderReceipt) -> tuple[str, str]:
    return receipt.order_id, receipt.client_order_id


def _wrong(details: str) -> OrderRejection:
    return OrderRejection(400, "invalid_parameters", details)
