"""Validation of the configuration section `strategies`, before a run reads it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches

import msgspec

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.struct_types import prepared
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.base import Strategy
from kalshi_cli.strategies.own_code import construct, section_of


def section_problems(
    configured: Mapping[str, Mapping[str, object]], allotted: Collection[str], *, runs_code: bool = True
) -> tuple[list[str], list[str]]:
    """Return the problems of the section, and the unknown names that only a strategy file can have.

    `configured` are parameters by name or file, `allotted` the names with a budget or sizing. A missing parameter is no
    problem, because `--param` may supply it. Strategy files and installed strategies are executed, as they are for
    trading; without `runs_code` they are skipped, and only the built-in strategies are checked.
    """
    problems, kinds, unknown = [], {}, []
    every = dict.fromkeys((*configured, *allotted))
    for name in every if runs_code else [name for name in every if name in registry.BUILT_IN]:
        try:
            kinds[name] = registry.load(name)
        except UsageError as error:
            if ".py" in name or error.code != "unknown_strategy":
                problems.append(f"{section_of(name)}: {error}")
            else:
                unknown.append(name)
    files = {kind.name for kind in kinds.values()}
    near = {
        name: get_close_matches(name, registry.names(), n=1, cutoff=registry.NEAR)
        for name in unknown
        if name not in files
    }
    problems += [f"strategies.{name}: no such strategy; did you mean {like[0]}?" for name, like in near.items() if like]
    for name, kind in kinds.items():
        problems += [f"{section_of(name)}: {problem}" for problem in _of_parameters(kind, configured.get(name, {}))]
    return [*problems, *registry.misplaced_settings(kinds, allotted)], [name for name, like in near.items() if not like]


def _of_parameters(kind: type[Strategy], given: Mapping[str, object]) -> list[str]:
    values, problems = registry.values_of(kind, given)
    if problems or not registry.required(kind) <= values.keys():
        return problems
    try:
        construct(kind, msgspec.convert(values, prepared(kind.Params)))
    except UsageError as error:
        return [str(error).removeprefix(f"Strategy {kind.name}: ")]
    return []
