"""A short slice of `make start-up`, and that its judgement is not vacuous."""

from __future__ import annotations

from pathlib import Path

import pytest

from kalshi_cli.core.account import reconciliation
from verification import start

LONG_MARGIN_MS = 120_000
"""Beyond the documented margin, and beyond the lifetime of each order."""


@pytest.mark.parametrize("kind", start.KINDS, ids=lambda kind: f"{kind.row} {kind.name}")
def test_what_became_of_an_order_is_known_soon_after_the_exchange_can_tell(kind: start.Kind, tmp_path: Path) -> None:
    found = start.resolve(kind, 1, tmp_path)
    assert found.problem == ""
    assert found.took_s <= start.RESOLVED_WITHIN_S
    assert found.alerted_s <= start.ALERTED_WITHIN_S


def test_an_order_given_up_before_it_could_arrive_is_judged_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "NEVER_ARRIVED_MARGIN_MS", -60_000)
    late = next(kind for kind in start.KINDS if kind.is_late)
    found = []
    for seed in range(4):
        folder = tmp_path / f"{seed}"
        folder.mkdir()
        found.append(start.resolve(late, seed, folder, expiry_s=None))
    assert any(each.problem for each in found)


@pytest.mark.parametrize("expiry_s", start.EXPIRIES_S)
def test_a_margin_beyond_the_documented_one_is_judged_late(
    expiry_s: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge must not take its times from the program: with a margin of two minutes each doubt lasts too long."""
    monkeypatch.setattr(reconciliation, "NEVER_ARRIVED_MARGIN_MS", LONG_MARGIN_MS)
    never = next(kind for kind in start.KINDS if not kind.arrives)
    found = start.resolve(never, 1, tmp_path, expiry_s)
    assert found.problem == ""
    assert found.took_s > start.RESOLVED_WITHIN_S


def test_the_whole_proof_of_the_doubt_fails_with_such_a_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "KINDS", [kind for kind in start.KINDS if not kind.arrives][:1])
    assert start.prove_resolution(1, lambda _text: None)
    monkeypatch.setattr(reconciliation, "NEVER_ARRIVED_MARGIN_MS", LONG_MARGIN_MS)
    assert not start.prove_resolution(1, lambda _text: None)


@pytest.mark.parametrize("margin_ms", [30_000, 40_000])
def test_a_shorter_margin_is_judged_too_early(margin_ms: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "NEVER_ARRIVED_MARGIN_MS", margin_ms)
    never = next(kind for kind in start.KINDS if not kind.arrives)
    found = []
    for seed in range(6):
        folder = tmp_path / f"{seed}"
        folder.mkdir()
        found.append(start.resolve(never, seed, folder, expiry_s=None).problem)
    assert "given up before the exchange could tell" in found


def test_a_start_on_a_large_account_reads_each_page_once_and_waits_for_nothing(tmp_path: Path) -> None:
    first, second = start.start_large(120, 300, tmp_path, lambda _text: None)
    for started in (first, second):
        assert (started.orders, started.fills) == (120, 300)
        assert sum(started.reads.values()) <= 10
        assert started.waited_s == 0


def test_the_percentile_is_that_of_the_definition() -> None:
    values = [float(n) for n in range(1, 101)]
    assert start.percentile(values) == 99.0
    assert start.percentile([5.0]) == 5.0


@pytest.mark.parametrize("expiry_s", [None, 20.0])
def test_no_order_is_given_up_before_the_exchange_can_tell(expiry_s: float | None, tmp_path: Path) -> None:
    """Where its expiry does not hold it up, the margin alone does."""
    found = []
    for number, kind in enumerate(kind for kind in start.KINDS if not kind.arrives):
        for seed in range(2):
            folder = tmp_path / f"{number} {seed}"
            folder.mkdir()
            found.append(start.resolve(kind, seed, folder, expiry_s).problem)
    assert set(found) == {""}
