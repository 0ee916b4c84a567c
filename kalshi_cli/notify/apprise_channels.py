"""Slack, Discord, Telegram, mail, PagerDuty, Opsgenie, SMS and others: apprise speaks to them.

Only services whose machines are known are let in, so that an address cannot make us talk to anything else. Every
connection goes to an address that was judged (`pinned_plugins.py`). Plug-ins of apprise are imported one by one: all of
them are 20 MB and 0.3 s.
"""

from __future__ import annotations

import functools
import importlib
import logging
import re
import sys
import threading
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from kalshi_cli.base.clock import Clock
from kalshi_cli.core.monitoring.notices import Notice
from kalshi_cli.net.address_guard import AddressError, Resolve, checked_addresses, parse_host, parse_web_address
from kalshi_cli.net.delivery import CONNECT_S, TOTAL_S, DeliveryResult, classify_response
from kalshi_cli.net.guarded_client import PinnedHttpClient
from kalshi_cli.notify.notice_text import alert_key, to_body, to_title
from kalshi_cli.notify.pinned_plugins import PinnedCall, calling, pin

if TYPE_CHECKING:
    from apprise.asset import AppriseAsset

SERVICES = {
    "slack": "slack.NotifySlack",
    "discord": "discord.NotifyDiscord",
    "tgram": "telegram.NotifyTelegram",
    "gchat": "google_chat.NotifyGoogleChat",
    "webex": "webexteams.NotifyWebexTeams",
    "mailto": "email.NotifyEmail",
    "mailtos": "email.NotifyEmail",
    "pagerduty": "pagerduty.NotifyPagerDuty",
    "opsgenie": "opsgenie.NotifyOpsgenie",
    "pagertree": "pagertree.NotifyPagerTree",
    "splunk": "splunk.NotifySplunk",
    "victorops": "splunk.NotifySplunk",
    "squadcast": "squadcast.NotifySquadcast",
    "signl4": "signl4.NotifySIGNL4",
    "ilert": "ilert.NotifyILert",
    "twilio": "twilio.NotifyTwilio",
    "vonage": "vonage.NotifyVonage",
    "nexmo": "vonage.NotifyVonage",
    "plivo": "plivo.NotifyPlivo",
    "telnyx": "telnyx.NotifyTelnyx",
    "clicksend": "clicksend.NotifyClickSend",
    "bulksms": "bulksms.NotifyBulkSMS",
    "msgbird": "messagebird.NotifyMessageBird",
    "seven": "seven.NotifySeven",
    "46elks": "fortysixelks.Notify46Elks",
    "threema": "threema.NotifyThreema",
    "pover": "pushover.NotifyPushover",
    "pbul": "pushbullet.NotifyPushBullet",
    "prowl": "prowl.NotifyProwl",
    "spush": "simplepush.NotifySimplePush",
}
"""The beginning of an address -> the plug-in of apprise. Each talks to machines of its own, whatever follows."""

COPIED = {
    "hooks.slack.com": "slack",
    "hooks.slack-gov.com": "slack",
    "discord.com": "discord",
    "discordapp.com": "discord",
    "chat.googleapis.com": "gchat",
}
"""Hosts of https addresses that these services show for copying; plain JSON would mean nothing to them."""

OURS = frozenset(
    ("verify", "redirect", "cto", "rto", "retry", "wait", "optional", "overflow", "format", "emojis", "store", "tz")
)
FILES = frozenset(("template", "pgp", "pgpkey", "pgpprv", "pgpmode", "wkd"))
"""Options of apprise that are not a person's to set: we decide on them; or they read files or other machines."""

_KINDS = {"critical": "failure", "warning": "warning"}


def uses_native_service(url: str) -> bool:
    """Whether a service shows this address for copying."""
    return url.startswith("https://") and _host(url) in COPIED


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


