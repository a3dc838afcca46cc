"""What the code does to its process stays there, and what it says arrives whole."""

import gc
import os
import re
import resource
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from attention_surgeon.diagnose.child import Limits, Outcome, run_in_child
from attention_surgeon.errors import OptionError
from tests.diagnose.child.running import run_source


def finished(outcome: Outcome) -> Any:
    assert (outcome.ended, outcome.sentence) == ("finished", "")
    return outcome.value


def test_the_answer_arrives_whole_whatever_was_printed(tmp_path: Path):
    source = """
        import os, sys
        print("at import")
        def f():
            os.write(1, b'{"ended": "raised"}')
            print("to stderr", file=sys.stderr)
            return {"text": "é\\n" * 100_000, "list": [1, 2.5, None, True]}
    """
    outcome = run_source(tmp_path, source)
    assert finished(outcome) == {"text": "é\n" * 100_000, "list": [1, 2.5, None, True]}
    assert outcome.printed == 'at import\n{"ended": "raised"}to stderr\n'


def test_long_prints_lose_their_middle(tmp_path: Path):
    outcome = run_source(tmp_path, "def f():\n    for i in range(9000): print(f'line {i}')")
    finished(outcome)
    assert outcome.printed.startswith("line 0\nline 1\n")
    assert outcome.printed.endswith("line 8998\nline 8999\n")
    cut = sum(len(f"line {i}\n") for i in range(9000)) - 2 * 8192
    assert f"\n[... {cut:,} bytes are left out here ...]\n" in outcome.printed
    assert len(outcome.printed) < 17_000


def test_what_it_inherits_is_not_searched_for_garbage():
    assert finished(run_in_child(lambda: len(gc.get_objects()), start="fork")) < len(gc.get_objects()) / 10


@pytest.mark.parametrize(
    "line",
    [
        "os.closerange(3, 100_000)",
        "os.closerange(0, 100_000)",
        "sys.stdout.close(); sys.stderr.close(); sys.stdin.close()",
        "sys.stdout = sys.stderr = None",
        "os.chdir('/')",
        "warnings.simplefilter('error')",
        "sys.setrecursionlimit(120)",
        "os.environ.clear()",
        "sys.excepthook = sys.unraisablehook = None",
        "builtins.open = builtins.print = None",
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 30))",
        "threading.Thread(target=time.sleep, args=(99,)).start()",
        "atexit.register(time.sleep, 99)",
        "sys.settrace(lambda *_: None)",
        "gc.disable(); sys.path.clear()",
    ],
)
def test_no_change_of_the_process_keeps_the_answer_back(tmp_path: Path, line: str):
    names = "atexit, builtins, gc, os, signal, sys, threading, time, warnings"
    assert finished(run_source(tmp_path, f"import {names}\n{line}\ndef f():\n    return 6 * 7")) == 42


def test_what_it_does_to_torch_stays_in_the_child_and_is_undone_for_the_judge(tmp_path: Path):
    source = """
        import numpy as np
        import torch, warnings
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        torch.set_grad_enabled(False)
        torch.set_num_threads(2)
        torch.set_float32_matmul_precision("medium")
        np.seterr(all="raise")
        warnings.simplefilter("error")
        torch.softmax = None
        def f():
            warnings.warn("only a warning")
            return [str(torch.get_default_dtype()), torch.ones(1).device.type, torch.is_grad_enabled(),
                    torch.get_num_threads(), torch.get_float32_matmul_precision(), np.geterr()["divide"], torch.softmax]
    """
    outcome = run_source(tmp_path, source)
    assert finished(outcome) == ["torch.float32", "cpu", True, 1, "highest", "warn", None]
    assert torch.get_default_dtype() == torch.float32
    assert torch.softmax is not None


def test_the_parent_is_as_it_was():
    def settings() -> list[object]:
        handlers = [signal.getsignal(number) for number in signal.valid_signals()]
        streams = [sys.stdin, sys.stdout, sys.stderr]
        return [handlers, streams, os.getcwd(), sys.path[:], sys.argv[:], torch.get_num_threads(), warnings.filters[:]]

    before = settings()
    assert run_in_child(lambda: 1, start="fork").value == 1
    assert settings() == before


