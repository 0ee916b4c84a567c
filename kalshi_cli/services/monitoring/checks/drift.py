"""Check that the state file matches the exchange (fills, positions, cash), and realized edge against expected edge."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.errors import ExchangeError, KalshiError, UnreachableError
from kalshi_cli.base.units import DOLLAR, Money, Qty, Ts, format_ts, pluralize, show_money
from kalshi_cli.core.account.pnl import build_ledger
from kalshi_cli.core.account.realized_edge import MIN_EVENTS, MIN_FILLS, bets_of, edge_kept
from kalshi_cli.core.monitoring.account_drift import AccountHistory, Compared, Place, cash_drift, compare
from kalshi_cli.core.monitoring.check_report import Breach, CheckReport, Measure, critical, report
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.services.monitoring.checks.readings import CheckData, confirm_by_second_read, measured, run_part
from kalshi_cli.services.monitoring.checks.records import READ, false_on_file
from kalshi_cli.store.records import CashBaseline, CountedEdge
from kalshi_cli.store.sqlite_store import Store

FIRST = "drift_usd"

GRACE_MS = 60_000
"""Age below which an entry may be missing on one side: a loop reads the account every few seconds."""

TRIES = 3

COMPARED = "compared"
"""The mark of the time of the last comparison that found nothing: the next one goes back to it, and further."""

BACK_MS = 3 * 86_400_000
"""The time before the last comparison from which entries are compared again: some become readable late."""

MAX_COMPARED = 5_000
"""The newest fills that are compared at most: the exchange lists 1,000 in each response, and a check has a deadline."""

MAX_RECOUNTED = 20_000
"""The fills of closed markets that one check counts again, about a second of work. Each is counted once a day."""


class ExchangeAccount(msgspec.Struct, frozen=True, kw_only=True):
    """The fills and settlements of the exchange since a time, and its positions."""

    history: AccountHistory
    stated: dict[Place, Qty]


def examine(readings: CheckData) -> CheckReport:
    """Compare the account with the state file; a difference counts if two reads in a row show it."""
    store = readings.store
    if store is None:
        return _without_file(readings)
    found: list[Compared] = []
    measures: list[Measure] = []
    remarks: list[str] = []

    since = _since(readings, store)

    def look() -> list[Breach]:
        measures.clear()
        remarks.clear()
        account, cash = _at_rest(readings, store, since)
        compared = _compared(readings, store, account, since)
        found[:] = [compared]
        differ = run_part("orders", lambda: false_on_file(readings))
        money = run_part("cash", lambda: _cash(readings, store, compared, cash, measures, remarks))
        return [*compared.breaches, *differ, *money]

    breaches = confirm_by_second_read(readings, look, "exchange account", "pockets", "balance", "moved", *READ)
    if not found[0].breaches:
        store.alert_book.set_mark(COMPARED, readings.clock.now())
    breaches += _recounted(readings, store)
    breaches += _edge(readings, store, measures, remarks)
    fills, markets = (pluralize(*count) for count in zip(store.history.size(), ("fill", "market"), strict=True))
    known = f"{fills} and the positions in {markets}"
    agree = (
        f"{known}: some differ" if any(b.severity == "critical" for b in breaches) else f"{known} match the exchange"
    )
    if found[0].unread:
        remarks.insert(0, f"{pluralize(found[0].unread, 'newer fill')} on the exchange, not in the state file yet")
    return report("drift", "; ".join([agree, *remarks]), breaches, measures)


def _without_file(readings: CheckData) -> CheckReport:
    """Report an account without a state file, which is fine if the account has no fills."""
    happened = len(readings.portfolio.fills)
    if happened:
        fills = pluralize(happened, "fill")
        raise KalshiError(f"The account has {fills}, but there is no state file to compare them with")
    return report("drift", "no activity on this account, and no state file")


def _since(readings: CheckData, store: Store) -> Ts:
    """Return the time from which entries are compared: of MAX_COMPARED fills the first time, and with `--accept`."""
    last, now = store.alert_book.mark(COMPARED), readings.clock.now()
    back = 0 if readings.is_accepted or not 0 < last <= now else last - BACK_MS
    return Ts(max(back, store.history.newest_since(MAX_COMPARED)))


def _at_rest(readings: CheckData, store: Store, since: Ts) -> tuple[ExchangeAccount, Money | None]:
    """Read the account and its cash at one moment: None for the cash if it changes during every read."""

    def look() -> ExchangeAccount:
        return readings.once("exchange account", lambda: _exchange_account(readings.account, store, since))

    for _ in range(TRIES):
        before = readings.cash
        account = look()
        readings.forget("pockets", "balance")
        if readings.cash == before:
            return account, before
        readings.forget("exchange account")
    return look(), None


def _exchange_account(client: KalshiClient, store: Store, since: Ts) -> ExchangeAccount:
    fills = tuple(client.all_fills(min_ts=since or None))[::-1]
    settlements = tuple(client.settlements(min_ts=since or None))[::-1]
    subaccounts = {client.lock or 0, *store.history.subaccounts()} | {fill.subaccount for fill in fills}
    return ExchangeAccount(
        history=AccountHistory(fills=fills, settlements=settlements),
        stated={
            (number, position.ticker): position.position
            for number in sorted(subaccounts)
            for position in client.positions(subaccount=number or None)
        },
    )


def _compared(readings: CheckData, store: Store, account: ExchangeAccount, since: Ts) -> Compared:
    """Compare the entries since a time, and all positions, which are counted from open markets and results."""
    now, theirs = readings.clock.now(), account.history
    moved = {fill.ticker for fill in theirs.fills} | {settlement.ticker for settlement in theirs.settlements}
    counted = store.history.counted(also=moved)
    # Times can differ a little: an entry dated in the future is saved with the time at which it was read.
    ours = AccountHistory(fills=store.fills(Ts(max(0, since - GRACE_MS))), settlements=counted.settlements)
    ledger = build_ledger((*counted.fills, *counted.settlements))
    for result in counted.closed:
        ledger.carry(result.realized, result.fees)
    read_until = _read_until(readings, ours, now)
    return compare(ours, theirs, account.stated, read_until=read_until, now=now, since=since, ledger=ledger)


def _recounted(readings: CheckData, store: Store) -> list[Breach]:
    """Return a breach for each closed market whose saved result is not that of its entries."""
    wrong = store.history.recount(readings.clock.now(), MAX_RECOUNTED)
    return [critical("RECOUNT", ticker, "its saved result differs from its fills", "the same") for ticker in wrong]


def _read_until(readings: CheckData, ours: AccountHistory, now: Ts) -> Ts:
    """Return the time until which the state file should be complete: now with a running loop, else its last read."""
    loop = readings.loop
    if loop.store is readings.store and loop.who is not None:
        return Ts(now - GRACE_MS)
    newest = [*(fill.ts for fill in ours.fills[-1:]), *(settlement.ts for settlement in ours.settlements[-1:])]
    cycle = readings.store.last_cycle() if readings.store is not None else None
    # A run that ended before its first cycle may not have read the account.
    return Ts(max([*newest, cycle.completed if cycle is not None and cycle.cycles else Ts(0)]) - GRACE_MS)


def _cash(
    readings: CheckData,
    store: Store,
    compared: Compared,
    cash: Money | None,
    measures: list[Measure],
    remarks: list[str],
) -> tuple[Breach, ...]:
    if cash is None:
        raise UnreachableError("The cash balance changed during every read", code="moving")
    moved, now = _moved(readings), readings.clock.now()
    base = store.cash_base()
    if base is None or readings.is_accepted:
        base = CashBaseline(cash_drift(compared.ledger, cash, moved, Money(0)), now)
        store.set_cash_base(base)
    drift = cash_drift(compared.ledger, cash, moved, base.cash)
    measure = measured("drift_usd", abs(drift) / DOLLAR, readings.checks.drift_usd)
    measures.append(measure)
    remarks.append(f"cash difference {show_money(drift, signed=True)} since {format_ts(base.ts)[:16]}")
    return measure.breach("CASH_DRIFT", "cash", f"{show_money(drift, signed=True)} unexplained")


def _moved(readings: CheckData) -> Money:
    """Return completed deposits less withdrawals; zero if the key may not read them."""

    def look() -> Money:
        try:
            paid = sum(each.amount - each.fee for each in readings.account.deposits() if each.status == "applied")
            out = sum(each.amount + each.fee for each in readings.account.withdrawals() if each.status == "applied")
        except ExchangeError as error:
            if error.status not in (403, 404):
                raise
            return Money(0)
        return Money(paid - out)

    return readings.once("moved", look)


def _edge(readings: CheckData, store: Store, measures: list[Measure], remarks: list[str]) -> list[Breach]:
    """Compare the realized edge of strategies with the expected edge, if the sample is large enough."""
    now = readings.clock.now()
    kept = store.history.edge(now)
    if kept is None:
        kept = _counted_edge(store, now)
        store.history.set_edge(kept)
    if kept.sigma is None:
        of = f"{kept.fills} of {MIN_FILLS} fills in {kept.events} of {MIN_EVENTS} events"
        remarks.append(f"sample too small to judge the edge ({of})")
        return []
    measure = measured("edge_sigma", round(kept.sigma, 2), readings.checks.edge_sigma)
    measures.append(measure)
    text = f"{kept.sigma:+.1f} standard deviations over {kept.fills} fills"
    remarks.append(f"edge {text}")
    return list(measure.breach("EDGE_DRIFT", "edge", text))


def _counted_edge(store: Store, now: Ts) -> CountedEdge:
    """Count the edge over all of history, which is done once a day."""
    fairs = {order.order_id: order.fair for order in store.orders() if order.order_id and order.fair is not None}
    settlements = store.settlements()
    values = {settlement.ticker: settlement.value for settlement in settlements}
    event_of = {settlement.ticker: settlement.event_ticker for settlement in settlements}
    kept = edge_kept(bets_of(store.fills(), fairs), values, event_of)
    return CountedEdge(sigma=kept.sigma, fills=kept.fills, events=kept.events, counted=now)
