"""The REST bodies of who may touch the account, and of the volume that earns it a higher tier. Strict, as `wire` is."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Qty, Ts
from kalshi_cli.exchange.wire.base import read
from kalshi_cli.exchange.wire.scalars import no_negative, seconds


class ApiKey(msgspec.Struct, frozen=True):
    """A key of the account. `subaccount`, where there is one, is the only one it may touch."""

    api_key_id: str
    name: str
    scopes: tuple[str, ...]
    subaccount: int | None = None


class ApiKeys(msgspec.Struct, frozen=True):
    """All keys. After `region_expires` they cannot trade sports, elections and entertainment; None: never attested."""

    keys: tuple[ApiKey, ...]
    region_expires: Ts | None


class VolumeGoal(msgspec.Struct, frozen=True):
    """Contracts in thirty days that earn a tier, and that keep it."""

    level: str
    earn: Qty
    keep: Qty


class VolumeProgress(msgspec.Struct, frozen=True):
    """Contracts traded in the thirty days before `computed`, and what the tiers ask for."""

    computed: Ts
    volume: Qty
    goals: tuple[VolumeGoal, ...]


class _ApiKeys(msgspec.Struct):
    api_keys: list[ApiKey]
    api_key_region_expiration_ts: int | None = None


class _Goal(msgspec.Struct):
    level: str
    earn_volume_goal_fp: str
    keep_volume_goal_fp: str


class _Progress(msgspec.Struct):
    computed_ts: int
    trailing_30d_volume_fp: str
    goals: list[_Goal]


class _ProgressBody(msgspec.Struct):
    volume_progress: list[_Progress]


def _progress(wire: _Progress) -> VolumeProgress:
    goals = tuple(
        VolumeGoal(goal.level, no_negative(goal.earn_volume_goal_fp), no_negative(goal.keep_volume_goal_fp))
        for goal in wire.goals
    )
    return VolumeProgress(seconds(wire.computed_ts), no_negative(wire.trailing_30d_volume_fp), goals)


_keys_body = msgspec.json.Decoder(_ApiKeys)
_progress_body = msgspec.json.Decoder(_ProgressBody)


def read_api_keys(body: bytes) -> ApiKeys:
    """`GET /api_keys`."""
    return read(
        _keys_body,
        lambda w: ApiKeys(
            tuple(w.api_keys),
            None if w.api_key_region_expiration_ts is None else seconds(w.api_key_region_expiration_ts),
        ),
        body,
        "the API keys",
    )


def read_volume_progress(body: bytes) -> list[VolumeProgress]:
    """`GET /account/api_usage_level/volume_progress`; empty until the exchange has computed it once."""
    return read(_progress_body, lambda w: [_progress(p) for p in w.volume_progress], body, "the volume progress")
