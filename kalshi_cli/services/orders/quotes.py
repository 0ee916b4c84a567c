"""Trades by quotes: each step that can spend money is reviewed by the same controls as an order.

requester:  rfq -> accept    (`propose_accept`, `accept`)
maker:      quote -> confirm  (`propose_quote`; `propose_confirm`, `confirm`)

The exchange itself enters the orders, under its own client order ids; a later read of the account shows them as
external orders. Until then an agreed trade is in no list and cannot be canceled. So it is saved before the request, as
an order with an unknown outcome: every limit counts it, and the kill switch waits, until a read of the account is new
enough to prove that it traded or never will.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Literal

import msgspec

from kalshi_cli.base import errors
from kalshi_cli.base.checked import check_choice
from kalshi_cli.base.clock import Clock
from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts, show_price, show_qty
from kalshi_cli.core.model.effects import CloseOrder, OrderChanged, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import TimeInForce
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.wire.quotes import NewRfq, Rfq, RfqQuote
from kalshi_cli.exchange.wire.replies import short_of_cash
from kalshi_cli.services.orders.order_effect import effect_phrases
from kalshi_cli.services.orders.place import OrderEntry, OrderProposal, OrderTicket
from kalshi_cli.services.trading.refusals import halted, translate_halt
from kalshi_cli.views.quotes import QuoteRow, QuoteTradeRow, RfqRow

MAY_TRADE_MS = 60_000
"""The longest time between accepting or confirming a quote and its trade, in milliseconds.

