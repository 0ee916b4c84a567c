"""Rules of a halt and a stop: nothing new is sent, and each own order is canceled until it is gone.

Whether trading is halted is computed here from commands and guards. The program's own files are not read, because they
could be wrong.
"""

from __future__ import annotations

from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.exchange import TradingState
from verification.simulate.exchange import ME
from verification.simulate.sent import Sent
from verification.simulate.stage import Stage

TICKS = 2
PATIENCE_S = 3.0
"""So many ticks, and so long, after it was canceled last an order may rest before it is canceled again."""

SLOW_S = 1.0
"""A request that takes longer than this leaves a stop no time for the rest of the orders."""

CLOSED_S = 40.0
"""So long the program leaves alone what the exchange cancels for nobody at the moment."""


class Stops:
    """Of one session, over all its processes."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.is_halted = False
        self._was_halted_at_start = False
        self._waits: dict[str, tuple[float, int]] = {}
        self._closed_until: dict[str, float] = {}
        self._canceled: set[str] = set()
        self._slowest_s = 0.0
        self._proven_s = -1.0

    def moved(self, state: TradingState) -> None:
        """A person or a guard moved the trading state, and it was written down."""
        self.is_halted = state is TradingState.HALTED
        self._waits.clear()

    # -- nothing new ------------------------------------------------------------------------------------------------

    def before_start(self) -> None:
        """A loop is about to be started."""
        self._was_halted_at_start = self.is_halted

    def begins(self) -> list[str]:
        """A loop has read the account, and begins to ask its strategies."""
        self._waits.clear()
        self._canceled.clear()
        is_wrong = self._was_halted_at_start and self.is_halted
        return ["I-HALT a loop started although trading was halted"] if is_wrong else []

    def leaves(self, sent: Sent, who: str) -> list[str]:
        """A request is about to go out."""
        if sent.method == "DELETE":
            name = sent.path.rpartition("/")[2]
            self._canceled.add(name)
            for order_id in [name] if name in self._waits else list(self._waits):
                self._waits.pop(order_id)
        if not self.is_halted or not sent.names or sent.is_closing:
            return []
        return [f"I-HALT {who} sends {', '.join(sent.names)} although somebody halted trading"]

    def proven(self) -> None:
        """The kill switch says that nothing rests, and that nothing is on its way."""
        self._proven_s = self._stage.timeline.seconds

    def landed(self, sent: Sent, delay_s: float) -> list[str]:
        """A create was taken so long after it had been sent."""
        now = self._stage.timeline.seconds
        if not now - delay_s <= self._proven_s <= now:
            return []
        return [f"F64 {sent.name} landed after the kill switch had said that nothing was on its way"]

    def forget(self) -> None:
        """The state file is gone, or an old one: nobody knows any more what is on its way."""
        self._proven_s = -1.0

    # -- what rests -------------------------------------------------------------------------------------------------

    def answered(self, sent: Sent, body: bytes, seconds: float) -> None:
        """A request was answered, or failed, after so long; a cancel perhaps because nobody can cancel there now."""
        self._slowest_s = max(self._slowest_s, seconds)
        if sent.method == "DELETE" and (b"market_inactive" in body or b"exchange_is_paused" in body):
            self._closed_until[sent.path.rpartition("/")[2]] = self._stage.timeline.seconds + CLOSED_S

    def stepped(self) -> None:
        """The loop has taken a message."""
        self._slowest_s = 0.0

    def ended(self, engine: TradingEngine) -> list[str]:
        """A loop has ended in good order: it has canceled its orders, but where a slow request took its time."""
        known = (engine.state.orders.by_order_id(name) for name in self._resting)
        left = [each.order_id for each in known if each is not None and each.strategy in engine.strategies]
        left = [name for name in left if name not in self._canceled and name not in self._closed_until]
        if not left or self._slowest_s > SLOW_S:
            return []
        return [f"I-HALT the loop ended and never canceled {', '.join(left)}"]

    @property
    def _resting(self) -> set[str]:
        return {order.order_id for order in self._stage.exchange._state.members[ME].orders()}

    def tick(self, engine: TradingEngine) -> list[str]:
        """The loop ticked: orders of its strategies that it must take back, and knows, may not just rest."""
        now, found = self._stage.timeline.seconds, []
        resting = self._resting if self.is_halted or engine.is_stopping else set()
        self._waits = {order_id: waited for order_id, waited in self._waits.items() if order_id in resting}
        for order_id in resting:
            order = engine.state.orders.by_order_id(order_id)
            if order is None or order.strategy not in engine.strategies or now < self._closed_until.get(order_id, 0.0):
                self._waits.pop(order_id, None)
                continue
            since, ticks = self._waits.setdefault(order_id, (now, 0))
            self._waits[order_id] = (since, ticks + 1)
            if ticks >= TICKS and now - since > PATIENCE_S:
                found.append(f"I-HALT {order_id} rests, and for {ticks} ticks nobody cancels it (halted or stopping)")
        return found
