"""Plans that were made and not executed yet: each is executed once, unchanged, and soon."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import RefusedError
from kalshi_cli.base.units import Ts
from kalshi_cli.views.plans import Plan

LIFE_S = 60.0
"""A plan must be executed within this time."""

MAX_PLANS = 1_000
"""Plans that are kept; the oldest is forgotten first."""

P = TypeVar("P", bound=Plan)


class _Kept(NamedTuple):
    """A plan that was made, what executes it, and what makes it anew."""

    plan: Plan
    made_s: float
    execute: Callable[[float], object] | None
    renew: Callable[[], Plan]


class PlanBook:
    """Makes plans, and gives back what executes one: `add`, then `execute`."""

    def __init__(self, clock: Clock, new_id: Callable[[], str], life_s: float = LIFE_S) -> None:
        self._clock = clock
        self._new_id = new_id
        self._life_s = life_s
        self._kept: dict[str, _Kept] = {}

    def add(self, of: type[P], execute: Callable[[float], object], renew: Callable[[], P], **fields: Any) -> P:
        """Make a plan with these fields. `execute` gets its age in seconds; `renew` makes the same plan anew."""
        expires = Ts(self._clock.now() + int(1000 * self._life_s))
        plan = of(plan_id=self._new_id(), expires=expires, **fields)
        plan = msgspec.structs.replace(plan, digest=digest_of(plan))
        while len(self._kept) >= MAX_PLANS:
            del self._kept[next(iter(self._kept))]
        self._kept[plan.plan_id] = _Kept(plan, self._clock.monotonic(), execute, renew)
        return plan

    def execute(self, plan: Plan) -> object:
        """Do what was planned. RefusedError where the plan is stale, changed, unknown here or executed already."""
        kept = self._find(plan)
        age_s = self._clock.monotonic() - kept.made_s
        if age_s > self._life_s or self._clock.now() > plan.expires:
            raise RefusedError(
                f"the plan is older than {self._life_s:g} s; nothing was sent",
                hint="make it again, look at it, and execute it at once",
                code="PLAN_STALE",
            )
        return self._take(kept)(age_s)

    def renew(self, plan: P) -> P:
        """Make the same plan anew, by what is true now, because somebody took time to agree to it."""
        kept = self._find(plan)
        self._take(kept)
        return cast(P, kept.renew())

    def _find(self, plan: Plan) -> _Kept:
        kept = self._kept.get(plan.plan_id)
        if kept is None:
            raise RefusedError("this plan was not made here; nothing was sent", hint="plan it here", code="NO_PLAN")
        if digest_of(plan) != kept.plan.digest or plan.digest != kept.plan.digest:
            raise RefusedError(
                "the plan is not the one that was made: something in it was changed; nothing was sent",
                hint="plan what you want instead",
                code="PLAN_CHANGED",
            )
        return kept

    def _take(self, kept: _Kept) -> Callable[[float], object]:
        """Return what executes it, to the first who asks."""
        before = self._kept.pop(kept.plan.plan_id, None)
        if before is not None:
            self._kept[kept.plan.plan_id] = before._replace(execute=None)
        if before is None or before.execute is None:
            raise RefusedError(
                "this plan was executed already; nothing was sent", hint="plan it again", code="PLAN_EXECUTED"
            )
        return before.execute


def digest_of(plan: Plan) -> str:
    """Return the fingerprint of everything in a plan but the digest itself."""
    return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(plan, digest=""))).hexdigest()
