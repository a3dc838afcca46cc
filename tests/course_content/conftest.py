import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.course_content.exercises import CONTENT


@pytest.fixture(autouse=True)
def no_neighbours_stay() -> Iterator[None]:
    """Forget what a solution has imported from beside it: `attention` is a name that other tests' files have, too."""
    before = {*sys.modules}
    yield
    for name in {*sys.modules} - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and Path(file).is_relative_to(CONTENT):
            del sys.modules[name]
