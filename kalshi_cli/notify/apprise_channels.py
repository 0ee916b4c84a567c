"""Alert channels through apprise: Slack, Discord, Telegram, mail, PagerDuty, Opsgenie, SMS and others.

Only services with known hosts are allowed, so that an address cannot direct requests to other machines. Every
connection goes to a checked address (`pinned_plugins.py`). Plug-ins of apprise are imported one by one: all of them
together take 20 MB and 0.3 s.
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
"""The scheme of an address -> the plug-in of apprise. Each plug-in connects only to the hosts of its service."""

COPIED = {
    "hooks.slack.com": "slack",
    "hooks.slack-gov.com": "slack",
    "discord.com": "discord",
    "discordapp.com": "discord",
    "chat.googleapis.com": "gchat",
}
"""Hosts of the https addresses that these services offer for copying; they do not accept plain JSON."""

OURS = frozenset(
    ("verify", "redirect", "cto", "rto", "retry", "wait", "optional", "overflow", "format", "emojis", "store", "tz")
)
FILES = frozenset(("template", "pgp", "pgpkey", "pgpprv", "pgpmode", "wkd"))
"""Options of apprise that an address may not set: this module sets them, or they read files or other machines."""

_KINDS = {"critical": "failure", "warning": "warning"}


def uses_native_service(url: str) -> bool:
    """Return whether this is an https address that a service offers for copying."""
    return url.startswith("https://") and _host(url) in COPIED


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


class ServiceChannel:
    """The address of a channel at a service. Raises AddressError for an unknown service."""

    def __init__(self, url: str, clock: Clock, resolve: Resolve, *, allow_private: bool = False) -> None:
        if uses_native_service(url):
            self.scheme, self.where = COPIED[_host(url)], f"POST to {_host(url)}"
        else:
            self.scheme = url.split("://", 1)[0]
            self.where = f"{self.scheme}://"
        if self.scheme not in SERVICES:
            raise AddressError(
                f"unknown service {self.scheme}:// (known: {', '.join(SERVICES)}); for anything else use an https:// "
                "address, to which JSON is posted"
            )
        self._url = url
        self._clock = clock
        self._resolve = resolve
        self._allow_private = allow_private

    def __repr__(self) -> str:
        return f"ServiceChannel({self.scheme!r})"

    def problem(self) -> str:
        """Return why the address cannot be used, without sending anything; "" if it can."""
        try:
            self._plugin()
        except AddressError as error:
            return str(error)
        return ""

    def _plugin(self) -> Any:
        """Return a new plug-in of apprise for this address: an abandoned attempt must not share one."""
        kind = _plugin_kind(self.scheme)
        read = kind.parse_native_url if uses_native_service(self._url) else kind.parse_url
        found: dict[str, Any] | None = read(self._url)
        if not found:
            raise AddressError(f"not a valid {self.scheme} address")
        if unwanted := sorted((OURS | FILES) & {str(name).lower() for name in found.get("qsd") or ()}):
            raise AddressError(f"must not set {', '.join(unwanted)}")
        found |= {"asset": _asset(), "format": "text", "overflow": "truncate", "cto": CONNECT_S, "rto": TOTAL_S}
        if self.scheme == "pagerduty":
            found["source"] = found.get("source") or "kalshi"
        try:
            plugin = kind(**found)
        except TypeError:  # The only error apprise raises for an address; its text may contain the address.
            raise AddressError(f"not a valid {self.scheme} address") from None
        if not plugin.enabled:
            raise AddressError(f"{self.scheme} requires a package that is not installed")
        plugin.throttle = _unforced(plugin.throttle)
        return plugin

    def send(self, notice: Notice, within_s: float = TOTAL_S) -> DeliveryResult:
        """Make one attempt, in a thread that may be abandoned. May raise the errors of apprise."""
        from apprise.common import NotifyFormat, NotifyType

        plugin = self._plugin()
        mail: tuple[str, ...] = ()
        if self.scheme.startswith("mailto"):
            judged_servers = self._judge_mail_server(plugin)
            if isinstance(judged_servers, DeliveryResult):
                return judged_servers
            mail = judged_servers
        kind = "success" if notice.kind == "resolved" else _KINDS.get(notice.tier, "info")
        if self.scheme == "pagerduty":
            plugin.dedup, plugin.action = alert_key(notice), "map"  # The type "success" resolves the alert.
        elif self.scheme == "opsgenie":
            plugin.alias = alert_key(notice)
            if notice.kind == "resolved":
                return self._close(plugin, within_s)
        _heard.status = None
        call = PinnedCall(self._clock, self._resolve, self._clock.monotonic() + within_s, mail)
        with calling(call):
            is_sent = plugin.notify(
                body=to_body(notice),
                title=to_title(notice),
                notify_type=NotifyType(kind),
                body_format=NotifyFormat("text"),
            )
        if is_sent:
            return DeliveryResult(outcome="delivered", text=f"{self.where}: delivered")
        if self._clock.monotonic() >= call.ends_at:
            return DeliveryResult(outcome="retry", text=f"{self.where} failed: timeout")
        if _heard.status is None:
            return DeliveryResult(outcome="retry", text=f"{self.where} failed: no connection, or rejected")
        if 200 <= _heard.status <= 299:
            return DeliveryResult(outcome="refused", text=f"{self.where} failed: the service rejected the notice")
        return classify_response(self.where, _heard.status, "", self._clock.now())

    def _judge_mail_server(self, plugin: Any) -> DeliveryResult | tuple[str, ...]:
        """Return the checked addresses of the mail server, or the result that ends the attempt."""
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
            return DeliveryResult(outcome="retry", text=f"{self.where} failed: the host name cannot be resolved")

    def _close(self, plugin: Any, within_s: float) -> DeliveryResult:
        """Close an alert of Opsgenie by its alias; apprise can close only alerts that this process opened."""
        lookup: dict[str, str] = importlib.import_module("apprise.plugins.opsgenie").OPSGENIE_API_LOOKUP
        url = f"{lookup[plugin.region_name]}/{quote(plugin.alias)}/close?identifierType=alias"
        sink = PinnedHttpClient(parse_web_address(url), self._clock, self._resolve)
        headers = {"Authorization": f"GenieKey {plugin.apikey}", "Content-Type": "application/json"}
        closed = sink.send(b'{"source": "kalshi"}', headers, within_s=within_s)
        if closed.outcome == "gone":  # The alert was never opened, or it was deleted.
            return DeliveryResult(outcome="delivered", text=f"{self.where}: nothing to resolve")
        return closed


# -- apprise, one plug-in at a time -------------------------------------------------------------------------------

_heard = threading.local()


class _CapturedLogs(logging.Handler):
    """Reads the HTTP status from a plug-in's log, the only place that has it, and drops the log lines."""

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
            warnings.simplefilter("ignore")  # Deprecations inside a dependency do not concern the user.
            found = getattr(importlib.import_module(f"apprise.plugins.{module}"), name)
    except (ImportError, AttributeError):
        raise AddressError(f"the installed apprise does not support {scheme}") from None
    package = f"apprise.plugins.{module}"
    for name, loaded in list(sys.modules.items()):
        if name == package or name.startswith(f"{package}."):
            pin(loaded)
    return found


def _unforced(throttle: Callable[..., None]) -> Callable[..., None]:
    """Return a throttle that ignores the wait requested by a service: the outbox retries, for hours if necessary."""

    def pace(last_io: Any = None, wait: float | None = None) -> None:
        if not wait:
            throttle(last_io=last_io)

    return pace


@functools.cache
def _silence() -> None:
    """Capture the logs of apprise and urllib3: they contain addresses, and without a handler go to stderr."""
    for name, handler in (("apprise", _CapturedLogs()), ("urllib3", logging.NullHandler())):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.setLevel(logging.WARNING)
        logger.addHandler(handler)


@functools.cache
def _asset() -> AppriseAsset:
    """Return settings of apprise without files, remote images, redirects and templates."""
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
