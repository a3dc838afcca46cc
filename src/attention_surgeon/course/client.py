"""The other end of the warm judge: start it, ask it, and start another if it dies."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from attention_surgeon.course.sandbox import LARGEST_SCRATCH, Confinement

_COMMAND = [sys.executable, "-P", "-m", "attention_surgeon.course.server"]  # -P: no folder of the learner's first
_PIECE = 65536
_LOADING = 240.0  # seconds for `import torch` on a cold disk, confined, while others work
_SLOWEST = 240.0
_LOOK = 0.25  # seconds between two looks at how much a confined judge has written


@final
class Judge:
    """Asks a warm process for verdicts; one question at a time, from any thread.

    Use as a context manager, or call `close`.
    """

    def __init__(self, confinement: Confinement | None = None) -> None:
        """Start the process; torch loads while this goes on.

        Args:
            confinement: Where it may go; None: wherever this process may.
        """
        self._process: Any
        self._confinement = confinement
        self._lock = threading.Lock()
        self._unread, self._is_closed = b"", False
        self._start()

    def __enter__(self) -> "Judge":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self.close()

    @property
    def is_ready(self) -> bool:
        """Whether torch is loaded."""
        return self._is_ready

    @property
    def scratch(self) -> Path | None:
        """The folder that everything judged must lie in; None: any may."""
        return None if self._confinement is None else self._confinement.scratch

    @property
    def pid(self) -> int:
        """The number of the process that was started, and of the group of it and its copies."""
        return self._process.pid

    def wait(self) -> None:
        """Wait until torch is loaded."""
        with self._lock:
            self._wait()

    def prepare(self, request: Mapping[str, Any]) -> None:
        """Let it get ready for requests of this kind when nobody asks."""
        with self._lock, contextlib.suppress(OSError):
            self._write({**request, "what": "prepare"})

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a request; if the process dies of it, a sentence that says so."""
        with self._lock:
            if self._is_ready and select.select([self._output], [], [], 0)[0]:
                self._restart()  # nothing was asked, so all that can be read is its end: the file has no part in it
            name = os.path.basename(request["file"])
            with contextlib.suppress(OSError):
                if self._wait():
                    self._write({"what": "judge", **request})
                    answer = self._read(_SLOWEST)
                    if answer is not None:
                        return answer
            if self._confinement is not None and self._confinement.is_full():
                self._restart()
                return {
                    "status": "stopped",
                    "sentence": f"{name} was stopped: it had written more than {LARGEST_SCRATCH // 2**20} MiB. "
                    f"Look for a loop that writes files.",
                }
            said = self._last_words()
            self._restart()
            return {
                "status": "stopped",
                "sentence": f"{name} ended the process that judges it, or the system did for lack of memory; "
                f"another one was started.{said}",
            }

    def close(self) -> None:
        """End the process, and every copy of it."""
        self._is_closed = True
        self._end()
        if self._confinement is not None:
            self._confinement.close()

    def _restart(self) -> None:
        if not self._is_closed:  # otherwise nobody waits for an answer any more
            self._end()
            self._start()

    @property
    def _output(self) -> int:
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def _end(self) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        if self._confinement is not None:
            self._confinement.end(self._process)
        elif sys.platform != "win32":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def _start(self) -> None:
        self._errors = tempfile.NamedTemporaryFile(dir=self.scratch)
        self._unread, self._is_ready = b"", False
        if self._confinement is not None:
            self._process = self._confinement.start(_COMMAND, Path(self._errors.name))
            return
        self._process = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
            env=os.environ | {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"},
        )

    def _wait(self) -> bool:
        if not self._is_ready:
            self._is_ready = self._read(_LOADING) is not None
        return self._is_ready

    def _write(self, request: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()

    def _read(self, seconds: float) -> dict[str, Any] | None:
        """Return the next line, None if there will be none."""
        descriptor, deadline = self._output, time.monotonic() + seconds
        while b"\n" not in self._unread:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            if not select.select([descriptor], [], [], min(left, _LOOK) if self._confinement else left)[0]:
                if self._confinement is not None and self._confinement.is_full():
                    return None
                continue
            piece = os.read(descriptor, _PIECE)
            if not piece:
                return None
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        return json.loads(line)

    def _last_words(self) -> str:
        """Return the last line that the process wrote before it died, which is a mistake of ours if there is one."""
        with contextlib.suppress(OSError, ValueError):
            self._errors.seek(0)
            lines = self._errors.read().decode(errors="replace").split("\n")
            last = [line for line in lines if line.strip()][-1:]
            return f" Its last words: {last[0]}" if last else ""
        return ""
