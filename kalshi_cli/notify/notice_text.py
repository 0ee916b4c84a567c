"""A notice as JSON for machines, and as a few lines for people.

The JSON is a contract (docs/alerts.md). The lines go to chat services that interpret markup, links and mentions, and
the names of markets are external text: so characters with a meaning are replaced by look-alikes.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit

import msgspec

from kalshi_cli.base.local_time import show_times
from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import shown_subject
from kalshi_cli.core.monitoring.check_report import with_unit
from kalshi_cli.core.monitoring.notices import Notice

VERSION = 1
"""The version of the JSON. New fields keep it; a changed field requires a new version."""

MAX_LINE_LENGTH = 300
MAX_TITLE_LENGTH = 150
MAX_SUBJECTS = 20


def rfc3339(ts: Ts) -> str:
    """Return a time as `2026-11-21T11:00:00.000Z`."""
    return datetime.fromtimestamp(ts / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def alert_key(notice: Notice) -> str:
    """Return the key of the ticket that a notice opens, repeats or closes. Each event has its own key."""
    parts = [notice.env, notice.code, notice.ticket or notice.subject]
    if notice.kind in ("event", "test"):
        parts.append(notice.notice_id)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def to_json(notice: Notice) -> bytes:
    """Return the JSON body for a webhook."""
    fields = {
        name: safe_text(value) if isinstance(value, str) else value
        for name, value in msgspec.structs.asdict(notice).items()
        if name != "ticket"  # the key has it
    }
    fields["subjects"] = [safe_text(subject) for subject in notice.subjects[:MAX_SUBJECTS]]
    fields["text"] = show_times(safe_text(notice.text))  # for people; all other values are for programs
    fields["since"], fields["ts"] = rfc3339(notice.since), rfc3339(notice.ts)
    return msgspec.json.encode({"version": VERSION, "key": alert_key(notice), **fields})


def to_title(notice: Notice) -> str:
    """Return the title line."""
    return escape_markup(notice.title, MAX_TITLE_LENGTH)


def to_body(notice: Notice) -> str:
    """Return the body lines: the numbers of a current alert, the command, the text, the time and the runbook.

    A text that has the numbers comes first instead.
    """
    values = (("value", notice.value), ("limit", with_unit(notice.limit, notice.unit)))
    # The value of an alert that ended is that of its last report; its text says so.
    # The text of a finding of a check has its value and its limit.
    is_said = f"{notice.value}, " in f"{notice.text}, "
    numbers = (
        "" if notice.kind == "resolved" or is_said else ", ".join(f"{word} {text}" for word, text in values if text)
    )
    lines = [
        numbers or notice.text,
        f"command: {notice.command}" if notice.command else "",
        notice.text if numbers else "",
        f"since {rfc3339(notice.since)}",
    ]
    if notice.count > 1:
        named = ", ".join(shown_subject(notice.code, each) for each in notice.subjects[:MAX_SUBJECTS])
        lines.append(f"{notice.count} of them: {named}" + ("" if len(notice.subjects) >= notice.count else ", ..."))
    if notice.runbook:
        lines.append(f"runbook: kalshi runbook {notice.runbook}")
    shown = [escape_markup(show_times(line), MAX_LINE_LENGTH) for line in lines if line]
    if notice.page:  # from the configuration, so it may stay a link
        shown.append(f"page: {safe_text(notice.page, MAX_LINE_LENGTH)}")
    return "\n".join(shown)


_LOOKALIKES = str.maketrans(
    {"@": "＠", "<": "‹", ">": "›", "&": "＆", "`": "ˋ", "*": "∗", "~": "∼", "|": "¦", "#": "＃", "\\": "＼"}
)


def public_page(url: str) -> str:
    """Return an address as notices carry it: without a user, a password, a query or a fragment, which may be secret."""
    if not url:
        return ""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def escape_markup(text: str, limit: int) -> str:
    """Return one line in which Slack, Discord and Telegram find no mention, markup or link."""
    shown = safe_text(text, limit).translate(_LOOKALIKES)
    shown = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", "ˍ", shown)
    return shown.replace("](", "] (").replace("://", ": //")
