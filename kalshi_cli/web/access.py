"""Access to the web server: one-time links, sessions, tokens, and the names under which the server may be called.

A page of another site must never act here. Therefore only known names of this server are served (a foreign name that
points here is refused), every write needs the page's own origin or a token, and the session cookie is SameSite=Strict.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import NamedTuple
from urllib.parse import urlsplit

COOKIE = "kalshi_session"
SESSION_S = 12 * 3_600.0
"""A session ends this long after its last request."""

LINK_S = 600.0
"""A link that opens a session is valid this long, and once; then the next attempt makes a new one."""

MAX_SESSIONS = 16
"""Sessions at a time; the one unused for longest ends first."""

BURST, PER_S = 60.0, 20.0
"""Requests that one visitor may send at once, and each second."""

LOGINS_PER_MINUTE = 10
"""Failed attempts to open a session, of all visitors together."""

SAFE_METHODS = ("GET", "HEAD")


class Refusal(NamedTuple):
    """Why a request is not served: the HTTP status, a code, the words for the user, what to do, and when to retry."""

    status: int
    code: str
    message: str
    hint: str = ""
    retry_after_s: int = 0


class _Bucket:
    """Requests that a visitor may still send."""

    def __init__(self, now_s: float) -> None:
        self.left, self.at_s = BURST, now_s

    def take(self, now_s: float) -> bool:
        self.left = min(BURST, self.left + (now_s - self.at_s) * PER_S)
        self.at_s = now_s
        if self.left < 1:
            return False
        self.left -= 1
        return True


class _Session:
    def __init__(self, now_s: float) -> None:
        self.used_s = now_s
        self.bucket = _Bucket(now_s)


class Access:
    """Decides about requests. `now_s` is a monotonic clock; `new_secret` makes links and session ids.

    `origins` are the addresses of this server, like `http://127.0.0.1:8765`. `tokens` are for programs.
    """

    def __init__(
        self,
        origins: tuple[str, ...],
        tokens: tuple[str, ...],
        now_s: Callable[[], float],
        new_secret: Callable[[], str],
    ) -> None:
        self._origins = origins
        self._hosts = frozenset(urlsplit(origin).netloc for origin in origins)
        self._now_s = now_s
        self._new_secret = new_secret
        self._tokens = {token: _Bucket(now_s()) for token in tokens}
        self._sessions: dict[str, _Session] = {}
        self._link = ("", 0.0)
        self._failed: list[float] = []

    def new_link(self) -> str:
        """Return the secret of a new link; the one before is void."""
        self._link = (self._new_secret(), self._now_s() + LINK_S)
        return self._link[0]

    @property
    def has_link(self) -> bool:
        """Return whether the link is still valid."""
        return bool(self._link[0]) and self._now_s() <= self._link[1]

    def open_session(self, link: str) -> str | Refusal:
        """Exchange the secret of a link for a session id, once."""
        now = self._now_s()
        self._failed = [at for at in self._failed if now - at < 60]
        if len(self._failed) >= LOGINS_PER_MINUTE:
            return Refusal(429, "too_many_attempts", "Too many attempts to log in. Wait a minute", "", 60)
        if not self.has_link or not _same(link, self._link[0]):
            self._failed.append(now)
            return Refusal(
                403, "link_used", "This link was used already or is too old",
                "open the last link that `kalshi serve` shows in its terminal",
            )  # fmt: skip
        self._link = ("", 0.0)
        session = self._new_secret()
        while len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[min(self._sessions, key=lambda each: self._sessions[each].used_s)]
        self._sessions[session] = _Session(now)
        return session

    def close_session(self, headers: Mapping[str, str]) -> None:
        """End the session of a request."""
        self._sessions.pop(_cookie(headers), None)

    def judge_address(self, headers: Mapping[str, str]) -> Refusal | None:
        """Refuse a request to a name that is not this server's: a page of another site may have been rebound here."""
        if headers.get("host", "") in self._hosts:
            return None
        return Refusal(421, "wrong_host", "This server is not called that. Open the address that `kalshi serve` shows")

    def judge(self, method: str, headers: Mapping[str, str]) -> Refusal | None:
        """Refuse a request without a session or token, from a foreign page, or from a visitor who sends too many."""
        now = self._now_s()
        bearer = headers.get("authorization", "")
        if bearer:
            token = next((each for each in self._tokens if _same(bearer, f"Bearer {each}")), None)
            if token is None:
                return Refusal(401, "wrong_token", "The token is not known", "send a line of the --token-file")
            bucket = self._tokens[token]
        else:
            session = next((held for name, held in self._sessions.items() if _same(_cookie(headers), name)), None)
            if session is None or now - session.used_s > SESSION_S:
                return Refusal(
                    401, "no_session", "Open the link that `kalshi serve` shows in its terminal",
                    "a program sends a line of its --token-file; see docs/screens.md",
                )  # fmt: skip
            if method not in SAFE_METHODS and headers.get("origin", "") not in self._origins:
                return Refusal(403, "foreign_origin", "A write must come from the page itself")
            session.used_s = now
            bucket = session.bucket
        if not bucket.take(now):
            return Refusal(
                429,
                "too_many_requests",
                "Too many requests; this one was not begun, and sent nothing",
                "send it again in a second",
                1,
            )
        return None


def _same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode(), secret.encode())


def _cookie(headers: Mapping[str, str]) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""
