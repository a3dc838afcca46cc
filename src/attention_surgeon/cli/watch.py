"""What happens while `surgeon watch` runs: keys, saved files and verdicts come in as events, and the window is drawn.

The main thread owns the window and the view. A second one watches the file, a third asks the judge, so that a key is
answered at once whatever the learner's file does.
"""

import contextlib
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

from rich.text import Text

from attention_surgeon.cli.cells import text_lines
from attention_surgeon.cli.console import make_console, say
from attention_surgeon.cli.terminal import Terminal
from attention_surgeon.cli.watch_events import Event, Failed, Found, Saved, Told, stamp_of, watch_file
from attention_surgeon.cli.watch_pages import (
    asked,
    differing_lines,
    markdown_lines,
    readings,
    solution_lines,
    trained_lines,
)
from attention_surgeon.cli.watch_screen import View, frame
from attention_surgeon.cli.watch_words import missing, news
from attention_surgeon.course import Exercise
from attention_surgeon.course.asking import Allowance, request_for
from attention_surgeon.course.client import Judge
from attention_surgeon.course.session import Judged, following, judge_exercise, last_verdict, raise_level
from attention_surgeon.course.source import asked_by
from attention_surgeon.course.state import Standing
from attention_surgeon.course.versions import reset, undo
from attention_surgeon.course.workspace import Workspace
from attention_surgeon.errors import SurgeonError
from attention_surgeon.files import read_text

_TICK = 0.25  # seconds between two looks at the size of the window and at the clock

_TRAINING = Allowance(seconds=120.0, cpu_seconds=9.0)  # it ends by itself after 5 s, or when it is not wanted

_KEPT = 2  # lines of a page that stay when one goes on by a page


