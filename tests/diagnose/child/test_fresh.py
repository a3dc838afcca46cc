"""The same in a new interpreter, for systems that cannot fork."""

from pathlib import Path

import pytest

from attention_surgeon.diagnose.child import run_in_child
from attention_surgeon.errors import ArgumentTypeError
from tests.diagnose.child.running import SHORT, run_source


def test_a_new_interpreter_does_the_same_and_loading_torch_is_not_on_its_clock(tmp_path: Path):
    source = """
        import torch
        print("é")
        def f():
            try:
                input()
            except EOFError:
                print("nobody there", end="", flush=True)
            while torch: pass
    """
    outcome = run_source(tmp_path, source, SHORT, start="fresh")
    assert (outcome.ended, outcome.line) == ("timed_out", 8)
    assert outcome.printed == "é\nnobody there"


def test_work_that_cannot_be_sent_is_refused():
    with pytest.raises(ArgumentTypeError) as caught:
        run_in_child(lambda: 1, start="fresh")
    assert str(caught.value).startswith("run_in_child: work cannot be sent to a new interpreter (Can't ")
    assert str(caught.value).endswith("; give a function of a module, or functools.partial of one.")
