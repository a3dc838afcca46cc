"""kill -9 at ten moments, among them the middle of a checkpoint: nothing is lost that was saved, nothing changes."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from attention_surgeon.models.checkpoint import list_checkpoints
from tests.models.killed import CONFIG, MOMENTS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", [11])
def test_ten_kills_change_no_bit(seed: int, tmp_path: Path):
    command = [sys.executable, "-m", "tests.models.killed", str(tmp_path), str(seed)]
    ran = subprocess.run(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
                         check=True)  # fmt: skip
    moments = [line.split("; ") for line in ran.stdout.splitlines()]
    assert Counter(moment for moment, _, _ in moments) == Counter(MOMENTS)
    assert {signal for _, signal, _ in moments} == {"9"}
    assert len({left for _, _, left in moments}) >= 8  # it went on in between
    for killed, straight in zip(*(list_checkpoints(tmp_path / name) for name in ("killed", "straight")), strict=True):
        assert killed.name == straight.name
        assert killed.read_bytes() == straight.read_bytes()  # parameters, moments, losses of every step
    assert straight.stem == f"step-{CONFIG.num_steps - 1:08}"
    assert len(list((tmp_path / "killed").iterdir())) == 2  # what was half written is gone
