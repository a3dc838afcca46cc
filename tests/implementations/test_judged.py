"""Every implementation written by hand is judged as what it is: the wrong ones named, the valid ones right."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.implementations.implementation import VALID, WRONG
from tests.implementations.judge import GROUPS, Judged

ROOT = Path(__file__).parents[2]
NAMED = 0.95
"""How many of the wrong ones of each contract must be named; all of them must be rejected."""


@pytest.mark.parametrize("group", GROUPS)
def test_everything_written_by_hand_is_judged_as_what_it_is(group: str):
    command = [sys.executable, "-W", "error", "-m", "tests.implementations.judge", group]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    judged = [Judged(**data) for data in json.loads(answer.stdout)]
    mistaken = [one.line for one in judged if one.verdict != ("wrong" if one.claimed else "right")]
    assert not mistaken, "\n".join(["wrong ones accepted, or right ones rejected:", *mistaken])
    missed = [one for one in judged if not one.is_named]
    allowed = {name: (1 - NAMED) * count for name, count in Counter(o.contract for o in judged if o.claimed).items()}
    too_many = [name for name, count in Counter(one.contract for one in missed).items() if count > allowed[name]]
    assert not too_many, "\n".join([f"too many of {', '.join(too_many)} not named:", *(one.line for one in missed)])


def test_there_are_enough_of_both():
    assert len(WRONG) >= 340
    assert len(VALID) >= 180
