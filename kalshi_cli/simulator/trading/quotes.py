"""Requests for quotes, their quotes and executions (API.md section 5.12; the exchange's page on RFQs of 2026).

    open -> accepted (one side, by the requester) -> confirmed (by the maker, in time) -> executed (a while later)

At the execution two ordinary orders enter the book at the price of the quote, first the maker's, then the requester's;
orders at a better price trade first. No cash is reserved before, so an execution fails without cash. Refusals are
`invalid_parameters`, `rfq_closed` or `insufficient_balance`, as on the exchange's page. The rules during a pause are
not published: here nothing may be requested, quoted or accepted, and an execution during a pause fails.
"""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts, notional
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.simulator.matching.collateral import FeeTerms
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model import quote_records as status
from kalshi_cli.simulator.model.event_queue import EventQueue
from kalshi_cli.simulator.model.listing import NewOrder, OrderReceipt, is_combo
from kalshi_cli.simulator.model.quote_records import QuoteRecord, QuoteTerms, RfqRecord, RfqTerms
from kalshi_cli.simulator.protocol.quote_json import quote_msgs, rfq_msg
from kalshi_cli.simulator.protocol.replies import HttpError, RejectionError, existing, flat, invalid, not_found
from kalshi_cli.simulator.protocol.routing import check_subaccount
from kalshi_cli.simulator.trading.order_gateway import OrderGateway

MAX_OPEN = 100
"""The most open requests of one member."""
KEEP_CLOSED_MS = 3_600_000
"""The time for which a closed request can be read."""
NOT_CONFIRMED = "not_confirmed"
"""The reason of a quote that its maker did not confirm in time."""
KEEP_CANCELLED_MS = 60_000
"""The time for which a canceled quote can be read; the real one is not published."""


