"""Network faults between the program and the exchange in a session without kills: twelve kinds, from a seed."""

from __future__ import annotations

import random
from typing import Any

from support.fault_frames import StreamFault
from support.fault_proxy import Fault

FAULTS = "faults"
FAULTS_A_RUN = 12
ON_THE_STREAM = 4

LATEST_S = 1.5
"""No request arrives later than this after the program gave it up."""

_LOST = ("drop_request", "hang_request", "reset", "status_500", "late", "drop_reply", "reset_reply", "hang")
_SPOILT = ("status", "truncate", "garbage", "slow", "delay")
_ACTIONS = {
    "POST": (*_LOST, *_LOST, *_SPOILT),
    "DELETE": (*_LOST, *_SPOILT, "duplicate_first", "duplicate_second"),
    "GET": (*_LOST, *_SPOILT, "stale"),
}
_ROUTES = (
    ("POST", r"/events/orders"), ("POST", r"/events/orders"), ("DELETE", r"/events/orders"),
    ("GET", r"/portfolio/orders"), ("GET", r"/portfolio/fills"), ("GET", r"user_data_timestamp"),
    ("GET", r"/portfolio/"), ("GET", r"/markets"),
)  # fmt: skip
_STREAM = ("drop", "duplicate", "reorder", "delay", "corrupt")
_CHANNELS = ("orderbook_delta", "orderbook_snapshot", '"fill"', "user_order", "")


def plan(dice: random.Random) -> tuple[list[Fault], list[StreamFault]]:
    """Requests that are lost, late or spoilt, and frames of the stream that are."""
    requests = [_request(dice) for _ in range(FAULTS_A_RUN - ON_THE_STREAM)]
    frames = [
        StreamFault(_of(dice, _STREAM), dice.choice(_CHANNELS), nth=dice.randint(1, 20)) for _ in range(ON_THE_STREAM)
    ]
    return requests, frames


def _request(dice: random.Random) -> Fault:
    method, path = dice.choice(_ROUTES)
    status, is_forwarded = dice.choice(((429, False), (500, True), (502, False), (503, True), (504, True)))
    return Fault(
        _of(dice, _ACTIONS[method]), method, path,
        nth=dice.randint(1, 8), times=dice.choice((1, 1, 1, 2)), delay_s=dice.uniform(0.1, LATEST_S),
        status=status, is_forwarded=is_forwarded,
    )  # fmt: skip


def _of(dice: random.Random, actions: tuple[str, ...]) -> Any:
    return dice.choice(actions)
