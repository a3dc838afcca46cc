"""Each way in which somebody's code can end, and the whole sentence that it gives."""

import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import pytest

from attention_surgeon.diagnose.child.outcome import Ended
from attention_surgeon.diagnose.child.run import Start
from tests.diagnose.child.running import QUICK, SHORT, run_source

LATE = (
    "attention.py was stopped after 0.6 s{at}: it had not come to an end. Look for a loop that never ends, or allow "
    "more time."
)
FLOOD = "attention.py was stopped{at}: it had printed more than 1 MiB. Take the print out of the loop."
IN_C = "Python code alone cannot do this: look for ctypes, or for an extension."
SEGV = f"attention.py crashed{{at}}: SIGSEGV, it used memory that is not its own. {IN_C}"
LEFT = "attention.py ended the whole program with exit code {}; take out what does it (os._exit, or a library)."
LESS = "512 MiB are allowed: make the tensors smaller, or allow more memory."


@dataclass(frozen=True)
class Case:
    """A file and its end.

    Attributes:
        source: The file; `f` is called.
        ended: As in `Outcome`.
        sentence: As in `Outcome`, with {at} for the place, which is `line` in the function `inside`.
    """

    source: str
    ended: Ended
    sentence: str
    line: int | None = None
    inside: str = "f"

    def expected(self) -> str:
        if self.line is None:
            return self.sentence.format(at="")
        text = textwrap.dedent(self.source).lstrip("\n").splitlines()[self.line - 1].strip()
        inside = f" in {self.inside}" if self.inside else ""
        return self.sentence.replace("{at}", f" at line {self.line}{inside} (`{text}`)")


