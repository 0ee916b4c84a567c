"""Addresses of alert services, and a receiver in place of theirs."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from kalshi_cli.notify import apprise_channels
from support.receivers import PATIENCE_S, Receiver

TOKEN = "0123456789abcdef"


LONG = TOKEN * 2


ADDRESSES = {
    "slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    "discord": "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
    "tgram": f"tgram://123456789:AAE{LONG}/12315544",
    "gchat": "gchat://workspace/key/token",
    "webex": f"webex://{'a' * 80}",
    "pagerduty": "pagerduty://INTEGRATION@APIKEY",
    "opsgenie": f"opsgenie://{TOKEN}",
    "pagertree": "pagertree://int_0123456789",
    "splunk": f"splunk://route@{LONG}",
    "victorops": f"victorops://route@{LONG}",
    "squadcast": f"squadcast://{LONG}",
    "signl4": "signl4://secret",
    "ilert": "ilert://il1api0123456789",
    "twilio": f"twilio://AC{LONG}:{LONG}@12345678901/12345678902",
    "vonage": f"vonage://AC012345:{TOKEN}@12345678901/12345678902",
    "nexmo": f"nexmo://AC012345:{TOKEN}@12345678901/12345678902",
    "plivo": f"plivo://{'M' * 25}@{'a' * 40}/12345678901/12345678902",
    "telnyx": "telnyx://KEY0123456789@12345678901/12345678902",
    "clicksend": "clicksend://user:key@12345678902",
    "bulksms": "bulksms://id:secret@12345678902",
    "msgbird": f"msgbird://{'a' * 25}/12345678901/12345678902",
    "seven": f"seven://{'a' * 25}/12345678902",
    "46elks": "46elks://user:pass@+12345678901/+12345678902",
    "threema": f"threema://*THEGWID@{TOKEN}/12345678902",
    "pover": f"pover://{'u' * 30}@{'a' * 30}",
    "pbul": f"pbul://{LONG}",
    "prowl": f"prowl://{'a' * 40}",
    "spush": "spush://KEY012",
}


def in_place_of_theirs(monkeypatch: pytest.MonkeyPatch, receiver: Receiver, status: str = "200") -> None:
    """The services' addresses are the receiver's; it may take its time on a busy machine."""
    for patience in ("CONNECT_S", "TOTAL_S"):
        monkeypatch.setattr(apprise_channels, patience, PATIENCE_S)

    def plugin(module: str) -> Any:
        return importlib.import_module(f"apprise.plugins.{module}")

    monkeypatch.setattr(plugin("slack").NotifySlack, "webhook_url", receiver.url(f"{status}/services"))
    monkeypatch.setattr(plugin("slack").NotifySlack, "api_url", receiver.url(status) + "/api/{}")
    monkeypatch.setattr(plugin("discord").NotifyDiscord, "notify_url", receiver.url(f"{status}/api/webhooks"))
    monkeypatch.setattr(plugin("telegram").NotifyTelegram, "notify_url", receiver.url(f"{status}/bot"))
    monkeypatch.setattr(plugin("twilio").NotifyTwilio, "notify_sms_url", receiver.url(f"{status}/sms"))
    monkeypatch.setitem(plugin("pagerduty").PAGERDUTY_API_LOOKUP, "us", receiver.url(f"{status}/enqueue"))
    monkeypatch.setitem(plugin("opsgenie").OPSGENIE_API_LOOKUP, "us", receiver.url(f"{status}/alerts"))
