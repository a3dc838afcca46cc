"""The whole report: one page that needs nothing else, and no failure that loses the rest."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from attention_surgeon.errors import FileAccessError, OptionError
from attention_surgeon.experiments import Experiment, Progress, ReportConfig, ScalingConfig, experiment_named
from attention_surgeon.experiments.page import Commands
from attention_surgeon.experiments.report_all import WholeReport, make_whole_report
from attention_surgeon.experiments.report_runs import Watch, plan_experiments
from attention_surgeon.experiments.result import Drawings
from attention_surgeon.files import write_file
from tests.experiments.reading import PageReader
from tests.experiments.tiny import DRAWN, TEXT, TINY, draw_one, small_figure

COMMANDS = Commands("surgeon report --out 'here & there'", lambda one: f"surgeon experiment run {one.experiment.name}")
HOSTILE = '<script>alert(1)</script> </style><img src=x onerror=alert(2)> & "cats" \x1b[31m \u202e {{ page }} -->\n\n'


def small(name: str, **changes: Any) -> Experiment:
    settings = {key: value for key, value in TINY[name].items() if key not in ("text", "source")}
    return replace(experiment_named(name), **{"full": settings, "quick": settings, **changes})


def failing(name: str, error: BaseException) -> Experiment:
    def run(config: Any, bench: Any) -> Any:
        raise error

    return small(name, run=run)


THREE = (small("fills"), small("masking"), small("lines"))


def made(folder: Path, experiments: tuple[Experiment, ...] = THREE, **settings: Any) -> WholeReport:
    scaling = ScalingConfig(d_k_values=(4, 16), num_draws=20)
    config = ReportConfig(folder=folder, scaling=scaling, max_tokens=7, num_heads=2, **settings)
    return make_whole_report(config, COMMANDS, experiments=experiments)


def read(report: WholeReport) -> PageReader:
    return PageReader(report.page.read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> WholeReport:
    return made(tmp_path_factory.mktemp("report"))


@pytest.fixture(autouse=True)
def one_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but `whole`, which is made before, draw one picture of the text in place of five, and one an experiment."""
    figures = {"mask": small_figure()}
    monkeypatch.setattr("attention_surgeon.experiments.report._figures", lambda traces, measured: figures)
    draw_one(monkeypatch)


def test_the_page_needs_nothing_else_and_can_be_read_aloud(whole: WholeReport):
    page = read(whole)
    assert page.faults() == []
    assert any("default-src 'none'" in meta.get("content", "") for meta in page.all("meta"))
    assert len(page.all("img")) >= 5 + 3
    assert page.all("html")[0]["lang"] == "en"


def test_every_experiment_has_its_chapter(whole: WholeReport):
    page = read(whole)
    text = " ".join(text for _, text in page.texts)
    for section in whole.sections:
        assert section.run is not None
        name = section.planned.experiment.name
        assert {"id": name, "aria-labelledby": f"{name}-question"} in page.all("section")
        assert {"href": f"#{name}"} in page.all("a")
        assert section.planned.experiment.question in page.text_in("h2")
        assert section.run.verdict in text
        assert f"surgeon experiment run {name}" in page.text_in("code")
        assert f"{section.run.seconds:g} s · seed 0 · {section.run.started[:10]}" in text
        for path in section.run.figures:
            drawn = path.with_suffix(".svg").read_text()
            words = re.search(r"<dc:description>(.*?)</dc:description>", drawn)
            assert words
            assert words[1] in [image["alt"] for image in page.all("img")]
    assert "causal writes" in text
    assert f"torch {whole.sections[0].run.versions['torch']}" in text


def test_the_pictures_are_pictures_that_know_day_and_night(whole: WholeReport):
    for image in read(whole).all("img"):
        head, _, pixels = image["src"].partition(",")
        assert head == "data:image/svg+xml;base64"
        drawn = base64.b64decode(pixels).decode()
        assert drawn.startswith("<svg ")
        assert "@media (prefers-color-scheme: dark)" in drawn
        assert 0 < int(image["width"]) < 2000


