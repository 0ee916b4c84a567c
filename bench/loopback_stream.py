"""A WebSocket server for one market: each subscription gets all frames of a file, as fast as they are taken."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import sys
import threading
from pathlib import Path
from typing import BinaryIO

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CLOSE, _PING, _PONG = 8, 9, 10


def _at_yes_prices(line: str) -> str:
    """The frame for a client that asked for NO levels at YES prices."""
    frame = json.loads(line)
    body = frame["msg"]

    def other(price: str) -> str:
        return f"{1 - float(price):.4f}"

    if "no_dollars_fp" in body:
        body["no_dollars_fp"] = [[other(price), size] for price, size in body["no_dollars_fp"]]
    elif body["side"] == "no":
        body["price_dollars"] = other(body["price_dollars"])
    return json.dumps(frame, separators=(",", ":"))


def _framed(text: str, opcode: int = 1) -> bytes:
    body = text.encode()
    size = bytes([len(body)]) if len(body) < 126 else b"\x7e" + len(body).to_bytes(2, "big")
    return bytes([0x80 | opcode]) + size + body


def _read(stream: BinaryIO) -> tuple[int, bytes] | None:
    """The opcode and the body of a client's frame, which is masked."""
    head = stream.read(2)
    if len(head) < 2:
        return None
    size = head[1] & 0x7F
    if size == 126:
        size = int.from_bytes(stream.read(2), "big")
    mask, body = stream.read(4), stream.read(size)
    return head[0] & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(body))


def _talk(connection: socket.socket, lines: list[str], converted: list[str]) -> None:
    with connection, connection.makefile("rb") as stream:
        key = ""
        while line := stream.readline().strip().decode():
            name, _, value = line.partition(":")
            if name.lower() == "sec-websocket-key":
                key = value.strip()
        accept = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
        )
        while (frame := _read(stream)) is not None and frame[0] != _CLOSE:
            opcode, body = frame
            if opcode == _PING:
                connection.sendall(_framed(body.decode(), _PONG))
            if opcode != 1:
                continue
            command = json.loads(body)
            if command.get("cmd") != "subscribe":
                continue
            subscribed = {"id": command["id"], "type": "subscribed", "msg": {"channel": "orderbook_delta", "sid": 2}}
            chosen = converted if command["params"].get("use_yes_price") else lines
            connection.sendall(_framed(json.dumps(subscribed)) + b"".join(map(_framed, chosen)))


def main() -> None:
    """Listen, say where, and serve until the input ends."""
    lines = Path(sys.argv[1]).read_text().splitlines()
    converted = list(map(_at_yes_prices, lines))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"ws://127.0.0.1:{listener.getsockname()[1]}/trade-api/ws/v2", flush=True)

        def accept() -> None:
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=_talk, args=(connection, lines, converted), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        sys.stdin.read()


if __name__ == "__main__":
    main()
