"""Check the cash balance."""

from __future__ import annotations

from kalshi_cli.base.units import DOLLAR, show_money
from kalshi_cli.core.monitoring.check_report import Breach, CheckReport, report
from kalshi_cli.services.monitoring.checks.readings import CheckData, measured

FIRST = "cash_usd"


def examine(readings: CheckData) -> CheckReport:
    """Compare the cash of all subaccounts and shards with its range; a negative balance anywhere is critical."""
    pockets = {f"subaccount {each.subaccount} shard {each.exchange_index}": each.balance for each in readings.pockets}
    balance = readings.balance
    pockets = pockets or {f"shard {shard}": held for shard, held in balance.shards.items()}
    cash = readings.cash
    measure = measured("cash_usd", cash / DOLLAR, readings.checks.cash_usd)
    breaches = [
        Breach(subject=name, value=show_money(held), limit="$0.00", severity="critical", code="LOW_BALANCE")
        for name, held in pockets.items()
        if held < 0
    ]
    breaches += measure.breach("LOW_BALANCE", "cash", show_money(cash))
    summary = f"cash {show_money(cash)}, value at last prices {show_money(balance.portfolio_value)}"
    return report("balance", summary, breaches, [measure])
