"""Cash of one account: balances by shard and subaccount, and transfers that are never executed twice."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import ExchangeError, KalshiError, OutcomeUnknownError, RateLimitedError, UsageError
from kalshi_cli.base.units import Money, show_money
from kalshi_cli.core.account.closing_orders import reserved_cash
from kalshi_cli.core.account.ledger import Position
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.wire.funds import PRIMARY, Allocation, RestingValue, ShardTransfer
from kalshi_cli.services.account.portfolio import closing_marks, closing_value, markets_without_own
from kalshi_cli.views import cash

RESOLVE_S = 10.0
"""The time for which an unanswered transfer is looked up."""
COMPLETE_S = 3.0
"""The time for which an accepted transfer is read until it is complete."""
MAX_KNOWN = 2_000
"""The number of transfers that are read to tell a new one from earlier ones."""
_PAUSE_S = 0.5

EVENTS = "event_contract"
"""The exchange's product that holds event contracts."""


def balance(client: KalshiClient, clock: Clock, subaccount: int | None) -> cash.BalanceView:
    """Return cash by shard, the part that resting orders need, the value of the positions, and that of resting orders.

    Covers the primary account unless a subaccount is given. The positions have the value that `kalshi portfolio`
    shows, at closing prices; the exchange's own value, at last prices, stands beside it.
    """
    found, read = client.balance(subaccount), clock.now()
    account = subaccount or PRIMARY
    orders = [each for each in client.all_orders(status="resting") if each.subaccount == account]
    stated = [each for each in client.positions(subaccount=subaccount) if each.position]
    reserved = reserved_cash(orders, {(account, each.ticker): each.position for each in stated})
    held = [Position(each.ticker, qty=each.position, cost=each.exposure) for each in stated]
    tickers = sorted({each.ticker for each in held})
    value = closing_value(held, closing_marks(held, markets_without_own(client, tickers)))
    resting = None if subaccount else _resting(client)
    by_shard = resting.shards if resting is not None else {}
    return cash.BalanceView.of(
        found,
        portfolio_value=value,
        total=found.cash + value,
        reported_value=found.portfolio_value,
        as_of=read,
        resting_value=None if resting is None else resting.total,
        reserved=reserved,
        available=Money(found.cash - reserved),
        shards=tuple(
            cash.ShardCashRow(exchange_index=shard, cash=held, resting_value=by_shard.get(shard))
            for shard, held in sorted(found.shards.items())
        ),
    )


def _resting(client: KalshiClient) -> RestingValue | None:
    """Return the value of resting orders; None where refused: the exchange means this route for intermediaries."""
    try:
        return client.resting_value()
    except RateLimitedError:
        raise
    except ExchangeError:
        return None


class ShardMove(msgspec.Struct, frozen=True, kw_only=True):
    """Cash to move from one shard to another."""

    amount: Money
    from_shard: int
    to_shard: int
    from_subaccount: int = PRIMARY
    to_subaccount: int = PRIMARY
    client_transfer_id: str

    def __post_init__(self) -> None:
        if (self.from_shard, self.from_subaccount) == (self.to_shard, self.to_subaccount):
            raise UsageError(
                "The source and the destination are the same", hint="--from and --to are shards; see `kalshi balance`"
            )
        if self.from_shard == self.to_shard:
            raise UsageError(
                "This is a transfer between subaccounts, not between shards",
                hint=f"run `kalshi subaccounts transfer --from {self.from_subaccount} --to {self.to_subaccount} "
                f"--exchange-index {self.from_shard} --amount {show_money(self.amount).lstrip('$').replace(',', '')}`",
            )

    @property
    def is_primary(self) -> bool:
        """Return whether both ends are primary: only there the exchange applies a repeated transfer once."""
        return self.from_subaccount == PRIMARY and self.to_subaccount == PRIMARY


def describe_transfer(client: KalshiClient, move: ShardMove) -> list[str]:
    """Return the facts to show before the user agrees: the transfer and the balances of both shards."""
    lies = {(held.exchange_index, held.subaccount): held.balance for held in client.subaccount_balances()}
    places = [(move.from_shard, move.from_subaccount), (move.to_shard, move.to_subaccount)]
    there, then = map(lies.get, places)
    start, end = (f"shard {shard}" + (f" (subaccount {number})" if number else "") for shard, number in places)
    return [
        f"move {show_money(move.amount)} from {start} to {end}",
        f"available: shard {move.from_shard} {show_money(there)}, shard {move.to_shard} {show_money(then)}",
    ]


