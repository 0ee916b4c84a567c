"""The kill switch: trigger order groups, cancel everything, and verify against a fresh order list.

The caller has halted the account before. The fastest ways come first: triggering a group cancels its orders in one
request, and groups are known from the state file even where nothing can be read; the exchange's own cancel of
everything is another request; orders that still rest are canceled in batches at the account's rate limit.

A proof needs both: the exchange itself answered the cancels, and a list that is newer than the last of them shows no
order. A proxy can repeat an old list, but it cannot know the answer to a cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import CredentialsError, KalshiError, NotFoundError, OutcomeUnknownError
from kalshi_cli.base.units import Ts, format_ts, pluralize
from kalshi_cli.core.account.reconciliation import provable_at
from kalshi_cli.core.model.messages import CancelFailed
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.wire.groups import OrderGroup
from kalshi_cli.exchange.wire.quotes import RfqQuote
from kalshi_cli.services.orders.cancel import SETTLE_S, CancelScope, canceled_since, groups_of, is_list_current
from kalshi_cli.views.formats import short_ids

DEADLINE_S = 60.0

BATCH = 45
"""The number of cancels between two checks of the deadline: the burst of the slowest tier."""

FIRST_LOOK_S = 5.0
"""The longest time that reading the list for the count may delay the cancels."""

GROUPS_S = 10.0
"""The longest time that triggering empty order groups may delay the proof: a hundred groups at ten a second."""

PAUSED = "exchange_is_paused"
PAUSE_S = 1.0
"""The pause between two attempts while the exchange accepts no cancel."""

LOOK_EVERY_S = 1.0
"""The pause between two look-ups of unanswered orders."""

ANSWERED_MS = 11_000
"""The longest time until the sender of an order knows the outcome: a call of ten seconds and one more."""

REFUSALS = 3
"""The number of refusals after which the key counts as locked out: one can come from a clock that was just set."""


class KillSwitchResult(msgspec.Struct, frozen=True, kw_only=True):
    """The orders that a list still shows, and whether that list is a proof: complete, and newer than the last cancel.

    `triggered` are the order groups that accept no order until they are reset. `in_doubt` are our own orders that may
    still arrive, `unexplained` those that no list shows and whose end nothing confirms: with any of them the result is
    not verified. Nor is it where everything was to be canceled and not `is_answered`: the exchange answered no cancel.
    """

    canceled: int
    remaining_orders: tuple[Order, ...]
    is_verified: bool
    seconds: float
    triggered: tuple[str, ...] = ()
    in_doubt: tuple[Order, ...] = ()
    unexplained: tuple[Order, ...] = ()
    is_answered: bool = True
    over: tuple[Order, ...] = ()
    """Orders that were filled, expired or canceled before a cancel of this run reached them; not in `canceled`."""
    is_minimum: bool = False
    """No list was read before the first cancel: orders that only the exchange knew may be missing in `canceled`."""
    agreed: tuple[RfqQuote, ...] = ()
    """Accepted quotes that may still trade: they do not rest in the book and cannot be canceled."""

    @property
    def remaining(self) -> int:
        """Return the number of orders that still rest."""
        return len(self.remaining_orders)

    @property
    def is_clean(self) -> bool:
        """Return whether no order rests and none may still trade, with proof: the only success."""
        return self.is_verified and not self.remaining_orders and not self.agreed


class KillSwitch:
    """Cancels all resting orders in scope, until a fresh list shows none, or until the deadline.

    Orders of other programs are included: this is the account's kill switch; `is_ours` only counts them. An order that
    cannot be canceled delays no other and is tried again each round. `live` returns the orders that are live by the
    state file. While some of them may still arrive, an empty list is no proof, and `look_up` reads their state; nor is
    it while one that had arrived is neither canceled here nor confirmed as over. Orders that rested and whose group is
    triggered before the first list are counted from that. `progress` takes how many of how many orders are gone, and
    `answered` is called whenever the exchange has answered every cancel.
    """

    def __init__(
        self,
        client: KalshiClient,
        clock: Clock,
        scope: CancelScope,
        *,
        tell: Callable[[str], None],
        progress: Callable[[int, int], None] = lambda _gone, _known: None,
        answered: Callable[[], None] = lambda: None,
        live: Callable[[], Iterable[Order]] = tuple,
        look_up: Callable[[], object] = lambda: None,
        is_ours: Callable[[Order], bool] | None = None,
    ) -> None:
        self._client = client
        self._clock = clock
        self._scope = scope
        self._tell = tell
        self._progress = progress
        self._answered = answered
        self._live = live
        self._look_up = look_up
        self._is_ours = is_ours
        self._known: dict[str, Order] = {}
        self._over: set[str] = set()
        self._traded: dict[str, Order] = {}
        self._rested: list[Order] = []
        self._event_of: dict[str, str] = {}
        self._unexplained: list[Order] = []
        self._is_answered = False
        self._triggered: dict[str, None] = {}
        self._travelling: list[Order] = []
        self._said: set[str] = set()
        self._refusals = 0
        self._is_paused = self._has_limits = self._has_looked_up = False
        self._is_owed = self._is_listed = self._is_behind = self._is_minimum = False
        self._doubted: list[Order] = []
        self._wrote_s = clock.monotonic()

    def run(self, deadline_s: float = DEADLINE_S, groups: Iterable[OrderGroup] | None = None) -> KillSwitchResult:
        """Run until a proof or the deadline. OutcomeUnknownError where the key is refused again and again.

        With `groups`, the order groups of the account are triggered first, the given ones without reading the list: no
        program can place orders in them then.
        """
        started, since = self._clock.monotonic(), self._clock.now()
        self._until = started + deadline_s
        if self._scope.is_everything:
            self._rested = [order for order in self._live() if order.status is OrderStatus.RESTING]
        if groups is not None:
            self._trigger(groups, self._until)
        self._travelling = self._doubts()
        self._try(self._look)
        if groups is not None:
            self._trigger(groups_of(self._known.values()), self._until)
        is_gone = self._cancel_all()
        if groups is not None:
            self._trigger(self._listed(), min(self._until, self._clock.monotonic() + GROUPS_S))
        if self._triggered:
            ids = ", ".join(short_ids([*self._triggered][:5]))
            text = f"{pluralize(len(self._triggered), 'order group')} triggered ({ids}); to resume and reset those of"
            self._say(f"{text} loops: kalshi resume --reason TEXT --reset-groups; others: kalshi order group reset ID")
        resting = self._emptied({} if is_gone else self._known)
        left = tuple((self._known if resting is None else resting).values())
        ended = self._ended_before(since)
        gone = self._known.keys() | {order.order_id for order in self._unlisted()}
        return KillSwitchResult(
            canceled=len(gone - ended.keys()) - len(left),
            over=tuple(ended.values()),
            remaining_orders=left,
            is_verified=resting is not None and not self._travelling and (bool(resting) or self._is_proven),
            seconds=round(self._clock.monotonic() - started, 3),
            triggered=tuple(self._triggered),
            in_doubt=tuple(self._travelling),
            unexplained=tuple(self._unexplained),
            is_answered=self._is_answered or not self._scope.is_everything,
            is_minimum=self._is_minimum,
        )

    def _emptied(self, pending: dict[str, Order]) -> dict[str, Order] | None:
        """Cancel and read, in rounds; return the last fresh list, None where there never was one.

        An order under way counts as such until a list is newer than the look-up that resolved it.
        """
        resting: dict[str, Order] | None = None
        while self._clock.monotonic() < self._until:
            self._sweep(pending)
            if self._is_all_answered:
                self._answered()
            doubts = self._doubts()
            found = self._fresh_list()
            if found is None:
                self._rest(SETTLE_S)
                if self._is_behind and self._is_all_answered:
                    pending = {}  # another cancel would only require a newer list
                    continue
            else:
                resting = pending = found
                if self._known:
                    self._progress(len(self._known) - len(resting), len(self._known))
                self._travelling = doubts
                self._unexplained = [] if resting else self._explained()
                if not resting and self._is_proven and not self._is_worth_waiting():
                    break
            if self._travelling or not (resting or self._is_proven):
                self._rest(LOOK_EVERY_S)
            if self._is_paused:
                self._rest(PAUSE_S)
            if self._clock.monotonic() < self._until:
                self._is_owed = False
                self._cancel_all()
        return resting

    def _doubts(self) -> list[Order]:
        """Return our own orders that may still arrive, after looking up those that could have.

        A triggered group accepts none.
        """
        if self._travelling:
            self._try(self._look_up)
        travelling = [
            order
            for order in in_flight_orders(self._live())
            if self._scope.holds(order) and order.order_group_id not in self._triggered
        ]
        if travelling != self._doubted:
            self._wrote_s = self._clock.monotonic()  # an order that the look-up found rests now: the list must be newer
        self._doubted = travelling
        return travelling

    def _is_worth_waiting(self) -> bool:
        """Return whether the outcome of an order under way can be known before the deadline."""
        due = {order.client_order_id: _known_at(order, self._clock.now()) for order in self._travelling}
        until = self._clock.now() + 1000 * (self._until - self._clock.monotonic())
        due = {name: at for name, at in due.items() if at <= until}
        if due:
            last = format_ts(max(due.values()))
            self._say(f"No response for {', '.join(list(due)[:5])}, which may still arrive; waiting until {last}")
        return bool(due)

    # -- cancels ------------------------------------------------------------------------------------------------------

    def _trigger(self, groups: Iterable[OrderGroup], until: float) -> None:
        """Trigger the groups. Failures are reported and delay nothing: the cancels follow."""
        asked = [group for group in groups if group.group_id not in self._triggered]
        for number, group in enumerate(asked):
            if self._clock.monotonic() >= until:
                self._say(f"Not triggered, out of time: {pluralize(len(asked) - number, 'order group')}")
                return
            try:
                self._client.trigger_order_group(group)
            except CredentialsError as error:
                self._say(f"Order groups could not be triggered: {error.message}")
                return
            except NotFoundError:
                continue  # deleted, or of a subaccount that no order names
            except KalshiError as error:
                self._say(_words(error))
                if error.code == PAUSED:
                    return
                continue
            self._triggered[group.group_id] = None

    def _listed(self) -> list[OrderGroup]:
        listed: list[OrderGroup] = []
        self._try(lambda: listed.extend(self._client.order_groups()))
        return listed

    def _cancel_all(self) -> bool:
        """Send the exchange's own cancel of everything and return whether it was accepted.

        Not used for a partial scope.
        """
        self._is_paused, taken = False, []

        def ask() -> None:
            before = {order.order_id for order in self._seen()}
            self._client.cancel_all()
            taken.append(True)  # a 404 here means that the route is gone, not an order
            self._is_answered = True
            self._over |= before

        if self._scope.is_everything:
            self._is_minimum = self._is_minimum or not self._is_listed
            self._write(ask)
        return bool(taken)

    def _may_go_on(self) -> bool:
        return not self._is_paused and self._clock.monotonic() < self._until

    def _sweep(self, orders: dict[str, Order]) -> None:
        """Cancel orders in batches, then one by one those that a batch did not; at the account's rate limit."""
        if not orders:
            return
        todo, gone = list(orders.values()), len(self._known) - len(orders)
        for at in range(0, len(todo), BATCH):
            if not self._may_go_on():
                self._is_owed = True
                return
            batch = todo[at : at + BATCH]
            failed: list[CancelFailed] = []
            self._write(partial(self._batch, batch, failed))
            self._progress(gone + at + len(batch) - len(failed), len(self._known))
            for each in failed:
                if self._may_go_on():
                    self._write(partial(self._cancel_one, orders[each.order_id]))
                else:
                    self._is_owed = True
            if not self._has_limits:  # after the first batch, which every tier allows: the bucket fills again meanwhile
                self._has_limits = self._try(self._client.refresh_limits)

    def _batch(self, orders: Sequence[Order], failed: list[CancelFailed]) -> None:
        """Cancel a batch; add the failed ones, except orders that are filled, gone, or not visible yet."""
        for each in self._client.cancel_orders(orders):
            if not isinstance(each, CancelFailed):
                self._is_answered = True
                self._over.add(each.order_id)
            elif each.code != "not_found":
                failed.append(each)
                if each.code == PAUSED:
                    self._is_paused = True
                    self._say(_PAUSED_TEXT)

    def _cancel_one(self, order: Order) -> None:
        self._over.add(self._client.cancel_order(order).order_id)
        self._is_answered = True

    # -- what is left -------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Read the first list, for the count: it may be old, and it may not delay the cancels for long."""
        with self._client.reading_within(FIRST_LOOK_S):
            self._list()
        grouped = len(self._unlisted())
        if not (self._known or grouped):
            return
        text = f"Found {pluralize(len(self._known), 'resting order')}"
        if self._is_ours is not None:
            strange = sum(not self._is_ours(order) for order in self._known.values())
            text += f", {strange} of them external" if strange else ""
        text += f"; {grouped} more of the state file were in the triggered groups" if grouped else ""
        self._say(text)

    def _list(self) -> dict[str, Order]:
        """Return the resting orders, from one read."""
        resting: dict[str, Order] = {}
        for order in self._client.orders(status="resting", event=self._scope.event or None):
            if self._scope.holds(order):
                resting[order.order_id] = self._known[order.order_id] = order
                self._over.discard(order.order_id)
        self._is_listed = True
        return resting

    def _fresh_list(self) -> dict[str, Order] | None:
        """Return the resting orders from a list that includes the last cancel; None before there is one."""
        found: list[dict[str, Order]] = []
        self._is_behind = False

        def look() -> None:
            self._is_behind = not is_list_current(self._client, self._clock, self._wrote_s)
            if self._is_behind:
                self._say("The exchange's lists are out of date; trying again")
            else:
                found.append(self._list())

        self._try(look)
        return found[0] if found else None

    @property
    def _is_proven(self) -> bool:
        """Return whether the exchange answered for every order that an empty list leaves out."""
        return not self._unexplained and (self._is_answered or not self._scope.is_everything)

    @property
    def _is_all_answered(self) -> bool:
        """Return whether the exchange answered each cancel of this round, so that only the proof is missing."""
        return not self._is_owed and (self._is_answered if self._scope.is_everything else self._is_listed)

    def _seen(self) -> list[Order]:
        """Return every order in scope that a list showed or that is live on file."""
        on_file = [order for order in self._live() if order.order_id and self._scope.holds(order)]
        return [*self._known.values(), *(order for order in on_file if order.order_id not in self._known)]

    def _explained(self) -> list[Order]:
        """Read each order whose end is unconfirmed and return those that remain. An order that is over stays over."""
        for order in self._seen():
            if order.order_group_id in self._triggered:
                self._over.add(order.order_id)
            elif order.order_id not in self._over and self._clock.monotonic() < self._until:
                self._try(partial(self._look_at, order))
        left = [order for order in self._seen() if order.order_id not in self._over]
        if not left or self._has_looked_up or self._clock.monotonic() >= self._until:
            return left
        self._has_looked_up = True  # once: it reads the whole account, including orders that left the live tier
        self._try(self._look_up)
        return [order for order in self._seen() if order.order_id not in self._over]

    def _ended_before(self, since: Ts) -> dict[str, Order]:
        """Return the orders that ended without a cancel of this run; those on file only if no list of it showed them.

        An unexpired one counts as canceled in a triggered group where the exchange's list cannot be read.
        """
        expired = [order for order in self._rested if order.expires and order.expires <= since]
        unlisted = self._unlisted()
        canceled = canceled_since(self._client, unlisted, since)
        over = [*expired, *(each for each in unlisted if canceled is not None and each.order_id not in canceled)]
        return {each.order_id: each for each in over if each.order_id not in self._known} | self._traded

    def _unlisted(self) -> list[Order]:
        """Return the orders that rested by the state file, that no list shows, and that this run may have canceled.

        They were in triggered groups, or ended where no list was read before the first cancel.
        """
        rested = {each.order_id: each for each in self._rested if each.order_id not in self._known}
        live = {each.order_id for each in self._live()} - self._over if self._is_minimum else rested.keys()
        return [each for key, each in rested.items() if key not in live or each.order_group_id in self._triggered]

    def _look_at(self, order: Order) -> None:
        events, ticker = self._scope.event, order.ticker
        if events and ticker not in self._event_of:
            self._event_of[ticker] = self._client.market(ticker).event_ticker
        is_elsewhere = events and self._event_of[ticker] not in events.split(",")
        status = OrderStatus.CANCELED if is_elsewhere else self._client.order(order.order_id).status
        if not status.is_live:
            self._over.add(order.order_id)
        if status in (OrderStatus.FILLED, OrderStatus.EXPIRED):
            self._traded[order.order_id] = order

    # -- how ------------------------------------------------------------------------------------------------------

    def _write(self, call: Callable[[], object]) -> bool:
        """Try a write; a list must be newer than its end. A key that may write is not locked out."""
        try:
            is_answered = self._try(call, is_write=True)
            self._refusals = 0 if is_answered else self._refusals
            self._is_owed = self._is_owed or not is_answered
            return is_answered
        finally:
            self._wrote_s = self._clock.monotonic()

    def _try(self, call: Callable[[], object], *, is_write: bool = False) -> bool:
        """Make one call and return whether it succeeded. A failure delays nothing: the next list decides.

        Only refused writes show that a key cannot cancel.
        """
        try:
            with self._client.reading_within(self._until - self._clock.monotonic()):
                call()
        except CredentialsError as error:
            self._refusals += is_write
            if self._refusals >= REFUSALS:
                raise self._locked_out(error) from error
            self._say(error.message)
            return False
        except NotFoundError:
            return True  # filled, canceled, or not visible yet: no proof
        except KalshiError as error:
            self._is_paused = self._is_paused or error.code == PAUSED
            self._say(_words(error))
            return False
        return True

    def _locked_out(self, error: CredentialsError) -> OutcomeUnknownError:
        ids = ", ".join(list(self._known)[:5])
        known = pluralize(len(self._known), "order") if ids else "orders"
        why, hint = "This key cannot cancel", f"cancel them {WEB_SITE} and check the key (Account, API keys)"
        if error.is_clock:
            why = "Nothing can be canceled until the clock is set"
            hint = f"{error.hint}; then run `kalshi cancel-all` again, or cancel {WEB_SITE}"
        text = f"{error.message}. {why}, and {known} may be live{': ' * bool(ids)}{ids}"
        return OutcomeUnknownError(text, hint=hint, code=error.code)

    def _rest(self, seconds: float) -> None:
        self._clock.sleep(max(0.0, min(seconds, self._until - self._clock.monotonic())))

    def _say(self, text: str) -> None:
        """Report each message once, however often the same trouble repeats."""
        if text not in self._said:
            self._said.add(text)
            self._tell(text)


_PAUSED_TEXT = "The exchange is paused and accepts no cancels until it resumes; trying again until the deadline"


WEB_SITE = "on the web site (kalshi.com, Portfolio, Orders)"


def _words(error: KalshiError) -> str:
    return _PAUSED_TEXT if error.code == PAUSED else f"{error.message}; trying again"


def in_flight_orders(live: Iterable[Order]) -> list[Order]:
    """Return our own orders that may still arrive: neither confirmed by the exchange nor proven absent."""
    return [order for order in live if not order.order_id]


def _known_at(order: Order, now: Ts) -> Ts:
    """Return when the outcome of an order is known: by its sender soon, else by a read that is late enough."""
    answered = Ts(order.created + ANSWERED_MS)
    return answered if answered > now else provable_at(order)
