"""The compiled loop: applies rows to two copies of the books until the engine or the paper venue has to act.

Both copies see every row. The venue's copy decides fills; the engine's is what strategies see, and becomes unusable on
its own when it stays crossed. The loop stops before a row that the venue must process, and after a row at which the
engine must decide, so that everything else is done by the one engine and the one venue.
"""

from __future__ import annotations

from typing import Any

import numba

ONE = 10_000
NO_BID, NO_ASK = -1, ONE + 1
"""The best price of an empty side."""
NEVER = 2**62
"""A time that does not come."""
UNSEEN = -2
"""A best price that equals no real one: the next end of a group is judged."""

BLOCK_BITS, BLOCKS, WIDTH = 6, 10_048, 10_048 + 157
"""A side is its quantities by price and, from `BLOCKS` on, how many of 64 prices each have a quantity: a best price is
found soon in a book with few levels, too."""

VENUE, ENGINE = 0, 1
"""The first index of the arrays of levels and tops."""

BID, ASK, USABLE, TS, FIELDS = 0, 1, 2, 3, 4
"""The columns of `tops`: best bid, best ask, whether the book is usable, the time of its last change."""

(
    MODE, FORCED, BETWEEN, SEEN_BID, SEEN_BID_QTY, SEEN_ASK, SEEN_ASK_QTY, ORDERS, SHRUNK, CHANGED, LOOK_AT, NOTES,
) = range(12)  # fmt: skip
"""The columns of `notes`: what the strategies watch, whether the next end of a group is judged in any case, whether the
last row has more to come, the top at the last judgement, the number of our resting orders, whether the queue positions,
or the book, changed since the last stop, and the time from which the next end of a group is judged in any case."""

NOTHING, PRICE, TOP, DEPTH = range(4)
"""Values of MODE."""

O_SIDE, O_PRICE, O_QUEUED, O_MODEL, O_AHEAD, O_FORESEEN, O_TRADED, O_TS, ORDER_FIELDS = range(9)
"""The columns of `orders`."""
PROPORTIONAL, OPTIMISTIC, PESSIMISTIC = range(3)
"""Values of O_MODEL: where the contracts stood that left a level without a trade."""
MAX_ORDERS = 32
"""The most orders of a market that are followed here; with more, the venue processes each row itself."""

PAIRED_MS = 1_000

WAKE, NOW, LAST_TS, COUNT, MARKET, STATES = range(6)
"""The places of `control`: the time at which the venue must act, and its time, which an outside price may have moved
ahead; set by the loop: the time of the last row applied, how many markets changed, the market that was judged."""

SHOWN = 6
"""The columns of `changed`: market, and of the engine's copy the best bid, its quantity, the best ask, its quantity and
its time."""

END, BEFORE_ROW, AFTER_ROW = range(3)
"""Why the loop stopped."""


@numba.njit(cache=True)
def _below(levels: Any, price: int) -> int:
    """Return the highest price with a quantity below a price; NO_BID without one."""
    price -= 1
    while price > 0:
        if levels[BLOCKS + (price >> BLOCK_BITS)] == 0:
            price = ((price >> BLOCK_BITS) << BLOCK_BITS) - 1
        elif levels[price] != 0:
            return price
        else:
            price -= 1
    return NO_BID


@numba.njit(cache=True)
def _above(levels: Any, price: int) -> int:
    """Return the lowest price with a quantity above a price; NO_ASK without one."""
    price += 1
    while price < ONE:
        if levels[BLOCKS + (price >> BLOCK_BITS)] == 0:
            price = ((price >> BLOCK_BITS) + 1) << BLOCK_BITS
        elif levels[price] != 0:
            return price
        else:
            price += 1
    return NO_ASK


@numba.njit(cache=True)
def apply(levels: Any, top: Any, side: int, price: int, qty: int) -> None:
    """Set a level of a book, and move its best price."""
    own = levels[side]
    own[BLOCKS + (price >> BLOCK_BITS)] += (qty > 0) - (own[price] > 0)
    own[price] = qty
    if side == 0:
        if qty > 0:
            top[BID] = max(top[BID], price)
        elif price == top[BID]:
            top[BID] = _below(own, price)
    elif qty > 0:
        top[ASK] = min(top[ASK], price)
    elif price == top[ASK]:
        top[ASK] = _above(own, price)


