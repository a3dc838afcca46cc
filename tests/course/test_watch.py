"""`surgeon watch` in a terminal of its own."""

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from attention_surgeon.cli.watch import Watcher
from attention_surgeon.cli.watch_events import Told
from attention_surgeon.course.asking import Allowance
from attention_surgeon.course.client import Judge
from attention_surgeon.course.history import History
from attention_surgeon.course.start import start_workspace
from attention_surgeon.course.workspace import Workspace
from tests.course.hostile import HEAD, RIGHT
from tests.course.screen import SURGEON, Screen

NO_SCALE = RIGHT.replace(" / Q.shape[-1] ** 0.5", "")
PROBLEM = "problems/01-basics/problem.py"
OTHER = "problems/01-basics/turn.py"


@pytest.fixture(scope="module")
def lab(content: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    start_workspace(folder, (content,), alone=True)
    return folder


@pytest.fixture(scope="module")
def screen(lab: Path) -> Iterator[Screen]:
    with Screen("watch", folder=lab) as screen:
        screen.wait_for("Attention Surgeon", "q quit")
        yield screen


def save(lab: Path, text: str) -> None:
    (lab / PROBLEM).write_text(text, encoding="utf-8")


def stand_at(screen: Screen, lab: Path, text: str) -> None:
    """Have a text judged, whatever came before: a process of the tests' may run any of them and not the others."""
    if (lab / PROBLEM).read_text(encoding="utf-8") != text:
        save(lab, text)
    screen.wait_for(f"sha {hashlib.sha256(text.encode()).hexdigest()[:8]}")


def test_the_first_screen(screen: Screen):
    text = screen.wait_for("Not begun.")
    assert text.splitlines()[0].endswith("░░░░░░░░░░ 0/3")
    assert "basics · attention" in text


def test_a_mistake_and_what_has_changed(screen: Screen, lab: Path):
    save(lab, NO_SCALE.replace("dim=-1", "dim=-2"))
    text = screen.wait_for("✗ Not yet.", "1 more mistake behind it")
    assert "scale_missing" not in text
    screen.press("h")
    screen.wait_for("scale_missing  (scale)", "h fix")
    assert "math.sqrt" not in screen.text
    screen.press("h")
    screen.wait_for("fix   scores = scores / math.sqrt(query.shape[-1])")
    save(lab, NO_SCALE)
    screen.wait_for("since the last save: the softmax is right now; the scale remains")


def test_a_syntax_error_is_told_at_once(screen: Screen, lab: Path):
    save(lab, RIGHT.replace("mask=None):", "mask=None)"))
    screen.wait_for("a colon is missing at the end of this line.")


def test_a_file_that_kills_the_judge(screen: Screen, lab: Path):
    save(lab, f"import os\nos.kill(os.getppid(), 9)\n{RIGHT}")
    screen.wait_for("ended the process that judges it")


def test_a_file_that_writes_to_the_terminal(screen: Screen, lab: Path):
    save(
        lab,
        "import sys\nfor stream in (sys.stdout, sys.__stderr__):\n    print('\\x1b[2Jmine', file=stream)\n1 / 0\n"
        + HEAD,
    )
    screen.wait_for("expected an indented block")
    save(lab, "import sys\nprint('\\x1b[2Jmine')\n1 / 0\n" + RIGHT)
    screen.wait_for("ZeroDivisionError", "\\x1b[2Jmine")


def test_undo_goes_back_and_is_judged(screen: Screen, lab: Path):
    save(lab, NO_SCALE)
    screen.wait_for("✗ Not yet.")
    screen.press("r")
    screen.wait_for("r again puts problems/01-basics/problem.py back as the course gave it")
    screen.press("l")
    assert (lab / PROBLEM).read_text() == NO_SCALE
    screen.press("l")
    screen.press("r")
    screen.press("r")
    screen.wait_for("Not begun.")
    assert "YOUR CODE HERE" in (lab / PROBLEM).read_text()
    screen.press("u")
    screen.wait_for("✗ Not yet.")
    assert (lab / PROBLEM).read_text() == NO_SCALE


def test_a_prediction(screen: Screen, lab: Path):
    screen.press("p")
    screen.wait_for("How many weights?", "press a number")
    screen.press("2")
    screen.wait_for("▸ 2  n_q x n_k  ✓", "One for each pair.")
    screen.press("p")
    screen.wait_for("judged in")
    assert Workspace(lab).state.read().of("basics.attention").prediction == 1


def test_the_page_of_the_lab(screen: Screen):
    screen.press("o")
    screen.wait_for("README.md", "Write attention.", "PgUp PgDn scroll", "2 problems/01-basics/docs/01_scores.md")
    screen.press("2")
    screen.wait_for("a score is a dot product")
    screen.press("\x1b[6~")
    screen.wait_for("the last line of the page")
    assert "a score is a dot product" not in screen.text
    screen.press("o")
    screen.wait_for("judged in")


def test_a_verdict_comes_while_a_page_is_open(screen: Screen, lab: Path):
    screen.press("o")
    screen.wait_for("PgUp PgDn scroll")
    save(lab, HEAD + "    return V\n")
    screen.wait_for("✗ Not yet.", "PgUp PgDn scroll")
    screen.press("o")
    screen.wait_for("judged in")


def test_a_file_that_is_gone(screen: Screen, lab: Path):
    (lab / PROBLEM).unlink()
    screen.wait_for("there is no problems/01-basics/problem.py here", "surgeon reset basics.attention")
    assert "✗ Not yet." not in screen.text
    save(lab, NO_SCALE)
    screen.wait_for("✗ Not yet.")


def test_seeing_what_ones_own_file_does(screen: Screen, lab: Path):
    stand_at(screen, lab, NO_SCALE)
    screen.press("s")
    screen.wait_for("what your attention does")
    screen.wait_for("steps, once with the course's solution and once with your file.")
    screen.press("o")
    screen.wait_for("judged in")


def test_a_training_that_nobody_waits_for_takes_no_page(screen: Screen, lab: Path):
    stand_at(screen, lab, NO_SCALE)
    screen.press("s")
    screen.wait_for("is being trained")
    save(lab, NO_SCALE + "\n")
    screen.wait_for("The training has ended: your file was saved meanwhile.", "✗ Not yet.")
    screen.press("o")
    screen.wait_for("judged in")
    assert "training" not in screen.text


class HalfSaved(Judge):
    """A judge that reads a file while an editor writes it, before anybody hears of the save."""

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if request.get("what") != "train":
            return super().ask(request)
        Path(request["file"]).write_text("", encoding="utf-8")
        return {"sentence": "problem.py has no attention."}


def test_half_a_file_is_nobodys_mistake(workspace: Workspace):
    told: list[dict[str, Any]] = []
    with HalfSaved() as judge:
        watcher = Watcher(workspace, workspace.course.exercise("basics.attention"), judge, Allowance(20))
        try:
            watcher.train(watcher.view.exercise, lambda found: told.append(found) or Told("", []))
            deadline = time.monotonic() + 45
            while not told and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            watcher.close()
    assert told == [{"status": "unwanted"}]


def test_the_file_of_another_exercise(screen: Screen, lab: Path):
    stand_at(screen, lab, NO_SCALE)
    other = (lab / OTHER).read_text(encoding="utf-8")
    (lab / OTHER).write_text(other + "# a remark\n", encoding="utf-8")
    screen.wait_for("turn.py was saved; l goes to basics.turn, where it is judged.")
    (lab / OTHER).write_text(other, encoding="utf-8")
    stand_at(screen, lab, NO_SCALE + "\n")


def test_going_on_says_what_stays_open(screen: Screen, lab: Path):
    stand_at(screen, lab, NO_SCALE)
    screen.press("d")
    screen.wait_for("d shows the course's solution once basics.attention is passed")
    screen.press("n")
    screen.wait_for("turn is as it was given", "basics.attention stays open (scale_missing); l goes back to it.")
    screen.press("l")
    screen.wait_for("▸ ○ basics.turn")
    screen.press("\x1b[A")
    screen.press("\r")
    screen.wait_for("✗ Not yet.")


def test_passing_and_going_on(screen: Screen, lab: Path):
    save(lab, RIGHT)
    text = screen.wait_for(
        "✓ attention is right.", "Each output is an average of the values.", "n goes to: Turn a matrix"
    )
    assert text.splitlines()[0].endswith("███░░░░░░░ 1/3")
    screen.press("d")
    screen.wait_for(
        "problems/01-basics/problem.py, and the course's solution", '+    """Return the average of the values."""'
    )
    screen.press("o")
    screen.press("n")
    screen.wait_for("turn is as it was given")
    screen.press("l")
    screen.wait_for("▸ ○ basics.turn", "✓ basics.attention")
    screen.press("\x1b[A")
    screen.wait_for("▸ ✓ basics.attention")
    screen.press("\r")
    screen.wait_for("✓ attention is right.")


def test_another_size_of_the_window(screen: Screen, lab: Path):
    stand_at(screen, lab, RIGHT)
    screen.resize(44, 18)
    screen.process.send_signal(signal.SIGWINCH)
    text = screen.wait_for("Attention Surgeon", "✓ attention is right.", "─" * 44)
    assert max(len(line) for line in text.splitlines()) <= 44
    screen.resize(80, 24)
    screen.wait_for("─" * 80)


def test_quitting_gives_the_terminal_back(screen: Screen):
    screen.press("q")
    assert screen.wait_for_end() == 0
    assert screen.raw.endswith(b"\x1b[?25h\x1b[?1049l")


SILENT = """
PythonFilter = object


def watch(*paths, stop_event, yield_on_timeout, **settings):
    assert yield_on_timeout
    while not stop_event.wait(0.1):
        yield set()
"""


def test_a_file_system_that_tells_of_nothing(content: Path, tmp_path: Path):
    start_workspace(tmp_path / "lab", (content,), alone=True)
    (tmp_path / "watchfiles.py").write_text(SILENT, encoding="utf-8")
    with Screen("watch", folder=tmp_path / "lab", PYTHONPATH=str(tmp_path)) as screen:
        screen.wait_for("Not begun.", "q quit")
        save(tmp_path / "lab", RIGHT)
        screen.wait_for("✓ attention is right.")


def test_two_watchers_without_colour_and_a_kill(lab: Path):
    save(lab, RIGHT)
    with (
        Screen("watch", folder=lab, NO_COLOR="1") as one,
        Screen("watch", folder=lab / "end", columns=120, rows=40) as two,
    ):
        one.wait_for("✓ attention is right.")
        two.wait_for("✓ attention is right.")
        save(lab, NO_SCALE)
        one.wait_for("✗ Not yet.")
        two.wait_for("✗ Not yet.")
        one.process.kill()
        save(lab, RIGHT)
        two.wait_for("✓ attention is right.")
        os.kill(two.process.pid, signal.SIGINT)
        assert two.wait_for_end() == 0
    assert b"\x1b[31m" not in one.raw
    assert b"\x1b[1m" not in one.raw or b"\x1b[3" not in one.raw
    workspace = Workspace(lab)
    workspace.state.read()
    assert workspace.state.notes == []
    assert History(lab / ".surgeon/history.jsonl").events()


def test_without_a_terminal(lab: Path):
    done = subprocess.run([*SURGEON, "watch"], cwd=lab, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: surgeon watch needs a terminal; surgeon check gives the same verdict without one.\n"
