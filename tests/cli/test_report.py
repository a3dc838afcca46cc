"""`surgeon report`: what is shown, what is made, and every way in which it can end."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from attention_surgeon.cli.cells import width_of
from attention_surgeon.cli.report import ReportBoard, report_bar
from attention_surgeon.experiments import Progress
from attention_surgeon.experiments.report_runs import Planned, Section
from attention_surgeon.experiments.scaling import run as run_scaling
from tests.cli.conftest import Surgeon
from tests.experiments.test_report_all import failing, small
from tests.experiments.tiny import draw_one, small_figure


@pytest.fixture(autouse=True)
def small_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    figures = {"mask": small_figure()}
    monkeypatch.setattr("attention_surgeon.experiments.report._figures", lambda traces, measured: figures)
    draw_one(monkeypatch)
    few = "attention_surgeon.experiments.report.run_scaling"
    monkeypatch.setattr(few, lambda config: run_scaling(replace(config, num_draws=20)))
    with_experiments(monkeypatch, small("fills"), small("lines"))
    monkeypatch.chdir(tmp_path)


def with_experiments(monkeypatch: pytest.MonkeyPatch, *experiments: object) -> None:
    monkeypatch.setattr("attention_surgeon.experiments.report_all.EXPERIMENTS", experiments)


def test_it_shows_what_was_found_and_where_it_is(surgeon: Surgeon):
    ran = surgeon("report", "--out", "here")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0].rstrip() == "Attention, step by step"
    assert "all 24 checks passed" in ran.out
    assert "✓ fills       e⁰ is 1, so a hidden score of 0 is a score like another" in ran.out
    assert "71 claims: " in ran.out
    lines = [line.strip() for line in lines]
    made = lines[lines.index("Made") + 1 : lines.index("To try next") - 1]
    assert made == ["here/report.html", "here/visualizations/mask.png", "here/learning_journal.md"]
    assert all(Path(path).is_file() for path in made)
    commands = [line.partition(":")[0].split() for line in lines[lines.index("To try next") + 1 :]]
    assert len(commands) == 3
    for _, name, *_ in commands:
        assert surgeon(name, "--help").code == 0
    assert ran.err.splitlines()[-3:] == ["fills: done", "lines: done", "writing the page and the journal ..."]


def test_what_was_run_before_is_read_also_when_run_on_its_own(surgeon: Surgeon):
    surgeon("report")
    again = surgeon("report")
    assert "fills: read from runs/" in again.err
    assert "what stood there before" not in again.out
    assert len(list(Path("runs").iterdir())) == 2
    elsewhere = surgeon("report", "--out", "there", "--runs", "runs")
    assert "fills: read from runs/" in elsewhere.err
    assert not Path("there/runs").exists()
    kept = surgeon("report", "--out", "there", "--heads", "2", "--quick")
    assert "there/report.1.html (what stood there before)" in kept.out
    assert "surgeon report --out there --quick --heads 2" in Path("there/report.html").read_text()


def test_each_run_says_how_to_make_it_again(surgeon: Surgeon, monkeypatch: pytest.MonkeyPatch):
    with_experiments(monkeypatch, small("topk", full={"num_keys": 13, "k_values": (1, 8, 13)}))
    Path("my cat.txt").write_text("the cat sat on the mat. " * 9)
    surgeon("report", "--text", "my cat.txt", "--out", "here")
    page = Path("here/report.html").read_text()
    assert "surgeon experiment run topk --text &#39;my cat.txt&#39; --out here/runs" in page
    assert "surgeon report --text &#39;my cat.txt&#39; --out here</code>" in page


def test_a_failure_is_said_and_is_exit_code_1(surgeon: Surgeon, monkeypatch: pytest.MonkeyPatch):
    with_experiments(monkeypatch, failing("fills", ZeroDivisionError("by 0")), small("lines"))
    ran = surgeon("report")
    assert ran.code == 1
    assert "✗ fills       failed: a mistake in attention-surgeon, please report it:" in ran.out
    assert "ZeroDivisionError: by 0" in ran.err
    assert "✓ lines " in ran.out
    assert "This one failed" in Path("report.html").read_text()


def test_ctrl_c_says_how_to_go_on(surgeon: Surgeon, monkeypatch: pytest.MonkeyPatch):
    with_experiments(monkeypatch, small("fills"), failing("lines", KeyboardInterrupt()))
    ran = surgeon("report", "--out", "here", "--quick")
    assert ran.code == 130
    assert "what is done is kept in here/runs; go on with: surgeon report --out here --quick\n" in ran.err
    with_experiments(monkeypatch, small("fills"), small("lines"))
    assert "fills: read from here/runs/" in surgeon("report", "--out", "here", "--quick").err


def _a_file(name: str) -> Callable[[], object]:
    return lambda: Path(name).write_text("")


@pytest.mark.parametrize(
    ("prepare", "arguments", "message"),
    [
        (None, ["--text", "no.txt"], "cannot read no.txt: there is no such file; check the name and the folder."),
        (_a_file("e.txt"), ["--text", "e.txt"], "report: e.txt holds no words; give a text with at least one word."),
        (lambda: Path("b.txt").write_bytes(b"\xff"), ["--text", "b.txt"], "cannot read b.txt: it is not UTF-8 text"),
        (_a_file("f"), ["--out", "f"], "cannot make the folder f/visualizations: a part of its path is a file"),
        (_a_file("f"), ["--runs", "f"], "cannot make the folder f: a file stands there; choose another place."),
        (lambda: Path("report.html").mkdir(), [], "cannot write report.html: a folder stands there; give a file name."),
        (None, ["--format", "gif"], "report: the format is 'gif'; the choices are png, svg, pdf."),
        (None, ["--tokens", "1"], "report: max_tokens is 1, expected at least 2 tokens to compare."),
        (None, ["--heads", "0"], "report: num_heads is 0, expected a whole number of at least 1."),
    ],
)
def test_wrong_calls_are_one_line(
    prepare: Callable[[], object] | None, arguments: list[str], message: str, surgeon: Surgeon, own_messages: None
):
    if prepare:
        prepare()
    ran = surgeon("report", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[-1].startswith(f"error: {message}")
    assert "done" not in ran.err


def test_a_full_disk_is_said(surgeon: Surgeon, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("attention_surgeon.files.os.fsync", full)
    ran = surgeon("report")
    assert ran.code == 2
    assert "the disk is full; free some space and try again." in ran.err


def test_a_name_that_is_no_utf8_can_be_read(surgeon: Surgeon, monkeypatch: pytest.MonkeyPatch):
    with_experiments(monkeypatch, small("topk", full={"num_keys": 13, "k_values": (1, 8, 13)}))
    name = b"caf\xe9.txt".decode("utf-8", "surrogateescape")
    Path(name).write_text("the cat sat on the mat. " * 9)
    assert surgeon("report", "--text", name).code == 0
    assert "caf\ufffd.txt" in Path("report.html").read_text()


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_no_line_but_paths_is_wider_than_the_window(columns: int, surgeon: Surgeon, monkeypatch: pytest.MonkeyPatch):
    with_experiments(monkeypatch, small("fills"), failing("lines", ZeroDivisionError("by 0 " * 30)))
    lines = [line.rstrip() for line in surgeon("report", columns=columns).out.splitlines()]
    assert not [line for line in lines if width_of(line) > columns and not line.startswith("  ")]


def test_the_board_shows_experiments_done_and_time_left():
    now = [0.0]
    board = ReportBoard(clock=lambda: now[0])
    board.stage("drawing the figures")
    assert board.seconds_left() is None
    planned = [Planned(small(name, seconds=10), None, False) for name in ("fills", "width", "lines")]
    board.plan(planned)
    assert board.seconds_left() == 30
    board.begin(planned[0])
    now[0] = 20.0
    board.end(Section(planned[0], None, "no"))
    assert board.seconds_left() == pytest.approx(40)
    board.begin(planned[1])
    board.tell(Progress("a", 1, 2))
    board.tell(Progress("b", 0, 2))
    now[0] = 25.0
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(board)
    screen = console.export_text().splitlines()
    assert screen[0].rstrip() == f"width: {planned[1].experiment.question}"
    assert screen[1].split("  ") == ["██████████░░░░░░░░░░░░░░", "1 of 3 experiments · 0:25 so far, about 0:35 left"]


def test_on_a_terminal_the_board_goes_away_again():
    console = Console(width=80, file=io.StringIO(), force_terminal=True)
    with report_bar(console) as (watch, on_stage):
        on_stage("drawing the figures")
        watch.on_note("worth knowing")
    written = console.file.getvalue()
    assert "drawing the figures" in written
    assert "worth knowing" in written
