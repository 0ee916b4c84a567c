"""Cash of an account: deposits, transfers, the sweep between shards, and API tiers.

Left out: with netting off an account could hold YES and NO of one market; here the setting is stored, and positions
net. The sweep never touches reserved cash, whichever reservation is chosen. Transfers to the margined exchange are
refused.
"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from kalshi_cli.base.units import Money, Ts
from kalshi_cli.simulator.matching.member import SimAccount
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.transfer_records import MovementRecord, TermsRecord, TransferRecord
from kalshi_cli.simulator.protocol.replies import RejectionError, invalid, matching
from kalshi_cli.simulator.trading.order_gateway import BalanceKey, OrderGateway

SWEEP_MS = 10_000
"""The interval of the sweeps that apply the target allocation."""
CENT = 10_000
RATES = {
    "basic": (200, 100),
    "advanced": (300, 300),
    "expert": (600, 600),
    "premier": (1_200, 1_200),
    "paragon": (2_400, 2_400),
    "prime": (4_800, 4_800),
    "prestige": (12_000, 9_600),
}
"""The tokens per second of each tier, read and write (API.md section 8).

The buckets of Basic and Advanced hold two seconds of reads, those above Basic two seconds of writes, all others one:
documented in August 2026 and recorded in July (Basic 400). In June Basic held 200, in October Advanced 900.
"""

_MOVEMENTS = uuid.UUID("6c7f0d2e-52a4-4b8b-9a10-6b1f4f1d0c55")


class CashService:
    """Moves money outside of trading. Its data is in the state, so several instances may exist."""

    def __init__(self, state: SimulatorState, gateway: OrderGateway) -> None:
        self._state = state
        self._gateway = gateway

    # -- deposits and withdrawals --

    def deposit(self, name: str, amount: Money, now: Ts, *, subaccount: int = 0, exchange_index: int = 0) -> None:
        """Deposit money at once and without a fee."""
        self._gateway.add_cash(name, (subaccount, exchange_index), amount, now)
        self._note(name, amount, now, is_out=False)

    def withdraw(self, name: str, amount: Money, now: Ts, *, subaccount: int = 0, exchange_index: int = 0) -> None:
        """Withdraw free cash."""
        if amount <= 0 or self._state.members[name].purse(subaccount, exchange_index).free < amount:
            raise RejectionError(400, "insufficient_balance")
        self._gateway.add_cash(name, (subaccount, exchange_index), Money(-amount), now)
        self._note(name, amount, now, is_out=True)

    def _note(self, name: str, amount: Money, now: Ts, *, is_out: bool) -> None:
        number = len(self._state.funds_of(name).movements)
        movement_id = str(uuid.uuid5(_MOVEMENTS, f"{name}/{number}"))
        record = MovementRecord(
            number=number, account=name, movement_id=movement_id, is_out=is_out, amount=amount, created=now
        )
        self._state.funds_of(name).take(record)
        self._state.keep(f"movement/{name}/{number}", record)

    # -- transfers --

    def transfer(
        self,
        name: str,
        source: BalanceKey,
        target: BalanceKey,
        amount: Money,
        now: Ts,
        client_id: str = "",
        *,
        is_async: bool = False,
    ) -> TransferRecord:
        """Move cash between two balances, each a (subaccount, shard): at once, or `transfer_ms` from now."""
        member = self._state.members[name]
        self._check(member, source, target, amount)
        record = TransferRecord(
            number=len(self._state.funds_of(name).transfers),
            account=name,
            transfer_id=self._state.new_id(),
            client_transfer_id=client_id,
            is_async=is_async,
            from_subaccount=source[0],
            from_shard=source[1],
            to_subaccount=target[0],
            to_shard=target[1],
            amount=amount,
            created=now,
        )
        self._state.funds_of(name).take(record)
        self._keep(record)
        self._hold(member, record)
        if not is_async or self._state.options.transfer_ms == 0:
            self._complete(member, record, now)
        return record

    def used(self, name: str, client_transfer_id: str, *, is_async: bool) -> TransferRecord | None:
        """Return the earlier transfer of this kind with this client id."""
        found = matching(self._state.funds_of(name).transfers, is_async=is_async, client_transfer_id=client_transfer_id)
        return next(found, None) if client_transfer_id else None

    def _check(self, member: SimAccount, source: BalanceKey, target: BalanceKey, amount: Money) -> None:
        for subaccount, shard in (source, target):
            if not member.has_subaccount(subaccount):
                raise invalid(f"subaccount {subaccount} does not exist")
            if not 0 <= shard < self._state.options.shards:
                raise invalid(f"exchange index {shard} does not exist")
        if source == target:
            raise invalid("source and destination are the same")
        if amount <= 0:
            raise invalid("amount must be positive")
        if member.purse(*source).free < amount:
            raise RejectionError(400, "insufficient_balance")

    def _hold(self, member: SimAccount, record: TransferRecord) -> None:
        """Reserve the amount of a transfer until it moves."""
        purse = member.purse(record.from_subaccount, record.from_shard)
        purse.reserved[_held(record)] = record.amount
        purse.reserved_total = Money(purse.reserved_total + record.amount)

    def _complete(self, member: SimAccount, record: TransferRecord, now: Ts) -> None:
        source, target = (record.from_subaccount, record.from_shard), (record.to_subaccount, record.to_shard)
        member.purse(*source).drop(_held(record))
        if not self._gateway.move_cash(record.account, source, target, record.amount, now):
            self._hold(member, record)  # unreserved fees used some of it: the transfer waits for enough cash
            return
        record.is_complete = True
        self._state.funds_of(record.account).pending.remove(record)
        self._keep(record)

    def _keep(self, record: TransferRecord) -> None:
        self._state.keep(f"transfer/{record.account}/{record.number}", record)

    # -- time --

    def restart(self) -> None:
        """Reserve the amounts of pending transfers after a restore."""
        for account in self._state.funds.values():
            for record in account.pending:
                self._hold(self._state.members[record.account], record)

    def advance(self, now: Ts) -> None:
        """Complete the transfers and apply the allocations that are due."""
        for name, account in self._state.funds.items():
            for record in tuple(account.pending):
                if now >= record.created + self._state.options.transfer_ms:
                    self._complete(self._state.members[name], record, now)
            terms = account.terms
            if terms.shares and now >= terms.swept + SWEEP_MS:
                self._sweep(self._state.members[name], terms, now)

    def _sweep(self, member: SimAccount, terms: TermsRecord, now: Ts) -> None:
        """Spread the free cash of the primary subaccount over the shards, in whole cents."""
        self.set_terms(terms.account, swept=now)
        purses = {shard: member.purse(0, shard) for shard in range(self._state.options.shards)}
        free = {shard: max(0, purse.free) for shard, purse in purses.items()}
        total = sum(free.values())
        wanted = {shard: total * terms.shares.get(shard, 0) // 100 // CENT * CENT for shard in purses}
        spare = {shard: free[shard] - wanted[shard] for shard in purses if free[shard] > wanted[shard]}
        for shard in purses:
            missing = wanted[shard] - free[shard]
            for giver in spare:
                moved = min(missing, spare[giver])
                if moved > 0:
                    self._gateway.move_cash(member.record.name, (0, giver), (0, shard), Money(moved), now)
                    spare[giver] -= moved
                    missing -= moved

    # -- settings and tiers --

    def set_terms(self, name: str, **chosen: Any) -> None:
        """Change these settings of the account."""
        terms = msgspec.structs.replace(self._state.funds_of(name).terms, **chosen)
        self._state.funds_of(name).take(terms)
        self._state.keep(f"terms/{name}", terms)

    def tier(self, name: str) -> str:
        """Return the higher of the usual tier and the granted one."""
        usual = self._state.options.usage_tier
        return "advanced" if self._state.funds_of(name).terms.is_advanced and usual == "basic" else usual

    def rates(self, name: str) -> tuple[int, int]:
        """Return the tokens per second, read and write: those of the options, or of the granted tier if higher."""
        options = self._state.options
        usual = (options.read_rate, options.write_rate)
        if self.tier(name) == options.usage_tier or 0 in usual:
            return usual
        granted = RATES[self.tier(name)]
        return max(usual[0], granted[0]), max(usual[1], granted[1])

    def capacities(self, name: str) -> tuple[int, int]:
        """Return the capacity of the read and the write bucket: those of the options, or the seconds of the tier."""
        options, tier = self._state.options, self.tier(name)
        read, write = self.rates(name)
        read_s, write_s = 2 if tier in ("basic", "advanced") else 1, 1 if tier == "basic" else 2
        return options.read_capacity or read_s * read, options.write_capacity or write_s * write


def _held(record: TransferRecord) -> str:
    return f"transfer/{record.number}"
