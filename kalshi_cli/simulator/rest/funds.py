"""The REST routes about money and tiers (API.md sections 5.8, 5.11, 5.13, 5.14). Moving money costs the read bucket."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

import msgspec

from kalshi_cli.base.units import Money, Qty, Ts, format_money, format_qty
from kalshi_cli.simulator.matching.collateral import leg_price
from kalshi_cli.simulator.matching.member import SimAccount
from kalshi_cli.simulator.matching.mirror import DelayedView
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.listing import OrderRejection
from kalshi_cli.simulator.model.transfer_records import MovementRecord, TransferRecord
from kalshi_cli.simulator.protocol.replies import Json, flat, nested, refused
from kalshi_cli.simulator.protocol.routing import Route, RouteCall
from kalshi_cli.simulator.rest.account_reads import exact
from kalshi_cli.simulator.trading.order_gateway import OrderGateway
from kalshi_cli.simulator.trading.transfers import CashService

T = TypeVar("T", bound=msgspec.Struct)

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
UNLIMITED = 1_000_000
"""What an allowance without a limit is shown as."""
SHARES = {
    "expert": (75, 50),
    "premier": (125, 100),
    "paragon": (250, 200),
    "prime": (500, 400),
    "prestige": (1000, 800),
}
"""The share of the exchange's volume, in thousandths of a percent, that earns a tier and that keeps it."""

Shard = Annotated[int, msgspec.Meta(ge=0, le=100)]
Subaccount = Annotated[int, msgspec.Meta(ge=0, le=63)]
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


