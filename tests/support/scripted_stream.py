"""A WebSocket server on loopback that answers subscriptions as the exchange does, and does what a test tells it to."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)


def wait_until(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Poll, because sockets take their time; a test that has to wait in vain fails here."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


class ScriptedWs:
    """One client at a time. `levels` are the books that it gives out: ticker -> (yes levels, no levels), as text."""

    def __init__(self, *tickers: str, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.levels: dict[str, tuple[list[list[str]], list[list[str]]]] = {
            ticker: ([["0.4700", "3.00"]], [["0.5200", "2.00"]]) for ticker in tickers
        }
        self.refusals: list[int] = []
        self.date = ""
        self.ignored: set[str] = set()  # commands and actions that get no answer
        self.refused_channels: dict[str, int] = {}
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.commands: list[dict[str, Any]] = []
        self.pongs: list[bytes] = []
        self.connections = 0
        self.sids: dict[str, int] = {}
        self.seqs: dict[int, int] = {}
        self._lock = threading.RLock()
        self._peer: socket.socket | None = None
        self._protocol: WSConnection | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'wss' if tls else 'ws'}://127.0.0.1:{self._listener.getsockname()[1]}/trade-api/ws/v2"
        self._is_closed = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> ScriptedWs:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closed = True
        self.cut()
        with contextlib.suppress(OSError):  # wakes accept
            socket.create_connection(self._listener.getsockname(), timeout=1).close()
        self._thread.join(30)
        self._listener.close()

    # -- what a test does -----------------------------------------------------------------------------------------

    def send(self, frame: dict[str, Any] | bytes | str) -> None:
        """A text frame, as it is."""
        text = json.dumps(frame) if isinstance(frame, dict) else frame
        self._emit(TextMessage(text) if isinstance(text, str) else BytesMessage(text))

    def send_raw(self, data: bytes) -> None:
        """Bytes on the socket, whatever they are."""
        with self._lock:
            assert self._peer is not None
            self._peer.sendall(data)

    def sequenced(self, channel: str, kind: str, body: Any, skip: int = 0, command: int | None = None) -> None:
        """A frame with the next number of its channel (`skip` numbers are lost on the way)."""
        with self._lock:
            sid = self.sids[channel]
            self.seqs[sid] = self.seqs.get(sid, 0) + 1 + skip
            frame = {"type": kind, "sid": sid, "seq": self.seqs[sid], "msg": body}
            self.send(frame if command is None else {**frame, "id": command})

    def delta(self, ticker: str, price: str, delta: str, *, side: str = "yes", ts: int = 0, skip: int = 0) -> None:
        """`ts` in milliseconds; 0 is now."""
        at = ts or time.time_ns() // 1_000_000
        body = {"market_ticker": ticker, "price_dollars": price, "delta_fp": delta, "side": side, "ts_ms": at}
        self.sequenced("orderbook_delta", "orderbook_delta", body, skip)

    def snapshot(self, ticker: str, command: int | None = None) -> None:
        yes, no = self.levels.get(ticker, ([], []))
        body = {"market_ticker": ticker}
        body |= {key: levels for key, levels in (("yes_dollars_fp", yes), ("no_dollars_fp", no)) if levels}  # type: ignore[misc]
        self.sequenced("orderbook_delta", "orderbook_snapshot", body, command=command)

    def ping(self) -> None:
        self._emit(Ping(b"heartbeat"))

    def close(self, code: int = 1001) -> None:
        self._emit(CloseConnection(code))

    def cut(self) -> None:
        """No close frame, no goodbye."""
        with self._lock, contextlib.suppress(OSError):
            if self._peer is not None:
                self._peer.shutdown(socket.SHUT_RDWR)

    def actions(self, action: str) -> list[dict[str, Any]]:
        """The update_subscription commands of one kind, so far."""
        return [c["params"] for c in list(self.commands) if c["params"].get("action") == action]

    def subscribed(self, channel: str) -> list[dict[str, Any]]:
        return [c["params"] for c in list(self.commands) if c["params"].get("channels") == [channel]]

    # -- what it does by itself -----------------------------------------------------------------------------------

    def _emit(self, event: Any) -> None:
        with self._lock:
            assert self._peer is not None
            assert self._protocol is not None
            self._peer.sendall(self._protocol.send(event))

    def _serve(self) -> None:
        while not self._is_closed:
            peer, _ = self._listener.accept()
            with peer:
                if not self._is_closed:
                    self._welcome(peer)
            self._peer = None

    def _welcome(self, peer: socket.socket) -> None:
        if self._tls is None:
            self._talk(peer)
            return
        with contextlib.suppress(OSError), self._tls.wrap_socket(peer, server_side=True) as secured:
            self._talk(secured)

    def _talk(self, peer: socket.socket) -> None:
        with self._lock:
            self._peer, self._protocol = peer, WSConnection(ConnectionType.SERVER)
            self.sids, self.seqs = {}, {}
        while True:
            try:
                chunk = peer.recv(65536)
                self._protocol.receive_data(chunk or None)
                for event in self._protocol.events():
                    self._on_event(event)
            except OSError:
                return
            if not chunk:
                return

    def _on_event(self, event: Any) -> None:
        if isinstance(event, Request):
            self.paths.append(event.target)
            self.headers.append({key.decode().lower(): value.decode() for key, value in event.extra_headers})
            if self.refusals:
                body = b'{"error":{"code":"authentication_error"}}'
                head = [(b"content-length", str(len(body)).encode()), (b"date", self.date.encode())]
                self._emit(RejectConnection(status_code=self.refusals.pop(0), headers=head, has_body=True))
                self._emit(RejectData(data=body))
                self.cut()
                return
            self._emit(AcceptConnection())
            self.connections += 1
        elif isinstance(event, TextMessage):
            command = json.loads(event.data)
            self.commands.append(command)
            with self._lock:
                self._answer(command)
        elif isinstance(event, Pong):
            self.pongs.append(bytes(event.payload))

    def _answer(self, command: dict[str, Any]) -> None:
        params = command["params"]
        if command["cmd"] in self.ignored or params.get("action") in self.ignored:
            return
        if command["cmd"] == "subscribe":
            for channel in params["channels"]:
                self._subscribe(command["id"], channel, params.get("market_tickers", []))
        elif params["action"] == "get_snapshot":
            for ticker in params["market_tickers"]:
                self.snapshot(ticker, command["id"])
        else:
            channel = next(name for name, sid in self.sids.items() if sid == params["sids"][0])
            self.sequenced(channel, "ok", {"market_tickers": params["market_tickers"]}, command=command["id"])
            if channel == "orderbook_delta" and params["action"] == "add_markets":
                for ticker in params["market_tickers"]:
                    self.snapshot(ticker)

    def _subscribe(self, command: int, channel: str, tickers: list[str]) -> None:
        if channel in self.refused_channels:
            code = self.refused_channels[channel]
            self.send({"type": "error", "id": command, "msg": {"code": code, "msg": "refused"}})
            return
        self.sids[channel] = len(self.sids) + 1 if channel not in self.sids else max(self.sids.values()) + 1
        self.send({"type": "subscribed", "id": command, "msg": {"channel": channel, "sid": self.sids[channel]}})
        if channel == "orderbook_delta":
            for ticker in tickers:
                self.snapshot(ticker)