class ServiceChannel:
    """One address of a service. AddressError where it is of none."""

    def __init__(self, url: str, clock: Clock, resolve: Resolve, *, allow_private: bool = False) -> None:
        if uses_native_service(url):
            self.scheme, self.where = COPIED[_host(url)], f"POST to {_host(url)}"
        else:
            self.scheme = url.split("://", 1)[0]
            self.where = f"{self.scheme}://"
        if self.scheme not in SERVICES:
            raise AddressError(
                f"{self.scheme}:// is none of the services that are known ({', '.join(SERVICES)}); "
                "to any other, JSON is posted at an https:// address"
            )
        self._url = url
        self._clock = clock
        self._resolve = resolve
        self._allow_private = allow_private

    def __repr__(self) -> str:
        return f"ServiceSink({self.scheme!r})"

    def problem(self) -> str:
        try:
            self._plugin()
        except AddressError as error:
            return str(error)
        return ""

    def _plugin(self) -> Any:
        """The plug-in of apprise for this address, made anew: an attempt that was left behind shares nothing."""
        kind = _plugin_kind(self.scheme)
        read = kind.parse_native_url if uses_native_service(self._url) else kind.parse_url
        found: dict[str, Any] | None = read(self._url)
        if not found:
            raise AddressError(f"it is not an address of {self.scheme}")
        if unwanted := sorted((OURS | FILES) & {str(name).lower() for name in found.get("qsd") or ()}):
            raise AddressError(f"it must not set {', '.join(unwanted)}")
        found |= {"asset": _asset(), "format": "text", "overflow": "truncate", "cto": CONNECT_S, "rto": TOTAL_S}
        if self.scheme == "pagerduty":
            found["source"] = found.get("source") or "kalshi"
        try:
            plugin = kind(**found)
        except TypeError:  # what all that apprise raises of an address is; its text may have the address in it
            raise AddressError(f"it is not an address of {self.scheme}") from None
        if not plugin.enabled:
            raise AddressError(f"{self.scheme} needs what is not installed here")
        plugin.throttle = _unforced(plugin.throttle)
        return plugin

    def send(self, notice: Notice, within_s: float = TOTAL_S) -> DeliveryResult:
        """One attempt, in a thread that may be left behind. May raise what apprise raises."""
        plugin = self._plugin()
        mail: tuple[str, ...] = ()
        if self.scheme.startswith("mailto"):
            judged_servers = self._judge_mail_server(plugin)
            if isinstance(judged_servers, DeliveryResult):
                return judged_servers
            mail = judged_servers
        kind = "success" if notice.kind == "resolved" else _KINDS.get(notice.tier, "info")
        if self.scheme == "pagerduty":
            plugin.dedup, plugin.action = alert_key(notice), "map"  # success resolves
        elif self.scheme == "opsgenie":
            plugin.alias = alert_key(notice)
            if notice.kind == "resolved":
                return self._close(plugin, within_s)
        _heard.status = None
        call = PinnedCall(self._clock, self._resolve, self._clock.monotonic() + within_s, mail)
        with calling(call):
            is_sent = plugin.notify(
                body=to_body(notice), title=to_title(notice), notify_type=_kind(kind), body_format=_format("text")
            )
        if is_sent:
            return DeliveryResult(outcome="delivered", text=f"{self.where}: delivered")
        if self._clock.monotonic() >= call.ends_at:
            return DeliveryResult(outcome="retry", text=f"{self.where} failed: timeout")
        if _heard.status is None:
            return DeliveryResult(outcome="retry", text=f"{self.where} failed: no connection, or it was not taken")
        if 200 <= _heard.status <= 299:
            return DeliveryResult(outcome="refused", text=f"{self.where} failed: it answered that it did not take it")
        return classify_response(self.where, _heard.status, "", self._clock.now())

    def _judge_mail_server(self, plugin: Any) -> DeliveryResult | tuple[str, ...]:
        """Return the addresses that the letter may go to, or why there is none."""
        try:
            return checked_addresses(
                parse_host(plugin.smtp_host),
                plugin.port,
                self._resolve,
                allow_private=self._allow_private,
                is_encrypted=plugin.secure_mode != "insecure",
            )
        except AddressError as error:
            return DeliveryResult(outcome="refused", text=f"{self.where} refused: {error}")
        except OSError:
            return DeliveryResult(outcome="retry", text=f"{self.where} failed: its name cannot be resolved")

    def _close(self, plugin: Any, within_s: float) -> DeliveryResult:
        """End an alert of Opsgenie by our name for it; apprise knows only those that this process began."""
        lookup: dict[str, str] = importlib.import_module("apprise.plugins.opsgenie").OPSGENIE_API_LOOKUP
        url = f"{lookup[plugin.region_name]}/{quote(plugin.alias)}/close?identifierType=alias"
        sink = PinnedHttpClient(parse_web_address(url), self._clock, self._resolve)
        headers = {"Authorization": f"GenieKey {plugin.apikey}", "Content-Type": "application/json"}
        closed = sink.send(b'{"source": "kalshi"}', headers, within_s=within_s)
        if closed.outcome == "gone":  # a resolved alert that nobody began, or that a person deleted
            return DeliveryResult(outcome="delivered", text=f"{self.where}: there was nothing to close")
        return closed


# -- apprise, one plug-in at a time -------------------------------------------------------------------------------

_heard = threading.local()


class _CapturedLogs(logging.Handler):
    """Listens for the HTTP status that a plug-in logs, which is the only place where it says it; drops the rest."""

    def emit(self, record: logging.LogRecord) -> None:
        found = re.search(r"\berror=(\d{3})\b", record.getMessage())
        if found:
            _heard.status = int(found.group(1))


@functools.cache
def _plugin_kind(scheme: str) -> Any:
    module, name = SERVICES[scheme].split(".")
    _silence()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a library of a library is going to change is not for our users
            found = getattr(importlib.import_module(f"apprise.plugins.{module}"), name)
    except (ImportError, AttributeError):
        raise AddressError(f"the apprise that is installed does not know {scheme}") from None
    package = f"apprise.plugins.{module}"
    for name, loaded in list(sys.modules.items()):
        if name == package or name.startswith(f"{package}."):
            pin(loaded)
    return found


def _unforced(throttle: Callable[..., None]) -> Callable[..., None]:
    """A plug-in keeps its own pace, but waits for no service that told it to: the outbox does, for hours if need be."""

    def pace(last_io: Any = None, wait: float | None = None) -> None:
        if not wait:
            throttle(last_io=last_io)

    return pace


@functools.cache
def _silence() -> None:
    """What apprise and urllib3 log has addresses in it; and without a handler, warnings would go to stderr."""
    for name, handler in (("apprise", _CapturedLogs()), ("urllib3", logging.NullHandler())):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.setLevel(logging.WARNING)
        logger.addHandler(handler)


@functools.cache
def _asset() -> AppriseAsset:
    """Ours: no files, no pictures from elsewhere, no redirects, no templates."""
    from apprise.asset import AppriseAsset
    from apprise.common import PersistentStoreMode

    return AppriseAsset(
        app_id="kalshi",
        app_desc="kalshi",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        http_redirects=False,
        pgp_autogen=False,
        pem_autogen=False,
        storage_mode=PersistentStoreMode.MEMORY,
        allow_templates=False,
    )


def _kind(name: str) -> Any:
    from apprise.common import NotifyType

    return NotifyType(name)


def _format(name: str) -> Any:
    from apprise.common import NotifyFormat

    return NotifyFormat(name)
