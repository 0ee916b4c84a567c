"""Trades agreed on by quotes: each step that can spend money is held against the same controls as an order.

    requester    rfq -> accept                (`propose_accept`, `accept`)
    maker        quote -> confirm             (`propose_quote`; `propose_confirm`, `confirm`)

The exchange itself enters the orders, under client order ids of its own: they come into our books with the next
reading of the account, as orders of the account that we did not place. Until then what was agreed on is in no list and
cannot be cancelled. So it is written down before the request, as an order of unknown outcome: every limit counts it,
and the kill switch is not done, until a read of the account is so new that it has either traded or never will.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Literal

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import (
    CredentialsError,
    ExchangeError,
    HaltedError,
    KalshiError,
    NotFoundError,
    OutcomeUnknownError,
    RefusedError,
    StateFileError,
    UnreachableError,
    UsageError,
)
from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, show_money, show_price, show_qty
from kalshi_cli.core.model.effects import CloseOrder, OrderChanged, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import TimeInForce
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.wire.quotes import NewRfq, Rfq, RfqQuote
from kalshi_cli.exchange.wire.replies import short_of_cash
from kalshi_cli.services.orders.place import OrderEntry, OrderProposal, OrderTicket
from kalshi_cli.services.trading.refusals import halted, translate_halt
from kalshi_cli.views.quotes import QuoteRow, QuoteTradeRow, RfqRow

MAY_TRADE_MS = 60_000
"""After it was accepted or confirmed a quote trades within 45 s or not at all: the maker may take 30 s to confirm, and
the orders enter the book 15 s later. The rest is for a late request, and for clocks."""

AGREED = "quote_agreed"
"""The code of an order that stands for a quote which may trade."""

MAX_AGREED = 100
"""Quotes that may trade, of each kind: enough to know that there are some."""

LOOK_S = 5.0
"""How long an unanswered acceptance or confirmation is looked for."""
_PAUSE_S = 0.5
_AHEAD = ("accepted", "confirmed", "executed")

Outcome = Literal["yes", "no"]
_OTHER: dict[str, Outcome] = {"yes": "no", "no": "yes"}


class QuoteTrade(msgspec.Struct, frozen=True, kw_only=True):
    """What would be traded, reviewed: one order of ours for each bid that could be met."""

    rfq: Rfq
    quote: RfqQuote | None
    tickets: tuple[OrderTicket, ...]
    proposals: tuple[OrderProposal, ...]

    @property
    def reviewed(self) -> TradingState:
        """The trading state that the controls knew of: where it is stricter by now, nothing of this is sent."""
        known = {each.submit.reviewed for each in self.proposals if isinstance(each.submit, SubmitOrder)}
        return TradingState.ACTIVE if TradingState.ACTIVE in known else TradingState.REDUCING

    @property
    def facts(self) -> list[str]:
        """What a person must know before saying yes."""
        said = []
        for ticket, proposal in zip(self.tickets, self.proposals, strict=True):
            said.append(
                f"you buy {show_qty(ticket.qty)} {ticket.outcome.upper()} of {ticket.ticker} "
                f"at {show_price(ticket.price)}"
            )
            said.append(
                f"cost {show_money(proposal.cost)}, fee up to {show_money(proposal.fee)}, "
                f"worst loss {show_money(proposal.worst_loss)}"
            )
        return said


def request(
    ticker: str,
    qty: Qty | None,
    cost: Money | None,
    *,
    excludes_fees: bool = False,
    rests: bool = False,
    replaces: bool = False,
    is_hidden: bool = False,
    subaccount: int = 0,
) -> NewRfq:
    """A request as a person typed it; UsageError where it makes no sense."""
    return NewRfq(
        ticker=ticker,
        qty=qty,
        target=cost,
        target_excludes_fees=excludes_fees,
        rest_remainder=rests,
        replace_existing=replaces,
        is_obscured=is_hidden,
        subaccount=subaccount,
    )


# -- the requester ------------------------------------------------------------------------------------------------


def propose_accept(entry: OrderEntry, rfq_id: str, quote_id: str, side: str) -> QuoteTrade:
    """Hold the order that this acceptance would lead to against every control. Sends nothing.

    To accept the YES bid is to buy NO at one dollar less it. Raises RefusedError with the control's code.
    """
    rfq, quote = entry.client.rfq(rfq_id), entry.client.quote(quote_id, rfq_id)
    if quote.is_mine:
        raise RefusedError(
            "this quote is your own", hint=f"once it is accepted: kalshi quote confirm {quote_id}", code="OWN_QUOTE"
        )
    if quote.status != "open":
        raise RefusedError(
            f"the quote is {quote.status}, nothing was sent", hint=f"kalshi rfq quotes {rfq_id}", code="QUOTE_NOT_OPEN"
        )
    price = quote.price(side)
    if price is None:
        raise UsageError(f"the quote does not bid for {side.upper()}", hint=f"--side {_OTHER[side]}")
    ticket = OrderTicket(
        ticker=quote.ticker,
        outcome=_OTHER[side],
        action="buy",
        qty=quote.qty(side),
        price=price,
        tif=TimeInForce.GTC if rfq.rest_remainder else TimeInForce.IOC,
        subaccount=rfq.subaccount or None,
    )
    _, proposal = entry.propose(ticket)
    return QuoteTrade(rfq=rfq, quote=quote, tickets=(ticket,), proposals=(proposal,))


def accept(entry: OrderEntry, deal: QuoteTrade, side: str) -> RfqQuote:
    """Accept once, and say how the quote stands; OutcomeUnknownError where it may be accepted and nobody knows."""
    client, reviewed = entry.client, deal.reviewed
    return _sent(
        entry, deal, lambda quote: client.accept_quote(quote.quote_id, side, quote.rfq_id, reviewed), "accepted"
    )


# -- the maker ----------------------------------------------------------------------------------------------------


def propose_quote(
    entry: OrderEntry,
    rfq_id: str,
    yes_bid: Price | None,
    no_bid: Price | None,
    *,
    post_only: bool,
    subaccount: int | None,
) -> QuoteTrade:
    """Hold what could come of either bid against every control. Sends nothing."""
    if yes_bid is None and no_bid is None:
        raise UsageError("a quote bids for YES, for NO, or for both", hint="--yes-bid 0.40 --no-bid 0.55")
    if (yes_bid or 0) + (no_bid or 0) > ONE_DOLLAR:
        raise UsageError(
            f"{show_price(yes_bid)} and {show_price(no_bid)} are more than a dollar together",
            hint="who met both bids would be paid by you: lower one",
        )
    rfq = entry.client.rfq(rfq_id)
    if rfq.is_mine:
        raise RefusedError("this RFQ is your own", hint=f"kalshi rfq quotes {rfq_id}", code="OWN_RFQ")
    bids: tuple[tuple[Outcome, Price | None], ...] = (("yes", yes_bid), ("no", no_bid))
    tickets = tuple(
        OrderTicket(
            ticker=rfq.ticker,
            outcome=outcome,
            action="buy",
            qty=_most(rfq, bid),
            price=bid,
            post_only=post_only,
            subaccount=subaccount,
        )
        for outcome, bid in bids
        if bid is not None
    )
    return QuoteTrade(rfq=rfq, quote=None, tickets=tickets, proposals=tuple(entry.propose(one)[1] for one in tickets))


def _most(rfq: Rfq, bid: Price) -> Qty:
    """The most contracts a bid can be met with: by cost, what the requester could buy if there were no fees."""
    if rfq.target is None:
        return rfq.qty or Qty(0)
    return Qty(rfq.target // max(1, ONE_DOLLAR - bid))


def propose_confirm(entry: OrderEntry, quote_id: str, rfq_id: str) -> QuoteTrade:
    """Hold the order that this confirmation would lead to against every control. Sends nothing."""
    quote = entry.client.quote(quote_id, rfq_id)
    if not quote.is_mine or quote.status != "accepted":
        whose = "the quote" if quote.is_mine else "somebody else's quote"
        raise RefusedError(
            f"{whose} is {quote.status}: only an accepted quote of your own can be confirmed",
            hint="kalshi quote list",
            code="QUOTE_NOT_ACCEPTED",
        )
    side: Outcome = "yes" if quote.accepted_side == "yes" else "no"
    bid = quote.bid(side)
    if bid is None:
        raise UnreachableError("the quote was accepted on a side that it does not bid for", hint="kalshi quote list")
    ticket = OrderTicket(
        ticker=quote.ticker,
        outcome=side,
        action="buy",
        qty=quote.qty(side),
        price=bid,
        post_only=quote.post_only,
        subaccount=quote.subaccount or None,
    )
    _, proposal = entry.propose(ticket)
    return QuoteTrade(rfq=entry.client.rfq(quote.rfq_id), quote=quote, tickets=(ticket,), proposals=(proposal,))


def confirm(entry: OrderEntry, deal: QuoteTrade) -> RfqQuote:
    """Confirm once, and say how the quote stands; OutcomeUnknownError where nobody knows."""
    client, reviewed = entry.client, deal.reviewed
    return _sent(entry, deal, lambda quote: client.confirm_quote(quote.quote_id, quote.rfq_id, reviewed), "confirmed")


def create(entry: OrderEntry, deal: QuoteTrade, yes_bid: Price | None, no_bid: Price | None, *, rest: bool) -> str:
    """Send a reviewed quote; its id."""
    ticket = deal.tickets[0]
    try:
        return entry.client.create_quote(
            deal.rfq.rfq_id,
            yes_bid,
            no_bid,
            rest_remainder=rest,
            post_only=ticket.post_only,
            subaccount=entry.client.whose(ticket.subaccount) or 0,
            reviewed=deal.reviewed,
        )
    except HaltedError as error:
        raise halted(error, entry.store.halt()) from error


# -- what both do -------------------------------------------------------------------------------------------------


def _sent(entry: OrderEntry, deal: QuoteTrade, send: Callable[[RfqQuote], None], wanted: str) -> RfqQuote:
    """Write it down and send it once. Without an answer the quote is looked at, until it has gone that far or provably
    cannot any more.
    """
    client, quote = entry.client, deal.quote
    assert quote is not None
    agreed = _written(entry, deal.proposals[0].submit, quote)
    try:
        send(quote)
    except HaltedError as error:
        _ended(entry, agreed, "HALTED")
        raise halted(error, entry.store.halt()) from error
    except (ExchangeError, UnreachableError) as error:
        _ended(entry, agreed, error.code)
        error.hint = short_of_cash(error.code, deal.proposals[0].market.exchange_index) or error.hint
        raise
    except OutcomeUnknownError as error:
        found = _look(client, entry.clock, quote, wanted)
        if found.status == "cancelled":
            _ended(entry, agreed, "cancelled")
            raise UnreachableError(
                f"no answer came, and quote {quote.quote_id} is cancelled ({found.reason or 'no reason given'})",
                hint="nothing is outstanding: kalshi rfq list, kalshi quote list",
                code="never_arrived",
            ) from error
        if not has_ended(found, wanted):
            raise
        return found
    with suppress(KalshiError):  # it is done; how it stands now is only to be shown
        return client.quote(quote.quote_id, quote.rfq_id)
    return msgspec.structs.replace(quote, status=wanted)


def _written(entry: OrderEntry, submit: SubmitOrder | CloseOrder, quote: RfqQuote) -> Order:
    """What the quote would trade, on file before the request leaves. RefusedError where a halt stops it."""
    now = entry.clock.now()
    agreed = msgspec.structs.replace(
        submit.order,
        status=OrderStatus.UNKNOWN,
        code=AGREED,
        reason=f"quote {quote.quote_id}",
        created=now,
        updated=now,
        expires=Ts(now + MAY_TRADE_MS),
    )
    translate_halt(entry.store, lambda: entry.store.record(msgspec.structs.replace(submit, order=agreed)))
    return agreed


def _ended(entry: OrderEntry, agreed: Order, code: str) -> None:
    """It cannot trade. Where that cannot be written down it counts until its time is over."""
    over = msgspec.structs.replace(agreed, status=OrderStatus.REJECTED, code=code, updated=entry.clock.now())
    with suppress(StateFileError):
        entry.store.record(OrderChanged(over))


def _look(client: KalshiClient, clock: Clock, quote: RfqQuote, wanted: str) -> RfqQuote:
    """As last seen within LOOK_S: gone that far, cancelled, or as it was."""
    until, seen = clock.monotonic() + LOOK_S, quote
    while True:
        with suppress(KalshiError):  # whatever is wrong with looking, it may have happened, and that must be said
            seen = client.quote(quote.quote_id, quote.rfq_id)
        if has_ended(seen, wanted) or seen.status == "cancelled" or clock.monotonic() >= until:
            return seen
        clock.sleep(_PAUSE_S)


def has_ended(quote: RfqQuote, wanted: str) -> bool:
    """Whether a quote is accepted, confirmed or executed, or already further."""
    return quote.status in _AHEAD[_AHEAD.index(wanted) :]


def accepted_quotes(client: KalshiClient, tell: Callable[[str], None]) -> tuple[RfqQuote, ...]:
    """Quotes that may trade yet, whoever of this account agreed to them, and wherever: nothing cancels those.

    Empty where nobody can tell: a key may not be allowed to look, and what this program agreed to is on file.
    """
    found: list[RfqQuote] = []
    try:
        for status in ("accepted", "confirmed"):
            found += client.quotes(status=status, limit=MAX_AGREED)
        found += client.quotes(status="confirmed", is_maker=True, limit=MAX_AGREED)
    except (NotFoundError, CredentialsError):
        pass
    except KalshiError as error:
        tell(f"whether a quote that was accepted elsewhere may still trade is not known: {error.message}")
    return tuple(found)


def execution_deadline(quote: RfqQuote) -> Ts:
    """By when an accepted quote has traded, or never will."""
    return Ts((quote.accepted or quote.updated) + MAY_TRADE_MS)


def follow(client: KalshiClient, clock: Clock, quote: RfqQuote, within_s: float) -> RfqQuote:
    """Look at an accepted quote until it is executed or cancelled, or the time is over."""
    until, seen = clock.monotonic() + within_s, quote
    while seen.status not in ("executed", "cancelled") and clock.monotonic() < until:
        clock.sleep(_PAUSE_S)
        with suppress(KalshiError):  # one look that fails does not end the watch
            seen = client.quote(quote.quote_id, quote.rfq_id)
    return seen


# -- as it is shown -----------------------------------------------------------------------------------------------


def new_rfq_row(new: NewRfq, rfq_id: str, status: str) -> RfqRow:
    """Return a request as it was, or would be, sent."""
    nothing = dict.fromkeys(("creator_id", "created", "closed", "reason", "collection"))
    return RfqRow.of(new, rfq_id=rfq_id or None, status=status, mine=True, legs=(), **nothing)


def quote_row(quote: RfqQuote) -> QuoteRow:
    """Return a quote with what whoever accepts its bids pays."""
    return QuoteRow.of(
        quote,
        yes_count=quote.qty("yes") if quote.yes_bid is not None else None,
        no_count=quote.qty("no") if quote.no_bid is not None else None,
        buy_yes=quote.price("no"),
        buy_no=quote.price("yes"),
    )


def deal_rows(deal: QuoteTrade) -> list[QuoteTradeRow]:
    """Return the orders that a quote would lead to."""
    return [
        QuoteTradeRow(
            ticker=ticket.ticker,
            outcome=ticket.outcome,
            count=ticket.qty,
            price=ticket.price,
            cost=proposal.cost,
            fee=proposal.fee,
            worst_loss=proposal.worst_loss,
        )
        for ticket, proposal in zip(deal.tickets, deal.proposals, strict=True)
    ]
