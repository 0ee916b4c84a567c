"""The REST routes of money and API tiers (API.md 5.8, 5.11, 5.13, 5.14). Transfers are billed to the read bucket."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Annotated, Literal

import msgspec

from kalshi_cli.base.units import Money, Qty, Ts, format_money, format_qty
from kalshi_cli.simulator.matching.collateral import leg_price
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.calendar import DAY, HOUR
from kalshi_cli.simulator.model.transfer_records import Account, MovementRecord, TransferRecord
from kalshi_cli.simulator.protocol.replies import Json, RejectionError, existing, invalid, matching, refusing
from kalshi_cli.simulator.protocol.routing import RouteCall, Routes, Subaccount, private, route
from kalshi_cli.simulator.protocol.shapes import show
from kalshi_cli.simulator.rest.account_reads import exact
from kalshi_cli.simulator.trading import order_gateway, transfers

UNLIMITED = 1_000_000
"""The value that is shown for an unlimited rate."""
SHARES = {
    "expert": (75, 50),
    "premier": (125, 100),
    "paragon": (250, 200),
    "prime": (500, 400),
    "prestige": (1000, 800),
}
"""The share of the exchange's volume, in thousandths of a percent, that earns a tier and that keeps it."""

Shard = Annotated[int, msgspec.Meta(ge=0, le=100)]
Instance = Literal["event_contract", "margined"]


class _NewSubaccount(msgspec.Struct):
    exchange_index: Shard = 0


class _Netting(msgspec.Struct):
    subaccount_number: Subaccount
    enabled: bool


class _BetweenSubaccounts(msgspec.Struct):
    client_transfer_id: str
    from_subaccount: Subaccount
    to_subaccount: Subaccount
    amount_cents: int
    exchange_index: Shard = 0


class _BetweenShards(msgspec.Struct):
    source: Instance
    destination: Instance
    amount: int
    source_exchange_shard: Shard = 0
    destination_exchange_shard: Shard = 0
    source_subaccount: Subaccount = 0
    destination_subaccount: Subaccount = 0
    client_transfer_id: str = ""


class _Share(msgspec.Struct):
    exchange_index: Annotated[int, msgspec.Meta(ge=0)]
    percent: Annotated[int, msgspec.Meta(ge=0, le=100)]


class _Allocation(msgspec.Struct):
    allocations: Annotated[list[_Share], msgspec.Meta(max_length=101)]
    resting_margin_reservation: Literal["max", "sum", "none"] = "sum"


_SUBACCOUNTS, _BETWEEN = "/portfolio/subaccounts", "/portfolio/intra_exchange_instance_transfer"
_ALLOCATION, _LEVEL = "/portfolio/target_balance_allocation", "/account/api_usage_level"
put = partial(route, "PUT", is_private=True)
post = partial(route, "POST", is_private=True)


