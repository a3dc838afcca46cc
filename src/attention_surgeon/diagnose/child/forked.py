"""A child made by fork: it has everything the parent has loaded, and starts in a few milliseconds."""

import os
import threading
import warnings
from typing import NoReturn

from attention_surgeon.diagnose.child.inside import Job, do
from attention_surgeon.diagnose.child.posix import memory_of
from attention_surgeon.diagnose.child.process import Process

_FAILED = 70
_LONGEST_FORK = 5.0  # seconds


class Forked(Process):
    """Forks from a thread of its own.

    OpenMP keeps its pool of threads with the thread that first used it. In a child, that thread's copy would wait
    for a pool that was not copied, for ever, at the first large matrix product. A new thread has no pool yet.
    """

    def __init__(self, job: Job) -> None:
        """Prepare a child that will do `job`."""
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
            do(self._job)
        finally:
            os._exit(_FAILED)
