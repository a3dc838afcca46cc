"""Python commands in copies of one process that has loaded torch: as in a new process, but a second sooner.

    with Forks("torch") as forks:
        forks.run(["python", "-m", "docs.definitions", "heads"], cwd=ROOT, env=os.environ)

Where the start of a program is what is tested, it must be a program of its own (`subprocess.run`).
"""

import atexit
import contextlib
import gc
import json
import os
import runpy
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Self, final

ROOT = Path(__file__).parents[1]


@final
class Forks:
    """One process that has loaded some modules, started when it is first asked."""

    def __init__(self, *modules: str) -> None:
        self._modules = modules
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.communicate()  # it ends when nothing more can be asked

    def run(
        self, words: Sequence[str], *, cwd: Path, env: Mapping[str, str], **_: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run `python -m MODULE ...`, `python FILE ...` or a command of this environment, as `subprocess.run` would."""
        with tempfile.TemporaryDirectory() as folder:
            printed = [Path(folder) / name for name in ("out", "err")]
            asked = {
                "words": list(words),
                "cwd": str(cwd),
                "env": dict(env),
                "printed": [str(path) for path in printed],
            }
            process = self._started()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{json.dumps(asked)}\n")
            process.stdin.flush()
            code = int(process.stdout.readline())
            return subprocess.CompletedProcess(words, code, *(path.read_text(encoding="utf-8") for path in printed))

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            command = [sys.executable, "-m", "tests.forked", *self._modules]
            environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
            environment |= {"PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1"}  # a copy has one thread
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        return self._process


def _serve(modules: Sequence[str]) -> None:
    """Answer each line that asks for a command with its exit code."""
    for name in modules:
        import_module(name)
    gc.collect()
    gc.freeze()  # what is collected in a copy is first copied
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            answers.close()
            _become(**json.loads(line))
        answers.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        answers.flush()


def _become(words: Sequence[str], cwd: str, env: Mapping[str, str], printed: Sequence[str]) -> None:
    """Turn this copy into the command, and end with its exit code."""
    for place, path in ((0, os.devnull), *enumerate(printed, start=1)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), place)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]  # the folder of the command may have tests of its own
    code = 1
    try:
        _run(words)
        code = 0
    except SystemExit as end:
        code = _code_of(end)
    except BaseException:  # noqa: BLE001  the command is over, whatever ended it
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            threading._shutdown()  # pyright: ignore[reportAttributeAccessIssue]  as at the end of every program
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _run(words: Sequence[str]) -> None:
    program, *arguments = words
    is_module = arguments[:1] == ["-m"]
    if program != sys.executable:
        file = program
    elif is_module:
        file, *arguments = arguments[1:]
    else:
        file, *arguments = arguments
    sys.argv, sys.path[0] = [file, *arguments], os.getcwd() if is_module else str(Path(file).resolve().parent)
    if is_module:
        runpy.run_module(file, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(file, run_name="__main__")


def _code_of(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    print(end.code, file=sys.stderr)
    return 1


if __name__ == "__main__":
    _serve(sys.argv[1:])
