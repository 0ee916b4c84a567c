"""Bodies that grow as they are unpacked, over real sockets, through every reader of HTTP replies."""

from __future__ import annotations

import functools
import gzip
import http.server
import random
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import UnreachableError
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.rest.call import MAX_REPLY_LENGTH, MAX_VALUES
from kalshi_cli.feeds.spot.coinbase import COINBASE
from kalshi_cli.feeds.spot.reader import MAX_ANSWER, SpotReader, VenueSource
from kalshi_cli.feeds.spot.venue import SpotError
from kalshi_cli.net.address_guard import parse_web_address, resolve_here
from kalshi_cli.net.body import read_body
from kalshi_cli.net.deadline_transport import DeadlineTransport
from kalshi_cli.net.guarded_client import PinnedHttpClient

MEGABYTE = 1 << 20
BOUND = 200 * MEGABYTE
"""Of the whole program; what is measured here is what a reply adds."""


class Endless(random.Random):
    """Dice of a client that asks once: its pauses would end after its time."""

    def random(self) -> float:
        return 1e9


@functools.cache
def bomb(size: int, times: int = 1) -> bytes:
    """So many zero bytes, packed so many times."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    body = b"".join(packer.compress(bytes(MEGABYTE)) for _ in range(size // MEGABYTE)) + packer.flush()
    for _ in range(times - 1):
        body = gzip.compress(body)
    return body


@contextmanager
def answering(body: bytes, **headers: str) -> Iterator[str]:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                for one in value.split("|"):
                    self.send_header(name.replace("_", "-"), one)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def within_memory(limit: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit


def fetched(url: str, most: int) -> bytes:
    transport = DeadlineTransport(SystemClock(), is_tls=False)
    response = transport.handle_request(httpx.Request("GET", url, extensions={"timeout": {}}))
    try:
        return read_body(response, most)
    finally:
        response.close()
        transport.close()


HOSTILE: list[tuple[str, Callable[[], bytes]]] = [
    ("gzip, gzip", lambda: bomb(64 * MEGABYTE, 2)),
    ("gzip|gzip", lambda: bomb(64 * MEGABYTE, 2)),
    ("gzip, identity", lambda: bomb(MEGABYTE)),
    ("deflate", lambda: zlib.compress(bytes(MEGABYTE))),
    ("br", lambda: b"x"),
    ("gzip", lambda: b"this is not gzip"),
    ("gzip", lambda: bomb(MEGABYTE)[:-9]),
    ("gzip", lambda: bomb(64 * MEGABYTE)),
    ("", lambda: bytes(2 * MEGABYTE)),
]


@pytest.mark.parametrize(("encoding", "packed"), HOSTILE)
def test_what_is_packed_twice_or_otherwise_or_grows_is_refused(encoding: str, packed: Callable[[], bytes]) -> None:
    with (
        answering(packed(), Content_Encoding=encoding) as url,
        within_memory(16 * MEGABYTE),
        pytest.raises(httpx.DecodingError),
    ):
        fetched(url, MEGABYTE)


@pytest.mark.parametrize("encoding", ["", "identity", "gzip", "GZIP"])
def test_a_body_of_the_largest_size_is_read_whole(encoding: str) -> None:
    body = random.Random(1).randbytes(MEGABYTE)
    sent = gzip.compress(body) if encoding.lower() == "gzip" else body
    with answering(sent, Content_Encoding=encoding) as url:
        assert fetched(url, MEGABYTE) == body
        with pytest.raises(httpx.DecodingError, match="longer than"):
            fetched(url, MEGABYTE - 1)


@pytest.mark.parametrize(("encoding", "times"), [("gzip", 1), ("gzip, gzip", 2)])
def test_a_reply_of_the_exchange_cannot_take_the_memory(encoding: str, times: int) -> None:
    body = bomb(4 * MAX_REPLY_LENGTH, times)
    with answering(body, Content_Encoding=encoding) as url, within_memory(BOUND - 60 * MEGABYTE):
        client = KalshiClient(url + "/trade-api/v2", clock=SystemClock(), rng=Endless())
        with pytest.raises(UnreachableError):
            client.exchange_status()
        client.close()


@pytest.mark.parametrize(("encoding", "times"), [("gzip", 1), ("gzip, gzip", 2)])
def test_a_venue_of_outside_prices_cannot_take_the_memory(encoding: str, times: int) -> None:
    with answering(bomb(64 * MEGABYTE, times), Content_Encoding=encoding) as url, within_memory(16 * MAX_ANSWER):
        source = VenueSource(COINBASE, COINBASE.pair_of("BTC", ""), url.replace("http", "ws"), url)
        reader = SpotReader("BTC", [source], SystemClock(), random.Random(1), lambda _: None)
        with pytest.raises(SpotError):
            reader._read(source)


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "br"])
def test_what_a_sink_or_a_model_answers_is_never_unpacked(encoding: str) -> None:
    with answering(bomb(64 * MEGABYTE), Content_Encoding=encoding) as url, within_memory(16 * MEGABYTE):
        answer = PinnedHttpClient(parse_web_address(url), SystemClock(), resolve_here).read(MEGABYTE)
    assert not answer.is_whole
    assert "unrequested content encoding" in answer.delivery.text


@pytest.mark.parametrize("item", [b"{}", b'{"ticker":"A"}', b"0", b"[]"])
def test_a_reply_of_many_small_values_is_refused_before_it_is_decoded(item: bytes) -> None:
    many = b'{"series":[' + b",".join([item] * (MAX_VALUES + 2)) + b"]}"
    with answering(many) as url, within_memory(BOUND - 60 * MEGABYTE):
        client = KalshiClient(url + "/trade-api/v2", clock=SystemClock(), rng=Endless())
        with pytest.raises(UnreachableError, match="more than"):
            client.exchange_status()
        client.close()
