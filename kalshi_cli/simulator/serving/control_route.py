"""`POST /sim/<command>`: the controls of a served exchange, for programs on this machine with the token."""

from __future__ import annotations

import hmac
from typing import Protocol

import msgspec

from kalshi_cli.base.units import Ts, pluralize
from kalshi_cli.simulator.protocol.replies import Request, Response
from kalshi_cli.simulator.serving import controls

PREFIX = "/sim/"
_LOOPBACK = ("127.0.0.1", "::1")
_STATUS = {"invalid": 400, "unauthorized": 401, "forbidden": 403, "not_found": 404, "conflict": 409}


class Service(Protocol):
    """The server of the route."""

    @property
    def connections(self) -> int:
        """Return the number of open connections, including that of the request."""
        ...

    @property
    def ends_in_s(self) -> float | None:
        """Return the seconds until the server stops by itself, or None if it does not."""
        ...

    def end(self) -> None:
        """Stop the server soon."""
        ...


class ControlRoute:
    """Answers control requests. The token is a file beside the key of the exchange."""

    def __init__(self, controls: controls.Controls, token: str) -> None:
        self._controls = controls
        self._token = token

    def answer(self, request: Request, peer: str, now: Ts, service: Service) -> Response:
        """Perform a command and return the new state; `peer` is the address of the client."""
        try:
            if peer not in _LOOPBACK:
                raise controls.ControlError("forbidden", "Allowed from this machine only")
            given = request.headers.get("authorization", "")
            if not self._token or not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
                raise controls.ControlError("unauthorized", "The token of the exchange's directory is required")
            if request.method != "POST":
                raise controls.ControlError("invalid", "Use POST")
            report = self._perform(request, now, service)
        except controls.ControlError as error:
            body = msgspec.json.encode({"error": {"code": error.code, "message": error.message}})
            return Response(_STATUS[error.code], {"content-type": "application/json"}, body)
        return Response(200, {"content-type": "application/json"}, msgspec.json.encode(report))

    def _perform(self, request: Request, now: Ts, service: Service) -> controls.ControlReport:
        command = controls.read_command(request.path.removeprefix(PREFIX), request.body)
        others = service.connections - 1
        if isinstance(command, controls.StopCommand):
            if others > 0:
                raise controls.ControlError("conflict", f"{pluralize(others, 'other connection')} open")
            service.end()
            command = controls.StatusCommand()
        machine_now = now - self._controls.offset_ms()
        report = self._controls.perform(command, now)
        ends_in_s = service.ends_in_s
        ends = None if ends_in_s is None else Ts(machine_now + int(ends_in_s * 1000))
        return msgspec.structs.replace(report, connections=others, ends=ends)
