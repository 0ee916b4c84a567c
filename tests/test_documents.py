"""The commands, links and files that documents name exist."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.examples import COMMAND, problems
from support.places import ROOT
from support.sources import nodes_of, parsed

from kalshi_cli.base.version import __version__
from kalshi_cli.cli.exit_codes import ENDS, PLUGIN, exit_codes_of
from kalshi_cli.cli.main import ENTRIES, PLUGINS, root

HERE = ROOT
DOCUMENTS = sorted(
    [
        *HERE.glob("*.md"),
        *HERE.glob("docs/**/*.md"),
        *HERE.glob("runbooks/*.md"),
        *HERE.glob("tests/*.md"),
        *HERE.glob("verification/**/*.md"),
    ]
)
TYPED = sorted([*DOCUMENTS, *HERE.glob("scripts/cron/*"), HERE / "scripts/demo.sh"])


@pytest.mark.parametrize("path", TYPED, ids=lambda path: str(path.relative_to(HERE)))
def test_every_command_that_a_document_names_exists(path: Path) -> None:
    text = path.read_text()
    wrong = [f"{number}: {each}" for number, line in enumerate(text.splitlines(), 1) for each in problems(line)]
    assert wrong == []


def test_documents_that_name_what_is_not_there_are_caught() -> None:
    assert problems("then `kalshi frobnicate`") == ["no command frobnicate"]
    assert problems("kalshi order place T --sideways yes") == ["order has no --sideways"]
    assert problems("    kalshi -q cancel-all --ticker 'KX*'") == []
    assert problems("kalshi transfer --from 0 --to 2 --amount 5") == [], "its default command is meant"
    assert problems("kalshi transfer list --from 0") == ["transfer has no --from"]
    assert sum(len(COMMAND.findall(path.read_text())) for path in TYPED) > 30


LINK = re.compile(r"\]\(([^)\s]*)\)")
HEADING = re.compile(r"^#{1,6} (.+?)\s*$", re.MULTILINE)
MKDOCS = HERE / "mkdocs.yml"


def anchors(text: str) -> set[str]:
    """Return the anchors of a page: of its headings, as GitHub and mkdocs write them, and those written by hand."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "") for heading in HEADING.findall(prose))
    slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in plain]
    return {*slugs, *re.findall(r'<a id="([\w-]+)"', prose)}


def dead_links(text: str, page: Path) -> list[str]:
    """List the links of a page that lead to no file, or to no heading of a file."""
    found = []
    for link in LINK.findall(text):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if "://" in link or link.startswith("mailto:"):
            continue
        if not target.exists() or (anchor and (target.suffix != ".md" or anchor not in anchors(target.read_text()))):
            found.append(link)
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(HERE)))
def test_every_link_inside_the_repository_leads_somewhere(path: Path) -> None:
    assert dead_links(path.read_text(), path) == []


def test_a_link_to_no_file_or_to_no_heading_is_caught() -> None:
    text = "[a](docs/risk.md) [b](docs/none.md) [c](docs/risk.md#locks) [d](docs/risk.md#no-such) [e](#here)\n# Here\n"
    assert dead_links(text, HERE / "README.md") == ["docs/none.md", "docs/risk.md#no-such", "#here"]
    assert anchors("# A `b`, c\n```\n# no\n```\n## [D](x.md) e") == {"a-b-c", "d-e"}


def pages_of(nav: Any) -> list[str]:
    """List the pages of a navigation of mkdocs."""
    if isinstance(nav, str):
        return [nav]
    return [page for each in (nav.values() if isinstance(nav, dict) else nav) for page in pages_of(each)]


def test_the_navigation_of_the_site_has_every_page_and_no_other() -> None:
    nav = set(pages_of(yaml.safe_load(MKDOCS.read_text())["nav"]))
    listed = {str(path.relative_to(HERE)) for path in (*HERE.glob("*.md"), *HERE.glob("docs/*.md"))}
    made = {"runbooks/index.md", "tests/README.md", "docs/decisions/README.md"}
    assert nav == listed | made


@pytest.mark.parametrize("name", ["demo.svg", "top.svg"])
def test_a_picture_shows_no_error(name: str) -> None:
    shown = (HERE / "docs" / name).read_text()
    assert "kalshi" in shown
    assert "error:" not in shown


RUNBOOKS = sorted(HERE.glob("runbooks/*.md"))
OPENING = ("- First command: ", "- Critical if: ", "- Over when: ")


def faults_of_a_runbook(text: str) -> list[str]:
    """List what someone on call would miss in a runbook."""
    paragraphs = text.rstrip().split("\n\n")
    found = [] if paragraphs[0].startswith("# ") and "\n" not in paragraphs[0] else ["no title"]
    found += [] if len(paragraphs[1].splitlines()) <= 3 and paragraphs[1][:1].isalpha() else ["no symptom"]
    items = [line for line in paragraphs[2].splitlines() if line.startswith("- ")]
    opens = len(items) == len(OPENING) and all(map(str.startswith, items, OPENING))
    found += [] if opens else ["no first command, severity or end"]
    found += [] if "`" in paragraphs[2].splitlines()[0] else ["the first command is missing"]
    steps = re.findall(r"^(\d+)\. (.*)", paragraphs[-1], re.MULTILINE)
    found += [] if [int(number) for number, _ in steps] == [*range(1, len(steps) + 1)] and steps else ["no steps"]
    found += [] if steps and steps[-1][1].startswith("Write down ") else ["the last step writes nothing down"]
    return found


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: str(path.relative_to(HERE)))
def test_a_runbook_has_a_symptom_a_first_command_a_severity_an_end_and_an_incident_log(path: Path) -> None:
    assert faults_of_a_runbook(path.read_text()) == []


