"""The simulated exchange as a pure state machine: requests in, responses out, frames on the connections.

No clock, no sockets, no randomness: time comes with each call, ids from a callable. `handle` and `connect` are what the
wire reaches; the other methods are for the world that trades beside the user, past signatures and limits.
"""

from __future__ import annotations

from collections.abc import Callable

from kalshi_cli.core.model import Side
from kalshi_cli.sim.journal import Journal
from kalshi_cli.sim.listing import EventSpec, MarketSpec, NewOrder, Receipt, Refusal, SeriesSpec, SimOptions
from kalshi_cli.units import Money, Price, Qty, Ts


class Exchange:
    """A work in progress: signatures are meant to last, bodies follow."""

    def __init__(
        self, *, new_id: Callable[[], str], options: SimOptions | None = None, journal: Journal | None = None
    ) -> None:
        raise NotImplementedError

    def restore(self) -> bool:
        """Rebuild everything from the journal; False where it is empty. Call once, before anything else."""
        raise NotImplementedError

    # -- the world's own methods --

    def list_series(self, spec: SeriesSpec) -> None: ...

    def list_event(self, spec: EventSpec, now: Ts) -> None: ...

    def list_market(self, spec: MarketSpec, now: Ts) -> None:
        """Opens by itself at `open_time` and closes at `close_time`, in `advance`."""
        raise NotImplementedError

    def add_account(self, name: str, cash: Money) -> None:
        """An account without a key is one of the world's: its orders are journaled in batches."""
        raise NotImplementedError

    def register_key(self, account: str, key_id: str, public_key: bytes) -> None:
        """A PEM public key, RSA or Ed25519, that signs for the account."""
        raise NotImplementedError

    def submit(self, account: str, order: NewOrder, now: Ts) -> Receipt | Refusal:
        raise NotImplementedError

    def cancel(self, account: str, order_id: str, now: Ts) -> Qty | Refusal:
        """What was taken off the book."""
        raise NotImplementedError

    def cancel_all(self, account: str, now: Ts, ticker: str | None = None) -> int:
        raise NotImplementedError

    def top(self, ticker: str) -> tuple[tuple[Price, Qty] | None, tuple[Price, Qty] | None]:
        """Best bid and best ask with their sizes; None where a side is empty."""
        raise NotImplementedError

    def levels(self, ticker: str, side: Side, depth: int = 0) -> list[tuple[Price, Qty]]:
        """Best first; depth 0 is all."""
        raise NotImplementedError

    def last_price(self, ticker: str) -> Price | None:
        raise NotImplementedError

    def position(self, account: str, ticker: str) -> Qty:
        raise NotImplementedError

    def cash(self, account: str) -> Money:
        raise NotImplementedError

    def resting(self, account: str, ticker: str | None = None) -> list[tuple[str, Side, Price, Qty]]:
        """(order id, side, price, remaining), oldest first."""
        raise NotImplementedError

    def tickers(self, status: str = "active") -> list[str]:
        raise NotImplementedError

    def settle(self, ticker: str, value: Price, now: Ts, expiration_value: str = "") -> None:
        """Determine a market: `value` is what one YES pays, 0 to 10,000. Paid by `advance` after the settlement timer."""
        raise NotImplementedError

    def pause(self, kind: str, now: Ts) -> None:
        """`trading` (cancels work) or `exchange` (nothing does)."""
        raise NotImplementedError

    def resume(self, now: Ts) -> None:
        raise NotImplementedError

    def pause_market(self, ticker: str, now: Ts) -> None: ...

    def resume_market(self, ticker: str, now: Ts) -> None:
        """Reactivate; all its resting orders are cancelled, as on the real one."""
        raise NotImplementedError

    def set_close_time(self, ticker: str, close_time: Ts, now: Ts) -> None: ...

    def set_index_value(self, index_id: str, value: int, now: Ts) -> None:
        """A tick of an outside index (`BRTI`), in ten-thousandths of a dollar, for the cfbenchmarks_value channel."""
        raise NotImplementedError

    def advance(self, now: Ts) -> None:
        """Whatever time does: opens, expiries, closes, payouts, conflated tickers, the batched part of the journal."""
        raise NotImplementedError
