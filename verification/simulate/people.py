"""Manual commands on the account beside the loop, also when the state file is unusable."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable

from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.units import cents, contracts
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.services.account.rebuild import rebuild
from kalshi_cli.services.orders import batch
from kalshi_cli.services.orders.batch import BatchLine, BatchLineResult
from kalshi_cli.services.orders.close import ClosePolicy, PositionCloser
from kalshi_cli.services.orders.place import OrderTicket, open_order_entry
from verification import invariants
from verification.simulate.checker import Checker
from verification.simulate.exchange import ME, TICKERS
from verification.simulate.plan import Fault
from verification.simulate.program import Programs, VirtualResources
from verification.simulate.stage import Stage
from verification.simulate.world import World

UNUSABLE = ("state_damaged", "state_unusable", "state_newer")
BATCH_MEETS = ("", "", "drop_reply", "drop_reply_hang", "reset_before", "garbage", "status")
"""What befalls a batch: nothing as a whole, the loss of its reply, of itself, or an answer for none of its orders."""

SLIPPAGE = 3
"""Cents that a close may give way."""


class People:
    """Each is another program of the same account, with the same file."""

    def __init__(self, stage: Stage, checker: Checker, world: World, programs: Programs) -> None:
        self._stage = stage
        self._checker = checker
        self._world = world
        self._programs = programs
        self._damaged: bytes | None = None

    def beside(self, who: str, do: Callable[[VirtualResources], None]) -> None:
        """Run a program beside the loop, to its end."""
        stage = self._stage
        stage.tell(who, "begins")
        try:
            with self._programs.open(who) as app:
                do(app)
        except KalshiError as error:
            stage.tell(who, f"{type(error).__name__} {error}")
            stage.count[f"{who}: {type(error).__name__}"] += 1
            stage.noticed(error)
        else:
            stage.tell(who, "ends")

    def excuse(self, orders: int) -> None:
        """Two programs that look at the same moment do not see each other's orders, of a contract each."""
        self._checker.excuse(10_000 * 100 * orders, 100 * orders, orders)

    # -- orders -------------------------------------------------------------------------------------------------------

    def place(self, fault: Fault) -> None:
        """One order."""
        stage = self._stage

        def do(app: VirtualResources) -> None:
            ticker = TICKERS[fault.size % len(TICKERS)]
            bid, ask = stage.exchange.top(ticker)
            at = (ask or bid or (cents(50), 0))[0] if fault.size % 2 else (bid or ask or (cents(50), 0))[0]
            desk = open_order_entry(app)
            ticket = OrderTicket(
                ticker=ticker, outcome="yes", action="buy", qty=contracts(1), price=at, expires_in_s=15.0
            )
            desk.send(*desk.propose(ticket))
            stage.count["placed by a person"] += 1

        self.excuse(1)
        self.beside("place", do)

    def batch(self, fault: Fault) -> None:
        """Orders in one request; the exchange refuses those that would cross, or something befalls all of them."""
        stage = self._stage

        def do(app: VirtualResources) -> None:
            lines = []
            for number, ticker in enumerate((*TICKERS, TICKERS[0]), 1):
                bid, ask = stage.exchange.top(ticker)
                at = ((bid if number % 2 else ask) or (cents(50), 0))[0]
                ticket = OrderTicket(
                    ticker=ticker, outcome="yes", action="buy", qty=contracts(1), price=at, post_only=True,
                    expires_in_s=15.0,
                )  # fmt: skip
                lines.append(BatchLine(number, ticket))
            desk = open_order_entry(app)
            engine, judged = batch.propose(desk, lines)
            meets = BATCH_MEETS[fault.size % len(BATCH_MEETS)]
            if meets:
                stage.faults.add(Fault(at=stage.timeline.seconds, kind=meets, target="batch", size=fault.size))
            outcome = batch.send(desk, engine, judged)
            for result in outcome.results:
                self._is_so(result)

        self.excuse(len(TICKERS) + 1)
        self.beside("batch", do)

    def _is_so(self, result: BatchLineResult) -> None:
        """What a person is told of an order of a batch is what became of it."""
        stage = self._stage
        if result.order is None:
            return
        there = invariants.truth(stage.exchange, ME).named(result.order.client_order_id)
        status = result.order.status
        if status in (OrderStatus.RESTING, OrderStatus.FILLED) and not there:
            self._checker.say([f"F10 {result.order.client_order_id} of a batch is told as placed and does not exist"])
        if status in (OrderStatus.REJECTED, OrderStatus.NEVER_ARRIVED) and there:
            self._checker.say([f"F10 {result.order.client_order_id} of a batch is told as not placed and exists"])
        if status is not OrderStatus.RESTING:
            stage.hit("F10")

    def close(self, fault: Fault) -> None:
        """Hardly anybody wants what is held, but far away: the close gives way to its bound, and no further."""
        stage = self._stage
        held = [each for each in stage.exchange._state.members[ME].holdings() if each.qty]
        if not held:
            return
        ticker, qty = held[fault.size % len(held)].ticker, held[fault.size % len(held)].qty
        self._world.thin_out(ticker, BID if qty > 0 else ASK)

        def do(app: VirtualResources) -> None:
            walk = ClosePolicy(max_slippage=cents(SLIPPAGE), tries=4, within_s=6.0)
            closer = PositionCloser(open_order_entry(app), walk, lambda text: stage.tell("close", text))
            for closing in closer.close(closer.plans(ticker)):
                plan = closing.plan
                if plan.worst is not None and plan.touch is not None and closing.average is not None:
                    away = plan.own(plan.touch) - plan.own(closing.average)
                    if away > cents(SLIPPAGE):
                        self._checker.say([f"F65 a close in {ticker} went {away} beyond what was there"])
                if closing.left and closing.error is None:
                    self._checker.say([f"F65 {closing.left} of a close in {ticker} are left, and nothing is said"])
                if closing.left:
                    stage.hit("F65")

        self.beside("close", do)
        self._checker.admission.closed()

    # -- the state file -----------------------------------------------------------------------------------------------

    def spoil(self, size: int) -> None:
        """The file is damaged, cut short, or of a newer version, while nothing runs."""
        path = self._stage.home / "sim" / "state.db"
        self._checker.close()
        if not path.exists():
            return
        if size % 3 == 0:
            with path.open("r+b") as file:
                file.write(b"\xff" * 512)
        elif size % 3 == 1:
            os.truncate(path, path.stat().st_size // 2)
        else:
            file_of_later = sqlite3.connect(path, isolation_level=None)
            file_of_later.execute("PRAGMA user_version = 999")
            file_of_later.close()
        self._damaged = path.read_bytes()

    @property
    def is_spoiled(self) -> bool:
        """There is no state file that could be used."""
        return self._damaged is not None

    def mend(self, error: KalshiError) -> None:
        """The loop refused to start on it and left it as it is; a person has it made anew. The old one is kept."""
        stage = self._stage
        if error.code not in UNUSABLE or self._damaged is None:
            return
        stage.hit("F58")
        if (stage.home / "sim" / "state.db").read_bytes() != self._damaged:
            self._checker.say(["F58 a state file that cannot be used was changed"])
        self.beside("state rebuild", lambda app: _ignore(rebuild(app)))
        kept = [path.read_bytes() for path in (stage.home / "sim").glob("state.db.unusable-*")]
        if kept:
            if self._damaged not in kept:
                self._checker.say(["F58 a state file that could not be used was thrown away"])
            self._damaged = None
            self._checker.forget_file()


def _ignore(_value: object) -> None:
    """What was asked for was its effect."""
