"""Endpoints of the account's cash and its transfers: shards, subaccounts, deposits, keys, tiers.

A transfer is a write, and its outcome may stay unknown. A transfer between subaccounts has an id that the exchange
applies once, so it may be sent again. A transfer between shards is sent once, because its id works for primary accounts
only (since 15 October 2026); `services` looks for it if no response came.
"""

from __future__ import annotations

from collections.abc import Iterator

from kalshi_cli.base.units import Money, show_money
from kalshi_cli.exchange import wire
from kalshi_cli.exchange.endpoints.base import Endpoints, quote_part, understood, unreadable_reply_error
from kalshi_cli.exchange.rest.call import ANY_SUCCESS, CANCEL, ONCE
from kalshi_cli.exchange.wire.replies import is_taken, read_refusal
from kalshi_cli.exchange.wire.values import ResponseFormatError

_SUBACCOUNTS = "/portfolio/subaccounts"
_TRANSFER = "/portfolio/intra_exchange_instance_transfer"
_ALLOCATION = "/portfolio/target_balance_allocation"
MAX_MOVEMENTS = 500
"""Largest page of deposits, withdrawals and transfers between shards."""


class FundsEndpoints(Endpoints):
    """Cash of the account, and its permissions."""

    # -- subaccounts --

    def subaccount_balances(self) -> list[wire.funds.SubaccountBalance]:
        """Return the cash of every subaccount, including the primary one (0), on every shard."""
        return wire.funds.read_subaccount_balances(self._get(f"{_SUBACCOUNTS}/balances"))

    def create_subaccount(self, exchange_index: int = 0) -> int:
        """Create the next subaccount (1 to 63) and return its number. Needs the Advanced API tier."""
        body = wire.funds.subaccount_body(exchange_index)
        subject, hint = "creating a subaccount", "check whether it was created: kalshi subaccounts list"
        reply = self._rest.call("POST", _SUBACCOUNTS, ONCE, subject=subject, body=body, if_unknown=hint)
        with understood(subject, hint):
            return wire.funds.read_created(reply)

    def netting(self) -> list[wire.funds.Netting]:
        """Return whether positions net, for every subaccount."""
        return wire.funds.read_netting(self._get(f"{_SUBACCOUNTS}/netting"))

    def set_netting(self, subaccount: int, *, enabled: bool) -> None:
        """Switch netting of a subaccount on or off."""
        body = wire.funds.netting_body(subaccount, enabled=enabled)
        subject, hint = f"netting of subaccount {subaccount}", "check with `kalshi subaccounts netting`"
        self._rest.call("PUT", f"{_SUBACCOUNTS}/netting", CANCEL, subject=subject, body=body, if_unknown=hint)

    def transfer_to_subaccount(
        self,
        amount: Money,
        *,
        client_transfer_id: str,
        from_subaccount: int,
        to_subaccount: int,
        exchange_index: int = 0,
    ) -> bool:
        """Move whole cents between subaccounts on one shard; return False if this id was applied before.

        It is sent again without a response, under the same id; then a 409 says that the first one arrived.
        """
        body = wire.funds.subaccount_transfer_body(
            amount,
            client_transfer_id=client_transfer_id,
            from_subaccount=from_subaccount,
            to_subaccount=to_subaccount,
            exchange_index=exchange_index,
        )
        subject = f"transfer {client_transfer_id} of {show_money(amount)} to subaccount {to_subaccount}"
        hint = (
            f"check with `kalshi subaccounts transfers`. With --client-transfer-id {client_transfer_id}, "
            "sending it again applies it at most once"
        )
        path = f"{_SUBACCOUNTS}/transfer"
        reply = self._rest.call(
            "POST", path, CANCEL, subject=subject, body=body, answered=(*ANY_SUCCESS, 409), if_unknown=hint
        )
        refusal = read_refusal(reply)
        if is_taken(refusal.code):
            return False
        if not reply.lstrip().startswith(b"{") or refusal.message or refusal.code:
            raise unreadable_reply_error(subject, ResponseFormatError("The response cannot be read"), hint)
        return True

    def subaccount_transfers(self) -> Iterator[wire.funds.SubaccountTransfer]:
        """Return transfers between subaccounts."""
        return self._pages(f"{_SUBACCOUNTS}/transfers", {}, wire.funds.read_subaccount_transfers)

    # -- shards --

    def transfer_to_shard(
        self,
        amount: Money,
        *,
        from_shard: int,
        to_shard: int,
        from_subaccount: int = 0,
        to_subaccount: int = 0,
        client_transfer_id: str = "",
    ) -> str:
        """Move cash to another shard; return the id of the transfer, which completes after the response.

        Between numbered subaccounts it runs in up to three steps; if a later one fails, the earlier ones stay done.
        """
        body = wire.funds.shard_transfer_body(
            amount,
            from_shard=from_shard,
            to_shard=to_shard,
            from_subaccount=from_subaccount,
            to_subaccount=to_subaccount,
            client_transfer_id=client_transfer_id,
        )
        subject = f"transfer of {show_money(amount)} from shard {from_shard} to shard {to_shard}"
        hint = "check with `kalshi transfer list`"
        reply = self._rest.call("POST", _TRANSFER, ONCE, subject=subject, body=body, if_unknown=hint)
        with understood(subject, hint):
            return wire.funds.read_transfer_id(reply)

    def shard_transfers(self, limit: int | None = None) -> Iterator[wire.funds.ShardTransfer]:
        """Return transfers between shards."""
        return self._pages(f"{_TRANSFER}s", {}, wire.funds.read_shard_transfers, limit, most=MAX_MOVEMENTS)

    def shard_transfer(self, transfer_id: str) -> wire.funds.ShardTransfer:
        """Return one transfer between shards."""
        return wire.funds.read_shard_transfer(self._get(f"{_TRANSFER}s/{quote_part(transfer_id)}"))

    def allocation(self) -> wire.funds.Allocation:
        """Return the automatic distribution of free cash over the shards."""
        return wire.funds.read_allocation(self._get(_ALLOCATION))

    def set_allocation(self, shares: dict[int, int], reservation: str = "") -> None:
        """Set percentages by shard, adding up to 100; none turns the automatic allocation off."""
        body = wire.funds.allocation_body(shares, reservation)
        subject, hint = "setting the cash allocation", "check with `kalshi allocation show`"
        self._rest.call("POST", _ALLOCATION, CANCEL, subject=subject, body=body, if_unknown=hint)

    def resting_value(self) -> wire.funds.RestingValue:
        """Return the value of resting orders. For members of an intermediary; others may be rejected."""
        return wire.funds.read_resting_value(self._get("/portfolio/summary/total_resting_order_value"))

    # -- in and out --

    def deposits(self, limit: int | None = None) -> Iterator[wire.funds.CashMovement]:
        """Return deposits."""
        return self._pages("/portfolio/deposits", {}, wire.funds.read_deposits, limit, most=MAX_MOVEMENTS)

    def withdrawals(self, limit: int | None = None) -> Iterator[wire.funds.CashMovement]:
        """Return withdrawals."""
        return self._pages("/portfolio/withdrawals", {}, wire.funds.read_withdrawals, limit, most=MAX_MOVEMENTS)

    # -- permissions --

    def api_keys(self) -> wire.account.ApiKeys:
        """Return the account's API keys, without their secrets."""
        return wire.account.read_api_keys(self._get("/api_keys"))

    def volume_progress(self) -> list[wire.account.VolumeProgress]:
        """Return the traded volume, and the goals of the tiers."""
        return wire.account.read_volume_progress(self._get("/account/api_usage_level/volume_progress"))

    def upgrade_tier(self) -> None:
        """Request the permanent Advanced tier, granted if one of the last 100 orders was placed by API."""
        path, hint = "/account/api_usage_level/upgrade", "check with `kalshi limits`"
        self._rest.call("POST", path, CANCEL, subject="requesting the API tier upgrade", if_unknown=hint)