@numba.njit(cache=True)
def walk(own: Any, side: int, best: int, depth: int, found: Any) -> int:
    """Write the levels of a side into `found`, best first, at most `depth`; return how many there are."""
    count, price = 0, best
    while count < depth and 0 < price < ONE:
        found[count, 0] = price
        found[count, 1] = own[price]
        count += 1
        price = _below(own, price) if side == 0 else _above(own, price)
    return count


@numba.njit(cache=True)
def _must_meet(orders: Any, count: int, bid: int, ask: int) -> bool:
    """Return whether one of our orders is reached by the other side, or has no queue position yet."""
    for number in range(count):
        order = orders[number]
        if order[O_QUEUED] == 0 or (order[O_PRICE] >= ask if order[O_SIDE] == 0 else order[O_PRICE] <= bid):
            return True
    return False


@numba.njit(cache=True)
def _shrink(orders: Any, count: int, side: int, price: int, by: int, left: int, now: int) -> bool:
    """Shrink the queue of our orders at a level that lost `by`: the same arithmetic as `QueuePlace.shrink`."""
    has_shrunk = False
    for number in range(count):
        order = orders[number]
        if order[O_QUEUED] == 0 or order[O_SIDE] != side or order[O_PRICE] != price:
            continue
        has_shrunk = True
        if now - order[O_TS] > PAIRED_MS:
            order[O_FORESEEN] = 0
            order[O_TRADED] = 0
        order[O_TS] = now
        explained = min(by, order[O_TRADED])
        order[O_TRADED] -= explained
        gone = 0
        if order[O_MODEL] == PROPORTIONAL:
            gone = order[O_AHEAD] * (by - explained) // (left + by)
        elif order[O_MODEL] == OPTIMISTIC:
            gone = min(order[O_AHEAD], by - explained)
        ahead = min(order[O_AHEAD] - gone, left)
        order[O_FORESEEN] += order[O_AHEAD] - ahead
        order[O_AHEAD] = ahead
    return has_shrunk


@numba.njit(cache=True)
def _take(
    levels: Any, top: Any, note: Any, orders: Any, side: int, price: int, delta: int, is_end: bool, now: int
) -> bool:
    """Apply a row to the venue's copy; return False, with nothing changed, where the venue itself must process it."""
    old, bid, ask = levels[side, price], top[BID], top[ASK]
    if old + delta < 0:
        return False
    apply(levels, top, side, price, old + delta)
    if note[ORDERS] > 0:
        if is_end and top[BID] < top[ASK] and _must_meet(orders, note[ORDERS], top[BID], top[ASK]):
            apply(levels, top, side, price, old)
            top[BID] = bid
            top[ASK] = ask
            return False
        if delta < 0 and _shrink(orders, note[ORDERS], side, price, -delta, old + delta, now):
            note[SHRUNK] = 1
    return True


@numba.njit(cache=True)
def _is_judged(note: Any, levels: Any, bid: int, ask: int, ts: int) -> bool:
    """Return whether the engine must decide at this end of a group, and remember the top if so."""
    bid_qty = levels[0, bid] if bid > 0 else 0
    ask_qty = levels[1, ask] if ask < ONE else 0
    mode = note[MODE]
    is_due = bid >= ask or note[FORCED] != 0 or mode == DEPTH or ts >= note[LOOK_AT]
    if not is_due and mode != NOTHING:
        is_due = bid != note[SEEN_BID] or ask != note[SEEN_ASK]
        if not is_due and mode == TOP:
            is_due = bid_qty != note[SEEN_BID_QTY] or ask_qty != note[SEEN_ASK_QTY]
    if is_due:
        note[SEEN_BID] = bid
        note[SEEN_ASK] = ask
        note[SEEN_BID_QTY] = bid_qty
        note[SEEN_ASK_QTY] = ask_qty
    return is_due