def test_a_runbook_without_them_is_caught() -> None:
    whole = RUNBOOKS[0].read_text()
    assert faults_of_a_runbook(whole.replace("- Critical if", "- Perhaps if")) == ["no first command, severity or end"]
    assert faults_of_a_runbook(whole.replace("Write down", "Forget")) == ["the last step writes nothing down"]
    assert faults_of_a_runbook(whole.replace("\n2. ", "\n3. ")) == ["no steps"]
    assert len(RUNBOOKS) > 25


FILES_OF_USERS = {"my_idea.py", "test_my_idea.py", "fade.py", "test_fade.py"}
PLACES = [HERE, *(HERE / name for name in ("kalshi_cli", "tests", "verification", "verification/mutants", "docs"))]


def files_missing(text: str, beside: Path) -> list[str]:
    """The Python files that a text names in backticks, and that are nowhere."""
    named = {name.removeprefix("./") for name in re.findall(r"`([\w./]+\.py)(?:::\w+)?`", text)}
    return [
        name for name in sorted(named - FILES_OF_USERS) if not any((at / name).exists() for at in (*PLACES, beside))
    ]


def test_every_python_file_that_a_text_names_is_there() -> None:
    sources = [*HERE.glob("kalshi_cli/**/*.py"), *HERE.glob("tests/**/*.md"), *HERE.glob("verification/**/*.py")]
    found = {str(path): files_missing(path.read_text(), path.parent) for path in (*DOCUMENTS, *sources)}
    assert {path: names for path, names in found.items() if names} == {}


def test_a_python_file_that_is_not_there_is_caught() -> None:
    assert files_missing("see `core/never.py` and `core/engine/engine.py`", HERE) == ["core/never.py"]


def test_every_test_that_the_threat_table_names_is_there() -> None:
    rows = [line for line in (HERE / "SECURITY.md").read_text().splitlines() if "](tests/" in line]
    missing = []
    for row in rows:
        texts = [(HERE / path).read_text() for path in re.findall(r"\]\((tests/[^)]+)\)", row)]
        missing += [name for name in re.findall(r"`(test_\w+)`", row) if not any(f"def {name}(" in t for t in texts)]
    assert len(rows) > 30
    assert missing == []


def test_every_command_has_a_help_with_an_example() -> None:
    def without(name: str, command: Any) -> list[str]:
        """Commands below this one, or this one, whose help has none."""
        if hasattr(command, "commands"):
            return [each for sub, inner in command.commands.items() for each in without(f"{name} {sub}", inner)]
        return [] if "kalshi " in (command.help or "") else [name]

    assert [each for name in ENTRIES for each in without(name, root().get_command(None, name))] == []


def test_the_reference_of_commands_is_what_the_commands_say() -> None:
    """`make reference` writes it anew."""
    spec = importlib.util.spec_from_file_location("reference", HERE / "scripts/reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.TARGET.read_text() == module.reference(parsed)


def test_every_code_of_an_error_is_in_the_reference() -> None:
    page = (HERE / "docs/cli.md").read_text().partition("\n## Error codes\n")[2]
    missing = set()
    for path in sorted((HERE / "kalshi_cli").rglob("*.py")):
        for call in nodes_of(path.read_text(), ast.Call):
            name = getattr(call.func, "id", getattr(call.func, "attr", ""))
            given = [each.value for each in call.keywords if each.arg == "code"] if name.endswith("Error") else []
            given += call.args[1:2] if name in ("Refusal", "_problem") else []
            texts = (getattr(part, "value", None) for each in given for part in ast.walk(each))
            codes = {text for text in texts if isinstance(text, str) and text}
            missing |= {f"{path.name}: {code}" for code in codes if f"`{code}`" not in page}
    assert missing == set()


def test_every_example_of_a_help_is_a_command_with_options_that_exist() -> None:
    text = (HERE / "docs/cli.md").read_text()
    examples = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    assert len(examples) > 100
    assert [f"{line}: {wrong}" for line in examples for wrong in problems(line)] == []


def test_the_exit_codes_of_every_command_are_declared_and_of_no_other() -> None:
    def names(name: str, command: Any) -> list[str]:
        """The whole names of a command, or of those of a group."""
        if hasattr(command, "commands"):
            return [each for sub, inner in command.commands.items() for each in names(f"{name} {sub}", inner)]
        return [name]

    assert {each for name in ENTRIES for each in names(name, root().get_command(None, name))} == set(ENDS)
    assert {exit_codes_of(name) for name in ENDS if name.split()[0] in PLUGINS} == {PLUGIN}


def test_a_checkout_with_unreleased_changes_has_the_version_of_the_next_release() -> None:
    changes = (HERE / "CHANGELOG.md").read_text()
    (last, *_), unreleased = (
        re.findall(r"^## (\d+\.\d+\.\d+) - \d", changes, re.MULTILINE),
        "\n## Unreleased\n" in changes,
    )
    numbers = [int(part) for part in __version__.removesuffix(".dev0").split(".")]
    assert __version__.endswith(".dev0") == unreleased
    assert (numbers > [int(part) for part in last.split(".")]) == unreleased