def run_watch(workspace: Workspace, exercise: Exercise, seconds: float) -> int:
    """Run until the learner quits, and return the exit code."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        say("error", "surgeon watch needs a terminal; surgeon check gives the same verdict without one.")
        return 2
    with _worker(workspace, exercise, seconds) as watcher:
        return watcher.run()


@contextmanager
def _worker(workspace: Workspace, exercise: Exercise, seconds: float) -> "Iterator[Watcher]":
    watcher = Watcher(workspace, exercise, Judge(), Allowance(seconds))
    try:
        yield watcher
    finally:
        watcher.close()


@final
class Watcher:
    """The state of a running `surgeon watch`."""

    def __init__(self, workspace: Workspace, exercise: Exercise, judge: Judge, allowance: Allowance) -> None:
        """Begin with an exercise; nothing is judged yet."""
        self.workspace, self._judge, self._allowance = workspace, judge, allowance
        self._terminal = Terminal(make_console())
        self._events: queue.Queue[Event] = queue.Queue()
        self._work: queue.Queue[tuple[str, Callable[[], Event]] | None] = queue.Queue()
        self._stop = threading.Event()
        self._stop_watching = threading.Event()
        self._folder = tempfile.TemporaryDirectory(prefix="surgeon-watch-")
        self._unwanted: Path | None = None  # a training ends when there is a file of this name
        self._begun = 0.0
        state = workspace.state.read()
        self.view = View(exercise, workspace.course.exercises, state.exercises)
        self._keys = Keys(self)
        self.open(exercise)
        threading.Thread(target=self._do_work, daemon=True).start()

    def run(self) -> int:
        """Draw and answer until the learner quits."""
        drawn: tuple[list[Any], tuple[int, int]] | None = None
        with self._terminal.opened(), contextlib.suppress(KeyboardInterrupt):  # Ctrl-C leaves as q does
            while not self._stop.is_set():
                size = self._terminal.size
                lines = frame(self.view, *size)
                if drawn != (lines, size):
                    self._terminal.draw(lines)
                    drawn = (lines, size)
                self._step()
        return 0

    def open(self, exercise: Exercise) -> None:
        """Go to an exercise: show how it stands, watch its folder, judge it."""
        standing = self.workspace.state.read().of(exercise.name)
        last = last_verdict(standing)
        self.view.exercise, self.view.mode, self.view.message, self.view.news = exercise, "verdict", "", ""
        self.view.asked = self._asked(exercise)
        self.view.judged = None if last is None else Judged(last, standing)
        with self.workspace.state.changing() as state:
            state.current = exercise.name
        self.view.standings = state.exercises
        self._stop_watching.set()
        self._stop_watching = threading.Event()
        file = self.workspace.file(exercise)
        watching = (file, stamp_of(file), self._stop_watching, self._happen)
        threading.Thread(target=watch_file, args=watching, daemon=True).start()
        self.judge()

    def _asked(self, exercise: Exercise) -> str:
        """Return what the file that is given asks of an exercise, then the course's pages, its own page first."""
        stub = asked_by(read_text(exercise.content / exercise.file), exercise.object)
        unit = self.workspace.course.unit(exercise.unit)
        whole = unit.folder / unit.page
        for page in readings(self.workspace.root, unit, exercise):
            is_own = page != whole
            if is_own and page.parent not in exercise.path.parents:
                break  # the unit's docs say of no exercise what it asks
            found = asked(read_text(self.workspace.root / page), exercise, is_own=is_own)
            if found:
                return f"{stub}\n\n{found}"
        return stub

    def _of_another(self, paths: frozenset[Path]) -> Exercise | None:
        """Return the exercise that was written in, None where the current one may be meant."""
        files = {self.workspace.file(each): each for each in reversed(self.view.exercises)}
        is_other = paths and paths <= {*files} - {self.workspace.file(self.view.exercise)}
        return files[min(paths)] if is_other else None

    def judge(self) -> None:
        """Have the current exercise judged."""
        exercise = self.view.exercise
        self.end_training()
        self.do("judging", lambda: Found(self._judged(exercise)))

    def do(self, what: str, work: Callable[[], Event]) -> None:
        """Have something done by the worker; its event comes when it is done."""
        self.view.busy, self._begun = what, time.monotonic()
        name = self.view.exercise.name
        self._work.put((name, work))

    def train(self, exercise: Exercise, told: Callable[[dict[str, Any]], Event]) -> None:
        """Have a small model trained with the learner's file, until the page of it is left or the file is saved.

        Args:
            exercise: Whose file it is.
            told: Makes an event of what was measured; of a crash it has the sentence.
        """
        self.end_training()
        self._unwanted = until = Path(self._folder.name, f"unwanted-{time.monotonic_ns()}")
        file = self.workspace.file(exercise)
        begun_with = stamp_of(file)

        def is_unwanted() -> bool:  # a training that reads half of what is saved ends before we hear of the save
            return until.exists() or stamp_of(file) != begun_with

        def work() -> Event:
            request = request_for(exercise, file, _TRAINING)
            solution = str((exercise.content / exercise.solution).absolute())
            asked = {**request, "what": "train", "solution": solution, "until": str(until)}
            found = {} if is_unwanted() else self._judge.ask(asked)
            return told({"status": "unwanted"} if is_unwanted() else found)

        self.do("training a small model with your file", work)

    def end_training(self) -> None:
        """Let the training that goes on end at its next step: nobody waits for it any more."""
        if self._unwanted is not None:
            self._unwanted.touch()
            self._unwanted = None

    def refresh(self) -> None:
        """Read how everything stands again."""
        self.view.standings = self.workspace.state.read().exercises
        judged = self.view.judged
        if judged is not None:
            standing = self.view.standings.get(self.view.exercise.name, Standing())
            self.view.judged = Judged(judged.verdict, standing, judged.since, judged.is_new, judged.notes)

    def quit(self) -> None:
        """Leave after this step."""
        self._stop.set()

    def size(self) -> tuple[int, int]:
        """Return how many columns and rows the window has."""
        return self._terminal.size

    def close(self) -> None:
        """End everything that was started."""
        self._stop.set()
        self._stop_watching.set()
        self._work.put(None)
        self._judge.close()
        self._folder.cleanup()

    def _step(self) -> None:
        """Take in what has happened since; wait a moment for a key."""
        try:
            key = self._terminal.key(_TICK if self._events.empty() else 0.0)
        except EOFError:
            self.quit()
            return
        try:
            if key:
                self._keys.press(key)
            while not self._events.empty():
                self._take(self._events.get())
        except SurgeonError as error:
            self.view.message = str(error)
        self._tell_time()

    def _take(self, event: Event) -> None:
        if not self._work.unfinished_tasks:
            self.view.busy = ""
        match event:
            case Saved(paths):
                self._take_saved(paths)
            case Found(judged):
                if judged.verdict.exercise == self.view.exercise.name:
                    self.view.judged = judged
                    self.view.news = "" if self.view.mode == "verdict" else news(judged)
                    self.refresh()
            case Told(title, lines):
                if self.view.mode == "page" and self.view.title == title:  # otherwise nobody waits for it any more
                    self.view.page = lines
            case Failed(sentence, exercise):
                if exercise in ("", self.view.exercise.name):
                    self._take_failed(sentence)

    def _take_saved(self, paths: frozenset[Path]) -> None:
        other = self._of_another(paths)
        if other is None:
            self.view.message = ""
            self.judge()
        else:
            self.view.message = f"{other.path.name} was saved; l goes to {other.name}, where it is judged."

    def _take_failed(self, sentence: str) -> None:
        self.view.message = self.view.news = sentence
        if not self.workspace.file(self.view.exercise).is_file():
            self.view.judged = None  # what is said of a file that is gone is said of nothing

    def _tell_time(self) -> None:
        """Say how long something has been going on, once it takes longer than a moment."""
        what, _, _ = self.view.busy.partition(" … ")
        spent = time.monotonic() - self._begun
        if what and spent > 1:
            waits = "" if self._judge.is_ready else ", torch is loading"
            self.view.busy = f"{what} … {spent:.0f} s{waits}"

    def _judged(self, exercise: Exercise) -> Judged:
        judged = judge_exercise(self.workspace, self._judge, exercise, self._allowance)
        self._judge.prepare(request_for(exercise, self.workspace.file(exercise)))
        return judged

    def _happen(self, event: Event) -> None:
        self._events.put(event)
        self._terminal.wake()

    def _do_work(self) -> None:
        while (wanted := self._work.get()) is not None:
            name, work = wanted
            try:
                event = work()
            except SurgeonError as error:
                event = Failed(str(error), name)
            except Exception as error:  # noqa: BLE001  the watcher lives; what went wrong is said on the screen
                event = Failed(f"a mistake in attention-surgeon: {type(error).__name__}: {error}")
            self._work.task_done()
            if not self._stop.is_set():
                self._happen(event)


