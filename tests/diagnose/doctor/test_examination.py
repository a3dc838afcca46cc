"""The round: in one process or in several the same, told as it goes, and ended clean."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from attention_surgeon.diagnose.doctor import KINDS, examination, examine, kinds_of
from attention_surgeon.diagnose.doctor.examination import Task, perform, plan
from attention_surgeon.errors import OptionError

SMALL = kinds_of("reverse_mask")


def test_two_processes_find_what_one_finds():
    others = multiprocessing.active_children()  # of other tests
    alone, together = (examine(SMALL, drawn=5, workers=workers) for workers in (1, 2))
    assert alone.outcomes == together.outcomes
    assert alone.nearest == together.nearest
    assert alone.is_passed
    assert {*multiprocessing.active_children()} <= {*others}


def test_progress_is_told_up_to_the_end():
    told = []
    report = examine(SMALL, drawn=5, workers=1, tell=lambda *progress: told.append(progress))
    assert [done for _, done, _ in told] == sorted({done for _, done, _ in told})
    assert told[-1] == ("reverse_mask", len(report.outcomes), len(report.outcomes))


def test_the_plan_holds_every_target_once():
    names = [kind.name for kind in KINDS[:3]]
    tasks = plan(names, 5)
    for name in names:
        for group in ("single", "pair", "valid"):
            own = [task for task in tasks if (task.kind, task.group) == (name, group)]
            assert [task.start for task in own] == [0, *(task.stop for task in own)][: len(own)]
    sizes = [sum(task.size for task in tasks if (task.kind, task.group) == (name, "pair")) for name in names]
    assert sizes == [10, 60, 10]


def test_only_a_round_of_all_contracts_can_miss_a_fault():
    assert examine(SMALL, drawn=0, workers=1).never_named == ()
    named = examination._never_named(perform(Task("single", "reverse_mask", 0, 8)).outcomes)
    assert "scale_missing" in named
    assert "mask_inverted" not in named


def test_no_worker():
    with pytest.raises(OptionError) as caught:
        examine(SMALL, workers=0)
    assert str(caught.value) == "workers is 0, expected at least 1."


def test_ctrl_c_ends_all_processes():
    command = [
        sys.executable,
        "-c",
        "from attention_surgeon.cli import main; main(['doctor', '--contract', 'softmax'])",
    ]
    doctor = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while len(group_of(doctor.pid)) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(doctor.pid, signal.SIGINT)
    out, err = doctor.communicate(timeout=30)
    assert (doctor.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "stopped"
    assert "Traceback" not in err
    while group_of(doctor.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert group_of(doctor.pid) == []


def group_of(leader: int) -> list[str]:
    """The processes that began with this one and still run."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [pid for pid, group, state in rows if int(group) == leader and not state.startswith("Z")]
