"""Slack, Discord, Telegram, PagerDuty, Opsgenie, SMS: what arrives at a server of ours in their place."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.receivers import ADDRESSES, PATIENCE_S, TOKEN, Receiver, in_place_of_theirs, notice, notifier, receiving

from kalshi_cli.notify.apprise_channels import FILES, OURS, SERVICES
from kalshi_cli.notify.notice_text import MAX_LINE_LENGTH, MAX_TITLE_LENGTH, escape_markup, to_body, to_title

HOSTS = {
    "slack": "hooks.slack.com",
    "discord": "discord.com",
    "tgram": "api.telegram.org",
    "gchat": "chat.googleapis.com",
    "webex": "api.ciscospark.com",
    "pagerduty": "events.pagerduty.com",
    "opsgenie": "api.opsgenie.com",
    "pagertree": "api.pagertree.com",
    "splunk": "alert.victorops.com",
    "victorops": "alert.victorops.com",
    "squadcast": "api.squadcast.com",
    "signl4": "connect.signl4.com",
    "ilert": "api.ilert.com",
    "twilio": "api.twilio.com",
    "vonage": "rest.nexmo.com",
    "nexmo": "rest.nexmo.com",
    "plivo": "api.plivo.com",
    "telnyx": "api.telnyx.com",
    "clicksend": "rest.clicksend.com",
    "bulksms": "api.bulksms.com",
    "msgbird": "rest.messagebird.com",
    "seven": "gateway.seven.io",
    "46elks": "api.46elks.com",
    "threema": "msgapi.threema.ch",
    "pover": "api.pushover.net",
    "pbul": "api.pushbullet.com",
    "prowl": "api.prowlapp.com",
    "spush": "api.simplepu.sh",
}
CHATS = ("slack", "discord", "tgram")
COPIED = {
    "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ": "/services/T1JJ3T3L2/A1BRTD4JD/",
    "https://discord.com/api/webhooks/4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js": "/api/webhooks/4174216298/JHM",
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


def told(receiver: Receiver) -> dict[str, Any]:
    (asked,) = receiver.asked
    found: dict[str, Any] = json.loads(asked.body)
    return found


# -- which services -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", sorted(set(SERVICES) - {"mailto", "mailtos"}))
def test_a_service_talks_to_machines_of_its_own_and_to_no_other(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []

    def refuse(host: str, *_: Any, **__: Any) -> None:
        looked_up.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    sinks = notifier(a=ADDRESSES[scheme])
    assert sinks.problems() == {}
    outcome = sinks.deliver("a", notice(), PATIENCE_S)
    assert (outcome.outcome, outcome.text) == ("retry", f"{scheme}:// failed: no connection, or rejected")
    assert set(looked_up) == {HOSTS[scheme]}


@pytest.mark.parametrize(
    "url",
    [
        "json://a.example/x",
        "jsons://a.example/x",
        "xml://a.example/x",
        "form://a.example/x",
        "apprise://a.example/token",
        "gotify://a.example/token",
        "ntfy://10.0.0.1/topic",
        "mmost://a.example/token",
        "matrix://a.example",
        "mqtt://a.example/topic",
        "rsyslog://a.example",
        "syslog://",
        "dbus://",
        "irc://a.example",
        "workflows://a.example/a/b",
        "smpp://a.example",
        "exec://rm",
        "SLACK://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    ],
)
def test_what_goes_to_any_host_is_refused_with_a_hint(url: str) -> None:
    sinks = notifier(a=url)
    assert "https://" in sinks.problems()["a"]
    assert sinks.deliver("a", notice()).outcome == "refused"


@pytest.mark.parametrize("option", sorted(OURS | FILES))
def test_options_that_are_not_a_persons_to_set_are_refused(option: str) -> None:
    for spelling in (option, option.upper()):
        sinks = notifier(a=f"{ADDRESSES['slack']}?{spelling}=no")
        assert sinks.problems()["a"] == f"must not set {option}"
        assert sinks.deliver("a", notice()).text == f"slack:// refused: must not set {option}"


@pytest.mark.parametrize("scheme", sorted(set(SERVICES) - {"bulksms"}))  # whose plug-in finds out as it sends
def test_an_address_that_is_none_of_the_service_is_a_problem(scheme: str) -> None:
    for url in (f"{scheme}://", f"{scheme}://?"):
        sinks = notifier(a=url)
        assert sinks.problems()["a"] == f"not a valid {scheme} address"
        assert sinks.deliver("a", notice()).outcome == "refused"


# -- what arrives -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["slack", "discord", "tgram", "pagerduty", "twilio"])
def test_what_happened_and_what_to_do_arrive(scheme: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    in_place_of_theirs(monkeypatch, receiver)
    outcome = notifier(a=ADDRESSES[scheme]).deliver("a", notice(), PATIENCE_S)
    assert (outcome.outcome, outcome.text) == ("delivered", f"{scheme}://: delivered")
    body = receiver.asked[0].body.decode()
    assert "CRITICAL ORDER_UNKNOWN KXBTC-26NOV21" in body.replace("+", " ").replace("%5B", "[")
    if scheme != "twilio":  # one text message is 160 characters: what happened comes first
        assert "kalshi order reconcile" in body
        assert "kalshi runbook unknown-order" in body
        assert "since 2026-11-21 11:00:00 UTC" in body
    assert "github.com" not in body
    assert "ppris" not in body


@pytest.mark.parametrize("url", sorted(COPIED))
def test_an_address_as_the_service_shows_it_is_understood(
    url: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_place_of_theirs(monkeypatch, receiver)
    assert notifier(a=url).deliver("a", notice(), PATIENCE_S).outcome == "delivered"
    assert receiver.asked[0].path.startswith("/200" + COPIED[url])


@pytest.mark.parametrize(
    ("status", "outcome", "said"),
    [
        ("404", "gone", "slack:// failed: the channel no longer exists (HTTP 404)"),
        ("410", "gone", "slack:// failed: the channel no longer exists (HTTP 410)"),
        ("403", "refused", "slack:// failed: HTTP 403"),
        ("302", "refused", "slack:// failed: redirected (HTTP 302); redirects are not followed"),
        ("500", "retry", "slack:// failed: HTTP 500"),
        ("429/7", "retry", "slack:// failed: rate limited (HTTP 429), next attempt in 60 s"),
    ],
)
def test_what_a_service_answers_comes_to_the_same_outcomes(
    status: str, outcome: str, said: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_place_of_theirs(monkeypatch, receiver, status)
    found = notifier(a=ADDRESSES["slack"]).deliver("a", notice(), PATIENCE_S)
    assert (found.outcome, found.text) == (outcome, said)
    assert len(receiver.asked) == 1


def test_an_answer_that_only_looks_like_success_is_not_taken_for_it(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_place_of_theirs(monkeypatch, receiver)
    receiver.reply = b"invalid_token"
    found = notifier(a=ADDRESSES["slack"]).deliver("a", notice(), PATIENCE_S)
    assert (found.outcome, found.text) == ("refused", "slack:// failed: the service rejected the notice")


def test_discord_in_a_hurry_is_not_waited_for(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    in_place_of_theirs(monkeypatch, receiver, "429/3600")
    found = notifier(a=ADDRESSES["discord"]).deliver("a", notice(), PATIENCE_S)
    assert found.text == "discord:// failed: rate limited (HTTP 429), next attempt in 60 s"
    assert found.retry_after_s == 60.0


# -- incidents ----------------------------------------------------------------------------------------------------


def test_pagerduty_resolves_the_incident_that_it_opened(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    in_place_of_theirs(monkeypatch, receiver)
    sinks = notifier(a=ADDRESSES["pagerduty"])
    for kind in ("firing", "reminder", "resolved"):
        found = sinks.deliver("a", notice(kind=kind), PATIENCE_S)
        assert found.outcome == "delivered", found.text
    first, again, last = (json.loads(asked.body) for asked in receiver.asked)
    assert [first["event_action"], again["event_action"], last["event_action"]] == ["trigger", "trigger", "resolve"]
    assert first["dedup_key"] == again["dedup_key"] == last["dedup_key"]
    assert first["payload"]["severity"] == "critical"


def test_opsgenie_closes_the_alert_that_another_process_began(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_place_of_theirs(monkeypatch, receiver)
    receiver.reply = b'{"requestId": "r-1"}'
    assert notifier(a=ADDRESSES["opsgenie"]).deliver("a", notice(), PATIENCE_S).outcome == "delivered"
    closing = notifier(a=ADDRESSES["opsgenie"]).deliver("a", notice(kind="resolved"), PATIENCE_S)
    assert closing.outcome == "delivered"
    began, closed = receiver.asked
    alias = json.loads(began.body)["alias"]
    assert closed.path == f"/200/alerts/{alias}/close?identifierType=alias"
    assert closed.headers["Authorization"] == f"GenieKey {TOKEN}"


def test_an_alert_that_opsgenie_no_longer_has_needs_no_closing(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_place_of_theirs(monkeypatch, receiver, "404")
    found = notifier(a=ADDRESSES["opsgenie"]).deliver("a", notice(kind="resolved"), PATIENCE_S)
    assert (found.outcome, found.text) == ("delivered", "opsgenie://: nothing to resolve")


# -- hostile text -------------------------------------------------------------------------------------------------

HOSTILE = (
    "<!channel> <@U024BE7LH> @everyone @here <@&123> <#C024BE7LR> *bold* _italic_ ~struck~ `code` ||hidden|| # big "
    "[click](http://evil.example/x) <http://evil.example|click> <b>x</b> &lt;!here&gt; {{body}} \x1b[31mred\x07 "
    "\u202eright\u200bto\u2066left"
)
LIVE = re.compile(
    r"@(everyone|here|channel)|<[!@#]|&lt;!|\]\(|http://|<http|<b>x|[\x00-\x09\x0b\x0c\x0e-\x1f\u200b\u202e\u2066]"
)


@pytest.mark.parametrize("scheme", CHATS)
def test_no_mention_no_markup_and_no_link_reaches_a_chat(
    scheme: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_place_of_theirs(monkeypatch, receiver)
    hostile = notice(text=HOSTILE, subject=HOSTILE, value=HOSTILE, subjects=(HOSTILE,), count=2)
    assert notifier(a=ADDRESSES[scheme]).deliver("a", hostile, PATIENCE_S).outcome == "delivered"
    texts = list(_texts(told(receiver)))
    assert "everyone" in "".join(texts)
    assert LIVE.search(HOSTILE)
    for text in texts:
        assert not LIVE.search(text), text
        assert not re.search(r"\*bold\*|(?<!\w)_italic_|~struck~|`code`|\|\|hidden", text)


def _texts(found: Any) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    elif isinstance(found, dict | list):
        for below in found.values() if isinstance(found, dict) else found:
            yield from _texts(below)


@pytest.mark.parametrize("scheme", [*CHATS, "pagerduty", "twilio"])
def test_a_message_is_one_message_however_long_its_text(
    scheme: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_place_of_theirs(monkeypatch, receiver)
    long = notice(text="x" * 9_000, subject="y" * 9_000, count=400, subjects=("z" * 300,) * 400)
    assert notifier(a=ADDRESSES[scheme]).deliver("a", long, PATIENCE_S).outcome == "delivered"
    assert len(receiver.asked) == 1
    assert len(receiver.asked[0].body) < 5_000


@given(st.text(max_size=200))
def test_inert_text_is_one_line_without_what_chats_react_to(text: str) -> None:
    shown = escape_markup(text, 100)
    assert len(shown) <= 130
    assert shown.isprintable()
    assert not set(shown) & set("@<>&`*~|#\\")
    assert "](" not in shown
    assert "://" not in shown


@pytest.mark.parametrize(
    "text",
    [
        "[prod] STILL CRITICAL ORDER_UNKNOWN_LONG KXHIGHNY-26NOV21-B52.5 (+3 more)",
        "lost $12.50 (62.5 %) since 9:30, at 0.55 + fees = -1/2",
        "kalshi pnl --by day --since 2026-11-21T00:00:00Z",
        "Zürich: “quoted”; 24 °C?",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert escape_markup(text, 200) == text


def test_the_lines_for_people() -> None:
    several = notice(count=7, subjects=("A", "B"), value="3", limit="0")
    assert to_title(several) == "[demo] CRITICAL ORDER_UNKNOWN KXBTC-26NOV21 (+6 more)"
    assert to_body(several).splitlines() == [
        "value 3, limit 0 orders",
        "command: kalshi order reconcile",
        "an order whose fate is not known",
        "since 2026-11-21 11:00:00 UTC",
        "7 of them: A, B, ...",
        "runbook: kalshi runbook unknown-order",
    ]
    bare = notice(text="gone well", value="", limit="", runbook="", command="", kind="event", tier="info")
    assert to_body(bare).splitlines() == ["gone well", "since 2026-11-21 11:00:00 UTC"]
    ended = notice(text="over; it was: 5016ms, limit 4000 ms", value="5016ms", limit="4000", kind="resolved")
    assert to_body(ended).splitlines()[0] == "over; it was: 5016ms, limit 4000 ms", "not its value as if it were of now"
    finding = notice(text="5016 ms, limit 4000 ms", value="5016 ms", limit="4000", unit="ms")
    assert to_body(finding).splitlines()[0] == finding.text
    assert to_body(finding).count("5016 ms") == 1, "once"
    assert len(to_title(notice(subject="x" * 999))) <= MAX_TITLE_LENGTH
    assert all(len(line) <= MAX_LINE_LENGTH for line in to_body(notice(text="x" * 999)).splitlines())
