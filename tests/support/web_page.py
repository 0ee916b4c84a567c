"""A running `kalshi serve`, and a visitor who opened its link."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from kalshi_cli.web.openapi import openapi
from support.served import NO_TLS, Served, eventually, finish, said, served, start


def check_described(reply: httpx.Response) -> None:
    """Check that the description of an operation lists the status of a reply to it."""
    for path, operations in openapi()["paths"].items():
        operation = operations.get(reply.request.method.lower())
        if operation and re.fullmatch("/api/v1" + re.sub(r"{\w+}", "[^/]+", path), reply.request.url.path):
            assert str(reply.status_code) in operation["responses"], (path, reply.status_code)


class Page:
    """The server as a process, and a client with its session."""

    def __init__(self, exchange: Served, *options: str | Path, first: str = "") -> None:
        self.output = exchange.home / "serve.out"
        with self.output.open("w") as stdout:
            words = ["serve", "--port", "0", *options]
            self.process = start(words, exchange.variables(), exchange.home, stdout=stdout, first=first)
        eventually(lambda: "Open http" in self.output.read_text() or self.process.poll() is not None)
        assert self.process.poll() is None, said(self.process)
        link = self.link()
        self.address = link.partition("/login")[0]
        self.visitor = httpx.Client(base_url=self.address, headers={"origin": self.address}, timeout=30, verify=NO_TLS)
        self.visitor.event_hooks["response"].append(check_described)
        assert self.visitor.get(link).status_code == 303

    def link(self) -> str:
        return re.findall(r"http\S+", self.output.read_text())[-1]

    def get(self, path: str) -> httpx.Response:
        return self.visitor.get(f"/api/v1/{path}")

    def post(self, path: str, body: object) -> httpx.Response:
        return self.visitor.post(f"/api/v1/{path}", json=body)

    def do(self, **request: object) -> httpx.Response:
        """Plan and execute."""
        planned = self.post("plans", request)
        assert planned.status_code == 200, planned.text
        return self.post(f"plans/{planned.json()['plan_id']}/execute", {"digest": planned.json()["digest"]})

    def close(self) -> None:
        self.visitor.close()
        self.process.send_signal(signal.SIGINT)
        finish(self.process)


@contextmanager
def common_page(home: Path, *options: str, first: str = "") -> Iterator[Page]:
    """A page and an exchange for many tests that change neither; it has no limit of pace."""
    with served(home) as exchange:
        exchange.trade_a_little()
        made = Page(exchange, *options, first=f"from kalshi_cli.web import access; access.BURST = 1e9\n{first}")
        try:
            yield made
        finally:
            made.close()
