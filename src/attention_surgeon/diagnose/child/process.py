"""What the parent's loop needs of a child, however it was made."""

import contextlib
import gc
import importlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings
from abc import ABC, abstractmethod
from typing import NoReturn

from attention_surgeon.diagnose.child.inside import Job, do
from attention_surgeon.errors import ArgumentTypeError

_FAILED = 70

_LONGEST_FORK = 5.0  # seconds

_COMMAND = [sys.executable, "-P", "-m", "attention_surgeon.diagnose.child"]  # -P: no folder of the caller's first


class Process(ABC):
    """A child process, from its start to the last trace of it.

    Attributes:
        printed: The descriptor from which one reads what it prints.
        code: Its exit code when it has ended, negative for the number of a signal; None: nobody knows.
        patience: How many seconds it may take before the work begins.
        loaded: How many bytes of memory it may have before the work begins.
    """

    printed: int = -1
    code: int | None = None
    patience: float = 0.0
    loaded: int = 0
    _is_over: bool = False

    @property
    @abstractmethod
    def pid(self) -> int:
        """The number of the process, which is also that of its group; 0 before there is one."""

    @abstractmethod
    def start(self) -> None:
        """Start it."""

    @abstractmethod
    def has_ended(self) -> bool:
        """Return whether it is gone; from then on `code` says how."""

    @abstractmethod
    def wait(self) -> None:
        """Wait until it is gone."""

    def ask_where(self) -> None:
        """Let it write down where it is, without a say in it; faulthandler answers (not on Windows)."""
        if sys.platform != "win32":
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGUSR1)

    def end(self) -> None:
        """Kill it with everything it started, and let go of it."""
        if self.pid and not self._is_over:
            self._kill()
            self.wait()
            self._is_over = True  # from now on the number may belong to somebody else

    def close(self) -> None:
        """Give the descriptor back."""
        if self.printed >= 0:
            os.close(self.printed)
            self.printed = -1

    def _kill(self) -> None:
        if sys.platform == "win32":
            if not self.has_ended():
                os.kill(self.pid, signal.SIGTERM)  # ends the process at once there
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):  # gone; or all that is left has ended
            os.killpg(self.pid, signal.SIGKILL)
        if not self.has_ended():
            with contextlib.suppress(ProcessLookupError):  # stopped before it had a group of its own
                os.kill(self.pid, signal.SIGKILL)


class Forked(Process):
    """Forks from a thread of its own.

    OpenMP keeps its pool of threads with the thread that first used it. In a child, that thread's copy would wait
    for a pool that was not copied, for ever, at the first large matrix product. A new thread has no pool yet.
    """

    def __init__(self, job: Job) -> None:
        """Prepare a child that will do `job`."""
        from attention_surgeon.diagnose.child.posix import memory_of  # here, because Windows has none of it

        self._job = job
        self._pid = 0
        self._has_ended = False
        self._error: OSError | None = None
        self.loaded = memory_of(os.getpid()) or 0
        self._has_forked = threading.Event()
        self._has_forked.set()

    @property
    def pid(self) -> int:
        """The number of the process, 0 before there is one."""
        self._has_forked.wait(_LONGEST_FORK)  # a start that Ctrl-C interrupted may still be under way
        return self._pid

    def start(self) -> None:
        """Fork.

        Raises:
            OSError: the system allows no further process.
        """
        self.printed, printing = os.pipe()
        self._printing = printing
        try:
            self._has_forked.clear()
            threading.Thread(target=self._fork, name="surgeon-fork").start()
            self._has_forked.wait()  # Thread.join would not wait again after Ctrl-C
        finally:
            os.close(printing)
        if self._error is not None:
            raise self._error

    def has_ended(self) -> bool:
        """Return whether it is gone; from then on `code` says how."""
        return self._has_ended or self._reap(os.WNOHANG)

    def wait(self) -> None:
        """Wait until it is gone."""
        if not self._has_ended:
            self._reap(0)

    def _reap(self, options: int) -> bool:
        try:
            pid, status = os.waitpid(self._pid, options)
        except ChildProcessError:  # somebody else in this process took the exit code
            self._has_ended = True
            return True
        if pid:
            self._has_ended = True
            self.code = os.waitstatus_to_exitcode(status)
        return self._has_ended

    def _fork(self) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # "is multi-threaded": see the class
                pid = os.fork()
            if pid == 0:
                self._be_the_child()
            self._pid = pid
        except OSError as error:
            self._error = error
        finally:
            self._has_forked.set()

    def _be_the_child(self) -> NoReturn:
        try:
            os.setsid()  # a session of its own: no terminal, and one group to kill
            os.close(self.printed)
            os.dup2(self._printing, 1)
            os.dup2(self._printing, 2)
            if self._printing > 2:
                os.close(self._printing)
            gc.freeze()  # looking through what was inherited would copy its memory: a third of the time of a verdict
            do(self._job)
        finally:
            os._exit(_FAILED)


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
