import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from attention_surgeon.cli.cells import width_of
from attention_surgeon.cli.experiment import list_lines
from attention_surgeon.cli.experiment_run import run_screen
from attention_surgeon.cli.live import Board, live_table
from attention_surgeon.experiments import EXPERIMENTS, Progress, find_run
from attention_surgeon.experiments.masking import Variant
from tests.cli.conftest import Ran, Surgeon
from tests.experiments.tiny import TEXT, draw_one

FILLS = ["experiment", "run", "fills", "--quick"]
MASKING = ["experiment", "run", "masking", "--text", "cat.txt", "--set", "num_written=5"]
MASKING += ["--set", "language.num_steps=4", "--set", "language.context_len=7", "--set", "language.embed_dim=4"]


@pytest.fixture(autouse=True)
def beside_a_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cat.txt").write_text(TEXT)


@pytest.fixture
def one_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_one(monkeypatch)


def folder(ran: Ran) -> Path:
    found = re.search(r"^  (runs/\S+)/figures/", ran.out, re.MULTILINE)
    assert found
    return Path(found[1])


def test_a_run_shows_its_table_its_verdict_its_figures_and_how_to_do_it_again(surgeon: Surgeon):
    ran = surgeon(*FILLS, "--seed", "3")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0] == "fills · Why is a hidden score set to -inf, and not to 0?"
    assert any(line.startswith("weights x 0 ") for line in lines)
    assert lines[-1] == "  surgeon experiment run fills --seed 3 --quick"
    verdict = (folder(ran) / "verdict.txt").read_text()
    assert " ".join(verdict.split()) in " ".join(ran.out.split())
    assert (folder(ran) / "figures" / "fills.svg").is_file()
    assert ran.err.splitlines()[0] == "-inf, ours: done"


def test_show_shows_the_same_again(surgeon: Surgeon, one_figure: None):
    ran = surgeon(*FILLS)
    for wanted in ("fills", folder(ran).name, str(folder(ran))):
        assert surgeon("experiment", "show", wanted).out == ran.out


def test_the_same_run_twice_is_the_same_and_another_seed_is_not(surgeon: Surgeon, one_figure: None):
    first, second, third = (folder(surgeon(*FILLS, "--seed", seed)) for seed in ("1", "1", "2"))
    same = surgeon("experiment", "compare", str(first), str(second))
    assert same.code == 0
    assert "every measurement is the same, to the last digit" in same.out
    assert "settings: the same" in same.out
    other = surgeon("experiment", "compare", str(first), str(third))
    assert other.code == 1
    assert "settings: seed 1 → 2" in other.out
    assert re.search(r"^0 +-?0\.0\d\d", other.out, re.MULTILINE)


def test_settings_of_a_group_and_a_text_of_ones_own(surgeon: Surgeon, one_figure: None):
    ran = surgeon(*MASKING)
    assert ran.code == 0
    saved = find_run("masking", Path("runs"))
    assert saved.config["language"]["num_steps"] == 4
    assert saved.config["source"] == "cat.txt"
    assert saved.command == (
        "surgeon experiment run masking --text cat.txt --set num_written=5 --set language.num_steps=4 "
        "--set language.context_len=7 --set language.embed_dim=4"
    )
    assert "causal writes:" in ran.out