It trades within 45 s or not at all: the maker has 30 s to confirm, and the orders enter the book 15 s later. The rest
allows for a late request and for clock differences.
"""

AGREED = "quote_agreed"
"""The code of a saved order that stands for an agreed quote."""

MAX_AGREED = 100
"""The most agreed quotes to read, of each kind."""

LOOK_S = 5.0
"""The time for which an unanswered acceptance or confirmation is looked up."""
_PAUSE_S = 0.5
_AHEAD = ("accepted", "confirmed", "executed")

Outcome = Literal["yes", "no"]
_OTHER: dict[str, Outcome] = {"yes": "no", "no": "yes"}


class QuoteTrade(msgspec.Struct, frozen=True, kw_only=True):
    """A reviewed trade: one order for each bid that could be met."""

    rfq: Rfq
    quote: RfqQuote | None
    tickets: tuple[OrderTicket, ...]
    proposals: tuple[OrderProposal, ...]

    @property
    def reviewed(self) -> TradingState:
        """Return the trading state of the review: nothing is sent where a stricter one holds by then."""
        known = {each.submit.reviewed for each in self.proposals if isinstance(each.submit, SubmitOrder)}
        return TradingState.ACTIVE if TradingState.ACTIVE in known else TradingState.REDUCING

    @property
    def facts(self) -> list[str]:
        """Return the facts to show before the user agrees."""
        said = []
        for ticket, proposal in zip(self.tickets, self.proposals, strict=True):
            said.append(
                f"you buy {show_qty(ticket.qty)} {ticket.outcome.upper()} of {ticket.ticker} "
                f"at {show_price(ticket.price)}"
            )
            effect = msgspec.structs.replace(proposal.effect, fills_better=False)  # a quote trades at its price
            said += effect_phrases(effect, proposal.fee)
        return said


# -- the requester ------------------------------------------------------------------------------------------------


def propose_accept(entry: OrderEntry, rfq_id: str, quote_id: str, side: str) -> QuoteTrade:
    """Review the order that this acceptance would lead to. Sends nothing.

    Accepting the YES bid buys NO at one dollar minus the bid. Raises RefusedError with the control's code.
    """
    check_choice("side", side, _OTHER)
    rfq, quote = entry.client.rfq(rfq_id), entry.client.quote(quote_id, rfq_id)
    if quote.is_mine:
        raise errors.RefusedError(
            "You cannot accept your own quote",
            hint=f"after it is accepted, run `kalshi quote confirm {quote_id}`",
            code="OWN_QUOTE",
        )
    if quote.status != "open":
        raise errors.RefusedError(
            f"The quote is {quote.status}; nothing was sent", hint=f"kalshi rfq quotes {rfq_id}", code="QUOTE_NOT_OPEN"
        )
    price = quote.price(side)
    if price is None:
        raise errors.UsageError(f"The quote has no bid for {side.upper()}", hint=f"--side {_OTHER[side]}")
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
    """Accept once and return the quote; OutcomeUnknownError where it may or may not be accepted."""
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
    """Review the order that each bid could lead to. Sends nothing."""
    if yes_bid is None and no_bid is None:
        raise errors.UsageError("A quote needs a YES bid, a NO bid, or both", hint="--yes-bid 0.40 --no-bid 0.55")
    if (yes_bid or 0) + (no_bid or 0) > ONE_DOLLAR:
        raise errors.UsageError(
            f"The bids {show_price(yes_bid)} and {show_price(no_bid)} add up to more than $1.00",
            hint="you would pay anyone who hits both bids; lower one of them",
        )
    rfq = entry.client.rfq(rfq_id)
    if rfq.is_mine:
        raise errors.RefusedError(
            "You cannot quote your own request", hint=f"kalshi rfq quotes {rfq_id}", code="OWN_RFQ"
        )
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
    """Return the most contracts that a bid can fill; for a request by cost, as if there were no fees."""
    if rfq.target is None:
        return rfq.qty or Qty(0)
    return Qty(rfq.target // max(1, ONE_DOLLAR - bid))


def propose_confirm(entry: OrderEntry, quote_id: str, rfq_id: str) -> QuoteTrade:
    """Review the order that this confirmation would lead to. Sends nothing."""
    quote = entry.client.quote(quote_id, rfq_id)
    if not quote.is_mine or quote.status != "accepted":
        whose = "The quote" if quote.is_mine else "Another member's quote"
        raise errors.RefusedError(
            f"{whose} is {quote.status}; you can only confirm your own quote after it is accepted",
            hint="kalshi quote list",
            code="QUOTE_NOT_ACCEPTED",
        )
    side = quote.accepted_side
    if side not in _OTHER:
        raise errors.UnreachableError(
            f"The exchange names no side of the accepted quote: {side!r}; nothing was sent", hint="kalshi quote list"
        )
    bid = quote.bid(side)
    if bid is None:
        raise errors.UnreachableError(
            "The quote was accepted on a side that it does not bid for", hint="kalshi quote list"
        )
    ticket = OrderTicket(
        ticker=quote.ticker,
        outcome=_OTHER[_OTHER[side]],
        action="buy",
        qty=quote.qty(side),
        price=bid,
        post_only=quote.post_only,
        subaccount=quote.subaccount or None,
    )
    _, proposal = entry.propose(ticket)
    return QuoteTrade(rfq=entry.client.rfq(quote.rfq_id), quote=quote, tickets=(ticket,), proposals=(proposal,))


def confirm(entry: OrderEntry, deal: QuoteTrade) -> RfqQuote:
    """Confirm once and return the quote; OutcomeUnknownError where the outcome is unknown."""
    client, reviewed = entry.client, deal.reviewed
    return _sent(entry, deal, lambda quote: client.confirm_quote(quote.quote_id, quote.rfq_id, reviewed), "confirmed")


def create(entry: OrderEntry, deal: QuoteTrade, yes_bid: Price | None, no_bid: Price | None, *, rest: bool) -> str:
    """Send a reviewed quote and return its id."""
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
    except errors.HaltedError as error:
        raise halted(error, entry.store.halt()) from error


# -- what both do -------------------------------------------------------------------------------------------------


def _sent(entry: OrderEntry, deal: QuoteTrade, send: Callable[[RfqQuote], None], wanted: str) -> RfqQuote:
    """Save the trade and send the request once.

    Without an answer the quote is read until it shows the wanted status, or until that is provably impossible.
    """
    client, quote = entry.client, deal.quote
    assert quote is not None
    agreed = _written(entry, deal.proposals[0].submit, quote)
    try:
        send(quote)
    except errors.HaltedError as error:
        _ended(entry, agreed, "HALTED")
        raise halted(error, entry.store.halt()) from error
    except (errors.ExchangeError, errors.UnreachableError) as error:
        _ended(entry, agreed, error.code)
        error.hint = short_of_cash(error.code, deal.proposals[0].market.exchange_index) or error.hint
        raise
    except errors.OutcomeUnknownError as error:
        found = _look(client, entry.clock, quote, wanted)
        if found.status == "cancelled":
            _ended(entry, agreed, "cancelled")
            raise errors.UnreachableError(
                f"No response, and quote {quote.quote_id} is canceled ({found.reason or 'no reason given'})",
                hint="nothing is outstanding; see `kalshi rfq list` or `kalshi quote list`",
                code="never_arrived",
            ) from error
        if not has_ended(found, wanted):
            raise
        return found
    with suppress(errors.KalshiError):  # the write succeeded; the read is only for display
        return client.quote(quote.quote_id, quote.rfq_id)
    return msgspec.structs.replace(quote, status=wanted)


def _written(entry: OrderEntry, submit: SubmitOrder | CloseOrder, quote: RfqQuote) -> Order:
    """Save the order that the quote would lead to, before the request is sent. RefusedError where a halt stops it."""
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
    """Record that the quote cannot trade. Where that fails, the order counts until it expires."""
    over = msgspec.structs.replace(agreed, status=OrderStatus.REJECTED, code=code, updated=entry.clock.now())
    with suppress(errors.StateFileError):
        entry.store.record(OrderChanged(over))


def _look(client: KalshiClient, clock: Clock, quote: RfqQuote, wanted: str) -> RfqQuote:
    """Read the quote until it has the wanted status or is canceled, for LOOK_S at most; return the last read."""
    until, seen = clock.monotonic() + LOOK_S, quote
    while True:
        with suppress(errors.KalshiError):  # a failed read must not hide that the trade may have happened
            seen = client.quote(quote.quote_id, quote.rfq_id)
        if has_ended(seen, wanted) or seen.status == "cancelled" or clock.monotonic() >= until:
            return seen
        clock.sleep(_PAUSE_S)


def has_ended(quote: RfqQuote, wanted: str) -> bool:
    """Return whether a quote is accepted, confirmed or executed (`wanted`), or further."""
    return quote.status in _AHEAD[_AHEAD.index(wanted) :]


def accepted_quotes(client: KalshiClient, tell: Callable[[str], None]) -> tuple[RfqQuote, ...]:
    """Return quotes of this account that may still trade, wherever they were agreed to: they cannot be canceled.

    Empty where the key may not read quotes; quotes agreed to by this program are on file.
    """
    found: list[RfqQuote] = []
    try:
        for status in ("accepted", "confirmed"):
            found += client.quotes(status=status, limit=MAX_AGREED)
        found += client.quotes(status="confirmed", is_maker=True, limit=MAX_AGREED)
    except (errors.NotFoundError, errors.CredentialsError):
        pass
    except errors.KalshiError as error:
        tell(f"Unknown whether quotes accepted elsewhere may still trade: {error.message}")
    return tuple(found)


def execution_deadline(quote: RfqQuote) -> Ts:
    """Return the time after which an accepted quote cannot trade any more."""
    return Ts((quote.accepted or quote.updated) + MAY_TRADE_MS)


def follow(client: KalshiClient, clock: Clock, row: QuoteRow, within_s: float) -> QuoteRow:
    """Read an accepted quote until it is executed or canceled, or until the time is over."""
    until = clock.monotonic() + within_s
    while row.status not in ("executed", "cancelled") and (left_s := until - clock.monotonic()) > 0:
        clock.sleep(min(_PAUSE_S, left_s))
        with suppress(errors.KalshiError):  # one failed read does not end the wait
            row = quote_row(client.quote(row.quote_id, row.rfq_id))
    return row


# -- as it is shown -----------------------------------------------------------------------------------------------


def new_rfq_row(new: NewRfq, rfq_id: str, status: str) -> RfqRow:
    """Return a request as it was, or would be, sent."""
    nothing = dict.fromkeys(("creator_id", "created", "closed", "reason", "collection"))
    return RfqRow.of(new, rfq_id=rfq_id or None, status=status, mine=True, legs=(), **nothing)


def quote_row(quote: RfqQuote) -> QuoteRow:
    """Return a quote with the prices that accepting its bids costs."""
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
            count=Qty(ticket.qty),
            price=Price(ticket.price),
            cost=proposal.cost,
            fee=proposal.fee,
            worst_loss=proposal.worst_loss,
        )
        for ticket, proposal in zip(deal.tickets, deal.proposals, strict=True)
    ]
