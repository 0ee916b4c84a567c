"""What the simulated exchange keeps of the money of an account beside its purses; written to the journal as it is."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Money, Ts


class MovementRecord(msgspec.Struct, kw_only=True, frozen=True):
    """Money from outside, or (`is_out`) to there. `number` counts those of the account from 0."""

    number: int
    account: str
    movement_id: str
    is_out: bool
    amount: Money
    created: Ts


class TransferRecord(msgspec.Struct, kw_only=True):
    """Cash between two purses of an account; between subaccounts of one shard, or (`is_async`) asked of the exchange.

    `number` counts those of the account from 0. Not `is_complete`: what is to move is held back where it lies.
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
    """What an account chose and was granted. `shares` are percent by shard; `swept` is when they were last applied."""

    account: str
    netting_off: list[int] = []
    shares: dict[int, int] = {}
    reservation: str = "sum"
    swept: Ts = Ts(0)
    is_advanced: bool = False


class Account:
    """The same, while the exchange runs."""

    def __init__(self, name: str) -> None:
        self.movements: list[MovementRecord] = []
        self.transfers: list[TransferRecord] = []
        self.pending: list[TransferRecord] = []
        self.terms = TermsRecord(account=name)

    def take(self, record: MovementRecord | TransferRecord | TermsRecord) -> None:
        match record:
            case MovementRecord():
                self.movements.append(record)
            case TransferRecord():
                self.transfers.append(record)
                if not record.is_complete:
                    self.pending.append(record)
            case TermsRecord():
                self.terms = record
