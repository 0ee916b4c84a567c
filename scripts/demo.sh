#!/bin/sh
# A first session: markets, one order book, about a minute of trading, and its results.
# It runs on the built-in simulated exchange, in its own state directory.
set -eu
kalshi=${1:-kalshi}
KALSHI_ENV=sim
KALSHI_STATE=${KALSHI_DEMO_STATE:-$(mktemp -d)}
export KALSHI_ENV KALSHI_STATE
trap '"$kalshi" -q sim stop' EXIT
trap 'exit 130' INT TERM
say() { printf '\n\033[1m$ kalshi %s\033[0m\n' "$*"; "$kalshi" "$@"; }

say markets --status open --sort volume --limit 12
ticker=$("$kalshi" -q markets --status open --sort volume --limit 1 --format csv | tail -n 1 | cut -d '"' -f 2)
say orderbook "$ticker" --depth 5
say trade --strategy spike --duration "${KALSHI_DEMO_SECONDS:-60}s"
say positions
say pnl
say balance
printf '\nThe state of this demonstration is in %s\n' "$KALSHI_STATE"
