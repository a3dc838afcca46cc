"""A copy of a process does what a new one does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forked import Forks

PROGRAMS = {
    "words": "print('ü'); sys.exit(3)",
    "a sentence": "sys.exit('no')",
    "an error": "1 / 0",
    "nothing": "sys.exit()",
    "killed": "os.kill(os.getpid(), 9)",
    "its place": "print(sys.argv, os.getcwd(), sys.path[0], os.environ['HERE'], __name__, sys.stdin.read() == '')",
    "the end": "import atexit, threading as t; atexit.register(print, 'last'); t.Timer(0.1, print, ['late']).start()",
    "its own tests": "import tests; print(tests.__file__)",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_copy_does_what_a_new_process_does(name: str, tmp_path: Path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "__init__.py").touch()
    (tmp_path / "program.py").write_text(f"import os, sys\n{PROGRAMS[name]}\n", encoding="utf-8")
    environment = os.environ | {"HERE": "there", "PYTHONIOENCODING": "utf-8"}
    for start in (["program.py"], ["-m", "program"]):
        command = [sys.executable, *start, "a", "b c"]
        alone = subprocess.run(
            command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        with Forks() as forks:
            copy = forks.run(command, cwd=tmp_path, env=environment)
        assert (copy.returncode, copy.stdout) == (alone.returncode, alone.stdout.decode())
        assert copy.stderr.splitlines()[-1:] == alone.stderr.decode().splitlines()[-1:]
