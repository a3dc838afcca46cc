"""The screens that are kept word for word in `golden/`. After a change that is meant, write them anew with

    python -m tests.cli.screens

and read the difference before committing it.
"""

import os
from pathlib import Path

from rich.text import Text

from attention_surgeon.cli.app import run
from attention_surgeon.cli.diagnose import diagnosis_lines
from attention_surgeon.verdict import Level
from tests.cli.judged import DIAGNOSES

GOLDEN = Path(__file__).parent / "golden"
CAT = "The cat sat on the mat"

BATS = f"{CAT}, and the bat spat at the rat that sat in the hat."
SCRIPTS = "naïve 猫が座った नमस्ते हिन्दी 👩‍🔬 👍🏽 🇩🇪 [red]x[/red] the\tend\nof\x1b[31m it"
PAIRS = " ".join(f"{word}{n}" for n in range(30) for word in ("walk", "sing"))

SCREENS: dict[str, tuple[int, list[str]]] = {
    "help": (80, ["--help"]),
    "report_help": (80, ["report", "--help"]),
    "experiment_help": (80, ["experiment", "--help"]),
    "experiment_run_help": (80, ["experiment", "run", "--help"]),
    "experiment_list_80": (80, ["experiment", "list"]),
    "experiment_list_50": (50, ["experiment", "list"]),
    "trace_80": (80, ["trace", CAT]),
    "trace_60_causal": (60, ["trace", CAT, "--mask", "causal"]),
    "trace_40_unscaled": (40, ["trace", CAT, "--no-scale", "--head", "2"]),
    "trace_100_many_tokens": (100, ["trace", BATS, "--head", "1"]),
    "trace_80_scripts": (80, ["trace", SCRIPTS, "--head", "2"]),
    "trace_80_pooled": (80, ["trace", PAIRS, "--heads", "1"]),
    "trace_help": (80, ["trace", "--help"]),
    "view_help": (80, ["view", "--help"]),
    "diagnose_help": (80, ["diagnose", "--help"]),
    "diagnose_right_80": (80, ["diagnose", "examples/wrong/first_try.py:mended"]),
    "diagnose_fault_80": (80, ["diagnose", "examples/wrong/first_try.py:attention"]),
    "diagnose_unjudged_80": (80, ["diagnose", "examples/wrong/first_try.py:attention", "--contract", "multihead"]),
    "faults_help": (80, ["faults", "--help"]),
    "faults_80": (80, ["faults"]),
    "faults_40_scale": (40, ["faults", "--stage", "scale"]),
    "faults_page_80": (80, ["faults", "softmax_over_queries"]),
    "faults_page_110": (110, ["faults", "mask_after_softmax"]),
    "faults_page_40": (40, ["faults", "nan_rows"]),
}
EXIT_CODES = {"diagnose_fault_80": 1, "diagnose_unjudged_80": 2}

DRAWN: dict[str, tuple[int, Level, str]] = {
    "diagnose_question_80": (80, "question", "one fault"),
    "diagnose_pointer_40": (40, "pointer", "one fault"),
    "diagnose_fix_80": (80, "fix", "one fault"),
    "diagnose_two_80": (80, "pointer", "two faults"),
    "diagnose_tie_80": (80, "pointer", "a tie"),
    "diagnose_unknown_80": (80, "pointer", "unknown"),
    "diagnose_conduct_80": (80, "question", "conduct"),
    "diagnose_stopped_80": (80, "pointer", "stopped"),
}
"""Screens of diagnoses that were made by hand."""


def golden(name: str) -> Path:
    return GOLDEN / f"{name}.txt"


def drawn(name: str) -> str:
    width, level, diagnosis = DRAWN[name]
    lines = Text("\n").join(diagnosis_lines(DIAGNOSES[diagnosis], level, width))
    return "\n".join(line.rstrip() for line in f"{lines.plain}\n".split("\n"))


if __name__ == "__main__":
    import contextlib
    import io

    GOLDEN.mkdir(exist_ok=True)
    for name, (width, arguments) in SCREENS.items():
        os.environ["COLUMNS"] = str(width)
        with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")) as output:
            assert run(arguments) == EXIT_CODES.get(name, 0), name
        golden(name).write_bytes(output.buffer.getvalue())
        print(golden(name))
    for name in DRAWN:
        golden(name).write_text(drawn(name), encoding="utf-8")
        print(golden(name))