def test_the_child_has_none_of_the_parents_signal_handlers():
    before = signal.signal(signal.SIGUSR2, lambda *_: None)
    try:
        outcome = run_in_child(lambda: os.kill(os.getpid(), signal.SIGUSR2), start="fork")
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert (outcome.ended, outcome.sentence) == ("crashed", "the code crashed: SIGUSR2 ended it.")


def test_the_child_blocks_no_signal_wakes_no_loop_and_leaves_no_core():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    core = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (core[1], core[1]))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    signal.set_wakeup_fd(writer)
    try:
        outcome = run_in_child(
            lambda: [
                len(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
                signal.set_wakeup_fd(-1),
                resource.getrlimit(resource.RLIMIT_CORE),
            ],
            start="fork",
        )
    finally:
        signal.set_wakeup_fd(-1)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        resource.setrlimit(resource.RLIMIT_CORE, core)
        os.close(reader)
        os.close(writer)
    assert finished(outcome) == [0, -1, [0, 0]]


def test_who_ignores_the_end_of_its_processor_time_is_killed_a_second_later():
    def work() -> list[float]:
        return [*resource.getrlimit(resource.RLIMIT_CPU), sum(os.times()[:2])]

    soft, hard, used = finished(run_in_child(work, limits=Limits(seconds=7), start="fork"))
    assert hard == soft + 1
    assert used < 7 < soft <= 7 * (os.cpu_count() or 1) + used + 2


def test_the_child_has_no_terminal_and_its_own_session():
    assert run_in_child(lambda: os.getsid(0) == os.getpid(), start="fork").value is True


def test_the_child_reads_nothing_from_the_parents_standard_input():
    reader, writer = os.pipe()
    os.write(writer, b"typed")
    kept = os.dup(0)
    os.dup2(reader, 0)
    try:
        assert run_in_child(lambda: [len(os.read(0, 9)), sys.stdin.read()], start="fork").value == [0, ""]
    finally:
        os.dup2(kept, 0)
        for descriptor in (reader, writer, kept):
            os.close(descriptor)


def test_text_that_the_parent_has_not_printed_yet_is_not_printed_by_the_child(capfd: pytest.CaptureFixture[str]):
    sys.stdout.write("half a line")
    outcome = run_in_child(lambda: sys.stdout.write("child"), start="fork")
    assert outcome.printed == "child"
    assert capfd.readouterr().out == "half a line"


@pytest.mark.usefixtures("own_messages")
def test_an_answer_that_json_cannot_write_is_our_mistake(tmp_path: Path):
    outcome = run_in_child(lambda: {"answer": {1, 2}}, file=tmp_path / "a.py", start="fork")
    assert outcome.ended == "raised"
    assert outcome.sentence == (
        "judging a.py failed with TypeError: Object of type set is not JSON serializable. This is a mistake in "
        "attention-surgeon; please report it."
    )


def test_an_answer_that_is_too_large_is_not_sent():
    outcome = run_in_child(lambda: "x" * 2**25, start="fork")
    assert outcome.ended == "raised"
    assert re.fullmatch(
        r"the answer of the child has 335545\d\d bytes, at most 16777216 are allowed\.", outcome.sentence
    )


def test_a_child_without_room_for_its_answer_says_so(tmp_path: Path):
    def work() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    outcome = run_in_child(work, file=tmp_path / "a.py", start="fork")
    assert outcome.ended == "crashed"
    assert outcome.sentence == (
        "judging a.py failed in the child process itself (exit code 199); what it printed says why. If the disk is not "
        "full, this is a mistake in attention-surgeon; please report it."
    )
    assert "File too large" in outcome.printed


@pytest.mark.usefixtures("own_messages")
def test_an_unknown_start_is_refused():
    with pytest.raises(OptionError) as caught:
        run_in_child(lambda: 1, start="spawn")  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == ("run_in_child: start is 'spawn', expected 'fresh', or 'fork' where the system has it.")


def test_limits_without_meaning_are_refused():
    for limits, message in {
        (("seconds", 0),): "Limits: seconds is 0, expected a number of seconds above 0.",
        (("seconds", float("nan")),): "Limits: seconds is nan, expected a number of seconds above 0.",
        (("memory_bytes", -1),): "Limits: memory_bytes is -1, expected a whole number of bytes above 0.",
    }.items():
        with pytest.raises(OptionError) as caught:
            Limits(**dict(limits))
        assert str(caught.value) == message
