"""One intent on the disk, as a mapped row of SQLAlchemy. The same journal and the same synchronisation as ours."""

import itertools
import sys

from sqlalchemy import create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from bench.loopback import TICKER
from bench.worker import repeat, serve

NOW = 1_780_000_000_000


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    client_order_id: Mapped[str] = mapped_column(primary_key=True)
    order_id: Mapped[str] = mapped_column(index=True)
    ticker: Mapped[str]
    side: Mapped[str]
    price: Mapped[int]
    qty: Mapped[int]
    filled: Mapped[int]
    status: Mapped[str]
    created: Mapped[int]
    updated: Mapped[int]
    strategy: Mapped[str]
    fair: Mapped[int | None]
    reason: Mapped[str]


engine = create_engine(f"sqlite:///{sys.argv[1]}/sqlalchemy.db")


@event.listens_for(engine, "connect")
def prepare(connection, _record):  # type: ignore[no-untyped-def]
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


Base.metadata.create_all(engine)
numbers = itertools.count()


def intend() -> None:
    with Session(engine) as session:
        session.add(
            Order(
                client_order_id=f"bench-{next(numbers)}",
                order_id="",
                ticker=TICKER,
                side="bid",
                price=4700,
                qty=1000,
                filled=0,
                status="submitted",
                created=NOW,
                updated=NOW,
                strategy="fade",
                fair=4900,
                reason="cheap against fair",
            )
        )
        session.commit()


serve({"intend": repeat(intend)})
