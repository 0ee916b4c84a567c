"""Outside sources: when one is stale, what is told of that, and what a check makes of it."""

from __future__ import annotations

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.monitoring.source_watch import Source, SourceWatch, model_age

NOW = Ts(1_780_000_000_000)


def source(name: str = "model a", ago_s: float = 0.0, limit_s: float = 60.0, problem: str = "") -> Source:
    return Source(name=name, answered=Ts(NOW - int(ago_s * 1000)), limit_s=limit_s, problem=problem)


def told(alerts: list[AlertRaised]) -> list[tuple[str, str, str]]:
    return [(alert.tier, alert.code, alert.subject) for alert in alerts]


def test_a_source_is_stale_once_its_limit_is_over_and_never_older_than_now() -> None:
    assert [source(ago_s=ago).is_stale(NOW) for ago in (60.0, 60.001)] == [False, True]
    assert source(ago_s=-5).age_s(NOW) == 0, "a clock that was set back makes nothing older"
    assert (
        source(ago_s=61, problem="it cannot be opened").text(NOW) == "no usable response for 61 s: it cannot be opened"
    )
    assert source(ago_s=61).text(NOW) == "no usable response for 61 s"


def test_that_it_stops_and_that_it_answers_again_is_told_once_each() -> None:
    watch = SourceWatch(())
    assert watch.look([source()], NOW) == []
    (alert,) = watch.look([source(ago_s=61, problem="gone"), source("news b")], NOW)
    assert told([alert]) == [("warning", "SOURCE_STALE", "model a")]
    assert alert.text == "no usable response for 61 s: gone; the limit is 60 s"
    assert watch.look([source(ago_s=62)], NOW) == []
    assert told(watch.look([source()], NOW)) == [("info", "SOURCE_ANSWERS", "model a")]
    assert watch.look([source()], NOW) == []


def test_of_two_sources_with_one_name_the_older_counts() -> None:
    for both in ([source(ago_s=61), source()], [source(), source(ago_s=61)]):
        watch = SourceWatch(())
        assert [told(watch.look(both, NOW)) for _ in range(2)] == [[("warning", "SOURCE_STALE", "model a")], []]


def test_the_end_of_a_loop_ends_what_is_open() -> None:
    watch = SourceWatch(())
    watch.look([source(ago_s=61)], NOW)
    (over,) = watch.stopped(NOW)
    assert (over.code, over.text) == ("SOURCE_ANSWERS", "the loop has stopped")
    assert watch.stopped(NOW) == []


def test_what_a_run_that_was_killed_left_open_is_ended_by_the_next() -> None:
    left = [
        AlertRaised(NOW, "warning", "SOURCE_STALE", "model a", ""),
        AlertRaised(NOW, "warning", "SOURCE_STALE", "news b", ""),
        AlertRaised(NOW, "info", "SOURCE_ANSWERS", "news c", ""),
        AlertRaised(NOW, "warning", "SOURCE_STALE", "news c", ""),
        AlertRaised(NOW, "critical", "BLIND", "account", ""),
    ]
    watch = SourceWatch(left)
    alerts = watch.look([source()], NOW)
    assert [(alert.subject, alert.text) for alert in alerts] == [
        ("model a", "it responds again"),
        ("news b", "this loop does not use it"),
    ]
    assert told(alerts) == [("info", "SOURCE_ANSWERS", name) for name in ("model a", "news b")]
    assert SourceWatch(left[:1]).look([source(ago_s=61)], NOW) == [], "it is told already"


def test_without_a_range_the_limit_of_each_source_is_a_warning() -> None:
    sources = [source(ago_s=70), source("model b", 200, 300), source("news c", 100, 50)]
    breaches, measure = model_age(sources, NOW, "", "")
    assert [(each.severity, each.code, each.subject) for each in breaches] == [
        ("warning", "SOURCE_STALE", "model a"),
        ("warning", "SOURCE_STALE", "news c"),
    ]
    assert str(measure) == "model_age=100s;50;", "the one that is furthest beyond its limit"


def test_a_range_takes_the_place_of_the_limits() -> None:
    sources = [source(ago_s=70)]
    assert [breach.severity for breach in model_age(sources, NOW, "10", "65")[0]] == ["critical"]
    assert [breach.severity for breach in model_age(sources, NOW, "10", "")[0]] == ["warning"]
    assert model_age(sources, NOW, "", "100")[0] == []


def test_a_loop_without_outside_sources_has_no_age() -> None:
    assert model_age((), NOW, "", "") == ([], None)
