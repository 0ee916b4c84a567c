"""`kalshi serve`: a web page and a JSON API of the account."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import KalshiError, UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.cli.options import account_opener, flags_of, load_config, require_extra
from kalshi_cli.cli.parameters import CommandGroup, flag, option
from kalshi_cli.cli.screen.output import Format, flush_out, info, write_out

if TYPE_CHECKING:
    from kalshi_cli.web.server import WebOptions

app = CommandGroup("Serve a web page and a JSON API of the account.")

LOOPBACK = ("127.0.0.1", "::1", "localhost")
MIN_TOKEN, MAX_TOKENS = 32, 16
"""Characters of a token, and tokens of a file."""

TOKEN_FILE_BYTES = 8_192


@app.command("serve")
def serve(
    ctx: typer.Context,
    port: Annotated[int, option("--port", "N", "Port; 0 takes a free one.", min=0, max=65_535)] = 8_765,
    host: Annotated[str, option("--host", "ADDRESS", "Address; another than this machine needs TLS.")] = "127.0.0.1",
    allow_stop: Annotated[bool, flag("--allow-stop", "Allow pause, cancel and the kill switch.")] = False,
    allow_writes: Annotated[bool, flag("--allow-writes", "Allow every write, orders included.")] = False,
    tls_cert: Annotated[Path | None, option("--tls-cert", "FILE", "Certificate chain in PEM.")] = None,
    tls_key: Annotated[Path | None, option("--tls-key", "FILE", "Private key of the certificate in PEM.")] = None,
    token_file: Annotated[
        Path | None, option("--token-file", "FILE", "Tokens for programs, one a line, at least 32 characters each.")
    ] = None,
) -> None:
    """Serve a web page and a JSON API of the account.

    Show the running loop, or the account where none runs. The page opens with the link printed at the start, which
    works once, for 10 minutes; a new one follows each login, and each attempt with a link that is too old. With
    `--json`, each is an object on one line. Read-only unless --allow-stop or --allow-writes. Every write shows its plan
    and asks. The API is under /api/v1; its description is /api/v1/openapi.json.

    \b
    kalshi serve
    kalshi serve --allow-stop
    kalshi serve --port 0 --json
    curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8765/api/v1/portfolio
    """
    require_extra("screens", "starlette")
    config = load_config(ctx)
    public = config.web.public_url.rstrip("/")
    tokens = _tokens(token_file) if token_file is not None else ()
    if (tls_cert is None) != (tls_key is None):
        raise UsageError("TLS needs both a certificate and a key", hint="give --tls-cert and --tls-key")
    if host not in LOOPBACK and (tls_cert is None or not tokens):
        raise UsageError(
            f"{host} can be reached from other machines, so it needs TLS and a token",
            hint="add --tls-cert, --tls-key and --token-file, or use an ssh tunnel: docs/screens.md",
        )
    from kalshi_cli.app.environment import new_secret
    from kalshi_cli.cli.screen.render import render_one
    from kalshi_cli.views.done import ServeView
    from kalshi_cli.web.access import Access
    from kalshi_cli.web.server import WebApp, WebOptions
    from kalshi_cli.web.server import serve as run

    with _listen(host, port) as listener:
        at = listener.getsockname()[1]
        scheme = "https" if tls_cert is not None else "http"
        names = ("127.0.0.1", "localhost", "[::1]") if host in LOOPBACK else (host, socket.gethostname())
        own = tuple(f"{scheme}://{name}:{at}" for name in names)
        clock = SystemClock()
        access = Access((*own, *([public] if public else [])), tokens, clock.monotonic, new_secret)
        is_for_program = flags_of(ctx).form in (Format.JSON, Format.NDJSON)

        def show_link() -> None:
            base = public or own[0]
            link = f"{base}/login?link={access.new_link()}"
            if is_for_program:
                render_one(ServeView(link=link, api=f"{base}/api/v1"), Format.NDJSON)
                flush_out()
            else:
                write_out(f"Open {link} (once, until {_end_of_link(clock)})\n", flush=True)

        options = WebOptions(
            may_stop=allow_stop, may_write=allow_writes, is_secure=scheme == "https" or public.startswith("https:")
        )
        info(f"{_allowed(options, config.read_only)}. Each link works once. Ctrl-C stops the page, not a loop")
        web = WebApp(account_opener(ctx), clock, access, options, show_link)
        show_link()
        run(web, listener, tls_cert, tls_key)


def _end_of_link(clock: SystemClock) -> str:
    """Return the time until which a link that is made now is valid."""
    from kalshi_cli.views.formats import format_clock
    from kalshi_cli.web.access import LINK_S

    return format_clock(Ts(clock.now() + int(1000 * LINK_S)))


def _allowed(options: WebOptions, is_read_only: bool) -> str:
    if is_read_only and (options.may_stop or options.may_write):
        return "The page can pause and halt trading, but sends nothing to the exchange: KALSHI_READ_ONLY is set"
    if options.may_write:
        return "The page can do everything, orders included; each write shows its plan and asks"
    if options.may_stop:
        return "The page can pause, cancel and use the kill switch; for orders, add --allow-writes"
    return "The page is read-only; to act on it, add --allow-stop or --allow-writes"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=64)
    except OSError as error:
        raise KalshiError(
            f"Cannot listen on {host}:{port}: {error.strerror}", hint="choose another port: --port 0 takes a free one"
        ) from error


def _tokens(path: Path) -> tuple[str, ...]:
    """Return the tokens of a file that only this user may access."""
    from kalshi_cli.base.file_trust import read_secret

    def refused(why: str, hint: str) -> UsageError:
        return UsageError(f"Token file {path}: {why}", hint=hint)

    text = read_secret(path, TOKEN_FILE_BYTES, refused, instead="give a file with one token a line").decode(
        "ascii", "replace"
    )
    found = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not 1 <= len(found) <= MAX_TOKENS or any(len(each) < MIN_TOKEN or not each.isprintable() for each in found):
        raise refused(
            f"expected 1 to {MAX_TOKENS} tokens of at least {MIN_TOKEN} characters",
            "make one with: openssl rand -base64 32",
        )
    return found
