"""A judge that reaches nothing: no network, no file but what Python needs, no process of anybody else.

The kernel does it, with Landlock and seccomp, through the package sandlock (`attention-surgeon[sandbox]`), twice:

1. The judge starts confined (`Confinement.start`): it may read Python, its packages and the course, write into a
   scratch folder of its own, and has no network.
2. Each copy that runs somebody's file gives up the course's own files too (`enter`), so that no solution can be read.

What is judged still shares a process with what judges it: this keeps a submission from the machine and from other
submissions, not from the memory of its own judge.
"""

import contextlib
import importlib
import json
import os
import signal
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, final

from attention_surgeon.course.checks_file import load_checks
from attention_surgeon.errors import OptionError
from attention_surgeon.files import file_access_error

LARGEST_FILE = 64 * 2**20
"""How many bytes one file may get."""

LARGEST_SCRATCH = 256 * 2**20
"""How many bytes everything that was written may have."""

_MOST_PROCESSES = 12
_SYSTEM = (
    "/usr",
    "/lib",
    "/lib64",
    "/bin",
    "/etc/ld.so.cache",
    "/etc/fonts",
    "/etc/localtime",
    "/sys/devices/system",
    "/dev/null",
    "/dev/zero",
    "/dev/urandom",
)
_ABOUT_THE_MACHINE = ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat")  # not /proc: others' commands stand there
_CACHES = ("~/.cache/matplotlib", "~/.config/matplotlib", "~/.cache/fontconfig")
_VARIABLES = (
    "PATH",
    "HOME",
    "LANG",
    "LC_",
    "TZ",
    "PYTHON",
    "VIRTUAL_ENV",
    "OMP_",
    "MKL_",
    "OPENBLAS_",
    "LD_LIBRARY_PATH",
)


def why_not() -> str:
    """Return why nothing can be confined here, as a sentence; empty where it can."""
    if sys.platform != "linux":
        return "only Linux can confine a process so (Landlock and seccomp)."
    try:
        sandlock: Any = importlib.import_module("sandlock")
    except (ImportError, OSError) as error:
        return f"the package sandlock is missing ({error}); install attention-surgeon[sandbox]."
    has, needs = sandlock.landlock_abi_version(), sandlock.min_landlock_abi()
    if has < needs:
        found = f"has version {has} of Landlock" if has > 0 else "has no Landlock"
        return f"this kernel {found}, and version {needs} is needed (Linux 6.12 has it)."
    return ""


