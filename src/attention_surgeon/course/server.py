"""The warm judge: a process with torch loaded that reads requests, one JSON line each, and answers each with one line.

    python -m attention_surgeon.course.server

Every file is run in a copy of this process (a fork), so that nothing it does outlives the verdict. When nobody asks,
the tables of the contracts that are worked on are prepared, in a copy as well, which then takes the place of this
process: it has the same standard input and output, and whoever asks does not notice.
"""

import contextlib
import importlib
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, NoReturn, TypeAlias, final

from attention_surgeon.course.beside import train_beside
from attention_surgeon.course.checks_file import load_checks
from attention_surgeon.course.inside import examine_checks, judge
from attention_surgeon.course.prepare import prepare
from attention_surgeon.course.sandbox import Inside
from attention_surgeon.diagnose.child import Limits, Outcome, run_in_child

Key: TypeAlias = tuple[str, str, str, str]
"""Contract, options, checks file, modules: what is prepared together."""
_PIECE = 65536
_LONGEST_SEARCH = 90.0  # seconds for naming a mistake where no table was prepared


@final
class Server:
    """Answers requests until nobody can ask any more."""

    def __init__(self, inside: Inside | None = None) -> None:
        """Begin with nothing prepared; `inside` is where a confined judge is."""
        self._inside = inside
        self._unread = b""
        self._wanted: list[Key] = []
        self._prepared: set[Key] = set()
        self._done: int | None = None  # where the copy says that it is ready
        self._go: int | None = None  # where it is told to take over
        self._copying: Key | None = None

    def serve(self) -> NoReturn:
        """Read and answer."""
        while True:
            line = self._next_line()
            if line is None:
                os._exit(0)  # a copy that waits sees the end of its pipe
            self._answer(json.loads(line))

    def _answer(self, request: dict[str, Any]) -> None:
        has_check = request["check"] is not None
        options = json.dumps(request["options"], sort_keys=True)
        modules = " ".join(request["imports"])
        checks = request["checks"]
        key: Key = ("", "", checks, modules) if has_check else (request["contract"], options, checks, modules)
        if request["what"] == "prepare":
            if key not in self._prepared and key not in self._wanted:
                self._wanted.append(key)
            return
        if request["what"] == "examine":
            _write(_as_answer(_run_work(request, partial(examine_checks, request))))
            return
        if request["what"] == "train":
            _write(_as_answer(_run_work(request, partial(train_beside, request))))
            return
        _load(modules)
        found = _verdict(request, self._inside, is_prepared=key in self._prepared or has_check)
        if self._inside is not None:
            self._inside.end_strays()
        _write(found)

    def _next_line(self) -> bytes | None:
        while b"\n" not in self._unread:
            self._begin_copy()
            waiting = [0] if self._done is None else [0, self._done]
            ready = select.select(waiting, [], [])[0]
            if 0 in ready:
                piece = os.read(0, _PIECE)
                if not piece:
                    return None
                self._unread += piece
            elif not self._unread:
                self._hand_over()
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _begin_copy(self) -> None:
        """Copy this process and let the copy prepare what is wanted next, unless there is one already."""
        if self._done is not None or not self._wanted or not hasattr(os, "fork") or sys.platform == "darwin":
            return
        key = self._wanted.pop(0)
        (done, ready), (wait, go) = os.pipe(), os.pipe()
        if os.fork() == 0:
            os.close(done)
            os.close(go)
            try:
                _prepare(*key)
            except BaseException:  # noqa: BLE001  a copy that fails must not go on as a second server
                traceback.print_exc()
                os._exit(1)
            os.write(ready, b".")
            os.close(ready)
            if not os.read(wait, 1):
                os._exit(0)  # the one that it should have followed has ended
            os.close(wait)
            self._prepared.add(key)
            return
        os.close(ready)
        os.close(wait)
        self._done, self._go, self._copying = done, go, key

    def _hand_over(self) -> None:
        """Let the copy take over, if it got ready; otherwise go on without."""
        assert self._done is not None
        assert self._go is not None
        assert self._copying is not None
        is_ready = bool(os.read(self._done, 1))
        if is_ready:
            os.write(self._go, b".")
            os._exit(0)
        os.close(self._done)
        os.close(self._go)
        self._prepared.add(self._copying)  # not again
        self._done = self._go = self._copying = None


def _prepare(contract: str, options: str, checks: str, modules: str) -> None:
    """Load what the files import, and fill the tables of a contract."""
    _load(modules)
    if Path(checks).is_file():
        load_checks(Path(checks))
    if contract:
        prepare(contract, json.loads(options))


@cache
def _load(modules: str) -> None:
    """Load what the files import, once for all copies that come after, and never in the learner's time."""
    for module in modules.split():
        with contextlib.suppress(Exception):  # one of the unit's own files, or a package that is broken here
            importlib.import_module(module)


def _verdict(request: Mapping[str, Any], inside: Inside | None, *, is_prepared: bool) -> dict[str, Any]:
    """Judge in a child; where naming may take long, first find out within the learner's limit whether it is right."""
    if not is_prepared:
        first = _run(request, "check", inside)
        if first.ended != "finished" or first.value == {} or _status(first) in ("passed", "stopped"):
            return _as_answer(first)
        return _as_answer(_run({**request, "seconds": _LONGEST_SEARCH, "cpu_seconds": None}, "diagnose", inside))
    return _as_answer(_run(request, "diagnose", inside))


def _run(request: Mapping[str, Any], depth: Any, inside: Inside | None) -> Outcome:
    work = partial(judge, request, depth)
    return _run_work(request, work if inside is None else partial(_confined, inside, work))


def _confined(inside: Inside, work: "partial[dict[str, Any]]") -> dict[str, Any]:
    inside.enter(work.args[0])
    return work()


def _run_work(request: Mapping[str, Any], work: Callable[[], Any]) -> Outcome:
    limits = Limits(**{name: request[name] for name in ("seconds", "memory_bytes", "output_bytes", "cpu_seconds")})
    return run_in_child(work, file=request["file"], limits=limits)


def _status(outcome: Outcome) -> str:
    return outcome.value.get("status", "") if isinstance(outcome.value, dict) else ""


def _as_answer(outcome: Outcome) -> dict[str, Any]:
    found = outcome.value if isinstance(outcome.value, dict) else {"status": "stopped"}
    if outcome.ended == "finished":
        return found | {"printed": outcome.printed}
    return {"status": "stopped", "sentence": outcome.sentence, "line": outcome.line, "printed": outcome.printed}


def _write(answer: Mapping[str, Any]) -> None:
    content = json.dumps(answer).encode() + b"\n"
    while content:
        content = content[os.write(1, content) :]


def main() -> NoReturn:
    """Get ready, say so, and serve."""
    import torch

    torch.set_num_threads(1)  # before the first product: a pool of threads would not survive a fork
    if sys.platform != "win32":
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the watcher, which then closes the pipe
    inside = Inside(sys.argv[1]) if sys.argv[1:] else None
    _write({"ready": True})
    Server(inside).serve()


if __name__ == "__main__":
    main()
