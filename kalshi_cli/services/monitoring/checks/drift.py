"""Check that the state file matches the exchange (fills, positions, cash), and realized edge against expected edge."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kalshi_cli.base.errors import ExchangeError, KalshiError, UnreachableError
from kalshi_cli.base.units import DOLLAR, Money, Qty, Ts, format_ts, pluralize, show_money
from kalshi_cli.core.account.pnl import build_ledger
from kalshi_cli.core.account.realized_edge import MIN_EVENTS, MIN_FILLS, bets_of, edge_of, market_edges
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.monitoring.account_drift import (
    AccountHistory,
    Compared,
    Place,
    Verified,
    cash_drift,
    compare,
    compare_entries,
)
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

COMPARED_FROM = "compared_from"
"""The mark of the time from which everything was compared until COMPARED; 1 is the beginning of the account."""

BACK_MS = 3 * 86_400_000
"""The time before the last comparison from which entries are compared again: some become readable late."""

MAX_COMPARED = 5_000
"""The newest fills that are compared at most: the exchange lists 1,000 in each response, and a check has a deadline."""

MAX_OLDER = 1_000
"""The older fills that each check compares besides, until all are compared."""

OLDER_S = 5.0
"""The seconds that must be left of the deadline to compare older fills."""

MAX_RECOUNTED = 1_000
"""The fills of closed markets that one check counts again, about 0.1 s of work. Each is counted once a day at most."""


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
    verified = _verified(store)
    if not found[0].breaches:
        now = readings.clock.now()
        verified = verified.extend(since, now) if verified is not None else Verified(since, now)
        _save(store, verified)
    if verified is not None:
        verified, older = _older(readings, store, verified)
        breaches += older
    breaches += _recounted(readings, store, remarks)
    breaches += _edge(readings, store, measures, remarks)
    agree = _agree(store, verified, is_different=any(each.severity == "critical" for each in breaches))
    if found[0].unread:
        remarks.insert(0, f"{_counted(found[0].unread, 'newer ')} on the exchange, not in the state file yet")
    return report("drift", "; ".join([agree, *remarks]), breaches, measures)


def _counted(entries: Iterable[Fill | Settlement], kind: str = "") -> str:
    """Return the number of fills and settlements in words, such as `2 newer fills and 1 newer settlement`."""
    is_fill = [isinstance(each, Fill) for each in entries]
    counts = ((is_fill.count(True), f"{kind}fill"), (is_fill.count(False), f"{kind}settlement"))
    return " and ".join(pluralize(number, name) for number, name in counts if number)


def _agree(store: Store, verified: Verified | None, *, is_different: bool) -> str:
    """Return what was compared, and how far back in time."""
    fills, markets = (pluralize(*count) for count in zip(store.history.size(), ("fill", "market"), strict=True))
    known, more = f"{fills} and the positions in {markets}", ""
    if verified is not None and verified.start:
        known = f"the positions in {markets} and the fills since {format_ts(verified.start)[:16]}Z"
        more = f"; of {fills}, each run compares up to {MAX_OLDER:,} older ones"
    return f"{known}: some differ{more}" if is_different else f"{known} match the exchange{more}"


def _verified(store: Store) -> Verified | None:
    """Return the time within which everything was compared; None before the first comparison."""
    start, end = store.alert_book.mark(COMPARED_FROM), store.alert_book.mark(COMPARED)
    return Verified(Ts(start - 1), Ts(end)) if start > 0 else None


def _save(store: Store, verified: Verified) -> None:
    store.alert_book.set_mark(COMPARED, verified.end)
    store.alert_book.set_mark(COMPARED_FROM, verified.start + 1)


def _older(readings: CheckData, store: Store, verified: Verified) -> tuple[Verified, list[Breach]]:
    """Compare the fills and settlements before those that were verified, a part in each run.

    Without a difference the next run goes on from there. Nothing is read where little of the deadline is left.
    """
    if not verified.start or readings.left_s < OLDER_S:
        return verified, []
    until, begin = verified.start, store.history.oldest_of(verified.start, MAX_OLDER)
    reached: list[Ts] = []

    def look() -> list[Breach]:
        theirs, since = readings.once("older", lambda: _exchange_part(readings.account, begin, until))
        reached[:] = [since]
        ours = AccountHistory(
            fills=store.history.part(Ts(since - GRACE_MS), Ts(until + GRACE_MS)),
            settlements=store.history.settlements_of(each.ticker for each in theirs.settlements),
        )
        now = readings.clock.now()
        return compare_entries(ours, theirs, read_until=now, now=now, since=since, until=until)[0]

    breaches = run_part("older fills", lambda: confirm_by_second_read(readings, look, "older"))
    if breaches or not reached:
        return verified, breaches
    verified = Verified(min(reached[0], until), verified.end)
    _save(store, verified)
    return verified, []


def _exchange_part(client: KalshiClient, begin: Ts, until: Ts) -> tuple[AccountHistory, Ts]:
    """Return the exchange's fills and settlements from `begin` to `until`, and the time from which they are complete.

    It lists whole seconds, and at most twice the fills that the state file has there.
    """
    since, end = Ts(max(0, begin - GRACE_MS)), Ts(until + GRACE_MS)
    most = 2 * MAX_OLDER + MAX_COMPARED
    fills = client.all_fills(min_ts=since or None, max_ts=end, limit=most)
    first = begin if len(fills) < most else Ts(max(begin, fills[-1].ts + 1))
    settlements = tuple(client.settlements(min_ts=first or None, max_ts=end))
    return AccountHistory(fills=tuple(fills), settlements=settlements), first


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
    back = 0 if readings.wanted.is_accepted or not 0 < last <= now else last - BACK_MS
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
    if read_until < 0 and (theirs.fills or theirs.settlements):  # no entry, and no cycle of a loop
        what = _counted((*theirs.fills, *theirs.settlements))
        raise KalshiError(
            f"The account has {what}, but this state file has never read the account, so nothing was "
            "compared. A loop and `kalshi order reconcile` read it; if a file was lost: `kalshi runbook state-file`"
        )
    return compare(ours, theirs, account.stated, read_until=read_until, now=now, since=since, ledger=ledger)


def _recounted(readings: CheckData, store: Store, remarks: list[str]) -> list[Breach]:
    """Return a breach for each closed market whose saved result is not that of its entries."""
    recount = store.history.recount(readings.clock.now(), MAX_RECOUNTED)
    if recount.after:
        remarks.append(f"closed markets counted again up to {recount.after}")
    wrong = recount.wrong
    return [critical("RECOUNT", ticker, "its saved result differs from its fills", "the same") for ticker in wrong]


def _read_until(readings: CheckData, ours: AccountHistory, now: Ts) -> Ts:
    """Return the time until which the state file should be complete: the last cycle of a loop, else its last entry.

    A loop that is late has read nothing since; `heartbeat` reports it, and its return ends the excuse.
    """
    loop = readings.loop
    if loop.store is readings.store and loop.who is not None:
        return Ts(min(now, loop.pulse.completed if loop.pulse is not None else now) - GRACE_MS)
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
    if base is None or readings.wanted.is_accepted:
        base = CashBaseline(cash_drift(compared.ledger, cash, moved, Money(0)), now)
        store.set_cash_base(base)
    drift = cash_drift(compared.ledger, cash, moved, base.cash)
    measure = measured("drift_usd", abs(drift) / DOLLAR, readings.checks.drift_usd)
    measures.append(measure)
    remarks.append(f"cash difference {show_money(drift, signed=True)} since {format_ts(base.ts)[:16]}Z")
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
        if store.history.has_totals:
            store.history.set_edge(kept)
        else:
            remarks.append("edge of older markets not counted yet")
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
    """Count the edge of open markets from their fills, and add that of closed markets; this is done once a day."""
    found = store.history.counted()
    fairs = {order.order_id: order.fair for order in found.orders if order.order_id and order.fair is not None}
    values = {settlement.ticker: settlement.value for settlement in found.settlements}
    event_of = {settlement.ticker: settlement.event_ticker for settlement in found.settlements}
    kept = edge_of((*store.history.edges(), *market_edges(bets_of(found.fills, fairs), values, event_of)))
    return CountedEdge(sigma=kept.sigma, fills=kept.fills, events=kept.events, counted=now)
