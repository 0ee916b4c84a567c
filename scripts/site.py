"""Copy the documentation into a folder for mkdocs: `python scripts/site.py build/pages`.

The pages keep their places, so that links work in the repository and on the site alike. Files that pages link to are
copied beside them, and links to a folder lead to its first page.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ("*.md", "docs/*.md", "docs/decisions/*.md", "runbooks/*.md", "tests/README.md")
LINK = re.compile(r"(\]\()([^)#\s]+)(#[^)]*)?\)")
MERMAID = re.compile(r"```mermaid\n.*?```", re.DOTALL)
"""A picture that GitHub draws; the site would need a script from another host for it, and shows a list."""
SHIM = ROOT / "scripts/site_files/iframe-worker.js"
"""Let the search run from a folder, where a browser starts no worker."""
RUNBOOKS = "# Runbooks\n\nOne page per problem. `kalshi runbook` lists them too, without a network.\n\n"


def pages() -> list[Path]:
    """Return the pages of the site, as paths below the root."""
    return sorted(path.relative_to(ROOT) for pattern in PAGES for path in ROOT.glob(pattern))


def copy(target: Path) -> None:
    """Write the site's pages, and the files that they link to, below `target`."""
    shutil.rmtree(target, ignore_errors=True)
    for page in pages():
        text = LINK.sub(lambda link, page=page: rewritten(link, page, target), (ROOT / page).read_text())
        place(target / page).write_text(MERMAID.sub(lambda picture: arrows(picture[0]), text))
    rows = [f"- [{title(path)}]({path.name})" for path in sorted((ROOT / "runbooks").glob("*.md"))]
    place(target / "runbooks/index.md").write_text(RUNBOOKS + "\n".join(rows) + "\n")
    shutil.copy(SHIM, target / SHIM.name)
    shutil.copy(ROOT / "docs/demo.svg", place(target / "docs/demo.svg"))


def rewritten(link: re.Match[str], page: Path, target: Path) -> str:
    """Return a link as the site needs it; copy a file that it leads to."""
    path = (ROOT / page.parent / link[2]).resolve()
    if "://" in link[2] or not path.is_relative_to(ROOT) or not path.exists():
        return link[0]
    if path.is_dir():
        index = "README.md" if (path / "README.md").exists() else "index.md"
        return f"{link[1]}{link[2].rstrip('/')}/{index}{link[3] or ''})"
    inside = path.relative_to(ROOT)
    if inside in pages():
        return link[0]
    copied = inside if inside.suffix else inside.with_suffix(".txt")
    shutil.copy(path, place(target / copied))
    return f"{link[1]}{link[2]}{'' if inside.suffix else '.txt'}{link[3] or ''})"


def arrows(picture: str) -> str:
    """Return the arrows of a Mermaid picture as a list: one line for each beginning of arrows."""
    ends: dict[str, list[str]] = {}
    for begin, end in re.findall(r"(\w+) --> (\w+)", picture):
        ends.setdefault(begin, []).append(f"`{end}`")
    return "\n".join(f"- `{begin}` → {', '.join(them)}" for begin, them in ends.items())


def title(page: Path) -> str:
    """Return the title of a page."""
    return page.read_text().partition("\n")[0].lstrip("# ")


def place(path: Path) -> Path:
    """Return the path, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


if __name__ == "__main__":
    copy(Path(sys.argv[1]))
