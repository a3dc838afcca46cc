"""A child made as a new interpreter: for systems without a safe fork. It loads everything again."""

import contextlib
import importlib
import os
import pickle
import subprocess
import sys
from typing import NoReturn

from attention_surgeon.diagnose.child.inside import Job, do
from attention_surgeon.diagnose.child.process import Process
from attention_surgeon.errors import ArgumentTypeError

_COMMAND = [sys.executable, "-P", "-m", "attention_surgeon.diagnose.child"]  # -P: no folder of the caller's first


class Fresh(Process):
    """Starts Python, and gives it the job through its standard input."""

    patience = 60.0  # a cold disk and a virus scanner before `import torch`
    loaded = 2**30

    def __init__(self, job: Job) -> None:
        """Prepare a child that will do `job`.

        Raises:
            ArgumentTypeError: the job cannot be sent.
        """
        try:
            self._job = pickle.dumps(job)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ArgumentTypeError(
                f"run_in_child: work cannot be sent to a new interpreter ({error}); give a function of a module, or "
                f"functools.partial of one."
            ) from error
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The number of the process, 0 before there is one."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start Python and send the job."""
        self.printed, printing = os.pipe()
        try:
            self._process = subprocess.Popen(
                _COMMAND, stdin=subprocess.PIPE, stdout=printing, stderr=printing, start_new_session=True
            )
        finally:
            os.close(printing)
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:  # it is gone already
            pickle.dump(sys.path, stdin)
            stdin.write(self._job)

    def has_ended(self) -> bool:
        """Return whether it is gone; from then on `code` says how."""
        if self._process is not None:
            self.code = self._process.poll()
        return self.code is not None

    def wait(self) -> None:
        """Wait until it is gone."""
        if self._process is not None:
            self.code = self._process.wait()


def main() -> NoReturn:
    """Do the job that stands on the standard input: the program of the new interpreter."""
    sys.path[:] = pickle.load(sys.stdin.buffer)
    importlib.import_module("torch")  # before the clock starts; whoever judges attention needs it
    do(pickle.load(sys.stdin.buffer))
