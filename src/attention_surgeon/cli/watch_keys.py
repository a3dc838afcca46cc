"""What each key of `surgeon watch` does."""

import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, final

from rich.text import Text

from attention_surgeon.cli.cells import folded
from attention_surgeon.course.session import following, raise_level
from attention_surgeon.course.versions import reset, undo
from attention_surgeon.files import read_text

if TYPE_CHECKING:
    from attention_surgeon.cli.watch_loop import Event, Watcher

_SURGEON = [sys.executable, "-P", "-c", "from attention_surgeon.cli import main; main()"]
_LONGEST_TRAINING = 180.0
_PAGE = 10


@final
class Keys:
    """The keys, by mode."""

    def __init__(self, watcher: "Watcher") -> None:
        """Act on a watcher."""
        self._watcher = watcher
        self._usual: dict[str, Callable[[], None]] = {
            "h": self._hint,
            "l": self._list,
            "n": self._next,
            "r": self._reset,
            "u": self._undo,
            "s": self._see,
            "p": self._predict,
            "o": self._page,
            "j": watcher.judge,
            "q": watcher.quit,
        }

    def press(self, key: str) -> None:
        """Do what a key means at this moment.

        Raises:
            SurgeonError: it could not be done.
        """
        view = self._watcher.view
        view.message = ""
        if key == "q":
            self._watcher.quit()
        elif view.mode == "verdict":
            self._usual.get(key, lambda: None)()
        elif key == "escape" or key == {"list": "l", "predict": "p", "page": "o"}[view.mode]:
            view.mode = "verdict"
        elif view.mode == "list":
            self._in_list(key)
        elif view.mode == "page":
            step = {"down": 1, "j": 1, " ": _PAGE, "up": -1, "k": -1}.get(key, 0)
            view.cursor = max(0, min(view.cursor + step, len(view.page) - 1))
        else:
            self._in_prediction(key)

    def _hint(self) -> None:
        view = self._watcher.view
        number = raise_level(self._watcher.workspace, view.exercise)
        self._watcher.refresh()
        if view.judged is None:
            view.message = view.exercise.hints[min(number, len(view.exercise.hints)) - 1]

    def _list(self) -> None:
        view = self._watcher.view
        view.mode, view.cursor = "list", view.exercises.index(view.exercise)

    def _in_list(self, key: str) -> None:
        view = self._watcher.view
        if key in ("\r", "\n"):
            self._watcher.open(view.exercises[view.cursor])
            return
        step = {"down": 1, "j": 1, "up": -1, "k": -1}.get(key, 0)
        view.cursor = max(0, min(view.cursor + step, len(view.exercises) - 1))

    def _next(self) -> None:
        watcher = self._watcher
        other = following(watcher.view.exercises, watcher.view.exercise, watcher.workspace.state.read().exercises)
        if other is None or other == watcher.view.exercise:
            watcher.view.message = "there is no other exercise left; surgeon progress makes a page of it"
        else:
            watcher.open(other)

    def _reset(self) -> None:
        path = self._watcher.view.exercise.path
        before = reset(self._watcher.workspace, path)
        self._watcher.view.message = f"{path} is as the course gave it; u brings {before[:8]} back"

    def _undo(self) -> None:
        path = self._watcher.view.exercise.path
        self._watcher.view.message = f"{path} is version {undo(self._watcher.workspace, path)[:8]} again"

    def _predict(self) -> None:
        view = self._watcher.view
        if view.exercise.predict is None:
            view.message = "there is nothing to predict here"
            return
        standing = view.standings.get(view.exercise.name)
        view.mode, view.answer = "predict", None if standing is None else standing.prediction

    def _in_prediction(self, key: str) -> None:
        watcher, view = self._watcher, self._watcher.view
        asked = view.exercise.predict
        if asked is None or view.answer is not None or not key.isdecimal() or not 0 < int(key) <= len(asked.choices):
            return
        view.answer = int(key) - 1
        with watcher.workspace.state.changing() as state:
            state.of(view.exercise.name).prediction = view.answer
        watcher.refresh()

    def _page(self) -> None:
        watcher, exercise = self._watcher, self._watcher.view.exercise
        unit = watcher.workspace.course.unit(exercise.unit)
        file = watcher.workspace.root / unit.folder / unit.page
        lines = [line for row in read_text(file).splitlines() for line in folded(row, watcher.width()) or [""]]
        watcher.view.title, watcher.view.page = str(unit.folder / unit.page), [Text(line) for line in lines]
        watcher.view.mode, watcher.view.cursor = "page", 0

    def _see(self) -> None:
        watcher, judged = self._watcher, self._watcher.view.judged
        if judged is None or not judged.verdict.mistakes:
            watcher.view.message = "s trains a mistake that has a name; there is none at the moment"
            return
        name = judged.verdict.mistakes[0].name
        watcher.do(f"training a small model with {name}, and a healthy one", lambda: self._trained(name))

    def _trained(self, name: str) -> "Event":
        """Train a model with the mistake in a process of its own, and return its report as a page."""
        runs = self._watcher.workspace.root / "runs"
        command = [*_SURGEON, "experiment", "run", "fault", "--name", name, "--quick", "--out", str(runs)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST_TRAINING, check=False)
        except subprocess.TimeoutExpired:
            return "error", f"training took longer than {_LONGEST_TRAINING:.0f} s and was stopped"
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            return "error", lines[-1].removeprefix("error: ") if lines else f"it ended with code {done.returncode}"
        return "page", (f"what {name} does", [Text(line) for line in done.stdout.splitlines()])
