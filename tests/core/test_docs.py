"""The shelves: every page that is named exists, every page is reached from an index, every link and its anchor resolve."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.places import ROOT

DOCS = ROOT / "docs"
#: pages that readers meet without an index
ENTRANCES = ("README.md", "docs/README.md", "CHANGELOG.md")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_NAMED = re.compile(r"docs/(?:[A-Za-z0-9_*-]+/)*[A-Za-z0-9_*-]+\.md(?:#[\w-]+)?")
#: a file or folder of the project in backticks; a name in capitals stands for one of the reader's
_FILE = re.compile(r"`((?:harness|tests|benchmarks|suites)/[A-Za-z0-9_*./-]+)`")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def tracked(*patterns: str) -> list[Path]:
    """Files that git keeps or would keep, so that a reader's own files in the checkout are no page of the project's."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for path in (ROOT / line for line in done.stdout.splitlines()) if path.is_file()]


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get where it is shown (GitHub's rule)."""
    found: list[str] = []
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", _FENCE.sub("", page.read_text()), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        same = sum(1 for other in found if other == slug or re.fullmatch(rf"{re.escape(slug)}-\d+", other))
        found.append(f"{slug}-{same}" if same else slug)
    return set(found)


def links(page: Path) -> list[str]:
    """The targets of a page's links to other files and headings; addresses of the web are not looked at."""
    targets = _LINK.findall(_FENCE.sub("", page.read_text()))
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def fault_of(page: Path, target: str) -> str | None:
    """Why a link does not resolve; None when it does."""
    path, _, anchor = target.partition("#")
    aim = (page.parent / path).resolve() if path else page
    if not aim.exists():
        return f"{page.relative_to(ROOT)}: {target}: there is no such file"
    if anchor and anchor not in anchors(aim):
        return f"{page.relative_to(ROOT)}: {target}: no such heading"
    return None


def pages() -> list[Path]:
    return tracked("*.md")


def test_every_link_and_its_anchor_resolve():
    faults = [fault for page in pages() for target in links(page) if (fault := fault_of(page, target))]
    assert faults == []


def test_every_page_that_code_and_pages_name_exists():
    files = tracked("harness", "devices", "suites", "benchmarks", "tests", "docs", "*.md", "bench", "pyproject.toml")
    missing = []
    for file in files:
        try:
            text = file.read_text()
        except UnicodeDecodeError:
            continue
        for name in _NAMED.findall(text):
            path, _, anchor = name.partition("#")
            found = list(ROOT.glob(path))
            if not found or (anchor and anchor not in anchors(found[0])):
                missing.append(f"{file.relative_to(ROOT)}: {name}")
    assert missing == []


def test_every_page_of_docs_is_reached_from_its_index():
    """From docs/README.md to the index of each shelf, and from there to each page: two steps at most."""
    shelves = {(DOCS / target).resolve() for target in links(DOCS / "README.md")}
    reached = set(shelves)
    for index in shelves:
        if index.name == "README.md":
            reached |= {(index.parent / target.partition("#")[0]).resolve() for target in links(index)}
    unreached = [str(p.relative_to(ROOT)) for p in pages() if p.is_relative_to(DOCS) and p.resolve() not in reached]
    assert [name for name in unreached if name not in ENTRANCES] == []


def test_every_file_of_the_project_that_a_page_names_exists():
    missing = []
    for page in pages():
        for name in _FILE.findall(page.read_text()):
            if not re.search(r"[A-Z]{4}", name) and not list(ROOT.glob(name.rstrip("/"))):
                missing.append(f"{page.relative_to(ROOT)}: {name}")
    assert missing == []


def test_the_map_has_every_room_of_the_house():
    text = (DOCS / "internals" / "architecture.md").read_text()
    rooms = [path.parent.name for path in (ROOT / "harness").glob("*/__init__.py")]
    assert [room for room in rooms if f"| `harness/{room}/` |" not in text] == []


def test_the_seams_that_the_map_names_are_where_it_says():
    text = (DOCS / "internals" / "architecture.md").read_text()
    missing = []
    for room, row in re.findall(r"^\| `(harness/\w+/)` \|(.*)$", text, re.MULTILINE):
        for file, name in re.findall(r"`([\w/]+\.py)(?:: (\w+))?`", row):
            path = ROOT / room / file
            if not path.is_file() or (name and not re.search(rf"\b{name}\b", path.read_text())):
                missing.append(f"{room}{file}: {name}")
    assert missing == []


@pytest.mark.parametrize("shelf", ["guides", "reference", "internals"])
def test_an_index_names_each_page_of_its_shelf_with_a_line_about_it(shelf: str):
    text = (DOCS / shelf / "README.md").read_text()
    for page in (DOCS / shelf).glob("*.md"):
        if page.name != "README.md":
            assert re.search(rf"\]\({re.escape(page.name)}\).{{0,6}}\S.{{15,}}", text), (
                f"{page.name}: no line says what is in it"
            )


def test_the_readme_leads_to_the_docs_and_to_each_shelf():
    targets = {target.partition("#")[0] for target in links(ROOT / "README.md")}
    assert {
        "docs/README.md",
        "docs/guides/README.md",
        "docs/reference/README.md",
        "docs/internals/README.md",
    } <= targets


def test_the_readme_fits_on_one_screen_and_a_half():
    """About 60 lines of a screen each, at 150 columns."""
    lines = (ROOT / "README.md").read_text().splitlines()
    assert sum(max(1, -(-len(line) // 150)) for line in lines) <= 90


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("## Graph caches", "graph-caches"),
        ("# The JSON of `--json`", "the-json-of---json"),
        ("## Vela: what, why?", "vela-what-why"),
    ],
)
def test_anchors_are_those_of_the_page_as_it_is_shown(heading: str, anchor: str, tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(f"{heading}\n\ntext\n\n{heading}\n")
    assert anchors(page) == {anchor, f"{anchor}-1"}


def test_a_link_to_nowhere_is_noticed(tmp_path: Path):
    page = ROOT / "docs" / "README.md"
    assert fault_of(page, "guides/no-such-page.md")
    assert fault_of(page, "reference/devices.md#no-such-heading")
    assert fault_of(page, "reference/devices.md#graph-caches") is None
