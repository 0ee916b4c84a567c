"""What the program remembers, in the domain's words. `sqlite.py` is the one implementation."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

import msgspec

from kalshi_cli.base.units import Money, Ts
from kalshi_cli.core.model.effects import Alert, Denied, Effect
from kalshi_cli.core.model.orders import Fill, Order
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.monitoring.request_traffic import Minute
from kalshi_cli.core.monitoring.source_watch import Source
from kalshi_cli.store.records import (
    EVER,
    NO_HALT,
    Best,
    CashBase,
    Cycle,
    Halt,
    KeyLock,
    MarketLock,
    Memory,
    RunGroup,
    Undelivered,
)

if TYPE_CHECKING:
    from kalshi_cli.store.alert_tables import AlertBook
RESUMED = "resumed"
"""The mark that a person resumed, for alerting, which looks now and then: the loop may have stopped again by then."""


def pack_sources(sources: tuple[Source, ...]) -> str:
    """Return what `Cycle.sources` holds of them."""
    return msgspec.json.encode(sources).decode() if sources else ""


class Notebook(Protocol):
    """The part of a store that placing an order needs."""

    def record(self, effect: Effect) -> None:
        """Commit what must survive: SubmitOrder, OrderChanged, FillBooked, SettlementBooked, StateChanged, Denied,
        Alert.

        Returns only after intents, fills, settlements and halts are on disk. Anything else is not kept. The store has
        no opinion on what follows from what: the engine decides, the store writes it down.

        HaltedError where an order may not begin any more, MovedError where it must be reviewed again first.
        """
        ...

    def together(self) -> AbstractContextManager[None]:
        """Whatever is recorded meanwhile is committed at the end, all or nothing: for what can be read again."""
        ...

    def load(self) -> Memory:
        """Orders that were live, moved since the oldest open position or were begun last; all fills and settlements."""
        ...

    def news(self) -> tuple[Order, ...]:
        """Orders begun or amended since `load`, or since the last look: those of other programs are among them."""
        ...

    def order(self, any_id: str) -> Order | None:
        """The order with this id, ours or theirs."""
        ...

    def halt(self) -> Halt:
        """The trading state as of now; another process may have changed it. Cheap: read before every send.

        HALTED with the code PAUSED while there is a pause, unless a halt is there as well.
        """
        ...


class Store(Notebook, Protocol):
    """One account of one environment. Every method may raise StateError; nothing is lost silently."""

    alert_book: AlertBook

    def set_halt(self, halt: Halt) -> None:
        """Move the durable trading state, whatever it was: what a person decided.

        One who trades on after a guard let only closing orders through counts a drawdown from there on.
        """
        ...

    def lock_market(self, lock: MarketLock) -> None:
        """Nothing is opened in this market, whatever was said of it before; what is over by `since` is forgotten."""
        ...

    def unlock_market(self, ticker: str) -> bool:
        """End it before its time; whether there was one."""
        ...

    def market_locks(self) -> tuple[MarketLock, ...]:
        """All that were set and not ended, by market; some may be over by now."""
        ...

    def keep_group(self, group: RunGroup) -> None:
        """Remember an order group of a run."""
        ...

    def forget_group(self, group_id: str) -> None:
        """It is gone at the exchange."""
        ...

    def groups(self) -> tuple[RunGroup, ...]:
        """Those that are remembered, by shard."""
        ...

    def beat(self, cycle: Cycle) -> None:
        """Write the heartbeat row of a completed cycle."""
        ...

    def add_traffic(self, minutes: Sequence[Minute]) -> None:
        """Add these counts to those of the same minutes."""
        ...

    def traffic(self, since: Ts) -> tuple[Minute, ...]:
        """What loops counted in each minute from that of `since` on, oldest first."""
        ...

    def stop_under_pause(self) -> Halt:
        """Return the halt or the reduction that holds, also where a pause covers it; ACTIVE where there is neither."""
        ...

    def last_cycle(self) -> Cycle | None:
        """The heartbeat row, if any loop ever completed a cycle here."""
        ...

    def placed(self, client_order_id: str, latency_ms: int) -> None:
        """The exchange answered for this order; so long after it had been decided on. Only informs."""
        ...

    def see_gained(self, gained: Money, ts: Ts) -> Best:
        """The account has gained so much now; the most that was ever seen, this included."""
        ...

    def cash_base(self) -> CashBase | None:
        """From where drift of the cash is counted, if it was ever looked at."""
        ...

    def set_cash_base(self, base: CashBase) -> None:
        """Count it from here on."""
        ...

    def key_lock(self, key_id: str) -> KeyLock | None:
        """What the exchange said of this key; None where it was never asked."""
        ...

    def keep_key_lock(self, lock: KeyLock) -> None:
        """Remember it: a key is made for a subaccount, and stays so."""
        ...

    def orders(self, since: Ts = EVER, ticker: str = "") -> tuple[Order, ...]:
        """Orders that changed since then, oldest first; of one market or of all."""
        ...

    def live_orders(self) -> tuple[Order, ...]:
        """Orders that may still trade, as far as was written down."""
        ...

    def fills(self, since: Ts = EVER) -> tuple[Fill, ...]:
        """Fills since then, in the order of their time."""
        ...

    def placements(self) -> dict[str, int]:
        """How long orders took to be placed (ms), by our id: the last of them."""
        ...

    def settlements(self, since: Ts = EVER) -> tuple[Settlement, ...]:
        """Settlements since then, in the order of their time."""
        ...

    def denials(self, since: Ts, ticker: str = "") -> dict[str, dict[str, int]]:
        """How often each control refused each strategy ("" is people), by code, the most frequent first, from the
        minute of `since` on; in one market or in all."""
        ...

    def last_denials(self, since: Ts, ticker: str = "") -> tuple[Denied, ...]:
        """The latest refusal of each minute and cause, newest first; at most 100."""
        ...

    def alerts(self, since: Ts = EVER) -> tuple[Alert, ...]:
        """Alerts since then, newest first; at most 1,000."""
        ...

    def undelivered(self, since: Ts, before: Ts) -> tuple[Undelivered, ...]:
        """By sink: notices that were given up since `since`, or wait since before `before`."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class Glance:
    """A store that is looked at and never written to: what a dry run sees. Without a state file it is empty."""

    def __init__(self, store: Store | None) -> None:
        self._store = store

    def record(self, effect: Effect) -> None:
        """Forget it."""

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()

    def load(self) -> Memory:
        if self._store is not None:
            return self._store.load()
        return Memory(orders=(), fills=(), settlements=(), halt=NO_HALT)

    def news(self) -> tuple[Order, ...]:
        return self._store.news() if self._store is not None else ()

    def order(self, any_id: str) -> Order | None:
        return self._store.order(any_id) if self._store is not None else None

    def halt(self) -> Halt:
        return self._store.halt() if self._store is not None else NO_HALT
