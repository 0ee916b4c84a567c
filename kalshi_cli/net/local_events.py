"""Events on a Unix socket, for other programs of the same user: one publisher, a few readers.

An event is one line of JSON: an object with the parts that changed. The publisher keeps only the latest value of each
part. A reader that is slow gets fewer events, each with the latest values, so that neither it nor a hung reader makes
the publisher wait or use more memory.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.struct_types import prepared

MAX_READERS = 16
MAX_REQUEST = 4096
"""Bytes of a reader's request."""

MAX_TOPICS = 20
"""Topics that one reader may ask for."""

MAX_EVENT = 16 * 1024 * 1024
"""Bytes of one event; a reader refuses a longer one."""

_CHUNK = 65_536


class EventRequest(msgspec.Struct, frozen=True):
    """The first line of a reader: the topics that it needs beside the usual parts."""

    topics: tuple[str, ...] = ()


class _Reader:
    """A connected reader: the version of each part that it has, and the bytes that it has not taken yet."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.request = b""
        self.topics: tuple[str, ...] | None = None
        self.versions: dict[str, int] = {}
        self.outgoing = memoryview(b"")
        self.dropped = 0


class EventPublisher:
    """Publishes the latest values of named parts on a Unix socket that only its owner may open.

    `publish` never waits for a reader. Raises OSError if the socket cannot be made. Only one publisher may use a path:
    the caller holds a lock, and a socket left by a killed program is replaced.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            path.unlink(missing_ok=True)
            self._listener.bind(os.fspath(path))
            path.chmod(0o600)  # before `listen`, so that no other user can connect in between
            self._listener.listen(MAX_READERS)
        except OSError:
            self._listener.close()
            raise
        self._listener.setblocking(False)
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._lock = threading.Lock()
        self._parts: dict[str, tuple[int, bytes]] = {}
        self._readers: dict[socket.socket, _Reader] = {}
        self._topics: frozenset[str] = frozenset()
        self._is_open = True
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="events", daemon=True)
        self._thread.start()

    @property
    def has_readers(self) -> bool:
        """Return whether there is a reader; if not, there is no need to publish."""
        return bool(self._readers)

    @property
    def topics(self) -> frozenset[str]:
        """Return the topics that readers asked for."""
        return self._topics

    def publish(self, parts: Mapping[str, bytes]) -> None:
        """Replace these parts, each a JSON value, and pass those that differ to the readers."""
        with self._lock:
            for name, value in parts.items():
                version, before = self._parts.get(name, (0, b""))
                if value != before:
                    self._parts[name] = (version + 1, value)
        self._interrupt()

    def close(self) -> None:
        """Disconnect the readers and remove the socket."""
        self._is_open = False
        self._interrupt()
        self._thread.join()
        for each in (self._listener, self._wake, self._woken, *self._readers):
            each.close()
        self._selector.close()
        self._path.unlink(missing_ok=True)

    def _interrupt(self) -> None:
        with suppress(BlockingIOError):  # full: it is awake
            self._wake.send(b"!")

    def _serve(self) -> None:
        while self._is_open:
            for key, ready in self._selector.select():
                source = key.fileobj
                if source is self._listener:
                    self._accept()
                elif source is self._woken:
                    self._woken.recv(_CHUNK)
                else:
                    self._talk(self._readers[source], ready)  # type: ignore[index]  # a socket of a reader
            for reader in list(self._readers.values()):
                self._send(reader)

    def _accept(self) -> None:
        with suppress(OSError):
            connection, _ = self._listener.accept()
            if len(self._readers) == MAX_READERS:
                connection.close()
                return
            connection.setblocking(False)
            self._readers[connection] = _Reader(connection)
            self._selector.register(connection, selectors.EVENT_READ)

    def _talk(self, reader: _Reader, ready: int) -> None:
        if not ready & selectors.EVENT_READ:
            return
        try:
            chunk = reader.connection.recv(MAX_REQUEST)
        except OSError:
            chunk = b""
        reader.request += chunk
        if not chunk or len(reader.request) > MAX_REQUEST:
            self._leave(reader)
            return
        if reader.topics is None and b"\n" in reader.request:
            try:
                asked = msgspec.json.decode(reader.request.partition(b"\n")[0], type=prepared(EventRequest))
            except msgspec.MsgspecError:
                self._leave(reader)
                return
            reader.topics = asked.topics[:MAX_TOPICS]
            self._count_topics()

    def _count_topics(self) -> None:
        self._topics = frozenset(topic for each in self._readers.values() for topic in each.topics or ())

    def _send(self, reader: _Reader) -> None:
        """Send what the reader takes at once; compose the next event only after the last one has left."""
        try:
            while reader.topics is not None and (reader.outgoing or self._compose(reader)):
                reader.outgoing = reader.outgoing[reader.connection.send(reader.outgoing) :]
        except BlockingIOError:
            self._selector.modify(reader.connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
        except OSError:
            self._leave(reader)
        else:
            self._selector.modify(reader.connection, selectors.EVENT_READ)

    def _compose(self, reader: _Reader) -> bool:
        """Write the parts that the reader does not have; return False if it has all."""
        with self._lock:
            new = {name: part for name, part in self._parts.items() if reader.versions.get(name, 0) < part[0]}
        if not new:
            return False
        for name, (version, _) in new.items():
            before = reader.versions.get(name, 0)
            reader.dropped += version - before - 1 if before else 0
            reader.versions[name] = version
        parts = (*((name, value) for name, (_, value) in new.items()), ("dropped", b"%d" % reader.dropped))
        reader.outgoing = memoryview(
            b"{%b}\n" % b",".join(b'"%b":%b' % (name.encode(), value) for name, value in parts)
        )
        return True

    def _leave(self, reader: _Reader) -> None:
        self._selector.unregister(reader.connection)
        del self._readers[reader.connection]
        reader.connection.close()
        self._count_topics()


class NoPublisherError(KalshiError):
    """Nothing publishes on this socket, or it has stopped."""


def read_events(path: Path, topics: tuple[str, ...], silence_s: Callable[[], float]) -> Iterator[bytes | None]:
    """Yield each event as JSON, and None after each `silence_s` without one.

    Raises NoPublisherError where nothing publishes, and when the publisher ends.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(os.fspath(path))
            connection.sendall(msgspec.json.encode(EventRequest(topics[:MAX_TOPICS])) + b"\n")
        except OSError as error:
            raise NoPublisherError(f"No loop publishes events at {path}: {error.strerror}") from error
        kept = bytearray()
        while True:
            connection.settimeout(silence_s())
            try:
                chunk = connection.recv(_CHUNK)
            except TimeoutError:
                yield None
                continue
            except OSError as error:
                raise NoPublisherError(f"The loop stopped publishing events: {error.strerror}") from error
            if not chunk or len(kept) > MAX_EVENT:
                raise NoPublisherError("The loop stopped publishing events")
            kept += chunk
            if b"\n" in chunk:
                *lines, rest = kept.split(b"\n")
                kept = rest
                yield from map(bytes, lines)
