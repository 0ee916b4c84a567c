"""The courier beside a loop: it tells what the loop wrote down, and nothing that happens to it reaches the loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.alerting import PHONE, T0, TAKEN, AlertProgram, Sinks
from support.served import eventually

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import CredentialsError, ExchangeError, KalshiError, StateFileError, TerminationRequested
from kalshi_cli.base.units import Ts
from kalshi_cli.config.schema import AlertChannel
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.monitoring.check_report import Breach
from kalshi_cli.net.delivery import DeliveryResult
from kalshi_cli.services.monitoring.alert_dispatcher import FLATTEN_AGAIN_S, AlertDispatcher
from kalshi_cli.services.monitoring.alerting import Alerting
from kalshi_cli.services.trading.halts import resume
from kalshi_cli.services.trading.stop_signals import orders_left_live
from kalshi_cli.store.pause import pause
from kalshi_cli.store.records import ALERT_REASON_PREFIX
from kalshi_cli.store.sqlite_store import Store


class Beside:
    """A loop's state file, a courier beside it, and what it told, did and said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(T0)
        self.receiver = Sinks()
        self.said: list[str] = []
        self.flattened = threading.Event()
        self.failures: list[StateFileError] = []
        self.sinks: dict[str, AlertChannel] = {"phone": PHONE}
        self.direct: list[AlertRaised] = []
        """What was told past the state file."""
        self.store = Store.open(folder / "state.db", account="alice", environment="sim")

    @contextmanager
    def opened(self) -> Iterator[Alerting]:
        if self.failures:
            raise self.failures.pop(0)
        desk = AlertProgram(
            self.folder, clock=self.clock, receiver=self.receiver, sinks=self.sinks, on_critical="flatten"
        )
        try:
            yield desk.alerting
        finally:
            desk.close()

    def courier(self, **more: Any) -> AlertDispatcher:
        flatten = more.get("flatten", lambda: not self.flattened.set())
        return AlertDispatcher(self.opened, self.clock, self.said.append, flatten, self.direct.append, look_s=0.02)

    def record(self, code: str, tier: str = "warning", subject: str = "") -> None:
        with Store.open(self.folder / "state.db", account="alice", environment="sim") as store:
            about = subject or ("account" if code == "FLATTENED" else "KXA")
            store.record(AlertRaised(self.clock.now(), tier, code, about, "so it is"))

    @property
    def codes(self) -> list[str]:
        return [notice.code for _, notice in self.receiver.taken]


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Beside]:
    made = Beside(tmp_path)
    yield made
    made.store.close()


def test_what_the_loop_writes_down_is_told_while_it_runs(beside: Beside) -> None:
    with beside.courier().running("spike"):
        beside.record("DRIFT")
        eventually(lambda: beside.codes == ["DRIFT"])


def test_it_writes_down_that_the_loop_is_there_also_while_that_is_blind(beside: Beside) -> None:
    with beside.courier().running("spike"):
        eventually(lambda: beside.store.alert_book.mark("loop") == T0)
        beside.clock.set(Ts(T0 - 3_600_000))
        eventually(lambda: beside.store.alert_book.mark("loop") == T0 - 3_600_000)


def test_what_was_written_in_the_last_instant_is_told_too(beside: Beside) -> None:
    with beside.courier().running("spike"):
        eventually(lambda: any(thread.name == "alert-dispatcher" for thread in threading.enumerate()))
        beside.record("DRIFT")
    assert beside.codes == ["DRIFT"]


def test_a_state_file_that_cannot_be_used_is_said_once_and_tried_again(beside: Beside) -> None:
    beside.failures = [StateFileError("it is locked") for _ in range(3)]
    beside.record("DRIFT")
    with beside.courier().running("spike"):
        eventually(lambda: beside.codes == ["DRIFT"])
    assert beside.said == ["Alerts wait for the state file, except one about the end of the loop: it is locked"]


