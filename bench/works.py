"""What is measured, against whom, and what we must reach; docs/performance.md says where the targets come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from bench import peers
from bench.contest import Contestant, Ratio, compare
from bench.deltas import frames
from bench.market_path import listing, memory, printing, stream
from bench.order_path import command, order, rest, store
from bench.racing import OURS, Entry, Row, Scale, race_entries, race_works, row
from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import RateLimitedError
from kalshi_cli.base.units import Ts
from kalshi_cli.exchange.rest.rate_limits import BASIC, RateLimiter, TokenBucket
from kalshi_cli.strategies.registry import BUILT_IN

_PYKALSHI, _NAUTILUS, _PLAIN = "pykalshi 2.0.0", "nautilus_trader 1.221.0", "json.loads and dicts"
_HFTBACKTEST = "hftbacktest 2.4.4, no risk, no ledger"
_NOTHING = "an engine that trades nothing"
_TAPES = Path(__file__).parents[2] / "shared" / "data" / "tapes"
_EMPTY, _BARE = "an empty Typer program", "a bare interpreter"


def _book(scale: Scale, scratch: Path) -> Iterator[Row]:
    count = 20_000
    file = scratch / "frames.jsonl"
    file.write_text("\n".join(frames(count)))
    given = (str(file),)
    result = race_entries(
        scale,
        "book",
        "cpu",
        count,
        [
            Entry(OURS, "bench.workers.ours_book", given),
            Entry(_PYKALSHI, "bench.workers.pykalshi_book", given, peers.PYKALSHI),
            Entry(_NAUTILUS, "bench.workers.nautilus_book", given, peers.NAUTILUS),
            Entry(_PLAIN, "bench.workers.json_book", given),
        ],
    )
    title = "frame bytes to top of book, CPU a frame"
    yield row(result, title, _PYKALSHI, 0.08)
    yield row(result, title, _NAUTILUS, 0.5)
    yield row(result, title, _PLAIN)


def _decision(scale: Scale, scratch: Path) -> Iterator[Row]:
    """Each built-in strategy against an engine whose only strategy does nothing."""
    count = 5_000
    file = scratch / "changes.jsonl"
    file.write_text("\n".join(frames(count)))
    names = (_NOTHING, *tuple(BUILT_IN)[-2 if scale.is_quick else 0 :])
    entries = [Entry(name, "bench.workers.decision", (str(file), name)) for name in names]
    result = race_entries(scale, "decision", "cpu", count, entries)
    for name in names[1:]:
        if absent := result.absent.keys() & {name, _NOTHING}:
            yield Row(f"a book change, with {name}, CPU", _NOTHING, None, None, result.absent[absent.pop()])
            continue
        cost = result.costs[name]
        title = f"a book change, with {name}, CPU ({median(cost) / 1000:.1f} us)"
        yield Row(title, _NOTHING, compare(cost, result.costs[_NOTHING]), None)


def _quotes(scale: Scale, _scratch: Path) -> Iterator[Row]:
    """One strategy over a stream of quotes: the same trades in all programs; hftbacktest has no risk and no ledger."""
    entries = [
        Entry(OURS, "bench.workers.ours_quotes", ()),
        Entry(_NAUTILUS, "bench.workers.nautilus_quotes", (), peers.NAUTILUS),
        Entry(_HFTBACKTEST, "bench.workers.hftbacktest_quotes", (), peers.HFTBACKTEST),
    ]
    results = race_works(scale, [("quotes", "cpu"), ("quotes_and_trades", "cpu")], 50_000, entries)
    for title, result in zip(("quotes", "quotes, with a trade every hundred"), results, strict=True):
        title = f"a backtest over {title}, CPU a quote ({median(result.costs[OURS]) / 1000:.1f} us)"
        yield row(result, title, _NAUTILUS, 0.5)
        yield row(result, title, _HFTBACKTEST)


def _backtest(scale: Scale, scratch: Path) -> Iterator[Row]:
    """The changes of books a second and core that a whole backtest replays, and the reference engine beside it."""
    is_quick = scale.is_quick
    paths = [] if is_quick else sorted(_TAPES.glob("*.jsonl.gz"))[::8]
    where = f"{len(paths)} tapes of May 2026" if paths else "made-up changes, no tapes"
    if not paths:
        paths = [scratch / "tape.jsonl"]
        paths[0].write_text("\n".join(frames(round(20_000 * scale.factor))) + "\n")
    names = ("nothing", "imbalance", *tuple(BUILT_IN)[-1 if is_quick else 0 :])
    with Contestant("ours", "bench.workers.backtest", *map(str, paths), *(["--quick"] if is_quick else ())) as ours:
        compiled_s, loaded_s = (float(part) for part in ours.line().split())
        ours.line()  # it is ready
        changes = int(ours.ask("changes", 1, "cpu")[1])
        costs: dict[str, list[float]] = {f"{kind}:{name}": [] for name in names for kind in ("compiled", "reference")}
        for number in range(-1 if scale.warms_up else 0, min(scale.rounds, 5)):  # a round that warms up does not count
            for work, found in costs.items():
                cost, _ = ours.ask(work, changes, "cpu")
                if number >= 0:
                    found.append(cost)
    targets = {"threshold": 1.0, "imbalance": 0.4} if paths[0].parent == _TAPES else {}
    for name in names:
        ratio = compare(costs[f"reference:{name}"], costs[f"compiled:{name}"])
        rates = sorted(1000 / cost for cost in costs[f"compiled:{name}"])
        million = Ratio(median(rates), rates[0], rates[-1])
        title = f"million book changes a second, {name} ({ratio.median:.1f} times the reference engine)"
        yield Row(title, where, million, targets.get(name), is_share=True)
    yield Row("loading the compiled loop from its cache, s", "", Ratio(loaded_s, loaded_s, loaded_s), None)
    if is_quick:
        yield Row("compiling it, once, s", "", None, None, "takes ten seconds; run it without --quick")
        return
    yield Row("compiling it, once, s", "", Ratio(compiled_s, compiled_s, compiled_s), None)


def _lake(scale: Scale, scratch: Path) -> Iterator[Row]:
    """Recordings in a lake: their import, their size, and how soon their changes of books are arrays."""
    paths = sorted(_TAPES.glob("*.jsonl.gz"))[::8]
    if scale.is_quick:
        paths = sorted(paths, key=lambda path: path.stat().st_size)[:1]
    if not paths:
        yield Row("loading a lake", "pyarrow.read_table", None, 2.0, "no tapes beside the repository")
        return
    with Contestant("ours", "bench.workers.ours_lake", str(scratch / "lake"), *map(str, paths)) as ours:
        imported, size = (float(part) for part in ours.line().split())
        ours.line()  # it is ready
        costs: dict[str, list[float]] = {"ours": [], "pyarrow": []}
        for number in range(-1 if scale.warms_up else 0, scale.rounds):  # a round that warms up does not count
            for work, found in costs.items():
                cost, _ = ours.ask(work, max(1, round(5 * scale.factor)), "cpu")
                if number >= 0:
                    found.append(cost)
    title = f"loading a lake as arrays, CPU ({median(costs['ours']) / 1e6:.0f} ms)"
    yield Row(title, "pyarrow.read_table", compare(costs["ours"], costs["pyarrow"]), 2.0)
    yield Row(
        "thousand events a second imported", f"{len(paths)} tapes of May 2026", Ratio(*[imported / 1000] * 3), None
    )
    yield Row("bytes of a book change in a lake", "", Ratio(size, size, size), None)


def _help(scale: Scale, _scratch: Path) -> Iterator[Row]:
    result = race_entries(
        scale,
        "program",
        "children",
        3,
        [
            Entry(OURS, "bench.workers.programs", ("-m", "kalshi_cli", "--help")),
            Entry(_EMPTY, "bench.workers.programs", ("-m", "bench.workers.empty_program", "--help")),
            Entry(_BARE, "bench.workers.programs", ("-c", "pass")),
        ],
    )
    yield row(result, "kalshi --help, CPU", _EMPTY, 1.15)
    yield row(result, "kalshi --help, CPU", _BARE)


def _limiter(_scale: Scale, _scratch: Path) -> Iterator[Row]:
    """A minute of reads as fast as our limiter lets them go, against the exchange's bucket, in virtual time."""
    clock = ManualClock(Ts(0))
    limiter = RateLimiter(clock)
    allowance = BASIC.read
    theirs, numbers = TokenBucket(0, allowance.bucket_capacity, allowance.refill_rate), [0.0] * 4
    cost, minute, sent, refused = limiter.cost("GET", "/portfolio/balance"), 60.0, 0, 0
    while clock.monotonic() < minute:
        try:
            limiter.acquire("GET", "/portfolio/balance", within_s=minute - clock.monotonic())
        except RateLimitedError:
            break
        if theirs.wait(numbers, clock.monotonic(), cost) > 1e-6:
            refused += 1
        else:
            theirs.take(numbers, cost)
            sent += cost
    share = sent / (allowance.bucket_capacity + allowance.refill_rate * minute)
    title = f"rate limiter, share of the allowance ({refused} refused)"
    yield Row(title, "the exchange's bucket", Ratio(share, share, share), 0.97, is_share=True)


def _screen(scale: Scale, _scratch: Path) -> Iterator[Row]:
    """`kalshi top`: each figure over its target, so 1 is the limit; the figure itself stands in the title."""
    from bench.screen import measure, spread

    for title, unit, values, target in measure(min(scale.rounds, 5), 10 * scale.factor):
        middle, least, most = spread(values)
        ratio = Ratio(*(value / target for value in (middle, least, most)))
        yield Row(f"{title} ({middle:.3g} {unit})", f"{target:g} {unit}", ratio, 1.0)


WORKS: dict[str, Callable[[Scale, Path], Iterator[Row]]] = {
    "rest": rest,
    "order": order,
    "book": _book,
    "stream": stream,
    "listing": listing,
    "decision": _decision,
    "store": store,
    "command": command,
    "backtest": _backtest,
    "lake": _lake,
    "quotes": _quotes,
    "help": _help,
    "printing": printing,
    "memory": memory,
    "limiter": _limiter,
    "screen": _screen,
}
"""What may be asked for by name. The path is an empty directory on the disk that a state file would be on."""
