from collections.abc import Iterator
from pathlib import Path

import pytest

from attention_surgeon.course import Course, load_course
from attention_surgeon.course.client import Judge
from attention_surgeon.course.start import start_workspace
from attention_surgeon.course.workspace import Workspace
from tests.course.tiny import write_course


@pytest.fixture(scope="session")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_course(tmp_path_factory.mktemp("content"))


@pytest.fixture(scope="session")
def course(content: Path) -> Course:
    return load_course(content)


@pytest.fixture(scope="session")
def judge() -> Iterator[Judge]:
    with Judge() as judge:
        yield judge


@pytest.fixture
def own_content(tmp_path: Path) -> Path:
    """A course that the test may change."""
    return write_course(tmp_path / "content")


@pytest.fixture
def workspace(content: Path, tmp_path: Path) -> Workspace:
    start_workspace(tmp_path / "lab", (content,), alone=True)
    return Workspace(tmp_path / "lab")
