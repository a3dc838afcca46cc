"""Go through the first quarter of an hour of a newcomer and print what the terminal shows: `python -m docs.newcomer`.

The commands are run in a terminal of the sizes that are named, and the file is written as somebody would: four times.
"""

import subprocess
import tempfile
from pathlib import Path

from tests.course.screen import SURGEON, Screen

FILE = "problems/02-attention-basics/problem.py"
HEAD = '''"""Problem 2: attention with one head, without the scale."""

import torch
from torch import nn


class SimpleAttention(nn.Module):
    def __init__(self, n_embd=768):
        super().__init__()
        self.query = nn.Linear(n_embd, n_embd)
        self.key = nn.Linear(n_embd, n_embd)
        self.value = nn.Linear(n_embd, n_embd)

    def forward(self, x):
        q, k, v = self.query(x), self.key(x), self.value(x)
'''
LONGEST = 300.0  # seconds for a window to come, on a computer that has other things to do

FORGOTTEN_BRACKET = "        scores = q @ k.transpose(-2, -1\n"
WRONG_AXIS = """        scores = q @ k.transpose(-2, -1)
        attention_weights = torch.softmax(scores, dim=1)
        return attention_weights @ v
"""
KEYS_GATHERED = """        scores = q @ k.transpose(-2, -1)
        attention_weights = torch.softmax(scores, dim=-1)
        return attention_weights @ k
"""
RIGHT = KEYS_GATHERED.replace("@ k\n", "@ v\n")


def show(said: str, screen: Screen) -> None:
    """Print what was done and the window after it."""
    screen.settle()
    print(f"\n{said}\n\n```text\n{screen.text}\n```")


def watch(folder: Path) -> None:
    """Save the file four times while `surgeon watch` runs, and print what it says each time."""
    file = folder / FILE
    with Screen("watch", folder=folder) as screen:
        screen.wait_for("write SimpleAttention", seconds=LONGEST)
        screen.wait_for("Not begun", seconds=LONGEST)
        show("`surgeon watch`, in a window of 80 x 24. The file is as it was given:", screen)
        file.write_text(HEAD + FORGOTTEN_BRACKET)
        screen.wait_for("never closed", seconds=LONGEST)
        show("First attempt, a bracket is missing:", screen)
        file.write_text(HEAD + WRONG_AXIS)
        screen.wait_for("columns do", seconds=LONGEST)
        show("Second attempt, `torch.softmax(scores, dim=1)`:", screen)
        screen.press("h")
        screen.wait_for("softmax_over_queries", seconds=LONGEST)
        show("Where is that? `h`:", screen)
        file.write_text(HEAD + KEYS_GATHERED)
        screen.wait_for("the softmax is right now", seconds=LONGEST)
        show("Third attempt, with `dim=-1`; by mistake the keys are averaged instead of the values:", screen)
        screen.press("s")
        screen.wait_for("A small model learned", seconds=LONGEST)
        show(
            "What does that do? `s` trains a small model with the file as it is, beside one with the solution:", screen
        )
        screen.press("q")
    with Screen("watch", folder=folder, columns=120, rows=40) as screen:
        screen.wait_for("Not yet", seconds=LONGEST)
        show("The same in a window of 120 x 40:", screen)
        file.write_text(HEAD + RIGHT)
        screen.wait_for("SimpleAttention is right", seconds=LONGEST)
        show("Fourth attempt, `attention_weights @ v`:", screen)
        screen.press("n")
        screen.wait_for("basics", seconds=LONGEST)
        screen.press("q")


def run(*arguments: str, folder: Path) -> None:
    """Run a command and print what it prints."""
    ran = subprocess.run([*SURGEON, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    print(f"\n```text\n$ surgeon {' '.join(arguments)}\n{ran.stdout.rstrip()}\n```")


def main() -> None:
    """Start a workspace, learn in it, look back."""
    with tempfile.TemporaryDirectory() as folder:
        run("start", "my_course", folder=Path(folder))
        watch(Path(folder) / "my_course")
        run("history", folder=Path(folder) / "my_course")


if __name__ == "__main__":
    main()