class RfqService:
    """Requests and quotes of members, and their timed changes."""

    def __init__(self, state: SimulatorState, gateway: OrderGateway) -> None:
        self.state = state
        self.gateway = gateway
        self._queue = EventQueue()

    def restart(self) -> None:
        """Put everything that will be due into the queue after a restore."""
        for rfq in self.state.talks.rfqs.values():
            self._plan_rfq(rfq)
        for quote in self.state.talks.quotes.values():
            self._plan_quote(quote)

    # -- requests --

    def ask(self, account: str, terms: RfqTerms, now: Ts, *, replaces: bool = False) -> RfqRecord:
        """Request quotes, by contracts or by cost; refuse (409) a second open request of the account on a market.

        `replaces` deletes the open request instead.
        """
        ticker, qty, target = terms.ticker, terms.qty, terms.target
        market = existing(self.state.markets.get(ticker))
        self.gateway.check_open(market, now)
        check_subaccount(self.state.members[account], terms.subaccount)
        size = target if qty is None else qty
        if (qty is None) == (target is None) or size is None or size <= 0:
            raise invalid("exactly one of contracts and target cost is needed, above zero")
        if terms.excludes_fees and target is None:
            raise invalid("target_cost_excludes_fees needs a target cost")
        own = [rfq for rfq in self.state.talks.open_rfqs() if rfq.account == account]
        same = next((rfq for rfq in own if rfq.ticker == ticker), None)
        if same is not None and not replaces:
            raise RejectionError(409, "rfq_already_exists", f"there is an open RFQ on {ticker}")
        if same is not None:
            self.withdraw(account, same.rfq_id, now)
        if same is None and len(own) >= MAX_OPEN:
            raise invalid(f"at most {MAX_OPEN} RFQs may be open")
        known = {"rfq_id": self.state.new_id(), "account": account, "event_ticker": market.spec.event_ticker}
        rfq = self.state.talks.add(RfqRecord, terms, now, **known)
        self._keep_rfq(rfq, now)
        self.state.happened.append(rfq_msg("rfq_created", rfq, self.state, now))
        return rfq

    def withdraw(self, account: str, rfq_id: str, now: Ts) -> None:
        """Delete an open request with its quotes; a confirmed one is not found (404 is the only declared error)."""
        rfq = existing(self.state.talks.rfqs.get(rfq_id))
        is_confirmed = any(quote.status == status.CONFIRMED for quote in self.state.talks.of(rfq_id))
        if rfq.account != account or rfq.closed is not None or is_confirmed:
            raise not_found()
        self._close(rfq, "deleted", now)

    def _close(self, rfq: RfqRecord, reason: str, now: Ts) -> None:
        """Close a request and cancel its open quotes."""
        rfq.closed, rfq.reason = now, reason
        self._keep_rfq(rfq, now)
        for quote in self.state.talks.of(rfq.rfq_id):
            if quote.status in (status.OPEN, status.ACCEPTED):
                self._cancel(quote, f"rfq_{reason}", now)
        self.state.happened.append(rfq_msg("rfq_deleted", rfq, self.state, now))

    # -- quotes --

    def quote(self, account: str, terms: QuoteTerms, now: Ts) -> QuoteRecord:
        """Answer a request; an earlier open quote of this maker is replaced."""
        rfq, yes_bid, no_bid = self.state.talks.rfqs.get(terms.rfq_id), terms.yes_bid, terms.no_bid
        if rfq is None:
            raise invalid("there is no such RFQ")  # 400 is the only declared error
        market = self.state.markets.get(rfq.ticker)
        if rfq.closed is not None or market is None:
            raise closed()
        self.gateway.check_open(market, now)
        if rfq.account == account:
            raise invalid("this is your own RFQ")
        check_subaccount(self.state.members[account], terms.subaccount)
        if yes_bid == no_bid == status.DECLINED or yes_bid + no_bid > ONE_DOLLAR:
            raise invalid("yes_bid and no_bid may not both be 0, nor exceed a dollar together")
        if not all(bid == status.DECLINED or market.spec.grid.is_valid(bid) for bid in (yes_bid, no_bid)):
            raise invalid("a price is not on a valid step")
        for earlier in self.state.talks.of(rfq.rfq_id):
            if earlier.account == account and earlier.status == status.OPEN:
                self._cancel(earlier, "replaced", now)
            elif earlier.account == account and not earlier.is_over:
                raise invalid("your quote is accepted already")
        fees = self.state.terms(rfq.ticker)
        sizes = {"yes_qty": size(rfq, yes_bid, fees), "no_qty": size(rfq, no_bid, fees)}
        quote_id = self.state.new_id()
        quote = self.state.talks.add(QuoteRecord, terms, now, quote_id=quote_id, account=account, **sizes)
        self._keep_quote(quote, now)
        self.state.happened.extend(quote_msgs("quote_created", quote, rfq, self.state, now))
        return quote

    def delete_quote(self, account: str, quote: QuoteRecord, now: Ts) -> None:
        """Delete an own open quote; an accepted one is not found (404 is the only declared error)."""
        if quote.account != account or quote.status != status.OPEN:
            raise not_found()
        self._cancel(quote, "deleted", now)

    def accept(self, account: str, quote: QuoteRecord, side: str, now: Ts) -> None:
        """Accept the `side` bid of a quote: the requester sells that side to the maker, who must confirm."""
        rfq = existing(self.state.talks.rfqs.get(quote.rfq_id))
        if rfq.account != account:
            raise not_found()
        market = self.state.markets.get(rfq.ticker)
        if rfq.closed is not None or market is None:
            raise closed()
        self.gateway.check_open(market, now)
        if quote.status != status.OPEN or any(
            other.status in (status.ACCEPTED, status.CONFIRMED) for other in self.state.talks.of(rfq.rfq_id)
        ):
            raise invalid("the quote is not open, or another one is accepted")
        if accepted_qty(quote, side) <= 0:
            raise invalid("the quote does not bid for this side")
        self.gateway.check_could_pay(account, self._order(quote, rfq, side, is_maker=False), now)
        quote.status, quote.accepted_side, quote.accepted = status.ACCEPTED, side, now
        self._keep_quote(quote, now)
        self.state.happened.extend(quote_msgs("quote_accepted", quote, rfq, self.state, now))

    def confirm(self, account: str, quote: QuoteRecord, now: Ts) -> None:
        """Confirm an accepted quote; afterwards neither party can withdraw."""
        if quote.account == account and quote.reason == NOT_CONFIRMED:
            raise flat("the quote was not confirmed in time", "expired")
        if quote.account != account or quote.status != status.ACCEPTED:
            raise not_found()
        order = self._order(quote, self.state.talks.rfqs[quote.rfq_id], quote.accepted_side, is_maker=True)
        self.gateway.check_could_pay(account, order, now)
        quote.status, quote.confirmed = status.CONFIRMED, now
        self._keep_quote(quote, now)

    def _cancel(self, quote: QuoteRecord, reason: str, now: Ts) -> None:
        quote.status, quote.cancelled, quote.reason = status.CANCELLED, now, reason
        self._keep_quote(quote, now)

    # -- execution --

    def _order(self, quote: QuoteRecord, rfq: RfqRecord, side: str, *, is_maker: bool) -> NewOrder:
        """Return the order of the maker or the requester. A bid for NO at q is an ask of YES at one dollar less q."""
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
        """Enter both orders in the book. If one is refused nothing trades, and the request is open again."""
        rfq = self.state.talks.rfqs[quote.rfq_id]
        maker_order, taker_order = (
            msgspec.structs.replace(
                self._order(quote, rfq, quote.accepted_side, is_maker=is_maker), client_order_id=self.state.new_id()
            )
            for is_maker in (True, False)
        )
        maker: OrderReceipt | None = None
        try:
            maker = self.gateway.submit(quote.account, maker_order, now)
            taker = self.gateway.submit(rfq.account, taker_order, now)
        except RejectionError as refusal:
            is_cross = maker is None and refusal.details == "post only cross"
            self._release(maker, now)
            self._cancel(quote, "PostOnlyCrossCancel" if is_cross else refusal.code, now)
            return
        if not quote.rest_remainder:
            self._release(maker, now)
        quote.status, quote.executed = status.EXECUTED, now
        quote.order_id, quote.rfq_order_id = maker.order_id, taker.order_id
        self._keep_quote(quote, now)
        receipts = {quote.account: maker, rfq.account: taker}
        self.state.happened.extend(quote_msgs("quote_executed", quote, rfq, self.state, now, receipts))
        self._close(rfq, "executed", now)

    def _release(self, receipt: OrderReceipt | None, now: Ts) -> None:
        """Cancel the remainder of an order."""
        if receipt is not None and (left := self.state.live.get(receipt.order_id)) is not None:
            self.gateway.engine.release(left, "", now)

    # -- time --

    def advance(self, now: Ts) -> None:
        """Do everything that is due."""
        while (entry := self._queue.take(now)) is not None:
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
                self._plan_rfq(rfq)  # the close has moved
        elif now >= rfq.closed + KEEP_CLOSED_MS and not self.state.talks.of(rfq_id):
            del self.state.talks.rfqs[rfq_id]
            self.state.forget(f"rfq/{rfq_id}")

    def _pass_quote(self, quote_id: str, now: Ts) -> None:
        quote = self.state.talks.quotes.get(quote_id)
        if quote is None or now < (self._due(quote) or now + 1):
            return
        if quote.status == status.CANCELLED:
            del self.state.talks.quotes[quote_id]
            self.state.forget(f"quote/{quote_id}")
        elif quote.status == status.CONFIRMED:
            self._execute(quote, now)
        elif quote.confirms_ms is None or not self._confirms(quote, now):
            self._cancel(quote, NOT_CONFIRMED, now)

    def _confirms(self, quote: QuoteRecord, now: Ts) -> bool:
        """Confirm for a maker that confirms by itself; return whether it succeeded."""
        try:
            self.confirm(quote.account, quote, now)
        except HttpError:
            return False
        return True

    def _due(self, quote: QuoteRecord) -> Ts | None:
        """Return when the next timed change of a quote is due."""
        options, ticker = self.state.options, self.state.talks.rfqs[quote.rfq_id].ticker
        fast = is_combo(ticker)  # combos count as markets of high volatility, with short windows
        if quote.status == status.ACCEPTED and quote.accepted is not None:
            window = options.fast_confirm_ms if fast else options.confirm_ms
            return Ts(quote.accepted + min(window, window if quote.confirms_ms is None else quote.confirms_ms))
        if quote.status == status.CONFIRMED and quote.confirmed is not None:
            return Ts(quote.confirmed + (options.fast_execute_ms if fast else options.execute_ms))
        if quote.status == status.CANCELLED and quote.cancelled is not None:
            return Ts(quote.cancelled + KEEP_CANCELLED_MS)
        return None

    def _plan_quote(self, quote: QuoteRecord) -> None:
        self._queue.put(self._due(quote), "quote", quote.quote_id)

    def _plan_rfq(self, rfq: RfqRecord) -> None:
        market = self.state.markets.get(rfq.ticker)
        if rfq.closed is not None:
            self._queue.put(Ts(rfq.closed + KEEP_CLOSED_MS), "rfq", rfq.rfq_id)
        elif market is not None:
            self._queue.put(market.close_time, "rfq", rfq.rfq_id)

    def _keep_rfq(self, rfq: RfqRecord, now: Ts) -> None:
        rfq.updated = now
        self.state.keep(f"rfq/{rfq.rfq_id}", rfq)
        self._plan_rfq(rfq)

    def _keep_quote(self, quote: QuoteRecord, now: Ts) -> None:
        quote.updated = now
        self.state.keep(f"quote/{quote.quote_id}", quote)
        self._plan_quote(quote)


def accepted_qty(quote: QuoteRecord, side: str) -> Qty:
    """Return the contracts that trade if this side is accepted."""
    return quote.yes_qty if side == "yes" else quote.no_qty


def size(rfq: RfqRecord, bid: Price, terms: FeeTerms) -> Qty:
    """Return the contracts behind a bid. For a target cost: what the requester can buy of the other side, with fees.

    A recorded accept of July 2026: $10.00 against a NO bid of 0.7450 was 37.27 contracts.
    """
    if bid == status.DECLINED:
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


def closed() -> RejectionError:
    """Return the refusal for a closed request."""
    return RejectionError(400, "rfq_closed", "the RFQ was deleted, expired or executed")
