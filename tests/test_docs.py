"""What README and docs show is what the commands print today."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.generate import BLOCK, PAGES, ROOT, block
from docs.links import broken_links
from tests.forked import Forks

QUICK = (
    "surgeon ",
    "pytest ",
    "python -m benchmarks.peak",
    "python -m benchmarks.table --",
    "python -m benchmarks.research --stored",
    "python -m benchmarks.model_types --stored",
    "python -m docs.definitions",
    "python -m docs.faults",
    "python -m tests.bad_call",
    "python -m tests.cases.table",
    "python -m tests.course",
    "python -m tests.torchs_own",
    "python -m tests.versions",
    "python -m tests.viewer",
)
LOADED = ("transformers", "attention_surgeon.cli.verdict", "attention_surgeon.diagnose", "attention_surgeon.models")
BLOCKS = [
    (page, match) for page in PAGES for match in BLOCK.finditer(page.read_text()) if match["command"].startswith(QUICK)
]


def without_noise(text: str) -> str:
    """Drop the rounding errors, which differ between machines."""
    return re.sub(r"± \d\S*", "±", text)


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks(*LOADED) as forks:
        yield forks


@pytest.mark.parametrize(("page", "match"), BLOCKS, ids=[match["command"] for _, match in BLOCKS])
def test_the_block_is_up_to_date(page: Path, match: re.Match[str], forks: Forks):
    run = subprocess.run if match["command"].startswith("pytest ") else forks.run  # pytest warns of what is loaded
    assert without_noise(block(match, run)) == without_noise(match[0]), f"make figures would change {page.name}"


def test_no_generated_block_is_empty():
    bodies = [match["body"].strip() for page in PAGES for match in BLOCK.finditer(page.read_text())]
    assert len(bodies) >= 5
    assert all(bodies)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_local_link_leads_somewhere(page: Path):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#:\s]+)[^):]*\)", text) + re.findall(r'(?:src|srcset)="([^":]+)"', text)
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("word", ["patching", "heat map", "vision", "Jupyter", "rollout", "pandas", "install"])
def test_the_search_finds_what_people_look_for(word: str):
    """The site's search reads every page of docs; README is none of them."""
    assert any(word.lower() in page.read_text().lower() for page in PAGES if page.parent != ROOT)


def test_no_picture_lies_unused():
    text = "".join(page.read_text() for page in PAGES)
    unused = [path.name for path in (ROOT / "docs" / "images").iterdir() if path.name not in text]
    assert not unused


def test_the_link_checker_sees_what_leads_nowhere(tmp_path: Path):
    (tmp_path / "one").mkdir()
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "one" / "index.html").write_text('<h2 id="here">x</h2><img src="../a.png"><img src="a.png">')
    links = "".join(f'<a href="{link}"></a>' for link in ("one/", "one/#here", "one/#there", "https://a.org/", "two"))
    (tmp_path / "index.html").write_text(f'{links}<source srcset="a.png 1x, b.png 2x">')
    found = [(str(page), link) for page, link in broken_links(tmp_path)]
    assert found == [
        ("index.html", "one/#there"),
        ("index.html", "two"),
        ("index.html", "b.png"),
        ("one/index.html", "a.png"),
    ]


def test_no_page_brings_pictures_of_its_own_kind():
    """The site stands a folder deeper than the page: only a picture in Markdown is found from there."""
    raw = [page.name for page in PAGES if page.parent != ROOT and re.search(r"<(?:img|source)\b", page.read_text())]
    assert raw == []


def test_the_readme_counts_units_and_exercises():
    from attention_surgeon.course import load_course  # after the hook of jaxtyping

    course = load_course()
    told = re.search(r"a course of (\w+) units and (\d+) exercises", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert told is not None
    assert (told[1], int(told[2])) == ("six", len(course.exercises))
    assert len(course.units) == 6
