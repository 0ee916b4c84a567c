"""Calls to the exchange: each attempt is signed, rate-limited and bounded in time, and repeated only by policy.

The rules of repetition are the safety core of this package, so they are data (`RetryPolicy`). An attempt ends in one of
three ways:

    never left     no connection was made, or the exchange refused it for the rate limit (429): any verb may be
                   sent again
    unknown        a timeout, a reset, a 5xx, a response cut short, for a write also a 4xx without a known error of
                   the exchange (`is_definite`): only a request that is harmless twice may be sent again
    answered       a 2xx is returned, a rejection is raised
"""

from __future__ import annotations

import math
import random
import re
import threading
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, InitVar, dataclass
from functools import lru_cache, partial, wraps
from typing import NamedTuple, ParamSpec, TypeVar
from urllib.parse import urlencode

import httpx

from kalshi_cli.base import errors
from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.text import is_loopback, safe_text
from kalshi_cli.base.version import __version__
from kalshi_cli.core.account.order_index import ID_TAKEN
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.exchange.rest.exchange_clock import MOVES_ON_S, ExchangeClock
from kalshi_cli.exchange.rest.rate_limits import RateLimiter
from kalshi_cli.exchange.rest.signing import NEVER, ReadySignatures, Signer
from kalshi_cli.exchange.wire import replies
from kalshi_cli.net.body import read_body
from kalshi_cli.net.deadline_transport import DeadlineTransport

P = ParamSpec("P")
T = TypeVar("T")

MAX_REPLY_LENGTH = 32 * 1024 * 1024
"""Bytes; the series list, the longest response, has about twenty million."""

MAX_OBJECTS, MAX_VALUES = 150_000, 1_500_000
"""Limits of one response, counted by `{` and `,` before decoding: an empty object takes hundreds of bytes."""


OnAnswer = Callable[[str, str, int, float, bytes], None]
"""Called after each attempt with verb, path, status (0: no usable response), duration in seconds, and body."""


class Timeouts(NamedTuple):
    """Seconds to connect, to wait for each piece of the response, and for the whole call with all its attempts."""

    connect: float = 3.0
    read: float = 5.0
    total: float = 10.0


class RetryPolicy(NamedTuple):
    """Maximum attempts of a call, and whether it may be repeated after an unknown outcome.

    A call that `may_trade` can place an order or enlarge one; only such calls are stopped by a halt.
    """

    tries: int
    is_harmless_twice: bool
    may_trade: bool = False


READ = RetryPolicy(tries=4, is_harmless_twice=True)
CREATE = RetryPolicy(tries=3, is_harmless_twice=False, may_trade=True)
CANCEL = RetryPolicy(tries=3, is_harmless_twice=True)
ONCE = RetryPolicy(tries=3, is_harmless_twice=False)
RETRY_RESET = RetryPolicy(tries=3, is_harmless_twice=True, may_trade=True)

_RECONCILE = "run `kalshi order reconcile` first"

_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_NOTICES = ("Deprecation", "Sunset")
"""Headers by which a route announces its end on a successful response (RFC 9745, RFC 8594)."""
_MAX_NOTICES, _MAX_NOTICE_LENGTH = 100, 200
_OF_ACCOUNT = re.compile(r"/(portfolio|account|communications|exchange/user_data_timestamp)(/|$)")
"""Routes for which a response with `Age`, which came from a cache, is not accepted."""
REPLAYED = "replayed"
_DIGITS = re.compile("[0-9]+")
_FIRST_PAUSE_S = 0.1
_FIRST_PAUSE_429_S = 0.05
_MAX_429 = 3
"""429 responses that one call accepts; more would turn many callers into a storm."""

ANY_SUCCESS = range(200, 300)
NO_CONTENT = (204,)
"""The exchange's confirmation without content; any other success was not sent by the exchange."""

CREATE_PATH = "/portfolio/events/orders"
"""The path of a create, the only one that is signed ahead."""

Params = Mapping[str, str | int | Sequence[str] | None]


class _Reply(NamedTuple):
    """A response. `is_kept`: it came from a cache and is older than its request, so it proves nothing."""

    status: int
    body: bytes
    wait_s: float
    notice: str
    is_kept: bool


class _Failure(NamedTuple):
    """An attempt without an answer."""

    error: KalshiError
    is_unknown: bool
    wait_s: float = 0.0


def _keeps_doubt(call: Callable[P, T]) -> Callable[P, T]:
    """Attach an unknown outcome to an interrupt that ends a write, so that the program reports it and exits with 7.

    It stays an interrupt, so that code which continues after an unknown outcome does not continue after this.
    """

    @wraps(call)
    def kept(*args: P.args, **more: P.kwargs) -> T:
        try:
            return call(*args, **more)
        except KeyboardInterrupt as interrupt:
            _, method, path, *_ = args
            if method != "GET":
                subject, hint = more.get("subject") or f"{method} {path}", more.get("if_unknown", _RECONCILE)
                text = f"{subject}: interrupted; outcome unknown"
                interrupt.__cause__ = errors.OutcomeUnknownError(text, hint=str(hint))
            raise

    return kept