@pytest.mark.parametrize(
    ("error", "text"), [(ExchangeError("no such market"), "no such market"), (LookupError("key"), "LookupError: key")]
)
def test_an_error_that_ends_the_loop_is_told(beside: Beside, error: Exception, text: str) -> None:
    with suppress(ExchangeError, LookupError), beside.courier().running("spike"):
        raise error
    ((_, notice),) = beside.receiver.taken
    assert (notice.code, notice.subject, notice.text, notice.tier) == ("LOOP_FAILED", "spike", text, "critical")


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (StateFileError("no space", code="state_full"), "disk-full"),
        (StateFileError("it is locked", code="state_locked"), "state-file"),
        (CredentialsError("no key"), "credentials-refused"),
        (CredentialsError("it is off", code="CLOCK"), "clock-skew"),
        (ExchangeError("no such market"), "heartbeat-lost"),
    ],
)
def test_the_alert_about_the_end_of_the_loop_names_the_runbook_of_its_cause(
    beside: Beside, error: KalshiError, name: str
) -> None:
    with suppress(KalshiError), beside.courier().running("spike"):
        raise error
    ((_, notice),) = beside.receiver.taken
    assert (notice.code, notice.runbook, notice.command) == ("LOOP_FAILED", name, "kalshi status")
    assert notice.text.startswith(error.message)


@pytest.mark.parametrize(("code", "name"), [("credentials", "credentials-refused"), ("CLOCK", "clock-skew")])
def test_orders_left_live_by_a_rejected_key_lead_to_the_web_site_and_to_the_key(
    beside: Beside, code: str, name: str
) -> None:
    with suppress(KalshiError), beside.courier().running("spike"):
        cause = CredentialsError("the cancel was rejected", code=code)
        raise orders_left_live(4, cause) from cause
    ((_, notice),) = beside.receiver.taken
    assert (notice.code, notice.runbook) == ("LOOP_FAILED", name)
    assert notice.text.startswith(
        "Orders of this run may still be live: 4; the run ended by: the cancel was rejected: "
    )
    assert "cancel on the web site" in notice.text


def test_a_key_that_is_refused_while_the_loop_runs_stops_trading(beside: Beside) -> None:
    courier = beside.courier()
    with suppress(CredentialsError), courier.running("spike"):
        courier.begin(lambda: 1)
        raise CredentialsError("the key is refused")
    assert set(beside.codes) == {"CREDENTIALS", "PAUSED_BY_ALERT", "FLATTEN_FAILED"}
    assert beside.store.halt().is_pause


@pytest.mark.parametrize(
    ("error", "is_begun"),
    [
        (CredentialsError("no key"), False),
        (CredentialsError("it is off", code="CLOCK"), True),
        (CredentialsError("the exchange says so", code="header_timestamp_expired"), True),
    ],
)
def test_a_key_that_was_never_accepted_and_a_wrong_clock_pause_nothing(
    beside: Beside, error: CredentialsError, *, is_begun: bool
) -> None:
    courier = beside.courier()
    with suppress(CredentialsError), courier.running("spike"):
        if is_begun:
            courier.begin(lambda: 1)
        raise error
    assert beside.codes == ["LOOP_FAILED"]
    assert beside.store.halt().state is TradingState.ACTIVE


def test_an_error_that_cannot_be_written_down_is_told_all_the_same(beside: Beside) -> None:
    beside.failures = [StateFileError("it is damaged") for _ in range(1_000)]
    with suppress(LookupError), beside.courier().running("spike"):
        raise LookupError("key")
    assert [(alert.code, alert.subject) for alert in beside.direct] == [("LOOP_FAILED", "spike")]


def test_an_error_that_is_written_down_is_told_once(beside: Beside) -> None:
    with suppress(LookupError), beside.courier().running("spike"):
        raise LookupError("key")
    assert (beside.codes, beside.direct) == (["LOOP_FAILED"], [])


def test_while_sinks_hang_trading_is_stopped_and_the_others_are_told(beside: Beside) -> None:
    release = threading.Event()

    def hang() -> DeliveryResult:
        release.wait(60)
        return TAKEN

    beside.sinks = dict.fromkeys(("a", "b", "c", "phone"), PHONE)
    beside.receiver.answers = dict.fromkeys("abc", hang)
    try:
        with beside.courier().running("spike"):
            beside.record("CLOCK", "critical")
            eventually(lambda: {name for name, _ in beside.receiver.tries} == {"a", "b", "c", "phone"})
            beside.record("ORDER_UNKNOWN_LONG", "critical")
            eventually(lambda: {"ORDER_UNKNOWN_LONG", "PAUSED_BY_ALERT"} <= set(beside.codes))
            assert {name for name, _ in beside.receiver.taken} == {"phone"}, "the others hang all the while"
            release.set()
    finally:
        release.set()


