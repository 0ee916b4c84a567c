"""Plans that were made and not executed yet, and the base of every service that makes them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import KalshiError, OutcomeUnknownError, RefusedError, cut_off
from kalshi_cli.base.twin_signals import twins_ignored
from kalshi_cli.base.units import ONE_DOLLAR, Money, Ts, notional
from kalshi_cli.services.resources import Resources
from kalshi_cli.views.order_text import outcome_text
from kalshi_cli.views.plans import Plan, RequestPlan

LIFE_S = 60.0
"""A plan must be executed within this time."""

MAX_PLANS = 1_000
"""The number of plans that are kept; the oldest is dropped first."""

REVIEW_AGAIN_S = 2.0
"""A plan of orders that was reviewed longer ago is reviewed again before it is sent."""

P = TypeVar("P", bound=Plan[Any])
R = TypeVar("R")
T = TypeVar("T")


class _Kept(NamedTuple):
    """A plan, the function that executes it, and the function that makes the same plan again."""

    plan: Plan[Any]
    made_s: float
    executions: int
    """The number of plans that were executed before it was made."""
    execute: Callable[[float], Any]
    renew: Callable[[], Plan[Any]]


class _Used(NamedTuple):
    """A plan that was executed or replaced, and the error that another call for it gets."""

    plan: Plan[Any]
    error: KalshiError


class PlanBook:
    """The plans of one service: `add` makes a plan, `execute` executes it once."""

    def __init__(self, clock: Clock, new_id: Callable[[], str]) -> None:
        self._clock = clock
        self._new_id = new_id
        self._kept: dict[str, _Kept | _Used] = {}
        self._executions = 0

    def add(self, of: type[P], execute: Callable[[float], object], renew: Callable[[], P], **fields: Any) -> P:
        """Make a plan with these fields.

        `execute` takes the age of the plan in seconds, which is infinite once another plan was executed: what that sent
        is not in the review. `renew` makes the same plan again.
        """
        expires = Ts(self._clock.now() + int(1000 * LIFE_S))
        plan = of(plan_id=self._new_id(), expires=expires, **fields)
        plan = msgspec.structs.replace(plan, digest=digest_of(plan))
        while len(self._kept) >= MAX_PLANS:
            del self._kept[next(iter(self._kept))]
        self._kept[plan.plan_id] = _Kept(plan, self._clock.monotonic(), self._executions, execute, renew)
        return plan

    def execute(self, plan: Plan[R]) -> R:
        """Execute a plan. Raise RefusedError where it is stale, changed or unknown here.

        A plan that was executed already is not executed again: OutcomeUnknownError where nothing is known of what it
        sent, RefusedError with what became of it otherwise.
        """
        kept = self._find(plan)
        age_s = self._clock.monotonic() - kept.made_s
        if age_s > LIFE_S or self._clock.now() > plan.expires:
            raise RefusedError(
                f"the plan is older than {LIFE_S:g} s; nothing was sent",
                hint="make a new plan, review it, and execute it within that time",
                code="PLAN_STALE",
            )
        if kept.executions != self._executions:
            age_s = math.inf
        self._executions += 1
        self._use(kept, _interrupted())  # stays where nothing is known of its end
        try:
            result = kept.execute(age_s)
        except KalshiError as error:
            self._use(kept, _repeated(error))
            raise
        self._use(kept, _repeated(getattr(result, "error", None), outcome_text(result, {}, plan)))
        return cast(R, result)

    def renew(self, plan: P) -> P:
        """Make the same plan again from current data, because the user took time to agree to it."""
        kept = self._find(plan)
        replaced = RefusedError(
            "a newer plan replaced this one; nothing was sent", hint="execute the newer one", code="PLAN_REPLACED"
        )
        self._use(kept, replaced)
        return cast(P, kept.renew())

    def _find(self, plan: Plan[Any]) -> _Kept:
        kept = self._kept.get(plan.plan_id) if isinstance(plan, Plan) else None
        if kept is None:
            raise RefusedError(
                "unknown plan; nothing was sent", hint="execute a plan on the service that made it", code="NO_PLAN"
            )
        if digest_of(plan) != kept.plan.digest or plan.digest != kept.plan.digest:
            raise RefusedError(
                "the plan was changed after it was made; nothing was sent", hint="make a new plan", code="PLAN_CHANGED"
            )
        if isinstance(kept, _Used):
            raise kept.error
        return kept

    def _use(self, kept: _Kept, error: KalshiError) -> None:
        """Let another call for this plan fail with an error."""
        self._kept[kept.plan.plan_id] = _Used(kept.plan, error)


def _interrupted() -> KalshiError:
    return OutcomeUnknownError(
        "this plan was executed already, and did not end: what it sent may be live; this call sent nothing",
        hint="find out before you make a new plan: kalshi.orders.reconcile(), and the list of orders",
    )


def _repeated(error: KalshiError | None, text: str = "") -> KalshiError:
    """Return the error of a second execution, from the error of the first one or its result in words."""
    if isinstance(error, OutcomeUnknownError):
        return error
    ended = "it was refused" if isinstance(error, RefusedError) else "it failed"
    became = f"{ended}: {error.message}" if error is not None else text or "it is done"
    return RefusedError(
        f"this plan was executed already: {became}; this call sent nothing",
        hint="a new plan does it again",
        code="PLAN_EXECUTED",
    )


def digest_of(plan: Plan[Any]) -> str:
    """Return the fingerprint of every field of a plan but the digest itself."""
    return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(plan, digest=""))).hexdigest()


def plan_prices(orders: Sequence[tuple[Money, Money, int]]) -> dict[str, Money]:
    """Return the amounts of a PricedPlan from the cost, the highest fee and the contracts of each order."""
    cost, fees = (Money(sum(each[at] for each in orders)) for at in (0, 1))
    payout = Money(sum(notional(ONE_DOLLAR, qty) for _, _, qty in orders))
    return {"cost": cost, "fees": fees, "max_loss": Money(cost + fees), "max_payout": payout}


_OF_THE_COMMANDS = ("as_meant", "entry", "held", "in_own_terms", "renew")
"""Methods that the command line and the screens need, and no program in Python: completion does not offer them."""


class PlanningService:
    """The base of services with writes: `plan_...` sends nothing, `execute` executes a plan once.

    A rehearsal changes nothing: it makes plans, also where writes are switched off, and executes none.
    """

    def __init__(self, resources: Resources, *, is_rehearsal: bool = False) -> None:
        self._resources = resources
        self._is_rehearsal = is_rehearsal
        self._book = PlanBook(resources.machine, resources.new_id)

    def execute(self, plan: Plan[R]) -> R:
        """Execute a plan once and return the result.

        RefusedError where the plan is stale, changed or already executed, or where a limit or a halt refuses it now.
        OutcomeUnknownError where no answer came, or an interrupt (Ctrl-C) cut off the write: it may have happened. A
        repeat raises it again.
        """
        if self._is_rehearsal:
            raise RefusedError("a rehearsal sends nothing", code="REHEARSAL")
        self._resources.require_open()
        with twins_ignored(self._resources.machine.monotonic):
            try:
                return self._book.execute(plan)
            except KeyboardInterrupt as interrupt:
                if (unknown := cut_off(interrupt)) is not None:
                    raise unknown from None
                raise

    def renew(self, plan: P) -> P:
        """Make the same plan again after the user took time to agree: new orders are reviewed again.

        Plans that close, cancel, decrease or confirm stay as they were shown.
        """
        return self._book.renew(plan)

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in _OF_THE_COMMANDS]

    @property
    def _env(self) -> str:
        return self._resources.config.env

    def _request(self, action: str, terms: T, send: Callable[[], R], *facts: str) -> RequestPlan[T, R]:
        """Plan one request that places no order; the first fact gets the environment in front."""
        first = f"{self._env}: {facts[0]}"
        return self._book.add(
            RequestPlan,
            lambda _age_s: send(),
            lambda: self._request(action, terms, send, *facts),
            subject=first,
            facts=(first, *facts[1:]),
            action=action,
            terms=terms,
        )
