"""Money between the pockets of one account: where it lies, and how to move it without ever moving it twice."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import ExchangeError, KalshiError, OutcomeUnknownError, RateLimitedError, UsageError
from kalshi_cli.base.units import Money, show_money
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.wire.funds import PRIMARY, Allocation, RestingValue, ShardTransfer
from kalshi_cli.views import cash

RESOLVE_S = 10.0
"""How long an unanswered transfer is looked for."""
COMPLETE_S = 3.0
"""How long an accepted transfer is watched until it is complete."""
MAX_KNOWN = 2_000
"""Transfers read to tell a new one from those of before."""
_PAUSE_S = 0.5

EVENTS = "event_contract"
"""The product of the exchange that all of this is about."""


def balance(client: KalshiClient, subaccount: int | None) -> cash.BalanceView:
    """Return cash by shard, positions, and what resting orders are worth, of all subaccounts unless one is named."""
    found = client.balance(subaccount)
    resting = None if subaccount else _resting(client)
    by_shard = resting.shards if resting is not None else {}
    return cash.BalanceView.of(
        found,
        total=found.cash + found.portfolio_value,
        as_of=found.ts,
        resting_value=None if resting is None else resting.total,
        shards=tuple(
            cash.ShardCashRow(exchange_index=shard, cash=held, resting_value=by_shard.get(shard))
            for shard, held in sorted(found.shards.items())
        ),
    )


def _resting(client: KalshiClient) -> RestingValue | None:
    """The exchange means this route for members of an intermediary, and may refuse it to others."""
    try:
        return client.resting_value()
    except RateLimitedError:
        raise
    except ExchangeError:
        return None


class ShardMove(msgspec.Struct, frozen=True, kw_only=True):
    """Cash to be moved from one shard to another."""

    amount: Money
    from_shard: int
    to_shard: int
    from_subaccount: int = PRIMARY
    to_subaccount: int = PRIMARY
    client_transfer_id: str

    def __post_init__(self) -> None:
        if (self.from_shard, self.from_subaccount) == (self.to_shard, self.to_subaccount):
            raise UsageError("money cannot be moved to where it is", hint="--from and --to are shards: kalshi balance")
        if self.from_shard == self.to_shard:
            raise UsageError(
                "this moves money between subaccounts, not between shards",
                hint=f"kalshi subaccounts transfer --from {self.from_subaccount} --to {self.to_subaccount} "
                f"--exchange-index {self.from_shard} --amount {show_money(self.amount).lstrip('$').replace(',', '')}",
            )

    @property
    def is_primary(self) -> bool:
        """Only there the exchange honours the id, and applies a repeated transfer once."""
        return self.from_subaccount == PRIMARY and self.to_subaccount == PRIMARY

    @property
    def facts(self) -> str:
        """In words, for a question."""
        places = [(self.from_shard, self.from_subaccount), (self.to_shard, self.to_subaccount)]
        start, end = (f"shard {shard}" + (f" (subaccount {number})" if number else "") for shard, number in places)
        return f"move {show_money(self.amount)} from {start} to {end}"


def describe_transfer(client: KalshiClient, move: ShardMove) -> list[str]:
    """What a person must know before saying yes: what moves, and what lies there now."""
    lies = {(held.exchange_index, held.subaccount): held.balance for held in client.subaccount_balances()}
    there = lies.get((move.from_shard, move.from_subaccount))
    then = lies.get((move.to_shard, move.to_subaccount))
    return [
        move.facts,
        f"there: shard {move.from_shard} {show_money(there)}, shard {move.to_shard} {show_money(then)}",
    ]


def transfer(client: KalshiClient, clock: Clock, move: ShardMove) -> ShardTransfer:
    """Move it, once. Where no answer comes the transfer is looked for in the list of all transfers.

    OutcomeUnknownError, naming the transfer's id, where it is not found there: then it may still happen.
    """
    known = {one.transfer_id for one in client.shard_transfers(MAX_KNOWN)}
    started = clock.now()
    try:
        transfer_id = client.transfer_to_shard(
            move.amount,
            from_shard=move.from_shard,
            to_shard=move.to_shard,
            from_subaccount=move.from_subaccount,
            to_subaccount=move.to_subaccount,
            client_transfer_id=move.client_transfer_id,
        )
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
    """Return the transfer as it would be sent."""
    return cash.TransferRow.of(
        move, transfer_id=None, from_instance=EVENTS, to_instance=EVENTS, status="dry_run", created=None
    )


def _hint(move: ShardMove) -> str:
    look = "it may still happen; look for it: kalshi transfer list"
    if not move.is_primary:
        return look
    return f"{look}. Sent again with --client-transfer-id {move.client_transfer_id} it is applied at most once"


def _look_for(client: KalshiClient, clock: Clock, move: ShardMove, known: set[str]) -> ShardTransfer | None:
    """A transfer like this one that was not there before."""
    until = clock.monotonic() + RESOLVE_S
    wanted = (move.from_shard, move.to_shard, move.amount)
    while clock.monotonic() < until:
        with suppress(KalshiError):  # whatever is wrong with looking, money may be on its way, and that must be said
            for one in client.shard_transfers(MAX_KNOWN):
                if one.transfer_id not in known and (one.from_shard, one.to_shard, one.amount) == wanted:
                    return one
        clock.sleep(_PAUSE_S)
    return None


def _watch(client: KalshiClient, clock: Clock, accepted: ShardTransfer) -> ShardTransfer:
    """As the exchange shows it when it is complete, or after a few seconds; reads may trail, and then it is pending."""
    until = clock.monotonic() + COMPLETE_S
    seen = accepted
    while True:
        with suppress(KalshiError):  # it is accepted already; the list shows the rest
            seen = client.shard_transfer(accepted.transfer_id)
        if seen.status == "complete" or clock.monotonic() >= until:
            return seen
        clock.sleep(_PAUSE_S)


def wanted_allocation(typed: Sequence[str], reservation: str, *, off: bool) -> Allocation:
    """`0=60 2=40` as shares; UsageError where they do not add up, or where neither shares nor `off` are given."""
    if off == bool(typed):
        raise UsageError("give either shares or --off", hint="kalshi allocation set 0=60 2=40")
    shares: dict[int, int] = {}
    for word in typed:
        shard, _, percent = word.partition("=")
        if not (shard.isdecimal() and percent.isdecimal() and len(word) < 10) or int(shard) in shares:
            raise UsageError(f"not a share: {word[:20]!r}", hint="each shard once, like 0=60 2=40")
        shares[int(shard)] = int(percent)
    check_shares(shares)
    return Allocation(shares, reservation or "sum")


def check_shares(shares: dict[int, int]) -> None:
    """Raise UsageError where the shares, in percent by shard, do not add up to 100; no shares are allowed."""
    if shares and sum(shares.values()) != 100:
        raise UsageError(f"the shares add up to {sum(shares.values())} percent, not 100", hint="like 0=60 2=40")


def allocation_view(allocation: Allocation) -> cash.AllocationView:
    """Return the shares, by shard."""
    return cash.AllocationView(
        active=bool(allocation.shares),
        resting_margin_reservation=allocation.reservation,
        rows=tuple(
            cash.AllocationRow(exchange_index=at, percent=share) for at, share in sorted(allocation.shares.items())
        ),
    )
