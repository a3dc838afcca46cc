from pathlib import Path

import pytest

from attention_surgeon.course.generate import main
from attention_surgeon.course.marked import split_marked
from attention_surgeon.errors import FileFormatError

SOURCE = """import math


class Layer:
    def __init__(self, size):
        # BEGIN SOLUTION
        # STUB: self.size = ...
        self.size = size
        # END SOLUTION

    def forward(self, x):
        y = x
        # BEGIN SOLUTION
        # STUB: if y is None:
        # STUB:     raise NotImplementedError("forward: say what happens here")
        return math.sqrt(y)
        # END SOLUTION


# BEGIN SOLUTION
HIDDEN = 1
# END SOLUTION
"""


def test_a_source_becomes_stub_and_solution():
    stub, solution = split_marked(SOURCE, "layer.py")
    assert stub == (
        "import math\n\n\nclass Layer:\n    def __init__(self, size):\n        # YOUR CODE HERE\n"
        '        self.size = ...\n        raise NotImplementedError("Layer.__init__: write this part")\n\n'
        "    def forward(self, x):\n        y = x\n        # YOUR CODE HERE\n        if y is None:\n"
        '            raise NotImplementedError("forward: say what happens here")\n\n\n# YOUR CODE HERE\n'
    )
    assert solution == (
        "import math\n\n\nclass Layer:\n    def __init__(self, size):\n        self.size = size\n\n"
        "    def forward(self, x):\n        y = x\n        return math.sqrt(y)\n\n\nHIDDEN = 1\n"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "there is no # BEGIN SOLUTION"),
        ("# BEGIN SOLUTION\nx = 1\n", "line 1: # BEGIN SOLUTION without # END SOLUTION after it"),
        ("x = 1\n# END SOLUTION\n", "line 2: # END SOLUTION without # BEGIN SOLUTION before it"),
        ("# BEGIN SOLUTION\n# BEGIN SOLUTION\n", "line 2: # BEGIN SOLUTION inside the block that began in line 1"),
        ("# STUB: x\n", "line 1: # STUB: stands outside"),
    ],
)
def test_marks_that_do_not_fit(text: str, message: str):
    with pytest.raises(FileFormatError, match=message):
        split_marked(text, "source.py")


def test_drift_is_found_and_mended(own_content: Path, capsys: pytest.CaptureFixture[str]):
    solution = own_content / "end/solution/layer.py"
    right = solution.read_text()
    solution.write_text(f"{right}# by hand\n")
    assert main(["--check", str(own_content)]) == 1
    assert capsys.readouterr().out == f"out of date: {solution}\n"
    assert solution.read_text() != right
    assert main([str(own_content)]) == 0
    assert solution.read_text() == right
    capsys.readouterr()
    assert main(["--check", str(own_content)]) == 0
    assert capsys.readouterr().out == "every stub and every solution is up to date\n"


def test_two_exercises_that_disagree(own_content: Path, capsys: pytest.CaptureFixture[str]):
    registry = own_content / "course.toml"
    registry.write_text(registry.read_text().replace('source = "sources/turn.py"', 'source = "sources/problem.py"'))
    assert main([str(own_content)]) == 2
    assert "another one makes other files from sources/problem.py" in capsys.readouterr().err
