"""The head of the screen as styled lines: where and what runs, the money, and what needs attention."""

from __future__ import annotations

import textwrap

from rich.text import Text

from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Money, Ts, show_money
from kalshi_cli.tui.picture import firing, time_of_day, tone
from kalshi_cli.views.formats import format_time
from kalshi_cli.views.live import LiveEvent, LiveRunView

STALE_S = 3.0
"""Seconds after which numbers are shown as old."""
NARROW = 60
"""On a narrower screen, such as that of a phone, the money takes two lines."""


def place_mark(run: LiveRunView) -> Text:
    """Return the environment and host, red where it is real money."""
    return Text.assemble((f" {safe_text(run.place)} ", "reverse bold red" if run.real_money else "reverse"))


def header(state: LiveEvent, now: Ts, warning: Text, width: int) -> list[Text]:
    """Return where and what runs, the money, and the warning, in up to two lines as the money on a narrow screen."""
    run = state.run
    if run is None:
        return [Text("connecting ..."), Text(), warning]
    top = place_mark(run)
    if count := firing(state):  # before the names, which may be long
        top.append(f"  {count} firing", style="bold red")
    clock = f"  {time_of_day(now)}"
    top.append(f"  {_what_runs(run, width - len(top) - len(clock) - 2)}")
    top.append(clock, style="dim")
    if run.running and run.ends is not None:
        top.append(f"  until {format_time(run.ends, None)}", style="dim")
    feed = (
        Text("—")
        if run.feed_age_s is None
        else Text(f"{run.feed_age_s:.1f} s", "red" if run.feed_age_s > STALE_S else "")
    )
    cash, fed = ("cash", Text(show_money(run.cash))), ("feed", feed)
    money = _beside(
        width,
        ("equity", Text.assemble(show_money(run.equity), (" settling", "yellow") if run.settling else "")),
        ("P&L today", Text(show_money(run.day_pnl, signed=True), tone(run.day_pnl))),
        ("exposure", Text(_used(run.exposure, run.exposure_limit))),
        *((fed, cash) if run.running else (cash,)),
        ("loss limit", Text(show_money(run.daily_loss_limit))),
        *((("lag", Text("—" if run.feed_lag_ms is None else f"{run.feed_lag_ms} ms")),) if run.running else ()),
    )
    top.truncate(width, overflow="ellipsis")
    lines = textwrap.wrap(warning.plain, width, max_lines=2, placeholder=" …") or [""]
    return [top, *money, *(Text(line, style=warning.style) for line in lines)]


def _what_runs(run: LiveRunView, room: int) -> str:
    """Return which strategies run; that none does takes fewer words where the room is too small."""
    if not run.running:
        words = "no strategy is running"
        return words if len(words) <= room else "no strategy"
    names = safe_text((run.strategy or "").replace(",", ", "))
    return f"{names} {'are' if ',' in names else 'is'} {'disabled' if run.is_disabled else 'running'}"


def _beside(width: int, *parts: tuple[str, Text]) -> list[Text]:
    """Return names and values in one line, on a narrow screen in two; the last ones are left out without room."""
    lines = [Text()]
    for name, value in parts:
        part = Text.assemble((f"{name} ", "dim"), value)
        if lines[-1] and len(lines[-1]) + 2 + len(part) > width:
            if width >= NARROW or len(lines) == 2:
                break
            lines.append(Text())
        lines[-1].append("  " if lines[-1] else "").append(part)
    return lines


def _used(amount: Money | None, limit: Money | None) -> str:
    return show_money(amount) if limit is None else f"{show_money(amount)} of {show_money(limit)}"


def halt_text(run: LiveRunView) -> str:
    """Return that trading is paused or halted, and why; empty while it is active."""
    if run.paused:
        return f"PAUSED: {safe_text(run.state_reason or 'no reason given')}"
    if run.state == "active":
        return ""
    why = safe_text(f"{run.state_code or ''} {run.state_reason or ''}").strip()
    return f"{run.state.upper()}: {why}"


def attention(state: LiveEvent, age_s: float) -> Text:
    """Return the most important thing to know: old numbers, a halt, a problem; else what the loop waits for.

    `age_s` is how long ago the numbers came, by the clock of this machine: that of the exchange may differ.
    """
    run = state.run
    if run is None:
        return Text()
    if age_s > STALE_S:
        silent = "The loop does not answer; see `kalshi status`" if run.running else "The exchange does not answer"
        return Text(f"OLD NUMBERS: {age_s:.0f} s. {safe_text(run.problem or silent)}", style="bold red")
    if run.problem:
        return Text(f"PROBLEM: {safe_text(run.problem)}", style="bold red")
    if halted := halt_text(run):
        return Text(f"{halted}. r resumes", style="bold yellow" if run.paused else "bold red")
    if run.attention:
        return Text(safe_text(run.attention), style="bold yellow")
    return Text(f"waiting: {safe_text(run.waiting)}" if run.waiting else "", style="dim")
