"""Plain YAML: nothing in a file can stand for more than is written in it."""

from __future__ import annotations

import resource
import subprocess
import sys
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest

from kalshi_cli.base.errors import ConfigError
from kalshi_cli.base.plain_yaml import MAX_DEPTH, MAX_NODES, PlainYamlError, compose, construct
from kalshi_cli.config import yaml_file
from kalshi_cli.feeds.fair_values import SourceError
from kalshi_cli.feeds.market_map import read_map

MEGABYTES = 1 << 20
LETTERS = "abcdefghijklmnopqrstuvwxyz"
LISTS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in pairwise(LETTERS)
)
"""A list of lists of lists: 9 to the power of 26 values, where somebody writes them out."""
MERGES = "a: &a {x: 1}\n" + "".join(f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 9)}]}}\n" for a, b in pairwise(LETTERS))
"""The same with merged mappings, which a loader does write out."""

REFUSED = [
    (LISTS, "YAML anchors (&) are not supported", 1),
    (MERGES, "YAML anchors (&) are not supported", 1),
    ("a: 1\nb: *a\n", "YAML aliases (*) are not supported", 2),
    ("a: 1\nb: {<<: {c: 2}}\n", "YAML merges (<<) are not supported", 2),
    ("a:\n  b: &name 3\n", "YAML anchors (&) are not supported", 2),
    ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), f"nested deeper than {MAX_DEPTH} levels", 1),
    ("[" + "a,\n" * MAX_NODES + "]", f"more than {MAX_NODES:,} values", MAX_NODES),
]


@pytest.mark.parametrize(("text", "why", "line"), REFUSED)
def test_text_that_would_grow_is_refused_with_its_line(text: str, why: str, line: int, tmp_path: Path) -> None:
    with pytest.raises(PlainYamlError) as refused:
        compose(text)
    assert why in str(refused.value)
    assert refused.value.line == line
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as unread:
        yaml_file.read(path)
    assert f"(line {line}): {why}" in unread.value.message
    with pytest.raises(SourceError) as unmapped:
        list(read_map(text.encode(), is_yaml=True))
    assert f"(line {line}): {why}" in str(unmapped.value)


def test_text_within_the_limits_is_read() -> None:
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    wide = "[" + "a, " * (MAX_NODES - 2) + "a]"
    quoted = '{"<<": "*a", b: "&c"}'
    for text in (deep, wide):
        assert compose(text) is not None
    document = compose("{b: '&c', c: '*a', d: 2 << 1}")
    assert document is not None
    assert construct(document) == {"b": "&c", "c": "*a", "d": "2 << 1"}
    assert compose("") is compose("# nothing\n") is None
    assert compose(quoted) is not None


def test_the_largest_configuration_file_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("[" + "a," * (yaml_file.MAX_BYTES // 2 - 1) + "]")
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match="more than"):
            yaml_file.read(path)
        assert tracemalloc.get_traced_memory()[1] < 20 * MEGABYTES
    finally:
        tracemalloc.stop()


def test_the_program_ends_on_such_a_file_with_one_line(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(MERGES)
    ended = subprocess.run(
        [sys.executable, "-m", "kalshi_cli", "--config", str(path), "config", "check"],
        capture_output=True, text=True, timeout=60, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (1024 * MEGABYTES, 1024 * MEGABYTES)),
    )  # fmt: skip
    assert ended.returncode == 2
    assert "(line 1): YAML anchors (&) are not supported" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