CASES = {
    "sleep": Case("import time\ndef f():\n    time.sleep(100)", "timed_out", LATE, 3),
    "a loop at import": Case("while True: pass", "timed_out", LATE, 1, inside=""),
    "a loop in C": Case("def f():\n    sum(iter(int, 1))", "timed_out", LATE, 2),
    "inside a matrix product": Case(
        "import torch\ndef f():\n    a = torch.ones(1).expand(5000, 5000)\n    a @ a @ a", "timed_out", LATE, 4
    ),
    "a loop that nothing stops": Case(
        """
        import signal
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGXCPU):
            signal.signal(number, signal.SIG_IGN)
        def f():
            while True:
                try:
                    while True: pass
                except BaseException:
                    continue
        """,
        "timed_out",
        LATE,
        7,
    ),
    "waiting for a thread": Case(
        """
        import threading, time
        def g(): time.sleep(100)
        def f():
            thread = threading.Thread(target=g)
            thread.start()
            thread.join()
        """,
        "timed_out",
        LATE,
        6,
    ),
    "descriptors closed, then a loop": Case(
        "import os\nos.closerange(0, 9999)\ndef f():\n    while True: pass", "timed_out", LATE
    ),
    "some descriptors closed, then a loop": Case(
        "import os\nos.closerange(3, 150)\ndef f():\n    while True: pass", "timed_out", LATE, 4
    ),
    "prints for ever": Case("def f():\n    while True: print('x' * 99)", "flooded", FLOOD, 2),
    "writes for ever": Case("import os\ndef f():\n    while True: os.write(2, b'y' * 9999)", "flooded", FLOOD, 3),
    "exit": Case(
        "def f():\n    exit()", "exited", "attention.py ended the program{at} with exit code 0; take the exit out.", 2
    ),
    "sys.exit with a text": Case(
        "import sys\nsys.exit('no')",
        "exited",
        "attention.py ended the program{at} with exit code 1; take the exit out.",
        2,
        inside="",
    ),
    "os._exit": Case("import os\ndef f():\n    os._exit(7)", "exited", LEFT.format(7)),
    "os._exit at import, as if all was well": Case("import os\nos._exit(0)", "exited", LEFT.format(0)),
    "os._exit in a thread": Case(
        "import os, threading as t\ndef f():\n    t.Thread(target=os._exit, args=(1,)).start()\n    t.Event().wait(9)",
        "exited",
        LEFT.format(1),
    ),
    "segmentation fault": Case("import ctypes\ndef f():\n    ctypes.string_at(0)", "crashed", SEGV, 3),
    "segmentation fault in a thread": Case(
        """
        import ctypes, threading, time
        def g(): ctypes.string_at(0)
        def f():
            threading.Thread(target=g).start()
            time.sleep(9)
        """,
        "crashed",
        SEGV,
        2,
        inside="g",
    ),
    "abort": Case(
        "import os\ndef f():\n    os.abort()",
        "crashed",
        f"attention.py crashed{{at}}: SIGABRT, a library gave up. {IN_C}",
        3,
    ),
    "SIGKILL": Case(
        "import os\ndef f():\n    os.kill(os.getpid(), 9)",
        "crashed",
        "attention.py crashed: SIGKILL, by its own hand, by somebody else's, or by the system because memory ran out.",
    ),
    "SIGUSR2": Case(
        "import os\ndef f():\n    os.kill(os.getpid(), 12)", "crashed", "attention.py crashed: SIGUSR2 ended it."
    ),
    "SIGTERM": Case(
        "import os\ndef f():\n    os.kill(os.getpid(), 15)",
        "interrupted",
        "attention.py was stopped by SIGTERM; run it again.",
    ),
    "KeyboardInterrupt": Case(
        "def f():\n    raise KeyboardInterrupt", "interrupted", "attention.py was interrupted{at}; run it again.", 2
    ),
    "input": Case(
        "def f():\n    return input('? ')",
        "raised",
        "attention.py waits for input{at}, and nobody can type here; write the value into the code.",
        2,
    ),
    "missing module": Case(
        "import nosuch.part as part",
        "raised",
        "attention.py imports nosuch{at}, which is not installed here; if it is your own, start in the folder that "
        "holds it.",
        1,
        inside="",
    ),
    "missing module whose package has another name": Case(
        "def f():\n    raise ModuleNotFoundError('', name='sklearn')",
        "raised",
        "attention.py imports sklearn{at}, which is not installed here; install it with `pip install scikit-learn`.",
        2,
    ),
    "missing part of a package": Case(
        "import torch.attend",
        "raised",
        "attention.py imports torch.attend{at}, which the installed torch does not have; look for its new name.",
        1,
        inside="",
    ),
    "relative import": Case(
        "from .other import x",
        "raised",
        "attention.py has a relative import{at}, and its folder is no package; write `import other` for "
        "`from . import other`, or put an empty __init__.py into the folder.",
        1,
        inside="",
    ),
    "division by zero": Case(
        "def f():\n    return 1 / 0",
        "raised",
        "attention.py raised an error{at}: ZeroDivisionError: division by zero",
        2,
    ),
    "endless recursion": Case(
        "def f():\n    return f()",
        "raised",
        "attention.py raised an error{at}: RecursionError: maximum recursion depth exceeded",
        2,
    ),
    "a message without end": Case(
        "def f():\n    raise ValueError('x' * 10**7)",
        "raised",
        f"attention.py raised an error{{at}}: ValueError: {'x' * 300} ...",
        2,
    ),
    "wrong name": Case("def F(): pass", "raised", "attention.py has no f; did you mean F?"),
    "too much memory at once": Case(
        "import torch\ndef f():\n    torch.zeros(10**12)",
        "out_of_memory",
        f"attention.py asked for 3.6 TiB at once and ran out of memory{{at}}; {LESS}",
        3,
    ),
    "too much memory at once, in NumPy": Case(
        "import numpy as np\ndef f():\n    np.ones(10**12)",
        "out_of_memory",
        f"attention.py asked for 7.28 TiB at once and ran out of memory{{at}}; {LESS}",
        3,
    ),
    "too much memory at once, in Python": Case(
        "def f():\n    return b'x' * 10**12",
        "out_of_memory",
        f"attention.py ran out of memory{{at}}; {LESS}",
        2,
    ),
    "too much memory, in small pieces": Case(
        "def f():\n    kept = []\n    while True: kept.append([kept] * 9)",
        "out_of_memory",
        f"attention.py ran out of memory{{at}}; {LESS.replace('512', '16')}",
        3,
    ),
    "too much memory, in large pieces": Case(
        "import torch\ndef f():\n    kept = []\n    while True:\n        kept.append(torch.empty(10**8))",
        "out_of_memory",
        f"attention.py asked for 381 MiB at once and ran out of memory{{at}}; {LESS}",
        5,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_end_has_its_whole_sentence(tmp_path: Path, case: str):
    expected = CASES[case]
    limits = SHORT if expected.ended == "timed_out" else QUICK
    start: Start = "fork"
    if "16 MiB" in expected.sentence:  # in a new process: what this one has given back, a copy of it may use again
        limits, start = replace(limits, memory_bytes=2**24), "fresh"
    outcome = run_source(tmp_path, expected.source, limits, start)
    assert (outcome.ended, outcome.line, outcome.value) == (expected.ended, expected.line, None)
    assert outcome.sentence == expected.expected()
    assert outcome.seconds < limits.seconds + 1


def test_every_end_is_tried():
    assert {case.ended for case in CASES.values()} == set(get_args(Ended)) - {"finished"}


def test_what_is_no_python_is_shown_with_a_caret(tmp_path: Path):
    outcome = run_source(tmp_path, "def f():\n    x = = 1")
    assert (outcome.ended, outcome.line) == ("raised", 2)
    assert outcome.sentence == "attention.py cannot be read as Python at line 2: invalid syntax\n    x = = 1\n        ^"


def test_an_endless_loop_is_stopped_at_one_of_its_lines(tmp_path: Path):
    outcome = run_source(tmp_path, "def f():\n    i = 0\n    while True:\n        i += 1\n", SHORT)
    assert outcome.ended == "timed_out"
    assert outcome.line in (3, 4)


def test_a_missing_name_in_a_module_is_no_missing_module(tmp_path: Path):
    outcome = run_source(tmp_path, "from math import softmax")
    assert outcome.sentence.startswith(
        "attention.py raised an error at line 1 (`from math import softmax`): ImportError: cannot import name 'softmax'"
    )


def test_shared_memory_counts_too(tmp_path: Path):
    source = """
        import mmap
        kept = []
        def f():
            while True: kept.append(mmap.mmap(-1, 2**24)); kept[-1][:] = bytes(2**24)
    """
    outcome = run_source(tmp_path, source, replace(QUICK, memory_bytes=2**27))
    assert outcome.ended == "out_of_memory"
    assert outcome.sentence.startswith("attention.py ran out of memory at line 4 in f (`while True: ")
    assert outcome.sentence.endswith("; 128 MiB are allowed: make the tensors smaller, or allow more memory.")


def test_there_is_memory_left_to_say_what_happened(tmp_path: Path):
    source = """
        kept, text = [], "word " * 10**6
        def f():
            try:
                while True:
                    kept.append(bytes(2**20))
            except MemoryError:
                raise ValueError(text) from None
    """
    outcome = run_source(tmp_path, source, replace(QUICK, memory_bytes=2**26))
    assert (outcome.ended, outcome.line) == ("raised", 7)


@pytest.mark.parametrize("closed", ["", "os.closerange(3, 1000)"], ids=["watched", "nobody can look"])
def test_code_may_catch_that_its_small_pieces_were_too_many(tmp_path: Path, closed: str):
    source = f"""
        import os
        def f():
            {closed or "pass"}
            kept = []
            try:
                while True:
                    kept.append([kept] * 9)
            except MemoryError:
                kept.clear()
            return sum(len([1] * 9) for _ in range(10**5))
    """
    outcome = run_source(tmp_path, source, replace(QUICK, memory_bytes=2**24), "fresh")
    assert (outcome.ended, outcome.value) == ("finished", 900000)


def test_the_line_is_that_of_the_file_even_if_the_error_came_up_deeper(tmp_path: Path):
    outcome = run_source(tmp_path, "import torch.nn as nn\n\ndef f():\n    nn.Linear(3, 2)(nn.Linear(2, 5).weight.T)\n")
    assert outcome.line == 4
    assert "mat1 and mat2 shapes cannot be multiplied (2x5 and 3x2)" in outcome.sentence


def test_the_traceback_begins_in_the_file(tmp_path: Path):
    outcome = run_source(tmp_path, "def g():\n    return 1 / 0\n\ndef f():\n    return g()\n")
    assert outcome.line == 2  # the innermost
    lines = outcome.traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == f'  File "{tmp_path / "attention.py"}", line 5, in f'
    assert lines[-1] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize("folder", ["with space", "grüße 中文", "a:b", "x" * 200 + "/" + "y" * 200 + "/" + "z" * 180])
def test_the_line_is_found_whatever_the_folder_is_called(tmp_path: Path, folder: str):
    (tmp_path / folder).mkdir(parents=True)
    outcome = run_source(tmp_path / folder, "def f():\n    while True: pass", SHORT)
    assert (outcome.ended, outcome.line) == ("timed_out", 2)
