"""What the parent's loop needs of a child, however it was made."""

import contextlib
import os
import signal
import sys
from abc import ABC, abstractmethod


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
