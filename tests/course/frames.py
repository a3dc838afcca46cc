"""The windows of `surgeon watch` that are kept word for word in `golden/`. After a change that is meant, run

    python -m tests.course.frames

and read the difference before committing it.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.text import Text

from attention_surgeon.cli.watch_pages import differing_lines, trained_lines
from attention_surgeon.cli.watch_screen import Mode, View, frame
from attention_surgeon.course import Course, load_course
from attention_surgeon.course.session import Judged
from attention_surgeon.course.state import Standing
from attention_surgeon.course.verdict import ExerciseVerdict
from attention_surgeon.verdict import Behaviour, Counterexample, Difference, Location, Mistake, Sighting, Verdict
from tests.course.tiny import write_course

GOLDEN = Path(__file__).parent / "golden"

AXIS = Mistake(
    "softmax_over_queries",
    "normalise",
    "The softmax runs over the queries: columns sum to 1, rows do not.",
    "Your rows do not sum to 1; your columns do.",
    "Along which axis should one query's choices add up?",
    "Look at the axis of the softmax: it must be that of the keys, the last one.",
    "weights = torch.softmax(scores, dim=-1)",
    (Sighting("someone/something", 7),),
)
MASK = Mistake("mask_ignored", "mask", symptom="Hidden keys get weights.", question="What does the mask do?")
YOURS = np.array([[0.31, 0.5, 0.2], [0.69, 0.5, 0.8]])
EXPECTED = np.array([[0.62, 0.3, 0.08], [0.07, 0.53, 0.4]])
EXAMPLE = Counterexample(
    "Q = torch.tensor([[1, 0]], dtype=torch.float32)\nK = torch.tensor([[1, 0], [0, 1]], dtype=torch.float32)",
    "weights",
    np.array([[1.0, 1.0]]),
    np.array([[0.67, 0.33]]),
)
DIFFERENCE = Difference("weights", ("scores", "scaled"), "Q (2, 5, 4)", YOURS, EXPECTED)
WRONG = Verdict("wrong", "attention", (AXIS, MASK), difference=DIFFERENCE, counterexample=EXAMPLE)
REMARK = Behaviour(None, "it answers a fourth axis too", is_fault=False)
BASE = ExerciseVerdict(
    "basics.attention",
    "problems/01-basics/problem.py",
    "attention",
    "3f9a1c22" * 8,
    "2026-11-03T14:02:07+00:00",
    "mistake",
    found=WRONG,
    seconds=0.081,
)
UNKNOWN = replace(BASE, found=replace(WRONG, mistakes=(), difference=replace(DIFFERENCE, right_before=())))
PASSED = replace(BASE, status="passed", found=Verdict("right", "attention", behaviour=(REMARK,)))
STOPPED = replace(
    PASSED,
    status="stopped",
    found=Verdict("unjudged"),
    sentence="problem.py was stopped after 10 s at line 8.",
    printed="a\nb\n\x1b[31mc\n",
)
CRASHED = replace(
    STOPPED,
    found=Verdict(
        "unjudged",
        reason="AttributeError: module 'numpy' has no attribute 'sqr'. Did you mean: 'sqrt'?\n"
        "This happened in the call attention(numbers of shape (5, 3)).",
        location=Location("/home/somebody/lab/problem.py", 9, "scores = scores / np.sqr(d_k)"),
    ),
    sentence="problem.py, line 9: AttributeError",
    printed="",
)
UNTOUCHED = replace(
    PASSED, status="untouched", found=Verdict("unjudged"), sentence="attention is as it was given: write the part."
)

TRAINED = {
    "steps": 100,
    "measured": [
        ["what follows, once the pattern is seen", 1.0, 1.0],
        ["what follows, before anybody can know", 0.08, 1.0],
        ["when it writes: no future to look at", 1.0, 0.31],
    ],
}

ASKED = """
Write `attention(Q, K, V)`: each query compares itself with every key, and the answers are averaged.

| step | shape |
|---|---|
| scores | (n_q, n_k) |
| weights | (n_q, n_k), each row sums to 1 |

