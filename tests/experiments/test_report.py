import re
from collections.abc import Callable
from pathlib import Path

import matplotlib.image
import pytest

from attention_surgeon.errors import FileAccessError
from attention_surgeon.experiments.report import STAGES, Report, ReportConfig, run, shipped_text
from attention_surgeon.experiments.scaling import ScalingConfig
from attention_surgeon.models import tokenize

PICTURES = ["attention_heatmap", "attention_heads", "causal_mask", "with_and_without_scale", "scaling_factor"]


def small(folder: Path, **settings: object) -> ReportConfig:
    return ReportConfig(folder=folder, scaling=ScalingConfig(d_k_values=(4, 16), num_draws=20), **settings)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path, list[str]]:
    folder = tmp_path_factory.mktemp("report")
    told: list[str] = []
    return run(small(folder), told.append), folder, told


def test_it_makes_what_it_says_and_nothing_else(made: tuple[Report, Path, list[str]]):
    report, folder, _ = made
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == sorted(["learning_journal.md", *(f"visualizations/{name}.png" for name in PICTURES)])
    assert report.pictures == {name: folder / "visualizations" / f"{name}.png" for name in PICTURES}
    assert report.kept == ()


def test_every_stage_is_told(made: tuple[Report, Path, list[str]]):
    assert len(made[2]) == len(set(made[2])) == STAGES


def test_the_pictures_are_pictures(made: tuple[Report, Path, list[str]]):
    for picture in made[0].pictures.values():
        pixels = matplotlib.image.imread(picture)
        assert min(pixels.shape[:2]) > 300
        assert pixels[..., :3].std() > 0.05


def test_the_traces_are_of_the_text_and_every_check_passes(made: tuple[Report, Path, list[str]]):
    report = made[0]
    assert report.num_tokens == len(tokenize(shipped_text()))
    for trace in report.traces.values():
        assert list(trace.query_tokens) == tokenize(shipped_text())[:24]
    assert all(check.passed for name in ("every key", "causal") for check in report.traces[name].checks())
    assert (report.traces["causal"].weights.triu(1) == 0).all()


def test_the_journal_entry_holds_the_measured_numbers(made: tuple[Report, Path, list[str]]):
    report = made[0]
    journal = report.journal.read_text()
    assert re.search(r"^## \d{4}-\d\d-\d\d \d\d:\d\d · Attention report$", journal, re.MULTILINE)
    for step in report.traces["every key"].steps():
        assert f"| {step.name} | {step.formula} | {' × '.join(map(str, step.shape))} | " in journal
    for record in report.scaling.records:
        assert f"{record['mean_max_weight']:.3f}" in journal
    assert report.scaling.verdict in journal
    for link in re.findall(r"!\[.*?\]\((.*?)\)", journal):
        assert (report.journal.parent / link).is_file()
    assert journal.count("Your answer:") == 3


def test_a_second_run_adds_an_entry_and_keeps_what_changed(tmp_path: Path):
    run(small(tmp_path, max_tokens=7))
    journal = tmp_path / "learning_journal.md"
    journal.write_text(journal.read_text() + "my own answer\n")
    before = journal.read_text()
    again = run(small(tmp_path, max_tokens=7))
    assert again.kept == ()
    assert journal.read_text().startswith(before)
    assert journal.read_text().count("· Attention report") == 2
    old = (tmp_path / "visualizations" / "attention_heatmap.png").read_bytes()
    other = run(small(tmp_path, text="keys and locks and keys", source="mine.txt"))
    copies = [path.name for path in other.kept]
    assert "attention_heatmap.1.png" in copies
    assert "scaling_factor.1.png" not in copies
    assert (tmp_path / "visualizations" / "attention_heatmap.1.png").read_bytes() == old
    assert "Text: mine.txt, 5 tokens; the first 5 are shown." in journal.read_text()


@pytest.mark.parametrize(("image_format", "start"), [("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_other_formats(tmp_path: Path, image_format: str, start: bytes):
    report = run(small(tmp_path, image_format=image_format, text="one two three"))
    for picture in report.pictures.values():
        assert picture.suffix == f".{image_format}"
        assert picture.read_bytes().startswith(start)


def test_a_text_of_one_word_and_a_long_one(tmp_path: Path):
    assert run(small(tmp_path, text="word")).num_tokens == 1
    assert run(small(tmp_path, text="word " * 5000, max_tokens=60)).num_tokens == 5000


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: (folder / "visualizations").write_text(""), r"a file stands there; move it, or use --out"),
        (lambda folder: (folder / "learning_journal.md").mkdir(), r"a folder stands there"),
        (lambda folder: (folder / "visualizations" / "causal_mask.png").mkdir(parents=True), r"a folder stands there"),
    ],
)
def test_what_stands_in_the_way_is_named(tmp_path: Path, prepare: Callable[[Path], None], message: str):
    prepare(tmp_path)
    with pytest.raises(FileAccessError, match=message):
        run(small(tmp_path, text="one two"))


def test_the_text_that_ships_is_a_few_hundred_words():
    assert 300 < len(shipped_text().split()) < 600
