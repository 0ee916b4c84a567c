"""The alert board decides which alerts are sent, when, and how often. It is pure; every time is passed in.

An `Incident` is identified by its code and its subject. A lasting one (a breach, a halt, a lost account) fires once, is
repeated as a reminder, and is resolved once. Any other is an event: it happened.

The first incident of a code is sent at once and opens a window (`group_ms`). Later ones of the same code are sent
together when the window closes, except graver ones, and critical ones that return after they were resolved. An incident
is repeated after `repeat_ms`. It is sent sooner if it returns after a resolved notice; its end is then sent after it
was over for QUIET_WINDOWS windows (for a halt sooner, because only the user ends one). A critical one that returns
before that is sent again, ever less often: a window after the last notice, then after twice as long each time. So the
last notice becomes the truth soon. An incident that stopped trading is over when its cause ended and the user resumed.

Silenced incidents, and those that a greater cause explains (INHIBITS), are counted but not sent. They are sent later if
they still hold; those of a check, once the check finds them again. Events of tier info are always sent, those of a
window together.
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
from kalshi_cli.core.monitoring.notices import OVER, Kind, Notice, shown_text
from kalshi_cli.core.monitoring.runbook_index import runbook_for


class Decision(msgspec.Struct, frozen=True):
    """The result of a decision: notices to send, and incidents that stop trading if that is configured.

    An incident stops trading when it begins, or when it is found again after the cause that explained it ended. A
    silence suppresses notices, never a stop.
    """

    notices: tuple[Notice, ...]
    stoppers: tuple[Incident, ...]


class Board:
    """All incidents of an account; `decide` returns the notices that are due."""

    def __init__(self, policy: incidents.AlertPolicy, env: str, new_id: Callable[[], str]) -> None:
        self.matters: dict[str, dict[str, Incident]] = {}
        """Alerts by code, then by subject."""
        self.windows: dict[str, incidents.GroupingWindow] = {}
        self.silences: Sequence[incidents.AlertSilence] = ()
        self.loop_seen = Ts(0)
        """The time at which a trading loop was last running."""
        self.is_heard: Callable[[str, str], bool] = lambda _tier, _event: True
        """True if any channel receives such a tier or event. A lasting incident is sent once one does."""
        self.is_stopped = False
        """True if an alert stopped trading and the user has not resumed it since."""
        self.resumed_at = Ts(0)
        """The time at which the user last resumed trading."""
        self.shards = 0
        """The number of shards, 0 if unknown."""
        self.shard_of: Callable[[str], int | None] = lambda _subject: None
        """Returns the shard of a market, order or group, None if unknown."""
        self.is_loop_here = False
        """True in the program of the loop: a lost loop, found before this one began, is then no news."""
        self._policy = policy
        self._env = env
        self._new_id = new_id
        self._begun: dict[tuple[str, str], None] = {}

    def all(self) -> Iterator[Incident]:
        """Yield every incident."""
        for group in self.matters.values():
            yield from group.values()

    def put(self, matter: Incident) -> None:
        """Store an incident."""
        self.matters.setdefault(matter.code, {})[matter.subject] = matter

    def _known(self, code: str, subject: str) -> Incident | None:
        return self.matters.get(code, {}).get(subject)

    def _placed(self, matter: Incident) -> Incident:
        """Return the incident, under the shared subject if its code has too many."""
        group = self.matters.get(matter.code, {})
        if matter.subject in group or len(group) < incidents.MAX_SUBJECTS:
            return matter
        return replace(matter, subject=incidents.OTHER_SUBJECTS)

    def observe(self, source: str, breaches: Collection[Breach], now: Ts, event: str = "") -> None:
        """Record the breaches of a check; other incidents of this source end, unless the check could not look.

        A note begins nothing, and what it says does not end: the check found the same, and excused it. Incidents that
        an ended loop recorded end too, if this source checks the same condition.
        """
        found = [incidents.from_check(source, breach, now, event) for breach in breaches if breach.severity != "note"]
        held = {self._hold(matter) for matter in found}
        if any(matter.is_unknown for matter in found):
            return
        expected = {(breach.code, breach.subject) for breach in breaches}
        excused = [m for m in self.all() if (m.code, m.subject) in expected and now - m.seen <= incidents.CHECK_GONE_MS]
        self.end(source, now, held | {(matter.code, matter.subject) for matter in excused})
        for matter in list(self.all()):
            is_seen = matter.code in incidents.SEEN_BY.get(source, ()) and (matter.code, matter.subject) not in expected
            if is_seen and matter.lasts and matter.ended is None and self._is_left_by_loop(matter, now):
                self._over(matter, now)

    def take_over(self, source: str, breach: Breach, sent: Ts) -> None:
        """Record that an incident was sent without this board. One whose end was sent before that begins again."""
        matter = incidents.from_check(source, breach, sent, "")
        known = self._known(matter.code, matter.subject)
        if known is not None and known.lasts:
            if sent <= known.last_sent:
                return
            if not known.is_resolved:
                matter = replace(known, ended=None if (known.ended or 0) < sent else known.ended)
        ticket = matter.ticket or matter.subject
        self.put(replace(matter, untold=0, told=sent, is_known=True, ticket=ticket))

    def end(self, source: str, now: Ts, held: Collection[tuple[str, str]] = ()) -> None:
        """End every incident of this source, except those in `held`."""
        for matter in list(self.all()):
            is_held = (matter.code, matter.subject) in held
            if matter.lasts and matter.source == source and matter.ended is None and not is_held:
                self._over(matter, now)

    def stopped_by(self, source: str, breach: Breach, now: Ts, since: Ts) -> None:
        """Record that a breach stopped trading (HALT) or restricted it (REDUCING) at `since`.

        A stop that this one replaced continues: the user must resume before either ends.
        """
        self._hold(replace(incidents.from_check(source, breach, now, "emergency_stop"), since=min(since, now)))

    def resumed(self, now: Ts) -> None:
        """End every stop, because the user resumed trading."""
        for source in (HALT, REDUCING):
            self.end(source, now)

    def end_code(self, code: str, now: Ts) -> None:
        """End every incident of this code."""
        for matter in [each for each in self.matters.get(code, {}).values() if each.lasts and each.ended is None]:
            self._over(matter, now)

    def confirmed(self, is_unconfirmed: Callable[[str], bool], now: Ts) -> None:
        """End the alerts about orders whose outcome is known; one that was not sent yet is no news."""
        for matter in [each for code in incidents.UNCONFIRMED for each in self.matters.get(code, {}).values()]:
            if matter.lasts and matter.ended is None and not is_unconfirmed(matter.subject):
                self._over(replace(matter, untold=0), now)

    def happen(self, alert: AlertRaised, now: Ts) -> None:
        """Record an alert of a loop: an event, the start of a lasting incident, or its end."""
        matter = incidents.recorded(alert, now)
        ended = [self._known(code, matter.subject) for code in incidents.ENDS.get(alert.code, ())]
        held = [known for known in ended if known is not None and known.ended is None]
        for known in held:
            self._over(replace(known, text=f"{OVER}{matter.text}"), now)
        if matter.lasts:
            self._hold(matter)
        elif not held:  # otherwise its end is sent
            self._add(self._placed(matter), now)

    def _add(self, matter: Incident, now: Ts) -> None:
        """Add an event. It adds nothing to a current incident, and an old event is not sent.

        A critical one is a new incident after its end was sent, and after the user resumed what it stopped.
        """
        known = self._known(matter.code, matter.subject)
        if known is not None and self._is_new_incident(known, matter):
            matter, known = replace(matter, count=known.count + 1, has_returned=True), None
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

    def _is_new_incident(self, known: Incident, event: Incident) -> bool:
        if event.tier != "critical" or known.source in (HALT, REDUCING):
            return False
        is_resumed = stops_trading(event) and (known.told or known.since) < self.resumed_at
        return is_resumed or (known.lasts and known.is_resolved)

    def _hold(self, matter: Incident) -> tuple[str, str]:
        """Start, continue, reopen or worsen a lasting incident; return the code and subject it is stored under."""
        matter = self._placed(matter)
        known = self._known(matter.code, matter.subject)
        if known is not None and known.lasts and not known.is_resolved:
            matter = self._still(known, matter)
        elif known is not None and known.told is not None:
            matter = self._again(known, matter, known.told)
        elif known is not None and known.untold:  # an event that waits for its window
            matter = replace(matter, tier=worst((known.tier, matter.tier)))
        if matter.tier == "critical" and not incidents.was_critical(known, matter):
            self._begun[matter.code, matter.subject] = None
        self.put(matter)
        return matter.code, matter.subject

    def _again(self, known: Incident, matter: Incident, told: Ts) -> Incident:
        """Return an incident that was sent before and returned."""
        matter = replace(matter, count=known.count + 1)
        if matter.seen - told >= self._policy.repeat_ms:
            return matter
        if known.lasts:
            return replace(matter, told=told, has_returned=True)
        untold = matter.untold if severity_rank(matter.tier) > severity_rank(known.tier) else 0
        return replace(matter, told=told, since=known.since, untold=untold, is_known=True)

    def _still(self, known: Incident, matter: Incident) -> Incident:
        """Return a continuing incident. It is sent again if it became graver (reduce-only: a halt) or certain."""
        tier = worst((known.tier, matter.tier))
        is_certain = not matter.is_unknown or known.count + 1 >= incidents.LOOKS
        is_stop = matter.source in (HALT, REDUCING)
        is_back = known.ended is not None and (
            is_stop or stops_trading(matter) or (matter.tier == "critical" and known.ended < matter.seen)
        )
        is_first = is_back and not (is_stop or known.has_returned)
        is_graver = tier != known.tier or (known.source, matter.source) == (REDUCING, HALT)
        is_news = is_graver or is_back or not (known.untold or known.is_known)
        return replace(
            matter, tier=tier, since=matter.since if is_first else known.since, count=known.count + 1,
            told=known.told, hushed=known.hushed, ticket=known.ticket, ticket_tier=known.ticket_tier,
            untold=max(known.untold, int(is_news and is_certain)),
            is_known=known.is_known, has_returned=known.has_returned or is_back, must_stop=known.must_stop,
        )  # fmt: skip

    def _over(self, matter: Incident, now: Ts) -> None:
        """End an incident. One that was never certain is removed.

        If its return was not sent yet, only its end is news: the last notice said that it holds.
        """
        if matter.is_known or matter.untold:
            self.put(replace(matter, ended=now, untold=0 if matter.is_unstable else matter.untold))
        elif matter.told is not None:
            self.put(replace(matter, ended=now, is_resolved=True))
        else:
            del self.matters[matter.code][matter.subject]

    def decide(self, now: Ts) -> Decision:
        """Return the notices that are due. A second call at the same time returns none."""
        self._correct(now)
        causes, halts = self.causes(now), incidents.IncidentCauses(incidents.explained_by(self._halts(now)))
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
        """Yield the incidents that stop trading. A lasting one with a greater cause is kept until that cause ends."""
        for matter in [matter for key in self._begun if (matter := self._known(*key)) is not None]:
            is_explained = self._is_explained(matter, causes)
            if stops_trading(matter):
                self.put(replace(matter, must_stop=matter.lasts and is_explained))
                if not is_explained:
                    yield matter
        self._begun.clear()

    def causes(self, now: Ts) -> incidents.IncidentCauses:
        """Return the codes that greater incidents explain while they hold; a halt explains others always.

        Only recently confirmed incidents explain anything, and a silence covers only its own subject. A shard's pause
        explains incidents on that shard; incidents of the whole account, if all shards are paused.
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
        if self.is_loop_here:
            explaining.add("HEARTBEAT_LOST")
        return incidents.IncidentCauses(incidents.explained_by(self._halts(now)) | explaining, on_shard)

    def _halts(self, now: Ts) -> frozenset[str]:
        """Return the codes of the current trading state, and HALTED for a halt."""
        firing = [matter for matter in self.all() if matter.is_firing and not self._is_silenced(matter, now)]
        stops = {matter.code for matter in firing if matter.source in (HALT, REDUCING)}
        return frozenset(stops | ({"HALTED"} if any(matter.source == HALT for matter in firing) else set()))

    def _explains(self, matter: Incident, now: Ts) -> bool:
        """Return whether the source of an incident is alive and the incident is not silenced."""
        is_late = now - matter.seen > incidents.CHECK_GONE_MS and matter.source != LOOP
        return not (is_late or self._is_left_by_loop(matter, now) or self._is_silenced(matter, now))

    def _is_left_by_loop(self, matter: Incident, now: Ts) -> bool:
        """Return whether a loop recorded the incident and has ended without resolving it."""
        loop_seen = self.loop_seen if self.loop_seen <= now + incidents.AHEAD_MS else Ts(0)
        return matter.source == LOOP and now - max(matter.seen, loop_seen) > incidents.LOOP_GONE_MS

    def _is_silenced(self, matter: Incident, now: Ts) -> bool:
        return any(silence.covers(matter, now) for silence in self.silences)

    def _waits(self, matter: Incident, halts: incidents.IncidentCauses, now: Ts) -> bool:
        """Return whether a suppressed event is sent after its cause ended, unless it is old by then.

        Events that a halt caused are not sent: the halt is the news.
        """
        is_old = now - matter.seen > self._policy.stale_ms
        is_halts = self._is_explained(matter, halts)
        return not (matter.lasts or is_old or is_halts or self._is_silenced(matter, now))

    def _correct(self, now: Ts) -> None:
        """Replace times in the future, from before the clock was set back, with the current time."""
        for matter in list(self.all()):
            self.put(incidents.corrected(matter, now))
        for code, window in self.windows.items():
            if window.until > now + incidents.AHEAD_MS + self._policy.group_ms:
                self.windows[code] = replace(window, until=now)

    def is_hushed(self, matter: Incident, causes: incidents.IncidentCauses, now: Ts) -> bool:
        """Return whether the incident is silenced or explained by a greater one."""
        return self._is_explained(matter, causes) or self._is_silenced(matter, now)

    def _is_explained(self, matter: Incident, causes: incidents.IncidentCauses) -> bool:
        if matter.source in (HALT, REDUCING):
            return False
        shard = incidents.shard_named(matter.subject)
        if shard is None and causes.on_shard:
            shard = self.shard_of(matter.subject)
        return causes.explain(matter.code, shard)

    def _drop_hushed(self, code: str, hushed: Collection[str], causes: incidents.IncidentCauses) -> None:
        """Discard suppressed incidents that are over or were events.

        An incident of a check that a greater cause explains waits until the check finds it again: it is then sent with
        its current text, and ends silently if it ended with its cause.
        """
        for subject in hushed:
            matter = self.matters[code][subject]
            if matter.untold and not matter.is_firing:
                is_unheard = matter.lasts and matter.told is None
                self.put(replace(matter, untold=0, hushed=matter.hushed + matter.untold, is_resolved=is_unheard))
            elif matter.source != LOOP and not matter.is_known and self._is_explained(matter, causes):
                self.put(replace(matter, untold=0))

    def _tell(self, code: str, hushed: Collection[str], now: Ts) -> list[Notice]:
        """Return the notices of one code: resolved, then new, then reminders."""
        window = self.windows.get(code)
        is_open = window is None or now >= window.until
        notices = self._tell_resolved(code, now, is_open=is_open)
        heard = [matter for matter in self.matters[code].values() if matter.subject not in hushed]
        fresh = [matter for matter in heard if self._is_due(matter, now)]
        tier = worst(matter.tier for matter in fresh)
        is_graver = window is not None and severity_rank(tier) > severity_rank(window.tier)
        if fresh and (is_open or is_graver or self._is_back(code, fresh, now)):
            notices.append(self._notice("firing" if any(m.is_firing for m in fresh) else "event", fresh, now))
            self._open_window(code, now, notices[-1].tier)
            is_open = False
        held = [
            matter for matter in heard if matter.is_firing and not matter.untold and self._is_long_told(matter, now)
        ]
        if held and is_open:
            notices.append(self._notice("reminder", held, now))
            self._open_window(code, now, notices[-1].tier)
        return notices

    def _is_back(self, code: str, fresh: Collection[Incident], now: Ts) -> bool:
        """Return whether a critical incident is new or returned and cannot wait for the window.

        At most MAX_REPEAT_ALERTS that returned per code and window; always for halts and for automatic stops, which
        only the user ends. The window of such a stop can be that of an event of the same code: a guard that tripped
        during another halt.
        """
        back = [matter for matter in fresh if matter.has_returned and matter.tier == "critical"]
        retold = [
            matter
            for matter in self.matters[code].values()
            if matter.has_returned and matter.is_known and now - (matter.told or 0) < self._policy.group_ms
        ]
        is_always = code in incidents.NOTIFY_EVERY_TIME or any(matter.source in (HALT, REDUCING) for matter in fresh)
        return is_always or (bool(back) and len(retold) < incidents.MAX_REPEAT_ALERTS)

    def _tell_resolved(self, code: str, now: Ts, *, is_open: bool) -> list[Notice]:
        """Return a resolved notice for each ticket, at once if all of the code ended, otherwise with a window."""
        group = list(self.matters[code].values())
        over = [matter for matter in group if matter.ended is not None and not matter.is_resolved]
        is_all = not any(matter.is_firing for matter in group)
        ripe = [matter for matter in over if (due := self.end_due(matter)) is not None and now >= due]
        if not ripe or not (is_all or is_open):
            return []
        if is_all:
            ripe += [matter for matter in over if matter.told is None]
        ends = incidents.ends_by_ticket(ripe, [matter for matter in group if matter not in ripe])
        if not is_all:
            self._open_window(code, now, worst(matter.tier for matter in ripe))
        return [self._notice("resolved", ended, now, ticket) for ticket, ended in ends]

    def end_due(self, matter: Incident) -> Ts | None:
        """Return when the end of an incident may be sent; None if it is sent, or does not wait for a time.

        An incident that stopped trading waits until the user resumes. A stop must then stay away for RESUMED_MS. An
        incident that returned is first sent as such, and must then be quiet.
        """
        if matter.ended is None or matter.is_resolved or matter.told is None:
            return None
        if (self.is_stopped and stops_trading(matter)) or (matter.has_returned and matter.untold):
            return None
        is_stop = matter.source in (HALT, REDUCING)
        returned_ms = incidents.QUIET_WINDOWS * self._policy.group_ms if matter.has_returned else 0
        return Ts(matter.ended + (incidents.RESUMED_MS if is_stop else returned_ms))

    def _open_window(self, code: str, now: Ts, tier: str) -> None:
        self.windows[code] = incidents.GroupingWindow(code, Ts(now + self._policy.group_ms), tier)

    def _is_due(self, matter: Incident, now: Ts) -> bool:
        """Return whether an unsent incident is due; an event that was sent before is due again after `repeat_ms`."""
        if (due := incidents.again_due(matter, self._policy)) is not None:
            return matter.untold > 0 and now >= due
        is_early = matter.told is not None and not self._is_long_told(matter, now)
        is_news = matter.tier == "info" or matter.code in incidents.NOTIFY_EVERY_TIME
        may_be_early = matter.lasts or is_news or matter.subject == incidents.OTHER_SUBJECTS
        return matter.untold > 0 and (may_be_early or not is_early)

    def _is_long_told(self, matter: Incident, now: Ts) -> bool:
        return matter.told is not None and now - matter.told >= self._policy.repeat_ms

    def _is_quiet(self, matter: Incident, now: Ts) -> bool:
        return matter.ended is not None and now - matter.ended >= self._policy.repeat_ms

    def _notice(self, kind: Kind, told: list[Incident], now: Ts, ticket: str | None = None) -> Notice:
        """Return one notice of several incidents, sorted by importance; in a resolved notice, known ones come first.

        A resolved notice closes the `ticket`, or none; any other has that of its first incident.
        """
        is_end = kind == "resolved"
        told = sorted(
            told,
            key=lambda m: (is_end and m.told is None, m.ended is not None, -severity_rank(m.tier), m.since, m.subject),
        )
        first, remedy = told[0], runbook_for(told[0].code, told[0].text)
        for matter in told:
            is_past = kind == "event" and matter.lasts and (matter.told is None or self._is_quiet(matter, now))
            last = matter.told if is_end and matter.told is not None else now
            kept = "" if is_end else matter.ticket
            self.put(replace(matter, untold=0, told=last, is_known=True, is_resolved=is_end or is_past, ticket=kept))
        is_over = first.ended is not None and not is_end
        tiers = [matter.ticket_tier for matter in told if is_end and matter.ticket_tier]
        notice_id = self._new_id()
        notice = Notice(
            notice_id=notice_id, kind=kind, tier=worst((first.tier, *tiers)), event=first.event, code=first.code,
            subject=first.subject, text=shown_text(first.text, is_over=is_over, is_end=is_end),
            env=self._env, since=first.since, ts=now, value=first.value, limit=first.wanted, unit=first.unit,
            count=sum(matter.untold for matter in told) if kind in ("firing", "event") else len(told),
            subjects=tuple(matter.subject for matter in told[: incidents.NAMED]),
            runbook=remedy.runbook, command=remedy.command,
            ticket=first.ticket or first.subject if ticket is None else ticket or notice_id,
        )  # fmt: skip
        if kind in ("firing", "reminder"):
            group = tuple(self.matters[first.code].values())
            for matter in incidents.in_ticket(notice, {each.subject for each in told}, group):
                self.put(matter)
        return notice

    def _forget(self, now: Ts) -> None:
        """Remove ended incidents that were sent long ago; until then, a return is recognized. Remove silences too."""
        for matter in list(self.all()):
            is_done = matter.is_resolved if matter.lasts else not matter.untold
            if is_done and now - max(matter.seen, matter.told or 0, matter.ended or 0) >= self._policy.repeat_ms:
                del self.matters[matter.code][matter.subject]
        self.matters = {code: group for code, group in self.matters.items() if group}
        self.windows = {code: window for code, window in self.windows.items() if now < window.until}
        self.silences = [
            each for each in self.silences if not each.until_over or any(each.covers(m, now) for m in self.all())
        ]