@pytest.mark.parametrize("error", [KeyboardInterrupt, TerminationRequested])
def test_a_person_who_ends_the_loop_is_no_error(beside: Beside, error: type[BaseException]) -> None:
    with suppress(error), beside.courier().running("spike"):
        raise error
    assert beside.codes == []


def test_what_the_last_loop_left_open_is_over_once_this_one_has_reported_its_state(beside: Beside) -> None:
    beside.record("BLIND", "critical")
    courier = beside.courier()
    with courier.running("spike"):
        eventually(lambda: beside.codes == ["BLIND"])
        beside.record("TRADING_PAUSED", subject="shard 1")
        eventually(lambda: beside.codes == ["BLIND", "TRADING_PAUSED"])
        courier.end_last(1)
        eventually(lambda: beside.codes == ["BLIND", "TRADING_PAUSED", "BLIND"])
    assert beside.receiver.taken[-1][1].kind == "resolved"


def test_a_loop_that_starts_does_not_tell_that_none_ran_before_and_ends_what_was_told_of_that(beside: Beside) -> None:
    lost = Breach(
        subject="the loop", value="has no run on record", limit="", severity="critical", code="HEARTBEAT_LOST"
    )
    with beside.opened() as alerting:
        alerting.terms = msgspec.structs.replace(alerting.terms, sinks={})
        alerting.observe("check heartbeat", [lost])
        assert [each.code for each in alerting.overview().matters if each.is_firing] == ["HEARTBEAT_LOST"]
    courier = beside.courier()
    with courier.running("spike"):
        beside.record("DRIFT", "warning")
        eventually(lambda: beside.codes == ["DRIFT"])
        courier.end_last(0)
        beside.record("EDGE_DRIFT", "warning")
        eventually(lambda: beside.codes == ["DRIFT", "EDGE_DRIFT"])
    with beside.opened() as alerting:
        assert not any(each.is_firing for each in alerting.overview().matters)


# -- flattening ---------------------------------------------------------------------------------------------------


def asked_to_flatten(beside: Beside, state: TradingState = TradingState.HALTED, ago_ms: int = 0) -> None:
    if state is TradingState.HALTED:
        pause(beside.folder, ALERT_REASON_PREFIX)
    beside.store.alert_book.set_mark("flatten", Ts(beside.clock.now() - ago_ms))


def test_it_flattens_once_where_an_alert_asked_for_it(beside: Beside) -> None:
    asked_to_flatten(beside)
    times: list[int] = []
    with beside.courier(flatten=lambda: not times.append(1)).running("spike"):
        eventually(lambda: beside.store.alert_book.mark("flatten") == 0)
    assert times == [1]


def test_it_does_not_flatten_after_a_resume(beside: Beside) -> None:
    asked_to_flatten(beside, TradingState.ACTIVE)
    with beside.courier().running("spike"):
        eventually(lambda: beside.store.alert_book.mark("flatten") == 0)
    assert not beside.flattened.is_set()
    assert beside.codes == []


def test_it_goes_on_at_the_next_start_however_long_after(beside: Beside) -> None:
    asked_to_flatten(beside, ago_ms=7 * 86_400_000)
    with beside.courier().running("spike"):
        eventually(lambda: beside.store.alert_book.mark("flatten") == 0)
    assert beside.flattened.is_set()