1. Scores. 2. Scale. 3. Softmax over the keys. 4. Times the values.
"""

FRAMES: dict[str, tuple[int, int, str]] = {
    "question_80x24": (80, 24, "question"),
    "question_120x40": (120, 40, "question"),
    "pointer_80x24": (80, 24, "pointer"),
    "fix_80x24": (80, 24, "fix"),
    "fix_80x15": (80, 15, "fix"),
    "question_40x20": (40, 20, "question"),
    "unknown_80x24": (80, 24, "unknown"),
    "passed_80x24": (80, 24, "passed"),
    "stopped_80x24": (80, 24, "stopped"),
    "crashed_80x24": (80, 24, "crashed"),
    "untouched_80x24": (80, 24, "untouched"),
    "opening_80x24": (80, 24, "opening"),
    "opening_120x40": (120, 40, "opening"),
    "untouched_120x40": (120, 40, "untouched"),
    "passed_120x40": (120, 40, "passed"),
    "stopped_120x40": (120, 40, "stopped"),
    "hint_80x15": (80, 15, "hint"),
    "news_80x12": (80, 12, "news"),
    "list_80x12": (80, 12, "list"),
    "predict_80x24": (80, 24, "predict"),
    "predicted_80x24": (80, 24, "predicted"),
    "page_80x12": (80, 12, "page"),
    "pointer_120x40": (120, 40, "pointer"),
    "fix_120x40": (120, 40, "fix"),
    "unknown_120x40": (120, 40, "unknown"),
    "crashed_120x40": (120, 40, "crashed"),
    "predict_120x40": (120, 40, "predict"),
    "list_80x24": (80, 24, "list"),
    "trained_80x24": (80, 24, "trained"),
    "trained_120x40": (120, 40, "trained"),
    "long_news_80x24": (80, 24, "long_news"),
}


def view_of(course: Course, what: str, width: int = 80) -> View:
    """Return the view that a golden window shows."""
    standing = Standing(attempts=3, level={"pointer": 1, "fix": 2}.get(what, 0), hints=1)
    view = View(course.exercises[0], course.exercises, {"basics.turn": Standing(passed="2026-11-03T13:00:00+00:00")})
    verdicts = {"unknown": UNKNOWN, "passed": PASSED, "stopped": STOPPED, "crashed": CRASHED, "untouched": UNTOUCHED}
    if what != "opening":
        since = "the scale is right now; the softmax remains" if what in ("question", "fix") else ""
        view.judged = Judged(verdicts.get(what, BASE), standing, since)
    else:
        view.busy = "judging … 2 s, torch is loading"
    view.asked = ASKED
    if what == "hint":
        view.message = "A hint that goes on and on. " * 30
    if what == "news":
        view.news = "✓ attention is right."
    view.links = ["problems/01-basics/README.md", "problems/01-basics/docs/01_scores.md"]
    modes: dict[str, Mode] = {"list": "list", "predict": "predict", "predicted": "predict", "page": "page"}
    modes |= dict.fromkeys(("news", "long_news", "trained"), "page")
    view.mode = modes.get(what, "verdict")
    view.answer = 0 if what == "predicted" else None
    view.title, view.page = "problems/01-basics/README.md", [Text(f"line {number}") for number in range(20)]
    if what == "trained":
        view.title, view.links, view.judged = "what your attention does", [], Judged(BASE, standing)
        view.page = [*differing_lines(BASE, width), *trained_lines(TRAINED, "attention", width)]
    if what == "long_news":
        view.news = "problem.py was stopped after 9 s: it had not come to an end. Look for a loop without an end. " * 2
    view.cursor = 0 if what == "trained" else 1 if what == "list" else 3
    return view


def drawn(course: Course, name: str) -> str:
    width, height, what = FRAMES[name]
    return "\n".join(line.plain.rstrip() for line in frame(view_of(course, what, width), width, height)) + "\n"


def golden(name: str) -> Path:
    return GOLDEN / f"{name}.txt"


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        tiny = load_course(write_course(Path(folder)))
        for name in FRAMES:
            golden(name).write_text(drawn(tiny, name), encoding="utf-8")