def test_the_measurements_stand_in_tables(whole: WholeReport):
    page = read(whole)
    cells = page.text_in("td") + page.text_in("th")
    fills = whole.sections[0].run
    assert fills is not None
    for row in fills.records:
        assert row["fill"] in cells
        assert f"{row['hidden_weight']:.3f}" in cells or row["hidden_weight"] < 0.001
    assert "What was measured" in page.text_in("caption")


def test_the_claims_are_counted_and_link_to_what_decides_them(whole: WholeReport):
    page = read(whole)
    statuses = [judgement.status for _, judgement in whole.claims]
    for status in set(statuses):
        assert status in page.text_in("li")
        assert str(statuses.count(status)) in page.text_in("strong")
    assert page.text_in("td").count("fills") + sum(link == {"href": "#fills"} for link in page.all("a")) > 3
    assert "growth was not run with its full settings" in page.text_in("td")


def test_the_journal_tells_of_the_page(whole: WholeReport):
    journal = whole.text.journal.read_text()
    assert "[report.html](report.html)" in journal
    for section in whole.sections:
        assert section.run is not None
        assert f"- **{section.planned.experiment.question}** {section.run.verdict}" in journal


def test_made_again_it_is_read_and_the_same_to_the_byte(tmp_path: Path):
    two = (small("fills"), small("lines"))
    first = made(tmp_path, two)
    before = first.page.read_bytes()
    again = made(tmp_path, two)
    assert again.page.read_bytes() == before
    assert again.kept is None
    assert [section.planned.was_there is not None for section in again.sections] == [True] * 2
    assert len(list((tmp_path / "runs").iterdir())) == 2
    other = made(tmp_path, two, text="another text", source="mine.txt")
    assert other.kept == tmp_path / "report.1.html"
    assert other.kept.read_bytes() == before


def test_a_hostile_text_is_only_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Drawings, "_drawn", DRAWN)  # it stands in the figure, too
    page = made(tmp_path, (small("masking"),), text=HOSTILE * 40, source="<b>evil & co</b>.txt")
    html, reader = page.page.read_text(), read(page)
    assert reader.faults() == []
    assert "<script" not in html
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f]", html)
    assert any("<script>alert(1)</script>" in text for text in reader.text_in("blockquote"))
    assert "<b>evil & co</b>.txt" in reader.text_in("strong")
    assert "{{ page }}" in " ".join(reader.text_in("blockquote"))


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (OptionError("no such <thing>; choose another."), "no such <thing>; choose another."),
        (ZeroDivisionError("by 0"), "a mistake in attention-surgeon, please report it: ZeroDivisionError: by 0"),
    ],
)
def test_a_failing_experiment_does_not_lose_the_rest(tmp_path: Path, error: Exception, problem: str):
    report = made(tmp_path, (small("fills"), failing("width", error), small("lines")))
    assert [section.planned.experiment.name for section in report.failed] == ["width"]
    assert report.failed[0].problem == problem
    page = read(report)
    assert page.faults() == []
    assert f"✗ This one failed: {problem}" in page.text_in("p")
    assert "surgeon experiment run width" in page.text_in("code")
    assert f"failed: {problem}" in report.text.journal.read_text()
    mended = made(tmp_path, (small("fills"), small("width"), small("lines")))
    assert mended.failed == ()
    assert mended.kept is not None


def test_what_was_done_before_ctrl_c_is_kept_and_goes_on(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path, (small("fills"), failing("width", KeyboardInterrupt())))
    assert not (tmp_path / "report.html").exists()
    assert not (tmp_path / "learning_journal.md").exists()
    folders = sorted((tmp_path / "runs").iterdir())
    report = made(tmp_path, (small("fills"), small("width")))
    assert [section.planned.was_there is not None for section in report.sections] == [True, False]
    assert sorted((tmp_path / "runs").iterdir()) == folders


def plan(folder: Path, *experiments: Experiment, **settings: Any) -> list[Any]:
    return list(plan_experiments(ReportConfig(folder=folder, **settings), experiments))


