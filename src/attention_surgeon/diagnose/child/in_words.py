"""An exception of somebody's code as one sentence: what happened, where, and the way out."""

import importlib.util
import re
import traceback
from pathlib import Path

from attention_surgeon.diagnose.child.limits import Limits, in_bytes
from attention_surgeon.diagnose.child.outcome import Ended
from attention_surgeon.diagnose.child.place import Place, place_of_error
from attention_surgeon.errors import SurgeonError

_NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory|std::bad_alloc", re.IGNORECASE)
_ASKED_FOR = re.compile(r"tried to allocate (\d+) bytes|Unable to allocate ([\d.]+ [KMGTP]iB)")
_LONGEST = 300
_PACKAGE_OF = {  # where the module and what one installs have different names
    "PIL": "pillow",
    "cv2": "opencv-python",
    "flash_attn": "flash-attn",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


def ended_by(error: BaseException) -> Ended:
    """Return how a child ends that an exception came out of."""
    if isinstance(error, SystemExit):
        return "exited"
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return "out_of_memory" if is_out_of_memory(error) else "raised"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an allocation failed; torch says it with a plain `RuntimeError`."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(_NO_MEMORY.search(str(error))))


def error_in_words(error: BaseException, file: Path | None, limits: Limits) -> str:
    """Return what the exception means to whoever wrote `file`.

    A `SurgeonError` speaks for itself. An error that did not pass through `file` is our own mistake, and the
    sentence says so.

    >>> error_in_words(ModuleNotFoundError("No module named 'einops'", name="einops"), None, Limits())
    'the code imports einops, which is not installed here; install it with `pip install einops`.'
    """
    name = "the code" if file is None else file.name
    place = place_of_error(error, file)
    if isinstance(error, SurgeonError):
        return str(error)
    if isinstance(error, SyntaxError):
        return _syntax_error(error)
    if isinstance(error, ImportError):
        return _import_error(error, name, place)
    if ended_by(error) != "raised":
        return _no_way_on(error, name, place, limits)
    if isinstance(error, EOFError):
        return f"{name} waits for input{at(place)}, and nobody can type here; write the value into the code."
    return _any_error(error, name, is_ours=file is not None and place is None, where=at(place))


def smaller(memory_bytes: int) -> str:
    """Return the way out for code that needs too much memory."""
    return f"{in_bytes(memory_bytes)} are allowed: make the tensors smaller, or allow more memory."


def at(place: Place | None) -> str:
    """Return ` at line 3 (...)`, nothing if the place is unknown."""
    return "" if place is None else f" at {place}"


def shortened(error: BaseException, file: Path | None) -> str:
    """Return the traceback from `file` on, as Python prints it: the way there is not the reader's business."""
    written = traceback.TracebackException.from_exception(error, limit=-100)
    first = next((i for i, frame in enumerate(written.stack) if frame.filename == str(file)), 0)
    written.stack[:] = written.stack[first:]
    return "".join(written.format())


def _syntax_error(error: SyntaxError) -> str:
    name = Path(error.filename or "the code").name
    text = (error.text or "").rstrip("\n")
    stripped = text.lstrip()
    caret = max((error.offset or 1) - 1 - (len(text) - len(stripped)), 0)
    shown = f"\n    {stripped}\n    {' ' * caret}^" if stripped else ""
    return f"{name} cannot be read as Python at line {error.lineno or 1}: {error.msg}{shown}"


def _import_error(error: ImportError, name: str, place: Place | None) -> str:
    if "relative import" in str(error):
        return (
            f"{name} has a relative import{at(place)}, and its folder is no package; write `import other` for "
            f"`from . import other`, or put an empty __init__.py into the folder."
        )
    module = error.name or ""
    top = module.partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or not top:
        return _any_error(error, name, is_ours=False, where=at(place))
    if top != module and importlib.util.find_spec(top) is not None:
        return f"{name} imports {module}{at(place)}, which the installed {top} does not have; look for its new name."
    package = _PACKAGE_OF.get(top, top)
    return f"{name} imports {top}{at(place)}, which is not installed here; install it with `pip install {package}`."


def _no_way_on(error: BaseException, name: str, place: Place | None, limits: Limits) -> str:
    if isinstance(error, SystemExit):
        return f"{name} ended the program{at(place)} with exit code {_exit_code(error)}; take the exit out."
    if isinstance(error, KeyboardInterrupt):
        return f"{name} was interrupted{at(place)}; run it again."
    asked = _ASKED_FOR.search(str(error))
    amount = "" if asked is None else f" asked for {in_bytes(int(asked[1])) if asked[1] else asked[2]} at once and"
    return f"{name}{amount} ran out of memory{at(place)}; {smaller(limits.memory_bytes)}"


def _exit_code(error: SystemExit) -> int:
    return error.code if isinstance(error.code, int) else int(error.code is not None)


def _any_error(error: BaseException, name: str, *, is_ours: bool, where: str) -> str:
    message = " ".join(str(error).split())
    message = message if len(message) <= _LONGEST else message[:_LONGEST] + " ..."
    what = type(error).__name__ + (f": {message}" if message else "")
    if is_ours:
        return f"judging {name} failed with {what}. This is a mistake in attention-surgeon; please report it."
    return f"{name} raised an error{where}: {what}"
