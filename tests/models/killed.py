"""Train, be killed at ten moments drawn from a seed, go on each time: `python -m tests.models.killed DIR SEED`.

One process loads PyTorch and forks those that are killed, because ten starts would take half a minute. Prints a line
for each: the moment, and the signal it died of.
"""

import dataclasses
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from attention_surgeon import files
from attention_surgeon.models import StepRecord, train
from attention_surgeon.models.checkpoint import list_checkpoints
from tests.models.small import CONFIG, CORPUS, decoder

CONFIG = dataclasses.replace(CONFIG, num_steps=400, save_every=3)
MOMENTS = ["between two steps"] * 5 + ["half written"] * 2 + ["written, not moved"] * 2 + ["moved, old one there"]


def work(folder: Path, on_step: Callable[[StepRecord], None] = lambda record: None) -> None:
    """Train in `folder` to the end, from whatever lies there."""
    train(decoder(dropout=0.3), CORPUS, CONFIG, folder=folder, on_step=on_step)


def die() -> None:
    """Be killed, with no chance to tidy up."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(moment: str, number: int) -> None:
    """Let this process die in its write number `number`, counted from 0."""
    write, replace, seen = Path.write_bytes, Path.replace, [0]

    def is_now() -> bool:
        seen[0] += 1
        return seen[0] > number

    def write_half(path: Path, content: bytes) -> int:
        if is_now():
            write(path, content[: len(content) // 2])
            die()
        return write(path, content)

    def replace_not(path: Path, target: Path) -> Path:
        if is_now():
            die()
        return replace(path, target)

    def replace_and_die(path: Path, target: Path) -> Path:
        replace(path, target)
        if is_now():
            die()
        return target

    if moment == "half written":
        files.Path.write_bytes = write_half  # pyright: ignore[reportAttributeAccessIssue]
    else:
        files.Path.replace = replace_not if moment == "written, not moved" else replace_and_die  # pyright: ignore


def be_killed(folder: Path, moment: str, draw: random.Random) -> int:
    """Start the training in a process of its own, have it killed and return the signal it died of, 0 if it ended."""
    number, delay = draw.randint(1, 20), draw.uniform(0, 0.005)
    done = int(list_checkpoints(folder)[0].stem[5:]) if list_checkpoints(folder) else 0
    steps, told = os.pipe()
    process = os.fork()
    if process == 0:
        if moment != "between two steps":
            arm(moment, number // 4)
        work(folder, lambda record: os.write(told, b".") if record.step > done else None)  # pyright: ignore
        os._exit(0)
    os.close(told)
    if moment == "between two steps":
        for _ in range(number):
            os.read(steps, 1)
        time.sleep(delay)
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    os.close(steps)
    return os.WTERMSIG(status)


def main(folder: Path, seed: int) -> None:
    """Be killed ten times, then go on to the end; beside it, train without being disturbed."""
    torch.set_num_threads(1)
    draw = random.Random(seed)
    for moment in draw.sample(MOMENTS, len(MOMENTS)):
        died_of = be_killed(folder / "killed", moment, draw)
        left = list_checkpoints(folder / "killed")
        print(moment, died_of, left[0].stem if left else "nothing", sep="; ")
    work(folder / "killed")
    work(folder / "straight")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
