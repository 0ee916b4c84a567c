"""Records of deposits, withdrawals and transfers, as they are written to the journal."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Money, Ts


class MovementRecord(msgspec.Struct, kw_only=True, frozen=True):
    """A deposit or, with `is_out`, a withdrawal. `number` counts those of the account from 0."""

    number: int
    account: str
    movement_id: str
    is_out: bool
    amount: Money
    created: Ts


class TransferRecord(msgspec.Struct, kw_only=True):
    """A transfer of cash inside an account: between subaccounts of one shard or, with `is_async`, between shards.

    `number` counts those of the account from 0. Until `is_complete` the amount is held back at its source.
    """

    number: int
    account: str
    transfer_id: str
    client_transfer_id: str
    is_async: bool
    from_subaccount: int
    from_shard: int
    to_subaccount: int
    to_shard: int
    amount: Money
    created: Ts
    is_complete: bool = False


class TermsRecord(msgspec.Struct, kw_only=True):
    """The settings and grants of an account. `shares` are percent by shard; `swept` is when they were last applied."""

    account: str
    netting_off: list[int] = []
    shares: dict[int, int] = {}
    reservation: str = "sum"
    swept: Ts = Ts(0)
    is_advanced: bool = False


class Account:
    """The deposits, withdrawals, transfers and settings of an account while the exchange runs."""

    def __init__(self, name: str) -> None:
        self.movements: list[MovementRecord] = []
        self.transfers: list[TransferRecord] = []
        self.pending: list[TransferRecord] = []
        self.terms = TermsRecord(account=name)

    def take(self, record: MovementRecord | TransferRecord | TermsRecord) -> None:
        """Add a record."""
        match record:
            case MovementRecord():
                self.movements.append(record)
            case TransferRecord():
                self.transfers.append(record)
                if not record.is_complete:
                    self.pending.append(record)
            case TermsRecord():
                self.terms = record
