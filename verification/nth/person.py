"""A user of the exchange: each request, its reported result, and its effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from support.simulation import Simulation, ticket

from kalshi_cli.base.errors import ExchangeError, ExitCode, KalshiError, OutcomeUnknownError, UnreachableError
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.services.account.recovery import reconcile_unknown
from kalshi_cli.services.orders import amend, batch, cancel, close
from kalshi_cli.services.orders.flatten import close_all
from kalshi_cli.services.orders.kill_switch import KillSwitch
from kalshi_cli.store.records import Halt
from verification.nth.faults import Wires

T = TypeVar("T")


class Told(NamedTuple):
    """How a step ended for whoever asked: the exit code, and the words.

    `verb` says what it was, `names` the orders that it was about: of a place our ids, else the exchange's. `wanted` is
    what a change was to make of the order.
    """

    step: str
    verb: str
    names: tuple[str, ...]
    code: int
    words: str
    wanted: Any = None
    is_true: bool = True
    """Whether what was told held at the exchange at that moment, where the verb can be looked at then."""


class Person:
    """Does one thing after the other, as the commands do, and remembers what was told."""

    def __init__(self, sim: Simulation, wires: Wires) -> None:
        self.sim = sim
        self.wires = wires
        self.told: list[Told] = []

    @property
    def resting(self) -> set[str]:
        """Ids of our orders that rest at the exchange, as it has them."""
        return {order_id for order_id, *_ in self.sim.exchange.resting("alice")}

    def do(
        self,
        step: str,
        verb: str,
        act: Callable[[], T],
        *,
        names: Sequence[str] = (),
        wanted: Any = None,
        holds: Callable[[], bool] = lambda: True,
    ) -> T | None:
        """One step. What it raises is told; after an unknown outcome the person reconciles, as the hint says.

        `holds` looks at the exchange where all went well.
        """
        self.wires.step = step
        result: T | None = None
        code, words = ExitCode.OK, ""
        try:
            result = act()
        except KalshiError as error:
            code, words = error.exit_code, f"{type(error).__name__} {error.code}: {error.message}"
        is_true = holds() if code is ExitCode.OK else True
        self.told.append(Told(step, verb, tuple(names), int(code), words, wanted, is_true))
        if code is ExitCode.UNKNOWN_OUTCOME and verb != "reconcile":
            self.reconcile(f"reconcile after {step}")
        return result

    def reconcile(self, step: str = "reconcile") -> None:
        def act() -> None:
            sim = self.sim
            _, open_ = reconcile_unknown(sim.client, sim.store, sim.clock, RiskLimits(), sim.new_id)
            if open_:
                raise OutcomeUnknownError(f"{len(open_)} orders are still unknown")

        self.do(step, "reconcile", act)

    def place(self, name: str, **changes: Any) -> Order | None:
        """Place an order with this id of ours."""
        placed: Order | None = self.do(
            f"place {name}", "place", lambda: self.sim.place(client_order_id=name, **changes), names=[name]
        )
        return placed

    def batch(self, *tickets: Any) -> None:
        """Place several in one request."""
        names = [each.client_order_id for each in tickets]
        assert all(names), "the proof finds an order by its id"

        def act() -> None:
            desk = self.sim.desk()
            lines = [batch.BatchLine(number, each) for number, each in enumerate(tickets, 1)]
            outcome = batch.send(desk, *batch.propose(desk, lines))
            results.extend(outcome.results)
            if outcome.worst is not None:
                raise outcome.worst

        results: list[batch.BatchLineResult] = []
        self.do("batch", "batch", act)
        for name, result in zip(names, results, strict=True):
            error = result.error
            code = ExitCode.OK if error is None else error.exit_code
            words = "" if error is None else f"{error.code}: {error.message}"
            self.told.append(Told("batch", "place", (name,), int(code), words))

    def amend(self, order_id: str, **changes: Any) -> None:
        """Another price, size or expiry, where the order rests."""

        def act() -> None:
            desk = self.sim.desk()
            order = desk.client.order(order_id)
            engine, proposal = amend.propose(desk, order, amend.AmendRequest(**changes))
            wanted.append(proposal.amend.wanted)
            amend.send(desk, engine, proposal)

        def holds() -> bool:
            live = self.sim.exchange._state.live.get(order_id)
            (after,) = wanted
            return live is None or (live.price, live.filled + live.remaining) == (after.price, after.qty)

        wanted: list[Order] = []
        self.do(f"amend {order_id[:8]}", "amend", act, names=[order_id], wanted=wanted, holds=holds)

    def decrease(self, order_id: str, **changes: Any) -> None:
        """Take some of what is left off."""

        def act() -> None:
            sim = self.sim
            order = sim.client.order(order_id)
            wanted.append(changes["to"] if "to" in changes else order.remaining - changes["by"])
            amend.decrease(sim.client, sim.clock, order, **changes)

        def holds() -> bool:
            live = self.sim.exchange._state.live.get(order_id)
            return live is None or live.remaining <= wanted[0]

        wanted: list[int] = []
        self.do(f"decrease {order_id[:8]}", "decrease", act, names=[order_id], wanted=wanted, holds=holds)

    def cancel(self, *order_ids: str) -> None:
        """Take orders back by their ids, one by one."""

        def act() -> None:
            for done in cancel.cancel_orders(self.sim.client, list(order_ids)):
                if done.is_unknown:
                    raise OutcomeUnknownError(done.detail)
                if done.is_unreached:
                    raise UnreachableError(done.detail)
                if not done.canceled:
                    raise ExchangeError(done.detail)

        step = f"cancel {' '.join(each[:8] for each in order_ids)}"
        self.do(step, "cancel", act, names=order_ids, holds=lambda: not self.resting & set(order_ids))

    def cancel_all(self, pattern: str = "", *, with_groups: bool = False) -> None:
        """The kill switch, for good where it is for everything; a person resumes."""
        sim = self.sim

        def act() -> None:
            switch = KillSwitch(sim.client, sim.clock, cancel.CancelScope(ticker=pattern), tell=sim.said.append)
            outcome = switch.run(groups=() if with_groups else None)
            if not outcome.is_clean:
                raise OutcomeUnknownError(f"{outcome.remaining} orders may still rest")

        if with_groups:
            sim.store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "kill switch", sim.clock.now()))
        scope = [order[0] for order in sim.exchange.resting("alice", pattern or None)]
        self.do(f"cancel-all {pattern}", "kill", act, names=scope, holds=lambda: not self.resting & set(scope))
        if with_groups:
            sim.store.set_halt(Halt(TradingState.ACTIVE, "RESUMED", "the proof goes on", sim.clock.now()))

    def close(self, ticker: str) -> None:
        """Sell what is held of a market."""
        sim = self.sim

        def act() -> None:
            desk = close.PositionCloser(sim.desk(), close.ClosePolicy(), sim.said.append)
            closings, error = close_all(lambda: (desk, desk.plans(ticker)), lambda _plans: None)
            if error is not None:
                raise error
            assert all(closing.is_done for closing in closings)

        self.do(
            f"close {ticker}", "close", act, names=[ticker],
            holds=lambda: sim.exchange.position("alice", ticker) == 0,
        )  # fmt: skip

    def read(self, what: str, act: Callable[[], object]) -> Any:
        """Something that changes nothing: an answer, or an error that says so."""
        return self.do(f"read {what}", "read", act)


def order(name: str, **changes: Any) -> Any:
    """A line of a batch."""
    return ticket(client_order_id=name, **changes)
