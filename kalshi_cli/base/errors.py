"""Every error a user can meet, and the exit code it ends with.

    KalshiError                    1  failed, none of the below
    ├── UsageError                 2  a flag or an argument
    │   └── ConfigError            2  the configuration file, or a variable
    │       ├── HostError          2  ... names a host that is not the environment's
    │       └── UntrustedError     2  ... or the state directory can have been written by others
    ├── RefusedError               3  refused here; nothing was sent
    ├── ExchangeError              4  the exchange answered no
    │   ├── NotFoundError          4  ... because it does not know the thing (404)
    │   ├── CredentialsError       5  ... because of the key, its scope, or the clock
    │   └── RateLimitedError       6  ... for pace (429); it was not processed
    ├── UnreachableError           6  no usable answer; nothing outstanding
    ├── OutcomeUnknownError        7  a write may or may not have happened
    ├── StateError                 8  the local state file
    ├── HaltedError                9  trading is halted until a person resumes it
    └── InstanceError             10  another instance holds this account

Each carries a message (what happened), a hint (what to do next) and a stable code for scripts. Exit codes are a
contract: scripts and service managers branch on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum

from kalshi_cli.base.text import one_line, redact


class ExitCode(IntEnum):
    """What the process ends with; `check` and `health-check` use the plug-in codes 0-3 instead."""

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
    """Base of everything raised on purpose. `str(error)` is the message alone, without secrets, whoever worded it.

    A message is one line, whatever text from outside it quotes; `more` are further lines, each of them one.
    """

    exit_code = ExitCode.FAILED
    default_code = "failed"

    def __init__(self, message: str, *, hint: str = "", code: str = "", more: Sequence[str] = ()) -> None:
        self.message = "\n  ".join(one_line(redact(line)) for line in (message, *more))
        self.hint = one_line(redact(hint))
        super().__init__(self.message)
        self.code = code or self.default_code


class UsageError(KalshiError):
    exit_code = ExitCode.USAGE
    default_code = "usage"


class ConfigError(UsageError):
    default_code = "config"


class HostError(ConfigError):
    """An address whose host is neither the environment's, nor this machine, nor one that was allowed."""

    default_code = "unknown_host"


class UntrustedError(ConfigError):
    """A file or a folder that others can have written. It is not obeyed."""

    default_code = "untrusted"


class RefusedError(KalshiError):
    """Refused on this side of the wire: a risk limit, a halt, read-only, not confirmed. Nothing was sent."""

    exit_code = ExitCode.REFUSED
    default_code = "refused"


class ExchangeError(KalshiError):
    """The exchange answered, and the answer was no.

    `code` is the exchange's own, in lower case (`invalid_price`, `insufficient_balance`); `status` the HTTP status;
    `details` the exchange's text.
    """

    exit_code = ExitCode.REJECTED
    default_code = "rejected"

    def __init__(self, message: str, *, hint: str = "", code: str = "", status: int = 0, details: str = "") -> None:
        super().__init__(message, hint=hint, code=code)
        self.status = status
        self.details = one_line(redact(details))


class NotFoundError(ExchangeError):
    default_code = "not_found"


class CredentialsError(ExchangeError):
    exit_code = ExitCode.CREDENTIALS
    default_code = "credentials"


class RateLimitedError(ExchangeError):
    exit_code = ExitCode.UNREACHABLE
    default_code = "rate_limited"


class UnreachableError(KalshiError):
    """No usable answer, and nothing outstanding: a read failed, or a write provably never left."""

    exit_code = ExitCode.UNREACHABLE
    default_code = "unreachable"


class NoAnswerError(UnreachableError):
    """The exchange was reached, and its answer is no use: none in time, one cut short, a 5xx, an unreadable one."""


class OutcomeUnknownError(KalshiError):
    """A write may or may not have happened. Never retried; only a fresh read of the exchange ends it."""

    exit_code = ExitCode.UNKNOWN_OUTCOME
    default_code = "outcome_unknown"


class StateFileError(KalshiError):
    exit_code = ExitCode.STATE
    default_code = "state"


class HaltedError(KalshiError):
    exit_code = ExitCode.HALTED
    default_code = "halted"


class TerminationRequested(KeyboardInterrupt):
    """SIGTERM or SIGHUP where nothing has to be put in order: the process ends, by way of every `finally`."""


class AnotherInstanceError(KalshiError):
    exit_code = ExitCode.INSTANCE
    default_code = "another_instance"


Distrust = Callable[[KalshiError], None]
"""The answer to a file that others can have written: `refuse`, or warn and go on, as the kill switch does."""


def refuse(error: KalshiError) -> None:
    """Raise the error."""
    raise error
