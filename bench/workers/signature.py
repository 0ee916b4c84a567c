"""One signature alone, as every signed call needs one: what no client can save."""

import sys
from pathlib import Path

from bench.worker import repeat, serve
from kalshi_cli.base.clock import SystemClock
from kalshi_cli.exchange.rest.signing import Signer, load_key

signer = Signer("bench", load_key(Path(sys.argv[1])), SystemClock())
sign = repeat(lambda: signer.headers("GET", "/trade-api/v2/portfolio/balance"))
serve({"get": sign, "create": sign})
