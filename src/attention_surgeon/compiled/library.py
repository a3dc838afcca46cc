"""The sources as a library: compiled once for this machine, kept in the user's cache, and loaded on first use.

They are compiled for the processor at hand, so the library's name says of which sources, with which options and for
which processor it was made: a home folder that several machines share never hands one of them another's instructions.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import final

import torch

from attention_surgeon.errors import OptionError
from attention_surgeon.files import cache_folder

SOURCES = tuple(Path(__file__).with_name(name) for name in ("attention.c", "scan.c"))
HEADER = Path(__file__).with_name("vectors.h")
OPTIONS = ("-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-std=gnu11")
SWITCH = "ATTENTION_SURGEON_COMPILED"
"""Environment variable: 0 leaves the work to PyTorch."""

ALONE = 2**19
"""Multiplications below which one thread does everything."""

_COMPILERS = ("cc", "gcc", "clang")
_HOW = "the library is not built; build it by: python -m attention_surgeon.compiled"


@final
class NotThere(Exception):
    """Why PyTorch does the work."""


def build() -> Path:
    """Compile the library for this machine if it is not there yet, and return where it lies.

    Raises:
        OptionError: there is no C compiler, it could not do it, or there is no place for the result.
    """
    place = _place()
    try:
        if not place.exists():
            compile_sources(SOURCES, place)
            _loaded.cache_clear()
    except OSError as error:
        raise OptionError(
            f"The compiled library cannot be kept in {place.parent} ({error.strerror}); XDG_CACHE_HOME names another "
            f"folder for caches."
        ) from None
    return place


def compile_sources(sources: Sequence[Path], place: Path) -> None:
    """Compile C into a library at `place`, whole or not at all, for the processor at hand.

    Raises:
        OptionError: as `build`.
    """
    compiler = _compiler()
    if compiler is None:
        raise OptionError(
            f"The compiled library needs a C compiler, and none of {', '.join(_COMPILERS)} is on the PATH (nor named "
            f"by CC). Without it attention is computed by PyTorch: the same answers, in more time."
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:  # moved when it is whole: two may build at once
        made = Path(folder) / place.name
        command = [*compiler, *OPTIONS, "-shared", "-fPIC", "-o", str(made), *map(str, sources), "-lm", "-lpthread"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OptionError(
                f"The compiled library: {compiler[0]} ended with {done.returncode}: {_first_error(done.stderr)}. "
                f"Attention is computed by PyTorch instead; CC=... names another compiler."
            )
        made.replace(place)


def library() -> ctypes.CDLL:
    """Return the library.

    Raises:
        NotThere: with the reason.
    """
    if _switched_off:
        raise NotThere("it was asked to, by computed_by_pytorch()")
    found = _loaded()
    if isinstance(found, str):
        raise NotThere(found)
    return found


@contextmanager
def computed_by_pytorch() -> Iterator[None]:
    """Leave all work to PyTorch meanwhile, in the whole process: to compare the two.

    >>> with computed_by_pytorch():
    ...     who_computes()
    'PyTorch: it was asked to, by computed_by_pytorch()'
    """
    global _switched_off
    before, _switched_off = _switched_off, True
    try:
        yield
    finally:
        _switched_off = before


_switched_off = False


@functools.cache
def _loaded() -> ctypes.CDLL | str:
    """Return the library, or why it is not there; it is looked for once in a process."""
    if os.environ.get(SWITCH) == "0":
        return f"{SWITCH} is 0"
    place = _place()
    if not place.exists():
        return _HOW if _compiler() else "there is no C compiler to build the library with"
    try:
        functions = ctypes.CDLL(str(place))
    except OSError as error:
        return f"{place} cannot be loaded ({error})"
    tensors, sizes = [ctypes.c_void_p] * 4, [ctypes.c_int64] * 5
    functions.attention_plain.argtypes = [*tensors, *sizes, *[ctypes.c_double] * 2, ctypes.c_int64, ctypes.c_void_p]
    pointers = [ctypes.c_void_p] * 2
    functions.attention_spans.argtypes = [ctypes.c_void_p, *[ctypes.c_int64] * 3, *pointers]
    return functions


def who_computes() -> str:
    """Return who does the passes of `tiled_attention` in float32 on the CPU, and if it is PyTorch, why.

    >>> who_computes().split(":")[0] in {"compiled", "PyTorch"}
    True
    """
    try:
        return f"compiled: {library()._name}"
    except NotThere as reason:
        return f"PyTorch: {reason}"


def usable() -> ctypes.CDLL | None:
    """Return the library; None where it is not there, or where somebody records the calls of PyTorch."""
    if torch._C._len_torch_dispatch_stack() > 0 or torch._C._get_tracing_state() is not None:
        return None
    try:
        return library()
    except NotThere:
        return None


def threads_for(work: int) -> int:
    """Return in how many threads so many multiplications are done."""
    return 1 if work < ALONE else torch.get_num_threads()


@functools.cache
def team() -> int | None:
    """Return the address of what starts PyTorch's own threads, which need no waking; None where it is not known."""
    try:
        mapped = Path("/proc/self/maps").read_text()
    except OSError:
        return None
    names = {line.split(maxsplit=5)[5] for line in mapped.splitlines() if "libgomp" in line or "libiomp5" in line}
    for name in sorted(names, key=lambda name: ("torch" not in name, name)):
        try:
            return ctypes.cast(ctypes.CDLL(name).GOMP_parallel, ctypes.c_void_p).value
        except (OSError, AttributeError):
            continue
    return None


def _place() -> Path:
    made_for = hashlib.sha256(f"{OPTIONS} {_processor()}".encode())
    for file in (*SOURCES, HEADER):
        made_for.update(file.read_bytes())
    return cache_folder("compiled") / f"attention-{made_for.hexdigest()[:16]}.so"


def _compiler() -> list[str] | None:
    """Return the command that CC names, which may have options, or the first compiler on the PATH."""
    named = shlex.split(os.environ.get("CC", ""))
    commands = [named] if named else [[name] for name in _COMPILERS]
    return next((command for command in commands if shutil.which(command[0])), None)


def _processor() -> str:
    """Return what a processor can do, as far as the system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
    return f"{platform.system()} {platform.machine()} {flags}"


def _first_error(text: str) -> str:
    lines = [line for line in text.splitlines() if "error" in line] or text.splitlines() or ["it said nothing"]
    return lines[0].strip()