def transfer(client: KalshiClient, clock: Clock, move: ShardMove) -> ShardTransfer:
    """Transfer the cash once. An unanswered transfer is looked up in the list of transfers.

    OutcomeUnknownError, naming the transfer's id, where the list does not show it: it may still be executed.
    """
    known = {one.transfer_id for one in client.shard_transfers(MAX_KNOWN)}
    started = clock.now()
    try:
        transfer_id = client.transfer_to_shard(**msgspec.structs.asdict(move))
    except OutcomeUnknownError as error:
        found = _look_for(client, clock, move, known)
        if found is None:
            raise OutcomeUnknownError(error.message, hint=_hint(move)) from error
        transfer_id = found.transfer_id
    accepted = ShardTransfer(
        transfer_id, EVENTS, EVENTS, move.from_shard, move.to_shard, move.amount, "pending", started
    )
    return _watch(client, clock, accepted)


def unsent(move: ShardMove) -> cash.TransferRow:
    """Return the transfer as a dry run shows it."""
    return cash.TransferRow.of(
        move, transfer_id=None, from_instance=EVENTS, to_instance=EVENTS, status="dry_run", created=None
    )


def _hint(move: ShardMove) -> str:
    look = "it may still be executed; check with `kalshi transfer list`"
    if not move.is_primary:
        return look
    return f"{look}. With --client-transfer-id {move.client_transfer_id}, sending it again applies it at most once"


def _look_for(client: KalshiClient, clock: Clock, move: ShardMove, known: set[str]) -> ShardTransfer | None:
    """Return a transfer like this one that did not exist before; None after RESOLVE_S."""
    until = clock.monotonic() + RESOLVE_S
    wanted = (move.from_shard, move.to_shard, move.amount)
    while clock.monotonic() < until:
        with suppress(KalshiError):  # a failed read must not hide that the transfer may be under way
            for one in client.shard_transfers(MAX_KNOWN):
                if one.transfer_id not in known and (one.from_shard, one.to_shard, one.amount) == wanted:
                    return one
        clock.sleep(_PAUSE_S)
    return None


def _watch(client: KalshiClient, clock: Clock, accepted: ShardTransfer) -> ShardTransfer:
    """Return the transfer once it is complete, or after COMPLETE_S as last read, which may be pending."""
    until = clock.monotonic() + COMPLETE_S
    seen = accepted
    while True:
        with suppress(KalshiError):  # it is already accepted; the list shows the rest
            seen = client.shard_transfer(accepted.transfer_id)
        if seen.status == "complete" or clock.monotonic() >= until:
            return seen
        clock.sleep(_PAUSE_S)


def wanted_allocation(typed: Sequence[str], reservation: str, *, off: bool) -> Allocation:
    """Parse shares like `0=60 2=40`.

    UsageError where they do not add up to 100, or where neither shares nor `off` are given.
    """
    if off == bool(typed):
        raise UsageError("Give either percentages or --off", hint="run `kalshi allocation set 0=60 2=40`")
    shares: dict[int, int] = {}
    for word in typed:
        shard, _, percent = word.partition("=")
        if not (shard.isdecimal() and percent.isdecimal() and len(word) < 10) or int(shard) in shares:
            raise UsageError(f"Invalid percentage: {word[:20]!r}", hint="give each shard once, for example 0=60 2=40")
        shares[int(shard)] = int(percent)
    check_shares(shares)
    return Allocation(shares, reservation or "sum")


def check_shares(shares: dict[int, int]) -> None:
    """Raise UsageError where the shares, in percent by shard, do not add up to 100. No shares at all are allowed."""
    if shares and sum(shares.values()) != 100:
        raise UsageError(f"The percentages add up to {sum(shares.values())}, not 100", hint="for example 0=60 2=40")


def allocation_view(allocation: Allocation) -> cash.AllocationView:
    """Return the shares, by shard."""
    return cash.AllocationView(
        active=bool(allocation.shares),
        resting_margin_reservation=allocation.reservation,
        rows=tuple(
            cash.AllocationRow(exchange_index=at, percent=share) for at, share in sorted(allocation.shares.items())
        ),
    )
