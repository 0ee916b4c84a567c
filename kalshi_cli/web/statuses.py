"""The HTTP statuses of the JSON API: which errors have one, what it means, and which operations can answer it."""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple

from kalshi_cli.base import errors as kinds
from kalshi_cli.base.errors import ExitCode, KalshiError
from kalshi_cli.web.executions import UnknownPlanError
from kalshi_cli.web.writes import NotAllowedError


class Status(NamedTuple):
    """The meaning of an HTTP status, the errors that have it, and the exit code where the request was not begun."""

    words: str
    errors: tuple[type[KalshiError], ...] = ()
    unbegun: ExitCode = ExitCode.USAGE


HTTP_STATUSES: dict[int, Status] = {
    HTTPStatus.BAD_REQUEST: Status("The request is wrong: a field, a parameter or the body", (kinds.UsageError,)),
    HTTPStatus.UNAUTHORIZED: Status("The token is unknown, or there is no session", unbegun=ExitCode.CREDENTIALS),
    HTTPStatus.FORBIDDEN: Status(
        "The server was started without the option for this action, or the page of another site sent it",
        (NotAllowedError,),
        ExitCode.CREDENTIALS,
    ),
    HTTPStatus.NOT_FOUND: Status("No such market, order, watchlist or other thing", (kinds.NotFoundError,)),
    HTTPStatus.METHOD_NOT_ALLOWED: Status("The address takes another method, which the reply names"),
    HTTPStatus.CONFLICT: Status(
        "Refused by a risk limit, a halt or the state of an order, or the plan is unknown or has changed",
        (kinds.HaltedError, kinds.RefusedError, UnknownPlanError),
    ),
    HTTPStatus.MISDIRECTED_REQUEST: Status("The server does not have this host name"),
    HTTPStatus.UNPROCESSABLE_ENTITY: Status("The exchange rejected the request", (kinds.ExchangeError,)),
    HTTPStatus.TOO_MANY_REQUESTS: Status("Too many requests; this one was not begun", unbegun=ExitCode.UNREACHABLE),
    HTTPStatus.INTERNAL_SERVER_ERROR: Status("Any other failure, such as one of the state file", (KalshiError,)),
    HTTPStatus.BAD_GATEWAY: Status(
        "The exchange refused the key (exit code 5), or an order may be live (7)",
        (kinds.CredentialsError, kinds.OutcomeUnknownError),
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: Status(
        "The server or the exchange is busy, or the exchange cannot be reached; nothing is outstanding",
        (kinds.RateLimitedError, kinds.UnreachableError),
        ExitCode.UNREACHABLE,
    ),
}

OF_ALL = frozenset({401, 421, 429, 500, 503})
OF_READS = OF_ALL | {400, 404, 422, 502}
OF_WRITES = OF_READS | {403, 409}

_STATUS_OF = {kind: status for status, each in HTTP_STATUSES.items() for kind in each.errors}


def status_of(error: KalshiError) -> int:
    """Return the HTTP status of an error."""
    if error.code.startswith("already_"):  # canceled or executed: the order is known, and has ended
        return HTTPStatus.CONFLICT
    return next(_STATUS_OF[kind] for kind in type(error).__mro__ if kind in _STATUS_OF)
