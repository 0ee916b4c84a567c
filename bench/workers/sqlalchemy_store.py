"""One intent on the disk with SQLAlchemy's core, the leaner half of it. Journal and synchronisation are as ours."""

import itertools
import sys

from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, event, insert

from bench.loopback import TICKER
from bench.worker import repeat, serve

NOW = 1_780_000_000_000
TEXTS = ("order_id", "ticker", "side", "status", "tif", "strategy", "reason", "code")
NUMBERS = ("price", "qty", "filled", "reduced", "created", "updated", "expires", "fees", "fill_cost", "fair")
orders = Table(
    "orders",
    MetaData(),
    Column("client_order_id", String, primary_key=True),
    *(Column(name, String, nullable=False) for name in TEXTS),
    *(Column(name, Integer) for name in NUMBERS),
)
engine = create_engine(f"sqlite:///{sys.argv[1]}/sqlalchemy.db")


@event.listens_for(engine, "connect")
def prepare(connection, _record):  # type: ignore[no-untyped-def]
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


orders.metadata.create_all(engine)
order = {
    **dict.fromkeys(NUMBERS, 0),
    **dict.fromkeys(TEXTS, ""),
    "ticker": TICKER,
    "side": "bid",
    "price": 4700,
    "qty": 1000,
    "status": "submitted",
    "created": NOW,
    "updated": NOW,
    "tif": "good_till_canceled",
    "strategy": "fade",
    "fair": 4900,
    "reason": "cheap against fair",
}
statement = insert(orders)
numbers = itertools.count()


def intend() -> None:
    with engine.begin() as connection:
        connection.execute(statement, {**order, "client_order_id": f"bench-{next(numbers)}"})


serve({"intend": repeat(intend)})
