"""The table of all REST routes."""

from __future__ import annotations

from collections.abc import Iterator

from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.protocol.routing import Route, Routes
from kalshi_cli.simulator.rest import (
    account_reads,
    candle_reads,
    event_reads,
    funds,
    groups,
    historical,
    market_reads,
    order_changes,
    order_writes,
    status,
)
from kalshi_cli.simulator.trading.order_gateway import OrderGateway


def all_routes(state: SimulatorState, gateway: OrderGateway, *others: Routes) -> Iterator[Route]:
    """Return every route under `/trade-api/v2`."""
    tables = (
        status.StatusRoutes(state),
        candle_reads.CandleReads(state),
        market_reads.Reads(state),
        historical.CutoffRoutes(state),
        event_reads.EventReads(state),
        funds.FundsRoutes(state, gateway),
        order_changes.ChangeRoutes(state, gateway),
        account_reads.AccountReads(state),
        groups.GroupRoutes(state, gateway),
        order_writes.Writes(state, gateway),
        *others,
    )
    return (route for table in tables for route in table.routes())