@numba.njit(cache=True)
def _show(levels: Any, tops: Any, notes: Any, control: Any, changed: Any) -> None:
    """Write the tops of the changed markets, and begin anew."""
    for number in range(control[COUNT]):
        shown = changed[number]
        market = shown[0]
        top = tops[ENGINE, market]
        bid, ask = top[BID], top[ASK]
        notes[market, CHANGED] = 0
        shown[1] = bid
        shown[2] = levels[ENGINE, market, 0, bid] if bid > 0 else 0
        shown[3] = ask
        shown[4] = levels[ENGINE, market, 1, ask] if ask < ONE else 0
        shown[5] = top[TS]


@numba.njit(cache=True)
def _replay(
    rows: Any, start: int, codes: Any, levels: Any, tops: Any, notes: Any, orders: Any, taken: Any, control: Any,
    changed: Any,
) -> tuple[int, int]:  # fmt: skip
    """Apply rows from `start` until a stop; return the number of the next row, and why it stopped."""
    wake, now = control[WAKE], control[NOW]
    for at in range(start, len(rows)):
        row = rows[at]
        ts, market, side, price, delta = row.ts, codes[row.market], row.side, row.price, row.delta
        now = max(now, ts)
        if now >= wake:
            return at, BEFORE_ROW
        control[NOW] = now
        note, is_end = notes[market], row.has_more == 0
        venue, engine = tops[VENUE, market], tops[ENGINE, market]
        if engine[USABLE] > venue[USABLE]:
            return at, BEFORE_ROW
        if venue[USABLE] != 0:
            is_ours = price <= 0 or price >= ONE or taken[market, side, price] != 0 or note[ORDERS] > MAX_ORDERS
            if is_ours or not _take(
                levels[VENUE, market], venue, note, orders[market], side, price, delta, is_end, now
            ):
                return at, BEFORE_ROW
            venue[TS] = ts
        note[BETWEEN] = 1 - is_end
        control[LAST_TS] = ts
        if note[CHANGED] == 0:
            note[CHANGED] = 1
            changed[control[COUNT], 0] = market
            control[COUNT] += 1
        if engine[USABLE] != 0:
            apply(levels[ENGINE, market], engine, side, price, levels[ENGINE, market, side, price] + delta)
            engine[TS] = ts
            if is_end and _is_judged(note, levels[ENGINE, market], engine[BID], engine[ASK], ts):
                control[MARKET] = market
                return at + 1, AFTER_ROW
    return len(rows), END


@numba.njit(cache=True)
def advance(
    rows: Any, start: int, codes: Any, levels: Any, tops: Any, notes: Any, orders: Any, taken: Any, control: Any,
    changed: Any,
) -> tuple[int, int, int, int, int, int, int, int, int, int, int]:  # fmt: skip
    """Apply rows from `start` until a stop.

    Return the number of the next row, why it stopped, the time of the last row applied, how many markets changed, the
    market that was judged, and the first row of `changed`.
    """
    control[COUNT] = 0
    at, why = _replay(rows, start, codes, levels, tops, notes, orders, taken, control, changed)
    _show(levels, tops, notes, control, changed)
    one = changed[0]
    return at, why, control[LAST_TS], control[COUNT], control[MARKET], one[0], one[1], one[2], one[3], one[4], one[5]


@numba.njit(cache=True)
def place(rows: Any, after: int, limit: int, latest: Any) -> tuple[int, int]:
    """Place the rows of whole milliseconds in time, as `ChangeRows.place` says.

    `latest` has a place of -1 for each market.
    """
    count, first, last, newest = len(rows), 0, 0, -1
    for at in range(count):
        ts = rows[at].ts
        if ts > newest:
            if newest <= after:
                first = at
            newest, last = ts, at
        elif at - last >= limit - 1:
            return count, count
    if newest <= after or last <= first:
        return count, count
    newest = -1
    for at in range(first, last):
        newest = max(newest, rows[at].ts)
        rows[at].ts = newest
    for at in range(last - 1, first - 1, -1):
        row = rows[at]
        row.has_more = latest[row.market] == row.ts
        latest[row.market] = row.ts
    return first, last
