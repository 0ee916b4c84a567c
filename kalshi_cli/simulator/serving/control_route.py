"""`POST /sim/<command>`: the controls of a served exchange, for whoever is on this machine and has the token."""

from __future__ import annotations

import hmac
from typing import Protocol

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.protocol.replies import Request, Response
from kalshi_cli.simulator.serving import controls

PREFIX = "/sim/"
_LOOPBACK = ("127.0.0.1", "::1")
_STATUS = {"invalid": 400, "unauthorized": 401, "forbidden": 403, "not_found": 404, "conflict": 409}


class Service(Protocol):
    """The server that the route is part of."""

    @property
    def connections(self) -> int:
        """The number of open connections, that of the request among them."""
        ...

    @property
    def ends_in_s(self) -> float | None:
        """The time at which it ends by itself; None where it does not."""
        ...

    def end(self) -> None:
        """End soon."""
        ...


class ControlRoute:
    """The token is the file beside the exchange's key: who may read that one may do this."""

    def __init__(self, controls: controls.Controls, token: str) -> None:
        self._controls = controls
        self._token = token

    def answer(self, request: Request, peer: str, now: Ts, service: Service) -> Response:
        """Do what is asked for and say how the exchange stands then; `peer` is where the request comes from."""
        try:
            if peer not in _LOOPBACK:
                raise controls.ControlError("forbidden", "only from this machine")
            given = request.headers.get("authorization", "")
            if not self._token or not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
                raise controls.ControlError("unauthorized", "this needs the token in the exchange's folder")
            if request.method != "POST":
                raise controls.ControlError("invalid", "a command is a POST")
            report = self._perform(request, now, service)
        except controls.ControlError as error:
            body = msgspec.json.encode({"error": {"code": error.code, "message": error.message}})
            return Response(_STATUS[error.code], {"content-type": "application/json"}, body)
        return Response(200, {"content-type": "application/json"}, msgspec.json.encode(report))

    def _perform(self, request: Request, now: Ts, service: Service) -> controls.ControlReport:
        command, others = (
            controls.read_command(request.path.removeprefix(PREFIX), request.body),
            service.connections - 1,
        )
        if isinstance(command, controls.StopCommand):
            if others > 0:
                raise controls.ControlError("conflict", f"{others} other connections are open")
            service.end()
            command = controls.StatusCommand()
        report = self._controls.perform(command, now)
        ends_in_s = service.ends_in_s
        ends = None if ends_in_s is None else Ts(now - report.offset_ms + int(ends_in_s * 1000))
        return msgspec.structs.replace(report, connections=others, ends=ends)
