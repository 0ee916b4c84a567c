"""Errors that a user can see, each with its exit code.

    KalshiError                    1  failed, none of the below
    ├── UsageError                 2  a wrong option or argument
    │   └── ConfigError            2  the configuration file, or a variable
    │       ├── HostError          2  ... names a host that does not belong to the environment
    │       └── UntrustedError     2  ... or the state directory may have been changed by another user
    ├── RefusedError               3  refused by kalshi; nothing was sent
    │   └── ReadOnlyError          3  ... because KALSHI_READ_ONLY is set
    ├── ExchangeError              4  rejected by the exchange
    │   ├── NotFoundError          4  ... because the object does not exist (404)
    │   ├── CredentialsError       5  ... because of the key, its scope, or the clock
    │   └── RateLimitedError       6  ... because of the rate limit (429); the request was not processed
    ├── UnreachableError           6  no usable response; nothing is outstanding
    ├── OutcomeUnknownError        7  a write may or may not have happened
    ├── StateFileError             8  the local state file
    ├── HaltedError                9  trading is halted until the user resumes it
    └── AnotherInstanceError      10  another instance uses this account

Each error has a message (what happened), a hint (what to do next) and a stable code for scripts. Exit codes are a
contract: scripts and service managers depend on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum

from kalshi_cli.base.text import one_line, redact


class ExitCode(IntEnum):
    """Exit codes of the process; `check` and `health-check` use the monitoring plug-in codes 0-3 instead."""

    OK = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    REJECTED = 4
    CREDENTIALS = 5
    UNREACHABLE = 6
    UNKNOWN_OUTCOME = 7
    STATE = 8
    HALTED = 9
    INSTANCE = 10
    BUG = 70
    INTERRUPTED = 130
    TERMINATED = 143


class KalshiError(Exception):
    """Base of every error that kalshi raises on purpose.

    `str(error)` is the message alone, with secrets hidden. A message is one line, whatever outside text it quotes;
    `more` holds further lines, each of them one line.
    """

    exit_code = ExitCode.FAILED
    default_code = "failed"
    runbook = ""
    """The runbook of this error, where neither its class nor its code shows it."""
    order_id = ""
    """The exchange's id of the order that the error is about, for scripts."""

    def __init__(self, message: str, *, hint: str = "", code: str = "", more: Sequence[str] = ()) -> None:
        self.more = tuple(one_line(redact(line)) for line in more)
        self.message = "\n  ".join((one_line(redact(message)), *self.more))
        self.hint = one_line(redact(hint))
        super().__init__(self.message)
        self.code = code or self.default_code
        if self.hint:
            self.add_note(f"hint: {self.hint}")  # a traceback in a notebook shows it

    def reword(self, change: Callable[[str], str]) -> None:
        """Change the words of the message and of the hint."""
        self.message, self.hint = change(self.message), change(self.hint)
        self.args = (self.message,)
        if self.hint:
            self.__notes__ = [f"hint: {self.hint}"]


class UsageError(KalshiError):
    """A wrong option or argument."""

    exit_code = ExitCode.USAGE
    default_code = "usage"


class ConfigError(UsageError):
    """An invalid configuration file or variable."""

    default_code = "config"


class HostError(ConfigError):
    """An address whose host belongs to neither the environment nor this machine, and was not allowed."""

    default_code = "unknown_host"


class UntrustedError(ConfigError):
    """A file or a folder that another user may have changed; kalshi does not use it."""

    default_code = "untrusted"


class RefusedError(KalshiError):
    """A request that kalshi refused: a risk limit, a halt, read-only mode, or no confirmation. Nothing was sent."""

    exit_code = ExitCode.REFUSED
    default_code = "refused"


class ReadOnlyError(RefusedError):
    """KALSHI_READ_ONLY blocks all writes."""

    default_code = "READ_ONLY"

    def __init__(
        self,
        message: str = "KALSHI_READ_ONLY blocks all writes; nothing was sent",
        *,
        hint: str = "unset KALSHI_READ_ONLY to allow writes",
        code: str = "",
    ) -> None:
        super().__init__(message, hint=hint, code=code)


class ExchangeError(KalshiError):
    """A request that the exchange rejected.

    `code` is the exchange's code in lower case (`invalid_price`, `insufficient_balance`), `status` the HTTP status, and
    `details` the exchange's text.
    """

    exit_code = ExitCode.REJECTED
    default_code = "rejected"

    def __init__(self, message: str, *, hint: str = "", code: str = "", status: int = 0, details: str = "") -> None:
        super().__init__(message, hint=hint, code=code)
        self.status = status
        self.details = one_line(redact(details))


class NotFoundError(ExchangeError):
    """The exchange does not know the object (404), or the local files have no such watchlist or price alert."""

    default_code = "not_found"


class CredentialsError(ExchangeError):
    """The exchange rejected the key, its scope, or the time of the signature."""

    exit_code = ExitCode.CREDENTIALS
    default_code = "credentials"

    @property
    def is_clock(self) -> bool:
        """Return whether the clock of this machine is the cause, and the key may be right."""
        return self.code in ("CLOCK", "header_timestamp_expired")


class RateLimitedError(ExchangeError):
    """The rate limit is exhausted; the request was not processed."""

    exit_code = ExitCode.UNREACHABLE
    default_code = "rate_limited"


class UnreachableError(KalshiError):
    """No usable response, and nothing outstanding: a read failed, or a write provably never left."""

    exit_code = ExitCode.UNREACHABLE
    default_code = "unreachable"


class NoAnswerError(UnreachableError):
    """The exchange was reached without a usable response: none in time, one cut short, a 5xx, or an unreadable one."""


class OutcomeUnknownError(KalshiError):
    """A write that may or may not have happened. It is never retried; only a fresh read of the exchange resolves it."""

    exit_code = ExitCode.UNKNOWN_OUTCOME
    default_code = "outcome_unknown"


class StateFileError(KalshiError):
    """The local state file cannot be used."""

    exit_code = ExitCode.STATE
    default_code = "state"


class HaltedError(KalshiError):
    """Trading is halted."""

    exit_code = ExitCode.HALTED
    default_code = "halted"


class TerminationRequested(KeyboardInterrupt):
    """SIGTERM or SIGHUP with nothing to clean up: the process ends through every `finally`."""


class AnotherInstanceError(KalshiError):
    """This account is used by another instance."""

    exit_code = ExitCode.INSTANCE
    default_code = "another_instance"


def named(error: BaseException) -> str:
    """Return the type and the text of an error, without characters that cannot be encoded.

    An error whose own code fails to give a text has none.
    """
    try:
        text = str(error).encode("utf-8", "backslashreplace").decode()
    except KeyboardInterrupt:
        raise
    except BaseException:
        text = "it has no readable text"
    return f"{type(error).__name__}: {text}"


def cut_off(error: BaseException) -> OutcomeUnknownError | None:
    """Return the unknown outcome behind an interrupt: it cut off a write, or the report of an earlier one."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, OutcomeUnknownError):
            return chain
        if isinstance(chain.__cause__, OutcomeUnknownError):
            return chain.__cause__
        chain = None if chain.__suppress_context__ else chain.__context__
    return None


Distrust = Callable[[KalshiError], None]
"""Decides about a file that another user may have changed: `refuse`, or warn and continue, as the kill switch does."""


def refuse(error: KalshiError) -> None:
    """Raise the error."""
    raise error
