"""The screens that are kept word for word in `golden/`. After a change that is meant, write them anew with

    python -m tests.cli.screens

and read the difference before committing it.
"""

import os
from pathlib import Path

from attention_surgeon.cli.app import run

GOLDEN = Path(__file__).parent / "golden"
CAT = "The cat sat on the mat"

BATS = f"{CAT}, and the bat spat at the rat that sat in the hat."
SCRIPTS = "naïve 猫が座った नमस्ते हिन्दी 👩‍🔬 👍🏽 🇩🇪 [red]x[/red] the\tend\nof\x1b[31m it"
PAIRS = " ".join(f"{word}{n}" for n in range(30) for word in ("walk", "sing"))

SCREENS: dict[str, tuple[int, list[str]]] = {
    "help": (80, ["--help"]),
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
}


def golden(name: str) -> Path:
    return GOLDEN / f"{name}.txt"


if __name__ == "__main__":
    import contextlib
    import io

    GOLDEN.mkdir(exist_ok=True)
    for name, (width, arguments) in SCREENS.items():
        os.environ["COLUMNS"] = str(width)
        with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")) as output:
            assert run(arguments) == 0, name
        golden(name).write_bytes(output.buffer.getvalue())
        print(golden(name))
