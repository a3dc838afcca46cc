"""The timer counts what it should, in the order it says, and the memory is that of the work alone."""

import gc
import subprocess

import pytest

from benchmarks.side_by_side import Timing, alternate, cost_exponent, peak_extra_memory, ratio
from tests.benchmarks.makers import MIB


def test_contenders_take_turns_and_warm_up_does_not_count():
    called = []
    timings = alternate({name: lambda name=name: called.append(name) for name in "ab"}, turns=3, warm_up=1)
    assert "".join(called) == "ab" + "ab" + "ba" + "ab"
    assert {name: len(timing.taken) for name, timing in timings.items()} == {"a": 3, "b": 3}


def test_no_turn_is_begun_after_the_time_but_one_always_counts():
    timings = alternate({"a": lambda: None}, turns=50, warm_up=0, at_most=0.0)
    assert len(timings["a"].taken) == 1


def test_the_garbage_collector_waits_and_comes_back():
    seen = []
    alternate({"a": lambda: seen.append(gc.isenabled())}, turns=2, warm_up=0)
    assert seen == [False, False]
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        alternate({"a": lambda: 1 / 0}, warm_up=0)
    assert gc.isenabled()


def test_a_ratio_is_taken_turn_by_turn():
    ours, peer = Timing((1.0, 4.0, 9.0)), Timing((2.0, 2.0, 3.0))
    assert ratio(ours, peer).taken == (0.5, 2.0, 3.0)
    assert ratio(ours, peer).median == 2.0
    assert ratio(ours, peer).spread == (0.5, 3.0)
    assert Timing((1.0, 2.0, 3.0, 4.0, 5.0)).spread == (2.0, 4.0)


def test_the_exponent_of_a_power_is_the_power():
    sizes = [3, 5, 11, 40]
    assert cost_exponent(sizes, [7 * size**1.5 for size in sizes]) == pytest.approx(1.5)


@pytest.mark.parametrize("before", [0, 64])
def test_memory_is_that_of_the_work_and_not_of_its_preparation(before: int):
    measured = peak_extra_memory("tests.benchmarks.makers:taking", mebibytes=32, before=before)
    assert measured is None or measured == pytest.approx(32 * MIB, abs=2 * MIB)  # Linux counts pages a few late


def test_work_that_fails_in_its_process_fails_here():
    with pytest.raises(subprocess.CalledProcessError):
        peak_extra_memory("tests.benchmarks.makers:failing")