class FundsRoutes(Routes):
    """Tiers, deposits, subaccounts and transfers of an account."""

    def __init__(self, state: SimulatorState, gateway: order_gateway.OrderGateway) -> None:
        super().__init__(state)
        self._funds = transfers.CashService(state, gateway)

    # -- tiers --

    @private("/account/limits", "GetAccountApiLimits")
    def limits(self, call: RouteCall) -> Json:
        """Return the API rate limits of the account."""
        name = call.caller
        sizes = zip(("read", "write"), self._funds.rates(name), self._funds.capacities(name), strict=True)
        grant = {"exchange_instance": "event_contract", "level": "advanced", "source": "manual"}
        return {
            "usage_tier": self._funds.tier(name),
            "grants": [grant] if self._state.funds_of(name).terms.is_advanced else [],
            **{
                kind: {"refill_rate": rate or UNLIMITED, "bucket_capacity": capacity or UNLIMITED}
                for kind, rate, capacity in sizes
            },
        }

    @private(f"{_LEVEL}/volume_progress", "GetAccountApiUsageLevelVolumeProgress")
    def volume_progress(self, call: RouteCall) -> Json:
        """Return the progress to the next tier, computed every full hour as on the exchange."""
        computed = Ts(call.now // HOUR * HOUR)
        own = sum(fill.qty for fill in self._mirror(call).fills if computed - 30 * DAY <= fill.ts <= computed)
        whole = sum(market.volume for market in self._state.markets.values())
        goals = [
            {
                "level": level,
                "earn_volume_goal_fp": format_qty(Qty(whole * earn // 100_000)),
                "keep_volume_goal_fp": format_qty(Qty(whole * keep // 100_000)),
            }
            for level, (earn, keep) in SHARES.items()
        ]
        progress = {"computed_ts": computed // 1000, "trailing_30d_volume_fp": format_qty(Qty(own)), "goals": goals}
        return {"volume_progress": [progress]}

    @post(f"{_LEVEL}/upgrade", "UpgradeAccountApiUsageLevel", cost=30, is_write=True, success=201)
    def upgrade(self, call: RouteCall) -> None:
        """Upgrade an account that placed one of its last hundred orders by API; here every order is.

        The specification: "costs 30 tokens and uses the Predictions Write bucket".
        """
        if not self._mirror(call).orders:
            raise RejectionError(403, "forbidden", "no API-created order was found in the latest 100 orders")
        self._funds.set_terms(call.caller, is_advanced=True)

    # -- deposits and withdrawals --

    @private("/portfolio/deposits", "GetDeposits")
    @private("/portfolio/withdrawals", "GetWithdrawals")
    def movements(self, call: RouteCall) -> Json:
        """Return the deposits or the withdrawals."""
        name = call.query.operation.removeprefix("Get").lower()
        found = matching(reversed(self._account(call).movements), is_out=name == "withdrawals")
        return call.query.listing(name, found, _movement_json, most=500)

    # -- subaccounts --

    @post(_SUBACCOUNTS, "CreateSubaccount", success=201)
    def create_subaccount(self, call: RouteCall) -> Json:
        """Open a subaccount."""
        self._free_of_lock(call)
        self._known_shard(call.read(_NewSubaccount).exchange_index)
        if self._state.options.subaccounts_need_advanced and self._funds.tier(call.caller) == "basic":
            raise RejectionError(403, "forbidden", "subaccounts need Advanced API access")
        number = self._state.add_subaccount(self._member(call), call.now)
        if number is None:
            raise invalid("the maximum of 63 subaccounts is reached")
        return {"subaccount_number": number}

    @private(f"{_SUBACCOUNTS}/balances", "GetSubaccountBalances")
    def subaccount_balances(self, call: RouteCall) -> Json:
        """Return the balance of each subaccount on each shard."""
        purses = self._mirror(call).purses
        shown = [
            {
                "subaccount_number": number,
                "exchange_index": shard,
                "balance": exact(purse.cash if (purse := purses.get((number, shard))) else Money(0)),
                "updated_ts": (purse.updated if purse else call.now) // 1000,
            }
            for number, shard in self._balance_keys(call)
        ]
        return {"subaccount_balances": shown}

    @private(f"{_SUBACCOUNTS}/netting", "GetSubaccountNetting")
    def netting(self, call: RouteCall) -> Json:
        """Return the netting setting of each subaccount."""
        off = self._account(call).terms.netting_off
        shown = [
            {"subaccount_number": number, "enabled": number not in off, "exchange_index": shard}
            for number, shard in self._balance_keys(call)
        ]
        return {"netting_configs": shown}

    @put(f"{_SUBACCOUNTS}/netting", "UpdateSubaccountNetting")
    def set_netting(self, call: RouteCall) -> None:
        """Set the netting of a subaccount."""
        wanted = call.read(_Netting)
        number = call.allowed(wanted.subaccount_number, 0)
        if number is None or not self._member(call).has_subaccount(number):
            raise invalid(f"subaccount {number} does not exist")
        others = set(self._account(call).terms.netting_off) - {number}
        self._funds.set_terms(call.caller, netting_off=sorted(others if wanted.enabled else others | {number}))

    @post(f"{_SUBACCOUNTS}/transfer", "ApplySubaccountTransfer")
    def transfer_to_subaccount(self, call: RouteCall) -> Json:
        """Transfer cash between subaccounts at once; a used client id is a conflict, whatever else it asks for."""
        self._free_of_lock(call)
        wanted = call.read(_BetweenSubaccounts)
        _uuid(wanted.client_transfer_id)
        if self._funds.used(call.caller, wanted.client_transfer_id, is_async=False):
            raise _used_before()
        source, target = ((number, wanted.exchange_index) for number in (wanted.from_subaccount, wanted.to_subaccount))
        amount, client_id = Money(wanted.amount_cents * 10_000), wanted.client_transfer_id
        self._funds.transfer(call.caller, source, target, amount, call.now, client_id)
        return {}

    @private(f"{_SUBACCOUNTS}/transfers", "GetSubaccountTransfers")
    def subaccount_transfers(self, call: RouteCall) -> Json:
        """Return the transfers between subaccounts, the newest first."""
        found = matching(reversed(self._account(call).transfers), is_async=False)
        return call.query.listing("transfers", found, _moved_json)

    # -- shards --

    @post(_BETWEEN, "IntraExchangeInstanceTransfer")
    def transfer_to_shard(self, call: RouteCall) -> Json:
        """Accept a transfer between shards, which completes later. A repeated client id means the earlier transfer."""
        self._free_of_lock(call)
        wanted = call.read(_BetweenShards)
        if not self._state.switches.is_active:
            raise RejectionError(409, "exchange_is_paused")
        if "margined" in (wanted.source, wanted.destination):
            raise invalid("the margined exchange is not simulated")
        source = (wanted.source_subaccount, wanted.source_exchange_shard)
        target = (wanted.destination_subaccount, wanted.destination_exchange_shard)
        amount = Money(wanted.amount * 100)
        if wanted.client_transfer_id:
            _uuid(wanted.client_transfer_id)
            if source[0] or target[0]:
                raise invalid("client_transfer_id is for primary accounts only")
            before = self._funds.used(call.caller, wanted.client_transfer_id, is_async=True)
            if before is not None:
                is_same = (before.from_shard, before.to_shard, before.amount) == (source[1], target[1], amount)
                if is_same and self._state.options.repeated_transfer == "same_id":
                    return {"transfer_id": before.transfer_id}
                raise _used_before()
        client_id = wanted.client_transfer_id
        made = self._funds.transfer(call.caller, source, target, amount, call.now, client_id, is_async=True)
        return {"transfer_id": made.transfer_id}

    @private(f"{_BETWEEN}s", "GetIntraExchangeInstanceTransfers")
    def shard_transfers(self, call: RouteCall) -> Json:
        """Return the transfers between shards, the newest first."""
        found = matching(reversed(self._account(call).transfers), is_async=True)
        return call.query.listing("transfers", found, _transfer_json, most=500)

    @private(f"{_BETWEEN}s/:transfer_id", "GetIntraExchangeInstanceTransfer")
    def shard_transfer(self, call: RouteCall) -> Json:
        """Return one transfer between shards."""
        found = matching(self._account(call).transfers, is_async=True, transfer_id=call.path[0])
        return {"transfer": _transfer_json(existing(next(found, None)))}

    @private(_ALLOCATION, "GetTargetBalanceAllocation")
    def allocation(self, call: RouteCall) -> Json:
        """Return the target allocation of cash."""
        terms = self._account(call).terms
        shares = [{"exchange_index": shard, "percent": percent} for shard, percent in sorted(terms.shares.items())]
        return {"allocations": shares, "resting_margin_reservation": terms.reservation}

    @post(_ALLOCATION, "SetTargetBalanceAllocation")
    def set_allocation(self, call: RouteCall) -> Json:
        """Set the target allocation of cash."""
        self._free_of_lock(call)
        wanted = call.read(_Allocation)
        shares = {share.exchange_index: share.percent for share in wanted.allocations}
        for shard in shares:
            self._known_shard(shard)
        if len(shares) < len(wanted.allocations) or (shares and sum(shares.values()) != 100):
            raise invalid("percentages must total 100, each exchange index once")
        self._funds.set_terms(call.caller, shares=shares, reservation=wanted.resting_margin_reservation)
        return {}

    @private("/portfolio/summary/total_resting_order_value", "GetPortfolioRestingOrderTotalValue")
    def resting_value(self, call: RouteCall) -> Json:
        """Return the cost of all resting orders if they fill, over all subaccounts."""
        values = dict.fromkeys(range(self._state.options.shards), 0)
        for order in self._member(call).orders():
            values[order.exchange_index] += leg_price(order.side, order.price) * order.remaining
        parts = [{"exchange_index": shard, "balance": exact(Money(value))} for shard, value in values.items()]
        total = sum(values.values()) // 10_000
        return {"total_resting_order_value": total, "resting_order_value_breakdown": parts}

    # -- parts --

    def _account(self, call: RouteCall) -> Account:
        return self._state.funds_of(call.caller)

    def _balance_keys(self, call: RouteCall) -> list[tuple[int, int]]:
        """Return every subaccount that the key may see, on every shard."""
        numbers = [call.lock] if call.lock is not None else range(self._member(call).record.subaccounts + 1)
        return [(number, shard) for number in numbers for shard in range(self._state.options.shards)]

    def _known_shard(self, shard: int) -> None:
        if not 0 <= shard < self._state.options.shards:
            raise invalid(f"exchange index {shard} does not exist")

    @staticmethod
    def _free_of_lock(call: RouteCall) -> None:
        """Refuse a key of one subaccount, which may not move money between several."""
        if call.lock is not None:
            raise RejectionError(403, "forbidden", f"this API key is restricted to subaccount {call.lock}")


def _used_before() -> RejectionError:
    return RejectionError(409, "transfer_already_exists", "client_transfer_id was used before")


def _uuid(text: str) -> None:
    with refusing(invalid("client_transfer_id is not a UUID")):
        uuid.UUID(text)


def _movement_json(one: MovementRecord) -> Json:
    times = dict.fromkeys(("created_ts", "finalized_ts"), one.created // 1000)
    same = {"status": "applied", "type": "ach", "fee_cents": 0}
    return show(one, "id amount_cents", id=one.movement_id) | times | same


def _moved_json(one: TransferRecord) -> Json:
    names = "transfer_id from_subaccount to_subaccount amount_cents created_ts exchange_index"
    return show(one, names, created_ts=one.created // 1000, exchange_index=one.from_shard)


def _transfer_json(one: TransferRecord) -> Json:
    return {
        **show(one, "transfer_id source_exchange_shard destination_exchange_shard"),
        **dict.fromkeys(("source", "destination"), "event_contract"),
        "amount": format_money(one.amount)[:-2],
        "status": "complete" if one.is_complete else "pending",
        "created_ts": one.created // 1000,
    }