@final
class Confinement:
    """Where one judge may go.

    Attributes:
        scratch: The only folder that it, and whatever it runs, can write into; it goes with `close`.
    """

    def __init__(self, hidden: Iterable[Path]) -> None:
        """Make the scratch folder.

        Args:
            hidden: Folders that no submission may read: those of the course, with its solutions.

        Raises:
            FileAccessError: the system's folder for temporary files cannot be written.
            OptionError: nothing can be confined here; the text says why.
        """
        reason = why_not()
        if reason:
            raise OptionError(f"a submission cannot be confined here: {reason}")
        self._hidden = [Path(os.path.realpath(folder)) for folder in hidden]
        try:
            self._folder = tempfile.TemporaryDirectory(prefix="surgeon-", ignore_cleanup_errors=True)
        except OSError as error:
            raise file_access_error("write", tempfile.gettempdir(), error) from error
        self.scratch = Path(os.path.realpath(self._folder.name))

    def start(self, command: Sequence[str], errors: Path) -> Any:
        """Start a command, confined, and return its process, with pipes for its input and output.

        Args:
            command: The judge; a last argument tells it where it is.
            errors: Where its standard error goes, in the scratch folder.
        """
        sandlock: Any = importlib.import_module("sandlock")
        where = json.dumps({"scratch": str(self.scratch), "hidden": [str(folder) for folder in self._hidden]})
        box = sandlock.Sandbox(
            fs_readable=[str(place) for place in [*_readable(), *self._hidden]] + ["/proc"],
            fs_writable=[str(self.scratch), "/dev/null"],
            max_processes=_MOST_PROCESSES,
            clean_env=True,
            env=self._environment(),
        )
        shell = ["/bin/sh", "-c", 'exec "$@" 2>"$0"', str(errors)]
        piped = sandlock.StdioMode.PIPED
        return box.popen([*shell, *command, where], stdin=piped, stdout=piped, stderr=sandlock.StdioMode.NULL)

    def is_full(self) -> bool:
        """Return whether more was written than is allowed."""
        size = 0
        for folder, _, files in os.walk(self.scratch):
            for name in files:
                with contextlib.suppress(OSError):
                    size += os.lstat(os.path.join(folder, name)).st_blocks * 512
        return size > LARGEST_SCRATCH

    @staticmethod
    def end(process: Any) -> None:
        """End the judge and everything below it, what has a session of its own too."""
        if process.pid is not None:
            os.kill(process.pid, signal.SIGSTOP)  # so that it starts nothing more
            _end_below(process.pid)
            os.kill(process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Remove the scratch folder."""
        self._folder.cleanup()

    def _environment(self) -> dict[str, str]:
        """Return the variables that a judge needs: a token in another one is nobody's business."""
        kept = {name: value for name, value in os.environ.items() if name.startswith(_VARIABLES)}
        return kept | {"TMPDIR": str(self.scratch), "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}


@final
class Inside:
    """What a confined judge knows of its confinement."""

    def __init__(self, where: str) -> None:
        """Take over what `Confinement.start` gave, and become the parent of whatever its copies leave behind."""
        values = json.loads(where)
        self._scratch = Path(values["scratch"])
        self._places = _without(_readable(), [Path(folder) for folder in values["hidden"]])
        _remember_what_is_there()
        _adopt()

    def enter(self, request: Mapping[str, Any]) -> None:
        """Give up the course's files, for this process and all that it starts; what was loaded stays.

        Args:
            request: What the judge was asked; its checks are loaded first.
        """
        import resource

        sandlock: Any = importlib.import_module("sandlock")
        if Path(request["checks"]).is_file():  # its checks, and the promises of its stub
            load_checks(Path(request["checks"]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
        readable = [*map(str, self._places), *_ABOUT_THE_MACHINE]
        sandlock.confine(sandlock.Sandbox(fs_readable=readable, fs_writable=[str(self._scratch), "/dev/null"]))

    def end_strays(self) -> None:
        """End what a submission left running, in sessions of its own too: all of it is this process's by now."""
        for pid in _end_below(os.getpid()):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _end_below(pid: int) -> list[int]:
    """Kill every process below one, and return the numbers of its own children among them."""
    own: set[int] = set()
    for _ in range(_MOST_PROCESSES):
        below, known = list(_children(pid)), set[int]()
        own |= set(below)
        while below:
            each = below.pop()
            if each not in known:
                known.add(each)
                below += _children(each)
        alive = [each for each in known if not _is_dead(each)]
        for each in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        if not alive:
            break
    return sorted(own)


def _readable() -> list[Path]:
    """Return what Python and its packages need, as it is in this process."""
    names = ("stdlib", "platstdlib", "purelib", "platlib", "scripts")
    places = [*_SYSTEM, sys.prefix, sys.base_prefix, *map(sysconfig.get_path, names), *filter(None, sys.path)]
    places += map(os.path.expanduser, _CACHES)
    found = {Path(os.path.realpath(place)) for place in places}
    return sorted(place for place in found if place.exists() and not found & set(place.parents))


def _without(places: Iterable[Path], hidden: Sequence[Path]) -> list[Path]:
    """Return the places without what is hidden in them.

    Landlock only ever allows, so a folder that holds a hidden one is replaced by everything else in it.
    """
    kept: list[Path] = []
    for place in places:
        if any(place == folder or folder in place.parents for folder in hidden):
            continue
        if any(place in folder.parents for folder in hidden):
            kept += _without(sorted(place.iterdir()), hidden)
        else:
            kept.append(place)
    return kept


def _remember_what_is_there() -> None:
    """Let Python list its folders now: of one that is allowed in parts, it can only know what it saw before."""
    for name, package in (("nothing_of_this_name", None), ("attention_surgeon.nothing", "attention_surgeon")):
        PathFinder.find_spec(name, list(sys.modules[package].__path__) if package else None)


def _adopt() -> None:
    """Become the parent of the processes that lose theirs (Linux, prctl 36: PR_SET_CHILD_SUBREAPER)."""
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0)


def _children(pid: int) -> Iterator[int]:
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            yield from map(int, file.read_text().split())


def _is_dead(pid: int) -> bool:
    """Return whether a process has ended and only waits to be counted."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
    except OSError:
        return True
