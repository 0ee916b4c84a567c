"""Fair values and news for the simulated exchange, made from its own seed, to test strategies.

    .venv/bin/python scripts/sim_model.py fairs > fairs.csv
    .venv/bin/python scripts/sim_model.py news >> news.jsonl

`fairs` are the true probabilities of all open markets with some noise, as a CSV file. `news` has the direction of each
push that simulated traders will give a market within `--ahead` seconds. Both use the machine's time: if the clock of
the simulated exchange was advanced, give the difference with `--forward`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.model.seeded_random import SeededRandom
from kalshi_cli.simulator.world.listings import MarketListings
from kalshi_cli.simulator.world.underlyings import spike


def fairs(seed: int, now: Ts, noise: float) -> Iterator[str]:
    """Yield lines of `ticker,probability`; `noise` is the standard deviation of the model's error each second."""
    catalogue = MarketListings(seed)
    yield "ticker,probability"
    for listing in catalogue.open_at(now):
        ticker = listing.market.ticker
        wrong = noise * SeededRandom(seed, "model", ticker, now // 1000).normal()
        yield f"{ticker},{min(1.0, max(0.0, catalogue.chance(listing, now) + wrong)):.4f}"


def news(seed: int, now: Ts, ahead_s: float) -> Iterator[str]:
    """Yield a line of JSON for each push within `ahead_s`; larger pushes have more confidence, and ids are stable."""
    until = Ts(now + int(ahead_s * 1000))
    pushes = {
        (listing.market.ticker, push)
        for listing in MarketListings(seed).open_at(now)
        for moment in range(now, until + 1, 60_000)
        if (push := spike(seed, listing.market.ticker, moment)) is not None and now <= push.at <= until
    }
    for ticker, push in sorted(pushes, key=lambda found: (found[1].at, found[0])):
        yield json.dumps(
            {
                "id": f"{ticker}-{push.at}",
                "ticker": ticker,
                "direction": "up" if push.size > 0 else "down",
                "confidence": round(min(1.0, abs(push.size) / 1_300), 3),
                "text": "the crowd is about to move",
            }
        )


def main() -> None:
    """Parse the arguments and print the lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["fairs", "news"])
    parser.add_argument("--seed", type=int, default=1, help="seed of the simulated exchange (sim.seed)")
    parser.add_argument("--noise", type=float, default=0.02, help="standard deviation of the model's error")
    parser.add_argument("--ahead", type=float, default=120.0, help="seconds that the news source knows ahead")
    parser.add_argument("--forward", type=float, default=0.0, help="offset of the exchange's clock, in seconds")
    asked = parser.parse_args()
    now = Ts(SystemClock().now() + int(asked.forward * 1000))
    lines = fairs(asked.seed, now, asked.noise) if asked.what == "fairs" else news(asked.seed, now, asked.ahead)
    sys.stdout.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main()
