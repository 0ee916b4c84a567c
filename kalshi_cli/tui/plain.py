"""`kalshi top --plain`: the event stream as lines, for a screen reader, a pipe or a very simple terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Ts
from kalshi_cli.tui import picture
from kalshi_cli.tui.head import attention, header
from kalshi_cli.views.live import LiveEvent, TopRow


def lines(
    events: Iterable[LiveEvent], every_ms: int, prices: Callable[[], tuple[TopRow, ...]] = tuple
) -> Iterator[str]:
    """Yield a line for the state at most every `every_ms`, and one for each change of a list at once.

    `prices` reads the markets of a watchlist, with each line for the state.
    """
    whole, due, listed = LiveEvent(), Ts(0), tuple[TopRow, ...]()
    shown: dict[str, list[picture.Row]] = {}
    for event in events:
        whole = event.after(whole)
        now = whole.run.time if whole.run is not None else Ts(0)
        if whole.silent_s or now >= due:
            due = Ts(now + every_ms)
            warning = attention(whole, whole.silent_s)
            head = (text.plain.strip() for text in header(whole, now, warning, 1_000))
            yield safe_text(" | ".join(filter(None, head)))
            listed = prices()
        for panel in picture.PANELS:  # without a list, prices are left out: they change all the time
            rows = panel.rows(whole if panel is not picture.PANELS[-1] else LiveEvent(markets=listed))
            before = shown.get(panel.name, [])
            shown[panel.name] = rows
            for row in rows:
                if row not in before:
                    yield safe_text(f"{panel.title}: {', '.join(part for part in row.cells if part)}")