def test_what_is_not_closed_when_the_loop_ends_is_told_and_goes_on_with_the_next_one(beside: Beside) -> None:
    asked_to_flatten(beside)
    release = threading.Event()

    def slow() -> bool:
        release.wait(60)
        return True

    with beside.courier(flatten=slow).running("spike"):
        eventually(lambda: any(thread.name == "flatten" for thread in threading.enumerate()))
    release.set()
    ((_, notice),) = beside.receiver.taken
    assert (notice.code, notice.tier, notice.kind) == ("FLATTEN_FAILED", "critical", "firing")
    assert "kalshi flatten" in notice.text
    assert beside.said == [notice.text], "it stands above the summary"
    assert beside.store.alert_book.mark("flatten") != 0
    courier = beside.courier()
    with courier.running("spike"):
        courier.end_last(1)
        eventually(lambda: beside.store.alert_book.mark("flatten") == 0)
        beside.record("FLATTENED")
        eventually(lambda: len(beside.receiver.taken) > 1)
    assert beside.flattened.is_set()
    assert [(notice.code, notice.kind) for _, notice in beside.receiver.taken[1:]] == [("FLATTEN_FAILED", "resolved")]


def test_what_could_not_be_closed_is_tried_again_until_it_is_and_told_once(beside: Beside) -> None:
    asked_to_flatten(beside)
    tries: list[int] = []

    def stuck() -> bool:
        tries.append(beside.clock.now())
        beside.record("FLATTEN_FAILED" if len(tries) < 4 else "FLATTENED", "critical", "account")
        return len(tries) == 4

    with beside.courier(flatten=stuck).running("spike"):
        for number in range(1, 4):
            eventually(lambda number=number: len(tries) == number)  # type: ignore[misc]
            eventually(lambda: not any(thread.name == "flatten" for thread in threading.enumerate()))
            threading.Event().wait(0.2)
            assert len(tries) == number, "not before its time"
            beside.clock.advance(FLATTEN_AGAIN_S * 2 ** (number - 1) + 1)
        eventually(lambda: beside.store.alert_book.mark("flatten") == 0)
    assert [notice.kind for _, notice in beside.receiver.taken] == ["firing", "resolved"]


def test_a_person_who_resumes_ends_it(beside: Beside) -> None:
    asked_to_flatten(beside)
    with beside.courier(flatten=failing(CredentialsError("no key"))).running("spike"):
        eventually(lambda: "FLATTEN_FAILED" in beside.codes)
        resume(beside.folder, beside.store, "looked into", beside.clock)
        eventually(lambda: len(beside.codes) == 2)
    assert [notice.kind for _, notice in beside.receiver.taken] == ["firing", "resolved"]
    assert beside.store.alert_book.mark("flatten") == 0


def failing(*errors: KalshiError) -> Callable[[], bool]:
    """Fails so often, and then does it."""
    left = list(errors)

    def flatten() -> bool:
        if left:
            raise left.pop(0)
        return True

    return flatten


def test_that_the_positions_could_not_be_closed_is_told(beside: Beside) -> None:
    asked_to_flatten(beside)
    with beside.courier(flatten=failing(CredentialsError("the key cannot be read"))).running("spike"):
        eventually(lambda: "FLATTEN_FAILED" in beside.codes)
    ((_, notice),) = beside.receiver.taken
    assert (notice.tier, notice.text) == (
        "critical",
        "positions were not closed; run: kalshi flatten. the key cannot be read",
    )
    assert beside.store.alert_book.mark("flatten") != 0


def test_a_state_file_that_is_locked_is_tried_again_before_it_counts_as_failed(beside: Beside) -> None:
    asked_to_flatten(beside)
    busy = [StateFileError("it is locked") for _ in range(3)]
    with beside.courier(flatten=failing(*busy)).running("spike"):
        eventually(lambda: beside.store.alert_book.mark("flatten") == 0)
    assert beside.codes == []
    assert beside.said == ["Positions are not closed yet; trying again: it is locked"]


def test_where_there_is_nothing_to_flatten_it_only_forgets(beside: Beside) -> None:
    asked_to_flatten(beside)
    with beside.courier(flatten=None).running("spike"):
        eventually(lambda: beside.store.alert_book.mark("flatten") == 0)


def test_while_it_flattens_it_goes_on_telling(beside: Beside) -> None:
    asked_to_flatten(beside)
    done = threading.Event()
    with beside.courier(flatten=done.wait).running("spike"):
        beside.record("DRIFT")
        eventually(lambda: "DRIFT" in beside.codes)
        assert beside.store.alert_book.mark("flatten") != 0
        done.set()
        eventually(lambda: beside.store.alert_book.mark("flatten") == 0)