def test_ctrl_c_keeps_what_is_done_and_resume_goes_on(
    surgeon: Surgeon, monkeypatch: pytest.MonkeyPatch, one_figure: None
):
    import attention_surgeon.experiments.masking as masking

    train = masking.train_variant

    def interrupted(variant: Variant, *rest, **more):
        if variant.name == "none":
            raise KeyboardInterrupt
        return train(variant, *rest, **more)

    monkeypatch.setattr(masking, "train_variant", interrupted)
    ran = surgeon(*MASKING)
    assert ran.code == 130
    begun = find_run("masking", Path("runs"))
    assert not begun.is_finished
    assert f"what is done is kept in {begun.folder}; go on with: {begun.command} --resume\n" in ran.err
    assert "not finished: go on with" in surgeon("experiment", "show", "masking").out
    assert surgeon("experiment", "compare", str(begun.folder), str(begun.folder)).code == 2

    monkeypatch.setattr(masking, "train_variant", train)
    resumed = surgeon(*MASKING, "--resume")
    assert resumed.code == 0
    assert resumed.err.startswith(f"going on with {begun.folder}\n")
    assert folder(resumed) == begun.folder
    assert surgeon(*MASKING, "--resume").code == 2
    assert surgeon("experiment", "compare", str(begun.folder), str(folder(surgeon(*MASKING)))).code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "fill"], "there is no experiment 'fill'; there are growth, "),
        (["run", "fills", "--text", "cat.txt"], "fills works on drawn numbers, not on a text; leave --text away."),
        (["run", "fills", "--set", "num_draws"], "--set num_draws: expected NAME=VALUE, such as --set num_draws=100."),
        (["run", "fills", "--set", "draws=3"], "fills has no setting 'draws'; it has num_tokens, num_draws, seed."),
        (["run", "fills", "--set", "num_draws=x"], "fills: num_draws is 'x', expected a whole number of at least 1."),
        (["run", "fills", "--set", "seed.a=1"], "fills has no setting 'seed.a': seed is no group of settings."),
        (
            ["run", "masking", "--set", "language.steps=1"],
            "masking's language has no setting 'steps'; it has num_steps, batch_size,",
        ),
        (["run", "masking", "--text", "none.txt"], "cannot read none.txt: there is no such file"),
        (["run", "fills", "--resume"], "no unfinished run of fills with these settings and versions in runs; leave"),
        (
            ["show", "fills"],
            "there is no run 'fills': runs holds none; a run is a folder, or the name of an experiment.",
        ),
    ],
)
def test_wrong_calls_are_one_line(arguments: list[str], message: str, surgeon: Surgeon, own_messages: None):
    ran = surgeon("experiment", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {message}")
    assert not Path("runs").exists()  # nothing is begun before everything is known to be right


def test_two_experiments_are_not_compared(surgeon: Surgeon, one_figure: None):
    fills, width = folder(surgeon(*FILLS)), folder(surgeon("experiment", "run", "width", "--quick"))
    ran = surgeon("experiment", "compare", str(fills), str(width))
    assert ran.code == 2
    assert "is of fills and" in ran.err


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_no_line_but_paths_is_wider_than_the_window(columns: int, surgeon: Surgeon, one_figure: None):
    surgeon(*FILLS)
    lines = [line.plain.rstrip() for line in run_screen(find_run("fills", Path("runs")), columns)]
    lines += [line.plain.rstrip() for line in list_lines(EXPERIMENTS, columns)]
    assert not [line for line in lines if width_of(line) > columns and not re.match(r"  (runs|/|surgeon)", line)]


def test_the_live_table_shows_each_row_its_curve_and_the_time_left():
    now = [0.0]
    board = Board("a question?", clock=lambda: now[0])
    for row in ("causal", "reverse"):
        board.tell(Progress(row, 0, 10))
    assert board.seconds_left() is None
    for step, loss in enumerate((8.0, 6.0, 4.0, 1.0), start=1):
        now[0] += 3
        board.tell(Progress("causal", step, 10, {"loss": loss}))
    assert board.seconds_left() == pytest.approx(16 * 3)
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(board)
    screen = console.export_text().splitlines()
    assert screen[0].rstrip() == "a question?"
    assert screen[1].split() == ["causal", "██████████░░░░░░░░░░░░░░", "█▆▄▁", "1.000"]
    assert screen[2].split() == ["reverse", "░" * 24]
    assert screen[3].strip() == "0:12 so far, about 0:48 left"


def test_on_a_terminal_the_table_goes_away_again():
    console = Console(width=80, file=io.StringIO(), force_terminal=True)
    with live_table("a question?", console) as tell:
        tell(Progress("causal", 1, 1, {"loss": 2.0}))
    written = console.file.getvalue()
    assert "a question?" in written
    assert "causal" in written
    assert "\x1b[1A" in written
