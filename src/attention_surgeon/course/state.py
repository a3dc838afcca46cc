"""What is remembered of a workspace between two commands, in one file that is there whole or not at all."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, final

from attention_surgeon.course.history import History
from attention_surgeon.errors import FileAccessError, FileFormatError, SurgeonError
from attention_surgeon.files import read_text, write_file

FORMAT, VERSION = "attention_surgeon_workspace", 1
_PATIENCE = 10.0  # seconds; whoever holds the lock writes a few kilobytes


@final
@dataclass
class Standing:
    """How one exercise stands.

    Attributes:
        passed: When it was first passed, as ISO 8601; empty before.
        attempts: How many different versions were judged.
        level: How much is said of the first mistake: 0 question, 1 pointer, 2 fix.
        hints: How many of the exercise's own three hints were asked for.
        beaten: Names of mistakes that were there once and are not any more, in the order in which they went.
        prediction: Which choice was taken; None before.
        last: The last verdict, as plain data.
        solution: When the solution was asked for before the exercise was passed, as ISO 8601; empty where it was not.
    """

    passed: str = ""
    attempts: int = 0
    level: int = 0
    hints: int = 0
    beaten: list[str] = field(default_factory=list)
    prediction: int | None = None
    last: dict[str, Any] | None = None
    solution: str = ""


@final
@dataclass
class State:
    """Everything.

    Attributes:
        courses: Folders of content; an empty name is the one that comes along.
        current: Name of the exercise that is worked on; empty at the beginning.
        given: The digest of each file as the course gave it, by its path in the workspace.
        exercises: How each stands that was begun.
    """

    courses: list[str] = field(default_factory=lambda: [""])
    current: str = ""
    given: dict[str, str] = field(default_factory=dict)
    exercises: dict[str, Standing] = field(default_factory=dict)

    def of(self, exercise: str) -> Standing:
        """Return how an exercise stands; changes to it are changes to the state."""
        return self.exercises.setdefault(exercise, Standing())


@final
class StateFile:
    """The file, its lock, and what happens when it is damaged."""

    def __init__(self, folder: Path, history: History) -> None:
        """Keep the state in `folder`; what was passed can be told again from `history`."""
        self.file, self._lock, self._history = folder / "state.json", folder / "lock", history
        self._before = folder / "state.previous.json"
        self.notes: list[str] = []

    def read(self) -> State:
        """Return the state; a damaged file is set aside, and `notes` says so.

        Raises:
            FileFormatError: it was written by a newer version of this package.
            FileAccessError: it cannot be read.
        """
        if not self.file.exists():
            return State()
        try:
            return _from_plain(json.loads(read_text(self.file)))
        except _NewerError as error:
            raise FileFormatError(f"{self.file} was written by a newer attention-surgeon; update it.") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return self._set_aside(error)

    @contextmanager
    def changing(self) -> Iterator[State]:
        """Yield the state and write it back, while nobody else does; if the block fails, nothing is written.

        Raises:
            FileAccessError: another process holds it for too long, or it cannot be written.
        """
        from filelock import FileLock, Timeout  # here, because whoever only reads needs no lock

        try:
            with FileLock(self._lock, timeout=_PATIENCE):
                state = self.read()
                yield state
                self._write(state)
        except Timeout:
            raise FileAccessError(
                f"cannot write {self.file}: another surgeon has held {self._lock.name} for {_PATIENCE:g} s; end it."
            ) from None

    def _set_aside(self, error: Exception) -> State:
        number = 1
        while (place := self.file.with_name(f"state.broken-{number}.json")).exists():
            number += 1
        self.file.rename(place)
        state = self._told_again()
        passed = sum(bool(standing.passed) for standing in state.exercises.values())
        self.notes.append(
            f"{self.file.name} was damaged ({error}); it is kept as {place.name}, and put together again from the one "
            f"before and the history: {passed} passed. Your files were not touched."
        )
        self._write(state)
        return state

    def _write(self, state: State) -> None:
        if self.file.exists():
            write_file(self._before, self.file.read_bytes())
        write_file(self.file, json.dumps(_to_plain(state), indent=1, ensure_ascii=False) + "\n")

    def _told_again(self) -> State:
        """Return the state before the last change, if it can be read, and what the history tells beyond it."""
        try:
            state = _from_plain(json.loads(read_text(self._before)))
        except (OSError, SurgeonError, _NewerError, ValueError, TypeError, KeyError, AttributeError):
            state = State()
        for standing in state.exercises.values():
            standing.attempts = 0  # counted again
        seen: dict[str, tuple[str, ...]] = {}
        for event in self._history.events():
            if event.what != "judged" or not event.exercise:
                continue
            state.current = event.exercise
            standing = state.of(event.exercise)
            standing.attempts += 1
            gone = [name for name in seen.get(event.exercise, ()) if name not in event.mistakes]
            standing.beaten += [name for name in gone if name not in standing.beaten]
            seen[event.exercise] = event.mistakes
            if event.status == "passed" and not standing.passed:
                standing.passed = event.at
        return state


class _NewerError(Exception):
    """The file is of a version that is not known yet."""


def _to_plain(state: State) -> dict[str, Any]:
    return {"format": FORMAT, "version": VERSION, **asdict(state)}


def _from_plain(values: Any) -> State:
    if values["format"] != FORMAT:
        raise ValueError(f"its format is {values['format']!r}")
    if values["version"] > VERSION:
        raise _NewerError
    exercises = {name: _checked(Standing(**standing)) for name, standing in values["exercises"].items()}
    state = State(**{each.name: values[each.name] for each in fields(State) if each.name != "exercises"})
    state.exercises = exercises
    return _checked(state)


def _checked(record: Any) -> Any:
    """Return a record whose fields are of the kind of their defaults; refuse others."""
    usual = type(record)()
    for each in fields(record):
        value, default = getattr(record, each.name), getattr(usual, each.name)
        kinds = (int, type(None)) if each.name == "prediction" else (Mapping, type(None)) if each.name == "last" else ()
        if not isinstance(value, kinds or type(default)):
            raise TypeError(f"{each.name} is {value!r}")
    return record