@final
class Keys:
    """The keys, by mode."""

    def __init__(self, watcher: Watcher) -> None:
        """Act on a watcher."""
        self._watcher = watcher
        self._is_asked: Callable[[], None] | None = None  # what is done if the next key is the same again
        self._usual: dict[str, Callable[[], None]] = {
            "h": self._hint,
            "l": self._list,
            "n": self._next,
            "r": self._reset,
            "u": self._undo,
            "s": self._see,
            "p": self._predict,
            "o": lambda: self._read(0),
            "d": self._compare,
            "j": watcher.judge,
            "q": watcher.quit,
        }

    def press(self, key: str) -> None:
        """Do what a key means at this moment.

        Raises:
            SurgeonError: it could not be done.
        """
        view = self._watcher.view
        view.message, confirmed, self._is_asked = "", self._is_asked, None
        if key == "q":
            self._watcher.quit()
        elif view.mode == "verdict":
            if key == "r" and confirmed is not None:
                confirmed()
            else:
                self._usual.get(key, lambda: None)()
        elif key == "escape" or key == {"list": "l", "predict": "p", "page": "o"}[view.mode]:
            view.mode, view.news = "verdict", ""
            self._watcher.end_training()
        elif view.mode == "list":
            self._in_list(key)
        elif view.mode == "page":
            self._in_page(key)
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

    def _in_page(self, key: str) -> None:
        view = self._watcher.view
        if key.isdecimal() and 0 < int(key) <= len(view.links):
            self._read(int(key) - 1)
            return
        screen = max(self._watcher.size()[1] // 2 - _KEPT, 1)
        step = {"down": 1, "j": 1, "up": -1, "k": -1, " ": screen, "page down": screen, "page up": -screen}
        far = {"home": -len(view.page), "end": len(view.page)}
        view.cursor = max(0, min(view.cursor + (step | far).get(key, 0), len(view.page) - 1))

    def _next(self) -> None:
        watcher, left = self._watcher, self._watcher.view.exercise
        standings = watcher.workspace.state.read().exercises
        other = following(watcher.view.exercises, left, standings)
        if other is None or other == left:
            is_open = not standings.get(left.name, Standing()).passed
            only = f"{left.name} is the only one that is left" if is_open else "no exercise is left"
            watcher.view.message = f"{only}; surgeon progress makes a page of it"
            return
        watcher.open(other)
        watcher.view.message = missing(watcher.workspace.course, left, other, standings)

    def _reset(self) -> None:
        path = self._watcher.view.exercise.path
        self._is_asked = self._do_reset
        self._watcher.view.message = f"r again puts {path} back as the course gave it; any other key leaves it as it is"

    def _do_reset(self) -> None:
        path = self._watcher.view.exercise.path
        before = reset(self._watcher.workspace, path)
        self._watcher.refresh()
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

    def _read(self, number: int) -> None:
        watcher, exercise = self._watcher, self._watcher.view.exercise
        pages = readings(watcher.workspace.root, watcher.workspace.course.unit(exercise.unit), exercise)
        if not pages:
            watcher.view.message = f"there is no page of {exercise.name} here; surgeon update brings it back"
            return
        text = read_text(watcher.workspace.root / pages[number])
        watcher.view.links = [str(page) for page in pages]
        self._show(str(pages[number]), markdown_lines(text, watcher.size()[0]))

    def _compare(self) -> None:
        watcher, exercise = self._watcher, self._watcher.view.exercise
        if not watcher.view.standings.get(exercise.name, Standing()).passed:
            watcher.view.message = f"d shows the course's solution once {exercise.name} is passed; h gives hints"
            return
        own, solution = read_text(watcher.workspace.file(exercise)), read_text(exercise.content / exercise.solution)
        watcher.view.links = []
        self._show(f"{exercise.path}, and the course's solution", solution_lines(own, solution, watcher.size()[0]))

    def _show(self, title: str, lines: list[Text]) -> None:
        view = self._watcher.view
        view.title, view.page, view.mode, view.cursor = title, lines, "page", 0

    def _see(self) -> None:
        watcher, judged = self._watcher, self._watcher.view.judged
        if judged is None or judged.verdict.status != "mistake":
            watcher.view.message = "s shows what a mistake does; there is none at the moment"
            return
        exercise, title = watcher.view.exercise, f"what your {watcher.view.exercise.object} does"
        own = list(differing_lines(judged.verdict, watcher.size()[0]))
        told = "a small model with your file is being trained beside one with the course's solution …"
        waiting = text_lines(told, watcher.size()[0], "quiet")
        watcher.view.links = []
        self._show(title, [*waiting, Text(""), *own])
        watcher.train(exercise, lambda found: self._trained(found, exercise, title, own))

    def _trained(self, found: dict[str, Any], exercise: Exercise, title: str, own: list[Text]) -> Event:
        """Return what was measured, above one's own numbers: a small window shows it."""
        return Told(title, [*trained_lines(found, exercise.object, self._watcher.size()[0]), Text(""), *own])