class FundsRoutes:
    """Every method answers the body of its success, or None where there is none."""

    def __init__(self, state: SimulatorState, floor: OrderGateway) -> None:
        self._state = state
        self._funds = CashService(state, floor)

    def routes(self) -> list[Route]:
        def route(method: str, path: str, operation: str, answer: Callable[[RouteCall], Json | None]) -> Route:
            return Route(method, path, operation, answer, is_private=True)

        subaccounts, between = "/portfolio/subaccounts", "/portfolio/intra_exchange_instance_transfer"
        allocation, level = "/portfolio/target_balance_allocation", "/account/api_usage_level"
        create = route("POST", subaccounts, "CreateSubaccount", self.create_subaccount)
        # The specification's own words: "costs 30 tokens and uses the Predictions Write bucket".
        upgrade = route("POST", f"{level}/upgrade", "UpgradeAccountApiUsageLevel", self.upgrade)
        return [
            route("GET", "/account/limits", "GetAccountApiLimits", self.limits),
            route("GET", f"{level}/volume_progress", "GetAccountApiUsageLevelVolumeProgress", self.volume_progress),
            msgspec.structs.replace(upgrade, cost=30, is_write=True, success=201),
            route("GET", "/portfolio/deposits", "GetDeposits", self.deposits),
            route("GET", "/portfolio/withdrawals", "GetWithdrawals", self.withdrawals),
            msgspec.structs.replace(create, success=201),
            route("GET", f"{subaccounts}/balances", "GetSubaccountBalances", self.subaccount_balances),
            route("GET", f"{subaccounts}/netting", "GetSubaccountNetting", self.netting),
            route("PUT", f"{subaccounts}/netting", "UpdateSubaccountNetting", self.set_netting),
            route("POST", f"{subaccounts}/transfer", "ApplySubaccountTransfer", self.transfer_to_subaccount),
            route("GET", f"{subaccounts}/transfers", "GetSubaccountTransfers", self.subaccount_transfers),
            route("POST", between, "IntraExchangeInstanceTransfer", self.transfer_to_shard),
            route("GET", f"{between}s", "GetIntraExchangeInstanceTransfers", self.shard_transfers),
            route("GET", f"{between}s/:transfer_id", "GetIntraExchangeInstanceTransfer", self.shard_transfer),
            route("GET", allocation, "GetTargetBalanceAllocation", self.allocation),
            route("POST", allocation, "SetTargetBalanceAllocation", self.set_allocation),
            route(
                "GET",
                "/portfolio/summary/total_resting_order_value",
                "GetPortfolioRestingOrderTotalValue",
                self.resting_value,
            ),
        ]

    # -- tiers --

    def limits(self, call: RouteCall) -> Json:
        name = _name(call)
        (read, write), sizes = self._funds.rates(name), self._funds.capacities(name)
        grant = {"exchange_instance": "event_contract", "level": "advanced", "source": "manual"}
        return {
            "usage_tier": self._funds.tier(name),
            "read": {"refill_rate": read or UNLIMITED, "bucket_capacity": sizes[0] or UNLIMITED},
            "write": {"refill_rate": write or UNLIMITED, "bucket_capacity": sizes[1] or UNLIMITED},
            "grants": [grant] if self._funds.of(name).terms.is_advanced else [],
        }

    def volume_progress(self, call: RouteCall) -> Json:
        """Computed every full hour, as the exchange does it by a timer."""
        computed = Ts(call.now // HOUR_MS * HOUR_MS)
        ours = sum(fill.qty for fill in self._mirror(call).fills if computed - 30 * DAY_MS <= fill.ts <= computed)
        whole = sum(market.volume for market in self._state.markets.values())
        goals = [
            {
                "level": level,
                "earn_volume_goal_fp": format_qty(Qty(whole * earn // 100_000)),
                "keep_volume_goal_fp": format_qty(Qty(whole * keep // 100_000)),
            }
            for level, (earn, keep) in SHARES.items()
        ]
        progress = {"computed_ts": computed // 1000, "trailing_30d_volume_fp": format_qty(Qty(ours)), "goals": goals}
        return {"volume_progress": [progress]}

    def upgrade(self, call: RouteCall) -> None:
        """For who placed one of the last hundred orders by API: here every order was."""
        if not self._mirror(call).orders:
            raise nested(403, "forbidden", "no API-created order was found in the latest 100 orders")
        self._funds.set_terms(msgspec.structs.replace(self._funds.of(_name(call)).terms, is_advanced=True))

    # -- in and out --

    def deposits(self, call: RouteCall) -> Json:
        return self._movements(call, "deposits", is_out=False)

    def withdrawals(self, call: RouteCall) -> Json:
        return self._movements(call, "withdrawals", is_out=True)

    def _movements(self, call: RouteCall, name: str, *, is_out: bool) -> Json:
        newest = (one for one in reversed(self._funds.of(_name(call)).movements) if one.is_out == is_out)
        found, cursor = call.query.page(newest, lambda one: -one.number, most=500)
        return {name: [_movement_json(one) for one in found], "cursor": cursor}

    # -- subaccounts --

    def create_subaccount(self, call: RouteCall) -> Json:
        self._free_of_lock(call)
        wanted = _read(call.body or b"{}", _NewSubaccount)
        self._known_shard(wanted.exchange_index)
        if self._state.options.subaccounts_need_advanced and self._funds.tier(_name(call)) == "basic":
            raise nested(403, "forbidden", "subaccounts need Advanced API access")
        number = self._state.add_subaccount(self._member(call), call.now)
        if number is None:
            raise nested(400, "invalid_parameters", "the maximum of 63 subaccounts is reached")
        return {"subaccount_number": number}

    def subaccount_balances(self, call: RouteCall) -> Json:
        purses = self._mirror(call).purses
        shown = [
            {
                "subaccount_number": number,
                "exchange_index": shard,
                "balance": exact(purse.cash if (purse := purses.get((number, shard))) else Money(0)),
                "updated_ts": (purse.updated if purse else call.now) // 1000,
            }
            for number, shard in self._pockets(call)
        ]
        return {"subaccount_balances": shown}

    def netting(self, call: RouteCall) -> Json:
        off = self._funds.of(_name(call)).terms.netting_off
        shown = [
            {"subaccount_number": number, "enabled": number not in off, "exchange_index": shard}
            for number, shard in self._pockets(call)
        ]
        return {"netting_configs": shown}

    def set_netting(self, call: RouteCall) -> None:
        wanted = _read(call.body, _Netting)
        number = call.allowed(wanted.subaccount_number, 0)
        if number is None or not self._member(call).has_subaccount(number):
            raise nested(400, "invalid_parameters", f"subaccount {number} does not exist")
        terms = self._funds.of(_name(call)).terms
        off = sorted({*terms.netting_off, number} if not wanted.enabled else {*terms.netting_off} - {number})
        self._funds.set_terms(msgspec.structs.replace(terms, netting_off=off))

    def transfer_to_subaccount(self, call: RouteCall) -> Json:
        """At once; an id that was used before is a conflict, whatever else is asked under it."""
        self._free_of_lock(call)
        wanted = _read(call.body, _BetweenSubaccounts)
        _uuid(wanted.client_transfer_id)
        if self._funds.used(_name(call), wanted.client_transfer_id, is_async=False):
            raise nested(409, "transfer_already_exists", "client_transfer_id was used before")
        outcome = self._funds.transfer(
            _name(call),
            (wanted.from_subaccount, wanted.exchange_index),
            (wanted.to_subaccount, wanted.exchange_index),
            Money(wanted.amount_cents * 10_000),
            call.now,
            client_transfer_id=wanted.client_transfer_id,
        )
        if isinstance(outcome, OrderRejection):
            raise refused(outcome)
        return {}

    def subaccount_transfers(self, call: RouteCall) -> Json:
        newest = (one for one in reversed(self._funds.of(_name(call)).transfers) if not one.is_async)
        found, cursor = call.query.page(newest, lambda one: -one.number)
        shown = [
            {
                "transfer_id": one.transfer_id,
                "from_subaccount": one.from_subaccount,
                "to_subaccount": one.to_subaccount,
                "amount_cents": one.amount // 10_000,
                "created_ts": one.created // 1000,
                "exchange_index": one.from_shard,
            }
            for one in found
        ]
        return {"transfers": shown, "cursor": cursor}

    # -- shards --

    def transfer_to_shard(self, call: RouteCall) -> Json:
        """Accepted now, done a moment later. An id that comes again stands for the transfer it stood for before."""
        self._free_of_lock(call)
        wanted = _read(call.body, _BetweenShards)
        if not self._state.switches.is_active:
            raise nested(409, "exchange_is_paused")
        if "margined" in (wanted.source, wanted.destination):
            raise nested(400, "invalid_parameters", "the margined exchange is not simulated")
        source = (wanted.source_subaccount, wanted.source_exchange_shard)
        target = (wanted.destination_subaccount, wanted.destination_exchange_shard)
        amount = Money(wanted.amount * 100)
        if wanted.client_transfer_id:
            _uuid(wanted.client_transfer_id)
            if source[0] or target[0]:
                raise nested(400, "invalid_parameters", "client_transfer_id is for primary accounts only")
            before = self._funds.used(_name(call), wanted.client_transfer_id, is_async=True)
            if before is not None:
                return self._again(
                    before, (before.from_shard, before.to_shard, before.amount) == (source[1], target[1], amount)
                )
        outcome = self._funds.transfer(
            _name(call),
            source,
            target,
            amount,
            call.now,
            client_transfer_id=wanted.client_transfer_id,
            is_async=True,
        )
        if isinstance(outcome, OrderRejection):
            raise refused(outcome)
        return {"transfer_id": outcome.transfer_id}

    def _again(self, before: TransferRecord, is_identical: bool) -> Json:
        if is_identical and self._state.options.repeated_transfer == "same_id":
            return {"transfer_id": before.transfer_id}
        raise nested(409, "transfer_already_exists", "client_transfer_id was used before")

    def shard_transfers(self, call: RouteCall) -> Json:
        newest = (one for one in reversed(self._funds.of(_name(call)).transfers) if one.is_async)
        found, cursor = call.query.page(newest, lambda one: -one.number, most=500)
        return {"transfers": [_transfer_json(one) for one in found], "cursor": cursor}

    def shard_transfer(self, call: RouteCall) -> Json:
        for one in self._funds.of(_name(call)).transfers:
            if one.is_async and one.transfer_id == call.path[0]:
                return {"transfer": _transfer_json(one)}
        raise nested(404, "not_found")

    def allocation(self, call: RouteCall) -> Json:
        terms = self._funds.of(_name(call)).terms
        shares = [{"exchange_index": shard, "percent": percent} for shard, percent in sorted(terms.shares.items())]
        return {"allocations": shares, "resting_margin_reservation": terms.reservation}

    def set_allocation(self, call: RouteCall) -> Json:
        self._free_of_lock(call)
        wanted = _read(call.body, _Allocation)
        shares = {share.exchange_index: share.percent for share in wanted.allocations}
        for shard in shares:
            self._known_shard(shard)
        if len(shares) < len(wanted.allocations) or (shares and sum(shares.values()) != 100):
            raise nested(400, "invalid_parameters", "percentages must total 100, each exchange index once")
        terms = msgspec.structs.replace(
            self._funds.of(_name(call)).terms, shares=shares, reservation=wanted.resting_margin_reservation
        )
        self._funds.set_terms(terms)
        return {}

    def resting_value(self, call: RouteCall) -> Json:
        """What resting orders cost if they fill, over all subaccounts."""
        worth = dict.fromkeys(range(self._state.options.shards), 0)
        for order in self._member(call).orders():
            worth[order.exchange_index] += leg_price(order.side, order.price) * order.remaining
        return {
            "total_resting_order_value": sum(worth.values()) // 10_000,
            "resting_order_value_breakdown": [
                {"exchange_index": shard, "balance": exact(Money(value))} for shard, value in worth.items()
            ],
        }

    # -- parts --

    def _member(self, call: RouteCall) -> SimAccount:
        return self._state.members[_name(call)]

    def _mirror(self, call: RouteCall) -> DelayedView:
        mirror = self._member(call).mirror
        assert mirror is not None
        return mirror.at(call.now)

    def _pockets(self, call: RouteCall) -> list[tuple[int, int]]:
        """Every subaccount that the key may see, on every shard."""
        numbers = [call.lock] if call.lock is not None else range(self._member(call).record.subaccounts + 1)
        return [(number, shard) for number in numbers for shard in range(self._state.options.shards)]

    def _known_shard(self, shard: int) -> None:
        if not 0 <= shard < self._state.options.shards:
            raise nested(400, "invalid_parameters", f"exchange index {shard} does not exist")

    @staticmethod
    def _free_of_lock(call: RouteCall) -> None:
        """A key of one subaccount moves no money between several."""
        if call.lock is not None:
            raise nested(403, "forbidden", f"this API key is restricted to subaccount {call.lock}")


def _name(call: RouteCall) -> str:
    assert call.account is not None
    return call.account


def _read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise flat(f"{kind.__name__.lstrip('_')}: {error}") from error


def _uuid(text: str) -> None:
    try:
        uuid.UUID(text)
    except ValueError as error:
        raise nested(400, "invalid_parameters", "client_transfer_id is not a UUID") from error


def _movement_json(one: MovementRecord) -> Json:
    return {
        "id": one.movement_id,
        "status": "applied",
        "type": "ach",
        "amount_cents": one.amount // 10_000,
        "fee_cents": 0,
        "created_ts": one.created // 1000,
        "finalized_ts": one.created // 1000,
    }


def _transfer_json(one: TransferRecord) -> Json:
    return {
        "transfer_id": one.transfer_id,
        "source": "event_contract",
        "destination": "event_contract",
        "source_exchange_shard": one.from_shard,
        "destination_exchange_shard": one.to_shard,
        "amount": format_money(one.amount)[:-2],
        "status": "complete" if one.is_complete else "pending",
        "created_ts": one.created // 1000,
    }
