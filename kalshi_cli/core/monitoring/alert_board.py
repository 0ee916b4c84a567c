"""What somebody is told of, when, and how often: pure; every time is passed in.

An `Incident` is one thing to tell, known by its code and its subject. One that lasts (a breach, a halt, being blind)
fires once, is reminded while it holds, and is resolved once when it does not. One that does not is an event: it
happened.

What is first of a code is told at once. That opens a window (`group_ms`): what follows of the same code is told
together when it closes, but for what is graver, and what is critical and back after its end. A key is told again after
`repeat_ms`, and sooner only once after a resolve: whoever read that it is over must hear that it is back; then its end
is told when it was over for `repeat_ms` (that of a halt sooner: only a person ends one). What stopped trading is over
once its cause is and a person resumed. Nobody is told of what is
silenced, or what a greater cause explains (INHIBITS); it is counted, and told afterwards if it still holds; what a
check found, once the check finds it again. News (tier info) is told each time, a window's together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import msgspec
from msgspec.structs import replace

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.monitoring import incidents
from kalshi_cli.core.monitoring.check_report import Breach
from kalshi_cli.core.monitoring.incidents import HALT, LOOP, REDUCING, Incident, severity_rank, stops_trading, worst
from kalshi_cli.core.monitoring.notices import Kind, Notice
from kalshi_cli.core.monitoring.runbook_index import runbook_for


class Decision(msgspec.Struct, frozen=True):
    """Whom nobody has told yet: notices to send, and what stops a loop now where that is wished: it began, or what
    explained it is over and it was found again. A silence is for the telling; it holds up no stop.
    """

    notices: tuple[Notice, ...]
    stoppers: tuple[Incident, ...]


class Board:
    """All matters of an account, as they are kept; `decide` says what is told now."""

    def __init__(self, policy: incidents.AlertPolicy, env: str, new_id: Callable[[], str]) -> None:
        self.matters: dict[str, dict[str, Incident]] = {}
        """By code, then by subject."""
        self.windows: dict[str, incidents.GroupingWindow] = {}
        self.silences: Sequence[incidents.AlertSilence] = ()
        self.loop_seen = Ts(0)
        """When a loop was last there."""
        self.is_heard: Callable[[str, str], bool] = lambda _tier, _event: True
        """Whether anybody asked for such a tier, or such an event. What lasts is told once somebody did."""
        self.is_stopped = False
        """An alert stopped trading, and no user has resumed it since."""
        self.shards = 0
        """How many the exchange has; 0 where nobody has counted them."""
        self.shard_of: Callable[[str], int | None] = lambda _subject: None
        """The shard of a market, an order or a group; None where that is not known."""
        self._policy = policy
        self._env = env
        self._new_id = new_id
        self._begun: dict[tuple[str, str], None] = {}

    def all(self) -> Iterator[Incident]:
        """Every matter."""
        for group in self.matters.values():
            yield from group.values()

    def put(self, matter: Incident) -> None:
        """As it is now."""
        self.matters.setdefault(matter.code, {})[matter.subject] = matter

    def _known(self, code: str, subject: str) -> Incident | None:
        return self.matters.get(code, {}).get(subject)

    def _placed(self, matter: Incident) -> Incident:
        """Under its own subject, or under that of all the others where there are too many."""
        group = self.matters.get(matter.code, {})
        if matter.subject in group or len(group) < incidents.MAX_SUBJECTS:
            return matter
        return replace(matter, subject=incidents.OTHER_SUBJECTS)

    # -- what happens ---------------------------------------------------------------------------------------------

    def observe(self, source: str, breaches: Collection[Breach], now: Ts, event: str = "") -> None:
        """These hold now; what else of this source held is over, unless the source could not look at all.

        So is what a loop that is gone said, where this source sees the same.
        """
        found = [incidents.from_check(source, breach, now, event) for breach in breaches if breach.severity != "note"]
        held = {self._hold(matter) for matter in found}
        if any(matter.is_unknown for matter in found):
            return
        self.end(source, now, held)
        expected = {(breach.code, breach.subject) for breach in breaches}  # a note says that it is so, too
        for matter in list(self.all()):
            is_seen = matter.code in incidents.SEEN_BY.get(source, ()) and (matter.code, matter.subject) not in expected
            if is_seen and matter.lasts and matter.ended is None and self._is_left_by_loop(matter, now):
                self._over(matter, now)

    def end(self, source: str, now: Ts, held: Collection[tuple[str, str]] = ()) -> None:
        """Whatever of this source holds is over, but for what is `held`."""
        for matter in list(self.all()):
            is_held = (matter.code, matter.subject) in held
            if matter.lasts and matter.source == source and matter.ended is None and not is_held:
                self._over(matter, now)

    def stopped_by(self, source: str, breach: Breach, now: Ts) -> None:
        """Trading is stopped by this (HALT) or only reduces (REDUCING).

        A stop that this one replaced still holds: a person has to resume before either is over.
        """
        self._hold(incidents.from_check(source, breach, now, "emergency_stop"))

    def resumed(self, now: Ts) -> None:
        """A person resumed trading: every stop is over."""
        for source in (HALT, REDUCING):
            self.end(source, now)

    def end_code(self, code: str, now: Ts) -> None:
        """Whatever of this code holds is over."""
        for matter in list(self.matters.get(code, {}).values()):
            if matter.lasts and matter.ended is None:
                self._over(matter, now)

    def happen(self, alert: AlertRaised, now: Ts) -> None:
        """Something that was recorded: an event, the begin of what lasts, or its end."""
        matter = incidents.recorded(alert, now)
        ended = [self._known(code, matter.subject) for code in incidents.ENDS.get(alert.code, ())]
        held = [known for known in ended if known is not None and known.ended is None]
        for known in held:
            self._over(replace(known, text=matter.text), now)
        if matter.lasts:
            self._hold(matter)
        elif not held:  # else its end is what is told
            self._add(self._placed(matter), now)

    def _add(self, matter: Incident, now: Ts) -> None:
        """An event, or one more. Of what holds, or did a moment ago, it says nothing new; too old is no news."""
        known = self._known(matter.code, matter.subject)
        if now - matter.since > self._policy.stale_ms:
            matter = replace(matter, untold=0, hushed=1)
        if known is not None and known.lasts and not known.is_resolved:
            matter = replace(known, seen=matter.seen, count=known.count + 1)
        elif matter.untold:
            self._begun[matter.code, matter.subject] = None
        if known is not None and not known.lasts:
            is_waiting = known.untold > 0
            matter = replace(
                matter, since=known.since if is_waiting else matter.since, told=known.told, count=known.count + 1,
                tier=worst((known.tier, matter.tier)) if is_waiting else matter.tier,
                untold=known.untold + matter.untold, hushed=known.hushed + matter.hushed,
            )  # fmt: skip
        self.put(matter)

    def _hold(self, matter: Incident) -> tuple[str, str]:
        """It holds: it begins, goes on, is back, or became graver. Code and subject under which it is kept."""
        matter = self._placed(matter)
        known = self._known(matter.code, matter.subject)
        if known is not None and known.lasts and not known.is_resolved:
            matter = self._still(known, matter)
        elif known is not None and known.told is not None:
            matter = self._again(known, matter, known.told)
        if matter.tier == "critical" and not self._was_critical(known, matter):
            self._begun[matter.code, matter.subject] = None
        self.put(matter)
        return matter.code, matter.subject

    @staticmethod
    def _was_critical(known: Incident | None, matter: Incident) -> bool:
        """Whether it was as grave the last time, without an end since; as an event, untold or told a while ago. What
        could not stop trading then is looked at again.
        """
        if known is None or known.tier != "critical" or known.must_stop:
            return False
        return known.ended is None if known.lasts else known.untold > 0 or matter.is_known

    def _again(self, known: Incident, matter: Incident, told: Ts) -> Incident:
        """It was told before, as an event, or as over since."""
        matter = replace(matter, count=known.count + 1)
        if matter.seen - told >= self._policy.repeat_ms:
            return matter
        if known.lasts:
            return replace(matter, told=told, has_returned=True)
        is_told = severity_rank(matter.tier) <= severity_rank(known.tier)
        untold = 0 if is_told else matter.untold
        return replace(matter, told=told, since=known.since, untold=untold, is_known=True)

    def _still(self, known: Incident, matter: Incident) -> Incident:
        """The same, going on. It is told anew where it became graver, or certain."""
        tier = worst((known.tier, matter.tier))
        is_certain = not matter.is_unknown or known.count + 1 >= incidents.LOOKS
        is_repeated = matter.source in (HALT, REDUCING) or (stops_trading(matter) and not known.has_returned)
        is_back = known.ended is not None and is_repeated
        is_news = tier != known.tier or is_back or not (known.untold or known.is_known)
        return replace(
            matter, tier=tier, since=known.since, count=known.count + 1, told=known.told, hushed=known.hushed,
            untold=max(known.untold, int(is_news and is_certain)),
            is_known=known.is_known, has_returned=known.has_returned or is_back, must_stop=known.must_stop,
        )  # fmt: skip

    def _over(self, matter: Incident, now: Ts) -> None:
        """It does not hold any more. What was never certain enough was never there."""
        if matter.is_known or matter.untold:
            self.put(replace(matter, ended=now))
        elif matter.told is not None:
            self.put(replace(matter, ended=now, is_resolved=True))
        else:
            del self.matters[matter.code][matter.subject]

    # -- what is told ---------------------------------------------------------------------------------------------

    def decide(self, now: Ts) -> Decision:
        """What is told at this moment. Asked again at the same moment it tells nothing more."""
        self._correct(now)
        causes, halts = self.causes(now), incidents.IncidentCauses(_explained_by(self._halts(now)))
        stoppers = tuple(self._stoppers(causes))
        notices: list[Notice] = []
        for code in sorted(self.matters):
            hushed = {each.subject for each in self.matters[code].values() if self.is_hushed(each, causes, now)}
            waiting = {subject for subject in hushed if self._waits(self.matters[code][subject], halts, now)}
            unheard = {
                each.subject for each in self.matters[code].values()
                if each.lasts and not self.is_heard(each.tier, each.event)
            }  # fmt: skip
            self._drop_hushed(code, (hushed | unheard) - waiting, causes)
            notices += self._tell(code, hushed | unheard, now)
        self._forget(now)
        return Decision(tuple(notices), stoppers)

    def _stoppers(self, causes: incidents.IncidentCauses) -> Iterator[Incident]:
        """What began, or was found again, and stops trading; what lasts and is explained is kept for when it is not."""
        for matter in [matter for key in self._begun if (matter := self._known(*key)) is not None]:
            is_explained = self._is_explained(matter, causes)
            if stops_trading(matter):
                self.put(replace(matter, must_stop=matter.lasts and is_explained))
                if not is_explained:
                    yield matter
        self._begun.clear()

    def causes(self, now: Ts) -> incidents.IncidentCauses:
        """What something greater explains while it holds; of a halt, whatever else is said of it.

        Only what was seen to hold lately explains anything, and nobody's silence is for more than it covers. The pause
        of a shard explains what is on that shard; what is of the whole account, once all of them are paused.
        """
        firing = [matter for matter in self.all() if matter.is_firing and self._explains(matter, now)]
        explaining = {
            code
            for each in firing
            if each.code not in incidents.PAUSES
            for code in incidents.INHIBITS.get(each.code, ())
        }
        on_shard: dict[int, frozenset[str]] = {}
        for each in firing:
            shard = incidents.shard_named(each.subject)
            if each.code in incidents.PAUSES and shard is not None:
                on_shard[shard] = on_shard.get(shard, frozenset()).union(incidents.INHIBITS[each.code])
        if 0 < self.shards <= len(on_shard):
            explaining |= frozenset.intersection(*on_shard.values())
        return incidents.IncidentCauses(_explained_by(self._halts(now)) | explaining, on_shard)

    def _halts(self, now: Ts) -> frozenset[str]:
        """The codes of the trading state on file, and HALTED of a halt."""
        firing = [matter for matter in self.all() if matter.is_firing and not self._is_silenced(matter, now)]
        stops = {matter.code for matter in firing if matter.source in (HALT, REDUCING)}
        return frozenset(stops | ({"HALTED"} if any(matter.source == HALT for matter in firing) else set()))

    def _explains(self, matter: Incident, now: Ts) -> bool:
        """Whoever says that it holds is still there, and it is not silenced."""
        is_late = now - matter.seen > incidents.CHECK_GONE_MS and matter.source != LOOP
        return not (is_late or self._is_left_by_loop(matter, now) or self._is_silenced(matter, now))

    def _is_left_by_loop(self, matter: Incident, now: Ts) -> bool:
        """A loop said it, and none is there any more to say that it is over."""
        loop_seen = self.loop_seen if self.loop_seen <= now + incidents.AHEAD_MS else Ts(0)
        return matter.source == LOOP and now - max(matter.seen, loop_seen) > incidents.LOOP_GONE_MS

    def _is_silenced(self, matter: Incident, now: Ts) -> bool:
        return any(silence.covers(matter, now) for silence in self.silences)

    def _waits(self, matter: Incident, halts: incidents.IncidentCauses, now: Ts) -> bool:
        """Of what is hushed: an event that something explains is told when that is over, unless it is old by then; but
        not what a halt brought about, which is all the news there was.
        """
        is_old = now - matter.seen > self._policy.stale_ms
        is_halts = self._is_explained(matter, halts)
        return not (matter.lasts or is_old or is_halts or self._is_silenced(matter, now))

    def _correct(self, now: Ts) -> None:
        """Times that are ahead were written before the clock was set back: they count as now."""
        ahead = now + incidents.AHEAD_MS
        for matter in list(self.all()):
            times = (matter.since, matter.seen, matter.told or 0, matter.ended or 0)
            if max(times) > ahead:
                told, ended = matter.told, matter.ended
                self.put(replace(
                    matter, since=min(matter.since, now), seen=min(matter.seen, now),
                    told=None if told is None else min(told, now), ended=None if ended is None else min(ended, now),
                ))  # fmt: skip
        for code, window in self.windows.items():
            if window.until > ahead + self._policy.group_ms:
                self.windows[code] = replace(window, until=now)

    def is_hushed(self, matter: Incident, causes: incidents.IncidentCauses, now: Ts) -> bool:
        """Whether it is silenced, or something greater that holds explains it."""
        return self._is_explained(matter, causes) or self._is_silenced(matter, now)

    def _is_explained(self, matter: Incident, causes: incidents.IncidentCauses) -> bool:
        if matter.source in (HALT, REDUCING):
            return False
        shard = incidents.shard_named(matter.subject)
        if shard is None and causes.on_shard:
            shard = self.shard_of(matter.subject)
        return causes.explain(matter.code, shard)

    def _drop_hushed(self, code: str, hushed: Collection[str], causes: incidents.IncidentCauses) -> None:
        """What nobody was to be told of, and is over meanwhile or was an event, is left untold for good.

        What a check found, and something greater explains, waits for the check to find it again: what still holds
        when that greater cause is over is told in the words of then, and nothing is that went with its cause.
        """
        for subject in hushed:
            matter = self.matters[code][subject]
            if matter.untold and not matter.is_firing:
                is_unheard = matter.lasts and matter.told is None
                self.put(replace(matter, untold=0, hushed=matter.hushed + matter.untold, is_resolved=is_unheard))
            elif matter.source != LOOP and not matter.is_known and self._is_explained(matter, causes):
                self.put(replace(matter, untold=0))

    def _tell(self, code: str, hushed: Collection[str], now: Ts) -> list[Notice]:
        """Of one code: what is over, then what is new, then what still is."""
        window = self.windows.get(code)
        is_open = window is None or now >= window.until
        notices = self._tell_resolved(code, now, is_open=is_open)
        heard = [matter for matter in self.matters[code].values() if matter.subject not in hushed]
        fresh = [matter for matter in heard if self._is_due(matter, now)]
        tier = worst(matter.tier for matter in fresh)
        is_graver = window is not None and severity_rank(tier) > severity_rank(window.tier)
        if fresh and (is_open or is_graver or self._is_back(code, fresh, now)):
            notices.append(self._notice("firing" if any(m.is_firing for m in fresh) else "event", fresh, now))
            self._open_window(notices[-1])
            is_open = False
        held = [
            matter for matter in heard if matter.is_firing and not matter.untold and self._is_long_told(matter, now)
        ]
        if held and is_open:
            notices.append(self._notice("reminder", held, now))
            self._open_window(notices[-1])
        return notices

    def _is_back(self, code: str, fresh: Collection[Incident], now: Ts) -> bool:
        """Whether something critical among them was over, and cannot wait: up to RETOLD of a code in the time of a
        window; a halt always, because nobody but a person ends one, and so what an alert did to trading.
        """
        back = [matter for matter in fresh if matter.has_returned and matter.tier == "critical"]
        retold = [
            matter
            for matter in self.matters[code].values()
            if matter.has_returned and matter.is_known and now - (matter.told or 0) < self._policy.group_ms
        ]
        is_always = code in incidents.NOTIFY_EVERY_TIME or any(matter.source in (HALT, REDUCING) for matter in back)
        return is_always or (bool(back) and len(retold) < incidents.MAX_REPEAT_ALERTS)

    def _tell_resolved(self, code: str, now: Ts, *, is_open: bool) -> list[Notice]:
        """What was told and is over: at once if all of its code is, else with a window."""
        group = self.matters[code].values()
        over = [matter for matter in group if matter.ended is not None and not matter.is_resolved]
        is_all = not any(matter.is_firing for matter in group)
        ripe = [matter for matter in over if self._is_ripe(matter, now)]
        if not ripe or not (is_all or is_open):
            return []
        if is_all:
            ripe += [matter for matter in over if matter.told is None]
        notice = self._notice("resolved", ripe, now)
        if not is_all:
            self._open_window(notice)
        return [notice]

    def _is_ripe(self, matter: Incident, now: Ts) -> bool:
        """Return whether the end of a matter that is over may be told.

        A matter that stopped trading waits for a person to resume. A stop on file must stay away for RESUMED_MS after
        that. Of what was back, that is told first, and then it must be quiet.
        """
        if matter.told is None or (self.is_stopped and stops_trading(matter)):
            return False
        if matter.has_returned and matter.untold:
            return False
        is_stop = matter.source in (HALT, REDUCING)
        quiet_ms = incidents.RESUMED_MS if is_stop else self._policy.repeat_ms if matter.has_returned else 0
        return now - (matter.ended or now) >= quiet_ms

    def _open_window(self, notice: Notice) -> None:
        self.windows[notice.code] = incidents.GroupingWindow(
            notice.code, Ts(notice.ts + self._policy.group_ms), notice.tier
        )

    def _is_due(self, matter: Incident, now: Ts) -> bool:
        """An event that was told is told again after `repeat_ms`; what fires, and news, whenever its code may be."""
        is_early = matter.told is not None and not self._is_long_told(matter, now)
        is_news = matter.tier == "info" or matter.code in incidents.NOTIFY_EVERY_TIME
        may_be_early = matter.lasts or is_news or matter.subject == incidents.OTHER_SUBJECTS
        return matter.untold > 0 and (may_be_early or not is_early)

    def _is_long_told(self, matter: Incident, now: Ts) -> bool:
        return matter.told is not None and now - matter.told >= self._policy.repeat_ms

    def _is_quiet(self, matter: Incident, now: Ts) -> bool:
        return matter.ended is not None and now - matter.ended >= self._policy.repeat_ms

    def _notice(self, kind: Kind, told: list[Incident], now: Ts) -> Notice:
        """Tell these together: of an end what was told before comes first, then what holds, the gravest, the oldest."""
        is_end = kind == "resolved"
        told = sorted(
            told,
            key=lambda m: (is_end and m.told is None, m.ended is not None, -severity_rank(m.tier), m.since, m.subject),
        )
        first, remedy = told[0], runbook_for(told[0].code)
        for matter in told:
            is_past = kind == "event" and matter.lasts and (matter.told is None or self._is_quiet(matter, now))
            last = matter.told if is_end and matter.told is not None else now
            self.put(replace(matter, untold=0, told=last, is_known=True, is_resolved=is_end or is_past))
        is_over = first.ended is not None and not is_end
        return Notice(
            notice_id=self._new_id(), kind=kind, tier=first.tier, event=first.event, code=first.code,
            subject=first.subject, text=_said(first.text, is_over=is_over, is_end=is_end),
            env=self._env, since=first.since, ts=now, value=first.value, limit=first.wanted, unit=first.unit,
            count=sum(matter.untold for matter in told) if kind in ("firing", "event") else len(told),
            subjects=tuple(matter.subject for matter in told[: incidents.NAMED]),
            runbook=remedy.runbook, command=remedy.command,
        )  # fmt: skip

    def _forget(self, now: Ts) -> None:
        """What is over and long told needs no row; until then it is known that it would be back."""
        for matter in list(self.all()):
            is_done = matter.is_resolved if matter.lasts else not matter.untold
            if is_done and now - max(matter.seen, matter.told or 0, matter.ended or 0) >= self._policy.repeat_ms:
                del self.matters[matter.code][matter.subject]
        self.matters = {code: group for code, group in self.matters.items() if group}
        self.windows = {code: window for code, window in self.windows.items() if now < window.until}


def _explained_by(codes: Collection[str]) -> frozenset[str]:
    """What is said of a halt besides, and what goes with it."""
    return frozenset(codes).union(*(incidents.INHIBITS.get(code, ()) for code in codes))


def _said(text: str, *, is_over: bool, is_end: bool) -> str:
    if is_end:
        return f"over: {text}"
    return f"{text}; it is over by now" if is_over else text