@dataclass(eq=False, repr=False)
class RestTransport:
    """Calls to one environment of the exchange. It is thread-safe."""

    rest_url: InitVar[str]
    _: KW_ONLY
    clock: Clock
    rng: random.Random
    signer: Signer | None
    transport: InitVar[httpx.BaseTransport | None]
    limiter: RateLimiter
    timeouts: Timeouts
    is_read_only: bool
    before_create: Callable[[TradingState], None]
    on_notice: Callable[[str, str], None]
    on_answer: OnAnswer
    presign: InitVar[bool] = False

    def __post_init__(self, rest_url: str, transport: httpx.BaseTransport | None, presign: bool) -> None:
        base = _checked(rest_url)
        self._transport = transport or DeadlineTransport(self.clock, is_tls=base.scheme == "https")
        root = str(base).rstrip("/")
        self._url = lru_cache(maxsize=256)(lambda target: httpx.URL(root + target))  # parsing one costs 70 us
        self._host, self._root = base.host, base.path.rstrip("/")
        self._headers = [
            (b"Host", base.netloc),
            (b"Accept", b"application/json"),
            (b"Accept-Encoding", b"gzip"),
            (b"Cache-Control", b"no-cache, no-store"),
            (b"User-Agent", f"kalshi/{__version__}".encode()),
        ]
        self.read_total_s = self.timeouts.total
        """Seconds for a whole GET; a loop, which waits for each, sets less."""
        self._reading = threading.local()
        self.exchange_clock = ExchangeClock(self.clock)
        self._ready: ReadySignatures | None = None
        signer, create = self.signer, self._url(CREATE_PATH).raw_path
        self._create_target = create
        if presign and signer is not None:
            self._ready = ReadySignatures(
                self.clock, partial(signer.sign, "POST", create.decode()), lambda: self.exchange_clock.max_skew_ms
            )
        self.notices: dict[str, str] = {}
        """Routes that announced that they are or will be switched off, with the announcement."""

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def sign_ahead(self) -> float:
        """Make a signature for a later create, for a moment without work; return when the next one is due."""
        return NEVER if self._ready is None else self._ready.make()

    @property
    def reads_until(self) -> float:
        """Return the monotonic time at which every read of this thread ends; infinite outside of `reading_within`."""
        until: float = getattr(self._reading, "until", math.inf)
        return until

    def _ends_at(self, method: str, path: str) -> float:
        """Return the monotonic time at which a call that begins now must end."""
        now = self.clock.monotonic()
        if method != "GET":
            return now + self.timeouts.total
        if now >= self.reads_until:
            raise errors.UnreachableError(f"GET {path}: reading exceeded its time limit", code="too_slow")
        return min(now + self.read_total_s, self.reads_until)

    @contextmanager
    def reading_within(self, seconds: float) -> Iterator[None]:
        """Limit the total time of all reads of this thread inside the block. Writes keep their own time."""
        before = self.reads_until
        self._reading.until = min(before, self.clock.monotonic() + seconds)
        try:
            yield
        finally:
            self._reading.until = before

    @_keeps_doubt
    def call(
        self,
        method: str,
        path: str,
        retry: RetryPolicy,
        *,
        subject: str = "",
        params: Params | None = None,
        body: bytes = b"",
        is_public: bool = False,
        answered: Container[int] = ANY_SUCCESS,
        if_unknown: str = _RECONCILE,
        items: int = 1,
        reviewed: TradingState = TradingState.REDUCING,
    ) -> bytes:
        """Return the body of a response with a status in `answered`; otherwise raise the matching error.

        A rejection of a write with a status in `answered` counts only if it says that the object already exists.

        A write with an unknown outcome raises OutcomeUnknownError, which names `subject` and gives the hint
        `if_unknown`; every other error means that nothing is outstanding. A batch has `items`. A request that may trade
        was reviewed in the trading state `reviewed`, and is not sent in a stricter one.
        """
        self._check_allowed(method, is_public)
        until = self._ends_at(method, path)
        try:
            url = self._url(path + _query(params))
        except httpx.InvalidURL as error:  # an id of the exchange may be a text of any length
            raise errors.UnreachableError(
                f"{method} {path[:60]}: the address is invalid ({error}); nothing was sent", code="invalid_address"
            ) from error
        may_go = partial(self.before_create, reviewed)
        is_unknown, refusals = False, 0
        failure: _Failure | None = None
        for attempt in range(retry.tries):
            if failure and not self._pause(attempt, failure, until):
                break
            try:
                self.limiter.acquire(method, path, within_s=until - self.clock.monotonic(), items=items)
            except errors.RateLimitedError as error:
                failure = failure or _Failure(error, is_unknown=False)
                break
            try:
                if retry.may_trade:
                    may_go()  # before each attempt: waiting for the rate limit or a retry can take seconds
                outcome = self._attempt(method, path, url, body, until, answered, may_go if retry.may_trade else None)
            except KalshiError as error:
                if not is_unknown or isinstance(error, errors.NotFoundError):  # 404 is normal for a repeated cancel
                    raise
                failure = _Failure(error, is_unknown=True)  # a rejection now says nothing about an earlier attempt
                break
            if isinstance(outcome, bytes):
                return outcome
            failure = outcome
            refusals += isinstance(failure.error, errors.RateLimitedError)
            is_unknown = is_unknown or failure.is_unknown
            if refusals == _MAX_429:
                break
            if failure.is_unknown and not retry.is_harmless_twice:
                break
        assert failure is not None
        if is_unknown and method != "GET":
            raise _not_known(subject or f"{method} {path}", failure.error, if_unknown) from failure.error
        raise failure.error

    def _check_allowed(self, method: str, is_public: bool) -> None:
        if method != "GET" and self.is_read_only:
            raise errors.ReadOnlyError
        if self.signer is None and not is_public:
            raise errors.CredentialsError(
                f"{self._host} requires an API key, and none is configured",
                hint="set KALSHI_API_KEY_ID and KALSHI_PRIVATE_KEY_PATH, or `credentials` in the configuration",
            )

    def _attempt(
        self,
        method: str,
        path: str,
        url: httpx.URL,
        body: bytes,
        until: float,
        answered: Container[int],
        may_go: Callable[[], None] | None,
    ) -> bytes | _Failure:
        """Send once. Raise what is certain, and return everything else for the retry policy."""
        what, sent_s = f"{method} {path}", self.clock.monotonic()
        try:
            reply = self._send(method, url, body, until, may_go)
        except _NEVER_LEFT as error:
            self.on_answer(method, path, 0, self.clock.monotonic() - sent_s, b"")
            return _Failure(self._unreachable(what, error, errors.UnreachableError), is_unknown=False)
        except httpx.RequestError as error:
            self.on_answer(method, path, 0, self.clock.monotonic() - sent_s, b"")
            return _Failure(self._unreachable(what, error, errors.NoAnswerError), is_unknown=True)
        self.on_answer(method, path, reply.status, self.clock.monotonic() - sent_s, reply.body)
        notice = "410 Gone" if reply.status == 410 else reply.notice
        if notice:
            self._note(what, notice)
        if reply.is_kept:
            return _Failure(self._kept(what), is_unknown=True)
        if reply.status < 300 and reply.status in answered:
            return reply.body
        refusal = replies.read_refusal(b"" if reply.status < 300 else reply.body)
        if reply.status in answered and (method == "GET" or replies.is_taken(refusal.code)):
            return reply.body
        wait_s = 0.0
        if reply.status == 429:
            self.limiter.refused(method, path)
            wait_s = reply.wait_s
        if method != "GET" and not replies.is_definite(refusal.code, reply.status):
            return _Failure(replies.unproven(what, reply.status, refusal), is_unknown=True, wait_s=wait_s)
        no = replies.rejection_error(what, reply.status, reply.body, self.exchange_clock.skew_ms)
        if reply.status == 429 or reply.status >= 500:  # a read after a 5xx may be repeated
            return _Failure(no, is_unknown=False, wait_s=wait_s)
        raise no

    def _send(
        self, method: str, url: httpx.URL, body: bytes, until: float, before_write: Callable[[], None] | None
    ) -> _Reply:
        # Built whole and once: httpx takes twice as long to complete headers that it is given piece by piece.
        headers, target = list(self._headers), url.raw_path
        if method in ("POST", "PUT"):
            body = body or b"{}"  # the exchange requires a body even without content
        if body:
            headers += ((b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(body)))
        if self.signer is not None:
            signed = None
            if self._ready is not None and method == "POST" and target == self._create_target:
                signed, until_s = self._ready.take()
                before_write = partial(self._check_age, until_s, before_write)
            headers += (signed or self.signer.sign(method, target.decode())).headers
        connect, receive, _ = self.timeouts
        left = max(0.001, until - self.clock.monotonic())
        request = httpx.Request(
            method,
            url,
            headers=headers,
            stream=httpx.ByteStream(body),
            extensions={
                "timeout": {
                    "connect": min(connect, left),
                    "pool": min(connect, left),
                    "read": min(receive, left),
                    "write": min(receive, left),
                },
                "deadline": until,
                "before_write": before_write,  # checked again, because connecting can take seconds
            },
        )
        try:
            return self._received(request)
        except (ValueError, ArithmeticError, LookupError) as error:  # it was sent, whatever a broken header raises
            raise httpx.RemoteProtocolError(f"unreadable response: {error}") from error

    def _check_age(self, until_s: float, before_write: Callable[[], None] | None) -> None:
        """Take a request back whose ready signature became too old while it connected; it is then signed anew."""
        if self.clock.monotonic() >= until_s:
            raise httpx.ConnectTimeout("the signature became too old before anything was sent")
        if before_write is not None:
            before_write()

    def _received(self, request: httpx.Request) -> _Reply:
        sent_s = self.clock.monotonic()
        response = self._transport.handle_request(request)
        try:
            headers = dict(response.headers.items())  # in lower case; httpx would search its list for each
            body = read_body(response, MAX_REPLY_LENGTH)
            if body.count(b"{") > MAX_OBJECTS or body.count(b",") > MAX_VALUES:
                raise httpx.DecodingError(f"response with more than {MAX_OBJECTS:,} objects or {MAX_VALUES:,} values")
        finally:
            response.close()
        wait = headers.get("retry-after", "")  # the exchange sends none; a gateway may
        notice = "; ".join(f"{name}: {text}" for name in _NOTICES if (text := headers.get(name.lower())))
        wait_s = float(wait) if _DIGITS.fullmatch(wait) else 0.0
        status = response.status_code
        is_kept = self._is_kept(request, headers, sent_s, is_theirs=replies.is_of_exchange(status, body))
        return _Reply(status, body, wait_s, notice, is_kept)

    def _is_kept(self, request: httpx.Request, headers: Mapping[str, str], sent_s: float, *, is_theirs: bool) -> bool:
        """Return whether a cache answered this read, by the age or the date of the response."""
        is_read = request.method == "GET"
        if is_read and _DIGITS.fullmatch(age := headers.get("age", "")) and age.strip("0"):
            return _OF_ACCOUNT.match(request.url.path.removeprefix(self._root)) is not None
        target = request.url.raw_path.decode("ascii", "replace")
        return not self.exchange_clock.take(
            target, headers.get("date", ""), sent_s, is_read=is_read, is_theirs=is_theirs
        )

    def _kept(self, what: str) -> errors.NoAnswerError:
        return errors.NoAnswerError(
            f"{what} was answered with an old response: something on the way to {self._host} replays responses",
            hint="look for a caching proxy on the way; until it is gone, no read can be relied on",
            code=REPLAYED,
        )

    def _note(self, what: str, notice: str) -> None:
        """Report once that a route was or will be switched off."""
        if what not in self.notices and len(self.notices) < _MAX_NOTICES:
            self.notices[what] = safe_text(notice, _MAX_NOTICE_LENGTH)
            self.on_notice(what, self.notices[what])

    def _pause(self, attempt: int, failure: _Failure, until: float) -> bool:
        """Back off; return False if the call's time would end before the next attempt."""
        first = _FIRST_PAUSE_429_S if isinstance(failure.error, errors.RateLimitedError) else _FIRST_PAUSE_S
        pause = max(failure.wait_s, first * 2 ** (attempt - 1) * (0.5 + self.rng.random()))
        if failure.error.code == REPLAYED:  # only after this time does a date prove that a response is new
            pause = max(pause, MOVES_ON_S)
        if self.clock.monotonic() + pause >= until:
            return False
        self.clock.sleep(pause)
        return True

    def _unreachable(
        self, what: str, error: httpx.RequestError, kind: type[errors.UnreachableError]
    ) -> errors.UnreachableError:
        why = str(error) or type(error).__name__
        return kind(
            f"{what}: no usable response from {self._host} ({why[:200]})",
            hint=replies.CHECK_NETWORK,
        )


def _not_known(subject: str, error: KalshiError, hint: str) -> errors.OutcomeUnknownError:
    return errors.OutcomeUnknownError(
        f"{subject}: outcome unknown. {error}",
        hint=hint,
        code=ID_TAKEN if error.code == ID_TAKEN else "",
    )


def _query(params: Params | None) -> str:
    given = {key: value for key, value in (params or {}).items() if value is not None}
    return "?" + urlencode(given, doseq=True) if given else ""


def _checked(rest_url: str) -> httpx.URL:
    try:
        url = httpx.URL(rest_url)
    except httpx.InvalidURL as error:
        raise errors.ConfigError("Invalid REST URL", hint="check KALSHI_REST_URL") from error
    if url.scheme == "https" and url.host:
        return url
    if url.scheme == "http" and is_loopback(url.host):
        return url
    raise errors.ConfigError(
        f"The REST URL must use https (plain http only on this machine), not {url.scheme or 'nothing'}://{url.host}",
        hint="check KALSHI_REST_URL",
    )
