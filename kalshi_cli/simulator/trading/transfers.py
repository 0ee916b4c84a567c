"""Money between the pockets of an account: deposits, transfers that take a moment, the sweep over the shards, tiers.

Left out: with netting off an account could hold YES and NO of one market; here the setting is kept, and positions net.
The sweep never touches what resting orders hold back, whichever reservation is chosen. Transfers to the margined
exchange are refused.
"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from kalshi_cli.base.units import Money, Ts
from kalshi_cli.simulator.matching.member import SimAccount
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.transfer_records import Account, MovementRecord, TermsRecord, TransferRecord
from kalshi_cli.simulator.protocol.replies import RejectionError, invalid
from kalshi_cli.simulator.trading.order_gateway import OrderGateway, Pocket

SWEEP_MS = 10_000
"""How often free cash is spread as the target allocation says."""
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
"""Tokens a second, read and write, of each tier (API.md section 8).

The buckets of Basic and Advanced hold two seconds of reads, those above Basic two seconds of writes, all others one:
documented in August 2026 and recorded in July (Basic 400). In June Basic held 200, in October Advanced 900.
"""

_MOVEMENTS = uuid.UUID("6c7f0d2e-52a4-4b8b-9a10-6b1f4f1d0c55")


class CashService:
    """What happens to money other than trading. All of it is kept in the state: any number of these may be made."""

    def __init__(self, state: SimulatorState, floor: OrderGateway) -> None:
        self._state = state
        self._floor = floor

    def of(self, account: str) -> Account:
        return self._state.funds_of(account)

    # -- from outside --

    def deposit(self, name: str, amount: Money, now: Ts, *, subaccount: int = 0, exchange_index: int = 0) -> None:
        """Money comes in, at once and without a fee."""
        self._floor.deposit(name, amount, now, subaccount=subaccount, exchange_index=exchange_index)
        self._note(name, amount, now, is_out=False)

    def withdraw(self, name: str, amount: Money, now: Ts, *, subaccount: int = 0, exchange_index: int = 0) -> None:
        """Money goes out, as far as no resting order needs it."""
        member = self._state.members[name]
        if amount <= 0 or member.purse(subaccount, exchange_index).free < amount:
            raise RejectionError(400, "insufficient_balance")
        self._floor.deposit(name, Money(-amount), now, subaccount=subaccount, exchange_index=exchange_index)
        self._note(name, amount, now, is_out=True)

    def _note(self, name: str, amount: Money, now: Ts, *, is_out: bool) -> None:
        number = len(self.of(name).movements)
        movement_id = str(uuid.uuid5(_MOVEMENTS, f"{name}/{number}"))
        record = MovementRecord(
            number=number, account=name, movement_id=movement_id, is_out=is_out, amount=amount, created=now
        )
        self.of(name).take(record)
        self._state.keep(f"movement/{name}/{number}", record)

    # -- between pockets --

    def transfer(
        self,
        name: str,
        source: Pocket,
        target: Pocket,
        amount: Money,
        now: Ts,
        client_transfer_id: str = "",
        *,
        is_async: bool = False,
    ) -> TransferRecord:
        """Move cash between two purses, each a (subaccount, shard): at once, or `transfer_ms` from now."""
        member = self._state.members[name]
        self._check(member, source, target, amount)
        record = TransferRecord(
            number=len(self.of(name).transfers),
            account=name,
            transfer_id=self._state.new_id(),
            client_transfer_id=client_transfer_id,
            is_async=is_async,
            from_subaccount=source[0],
            from_shard=source[1],
            to_subaccount=target[0],
            to_shard=target[1],
            amount=amount,
            created=now,
        )
        self.of(name).take(record)
        self._keep(record)
        self._hold(member, record)
        if not is_async or self._state.options.transfer_ms == 0:
            self._complete(member, record, now)
        return record

    def used(self, name: str, client_transfer_id: str, *, is_async: bool) -> TransferRecord | None:
        """The transfer of this kind that was asked for under this id before."""
        found = (one for one in self.of(name).transfers if one.is_async == is_async)
        return next((one for one in found if one.client_transfer_id == client_transfer_id != ""), None)

    def _check(self, member: SimAccount, source: Pocket, target: Pocket, amount: Money) -> None:
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
        """Until it moves, nothing else can use it: held back as what resting orders need is."""
        purse = member.purse(record.from_subaccount, record.from_shard)
        purse.reserved[_held(record)] = record.amount
        purse.reserved_total = Money(purse.reserved_total + record.amount)

    def _complete(self, member: SimAccount, record: TransferRecord, now: Ts) -> None:
        source, target = (record.from_subaccount, record.from_shard), (record.to_subaccount, record.to_shard)
        member.purse(*source).drop(_held(record))
        if not self._floor.move_cash(record.account, source, target, record.amount, now):
            self._hold(member, record)  # fees that nobody held back for ate into it: it waits until there is enough
            return
        record.is_complete = True
        self.of(record.account).pending.remove(record)
        self._keep(record)

    def _keep(self, record: TransferRecord) -> None:
        self._state.keep(f"transfer/{record.account}/{record.number}", record)

    # -- what time does --

    def restart(self) -> None:
        """After a restore: hold back what is still on its way."""
        for account in self._state.funds.values():
            for record in account.pending:
                self._hold(self._state.members[record.account], record)

    def advance(self, now: Ts) -> None:
        """Transfers that are due arrive; allocations that are due are applied."""
        for name, account in self._state.funds.items():
            for record in tuple(account.pending):
                if now >= record.created + self._state.options.transfer_ms:
                    self._complete(self._state.members[name], record, now)
            terms = account.terms
            if terms.shares and now >= terms.swept + SWEEP_MS:
                self._sweep(self._state.members[name], terms, now)

    def _sweep(self, member: SimAccount, terms: TermsRecord, now: Ts) -> None:
        """Spread the free cash of the primary subaccount, in whole cents, from where there is too much."""
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
                    self._floor.move_cash(member.record.name, (0, giver), (0, shard), Money(moved), now)
                    spare[giver] -= moved
                    missing -= moved

    # -- what an account chose, and may do --

    def set_terms(self, name: str, **chosen: Any) -> None:
        """Change these fields of what the account chose."""
        terms = msgspec.structs.replace(self.of(name).terms, **chosen)
        self.of(name).take(terms)
        self._state.keep(f"terms/{name}", terms)

    def tier(self, name: str) -> str:
        """The higher of the tier that everybody has and what was granted."""
        usual = self._state.options.usage_tier
        return "advanced" if self.of(name).terms.is_advanced and usual == "basic" else usual

    def rates(self, name: str) -> tuple[int, int]:
        """Return the tokens a second, read and write: the options', or the granted tier's where it has more."""
        options = self._state.options
        usual = (options.read_rate, options.write_rate)
        if self.tier(name) == options.usage_tier or 0 in usual:
            return usual
        granted = RATES[self.tier(name)]
        return max(usual[0], granted[0]), max(usual[1], granted[1])

    def capacities(self, name: str) -> tuple[int, int]:
        """Return how many tokens the read and the write bucket hold: the options', or the seconds of the tier."""
        options, tier = self._state.options, self.tier(name)
        read, write = self.rates(name)
        read_s, write_s = 2 if tier in ("basic", "advanced") else 1, 1 if tier == "basic" else 2
        return options.read_capacity or read_s * read, options.write_capacity or write_s * write


def _held(record: TransferRecord) -> str:
    return f"transfer/{record.number}"