def test_quick_settings_where_the_whole_ones_take_long_and_are_not_there(tmp_path: Path):
    quick = {"num_tokens": 4}
    short, long = small("fills", quick=quick, seconds=2), small("lines", quick=quick, seconds=9)
    assert [one.is_quick for one in plan(tmp_path, short, long, is_quick=True)] == [False, True]
    assert [one.is_quick for one in plan(tmp_path, short, long)] == [False, False]
    judged = made(tmp_path, (short, long), is_quick=True)
    assert {claim.experiment for claim, judgement in judged.claims if judgement.status != "not measured"} == {"fills"}
    assert "lines · quick settings" in read(judged).text_in("p")
    made(tmp_path, (short, long))
    again = plan(tmp_path, short, long, is_quick=True)
    assert [one.is_quick for one in again] == [False, False]
    assert [one.seconds for one in again] == [0, 0]


def test_a_text_of_ones_own_is_used_where_it_is_long_enough(tmp_path: Path):
    own = plan(tmp_path, *THREE, text=TEXT, source="cat.txt")
    assert [one.uses_own_text for one in own] == [False, True, False]
    assert own[1].config.source == "cat.txt"
    short = plan(tmp_path, *THREE, text="too short", source="cat.txt")[1]
    assert not short.uses_own_text
    assert short.remark.startswith("The text that ships with the package was used here, because cat.txt is too short: ")
    report = made(tmp_path, (small("masking"),), text="too short", source="cat.txt")
    assert short.remark in read(report).text_in("p")


def test_who_watches_is_told_everything_in_order(tmp_path: Path):
    told: list[str] = []

    @dataclass
    class Told:
        kind: str

        def __call__(self, what: Any) -> None:
            if not isinstance(what, Progress):
                told.append(f"{self.kind} {what.experiment.name if self.kind == 'begin' else ''}".strip())

    watch = Watch(Told("plan"), Told("begin"), Told("progress"), Told("end"), Told("note"))
    config = ReportConfig(folder=tmp_path, scaling=ScalingConfig(d_k_values=(4, 16), num_draws=20))
    make_whole_report(config, COMMANDS, watch, told.append, (small("fills"), failing("width", ZeroDivisionError())))
    assert told == [
        "tracing attention on the text",
        "measuring the scale 1/√d_k",
        "drawing the figures",
        "plan",
        "begin fills",
        "end",
        "begin width",
        "note",
        "end",
        "writing the page and the journal",
    ]


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: (folder / "report.html").mkdir(), r"cannot write .*report.html: a folder stands there"),
        (lambda folder: (folder / "learning_journal.md").mkdir(), r"learning_journal.md: a folder stands there"),
        (lambda folder: (folder / "runs").write_text(""), r"cannot make the folder .*runs"),
    ],
)
def test_what_stands_in_the_way_is_said_before_the_work(tmp_path: Path, prepare: Callable[[Path], None], message: str):
    prepare(tmp_path)
    with pytest.raises(FileAccessError, match=message):
        made(tmp_path, (failing("fills", AssertionError("nothing is to be run")),))
    assert [path.name for path in tmp_path.glob("runs/*")] == []


def test_a_damaged_run_is_made_again(tmp_path: Path):
    before = made(tmp_path, (small("fills"),)).sections[0].run
    assert before is not None
    write_file(before.folder / "records.jsonl", "{")
    report = made(tmp_path, (small("fills"),))
    run = report.sections[0].run
    assert run is not None
    assert run.records == before.records
    assert run.folder != before.folder
    assert any(text.startswith("It was run again, because ") for text in read(report).text_in("p"))
    assert made(tmp_path, (small("fills"),)).sections[0].run == run


def test_a_quick_report_keeps_to_one_thread(tmp_path: Path):
    seen: list[int] = []

    def run(config: Any, bench: Any) -> Any:
        seen.append(torch.get_num_threads())
        raise ValueError("enough")

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for is_quick in (True, False):
            made(tmp_path / str(is_quick), (small("fills", run=run),), is_quick=is_quick)
        assert (seen, torch.get_num_threads()) == ([1, 2], 2)
    finally:
        torch.set_num_threads(before)
