# mypy: disallow-untyped-defs, disallow-incomplete-defs, disallow-untyped-calls, warn-return-any, no-implicit-reexport
"""The examples of docs/python.md, a bot, and its mistakes. Never run: `make types` checks it, strictly.

The first line is what pyproject.toml lets pass in tests. `make reference` writes the examples again.
"""

# -- docs/python.md --
from kalshi_cli import Kalshi, errors, units

kalshi = Kalshi.open(env="sim")

low, high = units.cents(30), units.cents(70)
open_markets = kalshi.markets.list(status="open")
ticker = next(
    row.ticker for row in open_markets if row.yes_bid and row.yes_ask and low < row.yes_bid < row.yes_ask < high
)
market = kalshi.markets.get(ticker)
assert market.yes_ask is not None
assert market.no_ask is not None
(book,) = kalshi.markets.order_books([ticker])

limit = units.format_price(market.yes_ask + units.cents(2))
plan = kalshi.orders.plan_place(ticker, side="yes", action="buy", count="10", price=limit)
for line in (*plan.facts, *plan.warnings):
    print(line)
assert plan.max_payout == units.dollars(10)
assert plan.max_loss == plan.cost + plan.fees

assert units.cents(47) == units.cents("47") == 4700
assert units.contracts("2.5") == 250
assert units.format_price(units.cents("4.5") * 2) == "0.0900"
try:
    units.contracts(2.5)  # type: ignore[arg-type]
except errors.UsageError as error:
    assert error.hint == "write contracts('2.5')"

from kalshi_cli import OrderTicket

ticket = OrderTicket(ticker=ticker, outcome="no", action="buy", qty=units.contracts(1), price=market.no_ask)
batch = kalshi.orders.plan_batch([ticket])
assert batch.max_payout == units.dollars(1)
try:
    OrderTicket(ticker=ticker, outcome="No", action="buy", qty=100, price=5600)  # type: ignore[arg-type]
except errors.UsageError as error:
    assert error.message == "outcome must be one of yes, no, not 'No'"

order = kalshi.orders.execute(plan)
assert order.filled + order.remaining == units.contracts(10)

try:
    kalshi.orders.execute(plan)
except errors.RefusedError as error:
    assert error.code == "PLAN_EXECUTED"

from kalshi_cli import AmendRequest

price = market.no_ask - units.cents(10)
resting = kalshi.orders.execute(
    kalshi.orders.plan_place(ticker, side="no", action="buy", count="5", price=units.format_price(price))
)
change = AmendRequest(outcome="no", price=price + units.cents(1))
amended = kalshi.orders.execute(kalshi.orders.plan_amend(resting.order_id, change))
smaller = kalshi.orders.execute(kalshi.orders.plan_decrease(amended.order_id, to=amended.remaining // 2))
assert smaller.remaining == units.contracts("2.5")
assert smaller.order_id in [row.order_id for row in kalshi.orders.list()]

done = kalshi.orders.execute(kalshi.orders.plan_cancel(smaller.order_id))
assert done.error is None
assert done.rows[0].canceled

old = [row.order_id for row in kalshi.orders.list() if row.created < kalshi.now - 3_600_000]
if old:
    kalshi.orders.execute(kalshi.orders.plan_cancel(*old))

positions = kalshi.account.positions()
assert ticker in [row.ticker for row in positions]
pnl = kalshi.account.pnl(by="market")

assert kalshi.paper.positions() == []

close = kalshi.orders.plan_close(ticker)
print(*close.facts, sep="\n")
closed = kalshi.orders.execute(close)
assert closed.error is None

result = kalshi.monitoring.check("balance")
assert result.status == "OK"

kalshi.trading.execute(kalshi.trading.plan_pause("before the report"))
assert kalshi.trading.status().state == "paused"
kalshi.trading.execute(kalshi.trading.plan_resume("the report is out"))

group = kalshi.order_groups.execute(kalshi.order_groups.plan_create(units.contracts(100)))
assert group.order_group_id in [row.order_group_id for row in kalshi.order_groups.list()]
kalshi.order_groups.execute(kalshi.order_groups.plan_delete(group.order_group_id))

transfer = kalshi.account.plan_transfer(units.dollars(5), from_shard=0, to_shard=1)
assert transfer.terms.status == "dry_run"

from kalshi_cli import to_dict, to_dicts

rows = to_dicts(kalshi.orders.list("all"))
assert rows[0]["ticker"] == ticker
print(to_dict(kalshi.account.balance())["cash"])

import polars as pl

from kalshi_cli import to_polars
from kalshi_cli.views.orders import OrderRow

frame = to_polars(kalshi.orders.list("all"), OrderRow).with_columns(
    pl.col("price", "count").cast(pl.Decimal(18, 4)),
    pl.col("created").str.to_datetime(time_zone="UTC"),
)
print(frame.select(pl.col("price") * pl.col("count")).sum())

kalshi.close()
# -- end of the page --

from kalshi_cli import ClosePolicy
from kalshi_cli.views.orders import OrderRow
from kalshi_cli.views.positions import PositionRow

# -- a program that calculates with prices, counts and ids of rows, as every bot does --
from typing import Literal

def quote(side: Literal["yes", "no"], row: OrderRow, held: PositionRow) -> None:
    best = market.yes_bid if side == "yes" else market.no_bid
    if best is not None and row.order_id:
        limit = min(best + units.cents(1), units.ONE_DOLLAR - units.cents(1))
        kalshi.orders.plan_place(ticker, side=side, action="buy", count="1", price=units.format_price(limit), tif="ioc")
        kalshi.orders.plan_amend(row.order_id, AmendRequest(price=limit, qty=row.remaining // 2))
        kalshi.orders.plan_ticket(
            OrderTicket(ticker=row.ticker, outcome=side, action="sell", qty=held.count - 100, price=limit)
        )
    kalshi.orders.plan_cancel(row.order_id)
    kalshi.orders.plan_decrease(row.order_id, by=row.remaining - row.filled)
    kalshi.orders.get(row.order_id)
    kalshi.orders.plan_close(row.ticker, ClosePolicy(max_slippage=best and best // 10), count=held.count // 2)
    print(units.show_qty(held.count // 2), units.show_price(limit), units.format_qty(held.count + 1))

# -- mistakes: a type check that no longer finds one fails, because its comment is then unused --

kalshi.orders.plan_place(
    ticker, action="buy", count="1", price="0.4",
    side="YES",  # type: ignore[arg-type]
)
kalshi.orders.plan_place(
    ticker, side="yes", action="buy", count="1", price="0.4",
    tif="day",  # type: ignore[arg-type]
)
kalshi.orders.list("open")  # type: ignore[arg-type]
kalshi.account.pnl(
    by="week",  # type: ignore[arg-type]
)
kalshi.orders.plan_decrease(
    None,
    to=2.5,  # type: ignore[arg-type]
)
AmendRequest(
    price="0.04",  # type: ignore[arg-type]
)
