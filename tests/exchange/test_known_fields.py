"""The bundled list of published fields is what its script makes of the specification."""

from __future__ import annotations

import importlib.util

from support.places import ROOT
from support.specification import SPECS, specs_or_skip

from kalshi_cli.exchange.route_samples import known_fields

SCRIPT = ROOT / "scripts" / "known_fields.py"


def test_the_list_is_what_the_script_writes() -> None:
    specs_or_skip()
    spec = importlib.util.spec_from_file_location("known_fields", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.listed(SPECS) == script.OUT.read_text(), "run python scripts/known_fields.py SPECS"


def test_the_list_knows_fields_lists_of_objects_and_closed_lists_of_values() -> None:
    known = known_fields()
    market = known.objects[known.objects[known.replies["GET /markets"]]["markets"].of]
    assert known.objects[market["price_ranges"].of].keys() == {"start", "end", "step"}
    assert "finalized" in market["status"].values
    assert market["ticker"].values == ()
    assert all(name in known.objects for names in known.frames.values() for name in names)
    inner = {field.of for fields in known.objects.values() for field in fields.values() if field.of}
    assert inner <= known.objects.keys()
