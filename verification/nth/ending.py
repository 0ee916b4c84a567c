"""How a session must end, whatever the fault, compared with the exchange's separate ledger."""

from __future__ import annotations

from collections.abc import Iterator

from support.simulation import T0, Simulation

from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.units import Money, dollars
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.exchange.live.account_snapshot import account_snapshot
from kalshi_cli.services.account.recovery import reconcile_unknown, restore_engine
from kalshi_cli.simulator.model.records import RESTING, OrderRecord
from kalshi_cli.store.sqlite_store import Store
from verification import invariants
from verification.invariants import Booked, Truth
from verification.nth.faults import Wires
from verification.nth.person import Person, Told

ROUNDS = 6
"""Reconciles, 40 s apart, after which nothing may be in doubt any more."""

NOT_ARRIVED = frozenset({"refuse", "429", "429 retry-after"})
"""Faults after which a create may go again: the exchange provably did not act on it."""

_ALICES_CASH = dollars(10_000)


def settle(sim: Simulation, wires: Wires) -> None:
    """The network is well again; time passes, what was late arrives, and a person reconciles until all is known."""
    wires.kind = None
    wires.cached_until = 0.0
    wires.step = "settle"
    for _ in range(ROUNDS):
        for _ in range(8):
            sim.clock.advance(5.0)
            wires.deliver()
        _, doubtful = reconcile_unknown(sim.client, sim.store, sim.clock, RiskLimits(), sim.new_id)
        if not doubtful:
            sim.clock.advance(40.0)
            reconcile_unknown(sim.client, sim.store, sim.clock, RiskLimits(), sim.new_id)
            return


def problems(sim: Simulation, wires: Wires, person: Person) -> list[str]:
    """What is wrong, in words; empty where the session ended right."""
    found = invariants.truth(sim.exchange, "alice")
    sim.store.close()  # what a program that starts now would know
    sim.store = Store.open(sim.path, account="alice", environment="sim")
    return [*_once(found, sim, wires), *_told(found, wires, person), *_books(found, sim)]


# -- at most one order, at most one request --------------------------------------------------------------------------


def _is_twin_of_the_network(sim: Simulation, wires: Wires) -> bool:
    """Where ids of orders that are over may be used again, a request delivered twice can fill twice: no client can help
    that. Both must be known and counted, which `_books` sees."""
    doubled = wires.fired is not None and wires.fired.kind.startswith("duplicate")
    return doubled and sim.exchange.options.client_ids == "open_only"


def _once(found: Truth, sim: Simulation, wires: Wires) -> Iterator[str]:
    """I-ONCE: orders at the exchange, and requests on the wire, for each intent."""
    is_twin = _is_twin_of_the_network(sim, wires)
    yield from invariants.once(found, wires.fired.client_ids if wires.fired is not None and is_twin else ())
    sent: dict[str, list[str]] = {}
    for attempt in wires.attempts:
        for name in attempt.client_ids:
            sent.setdefault(name, []).append(attempt.kind)
    for name, kinds in sent.items():
        if any(kind not in NOT_ARRIVED for kind in kinds[:-1]):
            yield f"{len(kinds)} requests for the id {name}: {kinds}"


# -- what a person was told ------------------------------------------------------------------------------------------


def _told(found: Truth, wires: Wires, person: Person) -> Iterator[str]:
    for told in person.told:
        where = f"{told.step}: told {told.code} ({told.words[:90]})"
        if not told.is_true:
            yield f"{where}, which was not so at the exchange"
        if told.code == 7 and not _has_reason_to_doubt(wires, told):
            yield f"{where}, and nothing of it was in doubt"
        if told.verb == "place":
            yield from (f"{where}, {wrong}" for wrong in _placed(told, found.named(told.names[0])))
        if told.verb in ("amend", "decrease") and told.wanted:
            yield from (f"{where}, {wrong}" for wrong in _changed(told, found.orders[told.names[0]]))


def _has_reason_to_doubt(wires: Wires, told: Told) -> bool:
    """A write of this step met a fault that leaves open what happened; or it looks at what an earlier one left open."""
    if told.verb in ("reconcile", "loop", "kill"):
        return wires.fired is not None
    hits = (attempt for attempt in wires.attempts if attempt.kind and attempt.step == told.step)
    return wires.was_doubtful and any(attempt.is_write for attempt in hits)


def _placed(told: Told, found: list[OrderRecord]) -> Iterator[str]:
    """0 says that it is there, 7 that it may be, and everything else that it is not and never will be."""
    if told.code == 0 and not found:
        yield "and it is not at the exchange"
    if told.code not in (0, 7) and found:
        yield f"and it is at the exchange: {found[0].status}"


def _changed(told: Told, record: OrderRecord) -> Iterator[str]:
    """A change that was refused must never happen later either; that it happened was looked at when it was told."""
    wanted = told.wanted[0]
    is_so = record.remaining <= wanted if told.verb == "decrease" else record.price == wanted.price
    if told.code not in (0, 7) and is_so and record.status == RESTING:
        yield "and it was changed"


# -- our books and theirs --------------------------------------------------------------------------------------------


def _books(found: Truth, sim: Simulation) -> Iterator[str]:
    """Every intent ended, and every number the exchange's own."""
    store = sim.store
    orders, fills = store.orders(), store.fills()
    for wrong in (
        invariants.every_intent_ended(orders),
        invariants.orders_add_up(found, orders),
        invariants.orders_agree(found, orders),
        invariants.fills_are_real(found, fills),
        invariants.fills_are_all_booked(found, fills),
        invariants.contracts(sim.exchange),
        invariants.cash_adds_up(sim.exchange, found, _ALICES_CASH),
    ):
        yield from wrong
    state = EngineState(now=sim.clock.now())
    engine = restore_engine(store.load(), state, RiskLimits(), (), new_id=sim.new_id, order_expiry_s=None)
    try:
        snapshot = account_snapshot(sim.client, sim.clock, since=T0, live=state.orders.live())
    except KalshiError as error:
        yield f"the account cannot be read when all is well: {error.message}"
        return
    again = engine.step(snapshot)
    if again:
        yield f"I-RECON a reconcile after the last one still changes something: {again[0]!r:.200}"
    ours = {
        ticker: Booked(each.qty, each.cost, each.realized, each.fees)
        for (_, ticker), each in state.ledger.positions.items()
    }
    yield from invariants.books_agree(sim.exchange, "alice", ours, Money(_ALICES_CASH + state.ledger.cash))
    live = {(order.order_id, order.side, order.price, order.remaining) for order in state.orders.live()}
    resting = set(sim.exchange.resting("alice"))
    if live != resting:
        yield f"live here and not there {live - resting}, there and not here {resting - live}"
